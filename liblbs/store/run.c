/*
 * run.c - the run file beside the metadata: the lock that keeps a second opener
 * out and tells it who holds the store, and the page that remembers, within one
 * boot, how far writes were acknowledged (DESIGN.md condition 3).
 * Never deleted: deleting lock files is a race. The page is never synced.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "liblbs/store/internal.h"

/* The first page is the owner as text, the second the run page. */
#define OWNER_BYTES 128
#define RUN_FILE_BYTES 8192
#define RUN_PAGE_AT 4096

/* A holder that was just told to end, or unmounted, needs a moment until it says so;
 * its last checkpoint may then take a while. Also a bound on what is waited for. */
#define PATIENCE_MS 1000
#define FINISHING_MS 30000
#define STEP_MS 20
static const char finishing[] = ", which is finishing";

struct run_file {
	int fd;
	struct run_page *page;
	char owner[64];		/* "": a reader, which leaves the file as it is */
};

/* Who holds it: "lbs-nbd (pid 123)". */
static void
read_owner(int fd, char text[OWNER_BYTES])
{
	ssize_t n = pread(fd, text, OWNER_BYTES - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	for (char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	if (!*text)
		strcpy(text, "another process");
}

/* Takes the lock; waits for a holder that is about to let go. Else 0 and who it is. */
static int
take(int fd, char holder[OWNER_BYTES])
{
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += STEP_MS) {
		read_owner(fd, holder);
		if (waited >= (strstr(holder, finishing) ? FINISHING_MS
							 : PATIENCE_MS))
			return 0;
		poll(NULL, 0, STEP_MS);
	}
	return 1;
}

static int
write_owner(struct run_file *r, const char *state)
{
	char text[OWNER_BYTES] = "";
	int n = snprintf(text, sizeof text, "%s (pid %d)%s\n", r->owner,
			 (int)getpid(), state);

	return pwrite(r->fd, text, (size_t)n, 0) == n ? 0 : -1;
}

static int
write_nobody(struct run_file *r)
{
	return pwrite(r->fd, "\n", 1, 0) == 1 ? 0 : -1;
}

static int
prepare(struct run_file *r, const char *owner, const struct logger *log)
{
	uint8_t zero[4096] = { 0 };
	struct stat st;

	/* Really written, so that touching the mapping cannot fail for lack of
	 * room (SIGBUS). */
	if (fstat(r->fd, &st))
		return fail(log, LBS_EIO, "the run file cannot be read (%s)",
			    strerror(errno));
	if (st.st_size < RUN_FILE_BYTES &&
	    (pwrite(r->fd, zero, 4096, 0) != 4096 ||
	     pwrite(r->fd, zero, 4096, 4096) != 4096 || fsync(r->fd)))
		return fail(log, LBS_EMETAFULL,
			    "the run file cannot be written (%s): make room "
			    "beside the metadata file", strerror(errno));
	snprintf(r->owner, sizeof r->owner, "%s", owner);
	if (write_owner(r, ""))
		return fail(log, LBS_EIO, "the run file cannot be written (%s)",
			    strerror(errno));
	r->page = mmap(NULL, sizeof *r->page, PROT_READ | PROT_WRITE, MAP_SHARED,
		       r->fd, RUN_PAGE_AT);
	if (r->page == MAP_FAILED) {
		r->page = NULL;
		return fail(log, LBS_EIO, "the run file cannot be mapped (%s)",
			    strerror(errno));
	}
	return 0;
}

/* What was acknowledged counts for a reader as well: else a card would be good
 * enough to read that is refused for writing. */
static void
look_at_page(struct run_file *r)
{
	struct stat st;
	void *page;

	if (fstat(r->fd, &st) || st.st_size < RUN_FILE_BYTES)
		return;
	page = mmap(NULL, sizeof *r->page, PROT_READ, MAP_PRIVATE, r->fd,
		    RUN_PAGE_AT);
	r->page = page == MAP_FAILED ? NULL : page;
}

int
run_file_open(const char *meta_path, const char *owner, int rdonly,
	      const struct logger *log, struct run_file **out)
{
	char path[4200], holder[OWNER_BYTES];
	struct run_file *r = calloc(1, sizeof *r);
	int rc = 0;

	*out = NULL;
	if (!r)
		return fail(log, LBS_ENOMEM, "out of memory");
	snprintf(path, sizeof path, "%s.run", meta_path);
	r->fd = open(path,
		     (rdonly ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC |
			     O_NOFOLLOW | O_NOCTTY,
		     0600);
	if (r->fd < 0 && rdonly && errno == ENOENT)
		goto out; /* never opened for writing: nobody holds it */
	if (r->fd < 0) {
		rc = fail(log, errno == EACCES || errno == EROFS ? LBS_EROFS
								 : LBS_EIO,
			  "the run file %s cannot be opened (%s): check who "
			  "owns it, and the directory's permissions", path,
			  strerror(errno));
		goto out;
	}
	if (!take(r->fd, holder)) {
		rc = fail(log, LBS_EBUSY,
			  "in use by %s: stop it first (lbs info, stat and list "
			  "work meanwhile)", holder);
		goto out;
	}
	if (rdonly)
		look_at_page(r);
	else
		rc = prepare(r, owner ? owner : "a program", log);
out:
	if (rc)
		run_file_close(r);
	else
		*out = r;
	return rc;
}

struct run_page *
run_file_page(struct run_file *r)
{
	return r->page;
}

void
run_file_finishing(struct run_file *r)
{
	/* Only words: who does not see them is told "busy" a little early. */
	if (r->owner[0])
		(void)write_owner(r, finishing);
}

void
run_file_close(struct run_file *r)
{
	if (!r)
		return;
	/* A reader that comes next leaves no name. */
	if (r->owner[0])
		(void)write_nobody(r);
	if (r->page)
		munmap(r->page, sizeof *r->page);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

void
run_boot_id(uint8_t boot_id[16])
{
	char text[40] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	unsigned at = 0;

	memset(boot_id, 0, 16);
	if (fd < 0)
		return;
	if (read(fd, text, sizeof text - 1) > 0)
		for (const char *p = text; *p && at < 32; p++) {
			int v = *p >= '0' && *p <= '9'	 ? *p - '0'
				: *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
							 : -1;

			if (v >= 0) {
				boot_id[at / 2] |=
					(uint8_t)(v << (at % 2 ? 0 : 4));
				at++;
			}
		}
	close(fd);
}
