/*
 * fs.c - the directory that is mounted: one file a vdisk, by the store's own
 * list, so that a vdisk appears when it is made. The files can be opened, read
 * and written; not made, removed, renamed or resized: that is the tools' work.
 * Must never promise the kernel a cache: what a file holds is the store's to
 * say.
 */
#include "frontends/fuse/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

/* Headers before Linux 6.2 lack it; kernels that do not know it ignore it. */
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

/* How long the kernel may keep names and sizes, in seconds. */
#define KEEP_S 1.0

static struct fs *
fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- attributes -----------------------------------------------------------
 */

/* The directory may be listed by whoever may read a file in it. */
static mode_t
directory_mode(mode_t file_mode)
{
	return S_IFDIR | (file_mode & 0444) | ((file_mode & 0444) >> 2);
}

/* What the files take, as of the last checkpoint. Whoever copies a file with
 * holes looks here whether there are any, so it is never zero. */
static blkcnt_t
sectors_used(struct fs *fs, uint64_t size_bytes)
{
	uint64_t values[LBS_STAT_COUNT] = { 0 }, used;

	lbs_store_stat(fs->store, values);
	used = (values[LBS_STAT_LIVE_BLOCKS] + 1) * (FS_BLOCK_BYTES / 512);
	return (blkcnt_t)(used < size_bytes / 512 ? used : size_bytes / 512);
}

/* 0 or an errno. */
static int
attributes(struct fs *fs, fuse_ino_t ino, struct stat *st)
{
	struct node *node = ino == FUSE_ROOT_ID ? NULL : node_find(fs, ino);
	uint64_t size_bytes;
	int rc;

	*st = (struct stat){
		.st_ino = ino,
		.st_uid = fs->config->uid,
		.st_gid = fs->config->gid,
		.st_blksize = FS_REQUEST_BYTES,
		.st_nlink = ino == FUSE_ROOT_ID ? 2 : 1,
	};
	st->st_atime = st->st_ctime = st->st_mtime = fs->begun;
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = directory_mode(fs->config->mode);
		return 0;
	}
	if (!node)
		return ENOENT;
	rc = node_vdisk(fs, node->name, &size_bytes);
	if (rc)
		return rc;
	st->st_mode = S_IFREG | fs->config->mode;
	st->st_size = (off_t)size_bytes;
	st->st_blocks = sectors_used(fs, size_bytes);
	st->st_ctime = st->st_mtime = node->modified;
	return 0;
}

static void
do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.attr_timeout = KEEP_S,
		.entry_timeout = KEEP_S,
	};
	struct fs *fs = fs_of(req);
	uint64_t size_bytes;
	int rc = parent == FUSE_ROOT_ID ? node_vdisk(fs, name, &size_bytes)
					: ENOTDIR;

	if (rc == 0) {
		entry.ino = node_ino(fs, name);
		rc = entry.ino ? attributes(fs, entry.ino, &entry.attr)
			       : ENOMEM;
	}
	if (rc)
		fuse_reply_err(req, rc);
	else
		fuse_reply_entry(req, &entry);
}

static void
do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int rc = attributes(fs_of(req), ino, &st);

	(void)fi;
	if (rc)
		fuse_reply_err(req, rc);
	else
		fuse_reply_attr(req, &st, KEEP_S);
}

/* Times are taken for granted; owner and mode are options of the mount; a size
 * may be set to what it is. */
static void
do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	   struct fuse_file_info *fi)
{
	struct stat st;
	int rc = attributes(fs_of(req), ino, &st);

	(void)fi;
	if (rc == 0 && to_set & FUSE_SET_ATTR_SIZE &&
	    attr->st_size != st.st_size)
		rc = EPERM;
	if (rc == 0 && to_set & FUSE_SET_ATTR_MODE &&
	    (attr->st_mode & 07777) != (st.st_mode & 07777))
		rc = EPERM;
	if (rc == 0 &&
	    ((to_set & FUSE_SET_ATTR_UID && attr->st_uid != st.st_uid) ||
	     (to_set & FUSE_SET_ATTR_GID && attr->st_gid != st.st_gid)))
		rc = EPERM;
	if (rc)
		fuse_reply_err(req, rc);
	else
		fuse_reply_attr(req, &st, KEEP_S);
}

