/* SPDX-License-Identifier: Apache-2.0 */
/* A core that hydrates, on a clock that stands still: the test runs the timers. */
#include "core/core_hydrate.h"
#include "core/store_priv.h"
#include "tests/unit/core_fixture.h"
#include <sched.h>
#include <unistd.h>

#define CONF(mount) "[mount]\n" mount "\n" CONF_ONE

static void setup(void)
{
	clock_fake(1000 * NSEC_PER_SEC, 1);
}

TestSuite(hydrate, .init = setup);

static void names(size_t n)
{
	char name[32];
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%02zu", i);
		fake_set(0, name, name);
	}
}

/* Until so many gets were begun: then each is under way, and a reader joins it. */
static void wait_gets(unsigned n)
{
	pthread_mutex_lock(&fakes[0].lock);
	while (fakes[0].gets < n)
		pthread_cond_wait(&fakes[0].cond, &fakes[0].lock);
	pthread_mutex_unlock(&fakes[0].lock);
}

static unsigned gets(void)
{
	pthread_mutex_lock(&fakes[0].lock);
	unsigned n = fakes[0].gets;
	pthread_mutex_unlock(&fakes[0].lock);
	return n;
}

static void run(struct core *core)
{
	store_run_timers(core->store);
}

/* Hydrates all of `n` names; nobody read one before. */
static void hydrate(struct core *core, size_t n)
{
	char name[32];
	run(core);
	wait_gets((unsigned)n);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%02zu", i);
		assert_read(core, name, name);
	}
	cr_assert_eq(gets(), (unsigned)n);
}

static struct hydrate_view look(struct core *core)
{
	struct hydrate_view v;
	core_hydrate_look(core, &v);
	return v;
}

static const char *progress(struct core *core)
{
	static char out[1 << 20];
	struct buf b = BUF_INIT(sizeof(out));
	cr_assert_eq(core_control_read(core, CONTROL_HYDRATE, &b), 0);
	snprintf(out, sizeof(out), "%s", buf_text(&b));
	buf_clear(&b);
	return out;
}

Test(hydrate, all_at_mount_half_of_the_threads_and_readers_pass)
{
	char out[256];
	struct dent *d = NULL;
	names(20);
	fakes[0].hold_get = true;
	struct core *core = fx_open(CONF("hydrate"));
	run(core);
	fake_wait_held(0, SFS_POOL_THREADS / 2);
	cr_assert_eq(instance_source(core->insts[0]->in)->bulk, SFS_POOL_THREADS / 2);
	cr_assert_str_eq(progress(core), "0/20\n");
	cr_assert(look(core).kept.running);
	/* The last name has not started: its reader does not wait for the others. */
	struct fx_wait x = {.w.fetch = {.done = fx_fetched, .deadline = CLOCK_NEVER}};
	cr_assert_eq(fx_walk(core, "n19", &d), 0);
	core_fetch(core, d, NULL, FETCH_CACHED, &x.w.fetch);
	fake_wait_held(0, SFS_POOL_THREADS / 2 + 1);
	fake_release(0);
	cr_assert_eq(fx_join(&x), 0);
	payload_unref(x.p);
	wait_gets(20);
	for (size_t i = 0; i < 20; i++) {
		snprintf(out, sizeof(out), "n%02zu", i);
		cr_assert_str_eq(fx_read(core, out), out);
	}
	cr_assert_eq(gets(), 20u);
	cr_assert_str_eq(progress(core), "20/20\n");
	cr_assert_not(look(core).kept.running);
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, a_lazy_mount_fetches_nothing)
{
	size_t done = 1, total = 1, failed = 1;
	bool running = true;
	names(3);
	struct core *core = fx_open(CONF("lazy"));
	run(core);
	core_hydration(core, &done, &total, &failed, &running);
	cr_assert_eq(done + total + failed + running, 0u);
	cr_assert_eq(gets(), 0u);
	cr_assert_str_eq(progress(core), "");
	fx_close(core);
}

Test(hydrate, it_runs_until_the_first_listing_is_here)
{
	names(1);
	fakes[0].hold_list = true;
	struct core *core = fx_open_unlisted(CONF("hydrate"));
	cr_assert(look(core).kept.running);
	fake_release(0);
	core_wait_listed(core, true, CLOCK_NEVER, NULL);
	hydrate(core, 1);
	cr_assert_not(look(core).kept.running);
	fx_close(core);
}

