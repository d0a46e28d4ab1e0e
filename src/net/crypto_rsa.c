/* SPDX-License-Identifier: Apache-2.0 */
/* RSA keys out of PEM, and signatures with them. */
#include "net/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>

/* For OpenSSL in place of asking at a terminal. */
static int no_password(char *out, int size, int writing, void *arg)
{
	bool *asked = arg;
	(void)out;
	(void)size;
	(void)writing;
	*asked = true;
	return -1;
}

static int failure(int code)
{
	if (ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
		code = ENOMEM;
	ERR_clear_error();
	return -code;
}

int crypto_rsa_load(const char *pem, size_t len, struct crypto_rsa **ret)
{
	bool asked = false;
	if (len > INT_MAX)
		return -EINVAL;
	BIO *bio = BIO_new_mem_buf(pem, (int)len);
	if (!bio)
		return failure(ENOMEM);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
	BIO_free(bio);
	if (!key)
		return failure(asked ? EACCES : EINVAL);
	int r = !EVP_PKEY_is_a(key, "RSA")		  ? -EOPNOTSUPP
		: EVP_PKEY_get_bits(key) < CRYPTO_RSA_MIN ? -ERANGE
							  : 0;
	if (r < 0)
		EVP_PKEY_free(key);
	else
		*ret = (struct crypto_rsa *)key;
	return r;
}

void crypto_rsa_free(struct crypto_rsa *key)
{
	EVP_PKEY_free((EVP_PKEY *)key);
}

int crypto_rsa_sign(struct crypto_rsa *key, const void *data, size_t len, struct buf *ret)
{
	size_t size = 0;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx)
		return failure(ENOMEM);
	int r = 0;
	if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, (EVP_PKEY *)key) != 1 ||
		EVP_DigestSign(ctx, NULL, &size, data, len) != 1)
		r = failure(EIO);
	unsigned char *to = r == 0 ? (unsigned char *)buf_reserve(ret, size) : NULL;
	if (r == 0 && !to)
		r = -ret->failed;
	if (r == 0 && EVP_DigestSign(ctx, to, &size, data, len) != 1)
		r = failure(EIO);
	if (r == 0)
		buf_advance(ret, size);
	EVP_MD_CTX_free(ctx);
	return r;
}
