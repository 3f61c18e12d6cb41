/*
 * overlap_test.c - several clients whose requests are in flight at the same time and
 * overlap, of a sector to more than two MiB, through queues and plain calls; then the
 * process dies, the power is cut or the card fails, wherever that happens to be. What they
 * read, and what the disk holds in the end, by tests/lab/ledger.h.
 * Must never call a run good in which nothing overlapped.
 *
 *   overlap_test [SEED [COUNT]]     only these rounds; what threads decide may differ
 */
#include "tests/lab/check.h"
#include "tests/lab/ledger.h"
#include "tests/lab/simimage.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIB 1024u
#define BLOCK MODEL_BLOCK
#define CLIENTS 4
#define IN_FLIGHT 4
#define REQUESTS 110		/* of each client */
#define ROUNDS 100
#define PIECES 3

static const struct world_shape shape = {
	.vdisk_bytes = 2600 * KIB + 3 * 512,
	.capacity_bytes = 200 * 64 * KIB,
	.segment_bytes = 64 * KIB,
	.chunk_bytes = 1024 * KIB,
	.checkpoint_log_bytes = 1024 * KIB,
	.sync_bytes = 512 * KIB,
	.fill_ahead_bytes = 256 * KIB,
	.threads = 1,
};

struct request {
	struct lbs_request ask;
	struct iovec iov[PIECES];
	uint8_t *buf;
	uint32_t op;		/* of the ledger; 0: a read, */
	uint64_t submitted;	/* of that */
	int busy;
};

struct client {
	struct world *w;
	struct ledger *l;
	lbs_queue *queue;	/* NULL: plain calls, one at a time */
	uint64_t rng;
	struct request requests[IN_FLIGHT];
	int stopped;
	char why[300];		/* what was wrong */
	pthread_t thread;
};

static uint64_t below(struct client *me, uint64_t limit)
{
	return sim_random(&me->rng) % limit;
}

/* Half of all is in one place, so that much overlaps. */
static void draw_place(struct client *me, struct request *r)
{
	uint64_t size = shape.vdisk_bytes, dice = below(me, 100), len, room;
	uint64_t grain = below(me, 2) ? BLOCK : LEDGER_SECTOR;

	len = dice < 45	  ? 1 + below(me, 8 * BLOCK)
	      : dice < 70 ? 1 + below(me, 2 * BLOCK)
	      : dice < 93 ? 1 + below(me, 128 * KIB)
			  : 1 + below(me, 2400 * KIB);
	len = (len + grain - 1) / grain * grain;
	room = below(me, 2) && len < 256 * KIB ? 300 * KIB : size;
	r->ask.len_bytes = len;
	r->ask.offset_bytes = below(me, room - len + 1) / grain * grain;
}

static void draw_request(struct client *me, struct request *r)
{
	uint64_t dice = below(me, 100);

	memset(r, 0, sizeof(*r));
	r->ask.vdisk = me->w->vdisk;
	r->ask.user = r;
	r->ask.op = dice < 55	? LBS_OP_WRITE
		    : dice < 65 ? LBS_OP_WRITE_ZEROES
		    : dice < 75 ? LBS_OP_DISCARD
		    : dice < 92 ? LBS_OP_READ
				: LBS_OP_FLUSH;
	if (r->ask.op == LBS_OP_FLUSH)
		return;
	draw_place(me, r);
	if (r->ask.op != LBS_OP_READ && below(me, 8) == 0)
		r->ask.flags = LBS_FUA;
}

/* Memory in up to three pieces. */
static void make_pieces(struct client *me, struct request *r)
{
	size_t left = (size_t)r->ask.len_bytes, n;
	int i, count = 1 + (int)below(me, PIECES);

	r->buf = sim_alloc(left);
	for (i = 0; i < count; i++) {
		n = i + 1 < count ? (size_t)below(me, left + 1) : left;
		r->iov[i] = (struct iovec){ r->buf + (r->ask.len_bytes - left),
					    n };
		left -= n;
	}
	r->ask.iov = r->iov;
	r->ask.iov_count = count;
}

