/*
 * map_test - the block map against a plain array: changes, holes, pages that
 * are dropped and loaded again, checkpoints in slices while changes go on; and
 * the memory limit, looked at after each step.
 */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "lbs.h"
#include "liblbs/map/map.h"
#include "liblbs/map/memtable.h"
#include "liblbs/meta/mapstore.h"

#define LAYER 3u
#define PAGES 256u
#define BLOCKS (PAGES * MAP_PAGE_BLOCKS)

/* What a metadata file would hold, and what a guest should see. */
static uint64_t persisted[BLOCKS], model[BLOCKS];
static pthread_mutex_t db = PTHREAD_MUTEX_INITIALIZER;
static struct map *map;
static uint64_t recno, loads;
static uint64_t found, missed; /* by map_lookup_loaded */

static int
load(void *ctx, uint32_t layer, uint64_t page)
{
	int rc;

	(void)ctx;
	pthread_mutex_lock(&db);
	loads++;
	rc = layer != LAYER || page >= PAGES
		     ? LBS_EIO
		     : map_page_put(map, layer, page,
				    persisted + page * MAP_PAGE_BLOCKS);
	pthread_mutex_unlock(&db);
	return rc;
}

static int
setup(void **state)
{
	(void)state;
	memset(persisted, 0, sizeof persisted);
	memset(model, 0, sizeof model);
	recno = loads = 0;
	map = map_new(MAP_LIMIT_MIN, load, NULL);
	return map ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	map_free(map);
	return 0;
}

static void
limit_holds(void)
{
	struct map_stats s;

	map_stats(map, &s);
	assert_true(s.bytes <= s.limit_bytes);
	assert_true(s.peak_bytes <= s.limit_bytes);
	assert_int_equal(s.limit_bytes, MAP_LIMIT_MIN);
}

/* ---- a checkpoint that goes on in steps ----------------------------------- */

static struct memtable_run *runs;
static size_t run_count, run_at;
static int running;

static void
checkpoint_begin(void)
{
	struct log_position behind;

	if (running || !map_freeze(map, &behind))
		return;
	assert_int_equal(behind.recno, recno);
	assert_int_equal(map_frozen_runs(map, &runs, &run_count), 0);
	run_at = 0;
	running = 1;
}

static void
checkpoint_step(size_t steps)
{
	pthread_mutex_lock(&db);
	for (; running && steps && run_at < run_count; steps--, run_at++) {
		const struct memtable_run *r = &runs[run_at];
		uint64_t lba = r->key & LBA_MAX;

		assert_int_equal(r->key >> 40, LAYER);
		for (uint64_t i = 0; i < r->count && lba + i < BLOCKS; i++)
			persisted[lba + i] =
				r->value ? position_next(r->value, i) : 0;
		map_persisted(map, r);
	}
	pthread_mutex_unlock(&db);
	if (running && run_at == run_count) {
		map_thaw(map);
		running = 0;
	}
}

/* ---- changes --------------------------------------------------------------- */

static int
apply(uint64_t lba, uint32_t count, int is_unmap)
{
	struct map_change c = { .extent = { LAYER, count, lba } };
	struct log_position behind = { ++recno, 1, 8 };

	if (!map_admit(map, &c.extent, is_unmap, 0)) {
		recno--;
		return 0;
	}
	c.position = is_unmap ? 0 : position_make((uint32_t)recno, 4096 + 88);
	map_apply(map, &c, 1, &behind);
	for (uint32_t i = 0; i < count && lba + i < BLOCKS; i++)
		model[lba + i] = is_unmap ? 0 : position_next(c.position, i);
	return 1;
}

static void
change(void)
{
	uint32_t count = (uint32_t)draw_between(1, draw(4) ? 4 : 100);
	uint64_t lba = draw(BLOCKS);
	int is_unmap = draw(4) == 0;

	if (is_unmap && draw(16) == 0)
		count = (uint32_t)draw_between(1, BLOCKS);
	if (count > BLOCKS - lba)
		count = (uint32_t)(BLOCKS - lba);
	while (!apply(lba, count, is_unmap)) {
		checkpoint_begin();
		checkpoint_step(SIZE_MAX);
	}
}

