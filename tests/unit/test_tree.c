/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of the tree: what several listings make of it, and which events tell of it. */
#include "tests/unit/core_fixture.h"
#include <malloc.h>

TestSuite(tree, .timeout = 60);

#define CONF_TWO                                                                                \
	"[backend x]\ntype = fake\nlocation = 0\nat = d\n[backend y]\ntype = fake\nlocation = " \
	"1\nat = d\n"

Test(tree, secret_beside_a_directory_of_its_name)
{
	fake_set(0, "a", "1");
	fake_set(0, "a/b", "2");
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "a/ a/.value a/b");
	assert_read(core, "a/.value", "1");
	assert_read(core, "a/b", "2");
	fx_close(core);
}

Test(tree, kind_changes_with_a_child_and_the_value_stays_cached)
{
	struct dent *old, *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	cr_assert_eq(fx_walk(core, "a", &old), 0);
	fake_set(0, "a/b", "2");
	fx_relist(core, 0);
	assert_tree(core, "a/ a/.value a/b");
	cr_assert_not(dent_alive(old));
	fx_await("a", CORE_GONE);
	fx_await("a", CORE_NEW);
	assert_read(core, "a/.value", "1");
	cr_assert_eq(fakes[0].gets, 1, "the value came along");
	fake_drop(0, "a/b");
	fx_relist(core, 0);
	assert_tree(core, "a");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(dent_kind(d), CORE_SECRET);
	assert_read(core, "a", "1");
	cr_assert_eq(fakes[0].gets, 1);
	dent_unref(core, d);
	dent_unref(core, old);
	fx_close(core);
}

Test(tree, directory_keeps_its_identity_when_all_names_are_replaced)
{
	struct dent *before, *after;
	fake_set(0, "dir/old", "1");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_walk(core, "dir", &before), 0);
	fake_drop(0, "dir/old");
	fake_set(0, "dir/new", "1");
	fx_relist(core, 0);
	cr_assert_eq(fx_walk(core, "dir", &after), 0);
	cr_assert_eq(before, after);
	cr_assert_eq(fx_count("dir", CORE_GONE), 0);
	cr_assert_eq(fx_count("dir/old", CORE_GONE), 1);
	cr_assert_eq(fx_count("dir/new", CORE_NEW), 1);
	dent_unref(core, before);
	dent_unref(core, after);
	fx_close(core);
}

Test(tree, empty_directories_go_but_not_those_of_at)
{
	fake_set(0, "p/q/r", "1");
	struct core *core = fx_open("[backend x]\ntype = fake\nlocation = 0\nat = m/n\n");
	assert_tree(core, "m/ m/n/ m/n/p/ m/n/p/q/ m/n/p/q/r");
	fake_drop(0, "p/q/r");
	fx_relist(core, 0);
	assert_tree(core, "m/ m/n/");
	cr_assert_eq(fx_count("m/n/p", CORE_GONE), 1);
	fx_close(core);
}

Test(tree, first_listing_is_no_news)
{
	fake_set(0, "a", "1");
	fake_set(0, "a/b", "1");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_count(NULL, CORE_NEW), 0);
	cr_assert_eq(fx_count(NULL, CORE_GONE), 0, "what lived within one merge is no news either");
	fx_close(core);
}

Test(tree, first_source_wins_and_the_second_comes_back)
{
	fake_set(0, "a", "from x");
	fake_set(1, "a", "from y");
	fake_set(1, "b", "y too");
	struct core *core = fx_open(CONF_TWO);
	assert_read(core, "d/a", "from x");
	assert_read(core, "d/b", "y too");
	fake_drop(0, "a");
	fx_relist(core, 0);
	assert_read(core, "d/a", "from y");
	fake_set(0, "a", "x again");
	fx_relist(core, 0);
	assert_read(core, "d/a", "x again");
	fake_drop(1, "a");
	fx_relist(core, 1);
	assert_read(core, "d/a", "x again");
	fx_close(core);
}

Test(tree, overlay_asks_the_next_source_for_an_unlisted_name)
{
	fakes[0].list_err = fakes[1].list_err = EACCES;
	fake_set(1, "a", "from y");
	struct core *core = fx_open(CONF_TWO);
	assert_read(core, "d/a", "from y");
	cr_assert_geq(fakes[0].gets, 1, "the first one is asked first");
	struct dent *d;
	cr_assert_eq(fx_walk(core, "d/a", &d), 0);
	cr_assert_str_eq(core_source_name(core, d), "y");
	dent_unref(core, d);
	fx_close(core);
}

