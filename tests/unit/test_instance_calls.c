/* SPDX-License-Identifier: Apache-2.0 */
/* Listing, describe, versions, watch. */
#include "instance_fixture.h"

/* --- list --- */

static int64_t bound_of(const char *name)
{
	struct reader r;
	start_read(name, &r);
	sem_wait(&r.done);
	cr_assert_not_null(r.p, "%s", r.err.msg);
	int64_t bound = r.p->ttl_max;
	payload_unref(r.p);
	return bound;
}

/* A secret that goes away in a minute is not kept for five. */
Test(list, the_end_of_a_secret_bounds_how_long_it_is_kept, .init = set_up)
{
	struct asked a;
	open_it();
	cr_expect_eq(bound_of("n0"), -1, "before anything is known");
	fake.nlist = 1;
	fake.expires = clock_wall() + 60 * NSEC_PER_SEC;
	cr_assert_eq(list_it(&a, NULL), 0);
	listing_unref(a.c.listing);
	cr_expect_eq(bound_of("n0"), 60);
	cr_expect_eq(bound_of("other"), -1);
	clock_fake_advance(59 * NSEC_PER_SEC + 1);
	cr_expect_eq(bound_of("n0"), 0);
	clock_fake_advance(NSEC_PER_SEC);
	cr_expect_eq(bound_of("n0"), 0, "over");
	fake.expires = 0;
	cr_assert_eq(list_it(&a, NULL), 0);
	listing_unref(a.c.listing);
	cr_expect_eq(bound_of("n0"), -1, "it is to stay after all");
	tear_down();
}

Test(list, is_told_to_the_listener_and_to_who_asked, .init = set_up)
{
	struct asked a;

	open_it();
	fake.nlist = 5;
	cr_assert_eq(list_it(&a, NULL), 0);
	cr_assert_eq(a.c.listing->n, 5u);
	cr_assert_eq(news.listed, 1u);
	cr_assert_eq(news.n, 5u);
	listing_unref(a.c.listing);
	tear_down();
}

Test(list, a_failure_is_told_too, .init = set_up)
{
	struct asked a;

	open_it();
	fake.list_code = EACCES;
	cr_assert_eq(list_it(&a, NULL), EACCES);
	cr_assert_str_eq(a.err.msg, "aws/prod: list: cannot list");
	cr_assert_eq(news.failed, 1u);
	tear_down();
}

Test(list, one_that_runs_is_joined, .init = set_up)
{
	static struct asked v[100];

	open_it();
	fake.stall_list = true;
	fake.nlist = 2;
	for (int i = 0; i < 100; i++) {
		asked_init(&v[i]);
		cr_assert_eq(instance_list(in, NULL, &v[i].c, &err), 0);
		if (i == 0)
			sem_wait(&fake.listing);
	}
	sem_post(&fake.list_go);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(asked_wait(&v[i]), 0);
		cr_assert_eq(v[i].c.listing->n, 2u);
		listing_unref(v[i].c.listing);
	}
	cr_assert_eq(fake.lists, 1u);
	tear_down();
}

static int list_slowly(unsigned lines, int64_t seconds)
{
	struct asked a;
	fake.nlist = lines;
	fake.line_takes = seconds * NSEC_PER_SEC;
	int code = list_it(&a, NULL);
	if (code == 0)
		cr_assert_eq(a.c.listing->n, lines);
	listing_unref(a.c.listing);
	return code;
}

/* The timeout of 10 s is for what does not move, not for many pages. */
Test(list, one_that_goes_on_gets_the_time_it_needs, .init = set_up)
{
	open_it();
	cr_assert_eq(list_slowly(50, 9), 0);
	cr_assert_eq(list_slowly(50, 11), ETIMEDOUT);
	cr_assert_eq(list_slowly(SFS_LIST_SECONDS / 9 + 2, 9), ETIMEDOUT, "but not for ever");
	tear_down();
}

Test(list, one_that_is_stuck_is_not_joined, .init = set_up)
{
	struct asked stuck, next;

	open_it();
	fake.stall_list = true;
	asked_init(&stuck);
	cr_assert_eq(instance_list(in, NULL, &stuck.c, &err), 0);
	sem_wait(&fake.listing);
	clock_fake_advance(11 * NSEC_PER_SEC);
	asked_init(&next);
	cr_assert_eq(instance_list(in, NULL, &next.c, &err), 0);
	sem_wait(&fake.listing);
	cr_assert_eq(fake.lists, 2u);
	sem_post(&fake.list_go);
	sem_post(&fake.list_go);
	cr_assert_eq(asked_wait(&stuck), 0);
	cr_assert_eq(asked_wait(&next), 0);
	listing_unref(stuck.c.listing);
	listing_unref(next.c.listing);
	tear_down();
}

Test(list, a_filter_is_a_glob_where_the_provider_has_none, .init = set_up)
{
	struct asked a;

	open_it();
	fake.nlist = 30;
	cr_assert_eq(list_it(&a, "n2?"), 0);
	cr_assert_eq(a.c.listing->n, 10u);
	cr_assert_eq(news.listed, 0u, "no full listing");
	cr_assert_str_eq(fake.filter, "");
	listing_unref(a.c.listing);
	tear_down();
}

