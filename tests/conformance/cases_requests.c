/*
 * cases_requests.c - requests of every length and shape, against a disk in
 * memory.
 */
#include "tests/conformance/cases.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a new disk -----------------------------------------------------------
 */

static void
fresh(struct trial *t)
{
	struct extents extents;
	uint8_t *buf = malloc(MIB);

	check(t, t->door->size(t->session) == SIZE, "the size is %llu",
	      (unsigned long long)t->door->size(t->session));
	memset(buf, 1, MIB);
	check_outcome(t, t->door->read(t->session, buf, MIB, SIZE - MIB), DONE,
		      "a read of the end");
	check(t, all_zero(buf, MIB), "a new disk is not all zeroes");
	check_outcome(t, t->door->extents(t->session, SIZE, 0, &extents), DONE,
		      "extents");
	check(t,
	      extents.count == 1 && extents.at[0].is_hole &&
		      extents.at[0].length == SIZE,
	      "a new disk is not one hole");
	check_outcome(t, t->door->flush(t->session), DONE,
		      "a flush of nothing");
	free(buf);
}

/* ---- random operations, each step compared --------------------------------
 */

#define SPAN 98304u

static void
model_discard(const struct trial *t, uint8_t *model, uint64_t base, uint64_t at,
	      uint64_t length)
{
	uint64_t first = base + at, end = base + at + length;

	if (!t->door->discards_exactly) {
		first = (first + BLOCK - 1) / BLOCK * BLOCK;
		if (end != SIZE)
			end = end / BLOCK * BLOCK;
	}
	if (first < end)
		memset(model + (first - base), 0, end - first);
}

static void
sweep_step(struct trial *t, uint8_t *model, uint8_t *buf, uint64_t base)
{
	static const uint32_t lengths[] = { 1,	  511,	512,  513,
					    4095, 4096, 4097, 9000 };
	uint64_t at = draw(t, SPAN);
	uint64_t length = draw(t, 3) ? lengths[draw(t, 8)] : draw(t, 40000) + 1;
	enum outcome got;

	if (length > SPAN - at)
		length = SPAN - at;
	switch (draw(t, 6)) {
	case 0:
		memset(model + at, 0, length);
		got = t->door->zero(t->session, length, base + at);
		break;
	case 1:
		model_discard(t, model, base, at, length);
		got = t->door->discard(t->session, length, base + at);
		break;
	case 2:
		got = t->door->flush(t->session);
		break;
	default:
		noise(t, buf, length);
		memcpy(model + at, buf, length);
		got = t->door->write(t->session, buf, length, base + at,
				     draw(t, 3) == 0);
	}
	check_outcome(t, got, DONE, "a step of the sweep");
}

static void
sweep(struct trial *t)
{
	const uint64_t bases[] = { 0, 40ull * MIB + 512, SIZE - SPAN };
	uint8_t *model = malloc(SPAN), *buf = malloc(SPAN);

	for (int b = 0; b < 3; b++) {
		t->door->read(t->session, model, SPAN, bases[b]);
		for (int step = 0; step < 200 && !t->faults; step++) {
			uint64_t at = draw(t, SPAN);
			uint64_t length = draw(t, SPAN - at) + 1;

			sweep_step(t, model, buf, bases[b]);
			check_outcome(t,
				      t->door->read(t->session, buf, length,
						    bases[b] + at),
				      DONE, "a read of the sweep");
			check(t, memcmp(buf, model + at, length) == 0,
			      "region %llu, step %d: it reads otherwise",
			      (unsigned long long)bases[b], step);
		}
	}
	reopened(t, 0);
	if (t->session) {
		t->door->read(t->session, buf, SPAN, bases[2]);
		check(t, memcmp(buf, model, SPAN) == 0,
		      "reopened, it reads otherwise");
	}
	free(model);
	free(buf);
}

/* ---- every length ---------------------------------------------------------
 */

/* A write of length at offset, its neighbours untouched. */
static void
one_length(struct trial *t, uint8_t *buf, uint8_t *back, size_t length,
	   uint64_t offset)
{
	uint8_t before[2], after[2];

	noise(t, buf, length);
	t->door->read(t->session, before, 1, offset - 1);
	t->door->read(t->session, before + 1, 1, offset + length);
	check_outcome(t,
		      t->door->write(t->session, buf, length, offset,
				     length % 3 == 0),
		      DONE, "a write");
	memset(back, 0, length);
	check_outcome(t, t->door->read(t->session, back, length, offset), DONE,
		      "a read");
	check(t, memcmp(buf, back, length) == 0,
	      "%zu bytes at %llu come back otherwise", length,
	      (unsigned long long)offset);
	t->door->read(t->session, after, 1, offset - 1);
	t->door->read(t->session, after + 1, 1, offset + length);
	check(t, memcmp(before, after, 2) == 0,
	      "%zu bytes at %llu changed their neighbours", length,
	      (unsigned long long)offset);
}