Test(hydrate, globs_ttl_0_and_hidden)
{
	fake_set(0, "prod/db", "1");
	fake_set(0, "prod/zero", "2");
	fake_set(0, "prod/hidden", "3");
	fake_set(0, "dev/db", "4");
	fake_keys(0, "app", "user=u", "password=p");
	struct core *core =
		fx_open(CONF("hydrate = prod/**:app/user") "[rule prod/zero]\nttl = 0\n[rule "
							   "prod/hidden]\nhidden\n");
	run(core);
	wait_gets(2);
	assert_read(core, "prod/db", "1");
	assert_read(core, "app/password", "p");
	cr_assert_eq(gets(), 2u);
	cr_assert_eq(look(core).kept.total, 2u);
	cr_assert_eq(look(core).mode, HYDRATE_GLOBS);
	fx_close(core);
}

Test(hydrate, a_glob_may_mean_a_map_name)
{
	names(2);
	struct core *core = fx_open(CONF("hydrate = new") "[map]\nnew = n01\n");
	run(core);
	wait_gets(1);
	assert_read(core, "new", "n01");
	cr_assert_eq(gets(), 1u);
	cr_assert_eq(look(core).kept.total, 1u);
	fx_close(core);
}

Test(hydrate, failures_are_listed_until_they_are_mended)
{
	names(2);
	fakes[0].get_err = EACCES;
	struct core *core = fx_open(CONF("hydrate"));
	run(core);
	wait_gets(2);
	assert_read(core, "n00", "-EACCES");
	assert_read(core, "n01", "-EACCES");
	const char *text = progress(core);
	cr_assert(strstr(text, "2/2\n"), "%s", text);
	cr_assert(strstr(text, "n00: x: get n00: the fake fails\n"), "%s", text);
	cr_assert(strstr(text, "n01: x: get n01: the fake fails\n"), "%s", text);
	cr_assert_eq(look(core).kept.failed, 2u);
	pthread_mutex_lock(&fakes[0].lock);
	fakes[0].get_err = 0;
	pthread_mutex_unlock(&fakes[0].lock);
	cr_assert_eq(fx_control(core, CONTROL_REFRESH, "n00", NULL), 0);
	text = progress(core);
	cr_assert(!strstr(text, "n00") && strstr(text, "n01: "), "%s", text);
	fx_close(core);
}

Test(hydrate, a_later_write_is_the_news)
{
	struct sfs_err err;
	names(1);
	struct core *core = fx_open(CONF("hydrate"));
	hydrate(core, 1);
	clock_fake_advance(1);
	cr_assert_lt(fx_control(core, CONTROL_HYDRATE, "nothing", &err), 0);
	cr_assert(strstr(progress(core), "nothing: "), "%s", progress(core));
	clock_fake_advance(1);
	fake_set(0, "n01", "n01");
	fx_relist(core, 0);
	run(core);
	wait_gets(2);
	assert_read(core, "n01", "n01");
	cr_assert_str_eq(progress(core), "2/2\n");
	fx_close(core);
}

Test(hydrate, new_names_are_fetched_and_those_that_vanish_are_dropped)
{
	names(2);
	struct core *core = fx_open(CONF("hydrate"));
	hydrate(core, 2);
	fake_set(0, "n02", "n02");
	fake_drop(0, "n00");
	clock_fake_advance(NSEC_PER_SEC); /* the listing begins after the fetches */
	fx_relist(core, 0);
	cr_assert_eq(fx_count("n00", CORE_GONE), 1u);
	cr_assert_eq(fx_count("n02", CORE_NEW), 1u);
	run(core);
	wait_gets(3);
	assert_read(core, "n02", "n02");
	cr_assert_eq(gets(), 3u);
	cr_assert_eq(look(core).kept.total, 2u);
	size_t bytes, values;
	uint64_t evictions;
	store_totals(core->store, &bytes, &values, &evictions);
	cr_assert_eq(values, 2u);
	fx_close(core);
}

