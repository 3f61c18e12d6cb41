/*
 * oom_test.c - memory is refused at the n-th call, for every n, once and from then
 * on for ever, while a small store is made, opened, worked with and closed: by the
 * C library, libsodium, OpenSSL and SQLite alike. Each call answers with an error or works,
 * nothing leaks, and once there is memory again the store opens with everything
 * that was acknowledged (facts of promises 1 to 4, 6 and 10).
 * Must never count a trial in which no memory was refused.
 *
 *   oom_test [--every N] [--only PHASE] [--json FILE] [--replay ID]
 *
 * A failure prints an ID, PHASE:NUMBER:forever|once, that --replay runs again.
 * --every tries one number in N. The last line is "N trials, N failed".
 *
 * Link with -Wl,--wrap for malloc, calloc, realloc, free, sodium_malloc and
 * sodium_free.
 */
#include "tests/lab/nonce_audit.h"
#include "tests/lab/rough.h"
#include "tests/lab/script.h"
#include "tests/lab/simimage.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORK "wapbdzfbcpwzafdbbf"

enum phase { CREATING, OPENING_CLOSED, OPENING_KILLED, OPENING_CUT, WORKING,
	     CLOSING, PHASES };
static const char *const phase_names[PHASES] = {
	"create", "open-closed", "open-killed", "open-cut", "work", "close",
};

/* ---- memory that is refused --------------------------------------------------- */

/* One thread: the store starts none here. */
static struct {
	int armed, forever;
	unsigned long left;	/* calls that still succeed */
	unsigned long refused;
	long live;		/* blocks that nobody has freed */
} memory;

static int is_refused(void)
{
	if (!memory.armed || sim_allocating)
		return 0;
	if (memory.left > 0) {
		memory.left--;
		return 0;
	}
	if (memory.refused > 0 && !memory.forever)
		return 0;
	memory.refused++;
	return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__real_sodium_malloc(size_t size);
void __real_sodium_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);
void *__wrap_sodium_malloc(size_t size);
void __wrap_sodium_free(void *p);

static void *noted(void *p)
{
	memory.live += p != NULL;
	return p;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : noted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : noted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *p;

	if (is_refused())
		return NULL;
	p = __real_realloc(old, size);
	memory.live += p != NULL && old == NULL;
	return p;
}

void __wrap_free(void *p)
{
	memory.live -= p != NULL;
	__real_free(p);
}

void *__wrap_sodium_malloc(size_t size)
{
	return is_refused() ? NULL : noted(__real_sodium_malloc(size));
}

void __wrap_sodium_free(void *p)
{
	memory.live -= p != NULL;
	__real_sodium_free(p);
}

static sqlite3_mem_methods real_methods;

static void *sql_malloc(int size)
{
	return is_refused() ? NULL : noted(real_methods.xMalloc(size));
}

static void sql_free(void *p)
{
	memory.live -= p != NULL;
	real_methods.xFree(p);
}

static void *sql_realloc(void *old, int size)
{
	return is_refused() ? NULL : real_methods.xRealloc(old, size);
}

static void take_over_sqlite(void)
{
	sqlite3_mem_methods ours;

	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods);
	ours = real_methods;
	ours.xMalloc = sql_malloc;
	ours.xFree = sql_free;
	ours.xRealloc = sql_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK ||
	    sqlite3_initialize() != SQLITE_OK) {
		printf("FAILED SQLite does not take another allocator\n");
		exit(1);
	}
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(size);
}

static void *ssl_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return realloc(old, size);
}

static void ssl_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

static void take_over_openssl(void)
{
	if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free)) {
		printf("FAILED OpenSSL does not take another allocator\n");
		exit(1);
	}
}

static void refuse(unsigned long number, int forever)
{
	memory.left = number;
	memory.forever = forever;
	memory.refused = 0;
	memory.armed = 1;
}

static void give_again(void)
{
	memory.armed = 0;
}

/* ---- one trial ------------------------------------------------------------------ */

struct trial {
	enum phase phase;
	unsigned long number;
	int forever;
};

static struct world *bases[PHASES];
static unsigned long trials, failed, errors;

static void make_bases(void)
{
	bases[OPENING_CLOSED] = rough_base(ROUGH_CLOSED);
	bases[OPENING_KILLED] = rough_base(ROUGH_KILLED);
	bases[OPENING_CUT] = rough_base(ROUGH_CUT);
	bases[WORKING] = rough_lived(SCRIPT_WORN, "w");
	bases[CLOSING] = rough_lived(SCRIPT_ZIP, "w");
}

static int try_creating(const struct trial *t, struct rough *r)
{
	int rc;

	refuse(t->number, t->forever);
	rc = world_create(r->w);
	give_again();
	return rough_made(r, rc, (unsigned)t->number);
}

static int try_opening(const struct trial *t, struct rough *r)
{
	int rc;

	refuse(t->number, t->forever);
	rc = rough_open(r, 0);
	give_again();
	if (rc == 0)
		rc = rough_settle(r);
	return rc < 0 ? -1 : rough_aftermath(r, (unsigned)t->number);
}

