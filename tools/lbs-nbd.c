/*
 * lbs-nbd.c - serves a store over NBD: the command line. The listening socket
 * is nbd_listen.c, the main loop nbd_serve.c.
 * Must never open the store itself: nbdkit's plugin does, after the forks.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lbs.h"
#include "tools/common/keyopt.h"
#include "tools/common/options.h"
#include "tools/common/serving.h"
#include "tools/common/stdio.h"
#include "tools/nbd_serve.h"

enum {
	OPT_FOREGROUND,
	OPT_SOCKET,
	OPT_PORT,
	OPT_BIND,
	OPT_MODE,
	OPT_GROUP,
	OPT_VDISK,
	OPT_READ_ONLY,
	OPT_DATA,
	OPT_PIDFILE,
	OPT_RUN,
	OPT_THREADS,
	OPT_TLS,
	OPT_TLS_CERTIFICATES,
	OPT_TLS_PSK,
	OPT_TLS_VERIFY,
	OPT_VERBOSE,
	OPT_KEYS
};

static const struct option_spec option_table[] = {
	{ "foreground", 'f', NULL, "stay; messages go to standard error" },
	{ "socket", 'U', "PATH", "listen on this Unix socket (STORE.sock)" },
	{ "port", 'p', "N", "listen on a TCP port instead" },
	{ "bind", 'b', "ADDR", "of this address (127.0.0.1)" },
	{ "socket-mode", 0, "MODE", "of the Unix socket, octal (0600)" },
	{ "socket-group", 0, "GROUP", "may connect, too (mode 0660)" },
	{ "vdisk", 0, "NAME", "serve only this vdisk" },
	{ "read-only", 'r', NULL, "write neither the card nor the metadata" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	{ "pidfile", 'P', "FILE", "write the process id here" },
	{ "run", 0, "COMMAND", "serve while it runs, with $uri and $socket" },
	{ "threads", 't', "N", "requests of one client at a time (16)" },
	{ "tls", 0, "off|on|require", "as nbdkit takes it, like the next" },
	{ "tls-certificates", 0, "DIR", "X.509 certificates" },
	{ "tls-psk", 0, "FILE", "pre-shared keys" },
	{ "tls-verify-peer", 0, NULL, "clients need certificates" },
	{ "verbose", 'v', NULL, "nbdkit's debugging messages" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec command = {
	.usage = "[-f] [--socket PATH | --port N] [OPTIONS] STORE",
	.about =
		"Serves a store over NBD. Returns when clients can connect; with -f or --run,\n"
		"when it ends. On SIGTERM it finishes what is under way, writes a checkpoint\n"
		"and ends. Should nbdkit be killed, it is started again on the same socket, and\n"
		"clients that reconnect lose nothing that was acknowledged.",
	.options = option_table,
	.epilogue =
		"The empty export name is the vdisk 'disk', or the one of --vdisk. Messages go to\n"
		"standard error until the server is up, then, without -f or --run, to syslog.\n"
		"'lbs stat STORE' asks a running server.",
};

struct settings {
	struct report report;
	struct nbd_config config;
	int foreground;
	const char *socket;
	const char *bind;
	int port;    /* or -1 */
	int mode;    /* or -1 */
	gid_t group; /* or (gid_t)-1 */
};

/* ---- options ----------------------------------------------------------------
 */

static int
set_extra(struct settings *set, const char *name, const char *value)
{
	char *text;

	if (set->config.extra_count == NBD_EXTRA_MAX)
		return report_usage(&set->report, "too many --tls options");
	if (asprintf(&text, value ? "--%s=%s" : "--%s", name, value) < 0)
		return report_error(&set->report, "no-memory", "out of memory");
	set->config.extra[set->config.extra_count++] = text;
	return OPTIONS_GO;
}

static int
set_number(struct settings *set, int option, const char *text, int base,
	   long least, long most, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, base);
	if (errno || end == text || *end || value < least || value > most)
		return report_usage(&set->report,
				    base == 8 ? "--%s %s: give an octal number "
						"from %lo to 0%lo"
					      : "--%s %s: give a number from "
						"%ld to %ld",
				    option_table[option].name, text, least,
				    most);
	*number = (int)value;
	return OPTIONS_GO;
}

static int
set_group(struct settings *set, const char *text)
{
	struct group *group = getgrnam(text);
	int number;

	if (group) {
		set->group = group->gr_gid;
		return OPTIONS_GO;
	}
	if (text[0] < '0' || text[0] > '9')
		return report_usage(&set->report,
				    "--socket-group %s: no such "
				    "group",
				    text);
	if (set_number(set, OPT_GROUP, text, 10, 0, INT_MAX, &number) !=
	    OPTIONS_GO)
		return EXIT_USAGE;
	set->group = (gid_t)number;
	return OPTIONS_GO;
}

static int
set_tls(struct settings *set, const char *value)
{
	if (strcmp(value, "off") != 0 && strcmp(value, "on") != 0 &&
	    strcmp(value, "require") != 0)
		return report_usage(&set->report,
				    "--tls %s: give off, on or "
				    "require",
				    value);
	set->config.tls = strcmp(value, "require") == 0;
	return set_extra(set, "tls", value);
}

