/*
 * rewrite.c - SQLite's log is written anew, byte for byte, before a store that was
 * not closed uses it again. Must never change a byte of it.
 *
 * A commit whose sync failed stops the store, but its pages look clean in the page
 * cache from then on: SQLite would find the commit whole, go on behind it, and a
 * power cut would leave a hole in the log, before everything that was synced later
 * (DESIGN.md condition 4, on internal flash).
 */
#include <stdlib.h>

#include "liblbs/meta/internal.h"

#define PIECE_BYTES (64u << 10)

int
meta_rewrite(sqlite3_file *file)
{
	const sqlite3_io_methods *io = file->pMethods;
	sqlite3_int64 size, at;
	uint8_t *buf;
	int rc = io->xFileSize(file, &size);

	if (rc != SQLITE_OK || size == 0)
		return rc;
	buf = malloc(PIECE_BYTES);
	if (!buf)
		return SQLITE_NOMEM;
	for (at = 0; at < size && rc == SQLITE_OK; at += PIECE_BYTES) {
		int n = size - at < PIECE_BYTES ? (int)(size - at)
						: (int)PIECE_BYTES;

		rc = io->xRead(file, buf, n, at);
		if (rc == SQLITE_OK)
			rc = io->xWrite(file, buf, n, at);
	}
	free(buf);
	return rc == SQLITE_OK ? io->xSync(file, SQLITE_SYNC_NORMAL) : rc;
}
