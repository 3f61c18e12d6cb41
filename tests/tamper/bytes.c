/*
 * bytes.c - bytes of the card changed by a bit, whatever they are: before the store is
 * opened, and while it is.
 */
#include "tests/tamper/tamper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Quick: one in so many of those that are guest data. */
#define QUICK_STRIDE 331
#define OPEN_STRIDE 7

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
	tamper_judge(b->p, what, &l);
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

void tamper_bytes(struct plan *p, struct victim *v)
{
	struct bytes b = { p, v, 0 };

	if (p->all) {
		all_bytes(&b, 1);
		return;
	}
	tamper_walk(v, bytes_at, &b);
	if (!sealer_varies(&v->sealer))
		all_bytes(&b, QUICK_STRIDE);
}

/* Every byte of the frames of live blocks while the store is open: the guest
 * that reads that block gets an error, and the block when it is put back. */
void tamper_while_open(struct plan *p, struct victim *v)
{
	uint64_t stride = p->all ? 1 : OPEN_STRIDE;
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
		tamper_tell(p, "bytes flipped while open", why);
	}
}
