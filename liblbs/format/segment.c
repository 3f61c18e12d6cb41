/*
 * segment.c - FORMAT.md section 5.
 */
#include "liblbs/format/segment.h"

#include <string.h>

#include "liblbs/format/bytes.h"

static const uint8_t magic[8] = "LBSseg1";

/*
 * plain:  0 magic 8 | 8 version 4 | 12 zero 4 | 16 store_id 16 | 32 salt 16 |
 *         48 random 8 | 56 zero 8
 */
void
segment_plain_encode(const struct segment_plain *plain,
		     uint8_t out[SEGMENT_PLAIN_BYTES])
{
	memset(out, 0, SEGMENT_PLAIN_BYTES);
	memcpy(out, magic, sizeof magic);
	put32(out + 8, FORMAT_VERSION);
	memcpy(out + 16, plain->store_id, STORE_ID_BYTES);
	memcpy(out + 32, plain->salt, SALT_BYTES);
	memcpy(out + 48, plain->random, NONCE_RANDOM_BYTES);
}

int
segment_plain_decode(const uint8_t in[SEGMENT_PLAIN_BYTES],
		     struct segment_plain *out)
{
	if (memcmp(in, magic, sizeof magic) || get32(in + 8) != FORMAT_VERSION ||
	    !all_zero(in + 12, 4) || !all_zero(in + 56, 8))
		return -1;
	memcpy(out->store_id, in + 16, STORE_ID_BYTES);
	memcpy(out->salt, in + 32, SALT_BYTES);
	memcpy(out->random, in + 48, NONCE_RANDOM_BYTES);
	return 0;
}

/*
 * sealed: 0 segment 4 | 4 stream 4 | 8 serial 8 | 16 session 8 |
 *         24 first_recno 8 | 32 checkpoint 8 | 40 zero 8
 */
void
segment_sealed_encode(const struct segment_sealed *sealed,
		      uint8_t out[SEGMENT_SEALED_BYTES])
{
	memset(out, 0, SEGMENT_SEALED_BYTES);
	put32(out, sealed->segment);
	put32(out + 4, sealed->stream);
	put64(out + 8, sealed->serial);
	put64(out + 16, sealed->session);
	put64(out + 24, sealed->first_recno);
	put64(out + 32, sealed->checkpoint);
}

int
segment_sealed_decode(const uint8_t in[SEGMENT_SEALED_BYTES],
		      struct segment_sealed *out)
{
	out->segment = get32(in);
	out->stream = get32(in + 4);
	out->serial = get64(in + 8);
	out->session = get64(in + 16);
	out->first_recno = get64(in + 24);
	out->checkpoint = get64(in + 32);
	return out->stream <= STREAM_CLEANER && all_zero(in + 40, 8) ? 0 : -1;
}
