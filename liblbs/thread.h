/*
 * thread.h - the library's own threads. Must never take a signal that is meant for
 * the program: a hypervisor has its own handlers and its own threads for them.
 */
#ifndef LBS_THREAD_H
#define LBS_THREAD_H

#include <pthread.h>

/* Starts a thread with all signals blocked. 0 or LBS_ENOMEM. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
