/*
 * count.c - counters of the card, and quantiles of its latencies. A histogram
 * has 16 buckets for each doubling, so what is read from it is right to 7 %.
 */
#include <string.h>

#include "bench/sdcard/card_int.h"

static const uint32_t class_most[SDCARD_CLASSES - 1] = { 1u << 10,   4u << 10,
							 16u << 10,  64u << 10,
							 128u << 10, 512u << 10,
							 1u << 20 };

unsigned
sdcard_bucket(int64_t ns)
{
	uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
	unsigned top, bucket;

	if (v < 16)
		return (unsigned)v;
	top = 63u - (unsigned)__builtin_clzll(v);
	bucket = (top - 3) * 16 + ((unsigned)(v >> (top - 4)) & 15);
	return bucket < SDCARD_HISTOGRAM ? bucket : SDCARD_HISTOGRAM - 1;
}

/* The most that counts in a bucket. */
static int64_t
bucket_end(unsigned bucket)
{
	if (bucket < 16)
		return bucket;
	return ((int64_t)(16 + bucket % 16 + 1) << (bucket / 16 - 1)) - 1;
}

void
count_request(struct sdcard_counts *n, int kind, uint64_t len, int64_t ns)
{
	unsigned size = 0;

	while (size < SDCARD_CLASSES - 1 && len > class_most[size])
		size++;
	n->kind[kind].ops++;
	n->kind[kind].bytes += len;
	n->kind[kind].ns += ns;
	if (ns > n->kind[kind].max_ns)
		n->kind[kind].max_ns = ns;
	n->kind[kind].class_ops[size]++;
	n->kind[kind].class_bytes[size] += len;
	n->kind[kind].histogram[sdcard_bucket(ns)]++;
}

const struct sdcard_counts *
sdcard_counts(const struct sdcard *c)
{
	return &c->counts;
}

void
sdcard_counts_reset(struct sdcard *c)
{
	memset(&c->counts, 0, sizeof c->counts);
}

double
sdcard_write_amplification(const struct sdcard *c)
{
	uint64_t written = c->counts.kind[SDCARD_WRITES].bytes;

	return written ? (double)c->counts.programmed_bytes / (double)written
		       : 0;
}

unsigned
sdcard_open_units(const struct sdcard *c)
{
	return c->block ? block_open_units(c->block) : 0;
}

int64_t
sdcard_quantile(const struct sdcard *c, int kind, double share)
{
	const uint64_t *histogram = c->counts.kind[kind].histogram;
	double rank = share * (double)c->counts.kind[kind].ops;
	int64_t longest = c->counts.kind[kind].max_ns;
	uint64_t below = 0;

	for (unsigned b = 0; b < SDCARD_HISTOGRAM; b++) {
		below += histogram[b];
		if (below && (double)below >= rank)
			return bucket_end(b) < longest ? bucket_end(b)
						       : longest;
	}
	return longest;
}
