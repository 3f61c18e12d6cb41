/*
 * zip.h - compression of one message by one of two methods. A leaf like crypto/:
 * knows nothing of blocks and frames. Must never write beyond the room it was
 * given, whatever it is fed, nor fail for want of memory once it was made.
 */
#ifndef LBS_ZIP_ZIP_H
#define LBS_ZIP_ZIP_H

#include <stddef.h>
#include <stdint.h>

/* The same numbers as LBS_COMPRESS_... */
enum { ZIP_LZ4 = 1, ZIP_ZSTD = 2 };

/* A method and its contexts, of which there are as many as callers were in it at
 * once, at most ZIP_CONTEXTS_MAX: then one waits for another. Thread-safe. */
struct zip;
#define ZIP_CONTEXTS_MAX 16

/* NULL when memory ran out, or if there is no such method. */
struct zip *zip_new(int method);
/* Wipes the contexts, which hold what was compressed last. NULL is allowed. */
void zip_free(struct zip *zip);

/* Compresses len bytes. How many they became, or 0 if room bytes do not hold them:
 * then out holds nothing of use. */
size_t zip_pack(struct zip *zip, const uint8_t *in, size_t len, uint8_t *out,
		size_t room);
/* The other way round: 0 if in gives exactly len bytes, else -1. */
int zip_unpack(struct zip *zip, const uint8_t *in, size_t in_len, uint8_t *out,
	       size_t len) __attribute__((warn_unused_result));

#endif
