/* SPDX-License-Identifier: Apache-2.0 */
/* Entries, flights and those who wait for them. TTLs: test_store_ttl.c; failures:
 * test_store_faults.c. */
#include "store_fixture.h"

static struct fixture fx;

/* Every test has the entry `e` and may use the reader `r`. */
#define OPEN(bytes)                            \
	fx_open(&fx, bytes);                   \
	struct entry *e = fx_entry(&fx, "db"); \
	struct reader r = {0};                 \
	(void)r

#define CLOSE()         \
	entry_unref(e); \
	fx_close(&fx)

/* --- one fetch --- */

Test(fetch, r60_a_thousand_readers_one_flight)
{
	static struct reader v[1000];
	struct source_health h;

	OPEN(1000);
	for (int i = 0; i < 1000; i++)
		fx_read(&fx, e, FETCH_CACHED, &v[i]);
	cr_assert_eq(fx.nflights, 1u);
	fx_succeed(&fx, 0, "geheim");
	for (int i = 0; i < 1000; i++)
		cr_assert(v[i].calls == 1 && !strcmp(v[i].bytes, "geheim"));
	source_health(fx.src, &h);
	cr_assert_eq(h.fetches, 1u);
	cr_assert_eq(h.joined, 999u);
	cr_assert_eq(h.failures, 0u);
	CLOSE();
}

Test(fetch, r60_a_failure_goes_to_all_and_late_readers_cost_nothing)
{
	static struct reader v[1000];
	struct source_health h;

	OPEN(1000);
	for (int i = 0; i < 500; i++)
		fx_read(&fx, e, FETCH_CACHED, &v[i]);
	fx_fail(&fx, 0, ENOENT);
	for (int i = 500; i < 1000; i++)
		fx_read(&fx, e, FETCH_CACHED, &v[i]);
	for (int i = 0; i < 1000; i++)
		cr_assert(v[i].calls == 1 && v[i].code == ENOENT);
	source_health(fx.src, &h);
	cr_assert_eq(h.fetches, 1u);
	cr_assert_eq(h.failures, 1u);
	CLOSE();
}

Test(fetch, waiters_are_answered_in_the_order_they_came)
{
	static struct reader v[3];

	OPEN(1000);
	for (int i = 0; i < 3; i++)
		fx_read(&fx, e, FETCH_CACHED, &v[i]);
	fx_succeed(&fx, 0, "x");
	cr_assert_lt(v[0].rank, v[1].rank);
	cr_assert_lt(v[1].rank, v[2].rank);
	CLOSE();
}

Test(fetch, second_read_is_from_memory)
{
	OPEN(1000);
	fx_fill(&fx, e, "geheim");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 1u, "answered before store_fetch() returned");
	cr_assert_str_eq(r.bytes, "geheim");
	cr_assert_eq(fx.nflights, 1u);
	cr_assert_eq(fx_state(e), ENTRY_FRESH);
	CLOSE();
}

Test(fetch, missing_version_becomes_a_keyed_hash)
{
	struct reader again = {0};

	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 0, "geheim");
	cr_assert_eq(strlen(r.version), 16u);
	cr_assert_null(strstr(r.version, "geheim"));
	fx_read(&fx, e, FETCH_REFRESH, &again);
	fx_succeed(&fx, 1, "geheim");
	cr_assert_str_eq(r.version, again.version);
	CLOSE();
}

Test(fetch, fetched_times_are_true)
{
	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_advance(&fx, 3 * SEC);
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(r.fetched, BOOT0 + 3 * SEC);
	fx_advance(&fx, 5 * SEC);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_succeed(&fx, 1, "x");
	cr_assert_eq(r.fetched, BOOT0 + 8 * SEC, "unchanged bytes, new time");
	CLOSE();
}

