/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: its attempts, what each outcome means, and what may be sent at all. Attempts
 * themselves are made by a transport: libcurl (http_engine.c), or a script in tests.
 */
#include "net/http.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/http_breaker.h"
#include "net/http_engine.h"
#include "net/http_headers.h"
#include "net/http_retry.h"
#include "net/http_url.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_NS (3 * NSEC_PER_SEC)
#define SLICE_NS   (50 * NSEC_PER_MSEC) /* how soon a cancelled pause ends */

struct http {
	char *name;
	bool insecure;
	struct http_transport transport;
	struct http_wire *wire; /* its arg; NULL when faked */

	pthread_mutex_t lock; /* a leaf; guards what follows */
	struct retry_bucket bucket;
	struct breaker breaker;
	struct http_rate rate;
	int64_t hold;	     /* nothing is sent before this moment */
	struct sfs_err last; /* the failure that counted last for the breaker */
	struct http_stats stats;
};

/* One http_do(). */
struct run {
	struct http *h;
	const struct call *call;
	const struct http_request *rq;
	struct http_reply *ret;
	struct sfs_err *err;
	unsigned attempt; /* 0-based, of the next one */
	unsigned retries; /* pauses so far */
	unsigned taken;	  /* tokens */
	bool resent;
	bool unsent; /* the caller's headers failed: says nothing of the service, and is final */
	enum breaker_pass pass;
};

static struct http_transport fake; /* of tests */

void http_fake(const struct http_transport *t)
{
	fake = t ? *t : (struct http_transport){0};
}

int http_new(const struct http_conf *conf, struct http **ret, struct sfs_err *err)
{
	struct http_url proxy;
	struct http *h;
	int r = 0;
	if (conf->proxy && http_proxy_check(conf->proxy, &proxy, err) < 0)
		return -EINVAL;
	h = mem_calloc(1, sizeof(*h));
	if (!h || !(h->name = mem_strdup(conf->name))) {
		mem_free(h);
		return err_set(err, ENOMEM, "out of memory");
	}
	pthread_mutex_init(&h->lock, NULL);
	h->insecure = conf->insecure_http;
	h->bucket = (struct retry_bucket)RETRY_BUCKET_INIT;
	rate_init(&h->rate, conf->rate, clock_boot());
	h->transport = fake;
	if (!fake.perform) {
		r = http_wire_new(conf, &h->wire, err);
		h->transport =
			(struct http_transport){.perform = http_wire_perform, .arg = h->wire};
	}
	if (r < 0)
		http_free(h);
	else
		*ret = h;
	return r;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	http_wire_free(h->wire);
	pthread_mutex_destroy(&h->lock);
	mem_free(h->name);
	mem_free(h);
}

const char *http_trusted(const struct http *h)
{
	return h->wire ? http_wire_trusted(h->wire) : "none: a test";
}

void http_stats(struct http *h, struct http_stats *ret)
{
	pthread_mutex_lock(&h->lock);
	*ret = h->stats;
	ret->breaker_open = breaker_is_open(&h->breaker);
	pthread_mutex_unlock(&h->lock);
}

static bool counted(const struct run *x)
{
	return !(x->rq->flags & HTTP_NO_BREAKER);
}

