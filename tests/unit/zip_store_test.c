/*
 * zip_store_test - a store with compression: what it costs the card, that it counts
 * what it does, that no data makes it run out of room where it promised some, and
 * that whoever does not know of it is turned away.
 */
#include "tests/unit/store.h"

#include "liblbs/log/seal.h"
#include "liblbs/store/internal.h"

#define SIZE (32 * MIB)
#define CAPACITY (24 * MIB) /* less than the disk: it must run out */
#define BLOCK 4096u

static uint8_t *model, *buf;

static int
setup_how(int compress, uint64_t capacity)
{
	model = calloc(1, SIZE);
	buf = calloc(1, SIZE);
	store_compress = compress;
	return store_make(SIZE, capacity);
}

static int
setup_none(void **state)
{
	(void)state;
	return setup_how(LBS_COMPRESS_NONE, 3 * SIZE);
}

static int
setup_lz4(void **state)
{
	(void)state;
	return setup_how(LBS_COMPRESS_LZ4, 3 * SIZE);
}

static int
setup_zstd(void **state)
{
	(void)state;
	return setup_how(LBS_COMPRESS_ZSTD, 3 * SIZE);
}

static int
setup_small(void **state)
{
	(void)state;
	return setup_how(LBS_COMPRESS_LZ4, CAPACITY);
}

static int
teardown(void **state)
{
	free(model);
	free(buf);
	store_compress = LBS_COMPRESS_NONE;
	return store_remove(state);
}

static int
run_sql(const char *sql)
{
	char command[400];

	snprintf(command, sizeof command, "sqlite3 %s '%s'", store_path, sql);
	return system(command);
}

/* So many bytes of chance in each block. */
static void
make(uint64_t block, uint64_t blocks, size_t random)
{
	for (uint64_t b = block; b < block + blocks; b++) {
		memset(model + b * BLOCK, (int)draw(256), BLOCK);
		draw_bytes(model + b * BLOCK, random);
	}
}

static int
put(uint64_t block, uint64_t blocks, unsigned flags)
{
	return lbs_vdisk_write(disk, model + block * BLOCK, blocks * BLOCK,
			       block * BLOCK, flags);
}

static void
check(uint64_t blocks)
{
	assert_int_equal(lbs_vdisk_read(disk, buf, blocks * BLOCK, 0), 0);
	assert_memory_equal(buf, model, blocks * BLOCK);
}

/* Card bytes of a lone synchronous write of a block with so much chance in it. */
static uint64_t
cost(size_t random)
{
	uint64_t before;

	/* Not that of opening the session. */
	make(0, 1, random);
	assert_int_equal(put(0, 1, LBS_FUA), 0);
	before = store_stat(LBS_STAT_CARD_LOG_BYTES);
	for (uint64_t i = 1; i <= 20; i++) {
		make(i, 1, random);
		assert_int_equal(put(i, 1, LBS_FUA), 0);
	}
	return (store_stat(LBS_STAT_CARD_LOG_BYTES) - before) / 20;
}

/* ---- a guest that changes what it has handed over ---------------------------- */

static _Atomic int packed, packed_from_caller;

size_t __real_zip_pack(struct zip *zip, const uint8_t *in, size_t len, uint8_t *out,
		       size_t room);
size_t __wrap_zip_pack(struct zip *zip, const uint8_t *in, size_t len, uint8_t *out,
		       size_t room);
size_t
__wrap_zip_pack(struct zip *zip, const uint8_t *in, size_t len, uint8_t *out,
		size_t room)
{
	packed++;
	if (in + len > model && in < model + SIZE)
		packed_from_caller++;
	return __real_zip_pack(zip, in, len, out, room);
}

/* The compressor reads a block more than once; it must not be the guest's. */
static void
the_compressor_never_reads_the_callers_memory(void **state)
{
	(void)state;
	packed = packed_from_caller = 0;
	make(0, 300, 1000);
	assert_int_equal(put(0, 1, 0), 0);
	assert_int_equal(put(1, 299, 0), 0);
	assert_int_equal(lbs_vdisk_write(disk, model + 100, 3000, 100, 0), 0);
	assert_true(packed >= 301);
	assert_int_equal(packed_from_caller, 0);
	check(300);
}

/* ---- what it costs and saves -------------------------------------------------- */

static void
a_lone_synchronous_block_costs_one_page_if_it_compresses(void **state)
{
	(void)state;
	assert_int_equal(cost(0), 4096);
	assert_int_equal(cost(2000), 4096);
	/* The longest that is stored compressed. */
	assert_int_equal(cost(3900), 4096);
	assert_int_equal(cost(4096), 8192);
	check(21);
}

static void
without_compression_it_costs_two(void **state)
{
	(void)state;
	assert_int_equal(cost(0), 8192);
	assert_int_equal(store_stat(LBS_STAT_COMPRESS_IN_BYTES), 0);
}

static void
it_tells_what_it_is_and_what_it_saves(void **state)
{
	struct lbs_store_info info = { .struct_size = sizeof info };

	(void)state;
	assert_int_equal(lbs_store_info(store, &info), 0);
	assert_int_equal(info.compress, store_compress);
	assert_int_equal(info.features_must, store_compress == LBS_COMPRESS_LZ4
						     ? FEATURE_LZ4
						     : FEATURE_ZSTD);
	make(0, 512, 1024);
	assert_int_equal(put(0, 512, 0), 0);
	assert_int_equal(store_stat(LBS_STAT_COMPRESS_IN_BYTES), 512 * BLOCK);
	assert_in_range(store_stat(LBS_STAT_COMPRESS_OUT_BYTES), 512 * 1024,
			512 * 1100);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	check(512);
	assert_int_equal(store_stat(LBS_STAT_COMPRESS_IN_BYTES), 0);
	assert_int_equal(lbs_store_peek(store_path, NULL, NULL, &info), 0);
	assert_int_equal(info.compress, store_compress);
}

