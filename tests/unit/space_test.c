/*
 * space_test - the end of the room: exactly "no space", with reads and discards
 * still working, and room that comes back; a full card below the capacity; a
 * full internal flash.
 */
#include "tests/unit/store.h"

#include <errno.h>
#include <pthread.h>

#include "liblbs/medium/medium.h"
#include "liblbs/store/env.h"

#define SIZE (32 * MIB)
#define CAPACITY (24 * MIB) /* less than the disk: it must run out */

static uint8_t *model, *buf;

static int
setup(void **state)
{
	(void)state;
	model = calloc(1, SIZE);
	buf = calloc(1, SIZE);
	return store_make(SIZE, CAPACITY);
}

/* Nobody fills the card before the test does. */
static int
setup_closed(void **state)
{
	(void)state;
	model = calloc(1, SIZE);
	buf = calloc(1, SIZE);
	return store_make_closed(SIZE, CAPACITY);
}

static int
teardown(void **state)
{
	free(model);
	free(buf);
	return store_remove(state);
}

static void
check_all(void)
{
	assert_int_equal(lbs_vdisk_read(disk, buf, SIZE, 0), 0);
	assert_memory_equal(buf, model, SIZE);
}

/* Writes new blocks until one is refused; gives the first block not written. */
static uint64_t
fill_up(uint64_t block, uint32_t blocks_each)
{
	int rc = 0;

	for (; (block + blocks_each) * 4096 <= SIZE; block += blocks_each) {
		size_t len = blocks_each * 4096ul;
		uint8_t *p = buf;

		memset(p, (int)(1 + block % 250), len);
		rc = lbs_vdisk_write(disk, p, len, block * 4096, 0);
		if (rc)
			break;
		memcpy(model + block * 4096, p, len);
	}
	assert_int_equal(rc, LBS_ENOSPC);
	return block;
}

static void
a_full_store_refuses_writes_and_nothing_else(void **state)
{
	uint64_t end = fill_up(0, 16);
	uint64_t reserve = store_stat(LBS_STAT_SEGMENTS_RESERVE) * MIB;

	(void)state;
	/* It was really full: only what is kept back is left. */
	assert_true(end * 4096 > (CAPACITY - reserve - 9 * MIB) / 10 * 9);
	check_all();
	assert_string_equal(lbs_store_failure(store), "");
	assert_int_equal(store_stat(LBS_STAT_FAILED), 0);
	/* Small ones are refused too, again and again, with nothing done. */
	for (int i = 0; i < 200; i++)
		if (lbs_vdisk_write(disk, buf, 512, end * 4096, 0) == 0)
			memcpy(model + end * 4096, buf, 512);
	assert_int_equal(lbs_vdisk_write(disk, buf, 65536, end * 4096, 0),
			 LBS_ENOSPC);
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	check_all();
	/* And it opens again as it was. */
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	check_all();
	assert_int_equal(lbs_vdisk_write(disk, buf, 65536, end * 4096, 0),
			 LBS_ENOSPC);
}

static void
discards_bring_room_back(void **state)
{
	uint64_t end = fill_up(0, 16);

	(void)state;
	for (int round = 0; round < 4; round++) {
		/* In many small ones and in one, from the end and from within. */
		if (round % 2) {
			for (uint64_t b = 0; b < end; b += 32) {
				assert_int_equal(lbs_vdisk_discard(
					disk, 32 * 4096, b * 4096, 0), 0);
				memset(model + b * 4096, 0,
				       b + 32 < end ? 32 * 4096
						    : (end - b) * 4096);
			}
			memset(model + end * 4096, 0, SIZE - end * 4096);
			assert_int_equal(lbs_vdisk_discard(
				disk, SIZE - end * 4096, end * 4096, 0), 0);
		} else {
			assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
			memset(model, 0, SIZE);
		}
		check_all();
		end = fill_up(0, 16);
		assert_true(end * 4096 > CAPACITY / 4);
		check_all();
	}
}

static void
a_full_store_takes_discards_until_all_is_free(void **state)
{
	uint64_t end = fill_up(0, 16);

	(void)state;
	/* Every second block, one by one: the costliest way to free nothing. */
	for (uint64_t b = 0; b < end; b += 2) {
		assert_int_equal(lbs_vdisk_discard(disk, 4096, b * 4096, 0), 0);
		memset(model + b * 4096, 0, 4096);
	}
	check_all();
	for (uint64_t b = 1; b < end; b += 2) {
		assert_int_equal(lbs_vdisk_discard(disk, 4096, b * 4096, 0), 0);
		memset(model + b * 4096, 0, 4096);
	}
	check_all();
	end = fill_up(0, 16);
	assert_true(end * 4096 > CAPACITY / 4);
}