static void
lengths(struct trial *t)
{
	uint8_t *buf = malloc(32 * MIB + 1), *back = malloc(32 * MIB + 1);

	noise(t, buf, 32 * MIB);
	t->door->write(t->session, buf, 32 * MIB, 0, 0);
	for (size_t length = 1; length <= 32 * MIB; length *= 2)
		for (size_t more = length > 1 ? length - 1 : length;
		     more <= length + 1 && more <= 32 * MIB; more++)
			one_length(t, buf, back, more,
				   1 + draw(t, 8) * BLOCK + draw(t, BLOCK));
	one_length(t, buf, back, 32 * MIB, 8 * BLOCK);
	check_outcome(t, t->door->zero(t->session, 100ull * MIB, 1000), DONE,
		      "100 MiB of zeroes");
	t->door->read(t->session, back, 32 * MIB, 1000);
	check(t, all_zero(back, 32 * MIB), "zeroed, it is not all zeroes");
	check_outcome(t, t->door->discard(t->session, SIZE, 0), DONE,
		      "a discard of everything");
	t->door->read(t->session, back, 32 * MIB, 0);
	check(t, all_zero(back, 32 * MIB), "discarded, it is not all zeroes");
	free(buf);
	free(back);
}

/* ---- durability -----------------------------------------------------------
 */

/* That a sync happens by itself within this moment is possible, on a machine
 * that stands still; not five times in a row. */
static int
not_yet_durable(struct trial *t, const uint8_t *block)
{
	int durable = 1;

	for (int i = 0; i < 5 && durable == 1; i++) {
		t->door->write(t->session, block, BLOCK, 0, 0);
		durable = t->door->all_durable(&t->place);
	}
	return durable == 0;
}

static void
durable(struct trial *t)
{
	uint8_t block[BLOCK];

	noise(t, block, sizeof(block));
	check(t, not_yet_durable(t, block), "a write is durable at once");
	check_outcome(t, t->door->flush(t->session), DONE, "a flush");
	check(t, t->door->all_durable(&t->place) == 1,
	      "flushed, it is not durable");
	check(t, not_yet_durable(t, block), "a write is durable at once");
	check_outcome(t, t->door->write(t->session, block, 100, 8 * BLOCK, 1),
		      DONE, "a durable write");
	check(t, t->door->all_durable(&t->place) == 1,
	      "a durable write and what was before it are not durable");
	t->door->discard(t->session, BLOCK, 0);
	t->door->zero(t->session, BLOCK, 8 * BLOCK);
	check_outcome(t, t->door->flush(t->session), DONE, "a flush");
	check(t, t->door->all_durable(&t->place) == 1,
	      "flushed, a discard is not durable");
}

/* ---- the end --------------------------------------------------------------
 */

static void
beyond(struct trial *t)
{
	static const struct {
		uint64_t offset;
		size_t length;
	} ranges[] = {
		{ SIZE - 1, 2 },       { SIZE, 1 },
		{ SIZE - 512, 4096 },  { SIZE + 4096, 4096 },
		{ SIZE - 4096, 8192 }, { 1ull << 40, 512 },
		{ 1ull << 62, 4096 },
	};
	uint8_t end[4096], buf[8192];
	enum outcome got;

	noise(t, end, sizeof(end));
	check_outcome(t, t->door->write(t->session, end, 4096, SIZE - 4096, 0),
		      DONE, "a write of the last bytes");
	noise(t, buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		uint64_t offset = ranges[i].offset, length = ranges[i].length;

		check_outcome(
			t, t->door->write(t->session, buf, length, offset, 0),
			BEYOND, "a write beyond the end");
		check_outcome(t, t->door->zero(t->session, length, offset),
			      BEYOND, "zeroes beyond the end");
		check_outcome(t, t->door->read(t->session, buf, length, offset),
			      BEYOND, "a read beyond the end");
		if (offset < SIZE)
			continue;
		/* Of a file, there is nothing to be discarded there. */
		got = t->door->discard(t->session, length, offset);
		check(t, got == BEYOND || got == DONE,
		      "a discard beyond the end: %s", outcome_name(got));
	}
	check(t, t->door->size(t->session) == SIZE, "the size has changed");
	t->door->read(t->session, buf, 4096, SIZE - 4096);
	check(t, memcmp(buf, end, 4096) == 0, "the last bytes have changed");
}

/* ---- holes ----------------------------------------------------------------
 */

