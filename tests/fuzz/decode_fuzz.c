/*
 * decode_fuzz.c - libFuzzer on every decoder of bytes that somebody else may
 * have written. The first byte chooses one. What a decoder accepts must encode
 * to the same bytes again where there is an encoder: total, and not lax.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/format/card.h"
#include "liblbs/format/index.h"
#include "liblbs/format/frame.h"
#include "liblbs/format/record.h"
#include "liblbs/format/runs.h"
#include "liblbs/format/segment.h"
#include "zip/zip.h"

#define SEGMENT (1u << 20)
#define PAGE_ENTRIES 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
fuzz_any_record(const uint8_t *data, size_t len, int vary)
{
	uint8_t again[DESC_FIXED_BYTES + RECORD_EXTENTS_MAX * EXTENT_BYTES];
	uint8_t prefix_again[RECORD_PREFIX_BYTES];
	struct record_prefix prefix;
	struct record_desc desc;

	if (len < RECORD_PREFIX_BYTES ||
	    record_prefix_decode(data, SEGMENT, vary, &prefix))
		return;
	assert(prefix.record_bytes <= SEGMENT);
	record_prefix_encode(&prefix, prefix_again);
	assert(!memcmp(prefix_again, data, sizeof prefix_again));
	data += RECORD_PREFIX_BYTES;
	len -= RECORD_PREFIX_BYTES;
	if (len < prefix.desc_bytes || record_desc_decode(data, &prefix, &desc))
		return;
	assert(vary ? record_frames_at(desc.extent_count) +
				      desc.frame_count * ZIP_FRAME_BYTES_MAX >=
			      prefix.record_bytes
		    : record_bytes(desc.extent_count, desc.frame_count) ==
			      prefix.record_bytes);
	record_desc_encode(&desc, again);
	assert(!memcmp(again, data, prefix.desc_bytes));
}

static void
fuzz_record(const uint8_t *data, size_t len)
{
	fuzz_any_record(data, len, 0);
}

static void
fuzz_zip_record(const uint8_t *data, size_t len)
{
	fuzz_any_record(data, len, 1);
}

/* What says how long it is must not reach beyond what there is of it. */
static void
fuzz_zip_frame(const uint8_t *data, size_t len)
{
	uint32_t n = frame_stored_bytes(1, data, (uint32_t)len);

	assert(n <= BLOCK_BYTES && (!n || n + 26 <= len));
	assert(!n || (frame_bytes(1, n) <= ZIP_FRAME_BYTES_MAX &&
		      frame_bytes(1, n) >= ZIP_FRAME_BYTES_MIN));
}

/* Whatever is expanded, and then compressed and expanded again. */
static void
fuzz_unpack(const uint8_t *data, size_t len, int method)
{
	static struct zip *zips[3];
	uint8_t *block = malloc(BLOCK_BYTES), *out = malloc(ZIP_BLOCK_BYTES_MAX);
	uint8_t *back = malloc(BLOCK_BYTES);
	size_t n;

	if (!zips[method])
		zips[method] = zip_new(method);
	if (zip_unpack(zips[method], data, len, block, BLOCK_BYTES) == 0) {
		n = zip_pack(zips[method], block, BLOCK_BYTES, out,
			     ZIP_BLOCK_BYTES_MAX);
		assert(!n || (!zip_unpack(zips[method], out, n, back,
					  BLOCK_BYTES) &&
			      !memcmp(block, back, BLOCK_BYTES)));
	}
	free(block);
	free(out);
	free(back);
}

static void
fuzz_lz4(const uint8_t *data, size_t len)
{
	fuzz_unpack(data, len, ZIP_LZ4);
}

static void
fuzz_zstd(const uint8_t *data, size_t len)
{
	fuzz_unpack(data, len, ZIP_ZSTD);
}

static void
fuzz_segment(const uint8_t *data, size_t len)
{
	uint8_t again[SEGMENT_PLAIN_BYTES];
	struct segment_plain plain;
	struct segment_sealed sealed;

	if (len >= SEGMENT_PLAIN_BYTES && !segment_plain_decode(data, &plain)) {
		segment_plain_encode(&plain, again);
		assert(!memcmp(again, data, sizeof again));
	}
	if (len >= SEGMENT_SEALED_BYTES && !segment_sealed_decode(data, &sealed)) {
		segment_sealed_encode(&sealed, again);
		assert(!memcmp(again, data, SEGMENT_SEALED_BYTES));
	}
}

