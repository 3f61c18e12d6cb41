/*
 * store.h - a real store in a directory of its own for tests through the public
 * header: made, opened, closed and removed.
 */
#ifndef LBS_TESTS_STORE_H
#define LBS_TESTS_STORE_H

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lbs.h"
#include "tests/unit/unit.h"

#define MIB (1ull << 20)

static char store_dir[64], store_path[96], store_card[96];
static lbs_store *store;
static lbs_vdisk *disk;
static int store_told; /* code of the last error told */
static char store_sentence[1200];
static int store_preallocate, store_compress;

static inline void
store_tell(void *ctx, int level, int code, const char *sentence)
{
	(void)ctx;
	if (level == LBS_LOG_ERROR) {
		store_told = code;
		snprintf(store_sentence, sizeof store_sentence, "%s", sentence);
	}
}

static inline int
store_open(unsigned flags)
{
	struct lbs_open_options o = { .struct_size = sizeof o, .flags = flags,
				      .map_limit_bytes = 4 * MIB,
				      .owner = "a test", .log = store_tell };
	int rc = lbs_store_open(store_path, &o, &store);

	if (rc == 0)
		rc = lbs_vdisk_open(store, NULL, &disk);
	return rc;
}

static inline int
store_close(void)
{
	int rc = 0;

	lbs_vdisk_close(disk);
	if (store)
		rc = lbs_store_close(store);
	store = NULL;
	disk = NULL;
	return rc;
}

static inline int
store_make_closed(uint64_t size, uint64_t capacity)
{
	struct lbs_create_options o = { .struct_size = sizeof o,
					.size_bytes = size,
					.capacity_bytes = capacity,
					.segment_size_bytes = MIB,
					.chunk_size_bytes = 8 * MIB,
					.preallocate = store_preallocate,
					.compress = store_compress,
					.log = store_tell };

	if (unit_directory(store_dir, "unit"))
		return LBS_EIO;
	snprintf(store_path, sizeof store_path, "%s/corp.lbs", store_dir);
	snprintf(store_card, sizeof store_card, "%s/card", store_dir);
	return lbs_store_create(store_path, store_card, &o);
}

static inline int
store_make(uint64_t size, uint64_t capacity)
{
	int rc = store_make_closed(size, capacity);

	return rc ? rc : store_open(0);
}

static inline int
store_remove(void **state)
{
	char command[96];

	(void)state;
	(void)store_close();
	snprintf(command, sizeof command, "rm -r %s", store_dir);
	return system(command);
}

/* For a child: ends without a word from what looks for leaks, for the parent's
 * memory is none. A signal says yes. */
static inline void
store_child_says(int yes)
{
	if (yes)
		raise(SIGKILL);
	_exit(1);
}

/* Whether it said yes. */
static inline int
store_child_said(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

static inline uint64_t
store_stat(int stat)
{
	uint64_t v[LBS_STAT_COUNT];

	lbs_store_stat(store, v);
	return v[stat];
}

#endif
