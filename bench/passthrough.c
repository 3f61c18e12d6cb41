/*
 * passthrough.c - a plain file through FUSE, served as lbs-fuse serves a vdisk:
 * the same session, requests, flags of an open file and threads, with pread and
 * pwrite behind them. What a file over FUSE can be at all, to hold lbs-fuse
 * against.
 *
 *   passthrough FILE MOUNTPOINT      in the foreground; MOUNTPOINT/disk
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_BYTES (1024u * 1024)
#define THREADS	      8
#define INO	      2

static int file;
static _Thread_local char *buffer; /* for the thread's life */

static void
init(void *ctx, struct fuse_conn_info *conn)
{
	(void)ctx;
	conn->max_write = conn->max_read = REQUEST_BYTES;
	conn->max_background = 64;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE);
}

static int
attributes(fuse_ino_t ino, struct stat *st)
{
	if (ino == INO)
		return fstat(file, st) < 0 ? errno : 0;
	*st = (struct stat){ .st_ino = ino,
			     .st_mode = S_IFDIR | 0700,
			     .st_nlink = 2 };
	return 0;
}

static void
lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = INO,
				      .attr_timeout = 1,
				      .entry_timeout = 1 };

	(void)parent;
	if (strcmp(name, "disk") != 0 || attributes(INO, &e.attr) != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &e);
}

static void
getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int rc = attributes(ino, &st);

	(void)fi;
	if (rc)
		fuse_reply_err(req, rc);
	else
		fuse_reply_attr(req, &st, 1);
}

static void
do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};

	(void)ino, (void)fi;
	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static void
do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	ssize_t n;

	(void)ino, (void)fi;
	if (!buffer)
		buffer = malloc(REQUEST_BYTES);
	n = pread(file, buffer, size, offset);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, buffer, (size_t)n);
}

static void
do_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	 off_t offset, struct fuse_file_info *fi)
{
	ssize_t n = pwrite(file, buf, size, offset);

	(void)ino, (void)fi;
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_write(req, (size_t)n);
}

static void
do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	 struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	fuse_reply_err(req, fdatasync(file) < 0 ? errno : 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = init,
	.lookup = lookup,
	.getattr = getattr,
	.open = do_open,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
};

int
main(int argc, char **argv)
{
	char *session_argv[] = { argv[0],
				 "-ofsname=passthrough,max_read=1048576" };
	struct fuse_args args = FUSE_ARGS_INIT(2, session_argv);
	struct fuse_loop_config *how = fuse_loop_cfg_create();
	struct fuse_session *session;
	int rc = 1;

	file = argc == 3 ? open(argv[1], O_RDWR) : -1;
	if (file < 0) {
		fprintf(stderr, "passthrough FILE MOUNTPOINT\n");
		return 2;
	}
	session =
		fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session || fuse_set_signal_handlers(session) < 0 ||
	    fuse_session_mount(session, argv[2]) < 0)
		return rc;
	fuse_loop_cfg_set_max_threads(how, THREADS);
	fuse_loop_cfg_set_idle_threads(how, THREADS);
	rc = fuse_session_loop_mt(session, how);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return rc < 0;
}
