/*
 * io_test - the data path as a caller of the library sees it: any offset, any
 * length, any shape of buffers, against a plain array of bytes.
 */
#include "tests/unit/own_card.h"

#include <sys/wait.h>

/* The last block of the disk is not a whole one. */
#define SIZE (36 * MIB + 3 * 512)

static uint8_t *model, *buf;

static int
setup(void **state)
{
	(void)state;
	model = calloc(1, SIZE);
	buf = calloc(1, SIZE);
	return store_make(SIZE, 160 * MIB);
}

static int
setup_lz4(void **state)
{
	store_compress = LBS_COMPRESS_LZ4;
	return setup(state);
}

static int
setup_zstd(void **state)
{
	store_compress = LBS_COMPRESS_ZSTD;
	return setup(state);
}

static int
teardown(void **state)
{
	store_compress = LBS_COMPRESS_NONE;
	free(model);
	free(buf);
	return store_remove(state);
}

static void
check_range(uint64_t offset, size_t len)
{
	memset(buf, 0xee, len);
	assert_int_equal(lbs_vdisk_read(disk, buf, len, offset), 0);
	assert_memory_equal(buf, model + offset, len);
}

static void
check_all(void)
{
	check_range(0, SIZE);
}

/* Cuts len bytes at p into up to 40 pieces, empty ones among them. */
static int
shape(struct iovec iov[40], uint8_t *p, size_t len)
{
	int n = 0;

	while (len && n < 38) {
		size_t step = draw(4) ? draw_between(0, len < 9000 ? len : 9000)
				      : draw(3);

		if (step > len)
			step = len;
		iov[n++] = (struct iovec){ p, step };
		p += step;
		len -= step;
	}
	iov[n++] = (struct iovec){ p, len };
	return n;
}

static uint64_t
some_offset(size_t len)
{
	uint64_t at = draw(3) ? draw(64 * 4096) : draw(SIZE);

	if (draw(3) == 0)
		at = at / 4096 * 4096;
	if (draw(10) == 0)
		at = SIZE - len;
	return at > SIZE - len ? SIZE - len : at;
}

static size_t
some_length(void)
{
	switch (draw(5)) {
	case 0:
		return draw(3);
	case 1:
		return draw_between(1, 4097);
	case 2:
		return 4096 * (1 + draw(20));
	case 3:
		return draw(100000);
	}
	return 512 * (1 + draw(40));
}

static void
one_request(void)
{
	size_t len = some_length();
	uint64_t at = some_offset(len), first, end;
	unsigned flags = draw(30) ? 0 : LBS_FUA;
	struct iovec iov[40];
	int n;

	switch (draw(8)) {
	case 0:
		first = (at + 4095) / 4096 * 4096;
		end = at + len == SIZE ? SIZE : (at + len) / 4096 * 4096;
		assert_int_equal(lbs_vdisk_discard(disk, len, at, flags), 0);
		if (first < end) /* whole blocks only; the edges are kept */
			memset(model + first, 0, end - first);
		break;
	case 1:
		assert_int_equal(lbs_vdisk_write_zeroes(disk, len, at, flags),
				 0);
		memset(model + at, 0, len);
		break;
	case 2:
		n = shape(iov, buf, len);
		memset(buf, 0xee, len);
		assert_int_equal(lbs_vdisk_readv(disk, iov, n, at), 0);
		assert_memory_equal(buf, model + at, len);
		break;
	default:
		/* Of some blocks little is chance. */
		draw_bytes(model + at, len);
		for (size_t i = 0; i < len; i += 4096)
			if (draw(2))
				memset(model + at + i, (int)draw(256),
				       draw(len - i < 4096 ? len - i : 4096));
		n = shape(iov, model + at, len);
		assert_int_equal(draw(2) ? lbs_vdisk_writev(disk, iov, n, at,
							    flags)
					 : lbs_vdisk_write(disk, model + at,
							   len, at, flags), 0);
	}
	check_range(at < 5000 ? 0 : at - 5000,
		    at + len + 5000 > SIZE ? (size_t)(SIZE - (at < 5000 ? 0 : at - 5000))
					   : len + (at < 5000 ? (size_t)at : 5000) + 5000);
}

