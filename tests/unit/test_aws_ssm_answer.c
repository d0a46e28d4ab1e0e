/* SPDX-License-Identifier: Apache-2.0 */
/* Parameter Store: names, versions, values as the service sends them. */
#include "backend_kit.h"
#include "json_fixture.h"

#include "backends/aws_ssm.h"

static void finish(void)
{
	doc_end();
	cr_expect_eq(kit_blocks(), 0, "secret memory is left");
}

Test(aws_ssm, names_that_can_be)
{
	static const char *const good[] = {"a", "/a", "/a/b", "A-b_c.9",
		"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o", "/aws/reference/secretsmanager/rds!db-1",
		"/aws/service/ami-amazon-linux-latest/al2023",
		"arn:aws:ssm:us-east-1:123456789012:parameter/a/b"};
	static const char *const bad[] = {"", "/", "a/b", "/a/", "/a//b", "//a", "a b", " a", "a:3",
		"\xc3\xa9", "a!", "/aws/reference/secretsmanager/", "a\"b",
		"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", "arn:aws:ssm:us-east-1:123456789012:parameter/",
		"arn:aws:ssm:us-east-1:123456789012:document/a"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(aws_parameter_name_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(!aws_parameter_name_ok(bad[i]), "%s", bad[i]);
	cr_expect(aws_parameter_path_ok("/prod/app"));
	cr_expect(!aws_parameter_path_ok("/") && !aws_parameter_path_ok("/a//b"));
	cr_expect(!aws_parameter_path_ok("/a b") && !aws_parameter_path_ok("a"));
	finish();
}

Test(aws_ssm, versions_that_can_be)
{
	static const char *const good[] = {"1", "9007199254740991", "prod", "v1.2-b_c"};
	static const char *const bad[] = {
		"", "0", "01", "3x", "aws-x", "SSMx", "a b", "a:b", "a/b", "99999999999999999999"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(aws_parameter_version_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(!aws_parameter_version_ok(bad[i]), "%s", bad[i]);
	finish();
}

static void below(const char *path, const char *full, const char *name)
{
	const char *got = "?";
	struct buf b = BUF_INIT(1000);
	cr_expect_eq(aws_parameter_below(path, full, &got), name ? 0 : -ENOENT);
	cr_expect_str_eq(got, name ? name : "?");
	if (name) {
		cr_expect_eq(aws_parameter_full(path, name, &b), 0);
		cr_expect_str_eq(buf_text(&b), full, "and back");
	}
	buf_clear(&b);
}

Test(aws_ssm, names_below_a_path_and_back)
{
	below("", "/a/b", "/a/b");
	below("", "a", "a");
	below("/prod", "/prod/db/password", "db/password");
	below("/prod", "/prod", NULL);
	below("/prod", "/prod/", NULL);
	below("/prod", "/production/x", NULL);
	below("/prod", "a", NULL);
	struct buf b = BUF_INIT(1000);
	aws_parameter_full("/prod", "arn:aws:ssm:us-east-1:1:parameter/x", &b);
	cr_expect_str_eq(buf_text(&b), "arn:aws:ssm:us-east-1:1:parameter/x");
	buf_clear(&b);
	finish();
}

Test(aws_ssm, a_value_and_what_is_told_of_it)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};
	const struct json_node *o = parse(
		"{\"Name\":\"/a\",\"Type\":\"StringList\",\"Value\":\"canary,\\u0000\",\"Version\":"
		"9007199254740991,\"LastModifiedDate\":1.5E9,\"SourceResult\":\"canary\"}");
	cr_assert_eq(aws_parameter_payload(doc, o, true, &p, &err), 0, "%s", err.msg);
	struct secret *s = payload_part(p, NULL);
	cr_expect(secret_len(s) == 8 && !memcmp(secret_bytes(s), "canary,\0", 8));
	cr_expect_str_eq(p->version, "9007199254740991");
	cr_expect_eq(p->created, INT64_C(1500000000000000000));
	cr_expect(p->immutable);
	cr_expect_str_eq(p->meta, "{\"Name\":\"/a\",\"Type\":\"StringList\",\"Version\":"
				  "9007199254740991,\"LastModifiedDate\":1.5E9}");
	payload_unref(p);
	finish();
}

Test(aws_ssm, what_is_no_value)
{
	static const char *const bad[] = {"{}", "{\"Value\":null}", "{\"Value\":7}", "[]"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct payload *p = (struct payload *)&doc;
		struct sfs_err err = {0};
		cr_expect_eq(aws_parameter_payload(doc, parse(bad[i]), false, &p, &err), -EBADMSG);
		cr_expect_eq(p, (struct payload *)&doc);
		cr_expect(err.msg[0]);
	}
	finish();
}

Test(aws_ssm, lines_of_a_listing)
{
	struct aws_line l = {
		.name = BUF_INIT(1000), .meta = BUF_INIT(1000), .version = BUF_INIT(100)};
	cr_expect_eq(aws_parameter_line(doc,
			     parse("{\"Name\":\"/a\",\"Version\":3,\"Value\":\"canary\","
				   "\"LastModifiedDate\":1523477145}"),
			     &l),
		0);
	cr_expect_str_eq(buf_text(&l.name), "/a");
	cr_expect_str_eq(buf_text(&l.version), "3");
	cr_expect(!strstr(buf_text(&l.meta), "canary"));
	cr_expect_eq(aws_parameter_line(doc, parse("{\"Name\":\"/a\",\"Version\":1.5}"), &l), 0);
	cr_expect_eq(l.version.len, 0);
	cr_expect_eq(aws_parameter_line(doc, parse("{}"), &l), -EBADMSG);
	buf_clear(&l.name);
	buf_clear(&l.meta);
	buf_clear(&l.version);
	finish();
}
