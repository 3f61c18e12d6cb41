/*
 * fork.c - notices that this process is a child of the one that opened a store.
 * Locks of files and of memory do not cross a fork, so the handle must not be
 * used there. Cheaper than getpid on every request.
 */
#include "liblbs/store/internal.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic unsigned forks;

static void
in_child(void)
{
	atomic_fetch_add(&forks, 1);
}

static void
watch(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

unsigned
store_forks(void)
{
	pthread_once(&once, watch);
	return atomic_load_explicit(&forks, memory_order_relaxed);
}
