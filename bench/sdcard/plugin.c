/*
 * plugin.c - nbdkit-sdcard-plugin: the modelled card over NBD. The empty export
 * name is the card; "stats" reads as its statistics in JSON; "control" takes
 * commands, of which one cuts the power. README.md beside this file has the
 * parameters. Must never serve two requests at a time: a card does not.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/sdcard/backing.h"
#include "bench/sdcard/pace.h"
#include "bench/sdcard/report.h"

#define THREAD_MODEL  NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS
#define CONTROL_BYTES 512
#define LINE_BYTES    64

static const struct sdcard_params *preset;
static char *file, *state, *stats;
static uint64_t size;
static int realtime, prefill;
static struct device_policy policy;
static struct pace pace = { .scale = 1 };

static int fd = -1;
static struct device *device;

struct connection {
	enum { CARD, STATS, CONTROL } to;
	char *text; /* STATS: as it was when the client came */
};

/* ---- parameters
 * -------------------------------------------------------------- */

static int
set_preset(const char *value)
{
	preset = sdcard_preset(value);
	if (preset)
		return 0;
	nbdkit_error("preset=%s: there is no such card: one of", value);
	for (const struct sdcard_params *p = sdcard_presets; p->name; p++)
		nbdkit_error("  %-16s %s", p->name, p->calibrated_on);
	return -1;
}

static int
set_lose(const char *value)
{
	static const char *const word[] = { "some", "all", "none" };

	for (int i = 0; i < 3; i++)
		if (strcmp(value, word[i]) == 0) {
			policy.lose = (enum device_lose)i;
			return 0;
		}
	nbdkit_error("lose=%s: it is one of some, all, none", value);
	return -1;
}

static int
set_path(char **path, const char *value)
{
	free(*path);
	*path = nbdkit_absolute_path(value);
	return *path ? 0 : -1;
}

static int
set_size(const char *value)
{
	int64_t bytes = nbdkit_parse_size(value);

	if (bytes < 0)
		return -1;
	size = (uint64_t)bytes;
	return 0;
}

static int
set_scale(const char *value)
{
	char *end;

	pace.scale = strtod(value, &end);
	if (*end || !(pace.scale > 0 && pace.scale <= 1000)) {
		nbdkit_error("timescale=%s: it is a number above 0, up to 1000",
			     value);
		return -1;
	}
	return 0;
}

static int
set_overhead(const char *value)
{
	unsigned us;

	if (nbdkit_parse_unsigned("host-overhead-us", value, &us) < 0)
		return -1;
	pace.overhead_ns = us * 1000ll;
	return 0;
}

static int
set_flag(int *flag, const char *value)
{
	*flag = nbdkit_parse_bool(value);
	return *flag < 0 ? -1 : 0;
}

static int
config(const char *key, const char *value)
{
	const struct {
		const char *key;
		int *flag;
	} flags[] = {
		{ "realtime", &realtime },
		{ "prefill", &prefill },
		{ "untorn", &policy.untorn },
		{ "au-loss", &policy.au_loss },
		{ "paired-page", &policy.paired_page },
		{ "lying-flush", &policy.lying_flush },
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcmp(key, flags[i].key) == 0)
			return set_flag(flags[i].flag, value);
	if (strcmp(key, "preset") == 0)
		return set_preset(value);
	if (strcmp(key, "file") == 0)
		return set_path(&file, value);
	if (strcmp(key, "state") == 0)
		return set_path(&state, value);
	if (strcmp(key, "stats") == 0)
		return set_path(&stats, value);
	if (strcmp(key, "size") == 0)
		return set_size(value);
	if (strcmp(key, "timescale") == 0)
		return set_scale(value);
	if (strcmp(key, "host-overhead-us") == 0)
		return set_overhead(value);
	if (strcmp(key, "lose") == 0)
		return set_lose(value);
	if (strcmp(key, "seed") == 0)
		return nbdkit_parse_uint64_t("seed", value, &policy.seed);
	if (strcmp(key, "ack-loss-ms") == 0)
		return nbdkit_parse_unsigned("ack-loss-ms", value,
					     &policy.ack_loss_ms);
	nbdkit_error("%s=: no such parameter: see nbdkit "
		     "./nbdkit-sdcard-plugin.so --help",
		     key);
	return -1;
}

static int
config_complete(void)
{
	if (!preset && set_preset("c10-ultra-2014") < 0)
		return -1;
	if (!file) {
		nbdkit_error("file=: where do the card's contents lie?");
		return -1;
	}
	return 0;
}

