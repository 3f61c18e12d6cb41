/* progress.c - see progress.h. */
#include "tools/common/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/common/size.h"

static volatile sig_atomic_t stop_asked;
static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };
#define STOP_SIGNALS (sizeof(stop_signals) / sizeof(stop_signals[0]))

static void
ask_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

/* Whether it is the end of a terminal that nohup(1) has told us to outlive. Other
 * signals are ignored by any shell's "&", which means less. */
static int
nohup(int signal_number)
{
	struct sigaction now;

	return signal_number == SIGHUP && sigaction(SIGHUP, NULL, &now) == 0 &&
	       now.sa_handler == SIG_IGN;
}

static double
seconds_between(struct timespec from, struct timespec to)
{
	return (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

void
progress_begin(struct progress *progress, const char *what, int quiet,
	       int catch_signals)
{
	struct sigaction action = { .sa_handler = ask_stop,
				    .sa_flags = SA_RESTART };

	progress->what = what;
	progress->enabled = !quiet && isatty(STDERR_FILENO);
	progress->drawn = 0;
	clock_gettime(CLOCK_MONOTONIC, &progress->begun);
	progress->last = progress->begun;
	if (!catch_signals)
		return;
	for (size_t i = 0; i < STOP_SIGNALS; i++)
		if (!nohup(stop_signals[i]))
			sigaction(stop_signals[i], &action, NULL);
}

/* Of the terminal; what it does not tell is 80. */
static int
columns(void)
{
	struct winsize size = { 0 };

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col
		       ? size.ws_col
		       : 80;
}

/* One line: a wrapped one could not be drawn over. */
static void
draw(const char *what, double part, const char *numbers)
{
	static const char full[] = "##############################";
	int room = columns() - 1 - (int)strlen(what) - (int)strlen(numbers) - 4;
	int width = (int)sizeof(full) - 1;

	width = room < width ? room : width;
	if (width >= 4)
		fprintf(stderr, "\r%s [%-*.*s] %s\033[K", what, width,
			(int)(part * width), full, numbers);
	else
		fprintf(stderr, "\r%.*s\033[K", columns() - 1, numbers);
	fflush(stderr);
}

int
progress_step(void *ctx, uint64_t done, uint64_t total)
{
	struct progress *progress = ctx;
	char numbers[160];
	size_t len;
	char done_text[SIZE_TEXT_BYTES], total_text[SIZE_TEXT_BYTES];
	char rate_text[SIZE_TEXT_BYTES];
	struct timespec now;
	double part, elapsed;

	if (stop_asked)
		return 1;
	if (!progress->enabled || total == 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	elapsed = seconds_between(progress->begun, now);
	if (elapsed < 2 || seconds_between(progress->last, now) < 0.1)
		return 0;
	progress->last = now;
	progress->drawn = 1;
	part = done < total ? (double)done / (double)total : 1;
	snprintf(numbers, sizeof(numbers), "%3d %%  %s of %s  %s/s",
		 (int)(part * 100), size_format(done, done_text),
		 size_format(total, total_text),
		 size_format((uint64_t)((double)done / elapsed), rate_text));
	len = strlen(numbers);
	if (part > 0.01)
		snprintf(numbers + len, sizeof(numbers) - len, "  %.0f s left",
			 elapsed / part - elapsed);
	draw(progress->what, part, numbers);
	return 0;
}

void
progress_wipe(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = 0;
}

void
progress_end(struct progress *progress)
{
	progress_wipe(progress);
	for (size_t i = 0; i < STOP_SIGNALS; i++)
		if (!nohup(stop_signals[i]))
			signal(stop_signals[i], SIG_DFL);
}
