/*
 * vfs_sim.c - SQLite's files on the simulated internal flash.
 * Must never answer a capability question otherwise than the unix VFS does:
 * POWERSAFE_OVERWRITE and sectors of 4096, so that SQLite lays out the same
 * bytes with the same syncs as in production. The simulated disk nevertheless
 * tears at 512 bytes, which is harsher than either claim needs.
 * Shared memory is left out (io methods version 1): WAL works without it in
 * locking_mode=EXCLUSIVE, and a store that opened otherwise would fail here.
 */
#include "tests/lab/vfs_sim.h"
#include "tests/lab/simimage.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vfs_sim {
	sqlite3_vfs base;
	struct simdisk *disk;
	char name[64];
};

struct sim_file {
	sqlite3_file base;
	struct simdisk *disk;
	struct sim_fd fd;
	int level, delete_on_close;
	char name[SIM_NAME_BYTES];
};

static struct sim_file *file_of(sqlite3_file *f)
{
	return (struct sim_file *)f;
}

static int x_close(sqlite3_file *f)
{
	struct sim_file *s = file_of(f);

	if (s->level > 0)
		simdisk_lock(s->disk, s->fd, s->level, 0);
	if (s->delete_on_close)
		simdisk_unlink(s->disk, SIM_FLASH, s->name);
	return SQLITE_OK;
}

static int x_read(sqlite3_file *f, void *buf, int len, sqlite3_int64 offset)
{
	ssize_t got = simdisk_read(file_of(f)->disk, file_of(f)->fd, buf,
				   (size_t)len, (uint64_t)offset);

	if (got < 0)
		return SQLITE_IOERR_READ;
	if (got == len)
		return SQLITE_OK;
	memset((uint8_t *)buf + got, 0, (size_t)(len - got));
	return SQLITE_IOERR_SHORT_READ;
}

static int x_write(sqlite3_file *f, const void *buf, int len,
		   sqlite3_int64 offset)
{
	int rc = simdisk_write(file_of(f)->disk, file_of(f)->fd, buf,
			       (size_t)len, (uint64_t)offset);

	if (rc == -ENOSPC)
		return SQLITE_FULL;
	return rc < 0 ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = simdisk_truncate(file_of(f)->disk, file_of(f)->fd,
				  (uint64_t)size);

	return rc < 0 ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int x_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	return simdisk_sync(file_of(f)->disk, file_of(f)->fd) < 0
		       ? SQLITE_IOERR_FSYNC
		       : SQLITE_OK;
}

static int x_file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	uint64_t bytes;

	if (simdisk_size(file_of(f)->disk, file_of(f)->fd, &bytes) < 0)
		return SQLITE_IOERR_FSTAT;
	*size = (sqlite3_int64)bytes;
	return SQLITE_OK;
}

static int change_lock(struct sim_file *s, int level)
{
	int rc = simdisk_lock(s->disk, s->fd, s->level, level);

	if (rc == 0)
		s->level = level;
	return rc;
}

static int x_lock(sqlite3_file *f, int level)
{
	int rc = 0;

	if (level > file_of(f)->level)
		rc = change_lock(file_of(f), level);
	if (rc == -EBUSY)
		return SQLITE_BUSY;
	return rc < 0 ? SQLITE_IOERR_LOCK : SQLITE_OK;
}

static int x_unlock(sqlite3_file *f, int level)
{
	if (level < file_of(f)->level)
		change_lock(file_of(f), level);
	return SQLITE_OK;
}

static int x_check_reserved(sqlite3_file *f, int *out)
{
	*out = simdisk_reserved(file_of(f)->disk, file_of(f)->fd);
	return SQLITE_OK;
}

static int x_file_control(sqlite3_file *f, int op, void *arg)
{
	if (op == SQLITE_FCNTL_LOCKSTATE) {
		*(int *)arg = file_of(f)->level;
		return SQLITE_OK;
	}
	return SQLITE_NOTFOUND;
}

static int x_sector_size(sqlite3_file *f)
{
	(void)f;
	return 4096;
}

