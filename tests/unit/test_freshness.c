/* SPDX-License-Identifier: Apache-2.0 */
#include "core/freshness.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SEC NSEC_PER_SEC

/* --- TTL --- */

static int64_t ttl_of(int64_t policy, bool user_set, int64_t user, int64_t hint, bool immutable)
{
	struct fresh_ttl in = {.policy = policy,
		.user_set = user_set,
		.user = user,
		.hint = hint,
		.max = -1,
		.immutable = immutable};

	return fresh_ttl(&in);
}

Test(ttl, precedence)
{
	cr_assert_eq(ttl_of(300, false, 0, -1, false), 300);
	cr_assert_eq(ttl_of(300, true, 7, -1, false), 7);
	cr_assert_eq(ttl_of(300, true, -1, 10, false), -1, "the user's wins over the hint");
	cr_assert_eq(ttl_of(300, false, 0, 10, false), 10, "the hint shortens the policy's");
	cr_assert_eq(ttl_of(300, false, 0, 1000, false), 300, "and never lengthens it");
	cr_assert_eq(ttl_of(-1, false, 0, 10, false), 10);
	cr_assert_eq(ttl_of(300, false, 0, 0, false), 0);
}

Test(ttl, immutable_lasts_unless_nothing_is_kept)
{
	cr_assert_eq(ttl_of(300, false, 0, -1, true), -1);
	cr_assert_eq(ttl_of(300, true, 5, -1, true), -1);
	cr_assert_eq(ttl_of(0, false, 0, -1, true), 0);
}

Test(ttl, zero_means_nothing_is_kept)
{
	struct fresh_ttl never = {.policy = 300,
		.never_cache = true,
		.user_set = true,
		.user = 60,
		.hint = -1,
		.max = -1};

	cr_assert_eq(ttl_of(0, false, 0, 50, false), 0);
	cr_assert_eq(ttl_of(0, true, 60, -1, false), 60, "a rule of 0 is below the user's");
	cr_assert_eq(fresh_ttl(&never), 0, "a mount of 0 is above it");
}

Test(ttl, nothing_outlasts_the_secret)
{
	struct fresh_ttl in = {.policy = 300, .hint = -1, .max = 60};

	cr_assert_eq(fresh_ttl(&in), 60);
	in.max = 600;
	cr_assert_eq(fresh_ttl(&in), 300);
	in.policy = -1;
	cr_assert_eq(fresh_ttl(&in), 600);
	in.user_set = true;
	in.user = 1000;
	cr_assert_eq(fresh_ttl(&in), 600, "the user's too");
	in.immutable = true;
	cr_assert_eq(fresh_ttl(&in), 600, "and a fixed version");
	in.never_cache = true;
	cr_assert_eq(fresh_ttl(&in), 0);
}

/* --- refresh ahead --- */

Test(refresh, lies_in_the_last_tenth_and_before_the_end)
{
	for (uint32_t i = 0; i < 10000; i++) {
		int64_t at = fresh_refresh_at(1000, 300, fresh_spread(i, "db", 2, 1));

		cr_assert(at >= 1000 + 270 * SEC);
		cr_assert(at < 1000 + 295 * SEC);
	}
}

Test(refresh, never_for_what_never_expires)
{
	cr_assert_eq(fresh_refresh_at(1000, -1, 7), CLOCK_NEVER);
	cr_assert_eq(fresh_refresh_at(CLOCK_NEVER - 5, 300, 7), CLOCK_NEVER);
}

Test(refresh, differs_by_node_key_and_cycle_and_by_nothing_else)
{
	uint64_t a = fresh_spread(1, "db", 2, 1);

	cr_assert_eq(a, fresh_spread(1, "db", 2, 1));
	cr_assert_neq(a, fresh_spread(2, "db", 2, 1));
	cr_assert_neq(a, fresh_spread(1, "dc", 2, 1));
	cr_assert_neq(a, fresh_spread(1, "db", 2, 2));
}

#define NODES	10000
#define TTL	300
#define HORIZON (4 * TTL)

static void peak_and_mean(const unsigned *per_second, double *ret_ratio)
{
	unsigned peak = 0, total = 0, first = HORIZON, last = 0;

	for (unsigned s = 0; s < HORIZON; s++) {
		if (!per_second[s])
			continue;
		first = s < first ? s : first;
		last = s;
		total += per_second[s];
		peak = per_second[s] > peak ? per_second[s] : peak;
	}
	*ret_ratio = peak / ((double)total / (last - first + 1));
}

/* R62: a fleet that starts in the same second does not ask in the same second ever after. */
Test(refresh, r62_ten_thousand_nodes_part)
{
	static int64_t fetched[NODES];
	unsigned per_second[HORIZON];
	double ratio;

	for (uint32_t cycle = 1; cycle <= 3; cycle++) {
		memset(per_second, 0, sizeof(per_second));
		for (uint32_t n = 0; n < NODES; n++) {
			fetched[n] = fresh_refresh_at(
				fetched[n], TTL, fresh_spread(n * 7919u, "prod/db", 7, cycle));
			per_second[fetched[n] / SEC]++;
		}
		peak_and_mean(per_second, &ratio);
		cr_assert(ratio <= 3.0, "cycle %u: the busiest second has %.2f times the mean",
			cycle, ratio);
	}
}

