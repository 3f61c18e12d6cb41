/*
 * damage.h - damage with a name: how it is done to a store, what opening says then, and
 * which finding lbsck tells.
 */
#ifndef LBS_TESTS_POSIX_DAMAGE_H
#define LBS_TESTS_POSIX_DAMAGE_H

#include <stddef.h>

/* lbsck's, as fsck(8) has them. */
enum { CLEAN = 0, CORRECTED = 1, ERRORS_LEFT = 4, OPERATIONAL = 8 };

struct kind {
	const char *name, *store;
	void (*damage)(const char *store);
	int opens;		/* what opening gives */
	unsigned lost;		/* blocks that give an error then */
	int exit;		/* of lbsck --scrub */
	const char *code;	/* a finding, or what stopped lbsck; or NULL */
};
extern const struct kind kinds[];
extern const size_t kind_count;

/* Two of them, for tests that need this damage. */
void damage_wrong_live(const char *store);
void damage_no_chunk(const char *store);

#endif
