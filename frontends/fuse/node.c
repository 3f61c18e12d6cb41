/*
 * node.c - the names that the kernel knows, as inodes, and which of them are
 * open. Must never give one inode number to two names.
 */
#include "frontends/fuse/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_INO (FUSE_ROOT_ID + 1)

struct search {
	const char *name;
	uint64_t size_bytes;
	int found;
};

static int
match(void *ctx, const char *name, uint64_t size_bytes)
{
	struct search *search = ctx;

	search->found = strcmp(name, search->name) == 0;
	search->size_bytes = size_bytes;
	return search->found;
}

int
node_vdisk(struct fs *fs, const char *name, uint64_t *size_bytes)
{
	struct search search = { .name = name };
	int rc = lbs_store_vdisks(fs->store, match, &search);

	*size_bytes = search.size_bytes;
	return rc < 0 ? lbs_errno(rc) : search.found ? 0 : ENOENT;
}

struct node *
node_find(struct fs *fs, fuse_ino_t ino)
{
	struct node *node = NULL;

	pthread_mutex_lock(&fs->lock);
	if (ino >= FIRST_INO && ino - FIRST_INO < fs->node_count)
		node = fs->nodes[ino - FIRST_INO];
	pthread_mutex_unlock(&fs->lock);
	return node;
}

/* Holds fs->lock. */
static fuse_ino_t
add_node(struct fs *fs, const char *name)
{
	struct node *node = calloc(1, sizeof(*node)), **more;
	fuse_ino_t ino = 0;

	more = realloc(fs->nodes, (fs->node_count + 1) * sizeof(*more));
	if (more)
		fs->nodes = more;
	if (node)
		node->name = strdup(name);
	if (!node || !more || !node->name)
		goto out;
	node->modified = fs->begun;
	ino = FIRST_INO + fs->node_count;
	fs->nodes[fs->node_count++] = node;
	node = NULL;
out:
	if (node)
		free(node->name);
	free(node);
	return ino;
}

fuse_ino_t
node_ino(struct fs *fs, const char *name)
{
	fuse_ino_t ino = 0;

	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->node_count && !ino; i++)
		if (strcmp(fs->nodes[i]->name, name) == 0)
			ino = FIRST_INO + i;
	if (!ino)
		ino = add_node(fs, name);
	pthread_mutex_unlock(&fs->lock);
	return ino;
}

int
node_open(struct fs *fs, struct node *node)
{
	int rc = 0;

	pthread_mutex_lock(&fs->lock);
	if (node->opens == 0)
		rc = lbs_vdisk_open(fs->store, node->name, &node->vdisk);
	if (rc == 0)
		node->opens++;
	pthread_mutex_unlock(&fs->lock);
	return rc == LBS_ENOENT ? ENOENT : lbs_errno(rc);
}

void
node_close(struct fs *fs, struct node *node)
{
	pthread_mutex_lock(&fs->lock);
	if (--node->opens == 0) {
		lbs_vdisk_close(node->vdisk);
		node->vdisk = NULL;
	}
	pthread_mutex_unlock(&fs->lock);
}

void
fs_init(struct fs *fs, const struct fuse_config *config, lbs_store *store)
{
	*fs = (struct fs){
		.config = config,
		.store = store,
		.begun = time(NULL),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
}

void
fs_end(struct fs *fs)
{
	for (size_t i = 0; i < fs->node_count; i++) {
		if (fs->nodes[i]->opens)
			lbs_vdisk_close(fs->nodes[i]->vdisk);
		free(fs->nodes[i]->name);
		free(fs->nodes[i]);
	}
	free(fs->nodes);
	pthread_mutex_destroy(&fs->lock);
}
