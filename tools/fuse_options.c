/* fuse_options.c - see fuse_options.h. */
#include "tools/fuse_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/keyopt.h"
#include "tools/common/options.h"

/* The kernel's, or libfuse's, as they are. */
static const char *const kernel_options[] = {
	"allow_other", "allow_root", "suid",	   "nosuid", "dev",	"nodev",
	"exec",	       "noexec",     "sync",	   "async",  "dirsync", "atime",
	"noatime",     "diratime",   "nodiratime", NULL,
};

/* For mount(8) and its like, which have done what they mean; or without meaning
 * for one file that is not cached. */
static const char *const generic_options[] = {
	"defaults",	 "auto",     "noauto",	   "user",
	"nouser",	 "users",    "nousers",	   "owner",
	"noowner",	 "group",    "nogroup",	   "nofail",
	"_netdev",	 "relatime", "norelatime", "strictatime",
	"nostrictatime", "lazytime", "nolazytime", "silent",
	"loud",		 NULL,
};

static const char *const key_options[] = {
	"passphrase", "passphrase-file", "passphrase-command", "key-file", NULL,
};

static int
listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return 1;
	return 0;
}

static int
is_generic(const char *name)
{
	return strncasecmp(name, "x-", 2) == 0 ||
	       strcmp(name, "comment") == 0 || listed(generic_options, name);
}

static int
take_number(struct report *report, const char *name, const char *value,
	    int base, unsigned long least, unsigned long most,
	    unsigned long *number)
{
	char *end;

	errno = 0;
	*number = value ? strtoul(value, &end, base) : 0;
	if (value && !errno && end != value && !*end && value[0] != '-' &&
	    *number >= least && *number <= most)
		return OPTIONS_GO;
	return report_usage(report,
			    base == 8 ? "-o %s=%s: give an octal number from "
					"%lo to 0%lo"
				      : "-o %s=%s: give a number from %lu to %lu",
			    name, value ? value : "", least, most);
}

static int
take_own(struct report *report, struct fuse_options *o, const char *name,
	 const char *value)
{
	unsigned long number = 0;
	int rc = OPTIONS_GO;

	if (strcmp(name, "data") == 0) {
		if (!value || value[0] != '/')
			return report_usage(report, "-o data=DIR: give a "
						    "directory from the root");
		o->data_dir = strdup(value);
	} else if (strcmp(name, "mode") == 0) {
		rc = take_number(report, name, value, 8, 0, 0777, &number);
		o->mode = (int)number;
	} else if (strcmp(name, "uid") == 0) {
		rc = take_number(report, name, value, 10, 0, UINT_MAX - 1,
				 &number);
		o->uid = (uid_t)number;
	} else if (strcmp(name, "gid") == 0) {
		rc = take_number(report, name, value, 10, 0, UINT_MAX - 1,
				 &number);
		o->gid = (gid_t)number;
	} else if (strcmp(name, "threads") == 0) {
		rc = take_number(report, name, value, 10, 1, 1024, &number);
		o->threads = (unsigned)number;
	} else if (listed(key_options, name)) {
		return keyopt_refuse(report, name);
	} else if (!o->sloppy) {
		return report_usage(report, "-o %s: no such option", name);
	}
	return rc;
}

static int
take_one(struct report *report, struct fuse_options *o, char *name)
{
	char *value = strchr(name, '=');
	size_t used = strlen(o->kernel);

	if (value)
		*value++ = '\0';
	if (!value && listed(kernel_options, name)) {
		if (used + strlen(name) + 2 > sizeof(o->kernel))
			return report_usage(report, "too many options");
		snprintf(o->kernel + used, sizeof(o->kernel) - used, "%s%s",
			 used ? "," : "", name);
	} else if (!value && strcmp(name, "ro") == 0) {
		o->read_only = 1;
	} else if (!value && strcmp(name, "rw") == 0) {
		o->read_only = 0;
	} else if (name[0] && !is_generic(name)) {
		return take_own(report, o, name, value);
	}
	return OPTIONS_GO;
}

int
fuse_options_take(struct report *report, struct fuse_options *options,
		  const char *list)
{
	char *copy = strdup(list), *rest = copy, *name;
	int rc = OPTIONS_GO;

	if (!copy)
		return report_error(report, "no-memory", "out of memory");
	while (rc == OPTIONS_GO && (name = strsep(&rest, ",")))
		rc = take_one(report, options, name);
	free(copy);
	return rc;
}
