/* SPDX-License-Identifier: Apache-2.0 */
/* What a listing may say that began before something else happened. */
#include "tests/unit/core_fixture.h"

TestSuite(race, .timeout = 30);

#define SECONDS(n) ((n)*NSEC_PER_SEC)

static struct core *open_at_rest(void)
{
	clock_fake(SECONDS(1000), SECONDS(1700000000));
	struct core *core = fx_open(CONF_ONE);
	clock_fake_advance(SECONDS(6));
	return core;
}

static void close_it(struct core *core)
{
	clock_real();
	fx_close(core);
}

/* Begins a listing that is held up. */
static void list_held(struct core *core)
{
	pthread_mutex_lock(&fakes[0].lock);
	fakes[0].hold_list = true;
	pthread_mutex_unlock(&fakes[0].lock);
	core_list_start(core->insts[0]);
	fake_wait_held(0, 1);
}

static void list_ends(struct core *core)
{
	fake_release(0);
	pthread_mutex_lock(&core->lock);
	while (core->insts[0]->running)
		pthread_cond_wait(&core->listed, &core->lock);
	pthread_mutex_unlock(&core->lock);
}

static void set_unlisted(const char *name, bool unlisted)
{
	pthread_mutex_lock(&fakes[0].lock);
	fake_find(&fakes[0], name)->unlisted = unlisted;
	pthread_mutex_unlock(&fakes[0].lock);
}

Test(race, a_name_read_while_a_listing_was_made_stays)
{
	fake_set(0, "a", "1");
	fake_set(0, "b", "2");
	struct core *core = open_at_rest();
	list_held(core);
	set_unlisted("a", true);
	set_unlisted("b", true);
	assert_read(core, "a", "1");
	list_ends(core);
	assert_tree(core, "a");
	cr_assert_eq(fx_count("a", CORE_GONE), 0);
	cr_assert_eq(fx_count("b", CORE_GONE), 1, "nobody confirmed it");
	clock_fake_advance(SECONDS(1));
	fx_relist(core, 0);
	assert_tree(core, "");
	cr_assert_eq(fx_count("a", CORE_GONE), 1, "a listing that began later is believed");
	cr_assert_eq(core->insts[0]->kept.n, 0);
	close_it(core);
}

Test(race, a_name_kept_is_listed_again_as_any_other)
{
	fake_set(0, "a", "1");
	struct core *core = open_at_rest();
	list_held(core);
	set_unlisted("a", true);
	assert_read(core, "a", "1");
	list_ends(core);
	set_unlisted("a", false);
	clock_fake_advance(SECONDS(1));
	fx_relist(core, 0);
	assert_tree(core, "a");
	cr_assert_eq(core->insts[0]->kept.n, 0);
	set_unlisted("a", true);
	clock_fake_advance(SECONDS(1));
	fx_relist(core, 0);
	assert_tree(core, "");
	close_it(core);
}

Test(race, a_name_whose_fetch_said_no_is_not_kept)
{
	fake_set(0, "a", "1");
	struct core *core = open_at_rest();
	list_held(core);
	assert_read(core, "a", "1");
	fake_drop(0, "a");
	struct dent *d;
	char out[256];
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_REFRESH, out), -ENOENT);
	dent_unref(core, d);
	list_ends(core);
	assert_tree(core, "");
	close_it(core);
}

Test(race, keeping_a_name_lists_once_more_and_not_for_ever)
{
	fake_set(0, "a", "1");
	struct core *core = open_at_rest();
	unsigned before = fakes[0].lists;
	list_held(core);
	set_unlisted("a", true);
	assert_read(core, "a", "1");
	list_ends(core);
	fx_relist(core, 0); /* joins or follows the second one */
	cr_assert_leq(fakes[0].lists, before + 3);
	assert_tree(core, "a");
	close_it(core);
}

Test(race, a_listing_is_as_old_as_its_start)
{
	struct dent *d;
	struct core *core = open_at_rest();
	list_held(core);
	clock_fake_advance(SECONDS(6));
	fake_set(0, "new", "n");
	set_unlisted("new", true);
	list_ends(core);
	cr_assert_eq(fx_walk(core, "new", &d), 0, "it began before the name was made: ask");
	dent_unref(core, d);
	assert_read(core, "new", "n");
	close_it(core);
}

/* LOOKUP said that the name may exist; what comes between it and the open that follows does not
 * take that back. */
Test(race, a_listing_between_lookup_and_open_leaves_the_name_possible)
{
	struct dent *d;
	char out[256];
	fake_set(0, "x", "1")->unlisted = true;
	struct core *core = open_at_rest();
	cr_assert_eq(fx_walk(core, "x", &d), 0);
	cr_assert_eq(dent_kind(d), CORE_UNKNOWN);
	fx_relist(core, 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_CACHED, out), 0);
	cr_assert_str_eq(out, "1");
	dent_unref(core, d);
	close_it(core);
}

