/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "net/http_retry.h"

#include <criterion/criterion.h>
#include <string.h>

#define SEC  NSEC_PER_SEC
#define MS   NSEC_PER_MSEC
#define N(x) (sizeof(x) / sizeof((x)[0]))
/* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOVEMBER (INT64_C(784111777) * SEC)

/* R56: uniform, and never at the limit itself. */
Test(retry, delays_are_uniform_below_a_doubling_limit)
{
	enum { DRAWS = 10000, BINS = 10 };
	static const int64_t limit[] = {
		100 * MS, 200 * MS, 400 * MS, 800 * MS, 1600 * MS, 3200 * MS, 5 * SEC, 5 * SEC};
	for (unsigned n = 0; n < N(limit); n++) {
		unsigned bin[BINS] = {0};
		for (int i = 0; i < DRAWS; i++) {
			int64_t d = retry_delay(RETRY_BASE, n);
			cr_assert(d >= 0 && d < limit[n], "%u: %lld", n, (long long)d);
			bin[d * BINS / limit[n]]++;
		}
		for (int b = 0; b < BINS; b++) /* 1000 expected, 30 is one sigma */
			cr_assert(bin[b] > 800 && bin[b] < 1200, "%u: bin %d has %u", n, b, bin[b]);
	}
	cr_assert_lt(retry_delay(RETRY_BASE, 1000), 5 * SEC);
	bool above = false;
	for (int i = 0; i < 1000; i++) {
		int64_t d = retry_delay(2 * SEC, 1);
		cr_assert_lt(d, 4 * SEC);
		above |= d > 2 * SEC;
		cr_assert_lt(retry_delay(2 * SEC, 2), 5 * SEC);
	}
	cr_assert(above, "another base");
}

static int64_t after(const char *text)
{
	return retry_after(text, strlen(text), NOVEMBER);
}

