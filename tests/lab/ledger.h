/*
 * ledger.h - what a disk may hold when several clients had requests in flight at the
 * same time that overlap, sector by sector. (One client after another: model.h.)
 * Must never know how the store works, nor excuse what the words below do not.
 *
 * Of two requests one is earlier if it had been told before the other was submitted;
 * else they are side by side, and either may have come last.
 *   - Nothing is read but what a request wrote there, or zeroes where there is a hole.
 *   - What must be there is not hidden by anything earlier:
 *       a read: all that was told when it was submitted;
 *       after the process died: all that was told;
 *       after a power cut: all that was told when a flush or FUA request was submitted
 *       that was told, that FUA request, and all that is earlier than anything found.
 *   - Of a request of up to 1 MiB that is found anywhere, all must be there; of a longer
 *     one all of its part in that block.
 *   - Two that are side by side lie in one order in all of a block.
 */
#ifndef LBS_TESTS_LEDGER_H
#define LBS_TESTS_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#define LEDGER_SECTOR 512

struct ledger;

enum ledger_kind { LEDGER_WRITE, LEDGER_ZERO, LEDGER_DISCARD, LEDGER_FLUSH };

/* Room for so many requests; requests are of whole sectors. Thread-safe but for
 * new, free, judge and count. */
struct ledger *ledger_new(uint64_t size_bytes, uint32_t room);
void ledger_free(struct ledger *l);
/* Just before a request is submitted: its number, from 1. */
uint32_t ledger_issue(struct ledger *l, enum ledger_kind kind, uint64_t offset,
		      uint64_t len, int fua);
/* The contents of a write. */
void ledger_fill(const struct ledger *l, uint32_t op, void *buf);
/* It was told to have succeeded. */
void ledger_told(struct ledger *l, uint32_t op);

/* Just before a read is submitted; what it then gave is right: 0, or -1 and why. */
uint64_t ledger_now(struct ledger *l);
int ledger_read(struct ledger *l, uint64_t submitted, const void *buf, size_t len,
		uint64_t offset, char *why, size_t why_len);

/* When nothing is in flight any more, the whole disk: 0, or -1 and why. */
enum ledger_end { LEDGER_ALIVE, LEDGER_POWER_CUT };
int ledger_judge(struct ledger *l, const void *disk, enum ledger_end end,
		 char *why, size_t why_len);

/* Pairs of requests that overlap and were side by side; requests of more than 1 MiB of
 * which the judge found some sectors, and others of before. */
struct ledger_seen {
	uint64_t pairs, parts, lost;
};
void ledger_count(const struct ledger *l, struct ledger_seen *seen);

#endif
