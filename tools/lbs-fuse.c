/*
 * lbs-fuse.c - serves a store as files: the command line, also as mount(8)
 * calls it under the name mount.lbs. The mount is frontends/fuse/serve.c. Must
 * never open the store before it has forked.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <unistd.h>

#include "frontends/fuse/serve.h"
#include "lbs.h"
#include "tools/common/keyopt.h"
#include "tools/common/options.h"
#include "tools/common/serving.h"
#include "tools/common/stdio.h"
#include "tools/fuse_options.h"

#define THREADS 8

enum {
	OPT_FOREGROUND,
	OPT_OPTIONS,
	OPT_READ_ONLY,
	OPT_DATA,
	OPT_THREADS,
	OPT_KEYS
};

static const struct option_spec option_table[] = {
	{ "foreground", 'f', NULL, "stay; messages go to standard error" },
	{ "options", 'o', "OPTIONS", "of the mount, see below" },
	{ "read-only", 'r', NULL, "write neither the card nor the metadata" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	{ "threads", 't', "N", "requests at a time (8)" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

#define EPILOGUE                                                                     \
	"OPTIONS is a list with commas, as in fstab:\n"                              \
	"  ro, data=DIR, threads=N        as the options above\n"                    \
	"  uid=N, gid=N, mode=OCTAL       of the files (yours, 0600)\n"              \
	"  allow_other                    users that the mode lets in may come in\n" \
	"  nosuid, nodev, noexec, ...     are given to the kernel\n"                 \
	"  defaults, noauto, nofail, user, _netdev, x-..., ...  are mount(8)'s\n"    \
	"It ends with 'fusermount3 -u MOUNTPOINT', 'umount MOUNTPOINT' or SIGTERM."

static const struct command_spec command = {
	.usage = "[-f] [-o OPTIONS] STORE MOUNTPOINT",
	.about =
		"Serves a store as a directory with a file for each vdisk (MOUNTPOINT/disk), of\n"
		"the vdisk's size. fsync makes what was written durable, punching a hole discards\n"
		"it. Returns when the files can be opened; with -f, when it is unmounted.",
	.options = option_table,
	.epilogue = EPILOGUE,
};

/* As mount(8) calls its helpers. */
enum { MOUNT_OPTIONS, MOUNT_FAKE, MOUNT_SLOPPY, MOUNT_READ_ONLY };

