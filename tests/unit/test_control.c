/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "tests/unit/core_fixture.h"

TestSuite(control, .timeout = 30);

/* --- the language --- */

static int parse(
	enum control_file f, const char *text, struct command **v, size_t *n, struct sfs_err *err)
{
	return commands_parse(f, text, strlen(text), v, n, err);
}

Test(control, lines)
{
	struct command *v;
	struct sfs_err err;
	size_t n;
	cr_assert_eq(parse(CONTROL_HYDRATE,
			     "\n# note\n a/b \r\nprod/**\n*\nfilter=Key=name,Values=x y\nlast", &v,
			     &n, &err),
		0);
	cr_assert_eq(n, 5);
	cr_assert_eq(v[0].kind, COMMAND_NAME);
	cr_assert_str_eq(v[0].arg, "a/b");
	cr_assert_eq(v[0].line, 3);
	cr_assert_eq(v[1].kind, COMMAND_GLOB);
	cr_assert_eq(v[2].kind, COMMAND_ALL);
	cr_assert_eq(v[3].kind, COMMAND_FILTER);
	cr_assert_str_eq(v[3].arg, "Key=name,Values=x y");
	cr_assert_str_eq(v[4].arg, "last");
	commands_free(v, n);
}

Test(control, percent_stands_for_bytes)
{
	struct command *v;
	struct sfs_err err;
	size_t n;
	cr_assert_eq(parse(CONTROL_PURGE, "a%20b%2A%23%25\n%5Bx*\n", &v, &n, &err), 0);
	cr_assert_eq(v[0].kind, COMMAND_NAME);
	cr_assert_str_eq(v[0].arg, "a b*#%");
	cr_assert_eq(v[1].kind, COMMAND_GLOB);
	cr_assert(glob_match(v[1].arg, "[xyz"));
	commands_free(v, n);
}

Test(control, ttl_lines)
{
	struct command *v;
	struct sfs_err err;
	size_t n;
	cr_assert_eq(parse(CONTROL_TTL, "a -1\nb\t 5m\n* 0\n", &v, &n, &err), 0);
	cr_assert_eq(v[0].ttl, -1);
	cr_assert_eq(v[1].ttl, 300);
	cr_assert_eq(v[2].ttl, 0);
	cr_assert_eq(v[2].kind, COMMAND_ALL);
	commands_free(v, n);
}

Test(control, refusals)
{
	static const struct {
		enum control_file f;
		const char *text;
		int code;
	} bad[] = {
		{CONTROL_HYDRATE, "ok\na b\n", EINVAL},
		{CONTROL_HYDRATE, "%zz", EINVAL},
		{CONTROL_HYDRATE, "%00", EINVAL},
		{CONTROL_HYDRATE, "/abs", EINVAL},
		{CONTROL_HYDRATE, "a//b", EINVAL},
		{CONTROL_HYDRATE, "a/../b", EINVAL},
		{CONTROL_HYDRATE, "a/", EINVAL},
		{CONTROL_HYDRATE, "filter=", EINVAL},
		{CONTROL_PURGE, "filter=x", EINVAL},
		{CONTROL_TTL, "a", EINVAL},
		{CONTROL_TTL, "a soon", EINVAL},
		{CONTROL_TTL, "5", EINVAL},
		{CONTROL_STATUS, "x", EROFS},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct command *v = (void *)1;
		size_t n = 99;
		struct sfs_err err;
		cr_assert_eq(parse(bad[i].f, bad[i].text, &v, &n, &err), -bad[i].code, "%s",
			bad[i].text);
		cr_assert_eq(v, (void *)1);
		cr_assert_eq(n, 99);
	}
}

Test(control, errors_do_not_repeat_the_line)
{
	struct command *v;
	struct sfs_err err;
	size_t n;
	cr_assert_eq(parse(CONTROL_HYDRATE, "ok\nCANARY secret\n", &v, &n, &err), -EINVAL);
	cr_assert_null(strstr(err.msg, "CANARY"));
	cr_assert(strstr(err.msg, "line 2 (13 bytes)"));
}

Test(control, big_writes)
{
	struct command *v;
	struct sfs_err err;
	size_t n, len = SFS_CONTROL_WRITE_MAX + 1;
	char *text = malloc(len);
	memset(text, 'x', len);
	cr_assert_eq(commands_parse(CONTROL_PURGE, text, len, &v, &n, &err), -E2BIG);
	cr_assert_eq(commands_parse(CONTROL_PURGE, text, len - 1, &v, &n, &err), -EINVAL,
		"one line of 1 MiB");
	for (size_t i = 1; i < len; i += 2)
		text[i] = '\n';
	cr_assert_eq(commands_parse(CONTROL_PURGE, text, len - 1, &v, &n, &err), 0);
	cr_assert_eq(n, (len - 1) / 2);
	commands_free(v, n);
	text[0] = '\0';
	cr_assert_eq(commands_parse(CONTROL_PURGE, text, len - 1, &v, &n, &err), -EINVAL);
	free(text);
}

