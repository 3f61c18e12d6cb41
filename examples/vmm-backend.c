/*
 * vmm-backend.c - a hypervisor's block back end on an LBS store: one event loop,
 * many requests in flight, scattered buffers, flushes, and the store's events.
 *
 *   cc vmm-backend.c $(pkg-config --cflags --libs lbs) -o vmm-backend
 *   ./vmm-backend corp.lbs /media/card/corp [SECONDS]
 *
 * The guest here is a simple one: it keeps a journal, as file systems do. It writes
 * entries to random places, flushes, and only then writes the commit block that
 * says they are there. At its next start everything up to the commit has to be
 * there. Kill this program at any moment, or cut the power, and start it again.
 *
 * A real back end takes requests from a virtqueue where this one makes them up:
 * submit_* show what becomes of VIRTIO_BLK_T_OUT, _IN, _FLUSH, _DISCARD; finish()
 * is where the used ring would be filled.
 */
#include <errno.h>
#include <lbs.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DISK_BYTES (64u << 20)
#define DEPTH 32u		/* as the virtqueue's size */
#define ENTRY_BYTES 12288u	/* of an entry, in three pieces of guest memory */
#define ENTRIES 24u		/* between two commits; each has a place */
#define PLACES 4096u		/* where entries may lie: 48 MiB */

/* The commit block, at offset 0: entry i of round n lies at place[i]. */
struct commit {
	uint64_t round;
	uint32_t place[ENTRIES];
};

enum kind { ENTRY, FLUSH, COMMIT, CHECK };

/* One request of the guest's. The library hands our pointer back. */
struct guest_request {
	enum kind kind;
	uint32_t entry;
	struct iovec iov[3];
	uint8_t *memory;
	int is_busy;
};

struct backend {
	lbs_store *store;
	lbs_vdisk *disk;
	lbs_queue *queue;
	struct guest_request requests[DEPTH];
	unsigned in_flight;
	struct commit commit, last;
	unsigned entries_begun, entries_done;
	uint64_t commits, done, wakeups;
	int error;
};

static void
tell(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	(void)code;
	if (level <= LBS_LOG_WARNING)
		fprintf(stderr, "vmm-backend: %s\n", sentence);
}

static struct guest_request *
free_request(struct backend *b)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (!b->requests[i].is_busy)
			return &b->requests[i];
	return NULL;
}

/* The queue's depth is ours, and a request stays busy until it was told, so there
 * is always room. A device with more outstanding requests than the queue is deep
 * keeps what was not taken and submits it again after reaping. */
static void
submit(struct backend *b, struct guest_request *g, struct lbs_request r)
{
	int n;

	r.vdisk = b->disk;
	r.user = g;
	g->is_busy = 1;
	n = lbs_queue_submit(b->queue, &r, 1);
	if (n == 1)
		b->in_flight++;
	else
		b->error = n < 0 ? n : LBS_EINTERNAL;
}

/* What entry i of round n contains: itself, again and again. */
static void
fill(uint8_t *memory, uint64_t round, uint32_t entry)
{
	uint64_t word = round * ENTRIES + entry;

	for (size_t at = 0; at < ENTRY_BYTES; at += sizeof word)
		memcpy(memory + at, &word, sizeof word);
}

/* The guest's memory is in pieces, as behind a virtqueue's descriptors. Buffers are
 * used where they lie: nothing is copied, and nothing of them may change until the
 * request was told. */
static void
scatter(struct guest_request *g)
{
	g->iov[0] = (struct iovec){ g->memory, 512 };
	g->iov[1] = (struct iovec){ g->memory + 512, 8192 };
	g->iov[2] = (struct iovec){ g->memory + 8704, ENTRY_BYTES - 8704 };
}

static uint64_t
offset_of(uint32_t place)
{
	return (1u << 20) + (uint64_t)place * ENTRY_BYTES;
}

