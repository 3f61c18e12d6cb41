/*
 * curve.c - see curve.h.
 */
#include "bench/sdcard/curve.h"

#include <math.h>

void
curve_init(struct curve *c, const double kib_per_s[SDCARD_POINTS])
{
	for (int i = 0; i < SDCARD_POINTS; i++) {
		double bytes = sdcard_point_bytes[i];

		c->log_bytes[i] = log(bytes);
		c->log_ns[i] = log(bytes / (kib_per_s[i] * 1024) * 1e9);
	}
	c->last_bytes = 0;
}

static double
between(const struct curve *c, double len)
{
	int i = 1;

	if (len <= sdcard_point_bytes[0])
		return exp(c->log_ns[0]);
	if (len > sdcard_point_bytes[SDCARD_POINTS - 1])
		return exp(c->log_ns[SDCARD_POINTS - 1]) * len /
		       sdcard_point_bytes[SDCARD_POINTS - 1];
	while (len > sdcard_point_bytes[i])
		i++;
	return exp(c->log_ns[i - 1] +
		   (log(len) - c->log_bytes[i - 1]) /
			   (c->log_bytes[i] - c->log_bytes[i - 1]) *
			   (c->log_ns[i] - c->log_ns[i - 1]));
}

int64_t
curve_ns(struct curve *c, uint32_t len_bytes)
{
	if (len_bytes != c->last_bytes) {
		c->last_ns = llround(between(c, len_bytes));
		c->last_bytes = len_bytes;
	}
	return c->last_ns;
}
