/*
 * copy.c - see copy.h. qemu-img does the work; what is ours is what it is told.
 * The nodes are given as JSON, so that no name can be taken for an option.
 */
#include "tools/copy.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/common/keyopt.h"
#include "tools/common/size.h"
#include "tools/ctl_client.h"
#include "tools/qemu.h"

#define SECTOR_BYTES 512
/* Zeroes of this length within an image's data become a hole. */
#define SPARSE_SIZE "4k"
/* How long QEMU waits for a server that is started again, in seconds. */
#define RECONNECT_S  30

int
copy_set(struct copy *copy, const struct option_spec *option, const char *value)
{
	const char *name = option->name;

	if (strcmp(name, "format") == 0)
		return image_set_format(copy->report, value,
					copy->image.format);
	if (strcmp(name, "vdisk") == 0)
		copy->vdisk = value;
	else if (strcmp(name, "data") == 0)
		copy->data_dir = value;
	else if (strcmp(name, "no-verify") == 0)
		copy->no_verify = 1;
	else if (strcmp(name, "follow-backing") == 0)
		copy->image.follow = 1;
	else
		return keyopt_refuse(copy->report, name);
	return OPTIONS_GO;
}

struct stage {
	struct copy *copy;
	uint64_t bytes;
};

static int
tick(void *ctx, double part)
{
	struct stage *stage = ctx;
	struct copy *copy = stage->copy;

	/* A server that has failed has said why. */
	if (copy->server.dir[0] && !nbd_private_serves(&copy->server))
		return 1;
	if (!progress_step(&copy->progress,
			   (uint64_t)(part * (double)stage->bytes),
			   stage->bytes))
		return 0;
	/* Told first, it does not take qemu-img's end for an accident. */
	nbd_private_finish(&copy->server);
	return 1;
}

/* "json:{...}" for qemu-img: a range of the vdisk. To be freed. */
static char *
vdisk_range(const struct copy *copy, uint64_t offset, uint64_t bytes)
{
	json_t *node = json_pack(
		"{s:s, s:I, s:I, s:s, s:{s:s, s:{s:s, s:s}, s:s, s:i, s:s}}",
		"driver", "raw", "offset", (json_int_t)offset, "size",
		(json_int_t)bytes, "discard", "unmap", "file", "driver", "nbd",
		"server", "type", "unix", "path", copy->socket, "export",
		copy->vdisk, "reconnect-delay", RECONNECT_S, "discard",
		"unmap");
	char *text = node ? json_dumps(node, JSON_COMPACT) : NULL, *out = NULL;

	if (text && asprintf(&out, "json:%s", text) < 0)
		out = NULL;
	free(text);
	json_decref(node);
	return out;
}

/* The same: nothing but zeroes. */
static char *
zeroes(uint64_t bytes)
{
	char *out;

	if (asprintf(&out,
		     "json:{\"driver\":\"null-co\",\"size\":%llu,"
		     "\"read-zeroes\":true}",
		     (unsigned long long)bytes) < 0)
		return NULL;
	return out;
}

/* What went wrong, from the last that qemu-img said. */
static int
failed(struct copy *copy, const struct qemu_run *run, const char *doing)
{
	static const struct {
		const char *text, *word, *todo;
	} known[] = {
		{ "No space left on device", "no-space",
		  "make room where the copy goes; 'lbs stat' has a "
		  "store's free bytes" },
		{ "Input/output error", "io",
		  "'lbs stat' counts the store's errors, and the kernel's log "
		  "tells of others" },
	};
	const char *word = "failed", *todo = "nothing else is known";
	const char *left = !copy->into ? "no image is left behind"
			   : copy->fresh ? "nothing is left behind"
			   : strcmp(doing, "comparing") == 0
				   ? "the vdisk has the image, not all of it compared"
				   : "the vdisk is written over in part, the store is "
				     "whole";

	if (run->stopped) {
		if (copy->server.dir[0] && !copy->server.pid)
			return EXIT_FAILED; /* the server has said it */
		return report_error(copy->report, "cancelled",
				    "interrupted while %s: %s", doing, left);
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strstr(run->said, known[i].text)) {
			word = known[i].word;
			todo = known[i].todo;
		}
	if (run->exit_code >= 128)
		return report_error(copy->report, "failed",
				    "%s: qemu-img was ended by signal %d", doing,
				    run->exit_code - 128);
	return report_error(copy->report, word, "%s failed (%s): %s", doing,
			    run->said[0] ? run->said : "qemu-img says no more",
			    todo);
}

/* Runs one stage; *answer is qemu-img's exit code, when it ended by itself. */
static int
run_stage(struct copy *copy, struct qemu_run *run, const char *doing,
	  uint64_t bytes)
{
	struct stage stage = { copy, bytes };
	int rc;

	run->tick = tick;
	run->ctx = &stage;
	progress_begin(&copy->progress, doing, copy->report->quiet, 1);
	rc = qemu_img(copy->report, run);
	if (rc != EXIT_DONE)
		return rc;
	free(run->output);
	run->output = NULL;
	return EXIT_DONE;
}

/* ---- writing ------------------------------------------------------------- */

static int
convert(struct copy *copy, struct qemu_run *run, const char *doing,
	uint64_t bytes)
{
	int rc = run_stage(copy, run, doing, bytes);

	if (rc == EXIT_DONE && (run->stopped || run->exit_code != 0))
		rc = failed(copy, run, doing);
	return rc;
}

