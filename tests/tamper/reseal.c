/*
 * reseal.c - authentic nonsense, which only the holder of the key could write: each
 * field of a sealed table is changed and sealed again. Whatever comes of it, nothing
 * may break.
 */
#include "crypto/kdf.h"
#include "liblbs/format/bytes.h"
#include "tests/lab/simimage.h"
#include "tests/tamper/tamper.h"

#include <stdlib.h>
#include <string.h>

/* What is sealed of the structures that have a root table. */
struct kind {
	const char *root;	/* the table of the structure */
	const char *sealed;	/* the table of what is sealed in it, and one that */
	const char *inner;	/* is repeated there, or NULL, after so much */
	uint32_t inner_at;
	uint32_t ad_bytes;
	uint32_t random_at;	/* of the associated data: of the nonce */
};

static const struct kind kinds[] = {
	{ "card-slot", "card-sealed", NULL, 0, CARD_PLAIN_BYTES, 32 },
	{ "segment-header", "segment-sealed", NULL, 0, SEGMENT_PLAIN_BYTES, 48 },
	{ "record", "record-description", "extent", DESC_FIXED_BYTES,
	  RECORD_PREFIX_BYTES, 16 },
	{ "segment-end", "index", "index-entry", INDEX_FIXED_BYTES, TRAILER_BYTES,
	  16 },
};

/* One sealed thing of a card, opened. */
struct sealed {
	const struct kind *kind;
	const struct place *place;
	uint64_t at;		/* in the file; its ciphertext, then the tag */
	uint64_t bytes;		/* of the content */
	uint8_t ad[SEGMENT_PLAIN_BYTES], nonce[AEAD_NONCE_BYTES];
	uint8_t key[AEAD_KEY_BYTES];
	uint8_t *was, *plain, *now, *again; /* again: sealed anew */
};

static const struct kind *kind_of(const char *table)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].root, table) == 0)
			return &kinds[i];
	return NULL; /* a frame: no structure inside */
}

/* Where it lies, and what it is sealed with. */
static void locate(struct victim *v, struct sealed *s)
{
	const struct place *at = s->place;
	uint64_t ad_at = at->at, segment_at = 0;
	char file[MEDIUM_NAME_BYTES];
	int is_end = strcmp(s->kind->root, "segment-end") == 0;

	s->at = at->at + s->kind->ad_bytes;
	if (is_end) {
		ad_at = at->at + v->geometry.segment_bytes - TRAILER_BYTES;
		s->bytes = doc_value("n", at->letters);
		s->at = ad_at - TAG_BYTES - s->bytes;
	} else if (strcmp(s->kind->root, "record") == 0) {
		s->bytes = doc_value("d", at->letters);
	} else {
		s->bytes = at->segment ? SEGMENT_SEALED_BYTES : CARD_SEALED_BYTES;
	}
	simdisk_peek(v->w->disk, SIM_CARD, at->file, s->ad, s->kind->ad_bytes,
		     ad_at);
	memcpy(s->nonce, s->ad + s->kind->random_at,
	       at->segment ? NONCE_RANDOM_BYTES : AEAD_NONCE_BYTES);
	if (at->segment == NULL) {
		kdf_card_key(v->data_key, v->sealer.store_id, s->key);
		return;
	}
	memcpy(s->key, at->segment->key, sizeof(s->key));
	victim_where(v, at->segment->segment, file, &segment_at);
	put32(s->nonce + NONCE_RANDOM_BYTES,
	      strcmp(s->kind->root, "segment-header") == 0
		      ? 0
		      : (uint32_t)(s->at - segment_at));
}

/* One field, at from of the content, in every way. */
static void reseal_field(struct plan *p, struct victim *v, const struct sealed *s,
			 uint64_t from, uint64_t len)
{
	struct looked l;
	unsigned c;

	if (from + len > s->bytes)
		return;
	for (c = 0; c < CHANGES; c++) {
		memcpy(s->now, s->plain, s->bytes);
		if (!change_bytes(c, s->now + from, len))
			continue;
		aead_seal(v->sealer.cipher, s->key, s->nonce, s->ad,
			  s->kind->ad_bytes, s->now, s->bytes, s->again);
		simdisk_poke(v->w->disk, SIM_CARD, s->place->file, s->again,
			     s->bytes + TAG_BYTES, s->at);
		l = victim_look(v);
		tamper_count(p, &l);
	}
}

static void reseal_fields(struct plan *p, struct victim *v, const struct sealed *s)
{
	const struct doc_letter *letters = s->place->letters;
	size_t i;

	for (i = 0; i < p->doc->field_count; i++) {
		const struct doc_field *f = &p->doc->fields[i];
		uint64_t base = 0;

		if (s->kind->inner && strcmp(f->table, s->kind->inner) == 0)
			base = s->kind->inner_at;
		else if (strcmp(f->table, s->kind->sealed) != 0)
			continue;
		reseal_field(p, v, s, base + doc_value(f->offset, letters),
			     doc_value(f->bytes, letters));
	}
}

struct resealed {
	struct plan *p;
	struct victim *v;
	int turn;
};

static void reseal_at(void *ctx, const char *table, const struct place *at)
{
	struct resealed *r = ctx;
	struct simdisk *disk = r->v->w->disk;
	struct sealed s = { .kind = kind_of(table), .place = at };

	if (s.kind == NULL || r->turn++ % r->p->jobs != r->p->job)
		return;
	locate(r->v, &s);
	s.was = sim_alloc(s.bytes + TAG_BYTES);
	s.again = sim_alloc(s.bytes + TAG_BYTES);
	s.plain = sim_alloc(s.bytes);
	s.now = sim_alloc(s.bytes);
	simdisk_peek(disk, SIM_CARD, at->file, s.was, s.bytes + TAG_BYTES, s.at);
	if (aead_open(r->v->sealer.cipher, s.key, s.nonce, s.ad, s.kind->ad_bytes,
		      s.was, s.bytes + TAG_BYTES, s.plain) == 0) {
		reseal_fields(r->p, r->v, &s);
		simdisk_poke(disk, SIM_CARD, at->file, s.was,
			     s.bytes + TAG_BYTES, s.at);
	} else if (strcmp(table, "segment-end") != 0) {
		/* (The segment that is open may end in the index of the use
		 * before, which no reader takes for its own.) */
		tamper_tell(r->p, at->what, "cannot be opened with its key");
	}
	free(s.was);
	free(s.again);
	free(s.plain);
	free(s.now);
}

void tamper_resealed(struct plan *p, struct victim *v)
{
	struct resealed r = { p, v, 0 };

	tamper_walk(v, reseal_at, &r);
}
