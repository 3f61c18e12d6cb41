/*
 * preset.h - what distinguishes one card from another: measured speeds, and the
 * parameters of what its controller does between the measurements.
 * Must never hold a figure without a source: README.md beside this file names
 * them.
 */
#ifndef LBS_BENCH_SDCARD_PRESET_H
#define LBS_BENCH_SDCARD_PRESET_H

#include <stddef.h>
#include <stdint.h>

/* Request sizes at which cards were measured: 1, 4, 16, 128 and 512 KiB, 1 and
 * 16 MiB. */
#define SDCARD_POINTS 7
extern const uint32_t sdcard_point_bytes[SDCARD_POINTS];

enum sdcard_mapping {
	SDCARD_BLOCK, /* by allocation units, of which a few are open */
	SDCARD_PAGE   /* by pages of 4 KiB, with garbage collection */
};

/* Speeds in KiB/s at the points above; bandwidths in bytes per microsecond. */
struct sdcard_params {
	const char *name;
	const char *calibrated_on;
	const char *extrapolated; /* what nobody has measured, or "" */
	enum sdcard_mapping mapping;
	uint64_t capacity_bytes;
	uint32_t au_bytes;
	double seq_write[SDCARD_POINTS], random_write[SDCARD_POINTS];
	double seq_read[SDCARD_POINTS], random_read[SDCARD_POINTS];

	/* SDCARD_BLOCK; random_write is published, and not used: what random
	 * writes cost follows from these */
	unsigned open_units;
	int random_in_open; /* an open unit takes writes out of order */
	int start_opens;    /* a small write at a unit's start opens it */
	double full_merge;  /* a unit written out of order copies this often */
	double copy_bandwidth;
	uint32_t erase_us;
	uint32_t small_bytes; /* the exception cache takes writes up to this, */
	uint32_t small_grain; /* rounded up to this, */
	uint32_t small_capacity; /* until it holds this much */
	unsigned fat_units;	 /* the first units, kept for a FAT, */
	double fat_cost;	 /* and what they cost more */

	/* SDCARD_PAGE */
	uint32_t collect_bytes; /* the unit of garbage collection */
	double spare;		/* room beyond the capacity, relative to it */
	double collect_bandwidth;
	uint32_t stall_us; /* the most of a collection that one write pays */

	/* volatile cache; 0: none */
	uint32_t cache_bytes;
	uint32_t cache_ack_us;
	double cache_gain; /* drains so much faster than single writes */
};

/* All presets, ended by one without a name. */
extern const struct sdcard_params sdcard_presets[];
/* NULL if there is none of that name. */
const struct sdcard_params *sdcard_preset(const char *name);

#endif
