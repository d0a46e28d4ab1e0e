/* SPDX-License-Identifier: Apache-2.0 */
/* Failures: stale values, back-off, negative entries (R61, R63). */
#include "store_fixture.h"

static struct fixture fx;

/* Every test has the entry `e` and may use the reader `r`. */
#define OPEN()                                 \
	fx_open(&fx, 1000);                    \
	struct entry *e = fx_entry(&fx, "db"); \
	struct reader r = {0};                 \
	(void)r

#define CLOSE()         \
	entry_unref(e); \
	fx_close(&fx)

/* Reads through a flight that fails. */
static void read_failing(struct entry *e, struct reader *r, int code)
{
	unsigned n = fx.nflights;

	fx_read(&fx, e, FETCH_CACHED, r);
	cr_assert_eq(fx.nflights, n + 1, "no flight was started");
	fx_fail(&fx, n, code);
	cr_assert_eq(r->calls, 1u);
}

/* --- stale --- */

Test(stale, served_after_a_transient_failure)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	read_failing(e, &r, ETIMEDOUT);
	cr_assert_eq(r.code, 0);
	cr_assert_str_eq(r.bytes, "old");
	cr_assert_eq(fx_state(e), ENTRY_STALE);
	CLOSE();
}

Test(stale, r61_two_hours_of_500_end_in_the_error)
{
	unsigned served = 0, failed = 0;

	OPEN();
	fx_fill(&fx, e, "old");
	for (int t = 0; t < 7200; t += 10) {
		unsigned n = fx.nflights;

		fx_read(&fx, e, FETCH_CACHED, &r);
		if (fx.nflights > n)
			fx_fail(&fx, n, EREMOTEIO);
		cr_assert_eq(r.calls, 1u);
		if (r.code == 0) {
			cr_assert(t < 300 + 3600, "served %d s after the fetch", t);
			served++;
		} else {
			cr_assert(t >= 300 + 3600, "failed %d s after the fetch", t);
			cr_assert_eq(r.code, EREMOTEIO);
			failed++;
		}
		fx.nflights = 1;
		fx_advance(&fx, 10 * SEC);
		for (unsigned i = 1; i < fx.nflights; i++)
			fx_fail(&fx, i, EREMOTEIO);
		fx.nflights = 1;
	}
	cr_assert_eq(served, 390u);
	cr_assert_eq(failed, 330u);
	CLOSE();
}

Test(stale, during_an_outage_readers_do_not_wait)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	read_failing(e, &r, EHOSTUNREACH);
	fx_advance(&fx, 5 * SEC);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 1u, "at once");
	cr_assert_str_eq(r.bytes, "old");
	cr_assert_eq(fx.nflights, 3u, "and the next try runs");
	fx_succeed(&fx, 2, "new");
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "new");
	CLOSE();
}

Test(stale, long_after_the_failure_the_reader_waits_for_news)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	read_failing(e, &r, EHOSTUNREACH);
	fx_advance(&fx, 60 * SEC);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.calls, 0u);
	fx_succeed(&fx, 2, "new");
	cr_assert_str_eq(r.bytes, "new");
	CLOSE();
}

Test(stale, a_reader_whose_time_is_over_gets_it)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	r.w.deadline = clock_boot() + 2 * SEC;
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_advance(&fx, 2 * SEC);
	cr_assert_eq(r.code, 0);
	cr_assert_str_eq(r.bytes, "old");
	CLOSE();
}

Test(stale, never_for_refresh)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_fail(&fx, 1, ETIMEDOUT);
	cr_assert_eq(r.code, ETIMEDOUT);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "old");
	CLOSE();
}

Test(stale, none_with_stale_0)
{
	struct entry_policy pol = {.ttl = 300, .stale = 0};

	OPEN();
	entry_set_policy(e, &pol);
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	cr_assert_null(entry_peek(e), "not kept for nothing");
	cr_assert_eq(fx.events[STORE_EXPIRED], 1u);
	read_failing(e, &r, ETIMEDOUT);
	cr_assert_eq(r.code, ETIMEDOUT);
	CLOSE();
}

