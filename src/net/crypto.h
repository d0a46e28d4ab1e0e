/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What signing and decoding need of OpenSSL, and base64 and hex. Key material passed in is the
 * caller's to wipe; temporaries are wiped here. Functions return 0 or -errno; ENOMEM when OpenSSL
 * cannot allocate, EIO when it refuses.
 */
#ifndef SFS_NET_CRYPTO_H
#define SFS_NET_CRYPTO_H

#include "base/buf.h"
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32
#define SHA256_HEX (2 * SHA256_LEN + 1)
#define SHA1_HEX   41
#define UUID_TEXT  37

int crypto_sha256(const void *data, size_t len, unsigned char ret[SHA256_LEN]);
int crypto_sha256_hex(const void *data, size_t len, char ret[SHA256_HEX]);
/* Names of cache files of others (AWS SSO); never for security. */
int crypto_sha1_hex(const void *data, size_t len, char ret[SHA1_HEX]);
int crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	unsigned char ret[SHA256_LEN]);
void crypto_hex(const void *data, size_t len, char *ret); /* 2 * len + 1 bytes, lower case */
/* A random version 4 UUID (RFC 9562) from getrandom(2). */
void crypto_uuid(char ret[UUID_TEXT]);

/* An RSA private key (crypto_rsa.c). */
#define CRYPTO_RSA_MIN 2048 /* bits */
struct crypto_rsa;
/* Out of PEM (PKCS#8 or PKCS#1). -EINVAL: it is none; -EACCES: it is encrypted, nobody is asked for
 * a password; -EOPNOTSUPP: another kind of key; -ERANGE: shorter than CRYPTO_RSA_MIN; -ENOMEM. */
int crypto_rsa_load(const char *pem, size_t len, struct crypto_rsa **ret);
/* NULL is fine. */
void crypto_rsa_free(struct crypto_rsa *key);
/* Appends the signature RSASSA-PKCS1-v1_5 with SHA-256 (RS256 of RFC 7518 section 3.3). */
int crypto_rsa_sign(struct crypto_rsa *key, const void *data, size_t len, struct buf *ret);

enum base64_flags {
	BASE64_STRICT = 0, /* RFC 4648 section 4: the + / alphabet, padding, nothing else */
	BASE64_URL = 1,	   /* the - _ alphabet */
	BASE64_NO_PAD = 2, /* padding may be missing, but not be wrong */
};
/* Appends the decoded bytes, or nothing: -EBADMSG for any byte outside the alphabet, blanks
 * included, wrong length, wrong padding, or bits that do not belong to a byte (R53); -EFBIG,
 * -ENOMEM of the buffer. */
int base64_decode(struct buf *out, const char *text, size_t len, unsigned flags);
int base64_encode(struct buf *out, const void *data, size_t len, unsigned flags);

#endif