Test(tree, error_of_an_earlier_source_is_the_answer)
{
	fakes[0].list_err = fakes[1].list_err = EACCES;
	fakes[0].get_err = EHOSTUNREACH;
	fake_set(1, "a", "from y");
	struct core *core = fx_open(CONF_TWO);
	assert_read(core, "d/a", "-EHOSTUNREACH");
	fx_close(core);
}

Test(tree, leading_slash_is_dropped_unless_that_collides)
{
	fake_set(0, "/a", "slash");
	fake_set(0, "/b", "b");
	fake_set(0, "//c", "two");
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "%2F/ %2F/c a b");
	assert_read(core, "a", "slash");
	fake_set(0, "a", "plain");
	fx_relist(core, 0);
	assert_read(core, "a", "plain");
	assert_read(core, "%2Fa", "slash");
	assert_read(core, "b", "b");
	fake_drop(0, "a");
	fx_relist(core, 0);
	assert_read(core, "a", "slash");
	assert_tree(core, "%2F/ %2F/c b a");
	fx_close(core);
}

Test(tree, provisional_name_is_tried_as_the_listing_spells_names)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	fake_set(0, "/a", "1");
	fake_set(0, "/hidden", "2")->unlisted = true;
	struct core *core = fx_open(CONF_ONE);
	clock_fake_advance(10 * NSEC_PER_SEC);
	assert_read(core, "hidden", "2");
	cr_assert_eq(fakes[0].gets, 1);
	clock_real();
	fx_close(core);
}

Test(tree, prefix_is_stripped_and_add_prefix_put_before)
{
	fake_set(0, "app_user", "u");
	fake_set(0, "other", "o");
	struct core *core = fx_open(CONF_ONE "prefix = app_\nadd_prefix = team/\n");
	assert_tree(core, "team/ team/user");
	assert_read(core, "team/user", "u");
	fx_close(core);
}

Test(tree, keys_are_files_of_a_directory)
{
	struct dent *d;
	fake_keys(0, "app", "password=pw", "user=me");
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "app/+ app/password app/user");
	assert_read(core, "app/user", "me");
	assert_read(core, "app/password", "pw");
	cr_assert_eq(fakes[0].gets, 1, "one secret, one fetch");
	cr_assert_eq(fx_walk(core, "app", &d), 0);
	cr_assert(dent_is_multikey(d));
	dent_unref(core, d);
	fx_close(core);
}

Test(tree, keys_follow_the_value)
{
	struct dent *d;
	char out[256];
	fake_keys(0, "app", "a=1", "b=2");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "app/a", "1");
	fake_keys(0, "app", "a=1", "c=3");
	cr_assert_eq(fx_walk(core, "app/a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, NULL, FETCH_REFRESH, out), 0);
	assert_tree(core, "app/+ app/a app/c");
	fx_await("app/b", CORE_GONE);
	fx_await("app/c", CORE_NEW);
	dent_unref(core, d);
	fx_close(core);
}

Test(tree, unknown_keys_come_with_the_value)
{
	struct dent *d, *k;
	fake_keys(0, "app", "a=1", "b=2")->keys_unknown = true;
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "app/+");
	cr_assert_eq(fx_walk(core, "app", &d), 0);
	cr_assert_eq(core_lookup(core, d, "a", &k), -EAGAIN);
	cr_assert_eq(fx_list(core, d), 0);
	assert_tree(core, "app/+ app/a app/b");
	cr_assert_eq(core_lookup(core, d, "a", &k), 0);
	dent_unref(core, k);
	fx_relist(core, 0);
	assert_tree(core, "app/+ app/a app/b");
	dent_unref(core, d);
	fx_close(core);
}

Test(tree, keys_of_a_secret_that_may_not_be_read)
{
	struct dent *d;
	fake_keys(0, "app", "a=1", NULL)->keys_unknown = true;
	fakes[0].get_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_walk(core, "app", &d), 0);
	cr_assert_eq(fx_list(core, d), -EACCES);
	dent_unref(core, d);
	fx_close(core);
}

