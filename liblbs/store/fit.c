/*
 * fit.c - see fit.h; DESIGN.md, "Fitting the card", has the reasons. Pure.
 */
#include "liblbs/store/fit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIB	   (1ull << 20)
#define GB	   1000000000ull
#define UNIT_USUAL (4 * MIB)	/* of 20 in 28 cards that were surveyed */
#define UNALIGNED  (16 * MIB)	/* four usual units: a cut one at each end
				 * costs little */
#define LARGE_CARD (64 * GB)	/* from here on units may be larger */
#define LARGE	   (32 * MIB)
#define SMALLEST   MIB
#define LARGEST	   (64 * MIB)
#define LEAST_MANY 128u /* segments, so that there are some to choose from */

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t
fit_unit(const struct card_facts *facts)
{
	return facts->unit_bytes ? facts->unit_bytes : UNIT_USUAL;
}

static uint64_t
choose_segment(const struct card_facts *facts, uint64_t capacity_bytes,
	       const struct fit *fit)
{
	uint64_t segment = SMALLEST, wanted;

	if (facts->aligned)
		wanted = larger(fit->unit_bytes, UNIT_USUAL);
	else
		wanted = larger(4 * fit->unit_bytes, UNALIGNED);
	/* What the kernel calls the unit may be a part of it, the more so on
	 * large cards. */
	if (facts->card_bytes >= LARGE_CARD)
		wanted = larger(wanted, LARGE);
	if (wanted > LARGEST)
		wanted = LARGEST;
	while (segment < wanted && capacity_bytes / (segment * 2) >= LEAST_MANY)
		segment *= 2;
	return segment;
}

static void advise(struct fit *fit, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
advise(struct fit *fit, const char *format, ...)
{
	va_list args;

	if (fit->advice_count == FIT_ADVICE_MAX)
		return;
	va_start(args, format);
	vsnprintf(fit->advice[fit->advice_count++], FIT_ADVICE_BYTES, format,
		  args);
	va_end(args);
}

static void
advise_fs(struct fit *fit, enum card_fs fs)
{
	switch (fs) {
	case CARD_FS_MEMORY:
		advise(fit, "the data directory lies in memory and is gone at "
			    "the next start: use a directory on the card");
		break;
	case CARD_FS_NETWORK:
		advise(fit, "the data directory lies on a network file system: "
			    "what a flush is worth there, and who else writes, "
			    "only its server knows: use a disk of this machine");
		break;
	case CARD_FS_FUSE:
		advise(fit, "the data directory lies on a FUSE file system, "
			    "which may acknowledge a sync without one: mount the "
			    "card with the kernel's own driver");
		break;
	case CARD_FS_NTFS:
		advise(fit, "the card is NTFS, which Linux refuses to mount for "
			    "writing after a power cut until Windows has checked "
			    "it: format it as exFAT");
		break;
	case CARD_FS_BTRFS:
		advise(fit, "btrfs writes every block to a new place, so nothing "
			    "is kept ready for the log and room can run out: set "
			    "'chattr +C' on the empty data directory first");
		break;
	case CARD_FS_OTHER:
	case CARD_FS_VFAT:
	case CARD_FS_EXFAT:
		break;
	}
}

void
fit_choose(const struct card_facts *facts, uint64_t capacity_bytes,
	   uint64_t segment_bytes, struct fit *fit)
{
	int on_card = facts->fs != CARD_FS_MEMORY &&
		      facts->fs != CARD_FS_NETWORK && facts->has_partition;
	uint64_t past;

	memset(fit, 0, sizeof *fit);
	fit->unit_told = facts->unit_bytes != 0;
	fit->unit_bytes = fit_unit(facts);
	fit->segment_bytes = segment_bytes ? segment_bytes
					   : choose_segment(facts,
							    capacity_bytes, fit);
	advise_fs(fit, facts->fs);
	past = facts->partition_bytes % fit->unit_bytes;
	if (on_card && past && (fit->unit_told || facts->fs == CARD_FS_VFAT ||
				facts->fs == CARD_FS_EXFAT))
		advise(fit,
		       "the card's partition begins %llu KiB past a multiple of "
		       "%llu MiB, its allocation unit%s, which makes FAT and data "
		       "share units: let it begin at sector 8192 or a multiple "
		       "(sfdisk), and make the file system anew",
		       (unsigned long long)past >> 10,
		       (unsigned long long)(fit->unit_bytes / MIB),
		       fit->unit_told ? "" : " if it is as most cards'");
	if (on_card && fit->unit_told && fit->segment_bytes < fit->unit_bytes)
		advise(fit,
		       "segments of %llu MiB are smaller than the card's "
		       "allocation unit of %llu MiB, which it then copies: use "
		       "--segment-size %lluM%s",
		       (unsigned long long)(fit->segment_bytes / MIB),
		       (unsigned long long)(fit->unit_bytes / MIB),
		       (unsigned long long)(fit->unit_bytes / MIB),
		       segment_bytes ? "" : " and a larger capacity");
	past = facts->chunk_known ? facts->chunk_bytes % fit->unit_bytes : 0;
	if (on_card && past && fit->segment_bytes < 4 * fit->unit_bytes &&
	    (fit->unit_told || facts->fs == CARD_FS_VFAT ||
	     facts->fs == CARD_FS_EXFAT))
		advise(fit,
		       "the store's files begin %llu KiB past an allocation unit "
		       "of the card, and segments of %llu MiB are small for that: "
		       "use --segment-size %lluM, or make the store as root, "
		       "where it can see to its place",
		       (unsigned long long)past >> 10,
		       (unsigned long long)(fit->segment_bytes / MIB),
		       (unsigned long long)(larger(4 * fit->unit_bytes, UNALIGNED) / MIB));
}
