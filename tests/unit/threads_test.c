/*
 * threads_test - many callers at once: sectors of one block written by several
 * threads are all kept, flushes are shared, and readers see whole blocks.
 */
#include "tests/unit/own_card.h"

#include <pthread.h>

#include "liblbs/store/internal.h"

#define SIZE (24 * MIB)

static int
setup(void **state)
{
	(void)state;
	return store_make(SIZE, 160 * MIB);
}

/* cmocka's assertions are for its own thread: the others count. */
static _Atomic int faults, stop;

static uint64_t
next(uint64_t *seed)
{
	return (*seed = *seed * 6364136223846793005ull + 1442695040888963407ull) >>
	       33;
}

/* ---- neighbours in one block ------------------------------------------------ */

#define NEIGHBOURS 4
#define SHARED_BLOCKS 24
#define PASSES 40

/* Each writes its own sectors of the same blocks, a new value in each pass. */
static void *
write_own_sectors(void *arg)
{
	uint8_t sector[1024];
	int me = *(int *)arg;

	for (int pass = 1; pass <= PASSES; pass++)
		for (uint64_t b = 0; b < SHARED_BLOCKS; b++) {
			memset(sector, me * PASSES + pass, sizeof sector);
			if (lbs_vdisk_write(disk, sector, sizeof sector,
					    b * 4096 + (uint64_t)me * 1024, 0))
				faults++;
		}
	return NULL;
}