/* --- carried out --- */

static const char *shown(struct core *core, enum control_file f)
{
	static char out[65536];
	struct buf b = BUF_INIT(65535);
	cr_assert_eq(core_control_read(core, f, &b), 0);
	snprintf(out, sizeof(out), "%s", buf_text(&b));
	buf_clear(&b);
	for (const char *p = out; *p; p++)
		cr_assert((*p >= 0x20 && *p < 0x7f) || *p == '\n' || *p == '\t', "byte %02x",
			(unsigned char)*p);
	return out;
}

Test(control, hydrate_fetches_what_is_not_fresh)
{
	fake_set(0, "a", "1");
	fake_set(0, "p/b", "2");
	fake_keys(0, "p/c", "k=v", "l=w");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "*\n", NULL), 0);
	cr_assert_eq(fakes[0].gets, 3, "a was fresh");
	cr_assert_str_eq(shown(core, CONTROL_HYDRATE), "3/3\n");
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "a\np\n", NULL), 0);
	cr_assert_eq(fakes[0].gets, 3);
	cr_assert_eq(fx_control(core, CONTROL_REFRESH, "p/*\n", NULL), 0);
	cr_assert_eq(fakes[0].gets, 5);
	fx_close(core);
}

Test(control, hydrate_of_an_unknown_name_fails_and_the_others_are_done)
{
	struct sfs_err err;
	fake_set(0, "a", "1");
	fake_set(0, "z", "2");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "a\nnothing\nz\n", &err), -ENOENT);
	cr_assert(strstr(err.msg, "line 2"));
	cr_assert(strstr(err.msg, "nothing"));
	cr_assert_eq(fakes[0].gets, 2);
	cr_assert(strstr(shown(core, CONTROL_STATUS), "\"last_control_error\":{"));
	fx_close(core);
}

Test(control, glob_fails_only_if_none_succeeded)
{
	fake_set(0, "a1", "1");
	fake_set(0, "a2", "1");
	fake_set(0, "b", "1");
	struct core *core = fx_open(CONF_ONE);
	fake_drop(0, "a2"); /* listed, but gone */
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "a*\n", NULL), 0);
	cr_assert(strstr(shown(core, CONTROL_HYDRATE), "2/2\na2: "));
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "a2*\n", NULL), -ENOENT);
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "zz*\n", NULL), -ENOENT);
	cr_assert_eq(fx_control(core, CONTROL_PURGE, "zz*\n", NULL), 0);
	fx_close(core);
}

Test(control, a_bad_line_keeps_all_from_being_done)
{
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "a\nb c\n", NULL), -EINVAL);
	cr_assert_eq(fakes[0].gets, 0);
	cr_assert(strstr(shown(core, CONTROL_STATUS), "line 2"));
	fx_close(core);
}

Test(control, empty_write_is_well)
{
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "\n# only a comment\n", NULL), 0);
	fx_close(core);
}

Test(control, purge_forgets)
{
	struct dent *d;
	char out[256];
	fake_set(0, "a", "1");
	fake_set(0, "b", "1");
	struct core *core = fx_open(CONF_ONE);
	assert_read(core, "a", "1");
	assert_read(core, "b", "1");
	cr_assert_eq(fx_walk(core, "a", &d), 0);
	cr_assert_eq(fx_fetch(core, d, "v1", FETCH_CACHED, out), 0);
	cr_assert_eq(fx_control(core, CONTROL_PURGE, "a\nunknown\n", NULL), 0,
		"an unknown name is no error");
	cr_assert_str_eq(shown(core, CONTROL_PURGE), "a\n");
	cr_assert_null(strstr(shown(core, CONTROL_CACHED), "\na\t"));
	cr_assert(strstr(shown(core, CONTROL_CACHED), "\nb\t"));
	cr_assert_eq(fx_fetch(core, d, "v1", FETCH_CACHED, out), 0);
	cr_assert_eq(fakes[0].gets, 4, "its version was purged too");
	cr_assert_eq(fx_control(core, CONTROL_PURGE, "*", NULL), 0);
	cr_assert_str_eq(shown(core, CONTROL_CACHED), "# name\tversion\tage\tleft\tstate\n");
	cr_assert_str_eq(shown(core, CONTROL_PURGE), "b\n");
	dent_unref(core, d);
	fx_close(core);
}

