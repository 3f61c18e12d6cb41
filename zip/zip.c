/*
 * zip.c - see zip.h: LZ4 and Zstandard, by their libraries. A context is made once
 * and used for one message at a time. lz4.h and zstd.h are included here only.
 */
#include "zip/zip.h"

#include <lz4.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
/* For memory of our own, which is wiped: the library frees without. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#define ZSTD_LEVEL 1

struct context {
	struct context *next;
	LZ4_stream_t *lz4;
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

struct zip {
	int method;
	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t given;
	struct context *idle;
	unsigned made;
};

/* ---- memory --------------------------------------------------------------- */

/* In front of what is given out; as aligned as malloc's. */
union size {
	size_t bytes;
	max_align_t align;
};

static void *
wiped_alloc(void *ctx, size_t len)
{
	union size *p = malloc(sizeof *p + len);

	(void)ctx;
	if (!p)
		return NULL;
	p->bytes = len;
	return p + 1;
}

static void
wiped_free(void *ctx, void *at)
{
	union size *p = at;

	(void)ctx;
	if (!p)
		return;
	p--;
	explicit_bzero(p + 1, p->bytes);
	free(p);
}

static const ZSTD_customMem memory = { wiped_alloc, wiped_free, NULL };

/* ---- contexts ------------------------------------------------------------- */

static void
context_free(struct context *c)
{
	wiped_free(NULL, c->lz4);
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	free(c);
}

static struct context *
context_new(int method)
{
	struct context *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	if (method == ZIP_LZ4) {
		c->lz4 = wiped_alloc(NULL, sizeof *c->lz4);
		if (c->lz4)
			return c;
	} else if (method == ZIP_ZSTD) {
		c->pack = ZSTD_createCCtx_advanced(memory);
		c->unpack = ZSTD_createDCtx_advanced(memory);
		if (c->pack && c->unpack)
			return c;
	}
	context_free(c);
	return NULL;
}

static struct context *
take(struct zip *zip)
{
	struct context *c;

	pthread_mutex_lock(&zip->lock);
	while (!zip->idle) {
		if (zip->made < ZIP_CONTEXTS_MAX &&
		    (c = context_new(zip->method)) != NULL) {
			zip->made++;
			c->next = zip->idle;
			zip->idle = c;
		} else {
			/* Full, or no memory: there is one at the least. */
			pthread_cond_wait(&zip->given, &zip->lock);
		}
	}
	c = zip->idle;
	zip->idle = c->next;
	pthread_mutex_unlock(&zip->lock);
	return c;
}

static void
give(struct zip *zip, struct context *c)
{
	pthread_mutex_lock(&zip->lock);
	c->next = zip->idle;
	zip->idle = c;
	pthread_mutex_unlock(&zip->lock);
	pthread_cond_signal(&zip->given);
}

struct zip *
zip_new(int method)
{
	struct zip *zip = calloc(1, sizeof *zip);

	if (!zip)
		return NULL;
	zip->method = method;
	pthread_mutex_init(&zip->lock, NULL);
	pthread_cond_init(&zip->given, NULL);
	zip->idle = context_new(method);
	zip->made = 1;
	if (!zip->idle) {
		zip_free(zip);
		return NULL;
	}
	return zip;
}

void
zip_free(struct zip *zip)
{
	struct context *next;

	if (!zip)
		return;
	for (struct context *c = zip->idle; c; c = next) {
		next = c->next;
		context_free(c);
	}
	pthread_cond_destroy(&zip->given);
	pthread_mutex_destroy(&zip->lock);
	free(zip);
}

/* ---- messages ------------------------------------------------------------- */

size_t
zip_pack(struct zip *zip, const uint8_t *in, size_t len, uint8_t *out, size_t room)
{
	struct context *c = take(zip);
	size_t n = 0;

	if (zip->method == ZIP_LZ4) {
		int got = LZ4_compress_fast_extState(c->lz4, (const char *)in,
						     (char *)out, (int)len,
						     (int)room, 1);

		n = got > 0 ? (size_t)got : 0;
	} else {
		n = ZSTD_compressCCtx(c->pack, out, room, in, len, ZSTD_LEVEL);
		if (ZSTD_isError(n))
			n = 0;
	}
	give(zip, c);
	return n;
}

int
zip_unpack(struct zip *zip, const uint8_t *in, size_t in_len, uint8_t *out,
	   size_t len)
{
	struct context *c;
	size_t n;

	if (zip->method == ZIP_LZ4) {
		int got = LZ4_decompress_safe((const char *)in, (char *)out,
					      (int)in_len, (int)len);

		return got >= 0 && (size_t)got == len ? 0 : -1;
	}
	c = take(zip);
	n = ZSTD_decompressDCtx(c->unpack, out, len, in, in_len);
	give(zip, c);
	return n == len ? 0 : -1; /* an error is larger than any length */
}
