/*
 * meta_test - the metadata file: set up so that a commit is durable, true to
 * what was put into it, and refused with a reason when its rows make no sense.
 */
#include "tests/unit/meta.h"

#include <sys/stat.h>

#include "crypto/secret.h"

/* ---- how it is set up ------------------------------------------------------ */

static void
pragma_is(const char *name, const char *want)
{
	char sql[64];
	sqlite3_stmt *st;

	snprintf(sql, sizeof sql, "PRAGMA %s", name);
	assert_int_equal(sqlite3_prepare_v2(meta->db, sql, -1, &st, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), want);
	sqlite3_finalize(st);
}

static void
it_is_set_up_to_keep_its_last_commit(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		pragma_is("journal_mode", "wal");
		pragma_is("synchronous", "2"); /* FULL */
		pragma_is("locking_mode", "exclusive");
		pragma_is("page_size", "4096");
		pragma_is("mmap_size", "0");
		pragma_is("trusted_schema", "0");
		assert_int_equal(meta_reopen(), 0);
	}
}

static void
one_process_holds_it(void **state)
{
	struct meta *second = NULL;
	struct meta_store row;
	struct meta_state s;

	(void)state;
	assert_int_equal(meta_open(meta_path, NULL, 0, &meta_log, &second),
			 LBS_EBUSY);
	assert_null(second);
	/* Looking at what is constant needs no lock, once creation has closed
	 * the file. */
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(meta_peek(meta_path, NULL, &meta_log, &row, &s), 0);
	assert_int_equal(row.capacity_segments, 1000);
	assert_string_equal(row.data_dir, "/card");
}

static void
the_key_and_the_store_row_are_kept(void **state)
{
	uint8_t key[DATA_KEY_BYTES];

	(void)state;
	assert_int_equal(meta_data_key(meta, key), 0);
	assert_memory_equal(key, meta_key, sizeof key);
	assert_memory_equal(meta_store_row(meta)->store_id, meta_row.store_id,
			    STORE_ID_BYTES);
}

/* ---- what goes in comes out, also after opening again --------------------- */

static void
state_and_anchor_are_kept(void **state)
{
	struct meta_state s = { 5, 6, UINT64_MAX >> 1 }, s2;
	struct meta_anchor a = { 9, 999, 8 }, a2;

	(void)state;
	assert_int_equal(meta_anchor_get(meta, &a2), 0);
	assert_int_equal(a2.recno, 0);
	assert_int_equal(meta_state_set(meta, &s), 0);
	assert_int_equal(meta_anchor_set(meta, &a), 0);
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(meta_state_get(meta, &s2), 0);
	assert_int_equal(meta_anchor_get(meta, &a2), 0);
	assert_memory_equal(&s, &s2, sizeof s);
	assert_int_equal(a2.recno, 9);
	assert_int_equal(a2.segment, 999);
	assert_int_equal(a2.offset, 8);
}

static int segments_seen, chunks_seen, vdisks_seen;

static int
see_segment(void *ctx, const struct meta_segment *s)
{
	const struct meta_segment *want = ctx;

	segments_seen++;
	assert_int_equal(s->segment, want->segment);
	assert_true(s->serial == want->serial);
	assert_memory_equal(s->salt, want->salt, SALT_BYTES);
	return 0;
}

static int
see_chunk(void *ctx, uint32_t chunk, uint32_t filled)
{
	(void)ctx;
	chunks_seen++;
	assert_int_equal(filled, chunk == 0 ? 8 : 3);
	return 0;
}

static int
see_vdisk(void *ctx, const struct meta_vdisk *v)
{
	(void)ctx;
	vdisks_seen++;
	assert_string_equal(v->name, "disk");
	assert_int_equal(v->size_bytes, 512 * 12345);
	assert_int_equal(v->layer, 1);
	return 0;
}

