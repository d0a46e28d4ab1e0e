/* SPDX-License-Identifier: Apache-2.0 */
#include "net/json.h"
#include "tests/unit/core_fixture.h"

TestSuite(status, .timeout = 30);

static struct buf text(struct core *core, enum control_file f)
{
	struct buf b = BUF_INIT(1 << 20);
	cr_assert_eq(core_control_read(core, f, &b), 0);
	for (size_t i = 0; i < b.len; i++) {
		unsigned char c = (unsigned char)b.data[i];
		cr_assert((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t', "byte %02x", c);
	}
	return b;
}

static void contains(const struct buf *b, const char *want)
{
	cr_assert(strstr(buf_text(b), want), "no %s in %s", want, buf_text(b));
}

Test(status, is_json_and_tells_the_state)
{
	struct json *doc = NULL;
	struct sfs_err err = {0};
	fake_set(0, "a", "CANARY-value");
	struct core *core = fx_open(CONF_ONE);
	core_set_mount_dir(core, "/run/secrets");
	core_note(core, "memory is not locked: \x1b[31m RLIMIT_MEMLOCK");
	assert_read(core, "a", "CANARY-value");
	struct buf b = text(core, CONTROL_STATUS);
	cr_assert_eq(json_parse(b.data, b.len, JSON_STRICT, &doc, &err), 0, "%s", err.msg);
	json_free(doc);
	contains(&b, "\"mountpoint\":\"/run/secrets\"");
	contains(&b, "\"state\":\"ok\"");
	contains(&b, "\"values\":1");
	contains(&b, "memory is not locked: \\u001b[31m");
	cr_assert_null(strstr(buf_text(&b), "CANARY"));
	buf_clear(&b);
	fx_close(core);
}

Test(status, tells_errors_of_sources)
{
	fakes[0].list_err = EACCES;
	struct core *core = fx_open(CONF_ONE);
	struct buf b = text(core, CONTROL_STATUS);
	contains(&b, "\"state\":\"failing\"");
	contains(&b, "the fake may not list");
	contains(&b, "\"last_errors\":[\n  {");
	buf_clear(&b);
	fx_close(core);
}

/* Served on, but somebody should look at it. */
Test(status, tells_what_is_wrong_behind_the_last_good_content)
{
	fakes[0].problem = true;
	struct core *core = fx_open(CONF_ONE);
	struct buf b = text(core, CONTROL_STATUS);
	contains(&b, "\"state\":\"failing\"");
	contains(&b, "\"last_error\":\"x: the fake is torn\"");
	contains(&b, "\"last_errors\":[\n  {");
	buf_clear(&b);
	b = text(core, CONTROL_METRICS);
	contains(&b, "secretfs_backend_up{backend=\"x\"} 0\n");
	buf_clear(&b);
	fx_close(core);
}

Test(status, keeps_the_newest_errors)
{
	struct sfs_err err = {0};
	struct core *core = fx_open(CONF_ONE);
	for (int i = 0; i < CORE_ERRORS + 4; i++) {
		err_set(&err, EIO, "error number %d.", i);
		core_error_note(core, &err);
	}
	struct buf b = text(core, CONTROL_STATUS);
	contains(&b, "error number 19.");
	contains(&b, "error number 4.");
	cr_assert_null(strstr(buf_text(&b), "error number 3."));
	buf_clear(&b);
	fx_close(core);
}

Test(status, metrics_have_help_and_type)
{
	fake_set(0, "a", "1");
	struct core *core = fx_open("[backend q\"x]\ntype = fake\nlocation = 0\nat = /\n");
	assert_read(core, "a", "1");
	struct buf b = text(core, CONTROL_METRICS);
	contains(&b, "# TYPE secretfs_cached_values gauge\nsecretfs_cached_values 1\n");
	contains(&b, "secretfs_backend_fetches_total{backend=\"q\\\"x\"} 1\n");
	contains(&b, "secretfs_backend_up{backend=\"q\\\"x\"} 1\n");
	buf_clear(&b);
	fx_close(core);
}

Test(status, cached_lists_names_and_never_values)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	fake_set(0, "odd name", "CANARY");
	struct core *core = fx_open(CONF_ONE "[rule odd*]\nttl = -1\n");
	assert_read(core, "odd name", "CANARY");
	clock_fake_advance(7 * NSEC_PER_SEC);
	struct buf b = text(core, CONTROL_CACHED);
	contains(&b, "\nodd%20name\t");
	contains(&b, "\t7\tnever\tfresh\n");
	cr_assert_null(strstr(buf_text(&b), "CANARY"));
	buf_clear(&b);
	clock_real();
	fx_close(core);
}

Test(status, config_is_shown)
{
	struct core *core = fx_open("[mount]\nttl = 42\n" CONF_ONE);
	struct buf b = text(core, CONTROL_CONFIG);
	contains(&b, "ttl = 42  # test.conf:2");
	buf_clear(&b);
	fx_close(core);
}

Test(status, a_text_that_does_not_fit_is_an_error)
{
	struct core *core = fx_open(CONF_ONE);
	struct buf b = BUF_INIT(10);
	cr_assert_eq(core_control_read(core, CONTROL_STATUS, &b), -EFBIG);
	buf_clear(&b);
	fx_close(core);
}
