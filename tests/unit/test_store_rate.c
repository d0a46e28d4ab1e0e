/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_fixture.h"

#include "base/limits.h"

TestSuite(rate, .timeout = 10);

#define READERS 64

/* Two flights a second for each user, twenty at once. */
static struct fixture fx;
static struct entry *e[READERS];
static struct reader r[READERS];

static void open_limited(uint32_t rate)
{
	char name[16];

	fx_open(&fx, 1 << 20);
	source_set_rate(fx.src, rate);
	memset(r, 0, sizeof(r));
	for (unsigned i = 0; i < READERS; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		e[i] = fx_entry(&fx, name);
	}
}

static void close_all(void)
{
	for (unsigned i = 0; i < READERS; i++)
		entry_unref(e[i]);
	fx_close(&fx);
}

static void read_as(uint32_t uid, unsigned i)
{
	r[i].w.payer = (struct payer){.limited = true, .uid = uid};
	fx_read(&fx, e[i], FETCH_CACHED, &r[i]);
}

static void spend(uint32_t uid, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		read_as(uid, i);
	cr_assert_eq(fx.nflights, n);
}

static struct source_health health(void)
{
	struct source_health h;

	source_health(fx.src, &h);
	return h;
}

Test(rate, r32_a_burst_then_so_many_a_second_in_the_order_they_came)
{
	open_limited(2);
	spend(1000, 20);
	for (unsigned i = 20; i < 26; i++)
		read_as(1000, i);
	cr_assert_eq(fx.nflights, 20u, "the burst is over");
	cr_assert_eq(health().waiting, 6u);
	fx_advance(&fx, 499 * NSEC_PER_MSEC);
	cr_assert_eq(fx.nflights, 20u);
	fx_advance(&fx, NSEC_PER_MSEC);
	cr_assert_eq(fx.nflights, 21u);
	fx_advance(&fx, SEC);
	cr_assert_eq(fx.nflights, 23u);
	for (unsigned i = 20; i < 23; i++)
		cr_assert_str_eq(flight_name(fx.flights[i]), entry_name(e[i]), "first come");
	fx_advance(&fx, 10 * SEC);
	cr_assert_eq(fx.nflights, 26u);
	cr_assert_eq(health().waiting, 0u);
	cr_assert_eq(health().delayed, 6u);
	close_all();
}

Test(rate, tokens_come_back_up_to_the_burst)
{
	open_limited(2);
	spend(1000, 20);
	fx_advance(&fx, 3600 * SEC);
	for (unsigned i = 20; i < 41; i++)
		read_as(1000, i);
	cr_assert_eq(fx.nflights, 40u, "an hour of rest is worth one burst");
	close_all();
}

Test(rate, nobody_else_is_behind_the_queue)
{
	struct reader free_reader = {0};

	open_limited(2);
	spend(1000, 20);
	read_as(1000, 20);
	cr_assert_eq(fx.nflights, 20u);
	read_as(1001, 21);
	cr_assert_eq(fx.nflights, 21u, "another user");
	fx_read(&fx, e[22], FETCH_CACHED, &free_reader);
	cr_assert_eq(fx.nflights, 22u, "nobody's account");
	close_all();
}

Test(rate, another_source_has_buckets_of_its_own)
{
	struct entry_policy pol = {.ttl = 300};
	struct source *other;

	open_limited(2);
	cr_assert_eq(source_new(fx.store, "other", &fx_ops, &fx, &other), 0);
	source_set_rate(other, 2);
	spend(1000, 20);
	entry_unref(e[20]);
	e[20] = store_entry(fx.store, other, "s20", NULL, &pol);
	read_as(1000, 20);
	cr_assert_eq(fx.nflights, 21u);
	fx_succeed(&fx, 20, "x");
	entry_unref(e[20]);
	e[20] = fx_entry(&fx, "s20");
	source_detach(other);
	source_unref(other);
	close_all();
}

