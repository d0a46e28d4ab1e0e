/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts and verdicts (R38, R56-R59) against a script, with a clock that stands still. */
#include "fakes/http_script.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define URL  "https://secrets.test/"
#define BOOT (INT64_C(1000) * NSEC_PER_SEC)
#define WALL (INT64_C(1790000000) * NSEC_PER_SEC)

static struct http *h;
static struct http_script script;
static struct http_reply reply = HTTP_REPLY_INIT;
static struct sfs_err err;

static void begin_rate(const struct http_exchange *ex, size_t n, double rate)
{
	const struct http_conf conf = {.name = "test", .rate = rate};
	clock_fake(BOOT, WALL);
	http_script_start(&script, ex, n);
	cr_assert_eq(http_new(&conf, &h, &err), 0, "%s", err.msg);
}

static void begin(const struct http_exchange *ex, size_t n)
{
	begin_rate(ex, n, 0);
}

static void end(void)
{
	http_reply_clear(&reply);
	http_free(h);
	cr_assert_null(http_script_end(&script), "%s", script.problem);
	clock_real();
}

static int ask(const struct http_request *rq, int64_t seconds)
{
	const struct call call = {.deadline = clock_after(clock_boot(), seconds)};
	err_clear(&err);
	return http_do(h, &call, rq, &reply, &err);
}

static const struct http_request get = {.method = "GET", .url = URL, .cap = 4096};

#define N(x) (sizeof(x) / sizeof((x)[0]))
#define OK                                                                \
	{                                                                 \
		.method = "GET", .url = URL, .status = 200, .reply = "{}" \
	}
#define SAY(s)                                                            \
	{                                                                 \
		.method = "GET", .url = URL, .status = (s), .reply = "no" \
	}
#define DEAD                                                                                   \
	{                                                                                      \
		.method = "GET", .url = URL, .fail = EHOSTUNREACH, .why = "connection refused" \
	}

Test(http, an_answer_is_handed_over_whole)
{
	static const struct http_exchange ex[] = {{.method = "GET",
		.url = URL,
		.status = 404,
		.with = "x-id: 7\ndate: Mon, 21 Sep 2026 14:13:30 GMT\n",
		.reply = "a\0b",
		.reply_len = 3}};
	char id[8] = "before";
	int64_t skew = 42;
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(reply.status, 404);
	cr_assert_eq(reply.attempts, 1);
	cr_assert_eq(reply.body.len, 3);
	cr_assert_arr_eq(reply.body.data, "a\0b", 3);
	cr_assert(http_reply_header(&reply, "x-id", id, sizeof(id)));
	cr_assert_str_eq(id, "7");
	cr_assert_not(http_reply_header(&reply, "date", id, sizeof(id)), "does not fit");
	cr_assert_str_eq(id, "7");
	cr_assert(http_reply_skew(&reply, &skew));
	cr_assert_eq(skew, 10 * NSEC_PER_SEC);
	end();
}

Test(http, transient_answers_are_asked_for_again_and_the_last_one_counts)
{
	static const struct http_exchange ex[] = {SAY(500), SAY(503), SAY(502)};
	struct http_stats st;
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(reply.status, 502);
	cr_assert_eq(reply.attempts, 3);
	cr_assert_eq(script.pauses, 2);
	cr_assert_lt(script.paused, 300 * NSEC_PER_MSEC);
	http_stats(h, &st);
	cr_assert_eq(st.requests, 1);
	cr_assert_eq(st.attempts, 3);
	cr_assert_eq(st.retries, 2);
	cr_assert_eq(st.errors, 1);
	end();
}

Test(http, final_answers_are_not_asked_for_again)
{
	static const struct http_exchange ex[] = {
		SAY(400), SAY(401), SAY(403), SAY(404), SAY(501), SAY(304)};
	begin(ex, N(ex));
	for (size_t i = 0; i < N(ex); i++)
		cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(script.pauses, 0);
	end();
}

Test(http, what_could_not_connect_is_retried_and_the_failure_says_so)
{
	static const struct http_exchange ex[] = {DEAD, DEAD, DEAD};
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), -EHOSTUNREACH);
	cr_assert_str_eq(err.msg, "connection refused (after 3 attempts)");
	cr_assert_eq(reply.status, 0);
	cr_assert_eq(reply.body.len, 0);
	end();
}