Test(stale, the_value_leaves_memory_when_its_time_is_over)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 3900 * SEC - 1);
	cr_assert_eq(fx.store->values, 1u);
	fx_advance(&fx, 1);
	cr_assert_eq(fx.store->values, 0u);
	cr_assert_eq(fx.store->bytes, 0u);
	cr_assert_eq(fx.events[STORE_EXPIRED], 2u);
	cr_assert_eq(fx_state(e), ENTRY_EXPIRED);
	CLOSE();
}

Test(permanent, take_effect_at_once)
{
	static const int codes[] = {EACCES, ENOENT, EKEYREVOKED, EKEYREJECTED, EKEYEXPIRED, ENOKEY,
		EBADMSG, EPROTO, EFBIG};

	OPEN();
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		store_purge(fx.store, e);
		fx_fill(&fx, e, "old");
		fx_advance(&fx, 300 * SEC);
		read_failing(e, &r, codes[i]);
		cr_assert_eq(r.code, codes[i], "no stale value after this");
		cr_assert_null(entry_peek(e));
		cr_assert_eq(fx.store->bytes, 0u);
		cr_assert_eq(fx.events[STORE_GONE], i + 1);
		cr_assert_eq(fx_state(e), ENTRY_FAILED);
	}
	CLOSE();
}

Test(permanent, a_revocation_seen_by_a_refresh_ends_a_fresh_value)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_fail(&fx, 1, EACCES);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.code, EACCES);
	CLOSE();
}

Test(permanent, who_waits_at_a_superseded_flight_gets_no_stale_value_either)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	fx_read(&fx, e, FETCH_CACHED, &r);
	store_changed(fx.store, e);
	fx_fail(&fx, 1, EACCES);
	cr_assert_eq(r.code, EACCES);
	CLOSE();
}

/* --- what a failure says about the source --- */

/* Else whoever may look up names could make a source look ill in status and metrics. */
Test(health, what_does_not_exist_is_no_trouble_of_the_source)
{
	struct source_health h;

	OPEN();
	read_failing(e, &r, ENOENT);
	source_health(fx.src, &h);
	cr_assert_eq(h.failures, 1u, "it is counted");
	cr_assert_eq(h.last_error.code, 0);
	cr_assert_eq(h.last_error_wall, 0);
	cr_assert_eq(h.last_ok_wall, WALL0);
	fx_advance(&fx, 60 * SEC);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_fail(&fx, 1, EREMOTEIO);
	source_health(fx.src, &h);
	cr_assert_eq(h.last_error.code, EREMOTEIO);
	cr_assert_gt(h.last_error_wall, h.last_ok_wall);
	CLOSE();
}

/* --- remembered failures --- */

Test(negative, remembered_for_its_time)
{
	OPEN();
	read_failing(e, &r, ENOENT);
	fx_advance(&fx, 5 * SEC - 1);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.code, ENOENT);
	cr_assert_eq(fx.nflights, 1u);
	fx_advance(&fx, 1);
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 1, "created");
	cr_assert_str_eq(r.bytes, "created", "R63: visible at +5 s");
	CLOSE();
}

Test(negative, never_after_a_transient_error)
{
	OPEN();
	read_failing(e, &r, ETIMEDOUT);
	fx_advance(&fx, 100 * NSEC_PER_MSEC); /* the first back-off is at most this */
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(fx.nflights, 2u);
	fx_succeed(&fx, 1, "x");
	CLOSE();
}

/* A page of somebody else's at the endpoint says nothing about the name. */
Test(negative, never_after_an_answer_of_another_service)
{
	OPEN();
	read_failing(e, &r, EOPNOTSUPP);
	cr_assert_eq(r.code, EOPNOTSUPP);
	fx_advance(&fx, 100 * NSEC_PER_MSEC); /* the first back-off is at most this */
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(fx.nflights, 2u);
	fx_succeed(&fx, 1, "x");
	cr_assert_str_eq(r.bytes, "x");
	CLOSE();
}