Test(control, ttl_is_set_and_shown)
{
	struct entry_info info;
	struct dent *d;
	fake_set(0, "odd name*", "1");
	fake_set(0, "b", "1");
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_control(core, CONTROL_TTL, "odd%20name%2A 77\n", NULL), 0);
	cr_assert_str_eq(shown(core, CONTROL_TTL), "odd%20name%2A 77\n");
	cr_assert_eq(fx_walk(core, "odd name*", &d), 0);
	cr_assert_eq(core_info(core, d, &info), 0);
	cr_assert_eq(info.ttl, 77);
	dent_unref(core, d);
	cr_assert_eq(fx_control(core, CONTROL_TTL, "nothing 5\n", NULL), -ENOENT);
	fx_close(core);
}

Test(control, filter_asks_the_source)
{
	fake_set(0, "red-1", "1");
	fake_set(0, "blue-1", "1");
	struct core *core = fx_open("[backend x]\ntype = faked\nlocation = 0\nat = /\n");
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "filter=red", NULL), 0);
	cr_assert_eq(fakes[0].gets, 1);
	cr_assert(fakes[0].last_filter);
	cr_assert_str_eq(fakes[0].last_filter, "filter");
	struct fx_wait x = {.w.text = {.done = fx_texted, .deadline = CLOCK_NEVER}};
	core_control_list(core, "blue", &x.w.text);
	cr_assert_eq(fx_join(&x), 0);
	cr_assert_str_eq(x.text, "blue-1\n");
	mem_free(x.text);
	fx_close(core);
}

Test(control, filter_shows_nothing_hidden)
{
	fake_set(0, "blue-1", "1");
	fake_set(0, "blue-2", "1");
	struct core *core =
		fx_open("[backend x]\ntype = faked\nlocation = 0\nat = /\n[rule blue-2]\nhidden\n");
	struct fx_wait x = {.w.text = {.done = fx_texted, .deadline = CLOCK_NEVER}};
	core_control_list(core, "blue", &x.w.text);
	cr_assert_eq(fx_join(&x), 0);
	cr_assert_str_eq(x.text, "blue-1\n");
	mem_free(x.text);
	fx_close(core);
}

Test(control, interrupt_starts_no_further_fetch)
{
	char name[16];
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fake_set(0, name, "v");
	}
	struct core *core = fx_open("[backend x]\ntype = fakew\nlocation = 0\nat = /\n");
	fakes[0].hold_get = true;
	struct fx_wait x = {.w.control = {.done = fx_controlled, .deadline = CLOCK_NEVER}};
	/* one line a name and 100 times each: more than may be in the air */
	struct buf b = BUF_INIT(65536);
	for (int i = 0; i < 40 * 100; i++)
		buf_printf(&b, "n%d\n", i % 40);
	core_control_write(core, CONTROL_REFRESH, buf_text(&b), b.len, &x.w.control);
	fake_wait_held(0, 1); /* the other thread of a local source is for readers */
	cr_assert(core_control_cancel(core, &x.w.control));
	cr_assert_not(core_control_cancel(core, &x.w.control));
	fake_release(0);
	fx_close(core);
	cr_assert_not(x.done);
	cr_assert_leq(fakes[0].gets, SFS_BATCH_MAX, "what was in the air");
	buf_clear(&b);
}

static void many_names(void)
{
	char name[16];
	for (int i = 0; i < FAKE_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fake_set(0, name, "v");
	}
}

Test(control, several_names_a_call)
{
	many_names();
	fake_drop(0, "n7");
	struct core *core = fx_open("[backend x]\ntype = fakeb\nlocation = 0\nat = /\n");
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "*", NULL), 0);
	cr_assert_eq(fakes[0].batches, (FAKE_MAX + SFS_BATCH_MAX - 1u) / SFS_BATCH_MAX);
	cr_assert_eq(fakes[0].gets, FAKE_MAX - 1u, "each once");
	fakes[0].gets = fakes[0].batches = 0;
	fake_drop(0, "n9");
	struct sfs_err err;
	cr_assert_eq(fx_control(core, CONTROL_REFRESH, "n1\nn9\nn2\n", &err), -ENOENT);
	cr_assert(strstr(err.msg, "line 2"), "%s", err.msg);
	cr_assert_eq(fakes[0].batches, 1u);
	cr_assert_eq(fakes[0].gets, 3u);
	cr_assert(strstr(shown(core, CONTROL_REFRESH), "3/3\nn9: "));
	fx_close(core);
}

Test(control, several_names_a_call_without_a_listing)
{
	many_names();
	fakes[0].list_err = EACCES;
	struct core *core = fx_open("[backend x]\ntype = fakeb\nlocation = 0\nat = /\n");
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "n1\nnone\nn2\nn3\n", NULL), -ENOENT);
	cr_assert_leq(fakes[0].batches, 2u, "there may be two spellings of a name");
	assert_read(core, "n3", "v");
	fakes[0].gets = 0;
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "n1\nn2\nn3\n", NULL), 0);
	cr_assert_eq(fakes[0].gets, 0u, "all were there");
	fx_close(core);
}

