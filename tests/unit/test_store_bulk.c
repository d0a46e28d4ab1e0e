/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches of many names that somebody waits for: waiter.bulk. */
#include "tests/unit/store_fixture.h"

#include "base/limits.h"

TestSuite(bulk, .timeout = 10);

#define N 100

static struct fixture fx;
static struct entry *v[N];
static struct reader r[N];
static size_t groups[256], ngroups;

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

static void open_with(unsigned bulk, unsigned batch)
{
	const struct source_limits limits = {.bulk = bulk, .batch = batch, .background = 1};
	char name[32];

	fx_open(&fx, 1 << 20);
	fx.src->ops = &batch_ops;
	source_limit(fx.src, &limits);
	memset(r, 0, sizeof(r));
	ngroups = 0;
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		v[i] = fx_entry(&fx, name);
	}
}

static void ask(unsigned n, enum fetch_mode mode)
{
	for (unsigned i = 0; i < n; i++) {
		r[i] = (struct reader){
			.w = {.done = reader_done, .deadline = CLOCK_NEVER, .bulk = true}};
		store_fetch(fx.store, v[i], mode, &r[i].w);
	}
}

/* store_start_bulk() is to follow. */
static void gather(unsigned n, enum fetch_mode mode)
{
	store_gather(fx.store);
	ask(n, mode);
}

static void serve(void)
{
	for (unsigned i = 0; i < fx.nflights; i++)
		if (fx.flights[i])
			fx_succeed(&fx, i, "x");
}

static unsigned answered(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N; i++) {
		cr_assert_leq(r[i].calls, 1u);
		n += r[i].calls;
	}
	return n;
}

static void end(void)
{
	for (unsigned i = 0; i < N; i++)
		entry_unref(v[i]);
	fx_close(&fx);
}

Test(bulk, groups_are_full_and_within_the_limit)
{
	open_with(2, 20);
	gather(N, FETCH_CACHED);
	cr_assert_eq(fx.nflights, 0u, "more may come");
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 40u, "two groups at once");
	for (unsigned i = 0; i < 19; i++)
		fx_succeed(&fx, i, "x");
	cr_assert_eq(answered(), 19u, "each name as soon as it is there");
	cr_assert_eq(fx.nflights, 40u, "no group that is not full");
	fx_succeed(&fx, 19, "x");
	cr_assert_eq(fx.nflights, 60u);
	serve();
	cr_assert_eq(answered(), (unsigned)N);
	cr_assert_eq(ngroups, 5u);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(groups[i], 20u);
	end();
}

Test(bulk, a_source_without_batches_is_asked_one_by_one_within_the_limit)
{
	open_with(3, 1);
	gather(N, FETCH_CACHED);
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 3u);
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(fx.nflights, 4u);
	serve();
	cr_assert_eq(answered(), (unsigned)N);
	cr_assert_eq(ngroups, 0u);
	end();
}

Test(bulk, a_limit_that_falls_holds_for_what_starts_next)
{
	const struct source_limits single = {.bulk = 2, .batch = 1, .background = 1};

	open_with(2, 20);
	gather(N, FETCH_CACHED);
	store_start_bulk(fx.store);
	source_limit(fx.src, &single);
	for (unsigned i = 0; i < 38; i++)
		fx_succeed(&fx, i, "x");
	cr_assert_eq(fx.nflights, 40u);
	fx_succeed(&fx, 38, "x");
	cr_assert_eq(fx.nflights, 41u);
	serve();
	cr_assert_eq(answered(), (unsigned)N);
	cr_assert_eq(ngroups, 2u);
	end();
}

Test(bulk, each_name_has_its_own_end)
{
	open_with(1, 20);
	gather(20, FETCH_CACHED);
	store_start_bulk(fx.store);
	fx_fail(&fx, 3, EACCES);
	serve();
	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(r[i].code, i == 3 ? EACCES : 0);
	end();
}

Test(bulk, nobody_starts_it_then_time_does)
{
	open_with(2, 20);
	ask(5, FETCH_CACHED);
	fx_advance(&fx, 49 * NSEC_PER_MSEC);
	cr_assert_eq(fx.nflights, 0u);
	fx_advance(&fx, NSEC_PER_MSEC);
	cr_assert_eq(fx.nflights, 5u);
	cr_assert_eq(groups[0], 5u);
	serve();
	cr_assert_eq(answered(), 5u);
	end();
}

Test(bulk, however_slowly_they_come_groups_are_full)
{
	open_with(2, 20);
	gather(5, FETCH_CACHED);
	fx_advance(&fx, 5 * SEC);
	cr_assert_eq(fx.nflights, 0u, "more may come");
	for (unsigned i = 5; i < 25; i++) {
		r[i] = (struct reader){
			.w = {.done = reader_done, .deadline = CLOCK_NEVER, .bulk = true}};
		store_fetch(fx.store, v[i], FETCH_CACHED, &r[i].w);
	}
	fx_advance(&fx, 5 * SEC);
	cr_assert_eq(fx.nflights, 20u, "a full group waits for nobody");
	serve();
	cr_assert_eq(fx.nflights, 20u, "its end does not start what is not full");
	store_gather(fx.store);
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 20u, "the first caller has not come to his end");
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 25u);
	serve();
	cr_assert_eq(answered(), 25u);
	cr_assert_eq(ngroups, 2u);
	end();
}

