/*
 * fail.c - failure is a state: the first error of a write, a sync or a commit
 * stops writing until the store is opened again (DESIGN.md, "States").
 */
#include "liblbs/store/internal.h"

#include <stdarg.h>
#include <stdio.h>

int
store_may_write(lbs_store *s)
{
	if (s->forks != store_forks())
		return LBS_EFORK;
	if (s->rdonly)
		return LBS_EROFS;
	return atomic_load(&s->failed) ? LBS_EFAILED : 0;
}

int
store_fail(lbs_store *s, int code, const char *format, ...)
{
	va_list args;
	int first;

	pthread_mutex_lock(&s->failure_lock);
	first = !atomic_load(&s->failed);
	if (first) {
		va_start(args, format);
		vsnprintf(s->failure, sizeof s->failure, format, args);
		va_end(args);
		atomic_store(&s->failed, code);
	}
	pthread_mutex_unlock(&s->failure_lock);
	if (first) {
		count(s, LBS_STAT_IO_ERRORS, 1);
		store_event(s, LBS_EVENT_FAILED);
		code = fail(&s->log, code, "%s; the store takes no more writes",
			    s->failure);
	}
	return code;
}
