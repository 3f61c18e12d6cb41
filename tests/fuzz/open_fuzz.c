/*
 * open_fuzz.c - libFuzzer on opening: a small store whose server was killed,
 * with segments to replay by index and one by frames; its card is changed by a
 * little program and opened. What the changer could do without the key must
 * never show wrong data. With the key, descriptions, indexes, headers and card
 * slots are changed inside their seals: authentic nonsense may be refused or
 * believed, but nothing may crash, overrun, trip an assertion or run on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/format/bytes.h"
#include "liblbs/format/card.h"
#include "tests/lab/victim.h"

#define STEPS_MAX 24
#define SEALED_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A store, or one with compression: its first byte says which an input is for. */
static struct victim *victims[2], *victim;

/* Where the records of the segments in use begin, in each. */
struct record_place {
	const struct victim_segment *segment;
	uint32_t offset;
};
static struct record_place places[2][512], *record;
static uint32_t counts[2], records;

static void
note_record(void *ctx, const struct victim_segment *segment,
	    const struct victim_record *found)
{
	(void)ctx;
	if (records < sizeof places[0] / sizeof *places[0]) {
		record[records].segment = segment;
		record[records++].offset = found->offset;
	}
}

static void
choose(int which)
{
	victim = victims[which];
	record = places[which];
	records = counts[which];
}

static void
prepare(int which)
{
	victims[which] = victim_new_zip(VICTIM_KILLED, 1,
					which ? LBS_COMPRESS_LZ4
					      : LBS_COMPRESS_NONE);
	choose(which);
	for (uint32_t i = 0; i < victim->segment_count; i++)
		victim_records(victim, &victim->segments[i], note_record, NULL);
	if (!records)
		abort();
	counts[which] = records;
}

struct program {
	const uint8_t *p, *end;
	int forged;		/* something was sealed with the key */
};

static uint32_t
take(struct program *g, int bytes)
{
	uint32_t v = 0;

	while (bytes-- && g->p < g->end)
		v = v << 8 | *g->p++;
	return v;
}

static const struct victim_segment *
some_segment(struct program *g)
{
	return &victim->segments[take(g, 1) % victim->segment_count];
}

/* Bytes of a segment, whose file may be gone or short by now. */
static void
get(const struct victim_segment *s, uint32_t offset, void *buf, size_t len)
{
	char name[MEDIUM_NAME_BYTES];
	uint64_t at;

	victim_where(victim, s->segment, name, &at);
	memset(buf, 0, len);
	(void)simdisk_peek(victim->w->disk, SIM_CARD, name, buf, len,
			   at + offset);
}

static void
put(const struct victim_segment *s, uint32_t offset, const void *buf, size_t len)
{
	char name[MEDIUM_NAME_BYTES];
	uint64_t at;

	victim_where(victim, s->segment, name, &at);
	(void)simdisk_poke(victim->w->disk, SIM_CARD, name, buf, len,
			   at + offset);
}

/* ---- without the key -------------------------------------------------------- */

static void
change_bytes(struct program *g)
{
	const struct victim_segment *s = some_segment(g);
	uint32_t at = take(g, 2), n = take(g, 1) % 16 + 1;
	uint8_t bytes[16];

	if (at + n > victim->geometry.segment_bytes)
		return;
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)take(g, 1);
	put(s, at, bytes, n);
}

static void
copy_bytes(struct program *g)
{
	const struct victim_segment *from = some_segment(g);
	const struct victim_segment *to = some_segment(g);
	uint32_t size = victim->geometry.segment_bytes;
	uint32_t a = take(g, 1) * 512 % size, b = take(g, 1) * 512 % size;
	uint32_t n = (take(g, 1) + 1) * 512;
	static uint8_t bytes[256 * 512];

	if (n > size - a)
		n = size - a;
	if (n > size - b)
		n = size - b;
	get(from, a, bytes, n);
	put(to, b, bytes, n);
}

static void
change_file(struct program *g)
{
	char name[MEDIUM_NAME_BYTES], other[MEDIUM_NAME_BYTES];
	struct simdisk *d = victim->w->disk;
	uint32_t file = take(g, 1) % 17;

	medium_file_name(file == 16 ? MEDIUM_CARD_FILE : file, name);
	medium_file_name(take(g, 1) % 16, other);
	switch (take(g, 1) % 3) {
	case 0:
		(void)simdisk_cut_file(d, SIM_CARD, name, take(g, 3));
		break;
	case 1:
		(void)simdisk_drop_file(d, SIM_CARD, name);
		break;
	case 2:
		(void)simdisk_copy_file(d, SIM_CARD, name, other);
		break;
	}
}

/* ---- with the key ------------------------------------------------------------ */

/* Opens len sealed bytes of a segment, changes what the program says, seals
 * them again. The nonce's random part lies at random_at. */