#define CONFIG_HELP                                                                  \
	"file=<FILE>         (required) the card's contents; made if missing\n"      \
	"preset=<NAME>       the card (default: c10-ultra-2014)\n"                   \
	"size=<SIZE>         of the card (default: the file's, else the preset's)\n" \
	"state=<FILE>        keeps the card's state over restarts\n"                 \
	"stats=<FILE>        gets the statistics when the server ends\n"             \
	"prefill=<BOOL>      a card without state was written full once\n"           \
	"realtime=<BOOL>     requests take as long as on the card\n"                 \
	"timescale=<N>       real seconds for each of the card's (default: 1)\n"     \
	"host-overhead-us=<N> of each request, left out of its time\n"               \
	"A power cut (export \"control\"):\n"                                        \
	"seed=<N>            decides what it loses (default: 0)\n"                   \
	"lose=some|all|none  of what it may lose (default: some)\n"                  \
	"ack-loss-ms=<N>     may lose what was acknowledged so shortly before\n"     \
	"untorn=<BOOL>       tears no request\n"                                     \
	"paired-page=<BOOL>  spoils a page beside the one being written\n"           \
	"au-loss=<BOOL>      spoils the allocation unit being merged\n"              \
	"lying-flush=<BOOL>  flushes do nothing"

/* ---- lifecycle
 * ----------------------------------------------------------------- */

/* Errors of files are told before nbdkit goes into the background. */
static int
get_ready(void)
{
	struct device_medium medium;
	struct sdcard *card;
	int err;

	fd = backing_open(file, &size, preset->capacity_bytes);
	if (fd < 0) {
		nbdkit_error("%s: %s", file, strerror(-fd));
		return -1;
	}
	card = sdcard_new(preset, size);
	if (!card) {
		nbdkit_error("no memory for a card of this size, or it is "
			     "smaller than an allocation unit (%u bytes)",
			     preset->au_bytes);
		return -1;
	}
	medium = backing_medium(&fd);
	device = device_new(card, &medium, &policy);
	if (!device) {
		sdcard_free(card);
		nbdkit_error("no memory");
		return -1;
	}
	err = state ? backing_load(state, device) : 1;
	if (err < 0) {
		nbdkit_error(
			"%s: %s", state,
			err == -EINVAL
				? "it is the state of another card, or damaged: "
				  "remove it, or give the preset and size it "
				  "was made with"
				: strerror(-err));
		return -1;
	}
	if (err == 1 && prefill)
		sdcard_prefill(card);
	return 0;
}

static char *
statistics(void)
{
	json_t *o = sdcard_report(device_card(device));
	char *text;

	json_object_set_new(o, "cuts",
			    json_integer((json_int_t)device_cuts(device)));
	json_object_set_new(o, "power", json_boolean(device_has_power(device)));
	json_object_set_new(o, "pending_writes",
			    json_integer(device_pending(device)));
	json_object_set_new(o, "seed", json_integer((json_int_t)policy.seed));
	text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
	json_decref(o);
	return text;
}

static int
save(void)
{
	int err = state ? backing_save(state, device) : 0;

	if (err)
		nbdkit_error("%s: %s", state, strerror(-err));
	return err;
}

static void
cleanup(void)
{
	FILE *f;
	char *text;

	save();
	if (!stats)
		return;
	text = statistics();
	f = fopen(stats, "we");
	if (!text || !f || fprintf(f, "%s\n", text) < 0)
		nbdkit_error("%s: %m", stats);
	if (f && fclose(f))
		nbdkit_error("%s: %m", stats);
	free(text);
}

static void
unload(void)
{
	device_free(device);
	if (fd >= 0)
		close(fd);
	free(file);
	free(state);
	free(stats);
}

/* ---- exports
 * --------------------------------------------------------------------- */

static int
list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	(void)readonly, (void)is_tls;
	if (nbdkit_add_export(exports, "", preset->name) ||
	    nbdkit_add_export(exports, "stats", "statistics in JSON") ||
	    nbdkit_add_export(exports, "control", "commands, one a write"))
		return -1;
	return 0;
}

static void *
open_connection(int readonly)
{
	const char *name = nbdkit_export_name();
	struct connection *c = calloc(1, sizeof *c);

	(void)readonly;
	if (!c || !name)
		goto failed;
	if (strcmp(name, "stats") == 0)
		c->to = STATS;
	else if (strcmp(name, "control") == 0)
		c->to = CONTROL;
	else if (name[0]) {
		nbdkit_error("there is no export \"%s\"", name);
		goto failed;
	}
	if (c->to == STATS && !(c->text = statistics()))
		goto failed;
	return c;
failed:
	free(c);
	return NULL;
}

static void
close_connection(void *handle)
{
	struct connection *c = handle;

	free(c->text);
	free(c);
}

static int64_t
get_size(void *handle)
{
	struct connection *c = handle;

	if (c->to == STATS)
		return (int64_t)strlen(c->text);
	return c->to == CONTROL ? CONTROL_BYTES
				: (int64_t)sdcard_size(device_card(device));
}

static int
block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
	   uint32_t *maximum)
{
	struct connection *c = handle;

	*minimum = c->to == CARD ? SDCARD_SECTOR : 1;
	*preferred = 4096;
	*maximum = SDCARD_REQUEST_MAX;
	return 0;
}

static int
is_card(void *handle)
{
	return ((struct connection *)handle)->to == CARD;
}

static int
can_write(void *handle)
{
	return ((struct connection *)handle)->to != STATS;
}

