/*
 * ahead.c - see ahead.h: which reads are a sequence.
 */
#include "liblbs/store/ahead.h"

#include <string.h>

void
ahead_init(struct ahead *a)
{
	memset(a, 0, sizeof *a);
	pthread_mutex_init(&a->lock, NULL);
}

void
ahead_free(struct ahead *a)
{
	pthread_mutex_destroy(&a->lock);
}

static int
belongs(const struct ahead_stream *s, uint64_t offset)
{
	return s->used && offset + AHEAD_SLACK_BYTES >= s->next &&
	       offset <= s->next + AHEAD_SLACK_BYTES;
}

/* The sequence that a read belongs to, else the one that rested longest. */
static struct ahead_stream *
stream_of(struct ahead *a, uint64_t offset)
{
	struct ahead_stream *oldest = &a->streams[0];

	for (int i = 0; i < AHEAD_STREAMS; i++) {
		struct ahead_stream *s = &a->streams[i];

		if (belongs(s, offset))
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	return oldest;
}

/* Half a window is asked for at a time: seldom enough, and early enough. */
static int
note(struct ahead_stream *s, uint64_t offset, size_t len, uint64_t *from,
     uint64_t *to)
{
	uint64_t end = offset + len;

	if (!belongs(s, offset)) {
		s->next = s->asked = end;
		s->seen = 0;
		return 0;
	}
	s->seen += len;
	if (end > s->next)
		s->next = end;
	if (s->seen < AHEAD_BEGIN_BYTES ||
	    s->asked > s->next + AHEAD_WINDOW_BYTES / 2)
		return 0;
	*from = s->asked > s->next ? s->asked : s->next;
	*to = s->asked = s->next + AHEAD_WINDOW_BYTES;
	return 1;
}

int
ahead_note(struct ahead *a, uint64_t offset, size_t len, uint64_t *from,
	   uint64_t *to)
{
	struct ahead_stream *s;
	int due;

	if (pthread_mutex_trylock(&a->lock))
		return 0;
	s = stream_of(a, offset);
	due = note(s, offset, len, from, to);
	s->used = ++a->reads;
	pthread_mutex_unlock(&a->lock);
	return due;
}

int
ahead_is_due(struct ahead *a, uint64_t offset, size_t len)
{
	struct ahead_stream s;
	uint64_t from, to;

	if (pthread_mutex_trylock(&a->lock))
		return 0;
	s = *stream_of(a, offset);
	pthread_mutex_unlock(&a->lock);
	return note(&s, offset, len, &from, &to);
}