Test(tree, single_value_becomes_a_secret_with_keys_and_back)
{
	fake_set(0, "app", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_tree(core, "app");
	fake_keys(0, "app", "k=v", NULL);
	fx_relist(core, 0);
	assert_tree(core, "app/+ app/k");
	struct fake_secret *s = fake_set(0, "app", "2");
	s->keys[0] = NULL;
	fx_relist(core, 0);
	assert_tree(core, "app");
	fx_close(core);
}

Test(tree, child_secret_goes_before_a_key_of_the_same_path)
{
	fake_keys(0, "app", "k=key", "m=other");
	fake_set(0, "app/k", "secret");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "app/k", "secret");
	assert_read(core, "app/m", "other");
	fake_drop(0, "app/k");
	fx_relist(core, 0);
	assert_read(core, "app/k", "key");
	fx_close(core);
}

Test(tree, key_beside_a_directory_is_its_value)
{
	fake_keys(0, "app", "k=key", NULL);
	fake_keys(0, "app/k", "inner=deep", NULL);
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "app/k/inner", "deep");
	assert_read(core, "app/k/.value", "key");
	fake_drop(0, "app/k");
	fx_relist(core, 0);
	assert_tree(core, "app/+ app/k");
	assert_read(core, "app/k", "key");
	fx_close(core);
}

Test(tree, multikey_secret_in_place_of_a_directory)
{
	fake_set(0, "app/x", "1");
	struct core *core = fx_open(CONF_ONE);
	fake_keys(0, "app", "k=key", NULL);
	fx_relist(core, 0);
	assert_tree(core, "app/+ app/x app/k");
	fake_drop(0, "app");
	fx_relist(core, 0);
	assert_tree(core, "app/ app/x");
	fx_close(core);
}

Test(tree, odd_names_are_encoded_and_openable)
{
	char longname[400];
	memset(longname, 'n', 300);
	longname[300] = '\0';
	const char *const names[] = {"..", ".", "a//b", "trail/", "n\nl", "esc\x1b", "\xe2\x80\xae",
		"bad\xff", "UP", "up", "caf\xc3\xa9", "cafe\xcc\x81", ".control", ".meta/x",
		"x/.value", "pct%2F", longname};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fake_set(0, names[i], names[i]);
	struct core *core = fx_open(CONF_ONE);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
		cr_assert_eq(
			inst_path(core->insts[0], core->insts[0]->listing, names[i], &path), 0);
		char want[256];
		snprintf(want, sizeof(want), "%s", names[i]);
		assert_read(core, buf_text(&path), want);
		buf_clear(&path);
	}
	struct dent *root = core_root(core), *d;
	cr_assert_eq(core_lookup(core, root, "..", &d), -ENOENT);
	cr_assert_eq(core_lookup(core, root, ".", &d), -ENOENT);
	longname[256] = '\0';
	cr_assert_eq(core_lookup(core, root, longname, &d), -ENAMETOOLONG);
	dent_unref(core, root);
	fx_close(core);
}

Test(tree, map_renames_and_selects)
{
	fake_keys(0, "app", "user=me", "json={\"a\":{\"b\":\"deep\"}}");
	fake_set(0, "plain", "{\"f\":\"field\"}");
	struct core *core =
		fx_open(CONF_ONE "[map]\ndb/user = app/user\nfield = plain#f\nkey = app#user\n"
				 "deep = app/json#a/b\nnone = missing\n");
	assert_read(core, "db/user", "me");
	assert_read(core, "field", "field");
	assert_read(core, "key", "me");
	assert_read(core, "deep", "deep");
	assert_read(core, "none", "-ENOENT");
	struct dent *d;
	struct core_attr a;
	cr_assert_eq(fx_walk(core, "field", &d), 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.size, 5, "the size of the field, not of the value");
	dent_unref(core, d);
	fake_drop(0, "plain");
	fake_set(0, "missing", "now");
	fx_relist(core, 0);
	assert_read(core, "field", "-ENOENT");
	assert_read(core, "none", "now");
	fx_close(core);
}

