/*
 * nonce_audit.h - watches every sealing of the test program for a (key, nonce)
 * pair that recurs (promise 8). Link with -Wl,--wrap=aead_seal.
 * Must never keep a key: pairs are remembered as BLAKE2b hashes.
 * The linker gives the wrapper no context, so there is one audit per program.
 */
#ifndef LBS_TESTS_NONCE_AUDIT_H
#define LBS_TESTS_NONCE_AUDIT_H

#include <stddef.h>
#include <stdint.h>

/* Forgets all pairs, not the repeats. One store's history, with all the ways
 * it might have gone on, belongs between two resets. */
void nonce_audit_reset(void);
/* Remembers a pair; 1 if it had been seen since the reset. */
int nonce_audit_add(const uint8_t key[32], const uint8_t nonce[12]);
/* Sealings seen, and how many of them repeated a pair, since the start. */
uint64_t nonce_audit_sealings(void);
uint64_t nonce_audit_repeats(void);

#endif
