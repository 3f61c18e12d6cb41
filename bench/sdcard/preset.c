/*
 * preset.c - the cards. Speeds: iozone -e -I -s 100M on a NanoPi NEO4, Thomas
 * Kaiser, "A1 and A2 rated SD cards" (github.com/ThomasKaiser/Knowledge, 2018):
 * rewrite, random write, reread, random read. Must never be tuned to flatter a
 * store.
 */
#include "bench/sdcard/preset.h"

#include <string.h>

#define KIB 1024u
#define MIB (1024u * KIB)

#define PAGE_WHOLE_CARD                                                        \
	"random writes over more than 256 MiB: no measurement was found; "     \
	"they follow from an assumed spare room and greedy collection"

const uint32_t sdcard_point_bytes[SDCARD_POINTS] = {
	KIB, 4 * KIB, 16 * KIB, 128 * KIB, 512 * KIB, MIB, 16 * MIB
};

const struct sdcard_params sdcard_presets[] = {
	{
		.name = "class4-2013",
		.calibrated_on = "Intenso class 4, 4 GB (iozone); open units: "
				 "SanDisk SD4GB 01/2014 (flashbench, "
				 "wirenboard/sdcard_benchmark #21)",
		.extrapolated = "",
		.mapping = SDCARD_BLOCK,
		.capacity_bytes = 3980394496ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 366, 1392, 6068, 8557, 9108, 9192, 10630 },
		.random_write = { 97, 138, 38, 307, 1230, 2340, 10604 },
		.seq_read = { 1826, 9678, 12314, 24681, 38871, 40806, 43963 },
		.random_read = { 1469, 6795, 11324, 29268, 29798, 40590,
				 43714 },
		.open_units = 3,
		.random_in_open = 1,
		.full_merge = 2.2,
		.copy_bandwidth = 10.05,
		.erase_us = 3000,
		.small_bytes = 8 * KIB,
		.small_grain = KIB,
		.small_capacity = 820 * KIB,
		.fat_units = 2,
		.fat_cost = 2.0,
	},
	{
		.name = "c10-ultra-2014",
		.calibrated_on = "SanDisk Ultra 8 GB (iozone); open units: "
				 "SanDisk SL08G 09/2014 (flashbench, "
				 "wirenboard/sdcard_benchmark #27)",
		.extrapolated = "random writes over more than 256 MiB: no "
				"measurement was found",
		.mapping = SDCARD_BLOCK,
		.capacity_bytes = 7948206080ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 455, 2515, 5800, 10984, 10216, 11369, 13070 },
		.random_write = { 179, 644, 84, 708, 2637, 5303, 12895 },
		.seq_read = { 2572, 8779, 22891, 39787, 43473, 44640, 45851 },
		.random_read = { 2173, 8576, 22608, 39844, 43357, 44654,
				 45842 },
		.open_units = 8,
		.start_opens = 1,
		.full_merge = 1.0,
		.copy_bandwidth = 22.8,
		.erase_us = 3000,
		.small_bytes = 8 * KIB,
		.small_grain = 4 * KIB,
		.small_capacity = 2080 * KIB,
		.fat_units = 2,
		.fat_cost = 1.0,
	},
	{
		.name = "a1-2018",
		.calibrated_on = "SanDisk Ultra A1, 32 GB (iozone)",
		.extrapolated = PAGE_WHOLE_CARD,
		.mapping = SDCARD_PAGE,
		.capacity_bytes = 31914983424ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 728, 3976, 7848, 14261, 17336, 15794, 17443 },
		.random_write = { 469, 3619, 8458, 14653, 16309, 17353, 19108 },
		.seq_read = { 2873, 12972, 30202, 54568, 62926, 64551, 67064 },
		.random_read = { 2539, 10833, 26719, 53179, 62427, 64401,
				 67177 },
		.collect_bytes = 24 * MIB,
		.spare = 0.07,
		.collect_bandwidth = 17.5,
		.stall_us = 250000,
	},
	{
		.name = "a1-extreme-2018",
		.calibrated_on = "SanDisk Extreme A1, 32 GB (iozone)",
		.extrapolated = PAGE_WHOLE_CARD,
		.mapping = SDCARD_PAGE,
		.capacity_bytes = 31914983424ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 728, 3566, 11445, 33067, 56009, 59496, 62397 },
		.random_write = { 834, 5888, 17431, 30835, 50015, 57174,
				  60207 },
		.seq_read = { 4427, 14501, 34261, 57002, 63367, 64813, 67549 },
		.random_read = { 3990, 13190, 34426, 56853, 63556, 64998,
				 67397 },
		.collect_bytes = 24 * MIB,
		.spare = 0.07,
		.collect_bandwidth = 60,
		.stall_us = 250000,
	},
	{
		.name = "a2-qd1-nocq",
		.calibrated_on = "SanDisk Extreme Pro A2, 64 GB, on a host "
				 "without command queue and cache (iozone)",
		.extrapolated = PAGE_WHOLE_CARD,
		.mapping = SDCARD_PAGE,
		.capacity_bytes = 63864569856ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 402, 1992, 7211, 29972, 45891, 50722, 50280 },
		.random_write = { 453, 2324, 10498, 22742, 42485, 47495,
				  50872 },
		.seq_read = { 2113, 7061, 21114, 52185, 63204, 64811, 66582 },
		.random_read = { 2113, 5373, 19999, 52588, 62857, 64823,
				 67026 },
		.collect_bytes = 24 * MIB,
		.spare = 0.07,
		.collect_bandwidth = 50,
		.stall_us = 250000,
	},
	{
		.name = "a2-cache",
		.calibrated_on = "composite: a2-qd1-nocq with the SD 6.0 cache "
				 "on, to the 2000 random writes a second that "
				 "the A2 class demands",
		.extrapolated = "the cache as a whole; " PAGE_WHOLE_CARD,
		.mapping = SDCARD_PAGE,
		.capacity_bytes = 63864569856ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 402, 1992, 7211, 29972, 45891, 50722, 50280 },
		.random_write = { 453, 2324, 10498, 22742, 42485, 47495,
				  50872 },
		.seq_read = { 2113, 7061, 21114, 52185, 63204, 64811, 66582 },
		.random_read = { 2113, 5373, 19999, 52588, 62857, 64823,
				 67026 },
		.collect_bytes = 24 * MIB,
		.spare = 0.07,
		.collect_bandwidth = 50,
		.stall_us = 250000,
		.cache_bytes = MIB,
		.cache_ack_us = 200,
		.cache_gain = 3.5,
	},
	{
		.name = "emmc-8g",
		.calibrated_on = "Samsung eMMC, 8 GB, on a FriendlyELEC module "
				 "(iozone)",
		.extrapolated = PAGE_WHOLE_CARD,
		.mapping = SDCARD_PAGE,
		.capacity_bytes = 7818182656ull,
		.au_bytes = 4 * MIB,
		.seq_write = { 1645, 9373, 27158, 43759, 46294, 46465, 45505 },
		.random_write = { 1489, 9103, 25484, 39000, 44290, 44586,
				  46700 },
		.seq_read = { 7055, 25197, 67510, 115340, 126779, 129898,
			      128908 },
		.random_read = { 5350, 19767, 57136, 111551, 125928, 126701,
				 129072 },
		.collect_bytes = 8 * MIB,
		.spare = 0.08,
		.collect_bandwidth = 45,
		.stall_us = 250000,
	},
	{ .name = NULL },
};

const struct sdcard_params *
sdcard_preset(const char *name)
{
	for (const struct sdcard_params *p = sdcard_presets; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}