static void
fuzz_index(const uint8_t *data, size_t len)
{
	uint8_t again[INDEX_FIXED_BYTES];
	struct trailer trailer;
	struct index_head head;
	struct index_entry entry;

	if (len >= TRAILER_BYTES && !trailer_decode(data, SEGMENT, &trailer))
		assert(trailer.index_bytes < SEGMENT);
	if (len >= INDEX_ENTRY_BYTES &&
	    !index_entry_decode(data, SEGMENT, &entry)) {
		index_entry_encode(&entry, again);
		assert(!memcmp(again, data, INDEX_ENTRY_BYTES));
	}
	if (len < INDEX_FIXED_BYTES ||
	    index_head_decode(data, (uint32_t)len, &head))
		return;
	for (uint32_t i = 0; i < head.entry_count; i++)
		(void)!index_entry_decode(data + INDEX_FIXED_BYTES +
						  (size_t)i * INDEX_ENTRY_BYTES,
					  SEGMENT, &entry);
}

static void
fuzz_card(const uint8_t *data, size_t len)
{
	uint8_t again[CARD_PLAIN_BYTES];
	struct card_plain plain;
	struct card_sealed sealed;

	if (len >= CARD_PLAIN_BYTES && !card_plain_decode(data, &plain)) {
		card_plain_encode(&plain, again);
		assert(!memcmp(again, data, CARD_PLAIN_BYTES));
	}
	if (len >= CARD_SEALED_BYTES && !card_sealed_decode(data, &sealed)) {
		card_sealed_encode(&sealed, again);
		assert(!memcmp(again, data, CARD_SEALED_BYTES));
	}
}

/* The entries that packed runs mean, in a page; and packed anew in *w. */
static int
unpack(const uint8_t *data, size_t len, uint64_t *entries, struct runs_writer *w)
{
	const int shift = __builtin_ctz(SEGMENT / POSITION_UNIT);
	struct runs_reader r;
	struct run run;
	int more;

	memset(entries, 0xff, PAGE_ENTRIES * sizeof *entries);
	runs_begin(w, shift);
	runs_read(&r, data, len, PAGE_ENTRIES, shift);
	while ((more = runs_next(&r, &run)) > 0) {
		for (uint64_t i = 0; i < run.count; i++)
			entries[run.start + i] =
				run.position ? position_next(run.position, i)
					     : 0;
		runs_put(w, run.start, run.count, run.position);
	}
	assert(runs_end(w) == 0);
	return more;
}

/* There are several packings of the same runs: ours says what was read. */
static void
fuzz_repacked(const uint8_t *data, size_t len)
{
	static uint64_t entries[PAGE_ENTRIES], again[PAGE_ENTRIES];
	struct runs_writer w, w2;

	if (unpack(data, len, entries, &w) == 0) {
		assert(unpack(w.buf, w.len, again, &w2) == 0);
		assert(!memcmp(entries, again, sizeof entries));
		assert(w.len == w2.len);
		free(w2.buf);
	}
	free(w.buf);
}

static void
fuzz_runs(const uint8_t *data, size_t len)
{
	const int shift = __builtin_ctz(SEGMENT / POSITION_UNIT);
	struct runs_reader r;
	struct run run;
	uint64_t end = 0;

	fuzz_repacked(data, len);
	runs_read(&r, data, len, 131072, shift);
	while (runs_next(&r, &run) > 0) {
		assert(run.count && run.start >= end);
		end = run.start + run.count;
		assert(end <= 131072);
		if (run.position)
			assert(position_offset(run.position) +
				       run.count * FRAME_BYTES <= SEGMENT);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const decoder[])(const uint8_t *, size_t) = {
		fuzz_record, fuzz_segment, fuzz_index, fuzz_card, fuzz_runs,
	};
	/* Chosen by the largest first bytes: so inputs that are kept stay what they
	 * are. */
	static void (*const zip[])(const uint8_t *, size_t) = {
		fuzz_zip_record, fuzz_zip_frame, fuzz_lz4, fuzz_zstd,
	};
	const unsigned zips = sizeof zip / sizeof *zip;
	uint8_t *copy;

	if (!len)
		return 0;
	/* A copy of its exact length, so that a read past it is caught. */
	copy = malloc(len);
	memcpy(copy, data + 1, len - 1);
	if (data[0] >= 256 - zips)
		zip[data[0] - (256 - zips)](copy, len - 1);
	else
		decoder[data[0] % (sizeof decoder / sizeof decoder[0])](copy,
									len - 1);
	free(copy);
	return 0;
}
