/*
 * main.c - one workload on one target, on all modelled cards at once: prints
 * JSON. Must never judge; run.py beside it makes tables of what this prints.
 *
 *   oncard [OPTION=VALUE]...
 *     target=raw|gocryptfs|lbs
 *     buffered=SIZE        raw: dirty pages that the host holds      (0)
 *     work=randwrite|seqwrite|randread|seqread|mixed   (mixed: 7 reads in 10)
 *     disk=SIZE            the vdisk or file, written whole first   (default
 * 1G) span=SIZE            what random requests fall into           (the disk)
 *     util=SHARE           LBS: live blocks by what segments hold   (0.7)
 *     segment=SIZE         LBS: of a segment      (as `lbs create` chooses)
 *     compress=lz4|zstd    LBS: blocks compress as a file system's  (none)
 *     skew=0|1             9 in 10 requests to a tenth of the span  (0)
 *     request=SIZE         of sequential work                       (1M)
 *     sync=N               a flush after each N writes; 0: none     (0)
 *     every=SECONDS        a flush when so much of the first card's time has
 * passed writers=N            N writers that each flush after each write
 *     warm=N, ops=N        requests before, and measured
 *     settle=N             N more before, with flushes as they will be (0)
 *     preset=NAME|all      the cards                                (all)
 *     card=SIZE            of each card                             (8G)
 *     shift=SIZE           files begin so far behind an aligned place  (0)
 *     seed=N
 *   oncard presets         what cards there are, as JSON
 *   oncard lengths IMAGE   what its blocks compress to, for blocks.c
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/oncard/blocks.h"
#include "bench/oncard/target.h"
#include "lbs.h"

#define MIB   (1u << 20)
#define BLOCK 4096u

enum work { RANDWRITE, SEQWRITE, RANDREAD, SEQREAD, MIXED, WORKS };

static const char *const work_name[WORKS] = { "randwrite", "seqwrite",
					      "randread", "seqread", "mixed" };

struct spec {
	const char *target, *preset;
	enum work work;
	uint64_t buffered, disk, span, card, segment, sync, writers, warm, ops;
	uint64_t seed, shift, skew, request, settle;
	double util, every;
	int compress;
};

struct run {
	struct spec spec;
	struct host host;
	struct target *target;
	uint64_t random, next, writes;
	int64_t flushed_at;
	int64_t begun[HOST_CARDS_MAX];
	int64_t *took[HOST_CARDS_MAX]; /* of each request, with sync=1 */
};

/* ---- options
 * ---------------------------------------------------------------------- */

static void
usage(const char *what)
{
	fprintf(stderr, "oncard: %s: see the head of bench/oncard/main.c\n",
		what);
	exit(2);
}

static uint64_t
size_of(const char *text)
{
	char *end;
	double v = strtod(text, &end);
	const char *unit = *end ? strchr("KMG", *end) : NULL;

	if (end == text || (*end && (!unit || end[1])) || v < 0)
		usage(text);
	return (uint64_t)(unit ? ldexp(v, 10 * (int)(unit - "KMG" + 1)) : v);
}

static const char *const compress_name[] = {
	[LBS_COMPRESS_NONE] = "none",
	[LBS_COMPRESS_LZ4] = "lz4",
	[LBS_COMPRESS_ZSTD] = "zstd",
};

static int
compression(const char *name)
{
	for (int i = LBS_COMPRESS_NONE; i <= LBS_COMPRESS_ZSTD; i++)
		if (strcmp(name, compress_name[i]) == 0)
			return i;
	usage(name);
	return 0;
}

static void
set(struct spec *s, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint64_t *number;
	} numbers[] = {
		{ "buffered", &s->buffered }, { "disk", &s->disk },
		{ "span", &s->span },	      { "card", &s->card },
		{ "sync", &s->sync },	      { "writers", &s->writers },
		{ "warm", &s->warm },	      { "ops", &s->ops },
		{ "seed", &s->seed },	      { "skew", &s->skew },
		{ "segment", &s->segment },   { "shift", &s->shift },
		{ "request", &s->request },   { "settle", &s->settle },
	};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strcmp(key, numbers[i].key) == 0) {
			*numbers[i].number = size_of(value);
			return;
		}
	if (strcmp(key, "target") == 0) {
		s->target = value;
	} else if (strcmp(key, "preset") == 0) {
		s->preset = value;
	} else if (strcmp(key, "util") == 0) {
		s->util = atof(value);
	} else if (strcmp(key, "every") == 0) {
		s->every = atof(value);
	} else if (strcmp(key, "compress") == 0) {
		s->compress = compression(value);
	} else if (strcmp(key, "work") == 0) {
		int w = 0;

		while (w < WORKS && strcmp(value, work_name[w]) != 0)
			w++;
		if (w == WORKS)
			usage(value);
		s->work = (enum work)w;
	} else {
		usage(key);
	}
}

