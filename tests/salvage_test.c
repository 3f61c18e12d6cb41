/*
 * salvage_test.c - a metadata file of many pages is damaged at random and
 * salvaged: each block of the map is then where it was, or lost; never a hole
 * that was none, never elsewhere, unless lbsck is told that there is doubt.
 *
 * Bytes changed inside a row so that it still decodes lead elsewhere, which only
 * the tags on the card can tell; the damage here is to whole pages.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "liblbs/meta/mapstore.h"
#include "liblbs/meta/salvage.h"
#include "tests/unit/unit.h"

#define SEGMENTS 2000u
#define SEGMENT_BYTES (1u << 20)
#define REGIONS 12u
#define BLOCKS (REGIONS * MAP_REGION_BLOCKS)
#define SHIFT 17
#define ROUNDS 8

static char dir[64], whole[96], copy[96], out[96];
static uint64_t *truth, *found;	/* of BLOCKS */

static const struct logger quiet;

/* A region of random single blocks: rows of many bytes, over overflow pages. */
static void
put_base(struct meta *m, struct mapstore_region *r, uint64_t region)
{
	for (uint32_t i = 0; i < MAP_REGION_BLOCKS; i++)
		r->entries[i] =
			(uint32_t)draw(8)
				? position_make((uint32_t)draw(SEGMENTS - 100),
						SEGMENT_HEADER_BYTES +
							8 * (uint32_t)draw(100000))
				: 0;
	assert_int_equal(mapstore_region_rewrite(m, 1, region, r->entries), 0);
	memcpy(truth + region * MAP_REGION_BLOCKS, r->entries,
	       MAP_REGION_BLOCKS * sizeof *truth);
}

static void
put_delta(struct meta *m, uint64_t region, uint32_t number)
{
	uint64_t *t = truth + region * MAP_REGION_BLOCKS;
	struct runs_writer w;

	runs_begin(&w, SHIFT);
	for (uint32_t i = (uint32_t)draw(50); i < MAP_REGION_BLOCKS;
	     i += 1 + (uint32_t)draw(80)) {
		t[i] = (uint32_t)draw(9)
			       ? position_make((uint32_t)draw(SEGMENTS - 100),
					       SEGMENT_HEADER_BYTES + 8)
			       : 0;
		runs_put(&w, i, 1, t[i]);
	}
	assert_int_equal(runs_end(&w), 0);
	assert_int_equal(mapstore_delta_add(m, 1, region, number, w.buf, w.len),
			 0);
	free(w.buf);
}

static void
put_counts(struct meta *m)
{
	static uint32_t live[SEGMENTS + META_LIVE_GROUP];

	for (uint32_t i = 0; i < BLOCKS; i++)
		if (truth[i])
			live[position_segment(truth[i])]++;
	for (uint32_t g = 0; g * META_LIVE_GROUP < SEGMENTS; g++)
		assert_int_equal(meta_live_put(m, g,
					       live + g * META_LIVE_GROUP), 0);
}

static int
make(void **state)
{
	struct meta_store store = { .format_version = FORMAT_VERSION,
				    .features_must = FEATURE_LZ4,
				    .cipher = LBS_CIPHER_CHACHA20POLY1305,
				    .freshness = LBS_FRESHNESS_FLUSH,
				    .block_size = BLOCK_BYTES,
				    .segment_size = SEGMENT_BYTES,
				    .chunk_size = 64ull * SEGMENT_BYTES,
				    .capacity_segments = SEGMENTS };
	struct meta_vdisk disk = { .name = "disk", .id = 1, .layer = 1,
				   .size_bytes = (uint64_t)BLOCKS * BLOCK_BYTES };
	uint8_t key[DATA_KEY_BYTES] = { 7 };
	struct mapstore_region *r = calloc(1, sizeof *r);
	struct meta *m;

	(void)state;
	if (unit_directory(dir, "salvage"))
		return -1;
	snprintf(whole, sizeof whole, "%s/whole", dir);
	snprintf(copy, sizeof copy, "%s/copy", dir);
	snprintf(out, sizeof out, "%s/out", dir);
	truth = calloc(BLOCKS, sizeof *truth);
	found = calloc(BLOCKS, sizeof *found);
	r->entries = calloc(MAP_REGION_BLOCKS, sizeof *r->entries);
	assert_int_equal(meta_create(whole, NULL, &store, key, &quiet, &m), 0);
	assert_int_equal(meta_begin(m), 0);
	assert_int_equal(meta_vdisk_add(m, &disk), 0);
	for (uint32_t i = 0; i < SEGMENTS - 100; i++) {
		struct meta_segment row = { i, 1ull << 32 | (i + 1), { 1 } };

		assert_int_equal(meta_segment_put(m, &row), 0);
	}
	for (uint32_t i = 0; i < REGIONS; i++)
		put_base(m, r, i);
	for (uint32_t i = 0; i < REGIONS; i++)
		for (uint32_t n = 0; n < 1 + i % 5; n++)
			put_delta(m, i, n);
	put_counts(m);
	assert_int_equal(meta_commit(m), 0);
	meta_close(m);
	free(r->entries);
	free(r);
	return 0;
}