static void
any_request_at_any_place(void **state)
{
	(void)state;
	assert_int_equal(lbs_vdisk_size(disk), SIZE);
	check_all(); /* zeroes */
	for (int i = 0; i < 400; i++) {
		one_request();
		if (draw(40) == 0)
			assert_int_equal(lbs_vdisk_flush(disk), 0);
		if (draw(80) == 0)
			assert_int_equal(lbs_store_checkpoint(store), 0);
		if (draw(100) == 0) {
			assert_int_equal(store_close(), 0);
			assert_int_equal(store_open(0), 0);
		}
	}
	check_all();
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(LBS_RDONLY), 0);
	check_all();
}

static void
the_edges_of_the_disk_and_of_the_numbers(void **state)
{
	struct iovec two[2] = { { buf, SIZE_MAX }, { buf, 2 } };
	uint8_t b = 7;

	(void)state;
	/* Nothing at the very end is allowed, and does nothing; one byte more is
	 * not. */
	assert_int_equal(lbs_vdisk_write(disk, &b, 0, SIZE, 0), 0);
	assert_int_equal(lbs_vdisk_read(disk, &b, 0, SIZE), 0);
	assert_int_equal(lbs_vdisk_discard(disk, 0, SIZE, 0), 0);
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 0, SIZE, 0), 0);
	assert_int_equal(lbs_vdisk_writev(disk, NULL, 0, 5, 0), 0);
	assert_int_equal(store_stat(LBS_STAT_RECORDS), 0);
	assert_int_equal(lbs_vdisk_write(disk, &b, 1, SIZE, 0), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_read(disk, &b, 1, SIZE), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_read(disk, &b, 1, UINT64_MAX), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_discard(disk, UINT64_MAX, 1, 0), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_discard(disk, 2, UINT64_MAX, 0), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_write_zeroes(disk, UINT64_MAX, SIZE, 0),
			 LBS_EINVAL);
	assert_int_equal(lbs_vdisk_writev(disk, two, 2, 0, 0), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_readv(disk, two, 2, 0), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_write(disk, &b, 1, 0, 2), LBS_EINVAL);
	assert_int_equal(lbs_vdisk_discard(disk, 1, 0, 4), LBS_EINVAL);
	/* The last byte is an ordinary one. */
	assert_int_equal(lbs_vdisk_write(disk, &b, 1, SIZE - 1, 0), 0);
	model[SIZE - 1] = 7;
	check_range(SIZE - 5000, 5000);
}

static void
a_request_of_32_mib(void **state)
{
	(void)state;
	draw_bytes(model + 1000, 1 << 16);
	for (size_t at = 1 << 16; at < 32 * MIB; at += 1 << 16)
		memcpy(model + 1000 + at, model + 1000, 1 << 16);
	assert_int_equal(lbs_vdisk_write(disk, model + 1000, 32 * MIB, 1000, 0),
			 0);
	check_all();
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 32 * MIB, 3000, LBS_FUA),
			 0);
	memset(model + 3000, 0, 32 * MIB);
	check_all();
}

/* ---- extents ------------------------------------------------------------------ */

static struct {
	uint64_t from, to;
	int data;
} extent[64];
static int extents, extents_wanted;

static int
see_extent(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	(void)ctx;
	extent[extents].from = offset;
	extent[extents].to = offset + len;
	extent[extents++].data = is_data;
	return extents == extents_wanted;
}