Test(tree, map_swaps_two_names)
{
	fake_set(0, "x", "from x");
	fake_set(0, "y", "from y");
	struct core *core = fx_open(CONF_ONE "[map]\nx = y\ny = x\n");
	assert_read(core, "x", "from y");
	assert_read(core, "y", "from x");
	fx_close(core);
}

Test(tree, map_to_a_hidden_secret_is_not_there)
{
	fake_set(0, "x", "1");
	struct core *core = fx_open(CONF_ONE "[map]\nnew = x\n[rule x]\nhidden = yes\n");
	assert_tree(core, "");
	fx_close(core);
}

Test(tree, hidden_key_is_in_no_view)
{
	struct core_attr a;
	struct dent *d;
	fake_keys(0, "app", "open=1", "shut=2");
	fake_keys(0, "other", "open=1", NULL);
	struct core *core = fx_open(CONF_ONE "[rule app/shut]\nhidden = yes\n");
	assert_tree(core, "app/+ app/open other/+ other/open");
	cr_assert_eq(fx_walk(core, "app", &d), 0);
	core_view_attr(core, d, &a);
	cr_assert_eq(a.mode, 0, "a view of the whole would show the key");
	dent_unref(core, d);
	cr_assert_eq(fx_walk(core, "other", &d), 0);
	core_view_attr(core, d, &a);
	cr_assert_eq(a.mode, 0400, "a rule for another secret does not count");
	dent_unref(core, d);
	fx_close(core);
}

/* --- reload --- */

static void reload(struct core *core, const char *text)
{
	struct sfs_err err = {0};
	cr_assert_eq(core_reload(core, fx_config(text), &err), 0, "%s", err.msg);
}

Test(tree, reload_of_rules_keeps_source_and_cache)
{
	struct core_attr a;
	struct dent *d;
	fake_set(0, "a", "1");
	fake_set(0, "b", "2");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	struct core_inst *before = core->insts[0];
	reload(core, CONF_ONE "[rule a]\nmode = 0444\n[rule b]\nhidden = yes\n");
	cr_assert_eq(core->insts[0], before);
	assert_tree(core, "a");
	fx_await("a", CORE_ATTR);
	fx_await("b", CORE_GONE);
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	core_attr(core, d, &a);
	cr_assert_eq(a.mode, 0444);
	dent_unref(core, d);
	assert_read(core, "a", "1");
	cr_assert_eq(fakes[0].gets, 1);
	reload(core, CONF_ONE);
	assert_tree(core, "a b");
	fx_close(core);
}

Test(tree, reload_changes_sources)
{
	fake_set(0, "a", "1");
	fake_set(1, "b", "2");
	struct core *core = fx_open("[backend x]\ntype = fake\nlocation = 0\n");
	assert_tree(core, "x/ x/a");
	reload(core, "[backend y]\ntype = fake\nlocation = 1\n");
	assert_tree(core, "y/ y/b");
	assert_read(core, "y/b", "2");
	fx_await("x/a", CORE_GONE);
	fx_await("x", CORE_GONE);
	fx_await("y/b", CORE_NEW);
	fx_close(core);
}

Test(tree, reload_that_fails_changes_nothing)
{
	struct sfs_err err = {0};
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	struct config *c = fx_config(
		CONF_ONE "[backend y]\ntype = fake\nlocation = 99\n[rule a]\nhidden = yes\n");
	cr_assert_eq(core_reload(core, c, &err), -EINVAL);
	config_free(c);
	assert_tree(core, "a");
	assert_read(core, "a", "1");
	fx_close(core);
}

Test(tree, reload_of_ttl_counts_for_cached_values)
{
	struct entry_info info;
	struct dent *d;
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	reload(core, CONF_ONE "[rule a]\nttl = 42\n");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(core_info(core, d, &info), 0);
	cr_assert_eq(info.ttl, 42);
	dent_unref(core, d);
	fx_close(core);
}

Test(tree, reload_of_the_order_changes_who_wins)
{
	fake_set(0, "a", "from 0");
	fake_set(1, "a", "from 1");
	struct core *core = fx_open("[backend x]\ntype=fake\nlocation=0\nat=/\n[backend "
				    "y]\ntype=fake\nlocation=1\nat=/\n");
	assert_read(core, "a", "from 0");
	reload(core, "[backend y]\ntype=fake\nlocation=1\nat=/\n[backend "
		     "x]\ntype=fake\nlocation=0\nat=/\n");
	assert_read(core, "a", "from 1");
	fx_close(core);
}

