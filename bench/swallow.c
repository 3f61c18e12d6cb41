/*
 * swallow.c - see swallow.h. Linked with --wrap=aead_seal and --wrap=secret_random.
 */
#include "bench/swallow.h"

#include <errno.h>
#include <string.h>

#include "bench/idle.h"
#include "crypto/aead.h"
#include "crypto/secret.h"
#include "liblbs/format/card.h"

/* xorshift64*. */
uint64_t
swallow_draw(void)
{
	static uint64_t seed = 88172645463325252ull;

	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 2685821657736338717ull;
}

int __wrap_aead_seal(int, const uint8_t *, const uint8_t *, const uint8_t *,
		     size_t, const uint8_t *, size_t, uint8_t *);
void __wrap_secret_random(void *buf, size_t len);

int
__wrap_aead_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
		 const uint8_t *ad, size_t ad_len, const uint8_t *in,
		 size_t len, uint8_t *out)
{
	(void)cipher, (void)key, (void)nonce, (void)ad, (void)ad_len;
	(void)in, (void)len, (void)out;
	return 0;
}

void
__wrap_secret_random(void *buf, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = swallow_draw();

		memcpy((uint8_t *)buf + i, &v, len - i < 8 ? len - i : 8);
	}
}

static uint64_t card_size[65536];
static uint8_t card_file[CARD_FILE_BYTES];

static int
card_open(struct medium *m, uint32_t file, int flags)
{
	(void)m;
	return file != MEDIUM_CARD_FILE && !card_size[file] &&
			       !(flags & MEDIUM_OPEN_CREATE)
		       ? -ENOENT
		       : 0;
}

static int
card_length(struct medium *m, uint32_t file, uint64_t *size)
{
	(void)m;
	*size = file == MEDIUM_CARD_FILE ? sizeof card_file : card_size[file];
	return 0;
}

static ssize_t
card_pread(struct medium *m, uint32_t file, void *buf, size_t len, uint64_t at)
{
	(void)m;
	memset(buf, 0, len);
	if (file == MEDIUM_CARD_FILE && at + len <= sizeof card_file)
		memcpy(buf, card_file + at, len);
	return (ssize_t)len;
}

static int
card_pwritev(struct medium *m, uint32_t file, const struct iovec *iov, int n,
	     uint64_t at)
{
	(void)m;
	for (int i = 0; i < n; i++) {
		if (file == MEDIUM_CARD_FILE)
			memcpy(card_file + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	if (file != MEDIUM_CARD_FILE && card_size[file] < at)
		card_size[file] = at;
	return 0;
}

const struct medium_ops swallow_ops = {
	.open = card_open, .size = card_length, .pread = card_pread,
	.pwritev = card_pwritev, .sync = idle_file, .sync_dir = idle_card,
	.lock = idle_card, .remove = idle_file, .close = idle_close,
};