static uint64_t pinned;

static void
pin(void *ctx, uint32_t segment)
{
	(void)ctx;
	assert_true(segment > 0);
	pinned++;
}

static void
look(void)
{
	uint64_t lba = draw(BLOCKS), positions[64], same, mapped_blocks = 0;
	uint64_t before;
	uint32_t n = (uint32_t)draw_between(1, 64);
	int mapped;

	if (n > BLOCKS - lba)
		n = (uint32_t)(BLOCKS - lba);
	pinned = 0;
	assert_int_equal(map_lookup(map, LAYER, lba, n, positions, pin, NULL),
			 0);
	assert_memory_equal(positions, model + lba, n * sizeof *positions);
	for (uint32_t i = 0; i < n; i++)
		mapped_blocks += positions[i] != 0;
	assert_int_equal(pinned, mapped_blocks); /* one pin a block */

	/* Without loading: what is in memory, or nothing. */
	lba = draw(BLOCKS - 8);
	pinned = 0;
	before = loads;
	if (map_lookup_loaded(map, LAYER, lba, 8, positions, pin, NULL)) {
		found++;
		assert_memory_equal(positions, model + lba,
				    8 * sizeof *positions);
	} else {
		missed++;
		assert_int_equal(pinned, 0);
	}
	assert_int_equal(loads, before);

	n = (uint32_t)draw_between(1, 5000);
	if (n > BLOCKS - lba)
		n = (uint32_t)(BLOCKS - lba);
	assert_int_equal(map_status(map, LAYER, lba, n, &mapped, &same), 0);
	assert_int_equal(mapped, model[lba] != 0);
	assert_true(same >= 1 && same <= n);
	for (uint64_t i = 0; i < same; i++)
		assert_int_equal(model[lba + i] != 0, mapped);
	if (same < n)
		assert_int_not_equal(model[lba + same] != 0, mapped);
}

static void
the_map_is_the_array(void **state)
{
	(void)state;
	for (int i = 0; i < 4000; i++) {
		change();
		if (draw(4) == 0)
			look();
		if (draw(500) == 0)
			checkpoint_begin();
		if (draw(3) == 0)
			checkpoint_step(draw_between(1, 60));
		if (i % 16 == 0)
			limit_holds();
	}
	checkpoint_step(SIZE_MAX);
	checkpoint_begin();
	checkpoint_step(SIZE_MAX);
	assert_true(map_clean(map));
	assert_memory_equal(persisted, model, sizeof model);
	assert_true(loads > PAGES / 2); /* pages did not all stay */
	assert_true(found && missed);
}

static void
one_checkpoint_at_a_time(void **state)
{
	struct log_position behind;

	(void)state;
	assert_true(apply(0, 1, 0));
	assert_false(map_clean(map));
	assert_true(map_freeze(map, &behind));
	assert_true(map_clean(map));
	assert_false(map_freeze(map, &behind));
	assert_int_equal(map_frozen_runs(map, &runs, &run_count), 0);
	assert_int_equal(run_count, 1);
	map_thaw(map);
	assert_true(map_freeze(map, &behind));
	assert_int_equal(map_frozen_runs(map, &runs, &run_count), 0);
	assert_int_equal(run_count, 0);
	map_thaw(map);
}

static void
what_was_set_aside_is_given_back(void **state)
{
	const struct extent most = { LAYER, 257, 0 };
	uint32_t n = 0;

	(void)state;
	while (map_admit(map, &most, 0, 0))
		n++;
	assert_true(n > 10);
	assert_false(map_admit(map, &most, 0, 0));
	assert_true(map_wants_checkpoint(map) == 0); /* nothing applied yet */
	for (uint32_t i = 0; i < n; i++)
		map_unadmit(map, &most, 0);
	for (uint32_t i = 0; i < n; i++)
		assert_true(map_admit(map, &most, 0, 0));
	for (uint32_t i = 0; i < n; i++)
		map_unadmit(map, &most, 0);
	limit_holds();
}