static const struct option_spec mount_table[] = {
	{ "options", 'o', "OPTIONS", "of the mount, see below" },
	{ "fake", 'f', NULL, "do all but mount" },
	{ "sloppy", 's', NULL, "ignore unknown options" },
	{ "read-only", 'r', NULL, "as -o ro" },
	{ "read-write", 'w', NULL, "as -o rw" },
	{ "no-mtab", 'n', NULL, "without meaning" },
	{ "verbose", 'v', NULL, "without meaning" },
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec mount_command = {
	.usage = "STORE MOUNTPOINT [-fsnv] [-o OPTIONS]",
	.about =
		"Mounts a store as 'lbs-fuse' does: 'mount -t lbs STORE MOUNTPOINT' calls this,\n"
		"and so do lines of fstab.",
	.options = mount_table,
	.epilogue = EPILOGUE,
};

struct settings {
	struct report report;
	struct fuse_options options;
	struct fuse_config config;
	int foreground, fake;
	int ready_fd;
	_Atomic int serving;
};

/* ---- options ----------------------------------------------------------------
 */

static int
set_option(void *ctx, int option, const char *value)
{
	struct settings *set = ctx;
	char text[64];

	switch (option) {
	case OPT_FOREGROUND:
		set->foreground = 1;
		return OPTIONS_GO;
	case OPT_OPTIONS:
		return fuse_options_take(&set->report, &set->options, value);
	case OPT_READ_ONLY:
		set->options.read_only = 1;
		return OPTIONS_GO;
	case OPT_DATA:
		set->options.data_dir = serving_absolute(&set->report, value);
		return OPTIONS_GO;
	case OPT_THREADS:
		snprintf(text, sizeof(text), "threads=%s", value);
		return fuse_options_take(&set->report, &set->options, text);
	default:
		return keyopt_refuse(&set->report, option_table[option].name);
	}
}

static int
set_mount_option(void *ctx, int option, const char *value)
{
	struct settings *set = ctx;

	switch (option) {
	case MOUNT_OPTIONS:
		return fuse_options_take(&set->report, &set->options, value);
	case MOUNT_FAKE:
		set->fake = 1;
		return OPTIONS_GO;
	case MOUNT_SLOPPY:
		set->options.sloppy = 1;
		return OPTIONS_GO;
	case MOUNT_READ_ONLY:
		set->options.read_only = 1;
		return OPTIONS_GO;
	default:
		return OPTIONS_GO;
	}
}

/* STORE MOUNTPOINT */
static int
take_operands(struct settings *set, int argc, char **argv, int first)
{
	if (argc - first == 1 || (argc - first == 2 && !*argv[first + 1])) {
		set->report.store = argv[first];
		return report_usage(&set->report,
				    "where? name a directory to mount it on");
	}
	if (argc - first > 2)
		return report_usage(&set->report,
				    "'%s' is one operand too many",
				    argv[first + 2]);
	if (argc - first == 2)
		set->config.mountpoint =
			serving_absolute(&set->report, argv[first + 1]);
	return options_store(&set->report, argc - (argc - first == 2), argv,
			     first);
}

/* ---- what can be known beforehand
 * --------------------------------------------- */

static int
check_mountpoint(struct settings *set)
{
	const char *where = set->config.mountpoint;
	struct statvfs room;
	struct stat st;

	/* statvfs asks the server; what stat says may be remembered. */
	if (statvfs(where, &room) == 0 && stat(where, &st) == 0)
		return S_ISDIR(st.st_mode)
			       ? EXIT_DONE
			       : report_error(&set->report, "not-a-directory",
					      "%s is not a directory: a "
					      "directory with a file for each "
					      "vdisk is mounted, name one",
					      where);
	if (errno == ENOTCONN)
		return report_error(&set->report, "stale-mount",
				    "%s is still mounted, but its server is "
				    "gone: run 'fusermount3 -u %s', then this "
				    "again",
				    where, where);
	if (errno == ENOENT)
		return report_error(&set->report, "not-found",
				    "there is no %s: make it with 'mkdir %s'",
				    where, where);
	return report_error(&set->report, "io", "%s cannot be looked at: %s",
			    where, strerror(errno));
}

/* ---- serving
 * ------------------------------------------------------------------ */

/* A lbs_log_fn. Until the store serves, the reason of a failure waits for
 * report_failure. */
static void
log_sentence(void *ctx, int level, int code, const char *sentence)
{
	struct settings *set = ctx;
	static const int levels[] = { LOG_ERR, LOG_WARNING, LOG_INFO };

	if (!atomic_load(&set->serving)) {
		report_log(&set->report, level, code, sentence);
		return;
	}
	if (level == LBS_LOG_INFO && set->report.quiet)
		return;
	if (!set->foreground)
		syslog(levels[level], "%s: %s%s%s%s", set->report.store,
		       sentence, level == LBS_LOG_ERROR ? " [" : "",
		       level == LBS_LOG_ERROR ? lbs_error_word(code) : "",
		       level == LBS_LOG_ERROR ? "]" : "");
	else if (level == LBS_LOG_ERROR)
		fprintf(stderr, "%s: %s: %s [%s]\n", set->report.program,
			set->report.store, sentence, lbs_error_word(code));
	else
		report_log(&set->report, level, code, sentence);
}

static void
on_ready(void *ctx)
{
	struct settings *set = ctx;

	atomic_store(&set->serving, 1);
	/* Whether somebody still waits does not matter: what is mounted can be
	 * unmounted. */
	if (!set->foreground)
		serving_ready(&set->report, set->ready_fd);
}

static int
serve(struct settings *set)
{
	int rc = fuse_serve(&set->config);

	if (rc == 0)
		return EXIT_DONE;
	if (atomic_load(&set->serving))
		return EXIT_FAILED; /* its sentence is out */
	if (rc == FUSE_NOT_MOUNTED)
		return report_error(&set->report, "not-mounted", "%s",
				    set->report.sentence);
	return report_failure(&set->report, rc);
}

static void
settle(struct settings *set)
{
	const struct fuse_options *o = &set->options;
	mode_t mode = o->mode >= 0 ? (mode_t)o->mode : 0600;

	set->config.data_dir = o->data_dir;
	set->config.owner = set->report.program;
	set->config.mount_options = o->kernel;
	set->config.read_only = o->read_only;
	set->config.uid = o->uid;
	set->config.gid = o->gid;
	set->config.mode = o->read_only ? mode & 0555 : mode;
	set->config.threads = o->threads;
	set->config.log = log_sentence;
	set->config.ready = on_ready;
	set->config.ctx = set;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	int is_mount = strncmp(slash ? slash + 1 : argv[0], "mount.", 6) == 0;
	static struct settings set = {
		.report = { .program = "lbs-fuse" },
		.options = { .mode = -1, .threads = THREADS },
	};
	int first, rc;

	stdio_begin(EXIT_FAILED);
	if (is_mount)
		set.report.program = "mount.lbs";
	set.options.uid = getuid();
	set.options.gid = getgid();
	rc = options_parse(&set.report, is_mount ? &mount_command : &command,
			   argc, argv, is_mount ? set_mount_option : set_option,
			   &set, &first);
	if (rc == OPTIONS_GO)
		rc = take_operands(&set, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	settle(&set);
	rc = check_mountpoint(&set);
	if (rc == EXIT_DONE)
		rc = serving_probe(&set.report,
				   set.options.read_only ? LBS_RDONLY : 0,
				   set.options.data_dir, &set.config.store);
	if (rc != EXIT_DONE || set.fake)
		return rc;
	if (!set.foreground) {
		rc = serving_background(&set.report, &set.ready_fd);
		if (rc >= 0)
			return rc;
	}
	return serve(&set);
}
