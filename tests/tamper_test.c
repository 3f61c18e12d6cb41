/*
 * tamper_test.c - every field of FORMAT.md's byte tables, enumerated from the
 * document, and every byte of a small store are changed on the card, one at a
 * time. The guest gets each block right or an error, and opening gives one of
 * the verdicts that FORMAT.md section 11 has for damage (promises 6 and 7).
 * Must never count a change that changed nothing.
 *
 *   tamper_test [--all] [--jobs N]
 *
 * Quick: all fields, all bytes of what is not guest data, and a stride of that.
 * The last line is "N changes, N failed".
 */
#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "liblbs/format/bytes.h"
#include "tests/lab/format_doc.h"
#include "tests/lab/simimage.h"
#include "tests/lab/victim.h"

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DOCUMENT "FORMAT.md"
#define SHOWN_MAX 20
#define QUICK_STRIDE 331
#define LETTERS_MAX 8
#define VERDICTS 32

struct totals {
	atomic_uint_fast64_t changes, failed, errors, opened;
	atomic_uint_fast64_t verdicts[VERDICTS];
};

struct plan {
	int all, jobs, job;
	unsigned turn;
	struct totals *totals;
	struct doc *doc;
	uint8_t *tried;		/* per field of the document; shared */
};

/* A stretch of a card file. */
struct place {
	const struct victim_segment *segment; /* NULL: the card file */
	char file[MEDIUM_NAME_BYTES];
	uint64_t at;
	struct doc_letter letters[LETTERS_MAX];
	char what[96];
};

static void tell(struct plan *p, const char *what, const char *why)
{
	if (atomic_fetch_add(&p->totals->failed, 1) >= SHOWN_MAX)
		return;
	printf("FAILED %s: %s\n", what, why);
	fflush(stdout);
}

/* One change was made: what may follow from it. single: of one structure, so at
 * most one block is hit when the store opens. */
static void judge(struct plan *p, const char *what, const struct looked *l)
{
	char why[120];

	atomic_fetch_add(&p->totals->changes, 1);
	atomic_fetch_add(&p->totals->verdicts[-l->rc], 1);
	if (l->rc == 0) {
		atomic_fetch_add(&p->totals->opened, 1);
		atomic_fetch_add(&p->totals->errors, l->errors);
	}
	why[0] = '\0';
	if (l->rc != 0 && l->rc != LBS_EDAMAGED && l->rc != LBS_EDATAMISSING)
		snprintf(why, sizeof(why), "opening gave %s",
			 lbs_error_word(l->rc));
	else if (l->wrong != 0)
		snprintf(why, sizeof(why), "%u blocks read wrong", l->wrong);
	else if (l->errors > 1)
		snprintf(why, sizeof(why), "%u blocks are lost", l->errors);
	if (why[0] != '\0')
		tell(p, what, why);
}

/* ---- fields ------------------------------------------------------------------ */

enum change { LOW_BIT, HIGH_BIT, INVERT, ZERO, CHANGES };
static const char *const change_names[] = { "low bit", "high bit", "inverted",
					    "zeroed" };

/* 0 when nothing changed. */
static int change_bytes(enum change c, uint8_t *p, size_t len)
{
	size_t i;
	int changed = 0;

	switch (c) {
	case LOW_BIT:
		p[0] ^= 1;
		return 1;
	case HIGH_BIT:
		p[len - 1] ^= 0x80;
		return 1;
	case INVERT:
		for (i = 0; i < len; i++)
			p[i] ^= 0xff;
		return 1;
	default:
		for (i = 0; i < len; i++)
			changed |= p[i];
		memset(p, 0, len);
		return changed;
	}
}