static struct spec
options(int argc, char **argv)
{
	struct spec s = { .target = "lbs",
			  .preset = "all",
			  .disk = 1u << 30,
			  .card = 8ull << 30,
			  .util = 0.7,
			  .ops = 10000,
			  .request = MIB,
			  .seed = 1 };

	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value)
			usage(argv[i]);
		*value = 0;
		set(&s, argv[i], value + 1);
	}
	if (!s.span)
		s.span = s.disk;
	if (s.span > s.disk || s.span < MIB || s.disk % MIB || !s.ops ||
	    !s.request || s.request % BLOCK || MIB % s.request ||
	    !(s.util > 0 && s.util < 1))
		usage("sizes");
	return s;
}

/* ---- requests
 * ------------------------------------------------------------------------ */

static uint64_t
draw(struct run *r, uint64_t below)
{
	uint64_t z = r->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % below;
}

static uint64_t
random_offset(struct run *r)
{
	uint64_t blocks = r->spec.span / BLOCK, hot = blocks / 10;

	if (!r->spec.skew)
		return draw(r, blocks) * BLOCK;
	return (draw(r, 10) ? draw(r, hot) : hot + draw(r, blocks - hot)) *
	       BLOCK;
}

static uint64_t
next_offset(struct run *r)
{
	uint64_t at = r->next;

	r->next = (at + r->spec.request) % (r->spec.span / MIB * MIB);
	return at;
}

static void
maybe_flush(struct run *r)
{
	int64_t now = sdcard_now(r->host.card[0]);

	if (r->spec.sync && ++r->writes % r->spec.sync == 0)
		r->target->flush(r->target);
	if (r->spec.every > 0 &&
	    (double)(now - r->flushed_at) >= r->spec.every * 1e9) {
		r->target->flush(r->target);
		r->flushed_at = now;
	}
}

static void
request(struct run *r, enum work work)
{
	struct target *t = r->target;

	switch (work) {
	case RANDREAD:
		t->read(t, random_offset(r), BLOCK);
		return;
	case SEQREAD:
		t->read(t, next_offset(r), (uint32_t)r->spec.request);
		return;
	case SEQWRITE:
		t->write(t, next_offset(r), (uint32_t)r->spec.request);
		break;
	case MIXED:
		if (draw(r, 10) < 7) {
			t->read(t, random_offset(r), BLOCK);
			return;
		}
		/* fallthrough */
	default:
		t->write(t, random_offset(r), BLOCK);
	}
	maybe_flush(r);
}

/* ---- several writers
 * ------------------------------------------------------------------ */

struct writer {
	pthread_t thread;
	struct target *target;
	uint64_t ops, random, blocks;
};

static void *
write_and_flush(void *arg)
{
	struct writer *w = arg;
	struct run own = { .random = w->random };

	for (uint64_t i = 0; i < w->ops; i++) {
		w->target->write(w->target, draw(&own, w->blocks) * BLOCK,
				 BLOCK);
		w->target->flush(w->target);
	}
	return NULL;
}

/* LBS: threads, and a card that takes its time, so that who comes while it
 * works shares the next sync. A raw file: at its best, one flush for all of
 * them. */
