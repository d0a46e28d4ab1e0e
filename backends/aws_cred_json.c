/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_cred_json.h"

#include "backends/aws_cred.h"
#include "backends/times.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIELD_MAX 65536 /* session tokens have no limit of their own */

void aws_found_clear(struct aws_found *f)
{
	for (size_t i = 0; i < CRED_FIELDS; i++)
		secret_unref(take(f->field[i]));
	mem_free(take(f->source));
	mem_free(take(f->principal));
}

void aws_sso_token_clear(struct aws_sso_token *t)
{
	secret_unref(take(t->access));
	secret_unref(take(t->refresh));
	secret_unref(take(t->client_id));
	secret_unref(take(t->client_secret));
}

static void json_free_p(struct json **doc)
{
	json_free(*doc);
}

/* ---- members ---- */

/* The member, or NULL if it is absent or null. */
static const struct json_node *member(
	struct json *doc, const struct json_node *obj, const char *name)
{
	const struct json_node *n = json_member(doc, obj, name, strlen(name));
	return n && json_kind(n) != JSON_NULL ? n : NULL;
}

static int wrong(const char *name, const char *what, struct sfs_err *err)
{
	return err_set(err, EBADMSG, "%s %s", name, what);
}

/* A text for a header: *ret stays NULL if it is absent. */
static int get_secret(struct json *doc, const struct json_node *obj, const char *name,
	struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(FIELD_MAX);
	const struct json_node *n = member(doc, obj, name);
	if (!n)
		return 0;
	int r = json_string(doc, n, &text);
	if (r == -EINVAL)
		return wrong(name, "is no string", err);
	if (r < 0)
		return err_errno(err, -r, "%s", name);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return wrong(name, "holds a blank or a character that no key has", err);
	if (!text.len)
		return 0;
	*ret = secret_new(text.data, text.len);
	return *ret ? 0 : err_set(err, ENOMEM, "%s: no secret memory left", name);
}

static int get_time(struct json *doc, const struct json_node *obj, const char *name, int64_t *ret,
	struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(128);
	const struct json_node *n = member(doc, obj, name);
	if (!n)
		return 0;
	if (json_string(doc, n, &text) < 0 || times_parse(buf_text(&text), text.len, ret) < 0)
		return wrong(name, "is no time in the form 2030-01-31T23:59:59Z", err);
	return 0;
}

static int get_millis(struct json *doc, const struct json_node *obj, const char *name, int64_t *ret,
	struct sfs_err *err)
{
	int64_t ms;
	const struct json_node *n = member(doc, obj, name);
	if (!n)
		return 0;
	if (json_int64(doc, n, &ms) < 0 || ms <= 0 ||
		__builtin_mul_overflow(ms, NSEC_PER_MSEC, ret))
		return wrong(name, "is no time in milliseconds", err);
	return 0;
}

/* ---- keys ---- */

struct form {
	const char *id, *key, *token, *expires;
	bool token_needed, expires_needed, millis;
};

static const struct form forms[] = {
	[AWS_KEYS_PROCESS] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", false,
		false, false},
	[AWS_KEYS_CONTAINER] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", false,
		false, false},
	[AWS_KEYS_IMDS] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", true, true,
		false},
	[AWS_KEYS_SSO] = {"accessKeyId", "secretAccessKey", "sessionToken", "expiration", true,
		true, true},
};

static int need(bool there, const char *name, struct sfs_err *err)
{
	return there ? 0 : wrong(name, "is missing", err);
}

static int get_keys(struct json *doc, const struct json_node *obj, const struct form *f,
	struct aws_found *found, struct sfs_err *err)
{
	int r = get_secret(doc, obj, f->id, &found->field[AWS_CRED_ID], err);
	if (r == 0)
		r = get_secret(doc, obj, f->key, &found->field[AWS_CRED_KEY], err);
	if (r == 0)
		r = get_secret(doc, obj, f->token, &found->field[AWS_CRED_TOKEN], err);
	if (r == 0)
		r = need(found->field[AWS_CRED_ID], f->id, err);
	if (r == 0)
		r = need(found->field[AWS_CRED_KEY], f->key, err);
	if (r == 0)
		r = need(found->field[AWS_CRED_TOKEN] || !f->token_needed, f->token, err);
	if (r == 0)
		r = f->millis ? get_millis(doc, obj, f->expires, &found->expires, err)
			      : get_time(doc, obj, f->expires, &found->expires, err);
	if (r == 0)
		r = need(found->expires || !f->expires_needed, f->expires, err);
	return r;
}

static int check_version(struct json *doc, const struct json_node *root, struct sfs_err *err)
{
	int64_t version;
	const struct json_node *n = member(doc, root, "Version");
	if (!n)
		return wrong("Version", "is missing", err);
	if (json_int64(doc, n, &version) < 0 || version != 1)
		return wrong("Version", "is not the number 1", err);
	return 0;
}

