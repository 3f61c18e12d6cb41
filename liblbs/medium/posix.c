/*
 * posix.c - the card as a directory of a real file system, usually FAT. Every
 * name is resolved below one held directory descriptor and never through a
 * link; only regular files are opened. No rename, no holes, no mmap.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "liblbs/medium/medium.h"
#include "liblbs/medium/probe.h"

#define FILES_MAX 65536u

struct posix {
	struct medium base;
	int dir;
	int card;		/* descriptor + 1, or 0 */
	int *chunk;		/* the same, FILES_MAX of them: a fixed table, so
				 * that opening one disturbs no reader */
	int is_memory;		/* there is no device to wait for */
	_Atomic int cannot_tell; /* the file system has no RWF_NOWAIT */
};

static struct posix *
posix_of(struct medium *m)
{
	return (struct posix *)m;
}

void
medium_file_name(uint32_t file, char name[MEDIUM_NAME_BYTES])
{
	if (file == MEDIUM_CARD_FILE)
		snprintf(name, MEDIUM_NAME_BYTES, "card.lbs");
	else
		snprintf(name, MEDIUM_NAME_BYTES, "%04u.lbs", file);
}

static int *
slot(struct posix *p, uint32_t file)
{
	if (file == MEDIUM_CARD_FILE)
		return &p->card;
	return file < FILES_MAX ? &p->chunk[file] : NULL;
}

/* -1 if it is not open, which the system calls answer with EBADF. */
static int
fd_of(struct medium *m, uint32_t file)
{
	int *s = slot(posix_of(m), file);

	return s ? *s - 1 : -1;
}

static int
posix_open(struct medium *m, uint32_t file, int flags)
{
	struct posix *p = posix_of(m);
	char name[MEDIUM_NAME_BYTES];
	struct stat st;
	int fd;

	if (!slot(p, file))
		return -EINVAL;
	if (*slot(p, file))
		return 0;
	medium_file_name(file, name);
	fd = openat(p->dir, name,
		    (flags & MEDIUM_OPEN_RDONLY ? O_RDONLY : O_RDWR) |
			    (flags & MEDIUM_OPEN_CREATE ? O_CREAT : 0) |
			    O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		    0600);
	if (fd < 0)
		return errno == ELOOP || errno == ENXIO || errno == EISDIR
			       ? -EINVAL
			       : -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	*slot(p, file) = fd + 1;
	return 0;
}

static int
posix_size(struct medium *m, uint32_t file, uint64_t *size_bytes)
{
	struct stat st;

	if (fstat(fd_of(m, file), &st))
		return -errno;
	*size_bytes = (uint64_t)st.st_size;
	return 0;
}

static ssize_t
posix_pread(struct medium *m, uint32_t file, void *buf, size_t len,
	    uint64_t offset)
{
	int fd = fd_of(m, file);
	size_t done = 0;

	if (fd < 0)
		return 0;
	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* FAT and exFAT have no RWF_NOWAIT, as of Linux 6.18; nor has tmpfs, which needs
 * none. What cachestat(2) says would not do: a page that is being read counts as
 * there. */
static ssize_t
posix_pread_now(struct medium *m, uint32_t file, void *buf, size_t len,
		uint64_t offset)
{
	struct posix *p = posix_of(m);
	struct iovec iov = { buf, len };
	ssize_t n;

	if (p->is_memory)
		return posix_pread(m, file, buf, len, offset);
	if (atomic_load_explicit(&p->cannot_tell, memory_order_relaxed))
		return -EAGAIN;
	n = preadv2(fd_of(m, file), &iov, 1, (off_t)offset, RWF_NOWAIT);
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		atomic_store_explicit(&p->cannot_tell, 1, memory_order_relaxed);
	/* Part of it, the end of the file, an error: for pread to tell. */
	return n == (ssize_t)len ? n : -EAGAIN;
}

/* What a short pwritev left over, one vector at a time. */
static int
write_rest(int fd, const struct iovec *iov, int iov_count, uint64_t offset,
	   size_t skip)
{
	for (int i = 0; i < iov_count; i++) {
		const char *p = iov[i].iov_base;
		size_t len = iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			offset += len;
			continue;
		}
		p += skip;
		len -= skip;
		offset += skip;
		skip = 0;
		while (len) {
			ssize_t n = pwrite(fd, p, len, (off_t)offset);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -EIO;
			p += n;
			len -= (size_t)n;
			offset += (uint64_t)n;
		}
	}
	return 0;
}

