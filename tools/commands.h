/*
 * commands.h - the subcommands of lbs, one function each; tools/lbs.c has the
 * table. argv[0] is the subcommand's own name.
 */
#ifndef LBS_TOOLS_COMMANDS_H
#define LBS_TOOLS_COMMANDS_H

#include <jansson.h>

#include "lbs.h"

/* All return the exit code of the program. */
int command_create(int argc, char **argv);
int command_info(int argc, char **argv);
int command_list(int argc, char **argv);
int command_stat(int argc, char **argv);
int command_clean(int argc, char **argv);
int command_import(int argc, char **argv);
int command_export(int argc, char **argv);
/* Any subcommand that interface and manual name but this build lacks. */
int command_later(int argc, char **argv);

/* What it would do, or NULL if no such subcommand is planned. */
const char *later_summary(const char *name);

/* A store described, as JSON (without "schema") and for people. */
json_t *info_json(const char *store, const struct lbs_store_info *info);
void info_print(const struct lbs_store_info *info);

#endif