/* Promise 9: room is counted as if nothing compressed. */
static void
what_compressed_may_always_be_written_over_by_what_does_not(void **state)
{
	uint64_t end = 0, n = SIZE / BLOCK;
	int rc = 0;

	(void)state;
	for (; end + 16 <= n && rc == 0; end += rc ? 0 : 16) {
		make(end, 16, 100);
		rc = put(end, 16, 0);
	}
	assert_int_equal(rc, LBS_ENOSPC);
	/* As early as if it did not compress. */
	assert_true(end * BLOCK < CAPACITY);
	memset(model + end * BLOCK, 0, 16 * BLOCK);
	for (int round = 0; round < 3; round++) {
		for (uint64_t at = 0; at < end; at += 4) {
			make(at, 4, BLOCK);
			assert_int_equal(put(at, 4, 0), 0);
		}
		/* And here and there, of every kind. */
		for (int i = 0; i < 4000; i++) {
			uint64_t at = draw(end);

			make(at, 1, draw(2) ? BLOCK : draw(BLOCK));
			assert_int_equal(put(at, 1, draw(50) ? 0 : LBS_FUA), 0);
		}
		check(end);
	}
	assert_true(store_stat(LBS_STAT_CLEANED_BLOCKS) > 0);
	assert_int_equal(put(end, 16, 0), LBS_ENOSPC);
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	check(end);
}

/* Live blocks are counted at their longest: more than lies there. */
static void
counters_of_space_stay_within_the_capacity(void **state)
{
	(void)state;
	make(0, SIZE / BLOCK, 10);
	assert_int_equal(put(0, SIZE / BLOCK, 0), 0);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	assert_true(store_stat(LBS_STAT_LIVE_BLOCKS) == SIZE / BLOCK);
	assert_true(store_stat(LBS_STAT_LIVE_BYTES) <=
		    store_stat(LBS_STAT_CAPACITY_BYTES));
	assert_true(store_stat(LBS_STAT_DEAD_BYTES) <=
		    store_stat(LBS_STAT_CAPACITY_BYTES));
}

static void
code_that_does_not_know_the_feature_refuses(void **state)
{
	char sql[100];

	(void)state;
	make(0, 64, 100);
	assert_int_equal(put(0, 64, LBS_FUA), 0);
	assert_int_equal(store_close(), 0);
	/* What is not of the known bits is refused; this store has such a bit
	 * for all that was built before. */
	assert_int_equal(FEATURES_MUST_KNOWN & (FEATURE_LZ4 | FEATURE_ZSTD),
			 FEATURE_LZ4 | FEATURE_ZSTD);
	snprintf(sql, sizeof sql, "UPDATE store SET features_must=%llu",
		 FEATURE_LZ4 << 2);
	assert_int_equal(run_sql(sql), 0);
	assert_int_equal(store_open(0), LBS_EVERSION);
	assert_int_equal(store_open(LBS_RDONLY), LBS_EVERSION);
	snprintf(sql, sizeof sql, "UPDATE store SET features_must=%llu",
		 FEATURE_LZ4 | FEATURE_ZSTD);
	assert_int_equal(run_sql(sql), 0);
	assert_int_equal(store_open(LBS_RDONLY), LBS_ECORRUPT);
	/* A reader that overlooked the bit would read errors, nothing else. */
	assert_int_equal(run_sql("UPDATE store SET features_must=0"), 0);
	if (store_open(LBS_RDONLY) == 0)
		for (uint64_t b = 0; b < 64; b++)
			assert_int_equal(lbs_vdisk_read(disk, buf, BLOCK,
							b * BLOCK),
					 LBS_EDAMAGED);
	(void)store_close();
}

/* Room is counted by segments as they are without compression. */
static void
a_segment_holds_nearly_as_many_blocks_at_their_longest(void **state)
{
	(void)state;
	for (uint32_t size = SEGMENT_BYTES_MIN; size <= SEGMENT_BYTES_MAX;
	     size *= 2) {
		uint32_t each = record_frames_at(1) + ZIP_FRAME_BYTES_MAX;
		uint32_t plain = room_segment_blocks(size), n = plain;
		uint32_t may_live = plain - (plain / 64 ? plain / 64 : 1);

		while (round_up(SEGMENT_HEADER_BYTES + n * each, PAGE_BYTES) +
			       index_tail_bytes(n) > size)
			n--;
		assert_true(n >= may_live);
	}
}

int
main(int argc, char **argv)
{
#define STORY(f, how) { #f "_with_" #how, f, setup_##how, teardown, NULL }
	const struct CMUnitTest tests[] = {
		STORY(the_compressor_never_reads_the_callers_memory, lz4),
		STORY(the_compressor_never_reads_the_callers_memory, zstd),
		STORY(a_lone_synchronous_block_costs_one_page_if_it_compresses, lz4),
		STORY(a_lone_synchronous_block_costs_one_page_if_it_compresses, zstd),
		STORY(without_compression_it_costs_two, none),
		STORY(it_tells_what_it_is_and_what_it_saves, lz4),
		STORY(it_tells_what_it_is_and_what_it_saves, zstd),
		STORY(what_compressed_may_always_be_written_over_by_what_does_not,
		      small),
		STORY(counters_of_space_stay_within_the_capacity, lz4),
		STORY(code_that_does_not_know_the_feature_refuses, lz4),
		cmocka_unit_test(
			a_segment_holds_nearly_as_many_blocks_at_their_longest),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
