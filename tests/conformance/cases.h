/*
 * cases.h - the one list of what every door must do, and what the cases share.
 */
#ifndef LBS_TESTS_CONFORMANCE_CASES_H
#define LBS_TESTS_CONFORMANCE_CASES_H

#include "tests/conformance/door.h"

#define BLOCK 4096u
#define MIB   (1024u * 1024u)
/* The end of the vdisk is no end of a block. */
#define SIZE (160ull * MIB + 3 * 512)

/* One case on a fresh store behind one door. */
struct trial {
	const struct door *door;
	struct place place;
	void *session; /* of reopen; NULL while the store is closed */
	uint64_t random;
	unsigned checks, faults;
};

struct test_case {
	const char *name;
	uint64_t capacity_bytes; /* 0 = plenty */
	void (*run)(struct trial *t);
};

/* Ends with a NULL name. */
extern const struct test_case cases_requests[], cases_trouble[];

/* Counts; says what is wrong. Returns holds. */
int check(struct trial *t, int holds, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define check_outcome(t, got, want, what)                                      \
	check(t, (got) == (want), "%s: %s, not %s", what, outcome_name(got),   \
	      outcome_name(want))

/* Closes the session and the store if they are open; opens them again. */
int closed(struct trial *t);
int reopened(struct trial *t, int read_only);

/* Below limit. */
uint64_t draw(struct trial *t, uint64_t limit);
void noise(struct trial *t, void *buf, size_t length);
int all_zero(const void *buf, size_t length);

#endif
