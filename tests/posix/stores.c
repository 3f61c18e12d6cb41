/*
 * stores.c - see stores.h.
 */
#include "tests/posix/stores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHUNK (2 * MIB)
#define ROOT_BYTES 60

char posix_root[ROOT_BYTES], posix_home[PATH_BYTES];
uint8_t posix_truth[DISK];

void posix_path(char out[PATH_BYTES], const char *store, const char *name)
{
	if (snprintf(out, PATH_BYTES, "%s/%s/%s", posix_root, store, name) >=
	    PATH_BYTES)
		fail();
}

void posix_shell(const char *format, ...)
{
	char line[4 * PATH_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (system(line) != 0) {
		print_error("%s\n", line);
		fail();
	}
}

int posix_open(const char *store, unsigned flags, lbs_store **s)
{
	char meta[PATH_BYTES], card[PATH_BYTES];
	struct lbs_open_options o = { .struct_size = sizeof(o), .flags = flags,
				      .data_dir = card, .owner = "a test" };

	posix_path(meta, store, "corp.lbs");
	posix_path(card, store, "card");
	return lbs_store_open(meta, &o, s);
}

static void create(const char *store)
{
	struct lbs_create_options o = { .struct_size = sizeof(o),
					.size_bytes = DISK,
					.capacity_bytes = 16 * MIB,
					.segment_size_bytes = SEGMENT,
					.chunk_size_bytes = CHUNK };
	char meta[PATH_BYTES], card[PATH_BYTES];

	posix_shell("mkdir %s/%s", posix_root, store);
	posix_path(meta, store, "corp.lbs");
	posix_path(card, store, "card");
	assert_int_equal(lbs_store_create(meta, card, &o), 0);
}

void posix_fill(uint8_t *p, size_t len, unsigned seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = (uint8_t)(seed >> 16);
	}
}

static void write_at(lbs_vdisk *d, uint64_t block, unsigned count, unsigned seed)
{
	uint8_t *p = posix_truth + block * BLOCK_BYTES;
	unsigned i;

	posix_fill(p, (size_t)count * BLOCK_BYTES, seed);
	for (i = 0; i < count; i++)
		assert_int_equal(lbs_vdisk_write(d, p + (size_t)i * BLOCK_BYTES,
			BLOCK_BYTES, (block + i) * BLOCK_BYTES, 0), 0);
}

/* One life: first everything is discarded, then blocks are written to the first
 * segment; the end as told. */
enum end { CLOSE, DIE };

static void live(const char *store, unsigned seed, enum end end)
{
	lbs_store *s;
	lbs_vdisk *d;
	int status;
	pid_t pid = end == DIE ? fork() : 0;

	/* The child writes what the parent only remembers. */
	if (end == CLOSE || pid == 0) {
		assert_int_equal(posix_open(store, 0, &s), 0);
		assert_int_equal(lbs_vdisk_open(s, NULL, &d), 0);
		assert_int_equal(lbs_vdisk_discard(d, DISK, 0, 0), 0);
		memset(posix_truth, 0, sizeof(posix_truth));
		write_at(d, 0, 60, seed);
		assert_int_equal(lbs_vdisk_flush(d), 0);
		if (end == DIE)
			_exit(0);
		lbs_vdisk_close(d);
		assert_int_equal(lbs_store_close(s), 0);
		return;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	memset(posix_truth, 0, sizeof(posix_truth));
	posix_fill(posix_truth, 60 * BLOCK_BYTES, seed);
	/* Another boot: what the run page remembers does not count. */
	posix_shell("rm -f %s/%s/corp.lbs.run", posix_root, store);
}

/* The pristine stores: "closed", "killed", and "foreign" of another key; beside
 * each an older copy of card and metadata. */
int posix_make(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	if (snprintf(posix_root, sizeof(posix_root), "%s/lbs-tamper.XXXXXX",
		     tmp ? tmp : "/tmp") >= (int)sizeof(posix_root) ||
	    mkdtemp(posix_root) == NULL || getcwd(posix_home, sizeof(posix_home)) == NULL)
		return -1;
	create("foreign");
	live("foreign", 99, CLOSE);
	create("closed");
	live("closed", 1, CLOSE);
	posix_shell("cd %s/closed && cp -r card old-card && cp corp.lbs old.lbs", posix_root);
	posix_shell("cp -r %s/closed %s/killed", posix_root, posix_root);
	/* Emptied and written anew: the first segment is used again. */
	live("killed", 2, CLOSE);
	live("killed", 3, DIE);
	live("closed", 2, CLOSE);
	live("closed", 3, CLOSE);
	return 0;
}

int posix_unmake(void **state)
{
	(void)state;
	posix_shell("rm -rf %s", posix_root);
	return 0;
}
