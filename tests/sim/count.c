/*
 * count.c - see count.h.
 */
#include "tests/sim/count.h"

const char *sim_count_name(enum sim_tally c)
{
	static const char *const names[SIM_COUNTS] = {
		[COUNT_WRITES] = "writes",
		[COUNT_ZEROES] = "zeroes",
		[COUNT_DISCARDS] = "discards",
		[COUNT_READS] = "reads",
		[COUNT_EXTENTS] = "extents",
		[COUNT_FLUSHES] = "flushes",
		[COUNT_CHECKPOINTS] = "checkpoints",
		[COUNT_CLEANS] = "cleaned_by_hand",
		[COUNT_CHECKS] = "whole_disk_checks",
		[COUNT_CLOSES] = "clean_closes",
		[COUNT_POWER_CUT] = "power_cut",
		[COUNT_OPENING_CUT] = "cut_while_opening",
		[COUNT_SIGKILL] = "sigkill",
		[COUNT_CARD_READ_EIO] = "card_read_eio",
		[COUNT_CARD_WRITE_EIO] = "card_write_eio",
		[COUNT_CARD_SYNC_EIO] = "card_sync_eio",
		[COUNT_FLASH_READ_EIO] = "flash_read_eio",
		[COUNT_FLASH_WRITE_EIO] = "flash_write_eio",
		[COUNT_FLASH_SYNC_EIO] = "flash_sync_eio",
		[COUNT_CARD_SHORT_WRITE] = "card_short_write",
		[COUNT_FLASH_SHORT_WRITE] = "flash_short_write",
		[COUNT_CARD_DROPPED_SYNC] = "card_sync_dropped_pages",
		[COUNT_FLASH_DROPPED_SYNC] = "flash_sync_dropped_pages",
		[COUNT_CARD_FULL] = "card_full",
		[COUNT_FLASH_FULL] = "flash_full",
		[COUNT_CARD_GONE] = "card_gone",
		[COUNT_BIT_ROT] = "bit_rot",
		[COUNT_STRAY_WRITE] = "misdirected_write",
		[COUNT_LYING_CARD] = "lying_card_lost",
		[COUNT_LOST_100MS] = "card_lost_100ms",
		[COUNT_LOST_700MS] = "card_lost_700ms",
		[COUNT_OLD_FLASH] = "older_flash_restored",
		[COUNT_OLD_CARD] = "older_card_restored",
		[COUNT_OPENINGS] = "openings",
		[COUNT_FAILED_STORES] = "stores_failed",
		[COUNT_NO_SPACE] = "requests_no_space",
		[COUNT_DAMAGED] = "blocks_damaged",
		[COUNT_DATA_MISSING] = "refused_data_missing",
		[COUNT_STALE_CARD] = "refused_stale_card",
		[COUNT_STALE_METADATA] = "refused_stale_metadata",
		[COUNT_LOG_DAMAGED] = "refused_damaged",
		[COUNT_CARD_MISSING] = "refused_card_missing",
		[COUNT_OPENING_ERRORS] = "openings_met_errors",
		[COUNT_ACCEPTED] = "losses_accepted",
		[COUNT_NO_ROOM_TO_ACCEPT] = "losses_without_room_to_accept",
		[COUNT_ROLLED_FORWARD] = "records_rolled_forward",
		[COUNT_STORE_CHECKPOINTS] = "store_checkpoints",
		[COUNT_GIVEN_BACK] = "kib_given_back",
		[COUNT_SEALINGS] = "sealings",
	};

	return names[c];
}
