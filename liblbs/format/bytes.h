/*
 * bytes.h - little-endian numbers in byte arrays, FORMAT.md section 1. Must never
 * depend on how the machine lays out its own.
 */
#ifndef LBS_FORMAT_BYTES_H
#define LBS_FORMAT_BYTES_H

#include <stdint.h>

static inline void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)v);
	put16(p + 2, (uint16_t)(v >> 16));
}

static inline void
put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t
get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline uint64_t
get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* 1 if n bytes are: what a format keeps for later. */
static inline int
all_zero(const uint8_t *p, uint32_t n)
{
	uint8_t or = 0;

	while (n--)
		or |= *p++;
	return or == 0;
}

/* The next multiple of unit, which need not be a power of two. */
static inline uint64_t
round_up(uint64_t v, uint64_t unit)
{
	return (v + unit - 1) / unit * unit;
}

#endif