/* The instance metadata answers 200 even when it has nothing. */
static int check_code(struct json *doc, const struct json_node *root, struct sfs_err *err)
{
	char shown[64];
	_cleanup_(buf_clear) struct buf code = BUF_SECRET_INIT(FIELD_MAX);
	const struct json_node *n = member(doc, root, "Code");
	if (!n || json_string(doc, n, &code) < 0 || strcmp(buf_text(&code), "Success") == 0 ||
		member(doc, root, "AccessKeyId"))
		return 0;
	text_escaped(shown, sizeof(shown), code.data, code.len);
	return err_set(err, ENODATA, "it says %s", shown);
}

static int parse_object(const char *text, size_t len, struct json **ret, struct sfs_err *err)
{
	int r = json_parse(text, len, JSON_STRICT, ret, err);
	if (r < 0)
		return r;
	return json_kind(json_root(*ret)) == JSON_OBJECT
		       ? 0
		       : err_set(err, EBADMSG, "it is no JSON object");
}

int aws_keys_parse(const char *text, size_t len, enum aws_keys_form form, struct aws_found *ret,
	struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	struct aws_found found = {0};
	int r = parse_object(text, len, &doc, err);
	if (r < 0)
		return r;
	const struct json_node *obj = json_root(doc);
	if (form == AWS_KEYS_PROCESS)
		r = check_version(doc, obj, err);
	if (form == AWS_KEYS_IMDS)
		r = check_code(doc, obj, err);
	if (form == AWS_KEYS_SSO) {
		obj = member(doc, obj, "roleCredentials");
		r = need(obj, "roleCredentials", err);
	}
	if (r == 0)
		r = get_keys(doc, obj, &forms[form], &found, err);
	if (r < 0) {
		aws_found_clear(&found);
		return r;
	}
	memcpy(ret->field, found.field, sizeof(ret->field));
	ret->expires = found.expires;
	return 0;
}

/* ---- SSO ---- */

static int read_token(struct json *doc, struct aws_sso_token *t, struct sfs_err *err)
{
	const struct json_node *root = json_root(doc);
	int r = get_secret(doc, root, "accessToken", &t->access, err);
	if (r == 0)
		r = need(t->access, "accessToken", err);
	if (r == 0)
		r = get_time(doc, root, "expiresAt", &t->expires, err);
	if (r == 0)
		r = need(t->expires, "expiresAt", err);
	if (r == 0)
		r = get_secret(doc, root, "refreshToken", &t->refresh, err);
	if (r == 0)
		r = get_secret(doc, root, "clientId", &t->client_id, err);
	if (r == 0)
		r = get_secret(doc, root, "clientSecret", &t->client_secret, err);
	if (r == 0)
		r = get_time(doc, root, "registrationExpiresAt", &t->registration_expires, err);
	return r;
}

int aws_sso_token_parse(
	const char *text, size_t len, struct aws_sso_token *ret, struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	struct aws_sso_token t = {0};
	int r = parse_object(text, len, &doc, err);
	if (r == 0)
		r = read_token(doc, &t, err);
	if (r < 0) {
		aws_sso_token_clear(&t);
		return r;
	}
	if (!t.refresh || !t.client_id || !t.client_secret) {
		secret_unref(take(t.refresh));
		secret_unref(take(t.client_id));
		secret_unref(take(t.client_secret));
	}
	*ret = t;
	return 0;
}

int aws_sso_refresh_parse(
	const char *text, size_t len, int64_t now, struct aws_sso_token *t, struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	struct secret *access = NULL, *refresh = NULL;
	int64_t seconds = 0, expires;
	int r = parse_object(text, len, &doc, err);
	if (r < 0)
		return r;
	const struct json_node *root = json_root(doc), *in = member(doc, root, "expiresIn");
	if (!in || json_int64(doc, in, &seconds) < 0 || seconds <= 0 ||
		(expires = clock_after(now, seconds)) == CLOCK_NEVER)
		return wrong("expiresIn", "is no number of seconds", err);
	r = get_secret(doc, root, "accessToken", &access, err);
	if (r == 0)
		r = need(access, "accessToken", err);
	if (r == 0)
		r = get_secret(doc, root, "refreshToken", &refresh, err);
	if (r < 0) {
		secret_unref(access);
		return r;
	}
	secret_unref(t->access);
	t->access = access;
	t->expires = expires;
	if (refresh) {
		secret_unref(t->refresh);
		t->refresh = refresh;
	}
	return 0;
}

/* ---- refusals ---- */

void aws_refusal_text(const char *text, size_t len, char *out, size_t size)
{
	static const char *const names[] = {
		"message", "Message", "error_description", "code", "error"};
	_cleanup_(json_free_p) struct json *doc = NULL;
	_cleanup_(buf_clear) struct buf b = BUF_SECRET_INIT(FIELD_MAX);
	*out = '\0';
	if (parse_object(text, len, &doc, NULL) < 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !b.len; i++) {
		const struct json_node *n = member(doc, json_root(doc), names[i]);
		if (n && json_string(doc, n, &b) < 0)
			buf_reset(&b);
	}
	text_escaped(out, size, buf_text(&b), b.len);
}
