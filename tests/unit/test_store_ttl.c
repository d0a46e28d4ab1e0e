/* SPDX-License-Identifier: Apache-2.0 */
/* How long a value is kept: TTLs, refresh ahead, purge, changes. */
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

/* --- TTL --- */

Test(ttl, expires_to_the_nanosecond_and_says_so)
{
	struct entry_info info;

	OPEN(1000);
	fx_fill(&fx, e, "x");
	entry_info(e, &info);
	cr_assert_eq(info.ttl, 300);
	cr_assert_eq(info.expires_boot, BOOT0 + 300 * SEC);
	cr_assert_eq(info.expires_wall, WALL0 + 300 * SEC);
	fx_advance(&fx, 300 * SEC - 1);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 1u);
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	fx_advance(&fx, 1);
	cr_assert_eq(fx.events[STORE_EXPIRED], 1u);
	cr_assert_eq(fx_state(e), ENTRY_EXPIRED);
	CLOSE();
}

Test(ttl, an_expired_value_is_not_served_but_fetched)
{
	OPEN(1000);
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 0u);
	fx_succeed(&fx, 1, "new");
	cr_assert_str_eq(r.bytes, "new");
	CLOSE();
}

Test(ttl, r37_a_jump_of_the_boot_clock_expires)
{
	OPEN(1000);
	fx_fill(&fx, e, "old");
	clock_fake_advance(86400 * SEC); /* asleep: no timer ran */
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 0u);
	store_run_timers(fx.store);
	cr_assert_null(entry_peek(e), "over its stale time too: it does not stay in memory");
	CLOSE();
}

Test(ttl, r66_a_jump_of_the_wall_clock_does_not)
{
	OPEN(1000);
	fx_fill(&fx, e, "x");
	clock_fake(BOOT0, WALL0 + 86400 * SEC);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 1u);
	CLOSE();
}

Test(ttl, zero_keeps_nothing)
{
	struct entry_policy pol = {.ttl = 0, .stale = 3600};
	size_t bytes, values;
	uint64_t evicted;

	OPEN(1000);
	entry_set_policy(e, &pol);
	for (unsigned i = 0; i < 3; i++) {
		fx_read(&fx, e, FETCH_CACHED, &r);
		cr_assert_eq(r.calls, 0u);
		fx_succeed(&fx, i, "x");
		cr_assert_str_eq(r.bytes, "x");
		cr_assert_null(entry_peek(e));
	}
	store_totals(fx.store, &bytes, &values, &evicted);
	cr_assert(bytes == 0 && values == 0 && evicted == 0);
	cr_assert_eq(fx_state(e), ENTRY_EXPIRED);
	cr_assert_str_eq(fx.history, "fetched refreshed refreshed ");
	CLOSE();
}

Test(ttl, zero_joins_the_flight_that_runs)
{
	struct entry_policy pol = {0};
	struct reader other = {0};

	OPEN(1000);
	entry_set_policy(e, &pol);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_read(&fx, e, FETCH_CACHED, &other);
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(r.calls + other.calls, 2u);
	cr_assert_eq(fx.nflights, 1u);
	CLOSE();
}

Test(ttl, set_by_the_user_wins_survives_purge_and_counts_from_the_fetch)
{
	struct entry_policy pol = {.ttl = 5};

	OPEN(1000);
	fx_fill(&fx, e, "x");
	cr_assert_not(entry_ttl_is_set(e));
	entry_set_ttl(e, 20);
	cr_assert(entry_ttl_is_set(e));
	store_purge(fx.store, e);
	entry_set_policy(e, &pol);
	fx_fill(&fx, e, "x");
	fx_advance(&fx, 19 * SEC);
	cr_assert_eq(fx_state(e), ENTRY_FRESH);
	entry_set_ttl(e, 10);
	cr_assert_neq(fx_state(e), ENTRY_FRESH);
	entry_set_ttl(e, -1);
	fx_advance(&fx, 1000000 * SEC);
	cr_assert_eq(fx_state(e), ENTRY_FRESH);
	entry_set_ttl(e, 0);
	cr_assert_null(entry_peek(e));
	CLOSE();
}

