/*
 * newer.c - has a newer metadata file written this card? Segments that this one
 * thinks free may say so when all else that could is gone (DESIGN.md condition 7).
 * Must never write anywhere.
 */
#include "liblbs/store/internal.h"

#include <string.h>

/*
 * What lies in a segment that is about to be written must be older than this
 * session, or this session's own.
 */
int
store_check_not_newer(lbs_store *s, uint32_t segment)
{
	struct scan_source src = { &s->sealer, &s->geometry, s->env.card, 0 };
	struct segment_sealed on_card;
	struct segment_info known;
	uint8_t salt[SALT_BYTES];
	int rc = scan_header(&src, segment, salt, &on_card);

	count(s, LBS_STAT_CARD_READ_BYTES, src.bytes_read);
	if (rc < 0)
		return 0; /* unreadable: about to be written over */
	segtab_info(s->segtab, segment, &known);
	if (rc == SCAN_NONE || on_card.serial >> 32 < s->session ||
	    memcmp(known.salt, salt, SALT_BYTES) == 0)
		return 0;
	return store_fail(s, LBS_ESTALEMETA,
			  "the metadata is older than the card (segment %u was "
			  "written by session %llu): use the newest metadata "
			  "file, or " CONSENT,
			  segment, (unsigned long long)(on_card.serial >> 32));
}

void
store_newest_on_card(lbs_store *s, struct newest *out)
{
	struct scan_source src = { &s->sealer, &s->geometry, s->env.card, 0 };
	int flags = s->rdonly ? MEDIUM_OPEN_RDONLY : 0;
	struct segment_sealed header;
	uint8_t salt[SALT_BYTES];

	*out = (struct newest){ 0, 0 };
	for (uint32_t i = 0; i < s->geometry.segment_count; i++) {
		/* A newer file may know chunk files that this one does not. */
		if (s->env.card->ops->open(s->env.card,
					   geometry_chunk(&s->geometry, i),
					   flags) ||
		    scan_header(&src, i, salt, &header) != SCAN_OK)
			continue;
		if (header.serial >> 32 > out->session)
			out->session = header.serial >> 32;
		if (header.checkpoint > out->checkpoint)
			out->checkpoint = header.checkpoint;
	}
}