Test(rate, what_is_cached_or_under_way_needs_no_token)
{
	open_limited(2);
	spend(1000, 20);
	fx_succeed(&fx, 0, "cached");
	memset(&r[0], 0, sizeof(r[0]));
	read_as(1000, 0);
	cr_assert_str_eq(r[0].bytes, "cached");
	entry_unref(e[20]);
	e[20] = entry_ref(e[1]);
	read_as(1000, 20);
	cr_assert_eq(health().joined, 1u);
	fx_succeed(&fx, 1, "joined");
	cr_assert_str_eq(r[20].bytes, "joined");
	cr_assert_eq(health().delayed, 0u);
	close_all();
}

/* The same name, delayed for one user: whoever may start the fetch starts it for all. */
Test(rate, a_fetch_of_somebody_else_serves_the_delayed)
{
	struct reader other = {.w.payer = {.limited = true, .uid = 1001}};

	open_limited(2);
	spend(1000, 20);
	read_as(1000, 20);
	read_as(1000, 21);
	fx_read(&fx, e[20], FETCH_CACHED, &other);
	cr_assert_eq(fx.nflights, 21u);
	fx_succeed(&fx, 20, "x");
	cr_assert_str_eq(other.bytes, "x");
	cr_assert_str_eq(r[20].bytes, "x");
	cr_assert_eq(health().waiting, 1u, "the other name still waits");
	fx_advance(&fx, SEC / 2);
	cr_assert_eq(fx.nflights, 22u, "and got the token that was not needed");
	close_all();
}

Test(rate, hydration_and_refreshes_take_none_and_start_what_is_delayed)
{
	struct reader hydrate = {0}, refresh = {0};

	open_limited(2);
	spend(1000, 20);
	read_as(1000, 20);
	read_as(1000, 21);
	fx_read(&fx, e[20], FETCH_CACHED, &hydrate);
	fx_read(&fx, e[21], FETCH_REFRESH, &refresh);
	cr_assert_eq(fx.nflights, 22u);
	fx_succeed(&fx, 20, "a");
	fx_succeed(&fx, 21, "b");
	cr_assert_str_eq(r[20].bytes, "a");
	cr_assert_str_eq(r[21].bytes, "b");
	close_all();
}

Test(rate, a_change_at_the_source_starts_what_is_delayed)
{
	open_limited(2);
	fx_fill(&fx, e[20], "old");
	for (unsigned i = 0; i < 20; i++)
		read_as(1000, i);
	fx_advance(&fx, 301 * SEC);
	for (unsigned i = 22; i < 42; i++)
		read_as(1000, i);
	read_as(1000, 20);
	cr_assert_eq(health().waiting, 1u);
	store_changed(fx.store, e[20]);
	cr_assert_eq(health().waiting, 0u);
	close_all();
}

Test(rate, r32_no_turn_before_the_deadline_is_ebusy_with_the_remedy)
{
	open_limited(1);
	for (unsigned i = 0; i < 10; i++)
		read_as(1000, i);
	for (unsigned i = 10; i < 14; i++) {
		r[i].w.deadline = clock_boot() + 2 * SEC + 1;
		read_as(1000, i);
	}
	fx_advance(&fx, 2 * SEC);
	cr_assert_eq(fx.nflights, 12u);
	fx_advance(&fx, SEC / 2);
	cr_assert_eq(r[12].code, EBUSY);
	cr_assert_eq(r[13].code, EBUSY);
	cr_assert(strstr(r[13].msg, "s13") && strstr(r[13].msg, "user 1000"), "%s", r[13].msg);
	cr_assert(
		strstr(r[13].msg, "open_rate=1") && strstr(r[13].msg, "hydrate"), "%s", r[13].msg);
	cr_assert_eq(health().delayed_out, 2u);
	cr_assert_eq(health().waiting, 0u);
	cr_assert_eq(fx.events[STORE_ERROR], 2u);
	fx_advance(&fx, 20 * SEC);
	cr_assert_eq(fx.nflights, 12u, "nobody waits for it any more");
	close_all();
}

Test(rate, a_stale_value_is_better_than_ebusy)
{
	open_limited(1);
	fx_fill(&fx, e[20], "old");
	fx_advance(&fx, 301 * SEC);
	for (unsigned i = 0; i < 10; i++)
		read_as(1000, i);
	r[20].w.deadline = clock_boot() + SEC / 2;
	read_as(1000, 20);
	fx_advance(&fx, SEC / 2);
	cr_assert_str_eq(r[20].bytes, "old");
	close_all();
}

