/*
 * runs_test - packed runs of map entries against a plain array: what goes in
 * comes out, in the size that is promised, and no bytes at all make the reader
 * do more than say "malformed". FORMAT.md section 9.
 */
#include "tests/unit/unit.h"

#include "liblbs/format/runs.h"

#define SPAN 4096u
#define SHIFT 17 /* 1 MiB segments: their size / 8, as a power of two */

/* A place for n frames in some segment, as a record would have it. */
static uint64_t
draw_position(uint32_t n)
{
	uint32_t units = n * (FRAME_BYTES / POSITION_UNIT);
	uint32_t segment = (uint32_t)(draw(4) ? draw(5) : draw64());

	return (uint64_t)segment << 32 |
	       (uint32_t)draw_between(SEGMENT_HEADER_BYTES / POSITION_UNIT,
				      (1u << SHIFT) - units);
}

#define NOTHING UINT64_MAX /* no run said anything about this block */

struct array {
	uint64_t value[SPAN];
};

/* Draws ascending runs, packs them one by one, and keeps them in the array. */
static void
pack_some(struct array *a, struct runs_writer *w)
{
	uint64_t at = draw(3) ? draw(64) : 0;

	for (int i = 0; i < (int)SPAN; i++)
		a->value[i] = NOTHING;
	runs_begin(w, SHIFT);
	while (at < SPAN) {
		uint32_t n = (uint32_t)draw_between(1, draw(2) ? 4 : 200);
		uint64_t position = 0;

		if (n > SPAN - at)
			n = (uint32_t)(SPAN - at);
		if (draw(3))
			position = draw_position(n);
		for (uint32_t b = 0; b < n; b++)
			a->value[at + b] =
				position ? position_next(position, b) : 0;
		/* In one call or block by block: it must not matter. */
		if (draw(2)) {
			runs_put(w, at, n, position);
		} else {
			for (uint32_t b = 0; b < n; b++)
				runs_put(w, at + b, 1, a->value[at + b]);
		}
		at += n + (draw(3) ? 0 : draw(300));
	}
	assert_int_equal(runs_end(w), 0);
}

static void
packed_runs_are_the_array(void **state)
{
	static struct array a, back;

	(void)state;
	for (int round = 0; round < 100; round++) {
		struct runs_writer w;
		struct runs_reader r;
		struct run run;
		uint64_t end = 0;
		uint8_t *exact;
		int more;

		pack_some(&a, &w);
		exact = exactly(w.buf, w.len);
		for (uint32_t i = 0; i < SPAN; i++)
			back.value[i] = NOTHING;
		runs_read(&r, exact, w.len, SPAN, SHIFT);
		while ((more = runs_next(&r, &run)) > 0) {
			assert_true(run.count > 0 && run.start >= end);
			end = run.start + run.count;
			assert_true(end <= SPAN);
			for (uint64_t b = 0; b < run.count; b++)
				back.value[run.start + b] =
					run.position ? position_next(
							       run.position, b)
						     : 0;
		}
		assert_int_equal(more, 0);
		assert_memory_equal(&a, &back, sizeof a);
		free(exact);
		free(w.buf);
	}
}

static size_t
packed_bytes(uint32_t blocks, uint32_t run_blocks)
{
	struct runs_writer w;
	uint64_t position = position_make(7, SEGMENT_HEADER_BYTES + 88);

	runs_begin(&w, SHIFT);
	for (uint32_t i = 0; i < blocks; i += run_blocks) {
		if (run_blocks == 1)
			position = draw_position(1) & ~(~0ull << 40);
		runs_put(&w, i, run_blocks, position);
		position = position_next(position, run_blocks) + 11;
	}
	assert_int_equal(runs_end(&w), 0);
	free(w.buf);
	return w.len;
}

static void
random_blocks_cost_six_bytes_and_sequences_next_to_nothing(void **state)
{
	(void)state;
	assert_true(packed_bytes(2048, 1) <= 2048 * 7);
	assert_true(packed_bytes(2048, 256) <= 8 * 12);
}

static void
nothing_packed_is_nothing_read(void **state)
{
	struct runs_writer w;
	struct runs_reader r;
	struct run run;

	(void)state;
	runs_begin(&w, SHIFT);
	assert_int_equal(runs_end(&w), 0);
	assert_int_equal(w.len, 0);
	runs_read(&r, NULL, 0, SPAN, SHIFT);
	assert_int_equal(runs_next(&r, &run), 0);
}

/* Whatever is read lies in the span and in a segment. Gives the last result. */
static int
read_all(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = exactly(bytes, len);
	struct runs_reader r;
	struct run run;
	uint64_t end = 0;
	int more;

	runs_read(&r, exact, len, SPAN, SHIFT);
	while ((more = runs_next(&r, &run)) > 0) {
		assert_true(run.count > 0 && run.start >= end &&
			    run.start < SPAN && run.count <= SPAN - run.start);
		end = run.start + run.count;
		if (run.position) {
			uint64_t unit = (uint32_t)run.position;

			assert_true(unit > 0 && run.count <= RECORD_BLOCKS_MAX &&
				    unit + run.count * (FRAME_BYTES /
							POSITION_UNIT) <=
					    1u << SHIFT);
		}
	}
	free(exact);
	return more;
}

static void
truncated_and_changed_runs_are_total(void **state)
{
	static struct array a;
	struct runs_writer w;

	(void)state;
	pack_some(&a, &w);
	for (size_t n = 0; n <= w.len; n++)
		read_all(w.buf, n);
	for (size_t bit = 0; bit < w.len * 8; bit++) {
		w.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		read_all(w.buf, w.len);
		w.buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	free(w.buf);
}

static void
garbage_is_total(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = draw(sizeof bytes);

		draw_bytes(bytes, len);
		if (draw(2)) /* long numbers */
			for (size_t b = 0; b < len; b++)
				bytes[b] |= draw(4) ? 0x80 : 0;
		read_all(bytes, len);
	}
}

static void
what_makes_no_sense_is_malformed(void **state)
{
	const uint8_t no_blocks[] = { 0 << 2 };
	const uint8_t unfinished[] = { 1 << 2 | 1, 0x80 };
	const uint8_t too_long[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				     0xff, 0xff, 0xff, 0xff, 0x01 };
	const uint8_t at_zero[] = { 1 << 2 | 1, 0 }; /* mapped to position 0 */
	const uint8_t gap_over_the_end[] = { 1 << 2 | 2, 0x80, 0x20 };
	const uint8_t over_the_end[] = { 0x84, 0x80, 0x01 }; /* 4097 holes */
	const uint8_t whole_span[] = { 0x80, 0x80, 0x01 };   /* 4096 holes */

	(void)state;
	assert_int_equal(read_all(no_blocks, sizeof no_blocks), -1);
	assert_int_equal(read_all(unfinished, sizeof unfinished), -1);
	assert_int_equal(read_all(too_long, sizeof too_long), -1);
	assert_int_equal(read_all(at_zero, sizeof at_zero), -1);
	assert_int_equal(read_all(gap_over_the_end, sizeof gap_over_the_end), -1);
	assert_int_equal(read_all(over_the_end, sizeof over_the_end), -1);
	assert_int_equal(read_all(whole_span, sizeof whole_span), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_runs_are_the_array),
		cmocka_unit_test(random_blocks_cost_six_bytes_and_sequences_next_to_nothing),
		cmocka_unit_test(nothing_packed_is_nothing_read),
		cmocka_unit_test(truncated_and_changed_runs_are_total),
		cmocka_unit_test(garbage_is_total),
		cmocka_unit_test(what_makes_no_sense_is_malformed),
	};

	unit_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
