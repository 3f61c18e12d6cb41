/*
 * fit_test - how a store fits its card: from what the kernel says to the size of
 * segments and the advice. No file system is looked at.
 */
#include "tests/unit/unit.h"

#include <string.h>

#include "liblbs/store/fit.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct fit
fit_of(const struct card_facts *facts, uint64_t capacity, uint64_t segment)
{
	struct fit fit;

	fit_choose(facts, capacity, segment, &fit);
	assert_true(fit.segment_bytes >= MIB && fit.segment_bytes <= 64 * MIB);
	assert_true((fit.segment_bytes & (fit.segment_bytes - 1)) == 0);
	return fit;
}

/* A card as it is sold, 32 GB, FAT32 from sector 8192. */
static struct card_facts
usual_card(void)
{
	return (struct card_facts){
		.fs = CARD_FS_VFAT,
		.has_partition = 1,
		.card_bytes = 32000000000,
		.unit_bytes = 4 * MIB,
		.partition_bytes = 4 * MIB,
		.cluster_bytes = 32 << 10,
		.aligned = 1,
	};
}

static void
segments(void **state)
{
	static const struct {
		int aligned;
		uint64_t card_bytes, unit, capacity, segment;
	} cases[] = {
		/* One unit, when the kernel lets us see where files lie... */
		{ 1, 32000000000, 4 * MIB, 20 * GIB, 4 * MIB },
		{ 1, 32000000000, 8 * MIB, 20 * GIB, 8 * MIB },
		{ 1, 32000000000, 0, 20 * GIB, 4 * MIB },
		/* ...but not less than the usual one: it is often a part. */
		{ 1, 32000000000, 512 << 10, 20 * GIB, 4 * MIB },
		/* Else four, of which two are cut. */
		{ 0, 32000000000, 4 * MIB, 20 * GIB, 16 * MIB },
		{ 0, 32000000000, 0, 20 * GIB, 16 * MIB },
		{ 0, 32000000000, 8 * MIB, 20 * GIB, 32 * MIB },
		{ 0, 32000000000, 64 * MIB, 20 * GIB, 64 * MIB },
		{ 0, 0, 0, 20 * GIB, 16 * MIB },
		/* Large cards. */
		{ 1, 64000000000, 4 * MIB, 40 * GIB, 32 * MIB },
		{ 0, 128000000000, 0, 100 * GIB, 32 * MIB },
		{ 1, 512000000000, 64 * MIB, 400 * GIB, 64 * MIB },
		/* There must be segments to choose from. */
		{ 1, 32000000000, 4 * MIB, 512 * MIB, 4 * MIB },
		{ 1, 32000000000, 4 * MIB, 511 * MIB, 2 * MIB },
		{ 0, 32000000000, 4 * MIB, 1 * GIB, 8 * MIB },
		{ 0, 128000000000, 0, 2 * GIB, 16 * MIB },
		{ 0, 0, 0, 5 * MIB, 1 * MIB },
		{ 0, 0, 0, 0, 1 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct card_facts facts = usual_card();

		facts.aligned = cases[i].aligned;
		facts.card_bytes = cases[i].card_bytes;
		facts.unit_bytes = cases[i].unit;
		assert_int_equal(fit_of(&facts, cases[i].capacity, 0).segment_bytes,
				 cases[i].segment);
	}
}

/* A usual card gets no advice, whatever is not told. */
static void
nothing_to_say(void **state)
{
	static const enum card_fs quiet[] = { CARD_FS_VFAT, CARD_FS_EXFAT,
					      CARD_FS_OTHER };

	(void)state;
	for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) {
		struct card_facts facts = usual_card(), none = { 0 };

		facts.fs = quiet[i];
		assert_int_equal(fit_of(&facts, 20 * GIB, 0).advice_count, 0);
		facts.unit_bytes = 0;
		facts.aligned = 0;
		assert_int_equal(fit_of(&facts, 20 * GIB, 0).advice_count, 0);
		none.fs = quiet[i];
		assert_int_equal(fit_of(&none, 64 * MIB, 0).advice_count, 0);
	}
}

