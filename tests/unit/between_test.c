/*
 * between_test - what changes between two looks at it: a segment that is begun while
 * a checkpoint notes segments, a flush between the two numbers that make the tail, a
 * sync while a record is on its way to the card, others' writes between the checkpoints
 * of one who needs the last room. The other side is let in exactly
 * there, by functions that are wrapped at link time.
 */
#include "tests/unit/store.h"

#include "liblbs/medium/medium.h"
#include "liblbs/store/env.h"
#include "liblbs/store/internal.h"

#include <pthread.h>
#include <stdatomic.h>

#define SIZE (64 * MIB)
#define BLOCK 4096u
/* More than a segment holds. */
#define BLOCKS 300u

static struct medium *card;
static struct medium_ops ops;
static int (*real_pwritev)(struct medium *, uint32_t, const struct iovec *, int,
			   uint64_t);

/* Without threads of its own: nobody comes by chance. */
static int
open_it(void)
{
	struct store_env env = { .meta_path = store_path };
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .map_limit_bytes = 4 * MIB,
				      .log = store_tell };
	int rc = medium_posix_open(store_card, 0, &card);

	if (rc)
		return rc;
	ops = *card->ops;
	real_pwritev = ops.pwritev;
	card->ops = &ops;
	env.card = card;
	rc = store_open_env(&env, &o, &store);
	return rc ? rc : lbs_vdisk_open(store, NULL, &disk);
}

static int
close_it(void)
{
	int rc = store_close();

	card->ops->close(card);
	return rc;
}

static int
setup(void **state)
{
	int rc;

	(void)state;
	store_preallocate = 1; /* nobody stops to fill the card */
	rc = store_make_closed(SIZE, 64 * MIB);
	return rc ? rc : open_it();
}

static int
teardown(void **state)
{
	return close_it() | store_remove(state);
}

static int
write_block(uint64_t i)
{
	uint8_t block[BLOCK];

	memset(block, (int)(i % 251 + 1), sizeof block);
	return lbs_vdisk_write(disk, block, sizeof block, i * BLOCK, 0);
}

/* ---- a segment that is begun while a checkpoint notes segments -------------- */

enum { NOTHING, ARMED, NOTING, TAKEN, BEGUN };
static _Atomic int stage;
static _Atomic uint32_t taken;
static _Thread_local int is_writer;
static pthread_t writer;
static int writer_rc;

static void *
write_on(void *arg)
{
	(void)arg;
	is_writer = 1;
	for (uint64_t i = 1; i < BLOCKS && writer_rc == 0; i++)
		writer_rc = write_block(i);
	if (stage == NOTING)
		stage = BEGUN; /* it took none */
	return NULL;
}

static void
await(int what)
{
	while (stage < what)
		usleep(100);
}

int __real_store_check_not_newer(lbs_store *s, uint32_t segment);
int __wrap_store_check_not_newer(lbs_store *s, uint32_t segment);
/* The writer has taken a segment, which has no key yet. */
int
__wrap_store_check_not_newer(lbs_store *s, uint32_t segment)
{
	if (is_writer && stage == NOTING) {
		taken = segment;
		stage = TAKEN;
		await(BEGUN);
	}
	return __real_store_check_not_newer(s, segment);
}

void __real_store_totals(lbs_store *s, struct meta_total *out);
void __wrap_store_totals(lbs_store *s, struct meta_total *out);
/* A checkpoint is about to note segments. */
void
__wrap_store_totals(lbs_store *s, struct meta_total *out)
{
	__real_store_totals(s, out);
	if (!is_writer && stage == ARMED) {
		stage = NOTING;
		pthread_create(&writer, NULL, write_on, NULL);
		await(TAKEN);
	}
}

void __real_segtab_info(struct segtab *t, uint32_t segment,
			struct segment_info *out);
void __wrap_segtab_info(struct segtab *t, uint32_t segment,
			struct segment_info *out);
/* The checkpoint has looked at that segment: now it is begun. */
void
__wrap_segtab_info(struct segtab *t, uint32_t segment, struct segment_info *out)
{
	__real_segtab_info(t, segment, out);
	if (is_writer || stage != TAKEN || segment != taken)
		return;
	stage = BEGUN;
	while (!segtab_key(t, segment))
		usleep(100);
}

static void
a_segment_begun_beside_a_checkpoint_keeps_its_key(void **state)
{
	uint8_t block[BLOCK];

	(void)state;
	assert_int_equal(write_block(0), 0);
	stage = ARMED;
	assert_int_equal(lbs_store_checkpoint(store), 0);
	pthread_join(writer, NULL);
	assert_int_equal(writer_rc, 0);
	assert_int_equal(stage, BEGUN);
	assert_true(taken > 0);
	stage = NOTHING;

	assert_int_equal(close_it(), 0);
	assert_int_equal(open_it(), 0);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(lbs_vdisk_read(disk, block, BLOCK, i * BLOCK),
				 0);
		assert_int_equal(block[0], i % 251 + 1);
	}
}

/* ---- a flush between the two numbers that make the tail ---------------------- */

static int flush_now;

uint64_t __real_stream_log_bytes(struct stream *st);
uint64_t __wrap_stream_log_bytes(struct stream *st);
uint64_t
__wrap_stream_log_bytes(struct stream *st)
{
	uint64_t n = __real_stream_log_bytes(st);

	if (flush_now) {
		flush_now = 0;
		for (uint64_t i = 0; i < BLOCKS; i++)
			assert_int_equal(write_block(i), 0);
		assert_int_equal(lbs_vdisk_flush(disk), 0);
	}
	return n;
}

