/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core_fixture.h"

TestSuite(core, .timeout = 30);

Test(core, shows_and_reads)
{
	fake_set(0, "prod/db/password", "hunter2");
	fake_set(0, "token", "t");
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "prod/ prod/db/ prod/db/password token");
	assert_read(core, "prod/db/password", "hunter2");
	assert_read(core, "prod/db", "-EISDIR");
	cr_assert_eq(fakes[0].gets, 1);
	assert_read(core, "prod/db/password", "hunter2");
	cr_assert_eq(fakes[0].gets, 1, "the second read comes from the cache");
	fx_close(core);
}

Test(core, encoded_slashes_reach_the_same_dent)
{
	struct dent *a, *b;
	fake_set(0, "prod/db", "x");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_walk(core, "prod/db", &a), 0);
	cr_assert_eq(fx_walk(core, "prod%2Fdb", &b), 0);
	cr_assert_eq(a, b);
	dent_unref(core, b);
	cr_assert_eq(fx_walk(core, "prod%2fdb", &b), 0, "another spelling of a listed name");
	cr_assert_eq(a, b);
	dent_unref(core, b);
	dent_unref(core, a);
	fx_close(core);
}

Test(core, unlisted_name_is_provisional_then_enters_the_tree)
{
	struct dent *d;
	char out[256];
	fake_set(0, "prod/db", "x")->unlisted = true;
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "");
	cr_assert_eq(fx_walk(core, "prod%2Fdb", &d), 0);
	cr_assert_eq(dent_kind(d), CORE_UNKNOWN);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_CACHED, out), 0);
	cr_assert_str_eq(out, "x");
	cr_assert_not(dent_alive(d));
	assert_tree(core, "prod/ prod/db");
	cr_assert_eq(fx_count("prod/db", CORE_NEW), 1);
	struct core_attr a;
	core_attr(core, d, &a);
	cr_assert_eq(a.size, 1, "the provisional name goes on with the subject");
	dent_unref(core, d);
	fx_close(core);
}

Test(core, unknown_name_is_enoent_after_asking)
{
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "nothing", "-ENOENT");
	assert_tree(core, "");
	cr_assert_geq(fakes[0].gets, 1);
	fx_close(core);
}

Test(core, illegal_and_odd_spellings_are_enoent_without_a_call)
{
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	const char *const bad[] = {"%zz", "%00", "%61", ".value", "%2e", "a%2fb"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct dent *d;
		cr_assert_eq(fx_walk(core, bad[i], &d), -ENOENT, "%s", bad[i]);
	}
	cr_assert_eq(fakes[0].gets, 0);
	fx_close(core);
}

Test(core, listing_is_awaited_by_lookup_and_list)
{
	struct dent *root, *d;
	fakes[0].hold_list = true;
	fake_set(0, "a", "1");
	struct core *core = fx_open_unlisted(CONF_ONE);
	root = core_root(core);
	cr_assert_eq(core_lookup(core, root, "a", &d), -EAGAIN);
	struct fx_wait x = {.w.list = {.done = fx_listed, .deadline = CLOCK_NEVER}};
	core_list(core, root, &x.w.list);
	cr_assert_not(x.done);
	fake_release(0);
	cr_assert_eq(fx_join(&x), 0);
	cr_assert_eq(core_lookup(core, root, "a", &d), 0);
	dent_unref(core, d);
	dent_unref(core, root);
	fx_close(core);
}

Test(core, list_can_be_cancelled)
{
	fakes[0].hold_list = true;
	struct core *core = fx_open_unlisted(CONF_ONE);
	struct dent *root = core_root(core);
	struct fx_wait x = {.w.list = {.done = fx_listed, .deadline = CLOCK_NEVER}};
	core_list(core, root, &x.w.list);
	cr_assert(core_list_cancel(core, &x.w.list));
	cr_assert_not(core_list_cancel(core, &x.w.list));
	dent_unref(core, root);
	fx_close(core);
	cr_assert_not(x.done);
}

