/*
 * error.h - how a failure becomes one sentence for a person and one code for a
 * program. FORMAT has no part in it.
 */
#ifndef LBS_ERROR_H
#define LBS_ERROR_H

#include "lbs.h"

struct logger {
	lbs_log_fn *fn;
	void *ctx;
};

/* Logs one sentence at LBS_LOG_ERROR with the code and returns the code. log may be
 * NULL. */
int fail(const struct logger *log, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4), warn_unused_result));
/* The same at LBS_LOG_WARNING, and without a code at LBS_LOG_INFO: work goes on. */
void warn(const struct logger *log, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void inform(const struct logger *log, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The LBS_E... code of a negative errno from the medium. */
int code_of_errno(int negative_errno);

#endif
