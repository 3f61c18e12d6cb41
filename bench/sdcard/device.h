/*
 * device.h - a modelled card with contents, which can lose power: what a cut
 * may do to data that was acknowledged, in flight, or near. Contents lie in a
 * medium that the caller gives (a file, memory). Must never look at a clock,
 * and draws only from its seed: the same requests and the same seed lose the
 * same.
 */
#ifndef LBS_BENCH_SDCARD_DEVICE_H
#define LBS_BENCH_SDCARD_DEVICE_H

#include "bench/sdcard/card.h"

/* Where the contents are. All return 0 or a negative errno. */
struct device_medium {
	int (*read)(void *ctx, void *buf, uint32_t len, uint64_t offset);
	int (*write)(void *ctx, const void *buf, uint32_t len, uint64_t offset);
	int (*erase)(void *ctx, uint64_t offset, uint64_t len); /* to zeroes */
	void *ctx;
};

enum device_lose { DEVICE_LOSE_SOME, DEVICE_LOSE_ALL, DEVICE_LOSE_NONE };

struct device_policy {
	uint64_t seed;
	/* Which writes are lost of those that a cut may lose: each by a coin of
	 * its own (so later ones may survive earlier ones), all, or none. They
	 * are what a volatile cache holds and no flush has covered. */
	enum device_lose lose;
	/* And what was acknowledged, and not flushed, so shortly before, cache
	 * or no cache. */
	unsigned ack_loss_ms;
	/* The request in flight is applied whole or not at all; else any of its
	 * sectors. */
	int untorn;
	/* A page that shares flash with what was being written is garbage. */
	int paired_page;
	/* An allocation unit that was being merged is old, new or garbage. */
	int au_loss;
	/* A flush is acknowledged and ignored; 700 ms are lost if ack_loss_ms
	 * says nothing else. */
	int lying_flush;
};

struct device;

/* Takes the card (freed with the device). NULL without memory. */
struct device *device_new(struct sdcard *card, const struct device_medium *m,
			  const struct device_policy *policy);
void device_free(struct device *d);
struct sdcard *device_card(struct device *d);

/* Requests, in whole sectors; see card.h for the bounds. -EIO once power is
 * gone; else 0, or what the medium said. */
int device_read(struct device *d, void *buf, uint32_t len, uint64_t offset);
int device_write(struct device *d, const void *buf, uint32_t len,
		 uint64_t offset);
int device_flush(struct device *d);
/* Also makes durable what is pending, as an erase waits for it. */
int device_discard(struct device *d, uint64_t offset, uint64_t len);

/* Power fails now, between two requests. */
int device_cut(struct device *d);
/* Power fails during the n-th write from now (1: the next). 0: never. */
void device_cut_in(struct device *d, uint64_t n);
/* Power returns; the card has what the cut left. */
void device_power_on(struct device *d);
int device_has_power(const struct device *d);
uint64_t device_cuts(const struct device *d);
/* Writes that a cut now could lose. */
unsigned device_pending(const struct device *d);

/* The card's state and the seed's, as sdcard_state. */
int device_state(struct device *d, const struct sdcard_port *port);

#endif
