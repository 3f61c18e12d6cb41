/*
 * cmd_info.c - lbs info: what a store is, from its metadata file alone. Works
 * while another process serves the store; must never change anything.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/commands.h"
#include "tools/common/keyopt.h"
#include "tools/common/names.h"
#include "tools/common/options.h"
#include "tools/common/size.h"

static void
id_text(const uint8_t id[16], char text[33])
{
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static void
put_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, report_text(text));
}

static void
put_count(json_t *object, const char *key, uint64_t count)
{
	json_object_set_new(object, key, json_integer((json_int_t)count));
}

/* The card is looked at where it is; a store can be described without it. */
static int
look(const struct lbs_store_info *info, struct lbs_card_info *card)
{
	*card = (struct lbs_card_info){ .struct_size = sizeof(*card) };
	return lbs_card_look(info->data_dir, info->capacity_bytes,
			     info->segment_size_bytes, card);
}

static json_t *
card_json(const struct lbs_card_info *card)
{
	json_t *o = json_object(), *advice = json_array();

	put_text(o, "file_system", card->fs);
	put_count(o, "unit_bytes", card->unit_bytes);
	json_object_set_new(o, "unit_told", json_boolean(card->unit_told));
	put_count(o, "size_bytes", card->card_bytes);
	put_count(o, "partition_bytes", card->partition_bytes);
	json_object_set_new(o, "past_unit_bytes",
			    card->past_unit_bytes < 0
				    ? json_null()
				    : json_integer(card->past_unit_bytes));
	for (uint32_t i = 0; i < card->advice_count; i++)
		json_array_append_new(advice, json_string(card->advice[i]));
	json_object_set_new(o, "advice", advice);
	return o;
}

static void
card_print(const struct lbs_card_info *card)
{
	char a[SIZE_TEXT_BYTES];

	/* Where nothing is told, only FAT makes it likely to be a card at all. */
	printf("  card's fs  %s", strcmp(card->fs, "other") == 0
					? "neither FAT nor exFAT"
					: card->fs);
	if (card->unit_told || strstr(card->fs, "fat")) {
		printf(", allocation unit %s (%s)",
		       size_format(card->unit_bytes, a),
		       card->unit_told ? "told" : "assumed");
		if (card->past_unit_bytes == 0)
			printf(", files on units");
		else if (card->past_unit_bytes > 0)
			printf(", files %s past one",
			       size_format((uint64_t)card->past_unit_bytes, a));
	}
	printf("\n");
	for (uint32_t i = 0; i < card->advice_count; i++)
		printf("  advice     %s\n", card->advice[i]);
}

json_t *
info_json(const char *store, const struct lbs_store_info *info)
{
	json_t *o = json_object();
	struct lbs_card_info card;
	char id[33];

	id_text(info->store_id, id);
	put_text(o, "store", store);
	put_text(o, "id", id);
	put_text(o, "data_dir", info->data_dir);
	put_text(o, "cipher", names_cipher(info->cipher));
	put_text(o, "freshness", names_freshness(info->freshness));
	put_text(o, "compress", names_compress(info->compress));
	put_count(o, "format_version", info->format_version);
	put_count(o, "features_must", info->features_must);
	put_count(o, "features_may", info->features_may);
	put_count(o, "block_size", info->block_size);
	put_count(o, "segment_size_bytes", info->segment_size_bytes);
	put_count(o, "chunk_size_bytes", info->chunk_size_bytes);
	put_count(o, "capacity_bytes", info->capacity_bytes);
	put_count(o, "vdisks", info->vdisk_count);
	put_count(o, "sessions", info->sessions);
	put_count(o, "created_unix", (uint64_t)info->created_unix);
	if (look(info, &card) == 0)
		json_object_set_new(o, "card", card_json(&card));
	return o;
}

void
info_print(const struct lbs_store_info *info)
{
	char a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES], id[33], when[64] = "?";
	time_t created = (time_t)info->created_unix;
	struct lbs_card_info card;
	struct tm tm;

	id_text(info->store_id, id);
	if (localtime_r(&created, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &tm);
	printf("  id         %s\n", id);
	printf("  created    %s\n", when);
	printf("  card       %s\n", info->data_dir);
	printf("  capacity   %s on the card, in chunk files of %s\n",
	       size_format(info->capacity_bytes, a),
	       size_format(info->chunk_size_bytes, b));
	printf("  segments   %s, blocks of %s\n",
	       size_format(info->segment_size_bytes, a),
	       size_format(info->block_size, b));
	printf("  cipher     %s\n", names_cipher(info->cipher));
	printf("  freshness  %s\n", names_freshness(info->freshness));
	printf("  compress   %s\n", names_compress(info->compress));
	printf("  vdisks     %" PRIu32 "\n", info->vdisk_count);
	printf("  sessions   %" PRIu64 "\n", info->sessions);
	printf("  format     %" PRIu32 " (must %" PRIx64 ", may %" PRIx64 ")\n",
	       info->format_version, info->features_must, info->features_may);
	if (look(info, &card) == 0)
		card_print(&card);
}

static const struct option_spec options[] = {
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "info [--json] STORE",
	.about = "Shows what a store is, from its metadata file alone: also while it is\n"
		 "served, also without its card.",
	.options = options,
};

static int
set(void *ctx, int option, const char *value)
{
	(void)value;
	return keyopt_refuse(ctx, options[option].name);
}

int
command_info(int argc, char **argv)
{
	struct report report = { .program = "lbs info" };
	struct lbs_store_info info = { .struct_size = sizeof(info) };
	int first, rc;

	rc = options_parse(&report, &spec, argc, argv, set, &report, &first);
	if (rc == OPTIONS_GO)
		rc = options_store(&report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	rc = lbs_store_peek(report.store, report_log, &report, &info);
	if (rc < 0)
		return report_failure(&report, rc);
	if (report.json)
		return report_json(&report, info_json(report.store, &info));
	printf("%s\n", report.store);
	info_print(&info);
	return report_done(&report);
}