static int x_characteristics(sqlite3_file *f)
{
	(void)f;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods sim_methods = {
	.iVersion = 1,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_file_size,
	.xLock = x_lock,
	.xUnlock = x_unlock,
	.xCheckReservedLock = x_check_reserved,
	.xFileControl = x_file_control,
	.xSectorSize = x_sector_size,
	.xDeviceCharacteristics = x_characteristics,
};

static struct simdisk *disk_of(sqlite3_vfs *v)
{
	return ((struct vfs_sim *)v)->disk;
}

static int x_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags,
		  int *out_flags)
{
	struct sim_file *s = file_of(f);
	int rc;

	memset(s, 0, sizeof(*s));
	if (name == NULL)
		snprintf(s->name, sizeof(s->name), "temporary-%p", (void *)f);
	else if (strlen(name) >= sizeof(s->name))
		return SQLITE_CANTOPEN;
	else
		strcpy(s->name, name);
	rc = simdisk_open(disk_of(v), SIM_FLASH, s->name,
			  name == NULL || (flags & SQLITE_OPEN_CREATE), &s->fd);
	if (rc < 0)
		return SQLITE_CANTOPEN;
	s->disk = disk_of(v);
	s->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	s->base.pMethods = &sim_methods;
	if (out_flags != NULL)
		*out_flags = flags;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
	int rc = simdisk_unlink(disk_of(v), SIM_FLASH, name);

	if (rc == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (rc == 0 && sync_dir)
		rc = simdisk_sync_dir(disk_of(v), SIM_FLASH);
	return rc < 0 ? SQLITE_IOERR_DELETE : SQLITE_OK;
}

static int x_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	(void)flags;
	*out = simdisk_exists(disk_of(v), SIM_FLASH, name);
	return SQLITE_OK;
}

static int x_full_pathname(sqlite3_vfs *v, const char *name, int room, char *out)
{
	(void)v;
	if (strlen(name) >= (size_t)room)
		return SQLITE_CANTOPEN;
	strcpy(out, name);
	return SQLITE_OK;
}

/* Chance and time are no part of the model: the system's. */
static int x_randomness(sqlite3_vfs *v, int len, char *out)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	(void)v;
	return real->xRandomness(real, len, out);
}

static int x_sleep(sqlite3_vfs *v, int microseconds)
{
	(void)v;
	return microseconds;
}

static int x_current_time(sqlite3_vfs *v, double *now)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	(void)v;
	return real->xCurrentTime(real, now);
}

static int x_last_error(sqlite3_vfs *v, int len, char *out)
{
	(void)v;
	if (len > 0)
		out[0] = '\0';
	return 0;
}

struct vfs_sim *vfs_sim_new(struct simdisk *d)
{
	struct vfs_sim *v = sim_alloc(sizeof(*v));

	/* The address tells one disk's VFS from another's. */
	snprintf(v->name, sizeof(v->name), "sim-%p", (void *)v);
	v->disk = d;
	v->base.iVersion = 1;
	v->base.szOsFile = sizeof(struct sim_file);
	v->base.mxPathname = SIM_NAME_BYTES - 1;
	v->base.zName = v->name;
	v->base.xOpen = x_open;
	v->base.xDelete = x_delete;
	v->base.xAccess = x_access;
	v->base.xFullPathname = x_full_pathname;
	v->base.xRandomness = x_randomness;
	v->base.xSleep = x_sleep;
	v->base.xCurrentTime = x_current_time;
	v->base.xGetLastError = x_last_error;
	if (sqlite3_vfs_register(&v->base, 0) != SQLITE_OK) {
		fprintf(stderr, "lab: cannot register a VFS\n");
		abort();
	}
	return v;
}

const char *vfs_sim_name(const struct vfs_sim *v)
{
	return v->name;
}

void vfs_sim_free(struct vfs_sim *v)
{
	if (v == NULL)
		return;
	sqlite3_vfs_unregister(&v->base);
	free(v);
}