/* The kernel knows their nodes, and so they have entries still. */
Test(hydrate, names_that_vanish_while_they_are_known_count_no_more)
{
	struct dent *d = NULL, *mapped = NULL;
	names(3);
	struct core *core = fx_open(CONF("hydrate\nttl = 10\nstale = 0") "[map]\nnew = n02\n");
	run(core);
	wait_gets(3);
	assert_read(core, "n00", "n00");
	assert_read(core, "n01", "n01");
	assert_read(core, "new", "n02");
	cr_assert_eq(look(core).kept.total, 3u);
	cr_assert_eq(fx_walk(core, "n00", &d), 0);
	cr_assert_eq(fx_walk(core, "new", &mapped), 0);
	fake_drop(0, "n00");
	fake_drop(0, "n02");
	clock_fake_advance(NSEC_PER_SEC); /* the listing begins after the fetches */
	fx_relist(core, 0);
	cr_assert_eq(look(core).kept.total, 1u);
	cr_assert_eq(look(core).kept.failed, 0u);
	unsigned before = gets();
	clock_fake_advance(20 * NSEC_PER_SEC);
	run(core);
	wait_gets(before + 1);
	assert_read(core, "n01", "n01");
	cr_assert_eq(gets(), before + 1, "nobody asks for them");
	fake_set(0, "n00", "again");
	fx_relist(core, 0);
	run(core);
	wait_gets(before + 2);
	cr_assert_eq(look(core).kept.total, 2u);
	dent_unref(core, d);
	dent_unref(core, mapped);
	fx_close(core);
}

/* Whether fetches of source `i` are under way that the fake does not hold up. */
static bool in_the_air(struct core *core, size_t i)
{
	struct source *src = instance_source(core->insts[i]->in);
	const struct flight *f;
	unsigned n = 0, held;

	pthread_mutex_lock(&fakes[i].lock);
	held = fakes[i].hold_get ? fakes[i].waiting : 0;
	pthread_mutex_unlock(&fakes[i].lock);
	store_lock(core->store);
	DL_FOREACH (src->running, f)
		n++;
	store_unlock(core->store);
	return n > held;
}

/* Runs the timers second by second. The clock waits for the threads: a fetch must not be given up,
 * and its source backed off from until a time that never comes, because the machine is busy. */
static void live(struct core *core, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		clock_fake_advance(NSEC_PER_SEC);
		run(core);
		for (size_t k = 0; k < core->ninsts; k++)
			while (in_the_air(core, k))
				sched_yield();
	}
}

