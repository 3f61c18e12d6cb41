/*
 * link.c - see link.h.
 * Must never block a thread of the library, whatever the supervisor does.
 */
#include "frontends/nbd/link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct link {
	int fd;	  /* constant; the caller's */
	int wake; /* constant; eventfd that ends the thread */
	void (*stop)(void);
	pthread_t thread;
};

static void
send_text(int fd, const char *text)
{
	ssize_t n;

	do
		n = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
}

void
link_log(int fd, int level, int code, const char *sentence)
{
	char text[LINK_MESSAGE_BYTES];

	snprintf(text, sizeof(text), "log %d %d %s", level, code, sentence);
	send_text(fd, text);
}

void
link_failed(int fd, int code)
{
	char text[32];

	snprintf(text, sizeof(text), "failed %d", code);
	send_text(fd, text);
}

void
link_ready(int fd)
{
	send_text(fd, "ready");
}

/* Returns 1 when it is time to stop, 0 when the thread is to end. */
static int
wait_for_stop(struct link *link)
{
	char text[64];
	struct pollfd polls[2] = {
		{ .fd = link->fd, .events = POLLIN },
		{ .fd = link->wake, .events = POLLIN },
	};

	for (;;) {
		ssize_t n;

		if (poll(polls, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		if (polls[1].revents)
			return 0;
		n = recv(link->fd, text, sizeof(text) - 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return 1;
		text[n] = '\0';
		if (strcmp(text, "stop") == 0)
			return 1;
	}
}

static void *
link_thread(void *arg)
{
	struct link *link = arg;

	if (wait_for_stop(link))
		link->stop();
	return NULL;
}

int
link_start(int fd, void (*stop)(void), struct link **out)
{
	struct link *link = calloc(1, sizeof(*link));
	sigset_t all, before;
	int rc = ENOMEM;

	if (!link)
		goto out;
	link->fd = fd;
	link->stop = stop;
	link->wake = eventfd(0, EFD_CLOEXEC);
	if (link->wake < 0) {
		rc = errno;
		goto out;
	}
	/* Signals are for the front end's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&link->thread, NULL, link_thread, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		close(link->wake);
		goto out;
	}
	*out = link;
	link = NULL;
out:
	free(link);
	return -rc;
}

void
link_end(struct link *link)
{
	uint64_t one = 1;

	if (!link)
		return;
	if (write(link->wake, &one, sizeof(one)) == sizeof(one))
		pthread_join(link->thread, NULL);
	close(link->wake);
	free(link);
}
