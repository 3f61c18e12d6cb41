/*
 * ask.h - asks the server of a store through its control socket, or opens the
 * store read-only where nobody serves it. Must never write to a store.
 */
#ifndef LBS_TOOLS_ASK_H
#define LBS_TOOLS_ASK_H

#include <jansson.h>

#include "lbs.h"
#include "tools/common/keyopt.h"
#include "tools/common/options.h"

/* What a command that looks at a store was told. */
struct ask {
	struct report report;
	const char *data_dir;
};

/* The options of such a command, and what to do with one (ctx is the ask). */
extern const struct option_spec ask_options[];
int ask_set(void *ctx, int option, const char *value);

/* Gets an answer to command ("stat", "list") as a JSON object of the caller's:
 * from the server, or by opening the store and calling look, which fills the
 * object. Returns EXIT_DONE or, with the failure reported, EXIT_FAILED. */
int ask_store(struct ask *ask, const char *command,
	      void (*look)(lbs_store *store, json_t *answer), json_t **answer);

#endif
