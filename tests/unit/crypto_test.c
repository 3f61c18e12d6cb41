/*
 * crypto_test - the ciphers against libsodium called directly, their behaviour
 * under tampering, and keys that differ wherever their purpose differs.
 */
#include "tests/unit/unit.h"

#include <openssl/err.h>
#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/bulk.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"

static uint8_t key[AEAD_KEY_BYTES], nonce[AEAD_NONCE_BYTES];

static const int ciphers[] = { AEAD_CHACHA20POLY1305, AEAD_AES256GCM };
#define EACH_CIPHER(c) \
	(size_t c##_ = 0, c = 0; \
	 c##_ < 2 && (c = (size_t)ciphers[c##_], 1); c##_++) \
		if (aead_available((int)c))

static void
hex(const char *text, uint8_t *out, size_t len)
{
	size_t got;

	assert_int_equal(sodium_hex2bin(out, len, text, strlen(text), " \n",
					&got, NULL), 0);
	assert_int_equal(got, len);
}

/* RFC 8439, section 2.8.2. */
static void
chacha20poly1305_is_that_of_the_rfc(void **state)
{
	const char *text =
		"Ladies and Gentlemen of the class of '99: If I could offer you "
		"only one tip for the future, sunscreen would be it.";
	uint8_t k[32], n[12], ad[12], want[114 + 16], got[114 + 16];

	(void)state;
	hex("808182838485868788898a8b8c8d8e8f"
	    "909192939495969798999a9b9c9d9e9f", k, sizeof k);
	hex("070000004041424344454647", n, sizeof n);
	hex("50515253c0c1c2c3c4c5c6c7", ad, sizeof ad);
	hex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	    "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd060"
	    "0691", want, sizeof want);
	assert_int_equal(strlen(text), 114);
	aead_seal(AEAD_CHACHA20POLY1305, k, n, ad, sizeof ad,
		  (const uint8_t *)text, 114, got);
	assert_memory_equal(got, want, sizeof want);
}

static void
sealing_is_libsodiums(void **state)
{
	uint8_t m[5000], ad[40], ours[sizeof m + 16], theirs[sizeof m + 16];
	unsigned long long len;

	(void)state;
	for (int i = 0; i < 50; i++) {
		size_t n = draw(sizeof m), a = draw(sizeof ad);

		draw_bytes(m, n);
		draw_bytes(ad, a);
		draw_bytes(nonce, sizeof nonce);
		aead_seal(AEAD_CHACHA20POLY1305, key, nonce, ad, a, m, n, ours);
		crypto_aead_chacha20poly1305_ietf_encrypt(
			theirs, &len, m, n, ad, a, NULL, nonce, key);
		assert_int_equal(len, n + AEAD_TAG_BYTES);
		assert_memory_equal(ours, theirs, n + AEAD_TAG_BYTES);
		if (!aead_available(AEAD_AES256GCM))
			continue;
		aead_seal(AEAD_AES256GCM, key, nonce, ad, a, m, n, ours);
		crypto_aead_aes256gcm_encrypt(theirs, &len, m, n, ad, a, NULL,
					      nonce, key);
		assert_memory_equal(ours, theirs, n + AEAD_TAG_BYTES);
	}
}

static void
what_was_sealed_opens(void **state)
{
	uint8_t m[200], ad[24], c[sizeof m + AEAD_TAG_BYTES], back[sizeof m];

	(void)state;
	draw_bytes(m, sizeof m);
	draw_bytes(ad, sizeof ad);
	for EACH_CIPHER (cipher) {
		assert_int_equal(aead_seal((int)cipher, key, nonce, ad,
					   sizeof ad, m, sizeof m, c), 0);
		assert_int_equal(aead_open((int)cipher, key, nonce, ad,
					   sizeof ad, c, sizeof c, back), 0);
		assert_memory_equal(m, back, sizeof m);
		/* In place, as the index is opened. */
		assert_int_equal(aead_open((int)cipher, key, nonce, ad,
					   sizeof ad, c, sizeof c, c), 0);
		assert_memory_equal(m, c, sizeof m);
	}
}

/* As compressed blocks are. */
static void
what_is_sealed_in_place_is_the_same(void **state)
{
	uint8_t m[4096 + AEAD_TAG_BYTES], ad[24], c[sizeof m];

	(void)state;
	for EACH_CIPHER (cipher) {
		for (size_t len = 0; len <= 4096; len += 1 + draw(61)) {
			draw_bytes(m, len);
			draw_bytes(ad, sizeof ad);
			aead_seal((int)cipher, key, nonce, ad, sizeof ad, m, len,
				  c);
			aead_seal((int)cipher, key, nonce, ad, sizeof ad, m, len,
				  m);
			assert_memory_equal(m, c, len + AEAD_TAG_BYTES);
		}
	}
}

