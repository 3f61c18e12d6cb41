/*
 * thread.c - see thread.h.
 */
#include "liblbs/thread.h"

#include <signal.h>

#include "lbs.h"

int
thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? LBS_ENOMEM : 0;
}
