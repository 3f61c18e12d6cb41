/*
 * kit.h - what the benches that link liblbs share: figures as lines, a store to
 * measure, the data that is written. Must never judge: it prints what was seen.
 *
 * A figure is a tab-separated line "name median low high rounds unit". What goes
 * wrong ends the program with a sentence.
 */
#ifndef LBS_BENCH_KIT_H
#define LBS_BENCH_KIT_H

#include <stdint.h>

#include "lbs.h"

#define BLOCK	   4096u
#define MIB	   (1ull << 20)
#define GIB	   (1ull << 30)
#define ROUNDS_MAX 64

/* Ends the program with the sentence of a code. */
_Noreturn void die(const char *what, int rc);
/* The same, unless rc is 0. */
void must(int rc, const char *what);
/* A log callback: warnings and errors to stderr. */
void say(void *ctx, int level, int code, const char *sentence);

/* Seconds on the monotonic clock. */
double now(void);
/* A number below the bound by xorshift64*, from a state of the caller's: what is
 * drawn is the same in every run. */
uint64_t draw_from(uint64_t *state, uint64_t below);
/* The same from one state for all; one thread. */
uint64_t draw(uint64_t below);

/* Prints a figure of n rounds, sorting them; exact: of one. */
void figure(const char *name, double *v, int n, const char *unit);
void exact(const char *name, double v, const char *unit);

/* Makes the data that is written; once, before anything else. */
void kit_init(void);
/* A block of it; random, and longer in all than a cache. At most 1 MiB from the
 * first on may be read in one go. */
const uint8_t *some_block(uint64_t i);

struct bench {
	char meta[4096], wal[4112], data[4096];
	uint64_t size_bytes;
	lbs_store *store;
	lbs_vdisk *disk;
	uint64_t before[LBS_STAT_COUNT];
};

/* Where the metadata and the card are to be. */
void place(struct bench *b, const char *meta_dir, const char *data_dir);
void make_store(struct bench *b, uint64_t size, uint64_t capacity,
		int preallocate);
void open_store(struct bench *b);
void close_store(struct bench *b);
/* Counters: how much one has grown since mark. */
void mark(struct bench *b);
uint64_t since(struct bench *b, int stat);

void write_random(struct bench *b, uint64_t count);
void read_random(struct bench *b, uint64_t count);
void write_sequential(struct bench *b, uint64_t from, uint64_t len);

#endif
