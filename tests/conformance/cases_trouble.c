/*
 * cases_trouble.c - what a client is told when something is wrong: with the
 * disk, the card, or what was asked for.
 */
#include "tests/conformance/cases.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- read only --------------------------------------------------------------
 */

static void
read_only(struct trial *t)
{
	uint8_t kept[8192], buf[8192];

	noise(t, kept, sizeof(kept));
	t->door->write(t->session, kept, sizeof(kept), MIB, 1);
	if (!reopened(t, 1))
		return;
	check_outcome(t, t->door->write(t->session, buf, 512, 0, 0), READ_ONLY,
		      "a write, read-only");
	check_outcome(t, t->door->zero(t->session, BLOCK, MIB), READ_ONLY,
		      "zeroes, read-only");
	check_outcome(t, t->door->discard(t->session, BLOCK, MIB), READ_ONLY,
		      "a discard, read-only");
	check_outcome(t, t->door->flush(t->session), DONE,
		      "a flush, read-only");
	check_outcome(t, t->door->read(t->session, buf, sizeof(buf), MIB), DONE,
		      "a read, read-only");
	check(t, memcmp(buf, kept, sizeof(buf)) == 0, "it reads otherwise");
	reopened(t, 0);
}

/* ---- full -------------------------------------------------------------------
 */

static void
full(struct trial *t)
{
	uint8_t *piece = malloc(MIB), *back = malloc(MIB);
	enum outcome got = DONE;
	uint64_t written;

	noise(t, piece, MIB);
	for (written = 0; written < 128; written++) {
		got = t->door->write(t->session, piece, MIB, written * MIB, 0);
		if (got != DONE)
			break;
	}
	check_outcome(t, got, FULL, "the write that does not fit");
	check(t, written >= 40 && written < 64, "%llu MiB of 64 fitted",
	      (unsigned long long)written);
	check_outcome(t,
		      t->door->write(t->session, piece, MIB, 130ull * MIB, 1),
		      FULL, "a durable one");
	got = DONE;
	for (uint64_t i = 0; i < 100 && got == DONE; i++)
		got = t->door->write(t->session, piece, MIB,
				     i * 5 % written * MIB, 0);
	check_outcome(t, got, DONE, "writing over, on a full store");
	check_outcome(t, t->door->flush(t->session), DONE,
		      "a flush, on a full store");
	check_outcome(t,
		      t->door->read(t->session, back, MIB, (written - 1) * MIB),
		      DONE, "a read, on a full store");
	check(t, memcmp(piece, back, MIB) == 0, "it reads otherwise");
	check_outcome(t, t->door->discard(t->session, 24ull * MIB, 0), DONE,
		      "a discard, on a full store");
	got = DONE;
	for (uint64_t i = 0; i < 12 && got == DONE; i++)
		got = t->door->write(t->session, piece, MIB, (100 + i) * MIB,
				     0);
	check_outcome(t, got, DONE, "a write after the discard");
	t->door->read(t->session, back, MIB, 0);
	check(t, all_zero(back, MIB), "discarded, it is not zeroes");
	if (reopened(t, 0)) {
		t->door->read(t->session, back, MIB, 111ull * MIB);
		check(t, memcmp(piece, back, MIB) == 0,
		      "reopened, it reads otherwise");
	}
	free(piece);
	free(back);
}

/* ---- damage -----------------------------------------------------------------
 */

static int
open_chunk(const struct trial *t)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/0000.lbs", t->place.card);
	return open(path, O_RDWR);
}

/* The first n bytes of the first chunk file. */
static uint8_t *
chunk_bytes(const struct trial *t, size_t n)
{
	uint8_t *bytes = calloc(1, n);
	int fd = open_chunk(t);

	if (fd < 0 || pread(fd, bytes, n, 0) < 0)
		bytes[0] ^= 1; /* the search below fails then */
	close(fd);
	return bytes;
}

/* Writes blocks and flips a byte of the fifth on the card, which is found by
 * what changed there. More is written behind them: the end of the log is looked
 * at when the store opens. */
static int
damage(struct trial *t, const uint8_t *blocks, size_t length, uint64_t offset)
{
	const size_t n = 16 * MIB;
	uint8_t *before, *after, *tail, byte = 0;
	size_t at = 0;
	int fd, ok;

	t->door->flush(t->session);
	before = chunk_bytes(t, n);
	t->door->write(t->session, blocks, length, offset, 1);
	after = chunk_bytes(t, n);
	while (at < n && memcmp(before + at, after + at, BLOCK) == 0)
		at += BLOCK;
	free(before);
	free(after);
	at += 4 * 4120 + 1000;
	tail = malloc(2 * MIB);
	noise(t, tail, 2 * MIB);
	t->door->write(t->session, tail, 2 * MIB, 2 * offset, 1);
	free(tail);
	ok = closed(t);
	fd = open_chunk(t);
	ok = ok && pread(fd, &byte, 1, (off_t)at) == 1;
	byte ^= 0x40;
	ok = ok && pwrite(fd, &byte, 1, (off_t)at) == 1;
	close(fd);
	return ok && reopened(t, 0);
}

