/*
 * conformance_test - one list of cases behind every door to a vdisk: the
 * library, its queues, NBD, the file.
 *
 *   conformance_test [--seed N] library|queue|nbd|fuse [CASE]...
 *
 * It starts itself again with tests/e2e/pull.c preloaded (pull.so beside it),
 * which makes the card fail. LBS_BUILD_ROOT says where ./lbs-nbd and ./lbs-fuse
 * are.
 */
#include "tests/conformance/cases.h"

#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lbs.h"

#define NOT_HERE 77 /* the suite cannot run: tests/run */

int
check(struct trial *t, int holds, const char *format, ...)
{
	va_list args;

	t->checks++;
	if (holds)
		return 1;
	t->faults++;
	va_start(args, format);
	printf("FAULT: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	return 0;
}

int
closed(struct trial *t)
{
	if (!t->session)
		return 1;
	t->door->disconnect(t->session);
	t->session = NULL;
	return check(t, t->door->stop(&t->place) == 0, "it does not end well");
}

int
reopened(struct trial *t, int read_only)
{
	closed(t);
	t->place.read_only = read_only;
	if (!check(t, t->door->start(&t->place) == 0, "it does not open"))
		return 0;
	t->session = t->door->connect(&t->place);
	return check(t, t->session != NULL, "no session");
}

uint64_t
draw(struct trial *t, uint64_t limit)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (t->random >> 11) % limit;
}

void
noise(struct trial *t, void *buf, size_t length)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < length; i += 8) {
		uint64_t word = draw(t, UINT64_MAX);
		size_t n = length - i < 8 ? length - i : 8;

		memcpy(p + i, &word, n);
	}
}

int
all_zero(const void *buf, size_t length)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < length; i++)
		if (p[i])
			return 0;
	return 1;
}

static void
remove_all(const char *path)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	if (system(command) != 0)
		printf("%s could not be removed\n", path);
}

static int
make_store(struct trial *t, uint64_t capacity_bytes)
{
	struct lbs_create_options options = {
		.struct_size = sizeof(options),
		.size_bytes = SIZE,
		.capacity_bytes = capacity_bytes,
		.segment_size_bytes = MIB,
	};

	remove_all(t->place.card);
	remove_all(t->place.store);
	mkdir(t->place.mount, 0700);
	return check(
		t,
		lbs_store_create(t->place.store, t->place.card, &options) == 0,
		"the store cannot be made");
}

/* A server that a failed case left running ends with us; its mount does not. */
static void
tidy(struct trial *t)
{
	char command[600];

	snprintf(command, sizeof(command),
		 "grep -q ' %s ' /proc/self/mounts && umount -l '%s'",
		 t->place.mount, t->place.mount);
	if (system(command) == 0)
		printf("the case left a mount\n");
	snprintf(command, sizeof(command), "%s-wal", t->place.store);
	unlink(command);
	snprintf(command, sizeof(command), "%s-shm", t->place.store);
	unlink(command);
	snprintf(command, sizeof(command), "%s.run", t->place.store);
	unlink(command);
}

static void
run_case(struct trial *t, const struct test_case *c)
{
	unsigned before = t->faults;

	if (make_store(t, c->capacity_bytes) && reopened(t, 0)) {
		c->run(t);
		closed(t);
	}
	tidy(t);
	printf("%s %s\n", t->faults == before ? "ok  " : "BAD ", c->name);
	fflush(stdout);
}

static int
wanted(const char *name, char **names)
{
	if (!*names)
		return 1;
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return 1;
	return 0;
}

static void
run_list(struct trial *t, const struct test_case *list, char **names)
{
	for (; list->name; list++)
		if (wanted(list->name, names))
			run_case(t, list);
}

/* Once more, with what makes the card fail. */
static void
preload(char **argv, const char *work)
{
	char path[PATH_MAX], value[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return;
	path[n] = '\0';
	snprintf(value, sizeof(value), "%s/pull.so", dirname(path));
	setenv("LD_PRELOAD", value, 1);
	setenv("CONFORMANCE_WORK", work, 1);
	snprintf(value, sizeof(value), "%s/card", work);
	setenv("PULL_DIR", value, 1);
	snprintf(value, sizeof(value), "%s/flag", work);
	setenv("PULL_FLAG", value, 1);
	setenv("PULL_LOG", "/dev/null", 1);
	execv("/proc/self/exe", argv);
}

static void
lay_out(struct place *place, const char *work)
{
	const char *bin = getenv("LBS_BUILD_ROOT");

	snprintf(place->work, sizeof(place->work), "%s", work);
	snprintf(place->bin, sizeof(place->bin), "%s", bin ? bin : ".");
	snprintf(place->card, sizeof(place->card), "%s/card", work);
	snprintf(place->store, sizeof(place->store), "%s/corp.lbs", work);
	snprintf(place->mount, sizeof(place->mount), "%s/mnt", work);
	snprintf(place->flag, sizeof(place->flag), "%s/flag", work);
}

static const struct door *
find_door(const char *name)
{
	static const struct door *const doors[] = { &door_library, &door_queue,
						    &door_nbd, &door_file };

	for (int i = 0; i < 4; i++)
		if (name && strcmp(doors[i]->name, name) == 0)
			return doors[i];
	return NULL;
}

int
main(int argc, char **argv)
{
	char work[] = "/tmp/lbs-conformance.XXXXXX";
	const char *preloaded = getenv("CONFORMANCE_WORK");
	struct trial t = { .checks = 0 };
	char **args = argv + 1;
	uint64_t seed = 0;

	if (argc > 2 && strcmp(args[0], "--seed") == 0) {
		seed = strtoull(args[1], NULL, 0);
		args += 2;
	}
	t.door = find_door(args[0]);
	if (!t.door) {
		fprintf(stderr, "conformance_test [--seed N] library|queue|nbd|fuse "
				"[CASE]...\n");
		return 2;
	}
	if (t.door == &door_file &&
	    (access("/dev/fuse", R_OK | W_OK) || getuid())) {
		printf("needs root and /dev/fuse\n");
		return NOT_HERE;
	}
	/* A copy of the mount in somebody else's new namespace would keep it busy. */
	if (t.door == &door_file && unshare(CLONE_NEWNS) == 0 &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		perror("/");
	if (!preloaded) {
		if (mkdtemp(work))
			preload(argv, work);
		return 1;
	}
	unsetenv("CONFORMANCE_WORK");
	while (!seed)
		if (getrandom(&seed, 4, 0) < 0)
			return 1;
	printf("seed %llu (--seed %llu repeats this)\n",
	       (unsigned long long)seed, (unsigned long long)seed);
	t.random = seed * 0x9E3779B97F4A7C15ull | 1;
	lay_out(&t.place, preloaded);
	run_list(&t, cases_requests, args + 1);
	run_list(&t, cases_trouble, args + 1);
	remove_all(preloaded);
	printf("%s: %u checks, %u failed\n", t.door->name, t.checks, t.faults);
	return t.faults ? 1 : 0;
}