Test(ttl, a_mount_of_zero_caches_nothing_but_reports_the_files_ttl)
{
	struct entry_policy pol = {.ttl = 0, .never_cache = true};
	struct entry_info info;

	OPEN(1000);
	entry_set_policy(e, &pol);
	entry_set_ttl(e, 60);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 0, "x");
	cr_assert_null(entry_peek(e));
	entry_info(e, &info);
	cr_assert_eq(info.ttl, 60);
	cr_assert_eq(info.expires_boot, BOOT0 + 60 * SEC);
	CLOSE();
}

Test(ttl, the_providers_hint_shortens)
{
	struct payload *p = fx_payload("x", NULL, 0);

	OPEN(1000);
	p->ttl_hint = 30;
	fx_read(&fx, e, FETCH_CACHED, &r);
	flight_done(fx_take(&fx, 0), p, NULL);
	fx_advance(&fx, 30 * SEC);
	cr_assert_eq(fx_state(e), ENTRY_EXPIRED);
	CLOSE();
}

Test(ttl, an_immutable_version_needs_no_second_fetch)
{
	struct payload *p = fx_payload("x", "7", 0);

	OPEN(1000);
	p->immutable = true;
	fx_read(&fx, e, FETCH_CACHED, &r);
	flight_done(fx_take(&fx, 0), p, NULL);
	fx_advance(&fx, 1000000 * SEC);
	store_changed(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 1u);
	cr_assert_eq(fx.nflights, 1u);
	store_purge(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(fx.nflights, 2u);
	CLOSE();
}

/* --- refresh ahead --- */

Test(ahead, only_what_was_read_since_its_fetch)
{
	OPEN(1000);
	fx_fill(&fx, e, "a");
	fx_advance(&fx, 299 * SEC);
	cr_assert_eq(fx.nflights, 1u, "nobody read it");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "a", "readers never wait");
	cr_assert_eq(fx.nflights, 2u, "read in its last tenth");
	fx_succeed(&fx, 1, "b");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "b");
	fx_advance(&fx, 269 * SEC);
	cr_assert_eq(fx.nflights, 2u);
	fx_advance(&fx, 30 * SEC); /* so long that it is given up and tried again */
	cr_assert_geq(fx.nflights, 3u, "by the timer this time");
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	CLOSE();
}

Test(ahead, a_failed_one_is_tried_again_before_the_end)
{
	OPEN(1000);
	fx_fill(&fx, e, "a");
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_advance(&fx, 295 * SEC);
	cr_assert_eq(fx.nflights, 2u);
	fx_fail(&fx, 1, ETIMEDOUT);
	fx_advance(&fx, 2 * SEC);
	cr_assert_eq(fx.nflights, 3u);
	fx_succeed(&fx, 2, "b");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "b");
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	CLOSE();
}

Test(ahead, background_fetches_give_way_to_readers)
{
	struct entry *v[20];
	char name[32];

	OPEN(1000);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		v[i] = fx_entry(&fx, name);
		fx_fill(&fx, v[i], "x");
	}
	for (int i = 0; i < 20; i++)
		store_changed(fx.store, v[i]);
	cr_assert_eq(fx.nflights, 20u + STORE_BACKGROUND_MAX);
	fx_read(&fx, v[19], FETCH_CACHED, &r);
	cr_assert_eq(fx.nflights, 21u + STORE_BACKGROUND_MAX, "a queued one that is wanted starts");
	cr_assert_str_eq(flight_name(fx.flights[20 + STORE_BACKGROUND_MAX]), "n19");
	for (unsigned i = 20; i < 40; i++)
		fx_succeed(&fx, i, "y");
	cr_assert_eq(fx.nflights, 40u);
	cr_assert_eq(fx.events[STORE_ROTATED], 20u);
	for (int i = 0; i < 20; i++)
		entry_unref(v[i]);
	CLOSE();
}