/* --- size and faults --- */

/* Bytes in use in the heap, which has one arena by M_ARENA_MAX. */
static size_t heap_used(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

Test(tree, a_hundred_thousand_names_stay_small)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	cr_skip_test("the heap of a sanitizer is not ours");
#endif
	mallopt(M_ARENA_MAX, 1);
	fakes[0].many = 1000;
	struct core *core = fx_open(CONF_ONE);
	size_t before = heap_used();
	pthread_mutex_lock(&fakes[0].lock);
	fakes[0].many = 101000;
	pthread_mutex_unlock(&fakes[0].lock);
	fx_relist(core, 0);
	size_t each = (heap_used() - before) / 100000;
	cr_assert_eq(core->tree.subjects.n, 101000);
	cr_assert_lt(each, 500, "%zu bytes a name", each);
	cr_assert_gt(each, 100);
	if (getenv("SFS_SHOW"))
		fprintf(stderr, "%zu bytes a name\n", each);
	fx_close(core);
}

Test(tree, memory_that_runs_out_is_made_up_by_the_next_listing)
{
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	fake_set(0, "b/c", "2");
	fake_set(0, "d/e", "2");
	for (unsigned long n = 1; n < 120; n++) {
		alloc_fail_at(n);
		fx_relist(core, 0);
		alloc_fail_at(0);
	}
	fx_relist(core, 0);
	assert_read(core, "a", "1");
	assert_read(core, "b/c", "2");
	assert_read(core, "d/e", "2");
	fx_close(core);
}

/* Random changes of two overlapping sources, against the rules written down simply. */
Test(tree, model)
{
	static const char *const names[] = {"a", "a/b", "a/b/c", "d", "d/e", "/a", "/d/e", "f"};
	const size_t n = sizeof(names) / sizeof(names[0]);
	struct core *core = fx_open(CONF_TWO);
	unsigned seed = 12345;
	for (int round = 0; round < 300; round++) {
		size_t i = (size_t)rand_r(&seed) % n, src = (size_t)rand_r(&seed) % 2;
		char value[64];
		snprintf(value, sizeof(value), "%zu:%s", src, names[i]);
		if (fake_find(&fakes[src], names[i]))
			fake_drop(src, names[i]);
		else
			fake_set(src, names[i], value);
		fx_relist(core, src);
		for (size_t k = 0; k < n; k++) {
			if (names[k][0] == '/')
				continue;
			char slash[64], path[80], want[80] = "-ENOENT";
			snprintf(slash, sizeof(slash), "/%s", names[k]);
			for (int s = 1; s >= 0; s--) {
				if (fake_find(&fakes[s], slash))
					snprintf(want, sizeof(want), "%d:%s", s, slash);
				if (fake_find(&fakes[s], names[k]))
					snprintf(want, sizeof(want), "%d:%s", s, names[k]);
			}
			if (want[0] == '-')
				continue;
			struct dent *d;
			snprintf(path, sizeof(path), "d/%s", names[k]);
			cr_assert_eq(fx_walk(core, path, &d), 0, "%s", path);
			if (dent_kind(d) == CORE_DIR)
				snprintf(path, sizeof(path), "d/%s/.value", names[k]);
			dent_unref(core, d);
			assert_read(core, path, want);
		}
	}
	fx_close(core);
}

Test(tree, reload_answers_who_waited_for_a_source_that_left)
{
	struct sfs_err err = {0};
	fakes[0].hold_list = true;
	fake_set(1, "b", "2");
	struct core *core = fx_open_unlisted("[backend x]\ntype = fake\nlocation = 0\nat = /\n");
	struct dent *root = core_root(core);
	struct fx_wait x = {.w.list = {.done = fx_listed, .deadline = CLOCK_NEVER}};
	core_list(core, root, &x.w.list);
	fake_wait_held(0, 1);
	cr_assert_eq(core_reload(core,
			     fx_config("[backend y]\ntype = fake\nlocation = 1\nat = /\n"), &err),
		0);
	cr_assert_eq(fx_join(&x), 0);
	assert_tree(core, "b");
	dent_unref(core, root);
	fx_close(core);
}