Test(control, interrupt_takes_back_what_waits_for_its_batch)
{
	struct sfs_err err;
	many_names();
	struct core *core = fx_open(CONF_ONE);
	fakes[0].hold_get = true;
	struct fx_wait x = {.w.control = {.done = fx_controlled, .deadline = CLOCK_NEVER}};
	core_control_write(core, CONTROL_HYDRATE, "*", 1, &x.w.control);
	fake_wait_held(0, 1);
	cr_assert(core_control_cancel(core, &x.w.control));
	fake_release(0);
	cr_assert_eq(fx_control(core, CONTROL_PURGE, "*", &err), 0);
	fx_close(core);
	cr_assert_not(x.done);
	cr_assert_leq(fakes[0].gets, SFS_POOL_THREADS / 2, "half of the threads");
}

Test(control, deadline_answers_again_and_the_work_goes_on)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	fake_set(0, "a", "1");
	struct core *core = fx_open(CONF_ONE);
	fakes[0].hold_get = true;
	struct fx_wait x = {.w.control = {.done = fx_controlled, .deadline = 1005 * NSEC_PER_SEC}};
	core_control_write(core, CONTROL_HYDRATE, "a", 1, &x.w.control);
	fake_wait_held(0, 1);
	cr_assert_str_eq(shown(core, CONTROL_HYDRATE), "0/1\n");
	clock_fake_advance(5 * NSEC_PER_SEC);
	core_run_timers(core);
	cr_assert_eq(fx_join(&x), -EAGAIN);
	cr_assert(strstr(x.err.msg, "continues in the background"));
	fake_release(0);
	assert_read(core, "a", "1");
	cr_assert_eq(fakes[0].gets, 1);
	clock_real();
	fx_close(core);
}

static const char *list_all(struct core *core)
{
	static char out[256];
	struct fx_wait x = {.w.text = {.done = fx_texted, .deadline = CLOCK_NEVER}};
	core_control_list(core, "*", &x.w.text);
	int r = fx_join(&x);
	snprintf(out, sizeof(out), "%s", r < 0 ? strerrorname_np(-r) : x.text);
	mem_free(x.text);
	return out;
}

Test(control, a_list_of_all_is_what_ls_shows_next)
{
	fake_set(0, "a", "1");
	struct core *core = fx_open("[backend x]\ntype = faked\nlocation = 0\nat = /\n");
	fake_set(0, "b", "2");
	assert_tree(core, "a");
	cr_assert_str_eq(list_all(core), "a\nb\n");
	assert_tree(core, "a b");
	cr_assert_null(fakes[0].last_filter);
	fx_close(core);
}

Test(control, a_list_of_all_has_names_that_cannot_be_listed)
{
	fake_set(0, "a", "1");
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	cr_assert_str_eq(list_all(core), "EACCES");
	fx_close(core);
	fakes[0].list_err = EACCES;
	core = fx_open(CONF_ONE "names = a\n");
	cr_assert_str_eq(list_all(core), "a\n");
	fx_close(core);
}

Test(control, all_of_a_source_that_cannot_be_listed)
{
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "*", NULL), -EACCES);
	fx_close(core);
}

Test(control, many_names_at_once)
{
	fakes[0].many = 0;
	char name[16];
	for (int i = 0; i < FAKE_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		fake_set(0, name, "v");
	}
	struct core *core = fx_open(CONF_ONE);
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, "*", NULL), 0);
	struct buf b = BUF_INIT(SFS_CONTROL_WRITE_MAX);
	while (b.len < SFS_CONTROL_WRITE_MAX - 10)
		buf_str(&b, "n1\nn2\n");
	struct fx_wait x = {.w.control = {.done = fx_controlled, .deadline = CLOCK_NEVER}};
	core_control_write(core, CONTROL_HYDRATE, buf_text(&b), b.len, &x.w.control);
	cr_assert_eq(fx_join(&x), 0, "answers from memory cost no stack");
	cr_assert_eq(fakes[0].gets, FAKE_MAX);
	buf_clear(&b);
	fx_close(core);
}

Test(control, list_all_shows_names_as_arguments)
{
	fake_set(0, "a b", "1");
	fake_set(0, "x\x1b", "1");
	fake_keys(0, "m", "k=1", NULL);
	struct core *core = fx_open(CONF_ONE);
	cr_assert_str_eq(shown(core, CONTROL_LIST_ALL), "a%20b\nm/k\nx%251B\n");
	cr_assert_eq(fx_control(core, CONTROL_HYDRATE, shown(core, CONTROL_LIST_ALL), NULL), 0);
	fx_close(core);
}
