/*
 * env.h - what a store stands on: a medium, a SQLite VFS, the run page.
 * Front ends never see it (lbs_store_open builds the POSIX one); the tests
 * build one over a simulated card and internal flash.
 */
#ifndef LBS_STORE_ENV_H
#define LBS_STORE_ENV_H

#include "lbs.h"
#include "liblbs/medium/medium.h"

/*
 * The run page (DESIGN.md condition 3): kept beside the metadata in a mapped file
 * that is never synced, so it outlives the process but not the boot. It tells
 * how far writes had been acknowledged when the last process ended.
 */
struct run_page {
	uint8_t boot_id[16];	/* of the boot that wrote the rest */
	uint8_t store_id[16];
	uint64_t session;
	uint64_t acked_record;	/* atomic; last record acknowledged */
};

struct store_env {
	struct medium *card;	/* owned by the caller, outlives the store */
	const char *vfs;	/* SQLite VFS name; NULL = the default */
	const char *meta_path;	/* the name given to that VFS */
	struct run_page *run;	/* NULL = none; not written when read-only */
	uint8_t boot_id[16];	/* of this boot */
	/* Free bytes of internal flash; NULL = do not look. */
	uint64_t (*meta_free)(void *ctx);
	void *meta_free_ctx;
	int threads;		/* 0: no thread is started; syncs, filling and
				 * checkpoints happen inline (tests) */
	/* 0 = the default for each */
	uint64_t checkpoint_log_bytes;	/* log written between checkpoints */
	uint64_t sync_bytes;		/* unsynced log that starts a sync */
	uint64_t fill_ahead_bytes;	/* how far chunk files are filled ahead */
	uint32_t slice_bytes;		/* a transaction of a checkpoint */
	unsigned sync_seconds;		/* after which a tail is synced unasked */
};

/* As the public calls, on a given environment. Sizes are not held to the
 * command line's limits: segments from 64 KiB are allowed. On failure of
 * create, files may be left behind: the caller removes them. */
int store_create_env(const struct store_env *env, const char *data_dir,
		     const struct lbs_create_options *options);
int store_open_env(const struct store_env *env,
		   const struct lbs_open_options *options, lbs_store **out);

/* Drops a store as the death of the process would: no flush, no checkpoint, no
 * write of any kind; frees memory. For crash tests. */
void store_abandon(lbs_store *store);

#endif
