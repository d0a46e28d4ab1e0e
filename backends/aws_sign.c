/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_sign.h"

#include "base/cleanup.h"
#include "net/crypto.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 64
#define SCOPE_MAX    256
#define TERMINATOR   "aws4_request"
#define ALGORITHM    "AWS4-HMAC-SHA256"

struct header {
	char name[NAME_MAX_LEN]; /* lower case */
	const char *value;
	size_t len;
};

struct headers {
	struct header at[AWS_SIGN_HEADERS + 3];
	size_t n;
};

static bool is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

static bool has_control(const void *text, size_t len)
{
	const unsigned char *p = text;
	for (size_t i = 0; i < len; i++)
		if (is_control(p[i]))
			return true;
	return false;
}

static bool is_token(const char *name)
{
	static const char also[] = "!#$%&'*+-.^_`|~";
	size_t n = 0;
	for (; name[n]; n++)
		if (!isalnum((unsigned char)name[n]) && !strchr(also, name[n]))
			return false;
	return n > 0 && n < NAME_MAX_LEN;
}

static int add_header(
	struct headers *h, const char *name, const void *value, size_t len, struct sfs_err *err)
{
	struct header *to = &h->at[h->n];
	if (!is_token(name))
		return err_set(err, EINVAL, "a header to be signed has no valid name");
	if (has_control(value, len))
		return err_set(err, EINVAL, "header %s holds a control character", name);
	for (size_t i = 0; i <= strlen(name); i++)
		to->name[i] = (char)tolower((unsigned char)name[i]);
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->at[i].name, to->name) == 0)
			return err_set(err, EINVAL, "header %s is to be signed twice", to->name);
	to->value = value;
	to->len = len;
	h->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct header *)a)->name, ((const struct header *)b)->name);
}

static int collect(const struct aws_keys *keys, const struct aws_sign_request *rq, const char *date,
	struct headers *h, struct sfs_err *err)
{
	int rc;
	h->n = 0;
	if (rq->n_headers > AWS_SIGN_HEADERS)
		return err_set(err, EINVAL, "more than %d headers to be signed", AWS_SIGN_HEADERS);
	if ((rc = add_header(h, "host", rq->host, strlen(rq->host), err)) < 0 ||
		(rc = add_header(h, "x-amz-date", date, strlen(date), err)) < 0)
		return rc;
	if (keys->token && (rc = add_header(h, "x-amz-security-token", secret_bytes(keys->token),
				    secret_len(keys->token), err)) < 0)
		return rc;
	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct aws_header *from = &rq->headers[i];
		if ((rc = add_header(h, from->name, from->value, strlen(from->value), err)) < 0)
			return rc;
	}
	qsort(h->at, h->n, sizeof(h->at[0]), by_name);
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Trimmed, and runs of blanks as one. Piece by piece: a token may be long. */
static void add_value(struct buf *b, const char *value, size_t len)
{
	size_t i = 0;
	while (len && is_blank(value[len - 1]))
		len--;
	while (i < len && is_blank(value[i]))
		i++;
	while (i < len) {
		size_t start = i;
		while (i < len && !is_blank(value[i]))
			i++;
		buf_add(b, value + start, i - start);
		if (i < len)
			buf_char(b, ' ');
		while (i < len && is_blank(value[i]))
			i++;
	}
}

static void add_names(struct buf *b, const struct headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		buf_str(b, i ? ";" : "");
		buf_str(b, h->at[i].name);
	}
}

/* The path as sent is encoded once more, which leaves "/" as it is (only S3 does not). */
static void add_path(struct buf *b, const char *path)
{
	static const char keep[] = "-_.~/";
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		char code[4] = {(char)c};
		if (!isalnum(c) && !strchr(keep, c))
			snprintf(code, sizeof(code), "%%%02X", c);
		buf_str(b, code);
	}
}

static int canonical(const struct aws_sign_request *rq, const struct headers *h, struct buf *b)
{
	char hash[SHA256_HEX];
	int rc = crypto_sha256_hex(rq->body, rq->body_len, hash);
	if (rc < 0)
		return rc;
	buf_str(b, rq->method);
	buf_char(b, '\n');
	add_path(b, rq->path);
	buf_char(b, '\n');
	buf_str(b, rq->query);
	buf_char(b, '\n');
	for (size_t i = 0; i < h->n; i++) {
		buf_str(b, h->at[i].name);
		buf_char(b, ':');
		add_value(b, h->at[i].value, h->at[i].len);
		buf_char(b, '\n');
	}
	buf_char(b, '\n');
	add_names(b, h);
	buf_char(b, '\n');
	buf_str(b, hash);
	return -b->failed;
}

static int failed(struct sfs_err *err, int rc)
{
	return err_errno(err, -rc, "sign the request");
}

int aws_sign_canonical(const struct aws_keys *keys, const struct aws_sign_request *rq,
	const char date[AWS_DATE], struct buf *ret, struct sfs_err *err)
{
	struct headers h;
	int rc = collect(keys, rq, date, &h, err);
	if (rc < 0)
		return rc;
	rc = canonical(rq, &h, ret);
	return rc < 0 ? failed(err, rc) : 0;
}

