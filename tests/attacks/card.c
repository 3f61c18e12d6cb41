/*
 * card.c - a card that fails or is slow, for a process that preloads this. What
 * it does to files below .../card/ stands in the file that CARD_FAULTS names:
 * "read", "write" or "sync" fail with EIO, "slow" takes 100 ms each.
 * Must never touch files elsewhere.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int
on_card(int fd)
{
	char name[64], path[4096];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	return strstr(path, "/card/") != NULL;
}

/* Whether this call fails; one that is slow has waited. */
static int
fails(int fd, const char *what)
{
	const char *file = getenv("CARD_FAULTS");
	char words[64];
	ssize_t n;
	int in;

	if (!file || !on_card(fd) || (in = open(file, O_RDONLY)) < 0)
		return 0;
	n = read(in, words, sizeof words - 1);
	close(in);
	words[n > 0 ? n : 0] = '\0';
	if (strstr(words, "slow"))
		nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	if (!strstr(words, what))
		return 0;
	errno = EIO;
	return 1;
}

#define NEXT(f) ((__typeof__(&f))dlsym(RTLD_NEXT, #f))

ssize_t
pread64(int fd, void *buf, size_t len, off64_t at)
{
	return fails(fd, "read") ? -1 : NEXT(pread64)(fd, buf, len, at);
}

ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	return fails(fd, "write") ? -1 : NEXT(pwrite64)(fd, buf, len, at);
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off64_t at)
{
	return fails(fd, "write") ? -1 : NEXT(pwritev64)(fd, iov, count, at);
}

int
fdatasync(int fd)
{
	return fails(fd, "sync") ? -1 : NEXT(fdatasync)(fd);
}