Test(list, a_filter_goes_to_the_provider_that_has_one, .init = set_up)
{
	struct asked a;

	ops.flags = BACKEND_FILTER;
	open_it();
	fake.nlist = 30;
	cr_assert_eq(list_it(&a, "tag-key=team"), 0);
	cr_assert_str_eq(fake.filter, "tag-key=team");
	cr_assert_eq(a.c.listing->n, 30u);
	listing_unref(a.c.listing);
	tear_down();
}

/* --- describe and versions --- */

static int describe_it(struct asked *a, const char *name)
{
	asked_init(a);
	cr_assert_eq(instance_describe(in, name, &a->c, &err), 0);
	return asked_wait(a);
}

Test(list, describe_without_the_call_is_what_the_listing_said, .init = set_up)
{
	struct asked a;

	open_it();
	cr_assert_eq(describe_it(&a, "n1"), 0);
	cr_assert_str_eq(buf_text(&a.c.text), "{}");
	buf_clear(&a.c.text);
	fake.nlist = 3;
	cr_assert_eq(list_it(&a, NULL), 0);
	listing_unref(a.c.listing);
	cr_assert_eq(describe_it(&a, "n1"), 0);
	cr_assert_str_eq(buf_text(&a.c.text), "{\"from\":\"list\"}");
	buf_clear(&a.c.text);
	tear_down();
}

/* One listing tells of all; a call for each would be many. */
Test(list, what_the_listing_told_is_not_asked_for, .init = set_up)
{
	struct asked a;
	ops.describe = fake_describe;
	ops.flags = BACKEND_LIST_TELLS;
	fake.describe = "{\"from\":\"describe\"}";
	open_it();
	fake.nlist = 2;
	cr_assert_eq(list_it(&a, NULL), 0);
	listing_unref(a.c.listing);
	cr_assert_eq(describe_it(&a, "n1"), 0);
	cr_expect_str_eq(buf_text(&a.c.text), "{\"from\":\"list\"}");
	buf_clear(&a.c.text);
	cr_assert_eq(describe_it(&a, "other"), 0);
	cr_expect_str_eq(buf_text(&a.c.text), "{\"from\":\"describe\"}", "not listed");
	buf_clear(&a.c.text);
	tear_down();
}

Test(list, describe_must_be_an_object, .init = set_up)
{
	struct asked a;

	ops.describe = fake_describe;
	open_it();
	fake.describe = "{\"a\":1}";
	cr_assert_eq(describe_it(&a, "db"), 0);
	cr_assert_str_eq(buf_text(&a.c.text), "{\"a\":1}");
	buf_clear(&a.c.text);
	fake.describe = "<html>";
	cr_assert_eq(describe_it(&a, "db"), EBADMSG);
	cr_assert_not_null(strstr(a.err.msg, "aws/prod: describe db: "));
	tear_down();
}

static int versions_of(struct asked *a, const char *name)
{
	asked_init(a);
	cr_assert_eq(instance_versions(in, name, &a->c, &err), 0);
	return asked_wait(a);
}

static void versions_free(struct asked *a)
{
	for (size_t i = 0; i < a->c.nversions; i++)
		mem_free(a->c.versions[i]);
	mem_free(a->c.versions);
}

Test(list, versions, .init = set_up)
{
	struct asked a;

	ops.versions = fake_versions;
	open_it();
	cr_assert_eq(versions_of(&a, "db"), 0);
	cr_assert_eq(a.c.nversions, 2u);
	cr_assert_str_eq(a.c.versions[0], "9");
	versions_free(&a);
	tear_down();
}

Test(list, versions_without_the_call_are_what_the_listing_said, .init = set_up)
{
	struct asked a;

	open_it();
	cr_assert_eq(versions_of(&a, "n0"), 0);
	cr_assert_eq(a.c.nversions, 0u);
	versions_free(&a);
	fake.nlist = 1;
	cr_assert_eq(list_it(&a, NULL), 0);
	listing_unref(a.c.listing);
	cr_assert_eq(versions_of(&a, "n0"), 0);
	cr_assert_eq(a.c.nversions, 1u);
	cr_assert_str_eq(a.c.versions[0], "7");
	versions_free(&a);
	tear_down();
}

/* --- watch --- */

Test(watch, passes_news_on_and_ends_with_the_instance, .init = set_up)
{
	ops.watch = fake_watch;
	ops.flags = BACKEND_LIST_COMPLETE;
	open_it();
	cr_assert_not(instance_list_complete(in));
	cr_assert_eq(instance_start(in, &err), 0);
	sem_wait(&fake.watching);
	cr_assert(instance_list_complete(in));
	cr_assert_eq(news.changed, 1u);
	cr_assert_eq(news.all, 2u, "a change without a usable name may be anything");
	tear_down();
	cr_assert_eq(fake.watches, 1u);
	cr_assert_eq(fake.closes, 1u);
}

Test(watch, is_started_again_after_an_error, .init = set_up)
{
	ops.watch = fake_watch;
	fake.watch_code = ENOSPC;
	open_it();
	cr_assert_eq(instance_start(in, &err), 0);
	sem_wait(&fake.watching);
	cr_assert_eq(fake.watches, 2u);
	tear_down();
}

Test(watch, without_the_call_nothing_is_started, .init = set_up)
{
	open_it();
	cr_assert_eq(instance_start(in, &err), 0);
	cr_assert_not(instance_list_complete(in));
	tear_down();
}
