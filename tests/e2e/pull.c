/*
 * pull.c - preloaded into the server: makes files below a directory fail as a
 * card that is pulled does, or a flash that dies, when a flag file says so; and
 * keeps a log from which the test can take back what was never synced, as the
 * loss of the page cache would.
 *
 *   PULL_DIR   the directory
 *   PULL_FLAG  a file whose first byte says what fails: 'g' everything, 'w'
 *              writes, 's' syncs; nothing while it is not there
 *   PULL_LOG   where writes and syncs are logged: type, path, offset, length, and
 *              the bytes that were there before
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t
real_pread(int fd, void *buf, size_t n, off_t at)
{
	static ssize_t (*real)(int, void *, size_t, off_t);

	if (!real)
		real = (ssize_t (*)(int, void *, size_t, off_t))dlsym(
			RTLD_NEXT, "pread64");
	return real(fd, buf, n, at);
}

/* The path of a descriptor if it lies below the directory. */
static int
is_ours(int fd, char path[512])
{
	const char *dir = getenv("PULL_DIR");
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, 511);
	if (n < 0 || !dir)
		return 0;
	path[n] = '\0';
	return strncmp(path, dir, strlen(dir)) == 0;
}

static int
fails(char kind)
{
	static ssize_t (*real_read)(int, void *, size_t);
	const char *flag = getenv("PULL_FLAG");
	int fd = flag ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
	char c = 0;

	if (!real_read)
		real_read = (ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT,
								    "read");
	if (fd < 0)
		return 0;
	if (real_read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c == 'g' || c == kind;
}

/* lock is held. */
static void
log_entry(char type, const char *path, int fd, uint64_t at, uint64_t len)
{
	static int out = -1;
	uint64_t head[3] = { strlen(path), at, len };
	char *old = calloc(1, len + 1);

	if (out < 0 && getenv("PULL_LOG"))
		out = open(getenv("PULL_LOG"),
			   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (type == 'W' && real_pread(fd, old, len, (off_t)at) < 0)
		memset(old, 0, len);
	if (write(out, &type, 1) < 0 || write(out, head, sizeof head) < 0 ||
	    write(out, path, head[0]) < 0 ||
	    (type == 'W' && write(out, old, len) < 0))
		abort();
	free(old);
}

static int
refuse(int fd, char kind, char path[512])
{
	if (!is_ours(fd, path) || !fails(kind))
		return 0;
	errno = EIO;
	return 1;
}

ssize_t
pread64(int fd, void *buf, size_t n, off_t at)
{
	char path[512];

	return refuse(fd, 'r', path) ? -1 : real_pread(fd, buf, n, at);
}

ssize_t
pwrite64(int fd, const void *buf, size_t n, off_t at)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);
	char path[512];
	ssize_t rc;

	if (!real)
		real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(
			RTLD_NEXT, "pwrite64");
	if (refuse(fd, 'w', path))
		return -1;
	if (!is_ours(fd, path))
		return real(fd, buf, n, at);
	pthread_mutex_lock(&lock);
	log_entry('W', path, fd, (uint64_t)at, n);
	rc = real(fd, buf, n, at);
	pthread_mutex_unlock(&lock);
	return rc;
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
	static ssize_t (*real)(int, const struct iovec *, int, off_t);
	char path[512];
	size_t n = 0;
	ssize_t rc;

	if (!real)
		real = (ssize_t (*)(int, const struct iovec *, int, off_t))dlsym(
			RTLD_NEXT, "pwritev64");
	if (refuse(fd, 'w', path))
		return -1;
	if (!is_ours(fd, path))
		return real(fd, iov, count, at);
	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	pthread_mutex_lock(&lock);
	log_entry('W', path, fd, (uint64_t)at, n);
	rc = real(fd, iov, count, at);
	pthread_mutex_unlock(&lock);
	return rc;
}

static int
sync_with(int fd, const char *name)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	char path[512];
	int rc;

	if (refuse(fd, 's', path))
		return -1;
	if (!is_ours(fd, path))
		return real(fd);
	/* Writes that come meanwhile wait, so none of them is taken for synced. */
	pthread_mutex_lock(&lock);
	rc = real(fd);
	if (rc == 0)
		log_entry('S', path, fd, 0, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

int
fdatasync(int fd)
{
	return sync_with(fd, "fdatasync");
}

int
fsync(int fd)
{
	return sync_with(fd, "fsync");
}

/* The same functions under the names of programs built otherwise. */
ssize_t
pread(int fd, void *buf, size_t n, off_t at)
{
	return pread64(fd, buf, n, at);
}

ssize_t
pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return pwrite64(fd, buf, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	return pwritev64(fd, iov, count, at);
}
