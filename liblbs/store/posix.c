/*
 * posix.c - a store on real files: the metadata file, the lock and the run page
 * beside it, the data directory; lbs_store_open and lbs_store_probe.
 * Must never open the metadata file but through SQLite (DESIGN.md condition 12).
 */
#include "liblbs/store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "crypto/secret.h"
#include "liblbs/grow.h"

struct posix {
	char meta_path[4096];
	struct medium *card;
	struct run_file *run;
};

void
store_posix_free(struct posix *p)
{
	if (!p)
		return;
	if (p->card)
		p->card->ops->close(p->card);
	run_file_close(p->run);
	free(p);
}

void
store_posix_finishing(struct posix *p)
{
	if (p)
		run_file_finishing(p->run);
}

static uint64_t
posix_meta_free(void *ctx)
{
	struct posix *p = ctx;
	struct statvfs vfs;

	if (statvfs(p->meta_path, &vfs))
		return UINT64_MAX;
	return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

int
store_look(const char *path, const struct logger *log)
{
	struct stat st;

	if (stat(path, &st))
		return fail(log, errno == ENOENT ? LBS_ENOENT : LBS_EIO,
			    "there is no such store (%s): check the name",
			    strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(log, LBS_ENOTSTORE,
			    "not an LBS store (not a regular file): check the "
			    "name");
	return 0;
}

/* Through SQLite's log, which a process that died may have left half folded in:
 * the bare file alone may then look corrupt. */
static int
read_row(const char *path, const struct logger *log, struct meta_store *store)
{
	struct meta *m;
	int rc = meta_open(path, NULL, META_RDONLY, log, &m);

	if (rc == 0) {
		*store = *meta_store_row(m);
		meta_abandon(m);
	}
	return rc;
}

static int
posix_env(const char *path, const struct lbs_open_options *options,
	  const struct logger *log, struct store_env *env, struct posix **out)
{
	struct posix *p = calloc(1, sizeof *p);
	const char *dir = options ? options->data_dir : NULL;
	int rdonly = options && options->flags & LBS_RDONLY, err;
	struct meta_store store;
	int rc = store_look(path, log);

	*out = NULL;
	if (!p && rc == 0)
		rc = fail(log, LBS_ENOMEM, "out of memory");
	if (rc == 0 && !realpath(path, p->meta_path))
		rc = fail(log, LBS_EIO, "the path cannot be resolved (%s)",
			  strerror(errno));
	if (rc == 0)
		rc = run_file_open(p->meta_path,
				   options ? options->owner : NULL, rdonly, log,
				   &p->run);
	/* With the lock taken, where does the store say the card is? */
	if (rc == 0)
		rc = read_row(p->meta_path, log, &store);
	if (rc == 0) {
		if (!dir)
			dir = store.data_dir;
		err = medium_posix_open(dir, 0, &p->card);
		if (err)
			rc = fail(log, err == -ENOENT || err == -ENOTDIR
					       ? LBS_ECARDMISSING
					       : LBS_EIO,
				  "the data directory %s cannot be opened (%s): "
				  "%s", dir, strerror(-err),
				  err == -EACCES ? "check who owns it, and its "
						   "permissions"
						 : "insert the card, or give its "
						   "place with --data");
	}
	if (rc) {
		store_posix_free(p);
		return rc;
	}
	*env = (struct store_env){
		.card = p->card,
		.meta_path = p->meta_path,
		.run = p->run ? run_file_page(p->run) : NULL,
		.threads = 1,
		.meta_free = posix_meta_free,
		.meta_free_ctx = p,
	};
	run_boot_id(env->boot_id);
	*out = p;
	return 0;
}

API int
lbs_store_open(const char *path, const struct lbs_open_options *options,
	       lbs_store **out)
{
	struct lbs_open_options o = { .struct_size = sizeof o };
	struct posix *posix;
	struct store_env env;
	struct logger log;
	int rc;

	if (!path || !out ||
	    (options && grow_in(&o, sizeof o, GROW_OPEN, options)))
		return LBS_EINVAL;
	*out = NULL;
	log = (struct logger){ o.log, o.log_ctx };
	rc = posix_env(path, &o, &log, &env, &posix);
	if (rc)
		return rc;
	rc = store_open_env(&env, &o, out);
	if (rc)
		store_posix_free(posix);
	else
		(*out)->posix = posix;
	return rc;
}

API int
lbs_store_probe(const char *path, const struct lbs_open_options *options)
{
	struct lbs_open_options probe = { .struct_size = sizeof probe };
	struct logger log;
	struct store_env env;
	struct posix *posix;
	lbs_store *s = NULL;
	struct card_sealed on_card;
	int rc;

	if (!path ||
	    (options && grow_in(&probe, sizeof probe, GROW_OPEN, options)))
		return LBS_EINVAL;
	probe.flags |= LBS_RDONLY;
	log = (struct logger){ probe.log, probe.log_ctx };
	rc = posix_env(path, &probe, &log, &env, &posix);
	if (rc)
		return rc;
	s = store_new(&env, &probe);
	rc = s && secret_init() == 0 ? 0 : LBS_ENOMEM;
	if (rc == 0)
		rc = meta_open(env.meta_path, NULL, META_RDONLY, &log, &s->meta);
	if (rc == 0)
		rc = store_load_tables(s);
	if (rc == 0)
		rc = card_file_check(&s->sealer, env.card, 1, &log, &on_card);
	if (rc == 0)
		rc = store_load_state(s, &on_card);
	store_free(s, 1);
	store_posix_free(posix);
	return rc;
}
