/*
 * scrub.c - reads and authenticates every block that the map names, through the
 * same door as the guest, and names what is damaged as guest offsets, so that
 * the owner knows what to restore.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/format/layout.h"
#include "recovery/check.h"

#define SCRUB_BYTES (256u << 10)

struct scrub {
	struct checker *c;
	lbs_vdisk *vdisk;
	lbs_progress_fn *progress;
	void *progress_ctx;
	uint64_t done, total;	/* live bytes of all vdisks */
	uint64_t damage_at, damage_len; /* the open stretch of damage */
	int damage_io;		/* it cannot be read at all */
	uint8_t *buf;
	int rc;
};

static void
end_damage(struct scrub *s)
{
	if (s->damage_len)
		check_report_range(s->c,
				   s->damage_io ? "block-unreadable"
						: "block-damaged",
				   lbs_vdisk_name(s->vdisk), s->damage_at,
				   s->damage_len,
				   s->damage_io
					   ? "the card cannot be read there; "
					     "check it and its contacts and try "
					     "again"
					   : "damaged, reads give an error; "
					     "restore what lies there from a "
					     "backup");
	s->damage_len = 0;
}

static void
add_damage(struct scrub *s, uint64_t offset, uint64_t len, int io)
{
	if (s->damage_len && (s->damage_at + s->damage_len != offset ||
			      s->damage_io != io))
		end_damage(s);
	if (!s->damage_len)
		s->damage_at = offset;
	s->damage_io = io;
	s->damage_len += len;
}

/* One stretch, then block by block if it cannot be read as a whole. */
static void
scrub_stretch(struct scrub *s, uint64_t offset, uint64_t len)
{
	int rc;

	if (lbs_vdisk_read(s->vdisk, s->buf, (size_t)len, offset) == 0)
		return;
	while (len) {
		uint64_t n = BLOCK_BYTES - offset % BLOCK_BYTES;

		if (n > len)
			n = len;
		rc = lbs_vdisk_read(s->vdisk, s->buf, (size_t)n, offset);
		if (rc)
			add_damage(s, offset, n, rc == LBS_EIO);
		offset += n;
		len -= n;
	}
}

static int
scrub_extent(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	struct scrub *s = ctx;

	while (is_data && len && s->rc == 0) {
		uint64_t n = len < SCRUB_BYTES ? len : SCRUB_BYTES;

		scrub_stretch(s, offset, n);
		offset += n;
		len -= n;
		s->done += n;
		if (s->progress &&
		    s->progress(s->progress_ctx, s->done, s->total))
			s->rc = LBS_ECANCELLED;
	}
	return s->rc;
}

static int
count_extent(void *ctx, uint64_t offset, uint64_t len, int is_data)
{
	(void)offset;
	*(uint64_t *)ctx += is_data ? len : 0;
	return 0;
}

struct name_list {
	char names[64][64];
	int count;
};

static int
take_name(void *ctx, const char *name, uint64_t size_bytes)
{
	struct name_list *list = ctx;

	(void)size_bytes;
	snprintf(list->names[list->count++], sizeof list->names[0], "%s", name);
	return list->count == 64;
}

static int
each_vdisk(struct scrub *s, const struct name_list *list,
	   int (*fn)(void *ctx, uint64_t, uint64_t, int), void *ctx)
{
	int rc = 0;

	for (int i = 0; i < list->count && rc == 0; i++) {
		rc = lbs_vdisk_open(s->c->store, list->names[i], &s->vdisk);
		if (rc)
			break;
		rc = lbs_vdisk_extents(s->vdisk, lbs_vdisk_size(s->vdisk), 0, fn,
				       ctx);
		/* Also when it was cancelled: what was found is told. */
		if (ctx == s)
			end_damage(s);
		lbs_vdisk_close(s->vdisk);
	}
	return rc ? rc : s->rc;
}

int
check_scrub(struct checker *c, lbs_progress_fn *progress, void *progress_ctx,
	    uint64_t *bytes)
{
	struct scrub s = { .c = c, .progress = progress,
			   .progress_ctx = progress_ctx };
	struct name_list *list = calloc(1, sizeof *list);
	int rc = LBS_ENOMEM;

	s.buf = malloc(SCRUB_BYTES);
	if (!list || !s.buf)
		goto out;
	rc = lbs_store_vdisks(c->store, take_name, list);
	if (rc == 0)
		rc = each_vdisk(&s, list, count_extent, &s.total);
	if (rc == 0)
		rc = each_vdisk(&s, list, scrub_extent, &s);
	*bytes = s.done;
out:
	if (s.buf)
		memset(s.buf, 0, SCRUB_BYTES); /* guest data */
	free(s.buf);
	free(list);
	return rc;
}
