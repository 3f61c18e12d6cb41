/*
 * open.c - the life of an open store: environment, locks, recovery, threads,
 * and a clean end.
 */
#include "liblbs/store/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "liblbs/meta/mapstore.h"

int
store_may_write(lbs_store *s)
{
	if (s->forks != store_forks())
		return LBS_EFORK;
	if (s->rdonly)
		return LBS_EROFS;
	return atomic_load(&s->failed) ? LBS_EFAILED : 0;
}

int
store_fail(lbs_store *s, int code, const char *format, ...)
{
	va_list args;
	int first;

	pthread_mutex_lock(&s->failure_lock);
	first = !atomic_load(&s->failed);
	if (first) {
		va_start(args, format);
		vsnprintf(s->failure, sizeof s->failure, format, args);
		va_end(args);
		atomic_store(&s->failed, code);
	}
	pthread_mutex_unlock(&s->failure_lock);
	if (first) {
		count(s, LBS_STAT_IO_ERRORS, 1);
		code = fail(&s->log, code, "%s; the store takes no more writes",
			    s->failure);
	}
	return code;
}

uint64_t
store_sync_bytes(uint64_t env_sync_bytes, uint64_t capacity_bytes)
{
	uint64_t bytes = env_sync_bytes ? env_sync_bytes : SYNC_BYTES;
	uint64_t share = capacity_bytes / 64 / PAGE_BYTES * PAGE_BYTES;

	if (bytes > share)
		bytes = share;
	return bytes < 16 * PAGE_BYTES ? 16 * PAGE_BYTES : bytes;
}

/* What recovery may have to write again: an unsynced tail at its hard bound
 * (2 x) and a synced one that is not anchored yet (1 x), each ended by a write
 * that was let in below the bound; in segments that lose a little at their ends
 * to headers, indexes and frames that do not fit; and one for discards. */
uint32_t
store_reserve_segments(uint64_t sync_bytes, uint32_t segment_bytes)
{
	uint64_t bytes = 3 * sync_bytes + 2 * GROUP_BLOCKS_MAX * FRAME_BYTES;
	uint32_t usable = segment_bytes - segment_bytes / 64 - 3 * PAGE_BYTES;

	return (uint32_t)((bytes + usable - 1) / usable) + 2;
}

/* ---- the stream's hooks ------------------------------------------------- */

/* The card says from now on that this session wrote to it: a metadata file that
 * does not know of that is an old copy (DESIGN.md condition 7). */
static int
announce(lbs_store *s)
{
	struct card_sealed now = { s->session, atomic_load(&s->checkpoint),
				   s->session };
	int err = card_file_write(&s->sealer, s->env.card, &now);

	return code_of_errno(err);
}