static void
several(struct run *r)
{
	uint64_t n = r->spec.writers, each = r->spec.ops / n;
	struct writer w[64];

	if (n > 64)
		usage("writers");
	if (!r->target->settle) {
		for (uint64_t i = 0; i < each * n; i++) {
			r->target->write(r->target, random_offset(r), BLOCK);
			if (i % n == n - 1)
				r->target->flush(r->target);
		}
		return;
	}
	r->host.realtime = 1;
	for (uint64_t i = 0; i < n; i++) {
		w[i] = (struct writer){ .target = r->target,
					.ops = each,
					.random = draw(r, UINT64_MAX),
					.blocks = r->spec.span / BLOCK };
		if (pthread_create(&w[i].thread, NULL, write_and_flush, &w[i]))
			exit(1);
	}
	for (uint64_t i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	r->host.realtime = 0;
}

/* ---- a run
 * ------------------------------------------------------------------------------
 */

/* Random writes without a sync, in the measured pattern; then as they will be
 * measured: a log in which each write was synced has other segments. */
static void
warm(struct run *r)
{
	for (uint64_t i = 0; i < r->spec.warm; i++)
		r->target->write(r->target, random_offset(r), BLOCK);
	for (uint64_t i = 0; i < r->spec.settle; i++)
		request(r, RANDWRITE);
	r->target->flush(r->target);
	host_drop(&r->host);
}

static void
prepare(struct run *r)
{
	const struct sdcard_params *presets[HOST_CARDS_MAX];
	const struct spec *s = &r->spec;
	int count = 0;

	for (const struct sdcard_params *p = sdcard_presets; p->name; p++)
		if (strcmp(s->preset, "all") == 0 ||
		    strcmp(s->preset, p->name) == 0)
			presets[count++] = p;
	if (!count)
		usage(s->preset);
	r->random = s->seed;
	host_init(&r->host, presets, count, s->card, 1);
	r->host.base += s->shift;
	if (r->host.base + s->disk / 64 * 65 > sdcard_size(r->host.card[0]))
		usage("the card is too small for the disk");
	if (strcmp(s->target, "raw") == 0 ||
	    strcmp(s->target, "gocryptfs") == 0) {
		int gocryptfs = s->target[0] == 'g';

		if (gocryptfs && !s->buffered)
			usage("gocryptfs needs buffered=");
		r->target = target_raw(&r->host, s->buffered, gocryptfs);
	} else if (strcmp(s->target, "lbs") == 0) {
		struct target_lbs how = { s->disk, s->segment, s->util,
					  s->writers > 0, s->compress };

		r->target = target_lbs(&r->host, &how);
	} else {
		usage(s->target);
	}
	for (uint64_t at = 0; at < s->disk; at += MIB)
		r->target->write(r->target, at, MIB);
	r->target->flush(r->target);
	warm(r);
}

static void
begin(struct run *r, json_t *ignored)
{
	for (int i = 0; i < r->host.cards; i++) {
		sdcard_counts_reset(r->host.card[i]);
		r->begun[i] = sdcard_now(r->host.card[i]);
	}
	if (r->target->report)
		r->target->report(r->target, ignored);
	r->flushed_at = r->begun[0];
	r->writes = r->next = 0;
}

static void
measure(struct run *r)
{
	if (r->spec.writers) {
		several(r);
		return;
	}
	for (uint64_t i = 0; i < r->spec.ops; i++) {
		request(r, r->spec.work);
		for (int k = 0; k < r->host.cards && r->spec.sync == 1; k++)
			r->took[k][i] = sdcard_now(r->host.card[k]);
	}
	r->target->flush(r->target);
}

static int
ascending(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Of requests with their sync, in microseconds. */
static json_t *
latencies(struct run *r, int k)
{
	int64_t *t = r->took[k];
	uint64_t n = r->spec.ops;

	for (uint64_t i = n; i-- > 1;)
		t[i] -= t[i - 1];
	t[0] -= r->begun[k];
	qsort(t, n, sizeof *t, ascending);
	return json_pack("{sfsfsfsf}", "p50", (double)t[n / 2] / 1e3, "p99",
			 (double)t[n - n / 100 - 1] / 1e3, "p99_9",
			 (double)t[n - n / 1000 - 1] / 1e3, "max",
			 (double)t[n - 1] / 1e3);
}

static json_t *
result(struct run *r, int k)
{
	struct sdcard *c = r->host.card[k];
	const struct sdcard_counts *n = sdcard_counts(c);
	enum work work = r->spec.work;
	double bytes = (double)r->spec.ops *
		       (double)(work == SEQWRITE || work == SEQREAD
					? r->spec.request
					: BLOCK);
	double seconds = (double)(sdcard_now(c) - r->begun[k]) / 1e9;
	json_t *o = json_pack("{sssfsfsf}", "preset", sdcard_params_of(c)->name,
			      "seconds", seconds, "ops_per_s",
			      (double)r->spec.ops / seconds, "mb_per_s",
			      bytes / seconds / 1e6);

	json_object_update_new(
		o,
		json_pack(
			"{sIsIsIsIsfsf}", "card_written",
			(json_int_t)n->kind[SDCARD_WRITES].bytes, "card_writes",
			(json_int_t)n->kind[SDCARD_WRITES].ops, "card_read",
			(json_int_t)n->kind[SDCARD_READS].bytes, "card_reads",
			(json_int_t)n->kind[SDCARD_READS].ops, "write_seconds",
			(double)n->kind[SDCARD_WRITES].ns / 1e9, "read_seconds",
			(double)n->kind[SDCARD_READS].ns / 1e9));
	json_object_update_new(
		o, json_pack("{sfsfsIsfsf}", "stalled_seconds",
			     (double)n->stalled_ns / 1e9, "card_wa",
			     sdcard_write_amplification(c), "merges",
			     (json_int_t)(n->partial_merges + n->full_merges +
					  n->evictions),
			     "longest_write_ms",
			     (double)n->kind[SDCARD_WRITES].max_ns / 1e6,
			     "longest_read_ms",
			     (double)n->kind[SDCARD_READS].max_ns / 1e6));
	if (r->spec.sync == 1 && !r->spec.writers)
		json_object_set_new(o, "latency_us", latencies(r, k));
	return o;
}

static void
print(struct run *r, json_t *store)
{
	json_t *cards = json_array(), *o;

	for (int k = 0; k < r->host.cards; k++)
		json_array_append_new(cards, result(r, k));
	o = json_pack(
		"{sssssIsIsIsfsIsIsIsIsIsIso}", "target", r->spec.target, "work",
		work_name[r->spec.work], "buffered",
		(json_int_t)r->spec.buffered, "disk", (json_int_t)r->spec.disk,
		"span", (json_int_t)r->spec.span, "util", r->spec.util, "skew",
		(json_int_t)r->spec.skew, "sync", (json_int_t)r->spec.sync,
		"writers", (json_int_t)r->spec.writers, "ops",
		(json_int_t)r->spec.ops, "warm", (json_int_t)r->spec.warm,
		"settle", (json_int_t)r->spec.settle, "cards", cards);
	if (r->spec.compress)
		json_object_set_new(o, "compress",
				    json_string(compress_name[r->spec.compress]));
	if (json_object_size(store))
		json_object_set(o, "store", store);
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(8));
	printf("\n");
	fflush(stdout);
	json_decref(o);
}

static int
list_presets(void)
{
	json_t *all = json_array();

	for (const struct sdcard_params *p = sdcard_presets; p->name; p++)
		json_array_append_new(
			all, json_pack("{ssssss}", "name", p->name,
				       "calibrated_on", p->calibrated_on,
				       "extrapolated", p->extrapolated));
	json_dumpf(all, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(all);
	return 0;
}

int
main(int argc, char **argv)
{
	json_t *ignored, *store;
	struct run r;

	if (argc == 2 && strcmp(argv[1], "presets") == 0)
		return list_presets();
	if (argc == 3 && strcmp(argv[1], "lengths") == 0)
		return blocks_measure(argv[2]) ? 1 : 0;
	r = (struct run){ .spec = options(argc, argv) };
	ignored = json_object();
	store = json_object();
	prepare(&r);
	for (int k = 0; k < r.host.cards; k++) {
		r.took[k] = calloc(r.spec.ops, sizeof **r.took);
		if (!r.took[k])
			return 1;
	}
	begin(&r, ignored);
	measure(&r);
	if (r.target->report)
		r.target->report(r.target, store);
	print(&r, store);
	/* The same once more when the cleaner has done all it can. */
	if (r.spec.work == SEQREAD && r.target->settle) {
		r.target->settle(r.target);
		host_drop(&r.host);
		begin(&r, ignored);
		measure(&r);
		if (r.target->report)
			r.target->report(r.target, store);
		print(&r, store);
	}
	r.target->close(r.target);
	host_free(&r.host);
	for (int k = 0; k < HOST_CARDS_MAX; k++)
		free(r.took[k]);
	json_decref(ignored);
	json_decref(store);
	return 0;
}