Test(rate, the_delayed_can_be_cancelled)
{
	open_limited(2);
	spend(1000, 20);
	for (unsigned i = 20; i < 23; i++)
		read_as(1000, i);
	cr_assert(store_cancel(fx.store, &r[20].w));
	cr_assert_not(store_cancel(fx.store, &r[20].w));
	cr_assert_eq(health().waiting, 2u);
	fx_advance(&fx, SEC);
	cr_assert_eq(fx.nflights, 22u, "the others moved up");
	cr_assert_str_eq(flight_name(fx.flights[20]), "s21");
	cr_assert_eq(r[20].calls, 0u);
	close_all();
}

Test(rate, nocache_opens_are_counted_too)
{
	open_limited(2);
	spend(1000, 20);
	r[20].w.payer = (struct payer){.limited = true, .uid = 1000};
	fx_read(&fx, e[20], FETCH_NOCACHE, &r[20]);
	r[21].w.payer = r[20].w.payer;
	fx_read(&fx, e[20], FETCH_NOCACHE, &r[21]);
	cr_assert_eq(fx.nflights, 20u);
	cr_assert(store_cancel(fx.store, &r[20].w));
	fx_advance(&fx, SEC / 2);
	cr_assert_eq(fx.nflights, 21u);
	fx_succeed(&fx, 20, "x");
	cr_assert_str_eq(r[21].bytes, "x");
	close_all();
}

Test(rate, a_purge_leaves_the_delayed_waiting)
{
	open_limited(2);
	spend(1000, 20);
	read_as(1000, 20);
	store_purge(fx.store, e[20]);
	cr_assert_eq(r[20].calls, 0u);
	fx_advance(&fx, SEC / 2);
	fx_succeed(&fx, 20, "new");
	cr_assert_str_eq(r[20].bytes, "new");
	close_all();
}

Test(rate, a_new_limit_counts_at_once)
{
	open_limited(1);
	for (unsigned i = 0; i < 14; i++)
		read_as(1000, i);
	cr_assert_eq(fx.nflights, 10u);
	source_set_rate(fx.src, 4);
	fx_advance(&fx, SEC / 4);
	cr_assert_geq(fx.nflights, 11u);
	source_set_rate(fx.src, 0);
	store_run_timers(fx.store);
	cr_assert_eq(fx.nflights, 14u, "without a limit nobody waits");
	read_as(1000, 20);
	cr_assert_eq(fx.nflights, 15u);
	close_all();
}

Test(rate, the_end_of_the_source_answers_the_delayed)
{
	open_limited(2);
	spend(1000, 20);
	read_as(1000, 20);
	source_detach(fx.src);
	cr_assert_eq(r[20].code, ENODEV);
	cr_assert_eq(health().waiting, 0u);
	close_all();
}

Test(rate, so_many_users_are_counted_and_no_more)
{
	open_limited(1);
	for (unsigned i = 0; i < 10; i++)
		read_as(0, i);
	read_as(0, 10);
	for (uint32_t uid = 1; uid < 2 * SFS_RATE_UIDS; uid++) {
		struct reader one = {.w.payer = {.limited = true, .uid = uid}};
		fx_read(&fx, e[11 + uid % 32], FETCH_CACHED, &one);
		store_cancel(fx.store, &one.w);
	}
	cr_assert_leq(fx.src->nbuckets, (unsigned)SFS_RATE_UIDS);
	cr_assert_eq(health().waiting, 1u, "who waits keeps the place");
	fx_advance(&fx, SEC);
	cr_assert_eq(health().waiting, 0u);
	close_all();
}

Test(rate, no_memory_for_a_bucket_is_enomem_for_that_reader)
{
	open_limited(2);
	for (unsigned long n = 1;; n++) {
		alloc_fail_at(n);
		read_as(1000, 0);
		if (alloc_fail_at(0) < n)
			break;
		cr_assert_eq(r[0].code, ENOMEM);
		cr_assert_eq(fx.nflights, 0u);
		memset(&r[0], 0, sizeof(r[0]));
	}
	cr_assert_eq(fx.nflights, 1u);
	close_all();
}