static int
hook_begin(void *ctx, uint32_t segment, uint64_t serial,
	   const uint8_t salt[SALT_BYTES], uint64_t first_recno)
{
	lbs_store *s = ctx;
	struct meta_piece piece = { .first_recno = first_recno,
				    .segment = segment,
				    .offset = SEGMENT_HEADER_BYTES,
				    .serial = serial };
	int rc;

	memcpy(piece.salt, salt, SALT_BYTES);
	if (s->recovering) {
		/* Becomes part of the log with recovery's one commit. */
		s->recovery_piece = piece;
		return 0;
	}
	pthread_mutex_lock(&s->db);
	rc = s->piece_count < PIECES_MAX ? 0 : LBS_EINTERNAL;
	if (rc == 0)
		rc = meta_begin(s->meta);
	if (rc == 0) {
		s->pieces[s->piece_count++] = piece;
		rc = meta_pieces_set(s->meta, s->pieces, s->piece_count);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	pthread_mutex_unlock(&s->db);
	if (rc == 0)
		rc = announce(s);
	return rc;
}

static void
hook_applied(void *ctx, const struct map_change *changes, int n,
	     const struct log_position *behind)
{
	lbs_store *s = ctx;

	if (!s->recovering)
		map_apply(s->map, changes, n, behind);
	else if (map_replay(s->map, changes, n, behind))
		store_fail(s, LBS_ENOMEM, "out of memory");
	/* Recovery's rewriting is not part of the log before its commit: if the
	 * process dies until then, the old numbers are what was acknowledged. */
	if (s->env.run && !s->recovering)
		__atomic_store_n(&s->env.run->acked_record, behind->recno,
				 __ATOMIC_RELEASE);
}

static void
hook_failed(void *ctx, int code)
{
	store_fail(ctx, code, "the card failed while the log was written: check "
		   "the card and open the store again");
}

static void
hook_known(void *ctx, uint64_t *durable_to, uint64_t *checkpoint)
{
	lbs_store *s = ctx;

	*durable_to = atomic_load(&s->durable_recno);
	*checkpoint = atomic_load(&s->checkpoint);
}

int
store_stream_start(lbs_store *s)
{
	struct append_hooks hooks = {
		.ctx = s,
		.next_segment = store_next_segment,
		.begin = hook_begin,
		.applied = hook_applied,
		.failed = hook_failed,
		.known = hook_known,
	};

	s->stream = stream_new(&s->sealer, &s->geometry, s->env.card, s->segtab,
			       &hooks, s->session);
	return s->stream ? 0 : fail(&s->log, LBS_ENOMEM, "out of memory");
}

/* ---- opening ------------------------------------------------------------ */

/* The map asks for a page that is not in memory. db before map: no checkpoint
 * changes the page between reading it and giving it. */
static int
load_page(void *ctx, uint32_t layer, uint64_t page)
{
	lbs_store *s = ctx;
	uint64_t *entries = malloc(MAP_PAGE_BLOCKS * sizeof *entries);
	int rc = entries ? 0 : LBS_ENOMEM;

	if (rc == 0) {
		pthread_mutex_lock(&s->db);
		rc = mapstore_page(s->meta, layer, page, entries);
		if (rc == 0)
			rc = map_page_put(s->map, layer, page, entries);
		pthread_mutex_unlock(&s->db);
	}
	free(entries);
	return rc;
}

static int
load_segment(void *ctx, const struct meta_segment *row)
{
	lbs_store *s = ctx;

	segtab_use(s->segtab, row->segment, row->serial, row->salt, 0);
	segtab_set_in_metadata(s->segtab, row->segment, 1);
	return 0;
}

/* A chunk that counts as room must be there in its full length. */
static int
load_chunk(void *ctx, uint32_t chunk, uint32_t filled)
{
	lbs_store *s = ctx;
	struct medium *card = s->env.card;
	uint64_t size = 0, want = (uint64_t)filled * s->geometry.segment_bytes;
	char name[MEDIUM_NAME_BYTES];
	int err;

	medium_file_name(chunk, name);
	err = card->ops->open(card, chunk, s->rdonly ? MEDIUM_OPEN_RDONLY : 0);
	/* No room in it; but what an accepted loss left is still read. */
	if (!filled)
		return 0;
	if (!err)
		err = card->ops->size(card, chunk, &size);
	if (s->accept_loss && (err == -ENOENT || (!err && size < want))) {
		/* What is gone is no room; its blocks are errors when read. */
		filled = err ? 0 : (uint32_t)(size / s->geometry.segment_bytes);
		warn(&s->log, LBS_EDATAMISSING,
		     "the chunk file %s lacks what lay behind its byte %llu",
		     name, (unsigned long long)(err ? 0 : size));
	} else if (s->card_older && (err == -ENOENT || (!err && size < want)))
		return fail(&s->log, LBS_ESTALECARD,
			    "the card is an older copy of this store's card, "
			    "without all of the chunk file %s: insert the newest "
			    "card, or run lbsck --accept-loss to see what is "
			    "lost and go on without it", name);
	else if (err == -ENOENT)
		return fail(&s->log, LBS_ECARDMISSING,
			    "the chunk file %s is missing from the card: insert "
			    "the right card, or copy the file back", name);
	else if (err)
		return fail(&s->log, code_of_errno(err),
			    "the chunk file %s cannot be opened (%s): check the "
			    "card", name,
			    err == -EINVAL ? "not a regular file"
					   : strerror(-err));
	else if (size < want)
		return fail(&s->log, LBS_EDATAMISSING,
			    "the chunk file %s has %llu of %llu bytes: the card "
			    "lost data; copy the file back or run lbsck", name,
			    (unsigned long long)size, (unsigned long long)want);
	for (uint32_t i = 0; i < filled; i++) {
		uint32_t segment = chunk * s->geometry.segments_per_chunk + i;

		if (segment < s->geometry.segment_count)
			segtab_fill(s->segtab, segment);
	}
	return 0;
}

static int
load_vdisk(void *ctx, const struct meta_vdisk *row)
{
	lbs_store *s = ctx;

	if (s->vdisk_count == VDISKS_MAX)
		return fail(&s->log, LBS_EVERSION,
			    "the store has more vdisks than this LBS can open");
	s->vdisks[s->vdisk_count++] = *row;
	return 0;
}

static int
load_live(lbs_store *s)
{
	uint32_t live[META_LIVE_GROUP], n = s->geometry.segment_count;
	struct segment_info info;
	int rc = 0;

	for (uint32_t g = 0; g * META_LIVE_GROUP < n && rc == 0; g++) {
		rc = meta_live_get(s->meta, g, live);
		for (uint32_t i = 0; i < META_LIVE_GROUP && rc == 0; i++) {
			uint32_t segment = g * META_LIVE_GROUP + i;

			if (segment >= n)
				break;
			segtab_info(s->segtab, segment, &info);
			if (info.used)
				segtab_live_set(s->segtab, segment, live[i]);
		}
	}
	return rc;
}

/* Everything small that the metadata says, into memory. */
static int
load_tables(lbs_store *s)
{
	const struct meta_store *row = meta_store_row(s->meta);
	int rc;

	s->freshness = row->freshness;
	s->sealer.cipher = row->cipher;
	s->sealer.segment_bytes = row->segment_size;
	memcpy(s->sealer.store_id, row->store_id, STORE_ID_BYTES);
	s->geometry = (struct geometry){
		row->segment_size,
		(uint32_t)(row->chunk_size / row->segment_size),
		row->capacity_segments
	};
	s->data_key = secret_alloc(DATA_KEY_BYTES);
	if (!s->data_key)
		return fail(&s->log, LBS_ENOMEM, "out of memory");
	s->sealer.data_key = s->data_key;
	rc = meta_data_key(s->meta, s->data_key);
	if (rc)
		return rc;
	s->sync_bytes = store_sync_bytes(
		s->env.sync_bytes,
		(uint64_t)row->capacity_segments * row->segment_size);
	s->reserve_segments =
		store_reserve_segments(s->sync_bytes, row->segment_size);
	s->checkpoint_log_bytes = s->env.checkpoint_log_bytes
					  ? s->env.checkpoint_log_bytes
					  : CHECKPOINT_LOG_BYTES;
	s->fill_ahead_bytes = s->env.fill_ahead_bytes ? s->env.fill_ahead_bytes
						      : FILL_AHEAD_BYTES;
	/* Filling ahead must not stop short of the reserve. */
	s->fill_ahead_bytes +=
		(uint64_t)s->reserve_segments * row->segment_size;
	s->segtab = segtab_new(&s->sealer, row->capacity_segments);
	s->flush.chunks = calloc(
		geometry_chunk(&s->geometry, row->capacity_segments) + 1, 1);
	if (!s->segtab || !s->flush.chunks)
		return fail(&s->log, LBS_ENOMEM, "out of memory");
	return 0;
}

static int
load_state(lbs_store *s, const struct card_sealed *on_card)
{
	struct meta_state state;
	int rc = meta_state_get(s->meta, &state);

	s->card_older = rc == 0 && on_card->session &&
			on_card->session < state.session;
	if (rc == 0)
		rc = meta_segment_each(s->meta, load_segment, s);
	if (rc == 0)
		rc = load_live(s);
	if (rc == 0)
		rc = meta_chunk_each(s->meta, load_chunk, s);
	if (rc == 0)
		rc = meta_vdisk_each(s->meta, load_vdisk, s);
	if (rc == 0)
		rc = meta_anchor_get(s->meta, &s->anchor);
	if (rc == 0)
		rc = meta_pieces_get(s->meta, s->pieces, PIECES_MAX,
				     &s->piece_count);
	return rc;
}

static lbs_store *
store_new(const struct store_env *env, const struct lbs_open_options *options)
{
	lbs_store *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->forks = store_forks();
	s->env = *env;
	if (options) {
		s->log = (struct logger){ options->log, options->log_ctx };
		s->rdonly = (options->flags & LBS_RDONLY) != 0;
		s->accept_loss = (options->flags & LBS_ACCEPT_LOSS) != 0;
	}
	pthread_mutex_init(&s->db, NULL);
	pthread_mutex_init(&s->flush.lock, NULL);
	pthread_cond_init(&s->flush.done, NULL);
	pthread_mutex_init(&s->synced_lock, NULL);
	pthread_mutex_init(&s->checkpointing, NULL);
	pthread_mutex_init(&s->filling, NULL);
	pthread_mutex_init(&s->syncing, NULL);
	pthread_mutex_init(&s->failure_lock, NULL);
	ranges_init(&s->ranges);
	return s;
}

void
store_free(lbs_store *s, int abandon)
{
	if (!s)
		return;
	stream_free(s->stream);
	map_free(s->map);
	segtab_free(s->segtab);
	if (abandon)
		meta_abandon(s->meta);
	else
		meta_close(s->meta);
	secret_free(s->data_key);
	free(s->flush.chunks);
	ranges_destroy(&s->ranges);
	pthread_mutex_destroy(&s->failure_lock);
	pthread_mutex_destroy(&s->syncing);
	pthread_mutex_destroy(&s->filling);
	pthread_mutex_destroy(&s->checkpointing);
	pthread_mutex_destroy(&s->synced_lock);
	pthread_cond_destroy(&s->flush.done);
	pthread_mutex_destroy(&s->flush.lock);
	pthread_mutex_destroy(&s->db);
	free(s);
}

/* The run page belongs to this session from now on. */
static void
start_run_page(lbs_store *s)
{
	struct run_page *run = s->env.run;
	struct log_position behind;

	if (!run)
		return;
	map_position(s->map, &behind);
	/* The boot last: until it is there the rest says nothing. */
	run->session = s->session;
	run->acked_record = behind.recno;
	memcpy(run->boot_id, s->env.boot_id, sizeof run->boot_id);
	memcpy(run->store_id, s->sealer.store_id, STORE_ID_BYTES);
}

int
store_open_env(const struct store_env *env,
	       const struct lbs_open_options *options, lbs_store **out)
{
	lbs_store *s = store_new(env, options);
	struct card_sealed on_card;
	int rc;

	*out = NULL;
	if (!s)
		return LBS_ENOMEM;
	rc = secret_init() ? LBS_EINTERNAL : 0;
	if (rc == 0)
		rc = meta_open(env->meta_path, env->vfs,
			       s->rdonly ? META_RDONLY : 0, &s->log, &s->meta);
	if (rc == 0)
		rc = load_tables(s);
	if (rc == 0)
		rc = card_file_check(&s->sealer, env->card, s->rdonly, &s->log,
				     &on_card);
	if (rc == 0)
		rc = load_state(s, &on_card);
	if (rc == 0) {
		s->map = map_new(options ? options->map_limit_bytes : 0,
				 load_page, s);
		rc = s->map ? 0 : fail(&s->log, LBS_ENOMEM, "out of memory");
	}
	if (rc == 0)
		rc = store_recover(s, &on_card);
	if (rc == 0 && !s->rdonly) {
		start_run_page(s);
		/* What was replayed counts towards the next checkpoint; too
		 * many pieces or too much of it, and it is written now. */
		if ((uint64_t)s->piece_count * s->geometry.segment_bytes >
			    PIECES_BYTES ||
		    s->piece_count > PIECES_MAX / 2 ||
		    map_wants_checkpoint(s->map))
			rc = store_checkpoint(s);
	}
	if (rc == 0 && !s->rdonly)
		(void)store_meta_has_room(s);
	if (rc == 0)
		rc = background_start(s);
	if (rc)
		/* A refused store is left as it was found. */
		store_free(s, 1);
	else
		*out = s;
	return rc;
}

void
store_abandon(lbs_store *s)
{
	if (!s)
		return;
	background_stop(s);
	store_free(s, 1);
}

/* Everything durable and in the map: nothing is left to replay. */
static int
finish(lbs_store *s)
{
	int rc = store_checkpoint(s);

	if (rc || !s->piece_count)
		return rc;
	pthread_mutex_lock(&s->db);
	rc = meta_begin(s->meta);
	if (rc == 0) {
		rc = meta_pieces_set(s->meta, NULL, 0);
		if (rc == 0)
			rc = meta_commit(s->meta);
		else
			meta_rollback(s->meta);
	}
	pthread_mutex_unlock(&s->db);
	return rc;
}

/* ---- the POSIX environment ---------------------------------------------- */

struct posix {
	char meta_path[4096];
	struct medium *card;
	struct run_file *run;
};

static void
posix_free(struct posix *p)
{
	if (!p)
		return;
	if (p->card)
		p->card->ops->close(p->card);
	run_file_close(p->run);
	free(p);
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

/* Looks at the file without opening it: nothing but SQLite may (DESIGN.md condition
 * 12). */
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
				  "insert the card, or give its place with "
				  "--data", dir, strerror(-err));
	}
	if (rc) {
		posix_free(p);
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
	struct logger log = { options ? options->log : NULL,
			      options ? options->log_ctx : NULL };
	struct posix *posix;
	struct store_env env;
	int rc;

	if (!path || !out ||
	    (options && options->struct_size < sizeof *options))
		return LBS_EINVAL;
	*out = NULL;
	rc = posix_env(path, options, &log, &env, &posix);
	if (rc)
		return rc;
	rc = store_open_env(&env, options, out);
	if (rc)
		posix_free(posix);
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

	if (!path || (options && options->struct_size < sizeof *options))
		return LBS_EINVAL;
	if (options)
		probe = *options;
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
		rc = load_tables(s);
	if (rc == 0)
		rc = card_file_check(&s->sealer, env.card, 1, &log, &on_card);
	if (rc == 0)
		rc = load_state(s, &on_card);
	store_free(s, 1);
	posix_free(posix);
	return rc;
}

