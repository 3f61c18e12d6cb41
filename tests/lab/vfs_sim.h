/*
 * vfs_sim.h - a SQLite VFS over the internal flash side of a simulated disk.
 * Must never tell SQLite more than the unix VFS tells it in production.
 */
#ifndef LBS_TESTS_VFS_SIM_H
#define LBS_TESTS_VFS_SIM_H

#include "tests/lab/simdisk.h"

struct vfs_sim;

/* Registers a VFS for this disk alone, under a name of its own. */
struct vfs_sim *vfs_sim_new(struct simdisk *d);
const char *vfs_sim_name(const struct vfs_sim *v);
/* All its connections must be closed. NULL is allowed. */
void vfs_sim_free(struct vfs_sim *v);

#endif
