/*
 * keyopt.h - the key options that every program which opens a store takes.
 * This build has no key protection: they are recognised and refused, never
 * silently ignored, because a user who gives one believes in it.
 */
#ifndef LBS_TOOLS_COMMON_KEYOPT_H
#define LBS_TOOLS_COMMON_KEYOPT_H

#include "tools/common/report.h"

/* For a table of struct option_spec. */
#define KEYOPT_SPECS                                    \
	{ "passphrase-file", 0, "FILE", NULL },         \
	{ "passphrase-command", 0, "COMMAND", NULL },   \
	{ "passphrase", 0, NULL, NULL },                \
	{ "key-file", 0, "FILE", NULL }

/* Says that the named option is not in this build. Returns EXIT_FAILED. */
int keyopt_refuse(struct report *report, const char *option);

#endif
