/*
 * own_card.h - a store of store.h, opened anew on a card that the test holds: with the
 * store's threads or without, and nothing is synced that nobody asked for.
 */
#ifndef LBS_TESTS_OWN_CARD_H
#define LBS_TESTS_OWN_CARD_H

#include "liblbs/medium/medium.h"
#include "liblbs/store/env.h"
#include "tests/unit/store.h"

static struct medium *card;

/* The store's threads must not see how the card's calls are replaced: that is done
 * between the two. */
static inline void
own_card_make(void)
{
	assert_int_equal(store_close(), 0);
	assert_int_equal(medium_posix_open(store_card, 0, &card), 0);
}

static inline void
own_card_open(int threads)
{
	struct store_env env = { .meta_path = store_path, .card = card,
				 .threads = threads, .sync_seconds = 3600 };
	struct lbs_open_options o = { .struct_size = sizeof o,
				      .log = store_tell };

	assert_int_equal(store_open_env(&env, &o, &store), 0);
	assert_int_equal(lbs_vdisk_open(store, NULL, &disk), 0);
}

static inline void
own_card_close(void)
{
	assert_int_equal(store_close(), 0);
	card->ops->close(card);
}

#endif
