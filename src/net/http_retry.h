/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a request is sent again (R56-R58) and how fast (rate limit): arithmetic only. No locks, no
 * clock: the caller holds its lock and passes the time. All times are ns.
 */
#ifndef SFS_NET_HTTP_RETRY_H
#define SFS_NET_HTTP_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_ATTEMPTS	    3
#define RETRY_BUCKET	    20 /* tokens: a dead provider costs one extra call in five */
#define RETRY_COST	    5
#define RETRY_COST_TIMEOUT  10
#define RETRY_AFTER_NONE    (-1)
#define RETRY_AFTER_SECONDS 60 /* longer than that is not obeyed to the letter */

#define RETRY_BASE INT64_C(100000000) /* ns */

/* Full jitter: uniform in [0, min(5 s, base * 2^n)) before retry n, counted from 0. */
int64_t retry_delay(int64_t base, unsigned n);

/* Retry-After (RFC 9110 section 10.2.3), seconds or a date, as ns from `wall` on; 0 for a date in
 * the past. RETRY_AFTER_NONE for anything else. What is too large saturates. */
int64_t retry_after(const char *text, size_t len, int64_t wall);
/* x-amz-retry-after: milliseconds. */
int64_t retry_after_ms(const char *text, size_t len);
/* The pause before a retry: our own, unless the answer asked for more (RETRY_AFTER_NONE: nothing).
 */
int64_t retry_pause(int64_t own, int64_t after, int64_t after_ms);
/* Until when nobody else asks either, 0 = no such moment. */
int64_t retry_hold(int64_t now, int64_t after);

/* An HTTP date in one of the three forms of RFC 9110 section 5.6.7, as wall time ns. */
bool http_date(const char *text, size_t len, int64_t *ret_wall);

struct retry_bucket {
	unsigned tokens;
};
#define RETRY_BUCKET_INIT    \
	{                    \
		RETRY_BUCKET \
	}
/* Tokens taken for one retry, 0 = it must not be made. */
unsigned retry_take(struct retry_bucket *b, bool timed_out);
/* A request succeeded: gives back what its retries took, or one token if it took none. */
void retry_success(struct retry_bucket *b, unsigned taken);

struct http_rate {
	double rate;   /* a second; 0 = no limit */
	double tokens; /* below 0: promised to those who wait */
	int64_t last;
};
void rate_init(struct http_rate *r, double rate, int64_t now);
/* Takes a place: ns to wait until it comes, or -1 (nothing taken) if that is more than `patience`.
 */
int64_t rate_take(struct http_rate *r, int64_t now, int64_t patience);

#endif
