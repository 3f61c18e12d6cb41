/*
 * mapstore_test - the map in the metadata file against a plain array: base rows
 * and deltas are read as what was written last, folds change nothing but the
 * rows, not even between their steps, and rows that make no sense are refused.
 */
#include "tests/unit/meta.h"

#include "crypto/secret.h"
#include "liblbs/meta/mapstore.h"

#define LAYER 2u
#define REGIONS 2u
#define BLOCKS (REGIONS * MAP_REGION_BLOCKS)
#define SHIFT 17 /* segments of 1 MiB */

static uint64_t *model, *scratch;
static uint32_t deltas[REGIONS];

static int
setup(void **state)
{
	model = calloc(BLOCKS, sizeof *model);
	scratch = calloc(MAP_REGION_BLOCKS, sizeof *scratch);
	memset(deltas, 0, sizeof deltas);
	return meta_setup(state);
}

static int
teardown(void **state)
{
	free(model);
	free(scratch);
	return meta_teardown(state);
}

/* What one checkpoint changes in a region, as a delta row. */
static void
add_delta(uint64_t region)
{
	uint64_t *part = model + region * MAP_REGION_BLOCKS, at = draw(3000);
	uint64_t apart = draw(3) ? 9000 : 12; /* few, or many rows' worth */
	struct runs_writer w;

	runs_begin(&w, SHIFT);
	while (at < MAP_REGION_BLOCKS) {
		uint64_t n = draw_between(1, draw(6) ? 8 : 200), position = 0;

		if (n > MAP_REGION_BLOCKS - at)
			n = MAP_REGION_BLOCKS - at;
		if (draw(3))
			position = position_make(
				(uint32_t)draw(meta_row.capacity_segments),
				4096 + 8 * (uint32_t)draw(20000));
		for (uint64_t i = 0; i < n; i++)
			part[at + i] = position ? position_next(position, i) : 0;
		runs_put(&w, at, n, position);
		at += n + draw(apart);
	}
	assert_int_equal(runs_end(&w), 0);
	assert_int_equal(mapstore_delta_add(meta, LAYER, region,
					    deltas[region]++, w.buf, w.len), 0);
	free(w.buf);
}

static void
check_region(uint64_t region, struct mapstore_region *out)
{
	out->entries = scratch;
	assert_int_equal(mapstore_region_load(meta, LAYER, region, out), 0);
	assert_int_equal(out->delta_rows, deltas[region]);
	assert_memory_equal(scratch, model + region * MAP_REGION_BLOCKS,
			    MAP_REGION_BLOCKS * sizeof *scratch);
}

static void
check_pages(void)
{
	uint64_t entries[MAP_PAGE_BLOCKS];

	for (uint64_t p = 0; p < BLOCKS / MAP_PAGE_BLOCKS; p += 1 + draw(4)) {
		assert_int_equal(mapstore_page(meta, LAYER, p, entries), 0);
		assert_memory_equal(entries, model + p * MAP_PAGE_BLOCKS,
				    sizeof entries);
	}
}

/* Folds in steps of about max_bytes; what the rows say stays between them. Steps of
 * a byte are thousands: the later ones are looked at less and less often. */
static void
fold(uint64_t region, size_t max_bytes)
{
	static uint64_t entries[MAP_REGION_BLOCKS];
	struct mapstore_region r;
	uint32_t from = 0, steps = 0;
	size_t written = 0, before = 0, base;

	check_region(region, &r);
	base = r.base_bytes;
	memcpy(entries, scratch, sizeof entries);
	while (from < MAP_REGION_BLOCKS) {
		assert_int_equal(mapstore_region_fold(meta, LAYER, region,
						      entries, &from, max_bytes,
						      &written), 0);
		if (from < MAP_REGION_BLOCKS) {
			assert_true(written - before >= max_bytes);
			if (draw(steps / 4 + 1) == 0)
				check_region(region, &r);
		}
		before = written;
		steps++;
	}
	/* Rows are below 16 KiB. */
	if (max_bytes == 1 && steps < base >> 14)
		fail_msg("%zu bytes of base in %u steps", base, steps);
	deltas[region] = 0;
	check_region(region, &r);
	assert_int_equal(r.base_bytes, written);
}

