/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_cred_impl.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- secrets as text ---- */

int aws_secret_add(struct buf *out, const struct secret *s)
{
	return buf_add(out, secret_bytes(s), secret_len(s));
}

int aws_key_check(const struct secret *s, const char *what, struct sfs_err *err)
{
	const unsigned char *p = secret_bytes(s);
	for (size_t i = 0; i < secret_len(s); i++)
		if (p[i] < 0x21 || p[i] > 0x7e)
			return err_set(err, EINVAL,
				"%s holds a blank, a line break or another character that no key "
				"has",
				what);
	return 0;
}

const char *aws_key_shown(const struct secret *id, char out[AWS_KEY_SHOWN])
{
	size_t len = id ? secret_len(id) : 0;
	if (len < 16) { /* too short to give four characters away */
		snprintf(out, AWS_KEY_SHOWN, "...");
		return out;
	}
	memcpy(out, "...", 3);
	memcpy(out + 3, secret_bytes(id) + len - 4, 4);
	out[7] = '\0';
	return out;
}

int aws_env_secret(
	const struct backend_env *env, const char *name, struct secret **ret, struct sfs_err *err)
{
	char what[96];
	struct secret *s = envstore_get(env->env, name);
	if (s && !secret_len(s))
		secret_unref(take(s));
	if (!s)
		return 0;
	snprintf(what, sizeof(what), "environment variable %s", name);
	int r = aws_key_check(s, what, err);
	if (r < 0)
		secret_unref(s);
	else
		*ret = s;
	return r;
}

int aws_value_secret(const struct aws_value *v, const char *profile, const char *key,
	struct secret **ret, struct sfs_err *err)
{
	char what[192];
	if (!v)
		return 0;
	struct secret *s = secret_new(v->text.p, v->text.len);
	if (!s)
		return aws_no_memory(err);
	snprintf(what, sizeof(what), "profile %.100s: %s", profile, key);
	int r = aws_key_check(s, what, err);
	if (r < 0)
		secret_unref(s);
	else
		*ret = s;
	return r;
}

int aws_found_about(
	struct aws_found *f, const char *principal, struct sfs_err *err, const char *fmt, ...)
{
	struct buf b = BUF_INIT(SFS_ERR_MAX);
	char *who = mem_strdup(principal);
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	char *source = buf_take(&b);
	if (!source || (principal && !who)) {
		mem_free(who);
		mem_free(source);
		buf_clear(&b);
		return aws_no_memory(err);
	}
	mem_free(f->principal);
	mem_free(f->source);
	f->principal = who;
	f->source = source;
	return 0;
}

/* ---- files that a run depends on ---- */

void aws_watch_reset(struct aws_cred *a)
{
	pthread_mutex_lock(&a->lock);
	for (; a->n_watched; a->n_watched--)
		mem_free(take(a->watched[a->n_watched - 1].path));
	pthread_mutex_unlock(&a->lock);
}

void aws_watch(struct aws_cred *a, const char *path, const struct credfile_stamp *stamp)
{
	pthread_mutex_lock(&a->lock);
	struct aws_watched *w = a->watched + a->n_watched;
	if (a->n_watched < AWS_WATCHED_MAX && (w->path = mem_strdup(path))) {
		w->stamp = *stamp;
		a->n_watched++;
	}
	pthread_mutex_unlock(&a->lock);
}

/* A copy of the n-th file; false: there is none. */
static bool watched_at(struct aws_cred *a, size_t i, struct aws_watched *ret)
{
	pthread_mutex_lock(&a->lock);
	bool there = i < a->n_watched;
	if (there) {
		*ret = a->watched[i];
		ret->path = mem_strdup(ret->path);
	}
	pthread_mutex_unlock(&a->lock);
	return there;
}

bool aws_watch_changed(void *state)
{
	struct aws_cred *a = state;
	struct aws_watched w;
	bool changed = false;
	for (size_t i = 0; !changed && watched_at(a, i, &w); i++) {
		changed = w.path && credfile_changed(a->env->paths, w.path, &w.stamp);
		mem_free(w.path);
	}
	return changed;
}

/* ---- one request ---- */

void aws_ask_header(struct aws_ask *ask, const char *name, const char *value)
{
	ask->header[ask->n_headers].name = name;
	ask->header[ask->n_headers++].value = value;
}

void aws_ask_secret(struct aws_ask *ask, const char *name, const struct buf *value)
{
	ask->header[ask->n_headers].name = name;
	ask->header[ask->n_headers++].secret = value;
}

static int add_headers(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err)
{
	const struct aws_ask *ask = arg;
	(void)attempt;
	for (size_t i = 0; i < ask->n_headers; i++) {
		const struct buf *s = ask->header[i].secret;
		int r = s ? http_header_secret(h, ask->header[i].name, "", buf_text(s), s->len)
			  : http_header(h, ask->header[i].name, ask->header[i].value);
		if (r < 0)
			return err_errno(err, -r, "header %s", ask->header[i].name);
	}
	return 0;
}

int aws_ask(struct aws_cred *a, const struct call *call, const struct aws_ask *ask,
	struct http_reply *ret, struct sfs_err *err)
{
	struct http_request rq = {.method = ask->method,
		.url = ask->url,
		.body = ask->body ? buf_text(ask->body) : NULL,
		.body_len = ask->body ? ask->body->len : 0,
		.cap = AWS_CRED_REPLY_MAX,
		.flags = ask->flags,
		.attempts = ask->attempts,
		.connect_timeout = ask->timeout,
		.attempt_timeout = ask->timeout,
		.headers = add_headers,
		.arg = (void *)(uintptr_t)ask};
	return http_do(a->http, call, &rq, ret, err);
}

int aws_status_errno(int status)
{
	if (status == 429)
		return EBUSY;
	if (status >= 500)
		return EREMOTEIO;
	return status == 401 ? EKEYREJECTED : EACCES;
}
