/*
 * card.c - the card file: is this our card, and has a newer session written it?
 * FORMAT.md section 4. Two slots, so that one is whole at any moment.
 */
#include <string.h>

#include "liblbs/store/internal.h"

static int
open_and_lock(struct medium *card, int rdonly, const struct logger *log)
{
	int err, code;

	err = card->ops->open(card, MEDIUM_CARD_FILE,
			      rdonly ? MEDIUM_OPEN_RDONLY : 0);
	if (err == 0)
		err = card->ops->lock(card);
	if (err == 0)
		return 0;
	code = code_of_errno(err);
	return fail(log, code,
		    code == LBS_ECARDMISSING
			    ? "the data directory holds no card.lbs: "
			      "insert the card, or give its place with "
			      "--data"
		    : code == LBS_EBUSY
			    ? "another program holds the card: stop it"
		    : code == LBS_EROFS
			    ? "the card is write-protected: open the "
			      "store with --read-only"
			    : "the card cannot be opened (%s): check it",
		    strerror(-err));
}

int
card_file_check(const struct sealer *sealer, struct medium *card, int rdonly,
		const struct logger *log, struct card_sealed *newest)
{
	uint8_t slot[CARD_SLOT_BYTES], id[STORE_ID_BYTES];
	struct card_sealed sealed;
	int foreign = 0, ours = 0, is_card, rc;

	memset(newest, 0, sizeof *newest);
	rc = open_and_lock(card, rdonly, log);
	if (rc)
		return rc;
	for (int i = 0; i < 2; i++) {
		ssize_t n = card->ops->pread(card, MEDIUM_CARD_FILE, slot,
					     sizeof slot,
					     (uint64_t)i * CARD_SLOT_BYTES);

		if (n < 0)
			return fail(log, LBS_EIO,
				    "the card cannot be read (%s): check it",
				    strerror((int)-n));
		if (n != (ssize_t)sizeof slot)
			continue;
		if (open_card(sealer, slot, &is_card, id, &sealed) == SEAL_OK) {
			ours = 1;
			if (sealed.session >= newest->session)
				*newest = sealed;
		} else if (is_card &&
			   memcmp(id, sealer->store_id, STORE_ID_BYTES)) {
			foreign = 1;
		}
	}
	if (foreign && !ours)
		return fail(log, LBS_EOTHERCARD,
			    "the card belongs to another store: insert the "
			    "right card, or give its place with --data");
	if (!ours)
		warn(log, LBS_EDAMAGED,
		     "the card file card.lbs is damaged; the log alone decides, "
		     "and opening for writing makes it anew");
	return 0;
}

int
card_file_write(const struct sealer *sealer, struct medium *card,
		const struct card_sealed *sealed)
{
	uint8_t slot[CARD_SLOT_BYTES];
	struct iovec iov = { slot, sizeof slot };
	int err;

	seal_card(sealer, sealed, slot);
	err = card->ops->pwritev(card, MEDIUM_CARD_FILE, &iov, 1,
				 sealed->session % 2 * CARD_SLOT_BYTES);
	if (err == 0)
		err = card->ops->sync(card, MEDIUM_CARD_FILE);
	return err;
}
