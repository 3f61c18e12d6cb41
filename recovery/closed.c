/* closed.c - see closed.h. Writes nothing. */
#include "recovery/closed.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"

static const struct logger quiet = { NULL, NULL };

void
closed_free(struct closed *c)
{
	if (c->card)
		c->card->ops->close(c->card);
	meta_abandon(c->meta);
	run_file_close(c->lock);
	secret_free(c->key);
}

int
closed_card(struct closed *c, const struct meta_store *row, const uint8_t *key,
	    const char *data_dir)
{
	int rc = secret_init() ? LBS_EINTERNAL : 0;

	if (rc == 0 && !(c->key = secret_alloc(DATA_KEY_BYTES)))
		rc = LBS_ENOMEM;
	if (rc)
		return rc;
	memcpy(c->key, key, DATA_KEY_BYTES);
	c->sealer.cipher = row->cipher;
	c->sealer.segment_bytes = row->segment_size;
	memcpy(c->sealer.store_id, row->store_id, STORE_ID_BYTES);
	c->sealer.data_key = c->key;
	c->geometry = (struct geometry){
		row->segment_size,
		(uint32_t)(row->chunk_size / row->segment_size),
		row->capacity_segments
	};
	return code_of_errno(medium_posix_open(
		data_dir ? data_dir : row->data_dir, 0, &c->card));
}

int
closed_open(const char *path, const char *data_dir, struct closed *c)
{
	char real[4096];
	uint8_t *key = NULL;
	int rc;

	*c = (struct closed){ 0 };
	if (!realpath(path, real))
		return LBS_ENOENT;
	rc = run_file_open(real, "lbsck", 1, &quiet, &c->lock);
	if (rc == 0)
		rc = meta_open(real, NULL, META_RDONLY, &quiet, &c->meta);
	if (rc == 0)
		rc = secret_init() ? LBS_EINTERNAL : 0;
	if (rc == 0 && !(key = secret_alloc(DATA_KEY_BYTES)))
		rc = LBS_ENOMEM;
	if (rc == 0)
		rc = meta_data_key(c->meta, key);
	if (rc == 0)
		rc = closed_card(c, meta_store_row(c->meta), key, data_dir);
	secret_free(key);
	return rc;
}

uint64_t
closed_serial(struct closed *c, uint32_t segment, uint8_t salt[SALT_BYTES])
{
	struct scan_source src = { &c->sealer, &c->geometry, c->card, 0 };
	uint32_t chunk = geometry_chunk(&c->geometry, segment);
	struct segment_sealed header;

	if (!c->card ||
	    c->card->ops->open(c->card, chunk, MEDIUM_OPEN_RDONLY) ||
	    scan_header(&src, segment, salt, &header) != SCAN_OK)
		return 0;
	return header.serial;
}
