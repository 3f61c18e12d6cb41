/*
 * card.c - FORMAT.md section 4.
 */
#include "liblbs/format/card.h"

#include <string.h>

#include "liblbs/format/bytes.h"

static const uint8_t magic[8] = "LBScard";

/*
 * plain:  0 magic 8 | 8 version 4 | 12 zero 4 | 16 store_id 16 | 32 nonce 12 |
 *         44 zero 4
 */
void
card_plain_encode(const struct card_plain *plain, uint8_t out[CARD_PLAIN_BYTES])
{
	memset(out, 0, CARD_PLAIN_BYTES);
	memcpy(out, magic, sizeof magic);
	put32(out + 8, FORMAT_VERSION);
	memcpy(out + 16, plain->store_id, STORE_ID_BYTES);
	memcpy(out + 32, plain->nonce, CARD_NONCE_BYTES);
}

int
card_plain_decode(const uint8_t in[CARD_PLAIN_BYTES], struct card_plain *out)
{
	if (memcmp(in, magic, sizeof magic) || get32(in + 8) != FORMAT_VERSION ||
	    !all_zero(in + 12, 4) || !all_zero(in + 44, 4))
		return -1;
	memcpy(out->store_id, in + 16, STORE_ID_BYTES);
	memcpy(out->nonce, in + 32, CARD_NONCE_BYTES);
	return 0;
}

/* sealed: 0 session 8 | 8 checkpoint 8 | 16 begun 8 | 24 zero 8 */
void
card_sealed_encode(const struct card_sealed *sealed,
		   uint8_t out[CARD_SEALED_BYTES])
{
	memset(out, 0, CARD_SEALED_BYTES);
	put64(out, sealed->session);
	put64(out + 8, sealed->checkpoint);
	put64(out + 16, sealed->begun);
}

int
card_sealed_decode(const uint8_t in[CARD_SEALED_BYTES], struct card_sealed *out)
{
	out->session = get64(in);
	out->checkpoint = get64(in + 8);
	out->begun = get64(in + 16);
	return out->session <= SESSION_MAX && out->begun <= SESSION_MAX &&
			       all_zero(in + 24, 8)
		       ? 0
		       : -1;
}
