/* SPDX-License-Identifier: Apache-2.0 */
/* What the core tells in .control/events, and what it does not. */
#include "net/json.h"
#include "tests/unit/core_fixture.h"

TestSuite(news, .timeout = 30);

static struct event_reader fx_reader;

static struct core *open_quiet(const char *conf)
{
	struct core *core = fx_open(conf);
	events_begin(core_event_ring(core), &fx_reader);
	fx_reader.next = 0;
	return core;
}

static void add_member(
	struct buf *out, struct json *doc, const struct json_node *line, const char *key)
{
	struct buf b = BUF_INIT(65536);
	const struct json_node *n = json_member(doc, line, key, strlen(key));
	if (n && json_value(doc, n, &b) == 0)
		buf_printf(out, " %s", buf_text(&b));
	buf_clear(&b);
}

/* "rotated a/b; error x EACCES": what was told since the last call. */
static const char *news(struct core *core)
{
	static char text[4096];
	struct buf in = BUF_INIT(1 << 21), out = BUF_INIT(4000);
	struct json *doc;
	events_read(core_event_ring(core), &fx_reader, fx_reader.next, 1 << 20, EVENT_EXACT, &in);
	for (const char *line = buf_text(&in); *line; line = strchr(line, '\n') + 1) {
		cr_assert_eq(json_parse(line, strcspn(line, "\n"), JSON_STRICT, &doc, NULL), 0);
		buf_str(&out, out.len ? ";" : "");
		add_member(&out, doc, json_root(doc), "event");
		add_member(&out, doc, json_root(doc), "name");
		add_member(&out, doc, json_root(doc), "names");
		add_member(&out, doc, json_root(doc), "created");
		add_member(&out, doc, json_root(doc), "deleted");
		add_member(&out, doc, json_root(doc), "errno");
		json_free(doc);
	}
	snprintf(text, sizeof(text), "%s", buf_text(&out));
	buf_clear(&in);
	buf_clear(&out);
	return text;
}

#define assert_news(core, want) cr_assert_str_eq(news(core), want)

Test(news, the_first_listing_is_one_event)
{
	fake_set(0, "a", "1");
	fakes[0].many = 5000;
	struct core *core = open_quiet(CONF_ONE);
	assert_news(core, " listed 5001");
	fx_close(core);
	fakes[0].many = 0;
}

Test(news, a_listing_that_changes_nothing_is_none)
{
	fake_set(0, "a", "1");
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	fx_relist(core, 0);
	assert_news(core, "");
	fx_close(core);
}

Test(news, names_come_and_go)
{
	fake_set(0, "a", "1");
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	fake_set(0, "dir/b", "2");
	fake_keys(0, "app", "user=u", "pass=p");
	fx_relist(core, 0);
	assert_news(core, " listed 3 2 0; created app; created dir/b");
	fake_drop(0, "app");
	fake_drop(0, "dir/b");
	fx_relist(core, 0);
	assert_news(core, " listed 1 0 2; deleted app; deleted dir/b");
	fx_close(core);
}

Test(news, more_than_fit_are_a_number)
{
	struct core *core = open_quiet(CONF_ONE);
	assert_news(core, " listed 0");
	fakes[0].many = 300;
	fx_relist(core, 0);
	assert_news(core, " listed 300 300 0");
	fakes[0].many = 0;
	fx_relist(core, 0);
	assert_news(core, " listed 0 0 300");
	fx_close(core);
}

Test(news, what_is_hidden_is_not_told)
{
	struct core *core = open_quiet("[backend f]\ntype = fake\nlocation = 0\n"
				       "[rule **/key]\nhidden = yes\n[rule key]\nhidden = yes\n");
	news(core);
	fake_set(0, "key", "1");
	fx_relist(core, 0);
	assert_news(core, "");
	fake_drop(0, "key");
	fx_relist(core, 0);
	cr_assert_null(strstr(news(core), "key"));
	fx_close(core);
}

