/*
 * queue.c - what a queue costs and gains beside plain calls: blocks of 4 KiB at
 * random places, on a store in memory. Must never judge: it prints what it saw
 * beside what is aimed at.
 *
 *   build/bench/queue [--json FILE]        QUICK=1: a sixth of the rounds
 *   ON=DIR: where the store lies (default /dev/shm)
 *
 * Plain calls and queues alternate in short rounds, so that all see the same
 * machine; a ratio is taken within a round, and its median and range (without the
 * outer tenths) are shown. At depth 16 a queue gains by a second processor: how much
 * there was of one, two plain threads tell. On a busy machine chrt -r 1 puts it
 * before all others for its few seconds.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "lbs.h"

#define BLOCK 4096u
#define MIB (1ull << 20)
#define VDISK_BYTES (256 * MIB)
#define DEPTH_MAX 16u
#define ROUNDS_MAX 60
#define LOOK_US 50u

static lbs_store *store;
static lbs_vdisk *disk;
static lbs_queue *queue, *loop_queue, *wait_queue;
static char dir[256], path[sizeof dir + 16], card[sizeof dir + 16];
static uint8_t buffers[DEPTH_MAX][BLOCK];
static uint64_t seeds[2] = { 88172645463325252ull, 1181783497276652981ull };

static void
clear(void)
{
	char command[sizeof dir + 16];

	snprintf(command, sizeof command, "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "queue: %s was not removed\n", dir);
}

static void
must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "queue: %s: %s\n", what, lbs_strerror(rc));
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Of all threads, in user space and in the kernel. */
static double
processor(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/* xorshift64*: what is drawn is the same in every run. */
static uint64_t
place(int thread)
{
	uint64_t s = seeds[thread];

	s ^= s >> 12;
	s ^= s << 25;
	s ^= s >> 27;
	seeds[thread] = s;
	return (s * 2685821657736338717ull >> 16) % (VDISK_BYTES / BLOCK) *
	       BLOCK;
}

/* ---- the ways ---------------------------------------------------------- */

static void
plain(int op, unsigned count, int thread)
{
	for (unsigned i = 0; i < count; i++)
		must(op == LBS_OP_READ
			     ? lbs_vdisk_read(disk, buffers[thread], BLOCK,
					      place(thread))
			     : lbs_vdisk_write(disk, buffers[thread], BLOCK,
					       place(thread), 0),
		     "a plain call");
}

struct half {
	int op;
	unsigned count;
};

static void *
half_of_plain(void *arg)
{
	const struct half *h = arg;

	plain(h->op, h->count, 1);
	return NULL;
}

/* What the machine has to give at this moment: a second processor, or not. */
static void
two_threads(int op, unsigned count)
{
	struct half h = { op, count / 2 };
	pthread_t other;

	if (pthread_create(&other, NULL, half_of_plain, &h))
		exit(1);
	plain(op, count - h.count, 0);
	pthread_join(other, NULL);
}

static int
reap(struct lbs_completion *done, unsigned look_us)
{
	struct pollfd event = { .fd = lbs_queue_fd(queue), .events = POLLIN };
	int n = lbs_queue_reap(queue, done, DEPTH_MAX, look_us);

	if (n == 0 && poll(&event, 1, -1) < 0)
		exit(1);
	return n;
}

/* An event loop: submits what there is room for, reaps, sleeps. look_us < 0: the
 * caller waits in the queue instead, and works meanwhile. */
static void
queued(int op, unsigned count, unsigned depth, int look_us)
{
	struct lbs_request r[DEPTH_MAX];
	struct lbs_completion done[DEPTH_MAX];
	struct iovec iov[DEPTH_MAX], *idle[DEPTH_MAX];
	unsigned idles = depth, begun = 0, ended = 0;

	queue = look_us < 0 ? wait_queue : loop_queue;
	for (unsigned i = 0; i < depth; i++) {
		iov[i] = (struct iovec){ buffers[i], BLOCK };
		idle[i] = &iov[i];
	}
	while (ended < count) {
		unsigned n = 0;
		int got;

		while (idles && begun < count) {
			struct iovec *v = idle[--idles];

			r[n++] = (struct lbs_request){
				.vdisk = disk, .op = op, .iov = v,
				.iov_count = 1, .offset_bytes = place(0),
				.user = v
			};
			begun++;
		}
		must(lbs_queue_submit(queue, r, n) == (int)n ? 0 : LBS_EINTERNAL,
		     "submit");
		got = look_us < 0 ? lbs_queue_wait(queue, done, DEPTH_MAX)
				  : reap(done, (unsigned)look_us);
		must(got, "reap");
		for (int i = 0; i < got; i++) {
			must(done[i].result, "a queued call");
			idle[idles++] = done[i].user;
		}
		ended += (unsigned)got;
	}
}

#define TWO_THREADS UINT32_MAX

static const struct way {
	const char *name, *says;
	unsigned depth;		/* 0: plain calls; TWO_THREADS */
	int look_us;
	double aim;		/* at least, of plain calls; 0: none */
} ways[] = {
	{ "plain", "plain calls, one thread", 0, 0, 0 },
	{ "two_threads", "plain calls, two threads", TWO_THREADS, 0, 0 },
	{ "depth16", "depth 16, event loop that sleeps in poll", 16, 0, 1.4 },
	{ "depth16_wait", "depth 16, lbs_queue_wait", 16, -1, 1.4 },
	{ "depth1", "depth 1, event loop that looks 50 us", 1, LOOK_US, 0.8 },
	{ "depth1_wait", "depth 1, lbs_queue_wait", 1, -1, 0.8 },
	{ "depth1_poll", "depth 1, event loop that sleeps in poll", 1, 0, 0.8 },
};
#define WAYS (sizeof ways / sizeof ways[0])

/* ---- figures ----------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct figure {
	double median, low, high;
};

static struct figure
figure(const double *values, int n)
{
	double v[ROUNDS_MAX];

	memcpy(v, values, (size_t)n * sizeof *v);
	qsort(v, (size_t)n, sizeof *v, ascending);
	return (struct figure){ v[n / 2], v[n / 10], v[n - 1 - n / 10] };
}

/* Rounds in which two plain threads got so much more than one: a second processor was
 * to be had. Without one, no queue can be faster than plain calls. */
#define SECOND_PROCESSOR 1.5

/* Those of the values whose round had one, to the front; how many. */
static int
with_second(double *to, const double *values, const double *two, int n)
{
	int m = 0;

	for (int i = 0; i < n; i++)
		if (two[i] >= SECOND_PROCESSOR)
			to[m++] = values[i];
	return m;
}

static json_t *
measure(int op, const char *name, int rounds, unsigned count)
{
	static double rate[WAYS][ROUNDS_MAX], ratio[WAYS][ROUNDS_MAX];
	static double work[WAYS][ROUNDS_MAX];
	double second[ROUNDS_MAX];
	int some;
	json_t *all = json_object();

	for (int round = 0; round < rounds; round++)
		for (size_t w = 0; w < WAYS; w++) {
			double begun = now(), before = processor();

			if (ways[w].depth == TWO_THREADS)
				two_threads(op, count);
			else if (ways[w].depth)
				queued(op, count, ways[w].depth,
				       ways[w].look_us);
			else
				plain(op, count, 0);
			rate[w][round] = count / (now() - begun);
			work[w][round] = (processor() - before) / count * 1e6;
			ratio[w][round] = rate[w][round] / rate[0][round];
		}
	printf("\n%s of 4 KiB%*sper second  processor us     of plain calls  aim\n",
	       name, (int)(36 - strlen(name)), "");
	for (size_t w = 0; w < WAYS; w++) {
		struct figure r = figure(rate[w], rounds);
		struct figure q = figure(ratio[w], rounds);
		struct figure p = figure(work[w], rounds);

		printf("%-44s %9.0f %10.2f    %.2f (%.2f to %.2f)", ways[w].says,
		       r.median, p.median, q.median, q.low, q.high);
		if (ways[w].aim > 0)
			printf("  >= %.1f %s", ways[w].aim,
			       q.median >= ways[w].aim ? "met" : "MISSED");
		putchar('\n');
		json_object_set_new(
			all, ways[w].name,
			json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "per_second",
				  r.median, "processor_us", p.median, "of_plain",
				  q.median, "low", q.low, "high", q.high, "aim",
				  ways[w].aim));
		if (ways[w].aim <= 1)
			continue;
		some = with_second(second, ratio[w], ratio[1], rounds);
		if (some)
			printf("%*sin %d of %d rounds with a second processor:"
			       " %.2f\n", 14, "", some, rounds,
			       figure(second, some).median);
		else
			printf("%*sno round had a second processor\n", 14, "");
	}
	return all;
}

