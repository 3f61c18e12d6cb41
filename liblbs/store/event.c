/*
 * event.c - what a program should know of a store that it does not learn from its
 * own calls: bits, and an eventfd beside them. Set under any lock, taken without.
 */
#include "liblbs/store/internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void
give(int fd)
{
	const uint64_t one = 1;

	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void
store_event(lbs_store *s, unsigned event)
{
	int fd;

	/* One that is there already has been given, or is about to be. */
	if (atomic_fetch_or(&s->events, event) & event)
		return;
	fd = atomic_load(&s->event_fd);
	if (fd >= 0)
		give(fd);
}

API int
lbs_store_event_fd(lbs_store *s)
{
	int fd, rc = 0;

	if (s->forks != store_forks())
		return LBS_EFORK;
	pthread_mutex_lock(&s->failure_lock);
	fd = atomic_load(&s->event_fd);
	if (fd < 0) {
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		rc = fd < 0 ? LBS_ENOMEM : 0;
		atomic_store(&s->event_fd, fd);
		/* What happened before: whoever set it found no event. */
		if (rc == 0 && atomic_load(&s->events))
			give(fd);
	}
	pthread_mutex_unlock(&s->failure_lock);
	return rc ? rc : fd;
}

API unsigned
lbs_store_events(lbs_store *s)
{
	int fd = atomic_load(&s->event_fd);
	uint64_t n;

	if (s->forks != store_forks())
		return 0;
	/* First back, then the bits: what comes between is taken now, and given
	 * once too often. */
	if (fd >= 0)
		while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
			;
	return atomic_exchange(&s->events, 0);
}
