/* SPDX-License-Identifier: Apache-2.0 */
/* Hydration in the store: entry_keep(). */
#include "tests/unit/store_fixture.h"

#define N 40

static struct fixture fx;
static struct entry *v[N];
static unsigned full_calls;
static size_t groups[256], ngroups;

static void on_full(void *arg)
{
	(void)arg;
	full_calls++;
}

static int start_batch(void *arg, struct flight *const *f, size_t n, struct sfs_err *err)
{
	cr_assert(n > 1 && n <= SFS_BATCH_MAX);
	groups[ngroups++] = n;
	if (fx.refuse)
		return err_set(err, fx.refuse, "refused");
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(fx_start(arg, f[i], err), 0);
	return 0;
}

static const struct source_ops batch_ops = {.start = fx_start, .start_batch = start_batch};

static void open_with(size_t cache_bytes)
{
	fx_open(&fx, cache_bytes);
	fx.store->conf.full = on_full;
	full_calls = 0;
	ngroups = 0;
}

/* `n` names that hydration wants. */
static void keep(unsigned n)
{
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		v[i] = fx_entry(&fx, name);
		entry_keep(v[i], true);
	}
	cr_assert_eq(fx.nflights, 0u, "only the timer starts fetches");
	store_run_timers(fx.store);
}

static void end(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		entry_unref(v[i]);
	fx_close(&fx);
}

static struct store_kept kept(void)
{
	struct store_kept k;

	store_kept(fx.store, &k);
	return k;
}

/* Answers every flight that starts until there are none. */
static void serve(const char *bytes)
{
	for (unsigned i = 0; i < fx.nflights; i++)
		if (fx.flights[i])
			fx_succeed(&fx, i, bytes);
}

/* Seconds pass, and each flight is answered within one. */
static void live(unsigned seconds, const char *bytes)
{
	for (unsigned i = 0; i < seconds; i++) {
		fx_advance(&fx, SEC);
		serve(bytes);
	}
}

static bool held(struct entry *e)
{
	struct payload *p = entry_peek(e);

	payload_unref(p);
	return p;
}

Test(keep, no_more_at_once_than_the_limit_and_readers_pass)
{
	struct reader r = {0};

	open_with(1000);
	keep(N);
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX);
	cr_assert(kept().running);
	fx_read(&fx, v[N - 1], FETCH_CACHED, &r);
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX + 1u);
	cr_assert_str_eq(flight_name(fx.flights[STORE_BACKGROUND_MAX]), "n39");
	fx_succeed(&fx, STORE_BACKGROUND_MAX, "x");
	cr_assert_eq(r.calls, 1u);
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX + 1u, "a reader's end makes no room");
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX + 2u, "one ended, one starts");
	serve("x");
	cr_assert_eq(fx.nflights, (unsigned)N, "each was fetched once");
	cr_assert_eq(fx.events[STORE_FETCHED], (unsigned)N);
	cr_assert_eq(kept().tried, (size_t)N);
	cr_assert_eq(kept().total, (size_t)N);
	cr_assert_not(kept().running);
	end(N);
}

Test(keep, batches_are_filled)
{
	const struct source_limits limits = {.bulk = 2, .batch = 20, .background = 1};

	open_with(1000);
	fx.src->ops = &batch_ops;
	source_limit(fx.src, &limits);
	keep(N);
	cr_assert_eq(ngroups, 2u);
	cr_assert_eq(groups[0], 20u);
	cr_assert_eq(groups[1], 20u);
	serve("x");
	cr_assert_eq(fx.nflights, (unsigned)N);
	cr_assert_eq(kept().tried, (size_t)N);
	end(N);
}

Test(keep, a_batch_that_fails_counts_once_against_the_source)
{
	const struct source_limits limits = {.bulk = 1, .batch = 20, .background = 1};

	open_with(1000);
	fx.src->ops = &batch_ops;
	source_limit(fx.src, &limits);
	keep(20);
	for (unsigned i = 0; i < 20; i++)
		fx_fail(&fx, i, EREMOTEIO);
	cr_assert_eq(fx.src->fails, 1u);
	cr_assert_eq(kept().failed, 20u);
	end(20);
}

Test(keep, a_refused_batch_is_tried_again_later)
{
	const struct source_limits limits = {.bulk = 1, .batch = 20, .background = 1};

	open_with(1000);
	fx.src->ops = &batch_ops;
	source_limit(fx.src, &limits);
	fx.refuse = EBUSY;
	keep(N);
	cr_assert_eq(ngroups, 1u, "and not all the others at once");
	cr_assert_eq(fx.nflights, 0u);
	fx.refuse = 0;
	fx_advance(&fx, 2 * SEC);
	cr_assert_gt(fx.nflights, 0u);
	serve("x");
	fx_advance(&fx, SEC);
	serve("x");
	cr_assert_eq(kept().tried, (size_t)N);
	end(N);
}