static void
rows_are_kept(void **state)
{
	struct meta_segment gone = { .segment = 4, .serial = 1 };
	struct meta_segment kept = { .segment = 999, .serial = 1ull << 62 };
	struct meta_vdisk v = { .name = "disk", .size_bytes = 512 * 12345,
				.id = 1, .layer = 1 };
	uint32_t live[META_LIVE_GROUP], live2[META_LIVE_GROUP];

	(void)state;
	segments_seen = chunks_seen = vdisks_seen = 0;
	memset(kept.salt, 0xab, SALT_BYTES);
	for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
		live[i] = (uint32_t)draw64();
	assert_int_equal(meta_segment_put(meta, &gone), 0);
	assert_int_equal(meta_segment_put(meta, &kept), 0);
	assert_int_equal(meta_segment_delete(meta, 4), 0);
	assert_int_equal(meta_chunk_put(meta, 0, 7), 0);
	assert_int_equal(meta_chunk_put(meta, 0, 8), 0);
	assert_int_equal(meta_chunk_put(meta, 1, 3), 0);
	assert_int_equal(meta_vdisk_add(meta, &v), 0);
	assert_int_equal(meta_live_put(meta, 1, live), 0);
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(meta_segment_each(meta, see_segment, &kept), 0);
	assert_int_equal(meta_chunk_each(meta, see_chunk, NULL), 0);
	assert_int_equal(meta_vdisk_each(meta, see_vdisk, NULL), 0);
	assert_int_equal(segments_seen, 1);
	assert_int_equal(chunks_seen, 2);
	assert_int_equal(vdisks_seen, 1);
	assert_int_equal(meta_live_get(meta, 1, live2), 0);
	assert_memory_equal(live, live2, sizeof live);
	assert_int_equal(meta_live_get(meta, 0, live2), 0); /* no row: zeroes */
	for (uint32_t i = 0; i < META_LIVE_GROUP; i++)
		assert_int_equal(live2[i], 0);
}

