/*
 * moves.c - see moves.h.
 */
#include "tests/lab/moves.h"
#include "tests/lab/simimage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct victim *victims[VICTIMS], *stranger;

struct looked moves_expect(struct victim *v, unsigned verdicts,
			   uint32_t errors_max, const char *what,
			   const char *file, int line)
{
	struct looked l = victim_look(v);

	if (!(verdicts >> -l.rc & 1) || l.wrong != 0 ||
	    l.errors > errors_max) {
		print_error("%s: opening gave %s; %u blocks gave an error, %u "
			    "were wrong\n", what,
			    l.rc ? lbs_error_word(l.rc) : "a store", l.errors,
			    l.wrong);
		_fail(file, line);
	}
	return l;
}

void moves_expect_whole(struct victim *v)
{
	struct looked l = moves_expect(v, OPENS, 0, "put back", __FILE__,
				       __LINE__);

	assert_int_equal(l.rc, 0);
}

struct piece piece_take(struct victim *v, uint32_t segment, uint32_t offset,
			uint32_t len)
{
	struct piece p = { segment, offset, len, sim_alloc(len) };

	victim_get(v, segment, offset, p.was, len);
	return p;
}

void piece_put_back(struct victim *v, struct piece *p)
{
	victim_put(v, p->segment, p->offset, p->was, p->len);
	free(p->was);
}

struct piece piece_take_frame(struct victim *v, uint32_t block)
{
	uint32_t segment = position_segment(v->positions[block]);
	uint32_t offset = position_offset(v->positions[block]);

	return piece_take(v, segment, offset, victim_frame_bytes(v, segment, offset));
}

void piece_put_over(struct victim *v, const struct piece *there,
		    const struct piece *from)
{
	victim_put(v, there->segment, there->offset, from->was,
		   from->len < there->len ? from->len : there->len);
}

uint32_t moves_live_blocks(const struct victim *v, uint32_t *blocks,
			   uint32_t max)
{
	uint32_t n = 0, i;

	for (i = 0; i < v->blocks && n < max; i++)
		if (v->positions[i] != 0)
			blocks[n++] = i;
	return n;
}

int moves_peek_copy(const struct sim_copy *copy, const char *name, void *buf,
		    size_t len, uint64_t at)
{
	struct simdisk *past = simdisk_new();
	int rc;

	simdisk_restore(past, copy);
	rc = simdisk_peek(past, SIM_CARD, name, buf, len, at);
	simdisk_free(past);
	return rc;
}

uint32_t moves_live_in_chunk(const struct victim *v, uint32_t chunk)
{
	uint32_t n = 0, i;

	for (i = 0; i < v->segment_count; i++)
		if (geometry_chunk(&v->geometry, v->segments[i].segment) == chunk)
			n += v->live[i];
	return n;
}

int moves_make(void **state)
{
	(void)state;
	victims[VICTIM_CLOSED] = victim_new(VICTIM_CLOSED, 5);
	victims[VICTIM_KILLED] = victim_new(VICTIM_KILLED, 6);
	victims[2] = victim_new_zip(VICTIM_KILLED, 8, LBS_COMPRESS_LZ4);
	stranger = victim_new(VICTIM_KILLED, 7);
	return 0;
}

int moves_unmake(void **state)
{
	(void)state;
	victim_free(victims[0]);
	victim_free(victims[1]);
	victim_free(victims[2]);
	victim_free(stranger);
	return 0;
}