/* Everything that the server has taken is to survive a power cut. */
static int
flush(struct copy *copy)
{
	char *text = NULL;
	json_t *answer = NULL;
	const char *why = "it gave no answer";
	int rc = EXIT_DONE;

	if (ctl_call(copy->store, "checkpoint", &text) == 0)
		answer = json_loads(text, 0, NULL);
	if (!json_object_get(answer, "checkpoint")) {
		json_unpack(answer, "{s:{s:s}}", "error", "message", &why);
		rc = report_error(copy->report, "io",
				  "the server could not make the copy durable "
				  "(%s): start it again and repeat",
				  why);
	}
	json_decref(answer);
	free(text);
	return rc;
}

/* ---- comparing ----------------------------------------------------------- */

static int
compare(struct copy *copy, struct qemu_run *run, uint64_t bytes)
{
	int rc = run_stage(copy, run, "comparing", bytes);

	if (rc != EXIT_DONE)
		return rc;
	if (!run->stopped && run->exit_code == 1)
		return report_error(copy->report, "differs",
				    "the copy differs from %s: if nothing else "
				    "writes to either, run 'lbsck --scrub'",
				    copy->image.name);
	if (run->stopped || run->exit_code != 0)
		return failed(copy, run, "comparing");
	return EXIT_DONE;
}

static int
no_memory(struct copy *copy)
{
	return report_error(copy->report, "no-memory", "out of memory");
}

/* ---- both directions ----------------------------------------------------- */

int
copy_in(struct copy *copy)
{
	const struct image *image = &copy->image;
	uint64_t taken = (image->size_bytes + SECTOR_BYTES - 1) /
			 SECTOR_BYTES * SECTOR_BYTES;
	uint64_t rest = copy->vdisk_bytes - taken;
	char *target = vdisk_range(copy, 0, taken), *nothing = zeroes(rest);
	char *tail = vdisk_range(copy, taken, rest);
	const char *wall = image->follow ? NULL : image->path;
	/* Or nothing new. */
	const char *is_zero = copy->fresh ? "--target-is-zero" : "-W";
	struct qemu_run data = {
		.args = { "convert", "-p", "-n", "-t", "writeback", "-W", "-m",
			  "8", is_zero, "-S", SPARSE_SIZE, "-f", image->format,
			  "-O", "raw", image->path, target },
		.only_image = wall,
	};
	struct qemu_run zero = {
		.args = { "convert", "-p", "-n", "-t", "writeback", "-O", "raw",
			  nothing, tail },
		.only_image = wall,
	};
	struct qemu_run same = {
		.args = { "compare", "-p", "-f", image->format, "-F", "raw",
			  image->path, target },
		.only_image = wall,
	};
	struct qemu_run empty = {
		.args = { "compare", "-p", "-F", "raw", nothing, tail },
		.only_image = wall,
	};
	int rc = target && nothing && tail ? EXIT_DONE : no_memory(copy);

	copy->into = 1;
	/* First, so that it is room for the image. */
	if (rc == EXIT_DONE && rest && !copy->fresh)
		rc = convert(copy, &zero, "clearing the rest", rest);
	if (rc == EXIT_DONE)
		rc = convert(copy, &data, "importing", taken);
	if (rc == EXIT_DONE)
		rc = flush(copy);
	if (rc == EXIT_DONE && !copy->no_verify)
		rc = compare(copy, &same, taken);
	if (rc == EXIT_DONE && !copy->no_verify && rest)
		rc = compare(copy, &empty, rest);
	free(tail);
	free(nothing);
	free(target);
	return rc;
}

int
copy_out(struct copy *copy)
{
	const struct image *image = &copy->image;
	char *source = vdisk_range(copy, 0, copy->vdisk_bytes);
	struct qemu_run data = {
		.args = { "convert", "-p", "-W", "-m", "8", "-S", SPARSE_SIZE,
			  "-f", "raw", "-O", image->format, source,
			  image->path },
	};
	struct qemu_run same = {
		.args = { "compare", "-p", "-f", "raw", "-F", image->format,
			  source, image->path },
	};
	int rc = source ? EXIT_DONE : no_memory(copy);

	if (rc == EXIT_DONE)
		rc = convert(copy, &data, "exporting", copy->vdisk_bytes);
	if (rc == EXIT_DONE && !copy->no_verify)
		rc = compare(copy, &same, copy->vdisk_bytes);
	free(source);
	return rc;
}

static double
seconds(const struct copy *copy)
{
	return (double)(copy->ended.tv_sec - copy->begun.tv_sec) +
	       (double)(copy->ended.tv_nsec - copy->begun.tv_nsec) / 1e9;
}

json_t *
copy_json(const struct copy *copy)
{
	return json_pack("{s:o, s:s, s:o, s:s, s:I, s:f, s:b}", "store",
			 report_text(copy->report->store), "vdisk", copy->vdisk,
			 "image", report_text(copy->image.name), "format", copy->image.format,
			 "bytes", (json_int_t)copy->image.size_bytes, "seconds",
			 seconds(copy), "verified", !copy->no_verify);
}

void
copy_print(const struct copy *copy, const char *verb)
{
	char text[SIZE_TEXT_BYTES];

	printf("%s: %s %s (%s, %s) in %.1f s%s\n", copy->report->store, verb,
	       copy->image.name, copy->image.format,
	       size_format(copy->image.size_bytes, text), seconds(copy),
	       copy->no_verify ? ", not verified" : ", and verified");
}

int
copy_tell(const struct copy *copy, const char *verb)
{
	if (copy->report->json)
		return report_json(copy->report, copy_json(copy));
	if (!copy->report->quiet)
		copy_print(copy, verb);
	return report_done(copy->report);
}