API int
lbs_store_close(lbs_store *s)
{
	struct posix *posix;
	int rc = 0;

	if (!s)
		return 0;
	posix = s->posix;
	if (s->forks != store_forks())
		return LBS_EFORK; /* the parent's: not even memory is ours */
	background_stop(s);
	if (!s->rdonly)
		rc = atomic_load(&s->failed) ? LBS_EFAILED : finish(s);
	store_free(s, rc != 0 || s->rdonly);
	posix_free(posix);
	return rc;
}

API int
lbs_store_checkpoint(lbs_store *s)
{
	return store_checkpoint(s);
}

/* ---- vdisks -------------------------------------------------------------- */

API int
lbs_vdisk_open(lbs_store *s, const char *name, lbs_vdisk **out)
{
	lbs_vdisk *v;

	*out = NULL;
	if (s->forks != store_forks())
		return LBS_EFORK;
	if (!name || !*name)
		name = "disk";
	for (int i = 0; i < s->vdisk_count; i++) {
		if (strcmp(s->vdisks[i].name, name))
			continue;
		v = calloc(1, sizeof *v);
		if (!v)
			return LBS_ENOMEM;
		v->store = s;
		strcpy(v->name, name);
		v->size_bytes = s->vdisks[i].size_bytes;
		v->layer = s->vdisks[i].layer;
		*out = v;
		return 0;
	}
	return LBS_ENOENT;
}

API void
lbs_vdisk_close(lbs_vdisk *v)
{
	free(v);
}

API uint64_t
lbs_vdisk_size(const lbs_vdisk *v)
{
	return v->size_bytes;
}

API const char *
lbs_vdisk_name(const lbs_vdisk *v)
{
	return v->name;
}