/* --- back-off --- */

Test(backoff, doubles_from_base_to_cap)
{
	cr_assert_eq(fresh_backoff(1), 100 * NSEC_PER_MSEC);
	cr_assert_eq(fresh_backoff(2), 200 * NSEC_PER_MSEC);
	cr_assert_eq(fresh_backoff(6), 3200 * NSEC_PER_MSEC);
	cr_assert_eq(fresh_backoff(7), 5 * SEC);
	cr_assert_eq(fresh_backoff(200), 5 * SEC);
}

Test(backoff, which_errors_are_transient)
{
	static const int yes[] = {EBUSY, EHOSTUNREACH, ETIMEDOUT, EREMOTEIO, ENOMEM, EAGAIN};
	static const int no[] = {ENOENT, EACCES, ENOKEY, EKEYEXPIRED, EKEYREJECTED, EKEYREVOKED,
		EPROTO, EBADMSG, EFBIG, EIO};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		cr_assert(err_transient(&(struct sfs_err){.code = yes[i]}), "%d", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		cr_assert_not(err_transient(&(struct sfs_err){.code = no[i]}), "%d", no[i]);
	cr_assert_not(fresh_blames_source(ENOMEM), "our memory says nothing about the source");
}

/* --- verdict and state --- */

/* Fetched at 0, ttl 300, stale 3600, refreshed ahead at 280. */
static struct fresh_view view(int64_t seconds)
{
	return (struct fresh_view){
		.now = seconds * SEC,
		.held = true,
		.expires = 300 * SEC,
		.drop = 3900 * SEC,
		.refresh_at = 280 * SEC,
	};
}

Test(verdict, fresh_is_served)
{
	struct fresh_view v = view(10);

	cr_assert_eq(fresh_decide(&v), FRESH_SERVE);
	cr_assert_eq(fresh_state(&v), ENTRY_FRESH);
}

Test(verdict, last_tenth_is_served_and_fetched)
{
	struct fresh_view v = view(281);

	cr_assert_eq(fresh_decide(&v), FRESH_SERVE_REFRESH);
	v.flight = true;
	cr_assert_eq(fresh_decide(&v), FRESH_SERVE, "one fetch is enough");
	cr_assert_eq(fresh_state(&v), ENTRY_REFRESHING);
	v.flight = false;
	v.retry_at = 282 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_SERVE, "not during the back-off");
}

Test(verdict, expired_waits)
{
	struct fresh_view v = view(300);

	cr_assert_eq(fresh_decide(&v), FRESH_FETCH);
	cr_assert_eq(fresh_state(&v), ENTRY_EXPIRED);
}

Test(verdict, stale_only_in_trouble_and_for_a_time)
{
	struct fresh_view v = view(301);

	v.failed = true;
	v.fails = 1;
	v.retry_at = 302 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_SERVE);
	cr_assert_eq(fresh_state(&v), ENTRY_STALE);
	v.now = 303 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_SERVE_REFRESH);
	v.now = 340 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_FETCH, "the trouble is long ago: wait for the answer");
	cr_assert_eq(fresh_state(&v), ENTRY_STALE);
	v.now = 3900 * SEC;
	v.retry_at = 3901 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_FAIL, "R61: stale= ends it");
	cr_assert_eq(fresh_state(&v), ENTRY_EXPIRED);
}

Test(verdict, trouble_of_the_source_counts_unless_it_reported_a_change)
{
	struct fresh_view v = view(301);

	v.source_fails = 1;
	v.source_until = 302 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_SERVE);
	v.changed = true;
	cr_assert_eq(fresh_decide(&v), FRESH_FETCH);
}

Test(verdict, remembered_failure_is_answered_at_once)
{
	struct fresh_view v = {.now = SEC, .failed = true, .fails = 1, .retry_at = 2 * SEC};

	cr_assert_eq(fresh_decide(&v), FRESH_FAIL);
	cr_assert_eq(fresh_state(&v), ENTRY_FAILED);
	v.now = 2 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_FETCH);
}

Test(verdict, a_source_that_is_down_fails_other_names_too)
{
	struct fresh_view v = {
		.now = SEC, .source_fails = FRESH_SOURCE_DOWN, .source_until = 2 * SEC};

	cr_assert_eq(fresh_decide(&v), FRESH_FAIL_SOURCE);
	v.source_fails--;
	cr_assert_eq(fresh_decide(&v), FRESH_FETCH);
	v.source_fails++;
	v.now = 2 * SEC;
	cr_assert_eq(fresh_decide(&v), FRESH_FETCH);
}

Test(verdict, absent_and_lapsed)
{
	struct fresh_view v = {.now = SEC};

	cr_assert_eq(fresh_decide(&v), FRESH_FETCH);
	cr_assert_eq(fresh_state(&v), ENTRY_ABSENT);
	v.lapsed = true;
	cr_assert_eq(fresh_state(&v), ENTRY_EXPIRED);
}