static void
check_extents(struct trial *t, uint64_t length, uint64_t offset,
	      const char *what, const struct extent *want, size_t count)
{
	struct extents got;
	int same;

	check_outcome(t, t->door->extents(t->session, length, offset, &got),
		      DONE, what);
	same = got.count == count;
	for (size_t i = 0; same && i < count; i++)
		same = got.at[i].length == want[i].length &&
		       got.at[i].is_hole == want[i].is_hole;
	if (check(t, same, "%s: other extents", what))
		return;
	for (size_t i = 0; i < got.count; i++)
		printf("    %llu %s\n", (unsigned long long)got.at[i].length,
		       got.at[i].is_hole ? "hole" : "data");
}
#define EXTENTS(t, length, offset, what, ...)                                  \
	do {                                                                   \
		const struct extent want[] = { __VA_ARGS__ };                  \
		check_extents(t, length, offset, what, want,                   \
			      sizeof(want) / sizeof(want[0]));                 \
	} while (0)

static void
holes(struct trial *t)
{
	uint8_t buf[2 * BLOCK];

	noise(t, buf, sizeof(buf));
	t->door->write(t->session, buf, BLOCK, 8 * BLOCK, 0);
	t->door->write(t->session, buf, 10, 16 * BLOCK + 100, 0);
	EXTENTS(t, 32 * BLOCK, 0, "written", { 8 * BLOCK, 1 }, { BLOCK, 0 },
		{ 7 * BLOCK, 1 }, { BLOCK, 0 }, { 15 * BLOCK, 1 });
	EXTENTS(t, BLOCK + 1000, 8 * BLOCK + 3000, "from the middle",
		{ BLOCK - 3000, 0 }, { 4000, 1 });
	t->door->zero(t->session, 100, 8 * BLOCK + 5);
	EXTENTS(t, 3 * BLOCK, 7 * BLOCK, "part of a block zeroed", { BLOCK, 1 },
		{ BLOCK, 0 }, { BLOCK, 1 });
	t->door->zero(t->session, BLOCK, 8 * BLOCK);
	EXTENTS(t, 12 * BLOCK, 0, "a block zeroed", { 12 * BLOCK, 1 });
	t->door->discard(t->session, BLOCK, 16 * BLOCK);
	EXTENTS(t, SIZE, 0, "a block discarded", { SIZE, 1 });
	t->door->write(t->session, buf, 512, SIZE - 512, 0);
	EXTENTS(t, SIZE, 0, "the last bytes", { SIZE / BLOCK * BLOCK, 1 },
		{ SIZE % BLOCK, 0 });
	t->door->discard(t->session, SIZE % BLOCK, SIZE / BLOCK * BLOCK);
	EXTENTS(t, SIZE, 0, "the last bytes discarded", { SIZE, 1 });
}

/* ---- at the same time -----------------------------------------------------
 */

/* Writers of the same two blocks, each its own byte; what is read is one byte's
 * all through each block. */
struct racer {
	struct trial *t;
	void *session;
	uint8_t byte; /* 0 = reads */
	unsigned wrong;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	const struct door *door = r->t->door;
	uint8_t buf[2 * BLOCK];

	for (int i = 0; i < 300; i++) {
		if (r->byte) {
			memset(buf, r->byte, sizeof(buf));
			r->wrong += door->write(r->session, buf, sizeof(buf),
						MIB, 0) != DONE;
			continue;
		}
		r->wrong +=
			door->read(r->session, buf, sizeof(buf), MIB) != DONE;
		for (int b = 0; b < 2; b++)
			for (unsigned k = 1; k < BLOCK; k++)
				r->wrong +=
					buf[b * BLOCK + k] != buf[b * BLOCK];
	}
	return NULL;
}

static void
together(struct trial *t)
{
	enum { RACERS = 6 };
	pthread_t threads[RACERS];
	struct racer racers[RACERS];

	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ t, t->door->connect(&t->place),
					    (uint8_t)(i < 4 ? i + 1 : 0), 0 };
		if (!check(t, racers[i].session != NULL, "no session"))
			return;
	}
	for (int i = 0; i < RACERS; i++)
		pthread_create(&threads[i], NULL, race, &racers[i]);
	for (int i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
		check(t, racers[i].wrong == 0, "session %d: %u wrong", i,
		      racers[i].wrong);
		t->door->disconnect(racers[i].session);
	}
}

const struct test_case cases_requests[] = {
	{ "fresh", 0, fresh },	     { "sweep", 0, sweep },
	{ "lengths", 0, lengths },   { "durable", 0, durable },
	{ "beyond", 0, beyond },     { "holes", 0, holes },
	{ "together", 0, together }, { NULL, 0, NULL },
};
