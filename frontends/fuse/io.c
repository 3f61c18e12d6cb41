/*
 * io.c - requests on an open file as library calls, one to one.
 * Must never acknowledge a synchronous write before it is durable (the kernel
 * sends no fsync after one), nor leave in a punched hole what was there.
 */
#include "frontends/fuse/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- common ---------------------------------------------------------------
 */

static struct node *
node_of(struct fuse_file_info *fi)
{
	return (struct node *)(uintptr_t)fi->fh;
}

/* Says in the log, once, that the store takes no more writes, why, and what to
 * do. Programs only get an errno. */
static void
tell_failure(struct fs *fs)
{
	const char *why = lbs_store_failure(fs->store);
	char sentence[1100];

	if (!*why || atomic_exchange(&fs->failure_told, 1))
		return;
	snprintf(sentence, sizeof(sentence),
		 "writes and fsync are refused from now on, programs get EIO, "
		 "reads go on (%s): when that is mended, unmount it and start "
		 "again; opening recovers",
		 why);
	fs->config->log(fs->config->ctx, LBS_LOG_ERROR, LBS_EFAILED, sentence);
}

/* Answers a request that has no result but success or an error. */
static void
answer(fuse_req_t req, int rc)
{
	if (rc < 0)
		tell_failure(fuse_req_userdata(req));
	fuse_reply_err(req, lbs_errno(rc));
}

static void
touch(struct node *node)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	atomic_store_explicit(&node->modified, now.tv_sec,
			      memory_order_relaxed);
}

/* ---- reading --------------------------------------------------------------
 */

/* One buffer a thread, for the thread's life: pages that are given back to the
 * kernel after each request would be faulted in again for the next. */
static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void
make_key(void)
{
	if (pthread_key_create(&buffer_key, free) != 0)
		abort();
}

static void *
thread_buffer(void)
{
	void *buf;

	pthread_once(&buffer_once, make_key);
	buf = pthread_getspecific(buffer_key);
	if (!buf) {
		buf = malloc(FS_REQUEST_BYTES);
		if (buf && pthread_setspecific(buffer_key, buf) != 0) {
			free(buf);
			buf = NULL;
		}
	}
	return buf;
}

void
io_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	lbs_vdisk *vdisk = node_of(fi)->vdisk;
	uint64_t end = lbs_vdisk_size(vdisk), at = (uint64_t)offset;
	void *buf = thread_buffer();
	int rc;

	(void)ino;
	if (at >= end)
		size = 0;
	else if (size > end - at)
		size = (size_t)(end - at);
	if (size > FS_REQUEST_BYTES)
		size = FS_REQUEST_BYTES;
	rc = !buf   ? LBS_ENOMEM
	     : size ? lbs_vdisk_read(vdisk, buf, size, at)
		    : 0;
	if (rc < 0)
		answer(req, rc);
	else
		fuse_reply_buf(req, buf, size);
}

/* ---- writing --------------------------------------------------------------
 */

void
io_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	 off_t offset, struct fuse_file_info *fi)
{
	struct node *node = node_of(fi);
	uint64_t end = lbs_vdisk_size(node->vdisk), at = (uint64_t)offset;
	int rc;

	(void)ino;
	/* The file does not grow; not ENOSPC, which means a full store. */
	if (at > end || size > end - at) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	/* O_DSYNC and O_SYNC of the file, or of this one write. */
	rc = lbs_vdisk_write(node->vdisk, buf, size, at,
			     fi->flags & O_DSYNC ? LBS_FUA : 0);
	touch(node);
	if (rc < 0)
		answer(req, rc);
	else
		fuse_reply_write(req, size);
}

void
io_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	 struct fuse_file_info *fi)
{
	int rc = lbs_vdisk_flush(node_of(fi)->vdisk);

	(void)ino, (void)datasync;
	/* Nothing can have been written that would have to be durable. */
	answer(req, rc == LBS_EROFS ? 0 : rc);
}

/* A hole reads as zeroes to its last byte, so only whole blocks can be
 * discarded. */
static int
punch(lbs_vdisk *vdisk, uint64_t length, uint64_t offset)
{
	uint64_t end = offset + length;

	if (offset % FS_BLOCK_BYTES == 0 &&
	    (end % FS_BLOCK_BYTES == 0 || end == lbs_vdisk_size(vdisk)))
		return lbs_vdisk_discard(vdisk, length, offset, 0);
	return lbs_vdisk_write_zeroes(vdisk, length, offset, 0);
}

/* Room is not promised to anybody in advance: mode 0 is not supported. */
void
io_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
	     off_t length, struct fuse_file_info *fi)
{
	struct node *node = node_of(fi);
	uint64_t size = lbs_vdisk_size(node->vdisk);
	uint64_t at = (uint64_t)offset, len = (uint64_t)length;
	int rc = 0;

	(void)ino;
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_PUNCH_HOLE &&
	    (mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (at > size || len > size - at) {
		if (!(mode & FALLOC_FL_KEEP_SIZE)) {
			fuse_reply_err(req, EFBIG);
			return;
		}
		len = at < size ? size - at : 0;
	}
	if (len)
		rc = mode & FALLOC_FL_PUNCH_HOLE
			     ? punch(node->vdisk, len, at)
			     : lbs_vdisk_write_zeroes(node->vdisk, len, at, 0);
	touch(node);
	answer(req, rc);
}

/* ---- holes ----------------------------------------------------------------
 */

struct seek {
	int data; /* looking for data, else for a hole */
	int found;
	uint64_t at;
};

static int
seek_extent(void *ctx, uint64_t offset_bytes, uint64_t len_bytes, int is_data)
{
	struct seek *seek = ctx;

	(void)len_bytes;
	seek->found = !is_data == !seek->data;
	seek->at = offset_bytes;
	return seek->found;
}

void
io_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	 struct fuse_file_info *fi)
{
	lbs_vdisk *vdisk = node_of(fi)->vdisk;
	struct seek seek = { .data = whence == SEEK_DATA };
	uint64_t size = lbs_vdisk_size(vdisk), at = (uint64_t)offset;
	int rc;

	(void)ino;
	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (offset < 0 || at >= size) {
		fuse_reply_err(req, ENXIO);
		return;
	}
	rc = lbs_vdisk_extents(vdisk, size - at, at, seek_extent, &seek);
	if (rc < 0)
		answer(req, rc);
	else if (seek.found)
		fuse_reply_lseek(req, (off_t)seek.at);
	else if (seek.data)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, (off_t)size);
}
