/* door_file.c - a vdisk as a file: lbs-fuse and system calls; see door.h. */
#include "tests/conformance/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct file {
	int fd;
	char path[300];
	int read_only;
};

static int
mounted(struct place *place)
{
	struct stat here, above;

	return stat(place->mount, &here) == 0 &&
	       stat(place->work, &above) == 0 && here.st_dev != above.st_dev;
}

static int
file_start(struct place *place)
{
	char program[1100];
	char *argv[] = { program,      "-f",
			 "-q",	       place->store,
			 place->mount, place->read_only ? "--read-only" : NULL,
			 NULL };

	snprintf(program, sizeof(program), "%s/lbs-fuse", place->bin);
	server_start(place, argv);
	return server_wait(place, mounted);
}

static int
file_stop(struct place *place)
{
	char *argv[] = { "fusermount3", "-u", place->mount, NULL };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return -1;
	return server_ended(place);
}

static void *
file_connect(struct place *place)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	snprintf(file->path, sizeof(file->path), "%s/disk", place->mount);
	file->read_only = place->read_only;
	file->fd = open(file->path, place->read_only ? O_RDONLY : O_RDWR);
	if (file->fd >= 0)
		return file;
	perror(file->path);
	free(file);
	return NULL;
}

static void
file_disconnect(void *session)
{
	struct file *file = session;

	close(file->fd);
	free(file);
}

static uint64_t
file_size(void *session)
{
	struct stat st;

	return fstat(((struct file *)session)->fd, &st) == 0
		       ? (uint64_t)st.st_size
		       : 0;
}

static enum outcome
outcome(int rc)
{
	if (rc >= 0)
		return DONE;
	switch (errno) {
	case EFBIG:
	case EINVAL: /* offsets that no file has */
	case ENXIO:
		return BEYOND;
	case EROFS:
	case EPERM:
		return READ_ONLY;
	case ENOSPC:
		return FULL;
	case EIO:
		return IO_ERROR;
	default:
		return OTHER;
	}
}

/* A read-only file system says so when a file is opened for writing. */
static enum outcome
refused_opening(struct file *file)
{
	int fd = open(file->path, O_RDWR);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? OTHER : outcome(-1);
}

static enum outcome
file_read(void *session, void *buf, size_t length, uint64_t offset)
{
	struct file *file = session;
	size_t got = 0;

	while (got < length) {
		ssize_t n = pread(file->fd, (char *)buf + got, length - got,
				  (off_t)(offset + got));

		if (n <= 0)
			return n == 0 ? BEYOND : outcome(-1);
		got += (size_t)n;
	}
	return DONE;
}

static enum outcome
file_write(void *session, const void *buf, size_t length, uint64_t offset,
	   int durable)
{
	struct file *file = session;
	size_t put = 0;

	if (file->read_only)
		return refused_opening(file);
	while (put < length) {
		struct iovec iov = { (char *)buf + put, length - put };
		ssize_t n = pwritev2(file->fd, &iov, 1, (off_t)(offset + put),
				     durable ? RWF_DSYNC : 0);

		if (n < 0)
			return outcome(-1);
		if (n == 0)
			return OTHER;
		put += (size_t)n;
	}
	return DONE;
}

static enum outcome
file_flush(void *session)
{
	return outcome(fdatasync(((struct file *)session)->fd));
}

static enum outcome
allocate(struct file *file, int mode, uint64_t length, uint64_t offset)
{
	if (file->read_only)
		return refused_opening(file);
	return outcome(fallocate(file->fd, mode, (off_t)offset, (off_t)length));
}

static enum outcome
file_discard(void *session, uint64_t length, uint64_t offset)
{
	return allocate(session, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			length, offset);
}

static enum outcome
file_zero(void *session, uint64_t length, uint64_t offset)
{
	return allocate(session, FALLOC_FL_ZERO_RANGE, length, offset);
}

static enum outcome
file_extents(void *session, uint64_t length, uint64_t offset,
	     struct extents *out)
{
	struct file *file = session;
	uint64_t end = offset + length, at = offset;
	int looking = SEEK_DATA;

	out->count = 0;
	while (at < end && out->count < EXTENTS_MAX) {
		off_t next = lseek(file->fd, (off_t)at, looking);
		uint64_t to =
			next < 0 || (uint64_t)next > end ? end : (uint64_t)next;

		/* No data until the end is an answer, too. */
		if (next < 0 && !(errno == ENXIO && looking == SEEK_DATA))
			return outcome(-1);
		if (to > at)
			extents_add(out, to - at, looking == SEEK_DATA);
		at = to;
		looking = looking == SEEK_DATA ? SEEK_HOLE : SEEK_DATA;
	}
	return DONE;
}

const struct door door_file = {
	.name = "fuse",
	.discards_exactly = 1,
	.start = file_start,
	.stop = file_stop,
	.all_durable = server_all_durable,
	.connect = file_connect,
	.disconnect = file_disconnect,
	.size = file_size,
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.discard = file_discard,
	.zero = file_zero,
	.extents = file_extents,
};