Test(keep, fresh_for_ever_without_readers)
{
	open_with(1000);
	keep(1);
	serve("x");
	for (unsigned i = 1; i <= 3; i++) {
		int64_t since = fx.store->lru->fetched_boot;
		live(269 - (unsigned)((clock_boot() - since) / SEC), "x");
		cr_assert_eq(fx.nflights, i, "not before the last tenth");
		live(26, "x");
		cr_assert_eq(fx.nflights, i + 1, "but before its end");
	}
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	cr_assert_eq(fx.events[STORE_REFRESHED], 3u);
	end(1);
}

Test(keep, without_it_nothing_is_fetched)
{
	open_with(1000);
	keep(1);
	serve("x");
	entry_keep(v[0], false);
	fx_advance(&fx, 300 * SEC);
	cr_assert_eq(fx.nflights, 1u);
	cr_assert_eq(fx.events[STORE_EXPIRED], 1u);
	cr_assert_eq(kept().total, 0u);
	end(1);
}

Test(keep, r62_refreshes_of_many_names_are_spread)
{
	const struct source_limits limits = {.bulk = 200, .batch = 1, .background = 1};
	struct entry *e[100];
	unsigned second[31] = {0}, before = 0, worst = 0;
	char name[32];

	open_with(100000);
	source_limit(fx.src, &limits);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		e[i] = fx_entry(&fx, name);
		entry_keep(e[i], true);
	}
	store_run_timers(fx.store);
	serve("x");
	cr_assert_eq(fx.nflights, 100u);
	fx_advance(&fx, 269 * SEC);
	for (unsigned s = 0; s < 30; s++) {
		before = fx.nflights;
		fx_advance(&fx, SEC);
		second[s] = fx.nflights - before;
		worst = second[s] > worst ? second[s] : worst;
		serve("x");
	}
	cr_assert_eq(fx.nflights, 200u);
	cr_assert_leq(worst, 15u, "mean 4 a second over 24 s");
	for (unsigned i = 0; i < 100; i++)
		entry_unref(e[i]);
	fx_close(&fx);
}

Test(keep, what_is_purged_waits_for_a_reader)
{
	struct reader r = {0};

	open_with(1000);
	keep(2);
	serve("x");
	store_purge(fx.store, v[0]);
	store_changed(fx.store, v[0]);
	entry_keep(v[0], true);
	fx_advance(&fx, 100 * SEC);
	cr_assert_eq(fx.nflights, 2u);
	cr_assert_not(held(v[0]));
	fx_read(&fx, v[0], FETCH_CACHED, &r);
	serve("y");
	cr_assert_str_eq(r.bytes, "y");
	live(199, "y");
	cr_assert_eq(fx.nflights, 4u);
	live(100, "y");
	cr_assert_eq(fx.nflights, 5u, "both are kept fresh again");
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	end(2);
}

Test(keep, a_purge_before_the_fetch_takes_it_out_of_line)
{
	open_with(1000);
	keep(N);
	for (unsigned i = 0; i < N; i++)
		store_purge(fx.store, v[i]);
	serve("x");
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX, "those in the air; nothing after them");
	cr_assert_not(held(v[0]));
	cr_assert_not(kept().running);
	cr_assert_eq(kept().tried, (size_t)N);
	end(N);
}

Test(keep, transient_failures_are_tried_again_ever_more_slowly)
{
	unsigned first, last;

	open_with(1000);
	keep(1);
	fx_fail(&fx, 0, EREMOTEIO);
	cr_assert_eq(kept().failed, 1u);
	cr_assert_not(kept().running, "it was tried");
	for (unsigned s = 0; s < 600; s++) {
		fx_advance(&fx, SEC);
		for (unsigned i = 0; i < fx.nflights; i++)
			if (fx.flights[i])
				fx_fail(&fx, i, EREMOTEIO);
		if (s == 59)
			first = fx.nflights;
	}
	last = fx.nflights - first;
	cr_assert(first >= 5 && first <= 20, "%u in the first minute", first);
	cr_assert(last >= 9 && last <= 30, "%u in nine more", last);
	for (unsigned s = 0; s < 61 && fx.nflights == first + last; s++)
		fx_advance(&fx, SEC);
	serve("x");
	cr_assert(held(v[0]));
	cr_assert_eq(kept().failed, 0u);
	end(1);
}

