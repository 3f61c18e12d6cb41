/*
 * salvage.c - see salvage.h. What is read is only checked for sense; whether it is
 * true is held against the card by opening and by lbsck, as with any metadata
 * file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "liblbs/meta/mapstore.h"
#include "liblbs/meta/salvage_int.h"

/* A checkpoint's number that none on the card is beyond: what lies there must not
 * look as if a newer metadata file had written it. */
#define CHECKPOINT_UNKNOWN (1ull << 32)

/* How far the log must reach. Where that is not known, a promise that no card
 * can keep: the file is refused until the loss is accepted. */
static int
put_promise(struct work *w)
{
	uint64_t most = w->anchor.recno, session;
	int known = w->have_state && w->have_anchor && !w->pieces_end, rc;

	for (int i = 0; i < w->piece_count; i++)
		if (w->pieces[i].first_recno > most)
			most = w->pieces[i].first_recno;
	if (!w->have_state) {
		session = most >> 32;
		session += session < SESSION_MAX;
		w->state = (struct meta_state){ session, CHECKPOINT_UNKNOWN,
						most };
		if (w->piece_count)
			w->state.checkpoint_recno =
				w->pieces[0].first_recno - 1;
	}
	if (!known) {
		w->anchor = (struct meta_anchor){
			w->state.session << 32 | UINT32_MAX, 0,
			SEGMENT_HEADER_BYTES
		};
		w->s->lost |= SALVAGE_LOST_PROMISE;
	}
	rc = meta_state_set(w->to, &w->state);
	if (rc == 0)
		rc = meta_anchor_set(w->to, &w->anchor);
	return rc ? rc : meta_pieces_set(w->to, w->pieces, w->piece_count);
}

static int
put_vdisks(struct work *w)
{
	int rc = 0;

	if (!w->vdisk_count) {
		struct meta_vdisk v = { .name = "disk", .id = 1, .layer = 1 };

		v.size_bytes = w->blocks * BLOCK_BYTES;
		w->s->lost |= SALVAGE_LOST_VDISKS;
		w->vdisks[w->vdisk_count++] = v;
	}
	for (int i = 0; i < w->vdisk_count && rc == 0; i++)
		rc = meta_vdisk_add(w->to, &w->vdisks[i]);
	return rc;
}

static int
rebuild(struct work *w)
{
	int rc = salvage_rows(w);

	if (rc == 0)
		rc = salvage_map_names(w);
	if (rc == 0)
		rc = put_promise(w);
	if (rc == 0)
		rc = put_vdisks(w);
	if (rc == 0)
		rc = salvage_map_copy(w);
	if (rc == 0)
		rc = salvage_map_count(w);
	if (rc == 0 && w->s->lost & SALVAGE_DOUBT) {
		rc = salvage_map_lose_holes(w);
		if (rc == 0)
			rc = salvage_map_count(w);
	}
	return rc;
}

/* The first page is the same in every store but for what it counts, and the
 * tables' roots never move: a page of the new file stands in for a damaged
 * one. (That opening and closing drops SQLite's lock on it does not matter: nobody
 * else knows the file yet.) */
static int
lend_first_page(const struct salvage *s, struct meta *to)
{
	uint8_t page[PAGE_BYTES];
	int from = -1, copy = -1, rc = LBS_EIO;
	off_t size;

	meta_fold(to);
	from = open(s->out, O_RDONLY | O_CLOEXEC);
	copy = open(s->copy, O_RDWR | O_CLOEXEC);
	if (from < 0 || copy < 0 ||
	    pread(from, page, sizeof page, 0) != (ssize_t)sizeof page)
		goto out;
	size = lseek(copy, 0, SEEK_END);
	/* Big-endian: the size in pages; no free pages; counters that agree. */
	for (int i = 0; i < 4; i++) {
		page[28 + i] = (uint8_t)(size / PAGE_BYTES >> (24 - 8 * i));
		page[32 + i] = page[36 + i] = 0;
		page[92 + i] = page[24 + i];
	}
	if (pwrite(copy, page, sizeof page, 0) == (ssize_t)sizeof page)
		rc = 0;
out:
	if (from >= 0)
		close(from);
	if (copy >= 0)
		close(copy);
	return rc;
}

