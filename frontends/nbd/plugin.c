/*
 * plugin.c - nbdkit-lbs-plugin: parameters, exports and capabilities; the
 * callbacks that nbdkit sees.
 * Must never hold a store across nbdkit's fork: .get_ready only looks,
 * .after_fork opens. Must never log the value of a parameter that may be
 * secret.
 */
#include "frontends/nbd/plugin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define THREAD_MODEL  NBDKIT_THREAD_MODEL_PARALLEL
#define DEFAULT_VDISK "disk"

NBDKIT_DLL_PUBLIC int lbs_debug_io;

static struct server_options options = { .link_fd = -1 };
static char *vdisk; /* the only export, or NULL for all of them */

/* ---- parameters -------------------------------------------------------- */

/* Replaces a string parameter; the last one given counts. */
static int
set_text(const char **field, char *value)
{
	if (!value)
		return -1;
	free((char *)*field);
	*field = value;
	return 0;
}

/* Links are resolved, so that the files beside the store are found by whoever
 * names it differently. What does not exist is the library's to explain. */
static int
set_store(const char *value)
{
	char *path = realpath(value, NULL);

	return set_text(&options.path,
			path ? path : nbdkit_absolute_path(value));
}

static int
set_bool(int *field, const char *value)
{
	int yes = nbdkit_parse_bool(value);

	if (yes < 0)
		return -1;
	*field = yes;
	return 0;
}

static int
set_map_limit(const char *value)
{
	int64_t bytes = nbdkit_parse_size(value);

	if (bytes < 0)
		return -1;
	options.map_limit_bytes = (uint64_t)bytes;
	return 0;
}

static int
is_key_material(const char *key)
{
	static const char *const keys[] = {
		"passphrase", "passphrase-file", "passphrase-command",
		"key-file",   "keyfile",	 NULL,
	};

	for (int i = 0; keys[i]; i++)
		if (strcmp(key, keys[i]) == 0)
			return 1;
	return 0;
}

static int
config(const char *key, const char *value)
{
	if (strcmp(key, "store") == 0)
		return set_store(value);
	if (strcmp(key, "vdisk") == 0)
		return set_text((const char **)&vdisk,
				strdup(value[0] ? value : DEFAULT_VDISK));
	if (strcmp(key, "data") == 0)
		return set_text(&options.data_dir, nbdkit_absolute_path(value));
	if (strcmp(key, "read-only") == 0)
		return set_bool(&options.read_only, value);
	if (strcmp(key, "map-limit") == 0)
		return set_map_limit(value);
	if (strcmp(key, "owner") == 0)
		return set_text(&options.owner, strdup(value));
	if (strcmp(key, "link-fd") == 0)
		return nbdkit_parse_int("link-fd", value, &options.link_fd);
	if (is_key_material(key)) {
		nbdkit_error("%s=: key protection is not built yet: this "
			     "version keeps the data key in the metadata file",
			     key);
		return -1;
	}
	nbdkit_error("%s=: no such parameter: see nbdkit lbs --help", key);
	return -1;
}

static int
config_complete(void)
{
	if (!options.path) {
		nbdkit_error("which store? name its metadata file: "
			     "nbdkit lbs corp.lbs");
		return -1;
	}
	if (!options.owner && set_text(&options.owner, strdup("nbdkit")) < 0)
		return -1;
	return 0;
}

static void
unload(void)
{
	free((char *)options.path);
	free((char *)options.data_dir);
	free((char *)options.owner);
	free(vdisk);
}

#define CONFIG_HELP                                                                   \
	"store=<FILE>      (required) the store's metadata file; may stand alone\n"   \
	"vdisk=<NAME>      serve only this vdisk (default: all; \"\" is \"disk\")\n"  \
	"data=<DIR>        the data directory, where the card is mounted elsewhere\n" \
	"read-only=<BOOL>  write nothing, neither to the card nor to the metadata\n"  \
	"map-limit=<SIZE>  memory for the block map (default: 64M)\n"                 \
	"owner=<NAME>      the program name that a second opener is told\n"           \
	"link-fd=<FD>      socket to a supervisor; for lbs-nbd"

static void
dump_plugin(void)
{
	printf("lbs_version=%s\n", lbs_version());
	printf("lbs_format_version=1\n");
	printf("lbs_ciphers=chacha20poly1305 aes256gcm\n");
	printf("lbs_block_size=4096\n");
	printf("lbs_key_protection=no\n");
	printf("lbs_control_socket=yes\n");
}