Test(hydrate, kept_fresh_without_readers)
{
	names(1);
	struct core *core = fx_open(CONF("hydrate\nttl = 100"));
	struct dent *d = NULL;
	struct core_attr a;
	hydrate(core, 1);
	cr_assert_eq(fx_walk(core, "n00", &d), 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 1100 * NSEC_PER_SEC);
	fake_set(0, "n00", "new");
	live(core, 89);
	cr_assert_eq(gets(), 1u);
	live(core, 10);
	wait_gets(2);
	fx_await("n00", CORE_ROTATED);
	cr_assert_eq(fx_count("n00", CORE_ROTATED), 1u);
	cr_assert_eq(fx_count("n00", CORE_EXPIRED), 0u);
	core_attr(core, d, &a);
	cr_assert_geq(a.valid_until, 1190 * NSEC_PER_SEC);
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, a_refusal_takes_effect_without_readers)
{
	names(1);
	struct core *core = fx_open(CONF("hydrate\nttl = 100"));
	struct dent *d = NULL;
	struct core_attr a;
	hydrate(core, 1);
	cr_assert_eq(fx_walk(core, "n00", &d), 0);
	fakes[0].get_err = EACCES;
	live(core, 99);
	fx_await("n00", CORE_PURGED);
	cr_assert_eq(fx_count(NULL, CORE_PURGED), 1u);
	cr_assert_eq(fx_count(NULL, CORE_EXPIRED), 0u);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 0);
	cr_assert_eq(gets(), 2u);
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, expiry_is_told_in_its_second_and_once)
{
	names(1);
	struct core *core = fx_open(CONF("hydrate\nttl = 100\nstale = 0"));
	struct dent *d = NULL;
	struct core_attr a;
	hydrate(core, 1);
	cr_assert_eq(fx_walk(core, "n00", &d), 0);
	fakes[0].hold_get = true; /* the refresh hangs */
	live(core, 99);
	wait_gets(2);
	cr_assert_eq(fx_count(NULL, CORE_EXPIRED), 0u);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 1100 * NSEC_PER_SEC);
	live(core, 1);
	cr_assert_eq(fx_count("n00", CORE_EXPIRED), 1u);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 0);
	live(core, 5);
	cr_assert_eq(fx_count(NULL, CORE_EXPIRED), 1u);
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, what_is_purged_waits_until_somebody_asks)
{
	struct dent *d = NULL;
	struct core_attr a;
	names(2);
	struct core *core = fx_open(CONF("hydrate\nttl = 100"));
	hydrate(core, 2);
	cr_assert_eq(fx_control(core, CONTROL_PURGE, "n00", NULL), 0);
	cr_assert_eq(fx_count("n00", CORE_PURGED), 1u);
	cr_assert_eq(fx_count(NULL, CORE_PURGED), 1u);
	fx_relist(core, 0);
	live(core, 80);
	cr_assert_eq(gets(), 2u);
	cr_assert_eq(fx_walk(core, "n00", &d), 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 0);
	assert_read(core, "n00", "n00");
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 1180 * NSEC_PER_SEC);
	cr_assert_eq(gets(), 3u);
	live(core, 19);
	wait_gets(4);
	live(core, 80);
	wait_gets(5);
	cr_assert_eq(fx_count("n00", CORE_EXPIRED), 0u, "kept fresh again");
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, a_ttl_that_is_set_counts_at_once)
{
	struct dent *d = NULL;
	struct core_attr a;
	names(1);
	struct core *core = fx_open(CONF("hydrate"));
	hydrate(core, 1);
	cr_assert_eq(fx_walk(core, "n00", &d), 0);
	core_set_ttl(core, d, -1);
	cr_assert_eq(fx_count("n00", CORE_ATTR), 1u);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, CLOCK_NEVER);
	core_set_ttl(core, d, 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.valid_until, 0);
	cr_assert(a.nocache);
	live(core, 400);
	cr_assert_eq(gets(), 1u);
	cr_assert_eq(look(core).kept.total, 0u);
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, what_does_not_fit_is_told_and_fetched_when_read)
{
	size_t bytes, values;
	uint64_t evictions;
	names(20);
	struct core *core = fx_open(CONF("hydrate\ncache_size = 30"));
	run(core);
	wait_gets(10);
	while (!look(core).kept.full)
		sched_yield(); /* those in the air end; a reader would get room */
	store_totals(core->store, &bytes, &values, &evictions);
	cr_assert_eq(values, 10u);
	cr_assert_eq(evictions, 0u);
	struct hydrate_view v = look(core);
	cr_assert_not(v.kept.running);
	cr_assert(strstr(progress(core), "do not fit into cache_size=0k"), "%s", progress(core));
	struct buf status = BUF_INIT(65536);
	core_control_read(core, CONTROL_STATUS, &status);
	cr_assert(strstr(buf_text(&status), "raise cache_size to hydrate them too"), "%s",
		buf_text(&status));
	buf_clear(&status);
	assert_read(core, "n19", "n19");
	fx_close(core);
}

static int reload(struct core *core, const char *text, struct sfs_err *err)
{
	struct config *c = fx_config(text);
	int r = core_reload(core, c, err);
	if (r < 0)
		config_free(c);
	return r;
}

Test(hydrate, a_reload_may_change_globs_but_not_the_mode)
{
	struct sfs_err err = {0};
	names(3);
	struct core *core = fx_open(CONF("hydrate = n00"));
	run(core);
	wait_gets(1);
	assert_read(core, "n00", "n00");
	cr_assert_eq(reload(core, CONF("hydrate = n01:n02"), &err), 0, "%s", err.msg);
	run(core);
	wait_gets(3);
	assert_read(core, "n01", "n01");
	assert_read(core, "n02", "n02");
	cr_assert_eq(look(core).kept.total, 2u);
	cr_assert_eq(reload(core, CONF("hydrate"), &err), -EINVAL);
	cr_assert(strstr(err.msg, "mount it anew"), "%s", err.msg);
	cr_assert_eq(look(core).mode, HYDRATE_GLOBS);
	cr_assert_eq(reload(core, CONF("lazy"), &err), 0, "the kernel asks in both");
	cr_assert_eq(look(core).kept.total, 0u);
	cr_assert_eq(gets(), 3u);
	fx_close(core);
}