/* Overwriting one place for ever needs no more room than that place, because
 * what died is reused. */
static void
dead_segments_are_reused(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 5 * CAPACITY / 65536; i++) {
		memset(model, (int)(i % 251), 65536);
		assert_int_equal(lbs_vdisk_write(disk, model, 65536, 0, 0), 0);
	}
	check_all();
	assert_int_equal(store_close(), 0);
	assert_int_equal(store_open(0), 0);
	check_all();
}

/* ---- a card with less room than was promised --------------------------------- */

struct small_card {
	struct medium base;
	struct medium *real;
	_Atomic uint64_t room_bytes; /* chunk files may grow to this, in all */
};

static struct medium *
real(struct medium *m)
{
	return ((struct small_card *)m)->real;
}

static int
small_open(struct medium *m, uint32_t file, int flags)
{
	return real(m)->ops->open(real(m), file, flags);
}

static int
small_size(struct medium *m, uint32_t file, uint64_t *size)
{
	return real(m)->ops->size(real(m), file, size);
}

static ssize_t
small_pread(struct medium *m, uint32_t file, void *p, size_t len, uint64_t at)
{
	return real(m)->ops->pread(real(m), file, p, len, at);
}

static int
small_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	      uint64_t at)
{
	struct small_card *c = (struct small_card *)m;
	uint64_t end = at, size = 0;

	for (int i = 0; i < n; i++)
		end += iov[i].iov_len;
	real(m)->ops->size(real(m), file, &size);
	if (file != MEDIUM_CARD_FILE && end > size &&
	    file * 8 * MIB + end > c->room_bytes)
		return -ENOSPC;
	return real(m)->ops->pwritev(real(m), file, iov, n, at);
}

static int
small_sync(struct medium *m, uint32_t file)
{
	return real(m)->ops->sync(real(m), file);
}

static int
small_sync_dir(struct medium *m)
{
	return real(m)->ops->sync_dir(real(m));
}

static int
small_lock(struct medium *m)
{
	return real(m)->ops->lock(real(m));
}

static const struct medium_ops small_ops = {
	.open = small_open, .size = small_size, .pread = small_pread,
	.pwritev = small_pwritev, .sync = small_sync,
	.sync_dir = small_sync_dir, .lock = small_lock,
};

static _Atomic uint64_t flash_free = UINT64_MAX;

static uint64_t
meta_free(void *ctx)
{
	(void)ctx;
	return flash_free;
}

/* Opens the store over the small card and the given internal flash. */
static struct small_card card = { .base = { &small_ops } };

static void
open_over(uint64_t room_bytes, int threads)
{
	struct store_env env = { .card = &card.base, .meta_path = store_path,
				 .meta_free = meta_free, .threads = threads };
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .map_limit_bytes = 4 * MIB,
				      .log = store_tell };

	assert_int_equal(store_close(), 0);
	assert_int_equal(medium_posix_open(store_card, 0, &card.real), 0);
	card.room_bytes = room_bytes;
	assert_int_equal(store_open_env(&env, &o, &store), 0);
	assert_int_equal(lbs_vdisk_open(store, NULL, &disk), 0);
}

static void
close_over(void)
{
	assert_int_equal(store_close(), 0);
	card.real->ops->close(card.real);
}

static void
a_card_full_below_its_capacity_is_no_space(void **state)
{
	uint64_t end, filled;

	(void)state;
	open_over(UINT64_MAX, 0);
	filled = store_stat(LBS_STAT_SEGMENTS_FILLED);
	assert_true(filled < CAPACITY / MIB);
	close_over();
	open_over((filled + 3) * MIB, 1);
	end = fill_up(0, 16);
	check_all();
	assert_int_equal(store_stat(LBS_STAT_FAILED), 0);
	assert_true(store_stat(LBS_STAT_SEGMENTS_FILLED) <= filled + 3);
	/* Room comes back by discards ... */
	assert_int_equal(lbs_vdisk_discard(disk, SIZE, 0, 0), 0);
	memset(model, 0, SIZE);
	assert_true(fill_up(0, 16) > 0);
	check_all();
	/* ... or on the card. */
	card.room_bytes = UINT64_MAX;
	assert_true(fill_up(end, 16) > end);
	check_all();
	close_over();
}