/* VIRTIO_BLK_T_OUT */
static void
submit_entry(struct backend *b, struct guest_request *g)
{
	uint32_t i = b->entries_begun++;

	/* A place of its own in each round, away from what the last one's
	 * commit names: that must stay until the next commit. */
	b->commit.place[i] = (uint32_t)(b->commit.round % 2) * (PLACES / 2) +
			     i * (PLACES / 2 / ENTRIES) +
			     (uint32_t)rand() % (PLACES / 2 / ENTRIES);
	g->kind = ENTRY;
	g->entry = i;
	fill(g->memory, b->commit.round, i);
	scatter(g);
	submit(b, g, (struct lbs_request){ .op = LBS_OP_WRITE, .iov = g->iov,
					   .iov_count = 3,
					   .offset_bytes = offset_of(
						   b->commit.place[i]) });
}

/* VIRTIO_BLK_T_FLUSH: covers what had completed when it is submitted, so it is
 * submitted when all entries have. */
static void
submit_flush(struct backend *b, struct guest_request *g)
{
	g->kind = FLUSH;
	submit(b, g, (struct lbs_request){ .op = LBS_OP_FLUSH });
}

/* A write with FUA is a write and a flush in one. The commit must not be on the
 * card before its entries are: it is submitted after their flush was told. */
static void
submit_commit(struct backend *b, struct guest_request *g)
{
	g->kind = COMMIT;
	memset(g->memory, 0, 4096);
	memcpy(g->memory, &b->commit, sizeof b->commit);
	g->iov[0] = (struct iovec){ g->memory, 4096 };
	submit(b, g, (struct lbs_request){ .op = LBS_OP_WRITE, .iov = g->iov,
					   .iov_count = 1, .flags = LBS_FUA });
}

/* VIRTIO_BLK_T_IN */
static void
submit_check(struct backend *b, struct guest_request *g, uint32_t entry)
{
	g->kind = CHECK;
	g->entry = entry;
	memset(g->memory, 0, ENTRY_BYTES);
	scatter(g);
	submit(b, g, (struct lbs_request){ .op = LBS_OP_READ, .iov = g->iov,
					   .iov_count = 3,
					   .offset_bytes = offset_of(
						   b->last.place[entry]) });
}

/* The guest decides what comes next, from what was told. */
static void
guest(struct backend *b)
{
	struct guest_request *g;

	while (!b->error && b->entries_begun < ENTRIES &&
	       (g = free_request(b)))
		submit_entry(b, g);
}

/* A request was told. Its status byte would be VIRTIO_BLK_S_OK or _IOERR;
 * lbs_errno(result) is what a block device reports: ENOSPC exactly if the store is
 * full, upon which a good hypervisor pauses the guest instead of failing it. */
static void
finish(struct backend *b, struct guest_request *g, int result)
{
	uint8_t expected[ENTRY_BYTES];

	b->in_flight--;
	b->done++;
	g->is_busy = 0;
	if (result) {
		fprintf(stderr, "vmm-backend: a request failed: %s (%s)\n",
			lbs_strerror(result), strerror(lbs_errno(result)));
		b->error = result;
		return;
	}
	switch (g->kind) {
	case ENTRY:
		if (++b->entries_done == ENTRIES)
			submit_flush(b, g);
		break;
	case FLUSH:
		submit_commit(b, g);
		break;
	case COMMIT:
		b->commits++;
		b->last = b->commit;
		b->commit.round++;
		b->entries_begun = b->entries_done = 0;
		break;
	case CHECK:
		fill(expected, b->last.round, g->entry);
		if (memcmp(g->memory, expected, ENTRY_BYTES)) {
			fprintf(stderr, "vmm-backend: entry %u of commit %llu "
				"is not what was written\n", g->entry,
				(unsigned long long)b->last.round);
			b->error = LBS_EINTERNAL;
		}
	}
}

/* What the guest's requests do not tell. */
static void
handle_events(struct backend *b)
{
	unsigned events = lbs_store_events(b->store);

	if (events & LBS_EVENT_FAILED)
		fprintf(stderr, "vmm-backend: pause the guest: %s\n",
			lbs_store_failure(b->store));
	if (events & LBS_EVENT_SPACE_LOW)
		fprintf(stderr, "vmm-backend: the store is nearly full\n");
}

