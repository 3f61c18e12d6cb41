/*
 * speed.c - how fast: 4 KiB at random places by one, two and sixteen threads,
 * linked directly, beside the cipher alone: libsodium's, which the targets are of.
 * Must never judge: micro.sh sets the targets beside what it saw.
 *
 * The rounds alternate between the cipher and the store, so that both see the same
 * machine. With several threads the cipher's rate is still that of one.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit.h"
#include "crypto/aead.h"

#define THREADS_MAX 16

/* libsodium's cipher, where aead.h has another for long messages. */
static int
sodium_seal(int cipher, const uint8_t *key, const uint8_t *nonce,
	    const uint8_t *ad, size_t ad_len, const uint8_t *m, size_t m_len,
	    uint8_t *c)
{
	(void)cipher;
	return crypto_aead_chacha20poly1305_ietf_encrypt(
		c, NULL, m, m_len, ad, ad_len, NULL, nonce, key);
}

static int
sodium_open(int cipher, const uint8_t *key, const uint8_t *nonce,
	    const uint8_t *ad, size_t ad_len, const uint8_t *c, size_t c_len,
	    uint8_t *m)
{
	(void)cipher;
	return crypto_aead_chacha20poly1305_ietf_decrypt(
		m, NULL, NULL, c, c_len, ad, ad_len, nonce, key);
}

struct cipher {
	int (*seal)(int cipher, const uint8_t *key, const uint8_t *nonce,
		    const uint8_t *ad, size_t ad_len, const uint8_t *m,
		    size_t m_len, uint8_t *c);
	int (*open)(int cipher, const uint8_t *key, const uint8_t *nonce,
		    const uint8_t *ad, size_t ad_len, const uint8_t *c,
		    size_t c_len, uint8_t *m);
};
static const struct cipher sodiums = { sodium_seal, sodium_open },
			   ours = { aead_seal, aead_open };

/* Blocks a second of a cipher alone, sealing or opening 4 KiB. */
static double
cipher_rate(const struct cipher *of, uint64_t count, int opening)
{
	static uint8_t sealed[BLOCK + AEAD_TAG_BYTES], plain[BLOCK];
	uint8_t key[AEAD_KEY_BYTES] = { 1 }, ad[16] = { 2 };
	uint8_t nonce[AEAD_NONCE_BYTES] = { 3 };
	double begun;

	of->seal(LBS_CIPHER_CHACHA20POLY1305, key, nonce, ad, sizeof ad,
		 some_block(0), BLOCK, sealed);
	begun = now();
	for (uint64_t i = 0; i < count; i++)
		if (opening
			    ? of->open(LBS_CIPHER_CHACHA20POLY1305, key, nonce,
				       ad, sizeof ad, sealed, sizeof sealed,
				       plain)
			    : of->seal(LBS_CIPHER_CHACHA20POLY1305, key, nonce,
				       ad, sizeof ad, some_block(i), BLOCK,
				       sealed))
			die("the cipher", LBS_EINTERNAL);
	return (double)count / (now() - begun);
}

struct client {
	pthread_t thread;
	struct bench *b;
	uint64_t seed, count;
	int reading;
};

static void *
work(void *arg)
{
	struct client *c = arg;
	uint64_t blocks = c->b->size_bytes / BLOCK;
	uint8_t block[BLOCK];

	for (uint64_t i = 0; i < c->count; i++) {
		uint64_t at = draw_from(&c->seed, blocks) * BLOCK;

		must(c->reading ? lbs_vdisk_read(c->b->disk, block, BLOCK, at)
				: lbs_vdisk_write(c->b->disk, some_block(i),
						  BLOCK, at, 0),
		     "a request");
	}
	return NULL;
}

/* Blocks a second of so many threads, which share count blocks. */
static double
store_rate(struct bench *b, int threads, uint64_t count, int reading)
{
	static uint64_t seed = 1;
	struct client c[THREADS_MAX];
	double begun = now();

	count /= (uint64_t)threads;
	for (int t = 0; t < threads; t++) {
		c[t] = (struct client){ .b = b, .seed = ++seed * 1000003,
					.count = count, .reading = reading };
		if (threads == 1)
			work(&c[t]);
		else if (pthread_create(&c[t].thread, NULL, work, &c[t]))
			die("a thread", LBS_ENOMEM);
	}
	for (int t = 0; t < threads && threads > 1; t++)
		pthread_join(c[t].thread, NULL);
	return (double)count * threads / (now() - begun);
}

/* One kind of load over all rounds: its share of libsodium's cipher and the
 * rates. */
static void
load(struct bench *b, const char *name, int threads, int rounds, uint64_t count,
     int reading)
{
	double share[ROUNDS_MAX], rate[ROUNDS_MAX], cipher[ROUNDS_MAX];
	double used[ROUNDS_MAX];
	char label[64];

	for (int r = 0; r < rounds; r++) {
		cipher[r] = cipher_rate(&sodiums, count, reading);
		used[r] = cipher_rate(&ours, count, reading);
		rate[r] = store_rate(b, threads, count, reading);
		share[r] = 100 * rate[r] / cipher[r];
	}
	snprintf(label, sizeof label, "%s_share", name);
	figure(label, share, rounds, "% of libsodium's cipher");
	snprintf(label, sizeof label, "%s_rate", name);
	figure(label, rate, rounds, "blocks/s");
	snprintf(label, sizeof label, "%s_cipher", name);
	figure(label, cipher, rounds, "blocks/s, one thread");
	snprintf(label, sizeof label, "%s_cipher_used", name);
	figure(label, used, rounds, "blocks/s, one thread");
}

int
main(int argc, char **argv)
{
	int rounds = argc == 4 ? atoi(argv[2]) : 0;
	uint64_t count = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	struct bench b;

	if (rounds < 1 || rounds > ROUNDS_MAX || count < THREADS_MAX) {
		fprintf(stderr, "speed DIR ROUNDS COUNT\n");
		return 2;
	}
	kit_init();
	place(&b, argv[1], argv[1]);
	make_store(&b, GIB,
		   2 * GIB + (uint64_t)(3 * rounds + 1) * count * 4300, 1);
	write_sequential(&b, 0, GIB);
	write_random(&b, count);
	must(lbs_store_checkpoint(b.store), "checkpoint");
	load(&b, "write", 1, rounds, count, 0);
	load(&b, "read", 1, rounds, count, 1);
	load(&b, "write_2", 2, rounds, count, 0);
	load(&b, "read_2", 2, rounds, count, 1);
	load(&b, "write_16", 16, rounds, count, 0);
	close_store(&b);
	return 0;
}