Test(backoff, refresh_and_nocache_ignore_it)
{
	struct reader other = {0};

	OPEN();
	read_failing(e, &r, ENOENT);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_read(&fx, e, FETCH_NOCACHE, &other);
	cr_assert_eq(fx.nflights, 3u, "%u", fx.nflights);
	fx_succeed(&fx, 1, "x");
	fx_succeed(&fx, 2, "x");
	CLOSE();
}

Test(backoff, grows_and_is_forgotten_by_success)
{
	OPEN();
	for (unsigned i = 0; i < 10; i++) {
		read_failing(e, &r, EACCES);
		cr_assert_eq(e->fails, i + 1);
		cr_assert(e->retry_at - clock_boot() <= fresh_backoff(i + 1));
		fx_advance(&fx, 5 * SEC);
	}
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 10, "x");
	cr_assert_eq(e->fails, 0u);
	CLOSE();
}

/* R56: full jitter, uniform between nothing and the bound, nothing piles up at the cap. */
Test(backoff, r56_delays_are_uniform)
{
	unsigned tenth[10] = {0};

	OPEN();
	for (int i = 0; i < 2000; i++) {
		int64_t delay;

		e->fails = 100;
		fx_read(&fx, e, FETCH_REFRESH, &r);
		fx_fail(&fx, 0, EACCES);
		fx.nflights = 0;
		delay = e->retry_at - clock_boot();
		cr_assert(delay >= 0 && delay <= FRESH_BACKOFF_CAP);
		tenth[delay == FRESH_BACKOFF_CAP ? 9 : delay * 10 / FRESH_BACKOFF_CAP]++;
	}
	for (int i = 0; i < 10; i++)
		cr_assert(tenth[i] > 120 && tenth[i] < 280, "tenth %d has %u of 2000", i, tenth[i]);
	CLOSE();
}

Test(source, five_failures_in_a_row_fail_other_names_at_once)
{
	struct source_health h;
	struct entry *other;

	OPEN();
	other = fx_entry(&fx, "other");
	for (int i = 0; i < 5; i++) {
		fx_read(&fx, e, FETCH_REFRESH, &r);
		fx_fail(&fx, fx.nflights - 1, EHOSTUNREACH);
	}
	fx.src->health.backoff_until = clock_boot() + SEC; /* jitter may make it now */
	fx_read(&fx, other, FETCH_CACHED, &r);
	cr_assert_eq(r.code, EHOSTUNREACH);
	cr_assert_not_null(strstr(r.msg, "get other"), "%s", r.msg);
	cr_assert_eq(fx.nflights, 5u);
	fx_advance(&fx, SEC);
	fx_read(&fx, other, FETCH_CACHED, &r);
	fx_succeed(&fx, 5, "x");
	source_health(fx.src, &h);
	cr_assert_eq(h.failures, 5u);
	cr_assert_eq(h.backoff_until, 0);
	cr_assert_eq(fx.src->fails, 0u);
	cr_assert_eq(h.last_error.code, EHOSTUNREACH);
	entry_unref(other);
	CLOSE();
}

Test(source, no_and_our_own_shortages_are_no_trouble_of_the_source)
{
	static const int codes[] = {ENOENT, EACCES, ENOMEM, EAGAIN};

	OPEN();
	for (unsigned i = 0; i < 40; i++) {
		fx_read(&fx, e, FETCH_REFRESH, &r);
		fx_fail(&fx, i, codes[i % 4]);
	}
	cr_assert_eq(fx.src->fails, 0u);
	CLOSE();
}

Test(source, its_trouble_makes_expired_values_stale_at_once)
{
	struct entry *other;

	OPEN();
	other = fx_entry(&fx, "other");
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	fx_read(&fx, other, FETCH_CACHED, &r);
	fx_fail(&fx, 1, ETIMEDOUT);
	fx.src->health.backoff_until = clock_boot() + SEC;
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "old");
	cr_assert_eq(fx.nflights, 2u);
	entry_unref(other);
	CLOSE();
}

/* --- a source that does not start flights --- */

