/*
 * load.c - writes to a served vdisk in a way that can be judged after a power cut, and
 * judges. Two clients, each with a part of the disk and a sequence of operations that
 * (seed, round, client) alone decide; every block says which operation wrote it. Must
 * never say that something is durable before the flush behind it was acknowledged.
 *
 *   load run SOCKET SEED ROUND BLOCKS OPERATIONS
 *       says "D a b" when the first a operations of client 0 and b of client 1 are
 *       durable; ends with "END a b" after so many operations a client (0: never)
 *   load stream SOCKET FIRST COUNT
 *       so many MiB in sequence from there on, then a flush; not to be judged
 *   load place FILE
 *       "EXTENT first end": where the file lies in its partition, in bytes
 *   load check SOCKET SEED BLOCKS [a,b]...
 *       the [a,b] are what earlier rounds left. Says "KEPT client k" when the client's
 *       part is exactly what the first k operations of the last round make of it,
 *       otherwise "WRONG client ...". For the last round a,b is what must be there.
 */
#include <libnbd.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK	     4096u
#define CLIENTS	     2
#define RUN_MAX	     256u /* blocks of one request */
#define NUMBER_MASK  ((1ull << 40) - 1) /* of a stamp; the round is above */

enum kind { WRITE, WRITE_FUA, TRIM, FLUSH };

struct operation {
	enum kind kind;
	uint32_t first, count; /* blocks of the client's part */
};

static const char *socket_path;
static uint64_t seed, round_now, blocks, operations;

static void
stop(const char *what)
{
	const char *why = nbd_get_error();

	printf("STOPPED %s: %s\n", what, why ? why : "");
	exit(1);
}

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xBF58476D1CE4E5B9ull;
	x ^= x >> 27;
	x *= 0x94D049BB133111EBull;
	return x ^ x >> 31;
}

/* Operation number of a round, from 1. */
static struct operation
operation_at(uint64_t round, unsigned client, uint64_t number)
{
	static const uint32_t most[] = { 1, 1, 1, 4, 16, 16, 64, RUN_MAX };
	uint64_t r = mix(seed + mix(round * CLIENTS + client + mix(number)));
	/* Each round has its own rate of flushes. */
	unsigned syncs = (unsigned)(mix(seed ^ mix(round)) % 3) * 5 + 1;
	unsigned chance = r % 100;
	struct operation o = { WRITE, 0, 0 };

	if (chance < syncs) {
		o.kind = FLUSH;
		return o;
	}
	if (chance < syncs * 3 / 2)
		o.kind = WRITE_FUA;
	else if (chance > 93)
		o.kind = TRIM;
	o.count = 1 + (uint32_t)(mix(r + 1) % most[mix(r + 2) % 8]);
	o.first = (uint32_t)(mix(r + 3) % (blocks - o.count));
	return o;
}

static uint64_t
stamp_of(uint64_t round, uint64_t number)
{
	return round << 40 | number;
}