static void issue(struct client *me, struct request *r)
{
	static const enum ledger_kind kinds[] = {
		[LBS_OP_WRITE] = LEDGER_WRITE,
		[LBS_OP_FLUSH] = LEDGER_FLUSH,
		[LBS_OP_DISCARD] = LEDGER_DISCARD,
		[LBS_OP_WRITE_ZEROES] = LEDGER_ZERO,
	};

	r->busy = 1;
	if (r->ask.op == LBS_OP_READ || r->ask.op == LBS_OP_WRITE)
		make_pieces(me, r);
	if (r->ask.op == LBS_OP_READ) {
		r->submitted = ledger_now(me->l);
		return;
	}
	r->op = ledger_issue(me->l, kinds[r->ask.op], r->ask.offset_bytes,
			     r->ask.len_bytes, r->ask.flags != 0);
	if (r->ask.op == LBS_OP_WRITE)
		ledger_fill(me->l, r->op, r->buf);
}

static void told(struct client *me, struct request *r, int rc)
{
	if (rc != 0) {
		me->stopped = 1;
		if (!simdisk_is_off(me->w->disk) &&
		    simdisk_fault_hits(me->w->disk) == 0)
			snprintf(me->why, sizeof(me->why), "operation %d gave %s",
				 r->ask.op, lbs_error_word(rc));
	} else if (r->op != 0) {
		ledger_told(me->l, r->op);
	} else if (ledger_read(me->l, r->submitted, r->buf,
			       (size_t)r->ask.len_bytes, r->ask.offset_bytes,
			       me->why, sizeof(me->why)) < 0) {
		me->stopped = 1;
	}
	free(r->buf);
	r->buf = NULL;
	r->busy = 0;
}

static int perform(const struct lbs_request *a)
{
	switch (a->op) {
	case LBS_OP_READ:
		return lbs_vdisk_readv(a->vdisk, a->iov, a->iov_count,
				       a->offset_bytes);
	case LBS_OP_WRITE:
		return lbs_vdisk_writev(a->vdisk, a->iov, a->iov_count,
					a->offset_bytes, a->flags);
	case LBS_OP_DISCARD:
		return lbs_vdisk_discard(a->vdisk, a->len_bytes,
					 a->offset_bytes, a->flags);
	case LBS_OP_WRITE_ZEROES:
		return lbs_vdisk_write_zeroes(a->vdisk, a->len_bytes,
					      a->offset_bytes, a->flags);
	default:
		return lbs_vdisk_flush(a->vdisk);
	}
}

static int in_flight(const struct client *me)
{
	int i, n = 0;

	for (i = 0; i < IN_FLIGHT; i++)
		n += me->requests[i].busy;
	return n;
}

/* Submits one, and waits when there is no room for another. */
static void go_on(struct client *me, int more)
{
	struct lbs_completion done[IN_FLIGHT];
	struct request *r = me->requests;
	int n, i;

	if (more) {
		while (r->busy)
			r++;
		draw_request(me, r);
		issue(me, r);
		if (me->queue == NULL) {
			told(me, r, perform(&r->ask));
			return;
		}
		if (lbs_queue_submit(me->queue, &r->ask, 1) != 1)
			told(me, r, LBS_EINTERNAL);
		if (in_flight(me) < IN_FLIGHT)
			return;
	}
	n = lbs_queue_wait(me->queue, done, IN_FLIGHT);
	for (i = 0; i < n; i++)
		told(me, done[i].user, done[i].result);
}

static void *live(void *arg)
{
	struct client *me = arg;
	int i;

	for (i = 0; i < REQUESTS && !me->stopped; i++)
		go_on(me, 1);
	while (in_flight(me) > 0)
		go_on(me, 0);
	return NULL;
}

static void live_together(struct world *w, struct ledger *l, uint64_t seed)
{
	struct lbs_queue_options options = { .struct_size = sizeof(options) };
	struct client *clients = sim_alloc(CLIENTS * sizeof(*clients));
	int i;

	for (i = 0; i < CLIENTS; i++) {
		struct client *me = &clients[i];

		me->w = w;
		me->l = l;
		me->rng = sim_mix(seed, 20 + (uint64_t)i);
		options.workers = 1 + (uint32_t)i;
		if (i > 0)
			assert_code(w, lbs_queue_open(w->store, &options,
						      &me->queue), 0);
		assert_int_equal(pthread_create(&me->thread, NULL, live, me), 0);
	}
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
		assert_code(w, lbs_queue_close(clients[i].queue), 0);
	}
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].why[0] != '\0')
			fail_msg("seed %llu, client %d: %s [%s]",
				 (unsigned long long)seed, i, clients[i].why,
				 w->log_text);
	free(clients);
}