static int
posix_pwritev(struct medium *m, uint32_t file, const struct iovec *iov,
	      int iov_count, uint64_t offset)
{
	int fd = fd_of(m, file);
	size_t total = 0;
	ssize_t n;

	for (int i = 0; i < iov_count; i++)
		total += iov[i].iov_len;
	do
		n = iov_count == 1
			    ? pwrite(fd, iov->iov_base, total, (off_t)offset)
			    : pwritev(fd, iov, iov_count, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == total
		       ? 0
		       : write_rest(fd, iov, iov_count, offset, (size_t)n);
}

/* Linux forgets what of one call is beyond the device's read-ahead, which is 128 KiB
 * unless somebody has set it (mm/readahead.c, force_page_cache_ra). */
#define PREFETCH_BYTES (128u * 1024)

static void
posix_prefetch(struct medium *m, uint32_t file, uint64_t offset, size_t len)
{
	int fd = fd_of(m, file);

	while (fd >= 0 && len) {
		size_t part = len < PREFETCH_BYTES ? len : PREFETCH_BYTES;

		posix_fadvise(fd, (off_t)offset, (off_t)part,
			      POSIX_FADV_WILLNEED);
		offset += part;
		len -= part;
	}
}

static int
posix_sync(struct medium *m, uint32_t file)
{
	/* Never retried, also not after EINTR: a sync that failed once has
	 * told its error, and the next one would succeed with the data gone. */
	return fdatasync(fd_of(m, file)) ? -errno : 0;
}

static int
posix_sync_dir(struct medium *m)
{
	/* Some file systems cannot sync a directory and say EINVAL: they keep
	 * names by themselves. */
	return fsync(posix_of(m)->dir) && errno != EINVAL ? -errno : 0;
}

static int
posix_lock(struct medium *m)
{
	if (flock(fd_of(m, MEDIUM_CARD_FILE), LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static int
posix_remove(struct medium *m, uint32_t file)
{
	char name[MEDIUM_NAME_BYTES];
	int *s = slot(posix_of(m), file);

	if (s && *s) {
		close(*s - 1);
		*s = 0;
	}
	medium_file_name(file, name);
	return unlinkat(posix_of(m)->dir, name, 0) ? -errno : 0;
}

static void
posix_close(struct medium *m)
{
	struct posix *p = posix_of(m);

	for (uint32_t i = 0; p->chunk && i < FILES_MAX; i++)
		if (p->chunk[i])
			close(p->chunk[i] - 1);
	if (p->card)
		close(p->card - 1);
	if (p->dir >= 0)
		close(p->dir);
	free(p->chunk);
	free(p);
}

static const struct medium_ops posix_ops = {
	.open = posix_open,
	.size = posix_size,
	.pread = posix_pread,
	.pread_now = posix_pread_now,
	.pwritev = posix_pwritev,
	.prefetch = posix_prefetch,
	.sync = posix_sync,
	.sync_dir = posix_sync_dir,
	.lock = posix_lock,
	.remove = posix_remove,
	.close = posix_close,
};

/* The name of a new directory is durable after a sync of the one above it. (FAT in
 * Linux 6.1 writes it with the directory's own inode; nobody promises that.) One that
 * may be written but not read cannot be synced. */
static int
sync_parent(const char *dir)
{
	char path[4096];
	int fd, err;

	if (snprintf(path, sizeof path, "%s", dir) >= (int)sizeof path)
		return -ENAMETOOLONG;
	fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	err = fsync(fd) && errno != EINVAL ? -errno : 0;
	close(fd);
	return err;
}

int
medium_posix_open(const char *dir, int create, struct medium **out)
{
	struct posix *p = calloc(1, sizeof *p);
	struct statfs fs;
	int fd, made = 0, err = 0;

	if (!p)
		return -ENOMEM;
	p->base.ops = &posix_ops;
	p->dir = -1;
	p->chunk = calloc(FILES_MAX, sizeof *p->chunk);
	if (!p->chunk) {
		err = -ENOMEM;
		goto out;
	}
	if (create) {
		made = mkdir(dir, 0700) == 0;
		err = made ? sync_parent(dir) : errno == EEXIST ? 0 : -errno;
		if (err)
			goto out;
	}
	p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0) {
		err = -errno;
		goto out;
	}
	p->is_memory = fstatfs(p->dir, &fs) == 0 &&
		       medium_fs_kind((uint64_t)fs.f_type) == CARD_FS_MEMORY;
	if (create) {
		/* Keeps media scanners of phones away. Not worth failing for. */
		fd = openat(p->dir, ".nomedia",
			    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0)
			close(fd);
	}
out:
	if (err) {
		if (made)
			rmdir(dir);
		posix_close(&p->base);
	} else {
		*out = &p->base;
	}
	return err;
}
