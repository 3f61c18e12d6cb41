/*
 * cmd_create.c - lbs create: makes a store. Must leave nothing behind when it
 * fails or is interrupted, and must refuse, not ignore, what it cannot do.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/common/keyopt.h"
#include "tools/common/names.h"
#include "tools/common/options.h"
#include "tools/common/progress.h"
#include "tools/common/size.h"
#include "tools/copy.h"

enum {
	OPT_SIZE, OPT_DATA, OPT_CAPACITY, OPT_BLOCK_SIZE, OPT_SEGMENT_SIZE,
	OPT_CHUNK_SIZE, OPT_CIPHER, OPT_FRESHNESS, OPT_COMPRESS,
	OPT_PREALLOCATE, OPT_FROM, OPT_FORMAT, OPT_FOLLOW, OPT_NO_VERIFY
};

static const struct option_spec options[] = {
	{ "size", 's', "SIZE", "of the disk that the guest sees" },
	{ "data", 'd', "DIR", "data directory on the card, made if missing" },
	{ "capacity", 0, "SIZE", "most that the log takes on the card (SIZE and about 30 %)" },
	{ "block-size", 0, "SIZE", "4096, the only one in this build" },
	{ "segment-size", 0, "SIZE", "auto (by the card, see README), or a power of two from 1M to 64M" },
	{ "chunk-size", 0, "SIZE", "of the files on the card, below 4G (1G)" },
	{ "cipher", 0, "NAME", "chacha20poly1305 (default), aes256gcm; aegis256 is not in this build" },
	{ "freshness", 0, "WHEN", "how new a card must be: as of the last flush (default), checkpoint" },
	{ "compress", 0, "NAME", "blocks before encryption: none (default), lz4, zstd" },
	{ "preallocate", 0, NULL, "write all chunk files now" },
	{ "from", 0, "IMAGE", "fill the disk with this image, and take its size" },
	{ "format", 'f', "NAME", "of the image, if not to be found out" },
	{ "follow-backing", 0, NULL, "read other files that the image names, too" },
	{ "no-verify", 0, NULL, "do not compare the disk with the image" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "create {--size SIZE | --from IMAGE} --data DIR [OPTIONS] STORE",
	.about = "Makes a store: the metadata file STORE, to be kept on "
		 "internal flash,\nand the data directory on the card.",
	.options = options,
	.epilogue =
		"Sizes are 512M, 32G, ...: powers of two. Compression makes "
		"writes fewer and\nshorter, not the disk larger, and shows on "
		"the card how well each block\ncompresses. Keys under a "
		"passphrase or key file are not in this build.\n"
		"'lbs import --help' says what holds for images.",
};

struct create {
	struct report report;
	struct lbs_create_options options;
	const char *data_dir;
	struct progress progress;
	struct copy copy; /* --from; image.name is NULL without it */
	int reported;	  /* that it failed */
};

/* A size from the command line that must be at least min and a multiple of
 * unit. Returns OPTIONS_GO or EXIT_USAGE. */
static int
take_size(struct create *create, int option, const char *text, uint64_t min,
	  uint64_t unit, uint64_t *bytes)
{
	const char *name = options[option].name, *why;
	char a[SIZE_TEXT_BYTES];

	if (size_parse(text, bytes, &why) < 0)
		return report_usage(&create->report, "--%s %s %s", name, text,
				    why);
	if (*bytes == 0)
		return report_usage(&create->report, "--%s must not be zero",
				    name);
	if (*bytes > INT64_MAX)
		return report_usage(&create->report,
				    "--%s %s is more than any "
				    "disk can have",
				    name, text);
	if (*bytes % unit)
		return report_usage(&create->report,
				    "--%s %s is not a multiple "
				    "of %s",
				    name, text, size_format(unit, a));
	if (*bytes < min)
		return report_usage(&create->report, "--%s %s is less than %s",
				    name, text, size_format(min, a));
	return OPTIONS_GO;
}

static int
take_power(struct create *create, int option, const char *text, uint64_t min,
	   uint64_t max, uint64_t *bytes)
{
	char a[SIZE_TEXT_BYTES];
	int rc = take_size(create, option, text, min, 1, bytes);

	if (rc != OPTIONS_GO)
		return rc;
	if (*bytes & (*bytes - 1))
		return report_usage(&create->report,
				    "--%s %s is not a power of "
				    "two",
				    options[option].name, text);
	if (*bytes > max)
		return report_usage(&create->report, "--%s %s is more than %s",
				    options[option].name, text,
				    size_format(max, a));
	return OPTIONS_GO;
}

