/*
 * lbsck.c - the command line of lbsck, which tells the truth about a store, and
 * mends what can be mended without losing anything. Exit codes of fsck(8).
 * Never changes anything without -p, -y or --accept-loss; never loses anything
 * without --accept-loss.
 */
#include <stdio.h>

#include "tools/ck.h"
#include "tools/common/keyopt.h"
#include "tools/common/options.h"
#include "tools/common/size.h"
#include "tools/common/stdio.h"

enum { OPT_NO, OPT_PREEN, OPT_YES, OPT_SCRUB, OPT_RATE, OPT_LOSS, OPT_DATA };

static const struct option_spec options[] = {
	{ "no", 'n', NULL, "change nothing, only tell (the default)" },
	{ "preen", 'p', NULL, "mend what loses nothing" },
	{ "yes", 'y', NULL, "mend, answering every question with yes" },
	{ "scrub", 0, NULL, "read and authenticate every live block" },
	{ "scrub-rate", 0, "SIZE", "of these, at most so many bytes a second" },
	{ "accept-loss", 0, NULL,
	  "list what is lost, then go on without it" },
	{ "data", 'd', "DIR", "where the card is, if not where it was" },
	KEYOPT_SPECS,
	{ NULL, 0, NULL, NULL },
};

static const struct command_spec spec = {
	.usage = "[-n | -p | -y] [--scrub] [--accept-loss] [--json] STORE",
	.about = "Checks a store: the metadata, the log on the card and the block map\n"
		 "against each other. A store that was cut off needs no lbsck: it rolls\n"
		 "forward by itself when it is opened.",
	.options = options,
	.epilogue = "-p counts live blocks again, makes card.lbs and .nomedia anew, and writes blocks\n"
		    "out of segments with a damaged header or index. -y also drops map entries that\n"
		    "nobody can read, names a layer that has no vdisk, and salvages a corrupt\n"
		    "metadata file into STORE.salvaged; the file itself is left as it is. A damaged\n"
		    "block stays an error until it is written again: nothing makes zeroes of it.\n\n"
		    "--accept-loss is for a store that is refused as stale or missing data, and asks\n"
		    "first on a terminal. With -n it only lists what would be lost.\n\n"
		    "Exit codes: 0 clean, 1 errors corrected, 4 errors left, 8 operational\n"
		    "error (also: in use, no card), 16 usage, 32 cancelled.",
};

static int
set_rate(struct ck *ck, const char *value)
{
	const char *why = "is no rate";

	if (size_parse(value, &ck->scrub_rate, &why) || !ck->scrub_rate) {
		report_usage(&ck->report, "--scrub-rate %s %s", value, why);
		return CK_USAGE;
	}
	ck->scrub = 1;
	return OPTIONS_GO;
}

static int
set(void *ctx, int option, const char *value)
{
	struct ck *ck = ctx;

	switch (option) {
	case OPT_NO:
		ck->no = 1;
		break;
	case OPT_PREEN:
		ck->preen = 1;
		break;
	case OPT_YES:
		ck->yes = 1;
		break;
	case OPT_SCRUB:
		ck->scrub = 1;
		break;
	case OPT_RATE:
		return set_rate(ck, value);
	case OPT_LOSS:
		ck->accept_loss = 1;
		break;
	case OPT_DATA:
		ck->data_dir = value;
		break;
	default:
		keyopt_refuse(&ck->report, options[option].name);
		return CK_OPERATIONAL;
	}
	return OPTIONS_GO;
}

int
main(int argc, char **argv)
{
	struct ck ck = { .report = { .program = "lbsck" } };
	int first, rc;

	stdio_begin(CK_OPERATIONAL);
	rc = options_parse(&ck.report, &spec, argc, argv, set, &ck, &first);
	if (rc == OPTIONS_GO)
		rc = options_store(&ck.report, argc, argv, first);
	if (rc != OPTIONS_GO)
		return rc == EXIT_USAGE	   ? CK_USAGE
		       : rc == EXIT_FAILED ? CK_OPERATIONAL
					   : rc;
	if (ck.no + ck.preen + ck.yes > 1) {
		report_usage(&ck.report, "-n, -p and -y exclude each other");
		return CK_USAGE;
	}
	return ck_finish(&ck, ck_run(&ck));
}