static int try_working(const struct trial *t, struct rough *r)
{
	int rc;

	if (rough_open(r, 0) != 0)
		return -1;
	refuse(t->number, t->forever);
	rc = rough_work(r, WORK);
	give_again();
	return rc < 0 ? -1 : rough_aftermath(r, (unsigned)t->number);
}

static int try_closing(const struct trial *t, struct rough *r)
{
	int rc;

	if (rough_open(r, 0) != 0 || rough_work(r, "wbfdp") < 0)
		return -1;
	refuse(t->number, t->forever);
	rc = rough_close(r);
	give_again();
	return rc < 0 ? -1 : rough_aftermath(r, (unsigned)t->number);
}

/* 1 if memory was refused in it. */
static int run(const struct trial *t)
{
	static int (*const tries[PHASES])(const struct trial *, struct rough *) = {
		try_creating, try_opening, try_opening, try_opening, try_working,
		try_closing,
	};
	struct rough r = { .codes = ROUGH_CODE(LBS_ENOMEM) };
	uint64_t repeats = nonce_audit_repeats();
	unsigned long refused;
	long live;
	int rc;

	nonce_audit_reset();
	live = memory.live;
	r.w = t->phase == CREATING ? world_new(&script_shape)
				   : world_clone(bases[t->phase]);
	memory.refused = 0;
	rc = tries[t->phase](t, &r);
	refused = memory.refused;
	give_again();
	world_free(r.w);
	nonce_audit_reset();
	if (rc == 0 && nonce_audit_repeats() != repeats)
		snprintf(r.why, sizeof(r.why), "a (key, nonce) pair was sealed "
			 "twice");
	else if (rc == 0 && memory.live != live)
		snprintf(r.why, sizeof(r.why), "%ld blocks of memory were left",
			 memory.live - live);
	else if (rc == 0)
		r.why[0] = '\0';
	if (rc < 0 || r.why[0] != '\0') {
		printf("FAILED %s:%lu:%s\n       %s\n", phase_names[t->phase],
		       t->number, t->forever ? "forever" : "once", r.why);
		failed++;
	}
	if (refused != 0) {
		trials++;
		errors += (unsigned long)r.errors;
	}
	return refused != 0;
}

/* ---- the whole --------------------------------------------------------------------- */

static void sweep_all(unsigned long every, const char *only)
{
	unsigned long before;
	struct trial t;

	for (t.phase = 0; t.phase < PHASES; t.phase++) {
		if (only != NULL && strcmp(only, phase_names[t.phase]) != 0)
			continue;
		before = trials;
		for (t.forever = 0; t.forever < 2; t.forever++) {
			t.number = every > 1 ? (unsigned long)t.phase % every : 0;
			while (run(&t))
				t.number += every;
		}
		printf("%s: %lu trials\n", phase_names[t.phase], trials - before);
		fflush(stdout);
	}
}

static int replay(const char *id)
{
	char phase[32], how[16];
	struct trial t;

	if (sscanf(id, "%31[^:]:%lu:%15s", phase, &t.number, how) != 3)
		return -1;
	t.forever = strcmp(how, "forever") == 0;
	for (t.phase = 0; t.phase < PHASES; t.phase++)
		if (strcmp(phase, phase_names[t.phase]) == 0)
			break;
	if (t.phase == PHASES)
		return -1;
	run(&t);
	return 0;
}

static int write_json(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		return -1;
	fprintf(f, "{\"suite\": \"oom\", \"trials\": %lu, \"errors\": %lu, "
		"\"failed\": %lu}\n", trials, errors, failed);
	return fclose(f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "every", required_argument, NULL, 'e' },
		{ "only", required_argument, NULL, 'o' },
		{ "json", required_argument, NULL, 'J' },
		{ "replay", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	const char *id = NULL, *json = NULL, *only = NULL;
	unsigned long every = 1;
	int opt, phase;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'e')
			every = strtoul(optarg, NULL, 10);
		else if (opt == 'o')
			only = optarg;
		else if (opt == 'J')
			json = optarg;
		else if (opt == 'r')
			id = optarg;
		else
			return 2;
	}
	if (every == 0)
		return 2;
	take_over_sqlite();
	take_over_openssl();
	make_bases();
	if (id == NULL) {
		sweep_all(every, only);
		printf("%lu answers were errors\n", errors);
	} else if (replay(id) < 0) {
		fprintf(stderr, "oom_test: %s is not an ID\n", id);
		return 2;
	}
	for (phase = 0; phase < PHASES; phase++)
		world_free(bases[phase]);
	if (json != NULL && write_json(json) != 0) {
		printf("FAILED %s cannot be written\n", json);
		return 1;
	}
	printf("%lu trials, %lu failed\n", trials, failed);
	return failed == 0 && trials != 0 ? 0 : 1;
}
