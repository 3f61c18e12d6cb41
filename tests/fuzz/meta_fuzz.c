/*
 * meta_fuzz.c - libFuzzer on the metadata file: of a small store whose server was
 * killed, bytes of corp.lbs and of its log are changed, or values of its rows,
 * through SQLite; then it is opened, read, checked as lbsck does, written to and
 * opened again. The file is trusted, so what it says may mislead; but nothing may
 * crash, trip an assertion, run on, or take memory beyond what a store may take.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recovery/check.h"
#include "tests/lab/vfs_sim.h"
#include "tests/lab/victim.h"

#define STEPS_MAX 16
#define SCRUB_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct program {
	const uint8_t *p, *end;
	struct world *w;
};

static uint64_t
take(struct program *g, int bytes)
{
	uint64_t v = 0;

	while (bytes-- && g->p < g->end)
		v = v << 8 | *g->p++;
	return v;
}

/* ---- bytes ------------------------------------------------------------------ */

static const char *
some_file(struct program *g)
{
	return take(g, 1) % 3 ? WORLD_META : WORLD_WAL;
}

static void
change_bytes(struct program *g)
{
	const char *name = some_file(g);
	uint32_t at = (uint32_t)take(g, 3), n = (uint32_t)take(g, 1) % 16 + 1;
	uint8_t bytes[16];

	for (uint32_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)take(g, 1);
	at %= 20 * SIM_PAGE;
	(void)simdisk_poke(g->w->disk, SIM_FLASH, name, bytes, n, at);
}

/* In the first page and at the head of some other: where the structure is. */
static void
change_head(struct program *g)
{
	uint32_t page = (uint32_t)take(g, 1) % 20;
	uint32_t at = (uint32_t)take(g, 1) % 128;
	uint8_t byte = (uint8_t)take(g, 1);

	(void)simdisk_poke(g->w->disk, SIM_FLASH, WORLD_META, &byte, 1,
			   page * SIM_PAGE + at);
}

static void
copy_page(struct program *g)
{
	uint64_t from = take(g, 1) % 20, to = take(g, 1) % 20;
	uint8_t page[SIM_PAGE];

	if (simdisk_peek(g->w->disk, SIM_FLASH, WORLD_META, page, sizeof page,
			 from * SIM_PAGE) == 0)
		(void)simdisk_poke(g->w->disk, SIM_FLASH, WORLD_META, page,
				   sizeof page, to * SIM_PAGE);
}

static void
change_length(struct program *g)
{
	const char *name = some_file(g);

	if (take(g, 1) % 4 == 0)
		(void)simdisk_drop_file(g->w->disk, SIM_FLASH, name);
	else
		(void)simdisk_cut_file(g->w->disk, SIM_FLASH, name,
				       take(g, 3) % (20 * SIM_PAGE));
}

/* ---- values ------------------------------------------------------------------- */

static const char *const table[] = {
	"store", "state", "anchor", "segment", "live", "chunk", "piece", "vdisk",
	"map_base", "map_delta", "layer",
};

/* Some number, often one near a bound or near what was there. */
static sqlite3_int64
number(struct program *g, sqlite3_int64 was)
{
	uint64_t by = take(g, 2);

	switch (take(g, 1) % 6) {
	case 0:
		return (sqlite3_int64)((uint64_t)was + by - 256);
	case 1:
		return (sqlite3_int64)((1ull << by / 256 % 64) + by % 256 - 128);
	case 2:
		return (sqlite3_int64)((uint64_t)was ^ 1ull << by % 64);
	case 3:
		return (sqlite3_int64)(0 - by % 4);
	case 4:
		return (sqlite3_int64)by;
	}
	return (sqlite3_int64)take(g, 8);
}

/* Binds a new value for one that was there. */
static void
bind_value(struct program *g, sqlite3_stmt *to, sqlite3_stmt *row, int column)
{
	int n = sqlite3_column_bytes(row, column), kind = (int)take(g, 1) % 8;
	const uint8_t *was = sqlite3_column_blob(row, column);
	static uint8_t blob[8192];

	if (kind == 0) {
		sqlite3_bind_null(to, 1);
	} else if (kind == 1) {
		n = (int)take(g, 1) % 100;
		for (int i = 0; i < n; i++)
			blob[i] = (uint8_t)take(g, 1);
		sqlite3_bind_blob(to, 1, blob, n, SQLITE_TRANSIENT);
	} else if (kind == 2) {
		sqlite3_bind_text(to, 1, "text", -1, SQLITE_STATIC);
	} else if (sqlite3_column_type(row, column) == SQLITE_INTEGER) {
		sqlite3_bind_int64(to, 1,
				   number(g, sqlite3_column_int64(row, column)));
	} else {
		n = n > (int)sizeof blob ? (int)sizeof blob : n;
		if (n)
			memcpy(blob, was, (size_t)n);
		for (uint64_t i = take(g, 1) % 8 + 1; i-- && n;) {
			uint64_t at = take(g, 2) % (uint64_t)n;

			blob[at] ^= (uint8_t)take(g, 1);
		}
		if (take(g, 1) % 4 == 0 && n)
			n -= (int)(take(g, 1) % (uint64_t)n);
		sqlite3_bind_blob(to, 1, blob, n, SQLITE_TRANSIENT);
	}
}