Test(http, what_cannot_get_better_is_final)
{
	static const struct http_exchange ex[] = {
		{.method = "GET", .url = URL, .fail = EPROTO, .why = "certificate expired"},
		{.method = "GET", .url = URL, .fail = EFBIG},
		{.method = "GET", .url = URL, .fail = ENOMEM}};
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), -EPROTO);
	cr_assert_str_eq(err.msg, "certificate expired");
	cr_assert_eq(ask(&get, 10), -EFBIG);
	cr_assert_eq(ask(&get, 10), -ENOMEM);
	end();
}

Test(http, redirects_are_refused_and_name_the_host)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = URL,
			.status = 302,
			.with = "location: http://evil.test/?token=1\n"},
		{.method = "GET", .url = URL, .status = 307, .with = "location: /login\n"},
		{.method = "GET", .url = URL, .status = 308}};
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), -EPROTO);
	cr_assert(strstr(err.msg, " evil.test:"), "%s", err.msg);
	cr_assert_null(strstr(err.msg, "token"), "%s", err.msg);
	cr_assert_eq(ask(&get, 10), -EPROTO);
	cr_assert(strstr(err.msg, " secrets.test:"), "%s", err.msg);
	cr_assert_eq(ask(&get, 10), -EPROTO);
	end();
}

Test(http, retry_after_is_obeyed_and_holds_back_others)
{
	static const struct http_exchange ex[] = {
		{.method = "GET", .url = URL, .status = 429, .with = "retry-after: 5\n"}, OK,
		{.method = "GET", .url = URL, .status = 503, .with = "retry-after: 3600\n"}, OK};
	struct http_stats st;
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(reply.status, 200);
	cr_assert_eq(script.paused, 5 * NSEC_PER_SEC);
	cr_assert_eq(ask(&get, 10), 0, "an hour does not fit: the answer comes at once");
	cr_assert_eq(reply.status, 503);
	cr_assert_eq(script.paused, 5 * NSEC_PER_SEC);
	cr_assert_eq(ask(&get, 10), -EBUSY);
	cr_assert(strstr(err.msg, "60 s"), "%s", err.msg);
	clock_fake_advance(55 * NSEC_PER_SEC);
	cr_assert_eq(ask(&get, 10), 0, "waits for the rest of the minute");
	cr_assert_eq(script.paused, 10 * NSEC_PER_SEC);
	http_stats(h, &st);
	cr_assert_eq(st.throttled, 1);
	end();
}

Test(http, amz_retry_after_is_milliseconds)
{
	static const struct http_exchange ex[] = {
		{.method = "GET", .url = URL, .status = 503, .with = "x-amz-retry-after: 1500\n"},
		OK};
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(script.paused, 1500 * NSEC_PER_MSEC);
	end();
}

static int64_t pause_of(void *arg, const struct http_reply *r)
{
	(void)arg;
	return r->body.len ? (r->body.data[0] - '0') * NSEC_PER_SEC : -1;
}

Test(http, a_pause_may_be_asked_for_in_the_body)
{
	static const struct http_exchange ex[] = {
		{.method = "GET", .url = URL, .status = 429, .reply = "4"},
		{.method = "GET",
			.url = URL,
			.status = 429,
			.reply = "1",
			.with = "retry-after: 2\n"},
		OK, {.method = "GET", .url = URL, .status = 404, .reply = "9"}};
	struct http_request rq = get;
	rq.pause = pause_of;
	begin(ex, N(ex));
	cr_assert_eq(ask(&rq, 10), 0);
	cr_assert_eq(reply.status, 200);
	cr_assert_eq(script.paused, 6 * NSEC_PER_SEC, "the longer of the two");
	cr_assert_eq(ask(&rq, 10), 0, "a final answer asks for nothing");
	cr_assert_eq(script.paused, 6 * NSEC_PER_SEC);
	end();
}

Test(http, the_base_of_pauses_is_by_request)
{
	static const struct http_exchange ex[] = {SAY(503), SAY(429), SAY(503)};
	int64_t longest = 0;
	for (int i = 0; i < 200; i++) {
		struct http_request rq = get;
		rq.backoff = 1;
		rq.throttle_backoff = NSEC_PER_SEC;
		begin(ex, N(ex));
		cr_assert_eq(ask(&rq, 10), 0);
		cr_assert_eq(script.pauses, 2);
		if (script.paused > longest)
			longest = script.paused;
		end();
	}
	cr_assert(longest > NSEC_PER_SEC && longest < 2 * NSEC_PER_SEC + 2, "%lld",
		(long long)longest);
}