static void
extents_tell_data_from_holes(void **state)
{
	(void)state;
	extents = 0;
	extents_wanted = 64;
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see_extent, NULL), 0);
	assert_int_equal(extents, 1);
	assert_true(extent[0].from == 0 && extent[0].to == SIZE &&
		    !extent[0].data);

	draw_bytes(buf, 8192);
	assert_int_equal(lbs_vdisk_write(disk, buf, 100, 8192 + 50, 0), 0);
	assert_int_equal(lbs_vdisk_write(disk, buf, 4096, 12288, 0), 0);
	assert_int_equal(lbs_vdisk_write(disk, buf, 1, SIZE - 1, 0), 0);
	for (int again = 0; again < 2; again++) {
		extents = 0;
		assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see_extent,
						   NULL), 0);
		assert_int_equal(extents, 4);
		assert_true(extent[0].to == 8192 && !extent[0].data);
		assert_true(extent[1].to == 16384 && extent[1].data);
		assert_true(extent[2].to == SIZE / 4096 * 4096 &&
			    !extent[2].data);
		assert_true(extent[3].to == SIZE && extent[3].data);
		assert_int_equal(lbs_store_checkpoint(store), 0);
	}
	/* A part that begins and ends inside blocks. */
	extents = 0;
	assert_int_equal(lbs_vdisk_extents(disk, 9000, 8191, see_extent, NULL),
			 0);
	assert_int_equal(extents, 3);
	assert_true(extent[0].from == 8191 && extent[0].to == 8192);
	assert_true(extent[2].from == 16384 && extent[2].to == 17191);
	/* The caller may have seen enough. */
	extents = 0;
	extents_wanted = 2;
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see_extent, NULL), 0);
	assert_int_equal(extents, 2);
	extents = 0;
	assert_int_equal(lbs_vdisk_extents(disk, 0, 100, see_extent, NULL), 0);
	assert_int_equal(extents, 0);
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 1, see_extent, NULL),
			 LBS_EINVAL);
	/* All of it discarded is one hole again. */
	assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
	extents_wanted = 64;
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see_extent, NULL), 0);
	assert_int_equal(extents, 1);
	assert_int_equal(extent[0].data, 0);
}

/* As qemu-img clears a large disk: from 2 GiB on each request is off by 512. */
static void
zeroing_a_part_of_a_hole_leaves_a_hole(void **state)
{
	uint64_t records = store_stat(LBS_STAT_LAST_RECORD);

	(void)state;
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 512, 4096 + 512, 0), 0);
	assert_int_equal(store_stat(LBS_STAT_LAST_RECORD), records);
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 4 * MIB, 3584, 0), 0);
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 4 * MIB, 3584 + 4 * MIB,
						0), 0);
	extents = 0;
	extents_wanted = 64;
	assert_int_equal(lbs_vdisk_extents(disk, SIZE, 0, see_extent, NULL), 0);
	assert_int_equal(extents, 1);
	assert_int_equal(extent[0].data, 0);
	/* What lies in the rest of the block stays. */
	draw_bytes(model, 4096);
	assert_int_equal(lbs_vdisk_write(disk, model, 4096, 0, 0), 0);
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 4 * MIB, 3584, 0), 0);
	memset(model + 3584, 0, 512);
	check_all();
}

/* ---- durability ---------------------------------------------------------------- */

static void
fua_and_flush_make_durable(void **state)
{
	uint64_t syncs;

	(void)state;
	own_card_make();
	own_card_open(1);
	draw_bytes(buf, 4096);
	assert_int_equal(lbs_vdisk_write(disk, buf, 4096, 0, LBS_FUA), 0);
	assert_true(store_stat(LBS_STAT_DURABLE_RECORD) ==
		    store_stat(LBS_STAT_LAST_RECORD));
	assert_int_equal(lbs_vdisk_write(disk, buf, 4096, 0, 0), 0);
	assert_true(store_stat(LBS_STAT_DURABLE_RECORD) <
		    store_stat(LBS_STAT_LAST_RECORD));
	syncs = store_stat(LBS_STAT_CARD_SYNCS);
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	assert_true(store_stat(LBS_STAT_DURABLE_RECORD) ==
		    store_stat(LBS_STAT_LAST_RECORD));
	assert_int_equal(store_stat(LBS_STAT_CARD_SYNCS), syncs + 1);
	/* With nothing new there is nothing to sync. */
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	assert_int_equal(store_stat(LBS_STAT_CARD_SYNCS), syncs + 1);
	/* Holes too: their flags count. */
	assert_int_equal(lbs_vdisk_discard(disk, 4096, 0, LBS_FUA), 0);
	assert_true(store_stat(LBS_STAT_DURABLE_RECORD) ==
		    store_stat(LBS_STAT_LAST_RECORD));
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 100, 7, LBS_FUA), 0);
	assert_true(store_stat(LBS_STAT_DURABLE_RECORD) ==
		    store_stat(LBS_STAT_LAST_RECORD));
	own_card_close();
}