Test(news, a_life_of_a_value)
{
	fake_set(0, "x", "1");
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	assert_read(core, "x", "1");
	assert_read(core, "x", "1");
	assert_news(core, " fetched x");
	fx_control(core, CONTROL_REFRESH, "x\n", NULL);
	assert_news(core, " refreshed");
	fake_set(0, "x", "2");
	fx_control(core, CONTROL_REFRESH, "x\n", NULL);
	assert_news(core, " rotated x; refreshed");
	fx_control(core, CONTROL_PURGE, "*\n", NULL);
	fx_control(core, CONTROL_PURGE, "*\n", NULL);
	assert_news(core, " purged x");
	assert_read(core, "x", "2");
	assert_news(core, " fetched x");
	fx_close(core);
}

Test(news, keys_are_told_as_their_secret)
{
	fake_keys(0, "app", "user=u", "pass=p");
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	assert_read(core, "app/user", "u");
	assert_read(core, "app/pass", "p");
	assert_news(core, " fetched app");
	fx_close(core);
}

Test(news, failures)
{
	fake_set(0, "x", "1");
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	assert_read(core, "none", "-ENOENT");
	assert_news(core, "");
	fakes[0].get_err = EACCES;
	assert_read(core, "x", "-EACCES");
	assert_news(core, " error x EACCES");
	fakes[0].get_err = 0;
	cr_assert_eq(fx_control(core, CONTROL_TTL, "x\n", NULL), -EINVAL);
	assert_news(core, " error EINVAL");
	fakes[0].list_err = EIO;
	fx_relist(core, 0);
	assert_news(core, " error EIO");
	fakes[0].list_err = 0;
	fx_close(core);
}

Test(news, a_listed_name_that_the_source_does_not_have)
{
	fake_set(0, "x", "1");
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	fakes[0].get_err = ENOENT;
	assert_read(core, "x", "-ENOENT");
	assert_news(core, " error x ENOENT");
	fakes[0].get_err = 0;
	fx_close(core);
}

Test(news, a_name_that_was_asked_for_is_fetched_and_not_created)
{
	fake_set(0, "x", "1")->unlisted = true;
	fakes[0].list_err = EACCES;
	struct core *core = open_quiet(CONF_ONE);
	news(core);
	assert_read(core, "x", "1");
	assert_news(core, " fetched x");
	fx_control(core, CONTROL_PURGE, "x\n", NULL);
	assert_news(core, " purged x");
	fake_drop(0, "x");
	assert_read(core, "x", "-ENOENT");
	assert_news(core, " deleted x");
	fakes[0].list_err = 0;
	fx_close(core);
}

Test(news, no_value_and_no_sentence_of_it)
{
	fake_set(0, "x", "CANARY");
	struct core *core = open_quiet(CONF_ONE);
	struct buf all = BUF_INIT(1 << 21);
	assert_read(core, "x", "CANARY");
	fake_set(0, "x", "CANARY2");
	fx_control(core, CONTROL_REFRESH, "x\n", NULL);
	events_read(core_event_ring(core), &fx_reader, 0, 1 << 20, EVENT_EXACT, &all);
	cr_assert_not_null(strstr(buf_text(&all), "rotated"));
	cr_assert_null(strstr(buf_text(&all), "CANARY"));
	buf_clear(&all);
	fx_close(core);
}

/* Whoever is told may look at the core at once: no lock of it is held. */
static void look_around(void *arg)
{
	struct core *core = arg;
	struct buf b = BUF_INIT(1 << 20);
	core_control_read(core, CONTROL_CACHED, &b);
	core_control_read(core, CONTROL_TTL, &b);
	buf_clear(&b);
}

Test(news, is_told_without_locks)
{
	fake_set(0, "x", "1");
	struct core *core = open_quiet(CONF_ONE);
	events_listen(core_event_ring(core), look_around, core);
	assert_read(core, "x", "1");
	fake_set(0, "y", "2");
	fx_relist(core, 0);
	fakes[0].get_err = EACCES;
	assert_read(core, "y", "-EACCES");
	fx_control(core, CONTROL_PURGE, "*\n", NULL);
	fx_control(core, CONTROL_HYDRATE, "x\n", NULL);
	fakes[0].get_err = 0;
	events_listen(core_event_ring(core), NULL, NULL);
	cr_assert_not_null(strstr(news(core), "error y EACCES"));
	fx_close(core);
}