static void
forge(struct program *g, const struct victim_segment *s, const uint8_t *ad,
      size_t ad_len, const uint8_t random[NONCE_RANDOM_BYTES],
      uint32_t nonce_offset, uint32_t at, uint32_t len)
{
	static uint8_t sealed[SEALED_MAX + TAG_BYTES], plain[SEALED_MAX];
	uint8_t nonce[AEAD_NONCE_BYTES];
	uint32_t changes = take(g, 1) % 8 + 1;

	if (len > SEALED_MAX ||
	    at + len + TAG_BYTES > victim->geometry.segment_bytes)
		return;
	memcpy(nonce, random, NONCE_RANDOM_BYTES);
	put32(nonce + NONCE_RANDOM_BYTES, nonce_offset);
	get(s, at, sealed, len + TAG_BYTES);
	if (aead_open(victim->sealer.cipher, s->key, nonce, ad, ad_len, sealed,
		      len + TAG_BYTES, plain))
		return; /* changed before */
	while (changes--)
		plain[take(g, 2) % len] ^= (uint8_t)take(g, 1);
	aead_seal(victim->sealer.cipher, s->key, nonce, ad, ad_len, plain, len,
		  sealed);
	put(s, at, sealed, len + TAG_BYTES);
	g->forged = 1;
}

static void
forge_description(struct program *g)
{
	uint32_t which = take(g, 2) % records;
	const struct victim_segment *s = record[which].segment;
	uint32_t at = record[which].offset;
	uint8_t prefix[RECORD_PREFIX_BYTES];

	get(s, at, prefix, sizeof prefix);
	forge(g, s, prefix, sizeof prefix, prefix + 16,
	      at + RECORD_PREFIX_BYTES, at + RECORD_PREFIX_BYTES,
	      get16(prefix + 8));
}

static void
forge_index(struct program *g)
{
	const struct victim_segment *s = some_segment(g);
	uint32_t size = victim->geometry.segment_bytes, at;
	uint8_t bytes[TRAILER_BYTES];
	struct trailer trailer;

	get(s, size - TRAILER_BYTES, bytes, sizeof bytes);
	if (trailer_decode(bytes, size, &trailer))
		return; /* not closed */
	at = size - TRAILER_BYTES - TAG_BYTES - trailer.index_bytes;
	forge(g, s, bytes, sizeof bytes, trailer.random, at, at,
	      trailer.index_bytes);
}

static void
forge_header(struct program *g)
{
	const struct victim_segment *s = some_segment(g);
	uint8_t plain[SEGMENT_PLAIN_BYTES];

	get(s, 0, plain, sizeof plain);
	forge(g, s, plain, sizeof plain, plain + 48, 0, SEGMENT_PLAIN_BYTES,
	      SEGMENT_SEALED_BYTES);
}

static void
forge_card(struct program *g)
{
	struct card_sealed in = { .session = take(g, 4),
				  .checkpoint = take(g, 2),
				  .begun = take(g, 4) };
	uint8_t slot[CARD_SLOT_BYTES];
	char name[MEDIUM_NAME_BYTES];

	medium_file_name(MEDIUM_CARD_FILE, name);
	seal_card(&victim->sealer, &in, slot);
	if (simdisk_poke(victim->w->disk, SIM_CARD, name, slot, sizeof slot,
			 in.session % 2 * CARD_SLOT_BYTES) == 0)
		g->forged = 1;
}

/* ---- opening ------------------------------------------------------------------- */

/* For writing, on a copy of the machine, and goes on if that was allowed. */
static void
live_on(void)
{
	static const uint8_t block[MODEL_BLOCK] = { 1 };
	struct world *w = world_clone(victim->w);

	if (world_open(w, 0) == 0) {
		for (int i = 0; i < 20; i++)
			(void)!lbs_vdisk_write(w->vdisk, block, sizeof block,
					       (uint64_t)i * sizeof block, 0);
		(void)!lbs_vdisk_flush(w->vdisk);
		(void)world_close(w);
	}
	world_free(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const step[])(struct program *) = {
		change_bytes, copy_bytes, change_file, forge_description,
		forge_index, forge_header, forge_card, forge_description,
	};
	struct program g = { data, data + len, 0 };
	struct looked seen;
	struct world *pristine;

	uint32_t first = take(&g, 1);

	if (!victims[0])
		prepare(0), prepare(1);
	choose(first >= 192);
	pristine = victim->w;
	victim->w = world_clone(pristine);
	if (first % 8 == 0)
		simdisk_restore(victim->w->disk,
				victim->old[take(&g, 1) % victim->old_count]);
	for (int i = 0; i < STEPS_MAX && g.p < g.end; i++)
		step[take(&g, 1) % (sizeof step / sizeof *step)](&g);
	seen = victim_look(victim);
	if (!g.forged && seen.wrong) {
		fprintf(stderr, "wrong data without the key\n");
		abort();
	}
	live_on();
	world_free(victim->w);
	victim->w = pristine;
	return 0;
}
