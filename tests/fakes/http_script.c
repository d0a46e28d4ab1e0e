/* SPDX-License-Identifier: Apache-2.0 */
#include "fakes/http_script.h"

#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Not one at a time: back ends call from several threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void problem(struct http_script *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void problem(struct http_script *s, const char *fmt, ...)
{
	va_list ap;
	if (s->problem)
		return;
	va_start(ap, fmt);
	int n = snprintf(s->text, sizeof(s->text), "exchange %zu: ", s->at);
	vsnprintf(s->text + n, sizeof(s->text) - (size_t)n, fmt, ap);
	va_end(ap);
	s->problem = s->text;
}

static bool value_fits(const char *want, const char *have)
{
	size_t n = strlen(want);
	if (n && want[n - 1] == '*')
		return strncmp(want, have, n - 1) == 0;
	return strcmp(want, have) == 0;
}

static const char *find(const struct http_headers *h, const char *name, size_t len)
{
	const char *n, *v;
	for (size_t i = 0; http_header_at(h, i, &n, &v); i++)
		if (strlen(n) == len && strncasecmp(n, name, len) == 0)
			return v;
	return NULL;
}

static void check_header(struct http_script *s, const struct http_attempt *a, const char *want)
{
	const char *colon = strchr(want, ':');
	if (*want == '!') {
		if (find(a->headers, want + 1, strlen(want + 1)))
			problem(s, "header %s was sent", want + 1);
		return;
	}
	if (!colon) {
		problem(s, "the script has a header without a colon: %s", want);
		return;
	}
	int len = (int)(colon - want);
	const char *have = find(a->headers, want, (size_t)len);
	if (!have)
		problem(s, "header %.*s is missing", len, want);
	else if (!value_fits(colon + 1 + strspn(colon + 1, " "), have))
		problem(s, "header %.*s has another value", len, want);
}

static void check_attempt(
	struct http_script *s, const struct http_exchange *e, const struct http_attempt *a)
{
	size_t len = e->body ? e->body_len ? e->body_len : strlen(e->body) : 0;
	if (strcmp(e->method, a->method) != 0)
		problem(s, "method %s instead of %s", a->method, e->method);
	if (strcmp(e->url, a->url) != 0)
		problem(s, "asked %s instead of %s", a->url, e->url);
	if (e->flags != a->flags)
		problem(s, "flags %#x instead of %#x", a->flags, e->flags);
	if (!e->any_body && (len != a->body_len || (len && memcmp(e->body, a->body, len) != 0)))
		problem(s, "another body (%zu bytes instead of %zu)", a->body_len, len);
	for (size_t i = 0; i < HTTP_SCRIPT_HEADERS && e->headers[i]; i++)
		check_header(s, a, e->headers[i]);
}

static int answer(const struct http_exchange *e, const struct http_attempt *a,
	struct http_reply *ret, struct sfs_err *err)
{
	size_t len = e->reply ? e->reply_len ? e->reply_len : strlen(e->reply) : 0;
	ret->sent = clock_wall();
	if (e->takes && clock_is_fake())
		clock_fake_advance(e->takes);
	ret->received = clock_wall();
	if (e->fail)
		return err_set(err, e->fail, "%s", e->why ? e->why : "the script fails");
	ret->status = e->status;
	if (e->with)
		buf_str(&ret->headers, e->with);
	if (len > a->cap)
		return err_set(err, EFBIG, "the answer is longer than %zu bytes", a->cap);
	if (len)
		buf_add(&ret->body, e->reply, len);
	return 0;
}

static int perform(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	struct http_script *s = arg;
	int r;
	(void)call;
	pthread_mutex_lock(&lock);
	if (s->at >= s->n) {
		problem(s, "one more than the script has: %s %s", a->method, a->url);
		r = err_set(err, EHOSTUNREACH, "the script is at its end");
	} else {
		const struct http_exchange *e = &s->ex[s->at];
		check_attempt(s, e, a);
		s->at++;
		r = answer(e, a, ret, err);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static void pause_for(void *arg, int64_t ns)
{
	struct http_script *s = arg;
	pthread_mutex_lock(&lock);
	s->paused += ns;
	s->pauses++;
	pthread_mutex_unlock(&lock);
	if (clock_is_fake())
		clock_fake_advance(ns);
}

void http_script_start(struct http_script *s, const struct http_exchange *ex, size_t n)
{
	*s = (struct http_script){.ex = ex, .n = n};
	http_fake(&(struct http_transport){.perform = perform, .pause = pause_for, .arg = s});
}

const char *http_script_end(struct http_script *s)
{
	http_fake(NULL);
	if (s->at < s->n)
		problem(s, "never came: %s %s", s->ex[s->at].method, s->ex[s->at].url);
	return s->problem;
}
