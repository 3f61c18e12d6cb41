/*
 * clean_test.c - cleaning and giving back chunk files where blocks are damaged and room
 * is scarce: what does not open stays an error and takes nothing with it.
 */
#include "liblbs/store/internal.h"
#include "tests/lab/check.h"
#include "tests/lab/simimage.h"
#include "tests/lab/workload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KIB 1024u

static void pin_nothing(void *ctx, uint32_t segment)
{
	(void)ctx;
	(void)segment;
}

/* The place of a block by the store's own map. */
static uint64_t position_of(struct world *w, uint64_t block)
{
	uint64_t position = 0;

	assert_code(w, map_lookup(w->store->map, w->vdisk->layer, block, 1,
				  &position, pin_nothing, NULL), 0);
	assert_true(position != 0);
	return position;
}

/* A block of a victim that does not open stays an error, and its neighbours are
 * moved; nothing else is lost, the store serves on, and its segment is tried once
 * only. By index and, for a segment in which a session ended, by records. */
static void test_damaged_victim(void **state)
{
	uint8_t buf[MODEL_BLOCK];
	char name[MEDIUM_NAME_BYTES];
	struct world *w;
	uint64_t at, errors, i;
	int killed, rc, lost;

	(void)state;
	for (killed = 0; killed < 2; killed++) {
		w = check_made(NULL);
		assert_code(w, world_open(w, 0), 0);
		/* Four segments of new blocks, of which each third dies. */
		for (i = 0; i < 52; i++)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		if (killed) {
			world_cut(w, SIM_KEEP_ALL, 0);
			assert_code(w, world_open(w, 0), 0);
		}
		for (i = 0; i < 52; i += 3)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		for (i = 60; i < 80; i++)
			assert_code(w, world_write(w, i * MODEL_BLOCK,
						   MODEL_BLOCK, 0), 0);
		assert_code(w, lbs_store_checkpoint(w->store), 0);
		at = position_of(w, 16);
		medium_file_name(geometry_chunk(&w->store->geometry,
						position_segment(at)), name);
		assert_int_equal(simdisk_flip(
			w->disk, SIM_CARD, name,
			geometry_offset(&w->store->geometry,
					position_segment(at)) +
				position_offset(at) + 100, 4), 0);
		assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
		assert_true(world_stat(w, LBS_STAT_CLEANED_BLOCKS) > 10);
		errors = world_stat(w, LBS_STAT_INTEGRITY_ERRORS);
		assert_true(errors > 0 || killed);
		/* Told once. */
		assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
		assert_int_equal(world_stat(w, LBS_STAT_INTEGRITY_ERRORS),
				 errors);
		for (rc = 0; rc < 2; rc++) {
			for (i = 0, lost = 0; i < 80; i++)
				if (lbs_vdisk_read(w->vdisk, buf, sizeof(buf),
						   i * MODEL_BLOCK) != 0) {
					assert_int_equal(i, 16);
					lost++;
				}
			assert_int_equal(lost, 1);
			if (rc == 0) {
				assert_code(w, world_close(w), 0);
				assert_code(w, world_open(w, 0), 0);
			}
		}
		/* A whole block heals it, and then all can be cleaned. */
		assert_code(w, world_write(w, 16 * MODEL_BLOCK, MODEL_BLOCK, 0), 0);
		assert_code(w, lbs_store_clean(w->store, 0, NULL, NULL), 0);
		assert_model(w);
		assert_code(w, world_close(w), 0);
		world_free(w);
	}
}

static uint64_t chunk_files(struct world *w)
{
	char name[MEDIUM_NAME_BYTES];
	uint32_t i, n = 0;

	for (i = 0; i < 16; i++) {
		medium_file_name(i, name);
		n += (uint32_t)simdisk_exists(w->disk, SIM_CARD, name);
	}
	return n;
}

/* Chunk files are given back, and others take the room: what lives can be written
 * over for ever, new blocks are refused, and when the card has room again the
 * files come back. */
