/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are older than what is held (R64), and times that the source does not tell. */
#include "store_fixture.h"

static struct fixture fx;

#define OPEN()                                 \
	fx_open(&fx, 1000);                    \
	struct entry *e = fx_entry(&fx, "db"); \
	struct reader r = {0}

#define CLOSE()         \
	entry_unref(e); \
	fx_close(&fx)

static void fetch_version(
	struct entry *e, enum fetch_mode mode, struct reader *r, const char *v, int64_t created)
{
	fx_read(&fx, e, mode, r);
	flight_done(fx_take(&fx, fx.nflights - 1), fx_payload(v, v, created), NULL);
}

Test(backwards, r64_an_older_version_of_a_lagging_replica_is_dropped)
{
	struct source_health h;

	OPEN();
	fetch_version(e, FETCH_CACHED, &r, "v2", 200);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v1", 100);
	cr_assert_str_eq(r.bytes, "v2");
	source_health(fx.src, &h);
	cr_assert_eq(h.kept_newer, 1u);
	cr_assert_eq(fx.events[STORE_ROTATED], 0u);
	CLOSE();
}

Test(backwards, a_roll_back_that_stays_is_believed)
{
	OPEN();
	fetch_version(e, FETCH_CACHED, &r, "v2", 200);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v1", 100);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v1", 100);
	cr_assert_str_eq(r.bytes, "v1");
	CLOSE();
}

Test(backwards, a_roll_back_that_was_asked_for_or_announced_is_believed_at_once)
{
	OPEN();
	fetch_version(e, FETCH_CACHED, &r, "v2", 200);
	fetch_version(e, FETCH_REFRESH, &r, "v1", 100);
	cr_assert_str_eq(r.bytes, "v1");
	fetch_version(e, FETCH_REFRESH, &r, "v2", 200);
	store_changed(fx.store, e);
	flight_done(fx_take(&fx, fx.nflights - 1), fx_payload("v1", "v1", 100), NULL);
	fx_read(&fx, e, FETCH_CACHED, &r);
	cr_assert_str_eq(r.bytes, "v1");
	CLOSE();
}

Test(backwards, without_creation_times_the_last_answer_counts)
{
	OPEN();
	fetch_version(e, FETCH_CACHED, &r, "v2", 200);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v1", 0);
	cr_assert_str_eq(r.bytes, "v1");
	CLOSE();
}

static struct payload *number(const char *v, uint64_t ordinal)
{
	struct payload *p = fx_payload(v, v, 0);

	p->ordinal = ordinal;
	return p;
}

static void fetch_number(struct entry *e, struct reader *r, const char *v, uint64_t ordinal)
{
	fx_read(&fx, e, FETCH_CACHED, r);
	flight_done(fx_take(&fx, fx.nflights - 1), number(v, ordinal), NULL);
}

/* `latest` of an eventually consistent provider answers 5, 4, 5. */
Test(backwards, a_lower_number_is_dropped)
{
	OPEN();
	fetch_number(e, &r, "5", 5);
	fx_advance(&fx, 300 * SEC);
	fetch_number(e, &r, "4", 4);
	cr_assert_str_eq(r.bytes, "5");
	cr_assert_str_eq(r.version, "5");
	fx_advance(&fx, 300 * SEC);
	fetch_number(e, &r, "5", 5);
	cr_assert_str_eq(r.bytes, "5");
	cr_assert_eq(fx.events[STORE_ROTATED], 0u);
	/* The old doubt is over: another 4 begins a new one. */
	fx_advance(&fx, 300 * SEC);
	fetch_number(e, &r, "4", 4);
	cr_assert_str_eq(r.bytes, "5");
	fx_advance(&fx, 300 * SEC);
	fetch_number(e, &r, "10", 10);
	cr_assert_str_eq(r.bytes, "10", "numbers, not texts");
	CLOSE();
}

static const char *held(const struct entry *e)
{
	static char version[64];
	struct payload *p = entry_peek(e);

	snprintf(version, sizeof(version), "%s", p ? p->version : "");
	payload_unref(p);
	return version;
}

Test(backwards, a_lower_number_is_believed_when_it_outlasts_the_ttl)
{
	OPEN();
	fetch_number(e, &r, "5", 5);
	fx_advance(&fx, 300 * SEC);
	fetch_number(e, &r, "4", 4);
	fx_read(&fx, e, FETCH_CACHED, &r);
	for (int i = 0; i < 299 && fx.nflights < 3; i++)
		fx_advance(&fx, SEC); /* read, so it is fetched ahead of its end */
	flight_done(fx_take(&fx, 2), number("4", 4), NULL);
	cr_assert_str_eq(held(e), "5", "a second answer inside of the TTL");
	fx_advance(&fx, 300 * SEC);
	fetch_number(e, &r, "4", 4);
	cr_assert_str_eq(r.bytes, "4");
	cr_assert_eq(fx.events[STORE_ROTATED], 1u);
	CLOSE();
}

Test(backwards, how_long_a_lag_may_last)
{
	cr_assert_eq(fresh_lag(true, 400), 400 * SEC);
	cr_assert_eq(fresh_lag(true, 10), FRESH_LAG);
	cr_assert_eq(fresh_lag(true, -1), FRESH_LAG);
	cr_assert_eq(fresh_lag(false, 400), FRESH_LAG);
}

/* --- times that the source does not tell --- */

Test(created, another_version_is_as_old_as_its_fetch)
{
	struct entry_info info;

	OPEN();
	fetch_version(e, FETCH_CACHED, &r, "v1", 0);
	entry_info(e, &info);
	cr_assert_eq(info.created, 0);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v2", 0);
	entry_info(e, &info);
	cr_assert_eq(info.created, WALL0 + 300 * SEC);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v2", 0);
	entry_info(e, &info);
	cr_assert_eq(info.created, WALL0 + 300 * SEC, "the same version keeps its time");
	/* What was seen does not say which of two is older. */
	fetch_version(e, FETCH_REFRESH, &r, "v3", 100);
	entry_info(e, &info);
	cr_assert_eq(info.created, 100);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v4", 0);
	fx_advance(&fx, 300 * SEC);
	fetch_version(e, FETCH_CACHED, &r, "v5", 50);
	cr_assert_str_eq(r.bytes, "v5");
	CLOSE();
}
