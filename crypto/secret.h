/*
 * secret.h - memory for keys, wiping, randomness. Secrets live in locked
 * memory that is left out of core dumps, and are wiped when freed.
 */
#ifndef LBS_CRYPTO_SECRET_H
#define LBS_CRYPTO_SECRET_H

#include <stddef.h>
#include <stdint.h>

/* Prepares libsodium; cheap when repeated. 0, or -1 if it cannot run here. */
int secret_init(void) __attribute__((warn_unused_result));
/* Guarded, locked, zeroed memory; NULL when there is none. Not inherited over
 * fork: allocate in the process that uses it. */
void *secret_alloc(size_t len);
/* Wipes and frees; NULL is allowed. */
void secret_free(void *p);
void secret_wipe(void *p, size_t len);
/* Random bytes of the kernel, fresh at each call. */
void secret_random(void *p, size_t len);
/* Eight bytes that do not come again, for nonces: fresh at each call, also in
 * each of two copies of a process that was frozen and resumed twice, so nothing
 * is drawn ahead. Need not be hard to guess. Taken from the processor where it
 * has a generator (a tenth of a system call's cost), else from the kernel. */
void secret_unique(uint8_t out[8]);

#endif