Test(core, list_ends_at_its_deadline)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	fakes[0].hold_list = true;
	struct core *core = fx_open_unlisted(CONF_ONE);
	struct dent *root = core_root(core);
	struct fx_wait x = {.w.list = {.done = fx_listed, .deadline = 1005 * NSEC_PER_SEC}};
	core_list(core, root, &x.w.list);
	cr_assert_eq(core_run_timers(core), 1005 * NSEC_PER_SEC);
	cr_assert_not(x.done);
	clock_fake_advance(5 * NSEC_PER_SEC);
	core_run_timers(core);
	cr_assert_eq(fx_join(&x), -ETIMEDOUT);
	dent_unref(core, root);
	clock_real();
	fx_close(core);
}

Test(core, failed_first_listing_is_the_error_of_list)
{
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	struct dent *root = core_root(core);
	cr_assert_eq(fx_list(core, root), -EACCES);
	dent_unref(core, root);
	fx_close(core);
}

Test(core, names_replace_a_denied_listing)
{
	fakes[0].list_err = EACCES;
	fake_set(0, "b", "2");
	struct core *core = fx_open(CONF_ONE "names = b, a ,b\n");
	struct dent *root = core_root(core);
	cr_assert_eq(fx_list(core, root), 0);
	assert_tree(core, "a b");
	assert_read(core, "b", "2");
	assert_read(core, "a", "-ENOENT");
	assert_tree(core, "a b");
	dent_unref(core, root);
	fx_close(core);
}

Test(core, wait_listed_tells_the_first_error)
{
	struct sfs_err err = {0};
	fakes[0].list_err = EHOSTUNREACH;
	struct core *core = fx_open_unlisted(CONF_ONE);
	cr_assert_eq(core_wait_listed(core, true, CLOCK_NEVER, &err), -EHOSTUNREACH);
	cr_assert(strstr(err.msg, "the fake may not list"));
	cr_assert_eq(core_wait_listed(core, false, CLOCK_NEVER, &err), 0, "no local source");
	fx_close(core);
}

Test(core, readdir_resumes_across_changes)
{
	char name[16];
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%02d", i);
		fake_set(0, name, "v");
	}
	struct core *core = fx_open(CONF_ONE);
	struct dent *root = core_root(core), *d;
	cr_assert_eq(fx_walk(core, "n19", &d), 0);
	uint64_t cookie = d->cookie;
	dent_unref(core, d);
	for (int i = 0; i < 30; i += 2) { /* enough to make the directory compact itself */
		snprintf(name, sizeof(name), "n%02d", i);
		fake_drop(0, name);
	}
	fake_drop(0, "n19");
	fake_set(0, "a-new", "v");
	fx_relist(core, 0);
	struct buf b = BUF_INIT(4096);
	cr_assert_eq(core_readdir(core, root, cookie, fx_dump_one, &b), 0);
	cr_assert_str_eq(
		buf_text(&b), "n21 n23 n25 n27 n29 n30 n31 n32 n33 n34 n35 n36 n37 n38 n39 a-new ");
	buf_clear(&b);
	dent_unref(core, root);
	fx_close(core);
}

static int stop_at_second(void *arg, const struct core_dirent *de)
{
	(void)de;
	return ++*(int *)arg == 2 ? 77 : 0;
}

Test(core, readdir_returns_what_stopped_it)
{
	int n = 0;
	fake_set(0, "a", "1");
	fake_set(0, "b", "1");
	fake_set(0, "c", "1");
	struct core *core = fx_open(CONF_ONE);
	struct dent *root = core_root(core), *a;
	cr_assert_eq(core_readdir(core, root, 0, stop_at_second, &n), 77);
	cr_assert_eq(n, 2);
	cr_assert_eq(fx_walk(core, "a", &a), 0);
	cr_assert_eq(core_readdir(core, a, 0, stop_at_second, &n), -ENOTDIR);
	cr_assert_eq(core_lookup(core, a, "x", &a), -ENOTDIR);
	dent_unref(core, a);
	dent_unref(core, root);
	fx_close(core);
}