/* --- purge and change --- */

Test(purge, r60_a_fetch_under_way_is_not_stored_nor_joined)
{
	struct reader later = {0};

	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	store_purge(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &later);
	cr_assert_eq(fx.nflights, 2u);
	fx_succeed(&fx, 0, "old");
	cr_assert_str_eq(r.bytes, "old", "who waited before gets it");
	cr_assert_eq(later.calls, 0u);
	cr_assert_null(entry_peek(e));
	fx_succeed(&fx, 1, "new");
	cr_assert_str_eq(later.bytes, "new");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "new");
	CLOSE();
}

Test(purge, r64_the_older_flight_that_ends_last_is_not_stored)
{
	struct reader later = {0};

	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	store_purge(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &later);
	fx_succeed(&fx, 1, "new");
	fx_succeed(&fx, 0, "old");
	fx_read(&fx, e, FETCH_CACHED, &later);
	cr_assert_str_eq(later.bytes, "new");
	CLOSE();
}

Test(purge, a_storm_keeps_two_flights_in_the_air)
{
	static struct reader v[50];

	OPEN(1000);
	for (int i = 0; i < 50; i++) {
		fx_read(&fx, e, FETCH_CACHED, &v[i]);
		store_purge(fx.store, e);
	}
	cr_assert_eq(fx.nflights, 2u);
	fx_succeed(&fx, 0, "1");
	cr_assert_eq(fx.nflights, 3u, "the third starts when one has ended");
	fx_succeed(&fx, 1, "2");
	cr_assert_eq(v[49].calls, 0u);
	fx_succeed(&fx, 2, "3");
	for (int i = 0; i < 50; i++)
		cr_assert_eq(v[i].calls, 1u);
	cr_assert_str_eq(v[49].bytes, "3");
	CLOSE();
}

Test(purge, forgets_failures)
{
	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_fail(&fx, 0, EACCES);
	store_purge(fx.store, e);
	cr_assert_eq(fx_state(e), ENTRY_ABSENT);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(fx.nflights, 2u);
	CLOSE();
}

Test(purge, an_open_payload_keeps_its_bytes)
{
	struct payload *p;

	OPEN(1000);
	fx_fill(&fx, e, "geheim");
	p = entry_peek(e);
	store_purge(fx.store, e);
	cr_assert_null(entry_peek(e));
	cr_assert_eq(memcmp(secret_bytes(p->parts[0].bytes), "geheim", 6), 0);
	payload_unref(p);
	CLOSE();
}

Test(changed, fetches_at_once_and_readers_wait_for_it)
{
	OPEN(1000);
	fx_fill(&fx, e, "old");
	store_changed(fx.store, e);
	cr_assert_eq(fx.nflights, 2u);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 0u);
	fx_succeed(&fx, 1, "new");
	cr_assert_str_eq(r.bytes, "new");
	cr_assert_str_eq(fx.history, "fetched rotated ");
	cr_assert_eq(fx_state(e), ENTRY_FRESH);
	CLOSE();
}

Test(changed, a_fetch_that_began_before_is_not_trusted)
{
	OPEN(1000);
	fx_fill(&fx, e, "old");
	store_changed(fx.store, e);
	store_changed(fx.store, e);
	cr_assert_eq(fx.nflights, 3u);
	fx_succeed(&fx, 1, "middle");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 0u);
	fx_succeed(&fx, 2, "new");
	cr_assert_str_eq(r.bytes, "new");
	CLOSE();
}

Test(changed, r63_creation_clears_the_negative_entry)
{
	OPEN(1000);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_fail(&fx, 0, ENOENT);
	store_changed(fx.store, e);
	cr_assert_eq(fx.nflights, 1u, "nothing to refresh");
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 1, "x");
	cr_assert_str_eq(r.bytes, "x");
	CLOSE();
}
