/* keyopt.c - see keyopt.h. */
#include "tools/common/keyopt.h"

int
keyopt_refuse(struct report *report, const char *option)
{
	return report_error(
		report, "unsupported",
		"this build cannot protect the key, so "
		"--%s is refused and nothing was done: leave it out, "
		"and keep the metadata file on protected storage",
		option);
}