Test(hydrate, what_another_source_hides_is_kept_fresh_no_more)
{
	struct dent *d = NULL;
	fake_set(1, "a", "second");
	struct core *core = fx_open("[mount]\nhydrate\nttl = 100\n"
				    "[backend x]\ntype = fake\nlocation = 0\nat = /\n"
				    "[backend y]\ntype = fake\nlocation = 1\nat = /\n");
	run(core);
	assert_read(core, "a", "second");
	cr_assert_eq(fx_walk(core, "a", &d), 0); /* as the kernel knows it */
	fake_set(0, "a", "first");
	clock_fake_advance(NSEC_PER_SEC);
	fx_relist(core, 0);
	run(core);
	wait_gets(1);
	assert_read(core, "a", "first");
	live(core, 90);
	while (look(core).kept.total == 2) { /* until a refresh finds that nothing shows it */
		live(core, 1);
		sched_yield();
	}
	pthread_mutex_lock(&fakes[1].lock);
	unsigned n = fakes[1].gets;
	pthread_mutex_unlock(&fakes[1].lock);
	live(core, 400);
	pthread_mutex_lock(&fakes[1].lock);
	cr_assert_eq(fakes[1].gets, n);
	pthread_mutex_unlock(&fakes[1].lock);
	dent_unref(core, d);
	fx_close(core);
}

Test(hydrate, what_another_source_hid_is_hydrated_when_it_comes_back)
{
	fake_set(0, "a", "first");
	fake_set(1, "a", "second");
	struct core *core =
		fx_open("[mount]\nhydrate\n[backend x]\ntype = fake\nlocation = 0\nat = /\n"
			"[backend y]\ntype = fake\nlocation = 1\nat = /\n");
	run(core);
	wait_gets(1);
	assert_read(core, "a", "first");
	cr_assert_eq(fakes[1].gets, 0u);
	fake_drop(0, "a");
	clock_fake_advance(NSEC_PER_SEC);
	fx_relist(core, 0);
	run(core);
	pthread_mutex_lock(&fakes[1].lock);
	while (!fakes[1].gets)
		pthread_cond_wait(&fakes[1].cond, &fakes[1].lock);
	pthread_mutex_unlock(&fakes[1].lock);
	assert_read(core, "a", "second");
	cr_assert_eq(fakes[1].gets, 1u);
	cr_assert_eq(look(core).kept.total, 1u, "%zu", look(core).kept.total);
	fx_close(core);
}

Test(hydrate, names_that_were_found_by_asking_are_kept_fresh_too)
{
	fake_set(0, "unlisted", "u")->unlisted = true;
	struct core *core = fx_open(CONF("hydrate\nttl = 100"));
	clock_fake_advance(6 * NSEC_PER_SEC); /* the listing is old enough to be doubted */
	assert_read(core, "unlisted", "u");
	cr_assert_eq(look(core).kept.total, 1u);
	live(core, 99);
	wait_gets(2);
	fx_close(core);
}

Test(hydrate, the_mount_may_end_in_the_middle)
{
	names(40);
	fakes[0].hold_get = true;
	struct core *core = fx_open(CONF("hydrate"));
	run(core);
	fake_wait_held(0, SFS_POOL_THREADS / 2);
	core_shutdown(core);
	cr_assert_eq(store_run_timers(core->store), CLOCK_NEVER);
	fx_close(core);
}

Test(hydrate, many_names)
{
	fakes[0].many = 20000;
	fakes[0].get_err = ENOENT; /* the fake has names only */
	struct core *core = fx_open(CONF("hydrate"));
	run(core);
	wait_gets(20000);
	while (look(core).kept.running)
		assert_read(core, "team1/service1-password", "-ENOENT");
	cr_assert_eq(look(core).kept.failed, 20000u);
	const char *text = progress(core);
	cr_assert(!strncmp(text, "20000/20000\n", 12), "%.40s", text);
	cr_assert_eq(gets(), 20000u);
	fx_close(core);
}