static void
a_lone_synchronous_write_costs_two_pages_and_one_commit(void **state)
{
	uint64_t log, syncs, commits, bytes;

	draw_bytes(buf, 4096);
	/* With all of the card filled, so that only the write costs. */
	store_remove(state);
	store_preallocate = 1;
	assert_int_equal(store_make(SIZE, 100 * MIB), 0);
	store_preallocate = 0;
	own_card_make();
	own_card_open(1);
	for (int i = 0; i < 20; i++) {
		log = store_stat(LBS_STAT_CARD_LOG_BYTES);
		syncs = store_stat(LBS_STAT_CARD_SYNCS);
		commits = store_stat(LBS_STAT_META_COMMITS);
		bytes = store_stat(LBS_STAT_META_BYTES);
		assert_int_equal(lbs_vdisk_write(disk, buf, 4096,
						 draw(1000) * 4096, LBS_FUA),
				 0);
		if (i < 2) /* the session's first write opens a segment */
			continue;
		assert_int_equal(store_stat(LBS_STAT_CARD_LOG_BYTES) - log,
				 8192);
		assert_int_equal(store_stat(LBS_STAT_CARD_SYNCS) - syncs, 1);
		assert_int_equal(store_stat(LBS_STAT_META_COMMITS) - commits, 1);
		assert_true(store_stat(LBS_STAT_META_BYTES) - bytes <= 4608);
	}
	own_card_close();
}

/* ---- who may use it -------------------------------------------------------------- */

static int
see_vdisk(void *ctx, const char *name, uint64_t size)
{
	(void)ctx;
	assert_string_equal(name, "disk");
	assert_int_equal(size, SIZE);
	return 0;
}

static int
is_nothing_told(void)
{
	struct lbs_store_info info = { .struct_size = sizeof info };
	uint64_t counters[LBS_STAT_COUNT];

	lbs_store_stat(store, counters);
	return lbs_store_info(store, &info) == LBS_EFORK &&
	       lbs_store_vdisks(store, see_vdisk, NULL) == LBS_EFORK &&
	       counters[LBS_STAT_WRITE_OPS] == 0 &&
	       counters[LBS_STAT_SEGMENTS_TOTAL] == 0;
}

