/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and keyed hashes over OpenSSL 3 (libcrypto). */
#ifndef SFS_BASE_HASH_H
#define SFS_BASE_HASH_H

#include <stddef.h>

/* Writes the first `digits` (at most 64, even) hex digits of SHA-256(data) and a NUL to `out`. 0 or
 * -EIO. */
int hash_hex(const void *data, size_t len, char *out, size_t digits);

/* One part of a keyed hash: HMAC-SHA256 over several parts, each preceded by its length, so that
 * ("ab","c") and
 * ("a","bc") differ. */
struct hash_part {
	const void *data;
	size_t len;
};

/* As hash_hex() under a random key of this process (made on first use, kept in the secret arena),
 * so that a short value cannot be guessed from the version text it gives. Equal input gives equal
 * text as long as the process lives (a forked child has a key of its own). 0, -EIO, or -ENOMEM when
 * the arena is full. `out` is untouched on failure. */
int hash_keyed_hex(const struct hash_part *parts, size_t n, char *out, size_t digits);

/* Tests: forgets the key and gives its block back, before secret_fini(). */
void hash_fini(void);

#endif