static void
full_internal_flash_stops_new_writes_before_harm(void **state)
{
	(void)state;
	flash_free = 64 * MIB;
	open_over(UINT64_MAX, 1);
	memset(model, 9, 65536);
	assert_int_equal(lbs_vdisk_write(disk, model, 65536, 0, 0), 0);
	flash_free = 1 * MIB;
	assert_int_equal(lbs_store_checkpoint(store), 0);
	memset(buf, 8, 65536);
	assert_int_equal(lbs_vdisk_write(disk, buf, 65536, 65536, 0),
			 LBS_ENOSPC);
	check_all();
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	assert_int_equal(lbs_vdisk_discard(disk, 4096, 0, 0), 0);
	memset(model, 0, 4096);
	flash_free = 64 * MIB;
	memset(model + 65536, 8, 65536);
	assert_int_equal(lbs_vdisk_write(disk, model + 65536, 65536, 65536, 0),
			 0);
	check_all();
	close_over();
	flash_free = UINT64_MAX;
}

/* ---- many at once --------------------------------------------------------- */

#define WRITERS 8

/* Writes new blocks of a part of the disk, 1 MiB at a time, until one is refused. */
static void *
fill_part(void *arg)
{
	uint64_t part = *(uint64_t *)arg, at;
	uint8_t *data = calloc(1, MIB);
	int rc = data ? 0 : LBS_ENOMEM;

	for (at = 0; rc == 0 && at < SIZE / WRITERS; at += MIB)
		rc = lbs_vdisk_write(disk, data, MIB,
				     part * (SIZE / WRITERS) + at, 0);
	free(data);
	return (void *)(intptr_t)rc;
}

/* Promise 9: what is let in may be written over for ever, so no more is let in than
 * may live, however many ask at the same moment. */
static void
writers_together_are_let_in_no_further(void **state)
{
	pthread_t threads[WRITERS];
	uint64_t parts[WRITERS];
	int refused = 0;

	(void)state;
	for (uint64_t i = 0; i < WRITERS; i++) {
		parts[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, fill_part,
						&parts[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		void *rc;

		pthread_join(threads[i], &rc);
		if ((intptr_t)rc == LBS_ENOSPC)
			refused++;
		else
			assert_int_equal((intptr_t)rc, 0);
	}
	assert_true(refused > 0);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	assert_in_range(store_stat(LBS_STAT_LIVE_BLOCKS), 1,
			store_stat(LBS_STAT_LIVE_BLOCKS_MAX));
}

/* ---- creating ------------------------------------------------------------------ */

static int
create_fails(uint64_t size, uint64_t capacity, uint64_t segment)
{
	char path[112], dir[112];
	struct lbs_create_options o = { .struct_size = sizeof o,
					.size_bytes = size,
					.capacity_bytes = capacity,
					.segment_size_bytes = segment };
	int rc;

	snprintf(path, sizeof path, "%s/new.lbs", store_dir);
	snprintf(dir, sizeof dir, "%s/newcard", store_dir);
	rc = lbs_store_create(path, dir, &o);
	/* Nothing is left behind. */
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_not_equal(access(dir, F_OK), 0);
	return rc;
}

static void
sizes_that_cannot_be_are_refused(void **state)
{
	(void)state;
	assert_int_equal(create_fails(0, 0, 0), LBS_EINVAL);
	assert_int_equal(create_fails(511, 0, 0), LBS_EINVAL);
	assert_int_equal(create_fails(UINT64_MAX, 0, 0), LBS_EINVAL);
	assert_int_equal(create_fails((1ull << 44) + 512, 0, 0), LBS_EINVAL);
	assert_int_equal(create_fails(MIB, 4096, 0), LBS_EINVAL);
	assert_int_equal(create_fails(MIB, UINT64_MAX, 0), LBS_EINVAL);
	assert_int_equal(create_fails(MIB, 0, 3 * MIB), LBS_EINVAL);
	assert_int_equal(create_fails(MIB, 0, MIB / 2), LBS_EINVAL);
	assert_int_equal(create_fails(MIB, 0, 128 * MIB), LBS_EINVAL);
}

int
main(int argc, char **argv)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_full_store_refuses_writes_and_nothing_else),
		STORY(discards_bring_room_back),
		STORY(a_full_store_takes_discards_until_all_is_free),
		STORY(dead_segments_are_reused),
		cmocka_unit_test_setup_teardown(
			a_card_full_below_its_capacity_is_no_space,
			setup_closed, teardown),
		STORY(writers_together_are_let_in_no_further),
		STORY(full_internal_flash_stops_new_writes_before_harm),
		STORY(sizes_that_cannot_be_are_refused),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
