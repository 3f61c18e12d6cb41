/* cmd_list.c - lbs list: the vdisks of a store, in the order of creation. */
#include <stdio.h>

#include "tools/ask.h"
#include "tools/commands.h"
#include "tools/common/size.h"

static const struct command_spec spec = {
	.usage = "list [--json] [--data DIR] STORE",
	.about = "Lists the vdisks of a store, served or not. Changes nothing.",
	.options = ask_options,
};

static int
add_vdisk(void *ctx, const char *name, uint64_t size_bytes)
{
	json_array_append_new(ctx,
			      json_pack("{s:s, s:I}", "name", name,
					"size_bytes", (json_int_t)size_bytes));
	return 0;
}

static void
look(lbs_store *store, json_t *answer)
{
	json_t *vdisks = json_array();

	lbs_store_vdisks(store, add_vdisk, vdisks);
	json_object_set_new(answer, "vdisks", vdisks);
}

static void
print(const json_t *answer)
{
	char text[SIZE_TEXT_BYTES];
	const json_t *vdisk;
	size_t i;

	json_array_foreach(json_object_get(answer, "vdisks"), i, vdisk)
	{
		const char *name =
			json_string_value(json_object_get(vdisk, "name"));
		json_int_t size =
			json_integer_value(json_object_get(vdisk, "size_bytes"));

		printf("%-24s %12s\n", name ? name : "?",
		       size_format((uint64_t)size, text));
	}
}

int
command_list(int argc, char **argv)
{
	struct ask ask = { .report = { .program = "lbs list" } };
	json_t *answer = NULL;
	int first, rc;

	rc = options_parse(&ask.report, &spec, argc, argv, ask_set, &ask,
			   &first);
	if (rc == OPTIONS_GO)
		rc = options_store(&ask.report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc;
	rc = ask_store(&ask, "list", look, &answer);
	if (rc != EXIT_DONE)
		return rc;
	if (ask.report.json)
		return report_json(&ask.report, answer);
	print(answer);
	json_decref(answer);
	return report_done(&ask.report);
}