static void test_shrunk_then_full(void **state)
{
	struct world_shape shape = workload_wide_shape;
	uint64_t files, left, end, seed, given, room;
	struct world *w;

	(void)state;
	shape.vdisk_bytes = 4 * 1024 * KIB;
	w = check_made(&shape);
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	files = chunk_files(w);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	left = chunk_files(w);
	given = world_stat(w, LBS_STAT_CARD_GIVEN_BACK_BYTES);
	assert_true(left + 3 <= files);
	assert_true(given > (files - left - 1) * shape.chunk_bytes);
	assert_model(w);
	/* Not twice. */
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_int_equal(world_stat(w, LBS_STAT_CARD_GIVEN_BACK_BYTES), given);
	room = simdisk_used(w->disk, SIM_CARD);
	simdisk_capacity(w->disk, SIM_CARD, room);
	for (seed = 0; seed < 4; seed++) {
		check_write_over(w, 310, seed, 300);
		if (seed == 1)
			world_cut(w, SIM_KEEP_ALL, 0);
		if (seed == 2)
			world_cut(w, SIM_SUBSET, 5);
		if (seed == 1 || seed == 2)
			assert_code(w, world_open(w, 0), 0);
	}
	for (end = 310; end < 1000; end++)
		if (world_write(w, end * MODEL_BLOCK, MODEL_BLOCK, 0) != 0)
			break;
	assert_true(end < 900);
	assert_code(w, world_write(w, end * MODEL_BLOCK, MODEL_BLOCK, 0),
		    LBS_ENOSPC);
	check_write_over(w, end, seed, 300);
	assert_true(simdisk_used(w->disk, SIM_CARD) <= room);
	simdisk_capacity(w->disk, SIM_CARD, 0);
	assert_code(w, world_write(w, end * MODEL_BLOCK, 80 * MODEL_BLOCK, 0), 0);
	assert_true(simdisk_used(w->disk, SIM_CARD) > room);
	assert_model(w);
	assert_code(w, world_close(w), 0);
	assert_code(w, world_open(w, 0), 0);
	assert_model(w);
	world_free(w);
}

/* A block in the last chunk file that does not open stays an error, and its file
 * stays with it: those behind it go all the same. */
static void test_shrink_keeps_damaged(void **state)
{
	uint8_t buf[MODEL_BLOCK];
	char name[MEDIUM_NAME_BYTES];
	struct world *w = check_made(&workload_wide_shape);
	uint64_t position, lba, at;
	uint32_t segment, file;

	(void)state;
	assert_code(w, world_open(w, 0), 0);
	assert_code(w, workload_spread(w), 0);
	assert_code(w, lbs_store_checkpoint(w->store), 0);
	/* In the third chunk file from the end. */
	for (lba = 0; lba < 300; lba++) {
		position = position_of(w, lba);
		segment = position_segment(position);
		file = segment / 16;
		if (file == 9)
			break;
	}
	assert_true(lba < 300);
	at = segment % 16 * w->shape.segment_bytes + position_offset(position);
	medium_file_name(file, name);
	assert_int_equal(simdisk_flip(w->disk, SIM_CARD, name, at + 100, 1), 0);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_int_equal(chunk_files(w), 10);
	assert_code(w, lbs_vdisk_read(w->vdisk, buf, sizeof(buf),
				      lba * MODEL_BLOCK), LBS_EDAMAGED);
	/* Written over, it goes. */
	assert_code(w, world_write(w, lba * MODEL_BLOCK, MODEL_BLOCK, 0), 0);
	assert_code(w, lbs_store_clean(w->store, LBS_CLEAN_SHRINK, NULL, NULL), 0);
	assert_true(chunk_files(w) < 10);
	assert_model(w);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_victim),
		cmocka_unit_test(test_shrunk_then_full),
		cmocka_unit_test(test_shrink_keeps_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
