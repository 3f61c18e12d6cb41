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

int
damaged_read(sqlite3 *db, const char *table, const struct damaged_reader *r)
{
	sqlite3_stmt *all = NULL, *one = NULL;
	sqlite3_int64 last = DAMAGED_KEY_MIN, tried = DAMAGED_KEY_MIN, key, from = 0;
	char text[128];
	int rc = 0, step, whole = 0;

	snprintf(text, sizeof text,
		 "SELECT rowid,* FROM %s WHERE rowid>=? ORDER BY rowid", table);
	step = sqlite3_prepare_v2(db, text, -1, &all, NULL);
	snprintf(text, sizeof text,
		 "SELECT rowid FROM %s WHERE rowid>=? ORDER BY rowid LIMIT 1",
		 table);
	if (step == SQLITE_OK)
		step = sqlite3_prepare_v2(db, text, -1, &one, NULL);
	/* One look at the file for all of it. */
	(void)sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	if (step != SQLITE_OK) {
		rc = r->gap(r->ctx, DAMAGED_KEY_MIN, DAMAGED_KEY_MAX);
		whole = 1;
	}
	while (!whole && rc == 0) {
		sqlite3_bind_int64(all, 1, from);
		while (rc == 0 && (step = sqlite3_step(all)) == SQLITE_ROW) {
			key = sqlite3_column_int64(all, 0);
			if (key < from || key <= last)
				break; /* out of order: no such page is ours */
			rc = r->row(r->ctx, key, all);
			if (rc == 1)
				rc = r->gap(r->ctx, key - 1, key + 1);
			last = key;
		}
		sqlite3_reset(all);
		whole = step == SQLITE_DONE;
		if (whole || rc)
			break;
		from = next_good(one, last + 1);
		/* The first row from there on, or the end, closes the gap. */
		key = DAMAGED_KEY_MAX;
		sqlite3_bind_int64(one, 1, from);
		if (from < DAMAGED_KEY_MAX && sqlite3_step(one) == SQLITE_ROW)
			key = sqlite3_column_int64(one, 0);
		sqlite3_reset(one);
		rc = r->gap(r->ctx, last, key);
		whole = key == DAMAGED_KEY_MAX;
		if (key == tried && rc == 0) {
			/* Its key can be read, the row cannot. */
			rc = r->gap(r->ctx, key - 1, key + 1);
			from = key + 1;
			whole = from == DAMAGED_KEY_MAX;
			last = key;
		} else {
			last = key - 1;
		}
		tried = key;
	}
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_finalize(all);
	sqlite3_finalize(one);
	return rc;
}
