/*
 * fields.c - every field of FORMAT.md's byte tables, enumerated from the document,
 * changed where it lies on the card.
 */
#include "tests/lab/simimage.h"
#include "tests/tamper/tamper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void try_field(struct plan *p, struct victim *v, const struct place *at,
		      const struct doc_field *f, uint64_t offset, uint64_t len)
{
	uint8_t *was = sim_alloc(len), *now = sim_alloc(len);
	char what[300];
	struct looked l;
	unsigned c;

	if (simdisk_peek(v->w->disk, SIM_CARD, at->file, was, len, offset) < 0) {
		tamper_tell(p, at->what, "a field lies beyond the file");
		goto out;
	}
	for (c = 0; c < CHANGES; c++) {
		memcpy(now, was, len);
		if (!change_bytes(c, now, len))
			continue;
		snprintf(what, sizeof(what), "%s, %s.%s, %s", at->what, f->table,
			 f->name, change_name(c));
		simdisk_poke(v->w->disk, SIM_CARD, at->file, now, len, offset);
		l = victim_look(v);
		/* A field of many frames may be many blocks. */
		if (len > FRAME_BYTES && l.errors * (uint64_t)BLOCK_BYTES <= len)
			l.errors = l.errors != 0;
		tamper_judge(p, what, &l);
		if (c == INVERT && l.rc == 0 && p->turn++ % 4 == 0) {
			l = victim_live_on(v);
			if (len > FRAME_BYTES)
				l.errors = 0;
			tamper_judge(p, what, &l);
		}
		simdisk_poke(v->w->disk, SIM_CARD, at->file, was, len, offset);
	}
out:
	free(was);
	free(now);
}

static uint64_t table_bytes(const struct doc *doc, const char *table,
			    const struct doc_letter *letters)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < doc->field_count; i++)
		if (strcmp(doc->fields[i].table, table) == 0)
			sum += doc_value(doc->fields[i].bytes, letters);
	return sum;
}

/* All fields of a table that begins at offset of the file, and of the tables
 * that these hold, as FORMAT.md says they do. */
static void try_table(struct plan *p, struct victim *v, const struct place *at,
		      const char *table, uint64_t offset)
{
	const struct doc *doc = p->doc;
	char inner[32];
	size_t i;

	for (i = 0; i < doc->field_count; i++) {
		const struct doc_field *f = &doc->fields[i];
		uint64_t from, len, n, size;

		if (strcmp(f->table, table) != 0)
			continue;
		from = offset + doc_value(f->offset, at->letters);
		len = doc_value(f->bytes, at->letters);
		if (len == 0)
			continue;
		p->tried[i] = 1;
		try_field(p, v, at, f, from, len);
		if (doc_sealed_table(f, inner) != NULL) {
			try_table(p, v, at, inner, from);
		} else if (sscanf(f->meaning, "each as table `%31[a-z-]`",
				  inner) == 1 ||
			   sscanf(f->meaning, "table `%31[a-z-]`", inner) == 1) {
			size = table_bytes(doc, inner, at->letters);
			for (n = 0; n < len / size; n++)
				try_table(p, v, at, inner, from + n * size);
		}
	}
}

struct fields {
	struct plan *p;
	struct victim *v;
	int turn;
};

static void fields_at(void *ctx, const char *table, const struct place *at)
{
	struct fields *f = ctx;

	if (f->turn++ % f->p->jobs == f->p->job)
		try_table(f->p, f->v, at, table, at->at);
}

/* Tables that are of the card, but of what lies nowhere as bytes. */
static int lies_nowhere(const char *table)
{
	return strcmp(table, "run-page") == 0 ||
	       strcmp(table, "kdf-input") == 0 ||
	       strcmp(table, "nonce") == 0 ||
	       strcmp(table, "frame-ad") == 0 ||
	       strcmp(table, "zip-frame-ad") == 0;
}

void tamper_fields(struct plan *p, struct victim *v)
{
	struct fields f = { p, v, 0 };

	tamper_walk(v, fields_at, &f);
}

void tamper_fields_reach(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->doc->field_count; i++)
		if (!p->tried[i] && !lies_nowhere(p->doc->fields[i].table))
			tamper_tell(p, p->doc->fields[i].name, "was not tried");
}