Test(refused, the_reader_gets_it_and_nothing_is_remembered)
{
	struct source_health h;

	OPEN();
	fx.refuse = EBUSY;
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.code, EBUSY);
	cr_assert_eq(fx_state(e), ENTRY_ABSENT);
	source_health(fx.src, &h);
	cr_assert_eq(h.fetches, 0u);
	fx.refuse = 0;
	fx_read(&fx, e, FETCH_CACHED, &r);
	fx_succeed(&fx, 0, "x");
	cr_assert_eq(r.code, 0);
	CLOSE();
}

Test(refused, a_stale_value_is_better)
{
	OPEN();
	fx_fill(&fx, e, "old");
	fx_advance(&fx, 300 * SEC);
	fx.refuse = EBUSY;
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "old");
	CLOSE();
}

Test(refused, a_queue_of_background_fetches_drains)
{
	struct entry *v[200];
	char name[32];

	OPEN();
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		v[i] = fx_entry(&fx, name);
		fx_fill(&fx, v[i], "x");
		fx.nflights = 0;
	}
	for (int i = 0; i < 200; i++)
		store_changed(fx.store, v[i]);
	fx.refuse = EBUSY;
	fx_succeed(&fx, 0, "y");
	cr_assert_null(fx.src->queued);
	cr_assert_eq(fx.src->background, 3u);
	for (int i = 0; i < 200; i++)
		entry_unref(v[i]);
	CLOSE();
}

Test(detached, every_waiter_is_told_and_values_are_dropped)
{
	struct reader other = {0}, third = {0};
	struct entry *b;

	OPEN();
	b = fx_entry(&fx, "b");
	fx_fill(&fx, b, "x");
	fx_read(&fx, e, FETCH_CACHED, &r);
	store_purge(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &other);
	store_purge(fx.store, e);
	fx_read(&fx, e, FETCH_CACHED, &third); /* blocked by the two */
	source_detach(fx.src);
	cr_assert(r.code == ENODEV && other.code == ENODEV && third.code == ENODEV);
	cr_assert_null(entry_peek(b));
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.code, ENODEV);
	cr_assert_eq(fx.events[STORE_ERROR], 0u);
	entry_unref(b);
	CLOSE();
}

/* --- what is shown --- */

Test(info, the_last_error_is_kept_after_success_but_marked)
{
	struct entry_info info;

	OPEN();
	read_failing(e, &r, EACCES);
	entry_info(e, &info);
	cr_assert(info.has_error);
	cr_assert_eq(info.error.code, EACCES);
	fx_read(&fx, e, FETCH_REFRESH, &r);
	fx_succeed(&fx, 1, "x");
	entry_info(e, &info);
	cr_assert_not(info.has_error);
	cr_assert_eq(info.error.code, EACCES);
	cr_assert_str_eq(entry_state_text(info.state), "fresh");
	CLOSE();
}

Test(info, no_memory_for_the_sentence_keeps_the_code)
{
	struct entry_info info;
	struct sfs_err err;
	struct flight *f;

	OPEN();
	fx_read(&fx, e, FETCH_CACHED, &r);
	f = fx_take(&fx, 0);
	err_set(&err, EACCES, "no");
	alloc_fail_at(1);
	flight_done(f, NULL, &err);
	alloc_fail_at(0);
	cr_assert_eq(r.code, EACCES);
	entry_info(e, &info);
	cr_assert_eq(info.error.code, EACCES);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_eq(r.code, EACCES);
	CLOSE();
}

Test(info, no_memory_for_the_version_is_enomem_for_its_readers)
{
	struct payload *p = fx_payload("x", NULL, 0);
	struct flight *f;

	OPEN();
	fx_read(&fx, e, FETCH_CACHED, &r);
	f = fx_take(&fx, 0);
	alloc_fail_at(1);
	flight_done(f, p, NULL);
	alloc_fail_at(0);
	cr_assert_eq(r.code, ENOMEM);
	cr_assert_eq(fx.src->fails, 0u);
	CLOSE();
}