static void try_field(struct plan *p, struct victim *v, const struct place *at,
		      const struct doc_field *f, uint64_t offset, uint64_t len)
{
	uint8_t *was = sim_alloc(len), *now = sim_alloc(len);
	char what[300];
	struct looked l;
	unsigned c;

	if (simdisk_peek(v->w->disk, SIM_CARD, at->file, was, len, offset) < 0) {
		tell(p, at->what, "a field lies beyond the file");
		goto out;
	}
	for (c = 0; c < CHANGES; c++) {
		memcpy(now, was, len);
		if (!change_bytes(c, now, len))
			continue;
		snprintf(what, sizeof(what), "%s, %s.%s, %s", at->what, f->table,
			 f->name, change_names[c]);
		simdisk_poke(v->w->disk, SIM_CARD, at->file, now, len, offset);
		l = victim_look(v);
		/* A field of many frames may be many blocks. */
		if (len > FRAME_BYTES && l.errors * (uint64_t)BLOCK_BYTES <= len)
			l.errors = l.errors != 0;
		judge(p, what, &l);
		if (c == INVERT && l.rc == 0 && p->turn++ % 4 == 0) {
			l = victim_live_on(v);
			if (len > FRAME_BYTES)
				l.errors = 0;
			judge(p, what, &l);
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

/* ---- where the structures of a store are --------------------------------------- */

typedef void place_fn(void *ctx, const char *table, const struct place *at);

struct walk {
	struct victim *v;
	place_fn *fn;
	void *ctx;
};

/* A frame of a store with compression: its letters are its own. */
static void at_zip_frame(struct walk *walk, const struct victim_segment *segment,
			 uint32_t offset)
{
	uint32_t bytes = victim_frame_bytes(walk->v, segment->segment, offset);
	uint8_t head[NONCE_RANDOM_BYTES + 2];
	struct place at = { .segment = segment };
	uint32_t stored;

	victim_get(walk->v, segment->segment, offset, head, sizeof(head));
	stored = get16(head + NONCE_RANDOM_BYTES);
	at.letters[0] = (struct doc_letter){ 'n', stored };
	at.letters[1] = (struct doc_letter){ 'p', bytes - stored - 26 };
	victim_where(walk->v, segment->segment, at.file, &at.at);
	at.at += offset;
	snprintf(at.what, sizeof(at.what), "frame at %u of segment %u", offset,
		 segment->segment);
	walk->fn(walk->ctx, "zip-frame", &at);
}

static void at_record(void *ctx, const struct victim_segment *segment,
		      const struct victim_record *record)
{
	struct walk *walk = ctx;
	const struct record_desc *desc = &record->desc;
	int zip = sealer_varies(&walk->v->sealer);
	struct place at = { .segment = segment, .letters = {
		{ 'e', desc->extent_count },
		{ 'd', record_desc_bytes(desc->extent_count) },
		{ 'b', zip ? 0 : desc->frame_count }, { 0, 0 } } };
	uint32_t i;

	victim_where(walk->v, segment->segment, at.file, &at.at);
	at.at += record->offset;
	snprintf(at.what, sizeof(at.what), "record %llx at %u of segment %u",
		 (unsigned long long)desc->recno, record->offset,
		 segment->segment);
	walk->fn(walk->ctx, "record", &at);
	for (i = 0; zip && i < record->entry_count; i++)
		if (desc->kind == RECORD_DATA)
			at_zip_frame(walk, segment, record->entries[i].offset);
}

static void at_end(struct walk *walk, const struct victim_segment *segment,
		   struct place *at)
{
	uint64_t size = walk->v->geometry.segment_bytes;
	uint8_t bytes[TRAILER_BYTES];
	struct trailer trailer;

	simdisk_peek(walk->v->w->disk, SIM_CARD, at->file, bytes, sizeof(bytes),
		     at->at + size - TRAILER_BYTES);
	if (trailer_decode(bytes, (uint32_t)size, &trailer) < 0)
		return; /* it was never closed */
	at->letters[0] = (struct doc_letter){ 'n', trailer.index_bytes };
	at->letters[1] = (struct doc_letter){ 'S', size };
	at->letters[2] = (struct doc_letter){ 'c',
		(trailer.index_bytes - INDEX_FIXED_BYTES) / INDEX_ENTRY_BYTES };
	at->letters[3] = (struct doc_letter){ 0, 0 };
	snprintf(at->what, sizeof(at->what), "end of segment %u",
		 segment->segment);
	walk->fn(walk->ctx, "segment-end", at);
}

/* Calls fn for everything that a root table of FORMAT.md describes. */
static void walk_card(struct walk *walk)
{
	struct victim *v = walk->v;
	struct place at;
	uint32_t i;

	/* With compression only records are others. */
	for (i = 0; i < 2 && !sealer_varies(&v->sealer); i++) {
		memset(&at, 0, sizeof(at));
		strcpy(at.file, "card.lbs");
		at.at = i * CARD_SLOT_BYTES;
		snprintf(at.what, sizeof(at.what), "slot %u", i);
		walk->fn(walk->ctx, "card-slot", &at);
	}
	for (i = 0; i < v->segment_count; i++) {
		memset(&at, 0, sizeof(at));
		at.segment = &v->segments[i];
		victim_where(v, at.segment->segment, at.file, &at.at);
		snprintf(at.what, sizeof(at.what), "header of segment %u",
			 at.segment->segment);
		if (!sealer_varies(&v->sealer))
			walk->fn(walk->ctx, "segment-header", &at);
		victim_records(v, at.segment, at_record, walk);
		if (!sealer_varies(&v->sealer))
			at_end(walk, at.segment, &at);
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

/* ---- authentic nonsense --------------------------------------------------------- */

/* What only the holder of the key could write: a field of a sealed table is
 * changed and sealed again. Whatever comes of it, nothing may break. */
struct resealed {
	const char *container, *table;
	uint32_t nonce_offset;	/* of the sealed thing, for segments */
};

static void look_only(struct plan *p, struct victim *v)
{
	struct looked l = victim_look(v);

	atomic_fetch_add(&p->totals->changes, 1);
	atomic_fetch_add(&p->totals->verdicts[-l.rc], 1);
}

static void reseal_at(void *ctx, const char *table, const struct place *at)
{
	struct fields *f = ctx;
	struct victim *v = f->v;
	uint8_t head[SEGMENT_PLAIN_BYTES], nonce[AEAD_NONCE_BYTES];
	uint8_t key[AEAD_KEY_BYTES], *was, *plain, *now;
	uint64_t base, ad_at = at->at, ad_len, sealed_at, len, segment_at;
	char file[MEDIUM_NAME_BYTES];
	size_t i, k;
	unsigned c;

	if (strcmp(table, "zip-frame") == 0)
		return; /* no structure inside */
	if (f->turn++ % f->p->jobs != f->p->job)
		return;
	if (at->segment != NULL) {
		memcpy(key, at->segment->key, sizeof(key));
		victim_where(v, at->segment->segment, file, &segment_at);
	} else {
		kdf_card_key(v->data_key, v->sealer.store_id, key);
		segment_at = 0;
	}
	if (strcmp(table, "card-slot") == 0) {
		ad_len = CARD_PLAIN_BYTES;
		sealed_at = at->at + ad_len;
		len = CARD_SEALED_BYTES;
	} else if (strcmp(table, "segment-header") == 0) {
		ad_len = SEGMENT_PLAIN_BYTES;
		sealed_at = at->at + ad_len;
		len = SEGMENT_SEALED_BYTES;
	} else if (strcmp(table, "record") == 0) {
		ad_len = RECORD_PREFIX_BYTES;
		sealed_at = at->at + ad_len;
		len = doc_value("d", at->letters);
	} else {
		ad_len = TRAILER_BYTES;
		ad_at = at->at + v->geometry.segment_bytes - TRAILER_BYTES;
		len = doc_value("n", at->letters);
		sealed_at = ad_at - TAG_BYTES - len;
	}
	was = sim_alloc(len + TAG_BYTES);
	plain = sim_alloc(len);
	now = sim_alloc(len + TAG_BYTES);
	simdisk_peek(v->w->disk, SIM_CARD, at->file, head, ad_len, ad_at);
	simdisk_peek(v->w->disk, SIM_CARD, at->file, was, len + TAG_BYTES,
		     sealed_at);
	if (at->segment == NULL) {
		memcpy(nonce, head + 32, sizeof(nonce));
	} else {
		/* random is the last of the plain part, but in the header and
		 * the trailer eight zeroes follow it. */
		memcpy(nonce, head + (strcmp(table, "record") == 0
					      ? 16 : ad_len - 16), 8);
		put32(nonce + 8, strcmp(table, "segment-header") == 0
			? 0 : (uint32_t)(sealed_at - segment_at));
	}
	if (aead_open(v->sealer.cipher, key, nonce, head, ad_len, was,
		      len + TAG_BYTES, plain) != 0) {
		/* The segment that is open may end in the index of the use
		 * before, which no reader takes for its own. */
		if (strcmp(table, "segment-end") != 0)
			tell(f->p, at->what, "cannot be opened with its key");
		goto out;
	}
	for (i = 0; i < f->p->doc->field_count; i++) {
		const struct doc_field *d = &f->p->doc->fields[i];

		base = 0;
		if (strcmp(d->table, "index-entry") == 0 &&
		    strcmp(table, "segment-end") == 0)
			base = INDEX_FIXED_BYTES;
		else if (strcmp(d->table, "extent") == 0 &&
			 strcmp(table, "record") == 0)
			base = DESC_FIXED_BYTES;
		else if (strcmp(d->table, strcmp(table, "card-slot") == 0
						  ? "card-sealed"
				: strcmp(table, "segment-header") == 0
						  ? "segment-sealed"
				: strcmp(table, "record") == 0
						  ? "record-description"
						  : "index") != 0)
			continue;
		for (c = 0; c < CHANGES; c++) {
			memcpy(now, plain, len);
			k = doc_value(d->bytes, at->letters);
			if (base + doc_value(d->offset, at->letters) + k > len ||
			    !change_bytes(c, now + base +
				doc_value(d->offset, at->letters), k))
				continue;
			uint8_t *sealed = sim_alloc(len + TAG_BYTES);

			aead_seal(v->sealer.cipher, key, nonce, head, ad_len,
				  now, len, sealed);
			simdisk_poke(v->w->disk, SIM_CARD, at->file, sealed,
				     len + TAG_BYTES, sealed_at);
			free(sealed);
			look_only(f->p, v);
		}
	}
	simdisk_poke(v->w->disk, SIM_CARD, at->file, was, len + TAG_BYTES,
		     sealed_at);
out:
	free(was);
	free(plain);
	free(now);
}

/* ---- bytes ---------------------------------------------------------------------- */

struct bytes {
	struct plan *p;
	struct victim *v;
	uint64_t turn;
};

static void try_byte(struct bytes *b, const char *file, uint64_t at)
{
	char what[80];
	struct looked l;

	if (b->turn++ % (uint64_t)b->p->jobs != (uint64_t)b->p->job)
		return;
	simdisk_flip(b->v->w->disk, SIM_CARD, file, at,
		     (uint8_t)(1u << at % 8));
	l = victim_look(b->v);
	snprintf(what, sizeof(what), "%s, byte %llu", file,
		 (unsigned long long)at);
	judge(b->p, what, &l);
	simdisk_flip(b->v->w->disk, SIM_CARD, file, at,
		     (uint8_t)(1u << at % 8));
}

static void try_stretch(struct bytes *b, const char *file, uint64_t from,
			uint64_t end, uint64_t stride)
{
	for (; from < end; from += stride)
		try_byte(b, file, from);
}

/* Quick: what is not guest data, whole; of a frame its edges. */
static void bytes_at(void *ctx, const char *table, const struct place *at)
{
	struct bytes *b = ctx;
	uint64_t frames, n, i;

	if (strcmp(table, "zip-frame") == 0) {
		n = at->at + 26 + doc_value("n", at->letters) +
		    doc_value("p", at->letters);
		try_stretch(b, at->file, at->at, at->at + 14, 1);
		try_stretch(b, at->file, n - 24, n, 3);
		return;
	}
	if (strcmp(table, "card-slot") == 0) {
		try_stretch(b, at->file, at->at, at->at + 100, 1);
	} else if (strcmp(table, "segment-header") == 0) {
		try_stretch(b, at->file, at->at, at->at + 132, 1);
	} else if (strcmp(table, "record") == 0) {
		frames = at->at + RECORD_PREFIX_BYTES + TAG_BYTES +
			 doc_value("d", at->letters);
		try_stretch(b, at->file, at->at, frames, 1);
		n = doc_value("b", at->letters);
		for (i = 0; i < n; i++, frames += FRAME_BYTES) {
			try_stretch(b, at->file, frames, frames + 10, 3);
			try_stretch(b, at->file, frames + FRAME_BYTES - 18,
				    frames + FRAME_BYTES, 5);
		}
	} else {
		n = at->at + b->v->geometry.segment_bytes;
		try_stretch(b, at->file, n - TRAILER_BYTES - TAG_BYTES -
			    doc_value("n", at->letters), n, 1);
	}
}

static void all_bytes(struct bytes *b, uint64_t stride)
{
	struct victim *v = b->v;
	char file[MEDIUM_NAME_BYTES];
	uint64_t at;
	uint32_t i;

	try_stretch(b, "card.lbs", 0, CARD_FILE_BYTES, stride);
	for (i = 0; i < v->segment_count; i++) {
		victim_where(v, v->segments[i].segment, file, &at);
		try_stretch(b, file, at, at + v->geometry.segment_bytes, stride);
	}
}

/* Every byte of the frames of live blocks while the store is open: the guest
 * that reads that block gets an error, and the block when it is put back. */
static void frames_while_open(struct plan *p, struct victim *v, uint64_t stride)
{
	uint8_t buf[BLOCK_BYTES];
	uint32_t i, k, wrong = 0, hit = 0;
	uint64_t at, base, n = 0;
	char file[MEDIUM_NAME_BYTES], why[80];

	if (world_open(v->w, LBS_RDONLY) != 0)
		exit(1);
	for (i = 0; i < v->segment_count; i++) {
		victim_where(v, v->segments[i].segment, file, &base);
		for (at = (uint64_t)p->job * stride;
		     at < v->geometry.segment_bytes;
		     at += stride * (uint64_t)p->jobs) {
			simdisk_flip(v->w->disk, SIM_CARD, file, base + at, 0x10);
			n++;
			/* One block in turn, and the whole now and then. */
			for (k = n % 64 ? (uint32_t)(n % v->blocks) : 0;
			     k < v->blocks; k += n % 64 ? v->blocks : 1) {
				int rc = lbs_vdisk_read(v->w->vdisk, buf,
					sizeof(buf), (uint64_t)k * BLOCK_BYTES);

				if (rc == LBS_EDAMAGED)
					hit++;
				else if (rc != 0 ||
					 memcmp(buf, v->truth +
						(size_t)k * BLOCK_BYTES,
						sizeof(buf)) != 0)
					wrong++;
			}
			simdisk_flip(v->w->disk, SIM_CARD, file, base + at, 0x10);
		}
	}
	if (world_close(v->w) != 0)
		exit(1);
	atomic_fetch_add(&p->totals->changes, n);
	atomic_fetch_add(&p->totals->errors, hit);
	if (wrong != 0) {
		snprintf(why, sizeof(why), "%u blocks read wrong", wrong);
		tell(p, "bytes flipped while open", why);
	}
}

/* ---- the whole -------------------------------------------------------------------- */

static void run_job(struct plan *p)
{
	static const struct {
		enum victim_state state;
		int compress;
	} kinds[] = {
		{ VICTIM_CLOSED, LBS_COMPRESS_NONE },
		{ VICTIM_KILLED, LBS_COMPRESS_NONE },
		{ VICTIM_CLOSED, LBS_COMPRESS_ZSTD },
		{ VICTIM_KILLED, LBS_COMPRESS_LZ4 },
	};
	unsigned s;

	for (s = 0; s < sizeof(kinds) / sizeof(kinds[0]); s++) {
		struct victim *v = victim_new_zip(kinds[s].state, 1,
						  kinds[s].compress);
		struct fields f = { p, v, 0 };
		struct bytes b = { p, v, 0 };
		struct walk walk = { v, fields_at, &f };
		struct looked l;

		walk_card(&walk);
		f.turn = 0;
		walk.fn = reseal_at;
		walk_card(&walk);
		if (p->all) {
			all_bytes(&b, 1);
		} else {
			walk.fn = bytes_at;
			walk.ctx = &b;
			walk_card(&walk);
			if (!sealer_varies(&v->sealer))
				all_bytes(&b, QUICK_STRIDE);
		}
		if (kinds[s].state == VICTIM_CLOSED)
			frames_while_open(p, v, p->all ? 1 : 7);
		/* All was put back. */
		l = victim_look(v);
		if (l.rc != 0 || l.errors != 0 || l.wrong != 0)
			tell(p, "the store", "is not as it was");
		victim_free(v);
	}
}

/* Every field of the document that lies on the card was changed. */
static void check_reach(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->doc->field_count; i++)
		if (!p->tried[i] && !lies_nowhere(p->doc->fields[i].table))
			tell(p, p->doc->fields[i].name, "was not tried");
}

static void run_jobs(struct plan *p)
{
	int status, i;

	for (i = 0; i < p->jobs; i++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		p->job = i;
		run_job(p);
		exit(0);
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			tell(p, "a worker", "died");
}

static void *shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	return p;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "jobs", required_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct plan p = { .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	int opt, i;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'a')
			p.all = 1;
		else if (opt == 'j')
			p.jobs = atoi(optarg);
		else
			return 2;
	}
	if (p.jobs < 1)
		p.jobs = 1;
	if (secret_init() < 0)
		return 1;
	p.doc = doc_read(DOCUMENT);
	p.totals = shared(sizeof(*p.totals));
	p.tried = shared(p.doc->field_count);
	run_jobs(&p);
	check_reach(&p);
	for (i = 0; i < VERDICTS; i++)
		if (p.totals->verdicts[i] != 0)
			printf("%8llu %s\n",
			       (unsigned long long)p.totals->verdicts[i],
			       i ? lbs_error_word(-i) : "opened");
	printf("%llu blocks gave an error in stores that opened\n",
	       (unsigned long long)p.totals->errors);
	printf("%llu changes, %llu failed\n",
	       (unsigned long long)p.totals->changes,
	       (unsigned long long)p.totals->failed);
	doc_free(p.doc);
	return p.totals->failed == 0 ? 0 : 1;
}
