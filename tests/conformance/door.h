/*
 * door.h - a way to a vdisk: the library, its queues, NBD, the file.
 * The cases see nothing else, so that they mean the same for each.
 */
#ifndef LBS_TESTS_CONFORMANCE_DOOR_H
#define LBS_TESTS_CONFORMANCE_DOOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What came of a request; each door translates its own errors. */
enum outcome { DONE, BEYOND, READ_ONLY, FULL, IO_ERROR, OTHER };
const char *outcome_name(enum outcome outcome);

/* Where a case's store lies, and what serves it. */
struct place {
	char work[200];	 /* the directory of the whole run */
	char bin[1024];	 /* where ./lbs-nbd and ./lbs-fuse are */
	char card[256];	 /* data directory */
	char store[256]; /* metadata file */
	char mount[256]; /* mount point */
	char flag[256];	 /* tests/e2e/pull.c: the card fails as this says */
	pid_t server;	 /* of the door that has one */
	void *opened;	 /* of the door that has none */
	int read_only;
};

#define EXTENTS_MAX 64
struct extents {
	size_t count;
	struct extent {
		uint64_t length;
		int is_hole;
	} at[EXTENTS_MAX];
};

struct door {
	const char *name;
	/* Parts of blocks in a discarded range become zeroes, too. */
	int discards_exactly;
	/* Opens the store, until stop. 0, or -1 with a message. */
	int (*start)(struct place *place);
	int (*stop)(struct place *place);
	/* 1 if all that was written is durable by the store's own counters, 0
	 * if not, -1 if it cannot be learned. */
	int (*all_durable)(struct place *place);
	/* A session; several may be used at once, each by one thread. NULL with
	 * a message. */
	void *(*connect)(struct place *place);
	void (*disconnect)(void *session);
	uint64_t (*size)(void *session);
	/* All or nothing, any length, any offset. */
	enum outcome (*read)(void *session, void *buf, size_t length,
			     uint64_t offset);
	enum outcome (*write)(void *session, const void *buf, size_t length,
			      uint64_t offset, int durable);
	enum outcome (*flush)(void *session);
	enum outcome (*discard)(void *session, uint64_t length,
				uint64_t offset);
	enum outcome (*zero)(void *session, uint64_t length, uint64_t offset);
	/* The first EXTENTS_MAX of a range, merged. */
	enum outcome (*extents)(void *session, uint64_t length, uint64_t offset,
				struct extents *out);
};

extern const struct door door_library, door_queue, door_nbd, door_file;
/* What a result of the library's means. */
enum outcome door_library_outcome(int rc);

/* Adds to the last extent, or a new one; nonzero when the range is full. */
int extents_add(struct extents *extents, uint64_t length, int is_hole);

/* server.c: starts a program with its messages in work/server.log. */
pid_t server_start(struct place *place, char *const argv[]);
/* Calls ready every few milliseconds. 0; or -1, with the messages, when the
 * server ended first or a minute passed. */
int server_wait(struct place *place, int (*ready)(struct place *place));
/* A door's all_durable, by the control socket. */
int server_all_durable(struct place *place);
/* Waits until it ends by itself: its exit status, or -1. */
int server_ended(struct place *place);

#endif
