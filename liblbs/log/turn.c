/*
 * turn.c - see turn.h. The state is the futex.
 */
#include "liblbs/log/turn.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Some 4 microseconds, about what a sleep and a wake-up cost. Counted, not timed. */
#define LOOK_TIMES 200

void
turns_init(struct turns *all)
{
	/* With one processor nothing can happen while one looks. */
	all->times = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? LOOK_TIMES : 0;
	atomic_init(&all->looking, 0);
}

void
turn_init(struct turn *t)
{
	atomic_init(&t->state, TURN_PENDING);
}

/* What was given, or TURN_PENDING. */
static uint32_t
take(struct turn *t)
{
	uint32_t now = atomic_load_explicit(&t->state, memory_order_acquire);

	/* Unless TURN_DONE came meanwhile. */
	if (now == TURN_LOOK &&
	    !atomic_compare_exchange_strong(&t->state, &now, TURN_PENDING))
		return TURN_DONE;
	return now == TURN_ASLEEP ? TURN_PENDING : now;
}

static uint32_t
look(struct turn *t, struct turns *all)
{
	uint32_t what = take(t);

	if (what != TURN_PENDING || !all->times ||
	    atomic_exchange_explicit(&all->looking, 1, memory_order_relaxed))
		return what;
	for (int i = 0; i < all->times && what == TURN_PENDING; i++) {
		turn_relax();
		what = take(t);
	}
	atomic_store_explicit(&all->looking, 0, memory_order_relaxed);
	return what;
}

uint32_t
turn_wait(struct turn *t, struct turns *all)
{
	uint32_t what = look(t, all), pending;

	while (what == TURN_PENDING) {
		pending = TURN_PENDING;
		if (atomic_compare_exchange_strong(&t->state, &pending,
						   TURN_ASLEEP) ||
		    pending == TURN_ASLEEP)
			syscall(SYS_futex, &t->state, FUTEX_WAIT_PRIVATE,
				TURN_ASLEEP, NULL, NULL, 0);
		what = take(t);
	}
	return what;
}

int
turn_is_awake(const struct turn *t)
{
	return atomic_load_explicit(&t->state, memory_order_relaxed) !=
	       TURN_ASLEEP;
}

void
turn_give(struct turn *t, uint32_t what)
{
	/* After this its frame may be gone: waking what then lies there is a
	 * wake-up without reason, which every futex has to bear with. */
	if (atomic_exchange(&t->state, what) == TURN_ASLEEP)
		syscall(SYS_futex, &t->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
			0);
}
