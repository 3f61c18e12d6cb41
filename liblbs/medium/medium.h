/*
 * medium.h - the one doorway to the card.
 * Must never interpret what it carries; must never map a card file.
 * The card's directory and file names are FORMAT.md section 2.
 *
 * The contract, which log and store build on and the simulated card of the
 * tests keeps to the letter:
 *   - pwritev: when it returns 0 all bytes are in the kernel's hands (they
 *     survive this process). Until the next sync of that file returns 0, a
 *     power cut may keep any subset of the 512-byte sectors, in any order.
 *   - sync: everything written to that file before the call is durable when it
 *     returns 0. When it fails, nothing written since the last good sync may be
 *     relied on, now or later: the kernel may have dropped the pages and
 *     marked them clean ("fsyncgate").
 *   - a new file is durable after sync of the file and then sync_dir; its later
 *     growth, and overwriting inside it, need only sync.
 *   - reads may return anything at all: everything from the card is hostile.
 */
#ifndef LBS_MEDIUM_H
#define LBS_MEDIUM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct medium;

/* Files of the data directory: chunk files by number, and the card file that
 * identifies the store and is locked. */
#define MEDIUM_CARD_FILE UINT32_MAX

enum { MEDIUM_OPEN_RDONLY = 1, MEDIUM_OPEN_CREATE = 2 };

/* Those that give an int return 0 or a negative errno. Thread-safe, but for two opens at a time and
 * for close: opening one file disturbs no call on another. */
struct medium_ops {
	/* Opens a file for the calls below; CREATE makes it if missing.
	 * -ENOENT if missing, -EINVAL if it is not a regular file. Opening an
	 * open file is a no-op. */
	int (*open)(struct medium *, uint32_t file, int flags);
	/* Its present size in bytes. */
	int (*size)(struct medium *, uint32_t file, uint64_t *size_bytes);
	/* Reads up to len bytes, fewer only at the end of the file. Of a file
	 * that is not open, because it is not there, it reads nothing. */
	ssize_t (*pread)(struct medium *, uint32_t file, void *buf, size_t len,
			 uint64_t offset);
	/* The same if it waits for no device, else -EAGAIN; also if that cannot
	 * be known beforehand. NULL: it never can. */
	ssize_t (*pread_now)(struct medium *, uint32_t file, void *buf,
			     size_t len, uint64_t offset);
	/* Writes all or fails; the vectors are not changed. */
	int (*pwritev)(struct medium *, uint32_t file, const struct iovec *iov,
		       int iov_count, uint64_t offset);
	/* This will be read soon: a hint, which may do nothing. NULL where there
	 * is nothing to gain. */
	void (*prefetch)(struct medium *, uint32_t file, uint64_t offset,
			 size_t len);
	int (*sync)(struct medium *, uint32_t file);
	int (*sync_dir)(struct medium *);
	/* Takes the card's lock, which ends with close or the process.
	 * -EBUSY if another holds it. The card file must be open. */
	int (*lock)(struct medium *);
	/* Removes a file that no other call uses; open or not. */
	int (*remove)(struct medium *, uint32_t file);
	void (*close)(struct medium *);
};

struct medium {
	const struct medium_ops *ops;
};

/* The data directory dir on a real file system. With create, makes the
 * directory if missing and puts a .nomedia into it. The result is released by
 * ops->close. 0 or a negative errno: then no new directory is left. */
int medium_posix_open(const char *dir, int create, struct medium **out);

/* The name of a file in the data directory, e.g. "0003.lbs" or "card.lbs". */
#define MEDIUM_NAME_BYTES 16
void medium_file_name(uint32_t file, char name[MEDIUM_NAME_BYTES]);

#endif
