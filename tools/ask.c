/* ask.c - see ask.h. */
#include "tools/ask.h"

#include <stdlib.h>

#include "tools/ctl_client.h"

enum { OPT_DATA };

const struct option_spec ask_options[] = {
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

int
ask_set(void *ctx, int option, const char *value)
{
	struct ask *ask = ctx;

	if (option != OPT_DATA)
		return keyopt_refuse(&ask->report, ask_options[option].name);
	ask->data_dir = value;
	return OPTIONS_GO;
}

/* The server's answer, or NULL when nobody gave a sensible one: then opening
 * the store tells who holds it, if anyone does. */
static json_t *
ask_server(const char *store, const char *command)
{
	char *text = NULL;
	json_t *answer = NULL;

	if (ctl_call(store, command, &text) == 0)
		answer = json_loads(text, 0, NULL);
	free(text);
	if (answer && !json_is_object(answer)) {
		json_decref(answer);
		answer = NULL;
	}
	return answer;
}

static int
ask_file(struct ask *ask, void (*look)(lbs_store *store, json_t *answer),
	 json_t **out)
{
	struct lbs_open_options options = {
		.struct_size = sizeof(options),
		.flags = LBS_RDONLY,
		.data_dir = ask->data_dir,
		.owner = "lbs",
		.log = report_log,
		.log_ctx = &ask->report,
	};
	lbs_store *store = NULL;
	json_t *answer = json_object();
	int rc;

	rc = lbs_store_open(ask->report.store, &options, &store);
	if (rc < 0)
		goto out;
	look(store, answer);
	rc = lbs_store_close(store);
out:
	if (rc < 0) {
		json_decref(answer);
		return report_failure(&ask->report, rc);
	}
	json_object_set_new(answer, "store", report_text(ask->report.store));
	json_object_set_new(answer, "served", json_false());
	*out = answer;
	return EXIT_DONE;
}

int
ask_store(struct ask *ask, const char *command,
	  void (*look)(lbs_store *store, json_t *answer), json_t **out)
{
	json_t *answer = ask_server(ask->report.store, command);
	const char *word, *message;
	int rc = EXIT_FAILED;

	if (!answer)
		return ask_file(ask, look, out);
	if (json_unpack(answer, "{s:{s:s,s:s}}", "error", "code", &word,
			"message", &message) == 0) {
		rc = report_error(&ask->report, word, "%s", message);
		json_decref(answer);
		return rc;
	}
	/* By the name that was asked for, as where nobody serves it. */
	json_object_set_new(answer, "store", report_text(ask->report.store));
	json_object_set_new(answer, "served", json_true());
	*out = answer;
	return EXIT_DONE;
}