Test(fetch, nocache_leaves_the_cached_one_untouched)
{
	struct reader other = {0};

	OPEN(1000);
	fx_fill(&fx, e, "old");
	fx_read(&fx, e, FETCH_NOCACHE, &r);
	fx_read(&fx, e, FETCH_NOCACHE, &other);
	cr_assert_eq(fx.nflights, 3u, "joined by nobody");
	fx_succeed(&fx, 1, "new");
	fx_succeed(&fx, 2, "newer");
	cr_assert_str_eq(r.bytes, "new");
	cr_assert_str_eq(other.bytes, "newer");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "old");
	cr_assert_eq(fx.events[STORE_ROTATED], 0u);
	CLOSE();
}

Test(fetch, refresh_keeps_serving_the_old_value)
{
	struct reader other = {0};

	OPEN(1000);
	fx_fill(&fx, e, "old");
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_read(&fx, e, FETCH_CACHED, &other);
	cr_assert_str_eq(other.bytes, "old");
	cr_assert_eq(fx_state(e), ENTRY_REFRESHING);
	cr_assert_eq(r.calls, 0u);
	fx_succeed(&fx, 1, "new");
	cr_assert_str_eq(r.bytes, "new");
	fx_read(&fx, e, FETCH_CACHED, &other);
	cr_assert_str_eq(other.bytes, "new");
	CLOSE();
}

/* --- serials and events --- */

Test(serial, kept_for_the_same_raised_for_others)
{
	uint64_t first;

	OPEN(1000);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_succeed(&fx, 0, "a");
	first = r.serial;
	cr_assert_gt(first, 0u);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_succeed(&fx, 1, "a");
	cr_assert_eq(r.serial, first);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_succeed(&fx, 2, "b");
	cr_assert_gt(r.serial, first);
	cr_assert_str_eq(fx.history, "fetched refreshed rotated ");
	CLOSE();
}

Test(serial, another_version_of_the_same_bytes_is_another)
{
	OPEN(1000);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	flight_done(fx_take(&fx, 0), fx_payload("a", "v1", 0), NULL);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	flight_done(fx_take(&fx, 1), fx_payload("a", "v2", 0), NULL);
	cr_assert_eq(fx.events[STORE_ROTATED], 1u);
	CLOSE();
}

Test(serial, survives_purge_and_eviction_of_an_unchanged_value)
{
	uint64_t first;

	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 0, "a");
	first = r.serial;
	store_purge(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 1, "a");
	cr_assert_eq(r.serial, first);
	cr_assert(store_make_room(fx.store, 1));
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 2, "a");
	cr_assert_eq(r.serial, first);
	cr_assert_str_eq(fx.history, "fetched purged refreshed evicted refreshed ");
	CLOSE();
}

/* --- waiting --- */

Test(waiter, its_deadline_ends_it_and_not_the_fetch)
{
	struct reader other = {0};

	OPEN(1000);
	r.w.deadline = BOOT0 + 2 * SEC;
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_read(&fx, e, FETCH_CACHED, &other);
	fx_advance(&fx, 2 * SEC - 1);
	cr_assert_eq(r.calls, 0u);
	fx_advance(&fx, 1);
	cr_assert_eq(r.calls, 1u);
	cr_assert_eq(r.code, ETIMEDOUT);
	cr_assert_not_null(strstr(r.msg, "db"));
	fx_succeed(&fx, 0, "x");
	cr_assert_str_eq(other.bytes, "x");
	cr_assert_eq(r.calls, 1u);
	CLOSE();
}

Test(waiter, cancelled_is_not_called)
{
	OPEN(1000);
	r.w.deadline = BOOT0 + 2 * SEC;
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert(store_cancel(fx.store, &r.w));
	cr_assert_not(store_cancel(fx.store, &r.w));
	cr_assert_not(
		atomic_load(flight_cancelled(fx.flights[0])), "the fetch goes on for the cache");
	fx_advance(&fx, 3 * SEC);
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(r.calls, 0u);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "x");
	cr_assert_not(store_cancel(fx.store, &r.w), "already called");
	CLOSE();
}