static void
pieces_are_replaced_as_a_list(void **state)
{
	struct meta_piece p[3] = { { 1, 5, 0, 4096, 1, { 1 } },
				   { 7, 9, 3, 8192, 2, { 2 } },
				   { 10, 0, 999, 1 << 20, 3, { 3 } } }, back[3];
	int n;

	(void)state;
	assert_int_equal(meta_pieces_get(meta, back, 3, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(meta_pieces_set(meta, p, 3), 0);
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(meta_pieces_get(meta, back, 3, &n), 0);
	assert_int_equal(n, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(back[i].first_recno, p[i].first_recno);
		assert_int_equal(back[i].end_recno, p[i].end_recno);
		assert_int_equal(back[i].segment, p[i].segment);
		assert_int_equal(back[i].offset, p[i].offset);
		assert_memory_equal(back[i].salt, p[i].salt, SALT_BYTES);
	}
	assert_int_equal(meta_pieces_set(meta, p + 2, 1), 0);
	assert_int_equal(meta_pieces_get(meta, back, 3, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(back[0].first_recno, 10);
}

/* ---- transactions ------------------------------------------------------------ */

static void
a_rollback_or_a_death_takes_all_back(void **state)
{
	struct meta_anchor a = { 9, 1, 8 }, b;
	struct meta_segment s = { .segment = 1 };

	(void)state;
	assert_int_equal(meta_begin(meta), 0);
	assert_int_equal(meta_anchor_set(meta, &a), 0);
	assert_int_equal(meta_segment_put(meta, &s), 0);
	meta_rollback(meta);
	meta_rollback(meta); /* harmless outside */
	assert_int_equal(meta_anchor_get(meta, &b), 0);
	assert_int_equal(b.recno, 0);

	assert_int_equal(meta_begin(meta), 0);
	assert_int_equal(meta_anchor_set(meta, &a), 0);
	assert_int_equal(meta_commit(meta), 0);
	assert_int_equal(meta_begin(meta), 0);
	a.recno = 10;
	assert_int_equal(meta_anchor_set(meta, &a), 0);
	meta_abandon(meta);
	meta = NULL;
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(meta_anchor_get(meta, &b), 0);
	assert_int_equal(b.recno, 9);
}

static void
an_anchor_alone_costs_one_commit_and_little_more_than_a_page(void **state)
{
	struct meta_counters before, after;
	struct meta_anchor a = { 1, 1, 8 };

	(void)state;
	for (a.recno = 1; a.recno <= 40; a.recno++) {
		meta_counters(meta, &before);
		assert_int_equal(meta_anchor_set(meta, &a), 0);
		meta_counters(meta, &after);
		assert_int_equal(after.commits - before.commits, 1);
		assert_int_equal(after.syncs - before.syncs, 1);
		assert_true(after.bytes - before.bytes <= 4500);
	}
	/* In a transaction it costs no commit of its own. */
	assert_int_equal(meta_begin(meta), 0);
	meta_counters(meta, &before);
	assert_int_equal(meta_anchor_set(meta, &a), 0);
	meta_counters(meta, &after);
	assert_int_equal(after.commits, before.commits);
	assert_int_equal(meta_commit(meta), 0);
}

/* ---- what is not a store, or not whole -------------------------------------- */

static void
other_files_are_told_apart(void **state)
{
	FILE *f;

	(void)state;
	meta_sql("PRAGMA application_id=1");
	assert_int_equal(meta_reopen(), LBS_ENOTSTORE);
	meta_sql("PRAGMA application_id=1279415089; "
		 "UPDATE store SET format_version=2");
	assert_int_equal(meta_reopen(), LBS_EVERSION);
	meta_sql("UPDATE store SET format_version=1, features_must=1");
	assert_int_equal(meta_reopen(), LBS_EVERSION);
	meta_sql("UPDATE store SET features_must=0, features_may=-1");
	assert_int_equal(meta_reopen(), 0); /* may be ignored */
	meta_sql("DELETE FROM store");
	assert_int_equal(meta_reopen(), LBS_ECORRUPT);
	meta_sql("DROP TABLE store");
	assert_int_equal(meta_reopen(), LBS_ECORRUPT);
	f = fopen(meta_path, "w");
	fprintf(f, "%5000d", 7);
	fclose(f);
	assert_int_equal(meta_reopen(), LBS_ENOTSTORE);
	unlink(meta_path);
	assert_int_not_equal(meta_reopen(), 0);
	assert_int_not_equal(access(meta_path, F_OK), 0); /* nothing was made */
}

/* The bytes of the file behind meta_path and that; -1 if it is not there. */
static long
file_bytes(const char *suffix)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof path, "%s%s", meta_path, suffix);
	return stat(path, &st) ? -1 : (long)st.st_size;
}

/* Closing folds SQLite's log into a file that is open: not into one that was refused,
 * which may be anybody's. */
static void
a_strangers_log_is_left_as_it_is(void **state)
{
	sqlite3 *db = NULL;
	struct meta *m = NULL;
	long file, wal;

	(void)state;
	meta_close(meta);
	meta = NULL;
	unlink(meta_path);
	assert_int_equal(sqlite3_open(meta_path, &db), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE;"
				      "PRAGMA journal_mode=WAL;"
				      "CREATE TABLE theirs (x);"
				      "INSERT INTO theirs VALUES (7)",
				      NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	file = file_bytes("");
	wal = file_bytes("-wal");
	assert_true(file > 0 && wal > 0);
	assert_int_equal(meta_open(meta_path, NULL, 0, &meta_log, &m),
			 LBS_ENOTSTORE);
	assert_int_equal(file_bytes(""), file);
	assert_int_equal(file_bytes("-wal"), wal);
}

static int
touch_nothing_segment(void *ctx, const struct meta_segment *s)
{
	(void)ctx;
	assert_true(s->segment < meta_row.capacity_segments);
	return 0;
}

static int
touch_nothing_chunk(void *ctx, uint32_t chunk, uint32_t filled)
{
	(void)ctx;
	assert_true(chunk <= 125 && filled <= 8);
	return 0;
}

static int
touch_nothing_vdisk(void *ctx, const struct meta_vdisk *v)
{
	(void)ctx;
	(void)v;
	return 0;
}

/* Reads all there is; the first error. */
static int
read_everything(void)
{
	uint32_t live[META_LIVE_GROUP];
	struct meta_piece pieces[64];
	struct meta_anchor anchor;
	struct meta_state s;
	int n, rc = meta_reopen();

	if (rc == 0)
		rc = meta_state_get(meta, &s);
	if (rc == 0)
		rc = meta_anchor_get(meta, &anchor);
	if (rc == 0)
		rc = meta_segment_each(meta, touch_nothing_segment, NULL);
	if (rc == 0)
		rc = meta_chunk_each(meta, touch_nothing_chunk, NULL);
	if (rc == 0)
		rc = meta_vdisk_each(meta, touch_nothing_vdisk, NULL);
	if (rc == 0)
		rc = meta_live_get(meta, 0, live);
	if (rc == 0)
		rc = meta_pieces_get(meta, pieces, 64, &n);
	return rc;
}

static void
rows_that_make_no_sense_are_refused(void **state)
{
	static const char *const hostile[] = {
		"UPDATE store SET block_size=512",
		"UPDATE store SET segment_size=3000000",
		"UPDATE store SET segment_size=0",
		"UPDATE store SET segment_size=134217728",
		"UPDATE store SET chunk_size=1000000",
		"UPDATE store SET chunk_size=-1",
		"UPDATE store SET capacity_segments=0",
		"UPDATE store SET capacity_segments=4294967295",
		"UPDATE store SET capacity_segments=3000000",
		"UPDATE store SET capacity_segments=4194305",
		"UPDATE store SET capacity_segments=4294968296",
		"UPDATE store SET block_size=4294971392",
		"UPDATE store SET segment_size=4295032832",
		"UPDATE store SET freshness=3",
		"UPDATE store SET freshness=4294967297",
		"UPDATE state SET session=4294967295",
		"UPDATE state SET session=1<<63",
		"UPDATE state SET checkpoint_recno=-1",
		"UPDATE anchor SET recno=-1",
		"UPDATE store SET store_id=x'00'",
		"UPDATE store SET data_key=zeroblob(31)",
		"UPDATE store SET data_dir=printf('%.*c',5000,'x')",
		"UPDATE store SET format_version=0",
		"DELETE FROM state",
		"DELETE FROM anchor",
		"DROP TABLE anchor",
		"UPDATE anchor SET segment=1000",
		"UPDATE anchor SET segment=-1",
		"UPDATE anchor SET offset=1048576",
		"UPDATE anchor SET offset=7",
		"INSERT INTO segment VALUES(1000,1,zeroblob(16))",
		"INSERT INTO segment VALUES(-1,1,zeroblob(16))",
		"INSERT INTO segment VALUES(1,1,zeroblob(15))",
		"INSERT INTO segment VALUES(1,1,zeroblob(17))",
		"INSERT INTO segment VALUES(1,1,'')",
		"INSERT INTO chunk VALUES(0,9)",
		"INSERT INTO chunk VALUES(0,-1)",
		"INSERT INTO chunk VALUES(1000000,1)",
		"INSERT INTO chunk VALUES(-1,1)",
		"INSERT INTO live VALUES(0,zeroblob(2047))",
		"INSERT INTO live VALUES(0,'x')",
		"INSERT INTO piece VALUES(1,1,0,1000,4096,1,zeroblob(16))",
		"INSERT INTO piece VALUES(1,1,0,0,0,1,zeroblob(16))",
		"INSERT INTO piece VALUES(1,1,0,0,1048584,1,zeroblob(16))",
		"INSERT INTO piece VALUES(1,1,0,0,4097,1,zeroblob(16))",
		"INSERT INTO piece VALUES(1,-1,0,0,4096,1,zeroblob(16))",
		"INSERT INTO piece VALUES(1,1,-1,0,4096,1,zeroblob(16))",
		"INSERT INTO piece VALUES(1,1,0,0,4096,1,zeroblob(3))",
		("INSERT INTO piece SELECT value,1,0,0,4096,1,zeroblob(16) "
		 "FROM generate"),
		"INSERT INTO vdisk VALUES(1,'disk',512,0)",
		"INSERT INTO vdisk VALUES(1,'disk',512,8388608)",
		"INSERT INTO vdisk VALUES(1,'disk',-1,1)",
		"INSERT INTO vdisk VALUES(1,printf('%.*c',64,'x'),512,1)",
		"DROP TABLE vdisk",
		"DROP TABLE piece",
	};
	const char *const generate =
		"CREATE TABLE generate AS WITH RECURSIVE g(value) AS (SELECT 1 "
		"UNION ALL SELECT value+1 FROM g WHERE value<65) SELECT value "
		"FROM g;";
	char sql[600];

	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		assert_int_equal(meta_teardown(state), 0);
		assert_int_equal(meta_setup(state), 0);
		assert_int_equal(read_everything(), 0);
		snprintf(sql, sizeof sql, "%s%s",
			 strstr(hostile[i], "generate") ? generate : "",
			 hostile[i]);
		meta_sql(sql);
		meta_told = 0;
		int rc = read_everything();

		if (rc != LBS_ECORRUPT || meta_told != LBS_ECORRUPT)
			fail_msg("%s: %s, told %s", hostile[i],
				 lbs_error_word(rc), lbs_error_word(meta_told));
	}
}

/* Any byte of the file may be wrong; SQLite or we say so, or it did not matter.
 * Sanitizers watch that nothing else happens. */
static void
a_damaged_file_is_never_more_than_an_error(void **state)
{
	char copy[128], command[400], text[200];
	struct stat st;

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		struct meta_segment s = { .segment = i, .serial = i };

		assert_int_equal(meta_segment_put(meta, &s), 0);
	}
	meta_close(meta);
	meta = NULL;
	snprintf(copy, sizeof copy, "%s/copy", meta_dir);
	snprintf(command, sizeof command, "cp %s %s", meta_path, copy);
	assert_int_equal(system(command), 0);
	assert_int_equal(stat(meta_path, &st), 0);
	for (int i = 0; i < 120; i++) {
		FILE *f = fopen(meta_path, "r+");
		uint8_t noise[8];

		draw_bytes(noise, sizeof noise);
		fseek(f, (long)draw((uint64_t)st.st_size - sizeof noise),
		      SEEK_SET);
		fwrite(noise, 1, 1 + draw(sizeof noise), f);
		fclose(f);
		if (read_everything() == 0)
			(void)meta_integrity(meta, text, sizeof text);
		meta_close(meta);
		meta = NULL;
		snprintf(command, sizeof command, "rm -f %s-wal; cp %s %s",
			 meta_path, copy, meta_path);
		assert_int_equal(system(command), 0);
	}
	unlink(copy);
}

static void
sqlites_own_check_says_what_is_wrong(void **state)
{
	char text[200] = "";

	(void)state;
	assert_int_equal(meta_integrity(meta, text, sizeof text), 0);
	meta_sql("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "
		 "rootpage=(SELECT rootpage FROM sqlite_schema WHERE "
		 "name='anchor') WHERE name='chunk'");
	if (meta_reopen() == 0) {
		assert_int_equal(meta_integrity(meta, text, sizeof text),
				 LBS_ECORRUPT);
		assert_true(strlen(text) > 0);
	}
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, meta_setup, meta_teardown)
	const struct CMUnitTest tests[] = {
		STORY(it_is_set_up_to_keep_its_last_commit),
		STORY(one_process_holds_it),
		STORY(the_key_and_the_store_row_are_kept),
		STORY(state_and_anchor_are_kept),
		STORY(rows_are_kept),
		STORY(pieces_are_replaced_as_a_list),
		STORY(a_rollback_or_a_death_takes_all_back),
		STORY(an_anchor_alone_costs_one_commit_and_little_more_than_a_page),
		STORY(other_files_are_told_apart),
		STORY(a_strangers_log_is_left_as_it_is),
		STORY(rows_that_make_no_sense_are_refused),
		STORY(a_damaged_file_is_never_more_than_an_error),
		STORY(sqlites_own_check_says_what_is_wrong),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
