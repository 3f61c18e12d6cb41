/*
 * countvfs.c - a SQLite VFS that passes everything through and counts what is
 * written and synced: how much internal flash a store wears is a promise, so it
 * is measured where it happens. What it adds is in rewrite.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liblbs/meta/internal.h"

struct count_file {
	sqlite3_file base;
	struct meta *meta;
	/* the real file follows, at real_of() */
};

static sqlite3_file *
real_of(sqlite3_file *file)
{
	return (sqlite3_file *)((struct count_file *)file + 1);
}

static struct meta *
meta_of(sqlite3_file *file)
{
	return ((struct count_file *)file)->meta;
}

static sqlite3_vfs *
real_vfs(sqlite3_vfs *vfs)
{
	return (sqlite3_vfs *)vfs->pAppData;
}

#define REAL(call, ...) \
	(real_of(file)->pMethods->call(real_of(file), ##__VA_ARGS__))

static int
count_close(sqlite3_file *file)
{
	return REAL(xClose);
}

static int
count_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 at)
{
	return REAL(xRead, buf, len, at);
}

static int
count_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 at)
{
	meta_of(file)->counters.bytes += (uint64_t)len;
	return REAL(xWrite, buf, len, at);
}

static int
count_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return REAL(xTruncate, size);
}

static int
count_sync(sqlite3_file *file, int flags)
{
	meta_of(file)->counters.syncs++;
	return REAL(xSync, flags);
}

static int
count_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return REAL(xFileSize, size);
}

static int
count_lock(sqlite3_file *file, int level)
{
	return REAL(xLock, level);
}

static int
count_unlock(sqlite3_file *file, int level)
{
	return REAL(xUnlock, level);
}

static int
count_reserved(sqlite3_file *file, int *out)
{
	return REAL(xCheckReservedLock, out);
}

static int
count_control(sqlite3_file *file, int op, void *arg)
{
	return REAL(xFileControl, op, arg);
}

static int
count_sector(sqlite3_file *file)
{
	return REAL(xSectorSize);
}

static int
count_traits(sqlite3_file *file)
{
	return REAL(xDeviceCharacteristics);
}

/* Version 1: without shared memory, so that WAL is possible only with the
 * exclusive lock that we want anyway. */
static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = count_close,
	.xRead = count_read,
	.xWrite = count_write,
	.xTruncate = count_truncate,
	.xSync = count_sync,
	.xFileSize = count_size,
	.xLock = count_lock,
	.xUnlock = count_unlock,
	.xCheckReservedLock = count_reserved,
	.xFileControl = count_control,
	.xSectorSize = count_sector,
	.xDeviceCharacteristics = count_traits,
};

struct count_vfs {
	sqlite3_vfs base;
	struct meta *meta;
};

static int
count_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file,
	   int flags, int *out_flags)
{
	struct count_file *f = (struct count_file *)file;
	int rc;

	f->base.pMethods = NULL;
	f->meta = ((struct count_vfs *)vfs)->meta;
	rc = real_vfs(vfs)->xOpen(real_vfs(vfs), name, real_of(file), flags,
				  out_flags);
	if (real_of(file)->pMethods)
		f->base.pMethods = &methods;
	if (rc == SQLITE_OK && flags & SQLITE_OPEN_WAL && !f->meta->rdonly)
		rc = meta_rewrite(file);
	return rc;
}

static int
count_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	return real_vfs(vfs)->xDelete(real_vfs(vfs), name, sync_dir);
}

static int
count_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	return real_vfs(vfs)->xAccess(real_vfs(vfs), name, flags, out);
}

static int
count_full_pathname(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
	return real_vfs(vfs)->xFullPathname(real_vfs(vfs), name, len, out);
}

static int
count_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	return real_vfs(vfs)->xRandomness(real_vfs(vfs), len, out);
}

static int
count_sleep(sqlite3_vfs *vfs, int microseconds)
{
	return real_vfs(vfs)->xSleep(real_vfs(vfs), microseconds);
}

static int
count_time(sqlite3_vfs *vfs, double *out)
{
	return real_vfs(vfs)->xCurrentTime(real_vfs(vfs), out);
}

static int
count_last_error(sqlite3_vfs *vfs, int len, char *out)
{
	return real_vfs(vfs)->xGetLastError
		       ? real_vfs(vfs)->xGetLastError(real_vfs(vfs), len, out)
		       : 0;
}

int
meta_vfs_register(struct meta *m, const char *base)
{
	sqlite3_vfs *real;
	struct count_vfs *v;

	if (sqlite3_initialize() != SQLITE_OK ||
	    !(real = sqlite3_vfs_find(base)) || !(v = calloc(1, sizeof *v)))
		return fail(&m->log, LBS_ENOMEM, "SQLite cannot be started");
	/* The name is unique as long as the handle lives. */
	snprintf(m->vfs_name, sizeof m->vfs_name, "lbs-%p", (void *)m);
	v->meta = m;
	v->base.iVersion = 1;
	v->base.szOsFile = (int)sizeof(struct count_file) + real->szOsFile;
	v->base.mxPathname = real->mxPathname;
	v->base.zName = m->vfs_name;
	v->base.pAppData = real;
	v->base.xOpen = count_open;
	v->base.xDelete = count_delete;
	v->base.xAccess = count_access;
	v->base.xFullPathname = count_full_pathname;
	v->base.xRandomness = count_randomness;
	v->base.xSleep = count_sleep;
	v->base.xCurrentTime = count_time;
	v->base.xGetLastError = count_last_error;
	m->vfs = &v->base;
	return sqlite3_vfs_register(m->vfs, 0) == SQLITE_OK ? 0 : LBS_EINTERNAL;
}

void
meta_vfs_unregister(struct meta *m)
{
	if (!m->vfs)
		return;
	sqlite3_vfs_unregister(m->vfs);
	free(m->vfs);
	m->vfs = NULL;
}
