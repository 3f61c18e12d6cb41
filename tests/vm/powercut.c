/*
 * powercut.c - an nbdkit filter: a volatile cache in front of a disk, and a switch
 * for its power. Writes since the last flush are in memory only; a cut keeps none, a
 * prefix or any part of them. With lying=1 a flush is acknowledged and does nothing.
 * Must never answer a request after the cut: whoever asked is dead by then.
 *
 *   powercut-control=SOCKET  commands, a line each, a line back:
 *       arm N             after N more writes the client (QEMU) gets SIGKILL and
 *                         nothing is answered any more
 *       cut HOW SEED      HOW is none, prefix or subset: what of the cache is kept
 *       trace PATH        one line per request from now on; "-" ends it
 *       count             writes, flushes and cached bytes so far
 *   powercut-cache=SIZE   the oldest is written through beyond that (default 64M);
 *                         0: every write is durable when it is answered
 *   powercut-lying=1
 */
#include <nbdkit-filter.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512u

/* One write that is not durable; data NULL means zeroes. */
struct pending {
	struct pending *next;
	uint64_t offset;
	uint32_t len;
	int promised; /* a flush or FUA was acknowledged behind it: a lie */
	uint8_t *data;
};

static const char *control_path;
static int64_t cache_bytes = 64 << 20;
static int lying;

/* All this is guarded by lock; below, the disk, is constant from the first client
 * on and serves all of them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static nbdkit_next *below;
static struct pending *head, **tail = &head;
static int64_t pending_bytes, peer;
static uint64_t writes, flushes, armed_at;
static int dead;
static FILE *trace;

static int
powercut_config(nbdkit_next_config *next, nbdkit_backend *nxdata,
		const char *key, const char *value)
{
	if (strcmp(key, "powercut-control") == 0) {
		control_path = nbdkit_absolute_path(value);
		return control_path ? 0 : -1;
	}
	if (strcmp(key, "powercut-cache") == 0) {
		cache_bytes = nbdkit_parse_size(value);
		return cache_bytes < 0 ? -1 : 0;
	}
	if (strcmp(key, "powercut-lying") == 0) {
		lying = nbdkit_parse_bool(value);
		return lying < 0 ? -1 : 0;
	}
	return next(nxdata, key, value);
}

static int
powercut_config_complete(nbdkit_next_config_complete *next,
			 nbdkit_backend *nxdata)
{
	if (!control_path) {
		nbdkit_error("powercut-control is missing");
		return -1;
	}
	return next(nxdata);
}

/* ---- the cache ---------------------------------------------------------- */

static int
write_below(const struct pending *w, uint32_t from, uint32_t len)
{
	int err = 0;

	if (!w->data)
		return below->zero(below, len, w->offset + from,
				   NBDKIT_FLAG_MAY_TRIM, &err);
	return below->pwrite(below, w->data + from, len, w->offset + from, 0,
			     &err);
}

static void
drop_oldest(void)
{
	struct pending *w = head;

	head = w->next;
	if (!head)
		tail = &head;
	pending_bytes -= w->len;
	free(w->data);
	free(w);
}

static int
write_through(int64_t keep_bytes)
{
	while (head && pending_bytes > keep_bytes) {
		if (write_below(head, 0, head->len) == -1)
			return -1;
		drop_oldest();
	}
	return 0;
}

/* Nobody is answered any more: the caller's thread ends here. */
static void
stay_dead(void)
{
	pthread_mutex_unlock(&lock);
	for (;;)
		pause();
}

static void
note(const char *what, uint64_t offset, uint32_t len)
{
	struct timespec now;

	if (!trace)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	fprintf(trace, "%ld.%06ld %s %llu %u\n", (long)now.tv_sec,
		now.tv_nsec / 1000, what, (unsigned long long)offset, len);
}

/* The client dies first: a virtual SD card hides errors from its guest, which
 * would take an unanswered write for a good one. */
static void
power_off_when_due(void)
{
	if (!armed_at || writes < armed_at)
		return;
	if (peer > 1)
		kill((pid_t)peer, SIGKILL);
	dead = 1;
	stay_dead();
}