Test(race, a_listing_that_shows_the_name_another_way_does_neither)
{
	struct dent *d;
	char out[256];
	struct core *core = open_at_rest();
	cr_assert_eq(fx_walk(core, "prod%2Fdb", &d), 0);
	fake_set(0, "prod/db", "1");
	fx_relist(core, 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_CACHED, out), 0);
	cr_assert_str_eq(out, "1");
	dent_unref(core, d);
	close_it(core);
}

Test(race, what_an_unlisted_name_hid_comes_back)
{
	fake_set(0, "x", "first")->unlisted = true;
	fake_set(1, "x", "second");
	fakes[0].list_err = EACCES;
	struct core *core = fx_open("[backend a]\ntype = fake\nlocation = 0\nat = /\n"
				    "[backend b]\ntype = fake\nlocation = 1\nat = /\n");
	struct dent *d;
	char out[256];
	assert_read(core, "x", "second");
	/* Found by the name only the first source is asked for. */
	cr_assert_eq(fx_walk(core, "x", &d), 0);
	pthread_mutex_lock(&fakes[1].lock);
	fake_find(&fakes[1], "x")->unlisted = true;
	pthread_mutex_unlock(&fakes[1].lock);
	fx_relist(core, 1);
	dent_unref(core, d);
	assert_read(core, "x", "first");
	pthread_mutex_lock(&fakes[1].lock);
	fake_find(&fakes[1], "x")->unlisted = false;
	pthread_mutex_unlock(&fakes[1].lock);
	fx_relist(core, 1);
	assert_read(core, "x", "first");
	fake_drop(0, "x");
	cr_assert_eq(fx_walk(core, "x", &d), 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_REFRESH, out), -ENOENT);
	dent_unref(core, d);
	assert_tree(core, "x");
	assert_read(core, "x", "second");
	fx_close(core);
}

static void *purge_y(void *arg)
{
	struct dent *d;
	cr_assert_eq(fx_walk(arg, "y", &d), 0);
	core_purge(arg, d);
	dent_unref(arg, d);
	return NULL;
}

/* Who waits for a purge may rely on what the kernel was told. */
Test(race, a_purge_is_over_when_its_event_was_sent)
{
	pthread_t other;
	fake_set(0, "x", "1");
	fake_set(0, "y", "2");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "x", "1");
	assert_read(core, "y", "2");
	fx_hold_events = true;
	pthread_create(&other, NULL, purge_y, core);
	pthread_mutex_lock(&fx_lock);
	while (!fx_held)
		pthread_cond_wait(&fx_cond, &fx_lock);
	pthread_mutex_unlock(&fx_lock);
	struct fx_wait w = {.w.control = {.done = fx_controlled, .deadline = CLOCK_NEVER}};
	core_control_write(core, CONTROL_PURGE, "x", 1, &w.w.control);
	pthread_mutex_lock(&fx_lock);
	cr_assert_not(w.done, "another thread still has its event");
	fx_hold_events = false;
	pthread_cond_broadcast(&fx_cond);
	pthread_mutex_unlock(&fx_lock);
	cr_assert_eq(fx_join(&w), 0);
	cr_assert_eq(fx_count("x", CORE_PURGED), 1);
	pthread_join(other, NULL);
	fx_close(core);
}

/* A fetch that began before `purge *` brings nothing that is kept, whatever it fetches. */
static void purge_during_fetch(const char *path, const char *version)
{
	struct dent *d;
	fake_set(0, "x", "old")->unlisted = true;
	fake_set(0, "y", "old");
	struct core *core = open_at_rest();
	cr_assert_eq(fx_walk(core, path, &d), 0);
	fakes[0].hold_get = true;
	struct fx_wait w = {.w.fetch = {.done = fx_fetched, .deadline = CLOCK_NEVER}};
	core_fetch(core, d, version, FETCH_CACHED, &w.w.fetch);
	fake_wait_held(0, 1);
	cr_assert_eq(fx_control(core, CONTROL_PURGE, "*", NULL), 0);
	fake_release(0);
	cr_assert_eq(fx_join(&w), 0);
	payload_unref(w.p);
	unsigned gets = fakes[0].gets;
	fake_set(0, path, "new");
	char out[256];
	cr_assert_eq(fx_fetch(core, d, version, FETCH_CACHED, out), 0);
	cr_assert_str_eq(out, "new");
	cr_assert_eq(fakes[0].gets, gets + 1);
	dent_unref(core, d);
	close_it(core);
	fakes[0].gets = 0;
}

Test(race, purge_of_all_supersedes_first_fetches)
{
	purge_during_fetch("y", NULL);
	purge_during_fetch("x", NULL);
	purge_during_fetch("y", "7");
}
