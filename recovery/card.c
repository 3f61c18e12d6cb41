/*
 * card.c - see card.h. Must never make a card file where the log is not this
 * store's: that would turn "no card inserted" into "the data is gone".
 */
#include "recovery/card.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "liblbs/store/internal.h"
#include "recovery/closed.h"

/* ---- of an open store ------------------------------------------------------ */

static const char *
data_dir_of(struct checker *c)
{
	return c->data_dir ? c->data_dir
			   : meta_store_row(c->store->meta)->data_dir;
}

static int
has_nomedia(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), there;

	there = fd < 0 || faccessat(fd, ".nomedia", F_OK,
				    AT_SYMLINK_NOFOLLOW) == 0;
	if (fd >= 0)
		close(fd);
	return there;
}

void
card_check(struct checker *c)
{
	lbs_store *s = c->store;
	struct medium *card = s->env.card;
	uint8_t slot[CARD_SLOT_BYTES], id[STORE_ID_BYTES];
	struct card_sealed sealed;
	int ours = 0, is_card;

	for (int i = 0; i < 2; i++)
		if (card->ops->pread(card, MEDIUM_CARD_FILE, slot, sizeof slot,
				     (uint64_t)i * CARD_SLOT_BYTES) ==
			    (ssize_t)sizeof slot &&
		    open_card(&s->sealer, slot, &is_card, id, &sealed) == SEAL_OK)
			ours = 1;
	if (!ours)
		check_report(c, FINDING_REPAIRABLE, "card-file",
			     "card.lbs is missing or damaged; no data is in it, "
			     "and the log decides without it: -p makes it anew");
	if (s->posix && !has_nomedia(data_dir_of(c)))
		check_report(c, FINDING_REPAIRABLE, "nomedia",
			     "the data directory has no .nomedia, which keeps "
			     "media scanners away: -p makes it anew");
}

void
card_mend(struct checker *c)
{
	struct medium *m;

	if (c->store->posix && !has_nomedia(data_dir_of(c)) &&
	    medium_posix_open(data_dir_of(c), 1, &m) == 0)
		m->ops->close(m);
}

/* ---- of a store that was refused --------------------------------------------- */

struct absence {
	struct closed c;
	int ours;		/* segments of the log that are there and ours */
};

static int
look_at_chunk(void *ctx, uint32_t chunk, uint32_t filled)
{
	struct absence *a = ctx;
	uint8_t salt[SALT_BYTES];

	for (uint32_t i = 0; i < filled; i++) {
		uint32_t segment = chunk * a->c.geometry.segments_per_chunk + i;

		a->ours += segment < a->c.geometry.segment_count &&
			   closed_serial(&a->c, segment, salt) != 0;
	}
	return 0;
}

int
card_absence(const char *path, const char *data_dir, enum card_absence *absence)
{
	struct absence a = { .ours = 0 };
	int rc = closed_open(path, data_dir, &a.c), err;

	*absence = CARD_ABSENT;
	if (rc == 0) {
		err = a.c.card->ops->open(a.c.card, MEDIUM_CARD_FILE,
					  MEDIUM_OPEN_RDONLY);
		rc = meta_chunk_each(a.c.meta, look_at_chunk, &a);
		if (rc == 0 && err == 0)
			*absence = CARD_NO_CHUNK;
		else if (rc == 0 && err == -ENOENT && a.ours)
			*absence = CARD_NO_FILE;
	} else if (rc == LBS_ECARDMISSING || rc == LBS_EIO) {
		rc = 0; /* no directory: absent */
	}
	closed_free(&a.c);
	return rc;
}

int
card_file_remake(const char *path, const char *data_dir)
{
	static const uint8_t zeroes[CARD_FILE_BYTES];
	struct iovec iov = { (void *)zeroes, sizeof zeroes };
	struct closed c;
	struct medium *card;
	int rc = closed_open(path, data_dir, &c), err;

	card = c.card;
	if (rc == 0 && card->ops->open(card, MEDIUM_CARD_FILE,
				       MEDIUM_OPEN_RDONLY) == -ENOENT) {
		err = card->ops->open(card, MEDIUM_CARD_FILE,
				      MEDIUM_OPEN_CREATE);
		if (!err)
			err = card->ops->pwritev(card, MEDIUM_CARD_FILE, &iov, 1,
						 0);
		if (!err)
			err = card->ops->sync(card, MEDIUM_CARD_FILE);
		if (!err)
			err = card->ops->sync_dir(card);
		rc = code_of_errno(err);
	}
	closed_free(&c);
	return rc;
}