/* The contents of a block; stamp 0 is a block of zeroes. */
static void
fill(uint8_t *block, uint64_t stamp, uint64_t lba)
{
	uint64_t words[BLOCK / 8], x = mix(stamp ^ mix(lba));

	if (!stamp) {
		memset(block, 0, BLOCK);
		return;
	}
	words[0] = stamp;
	words[1] = lba;
	for (size_t i = 2; i < BLOCK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
	memcpy(block, words, BLOCK);
}

static struct nbd_handle *
connect_client(void)
{
	struct nbd_handle *h = nbd_create();

	if (!h || nbd_connect_unix(h, socket_path))
		stop("connect");
	if ((uint64_t)nbd_get_size(h) < blocks * CLIENTS * BLOCK)
		stop("the disk is too small");
	return h;
}

/* ---- run ---------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t acked[CLIENTS]; /* guarded by lock */

static void
say(const char *word, const uint64_t numbers[CLIENTS])
{
	printf("%s %llu %llu\n", word, (unsigned long long)numbers[0],
	       (unsigned long long)numbers[1]);
	fflush(stdout);
}

static void *
run_client(void *arg)
{
	unsigned client = (unsigned)(uintptr_t)arg;
	uint64_t base = client * blocks, before[CLIENTS];
	uint8_t *data = malloc(RUN_MAX * BLOCK);
	struct nbd_handle *h = connect_client();

	if (!data)
		stop("out of memory");
	for (uint64_t n = 1; !operations || n <= operations; n++) {
		struct operation o = operation_at(round_now, client, n);
		uint64_t at = (base + o.first) * BLOCK;
		int flags = o.kind == WRITE_FUA ? LIBNBD_CMD_FLAG_FUA : 0, rc;

		pthread_mutex_lock(&lock);
		memcpy(before, acked, sizeof before);
		pthread_mutex_unlock(&lock);
		for (uint32_t i = 0; i < o.count; i++)
			fill(data + i * BLOCK, stamp_of(round_now, n),
			     base + o.first + i);
		if (o.kind == FLUSH)
			rc = nbd_flush(h, 0);
		else if (o.kind == TRIM)
			rc = nbd_trim(h, (uint64_t)o.count * BLOCK, at, 0);
		else
			rc = nbd_pwrite(h, data, o.count * BLOCK, at,
					(uint32_t)flags);
		if (rc)
			stop("request");
		before[client] = n;
		pthread_mutex_lock(&lock);
		acked[client] = n;
		if (o.kind == FLUSH || o.kind == WRITE_FUA)
			say("D", before);
		pthread_mutex_unlock(&lock);
	}
	if (nbd_flush(h, 0))
		stop("flush");
	nbd_shutdown(h, 0);
	nbd_close(h);
	free(data);
	return NULL;
}

static int
run(void)
{
	pthread_t threads[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++)
		if (pthread_create(&threads[i], NULL, run_client,
				   (void *)(uintptr_t)i))
			stop("thread");
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	say("END", acked);
	return 0;
}

/* ---- stream ------------------------------------------------------------- */

/* MiB in sequence, in requests of 1 MiB. */
static int
stream(uint64_t first, uint64_t count)
{
	static uint8_t data[RUN_MAX * BLOCK];
	struct nbd_handle *h = connect_client();

	for (uint64_t at = first; at < first + count; at++) {
		for (uint64_t i = 0; i < RUN_MAX; i++)
			fill(data + i * BLOCK, 1, at * RUN_MAX + i);
		if (nbd_pwrite(h, data, sizeof data, at * sizeof data, 0))
			stop("request");
	}
	if (nbd_flush(h, 0))
		stop("flush");
	nbd_shutdown(h, 0);
	nbd_close(h);
	return 0;
}

/* ---- check -------------------------------------------------------------- */

static void
apply(uint64_t *state, uint64_t round, unsigned client, uint64_t number)
{
	struct operation o = operation_at(round, client, number);

	for (uint32_t i = 0; i < o.count; i++)
		state[o.first + i] =
			o.kind == TRIM ? 0 : stamp_of(round, number);
}

/* What the disk has, by stamps; UINT64_MAX for what no operation writes. */
static void
look(struct nbd_handle *h, unsigned client, uint64_t *found)
{
	static uint8_t data[RUN_MAX * BLOCK], want[BLOCK];
	uint64_t base = client * blocks;

	for (uint64_t at = 0; at < blocks; at += RUN_MAX) {
		uint64_t n = blocks - at < RUN_MAX ? blocks - at : RUN_MAX;

		if (nbd_pread(h, data, n * BLOCK, (base + at) * BLOCK, 0))
			stop("read");
		for (uint64_t i = 0; i < n; i++) {
			memcpy(&found[at + i], data + i * BLOCK, 8);
			fill(want, found[at + i], base + at + i);
			if (memcmp(want, data + i * BLOCK, BLOCK))
				found[at + i] = UINT64_MAX;
		}
	}
}

/* Whether the disk is what the state says; says where it is not. */
static int
same(const uint64_t *state, const uint64_t *found, unsigned client,
     uint64_t kept, int aloud)
{
	for (uint64_t i = 0; i < blocks; i++) {
		if (state[i] == found[i])
			continue;
		if (aloud)
			printf("WRONG %u after %llu of round %llu: block %llu "
			       "is %llx, not %llx\n",
			       client, (unsigned long long)kept,
			       (unsigned long long)round_now,
			       (unsigned long long)(client * blocks + i),
			       (unsigned long long)found[i],
			       (unsigned long long)state[i]);
		return 0;
	}
	return 1;
}

/* Which prefix of the last round is there? At least up to the newest stamp; behind
 * that, discards and flushes leave no stamp. */
static int
check_client(struct nbd_handle *h, unsigned client, char **marks, int count)
{
	uint64_t *state = calloc(blocks, 8), *found = calloc(blocks, 8);
	uint64_t newest = 0, k, must = 0;
	int ok = 0;

	if (!state || !found)
		stop("out of memory");
	for (int r = 0; r < count; r++) {
		const char *mark = marks[r];
		uint64_t upto;

		if (client == 1)
			mark = strchr(mark, ',') + 1;
		upto = strtoull(mark, NULL, 10);
		if (r == count - 1)
			must = upto;
		else
			for (uint64_t n = 1; n <= upto; n++)
				apply(state, (uint64_t)r + 1, client, n);
	}
	round_now = (uint64_t)count;
	look(h, client, found);
	for (uint64_t i = 0; i < blocks; i++)
		if (found[i] != UINT64_MAX && found[i] >> 40 == round_now &&
		    (found[i] & NUMBER_MASK) > newest)
			newest = found[i] & NUMBER_MASK;
	if (newest < must)
		newest = must;
	for (k = 1; k <= newest; k++)
		apply(state, round_now, client, k);
	for (k = newest; !ok; k++) {
		enum kind next = operation_at(round_now, client, k + 1).kind;

		ok = same(state, found, client, k, 0);
		if (ok || (next != TRIM && next != FLUSH))
			break;
		apply(state, round_now, client, k + 1);
	}
	if (ok)
		printf("KEPT %u %llu\n", client, (unsigned long long)k);
	else
		same(state, found, client, k, 1);
	free(state);
	free(found);
	return ok;
}

static int
check(char **marks, int count)
{
	struct nbd_handle *h = connect_client();
	int ok = 1;

	for (unsigned client = 0; client < CLIENTS; client++)
		ok &= check_client(h, client, marks, count);
	nbd_shutdown(h, 0);
	nbd_close(h);
	return ok ? 0 : 1;
}

/* ---- place -------------------------------------------------------------- */

/* Where a file lies, by FIBMAP (FAT has no FIEMAP), looked at once a cluster. */
static int
place(const char *path)
{
	const int step = 4096;
	int fd = open(path, O_RDONLY), block_bytes = 0;
	long long first = -1, end = -1;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || ioctl(fd, FIGETBSZ, &block_bytes)) {
		perror(path);
		return 1;
	}
	for (long long at = 0; at < st.st_size; at += step) {
		int block = (int)(at / block_bytes);
		long long here;

		if (ioctl(fd, FIBMAP, &block)) {
			perror(path);
			return 1;
		}
		here = (long long)block * block_bytes;
		if (here != end && end >= 0)
			printf("EXTENT %lld %lld\n", first, end);
		if (here != end)
			first = here;
		end = here + step;
	}
	if (end >= 0)
		printf("EXTENT %lld %lld\n", first, end);
	close(fd);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "run") == 0) {
		socket_path = argv[2];
		seed = mix(strtoull(argv[3], NULL, 10));
		round_now = strtoull(argv[4], NULL, 10);
		blocks = strtoull(argv[5], NULL, 10);
		operations = strtoull(argv[6], NULL, 10);
		return run();
	}
	if (argc > 4 && strcmp(argv[1], "check") == 0) {
		socket_path = argv[2];
		seed = mix(strtoull(argv[3], NULL, 10));
		blocks = strtoull(argv[4], NULL, 10);
		return check(argv + 5, argc - 5);
	}
	if (argc == 3 && strcmp(argv[1], "place") == 0)
		return place(argv[2]);
	if (argc == 5 && strcmp(argv[1], "stream") == 0) {
		socket_path = argv[2];
		return stream(strtoull(argv[3], NULL, 10),
			      strtoull(argv[4], NULL, 10));
	}
	fprintf(stderr, "load: wrong usage: see its first lines\n");
	return 2;
}