static void
nothing_is_lost_in_a_shared_block(void **state)
{
	pthread_t t[NEIGHBOURS];
	int me[NEIGHBOURS];
	uint8_t block[4096];

	(void)state;
	faults = 0;
	for (int i = 0; i < NEIGHBOURS; i++) {
		me[i] = i;
		pthread_create(&t[i], NULL, write_own_sectors, &me[i]);
	}
	for (int i = 0; i < NEIGHBOURS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(faults, 0);
	for (uint64_t b = 0; b < SHARED_BLOCKS; b++) {
		assert_int_equal(lbs_vdisk_read(disk, block, 4096, b * 4096), 0);
		for (int i = 0; i < 4096; i++)
			assert_int_equal(block[i],
					 (uint8_t)(i / 1024 * PASSES + PASSES));
	}
}

/* One writes a sector again and again, the other the whole block: after each
 * pair the block is one of the two orders, never a mixture. */
static void *
write_whole_blocks(void *arg)
{
	uint8_t block[4096];

	(void)arg;
	for (int i = 0; i < 1500; i++) {
		memset(block, i % 100, sizeof block);
		if (lbs_vdisk_write(disk, block, sizeof block, 0, 0))
			faults++;
	}
	stop = 1;
	return NULL;
}

static void *
write_one_sector(void *arg)
{
	uint8_t sector[512];

	(void)arg;
	memset(sector, 200, sizeof sector);
	while (!stop)
		if (lbs_vdisk_write(disk, sector, sizeof sector, 1024, 0))
			faults++;
	return NULL;
}

static void *
read_whole_block(void *arg)
{
	uint8_t block[4096];

	(void)arg;
	while (!stop) {
		if (lbs_vdisk_read(disk, block, sizeof block, 0))
			faults++;
		for (int i = 1; i < 4096; i++)
			if (block[i] != block[0] &&
			    !(i >= 1024 && i < 1536 && block[i] == 200))
				faults++;
	}
	return NULL;
}

static void
a_block_is_never_a_mixture(void **state)
{
	pthread_t t[4];

	(void)state;
	faults = stop = 0;
	pthread_create(&t[0], NULL, write_whole_blocks, NULL);
	pthread_create(&t[1], NULL, write_one_sector, NULL);
	pthread_create(&t[2], NULL, read_whole_block, NULL);
	pthread_create(&t[3], NULL, read_whole_block, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(faults, 0);
}

/* ---- a busy disk --------------------------------------------------------------- */

#define GUESTS 5
#define PART (SIZE / GUESTS / 4096 * 4096)

struct guest {
	uint8_t *model;
	uint64_t base, seed;
};

static void
guest_step(struct guest *g)
{
	uint64_t r = next(&g->seed), at = next(&g->seed) % (PART - 70000);
	size_t len = 1 + next(&g->seed) % (r % 5 ? 9000 : 70000);
	unsigned flags = r % 41 == 0 ? LBS_FUA : 0;
	uint8_t *m = g->model + at;
	uint8_t back[4096];
	int rc = 0;

	if (r % 11 == 0) {
		rc = lbs_vdisk_write_zeroes(disk, len, g->base + at, flags);
		memset(m, 0, len);
	} else if (r % 13 == 0) {
		at = at / 4096 * 4096;
		len = (len + 4095) / 4096 * 4096;
		rc = lbs_vdisk_discard(disk, len, g->base + at, flags);
		memset(g->model + at, 0, len);
	} else if (r % 29 == 0) {
		rc = lbs_vdisk_flush(disk);
	} else if (r % 97 == 0) {
		rc = lbs_store_checkpoint(store);
	} else {
		memset(m, (int)(r >> 8), len);
		rc = lbs_vdisk_write(disk, m, len, g->base + at, flags);
	}
	if (rc)
		faults++;
	at = next(&g->seed) % (PART - sizeof back);
	if (lbs_vdisk_read(disk, back, sizeof back, g->base + at) ||
	    memcmp(back, g->model + at, sizeof back))
		faults++;
}

static void *
guest_run(void *arg)
{
	for (int i = 0; i < 400; i++)
		guest_step(arg);
	return NULL;
}

static void
guests_in_their_own_parts_do_not_disturb_each_other(void **state)
{
	struct guest g[GUESTS];
	pthread_t t[GUESTS];
	uint8_t *all = malloc(PART);

	(void)state;
	faults = 0;
	for (int i = 0; i < GUESTS; i++) {
		g[i] = (struct guest){ calloc(1, PART), (uint64_t)i * PART,
				       draw64() };
		pthread_create(&t[i], NULL, guest_run, &g[i]);
	}
	for (int i = 0; i < GUESTS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(faults, 0);
	for (int again = 0; again < 2; again++) {
		for (int i = 0; i < GUESTS; i++) {
			assert_int_equal(lbs_vdisk_read(disk, all, PART,
							g[i].base), 0);
			assert_memory_equal(all, g[i].model, PART);
		}
		assert_int_equal(store_close(), 0);
		assert_int_equal(store_open(0), 0);
	}
	for (int i = 0; i < GUESTS; i++)
		free(g[i].model);
	free(all);
}

/* ---- flushes ------------------------------------------------------------------- */

static _Atomic uint64_t flushes;

static void *
write_and_flush(void *arg)
{
	uint64_t block = *(uint64_t *)arg;
	uint8_t data[4096] = { 1 };

	for (int i = 0; i < 60; i++) {
		uint64_t recno, v[LBS_STAT_COUNT];

		if (lbs_vdisk_write(disk, data, 4096, block * 4096, 0))
			faults++;
		/* Whatever is applied now is durable after the flush. */
		recno = store_stat(LBS_STAT_LAST_RECORD);
		if (lbs_vdisk_flush(disk) ||
		    store_stat(LBS_STAT_DURABLE_RECORD) < recno)
			faults++;
		/* In one look nothing is durable that is not there. */
		lbs_store_stat(store, v);
		if (v[LBS_STAT_DURABLE_RECORD] > v[LBS_STAT_LAST_RECORD] ||
		    v[LBS_STAT_CHECKPOINT_RECORD] > v[LBS_STAT_DURABLE_RECORD])
			faults++;
		flushes++;
	}
	return NULL;
}

static void
flushes_are_shared_and_cover_all_before_them(void **state)
{
	uint64_t block[6], syncs = store_stat(LBS_STAT_CARD_SYNCS);
	pthread_t t[6];

	(void)state;
	faults = 0;
	flushes = 0;
	for (uint64_t i = 0; i < 6; i++) {
		block[i] = i;
		pthread_create(&t[i], NULL, write_and_flush, &block[i]);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(faults, 0);
	/* Never more syncs than flushes (two chunk files at a boundary). */
	assert_true(store_stat(LBS_STAT_CARD_SYNCS) - syncs <= flushes + 16);
}

/* A card that takes its time. */
static const struct medium_ops *fast;
static struct medium_ops slow;

static int
sync_slowly(struct medium *m, uint32_t file)
{
	usleep(40000);
	return fast->sync(m, file);
}

static uint64_t
syncs_of(int writers)
{
	uint64_t block[6], syncs = store_stat(LBS_STAT_CARD_SYNCS);
	pthread_t t[6];

	for (int i = 0; i < writers; i++) {
		block[i] = (uint64_t)i;
		pthread_create(&t[i], NULL, write_and_flush, &block[i]);
	}
	for (int i = 0; i < writers; i++)
		pthread_join(t[i], NULL);
	return store_stat(LBS_STAT_CARD_SYNCS) - syncs;
}

/* Without the wait two rounds take turns, with half of the writers each. A machine that
 * is busy with other things may let them come too late: not five times. */
static void
a_round_waits_for_those_that_come_back(void **state)
{
	uint64_t syncs = UINT64_MAX;

	(void)state;
	faults = 0;
	own_card_make();
	fast = card->ops;
	slow = *fast;
	slow.sync = sync_slowly;
	card->ops = &slow;
	own_card_open(1);
	for (int i = 0; i < 5 && syncs >= 360 / 4; i++)
		syncs = syncs_of(6);
	assert_true(syncs < 360 / 4);
	/* One that is alone again has waited in vain once at most: then nobody else
	 * took part, and nobody is waited for. */
	assert_in_range(syncs_of(1), 60, 76);
	assert_int_equal(store->flush.crowd, 1);
	assert_int_equal(store->flush.waiting, 0);
	assert_int_equal(faults, 0);
	own_card_close();
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, store_remove)
	const struct CMUnitTest tests[] = {
		STORY(nothing_is_lost_in_a_shared_block),
		STORY(a_block_is_never_a_mixture),
		STORY(guests_in_their_own_parts_do_not_disturb_each_other),
		STORY(flushes_are_shared_and_cover_all_before_them),
		STORY(a_round_waits_for_those_that_come_back),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
