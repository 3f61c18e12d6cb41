/*
 * salvage.c - see salvage.h. The copy is made by plain reading, page by page
 * where the flash gives errors, while nobody holds the store; SQLite only ever
 * opens the copy.
 */
#include "recovery/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "liblbs/meta/salvage.h"
#include "recovery/closed.h"

#define PATH_BYTES 4200
#define COPY_SUFFIX ".salvage-copy"

/* ---- the copy -------------------------------------------------------------- */

/* 0 or a negative errno; pages that cannot be read become zeroes. */
static int
copy_file(const char *from, const char *to, uint64_t *bad_pages)
{
	uint8_t page[4096];
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1;
	struct stat st;
	int err = 0;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		   0600);
	if (out < 0 || fstat(in, &st))
		err = -errno;
	for (off_t at = 0; !err && at < st.st_size; at += sizeof page) {
		ssize_t n = pread(in, page, sizeof page, at);

		if (n < 0) {
			++*bad_pages;
			memset(page, 0, sizeof page);
			n = sizeof page;
		}
		if (pwrite(out, page, (size_t)n, at) != n)
			err = errno ? -errno : -EIO;
	}
	secret_wipe(page, sizeof page); /* of one that holds the data key */
	close(in);
	if (out >= 0)
		close(out);
	return err;
}

static void
remove_copy(const char *copy)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
	char path[PATH_BYTES + 16];

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		snprintf(path, sizeof path, "%s%s", copy, ends[i]);
		unlink(path);
	}
}

static int
make_copy(const char *real, const char *copy, const struct logger *log,
	  uint64_t *bad_pages)
{
	char from[PATH_BYTES + 8], to[PATH_BYTES + 16];
	int err;

	remove_copy(copy);
	snprintf(from, sizeof from, "%s-wal", real);
	snprintf(to, sizeof to, "%s-wal", copy);
	err = copy_file(real, copy, bad_pages);
	if (!err)
		err = copy_file(from, to, bad_pages);
	if (err == -ENOENT)
		err = 0;
	return err ? fail(log, err == -ENOSPC ? LBS_EMETAFULL : LBS_EIO,
			  "the metadata file cannot be copied (%s): make room "
			  "beside it", strerror(-err))
		   : 0;
}

/* ---- what the card adds ----------------------------------------------------- */

struct card_view {
	struct closed c;
	const char *data_dir;
	int tried;
};

static uint64_t
serial_on_card(void *ctx, const struct meta_store *store, const uint8_t *key,
	       uint32_t segment)
{
	struct card_view *v = ctx;
	uint8_t salt[SALT_BYTES];

	if (!v->tried && closed_card(&v->c, store, key, v->data_dir) &&
	    v->c.card)
		v->c.card = NULL;
	v->tried = 1;
	return closed_serial(&v->c, segment, salt);
}

/* Keys of segments that the map names, from the headers on the card: authentic,
 * but nothing tells whether they are the newest. */
static int
add_segments(struct closed *c, uint8_t *known, uint32_t *added)
{
	uint32_t live[META_LIVE_GROUP], n = c->geometry.segment_count;
	struct meta_segment row;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (i % META_LIVE_GROUP == 0)
			rc = meta_live_get(c->meta, i / META_LIVE_GROUP, live);
		if (rc || known[i] || !live[i % META_LIVE_GROUP])
			continue;
		row.segment = i;
		row.serial = closed_serial(c, i, row.salt);
		if (!row.serial)
			continue;
		rc = meta_segment_put(c->meta, &row);
		++*added;
	}
	return rc;
}

static int
add_chunks(struct closed *c)
{
	uint32_t per = c->geometry.segments_per_chunk;
	uint64_t size;
	int rc = 0;

	for (uint32_t at = 0; at < c->geometry.segment_count && rc == 0;
	     at += per) {
		if (c->card->ops->open(c->card, at / per, MEDIUM_OPEN_RDONLY) ||
		    c->card->ops->size(c->card, at / per, &size))
			continue;
		size /= c->geometry.segment_bytes;
		rc = meta_chunk_put(c->meta, at / per,
				    size < per ? (uint32_t)size : per);
	}
	return rc;
}

static int
note_known(void *ctx, const struct meta_segment *row)
{
	((uint8_t *)ctx)[row->segment] = 1;
	return 0;
}

