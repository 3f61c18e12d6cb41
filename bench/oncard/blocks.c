/*
 * blocks.c - see blocks.h.
 */
#include "bench/oncard/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lbs.h"
#include "liblbs/format/layout.h"
#include "zip/zip.h"

#define STEPS 32

/* What blocks become that get shorter: of each 32nd of them, by length, the
 * longest (the first: the shortest of all). as_is: the share of those that stay
 * as they are. Measured by bench/zip.sh --lengths. */
struct lengths {
	double as_is;
	uint16_t step[STEPS + 1];
};

static const struct lengths lengths_of[] = {
	[LBS_COMPRESS_LZ4] = { 0.0623,
			       { 26,   80,   104,  260,	 542,  680,  837,
				 991,  1131, 1243, 1343, 1417, 1488, 1563,
				 1645, 1728, 1811, 1892, 1973, 2058, 2144,
				 2232, 2321, 2409, 2500, 2597, 2711, 2847,
				 2991, 3127, 3260, 3410, 3968 } },
	[LBS_COMPRESS_ZSTD] = { 0.0553,
				{ 19,	77,   99,   205,  327,	427,  507,
				  578,	650,  724,  800,  885,	970,  1054,
				  1132, 1204, 1273, 1344, 1415, 1485, 1560,
				  1635, 1719, 1812, 1910, 2029, 2169, 2320,
				  2472, 2618, 2754, 2925, 3961 } },
};

static uint64_t
next(uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static double
share(uint64_t *random)
{
	return (double)(next(random) >> 11) * 0x1p-53;
}

/* Both methods add to noise that zeroes follow so much of their own. */
#define OWN 20

static uint32_t
noise(uint64_t *random, const struct lengths *l)
{
	double at = share(random) * STEPS, n;
	uint32_t i = (uint32_t)at;

	if (share(random) < l->as_is)
		return BLOCK_BYTES;
	n = l->step[i] + (at - i) * (l->step[i + 1] - l->step[i]);
	return n > OWN ? (uint32_t)n - OWN : 0;
}

void
blocks_fill(uint64_t *random, int method, uint8_t *buf, uint32_t bytes)
{
	for (uint8_t *at = buf; at < buf + bytes; at += BLOCK_BYTES) {
		uint32_t n = noise(random, &lengths_of[method]), i = 0;
		uint64_t word;

		for (; i < n; i += 8) {
			word = next(random);
			memcpy(at + i, &word, 8);
		}
		memset(at + n, 0, BLOCK_BYTES - n);
	}
}

/* ---- measuring ----------------------------------------------------------- */

static void
measure(FILE *f, const char *name, int method)
{
	uint64_t count[BLOCK_BYTES + 1] = { 0 }, shorter = 0, all = 0, seen = 0;
	struct zip *zip = zip_new(method);
	uint8_t block[BLOCK_BYTES], packed[ZIP_BLOCK_BYTES_MAX];
	double bytes = 0;
	size_t n;
	int step = 0;

	rewind(f);
	while (zip && fread(block, sizeof block, 1, f) == 1) {
		if (!block[0] && !memcmp(block, block + 1, sizeof block - 1))
			continue;
		n = zip_pack(zip, block, sizeof block, packed, sizeof packed);
		count[n ? n : BLOCK_BYTES]++;
		shorter += n != 0;
		bytes += (double)(n ? n : BLOCK_BYTES);
		all++;
	}
	zip_free(zip);
	printf("%s: %llu blocks, of 4096 bytes %.1f are left\n{ %.4f, {", name,
	       (unsigned long long)all, bytes / (double)(all ? all : 1),
	       1 - (double)shorter / (double)(all ? all : 1));
	for (n = 0; n < BLOCK_BYTES && step <= STEPS; n++) {
		seen += count[n];
		while (step <= STEPS && seen &&
		       seen * STEPS >= shorter * (uint64_t)step)
			printf(" %zu%s", n, step++ < STEPS ? "," : " } }\n");
	}
}

int
blocks_measure(const char *image)
{
	FILE *f = fopen(image, "rb");

	if (!f) {
		perror(image);
		return -1;
	}
	measure(f, "lz4", ZIP_LZ4);
	measure(f, "zstd", ZIP_ZSTD);
	fclose(f);
	return 0;
}