static int
add(const void *data, uint32_t len, uint64_t offset, uint32_t flags, int *err)
{
	struct pending *w;

	pthread_mutex_lock(&lock);
	if (dead)
		stay_dead();
	w = calloc(1, sizeof *w);
	if (w && data)
		w->data = malloc(len);
	if (!w || (data && !w->data)) {
		free(w);
		*err = ENOMEM;
		pthread_mutex_unlock(&lock);
		return -1;
	}
	w->offset = offset;
	w->len = len;
	if (data)
		memcpy(w->data, data, len);
	*tail = w;
	tail = &w->next;
	pending_bytes += len;
	writes++;
	note(flags & NBDKIT_FLAG_FUA ? "WF" : "W", offset, len);
	power_off_when_due();
	w->promised = (flags & NBDKIT_FLAG_FUA) != 0;
	if (write_through(flags & NBDKIT_FLAG_FUA && !lying ? 0 : cache_bytes)) {
		*err = EIO;
		pthread_mutex_unlock(&lock);
		return -1;
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

static int
powercut_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t len,
		uint64_t offset, uint32_t flags, int *err)
{
	return add(buf, len, offset, flags, err);
}

static int
powercut_zero(nbdkit_next *next, void *handle, uint32_t len, uint64_t offset,
	      uint32_t flags, int *err)
{
	return add(NULL, len, offset, flags, err);
}

static int
powercut_pread(nbdkit_next *next, void *handle, void *buf, uint32_t len,
	       uint64_t offset, uint32_t flags, int *err)
{
	uint64_t end = offset + len;
	int rc;

	pthread_mutex_lock(&lock);
	if (dead)
		stay_dead();
	rc = below->pread(below, buf, len, offset, 0, err);
	for (struct pending *w = head; w && rc == 0; w = w->next) {
		uint64_t a = w->offset > offset ? w->offset : offset;
		uint64_t e = w->offset + w->len < end ? w->offset + w->len
						      : end;

		if (a >= e)
			continue;
		if (w->data)
			memcpy((char *)buf + (a - offset),
			       w->data + (a - w->offset), e - a);
		else
			memset((char *)buf + (a - offset), 0, e - a);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

static int
powercut_flush(nbdkit_next *next, void *handle, uint32_t flags, int *err)
{
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (dead)
		stay_dead();
	flushes++;
	note("F", 0, 0);
	for (struct pending *w = head; w; w = w->next)
		w->promised = 1;
	if (!lying)
		rc = write_through(0);
	if (rc)
		*err = EIO;
	pthread_mutex_unlock(&lock);
	return rc;
}

/* ---- the switch --------------------------------------------------------- */

static uint64_t
draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state * 0x2545F4914F6CDD1Dull) >> 20;
}

/* Keeps of the cache what the cut leaves and forgets the rest. Says how many
 * writes were kept whole, in part, and not at all, and of how many of the latter two a
 * flush had said that they are kept. */
static void
cut(const char *how, uint64_t seed, FILE *reply)
{
	uint64_t state = seed * 0x9E3779B97F4A7C15ull | 1;
	unsigned count = 0, kept = 0, torn = 0, lost = 0, broken = 0, prefix;
	unsigned i = 0;
	int err = 0;

	dead = 1;
	for (struct pending *w = head; w; w = w->next)
		count++;
	for (int n = 0; n < 8; n++)
		draw(&state);
	prefix = strcmp(how, "prefix") == 0 && count
			 ? (unsigned)(draw(&state) % (count + 1))
			 : 0;
	for (; head; i++, drop_oldest()) {
		unsigned fate = (unsigned)(draw(&state) % 3);

		if (strcmp(how, "subset") != 0)
			fate = i < prefix ? 0 : 1;
		broken += fate != 0 && head->promised;
		if (fate == 0) {
			err |= write_below(head, 0, head->len);
			kept++;
		} else if (fate == 1) {
			lost++;
		} else {
			for (uint32_t at = 0; at < head->len; at += SECTOR)
				if (draw(&state) & 1)
					err |= write_below(head, at, SECTOR);
			torn++;
		}
	}
	if (trace)
		fflush(trace);
	fprintf(reply, "%s kept %u torn %u lost %u broken %u\n",
		err ? "failed" : "cut", kept, torn, lost, broken);
}

static void
command(char *line, FILE *reply)
{
	char word[16] = "", text[4000] = "";
	unsigned long long number = 0;

	line[strcspn(line, "\n")] = '\0';
	sscanf(line, "%15s %3999s %llu", word, text, &number);
	pthread_mutex_lock(&lock);
	if (strcmp(word, "arm") == 0) {
		armed_at = writes + strtoull(text, NULL, 10);
		fprintf(reply, "armed\n");
	} else if (strcmp(word, "cut") == 0) {
		cut(text, number, reply);
	} else if (strcmp(word, "trace") == 0) {
		if (trace)
			fclose(trace);
		trace = strcmp(text, "-") ? fopen(text, "w") : NULL;
		fprintf(reply, "%s\n", trace ? "tracing" : "not tracing");
	} else if (strcmp(word, "count") == 0) {
		fprintf(reply, "writes %llu flushes %llu cached %lld\n",
			(unsigned long long)writes, (unsigned long long)flushes,
			(long long)pending_bytes);
	} else {
		fprintf(reply, "what is %s\n", word);
	}
	pthread_mutex_unlock(&lock);
	fflush(reply);
}

static void *
serve_control(void *arg)
{
	int listening = *(int *)arg;

	for (;;) {
		int fd = accept(listening, NULL, NULL);
		char line[4200];
		FILE *in, *out;

		if (fd < 0)
			continue;
		in = fdopen(fd, "r");
		out = fdopen(dup(fd), "w");
		while (in && out && fgets(line, sizeof line, in))
			command(line, out);
		if (in)
			fclose(in);
		if (out)
			fclose(out);
	}
	return NULL;
}

static int
powercut_after_fork(nbdkit_backend *backend)
{
	static int listening;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pthread_t thread;

	if (strlen(control_path) >= sizeof address.sun_path) {
		nbdkit_error("powercut-control: the path is too long");
		return -1;
	}
	strcpy(address.sun_path, control_path);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0 ||
	    bind(listening, (struct sockaddr *)&address, sizeof address) ||
	    listen(listening, 4) ||
	    pthread_create(&thread, NULL, serve_control, &listening)) {
		nbdkit_error("powercut-control: %m");
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

static void
powercut_cleanup(nbdkit_backend *backend)
{
	pthread_mutex_lock(&lock);
	if (trace)
		fclose(trace);
	trace = NULL;
	if (below) {
		if (!dead)
			write_through(0);
		below->finalize(below);
		nbdkit_next_context_close(below);
	}
	pthread_mutex_unlock(&lock);
}

/* lock is held. Some plugins open only in a client's thread. */
static int
open_below(nbdkit_backend *backend)
{
	below = nbdkit_next_context_open(backend, 0, "", 1);
	/* nbdkit wants to be asked what the disk can before it is used. */
	if (below && below->prepare(below) == 0 &&
	    below->get_size(below) != -1 && below->can_write(below) == 1 &&
	    below->can_zero(below) > NBDKIT_ZERO_NONE &&
	    below->can_trim(below) != -1)
		return 0;
	return -1;
}

static void *
powercut_open(nbdkit_next_open *next, nbdkit_context *context, int readonly,
	      const char *exportname, int is_tls)
{
	int rc = 0;

	if (next(context, readonly, exportname) == -1)
		return NULL;
	pthread_mutex_lock(&lock);
	peer = nbdkit_peer_pid();
	if (!below)
		rc = open_below(nbdkit_context_get_backend(context));
	pthread_mutex_unlock(&lock);
	return rc ? NULL : NBDKIT_HANDLE_NOT_NEEDED;
}

static int
yes(nbdkit_next *next, void *handle)
{
	return 1;
}

static int
no(nbdkit_next *next, void *handle)
{
	return 0;
}

static int
fua(nbdkit_next *next, void *handle)
{
	return NBDKIT_FUA_NATIVE;
}

static int
zero(nbdkit_next *next, void *handle)
{
	return NBDKIT_ZERO_NATIVE;
}

static struct nbdkit_filter filter = {
	.name = "powercut",
	.longname = "volatile cache and power switch",
	.config = powercut_config,
	.config_complete = powercut_config_complete,
	.after_fork = powercut_after_fork,
	.cleanup = powercut_cleanup,
	.open = powercut_open,
	.can_write = yes,
	.can_flush = yes,
	.can_fua = fua,
	.can_zero = zero,
	.can_trim = no,
	.can_multi_conn = yes,
	.pread = powercut_pread,
	.pwrite = powercut_pwrite,
	.zero = powercut_zero,
	.flush = powercut_flush,
};

NBDKIT_DLL_PUBLIC struct nbdkit_filter *filter_init(void);
NBDKIT_REGISTER_FILTER(filter)