static void
damaged(struct trial *t)
{
	enum { COUNT = 8 };
	uint8_t blocks[COUNT * BLOCK], back[COUNT * BLOCK];
	const uint64_t base = 8ull * MIB;
	int bad = -1, others = 0;

	noise(t, blocks, sizeof(blocks));
	t->door->write(t->session, blocks, sizeof(blocks), 0, 0);
	if (!check(t, damage(t, blocks, sizeof(blocks), base),
		   "no damage done"))
		return;
	for (int i = 0; i < COUNT; i++) {
		enum outcome got = t->door->read(t->session, back, BLOCK,
						 base + (uint64_t)i * BLOCK);

		if (got == IO_ERROR && bad < 0)
			bad = i;
		else
			others += got == DONE &&
				  memcmp(back, blocks + i * BLOCK, BLOCK) == 0;
	}
	check(t, bad >= 0 && others == COUNT - 1,
	      "block %d is an error, %d others are right", bad, others);
	if (bad < 0)
		return;
	check_outcome(t, t->door->read(t->session, back, sizeof(back), base),
		      IO_ERROR, "a read over the damage");
	check_outcome(t,
		      t->door->write(t->session, blocks, 10,
				     base + (uint64_t)bad * BLOCK + 7, 0),
		      IO_ERROR, "a write of part of the damaged block");
	check_outcome(t,
		      t->door->write(t->session, blocks, BLOCK,
				     base + (uint64_t)bad * BLOCK, 0),
		      DONE, "a write of all of it");
	check_outcome(t, t->door->read(t->session, back, sizeof(back), base),
		      DONE, "and a read over it");
}

/* ---- failure ----------------------------------------------------------------
 */

static void
card_fails(const struct trial *t, const char *how)
{
	FILE *f = *how ? fopen(t->place.flag, "w") : NULL;

	if (f) {
		fputs(how, f);
		fclose(f);
	} else {
		unlink(t->place.flag);
	}
}

/* The card takes no more writes; later it does again, but the store does not
 * believe it before it is opened anew. */
static void
failed(struct trial *t)
{
	uint8_t kept[8 * BLOCK], back[8 * BLOCK];
	void *session;

	noise(t, kept, sizeof(kept));
	check_outcome(t, t->door->write(t->session, kept, sizeof(kept), MIB, 1),
		      DONE, "a durable write");
	card_fails(t, "w");
	check_outcome(t, t->door->write(t->session, kept, BLOCK, 0, 1),
		      IO_ERROR, "a write, the card refuses it");
	card_fails(t, "");
	check_outcome(t, t->door->write(t->session, kept, BLOCK, 0, 0),
		      IO_ERROR, "a write afterwards");
	check_outcome(t, t->door->write(t->session, kept, 100, 5, 1), IO_ERROR,
		      "a durable one");
	check_outcome(t, t->door->zero(t->session, BLOCK, 0), IO_ERROR,
		      "zeroes afterwards");
	check_outcome(t, t->door->discard(t->session, BLOCK, 0), IO_ERROR,
		      "a discard afterwards");
	check_outcome(t, t->door->flush(t->session), IO_ERROR,
		      "a flush afterwards");
	check_outcome(t, t->door->read(t->session, back, sizeof(back), MIB),
		      DONE, "a read afterwards");
	check(t, memcmp(kept, back, sizeof(back)) == 0, "it reads otherwise");
	session = t->door->connect(&t->place);
	check(t, session && t->door->size(session) == SIZE,
	      "a new client does not see the same disk");
	if (session) {
		check_outcome(t, t->door->flush(session), IO_ERROR,
			      "a new client's flush");
		t->door->disconnect(session);
	}
	/* The end says that it was not clean; how, is each door's own matter.
	 */
	t->door->disconnect(t->session);
	t->session = NULL;
	t->door->stop(&t->place);
	if (!reopened(t, 0))
		return;
	check_outcome(t, t->door->read(t->session, back, sizeof(back), MIB),
		      DONE, "a read after reopening");
	check(t, memcmp(kept, back, sizeof(back)) == 0,
	      "what was durable is not there");
	check_outcome(t, t->door->write(t->session, kept, BLOCK, 0, 1), DONE,
		      "a write after reopening");
}

const struct test_case cases_trouble[] = {
	{ "read-only", 0, read_only },
	{ "full", 64ull * MIB, full },
	{ "damaged", 0, damaged },
	{ "failed", 0, failed },
	{ NULL, 0, NULL },
};
