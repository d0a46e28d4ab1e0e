/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/cleanup.h"
#include "base/secret.h"
#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>

#define SHA256_BYTES 32

static void to_hex(const unsigned char *digest, char *out, size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	assert(digits % 2 == 0 && digits <= 2 * SHA256_BYTES);
	for (size_t i = 0; i < digits / 2; i++) {
		out[2 * i] = hex[digest[i] >> 4];
		out[2 * i + 1] = hex[digest[i] & 15];
	}
	out[digits] = '\0';
}

static EVP_MD *sha256; /* set once: OpenSSL looks up by name, which takes longer than a hash */

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, OSSL_DIGEST_NAME_SHA2_256, NULL);
}

static const EVP_MD *find_sha256(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fetch_sha256);
	return sha256 ? sha256 : EVP_sha256();
}

int hash_hex(const void *data, size_t len, char *out, size_t digits)
{
	unsigned char digest[SHA256_BYTES];
	if (EVP_Digest(data, len, digest, NULL, find_sha256(), NULL) != 1)
		return -EIO;
	to_hex(digest, out, digits);
	return 0;
}

/* `live` stands beside the key because the arena is empty in a forked child: such a child makes a
 * key of its own instead of hashing under zeros. */
struct hash_key {
	unsigned char bytes[SHA256_BYTES];
	bool live;
};

#define SPARES 16 /* of threads that hash at once */

static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf: guards what follows */
static struct hash_key *key;
static EVP_MAC *hmac;
/* Contexts under the key that nobody uses now. Of what they hashed nothing is left in them: the end
 * of a hash wipes what OpenSSL buffered. */
static EVP_MAC_CTX *spares[SPARES];
static size_t nspares;

static void drop_spares(void)
{
	while (nspares)
		EVP_MAC_CTX_free(spares[--nspares]);
}

static int prepare(void)
{
	if (!hmac)
		hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	if (!hmac)
		return -EIO;
	if (!key)
		key = secret_alloc(sizeof(*key));
	if (!key)
		return -ENOMEM;
	if (key->live)
		return 0;
	drop_spares();
	if (RAND_priv_bytes(key->bytes, sizeof(key->bytes)) != 1)
		return -EIO;
	key->live = true;
	return 0;
}

static bool add_parts(EVP_MAC_CTX *ctx, const struct hash_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t len = parts[i].len;
		if (!EVP_MAC_update(ctx, (const unsigned char *)&len, sizeof(len)))
			return false;
		if (len && !EVP_MAC_update(ctx, parts[i].data, parts[i].len))
			return false;
	}
	return true;
}

static int new_context(EVP_MAC_CTX **ret)
{
	char digest[] = OSSL_DIGEST_NAME_SHA2_256;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);
	if (!ctx)
		return -ENOMEM;
	if (!EVP_MAC_init(ctx, key->bytes, sizeof(key->bytes), params)) {
		EVP_MAC_CTX_free(ctx);
		return -EIO;
	}
	*ret = ctx;
	return 0;
}

/* A context under the key of the process, ready for a message. */
static int keyed_context(EVP_MAC_CTX **ret)
{
	EVP_MAC_CTX *ctx = NULL;
	pthread_mutex_lock(&key_lock);
	int r = prepare();
	if (r == 0 && nspares)
		ctx = spares[--nspares];
	else if (r == 0)
		r = new_context(&ctx);
	pthread_mutex_unlock(&key_lock);
	if (r == 0)
		*ret = ctx;
	return r;
}

/* Ready for the next message, or gone. */
static void put_context(EVP_MAC_CTX *ctx, bool good)
{
	good = good && EVP_MAC_init(ctx, NULL, 0, NULL);
	pthread_mutex_lock(&key_lock);
	if (good && key && nspares < SPARES)
		spares[nspares++] = take(ctx);
	pthread_mutex_unlock(&key_lock);
	EVP_MAC_CTX_free(ctx);
}

int hash_keyed_hex(const struct hash_part *parts, size_t n, char *out, size_t digits)
{
	unsigned char digest[SHA256_BYTES];
	size_t len = 0;
	EVP_MAC_CTX *ctx;
	int r = keyed_context(&ctx);
	if (r < 0)
		return r;
	bool done = add_parts(ctx, parts, n) && EVP_MAC_final(ctx, digest, &len, sizeof(digest));
	put_context(ctx, done);
	if (!done || len != sizeof(digest))
		return -EIO;
	to_hex(digest, out, digits);
	return 0;
}

void hash_fini(void)
{
	pthread_mutex_lock(&key_lock);
	secret_free(key);
	key = NULL;
	drop_spares();
	EVP_MAC_free(hmac);
	hmac = NULL;
	pthread_mutex_unlock(&key_lock);
}
