/*
 * turn.h - one thread waits until others have done something for it.
 * Must never be given to a waiter that may already have left: TURN_DONE is the
 * last word to a waiter, and its frame may be gone right after.
 *
 * What is waited for takes microseconds (a record being sealed or pushed by
 * another thread), less than it takes to sleep and to be woken. So a waiter
 * first looks a few hundred times, and then sleeps in a futex. Only one at a time
 * looks: more would take the processors away from those they wait for.
 */
#ifndef LBS_LOG_TURN_H
#define LBS_LOG_TURN_H

#include <stdatomic.h>
#include <stdint.h>

enum {
	TURN_PENDING,
	TURN_ASLEEP,	/* pending, and its owner sleeps */
	TURN_LOOK,	/* something changed: look again */
	TURN_DONE	/* nothing is left to wait for */
};

struct turn {
	_Atomic uint32_t state;
};

/* Shared by those who wait for the same thing; zeroed at first. */
struct turns {
	_Atomic int looking;	/* someone looks instead of sleeping */
	int times;		/* how often; constant */
};

/* For a thread that looks again and again. */
static inline void
turn_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ volatile("yield");
#endif
}

void turns_init(struct turns *all);
void turn_init(struct turn *t);
/* Waits until the turn is given: TURN_LOOK (then it is pending again) or
 * TURN_DONE. By the owner only. */
uint32_t turn_wait(struct turn *t, struct turns *all);
/* 1 if its owner has not gone to sleep. */
int turn_is_awake(const struct turn *t);
/* Gives it: TURN_LOOK or TURN_DONE. TURN_LOOK never follows TURN_DONE. */
void turn_give(struct turn *t, uint32_t what);

#endif