int
main(int argc, char **argv)
{
	struct lbs_create_options make = { .struct_size = sizeof make,
					   .size_bytes = VDISK_BYTES,
					   .capacity_bytes = 1536 * MIB,
					   .preallocate = 1 };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .owner = "bench/queue" };
	struct lbs_queue_options options = { .struct_size = sizeof options };
	int rounds = getenv("QUICK") ? 10 : ROUNDS_MAX;
	json_t *all = json_object();

	if (getenv("WORKERS"))
		options.workers = (uint32_t)atoi(getenv("WORKERS"));
	snprintf(dir, sizeof dir, "%s/lbs-queue-XXXXXX",
		 getenv("ON") ? getenv("ON") : "/dev/shm");
	if (!mkdtemp(dir)) {
		perror("queue: where the store should lie");
		return 1;
	}
	atexit(clear);
	snprintf(path, sizeof path, "%s/b.lbs", dir);
	snprintf(card, sizeof card, "%s/card", dir);
	must(lbs_store_create(path, card, &make), "create");
	must(lbs_store_open(path, &open, &store), "open");
	must(lbs_vdisk_open(store, NULL, &disk), "open the vdisk");
	must(lbs_queue_open(store, &options, &loop_queue), "open a queue");
	options.flags = LBS_QUEUE_WAITER;
	must(lbs_queue_open(store, &options, &wait_queue), "open a queue");
	for (uint64_t at = 0; at < VDISK_BYTES; at += BLOCK)
		must(lbs_vdisk_write(disk, buffers[0], BLOCK, at, 0), "fill");
	json_object_set_new(all, "writes",
			    measure(LBS_OP_WRITE, "writes", rounds, 2000));
	json_object_set_new(all, "reads",
			    measure(LBS_OP_READ, "reads", rounds, 2000));
	must(lbs_queue_close(loop_queue), "close a queue");
	must(lbs_queue_close(wait_queue), "close a queue");
	lbs_vdisk_close(disk);
	must(lbs_store_close(store), "close");
	if (argc == 3 && !strcmp(argv[1], "--json") &&
	    json_dump_file(all, argv[2], JSON_INDENT(1)))
		fprintf(stderr, "queue: %s cannot be written\n", argv[2]);
	json_decref(all);
	return 0;
}