static void
do_statfs(fuse_req_t req, fuse_ino_t ino)
{
	uint64_t values[LBS_STAT_COUNT] = { 0 };
	uint64_t most, live;

	(void)ino;
	lbs_store_stat(fs_of(req)->store, values);
	most = values[LBS_STAT_LIVE_BLOCKS_MAX];
	live = values[LBS_STAT_LIVE_BLOCKS];
	fuse_reply_statfs(req,
			  &(struct statvfs){
				  .f_bsize = FS_BLOCK_BYTES,
				  .f_frsize = FS_BLOCK_BYTES,
				  .f_blocks = most,
				  .f_bfree = most > live ? most - live : 0,
				  .f_bavail = most > live ? most - live : 0,
				  .f_namemax = 255,
			  });
}

/* ---- the directory --------------------------------------------------------
 */

struct listing {
	fuse_req_t req;
	char *buf;
	size_t size, used;
	off_t at, from; /* entries seen; those before from are not wanted */
	int full;
};

static int
list_entry(struct listing *list, const char *name, fuse_ino_t ino, mode_t mode)
{
	struct stat st = { .st_ino = ino, .st_mode = mode };
	size_t n;

	if (list->at++ < list->from)
		return 0;
	n = fuse_add_direntry(list->req, list->buf + list->used,
			      list->size - list->used, name, &st, list->at);
	list->full = n > list->size - list->used;
	if (!list->full)
		list->used += n;
	return list->full;
}

static int
list_vdisk(void *ctx, const char *name, uint64_t size_bytes)
{
	struct listing *list = ctx;

	(void)size_bytes;
	return list_entry(list, name, node_ino(fs_of(list->req), name),
			  S_IFREG);
}

static void
do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	   struct fuse_file_info *fi)
{
	struct listing list = {
		.req = req, .buf = malloc(size), .size = size, .from = offset
	};
	int rc = list.buf ? 0 : ENOMEM;

	(void)fi;
	if (rc == 0 && ino != FUSE_ROOT_ID)
		rc = ENOTDIR;
	if (rc == 0 && !list_entry(&list, ".", FUSE_ROOT_ID, S_IFDIR) &&
	    !list_entry(&list, "..", FUSE_ROOT_ID, S_IFDIR))
		rc = lbs_errno(
			lbs_store_vdisks(fs_of(req)->store, list_vdisk, &list));
	if (rc)
		fuse_reply_err(req, rc);
	else
		fuse_reply_buf(req, list.buf, list.used);
	free(list.buf);
}

/* ---- opening --------------------------------------------------------------
 */

static void
do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct node *node = node_find(fs, ino);
	/* The kernel's own structure: libfuse 3.14 has no name for parallel
	 * direct writes, without which the kernel lets one writer in at a time.
	 * Kernels before 6.2 do not look at the bit. */
	struct fuse_open_out out = {
		.fh = (uintptr_t)node,
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};
	int rc = !node ? ENOENT : node_open(fs, node);

	(void)fi;
	if (rc)
		fuse_reply_err(req, rc);
	else if (fuse_reply_buf(req, (const char *)&out, sizeof(out)) ==
		 -ENOENT)
		node_close(fs, node); /* who opened it was interrupted */
}

static void
do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	node_close(fs_of(req), (struct node *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* ---- the session ----------------------------------------------------------
 */

static void
do_init(void *ctx, struct fuse_conn_info *conn)
{
	(void)ctx;
	conn->max_write = conn->max_read = FS_REQUEST_BYTES;
	conn->max_background = 64;
	/* What is read and written is encrypted in between: pages cannot be
	 * moved. O_TRUNC comes as a size to be set, which is refused there. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC);
}

/* What is not here is refused by the kernel or libfuse with ENOSYS or EPERM;
 * flush (at each close) is left out, because nothing of ours waits for it. */
const struct fuse_lowlevel_ops fs_operations = {
	.init = do_init,
	.lookup = do_lookup,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.statfs = do_statfs,
	.readdir = do_readdir,
	.open = do_open,
	.release = do_release,
	.read = io_read,
	.write = io_write,
	.fsync = io_fsync,
	.fallocate = io_fallocate,
	.lseek = io_lseek,
};