static int
take_block_size(struct create *create, const char *text)
{
	uint64_t bytes;
	int rc = take_power(create, OPT_BLOCK_SIZE, text, 512, 65536, &bytes);

	if (rc != OPTIONS_GO)
		return rc;
	if (bytes != 4096)
		return report_error(
			&create->report, "unsupported",
			"this build has blocks of 4096 "
			"bytes only; nothing was done: leave "
			"--block-size out");
	create->options.block_size = (uint32_t)bytes;
	return OPTIONS_GO;
}

/* FAT32 cannot hold a file of 4 GiB. */
static int
take_chunk_size(struct create *create, const char *text)
{
	uint64_t *bytes = &create->options.chunk_size_bytes;
	int rc = take_size(create, OPT_CHUNK_SIZE, text, 1 << 20, 1 << 20,
			   bytes);

	if (rc == OPTIONS_GO && *bytes >= (uint64_t)4 << 30)
		return report_usage(&create->report,
				    "--chunk-size %s is too "
				    "large: FAT holds no file of 4 GiB",
				    text);
	return rc;
}

static int
take_compress(struct create *create, const char *word)
{
	create->options.compress = names_find_compress(word);
	if (create->options.compress < 0)
		return report_usage(&create->report,
				    "--compress %s: none, lz4 or zstd is expected",
				    word);
	return OPTIONS_GO;
}

static int
set(void *ctx, int option, const char *value)
{
	struct create *create = ctx;
	struct lbs_create_options *o = &create->options;

	switch (option) {
	case OPT_SIZE:
		return take_size(create, option, value, 512, 512,
				 &o->size_bytes);
	case OPT_DATA:
		create->data_dir = value;
		return OPTIONS_GO;
	case OPT_CAPACITY:
		return take_size(create, option, value, 1 << 20, 1,
				 &o->capacity_bytes);
	case OPT_BLOCK_SIZE:
		return take_block_size(create, value);
	case OPT_SEGMENT_SIZE:
		if (strcmp(value, "auto") == 0) {
			o->segment_size_bytes = 0;
			return OPTIONS_GO;
		}
		return take_power(create, option, value, 1 << 20, 64 << 20,
				  &o->segment_size_bytes);
	case OPT_CHUNK_SIZE:
		return take_chunk_size(create, value);
	case OPT_CIPHER:
		o->cipher = names_find_cipher(value);
		if (!o->cipher)
			return report_usage(&create->report,
					    "--cipher %s: chacha20poly1305, "
					    "aes256gcm or aegis256 is expected",
					    value);
		return OPTIONS_GO;
	case OPT_FRESHNESS:
		o->freshness = names_find_freshness(value);
		if (!o->freshness)
			return report_usage(&create->report,
					    "--freshness %s: flush or "
					    "checkpoint is expected",
					    value);
		return OPTIONS_GO;
	case OPT_COMPRESS:
		return take_compress(create, value);
	case OPT_PREALLOCATE:
		o->preallocate = 1;
		return OPTIONS_GO;
	case OPT_FROM:
		create->copy.image.name = value;
		return OPTIONS_GO;
	case OPT_FORMAT:
		return image_set_format(&create->report, value,
					create->copy.image.format);
	case OPT_FOLLOW:
		create->copy.image.follow = 1;
		return OPTIONS_GO;
	case OPT_NO_VERIFY:
		create->copy.no_verify = 1;
		return OPTIONS_GO;
	default:
		return keyopt_refuse(&create->report, options[option].name);
	}
}

/* What only holds between options. */
static int
check(struct create *create)
{
	const struct lbs_create_options *o = &create->options;
	const struct image *image = &create->copy.image;
	uint64_t segment = o->segment_size_bytes;

	if (!o->size_bytes && !image->name)
		return report_usage(&create->report, "--size is missing");
	if (!image->name && (image->format[0] || image->follow ||
			     create->copy.no_verify))
		return report_usage(&create->report,
				    "--format, --follow-backing and "
				    "--no-verify are for --from");
	if (!create->data_dir)
		return report_usage(&create->report, "--data is missing");
	if (segment && o->chunk_size_bytes % segment)
		return report_usage(&create->report,
				    "--chunk-size is not a "
				    "multiple of --segment-size");
	if (segment && o->capacity_bytes && o->capacity_bytes < segment)
		return report_usage(&create->report, "--capacity is less than "
						     "one segment");
	return OPTIONS_GO;
}