static int
unmake(void **state)
{
	char line[96];

	(void)state;
	free(truth);
	free(found);
	snprintf(line, sizeof line, "rm -r %s", dir);
	return system(line);
}

/* Junk, zeroes, or another page, over pages of the copy; the first one stays. */
static void
damage(uint32_t pages, uint32_t kinds)
{
	uint8_t page[4096], other[4096];
	int fd = open(copy, O_RDWR);
	struct stat st;
	uint32_t count;

	assert_int_equal(fstat(fd, &st), 0);
	count = (uint32_t)(st.st_size / 4096);
	for (uint32_t i = 0; i < pages; i++) {
		off_t at = (off_t)(2 + (uint32_t)draw(count - 2)) * 4096;
		uint32_t kind = (uint32_t)draw(kinds);

		assert_int_equal(pread(fd, page, 4096, at), 4096);
		assert_int_equal(pread(fd, other, 4096,
				       (off_t)(uint32_t)draw(count) * 4096), 4096);
		for (uint32_t b = 0; b < 4096; b++)
			page[b] = kind == 0   ? (uint8_t)draw(256)
				  : kind == 1 ? 0
				  : kind == 3 ? other[b]
				  : b < 16    ? (uint8_t)draw(256)
					      : page[b];
		assert_int_equal(pwrite(fd, page, 4096, at), 4096);
	}
	close(fd);
}

static void
read_map(struct meta *m)
{
	struct mapstore_region r;
	uint32_t layer = 1;
	uint64_t region = 0;

	memset(found, 0, BLOCKS * sizeof *found);
	while (mapstore_next_region(m, &layer, &region) > 0) {
		if (layer != 1 || region >= REGIONS)
			break; /* a key that was damaged, unseen */
		r.entries = found + region * MAP_REGION_BLOCKS;
		assert_int_equal(mapstore_region_load(m, 1, region, &r), 0);
		region++;
	}
}

static int
find_lost(void *ctx, const struct meta_segment *row)
{
	if (!row->serial)
		*(uint32_t *)ctx = row->segment;
	return 0;
}

static void
copy_whole(void)
{
	char line[512];

	snprintf(line, sizeof line, "cp %s %s && rm -f %s %s-wal", whole, copy,
		 out, copy);
	assert_int_equal(system(line), 0);
}

/* Salvages; how many blocks are lost, or UINT32_MAX if nothing could be done. */
static uint32_t
salvage_and_compare(int *lost, uint64_t *wrong_blocks)
{
	struct salvage s = { .copy = copy, .out = out, .log = &quiet };
	uint32_t lost_segment = NO_SEGMENT, count = 0;
	uint64_t wrong = 0, holes = 0;
	struct meta *m;
	int rc = meta_salvage(&s);

	*lost = s.lost;
	*wrong_blocks = 0;
	if (rc == LBS_ECORRUPT)
		return UINT32_MAX;
	assert_int_equal(rc, 0);
	assert_int_equal(meta_open(out, NULL, 0, &quiet, &m), 0);
	assert_int_equal(meta_segment_each(m, find_lost, &lost_segment), 0);
	/* Or every block would be lost. */
	assert_int_equal(meta_store_row(m)->features_must, FEATURE_LZ4);
	read_map(m);
	meta_close(m);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (found[i] == truth[i])
			continue;
		holes += !found[i];
		if (found[i] && position_segment(found[i]) == lost_segment)
			count++;
		else
			wrong++;
	}
	*wrong_blocks = wrong;
	if (s.lost & SALVAGE_DOUBT)
		assert_int_equal(holes, 0);
	return count;
}