Test(waiter, cancelled_nocache_stops_its_flight)
{
	struct source_health h;

	OPEN(1000);
	fx_read(&fx, e, FETCH_NOCACHE, &r);
	cr_assert(store_cancel(fx.store, &r.w));
	cr_assert(atomic_load(flight_cancelled(fx.flights[0])));
	fx_fail(&fx, 0, ECANCELED);
	source_health(fx.src, &h);
	cr_assert_eq(h.failures, 0u);
	CLOSE();
}

Test(flight, a_hung_one_is_given_up_and_its_late_answer_ignored)
{
	struct reader later = {0};

	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(flight_deadline(fx.flights[0]), BOOT0 + 10 * SEC);
	fx_advance(&fx, 11 * SEC);
	cr_assert_eq(r.calls, 1u);
	cr_assert_eq(r.code, ETIMEDOUT);
	cr_assert(atomic_load(flight_cancelled(fx.flights[0])));
	cr_assert_str_eq(flight_name(fx.flights[0]), "db", "its thread may still look");
	fx_read(&fx, e, FETCH_REFRESH, &later);
	cr_assert_eq(fx.nflights, 2u, "the key is not blocked");
	fx_succeed(&fx, 1, "new");
	fx_succeed(&fx, 0, "late");
	fx_read(&fx, e, FETCH_CACHED, &later);
	cr_assert_str_eq(later.bytes, "new");
	CLOSE();
}

Test(flight, one_that_ends_after_the_store_is_gone_is_harmless)
{
	struct flight *f;

	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	f = fx_take(&fx, 0);
	source_detach(fx.src);
	cr_assert_eq(r.code, ENODEV);
	CLOSE();
	flight_done(f, fx_payload("x", NULL, 0), NULL);
}

Test(flight, carries_name_and_version)
{
	struct entry_policy pol = {.ttl = 300};
	struct reader other = {0};
	struct entry *v;

	OPEN(1000);
	v = store_entry(fx.store, fx.src, "db", "AWSPREVIOUS", &pol);
	cr_assert_neq(v, e);
	fx_read(&fx, v, FETCH_CACHED, &r);
	cr_assert_str_eq(flight_name(fx.flights[0]), "db");
	cr_assert_str_eq(flight_version(fx.flights[0]), "AWSPREVIOUS");
	fx_read(&fx, e, FETCH_CACHED, &other);
	cr_assert_null(flight_version(fx.flights[1]));
	entry_unref(v);
	CLOSE();
}

/* --- entries --- */

Test(entry, the_same_three_are_the_same_entry)
{
	struct entry_policy pol = {.ttl = 300};
	struct entry *same, *none, *empty;

	OPEN(1000);
	same = fx_entry(&fx, "db");
	none = store_entry(fx.store, fx.src, "a", NULL, &pol);
	empty = store_entry(fx.store, fx.src, "a", "", &pol);
	cr_assert_eq(same, e);
	cr_assert_neq(none, empty);
	entry_unref(same);
	entry_unref(none);
	entry_unref(empty);
	CLOSE();
}

Test(entry, without_value_or_reference_it_is_freed)
{
	OPEN(1000);
	entry_unref(e);
	cr_assert_null(fx.store->entries);
	e = fx_entry(&fx, "db");
	fx_read(&fx, e, FETCH_CACHED, &r);
	entry_unref(e);
	cr_assert_not_null(fx.store->entries, "a flight holds it");
	fx_fail(&fx, 0, ENOENT);
	cr_assert_not_null(fx.store->entries, "and a remembered failure");
	fx_advance(&fx, 5 * SEC);
	cr_assert_null(fx.store->entries);
	fx_close(&fx);
}

Test(entry, the_users_ttl_keeps_it)
{
	OPEN(1000);
	entry_set_ttl(e, 7);
	entry_unref(e);
	e = fx_entry(&fx, "db");
	cr_assert(entry_ttl_is_set(e));
	CLOSE();
}