static int
no(void *handle)
{
	(void)handle;
	return 0;
}

static int
can_fua(void *handle)
{
	return is_card(handle) ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_NONE;
}

/* ---- requests to the card
 * ---------------------------------------------------------- */

static int64_t
begin(void)
{
	struct sdcard *card = device_card(device);

	if (realtime)
		sdcard_idle(card, pace_idle(&pace));
	return sdcard_now(card);
}

static int
end(int64_t begun, int err)
{
	if (realtime)
		pace_spend(&pace, sdcard_now(device_card(device)) - begun);
	if (err == -EIO && !device_has_power(device))
		nbdkit_debug("the card has no power");
	if (err)
		nbdkit_set_error(-err);
	return err ? -1 : 0;
}

static int
in_sectors(uint64_t offset, uint64_t len)
{
	return (offset | len) % SDCARD_SECTOR == 0 ? 0 : -EINVAL;
}

/* ---- commands
 * ------------------------------------------------------------------------ */

static int
refuse(const char *line)
{
	nbdkit_error("control: \"%s\": it is one of: cut, cut N, on, reset, "
		     "idle MS, save",
		     line);
	nbdkit_set_error(EINVAL);
	return -1;
}

static int
command(const char *bytes, uint32_t len)
{
	char line[LINE_BYTES];
	unsigned long long number;
	uint32_t n = 0;

	while (n < len && n < sizeof line - 1 && bytes[n] && bytes[n] != '\n')
		n++;
	memcpy(line, bytes, n);
	line[n] = 0;
	if (strcmp(line, "cut") == 0) {
		int err = device_cut(device);

		if (err)
			nbdkit_error("control: the cut failed: %s",
				     strerror(-err));
		return err || save() ? -1 : 0;
	}
	if (sscanf(line, "cut %llu", &number) == 1)
		device_cut_in(device, number);
	else if (sscanf(line, "idle %llu", &number) == 1 && number < 1u << 31)
		sdcard_idle(device_card(device), (int64_t)number * 1000000);
	else if (strcmp(line, "on") == 0)
		device_power_on(device);
	else if (strcmp(line, "reset") == 0)
		sdcard_counts_reset(device_card(device));
	else if (strcmp(line, "save") == 0)
		return save() ? -1 : 0;
	else
		return refuse(line);
	return 0;
}

/* ---- requests
 * -------------------------------------------------------------------------- */

static int
read_bytes(void *handle, void *buf, uint32_t len, uint64_t offset,
	   uint32_t flags)
{
	struct connection *c = handle;
	int64_t begun;
	int err = in_sectors(offset, len);

	(void)flags;
	if (c->to != CARD) {
		memset(buf, 0, len);
		if (c->to == STATS)
			memcpy(buf, c->text + offset, len);
		return 0;
	}
	begun = begin();
	return end(begun, err ? err : device_read(device, buf, len, offset));
}

static int
write_bytes(void *handle, const void *buf, uint32_t len, uint64_t offset,
	    uint32_t flags)
{
	struct connection *c = handle;
	uint64_t cuts = device_cuts(device);
	int err = in_sectors(offset, len);
	int64_t begun;

	if (c->to == CONTROL)
		return command(buf, len);
	begun = begin();
	if (!err)
		err = device_write(device, buf, len, offset);
	if (!err && flags & NBDKIT_FLAG_FUA)
		err = device_flush(device);
	if (device_cuts(device) != cuts)
		save();
	return end(begun, err);
}

static int
flush(void *handle, uint32_t flags)
{
	int64_t begun = begin();

	(void)handle, (void)flags;
	return end(begun, device_flush(device));
}

static int
trim(void *handle, uint32_t len, uint64_t offset, uint32_t flags)
{
	int err = in_sectors(offset, len);
	int64_t begun = begin();

	(void)handle;
	if (!err)
		err = device_discard(device, offset, len);
	if (!err && flags & NBDKIT_FLAG_FUA)
		err = device_flush(device);
	return end(begun, err);
}

static struct nbdkit_plugin plugin = {
	.name = "sdcard",
	.longname = "modelled SD card",
	.description = "Serves a file as if it were an SD card: with the "
		       "card's time, and its losses when power fails.",
	.unload = unload,
	.config = config,
	.config_complete = config_complete,
	.config_help = CONFIG_HELP,
	.magic_config_key = "file",
	.get_ready = get_ready,
	.cleanup = cleanup,
	.list_exports = list_exports,
	.open = open_connection,
	.close = close_connection,
	.get_size = get_size,
	.block_size = block_size,
	.can_write = can_write,
	.can_flush = is_card,
	.can_trim = is_card,
	.can_zero = no, /* cards have no such command: nbdkit writes zeroes */
	.can_fua = can_fua,
	.can_multi_conn = is_card, /* one card behind all of them */
	.is_rotational = no,
	.pread = read_bytes,
	.pwrite = write_bytes,
	.flush = flush,
	.trim = trim,
	.errno_is_preserved = 1,
};

NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