static void
a_checkpoint_is_wanted_before_room_runs_out(void **state)
{
	uint64_t lba = 0;

	(void)state;
	while (!map_wants_checkpoint(map)) {
		assert_true(apply(lba, 16, 0));
		lba += 16;
	}
	for (int i = 0; i < 100; i++)
		assert_true(apply(lba + i, 1, 0));
}

static void
replay_may_go_over_the_limit_and_comes_back(void **state)
{
	struct log_position behind = { 0, 1, 4096 };
	struct map_stats s;

	(void)state;
	for (uint32_t i = 0; i < 40000; i++) {
		struct map_change c = { .extent = { LAYER, 1, i * 3ull },
					.position = position_make(i + 1, 4096) };

		behind.recno = ++recno;
		assert_int_equal(map_replay(map, &c, 1, &behind), 0);
		model[i * 3] = c.position;
	}
	for (int i = 0; i < 300; i++)
		look();
	checkpoint_begin();
	checkpoint_step(SIZE_MAX);
	map_stats(map, &s);
	assert_true(s.bytes <= s.limit_bytes);
	for (int i = 0; i < 300; i++)
		look();
	for (int i = 0; i < 2000; i++)
		change();
	map_stats(map, &s);
	assert_true(s.bytes <= s.limit_bytes);
}

/* ---- the cleaner ------------------------------------------------------------ */

/* Moves [lba, lba + count) from where the list says to position. */
static uint32_t
move(uint64_t lba, uint32_t count, const uint64_t *old, uint64_t position)
{
	const struct extent e = { LAYER, count, lba };
	uint32_t moved = 0, same = 0;

	if (!map_admit(map, &e, 0, 0))
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		if (model[lba + i] != old[i])
			continue;
		model[lba + i] = position_next(position, i);
		same++;
	}
	assert_int_equal(map_move(map, &e, old, position, &moved), 0);
	assert_int_equal(moved, same);
	return moved;
}

static void
look_at(uint64_t lba, uint32_t count)
{
	uint64_t positions[64];

	assert_int_equal(map_lookup(map, LAYER, lba, count, positions, pin,
				    NULL), 0);
	assert_memory_equal(positions, model + lba, count * sizeof *positions);
}

static void
a_move_never_overrules_a_writer(void **state)
{
	struct log_position before, after;
	uint64_t old[8];

	(void)state;
	assert_true(apply(100, 8, 0));
	memcpy(old, model + 100, sizeof old);
	/* Of eight, one is written again and two are discarded meanwhile. */
	assert_true(apply(103, 1, 0));
	assert_true(apply(106, 2, 1));
	map_position(map, &before);
	assert_int_equal(move(100, 8, old, position_make(900, 8192)), 5);
	map_position(map, &after);
	/* The log has not gone on. */
	assert_int_equal(after.recno, before.recno);
	look_at(90, 30);
	/* A second time nothing is where it was. */
	assert_int_equal(move(100, 8, old, position_make(901, 8192)), 0);
	/* And a writer behind the move wins. */
	assert_true(apply(100, 8, 0));
	look_at(90, 30);
}

/* Moves among changes, checkpoints in steps and pages that come and go. */
static void
moves_between_everything(void **state)
{
	uint64_t old[8], moved = 0;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		uint64_t lba = draw(BLOCKS - 8);

		memcpy(old, model + lba, sizeof old);
		for (int k = 0; k < 8; k++)
			if (!old[k] || draw(8) == 0)
				old[k] = UINT64_MAX; /* never there */
		change();
		moved += move(lba, 8, old, position_make(100000 + i, 8192));
		look();
		if (draw(50) == 0 || map_wants_checkpoint(map))
			checkpoint_begin();
		checkpoint_step(draw(5));
		limit_holds();
	}
	assert_true(moved > 100);
	checkpoint_begin();
	checkpoint_step(SIZE_MAX);
	for (int i = 0; i < 2000; i++)
		look();
}