/* ---- lifecycle --------------------------------------------------------- */

static int
get_ready(void)
{
	return server_probe(&options) < 0 ? -1 : 0;
}

static int
after_fork(void)
{
	options.vdisk = vdisk;
	return server_start(&options) < 0 ? -1 : 0;
}

/* ---- exports ----------------------------------------------------------- */

struct export_list {
	struct nbdkit_exports *exports;
	int failed;
};

static int
add_export(void *ctx, const char *name, uint64_t size_bytes)
{
	struct export_list *list = ctx;

	(void)size_bytes;
	if (!vdisk || strcmp(name, vdisk) == 0)
		list->failed |= nbdkit_add_export(list->exports, name,
						  "LBS virtual disk") == -1;
	return list->failed;
}

static int
list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	struct export_list list = { .exports = exports };
	int rc;

	(void)readonly, (void)is_tls;
	server_enter();
	rc = lbs_store_vdisks(server_store(), add_export, &list);
	server_leave();
	if (rc < 0)
		nbdkit_set_error(lbs_errno(rc));
	return rc < 0 || list.failed ? -1 : 0;
}

static const char *
default_export(int readonly, int is_tls)
{
	(void)readonly, (void)is_tls;
	return vdisk ? vdisk : DEFAULT_VDISK;
}

static const char *
export_description(void *handle)
{
	struct connection *connection = handle;
	const char *text;

	server_enter();
	text = nbdkit_printf_intern("LBS virtual disk %s",
				    lbs_vdisk_name(connection->vdisk));
	server_leave();
	return text;
}

static int
find_name(void *ctx, const char *name, uint64_t size_bytes)
{
	const char **wanted = ctx;

	(void)size_bytes;
	if (strcmp(name, *wanted) != 0)
		return 0;
	*wanted = NULL;
	return 1;
}

static void *
open_connection(int readonly)
{
	const char *name = nbdkit_export_name(), *wanted;
	struct connection *connection = NULL;
	int rc = LBS_ENOENT;

	(void)readonly;
	if (!name)
		return NULL;
	if (!name[0])
		name = default_export(readonly, 0);
	wanted = name;
	server_enter();
	/* Names come from clients: those that do not exist are not worth a line
	 * in the log. */
	lbs_store_vdisks(server_store(), find_name, &wanted);
	if (!wanted && (!vdisk || strcmp(name, vdisk) == 0))
		rc = server_connect(name, &connection);
	server_leave();
	if (rc < 0) {
		nbdkit_debug("no connection: %s [%s]", lbs_strerror(rc),
			     lbs_error_word(rc));
		nbdkit_set_error(lbs_errno(rc));
	}
	return connection;
}

static void
close_connection(void *handle)
{
	server_enter();
	server_disconnect(handle);
	server_leave();
}

/* ---- capabilities: the same for every connection ----------------------- */

static int
yes(void *handle)
{
	(void)handle;
	return 1;
}

static int
no(void *handle)
{
	(void)handle;
	return 0;
}

static int
can_write(void *handle)
{
	(void)handle;
	return !options.read_only;
}

static int
can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

static int
can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_NATIVE;
}

static struct nbdkit_plugin plugin = {
	.name = "lbs",
	.longname = "Logging Block Store",
	.version = LBS_VERSION,
	.description = "Serves a Logging Block Store: an encrypted, "
		       "authenticated disk on a card.",
	.unload = unload,
	.config = config,
	.config_complete = config_complete,
	.config_help = CONFIG_HELP,
	.magic_config_key = "store",
	.dump_plugin = dump_plugin,
	.get_ready = get_ready,
	.after_fork = after_fork,
	.cleanup = server_finish,
	.list_exports = list_exports,
	.default_export = default_export,
	.export_description = export_description,
	.open = open_connection,
	.close = close_connection,
	.get_size = io_size,
	.block_size = io_block_size,
	.can_write = can_write,
	.can_flush = yes,
	.can_trim = yes,
	.can_zero = yes,
	.can_fast_zero = yes,
	.can_extents = yes,
	/* One store behind all connections: a flush on one covers all. */
	.can_multi_conn = yes,
	.can_fua = can_fua,
	.can_cache = can_cache,
	.is_rotational = no,
	.pread = io_read,
	.pwrite = io_write,
	.flush = io_flush,
	.trim = io_trim,
	.zero = io_zero,
	.extents = io_extents,
	.cache = io_cache,
	.errno_is_preserved = 1,
};

NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