Test(core, attributes_follow_rules_and_values)
{
	struct core_attr a;
	struct dent *d;
	struct fake_secret *s = fake_set(0, "prod/key", "12345");
	s->created = 1600000000 * NSEC_PER_SEC;
	struct core *core = fx_open(CONF_ONE "[rule prod/*]\nuid = 33\ngid = 44\nmode = 0440\n");
	cr_assert_eq(fx_walk(core, "prod/key", &d), 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.uid, 33);
	cr_assert_eq(a.gid, 44);
	cr_assert_eq(a.mode, 0440);
	cr_assert_eq(a.size, 0);
	cr_assert_eq(a.serial, 0);
	cr_assert_not(a.nocache);
	cr_assert_eq(a.mtime, 1600000000 * NSEC_PER_SEC);
	assert_read(core, "prod/key", "12345");
	core_attr(core, d, &a);
	cr_assert_eq(a.size, 5);
	cr_assert_neq(a.serial, 0);
	struct core_attr dir;
	core_attr(core, dent_parent(d), &dir);
	cr_assert_eq(dir.mode, 0511, "a rule sets an owner, so others must get through");
	cr_assert_eq(dir.uid, 1000);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, provisional_name_has_the_rule_of_the_path_it_means)
{
	struct core_attr a;
	struct dent *d;
	fakes[0].list_err = EACCES;
	struct core *core =
		fx_open(CONF_ONE "[rule prod/*]\nuid = 33\n[rule secret/*]\nhidden = yes\n");
	cr_assert_eq(fx_walk(core, "prod%2Fdb", &d), 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.uid, 33);
	dent_unref(core, d);
	cr_assert_eq(fx_walk(core, "secret%2Fdb", &d), -ENOENT);
	fx_close(core);
}

Test(core, hidden_does_not_exist)
{
	struct dent *d;
	fake_set(0, "a", "1");
	fake_set(0, "b", "2");
	struct core *core = fx_open(CONF_ONE "[rule b]\nhidden = yes\n");
	assert_tree(core, "a");
	cr_assert_eq(fx_walk(core, "b", &d), -ENOENT);
	fx_close(core);
}

Test(core, purge_gives_the_name_a_new_generation)
{
	struct core_attr a, b;
	struct dent *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	core_attr(core, d, &a);
	core_purge(core, d);
	core_attr(core, d, &b);
	cr_assert_gt(b.generation, a.generation);
	cr_assert_eq(b.size, 1, "the last size is still known");
	fx_await("a", CORE_PURGED);
	assert_read(core, "a", "1");
	cr_assert_eq(fakes[0].gets, 2);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, purge_takes_versions_along)
{
	char out[256];
	struct dent *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, "v1", FETCH_CACHED, out), 0);
	cr_assert_eq(fx_fetch(core, d, "v1", FETCH_CACHED, out), 0);
	cr_assert_eq(fakes[0].gets, 1);
	core_purge(core, d);
	cr_assert_eq(fx_fetch(core, d, "v1", FETCH_CACHED, out), 0);
	cr_assert_eq(fakes[0].gets, 2);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, rotation_is_an_event)
{
	struct dent *d;
	char out[256];
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	fake_set(0, "a", "22");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_REFRESH, out), 0);
	cr_assert_str_eq(out, "22");
	fx_await("a", CORE_ROTATED);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, expiry_is_an_event)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	clock_fake_advance(301 * NSEC_PER_SEC);
	store_run_timers(core->store);
	fx_await("a", CORE_EXPIRED);
	clock_real();
	fx_close(core);
}

