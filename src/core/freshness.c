/* SPDX-License-Identifier: Apache-2.0 */
#include "core/freshness.h"

#include <errno.h>

#define REFRESH_FROM  0.90
#define REFRESH_RANGE 0.08

static int64_t at_most(int64_t ttl, int64_t max)
{
	return max >= 0 && (ttl < 0 || max < ttl) ? max : ttl;
}

int64_t fresh_ttl(const struct fresh_ttl *in)
{
	int64_t ttl = in->user_set ? in->user : in->policy;

	if (in->never_cache || ttl == 0)
		return 0;
	if (in->immutable)
		return at_most(-1, in->max);
	if (!in->user_set)
		ttl = at_most(ttl, in->hint);
	return at_most(ttl, in->max);
}

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t fresh_spread(uint64_t node, const void *key, size_t len, uint32_t fetch)
{
	const unsigned char *p = key;
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return mix(mix(mix(h) ^ node) ^ fetch);
}

int64_t fresh_refresh_at(int64_t fetched, int64_t ttl, uint64_t spread)
{
	double u = (double)(spread >> 11) / (double)(UINT64_C(1) << 53);
	int64_t expires = clock_after(fetched, ttl);

	if (ttl < 0 || expires == CLOCK_NEVER)
		return CLOCK_NEVER;
	return fetched +
	       (int64_t)((double)(expires - fetched) * (REFRESH_FROM + REFRESH_RANGE * u));
}

bool fresh_blames_source(int code)
{
	return code == EBUSY || code == EHOSTUNREACH || code == ETIMEDOUT || code == EREMOTEIO;
}

static int64_t doubled(unsigned fails, int64_t cap)
{
	int64_t d = FRESH_BACKOFF_BASE;

	for (unsigned i = 1; i < fails && d < cap; i++)
		d *= 2;
	return d < cap ? d : cap;
}

int64_t fresh_backoff(unsigned fails)
{
	return doubled(fails, FRESH_BACKOFF_CAP);
}

int64_t fresh_keep_backoff(unsigned fails)
{
	return doubled(fails, FRESH_KEEP_CAP);
}

int64_t fresh_lag(bool counted, int64_t ttl)
{
	int64_t lag = ttl > 0 ? clock_after(0, ttl) : 0;

	return counted && lag > FRESH_LAG ? lag : FRESH_LAG;
}

static bool may_retry(const struct fresh_view *v)
{
	return !v->flight && v->now >= v->retry_at && v->now >= v->source_until;
}

/* The last that was heard of the provider is a failure. */
static bool unwell(const struct fresh_view *v)
{
	return v->fails > 0 || (v->source_fails > 0 && !v->changed);
}

static bool trouble(const struct fresh_view *v)
{
	if (v->fails > 0 && v->now < v->retry_at + FRESH_TROUBLE)
		return true;
	return v->source_fails > 0 && !v->changed && v->now < v->source_until + FRESH_TROUBLE;
}

/* The value may still be served, fresh or stale. */
static enum fresh_verdict decide_held(const struct fresh_view *v)
{
	if (v->now < v->expires) {
		bool due = v->now >= v->refresh_at;

		return due && may_retry(v) ? FRESH_SERVE_REFRESH : FRESH_SERVE;
	}
	if (trouble(v))
		return may_retry(v) ? FRESH_SERVE_REFRESH : FRESH_SERVE;
	return FRESH_FETCH;
}

enum fresh_verdict fresh_decide(const struct fresh_view *v)
{
	if (v->held && v->now < v->drop)
		return decide_held(v);
	if (v->failed && v->now < v->retry_at)
		return FRESH_FAIL;
	if (v->source_fails >= FRESH_SOURCE_DOWN && v->now < v->source_until && !v->flight)
		return FRESH_FAIL_SOURCE;
	return FRESH_FETCH;
}

enum entry_state fresh_state(const struct fresh_view *v)
{
	if (v->held && v->now < v->expires)
		return v->flight ? ENTRY_REFRESHING : ENTRY_FRESH;
	if (v->held && v->now < v->drop && unwell(v))
		return ENTRY_STALE;
	if (v->held)
		return ENTRY_EXPIRED;
	if (v->failed)
		return ENTRY_FAILED;
	return v->lapsed ? ENTRY_EXPIRED : ENTRY_ABSENT;
}