static int
set_option(void *ctx, int option, const char *value)
{
	struct settings *set = ctx;
	const char *name = option_table[option].name;
	int number;

	switch (option) {
	case OPT_FOREGROUND:
		set->foreground = 1;
		return OPTIONS_GO;
	case OPT_SOCKET:
		set->socket = serving_absolute(&set->report, value);
		return OPTIONS_GO;
	case OPT_PORT:
		return set_number(set, option, value, 10, 0, 65535, &set->port);
	case OPT_BIND:
		set->bind = value;
		return OPTIONS_GO;
	case OPT_MODE:
		return set_number(set, option, value, 8, 0, 0777, &set->mode);
	case OPT_GROUP:
		return set_group(set, value);
	case OPT_VDISK:
		set->config.vdisk = value;
		return OPTIONS_GO;
	case OPT_READ_ONLY:
		set->config.read_only = 1;
		return OPTIONS_GO;
	case OPT_DATA:
		set->config.data_dir = serving_absolute(&set->report, value);
		return OPTIONS_GO;
	case OPT_PIDFILE:
		set->config.pidfile = serving_absolute(&set->report, value);
		return OPTIONS_GO;
	case OPT_RUN:
		set->config.run = value;
		set->foreground = 1;
		return OPTIONS_GO;
	case OPT_THREADS:
		set->config.threads = value;
		return set_number(set, option, value, 10, 1, 1024, &number);
	case OPT_TLS:
		return set_tls(set, value);
	case OPT_TLS_CERTIFICATES:
	case OPT_TLS_PSK:
		return set_extra(set, name, serving_absolute(&set->report, value));
	case OPT_TLS_VERIFY:
		return set_extra(set, name, NULL);
	case OPT_VERBOSE:
		set->config.verbose = 1;
		return OPTIONS_GO;
	default:
		return keyopt_refuse(&set->report, name);
	}
}

static int
check_together(struct settings *set)
{
	struct report *report = &set->report;

	if (set->port >= 0 && set->socket)
		return report_usage(report, "--socket or --port, not both");
	if (set->port < 0 && set->bind)
		return report_usage(report, "--bind needs --port");
	if (set->port >= 0 && (set->mode >= 0 || set->group != (gid_t)-1))
		return report_usage(report, "--socket-mode and --socket-group "
					    "are not for --port");
	return OPTIONS_GO;
}

/* ---- the store and the socket -----------------------------------------------
 */

static int
is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 ||
	       strcmp(address, "::1") == 0 || strcmp(address, "localhost") == 0;
}

/* Which port it came to be. */
static int
tell_port(struct report *report, const struct listener *listener)
{
	if (report->json)
		return report_json(report,
				   json_pack("{s:o,s:s,s:i}", "store",
					     report_text(report->store), "address",
					     listener->address, "port",
					     (int)listener->port));
	printf("%s:%u\n", listener->address, (unsigned)listener->port);
	return report_done(report);
}

static int
make_listener(struct settings *set, struct listener *listener)
{
	int grouped = set->group != (gid_t)-1, rc;
	const char *address = set->bind ? set->bind : "127.0.0.1";
	mode_t mode = set->mode >= 0 ? (mode_t)set->mode
		      : grouped	     ? 0660
				     : 0600;
	char *path = NULL;

	if (set->port >= 0) {
		if (!is_loopback(address) && !set->config.tls)
			fprintf(stderr,
				"lbs-nbd: %s: warning: whoever reaches "
				"%s can read and write this disk: think of "
				"--tls require\n",
				set->report.store, address);
		rc = listener_open_tcp(&set->report, address,
				       (uint16_t)set->port, listener);
		if (rc == EXIT_DONE && set->port == 0)
			rc = tell_port(&set->report, listener);
		return rc;
	}
	if (!set->socket) {
		if (asprintf(&path, "%s.sock", set->config.store) < 0)
			return report_error(&set->report, "no-memory",
					    "out of memory");
		set->socket = path;
	}
	rc = listener_open_unix(&set->report, set->socket, mode, set->group,
				listener);
	free(path);
	return rc;
}

static int
open_listener(struct settings *set, struct listener *listener)
{
	int rc = listener_inherit(&set->report, listener);

	if (rc != EXIT_DONE || listener->count == 0)
		return rc != EXIT_DONE ? rc : make_listener(set, listener);
	if (!set->socket && set->port < 0)
		return EXIT_DONE;
	listener_close(listener, 0);
	return report_usage(&set->report, "--socket and --port are not for a "
					  "server that was passed its socket");
}

int
main(int argc, char **argv)
{
	struct settings set = {
		.report = { .program = "lbs-nbd" },
		.config = { .ready_fd = -1 },
		.port = -1,
		.mode = -1,
		.group = (gid_t)-1,
	};
	struct listener listener;
	int first, rc;

	stdio_begin(EXIT_FAILED);
	rc = options_parse(&set.report, &command, argc, argv, set_option, &set,
			   &first);
	if (rc == OPTIONS_GO)
		rc = check_together(&set);
	if (rc == OPTIONS_GO)
		rc = options_store(&set.report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	rc = serving_probe(&set.report, set.config.read_only ? LBS_RDONLY : 0,
			   set.config.data_dir, &set.config.store);
	if (rc == EXIT_DONE)
		rc = open_listener(&set, &listener);
	if (rc != EXIT_DONE)
		return rc;
	if (!set.foreground) {
		rc = serving_background(&set.report, &set.config.ready_fd);
		set.config.background = 1;
		if (rc >= 0) {
			/* In the parent: the socket is the child's. */
			listener_close(&listener, 0);
			return rc;
		}
	}
	return nbd_serve(&set.report, &set.config, &listener);
}
