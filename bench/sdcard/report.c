/*
 * report.c - see report.h.
 */
#include "bench/sdcard/report.h"

static json_t *
integer(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *
latency(const struct sdcard *c, int kind)
{
	static const struct {
		const char *key;
		double share;
	} quantile[] = {
		{ "p50", 0.5 },	    { "p90", 0.9 },	  { "p99", 0.99 },
		{ "p99_9", 0.999 }, { "p99_99", 0.9999 }, { "max", 1 },
	};
	json_t *o = json_object();

	for (size_t i = 0; i < sizeof quantile / sizeof *quantile; i++)
		json_object_set_new(
			o, quantile[i].key,
			json_real((double)sdcard_quantile(c, kind,
							  quantile[i].share) /
				  1e3));
	return o;
}

static json_t *
request(const struct sdcard *c, int kind)
{
	static const char *const class_name[SDCARD_CLASSES] = {
		"1K", "4K", "16K", "64K", "128K", "512K", "1M", "more"
	};
	const struct sdcard_counts *n = sdcard_counts(c);
	json_t *o = json_object(), *sizes = json_object();

	json_object_set_new(o, "ops", integer(n->kind[kind].ops));
	json_object_set_new(o, "bytes", integer(n->kind[kind].bytes));
	json_object_set_new(o, "seconds",
			    json_real((double)n->kind[kind].ns / 1e9));
	for (int i = 0; i < SDCARD_CLASSES; i++)
		if (n->kind[kind].class_ops[i])
			json_object_set_new(
				sizes, class_name[i],
				json_pack(
					"{sIsI}", "ops",
					(json_int_t)n->kind[kind].class_ops[i],
					"bytes",
					(json_int_t)n->kind[kind]
						.class_bytes[i]));
	json_object_set_new(o, "up_to", sizes);
	json_object_set_new(o, "latency_us", latency(c, kind));
	return o;
}

json_t *
sdcard_report(const struct sdcard *c)
{
	const struct sdcard_params *p = sdcard_params_of(c);
	const struct sdcard_counts *n = sdcard_counts(c);
	int64_t busy = 0;
	json_t *o = json_object();

	for (int k = 0; k < SDCARD_KINDS; k++)
		busy += n->kind[k].ns;
	json_object_set_new(o, "modelled_card", json_string(p->name));
	json_object_set_new(o, "calibrated_on", json_string(p->calibrated_on));
	json_object_set_new(o, "extrapolated", json_string(p->extrapolated));
	json_object_set_new(o, "size_bytes", integer(sdcard_size(c)));
	json_object_set_new(o, "virtual_clock_seconds",
			    json_real((double)sdcard_now(c) / 1e9));
	json_object_set_new(o, "busy_seconds", json_real((double)busy / 1e9));
	json_object_set_new(o, "idle_seconds",
			    json_real((double)n->idle_ns / 1e9));
	json_object_set_new(o, "stalled_seconds",
			    json_real((double)n->stalled_ns / 1e9));
	json_object_set_new(o, "write", request(c, SDCARD_WRITES));
	json_object_set_new(o, "read", request(c, SDCARD_READS));
	json_object_set_new(o, "flush", request(c, SDCARD_FLUSHES));
	json_object_set_new(o, "discards", integer(n->discards));
	json_object_set_new(o, "discarded_bytes", integer(n->discarded_bytes));
	json_object_set_new(o, "switch_merges", integer(n->switch_merges));
	json_object_set_new(o, "partial_merges", integer(n->partial_merges));
	json_object_set_new(o, "full_merges", integer(n->full_merges));
	json_object_set_new(o, "evictions", integer(n->evictions));
	json_object_set_new(o, "collections", integer(n->collections));
	json_object_set_new(o, "erases", integer(n->erases));
	json_object_set_new(o, "copied_bytes", integer(n->copied_bytes));
	json_object_set_new(o, "programmed_bytes",
			    integer(n->programmed_bytes));
	json_object_set_new(o, "write_amplification",
			    json_real(sdcard_write_amplification(c)));
	json_object_set_new(o, "open_units", integer(sdcard_open_units(c)));
	return o;
}