static void judge(struct world *w, struct ledger *l, uint64_t seed,
		  enum ledger_end kept, const char *then)
{
	size_t size = (size_t)shape.vdisk_bytes;
	uint8_t *disk = sim_alloc(size);
	char why[300];

	assert_code(w, lbs_vdisk_read(w->vdisk, disk, size, 0), 0);
	if (ledger_judge(l, disk, kept, why, sizeof(why)) < 0)
		fail_msg("seed %llu, %s: %s", (unsigned long long)seed, then, why);
	free(disk);
}

enum ending { PEACE, DEATH, CUT, CUT_TOO, FAILURE, ENDINGS };

static const char *const when[ENDINGS] = {
	"closed", "after the death", "after the cut", "after the cut",
	"after the failure"
};

/* What is to come while they work. */
static void arm(struct world *w, uint64_t seed, enum ending ending)
{
	uint64_t dice = sim_mix(seed, 3);

	if (ending == FAILURE)
		simdisk_fault(w->disk, SIM_CARD, dice % 3 ? SIM_WRITE : SIM_SYNC,
			      dice % 3 ? dice % 200 : dice % 10, 1, EIO,
			      SIM_FAULT_PARTIAL | SIM_FAULT_DROP);
	else if (ending != PEACE)
		simdisk_arm(w->disk, simdisk_ticks(w->disk) + 1 + dice % 900);
}

static void end(struct world *w, uint64_t seed, enum ending ending)
{
	int rc;

	if (ending == DEATH) {
		world_cut(w, SIM_KEEP_ALL, seed);
	} else if (ending == CUT || ending == CUT_TOO) {
		world_cut(w, (enum sim_variant)(seed / ENDINGS % SIM_KEEP_ALL),
			  seed);
	} else {
		rc = world_close(w);
		simdisk_clear_faults(w->disk);
		if (rc != 0 && ending == PEACE)
			assert_code(w, rc, 0);
	}
}

static void play(uint64_t seed, struct ledger_seen *seen)
{
	enum ending ending = (enum ending)(seed % ENDINGS);
	enum ledger_end kept = ending == CUT || ending == CUT_TOO
				       ? LEDGER_POWER_CUT : LEDGER_ALIVE;
	struct ledger *l = ledger_new(shape.vdisk_bytes, CLIENTS * REQUESTS);
	struct world_shape mine = shape;
	struct world *w;

	mine.compress = seed % 7 == 0 ? LBS_COMPRESS_LZ4 : 0;
	w = check_made(&mine);
	assert_code(w, world_open(w, 0), 0);
	arm(w, seed, ending);
	live_together(w, l, seed);
	if (ending == PEACE)
		judge(w, l, seed, LEDGER_ALIVE, "at work");
	end(w, seed, ending);
	assert_code(w, world_open(w, 0), 0);
	judge(w, l, seed, kept, when[ending]);
	ledger_count(l, seen);
	assert_code(w, world_close(w), 0);
	world_free(w);
	ledger_free(l);
}

static uint64_t first = 1, rounds = ROUNDS;

static void test_overlap(void **state)
{
	struct ledger_seen seen = { 0 };
	uint64_t seed;

	(void)state;
	for (seed = first; seed < first + rounds; seed++)
		play(seed, &seen);
	printf("%llu pairs overlapped side by side, cuts took %llu writes and left %llu "
	       "long ones in part\n", (unsigned long long)seen.pairs,
	       (unsigned long long)seen.lost, (unsigned long long)seen.parts);
	if (rounds >= ROUNDS)
		assert_true(seen.pairs > 20 * rounds && seen.lost > rounds / 4);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_overlap) };

	if (argc > 1) {
		first = strtoull(argv[1], NULL, 10);
		rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