static void
a_forked_child_is_turned_away(void **state)
{
	int answer[2];
	pid_t child;
	char ok;

	(void)state;
	assert_int_equal(lbs_vdisk_write(disk, buf, 4096, 0, 0), 0);
	assert_int_equal(pipe(answer), 0);
	child = fork();
	if (child == 0) {
		ok = lbs_vdisk_read(disk, buf, 1, 0) == LBS_EFORK &&
			 lbs_vdisk_write(disk, buf, 1, 0, 0) == LBS_EFORK &&
			 lbs_vdisk_flush(disk) == LBS_EFORK &&
			 lbs_vdisk_discard(disk, 4096, 0, 0) == LBS_EFORK &&
			 lbs_vdisk_write_zeroes(disk, 1, 0, 0) == LBS_EFORK &&
			 lbs_vdisk_extents(disk, 1, 0, see_extent, NULL) ==
				 LBS_EFORK &&
			 lbs_store_checkpoint(store) == LBS_EFORK &&
			 is_nothing_told();

		(void)lbs_store_close(store); /* must harm nothing */
		(void)!write(answer[1], &ok, 1);
		_exit(0);
	}
	close(answer[1]);
	assert_int_equal(read(answer[0], &ok, 1), 1);
	assert_true(ok);
	close(answer[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(lbs_vdisk_write(disk, buf, 4096, 0, LBS_FUA), 0);
}

static void
a_second_opener_is_told_who_holds_it(void **state)
{
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .log = store_tell };
	lbs_store *second = NULL;

	(void)state;
	assert_int_equal(lbs_store_open(store_path, &o, &second), LBS_EBUSY);
	assert_null(second);
	assert_int_equal(store_told, LBS_EBUSY);
	assert_non_null(strstr(store_sentence, "a test (pid "));
	assert_int_equal(lbs_store_probe(store_path, &o), LBS_EBUSY);
	o.flags = LBS_RDONLY;
	assert_int_equal(lbs_store_open(store_path, &o, &second), LBS_EBUSY);
	assert_int_equal(store_close(), 0);
	assert_int_equal(lbs_store_probe(store_path, &o), 0);
	assert_int_equal(store_open(0), 0);
}

/* In the store's directory. */
static void
shell(const char *command)
{
	char line[300];

	snprintf(line, sizeof line, "cd %s && %s", store_dir, command);
	if (system(line))
		fail_msg("failed: %s", line);
}

/* The names and contents of all that a store consists of. (An empty WAL, which
 * SQLite leaves behind, is none.) */
static void
fingerprint(const char *into)
{
	char line[200];

	snprintf(line, sizeof line,
		 "find card corp.lbs* ! -name '*.run' -type f -size +0 -exec "
		 "cksum {} + | sort >%s", into);
	shell(line);
}

static void
read_only_reads_and_changes_nothing(void **state)
{
	(void)state;
	draw_bytes(model, 10000);
	assert_int_equal(lbs_vdisk_write(disk, model, 10000, 0, 0), 0);
	assert_int_equal(store_close(), 0);
	fingerprint(".before");
	assert_int_equal(store_open(LBS_RDONLY), 0);
	check_range(0, 20000);
	assert_int_equal(lbs_vdisk_write(disk, buf, 1, 0, 0), LBS_EROFS);
	assert_int_equal(lbs_vdisk_write_zeroes(disk, 1, 0, 0), LBS_EROFS);
	assert_int_equal(lbs_vdisk_discard(disk, 4096, 0, 0), LBS_EROFS);
	assert_int_equal(lbs_store_checkpoint(store), LBS_EROFS);
	assert_int_equal(store_stat(LBS_STAT_READ_ONLY), 1);
	check_range(0, 20000);
	assert_int_equal(store_close(), 0);
	fingerprint(".after");
	shell("cmp .before .after");
}

static void
a_store_says_what_it_is(void **state)
{
	struct lbs_store_info info = { .struct_size = sizeof info }, peek = info;
	lbs_vdisk *v = NULL;

	(void)state;
	assert_int_equal(lbs_store_info(store, &info), 0);
	assert_int_equal(info.block_size, 4096);
	assert_int_equal(info.segment_size_bytes, MIB);
	assert_int_equal(info.capacity_bytes, 160 * MIB);
	assert_int_equal(info.vdisk_count, 1);
	assert_int_equal(lbs_store_peek(store_path, NULL, NULL, &peek), 0);
	assert_memory_equal(peek.store_id, info.store_id, 16);
	info.struct_size = 4; /* an older caller's idea of it */
	assert_int_equal(lbs_store_info(store, &info), LBS_EINVAL);
	assert_int_equal(lbs_store_vdisks(store, see_vdisk, NULL), 0);
	assert_int_equal(lbs_vdisk_open(store, "other", &v), LBS_ENOENT);
	assert_null(v);
	assert_int_equal(lbs_vdisk_open(store, "disk", &v), 0);
	assert_string_equal(lbs_vdisk_name(v), "disk");
	lbs_vdisk_close(v);
	lbs_vdisk_close(NULL);
	assert_string_equal(lbs_store_failure(store), "");
	assert_string_equal(lbs_version(), LBS_VERSION);
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define ZIPPED(f, how) { #f "_with_" #how, f, setup_##how, teardown, NULL }
	const struct CMUnitTest tests[] = {
		STORY(any_request_at_any_place),
		ZIPPED(any_request_at_any_place, lz4),
		ZIPPED(any_request_at_any_place, zstd),
		STORY(the_edges_of_the_disk_and_of_the_numbers),
		STORY(a_request_of_32_mib),
		ZIPPED(a_request_of_32_mib, lz4),
		STORY(extents_tell_data_from_holes),
		STORY(zeroing_a_part_of_a_hole_leaves_a_hole),
		STORY(fua_and_flush_make_durable),
		STORY(a_lone_synchronous_write_costs_two_pages_and_one_commit),
		STORY(a_forked_child_is_turned_away),
		STORY(a_second_opener_is_told_who_holds_it),
		STORY(read_only_reads_and_changes_nothing),
		STORY(a_store_says_what_it_is),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
