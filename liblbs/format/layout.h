/*
 * layout.h - the numbers of the format, FORMAT.md section 1. A test holds the
 * tables of FORMAT.md against them.
 */
#ifndef LBS_FORMAT_LAYOUT_H
#define LBS_FORMAT_LAYOUT_H

#include <stdint.h>

#define FORMAT_VERSION 1

#define BLOCK_BYTES 4096u	   /* a guest block */
#define PAGE_BYTES 4096u	   /* a page of the card, the unit of overwriting */
#define STORE_ID_BYTES 16
#define SALT_BYTES 16
#define NONCE_RANDOM_BYTES 8
#define TAG_BYTES 16

#define SEGMENT_BYTES_MIN (64u << 10) /* below 1 MiB for tests only */
#define SEGMENT_BYTES_MAX (64u << 20)
#define CHUNK_BYTES_MAX ((4ull << 30) - (1u << 20)) /* FAT32 */

/* What bounds memory: a store keeps some 90 bytes for each segment it may have. */
#define SEGMENTS_MAX (1u << 22)
/* A record's number has room for so many sessions, and for one more. */
#define SESSION_MAX (UINT32_MAX - 1)

/* The first record of a segment begins after its header page. */
#define SEGMENT_HEADER_BYTES PAGE_BYTES
#define RECORD_PREFIX_BYTES 24u
#define DESC_FIXED_BYTES 32u
#define EXTENT_BYTES 16u
#define FRAME_BYTES (NONCE_RANDOM_BYTES + BLOCK_BYTES + TAG_BYTES)
#define TRAILER_BYTES 32u
#define INDEX_FIXED_BYTES 64u
#define INDEX_ENTRY_BYTES 24u

#define RECORD_EXTENTS_MAX 64u
#define RECORD_BLOCKS_MAX 512u
/* A group is a guest write that is applied whole: up to 1 MiB, unaligned. */
#define GROUP_BLOCKS_MAX 257u
/* Records of one group: at least one block each, so this bounds replay. */
#define GROUP_RECORDS_MAX GROUP_BLOCKS_MAX

/* With compression a frame is as long as its block needs, and one length more. A
 * block that does not become as short as this is stored as it is; one that does
 * takes a page, alone in a record. */
#define ZIP_FRAME_BYTES_MIN 32u
#define ZIP_FRAME_BYTES_MAX 4128u
#define ZIP_BLOCK_BYTES_MAX 3968u

/* Blocks of a region, the unit in which the map's rows are kept. */
#define MAP_REGION_BLOCKS 131072u

/* Offsets in a segment are multiples of this, so that a map entry needs only
 * their quotient. */
#define POSITION_UNIT 8u

/* Layers are numbered from 1; blocks from 0. */
#define LAYER_MAX ((1u << 23) - 1)
#define LBA_MAX ((1ull << 40) - 1)

/* A block of a layer as one number; those of neighbouring blocks are neighbours. */
static inline uint64_t
map_key(uint32_t layer, uint64_t lba)
{
	return (uint64_t)layer << 40 | lba;
}

static inline uint32_t
map_key_layer(uint64_t key)
{
	return (uint32_t)(key >> 40);
}

static inline uint64_t
map_key_lba(uint64_t key)
{
	return key & LBA_MAX;
}

/* What a map entry says: 0 is a hole, else where the frame is. */
static inline uint64_t
position_make(uint32_t segment, uint32_t offset)
{
	return (uint64_t)segment << 32 | offset / POSITION_UNIT;
}

static inline uint32_t
position_segment(uint64_t position)
{
	return (uint32_t)(position >> 32);
}

static inline uint32_t
position_offset(uint64_t position)
{
	return (uint32_t)position * POSITION_UNIT;
}

#endif