Test(core, ttl_of_a_user)
{
	struct core_attr a;
	struct entry_info info;
	struct dent *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	core_set_ttl(core, d, 0);
	core_attr(core, d, &a);
	cr_assert(a.nocache);
	assert_read(core, "a", "1");
	assert_read(core, "a", "1");
	cr_assert_eq(fakes[0].gets, 2);
	core_set_ttl(core, d, 7);
	cr_assert_eq(core_info(core, d, &info), 0);
	cr_assert_eq(info.ttl, 7);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, mount_ttl_zero_caches_nothing_whatever_a_user_says)
{
	struct core_attr a;
	struct dent *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open("[mount]\nttl = 0\n" CONF_ONE "[rule a]\nttl = 60\n");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	core_set_ttl(core, d, 60);
	core_attr(core, d, &a);
	cr_assert(a.nocache);
	assert_read(core, "a", "1");
	assert_read(core, "a", "1");
	cr_assert_eq(fakes[0].gets, 2);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, gone_at_the_source_leaves_the_listing_alone_but_not_the_value)
{
	struct dent *d;
	char out[256];
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	fake_drop(0, "a");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_REFRESH, out), -ENOENT);
	assert_tree(core, "a");
	assert_read(core, "a", "-ENOENT");
	fx_await("a", CORE_PURGED);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, unlisted_name_leaves_when_the_source_lost_it)
{
	struct dent *d;
	char out[256];
	fakes[0].list_err = EACCES;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	assert_tree(core, "a");
	fake_drop(0, "a");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_REFRESH, out), -ENOENT);
	assert_tree(core, "");
	fx_await("a", CORE_GONE);
	cr_assert_not(dent_alive(d));
	dent_unref(core, d);
	fx_close(core);
}

Test(core, removed_name_loses_its_value)
{
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	fake_drop(0, "a");
	fx_relist(core, 0);
	assert_tree(core, "");
	size_t bytes, values;
	uint64_t evictions;
	store_totals(core->store, &bytes, &values, &evictions);
	cr_assert_eq(values, 0);
	fx_close(core);
}

Test(core, listing_that_shows_a_missing_name_ends_its_negative_time)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	struct core *core = fx_open("[mount]\nnegative_ttl = 300\n" CONF_ONE);
	clock_fake_advance(301 * NSEC_PER_SEC);
	assert_read(core, "a", "-ENOENT");
	fake_set(0, "a", "1");
	assert_read(core, "a", "-ENOENT");
	fx_relist(core, 0);
	assert_read(core, "a", "1");
	clock_real();
	fx_close(core);
}

Test(core, fresh_listing_answers_for_unlisted_names)
{
	struct dent *d;
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_walk(core, "a", &d), -ENOENT);
	clock_fake_advance(6 * NSEC_PER_SEC);
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(dent_kind(d), CORE_UNKNOWN);
	dent_unref(core, d);
	clock_real();
	fx_close(core);
}

Test(core, old_listing_is_renewed_in_the_background)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	struct core *core = fx_open(CONF_ONE);
	struct dent *root = core_root(core);
	cr_assert_eq(fx_list(core, root), 0);
	cr_assert_eq(fakes[0].lists, 1);
	fake_set(0, "a", "1");
	clock_fake_advance(61 * NSEC_PER_SEC);
	cr_assert_eq(fx_list(core, root), 0, "served at once");
	fx_await("a", CORE_NEW);
	cr_assert_eq(fakes[0].lists, 2);
	dent_unref(core, root);
	clock_real();
	fx_close(core);
}

Test(core, watched_source_follows_changes)
{
	fake_set(0, "a", "1");
	struct core *core = fx_open("[backend x]\ntype = fakew\nlocation = 0\nat = /\n");
	pthread_mutex_lock(&fakes[0].lock);
	while (!fakes[0].sink)
		pthread_cond_wait(&fakes[0].cond, &fakes[0].lock);
	pthread_mutex_unlock(&fakes[0].lock);
	assert_read(core, "a", "1");
	fake_set(0, "b", "2");
	watch_changed(fakes[0].sink, NULL);
	fx_await("b", CORE_NEW);
	fake_set(0, "a", "other");
	watch_changed(fakes[0].sink, "a");
	fx_await("a", CORE_ROTATED);
	struct dent *d;
	cr_assert_eq(fx_walk(core, "nothing", &d), -ENOENT, "its listing is complete");
	fx_close(core);
}