static void
the_store_is_the_array(void **state)
{
	struct mapstore_region r;

	(void)state;
	check_pages();
	for (int round = 0; round < 25; round++) {
		uint64_t region = draw(REGIONS);

		add_delta(region);
		if (draw(3) == 0)
			fold(region, draw(2) ? 1 : SIZE_MAX / 2);
		if (round % 5 == 0)
			assert_int_equal(meta_reopen(), 0);
		check_region(region, &r);
		check_pages();
	}
}

static void
layers_and_regions_are_apart(void **state)
{
	uint64_t entries[MAP_PAGE_BLOCKS], region = 0;
	static const uint64_t zeroes[MAP_PAGE_BLOCKS];
	uint32_t layer = 0;

	(void)state;
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 0);
	add_delta(1);
	assert_int_equal(mapstore_page(meta, LAYER + 1, MAP_REGION_PAGES,
				       entries), 0);
	assert_memory_equal(entries, zeroes, sizeof entries);
	assert_int_equal(mapstore_page(meta, LAYER, 0, entries), 0);
	assert_memory_equal(entries, zeroes, sizeof entries);
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 1);
	assert_int_equal(layer, LAYER);
	assert_int_equal(region, 1);
	region = 2;
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 0);
}

static void
the_last_block_of_the_last_layer_has_a_place(void **state)
{
	uint64_t entries[MAP_PAGE_BLOCKS], region = 0;
	uint64_t last = LBA_MAX / MAP_REGION_BLOCKS;
	uint64_t position = position_make(999, 4096);
	struct mapstore_region r = { .entries = scratch };
	struct runs_writer w;
	uint32_t layer = 0, from = 0;
	size_t written = 0;

	(void)state;
	runs_begin(&w, SHIFT);
	runs_put(&w, MAP_REGION_BLOCKS - 1, 1, position);
	assert_int_equal(runs_end(&w), 0);
	assert_int_equal(mapstore_delta_add(meta, LAYER_MAX, last, 0, w.buf,
					    w.len), 0);
	free(w.buf);
	assert_int_equal(mapstore_page(meta, LAYER_MAX,
				       LBA_MAX / MAP_PAGE_BLOCKS, entries), 0);
	assert_true(entries[MAP_PAGE_BLOCKS - 1] == position);
	/* The same as a base row. */
	assert_int_equal(mapstore_region_load(meta, LAYER_MAX, last, &r), 0);
	assert_int_equal(mapstore_region_fold(meta, LAYER_MAX, last, scratch,
					      &from, 1, &written), 0);
	assert_int_equal(from, MAP_REGION_BLOCKS);
	assert_int_equal(mapstore_region_load(meta, LAYER_MAX, last, &r), 0);
	assert_true(scratch[MAP_REGION_BLOCKS - 1] == position);
	assert_int_equal(r.delta_rows, 0);
	memset(entries, 0, sizeof entries);
	assert_int_equal(mapstore_page(meta, LAYER_MAX,
				       LBA_MAX / MAP_PAGE_BLOCKS, entries), 0);
	assert_true(entries[MAP_PAGE_BLOCKS - 1] == position);
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 1);
	assert_int_equal(layer, LAYER_MAX);
	assert_int_equal(region, last);
	/* And nothing is behind it. */
	region++;
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 0);
}

static void
a_fold_leaves_no_row_where_all_are_holes(void **state)
{
	struct runs_writer w;
	uint32_t layer = 0;
	uint64_t region = 0;

	(void)state;
	add_delta(0);
	fold(0, 1000);
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 1);
	/* The whole disk is discarded. */
	runs_begin(&w, SHIFT);
	runs_put(&w, 0, MAP_REGION_BLOCKS, 0);
	assert_int_equal(runs_end(&w), 0);
	assert_true(w.len <= 8);
	assert_int_equal(mapstore_delta_add(meta, LAYER, 0, 0, w.buf, w.len), 0);
	free(w.buf);
	memset(model, 0, BLOCKS * sizeof *model);
	deltas[0] = 1;
	fold(0, 1000);
	assert_int_equal(mapstore_next_region(meta, &layer, &region), 0);
}