/* It holds the key: nobody else may read it. */
static void
test_whole(void **state)
{
	mode_t mask = umask(022);
	struct stat st;
	uint64_t wrong;
	int lost;

	(void)state;
	copy_whole();
	assert_int_equal(salvage_and_compare(&lost, &wrong), 0);
	assert_int_equal(wrong, 0);
	assert_int_equal(lost, 0);
	assert_int_equal(stat(out, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	umask(mask);
	/* What is there already is not touched. */
	assert_int_equal(meta_salvage(&(struct salvage){ .copy = copy, .out = out,
							  .log = &quiet }),
			 LBS_EEXIST);
	assert_int_equal(stat(out, &st), 0);
}

/* Pages of junk or zeroes are noticed where they are. */
static void
test_junk(void **state)
{
	uint32_t most = 0, done = 0, got;
	uint64_t wrong;
	int lost;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		copy_whole();
		damage(1 + (uint32_t)draw(3), 3);
		got = salvage_and_compare(&lost, &wrong);
		assert_int_equal(wrong, 0);
		if (got == UINT32_MAX)
			continue;
		done++;
		if (got > most)
			most = got;
	}
	/* Few pages hold what all depends on. */
	print_message("%u of %d salvaged, at most %u of %u blocks lost\n", done,
		      ROUNDS, most, BLOCKS);
	assert_true(done > ROUNDS / 2);
}

/* A good page in another's place may leave blocks out; never in silence. */
static void
test_misplaced(void **state)
{
	uint64_t wrong;
	int lost;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		copy_whole();
		damage(1, 4);
		(void)salvage_and_compare(&lost, &wrong);
		assert_true(!wrong || lost);
	}
}

static int
any_vdisk(void *ctx, const struct meta_vdisk *vdisk)
{
	(void)ctx;
	(void)vdisk;
	return 0;
}

/* Numbers that no row may hold are as good as lost: what comes out opens. */
static void
test_nonsense(void **state)
{
	static const struct {
		const char *sql;
		int lost;
	} rows[] = {
		{ "UPDATE state SET session=4294967295", SALVAGE_LOST_PROMISE },
		{ "UPDATE state SET checkpoint_recno=-1", SALVAGE_LOST_PROMISE },
		{ "UPDATE anchor SET recno=-1", SALVAGE_LOST_PROMISE },
		{ "UPDATE vdisk SET size=size+1", SALVAGE_LOST_VDISKS },
		{ "INSERT INTO piece VALUES(1,-1,0,1,4096,1,zeroblob(16))",
		  SALVAGE_LOST_PROMISE },
		{ "INSERT INTO segment VALUES(9223372036854775807,1,zeroblob(16))",
		  0 },
		{ "INSERT INTO map_delta VALUES(9223372036854775807,x'00')", 0 },
	};
	struct salvage s;
	struct meta_state at;
	struct meta_anchor anchor;
	struct meta_piece pieces[4];
	struct meta *m;
	sqlite3 *db;
	int count;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		copy_whole();
		assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, rows[i].sql, NULL, NULL, NULL),
				 SQLITE_OK);
		sqlite3_close(db);
		s = (struct salvage){ .copy = copy, .out = out, .log = &quiet };
		assert_int_equal(meta_salvage(&s), 0);
		assert_int_equal(s.lost & rows[i].lost, rows[i].lost);
		assert_int_equal(meta_open(out, NULL, 0, &quiet, &m), 0);
		assert_int_equal(meta_state_get(m, &at), 0);
		assert_int_equal(meta_anchor_get(m, &anchor), 0);
		assert_int_equal(meta_pieces_get(m, pieces, 4, &count), 0);
		assert_int_equal(meta_vdisk_each(m, any_vdisk, NULL), 0);
		meta_close(m);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_junk),
		cmocka_unit_test(test_misplaced),
		cmocka_unit_test(test_nonsense),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, make, unmake);
}
