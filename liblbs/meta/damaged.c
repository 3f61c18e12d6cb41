/*
 * damaged.c - see damaged.h. Total: whatever the pages hold, it ends, for the key at
 * which reading starts only grows. SQLite tells a damaged page as an error; the
 * least key from which it reads again is looked for by doubling steps and then
 * by halving.
 */
#include "liblbs/meta/damaged.h"

#include <stdint.h>
#include <stdio.h>

#include "liblbs/error.h"

enum probe { PROBE_ROW, PROBE_END, PROBE_BAD };

/* Is there a row at or after key that can be reached? */
static enum probe
probe(sqlite3_stmt *st, sqlite3_int64 key)
{
	enum probe p = PROBE_BAD;
	int step;

	sqlite3_bind_int64(st, 1, key);
	step = sqlite3_step(st);
	if (step == SQLITE_DONE)
		p = PROBE_END;
	else if (step == SQLITE_ROW && sqlite3_column_int64(st, 0) >= key)
		p = PROBE_ROW;
	sqlite3_reset(st);
	return p;
}

/* The least key at or after from that can be read again, as far as halving finds
 * it; DAMAGED_KEY_MAX if there is none. */
static sqlite3_int64
next_good(sqlite3_stmt *st, sqlite3_int64 from)
{
	sqlite3_int64 bad = from, good = from, step = 1;

	while (probe(st, good) == PROBE_BAD) {
		bad = good;
		if (good > DAMAGED_KEY_MAX - step || step > DAMAGED_KEY_MAX / 2)
			return DAMAGED_KEY_MAX;
		good += step;
		step *= 2;
	}
	while (good - bad > 1) {
		sqlite3_int64 middle = bad + (good - bad) / 2;

		if (probe(st, middle) == PROBE_BAD)
			bad = middle;
		else
			good = middle;
	}
	return good;
}

struct reading {
	const struct damaged_reader *r;
	sqlite3_stmt *all, *one; /* rows with their columns; keys alone */
	sqlite3_int64 last;	/* up to here everything has been told */
};

static int
lose_row(const struct reading *rd, sqlite3_int64 key)
{
	return rd->r->gap(rd->r->ctx, key - 1, key + 1);
}

/* Gives the rows from key from on, as far as they can be read in order. *whole: to
 * the end. */
static int
read_rows(struct reading *rd, sqlite3_int64 from, int *whole)
{
	sqlite3_int64 key;
	int rc = 0, step = SQLITE_ERROR;

	sqlite3_bind_int64(rd->all, 1, from);
	while (rc == 0 && (step = sqlite3_step(rd->all)) == SQLITE_ROW) {
		key = sqlite3_column_int64(rd->all, 0);
		/* Out of order, or beyond all: no such page is ours. */
		if (key < from || key <= rd->last || key == DAMAGED_KEY_MAX)
			break;
		rc = rd->r->row(rd->r->ctx, key, rd->all);
		if (rc == 1)
			rc = lose_row(rd, key);
		rd->last = key;
	}
	sqlite3_reset(rd->all);
	*whole = step == SQLITE_DONE;
	return rc;
}

/* The first key from there on, which closes a gap; DAMAGED_KEY_MAX at the end. */
static sqlite3_int64
first_key(sqlite3_stmt *one, sqlite3_int64 from)
{
	sqlite3_int64 key = DAMAGED_KEY_MAX;

	sqlite3_bind_int64(one, 1, from);
	if (from < DAMAGED_KEY_MAX && sqlite3_step(one) == SQLITE_ROW)
		key = sqlite3_column_int64(one, 0);
	sqlite3_reset(one);
	return key;
}

static int
read_all(struct reading *rd)
{
	sqlite3_int64 tried = DAMAGED_KEY_MIN, key, from = 0;
	int rc, whole;

	for (;;) {
		rc = read_rows(rd, from, &whole);
		if (rc || whole)
			return rc;
		from = next_good(rd->one, rd->last + 1);
		key = first_key(rd->one, from);
		rc = rd->r->gap(rd->r->ctx, rd->last, key);
		if (rc || key == DAMAGED_KEY_MAX)
			return rc;
		rd->last = key - 1;
		if (key == tried) {
			/* Its key can be read, the row cannot. */
			rc = lose_row(rd, key);
			if (rc)
				return rc;
			rd->last = key;
			from = key + 1;
		}
		tried = key;
	}
}

int
damaged_read(sqlite3 *db, const char *table, const struct damaged_reader *r)
{
	struct reading rd = { .r = r, .last = DAMAGED_KEY_MIN };
	char text[128];
	int rc;

	snprintf(text, sizeof text,
		 "SELECT rowid,* FROM %s WHERE rowid>=? ORDER BY rowid", table);
	rc = sqlite3_prepare_v2(db, text, -1, &rd.all, NULL);
	snprintf(text, sizeof text,
		 "SELECT rowid FROM %s WHERE rowid>=? ORDER BY rowid LIMIT 1",
		 table);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, text, -1, &rd.one, NULL);
	/* One look at the file for all of it. */
	(void)sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	rc = rc == SQLITE_OK ? read_all(&rd)
			     : r->gap(r->ctx, DAMAGED_KEY_MIN, DAMAGED_KEY_MAX);
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_finalize(rd.all);
	sqlite3_finalize(rd.one);
	return rc;
}