Test(keep, what_failed_for_good_is_not_asked_for_again)
{
	struct reader r = {0};

	open_with(1000);
	keep(2);
	fx_fail(&fx, 0, EACCES);
	fx_fail(&fx, 1, ENOENT);
	fx_advance(&fx, 3600 * SEC);
	cr_assert_eq(fx.nflights, 2u);
	cr_assert_eq(kept().failed, 2u);
	store_changed(fx.store, v[0]);
	cr_assert_eq(fx.nflights, 3u, "the source says that it changed");
	serve("x");
	fx_read(&fx, v[1], FETCH_CACHED, &r);
	serve("x");
	cr_assert_str_eq(r.bytes, "x");
	cr_assert_eq(kept().failed, 0u);
	end(2);
}

Test(keep, a_refresh_that_is_refused_drops_the_value_without_a_reader)
{
	open_with(1000);
	keep(1);
	serve("x");
	while (fx.nflights == 1)
		fx_advance(&fx, SEC);
	fx_fail(&fx, 1, EACCES);
	cr_assert_not(held(v[0]));
	cr_assert_eq(fx.events[STORE_GONE], 1u);
	fx_advance(&fx, 7200 * SEC);
	cr_assert_eq(fx.nflights, 2u);
	cr_assert_eq(fx.events[STORE_GONE], 1u);
	end(1);
}

Test(keep, an_outage_ends_in_expiry_at_its_second_and_heals_by_itself)
{
	unsigned i;

	open_with(1000);
	keep(1);
	serve("x");
	for (i = 0; i < 299; i++) {
		fx_advance(&fx, SEC);
		if (fx.nflights > 1 && fx.flights[fx.nflights - 1])
			fx_fail(&fx, fx.nflights - 1, EHOSTUNREACH);
	}
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	fx_advance(&fx, SEC);
	cr_assert_eq(fx.events[STORE_EXPIRED], 1u, "exactly at the end of the ttl");
	for (i = 0; i < 4000; i++) {
		fx_advance(&fx, SEC);
		if (fx.flights[fx.nflights - 1])
			fx_fail(&fx, fx.nflights - 1, EHOSTUNREACH);
	}
	cr_assert_not(held(v[0]), "stale= is over");
	cr_assert_eq(fx_state(v[0]), ENTRY_FAILED);
	for (i = 0; i < 61 && !fx.flights[fx.nflights - 1]; i++)
		fx_advance(&fx, SEC);
	serve("x");
	cr_assert_eq(fx_state(v[0]), ENTRY_FRESH, "nobody had to ask");
	end(1);
}

Test(keep, a_source_that_is_down_is_tried_with_one_fetch)
{
	unsigned n;

	open_with(1000);
	keep(N);
	for (unsigned i = 0; i < STORE_BACKGROUND_MAX; i++)
		fx_fail(&fx, i, EHOSTUNREACH);
	for (n = 0; n < 30; n++) {
		unsigned before = fx.nflights, open = 0;

		fx_advance(&fx, SEC / 2);
		cr_assert_leq(fx.nflights - before, 1u);
		for (unsigned i = 0; i < fx.nflights; i++)
			open += fx.flights[i] != NULL;
		cr_assert_leq(open, 1u);
		if (n % 3 == 2 && open)
			fx_fail(&fx, fx.nflights - 1, EHOSTUNREACH);
	}
	for (n = 0; n < 61; n++) {
		fx_advance(&fx, SEC);
		serve("x");
	}
	cr_assert_eq(fx.events[STORE_FETCHED], (unsigned)N);
	end(N);
}

Test(keep, it_stops_before_anything_is_evicted)
{
	struct reader r = {0};
	size_t bytes, values;
	uint64_t evictions;

	open_with(100);
	keep(N);
	serve("0123456789");
	store_totals(fx.store, &bytes, &values, &evictions);
	cr_assert_eq(values, 10u);
	cr_assert_eq(evictions, 0u);
	cr_assert_eq(full_calls, 1u);
	cr_assert_eq(kept().missing, 30u);
	cr_assert_eq(kept().missing_bytes, 300u);
	cr_assert(kept().full && !kept().arena && !kept().running);
	unsigned fetched = fx.nflights;
	cr_assert_leq(fetched, 10u + STORE_BACKGROUND_MAX);
	fx_advance(&fx, 200 * SEC);
	cr_assert_eq(fx.nflights, fetched, "no more are fetched to be thrown away");
	/* A reader gets room; what lost it is not fetched again. */
	fx_read(&fx, v[N - 1], FETCH_CACHED, &r);
	serve("0123456789");
	cr_assert_str_eq(r.bytes, "0123456789");
	fx_advance(&fx, 60 * SEC);
	store_totals(fx.store, &bytes, &values, &evictions);
	cr_assert_eq(evictions, 1u);
	cr_assert_eq(fx.nflights, fetched + 1);
	cr_assert_eq(kept().missing, 30u);
	/* What is held stays fresh. */
	fx_advance(&fx, 39 * SEC);
	serve("0123456789");
	store_totals(fx.store, &bytes, &values, &evictions);
	cr_assert_eq(values, 10u);
	cr_assert_eq(evictions, 1u);
	cr_assert_eq(full_calls, 1u);
	end(N);
}

