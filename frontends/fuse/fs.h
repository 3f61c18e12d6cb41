/*
 * fs.h - what the files of the FUSE front end share.
 * Must never be included outside frontends/fuse.
 */
#ifndef LBS_FRONTENDS_FUSE_FS_H
#define LBS_FRONTENDS_FUSE_FS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "frontends/fuse/serve.h"
#include "lbs.h"

/* The longest request, in either direction. The kernel takes no more. */
#define FS_REQUEST_BYTES (1024u * 1024)
#define FS_BLOCK_BYTES	 4096u

/* A file that the kernel has asked for, by the name of its vdisk. It stays
 * until the end, so that its inode number means the same as long as we serve.
 */
struct node {
	char *name;	  /* constant */
	lbs_vdisk *vdisk; /* while opens > 0; guarded by fs.lock, constant for
			   * requests on an open file */
	unsigned opens;	  /* guarded by fs.lock */
	_Atomic int64_t modified; /* seconds; for people and backup programs */
};

struct fs {
	const struct fuse_config *config; /* constant, as the next two */
	lbs_store *store;
	int64_t begun; /* seconds: what the directory shows as its time */
	pthread_mutex_t lock;
	struct node **nodes; /* guarded by lock; inode 2 is the first */
	size_t node_count;
	_Atomic int failure_told;
};

/* fs.c: what the kernel may ask. */
extern const struct fuse_lowlevel_ops fs_operations;

/* node.c */
void fs_init(struct fs *fs, const struct fuse_config *config, lbs_store *store);
/* Closes what the kernel had open, frees. No request may be under way. */
void fs_end(struct fs *fs);
/* The size of a vdisk by its name: 0 or an errno, ENOENT if there is none. */
int node_vdisk(struct fs *fs, const char *name, uint64_t *size_bytes);
/* The inode of a vdisk's name, made when it is asked for first; 0 without
 * memory. */
fuse_ino_t node_ino(struct fs *fs, const char *name);
/* The node of an inode, or NULL. Valid until fs_end. */
struct node *node_find(struct fs *fs, fuse_ino_t ino);
/* Opens are counted, so that the store knows a vdisk in use from one that is
 * not. 0 or an errno. */
int node_open(struct fs *fs, struct node *node);
void node_close(struct fs *fs, struct node *node);

/* io.c: the data path. Each answers its request. */
void io_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi);
void io_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	      off_t offset, struct fuse_file_info *fi);
void io_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi);
void io_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi);
void io_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi);

#endif
