/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

Test(clock, real_clocks_are_those_of_the_kernel)
{
	struct timespec boot, wall;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	cr_assert_not(clock_is_fake());
	cr_assert_geq(clock_boot(), (int64_t)boot.tv_sec * NSEC_PER_SEC + boot.tv_nsec);
	cr_assert_geq(clock_wall() / NSEC_PER_SEC, (int64_t)wall.tv_sec - 1);
	int64_t first = clock_boot();
	cr_assert_geq(clock_boot(), first);
}

Test(clock, fake_stands_still_and_moves_on_demand)
{
	clock_fake(100, 2000);
	cr_assert(clock_is_fake());
	cr_assert_eq(clock_boot(), 100);
	cr_assert_eq(clock_boot(), 100);
	cr_assert_eq(clock_wall(), 2000);
	clock_fake_advance(5 * NSEC_PER_SEC);
	cr_assert_eq(clock_boot(), 100 + 5 * NSEC_PER_SEC);
	cr_assert_eq(clock_wall(), 2000 + 5 * NSEC_PER_SEC);
	clock_real();
	cr_assert_not(clock_is_fake());
	cr_assert_gt(clock_wall(), INT64_C(1600000000) * NSEC_PER_SEC);
}

static void *advance(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		clock_fake_advance(1);
		cr_assert_geq(clock_boot(), 0);
	}
	return arg;
}

Test(clock, fake_advances_from_many_threads)
{
	pthread_t t[4];
	clock_fake(0, 7);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, advance, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(clock_boot(), 40000);
	cr_assert_eq(clock_wall(), 40007);
}

Test(clock, after_saturates)
{
	cr_assert_eq(clock_after(5, 2), 5 + 2 * NSEC_PER_SEC);
	cr_assert_eq(clock_after(5, 0), 5);
	cr_assert_eq(clock_after(5, -1), CLOCK_NEVER);
	cr_assert_eq(clock_after(5, INT64_MIN), CLOCK_NEVER);
	cr_assert_eq(clock_after(5, INT64_MAX), CLOCK_NEVER);
	cr_assert_eq(clock_after(NSEC_PER_SEC, INT64_MAX / NSEC_PER_SEC), CLOCK_NEVER);
	cr_assert_eq(clock_after(CLOCK_NEVER, 1), CLOCK_NEVER);
	cr_assert_eq(clock_after(CLOCK_NEVER, 0), CLOCK_NEVER);
}

Test(clock, text)
{
	char out[CLOCK_TEXT];
	cr_assert_str_eq(clock_text(INT64_C(1795366993) * NSEC_PER_SEC + 999999999, out),
		"2026-11-22T17:03:13Z");
	cr_assert_eq(clock_text(1, out), out);
	cr_assert_str_eq(out, "1970-01-01T00:00:00Z");
	cr_assert_str_eq(clock_text(-1, out), "1969-12-31T23:59:59Z");
	cr_assert_str_eq(clock_text(0, out), "-");
	cr_assert_str_eq(clock_text(INT64_MAX, out), "2262-04-11T23:47:16Z");
	cr_assert_str_eq(clock_text(INT64_MIN, out), "1677-09-21T00:12:43Z");
}

Test(clock, random_stays_below)
{
	bool seen[7] = {false};
	for (int i = 0; i < 2000; i++) {
		uint64_t r = random_below(7);
		cr_assert_lt(r, 7);
		seen[r] = true;
	}
	for (int i = 0; i < 7; i++)
		cr_assert(seen[i], "%d never drawn", i); /* chance of a false alarm: 1e-133 */
	cr_assert_eq(random_below(1), 0);
	cr_assert_eq(random_below(0), 0);
}

/* Three quarters of 2^64: what is drawn above must be drawn again, or the lowest third would come
 * up every second time. */
Test(clock, random_is_uniform)
{
	const uint64_t third = UINT64_C(1) << 62;
	int low = 0;
	for (int i = 0; i < 3000; i++) {
		uint64_t r = random_below(3 * third);
		cr_assert_lt(r, 3 * third);
		low += r < third;
	}
	cr_assert(low > 750 && low < 1250, "%d of 3000", low); /* 1000 expected, deviation 26 */
}

static pthread_mutex_t cond_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static bool told;

static void *tell(void *arg)
{
	pthread_mutex_lock(&cond_lock);
	told = true;
	pthread_cond_signal(arg);
	pthread_mutex_unlock(&cond_lock);
	return NULL;
}

Test(clock, a_wait_ends_in_time_or_when_told)
{
	pthread_t t;
	cr_assert_eq(clock_cond_init(&cond), 0);
	pthread_mutex_lock(&cond_lock);
	clock_cond_wait(&cond, &cond_lock, 0);
	clock_cond_wait(&cond, &cond_lock, NSEC_PER_MSEC);
	cr_assert_eq(pthread_create(&t, NULL, tell, &cond), 0);
	while (!told)
		clock_cond_wait(&cond, &cond_lock, 1000 * NSEC_PER_SEC + NSEC_PER_SEC - 1);
	pthread_mutex_unlock(&cond_lock);
	pthread_join(t, NULL);
	pthread_cond_destroy(&cond);
}
