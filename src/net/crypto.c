/* SPDX-License-Identifier: Apache-2.0 */
#include "net/crypto.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

/* What OpenSSL complained of, as an errno. Its queue is per thread and would be found by whoever
 * asks next, libcurl included: it is left empty. */
static int failure(void)
{
	int code = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE ? ENOMEM : EIO;
	ERR_clear_error();
	return -code;
}

/* Set once: OpenSSL looks its algorithms up by name, which takes longer than a hash. `hmac` has no
 * key. */
static EVP_MD *sha256;
static EVP_MAC_CTX *hmac;

static void find_algorithms(void)
{
	char digest[] = OSSL_DIGEST_NAME_SHA2_256;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	sha256 = EVP_MD_fetch(NULL, OSSL_DIGEST_NAME_SHA2_256, NULL);
	if (ctx && EVP_MAC_CTX_set_params(ctx, params))
		hmac = ctx;
	else
		EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
}

static void need_algorithms(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, find_algorithms);
}

int crypto_sha256(const void *data, size_t len, unsigned char ret[SHA256_LEN])
{
	unsigned char digest[SHA256_LEN];
	need_algorithms();
	if (EVP_Digest(data, len, digest, NULL, sha256 ? sha256 : EVP_sha256(), NULL) != 1)
		return failure();
	memcpy(ret, digest, sizeof(digest));
	OPENSSL_cleanse(digest, sizeof(digest));
	return 0;
}

int crypto_sha256_hex(const void *data, size_t len, char ret[SHA256_HEX])
{
	unsigned char digest[SHA256_LEN];
	int rc = crypto_sha256(data, len, digest);
	if (rc < 0)
		return rc;
	crypto_hex(digest, sizeof(digest), ret);
	OPENSSL_cleanse(digest, sizeof(digest));
	return 0;
}

int crypto_sha1_hex(const void *data, size_t len, char ret[SHA1_HEX])
{
	unsigned char digest[(SHA1_HEX - 1) / 2];
	if (EVP_Digest(data, len, digest, NULL, EVP_sha1(), NULL) != 1)
		return failure();
	crypto_hex(digest, sizeof(digest), ret);
	return 0;
}

int crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	unsigned char ret[SHA256_LEN])
{
	static const unsigned char none = 0; /* OpenSSL takes a NULL key for "the key of before" */
	unsigned char mac[SHA256_LEN];
	size_t mac_len = 0;
	need_algorithms();
	EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_dup(hmac) : NULL;
	bool done = ctx && EVP_MAC_init(ctx, key_len ? key : &none, key_len, NULL) &&
		    EVP_MAC_update(ctx, len ? data : &none, len) &&
		    EVP_MAC_final(ctx, mac, &mac_len, sizeof(mac));
	EVP_MAC_CTX_free(ctx); /* wipes the key */
	if (!done)
		return failure();
	assert(mac_len == sizeof(mac));
	memcpy(ret, mac, sizeof(mac));
	OPENSSL_cleanse(mac, sizeof(mac));
	return 0;
}

void crypto_hex(const void *data, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digits[p[i] >> 4];
		ret[2 * i + 1] = digits[p[i] & 15];
	}
	ret[2 * len] = '\0';
}

void crypto_uuid(char ret[UUID_TEXT])
{
	unsigned char b[16];
	char hex[2 * sizeof(b) + 1];
	ssize_t n;
	do
		n = getrandom(b, sizeof(b), 0);
	while (n < 0 && errno == EINTR);
	assert(n == (ssize_t)sizeof(b)); /* up to 256 bytes are never cut (getrandom(2)) */
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	crypto_hex(b, sizeof(b), hex);
	for (size_t i = 0, o = 0; i < sizeof(hex); i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			ret[o++] = '-';
		ret[o++] = hex[i];
	}
}

static const char base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define NOT_BASE64 64u

static unsigned sextet(unsigned char c, unsigned flags)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	if (c == (flags & BASE64_URL ? '-' : '+'))
		return 62;
	if (c == (flags & BASE64_URL ? '_' : '/'))
		return 63;
	return NOT_BASE64;
}

/* Length without padding; -EBADMSG if there is too much or too little of it. */
static int unpadded(const char *text, size_t len, unsigned flags, size_t *ret)
{
	size_t n = len;
	while (n > 0 && len - n < 2 && text[n - 1] == '=')
		n--;
	if (n % 4 == 1)
		return -EBADMSG;
	if (len % 4 != 0 && (n != len || !(flags & BASE64_NO_PAD)))
		return -EBADMSG;
	*ret = n;
	return 0;
}

/* Decodes 2 to 4 characters; false if one of them is none, or bits are left that belong to no byte.
 */
static bool decode_group(const char *text, size_t n, unsigned flags, char *to)
{
	unsigned bits = 0, bad = 0;
	for (size_t i = 0; i < 4; i++) {
		unsigned v = i < n ? sextet((unsigned char)text[i], flags) : 0;
		bad |= v & NOT_BASE64;
		bits = bits << 6 | (v & 63);
	}
	for (size_t i = 0; i + 1 < n; i++)
		to[i] = (char)(bits >> (16 - 8 * i) & 0xff);
	unsigned used = 8 * (unsigned)(n - 1);
	return !bad && (bits & (0xffffffu >> used)) == 0;
}

int base64_decode(struct buf *out, const char *text, size_t len, unsigned flags)
{
	size_t n;
	int rc = unpadded(text, len, flags, &n);
	if (rc < 0)
		return rc;
	size_t bytes = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0);
	char *to = buf_reserve(out, bytes);
	if (!to)
		return -out->failed;
	bool ok = true;
	for (size_t i = 0; i < n && ok; i += 4)
		ok = decode_group(text + i, n - i < 4 ? n - i : 4, flags, to + i / 4 * 3);
	if (!ok) {
		OPENSSL_cleanse(to, bytes);
		return -EBADMSG;
	}
	buf_advance(out, bytes);
	return 0;
}

int base64_encode(struct buf *out, const void *data, size_t len, unsigned flags)
{
	const char *alphabet = flags & BASE64_URL ? base64_url : base64_std;
	const unsigned char *p = data;
	if (len > SIZE_MAX / 2)
		return -EFBIG;
	size_t total = flags & BASE64_NO_PAD ? (len * 4 + 2) / 3 : (len + 2) / 3 * 4;
	char *to = buf_reserve(out, total);
	if (!to)
		return -out->failed;
	for (size_t i = 0, o = 0; i < len; i += 3) {
		unsigned bits = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
				(i + 2 < len ? p[i + 2] : 0);
		for (unsigned k = 0; k < 4 && o < total; k++)
			to[o++] = i + k > len ? '=' : alphabet[bits >> (18 - 6 * k) & 63];
	}
	buf_advance(out, total);
	return 0;
}