static int
add_from_card(const char *out, const char *data_dir, int lost, uint32_t *added)
{
	uint8_t *known = NULL;
	struct closed c;
	int rc = closed_open(out, data_dir, &c);

	if (rc == 0)
		known = calloc(c.geometry.segment_count, 1);
	if (rc == 0)
		rc = known ? meta_segment_each(c.meta, note_known, known)
			   : LBS_ENOMEM;
	if (rc == 0 && lost & SALVAGE_LOST_SEGMENTS)
		rc = add_segments(&c, known, added);
	if (rc == 0 && lost & SALVAGE_LOST_CHUNKS)
		rc = add_chunks(&c);
	/* One file, which can be moved without another beside it. */
	if (rc == 0)
		meta_fold(c.meta);
	/* Without a card that is all there is. */
	if (rc == LBS_ECARDMISSING || rc == LBS_EIO)
		rc = 0;
	free(known);
	closed_free(&c);
	return rc;
}

/* ---- the whole -------------------------------------------------------------- */

static void
tell(struct checker *c, const struct salvage *s, uint64_t bad_pages,
     uint32_t added)
{
	if (bad_pages)
		check_report(c, FINDING_ERROR, "metadata-integrity",
			     "%llu pages of the metadata file cannot be read at "
			     "all", (unsigned long long)bad_pages);
	if (s->lost & SALVAGE_LOST_MAP)
		check_report(c, FINDING_ERROR, "salvage-map",
			     "where up to %llu bytes of the disk lie is lost: "
			     "reads of them give errors, also where nothing had "
			     "been written, until they are written again",
			     (unsigned long long)s->lost_blocks * BLOCK_BYTES);
	if (s->lost & SALVAGE_DOUBT)
		check_report(c, FINDING_ERROR, "salvage-doubt",
			     "the map that can be read is not the one whose "
			     "blocks were counted: what it does not name gives "
			     "errors as well; compare the disk with a backup");
	if (s->lost & SALVAGE_LOST_SEGMENTS)
		check_report(c, FINDING_ERROR, "salvage-segments",
			     "keys of segments are lost, %u were found again on "
			     "the card: whether they are the newest is not known",
			     added);
	if (s->lost & SALVAGE_LOST_CHUNKS)
		check_report(c, FINDING_ERROR, "salvage-chunks",
			     "how much of the card is prepared is lost, and was "
			     "taken from the sizes of the files there");
	if (s->lost & SALVAGE_LOST_VDISKS)
		check_report(c, FINDING_ERROR, "salvage-vdisks",
			     "names or sizes of vdisks are lost: where none is "
			     "left there is one, disk, as large as the map, "
			     "rounded up");
	if (s->lost & SALVAGE_LOST_PROMISE)
		check_report(c, FINDING_ERROR, "salvage-promise",
			     "how far the log must reach is lost: the new file "
			     "is refused until --accept-loss, because blocks may "
			     "be older than they were");
	check_report(c, FINDING_NOTE, "salvaged",
		     "%llu rows were read and written to a new metadata file; "
		     "the old one is as it was%s", (unsigned long long)s->rows,
		     s->lost ? "" : "; nothing is known to be lost");
}

int
salvage_store(const char *path, const struct logger *log, struct checker *c)
{
	char real[4096], out[PATH_BYTES], copy[PATH_BYTES];
	struct card_view view = { .data_dir = c->data_dir };
	struct salvage s = { .copy = copy, .out = out, .log = log,
			     .serial_on_card = serial_on_card, .ctx = &view };
	struct run_file *lock = NULL;
	uint64_t bad_pages = 0;
	uint32_t added = 0;
	struct stat st;
	int rc;

	if (!realpath(path, real))
		return fail(log, LBS_ENOENT, "there is no such store (%s)",
			    strerror(errno));
	if (stat(real, &st) || !S_ISREG(st.st_mode))
		return fail(log, LBS_ECORRUPT, "it is no regular file");
	snprintf(out, sizeof out, "%s" SALVAGE_SUFFIX, real);
	snprintf(copy, sizeof copy, "%s" COPY_SUFFIX, real);
	if (lstat(out, &st) == 0)
		return fail(log, LBS_EEXIST,
			    "%s" SALVAGE_SUFFIX " is there already: check it "
			    "with lbsck, or move it away", path);
	rc = run_file_open(real, "lbsck", 1, log, &lock);
	if (rc == 0)
		rc = make_copy(real, copy, log, &bad_pages);
	if (rc == 0)
		rc = meta_salvage(&s);
	if (rc == 0 && s.lost & (SALVAGE_LOST_SEGMENTS | SALVAGE_LOST_CHUNKS))
		rc = add_from_card(out, c->data_dir, s.lost, &added);
	remove_copy(copy);
	if (rc == 0)
		tell(c, &s, bad_pages, added);
	closed_free(&view.c);
	run_file_close(lock);
	return rc;
}