Test(keep, it_goes_on_when_a_quarter_became_free)
{
	open_with(100);
	keep(20);
	serve("0123456789");
	cr_assert_eq(kept().missing, 10u);
	unsigned purged = 0;
	for (unsigned i = 0; i < 20 && kept().full; i++) {
		if (held(v[i]))
			purged++;
		store_purge(fx.store, v[i]);
	}
	cr_assert_eq(purged, 3u);
	store_run_timers(fx.store);
	serve("0123456789");
	cr_assert_eq(kept().missing, 7u);
	cr_assert_eq(full_calls, 2u);
	end(20);
}

Test(keep, a_value_larger_than_the_cache_does_not_stop_it)
{
	open_with(15);
	keep(2);
	fx_succeed(&fx, 0, "far too large a value");
	cr_assert_not(kept().full);
	serve("0123456789");
	cr_assert(held(v[1]));
	fx_advance(&fx, 250 * SEC);
	cr_assert_eq(fx.nflights, 2u);
	end(2);
}

Test(keep, full_secret_memory_stops_it)
{
	open_with(1000);
	keep(N);
	cr_assert_null(secret_alloc(SFS_SOURCE_MAX + 1UL));
	void *big[8];
	size_t n = 0;
	while (n < 8 && (big[n] = secret_alloc(SFS_SOURCE_MAX / 4)))
		n++;
	cr_assert_lt(n, 8u);
	fx_fail(&fx, 0, ENOMEM);
	cr_assert(kept().full && kept().arena);
	cr_assert_eq(full_calls, 1u);
	for (unsigned i = 1; i < STORE_BACKGROUND_MAX; i++)
		fx_fail(&fx, i, ENOMEM);
	fx_advance(&fx, 120 * SEC);
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX);
	cr_assert_eq(kept().missing, (size_t)N);
	cr_assert_eq(kept().failed, 0u);
	while (n)
		secret_free(big[--n]);
	end(N);
}

Test(keep, ttl_0_is_never_hydrated)
{
	struct entry_policy pol = {.ttl = 0, .stale = 0};

	open_with(1000);
	v[0] = store_entry(fx.store, fx.src, "n", NULL, &pol);
	entry_keep(v[0], true);
	fx_advance(&fx, 10 * SEC);
	cr_assert_eq(fx.nflights, 0u);
	cr_assert_eq(kept().total, 0u);
	pol.ttl = 300;
	entry_set_policy(v[0], &pol);
	cr_assert_eq(fx.nflights, 1u, "a reload changed it");
	serve("x");
	entry_set_ttl(v[0], 0);
	cr_assert_not(held(v[0]));
	fx_advance(&fx, 1000 * SEC);
	cr_assert_eq(fx.nflights, 1u);
	end(1);
}

Test(keep, what_nobody_refers_to_is_forgotten)
{
	open_with(1000);
	keep(2);
	serve("x");
	entry_unref(v[0]);
	live(299, "x");
	cr_assert_eq(fx.nflights, 3u);
	cr_assert_eq(kept().total, 1u);
	entry_unref(v[1]);
	cr_assert_eq(kept().total, 0u);
	end(0);
}

Test(keep, a_source_may_end_in_the_middle)
{
	open_with(1000);
	keep(N);
	fx_succeed(&fx, 0, "x");
	source_detach(fx.src);
	cr_assert_eq(store_run_timers(fx.store), CLOCK_NEVER);
	cr_assert_eq(fx.nflights, STORE_BACKGROUND_MAX + 1u);
	end(N);
}

Test(keep, a_change_goes_ahead_of_what_was_never_fetched)
{
	open_with(1000);
	keep(1);
	serve("x");
	char name[32];
	for (unsigned i = 1; i < N; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		v[i] = fx_entry(&fx, name);
		entry_keep(v[i], true);
	}
	store_run_timers(fx.store);
	unsigned n = fx.nflights;
	store_changed(fx.store, v[0]);
	fx_succeed(&fx, n - 1, "x");
	cr_assert_str_eq(flight_name(fx.flights[n]), "n00");
	fx_succeed(&fx, n, "y");
	cr_assert_eq(fx.events[STORE_ROTATED], 1u);
	cr_assert_eq(fx.events[STORE_EXPIRED], 0u);
	end(N);
}