static void
so_many_blocks_may_live(void **state)
{
	const struct extent e = { LAYER, 10, 5000 };
	uint32_t holes;

	(void)state;
	map_set_live(map, 100);
	map_set_live_max(map, 130);
	assert_true(map_allows(map, 30));
	assert_false(map_allows(map, 31));
	/* What is set aside counts, and what was applied. */
	assert_true(map_admit(map, &e, 0, 0));
	assert_true(map_allows(map, 20));
	assert_false(map_allows(map, 21));
	/* Who comes beside looks and counts in one step; nothing new always may. */
	assert_int_equal(map_admit(map, &e, 0, 21), LBS_ENOSPC);
	assert_int_equal(map_admit(map, &e, 0, 0), 1);
	map_unadmit(map, &e, 0);
	assert_int_equal(map_admit(map, &e, 0, 20), 1);
	map_unadmit(map, &e, 0);
	map_unadmit(map, &e, 0);
	assert_true(apply(5000, 10, 0));
	assert_true(map_allows(map, 20));
	assert_false(map_allows(map, 21));
	assert_int_equal(map_holes(map, LAYER, 4990, 200, &holes), 0);
	assert_int_equal(holes, 190);
	/* Frozen, it counts until it is in the persisted number. */
	checkpoint_begin();
	assert_false(map_allows(map, 21));
	map_set_live(map, 110);
	checkpoint_step(SIZE_MAX);
	assert_true(map_allows(map, 20));
	assert_false(map_allows(map, 21));
}

static void
the_position_goes_with_the_changes(void **state)
{
	struct log_position p = { 5, 2, 8192 }, q;

	(void)state;
	map_position_set(map, &p);
	recno = 5;
	assert_true(apply(0, 1, 0));
	map_position(map, &q);
	assert_int_equal(q.recno, 6);
	assert_true(map_freeze(map, &p));
	assert_true(apply(1, 1, 0));
	assert_int_equal(p.recno, 6); /* of the frozen part */
	map_position(map, &q);
	assert_int_equal(q.recno, 7);
	map_thaw(map);
}

static void
a_page_that_cannot_be_loaded_is_an_error(void **state)
{
	uint64_t position, same;
	int mapped;

	(void)state;
	assert_int_equal(map_lookup(map, LAYER + 1, 0, 1, &position, pin, NULL),
			 LBS_EIO);
	assert_int_equal(map_status(map, LAYER, BLOCKS, 1, &mapped, &same),
			 LBS_EIO);
}

/* ---- threads ---------------------------------------------------------------- */

static _Atomic int stop, backwards;

/* Blocks are only ever moved on in the log: positions never go back. */
static void *
watch(void *arg)
{
	static uint64_t last_seen[2][512];
	uint64_t *last = last_seen[*(int *)arg], p;

	while (!stop)
		for (uint64_t b = 0; b < 512; b++) {
			uint64_t lba = b * (BLOCKS / 512);

			if (map_lookup(map, LAYER, lba, 1, &p, pin, NULL) ||
			    p < last[b])
				backwards = 1;
			last[b] = p;
		}
	return NULL;
}

static void
readers_never_see_an_older_map(void **state)
{
	pthread_t reader[2];
	int which[2] = { 0, 1 };

	(void)state;
	stop = backwards = 0;
	for (int i = 0; i < 2; i++)
		pthread_create(&reader[i], NULL, watch, &which[i]);
	for (int i = 0; i < 4000; i++) {
		uint64_t lba = draw(512) * (BLOCKS / 512);

		while (!apply(lba, 1, 0)) {
			checkpoint_begin();
			checkpoint_step(SIZE_MAX);
		}
		if (i % 500 == 0)
			checkpoint_begin();
		checkpoint_step(2);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	checkpoint_step(SIZE_MAX);
	assert_false(backwards);
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(the_map_is_the_array),
		STORY(one_checkpoint_at_a_time),
		STORY(what_was_set_aside_is_given_back),
		STORY(a_checkpoint_is_wanted_before_room_runs_out),
		STORY(replay_may_go_over_the_limit_and_comes_back),
		STORY(a_move_never_overrules_a_writer),
		STORY(moves_between_everything),
		STORY(so_many_blocks_may_live),
		STORY(the_position_goes_with_the_changes),
		STORY(a_page_that_cannot_be_loaded_is_an_error),
		STORY(readers_never_see_an_older_map),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