/* The size of the disk, from the image to come. */
static int
measure(struct create *create)
{
	struct image *image = &create->copy.image;
	uint64_t *bytes = &create->options.size_bytes;
	char a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES];
	int rc = image_look(&create->report, image);

	if (rc != EXIT_DONE)
		return rc;
	if (*bytes && *bytes < image->size_bytes)
		return report_error(&create->report, "too-large",
				    "%s has %s, --size is %s: nothing was "
				    "made; leave --size out to take the "
				    "image's",
				    image->name,
				    size_format(image->size_bytes, a),
				    size_format(*bytes, b));
	if (!*bytes)
		*bytes = (image->size_bytes + 511) / 512 * 512;
	return OPTIONS_GO;
}

/* Between making the store and calling it made: --from. */
static int
fill(void *ctx)
{
	struct create *create = ctx;
	struct copy *copy = &create->copy;
	int rc;

	copy->report = &create->report;
	copy->vdisk = "disk";
	copy->fresh = 1;
	rc = copy_attach(copy, 0);
	if (rc == EXIT_DONE)
		rc = copy_in(copy);
	rc = copy_detach(copy, rc);
	/* It gave the signals back, but what was made may have to be removed. */
	progress_begin(&create->progress, "removing", create->report.quiet, 1);
	create->reported = rc != EXIT_DONE;
	return rc == EXIT_DONE ? 0 : LBS_ECANCELLED;
}

/* The truth about losing the device, in one line. */
static const char *
warning(void)
{
	return "Without an exported recovery key a lost phone is a lost disk, "
	       "and this build cannot export one yet: keep a copy of the "
	       "metadata file, taken while nothing serves it. It holds the "
	       "key; "
	       "but what is written after the copy it does not know, and it is "
	       "refused as stale until lbsck --accept-loss.";
}

static int
tell(struct create *create)
{
	struct report *report = &create->report;
	struct lbs_store_info info = { .struct_size = sizeof(info) };
	char size[SIZE_TEXT_BYTES];
	json_t *json;
	int rc;

	rc = lbs_store_peek(report->store, report_log, report, &info);
	if (rc < 0)
		return report_failure(report, rc);
	if (report->json) {
		json = info_json(report->store, &info);
		json_object_set_new(
			json, "size_bytes",
			json_integer((json_int_t)create->options.size_bytes));
		json_object_set_new(json, "warning", json_string(warning()));
		if (create->copy.image.name)
			json_object_set_new(json, "from",
					    copy_json(&create->copy));
		return report_json(report, json);
	}
	if (!report->quiet) {
		printf("%s: made, with the vdisk 'disk' of %s\n",
		       report->store,
		       size_format(create->options.size_bytes, size));
		info_print(&info);
		if (create->copy.image.name)
			copy_print(&create->copy, "imported");
	}
	printf("%s\n", warning());
	return report_done(report);
}

int
command_create(int argc, char **argv)
{
	struct create create = {
		.report = { .program = "lbs create" },
		.options = { .struct_size = sizeof(create.options) },
	};
	struct report *report = &create.report;
	int first, rc;

	rc = options_parse(report, &spec, argc, argv, set, &create, &first);
	if (rc == OPTIONS_GO)
		rc = options_store(report, argc, argv, first);
	if (rc == OPTIONS_GO)
		rc = check(&create);
	if (rc == OPTIONS_GO && create.copy.image.name) {
		rc = measure(&create);
		create.options.fill = fill;
		create.options.fill_ctx = &create;
	}
	if (rc != OPTIONS_GO)
		return rc;

	create.options.log = report_log;
	create.options.log_ctx = report;
	create.options.progress = progress_step;
	create.options.progress_ctx = &create.progress;
	/* Who does not read what is said does not stop the work half way. */
	signal(SIGPIPE, SIG_IGN);
	progress_begin(&create.progress, "writing chunk files", report->quiet, 1);
	rc = lbs_store_create(report->store, create.data_dir, &create.options);
	progress_end(&create.progress);
	if (create.reported)
		return EXIT_FAILED;
	if (rc < 0) {
		report_failure(report, rc);
		return rc == LBS_EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	rc = tell(&create);
	if (rc != EXIT_DONE)
		fprintf(stderr, "lbs create: %s: the store is made all the same\n",
			report->store);
	return rc;
}