/* R58 */
Test(retry, retry_after_is_seconds_or_a_date)
{
	cr_assert_eq(after("0"), 0);
	cr_assert_eq(after("5"), 5 * SEC);
	cr_assert_eq(after(" 120\t"), 120 * SEC);
	cr_assert_eq(after("Sun, 06 Nov 1994 08:49:42 GMT"), 5 * SEC);
	cr_assert_eq(after("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
	cr_assert_eq(after("Sun, 06 Nov 1994 08:00:00 GMT"), 0, "a date in the past");
	cr_assert_gt(after("99999999999999999999999999"), 60 * SEC, "saturates");
}

Test(retry, garbage_asks_for_nothing)
{
	static const char *const bad[] = {"", " ", "soon", "-5", "+5", "5s", "5 6", "0x5", "1.5",
		"1e3", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 Nov 1994 08:49:37 GMT and then some text that is long"};
	for (size_t i = 0; i < N(bad); i++)
		cr_assert_eq(after(bad[i]), RETRY_AFTER_NONE, "%s", bad[i]);
	cr_assert_eq(retry_after("5\0", 2, 0), RETRY_AFTER_NONE);
	cr_assert_eq(retry_after_ms("1.5", 3), RETRY_AFTER_NONE);
	cr_assert_eq(retry_after_ms("1500", 4), 1500 * MS);
}

Test(retry, dates_come_in_three_forms)
{
	static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};
	clock_fake(0, NOVEMBER);
	for (size_t i = 0; i < N(same); i++) {
		int64_t wall = 7;
		cr_assert(http_date(same[i], strlen(same[i]), &wall), "%s", same[i]);
		cr_assert_eq(wall, NOVEMBER, "%s", same[i]);
	}
	int64_t wall = 7;
	cr_assert(http_date("Friday, 06-Nov-20 08:49:37 GMT", 30, &wall));
	cr_assert_gt(wall, NOVEMBER, "a year of two digits is the nearest one");
	wall = 7;
	cr_assert_not(http_date("Thu, 01 Jan 1969 00:00:00 GMT", 29, &wall));
	cr_assert_eq(wall, 7, "untouched");
	clock_real();
}

Test(retry, pauses_obey_up_to_a_minute)
{
	for (int i = 0; i < 1000; i++) {
		int64_t own = retry_delay(RETRY_BASE, 0),
			p = retry_pause(own, 5 * SEC, RETRY_AFTER_NONE);
		cr_assert_eq(p, 5 * SEC);
		p = retry_pause(own, 60 * SEC, RETRY_AFTER_NONE);
		cr_assert_eq(p, 60 * SEC);
		p = retry_pause(own, 3600 * SEC, RETRY_AFTER_NONE);
		cr_assert(p >= 30 * SEC && p < 60 * SEC, "spread below the cap");
		p = retry_pause(own, 0, RETRY_AFTER_NONE);
		cr_assert_eq(p, own);
		p = retry_pause(own, RETRY_AFTER_NONE, 2 * SEC);
		cr_assert_eq(p, 2 * SEC);
		p = retry_pause(own, RETRY_AFTER_NONE, 3600 * SEC);
		cr_assert(p >= 5 * SEC && p < 5 * SEC + 100 * MS, "ours and 5 s at most");
	}
	cr_assert_eq(retry_hold(100, 5 * SEC), 100 + 5 * SEC);
	cr_assert_eq(retry_hold(100, 3600 * SEC), 100 + 60 * SEC);
	cr_assert_eq(retry_hold(100, 0), 0);
	cr_assert_eq(retry_hold(100, RETRY_AFTER_NONE), 0);
}

/* R57 */
Test(retry, the_bucket_pays_for_retries)
{
	struct retry_bucket b = RETRY_BUCKET_INIT;
	cr_assert_eq(retry_take(&b, false), 5);
	cr_assert_eq(retry_take(&b, true), 10);
	cr_assert_eq(retry_take(&b, true), 0, "5 are left");
	cr_assert_eq(retry_take(&b, false), 5);
	cr_assert_eq(retry_take(&b, false), 0);
	retry_success(&b, 10);
	cr_assert_eq(b.tokens, 10, "a success gives back what it took");
	retry_success(&b, 0);
	cr_assert_eq(b.tokens, 11, "one at the first try gives one");
	for (int i = 0; i < 100; i++)
		retry_success(&b, 5);
	cr_assert_eq(b.tokens, RETRY_BUCKET);
}

Test(rate, it_is_a_bucket_of_its_own_size)
{
	struct http_rate r;
	rate_init(&r, 10, 0);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(rate_take(&r, 0, SEC), 0);
	cr_assert_eq(rate_take(&r, 0, SEC), 100 * MS);
	cr_assert_eq(rate_take(&r, 0, SEC), 200 * MS, "in turn");
	cr_assert_eq(rate_take(&r, 0, 100 * MS), -1, "no patience");
	cr_assert_eq(rate_take(&r, 0, 300 * MS), 300 * MS, "which took nothing");
	cr_assert_eq(rate_take(&r, 1000 * SEC, SEC), 0);
	for (int i = 0; i < 9; i++)
		cr_assert_eq(
			rate_take(&r, 1000 * SEC, SEC), 0, "it never holds more than its size");
	cr_assert_gt(rate_take(&r, 1000 * SEC, SEC), 0);
}

Test(rate, none_and_slow)
{
	struct http_rate r;
	rate_init(&r, 0, 0);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(rate_take(&r, 0, 0), 0);
	rate_init(&r, 0.5, 0);
	cr_assert_eq(rate_take(&r, 0, 0), 0, "one at once even so");
	cr_assert_eq(rate_take(&r, 0, 10 * SEC), 2 * SEC);
	cr_assert_eq(
		rate_take(&r, -5 * SEC, 10 * SEC), 4 * SEC, "a clock that goes back gives nothing");
}