/* Waits, unless nobody wants the answer any more. */
static int wait_for(struct run *x, int64_t ns)
{
	const struct http_transport *t = &x->h->transport;
	int64_t until = clock_boot() + ns, left;
	if (t->pause) {
		t->pause(t->arg, ns);
		return 0;
	}
	while ((left = until - clock_boot()) > 0) {
		if (call_cancelled(x->call))
			return err_set(x->err, ECANCELED, "nobody waits for the answer any more");
		if (left > SLICE_NS)
			left = SLICE_NS;
		poll(NULL, 0, (int)((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
	}
	return 0;
}

/* ---- with h->lock held ---- */

static int refuse_open(struct run *x, int64_t now)
{
	const struct http *h = x->h;
	int64_t left = h->breaker.until - now;
	/* A service that answers with faults can be reached: one errno for all who get to know. */
	return err_set(x->err, h->last.code == EREMOTEIO ? EREMOTEIO : EHOSTUNREACH,
		"not asked again for another %" PRId64 " s, because it failed several times: %s",
		left > 0 ? (left + NSEC_PER_SEC - 1) / NSEC_PER_SEC : 0, h->last.msg);
}

static int refuse_hold(struct run *x, int64_t left)
{
	return err_set(x->err, EBUSY,
		"throttled: the server asked for a pause that lasts another %" PRId64 " s",
		(left + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
}

/* Whether an attempt may be sent now, or after *ret_wait ns. */
static int enter_locked(struct run *x, int64_t now, int64_t *ret_wait)
{
	struct http *h = x->h;
	int64_t patience = x->call->deadline - now;
	int64_t hold = h->hold > now ? h->hold - now : 0;
	if (hold > patience)
		return refuse_hold(x, hold);
	x->pass = breaker_enter(&h->breaker, now);
	if (x->pass == BREAKER_REFUSED)
		return refuse_open(x, now);
	int64_t turn = rate_take(&h->rate, now, patience);
	if (turn < 0) {
		breaker_result(&h->breaker, now, x->pass, BREAKER_UNKNOWN);
		return err_set(x->err, EBUSY,
			"the rate limit of this source leaves no room before the deadline");
	}
	*ret_wait = turn > hold ? turn : hold;
	return 0;
}

/* What an outcome says about the health of the service. Refusals of ours (cancelled, no memory)
 * say nothing, nor does a name that does not exist (yet): nobody was asked (row 53 of the fault
 * matrix). An answer is an answer, also 401, 403 and 404, a redirect or one too large. */
static enum breaker_result health(int r, enum http_verdict v)
{
	switch (-r) {
	case 0:
		return v == HTTP_TRANSIENT ? BREAKER_BAD : BREAKER_GOOD;
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case EBADMSG:
	case EPROTO:
		return BREAKER_BAD;
	case EFBIG:
		return BREAKER_GOOD;
	default:
		return BREAKER_UNKNOWN;
	}
}

/* ---- without it ---- */

/* The gate: breaker, pause asked for by the server, rate limit. */
static int enter(struct run *x)
{
	int64_t wait = 0;
	int r;
	if (call_cancelled(x->call))
		return err_set(x->err, ECANCELED, "nobody waits for the answer any more");
	if (x->call->deadline <= clock_boot())
		return err_set(x->err, ETIMEDOUT, "the deadline passed before anything was sent");
	if (!counted(x))
		return 0;
	pthread_mutex_lock(&x->h->lock);
	r = enter_locked(x, clock_boot(), &wait);
	pthread_mutex_unlock(&x->h->lock);
	if (r == 0 && wait > 0 && (r = wait_for(x, wait)) < 0) {
		pthread_mutex_lock(&x->h->lock);
		breaker_result(&x->h->breaker, clock_boot(), x->pass, BREAKER_UNKNOWN);
		pthread_mutex_unlock(&x->h->lock);
	}
	return r;
}

static enum http_verdict judge(const struct run *x)
{
	int s = x->ret->status;
	if (x->rq->judge)
		return x->rq->judge(x->rq->arg, x->ret);
	if (s == 429)
		return HTTP_THROTTLE;
	return s == 500 || s == 502 || s == 503 || s == 504 ? HTTP_TRANSIENT : HTTP_ACCEPT;
}

static bool is_redirect(int status)
{
	return status >= 300 && status < 400 && status != 304;
}

static int refuse_redirect(struct run *x)
{
	char host[HTTP_HOST_MAX] = "nowhere", *location;
	size_t len;
	const char *value = http_reply_find(x->ret, "location", &len);
	location = value ? mem_strndup(value, len) : NULL;
	if (location)
		http_location_host(x->rq->url, location, host, sizeof(host));
	mem_free(location);
	return err_set(x->err, EPROTO,
		"the server redirects (status %d) to %s: redirects are not followed, because "
		"credentials would go with them; correct the endpoint",
		x->ret->status, host);
}

static int64_t attempt_deadline(const struct run *x)
{
	int64_t limit = x->rq->attempt_timeout, now = clock_boot();
	return limit > 0 && limit < x->call->deadline - now ? now + limit : x->call->deadline;
}

static int perform(struct run *x, struct http_headers *headers)
{
	const struct http_transport *t = &x->h->transport;
	const struct http_attempt a = {.method = x->rq->method,
		.url = x->rq->url,
		.headers = headers,
		.body = x->rq->body,
		.body_len = x->rq->body_len,
		.cap = x->rq->cap,
		.flags = x->rq->flags,
		.connect_timeout = x->rq->connect_timeout > 0 ? x->rq->connect_timeout : CONNECT_NS,
		.deadline = attempt_deadline(x)};
	return t->perform(t->arg, &a, x->call, x->ret, x->err);
}

static void count_sent(struct run *x, size_t headers)
{
	struct http_stats *s = &x->h->stats;
	pthread_mutex_lock(&x->h->lock);
	s->attempts++;
	s->bytes_in += x->ret->body.len + x->ret->headers.len;
	s->bytes_out += strlen(x->rq->url) + headers + x->rq->body_len;
	pthread_mutex_unlock(&x->h->lock);
	log_debug("%s: %s attempt %u: status %d, %zu bytes", x->h->name, x->rq->method, x->attempt,
		x->ret->status, x->ret->body.len);
}

/* One attempt; *ret_verdict is that of a complete answer. */
static int send_once(struct run *x, enum http_verdict *ret_verdict)
{
	_cleanup_(http_headers_clear) struct http_headers headers = {0};
	int r = 0;
	*ret_verdict = HTTP_ACCEPT;
	http_reply_clear(x->ret);
	if (x->rq->headers)
		r = x->rq->headers(x->rq->arg, x->attempt, &headers, x->err);
	if (headers.err.code) { /* whatever the callback made of it */
		*x->err = headers.err;
		r = -headers.err.code;
	}
	x->unsent = r < 0;
	if (r < 0)
		return r;
	x->attempt++;
	size_t size = http_headers_size(&headers);
	r = perform(x, &headers);
	x->ret->attempts = x->attempt;
	count_sent(x, size);
	if (r < 0)
		return r;
	if (is_redirect(x->ret->status))
		return refuse_redirect(x);
	*ret_verdict = judge(x);
	return 0;
}

static int64_t asked_pause(
	const struct run *x, const char *name, int64_t (*parse)(const char *, size_t, int64_t))
{
	size_t len;
	const char *value = http_reply_find(x->ret, name, &len);
	return value ? parse(value, len, x->ret->received) : RETRY_AFTER_NONE;
}

static int64_t parse_ms(const char *text, size_t len, int64_t wall)
{
	(void)wall;
	return retry_after_ms(text, len);
}

/* The longer of what header and body of the answer ask for. */
static int64_t asked_after(const struct run *x, enum http_verdict v)
{
	int64_t header = asked_pause(x, "retry-after", retry_after), body = RETRY_AFTER_NONE;
	if (v != HTTP_ACCEPT && x->rq->pause)
		body = x->rq->pause(x->rq->arg, x->ret);
	return body > header ? body : header;
}

static int64_t own_pause(const struct run *x, int r, enum http_verdict v)
{
	int64_t base = x->rq->backoff > 0 ? x->rq->backoff : RETRY_BASE;
	if (r == 0 && v == HTTP_THROTTLE && x->rq->throttle_backoff > 0)
		base = x->rq->throttle_backoff;
	return retry_delay(base, x->retries);
}

/* What the outcome of an attempt teaches all requests of this identity. */
static void learn(struct run *x, int r, enum http_verdict v, int64_t after)
{
	struct http *h = x->h;
	int64_t now = clock_boot();
	bool redirected = r == -EPROTO && is_redirect(x->ret->status);
	enum breaker_result health_now = x->unsent    ? BREAKER_UNKNOWN
					 : redirected ? BREAKER_GOOD
						      : health(r, v);
	if (!counted(x))
		return;
	pthread_mutex_lock(&h->lock);
	if (health_now == BREAKER_BAD && r < 0)
		h->last = *x->err;
	else if (health_now == BREAKER_BAD)
		err_set(&h->last, EREMOTEIO, "the server answers with status %d", x->ret->status);
	breaker_result(&h->breaker, now, x->pass, health_now);
	if (r == 0 && v != HTTP_ACCEPT && retry_hold(now, after) > h->hold)
		h->hold = retry_hold(now, after);
	if (r == 0 && v == HTTP_THROTTLE)
		h->stats.throttled++;
	if (r == 0 && v == HTTP_ACCEPT && x->ret->status < 500)
		retry_success(&h->bucket, x->taken);
	pthread_mutex_unlock(&h->lock);
}

static bool worth_a_retry(int r, enum http_verdict v)
{
	if (r == 0)
		return v == HTTP_TRANSIENT || v == HTTP_THROTTLE;
	return r == -EHOSTUNREACH || r == -ENXIO || r == -ETIMEDOUT || r == -EBADMSG;
}

/* Pays for a retry and waits; false: the outcome stands. */
static bool again(struct run *x, int r, enum http_verdict v, int64_t after)
{
	unsigned max = x->rq->attempts ? x->rq->attempts : RETRY_ATTEMPTS;
	struct sfs_err quiet;
	struct run later = *x;
	if (r == 0 && v == HTTP_RESEND && !x->resent) {
		x->resent = true;
		return true;
	}
	if (x->unsent || !worth_a_retry(r, v) || x->retries + 1 >= max)
		return false;
	int64_t pause = retry_pause(
		own_pause(x, r, v), after, asked_pause(x, "x-amz-retry-after", parse_ms));
	if (pause >= x->call->deadline - clock_boot())
		return false;
	pthread_mutex_lock(&x->h->lock);
	unsigned cost = breaker_is_open(&x->h->breaker) && counted(x)
				? 0
				: retry_take(&x->h->bucket, r == -ETIMEDOUT);
	x->h->stats.retries += cost > 0;
	pthread_mutex_unlock(&x->h->lock);
	later.err = &quiet; /* the outcome so far is what counts if we do not get further */
	if (cost == 0 || wait_for(&later, pause) < 0)
		return false;
	x->taken += cost;
	x->retries++;
	return true;
}

static int attempts(struct run *x)
{
	enum http_verdict v;
	int r = enter(x);
	if (r < 0)
		return r;
	for (;;) {
		struct sfs_err before;
		r = send_once(x, &v);
		int64_t after = r == 0 ? asked_after(x, v) : RETRY_AFTER_NONE;
		learn(x, r, v, after);
		if (!again(x, r, v, after))
			return r;
		before = *x->err;
		if (enter(x) < 0) { /* no room for another one: the last outcome stands */
			*x->err = before;
			return r;
		}
	}
}

static int check(const struct http *h, const struct http_request *rq, struct sfs_err *err)
{
	if (rq->body_len > SFS_HTTP_BODY_MAX)
		return err_set(err, EFBIG, "a request of %zu bytes is too large", rq->body_len);
	return http_url_check(rq->url, h->insecure, err);
}

/* The request failed with x->err. */
static int conclude(const struct run *x, int r, struct sfs_err *err)
{
	char attempts[32] = "";
	bool unknown = r == -ENXIO, hint = unknown && x->rq->no_host;
	if (x->attempt > 1)
		snprintf(attempts, sizeof(attempts), " (after %u attempts)", x->attempt);
	http_reply_clear(x->ret);
	return err_set(err, unknown ? EHOSTUNREACH : -r, "%s%s%s%s", x->err->msg, attempts,
		hint ? ": " : "", hint ? x->rq->no_host : "");
}

int http_do(struct http *h, const struct call *call, const struct http_request *rq,
	struct http_reply *ret, struct sfs_err *err)
{
	struct sfs_err own = {0};
	struct run x = {.h = h, .call = call, .rq = rq, .ret = ret, .err = &own};
	int r;
	http_reply_clear(ret);
	ret->body.max = rq->cap;
	r = check(h, rq, &own);
	if (r == 0)
		r = attempts(&x);
	pthread_mutex_lock(&h->lock);
	h->stats.requests++;
	h->stats.errors += r < 0 || ret->status >= 400;
	pthread_mutex_unlock(&h->lock);
	return r < 0 ? conclude(&x, r, err) : 0;
}
