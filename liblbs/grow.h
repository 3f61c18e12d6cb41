/*
 * grow.h - structures of lbs.h that begin with their size: a program may have been
 * compiled when they were shorter, or will be when they are longer.
 * Must never read or write beyond the caller's.
 */
#ifndef LBS_GROW_H
#define LBS_GROW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lbs.h"

/* Up to the end of the field that was the last one in the first release. */
#define GROW_LEAST(type, last) \
	(offsetof(struct type, last) + sizeof(((struct type *)0)->last))
#define GROW_OPEN GROW_LEAST(lbs_open_options, log_ctx)
#define GROW_CREATE GROW_LEAST(lbs_create_options, progress_ctx)
#define GROW_INFO GROW_LEAST(lbs_store_info, created_unix)
#define GROW_CARD GROW_LEAST(lbs_card_info, advice)
#define GROW_QUEUE GROW_LEAST(lbs_queue_options, done_ctx)

/* Takes a caller's options into ours; what they are too short for is 0. LBS_EINVAL
 * when they are shorter than ever, or ask for what this library does not know. */
static inline int
grow_in(void *own, size_t own_bytes, size_t least, const void *given)
{
	uint32_t bytes;

	memcpy(&bytes, given, sizeof bytes);
	if (bytes < least)
		return LBS_EINVAL;
	memset(own, 0, own_bytes);
	memcpy(own, given, bytes < own_bytes ? bytes : own_bytes);
	for (size_t i = own_bytes; i < bytes; i++)
		if (((const uint8_t *)given)[i])
			return LBS_EINVAL;
	return 0;
}

/* Gives ours to the caller, as much as there is room for, zeroes behind. */
static inline void
grow_out(void *given, const void *own, size_t own_bytes)
{
	uint32_t bytes;
	size_t n;

	memcpy(&bytes, given, sizeof bytes);
	n = bytes < own_bytes ? bytes : own_bytes;
	memcpy((uint8_t *)given + sizeof bytes,
	       (const uint8_t *)own + sizeof bytes, n - sizeof bytes);
	memset((uint8_t *)given + n, 0, bytes - n);
}

#endif
