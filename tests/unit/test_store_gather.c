/* SPDX-License-Identifier: Apache-2.0 */
/* Hydration while a listing is applied: store_gather(). */
#include "tests/unit/store_fixture.h"

TestSuite(gather, .timeout = 10);

#define N 26

static struct fixture fx;
static struct entry *v[N];
static size_t groups[256], ngroups;

static int start_batch(void *arg, struct flight *const *f, size_t n, struct sfs_err *err)
{
	cr_assert(n > 1 && n <= SFS_BATCH_MAX);
	groups[ngroups++] = n;
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(fx_start(arg, f[i], err), 0);
	return 0;
}

static const struct source_ops batch_ops = {.start = fx_start, .start_batch = start_batch};

static void open_with(unsigned batch)
{
	const struct source_limits limits = {.bulk = 2, .batch = batch, .background = 1};

	fx_open(&fx, 1000);
	fx.src->ops = &batch_ops;
	source_limit(fx.src, &limits);
	ngroups = 0;
}

/* Names from `from` that come one a second, with the timer at work. */
static void keep(unsigned from, unsigned n)
{
	char name[32];

	for (unsigned i = from; i < from + n; i++) {
		snprintf(name, sizeof(name), "n%02u", i);
		v[i] = fx_entry(&fx, name);
		entry_keep(v[i], true);
		fx_advance(&fx, SEC);
	}
}

static void serve(void)
{
	for (unsigned i = 0; i < fx.nflights; i++)
		if (fx.flights[i])
			fx_succeed(&fx, i, "x");
}

static void end(unsigned n)
{
	struct store_kept k;

	store_kept(fx.store, &k);
	cr_assert_eq(k.tried, (size_t)n);
	cr_assert_eq(k.failed, 0u);
	for (unsigned i = 0; i < n; i++)
		entry_unref(v[i]);
	fx_close(&fx);
}

Test(gather, batches_are_full_however_slowly_names_come)
{
	open_with(10);
	store_gather(fx.store);
	keep(0, 19);
	cr_assert_eq(fx.nflights, 10u);
	serve();
	cr_assert_eq(fx.nflights, 10u, "no end of a flight starts a batch that is not full");
	keep(19, 6);
	cr_assert_eq(fx.nflights, 20u);
	store_changed(fx.store, v[0]);
	cr_assert_eq(fx.nflights, 20u, "the same for values that are due again");
	store_gather(fx.store);
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 20u, "the first caller is not at his end");
	store_start_bulk(fx.store);
	cr_assert_eq(ngroups, 3u);
	cr_assert(groups[0] == 10 && groups[1] == 10 && groups[2] == 6);
	serve();
	end(25);
}

Test(gather, one_that_comes_alone_waits_for_nobody)
{
	open_with(10);
	keep(0, 1);
	cr_assert_eq(fx.nflights, 1u);
	serve();
	store_changed(fx.store, v[0]);
	cr_assert_eq(fx.nflights, 2u);
	serve();
	end(1);
}

Test(gather, a_source_without_batches_starts_at_once)
{
	open_with(1);
	store_gather(fx.store);
	keep(0, 2);
	cr_assert_eq(fx.nflights, 2u);
	store_start_bulk(fx.store);
	serve();
	end(2);
}

Test(gather, a_source_that_failed_is_tried_all_the_same)
{
	open_with(10);
	keep(0, 1);
	fx_fail(&fx, 0, EREMOTEIO);
	store_gather(fx.store);
	keep(1, 3);
	cr_assert_eq(fx.nflights, 2u, "with one flight");
	serve();
	store_start_bulk(fx.store);
	for (unsigned i = 0; i < 60; i++) {
		serve();
		fx_advance(&fx, SEC);
	}
	end(4);
}

Test(gather, the_source_may_end_meanwhile)
{
	open_with(10);
	store_gather(fx.store);
	keep(0, 3);
	cr_assert_eq(fx.nflights, 0u);
	store_purge(fx.store, v[0]);
	entry_keep(v[1], false);
	source_detach(fx.src);
	store_start_bulk(fx.store);
	cr_assert_eq(fx.nflights, 0u);
	for (unsigned i = 0; i < 3; i++)
		entry_unref(v[i]);
	fx_close(&fx);
}
