/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_jwt.h"

#include "base/cleanup.h"
#include "net/json.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool holds(const char *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

int gcp_key_load(
	const char *pem, size_t len, const char *path, struct crypto_rsa **ret, struct sfs_err *err)
{
	switch (-crypto_rsa_load(pem, len, ret)) {
	case 0:
		return 0;
	case EACCES:
		return err_set(err, EBADMSG,
			"%s: private_key is encrypted with a password: it must be stored without",
			path);
	case EOPNOTSUPP:
		return err_set(err, EBADMSG,
			"%s: private_key is no RSA key: keys of service accounts are", path);
	case ERANGE:
		return err_set(err, EBADMSG,
			"%s: private_key has fewer than %d bits and is not used: make a new key",
			path, CRYPTO_RSA_MIN);
	case ENOMEM:
		return err_set(err, ENOMEM, "no memory for a private key");
	default:
		break;
	}
	if (holds(pem, len, "\\n"))
		return err_set(err, EBADMSG,
			"%s: private_key holds a backslash and an n where a line break must be, as "
			"after copying it through a shell: take the file as it was downloaded",
			path);
	return err_set(err, EBADMSG, "%s: private_key is no private key in PEM", path);
}

/* ---- the token ---- */

static void put(struct buf *out, const char *name, const char *value)
{
	if (!value)
		return;
	buf_char(out, out->len ? ',' : '{');
	json_quote(out, name, strlen(name));
	buf_char(out, ':');
	int r = json_quote(out, value, strlen(value));
	if (r < 0 && !out->failed)
		out->failed = -r;
}

static void put_number(struct buf *out, const char *name, int64_t value)
{
	buf_printf(out, ",\"%s\":%lld", name, (long long)value);
}

static int add_part(struct buf *out, struct buf *part)
{
	buf_char(part, '}');
	return part->failed ? -part->failed
			    : base64_encode(out, part->data, part->len, BASE64_URL | BASE64_NO_PAD);
}

static int add_header(const struct gcp_claims *c, struct buf *out)
{
	_cleanup_(buf_clear) struct buf part = BUF_INIT(GCP_JWT_MAX);
	put(&part, "alg", "RS256");
	put(&part, "typ", "JWT");
	put(&part, "kid", c->kid);
	return add_part(out, &part);
}

static int add_claims(const struct gcp_claims *c, struct buf *out)
{
	_cleanup_(buf_clear) struct buf part = BUF_INIT(GCP_JWT_MAX);
	put(&part, "iss", c->iss);
	put(&part, "sub", c->sub);
	put(&part, "scope", c->scope);
	put(&part, "aud", c->aud);
	put_number(&part, "iat", c->iat);
	put_number(&part, "exp", c->iat + GCP_JWT_LIFE);
	return add_part(out, &part);
}

static int sign(struct crypto_rsa *key, const struct gcp_claims *claims, struct buf *ret)
{
	_cleanup_(buf_clear) struct buf signature = BUF_SECRET_INIT(GCP_JWT_MAX);
	size_t from = ret->len;
	int r = add_header(claims, ret);
	if (r == 0)
		r = buf_char(ret, '.');
	if (r == 0)
		r = add_claims(claims, ret);
	if (r == 0)
		r = crypto_rsa_sign(key, ret->data + from, ret->len - from, &signature);
	if (r == 0)
		r = buf_char(ret, '.');
	if (r == 0)
		r = base64_encode(ret, signature.data, signature.len, BASE64_URL | BASE64_NO_PAD);
	return r;
}

int gcp_jwt_sign(struct crypto_rsa *key, const struct gcp_claims *claims, struct buf *ret,
	struct sfs_err *err)
{
	int r = sign(key, claims, ret);
	if (r == -EILSEQ)
		return err_set(err, EBADMSG, "a name in a token to sign is not valid UTF-8");
	return r < 0 ? err_errno(err, -r, "sign a token") : 0;
}