/* A row ends where its region does: it cannot reach into the next one's. */
static void
a_row_ends_with_its_region(void **state)
{
	struct mapstore_region r = { .entries = scratch };

	(void)state;
	meta_sql("INSERT INTO map_base VALUES((2<<40)+131071,x'04')");
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(mapstore_region_load(meta, LAYER, 0, &r), 0);
	meta_sql("UPDATE map_base SET runs=x'08'");
	assert_int_equal(meta_reopen(), 0);
	assert_int_equal(mapstore_region_load(meta, LAYER, 0, &r),
			 LBS_ECORRUPT);
}

/* key of block 0: layer << 40; of delta number 0 of region 0 as well. */
static void
rows_that_make_no_sense_are_refused(void **state)
{
	static const char *const hostile[] = {
		"INSERT INTO map_base VALUES(2<<40,x'80')",
		"INSERT INTO map_base VALUES(2<<40,x'00')",
		/* 131073 holes in a region of 131072 blocks */
		"INSERT INTO map_base VALUES(2<<40,x'848020')",
		/* two rows of two holes each, one block apart */
		"INSERT INTO map_base VALUES(2<<40,x'08'),((2<<40)+1,x'08')",
		/* position 0, and one in segment 1002 of 1000 */
		"INSERT INTO map_base VALUES(2<<40,x'0500')",
		"INSERT INTO map_base VALUES(2<<40,x'058088a17d')",
		"INSERT INTO map_delta VALUES(2<<40,x'ff')",
		"INSERT INTO map_delta VALUES(2<<40,x'848020')",
		"DROP TABLE map_base",
		"DROP TABLE map_delta",
	};
	uint64_t entries[MAP_PAGE_BLOCKS];
	struct mapstore_region r;

	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		meta_teardown(state);
		meta_setup(state);
		meta_sql(hostile[i]);
		assert_int_equal(meta_reopen(), 0);
		r.entries = scratch;
		meta_told = 0;
		if (mapstore_page(meta, LAYER, 0, entries) != LBS_ECORRUPT ||
		    mapstore_region_load(meta, LAYER, 0, &r) != LBS_ECORRUPT ||
		    meta_told != LBS_ECORRUPT)
			fail_msg("accepted: %s", hostile[i]);
	}
}

static void
noise_in_rows_is_total(void **state)
{
	uint64_t entries[MAP_PAGE_BLOCKS];
	struct mapstore_region r;
	char sql[200];

	(void)state;
	for (int i = 0; i < 40; i++) {
		int n = snprintf(sql, sizeof sql, "DELETE FROM map_%s; INSERT "
				 "INTO map_%s VALUES(2<<40,x'",
				 i % 2 ? "base" : "delta",
				 i % 2 ? "base" : "delta");

		for (uint64_t b = draw(24); b; b--)
			n += snprintf(sql + n, sizeof sql - (size_t)n, "%02x",
				      (unsigned)draw(256));
		snprintf(sql + n, sizeof sql - (size_t)n, "')");
		meta_sql(sql);
		assert_int_equal(meta_reopen(), 0);
		r.entries = scratch;
		(void)mapstore_page(meta, LAYER, draw(MAP_REGION_PAGES),
				    entries);
		(void)mapstore_region_load(meta, LAYER, 0, &r);
		for (uint32_t b = 0; b < MAP_PAGE_BLOCKS; b++)
			assert_true(position_segment(entries[b]) <
				    meta_row.capacity_segments);
	}
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(the_store_is_the_array),
		STORY(layers_and_regions_are_apart),
		STORY(the_last_block_of_the_last_layer_has_a_place),
		STORY(a_fold_leaves_no_row_where_all_are_holes),
		STORY(a_row_ends_with_its_region),
		STORY(rows_that_make_no_sense_are_refused),
		STORY(noise_in_rows_is_total),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