/* Runs a statement with up to one rowid; what fails changes nothing. */
static void
run(sqlite3 *db, const char *text, sqlite3_int64 rowid)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, text, -1, &st, NULL) == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, rowid);
		sqlite3_step(st);
	}
	sqlite3_finalize(st);
}

static void
change_row(struct program *g, sqlite3 *db)
{
	const char *name = table[take(g, 1) % (sizeof table / sizeof *table)];
	sqlite3_stmt *row = NULL, *update = NULL;
	sqlite3_int64 rowid;
	char text[160];
	int column;

	snprintf(text, sizeof text, "SELECT rowid,* FROM %s LIMIT 1 OFFSET %d",
		 name, (int)(take(g, 1) % 16));
	if (sqlite3_prepare_v2(db, text, -1, &row, NULL) != SQLITE_OK ||
	    sqlite3_step(row) != SQLITE_ROW)
		goto out;
	rowid = sqlite3_column_int64(row, 0);
	column = 1 + (int)(take(g, 1) %
			   (uint64_t)(sqlite3_column_count(row) - 1));
	switch (take(g, 1) % 8) {
	case 0:
		snprintf(text, sizeof text, "DELETE FROM %s WHERE rowid=?", name);
		run(db, text, rowid);
		break;
	case 1: /* the same row under another key */
		snprintf(text, sizeof text, "CREATE TEMP TABLE t AS SELECT * "
			 "FROM %s WHERE rowid=?", name);
		run(db, text, rowid);
		snprintf(text, sizeof text, "UPDATE t SET %s=?",
			 sqlite3_column_name(row, 1));
		run(db, text, number(g, rowid));
		snprintf(text, sizeof text, "INSERT INTO %s SELECT * FROM t",
			 name);
		run(db, text, 0);
		run(db, "DROP TABLE t", 0);
		break;
	default:
		snprintf(text, sizeof text, "UPDATE %s SET %s=? WHERE rowid=%lld",
			 name, sqlite3_column_name(row, column),
			 (long long)rowid);
		if (sqlite3_prepare_v2(db, text, -1, &update, NULL) !=
		    SQLITE_OK)
			break;
		bind_value(g, update, row, column);
		sqlite3_step(update);
	}
out:
	sqlite3_finalize(row);
	sqlite3_finalize(update);
}

static void
change_rows(struct program *g)
{
	uint64_t n = take(g, 1) % 4 + 1;
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(WORLD_META, &db, SQLITE_OPEN_READWRITE,
			    vfs_sim_name(g->w->vfs)) == SQLITE_OK) {
		sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL,
			     NULL);
		while (n--)
			change_row(g, db);
	}
	sqlite3_close(db);
}

/* ---- opening --------------------------------------------------------------------- */

static void
ignore(void *ctx, const struct finding *finding)
{
	(void)ctx;
	(void)finding;
}

static void
read_on(struct world *w)
{
	static uint8_t buf[64 << 10];
	uint64_t size;

	if (!w->vdisk)
		return;
	size = lbs_vdisk_size(w->vdisk);
	for (uint64_t at = 0; at < size && at < 16 * sizeof buf; at += sizeof buf)
		(void)!lbs_vdisk_read(w->vdisk, buf,
				      size - at < sizeof buf ? size - at
							     : sizeof buf, at);
}

static void
write_on(struct world *w)
{
	static const uint8_t block[MODEL_BLOCK] = { 1 };

	if (!w->vdisk)
		return;
	for (uint64_t i = 0; i < 40; i++)
		(void)!lbs_vdisk_write(w->vdisk, block, sizeof block,
				       i % 20 * sizeof block, 0);
	(void)!lbs_vdisk_discard(w->vdisk, 5 * sizeof block, 0, 0);
	(void)!lbs_vdisk_flush(w->vdisk);
	(void)!lbs_store_checkpoint(w->store);
	(void)!lbs_vdisk_discard(w->vdisk, lbs_vdisk_size(w->vdisk), 0, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const step[])(struct program *) = {
		change_rows, change_bytes, change_rows, change_head,
		change_rows, copy_page,	   change_rows, change_length,
	};
	static struct victim *victim;
	struct program g = { data, data + len, NULL };
	struct checker check = { .fn = ignore };

	if (!victim)
		victim = victim_new(VICTIM_KILLED, 1);
	g.w = world_clone(victim->w);
	for (int i = 0; i < STEPS_MAX && g.p < g.end; i++)
		step[take(&g, 1) % (sizeof step / sizeof *step)](&g);
	if (world_open(g.w, LBS_RDONLY) == 0 && g.w->vdisk) {
		read_on(g.w);
		check.store = g.w->store;
		(void)!check_store(&check);
		/* Scrubbing takes its time with a vdisk of many TiB. */
		if (lbs_vdisk_size(g.w->vdisk) <= SCRUB_MAX)
			(void)!check_scrub(&check, NULL, NULL,
					   &(uint64_t){ 0 });
	}
	(void)!world_close(g.w);
	for (int life = 0; life < 2; life++) {
		if (world_open(g.w, 0) == 0) {
			read_on(g.w);
			write_on(g.w);
		}
		(void)!world_close(g.w);
	}
	world_free(g.w);
	return 0;
}
