/*
 * stores.h - stores on a real file system, to be damaged: "closed", "killed", and
 * "foreign" of another key, below posix_root; beside each an older copy of card and
 * metadata. Their segments are a MiB.
 * Must never touch anything outside posix_root.
 */
#ifndef LBS_TESTS_POSIX_STORES_H
#define LBS_TESTS_POSIX_STORES_H

#include "lbs.h"
#include "liblbs/format/layout.h"

#define MIB (1ull << 20)
#define SEGMENT MIB
#define DISK (2 * MIB)
#define PATH_BYTES 300
/* Where the test's writes went: the first frame and record of a session. */
#define FIRST_RECORD SEGMENT_HEADER_BYTES
#define FIRST_FRAME (FIRST_RECORD + 88)

extern char posix_root[];
extern char posix_home[]; /* where the test was started */
extern uint8_t posix_truth[DISK]; /* what the disk holds that was written last */

/* Fixtures of a group: make the stores, remove them. */
int posix_make(void **state);
int posix_unmake(void **state);

void posix_path(char out[PATH_BYTES], const char *store, const char *name);
/* Runs a line of shell, which must succeed. */
void posix_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
int posix_open(const char *store, unsigned flags, lbs_store **s);
/* The bytes that a seed stands for. */
void posix_fill(uint8_t *p, size_t len, unsigned seed);

#endif