Test(entry, one_that_only_the_users_ttl_keeps_has_no_timer)
{
	OPEN(1000);
	entry_set_ttl(e, 7);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_fail(&fx, 0, ENOENT);
	entry_unref(e);
	fx_advance(&fx, 6 * SEC);
	cr_assert_eq(store_run_timers(fx.store), CLOCK_NEVER);
	e = fx_entry(&fx, "db");
	CLOSE();
}

Test(entry, is_small)
{
	cr_assert_lt(sizeof(struct entry), 280u);
}

Test(entry, no_memory_is_null_at_every_allocation)
{
	struct entry_policy pol = {.ttl = 300};

	fx_open(&fx, 1000);
	for (unsigned long n = 1;; n++) {
		struct entry *e;

		alloc_fail_at(n);
		e = store_entry(fx.store, fx.src, "db", NULL, &pol);
		if (alloc_fail_at(0) < n) {
			cr_assert_gt(n, 3u, "nothing failed");
			entry_unref(e);
			break;
		}
		cr_assert_null(e);
		cr_assert_null(fx.store->entries);
	}
	fx_close(&fx);
}

Test(entry, no_memory_for_a_flight_is_enomem_for_that_reader)
{
	OPEN(1000);
	alloc_fail_at(1);
	fx_read(&fx, e, FETCH_CACHED, &r);
	alloc_fail_at(0);
	cr_assert_eq(r.code, ENOMEM);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(r.code, 0);
	CLOSE();
}

/* --- room --- */

Test(room, least_recently_read_values_go_first)
{
	struct entry *b, *c;

	OPEN(10);
	b = fx_entry(&fx, "b");
	c = fx_entry(&fx, "c");
	fx_fill(&fx, e, "1234");
	fx_fill(&fx, b, "1234");
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_fill(&fx, c, "1234");
	cr_assert_eq(fx.events[STORE_EVICTED], 1u);
	cr_assert_eq(fx_state(b), ENTRY_ABSENT);
	cr_assert_eq(fx_state(e), ENTRY_FRESH);
	cr_assert_eq(fx_state(c), ENTRY_FRESH);
	entry_unref(b);
	entry_unref(c);
	CLOSE();
}

Test(room, a_value_larger_than_the_cache_is_served_and_not_kept)
{
	struct entry *b;

	OPEN(10);
	b = fx_entry(&fx, "b");
	fx_fill(&fx, b, "1234");
	fx_fill(&fx, e, "12345678901");
	cr_assert_null(entry_peek(e));
	cr_assert_eq(fx_state(b), ENTRY_FRESH, "and drives nobody out");
	entry_unref(b);
	CLOSE();
}

Test(room, r3_values_somebody_has_open_stay)
{
	struct payload *open;
	struct entry *b;

	OPEN(1000);
	b = fx_entry(&fx, "b");
	fx_fill(&fx, e, "open");
	fx_fill(&fx, b, "idle");
	open = entry_peek(e);
	cr_assert(store_make_room(fx.store, 1000));
	cr_assert_eq(fx_state(e), ENTRY_FRESH);
	cr_assert_eq(fx_state(b), ENTRY_ABSENT);
	cr_assert_not(store_make_room(fx.store, 1));
	payload_unref(open);
	entry_unref(b);
	CLOSE();
}

static int count(void *arg, struct entry *e)
{
	(void)e;
	return ++*(int *)arg == 3 ? -E2BIG : 0;
}

Test(room, store_each_visits_values_until_told_to_stop)
{
	char name[32];
	int n = 0;

	OPEN(1000);
	for (int i = 0; i < 5; i++) {
		struct entry *x;

		snprintf(name, sizeof(name), "n%d", i);
		x = fx_entry(&fx, name);
		fx_fill(&fx, x, "1");
		entry_unref(x);
	}
	cr_assert_eq(store_each(fx.store, count, &n), -E2BIG);
	cr_assert_eq(n, 3);
	alloc_fail_at(1);
	cr_assert_eq(store_each(fx.store, count, &n), -ENOMEM);
	alloc_fail_at(0);
	CLOSE();
}
