/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hydration under any order of anything (R69): after each random operation the numbers of
 * store_kept() are those of the entries, the queues hold what they should, and the timer has
 * nothing left to do; in the end all that is wanted is there. The seed is printed; SFS_SEED=N
 * repeats a run.
 */
#include "tests/unit/store_fixture.h"

#include <stdlib.h>

#define NAMES 12
#define OPS   20000

static struct fixture fx;
static struct entry *v[NAMES];
static uint64_t rng;

static void start_seed(void)
{
	const char *seed = getenv("SFS_SEED");

	rng = seed ? strtoull(seed, NULL, 10) : random_below(1u << 30) + 1;
	fprintf(stderr, "test_store_keep_model: SFS_SEED=%llu\n", (unsigned long long)rng);
}

static unsigned below(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

static void end_one(void)
{
	static const int codes[] = {ENOENT, EACCES, EHOSTUNREACH, EREMOTEIO, ENOMEM, EBUSY};

	for (unsigned i = 0; i < fx.nflights; i++) {
		if (!fx.flights[i])
			continue;
		if (below(3))
			fx_succeed(&fx, i, below(2) ? "0123456789" : "x");
		else
			fx_fail(&fx, i, codes[below(6)]);
		return;
	}
	fx.nflights = 0; /* all have ended: the table is empty again */
}

static void step(struct reader *readers)
{
	unsigned i = below(NAMES);
	struct entry_policy pol = {.ttl = below(3) ? 50 : 0, .stale = 20};

	switch (below(10)) {
	case 0:
		store_purge(fx.store, v[i]);
		break;
	case 1:
		store_changed(fx.store, v[i]);
		break;
	case 2:
		entry_keep(v[i], below(4) > 0);
		break;
	case 3:
		entry_set_policy(v[i], &pol);
		break;
	case 4:
		fx_advance(&fx, (int64_t)below(30) * SEC);
		break;
	case 5:
		fx.refuse = below(4) ? 0 : EBUSY;
		break;
	case 6:
		if (!readers[i].w.flight)
			fx_read(&fx, v[i], FETCH_CACHED, &readers[i]);
		break;
	default:
		end_one();
		break;
	}
}

/* What is counted is what there is, and the timer has nothing left to do now. */
static void check(void)
{
	struct store_kept k;
	size_t total = 0, tried = 0, failed = 0, queued = 0, line = 0;
	struct entry *e;

	store_kept(fx.store, &k);
	for (unsigned i = 0; i < NAMES; i++) {
		bool counts = v[i]->keep && entry_ttl(v[i], v[i]->payload) != 0;

		total += counts;
		tried += counts && v[i]->tried;
		failed += counts && v[i]->tried && v[i]->failed && !v[i]->payload;
		queued += v[i]->queued;
	}
	DL_FOREACH2(fx.src->wants, e, want_next)
	line++;
	DL_FOREACH2(fx.src->renews, e, want_next)
	line++;
	cr_assert_eq(line, queued);
	cr_assert_eq(k.total, total);
	cr_assert_eq(k.tried, tried);
	cr_assert_eq(k.failed, failed);
	cr_assert_leq(fx.src->bulk, STORE_BACKGROUND_MAX);
	cr_assert_gt(store_run_timers(fx.store), clock_boot());
}

Test(keep_model, any_order_of_anything_leaves_the_counts_right)
{
	struct reader readers[NAMES] = {0};

	start_seed();
	fx_open(&fx, 60);
	for (unsigned i = 0; i < NAMES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%02u", i);
		v[i] = fx_entry(&fx, name);
		entry_keep(v[i], true);
	}
	for (unsigned i = 0; i < OPS; i++) {
		step(readers);
		check();
	}
	fx.refuse = 0;
	for (unsigned i = 0; i < 400; i++) {
		fx_advance(&fx, SEC);
		for (unsigned k = 0; k < fx.nflights; k++)
			if (fx.flights[k])
				fx_succeed(&fx, k, "x");
		fx.nflights = 0;
	}
	for (unsigned i = 0; i < NAMES; i++) {
		cr_assert(!v[i]->want || entry_ttl(v[i], NULL) == 0,
			"%u: what is wanted comes in the end", i);
		cr_assert_not(v[i]->queued);
		cr_assert(!v[i]->payload || !v[i]->keep || fx_state(v[i]) == ENTRY_FRESH);
	}
	for (unsigned i = 0; i < NAMES; i++)
		entry_unref(v[i]);
	fx_close(&fx);
}
