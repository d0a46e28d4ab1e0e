/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_retry.h"

#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CAP_NS	     (5 * NSEC_PER_SEC)
#define AMZ_SLACK_NS (5 * NSEC_PER_SEC) /* botocore's: at most so much above our own pause */
#define AFTER_MAX_NS (RETRY_AFTER_SECONDS * NSEC_PER_SEC)
#define DIGITS_MAX   18
#define DATE_MAX     40

int64_t retry_delay(int64_t base, unsigned n)
{
	int64_t limit = base;
	for (; n > 0 && limit < CAP_NS; n--)
		limit *= 2;
	return (int64_t)random_below((uint64_t)(limit < CAP_NS ? limit : CAP_NS));
}

/* A decimal number that uses all of the text, saturating at `max`; RETRY_AFTER_NONE otherwise. */
static int64_t number(const char *text, size_t len, int64_t max)
{
	int64_t n = 0;
	if (len == 0)
		return RETRY_AFTER_NONE;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return RETRY_AFTER_NONE;
		if (n <= max)
			n = n * 10 + (text[i] - '0');
	}
	return n < max ? n : max;
}

static void trim(const char **text, size_t *len)
{
	while (*len && (**text == ' ' || **text == '\t')) {
		++*text;
		--*len;
	}
	while (*len && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
		--*len;
}

int64_t retry_after(const char *text, size_t len, int64_t wall)
{
	const int64_t max = CLOCK_NEVER / NSEC_PER_SEC / 2;
	int64_t at;
	trim(&text, &len);
	int64_t seconds = number(text, len, max);
	if (seconds >= 0)
		return seconds * NSEC_PER_SEC;
	if (!http_date(text, len, &at))
		return RETRY_AFTER_NONE;
	return at > wall ? at - wall : 0;
}

int64_t retry_after_ms(const char *text, size_t len)
{
	trim(&text, &len);
	int64_t ms = number(text, len, CLOCK_NEVER / NSEC_PER_MSEC / 2);
	return ms < 0 ? RETRY_AFTER_NONE : ms * NSEC_PER_MSEC;
}

int64_t retry_pause(int64_t own, int64_t after, int64_t after_ms)
{
	int64_t pause = own;
	if (after_ms > own)
		pause = after_ms < own + AMZ_SLACK_NS ? after_ms : own + AMZ_SLACK_NS;
	if (after > AFTER_MAX_NS) /* spread: everybody was told the same moment */
		after = AFTER_MAX_NS / 2 + (int64_t)random_below((uint64_t)AFTER_MAX_NS / 2);
	return after > pause ? after : pause;
}

int64_t retry_hold(int64_t now, int64_t after)
{
	if (after <= 0)
		return 0;
	return now + (after < AFTER_MAX_NS ? after : AFTER_MAX_NS);
}

/* A two-digit year is the nearest one that is not more than 50 years ahead (RFC 9110). */
static void fix_year(struct tm *tm)
{
	time_t now = (time_t)(clock_wall() / NSEC_PER_SEC);
	struct tm today;
	gmtime_r(&now, &today);
	tm->tm_year = today.tm_year / 100 * 100 + tm->tm_year % 100;
	if (tm->tm_year > today.tm_year + 50)
		tm->tm_year -= 100;
	else if (tm->tm_year <= today.tm_year - 50)
		tm->tm_year += 100;
}

bool http_date(const char *text, size_t len, int64_t *ret_wall)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};
	char copy[DATE_MAX];
	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(copy, forms[i], &tm);
		if (!end || *end != '\0')
			continue;
		if (i == 1)
			fix_year(&tm);
		time_t at = timegm(&tm);
		if (at < 0 || at > CLOCK_NEVER / NSEC_PER_SEC)
			return false;
		*ret_wall = (int64_t)at * NSEC_PER_SEC;
		return true;
	}
	return false;
}

unsigned retry_take(struct retry_bucket *b, bool timed_out)
{
	unsigned cost = timed_out ? RETRY_COST_TIMEOUT : RETRY_COST;
	if (b->tokens < cost)
		return 0;
	b->tokens -= cost;
	return cost;
}

void retry_success(struct retry_bucket *b, unsigned taken)
{
	b->tokens += taken ? taken : 1;
	if (b->tokens > RETRY_BUCKET)
		b->tokens = RETRY_BUCKET;
}

static double rate_size(const struct http_rate *r)
{
	return r->rate > 1 ? r->rate : 1;
}

void rate_init(struct http_rate *r, double rate, int64_t now)
{
	*r = (struct http_rate){.rate = rate, .last = now};
	r->tokens = rate_size(r);
}

int64_t rate_take(struct http_rate *r, int64_t now, int64_t patience)
{
	if (r->rate <= 0)
		return 0;
	if (now > r->last) {
		r->tokens += r->rate * ((double)(now - r->last) / (double)NSEC_PER_SEC);
		r->last = now;
	}
	if (r->tokens > rate_size(r))
		r->tokens = rate_size(r);
	double wait = r->tokens >= 1 ? 0 : (1 - r->tokens) / r->rate * (double)NSEC_PER_SEC;
	if (wait > (double)patience)
		return -1;
	r->tokens -= 1;
	return (int64_t)wait;
}