static void
any_changed_bit_is_found_out(void **state)
{
	uint8_t m[40], c[sizeof m + AEAD_TAG_BYTES], back[sizeof m];
	uint8_t all[sizeof c + 24 + AEAD_NONCE_BYTES + AEAD_KEY_BYTES];
	uint8_t *ad = all + sizeof c, *n = ad + 24, *k = n + AEAD_NONCE_BYTES;

	(void)state;
	draw_bytes(m, sizeof m);
	for EACH_CIPHER (cipher) {
		draw_bytes(all, sizeof all);
		aead_seal((int)cipher, k, n, ad, 24, m, sizeof m, all);
		for (size_t bit = 0; bit < sizeof all * 8; bit++) {
			all[bit / 8] ^= (uint8_t)(1u << bit % 8);
			memset(back, 0, sizeof back);
			assert_int_equal(aead_open((int)cipher, k, n, ad, 24,
						   all, sizeof c, back), -1);
			assert_memory_not_equal(back, m, sizeof m);
			all[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_int_equal(aead_open((int)cipher, k, n, ad, 24, all,
					   sizeof c, back), 0);
		/* Nor may anything be cut off, of data or of tag. */
		for (size_t len = 0; len < sizeof c; len++)
			assert_int_equal(aead_open((int)cipher, k, n, ad, 24,
						   all, len, back), -1);
		for (size_t len = 0; len < 24; len++)
			assert_int_equal(aead_open((int)cipher, k, n, ad, len,
						   all, sizeof c, back), -1);
	}
}

/* What OpenSSL does is what libsodium does, with altered messages, too, and leaves no
 * error behind for the program that we are in. */
static void
long_messages_are_those_of_libsodium(void **state)
{
	static uint8_t m[9000], ours[sizeof m + 16], theirs[sizeof m + 16];
	static uint8_t back[sizeof m];
	static const uint8_t zeroes[sizeof m];
	uint8_t ad[24];

	(void)state;
	ERR_clear_error();
	draw_bytes(ad, sizeof ad);
	draw_bytes(m, sizeof m);
	for EACH_CIPHER (cipher) {
		for (size_t n = BULK_BYTES - 40; n < sizeof m; n += 1 + draw(97)) {
			size_t at = draw((uint32_t)(n + 16) * 8);

			assert_int_equal(bulk_seal((int)cipher, key, nonce, ad,
						   sizeof ad, m, n, ours),
					 BULK_DONE);
			if (cipher == AEAD_AES256GCM)
				crypto_aead_aes256gcm_encrypt(
					theirs, NULL, m, n, ad, sizeof ad, NULL,
					nonce, key);
			else
				crypto_aead_chacha20poly1305_ietf_encrypt(
					theirs, NULL, m, n, ad, sizeof ad, NULL,
					nonce, key);
			assert_memory_equal(ours, theirs, n + 16);
			assert_int_equal(bulk_open((int)cipher, key, nonce, ad,
						   sizeof ad, ours, n, back),
					 BULK_DONE);
			assert_memory_equal(back, m, n);
			ours[at / 8] ^= (uint8_t)(1u << at % 8);
			assert_int_equal(bulk_open((int)cipher, key, nonce, ad,
						   sizeof ad, ours, n, back),
					 BULK_FORGED);
			assert_memory_equal(back, zeroes, n);
			ad[at % sizeof ad] ^= 1;
			assert_int_equal(aead_open((int)cipher, key, nonce, ad,
						   sizeof ad, theirs, n + 16,
						   back), -1);
			ad[at % sizeof ad] ^= 1;
		}
	}
	assert_int_equal(bulk_seal(AEAD_AEGIS256, key, nonce, ad, sizeof ad, m,
				   sizeof m, ours), BULK_CANNOT);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
ciphers_have_names_and_unknown_ones_are_not_available(void **state)
{
	(void)state;
	assert_true(aead_available(AEAD_CHACHA20POLY1305));
	assert_string_equal(aead_name(AEAD_CHACHA20POLY1305),
			    "chacha20poly1305");
	assert_string_equal(aead_name(AEAD_AES256GCM), "aes256gcm");
	assert_string_equal(aead_name(AEAD_AEGIS256), "aegis256");
	for (int c = -3; c < 300; c++)
		if (c != AEAD_CHACHA20POLY1305 && c != AEAD_AES256GCM)
			assert_false(aead_available(c));
}

/* FORMAT.md section 3: 44 bytes of input under the data key. */
static void
keys_are_blake2b_of_what_they_are_for(void **state)
{
	uint8_t in[44], want[32], got[32], id[16], salt[16];

	(void)state;
	draw_bytes(id, sizeof id);
	draw_bytes(salt, sizeof salt);
	memcpy(in, "LBSseg1\0", 8);
	memcpy(in + 8, id, 16);
	memcpy(in + 24, "\x78\x56\x34\x12", 4);
	memcpy(in + 28, salt, 16);
	crypto_generichash(want, 32, in, sizeof in, key, sizeof key);
	kdf_segment_key(key, id, 0x12345678, salt, got);
	assert_memory_equal(got, want, 32);

	memcpy(in, "LBScard\0", 8);
	memset(in + 24, 0, 20);
	crypto_generichash(want, 32, in, sizeof in, key, sizeof key);
	kdf_card_key(key, id, got);
	assert_memory_equal(got, want, 32);
}

static void
one_key_for_one_job(void **state)
{
	uint8_t id[16], salt[16] = { 0 }, k[16 * 8 * 2 + 40][32];
	size_t n = 0;

	(void)state;
	draw_bytes(id, sizeof id);
	kdf_card_key(key, id, k[n++]);
	kdf_segment_key(key, id, 0, salt, k[n++]);
	for (int i = 0; i < 32; i++)
		kdf_segment_key(key, id, 1u << i, salt, k[n++]);
	for (int bit = 0; bit < 128; bit++) {
		salt[bit / 8] ^= (uint8_t)(1u << bit % 8);
		kdf_segment_key(key, id, 0, salt, k[n++]);
		salt[bit / 8] ^= (uint8_t)(1u << bit % 8);
		id[bit / 8] ^= (uint8_t)(1u << bit % 8);
		kdf_segment_key(key, id, 0, salt, k[n++]);
		id[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	key[0] ^= 1;
	kdf_segment_key(key, id, 0, salt, k[n++]);
	kdf_card_key(key, id, k[n++]);
	key[0] ^= 1;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(k[i], k[j], 32);
}

static int
by_value(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

static void
unique_values_do_not_come_again(void **state)
{
	enum { DRAWS = 20000 };
	uint8_t(*drawn)[8] = malloc(DRAWS * sizeof *drawn);

	(void)state;
	assert_non_null(drawn);
	for (int i = 0; i < DRAWS; i++)
		secret_unique(drawn[i]);
	qsort(drawn, DRAWS, sizeof *drawn, by_value);
	for (int i = 1; i < DRAWS; i++)
		assert_memory_not_equal(drawn[i - 1], drawn[i], 8);
	free(drawn);
}

static void
secret_memory_begins_zeroed_and_randomness_is_fresh(void **state)
{
	static const uint8_t zeroes[32];
	uint8_t *p = secret_alloc(32), a[16], b[16];

	(void)state;
	assert_non_null(p);
	assert_memory_equal(p, zeroes, 32);
	secret_random(p, 32);
	assert_memory_not_equal(p, zeroes, 32);
	secret_wipe(p, 32);
	assert_memory_equal(p, zeroes, 32);
	secret_free(p);
	secret_free(NULL);
	secret_random(a, sizeof a);
	secret_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chacha20poly1305_is_that_of_the_rfc),
		cmocka_unit_test(sealing_is_libsodiums),
		cmocka_unit_test(what_was_sealed_opens),
		cmocka_unit_test(what_is_sealed_in_place_is_the_same),
		cmocka_unit_test(any_changed_bit_is_found_out),
		cmocka_unit_test(long_messages_are_those_of_libsodium),
		cmocka_unit_test(ciphers_have_names_and_unknown_ones_are_not_available),
		cmocka_unit_test(keys_are_blake2b_of_what_they_are_for),
		cmocka_unit_test(one_key_for_one_job),
		cmocka_unit_test(secret_memory_begins_zeroed_and_randomness_is_fresh),
		cmocka_unit_test(unique_values_do_not_come_again),
	};

	unit_seed(argc, argv);
	if (secret_init())
		return 1;
	draw_bytes(key, sizeof key);
	draw_bytes(nonce, sizeof nonce);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