Test(core, fetch_of_a_provisional_name_can_be_cancelled)
{
	struct dent *d;
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	fakes[0].hold_get = true;
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	struct fx_wait x = {.w.fetch = {.done = fx_fetched, .deadline = CLOCK_NEVER}};
	core_fetch(core, d, NULL, FETCH_CACHED, &x.w.fetch);
	cr_assert(core_fetch_cancel(core, &x.w.fetch));
	dent_unref(core, d);
	fx_close(core);
	cr_assert_not(x.done);
}

Test(core, shutdown_answers_everybody)
{
	struct dent *d, *root;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE "[backend y]\ntype = fake\nlocation = 1\n");
	fakes[0].hold_get = true;
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	root = core_root(core);
	struct fx_wait x = {.w.fetch = {.done = fx_fetched, .deadline = CLOCK_NEVER}};
	core_fetch(core, d, NULL, FETCH_CACHED, &x.w.fetch);
	fake_wait_held(0, 1);
	core_shutdown(core);
	cr_assert_lt(fx_join(&x), 0);
	struct fx_wait y = {.w.list = {.done = fx_listed, .deadline = CLOCK_NEVER}};
	core_list(core, root, &y.w.list);
	cr_assert_eq(fx_join(&y), -EIO);
	dent_unref(core, d);
	dent_unref(core, root);
	fx_close(core);
}

Test(core, wrong_location_is_an_error_of_open)
{
	struct sfs_err err = {0};
	struct core *core = NULL;
	struct envstore *env = NULL;
	fakes_register();
	cr_assert_eq(envstore_parse("", 0, &env, &err), 0);
	const struct machine machine = {.paths = &fx_paths, .env = env};
	struct config *c = fx_config("[backend a]\ntype = fake\nlocation = 0\n"
				     "[backend b]\ntype = fake\nlocation = 99\n");
	cr_assert_eq(core_open(c, &machine, NULL, &core, &err), -EINVAL);
	cr_assert_null(core);
	cr_assert(strstr(err.msg, "no such fake"));
	config_free(c);
	envstore_free(env);
}

Test(core, versions_and_meta)
{
	struct dent *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open("[backend x]\ntype = faked\nlocation = 0\nat = /\n");
	assert_read(core, "a", "1");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	struct fx_wait v = {.w.versions = {.done = fx_versioned, .deadline = CLOCK_NEVER}};
	core_versions(core, d, &v.w.versions);
	cr_assert_eq(fx_join(&v), 0);
	char version[64], want[128];
	core_version(core, d, version, sizeof(version));
	cr_assert_gt(strlen(version), 0);
	snprintf(want, sizeof(want), "%s v2 v1 ", version);
	cr_assert_str_eq(v.text, want);
	struct fx_wait m = {.w.text = {.done = fx_texted, .deadline = CLOCK_NEVER}};
	core_meta(core, d, &m.w.text);
	cr_assert_eq(fx_join(&m), 0);
	cr_assert(strstr(m.text, "\"provider\":{\"described\":1}"), "%s", m.text);
	cr_assert(strstr(m.text, "\"source\":\"x\""));
	mem_free(v.text);
	mem_free(m.text);
	dent_unref(core, d);
	fx_close(core);
}

Test(core, unlisted_value_beside_a_directory)
{
	fakes[0].list_err = EACCES;
	fake_set(0, "a", "own value");
	struct core *core = fx_open(CONF_ONE "names = a/b\n");
	assert_tree(core, "a/ a/b");
	assert_read(core, "a/.value", "own value");
	assert_tree(core, "a/ a/b a/.value");
	assert_read(core, "a/b/.value", "-ENOTDIR");
	fx_close(core);
}
