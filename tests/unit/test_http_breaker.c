/* SPDX-License-Identifier: Apache-2.0 */
/* The sequence of states of the breaker (R59), with a clock of its own. */
#include "base/clock.h"
#include "net/http_breaker.h"

#include <criterion/criterion.h>

#define SEC NSEC_PER_SEC

static struct breaker b;
static int64_t now;

static enum breaker_pass request(enum breaker_result result)
{
	enum breaker_pass pass = breaker_enter(&b, now);
	if (pass != BREAKER_REFUSED)
		breaker_result(&b, now, pass, result);
	return pass;
}

static void open_it(void)
{
	for (int i = 0; i < 5; i++)
		cr_assert_eq(request(BREAKER_BAD), BREAKER_PASS);
	cr_assert(breaker_is_open(&b));
}

Test(breaker, five_failures_in_a_row_open_it)
{
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 4; i++)
			cr_assert_eq(request(BREAKER_BAD), BREAKER_PASS);
		cr_assert_eq(request(BREAKER_GOOD), BREAKER_PASS);
	}
	for (int i = 0; i < 100; i++)
		request(BREAKER_UNKNOWN);
	cr_assert_not(breaker_is_open(&b));
	open_it();
	cr_assert_eq(request(BREAKER_GOOD), BREAKER_REFUSED);
}

Test(breaker, pauses_double_from_5_to_60_seconds_with_jitter)
{
	static const int64_t pause[] = {5, 10, 20, 40, 60, 60, 60};
	open_it();
	for (size_t i = 0; i < sizeof(pause) / sizeof(pause[0]); i++) {
		int64_t left = b.until - now;
		cr_assert(left > pause[i] * SEC * 3 / 4 && left <= pause[i] * SEC, "%zu: %lld", i,
			(long long)left);
		now = b.until - 1;
		cr_assert_eq(request(BREAKER_BAD), BREAKER_REFUSED);
		now = b.until;
		cr_assert_eq(request(BREAKER_BAD), BREAKER_PROBE);
	}
}

Test(breaker, jitter_differs)
{
	int64_t first = 0;
	bool differs = false;
	for (int i = 0; i < 20; i++) {
		b = (struct breaker){0};
		open_it();
		differs |= first && b.until != first;
		first = b.until;
	}
	cr_assert(differs);
}

Test(breaker, one_probe_at_a_time_decides)
{
	open_it();
	now += 5 * SEC;
	cr_assert_eq(breaker_enter(&b, now), BREAKER_PROBE);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(breaker_enter(&b, now), BREAKER_REFUSED);
	breaker_result(&b, now, BREAKER_PROBE, BREAKER_GOOD);
	cr_assert_not(breaker_is_open(&b));
	cr_assert_eq(request(BREAKER_BAD), BREAKER_PASS, "it counts from the start again");
	cr_assert_not(breaker_is_open(&b));
}

Test(breaker, a_probe_that_was_given_up_leaves_room_for_the_next)
{
	open_it();
	now += 5 * SEC;
	cr_assert_eq(request(BREAKER_UNKNOWN), BREAKER_PROBE);
	cr_assert_eq(request(BREAKER_GOOD), BREAKER_PROBE);
	cr_assert_not(breaker_is_open(&b));
}

Test(breaker, late_results_of_before_change_nothing)
{
	enum breaker_pass late = breaker_enter(&b, now);
	open_it();
	breaker_result(&b, now, late, BREAKER_GOOD);
	cr_assert(breaker_is_open(&b));
	int64_t until = b.until;
	breaker_result(&b, now, late, BREAKER_BAD);
	cr_assert_eq(b.until, until);
}