int aws_sign_key(const void *secret, size_t len, const char date[AWS_DATE], const char *region,
	const char *service, unsigned char ret_key[32])
{
	const char *const steps[] = {region, service, TERMINATOR};
	_cleanup_(buf_clear) struct buf first = BUF_SECRET_INIT(SFS_VALUE_MAX);
	unsigned char key[SHA256_LEN];
	buf_str(&first, "AWS4");
	if (buf_add(&first, secret, len) < 0)
		return -first.failed;
	int rc = crypto_hmac_sha256(first.data, first.len, date, 8, key);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
		rc = crypto_hmac_sha256(key, sizeof(key), steps[i], strlen(steps[i]), key);
	if (rc == 0)
		memcpy(ret_key, key, sizeof(key));
	secret_wipe(key, sizeof(key));
	return rc;
}

static int sign_text(const struct aws_keys *keys, const struct aws_sign_request *rq,
	const char date[AWS_DATE], const struct buf *text, char ret_signature[SHA256_HEX])
{
	unsigned char key[SHA256_LEN], mac[SHA256_LEN];
	int rc = aws_sign_key(
		secret_bytes(keys->key), secret_len(keys->key), date, rq->region, rq->service, key);
	if (rc == 0)
		rc = crypto_hmac_sha256(key, sizeof(key), text->data, text->len, mac);
	if (rc == 0)
		crypto_hex(mac, sizeof(mac), ret_signature);
	secret_wipe(key, sizeof(key));
	secret_wipe(mac, sizeof(mac));
	return rc;
}

/* Algorithm, date, scope and the hash of the canonical request. */
static int string_to_sign(
	const char date[AWS_DATE], const char *scope, const struct buf *canonical, struct buf *ret)
{
	char hash[SHA256_HEX];
	int rc = crypto_sha256_hex(canonical->data, canonical->len, hash);
	if (rc < 0)
		return rc;
	buf_str(ret, ALGORITHM "\n");
	buf_str(ret, date);
	buf_char(ret, '\n');
	buf_str(ret, scope);
	buf_char(ret, '\n');
	buf_str(ret, hash);
	return -ret->failed;
}

static int check_key(const struct secret *s, const char *what, struct sfs_err *err)
{
	if (!s || !secret_len(s))
		return err_set(err, EINVAL, "there is no %s to sign with", what);
	const unsigned char *p = secret_bytes(s);
	for (size_t i = 0; i < secret_len(s); i++)
		if (p[i] <= ' ' || p[i] >= 0x7f)
			return err_set(err, EINVAL,
				"the %s holds a blank, a line end or another character that none "
				"has; look at where it comes from",
				what);
	return 0;
}

static int check(
	const struct aws_keys *keys, const struct aws_sign_request *rq, struct sfs_err *err)
{
	int rc;
	if ((rc = check_key(keys->id, "access key id", err)) < 0 ||
		(rc = check_key(keys->key, "secret access key", err)) < 0 ||
		(keys->token && (rc = check_key(keys->token, "session token", err)) < 0))
		return rc;
	if (memchr(secret_bytes(keys->id), '/', secret_len(keys->id)) ||
		memchr(secret_bytes(keys->id), ',', secret_len(keys->id)))
		return err_set(err, EINVAL, "the access key id holds a slash or a comma");
	if (!*rq->region || strpbrk(rq->region, "/,\n") || !*rq->service ||
		strpbrk(rq->service, "/,\n"))
		return err_set(err, EINVAL, "region or service cannot be part of a signature");
	if (strchr(rq->query, '\n') || strchr(rq->method, '\n'))
		return err_set(err, EINVAL, "method or query holds a line end");
	return 0;
}

static void authorization(const struct aws_keys *keys, const char *scope, const struct headers *h,
	const char *signature, struct buf *b)
{
	buf_str(b, ALGORITHM " Credential=");
	buf_add(b, secret_bytes(keys->id), secret_len(keys->id));
	buf_char(b, '/');
	buf_str(b, scope);
	buf_str(b, ", SignedHeaders=");
	add_names(b, h);
	buf_str(b, ", Signature=");
	buf_str(b, signature);
}

int aws_sign(const struct aws_keys *keys, const struct aws_sign_request *rq,
	char ret_date[AWS_DATE], struct buf *ret_authorization, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(SFS_SOURCE_MAX / 2);
	_cleanup_(buf_clear) struct buf sts = BUF_SECRET_INIT(1024);
	_cleanup_(buf_clear) struct buf result = BUF_SECRET_INIT(65536);
	char date[AWS_DATE], scope[SCOPE_MAX], signature[SHA256_HEX];
	struct headers h;
	int rc = check(keys, rq, err);
	if (rc < 0)
		return rc;
	if (aws_time_amz(rq->now, date) < 0)
		return err_set(err, EINVAL, "the clock shows no year that can be signed");
	if ((rc = collect(keys, rq, date, &h, err)) < 0)
		return rc;
	if (snprintf(scope, sizeof(scope), "%.8s/%s/%s/" TERMINATOR, date, rq->region,
		    rq->service) >= (int)sizeof(scope))
		return err_set(err, EINVAL, "region or service is too long");
	if ((rc = canonical(rq, &h, &text)) < 0 ||
		(rc = string_to_sign(date, scope, &text, &sts)) < 0 ||
		(rc = sign_text(keys, rq, date, &sts, signature)) < 0)
		return failed(err, rc);
	authorization(keys, scope, &h, signature, &result);
	secret_wipe(signature, sizeof(signature));
	if (result.failed || buf_add(ret_authorization, result.data, result.len) < 0)
		return failed(err, -(result.failed ? result.failed : ret_authorization->failed));
	memcpy(ret_date, date, AWS_DATE);
	return 0;
}