Test(http, a_pause_beyond_the_deadline_is_not_waited_for)
{
	static const struct http_exchange ex[] = {
		{.method = "GET", .url = URL, .status = 429, .with = "retry-after: 3\n"}};
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 3), 0);
	cr_assert_eq(reply.status, 429);
	cr_assert_eq(script.pauses, 0);
	end();
}

Test(http, nothing_is_sent_after_the_deadline_or_for_nobody)
{
	atomic_bool gone = true;
	begin(NULL, 0);
	const struct call late = {.deadline = BOOT};
	const struct call unwanted = {.deadline = CLOCK_NEVER, .cancelled = &gone};
	cr_assert_eq(http_do(h, &late, &get, &reply, &err), -ETIMEDOUT);
	cr_assert_eq(http_do(h, &unwanted, &get, &reply, &err), -ECANCELED);
	end();
}

struct caller {
	unsigned resend; /* answers judged so */
	unsigned headers;
	const char *token;
};

static int add_headers(void *arg, unsigned attempt, struct http_headers *hs, struct sfs_err *e)
{
	struct caller *c = arg;
	char n[8];
	(void)e;
	cr_assert_eq(attempt, c->headers);
	c->headers++;
	snprintf(n, sizeof(n), "%u", attempt);
	http_header(hs, "X-Attempt", n);
	http_header_secret(hs, "Authorization", "Bearer ", c->token, strlen(c->token));
	return 0;
}

static enum http_verdict resend(void *arg, const struct http_reply *r)
{
	struct caller *c = arg;
	return r->status == 403 && c->resend ? c->resend--, HTTP_RESEND : HTTP_ACCEPT;
}

Test(http, a_resend_is_at_once_and_only_one)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = URL,
			.status = 403,
			.headers = {"x-attempt: 0", "authorization: Bearer tok"}},
		{.method = "GET", .url = URL, .status = 403, .headers = {"X-Attempt: 1"}}};
	struct caller c = {.resend = 5, .token = "tok"};
	struct http_request rq = get;
	rq.headers = add_headers;
	rq.judge = resend;
	rq.arg = &c;
	rq.attempts = 1;
	begin(ex, N(ex));
	cr_assert_eq(ask(&rq, 10), 0);
	cr_assert_eq(reply.status, 403);
	cr_assert_eq(reply.attempts, 2);
	cr_assert_eq(script.pauses, 0);
	end();
}

Test(http, a_bad_header_ends_the_request_before_anything_is_sent)
{
	struct caller c = {.token = "zebra\r\nX-Evil: 1"};
	struct http_request rq = get;
	rq.headers = add_headers;
	rq.arg = &c;
	begin(NULL, 0);
	cr_assert_eq(ask(&rq, 10), -EINVAL);
	cr_assert(strstr(err.msg, "Authorization"), "%s", err.msg);
	cr_assert_null(strstr(err.msg, "zebra"), "%s", err.msg);
	end();
}

static int refuse_headers(void *arg, unsigned attempt, struct http_headers *hs, struct sfs_err *e)
{
	static const int codes[] = {EBADMSG, EHOSTUNREACH, ETIMEDOUT};
	unsigned *calls = arg;
	(void)attempt;
	(void)hs;
	return err_set(e, codes[(*calls)++ % 3], "no credentials");
}

/* Neither is it tried again, nor does it open the breaker: the service was not asked. */
Test(http, who_cannot_make_the_headers_says_nothing_of_the_service)
{
	static const struct http_exchange ex[] = {{.method = "GET", .url = URL, .status = 200}};
	unsigned calls = 0;
	struct http_request rq = get;
	rq.headers = refuse_headers;
	rq.arg = &calls;
	begin(ex, N(ex));
	for (unsigned i = 0; i < 12; i++) {
		cr_assert_lt(ask(&rq, 10), 0);
		cr_assert_eq(calls, i + 1);
		cr_assert_str_eq(err.msg, "no credentials");
	}
	cr_assert_eq(script.pauses, 0);
	cr_assert_eq(ask(&get, 10), 0);
	end();
}