static const char *const quiet_settings =
	"PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=0;"
	"PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
	"PRAGMA temp_store=MEMORY;";

static int
open_copy(struct work *w)
{
	const struct logger quiet = { NULL, NULL };
	int rc;

	meta_abandon(w->from);
	w->from = NULL;
	rc = meta_open_db(w->s->copy, &quiet, &w->from);
	if (rc == 0)
		(void)sqlite3_exec(w->from->db, quiet_settings, NULL, NULL,
				   NULL);
	if (rc == 0)
		rc = meta_store_row_read(w->from, &w->from->store);
	if (rc == 0)
		rc = meta_data_key(w->from, w->key);
	/* Is every table known? */
	if (rc == 0 && sqlite3_exec(w->from->db,
				    "SELECT 1 FROM vdisk,segment,chunk,state,"
				    "anchor,piece,map_base,map_delta LIMIT 0",
				    NULL, NULL, NULL))
		rc = LBS_ECORRUPT;
	return rc;
}

/* Makes the new file. It holds the key, and SQLite would let others read it. */
static int
make_out(struct work *w, const struct meta_store *store, const struct logger *log)
{
	int fd = open(w->s->out, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(w->s->log, errno == EEXIST ? LBS_EEXIST : LBS_EIO,
			    "a new metadata file cannot be made (%s)",
			    strerror(errno));
	close(fd);
	w->made = 1;
	return meta_create(w->s->out, NULL, store, w->key, log, &w->to);
}

static void
drop_out(struct work *w)
{
	meta_close(w->to);
	w->to = NULL;
	if (w->made)
		unlink(w->s->out);
	w->made = 0;
}

/* Opens the copy and reads its store row; where that cannot be, with a first page
 * that a new file lends. */
static int
read_store(struct work *w)
{
	static const struct meta_store blank = {
		.format_version = FORMAT_VERSION, .block_size = BLOCK_BYTES,
	};
	const struct logger quiet = { NULL, NULL };
	int rc;

	if (open_copy(w) == 0)
		return 0;
	memset(w->key, 0, DATA_KEY_BYTES);
	rc = make_out(w, &blank, &quiet);
	if (rc == 0)
		rc = lend_first_page(w->s, w->to);
	drop_out(w);
	if (rc == 0 && open_copy(w))
		rc = fail(w->s->log, LBS_ECORRUPT,
			  "the row that holds the key cannot be read: "
			  "nothing can be salvaged, only a backup of the "
			  "metadata file helps");
	return rc;
}

int
meta_salvage(struct salvage *s)
{
	struct work w = { .s = s, .lost_segment = NO_SEGMENT };
	size_t n;
	int rc = secret_init() ? LBS_EINTERNAL : 0;

	if (rc == 0 && !(w.key = secret_alloc(DATA_KEY_BYTES)))
		rc = LBS_ENOMEM;
	if (rc == 0)
		rc = read_store(&w);
	if (rc == 0)
		rc = make_out(&w, &w.from->store, s->log);
	if (rc)
		goto out;
	n = w.from->store.capacity_segments + META_LIVE_GROUP;
	w.used = calloc(n, 1);
	w.has_count = calloc(n, 1);
	w.counted = calloc(n, sizeof *w.counted);
	rc = w.used && w.has_count && w.counted ? meta_begin(w.to) : LBS_ENOMEM;
	if (rc == 0)
		rc = rebuild(&w);
	if (rc == 0)
		rc = meta_commit(w.to);
out:
	if (rc)
		drop_out(&w);
	meta_close(w.to);
	meta_abandon(w.from);
	secret_free(w.key);
	free(w.used);
	free(w.has_count);
	free(w.counted);
	return rc;
}
