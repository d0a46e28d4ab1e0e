/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fresh is a value, may it be served, when is it fetched again (design section 2; R37, R56,
 * R61, R62). Pure functions over numbers: times are boot time in ns, TTLs seconds. The store asks
 * them; it decides nothing by itself.
 */
#ifndef SFS_CORE_FRESHNESS_H
#define SFS_CORE_FRESHNESS_H

#include "base/clock.h"
#include "core/store.h"

#define FRESH_BACKOFF_BASE (100 * NSEC_PER_MSEC)
#define FRESH_BACKOFF_CAP  (5 * NSEC_PER_SEC)
#define FRESH_KEEP_CAP	   (60 * NSEC_PER_SEC)
/* So many failures in a row and a source is taken for down: names that never failed themselves fail
 * at once too, while it backs off. */
#define FRESH_SOURCE_DOWN 5
/* An answer with an older version than the one held is taken for a lagging replica for so long
 * (R64), then for a roll-back. */
#define FRESH_LAG (60 * NSEC_PER_SEC)
/* A failure counts as present trouble for so long after its back-off; then the next reader waits
 * for the fetch again. */
#define FRESH_TROUBLE (30 * NSEC_PER_SEC)

/* What the effective TTL of a value follows from. */
struct fresh_ttl {
	int64_t policy;	  /* rule or mount: seconds, -1, 0 */
	bool never_cache; /* the mount has ttl=0 */
	bool user_set;
	int64_t user;
	int64_t hint; /* the provider's, or -1 */
	int64_t max;  /* until the secret goes away, or -1 */
	bool immutable;
};
/* Seconds, -1 = for ever, 0 = nothing is kept. The user's TTL wins; else the policy's, capped by
 * the hint. What is immutable lasts for ever unless nothing is to be kept. Nothing lasts longer
 * than the secret. */
int64_t fresh_ttl(const struct fresh_ttl *in);

/* 64 bits that differ for each node, key and number of the fetch, and are the same for the same
 * three. */
uint64_t fresh_spread(uint64_t node, const void *key, size_t len, uint32_t fetch);
/* When a value that is being read is fetched again in the background: at 90 to 98 % of its TTL, by
 * `spread`, so that nodes started in the same second part (R62). CLOCK_NEVER for ttl -1. */
int64_t fresh_refresh_at(int64_t fetched, int64_t ttl, uint64_t spread);

/* Errors that tell something about the source rather than about one name or about us. */
bool fresh_blames_source(int code);
/* Upper bound of the full-jitter delay after `fails` failures in a row (1 = the first): min(cap,
 * base * 2^(fails-1)). */
int64_t fresh_backoff(unsigned fails);
/* The same for a value that nobody waits for: it doubles on to a minute. */
int64_t fresh_keep_backoff(unsigned fails);

/* For how long, in ns, an older answer is taken for a lagging replica. Where versions are `counted`
 * a number never comes back by intent, so that is the value's TTL if it is longer. */
int64_t fresh_lag(bool counted, int64_t ttl);

/* What is known about an entry at one moment. */
struct fresh_view {
	int64_t now;
	bool held;	 /* there is a value */
	int64_t expires; /* its TTL ends */
	int64_t drop;	 /* and so does the time for which it may be served stale */
	int64_t refresh_at;
	bool changed;	       /* the source said so and no fetch has ended since */
	bool lapsed;	       /* there was a value until its time was over */
	bool failed;	       /* the last fetch failed */
	unsigned fails;	       /* failures in a row, ENOENT not among them */
	int64_t retry_at;      /* the last failure is answered from memory until then */
	unsigned source_fails; /* failures in a row of the source */
	int64_t source_until;  /* end of its back-off */
	bool flight;	       /* a fetch is under way or queued */
};

enum fresh_verdict {
	FRESH_SERVE,	     /* from memory */
	FRESH_SERVE_REFRESH, /* from memory, and start a fetch in the background */
	FRESH_FAIL,	     /* the entry's remembered error */
	FRESH_FAIL_SOURCE,   /* the source's */
	FRESH_FETCH,	     /* wait for a fetch */
};
/*
 * What a FETCH_CACHED reader gets. Over its TTL, a value is served at once only if provider trouble
 * is known: this entry's last fetch failed a moment ago (FRESH_TROUBLE), or the source's; the next
 * try then runs in the background, paced by the back-offs, so that an outage does not make each
 * open wait for a timeout. Otherwise the reader waits for the fetch, and gets the stale value if
 * that fails with a transient error.
 */
enum fresh_verdict fresh_decide(const struct fresh_view *v);
enum entry_state fresh_state(const struct fresh_view *v);

#endif
