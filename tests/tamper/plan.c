/*
 * plan.c - see tamper.h: changes made, counted and judged. The guest gets each block
 * right or an error; opening gives one of the verdicts for damage.
 */
#include "tests/tamper/tamper.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 20

void tamper_tell(struct plan *p, const char *what, const char *why)
{
	if (atomic_fetch_add(&p->totals->failed, 1) >= SHOWN_MAX)
		return;
	printf("FAILED %s: %s\n", what, why);
	fflush(stdout);
}

void tamper_count(struct plan *p, const struct looked *l)
{
	atomic_fetch_add(&p->totals->changes, 1);
	atomic_fetch_add(&p->totals->verdicts[-l->rc], 1);
}

void tamper_judge(struct plan *p, const char *what, const struct looked *l)
{
	char why[120];

	tamper_count(p, l);
	if (l->rc == 0) {
		atomic_fetch_add(&p->totals->opened, 1);
		atomic_fetch_add(&p->totals->errors, l->errors);
	}
	why[0] = '\0';
	if (l->rc != 0 && l->rc != LBS_EDAMAGED && l->rc != LBS_EDATAMISSING)
		snprintf(why, sizeof(why), "opening gave %s",
			 lbs_error_word(l->rc));
	else if (l->wrong != 0)
		snprintf(why, sizeof(why), "%u blocks read wrong", l->wrong);
	else if (l->errors > 1)
		snprintf(why, sizeof(why), "%u blocks are lost", l->errors);
	if (why[0] != '\0')
		tamper_tell(p, what, why);
}

const char *change_name(enum change c)
{
	static const char *const names[] = { "low bit", "high bit", "inverted",
					     "zeroed" };

	return names[c];
}

int change_bytes(enum change c, uint8_t *p, size_t len)
{
	size_t i;
	int changed = 0;

	switch (c) {
	case LOW_BIT:
		p[0] ^= 1;
		return 1;
	case HIGH_BIT:
		p[len - 1] ^= 0x80;
		return 1;
	case INVERT:
		for (i = 0; i < len; i++)
			p[i] ^= 0xff;
		return 1;
	default:
		for (i = 0; i < len; i++)
			changed |= p[i];
		memset(p, 0, len);
		return changed;
	}
}
