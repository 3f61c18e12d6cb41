/*
 * clean_list.c - what a segment holds, for the cleaner: by its sealed index, or
 * record by record where it was never closed. FORMAT.md sections 6 and 7.
 * Must never fail on what the card says: what is damaged is not listed.
 */
#include "liblbs/store/clean.h"

#include <stdlib.h>
#include <string.h>

static int
add_entry(struct clean_list *list, uint32_t *cap, const struct index_entry *entry)
{
	if (list->count == *cap) {
		uint32_t more = *cap ? *cap * 2 : 256;
		struct index_entry *p =
			realloc(list->entries, more * sizeof *p);

		if (!p)
			return LBS_ENOMEM;
		list->entries = p;
		*cap = more;
	}
	list->entries[list->count++] = *entry;
	return 0;
}

/* A session ended in this segment: no index. Frames are checked as they are
 * copied; here each opens for the scanner to go on. */
static int
by_records(struct scan_source *src, const uint8_t *key, struct clean_list *list)
{
	struct record_desc desc;
	struct scanner sc;
	uint32_t offset, cap = 0;
	int rc = scanner_begin(&sc, src, list->segment, key,
			       SEGMENT_HEADER_BYTES);

	while (rc == 0 && (rc = scanner_next(&sc, 0, &desc, &offset)) == 0) {
		if (list->records == 0 && list->ages_count)
			list->age = desc.recno;
		for (uint32_t i = 0; i < sc.entry_count && rc == 0; i++)
			rc = add_entry(list, &cap, &sc.entries[i]);
		list->records++;
	}
	scanner_end(&sc);
	return rc == LBS_ENOMEM ? rc : 0;
}

int
clean_list_begin(lbs_store *s, uint32_t segment, struct clean_list *list)
{
	struct scan_source src = { &s->sealer, &s->geometry, s->env.card, 0 };
	const uint8_t *key = segtab_key(s->segtab, segment);
	struct segment_sealed header = { 0 };
	uint8_t salt[SALT_BYTES];
	struct segment_info info;
	struct index_head head;
	int rc;

	*list = (struct clean_list){ .segment = segment };
	segtab_info(s->segtab, segment, &info);
	rc = scan_index(&src, segment, key, &head, &list->entries);
	if (rc == SCAN_OK && head.serial == info.serial) {
		list->count = head.entry_count;
		list->ages_count = head.stream == STREAM_LOG;
		list->records = head.last_recno + 1 - head.first_recno;
		list->age = list->ages_count ? head.first_recno
					     : head.first_recno / 2 +
						       head.last_recno / 2;
	} else if (rc != LBS_ENOMEM) {
		free(list->entries);
		list->entries = NULL;
		rc = scan_header(&src, segment, salt, &header);
		list->ages_count = rc != SCAN_OK || header.stream == STREAM_LOG;
		/* As old as the session that wrote it. */
		list->age = info.serial >> 32 << 32 | 1;
		rc = by_records(&src, key, list);
	}
	count(s, LBS_STAT_CARD_READ_BYTES, src.bytes_read);
	return rc;
}

void
clean_list_end(struct clean_list *list)
{
	free(list->entries);
	list->entries = NULL;
	list->count = list->at = 0;
	list->records = 0;
}

int
clean_list_next(struct clean_list *list, struct clean_block *out)
{
	while (list->at < list->count) {
		const struct index_entry *e = &list->entries[list->at];
		uint32_t i = list->block++;

		if (e->kind != RECORD_DATA || i >= e->extent.count_blocks) {
			list->at++;
			list->block = 0;
			continue;
		}
		out->key = map_key(e->extent.layer, e->extent.lba + i);
		out->position = position_next(
			position_make(list->segment, e->offset), i);
		out->age = list->age;
		if (list->ages_count)
			out->age += list->at * list->records / list->count;
		return 1;
	}
	return 0;
}