Test(bulk, a_reader_does_not_wait_for_the_group)
{
	struct reader own = {0};

	open_with(1, 20);
	gather(30, FETCH_CACHED);
	store_start_bulk(fx.store);
	fx_read(&fx, v[25], FETCH_CACHED, &own);
	cr_assert_eq(fx.nflights, 21u);
	cr_assert_str_eq(flight_name(fx.flights[20]), "n25");
	fx_succeed(&fx, 20, "x");
	cr_assert_eq(own.calls, 1u);
	cr_assert_eq(r[25].calls, 1u, "one fetch for both");
	serve();
	cr_assert_eq(fx.nflights, 30u, "each was fetched once");
	end();
}

Test(bulk, a_reader_without_a_token_starts_with_the_group)
{
	struct reader own = {.w.payer = {.limited = true, .uid = 7}};

	open_with(1, 20);
	source_set_rate(fx.src, 1);
	for (unsigned i = 60; i < 70; i++) {
		struct reader *spent = &r[i];

		spent->w.payer = own.w.payer;
		fx_read(&fx, v[i], FETCH_CACHED, spent);
	}
	cr_assert_eq(fx.nflights, 10u);
	fx_read(&fx, v[0], FETCH_CACHED, &own);
	cr_assert_eq(fx.nflights, 10u, "his burst is over");
	gather(1, FETCH_CACHED);
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 11u);
	serve();
	cr_assert(own.calls == 1 && r[0].calls == 1);
	end();
}

Test(bulk, what_is_in_memory_needs_no_group_and_a_refresh_keeps_it)
{
	struct reader own = {0};

	open_with(2, 20);
	for (unsigned i = 0; i < 3; i++)
		fx_fill(&fx, v[i], "old");
	ask(3, FETCH_CACHED);
	cr_assert_eq(answered(), 3u);
	gather(3, FETCH_REFRESH);
	store_start_bulk(fx.store);
	cr_assert_eq(groups[0], 3u);
	fx_read(&fx, v[0], FETCH_CACHED, &own);
	cr_assert_str_eq(own.bytes, "old");
	serve();
	cr_assert_str_eq(r[0].bytes, "x");
	end();
}

Test(bulk, a_recall_takes_back_what_has_not_started)
{
	open_with(1, 20);
	gather(30, FETCH_CACHED);
	store_start_bulk(fx.store);
	cr_assert_not(store_recall(fx.store, &r[0].w), "it is in the air");
	for (unsigned i = 20; i < 30; i++)
		cr_assert(store_recall(fx.store, &r[i].w));
	cr_assert_not(store_recall(fx.store, &r[20].w));
	serve();
	cr_assert_eq(answered(), 20u);
	cr_assert_eq(fx.nflights, 20u);
	end();
}

Test(bulk, a_purge_meanwhile_is_not_undone_by_what_was_in_the_air)
{
	open_with(1, 20);
	gather(21, FETCH_CACHED);
	store_start_bulk(fx.store);
	store_purge(fx.store, v[0]);
	store_purge(fx.store, v[20]);
	serve();
	cr_assert_eq(answered(), 21u);
	cr_assert_eq(fx_state(v[0]), ENTRY_ABSENT, "older than the purge");
	cr_assert_eq(fx_state(v[20]), ENTRY_FRESH, "fetched after it");
	end();
}

Test(bulk, a_source_that_is_down_answers_at_once_and_each_by_name)
{
	open_with(1, 1);
	gather(30, FETCH_CACHED);
	store_start_bulk(fx.store);
	for (unsigned i = 0; i < 5; i++)
		fx_fail(&fx, i, EHOSTUNREACH);
	fx.src->health.backoff_until = clock_boot() + SEC; /* at random, else */
	store_run_timers(fx.store);
	cr_assert_eq(answered(), 30u);
	cr_assert_eq(fx.nflights, 5u);
	cr_assert_eq(r[29].code, EHOSTUNREACH);
	cr_assert(strstr(r[29].msg, "n29: not tried"), "%s", r[29].msg);
	end();
}

Test(bulk, a_refused_group_fails_and_does_not_pause_the_source)
{
	open_with(2, 20);
	fx.refuse = EBUSY;
	gather(40, FETCH_CACHED);
	store_start_bulk(fx.store);
	cr_assert_eq(answered(), 40u);
	cr_assert_eq(r[39].code, EBUSY);
	fx.refuse = 0;
	gather(40, FETCH_CACHED);
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 40u);
	end();
}

Test(bulk, the_end_of_the_source_answers_what_is_gathered)
{
	open_with(1, 20);
	gather(30, FETCH_CACHED);
	source_detach(fx.src);
	store_start_bulk(fx.store);
	cr_assert_eq(answered(), 30u);
	cr_assert_eq(r[29].code, ENODEV);
	end();
}