/* The event loop, as far as the disk is concerned: two descriptors beside whatever
 * else a hypervisor polls. */
static void
turn(struct backend *b)
{
	struct pollfd fds[2] = {
		{ .fd = lbs_queue_fd(b->queue), .events = POLLIN },
		{ .fd = lbs_store_event_fd(b->store), .events = POLLIN },
	};
	struct lbs_completion done[DEPTH];
	int n;

	if (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			b->error = LBS_EIO;
		return;
	}
	b->wakeups++;
	if (fds[1].revents)
		handle_events(b);
	if (!fds[0].revents)
		return;
	/* As many as there are, in one call. If more than DEPTH could wait, the
	 * descriptor would stay readable, and the next turn take the rest. */
	n = lbs_queue_reap(b->queue, done, DEPTH, 0);
	for (int i = 0; i < n; i++)
		finish(b, done[i].user, done[i].result);
}

/* As a journal is replayed: the last commit, and all that it names. */
static void
recover(struct backend *b)
{
	uint8_t block[4096];

	/* Before the guest runs nothing minds waiting: a plain call will do. */
	b->error = lbs_vdisk_read(b->disk, block, sizeof block, 0);
	if (b->error)
		return;
	memcpy(&b->last, block, sizeof b->last);
	if (b->last.round)
		for (uint32_t i = 0; i < ENTRIES && !b->error; i++)
			submit_check(b, free_request(b), i);
	while (b->in_flight && !b->error)
		turn(b);
	printf("commit %llu is whole\n", (unsigned long long)b->last.round);
	fflush(stdout);
	b->commit.round = b->last.round + 1;
}

int
main(int argc, char **argv)
{
	struct lbs_create_options create = { .struct_size = sizeof create,
					     .size_bytes = DISK_BYTES,
					     .log = tell };
	struct lbs_open_options open = { .struct_size = sizeof open,
					 .owner = "vmm-backend", .log = tell };
	/* Two threads, of which a sync of the card keeps one busy at most. */
	struct lbs_queue_options queue = { .struct_size = sizeof queue,
					   .workers = 2, .depth = DEPTH };
	static struct backend b;
	time_t end;
	int rc;

	if (argc < 3) {
		fprintf(stderr, "usage: vmm-backend STORE DATA-DIRECTORY "
			"[SECONDS]\n");
		return 2;
	}
	end = time(NULL) + (argc > 3 ? atoi(argv[3]) : 5);
	srand((unsigned)time(NULL));
	for (unsigned i = 0; i < DEPTH; i++) {
		b.requests[i].memory = malloc(ENTRY_BYTES);
		if (!b.requests[i].memory)
			return 1;
	}
	if (access(argv[1], F_OK) &&
	    lbs_store_create(argv[1], argv[2], &create))
		return 1;
	/* After whatever fork makes a daemon of this: threads, locks and locked
	 * memory do not cross one. */
	rc = lbs_store_open(argv[1], &open, &b.store);
	if (rc == 0)
		rc = lbs_vdisk_open(b.store, NULL, &b.disk);
	if (rc == 0)
		rc = lbs_queue_open(b.store, &queue, &b.queue);
	if (rc == 0) {
		recover(&b);
		while (!b.error && time(NULL) < end) {
			guest(&b);
			turn(&b);
		}
		rc = b.error;
	}
	/* In this order. Closing a queue drains it: buffers are ours again. */
	lbs_queue_close(b.queue);
	lbs_vdisk_close(b.disk);
	if (b.store && lbs_store_close(b.store) && rc == 0)
		rc = LBS_EIO;
	for (unsigned i = 0; i < DEPTH; i++)
		free(b.requests[i].memory);
	printf("%llu requests, %llu commits, %llu wake-ups\n",
	       (unsigned long long)b.done, (unsigned long long)b.commits,
	       (unsigned long long)b.wakeups);
	return rc ? 1 : 0;
}
