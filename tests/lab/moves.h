/*
 * moves.h - what tests share that put authentic bytes where they do not belong: the
 * stores they do it to, pieces of cards, and what may come of it.
 * Whoever changes a victim puts it back: the next test begins with the same.
 */
#ifndef LBS_TESTS_MOVES_H
#define LBS_TESTS_MOVES_H

#include "lbs.h"
#include "tests/lab/victim.h"

#define SEGMENT (64u << 10)
#define CHUNKS 24u	/* of four segments each */
#define VICTIMS 3

/* Verdicts that may come, as bits. */
#define OPENS (1u << 0)
#define DAMAGED (1u << -LBS_EDAMAGED)
#define MISSING (1u << -LBS_EDATAMISSING)
#define STALE_CARD (1u << -LBS_ESTALECARD)
#define STALE_META (1u << -LBS_ESTALEMETA)
#define OTHER_CARD (1u << -LBS_EOTHERCARD)
#define CARD_MISSING (1u << -LBS_ECARDMISSING)
/* What damage to one place may give. */
#define HURT (OPENS | DAMAGED | MISSING)

/* A store that was closed, one that was killed, and one with compression; and one of
 * which nothing belongs on their cards. Made and freed by the group's fixtures. */
extern struct victim *victims[VICTIMS], *stranger;
int moves_make(void **state);
int moves_unmake(void **state);

/* Runs a test body on all of them. */
#define EACH_VICTIM(v) \
	for (struct victim **at_ = victims, *v; \
	     at_ < victims + VICTIMS && (v = *at_) != NULL; at_++)

/* Opens the victim and reads all of it: one of the verdicts, no wrong block, and no
 * more than so many errors. */
#define expect(v, verdicts, errors_max, what) \
	moves_expect(v, verdicts, errors_max, what, __FILE__, __LINE__)
struct looked moves_expect(struct victim *v, unsigned verdicts,
			   uint32_t errors_max, const char *what,
			   const char *file, int line);
/* It is as it was. */
void moves_expect_whole(struct victim *v);

/* Bytes of a segment as they were; was is the piece's until it is put back. */
struct piece {
	uint32_t segment, offset, len;
	uint8_t *was;
};

struct piece piece_take(struct victim *v, uint32_t segment, uint32_t offset,
			uint32_t len);
struct piece piece_take_frame(struct victim *v, uint32_t block);
/* Puts it back and frees it. */
void piece_put_back(struct victim *v, struct piece *p);
/* As much of one piece as fits where another was. */
void piece_put_over(struct victim *v, const struct piece *there,
		    const struct piece *from);

/* Live blocks, at most max of them; how many. */
uint32_t moves_live_blocks(const struct victim *v, uint32_t *blocks,
			   uint32_t max);
uint32_t moves_live_in_chunk(const struct victim *v, uint32_t chunk);
/* What a copy of the card holds of a file; 0 if it has so much of it. */
int moves_peek_copy(const struct sim_copy *copy, const char *name, void *buf,
		    size_t len, uint64_t at);

#endif