Test(http, bad_urls_and_large_bodies_are_never_sent)
{
	struct http_request rq = get;
	begin(NULL, 0);
	rq.url = "http://secrets.test/";
	cr_assert_eq(ask(&rq, 10), -EINVAL);
	rq.url = "https://a@b.test/";
	cr_assert_eq(ask(&rq, 10), -EINVAL);
	rq = get;
	rq.body = "";
	rq.body_len = SFS_HTTP_BODY_MAX + 1;
	cr_assert_eq(ask(&rq, 10), -EFBIG);
	end();
}

/* R57: with a bucket of 20 and 5 a retry, and the breaker out of the way. */
Test(http, a_dead_provider_costs_few_extra_calls)
{
	static struct http_exchange ex[1200];
	struct http_request rq = get;
	rq.flags = HTTP_NO_BREAKER;
	for (size_t i = 0; i < N(ex); i++)
		ex[i] = (struct http_exchange)SAY(500), ex[i].flags = HTTP_NO_BREAKER;
	begin(ex, N(ex));
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(ask(&rq, 10), 0);
	cr_assert_leq(script.at, 1200);
	cr_assert_eq(script.at, 1004, "20 tokens, 5 each, nothing comes back: %zu", script.at);
	cr_assert_null(script.problem);
	script.n = script.at;
	end();
}

/* Nobody was asked, so the service is not taken for broken: when the name appears, the next request
 * gets through (row 53 of the fault matrix). */
Test(http, a_name_that_does_not_exist_opens_no_breaker)
{
	static struct http_exchange ex[31];
	struct http_request rq = get;
	struct http_stats st;
	for (size_t i = 0; i < 30; i++)
		ex[i] = (struct http_exchange){
			.method = "GET", .url = URL, .fail = ENXIO, .why = "no such name"};
	ex[30] = (struct http_exchange)OK;
	rq.attempts = 1;
	begin(ex, N(ex));
	cr_assert_eq(ask(&get, 10), -EHOSTUNREACH);
	cr_assert_str_eq(err.msg, "no such name (after 3 attempts)");
	rq.no_host = "is it spelt so";
	for (size_t i = 3; i < 30; i++)
		cr_assert_eq(ask(&rq, 10), -EHOSTUNREACH);
	cr_assert_str_eq(err.msg, "no such name: is it spelt so");
	http_stats(h, &st);
	cr_assert_not(st.breaker_open);
	cr_assert_eq(ask(&rq, 10), 0);
	end();
}

/* R59: five failures in a row, then nothing for a while, then one probe. */
Test(http, the_breaker_opens_and_one_probe_closes_it)
{
	static const struct http_exchange ex[] = {DEAD, DEAD, DEAD, DEAD, DEAD, DEAD, OK, OK};
	struct http_request rq = get;
	struct http_stats st;
	rq.attempts = 1;
	begin(ex, N(ex));
	for (int i = 0; i < 5; i++)
		cr_assert_eq(ask(&rq, 10), -EHOSTUNREACH);
	http_stats(h, &st);
	cr_assert(st.breaker_open);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(ask(&rq, 10), -EHOSTUNREACH);
	cr_assert_eq(script.at, 5, "nothing was sent");
	cr_assert(strstr(err.msg, "connection refused"), "%s", err.msg);
	clock_fake_advance(5 * NSEC_PER_SEC);
	cr_assert_eq(ask(&rq, 10), -EHOSTUNREACH, "a failed probe");
	clock_fake_advance(5 * NSEC_PER_SEC);
	cr_assert_eq(ask(&rq, 10), -EHOSTUNREACH, "10 s this time");
	cr_assert_eq(script.at, 6);
	clock_fake_advance(5 * NSEC_PER_SEC);
	cr_assert_eq(ask(&rq, 10), 0);
	http_stats(h, &st);
	cr_assert_not(st.breaker_open);
	cr_assert_eq(ask(&rq, 10), 0);
	end();
}

Test(http, a_service_that_answers_with_faults_is_not_called_unreachable)
{
	static const struct http_exchange ex[] = {SAY(503), SAY(503), SAY(503), SAY(503), SAY(500)};
	struct http_request rq = get;
	rq.attempts = 1;
	begin(ex, N(ex));
	for (int i = 0; i < 5; i++)
		cr_assert_eq(ask(&rq, 10), 0);
	cr_assert_eq(ask(&rq, 10), -EREMOTEIO, "the breaker is open");
	cr_assert(strstr(err.msg, "status 500"), "%s", err.msg);
	end();
}