static void
file_systems(void **state)
{
	static const struct {
		enum card_fs fs;
		const char *remedy;
	} cases[] = {
		{ CARD_FS_MEMORY, "use a directory on the card" },
		{ CARD_FS_NETWORK, "use a disk of this machine" },
		{ CARD_FS_FUSE, "the kernel's own driver" },
		{ CARD_FS_NTFS, "format it as exFAT" },
		{ CARD_FS_BTRFS, "chattr +C" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct card_facts facts = { .fs = cases[i].fs };
		struct fit fit = fit_of(&facts, 20 * GIB, 0);

		assert_int_equal(fit.advice_count, 1);
		assert_non_null(strstr(fit.advice[0], cases[i].remedy));
		assert_int_equal(fit.segment_bytes, 16 * MIB);
	}
}

static void
misaligned_partition(void **state)
{
	struct card_facts facts = usual_card();
	struct fit fit;

	(void)state;
	facts.partition_bytes = 63 * 512; /* as partitions once began */
	fit = fit_of(&facts, 20 * GIB, 0);
	assert_int_equal(fit.advice_count, 1);
	assert_non_null(strstr(fit.advice[0], "31 KiB past"));
	assert_non_null(strstr(fit.advice[0], "sector 8192"));
	assert_null(strstr(fit.advice[0], "if it is as"));
	/* Where the unit is assumed it says so; of other disks it knows nothing. */
	facts.unit_bytes = 0;
	fit = fit_of(&facts, 20 * GIB, 0);
	assert_non_null(strstr(fit.advice[0], "if it is as most cards'"));
	facts.fs = CARD_FS_OTHER;
	assert_int_equal(fit_of(&facts, 20 * GIB, 0).advice_count, 0);
	facts.unit_bytes = 4 * MIB;
	assert_int_equal(fit_of(&facts, 20 * GIB, 0).advice_count, 1);
	/* Begins on a unit of 4 MiB, not on one of 8. */
	facts.partition_bytes = 4 * MIB;
	facts.unit_bytes = 8 * MIB;
	assert_int_equal(fit_of(&facts, 20 * GIB, 0).advice_count, 1);
}

/* The user's own choice stands, with a word about it. */
static void
own_choice(void **state)
{
	struct card_facts facts = usual_card();
	struct fit fit = fit_of(&facts, 20 * GIB, MIB);

	(void)state;
	assert_int_equal(fit.segment_bytes, MIB);
	assert_int_equal(fit.advice_count, 1);
	assert_non_null(strstr(fit.advice[0], "--segment-size 4M"));
	assert_null(strstr(fit.advice[0], "capacity"));
	assert_int_equal(fit_of(&facts, 20 * GIB, 8 * MIB).advice_count, 0);
	/* A small store cannot follow; a larger one could. */
	fit = fit_of(&facts, 100 * MIB, 0);
	assert_int_equal(fit.segment_bytes, MIB);
	assert_non_null(strstr(fit.advice[0], "larger capacity"));
}

/* Files that turn out to lie between units. */
static void
misplaced_files(void **state)
{
	struct card_facts facts = usual_card();
	struct fit fit;

	(void)state;
	facts.chunk_known = 1;
	facts.chunk_bytes = 16 * MIB;
	assert_int_equal(fit_of(&facts, 20 * GIB, 4 * MIB).advice_count, 0);
	facts.chunk_bytes += 32 << 10;
	fit = fit_of(&facts, 20 * GIB, 4 * MIB);
	assert_int_equal(fit.advice_count, 1);
	assert_non_null(strstr(fit.advice[0], "32 KiB past"));
	assert_non_null(strstr(fit.advice[0], "--segment-size 16M"));
	assert_int_equal(fit_of(&facts, 20 * GIB, 16 * MIB).advice_count, 0);
	facts.fs = CARD_FS_OTHER;
	facts.unit_bytes = 0;
	assert_int_equal(fit_of(&facts, 20 * GIB, 4 * MIB).advice_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments),
		cmocka_unit_test(nothing_to_say),
		cmocka_unit_test(file_systems),
		cmocka_unit_test(misaligned_partition),
		cmocka_unit_test(own_choice),
		cmocka_unit_test(misplaced_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