static void
a_flush_meanwhile_keeps_nothing_more_back(void **state)
{
	uint32_t kept;

	(void)state;
	assert_int_equal(write_block(0), 0);
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	kept = store_room_kept(store, ROOM_CLEANER);
	flush_now = 1;
	assert_int_equal(store_room_kept(store, ROOM_CLEANER), kept);
	assert_int_equal(flush_now, 0);
}

/* ---- a sync while a record is on its way ------------------------------------- */

static int sync_now;

/* The record is in the kernel's hands, and the stream does not know it yet. */
static int
hooked_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	       uint64_t at)
{
	int err = real_pwritev(m, file, iov, n, at);
	uint8_t chunks[64];

	if (sync_now) {
		sync_now = 0;
		stream_take_dirty(store->stream, chunks);
	}
	return err;
}

static void
a_record_on_its_way_waits_for_the_next_sync(void **state)
{
	uint8_t chunks[64];

	(void)state;
	assert_int_equal(write_block(0), 0);
	assert_int_equal(lbs_vdisk_flush(disk), 0);
	ops.pwritev = hooked_pwritev;
	sync_now = 1;
	assert_int_equal(write_block(0), 0);
	assert_int_equal(sync_now, 0);
	assert_true(store_stat(LBS_STAT_UNSYNCED_BYTES) > 0);

	/* What goes into a page that a sync has just taken along waits, too. */
	assert_int_equal(lbs_vdisk_discard(disk, BLOCK, 0, 0), 0);
	stream_take_dirty(store->stream, chunks);
	assert_int_equal(store_stat(LBS_STAT_UNSYNCED_BYTES), 0);
	assert_int_equal(lbs_vdisk_discard(disk, BLOCK, 0, 0), 0);
	assert_true(store_stat(LBS_STAT_UNSYNCED_BYTES) > 0);
}

/* ---- one who writes over blocks beside one who needs the last room ------------ */

#define OTHERS 256u
#define LAST 200u		/* with OTHERS more than is left, alone less */
#define LEFT 300u

static _Atomic unsigned asked, ended, answered;
static _Atomic int over;

/* Is admitted again and again, and writes for as long as a checkpoint lasts. */
static void *
write_over(void *arg)
{
	const struct extent x = { disk->layer, OTHERS, 0 };
	unsigned n = 0;
	uint32_t fresh;
	int rc = 0;

	(void)arg;
	while (!over && rc == 0) {
		if (asked == n) {
			usleep(100);
			continue;
		}
		if (n++)
			map_unadmit(store->map, &x, 0);
		ended = n;
		/* Once more where the other came between the two. */
		do
			rc = store_room_admit(store, &x, &fresh);
		while (rc == 0 && map_admit(store->map, &x, 0, fresh) < 0);
		answered = n;
	}
	if (n && rc == 0)
		map_unadmit(store->map, &x, 0);
	return NULL;
}

/* Until the other is admitted anew; a while if it is not. */
static void
let_write_over(void)
{
	unsigned n = asked + 1;

	if (answered != asked)
		return; /* it still waits */
	asked = n;
	while (ended != n)
		usleep(100);
	for (int i = 0; i < 2000 && answered != n; i++)
		usleep(100);
}

static _Thread_local int is_last;

/* As if others had begun to write so much that all of the card is kept for it, should
 * it have to be recovered. */
static void
lengthen_tail(void)
{
	atomic_store(&store->log_bytes_anchored,
		     stream_log_bytes(store->stream) - 64 * MIB);
}

static int others_write; /* after so many checkpoints */

int __real_store_checkpoint(lbs_store *s);
int __wrap_store_checkpoint(lbs_store *s);
int
__wrap_store_checkpoint(lbs_store *s)
{
	int rc = __real_store_checkpoint(s);

	if (is_last)
		let_write_over();
	if (others_write) {
		others_write--;
		lengthen_tail();
	}
	return rc;
}

static void
the_last_room_is_given_beside_others(void **state)
{
	static uint8_t data[LAST * BLOCK];
	uint64_t most = store_stat(LBS_STAT_LIVE_BLOCKS_MAX) - LEFT;
	pthread_t other;

	(void)state;
	assert_true(most > OTHERS && most + LAST <= SIZE / BLOCK);
	for (uint64_t i = 0; i < most; i++)
		assert_int_equal(write_block(i), 0);
	assert_int_equal(lbs_store_checkpoint(store), 0);
	assert_int_equal(store_stat(LBS_STAT_LIVE_BLOCKS), most);
	assert_int_equal(pthread_create(&other, NULL, write_over, NULL), 0);
	let_write_over();
	while (!answered)
		usleep(100);
	is_last = 1;
	assert_int_equal(lbs_vdisk_write(disk, data, sizeof data, most * BLOCK, 0),
			 0);
	is_last = 0;
	assert_true(asked > 1);
	over = 1;
	pthread_join(other, NULL);
}

/* ---- others write between making room and taking it --------------------------- */

static void
what_others_have_on_the_way_is_no_lack_of_room(void **state)
{
	static uint8_t data[OTHERS * BLOCK];

	(void)state;
	assert_int_equal(write_block(0), 0);
	lengthen_tail();
	others_write = 1;
	assert_int_equal(lbs_vdisk_write(disk, data, sizeof data, 0, 0), 0);
	assert_int_equal(others_write, 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_segment_begun_beside_a_checkpoint_keeps_its_key, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_flush_meanwhile_keeps_nothing_more_back, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_record_on_its_way_waits_for_the_next_sync, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			the_last_room_is_given_beside_others, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_others_have_on_the_way_is_no_lack_of_room, setup,
			teardown),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