Test(http, refusals_never_open_the_breaker)
{
	static struct http_exchange ex[30];
	static const int status[] = {401, 403, 404};
	struct http_stats st;
	for (size_t i = 0; i < N(ex); i++)
		ex[i] = (struct http_exchange)SAY(status[i % 3]);
	begin(ex, N(ex));
	for (size_t i = 0; i < N(ex); i++)
		cr_assert_eq(ask(&get, 10), 0);
	http_stats(h, &st);
	cr_assert_not(st.breaker_open);
	end();
}

Test(http, a_request_of_its_own_standing_passes_an_open_breaker)
{
	static const struct http_exchange ex[] = {DEAD, DEAD, DEAD, DEAD, DEAD,
		{.method = "GET", .url = URL, .status = 200, .flags = HTTP_NO_BREAKER}};
	struct http_request rq = get;
	rq.attempts = 1;
	begin(ex, N(ex));
	for (int i = 0; i < 5; i++)
		ask(&rq, 10);
	rq.flags = HTTP_NO_BREAKER;
	cr_assert_eq(ask(&rq, 10), 0);
	end();
}

Test(http, the_rate_limit_spreads_requests)
{
	static const struct http_exchange ex[] = {OK, OK, OK, OK};
	begin_rate(ex, N(ex), 2);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(script.paused, NSEC_PER_SEC, "two at once, then one each half second");
	end();
}

Test(http, the_rate_limit_refuses_what_would_come_too_late)
{
	static const struct http_exchange ex[] = {OK};
	begin_rate(ex, N(ex), 0.05);
	cr_assert_eq(ask(&get, 10), 0);
	cr_assert_eq(ask(&get, 10), -EBUSY);
	end();
}

Test(http, other_identities_are_unaffected)
{
	static const struct http_exchange ex[] = {DEAD, DEAD, DEAD, DEAD, DEAD, OK};
	const struct http_conf conf = {.name = "other"};
	struct http_request rq = get;
	struct http *other, *first;
	rq.attempts = 1;
	begin(ex, N(ex));
	cr_assert_eq(http_new(&conf, &other, &err), 0);
	for (int i = 0; i < 5; i++)
		ask(&rq, 10);
	first = h;
	h = other;
	cr_assert_eq(ask(&rq, 10), 0);
	http_free(first);
	end();
}

/* R67: every allocation of a request fails once. */
Test(http, no_memory_is_an_error_of_that_request)
{
	static const struct http_exchange ex[] = {{.method = "GET",
		.url = URL,
		.status = 200,
		.with = "x-id: 7\n",
		.reply = "{}",
		.headers = {"x-attempt: 0"}}};
	unsigned long n = 1, failed = 0;
	for (;; n++) {
		struct caller c = {.token = "tok"};
		struct http_request rq = get;
		rq.headers = add_headers;
		rq.arg = &c;
		begin(ex, N(ex));
		alloc_fail_at(n);
		int r = ask(&rq, 10);
		bool hit = alloc_fail_at(0) >= n;
		if (hit) {
			failed++;
			cr_assert(r == 0 || r == -ENOMEM, "allocation %lu: %d %s", n, r, err.msg);
			cr_assert(r == 0 || reply.body.len == 0);
		} else {
			cr_assert_eq(r, 0);
		}
		script.n = script.at;
		end();
		if (!hit)
			break;
	}
	cr_assert_geq(failed, 4);
}

Test(http, a_proxy_is_an_address_and_nothing_else)
{
	static const char *const bad[] = {"proxy.test:3128", "socks5://p.test", "http://u:p@p.test",
		"http://p.test/x", "http://p.test?x"};
	struct http *p = NULL;
	clock_fake(BOOT, WALL);
	http_script_start(&script, NULL, 0);
	for (size_t i = 0; i < N(bad); i++) {
		const struct http_conf conf = {.name = "p", .proxy = bad[i]};
		cr_assert_eq(http_new(&conf, &p, &err), -EINVAL, "%s", bad[i]);
		cr_assert_null(p);
	}
	http_script_end(&script);
	clock_real();
}
