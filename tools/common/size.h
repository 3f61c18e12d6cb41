/*
 * size.h - sizes as people write and read them: 512M, 32G, powers of two.
 * Must never guess: what is not plainly a size is refused with a reason.
 */
#ifndef LBS_TOOLS_COMMON_SIZE_H
#define LBS_TOOLS_COMMON_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* Reads "4096", "512K", "1G", "2TiB"; letters in either case, K to E, always
 * powers of two. Returns 0, or -1 with *why a static phrase such as
 * "is negative" that completes the sentence "--size -1". */
int size_parse(const char *text, uint64_t *bytes, const char **why);

/* Writes "1.5 GiB", "64 MiB", "512 B". Exact sizes have no decimals. */
#define SIZE_TEXT_BYTES 32
const char *size_format(uint64_t bytes, char text[SIZE_TEXT_BYTES]);

#endif
