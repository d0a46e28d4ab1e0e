/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets Manager: names, versions, values as the service sends them. */
#include "backend_kit.h"
#include "json_fixture.h"

#include "backends/aws_secrets.h"

static void finish(void)
{
	doc_end();
	cr_expect_eq(kit_blocks(), 0, "secret memory is left");
}

Test(aws_secrets, names_that_can_be)
{
	char long_name[600];
	static const char *const good[] = {"a", "prod/db", "/lead", "a//b", "x/", "a/../b", ".",
		"..", "rds!db-1", "u@h=1+2", "name-AbC123",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf"};
	static const char *const bad[] = {"", "foo bar", "~x", "\xc3\xa9", "a%2Fb", "a:b", "#x#",
		"a\n", "a\"b", "arn:aws:secretsmanager:us-east-1:123456789012:secret:",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:a b",
		"arn:aws:ssm:us-east-1:123456789012:parameter/x"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(aws_secret_name_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect(!aws_secret_name_ok(bad[i]), "%s", bad[i]);
	memset(long_name, 'a', sizeof(long_name));
	long_name[513] = '\0';
	cr_expect(!aws_secret_name_ok(long_name));
	long_name[512] = '\0';
	cr_expect(aws_secret_name_ok(long_name));
	finish();
}

#define ID "0123456789abcdef0123456789abcdef"

static void version_is(const char *text, const char *id, const char *stage)
{
	char got_id[AWS_STAGE_MAX + 1] = "?", got_stage[AWS_STAGE_MAX + 1] = "?";
	struct sfs_err err = {0};
	cr_expect_eq(aws_secret_version(text, got_id, got_stage, &err), 0, "%s: %s", text, err.msg);
	cr_expect_str_eq(got_id, id, "%s", text);
	cr_expect_str_eq(got_stage, stage, "%s", text);
}

static void version_fails(const char *text, int code)
{
	char id[AWS_STAGE_MAX + 1] = "?", stage[AWS_STAGE_MAX + 1] = "?";
	struct sfs_err err = {0};
	cr_expect_eq(aws_secret_version(text, id, stage, &err), -code, "%s", text);
	cr_expect_str_eq(id, "?");
	cr_expect_str_eq(stage, "?");
	cr_expect(err.msg[0]);
}

Test(aws_secrets, versions_by_id_and_stage)
{
	version_is("AWSCURRENT", "", "AWSCURRENT");
	version_is("my stage", "", "my stage");
	version_is(ID, ID, "");
	version_is(
		"c5f7b2a0-8f0e-4b27-9c7e-1d2f3a4b5c6d", "c5f7b2a0-8f0e-4b27-9c7e-1d2f3a4b5c6d", "");
	version_is(ID ":AWSPREVIOUS", ID, "AWSPREVIOUS");
	version_is(":" ID, "", ID);
	version_is("deadbeef", "", "deadbeef");
	finish();
}

Test(aws_secrets, versions_that_cannot_be)
{
	version_fails("0123456789abcdef0123456789abcde", EINVAL); /* 31 */
	version_fails("0123456789abcdef0123456789abcde:AWSCURRENT", EINVAL);
	version_fails(ID ":", EINVAL);
	version_fails(ID ":a:b", EINVAL);
	version_fails(":", EINVAL);
	version_fails("bell\a", ENOENT);
	char long_stage[300];
	memset(long_stage, 'x', sizeof(long_stage));
	long_stage[257] = '\0';
	version_fails(long_stage, EINVAL);
	finish();
}

static struct payload *value(const char *text)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};
	int rc = aws_secret_payload(doc, parse(text), &p, &err);
	cr_assert_eq(rc, 0, "%s: %s", text, err.msg);
	return p;
}

static void value_is(const char *json, const char *bytes, size_t len)
{
	struct payload *p = value(json);
	struct secret *s = payload_part(p, NULL);
	cr_expect(secret_len(s) == len && !memcmp(secret_bytes(s), bytes, len), "%s", json);
	payload_unref(p);
}

static void value_fails(const char *json, int code)
{
	struct payload *p = (struct payload *)&doc;
	struct sfs_err err = {0};
	cr_expect_eq(aws_secret_payload(doc, parse(json), &p, &err), -code, "%s", json);
	cr_expect_eq(p, (struct payload *)&doc, "untouched");
	cr_expect(err.msg[0] && !strstr(err.msg, "canary"), "%s", err.msg);
}

Test(aws_secrets, text_is_byte_exact)
{
	value_is("{\"SecretString\":\"a\\u0000b\\ud83d\\ude00\\/\\n\"}", "a\0b\xf0\x9f\x98\x80/\n",
		9);
	value_is("{\"SecretString\":\"\"}", "", 0);
	value_is("{\"SecretString\":\"\xc3\xa9\",\"SecretBinary\":null,\"Future\":{}}", "\xc3\xa9",
		2);
	finish();
}

Test(aws_secrets, the_longest_text)
{
	size_t n = 65536, at = 0;
	char *json = malloc(6 * n + 100), *bytes = malloc(n);
	at += (size_t)sprintf(json, "{\"SecretString\":\"");
	for (size_t i = 0; i < n; i++) {
		bytes[i] = (char)(i % 128);
		at += (size_t)sprintf(json + at, "\\u%04x", (unsigned)(i % 128));
	}
	strcpy(json + at, "\"}");
	value_is(json, bytes, n);
	free(json);
	free(bytes);
	finish();
}

Test(aws_secrets, binary_is_byte_exact)
{
	char bytes[256], text[512];
	struct buf b64 = BUF_INIT(1000);
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < 255; i += 3) {
		unsigned v = (unsigned)(i << 16 | (i + 1) << 8 | (i + 2));
		for (int s = 18; s >= 0; s -= 6)
			buf_char(&b64, digits[v >> s & 63]);
	}
	buf_str(&b64, "/w==");
	snprintf(text, sizeof(text), "{\"SecretBinary\":\"%s\"}", buf_text(&b64));
	value_is(text, bytes, 256);
	value_is("{\"SecretBinary\":\"AP8\\/\"}", "\0\xff?", 3);
	buf_clear(&b64);
	finish();
}

Test(aws_secrets, what_is_no_value)
{
	value_fails("{}", EBADMSG);
	value_fails("{\"SecretString\":null}", EBADMSG);
	value_fails("{\"SecretString\":\"canary\",\"SecretBinary\":\"AA==\"}", EBADMSG);
	value_fails("{\"SecretString\":5}", EBADMSG);
	value_fails("{\"SecretBinary\":\"AA\"}", EBADMSG);
	value_fails("{\"SecretBinary\":\"AA =\"}", EBADMSG);
	value_fails("{\"SecretBinary\":\"canary-_\"}", EBADMSG);
	value_fails("{\"SecretString\":\"canary\",\"VersionId\":7}", EBADMSG);
	finish();
}

Test(aws_secrets, what_is_told_of_a_value)
{
	struct payload *p = value("{\"ARN\":\"arn:x\",\"Name\":\"n\",\"VersionId\":\"" ID
				  "\",\"SecretString\":\"canary\",\"Other\":\"canary\","
				  "\"VersionStages\":[\"AWSCURRENT\"],\"CreatedDate\":1.5E9}");
	cr_expect_str_eq(p->version, ID);
	cr_expect_eq(p->created, INT64_C(1500000000000000000));
	cr_expect_str_eq(p->meta, "{\"ARN\":\"arn:x\",\"Name\":\"n\",\"VersionId\":\"" ID
				  "\",\"VersionStages\":[\"AWSCURRENT\"],\"CreatedDate\":1.5E9}");
	cr_expect(!p->immutable);
	payload_unref(p);
	finish();
}

Test(aws_secrets, another_version_than_asked_is_refused)
{
	const struct json_node *v =
		parse("{\"VersionId\":\"" ID "\",\"VersionStages\":[\"AWSCURRENT\",\"x\"]}");
	struct sfs_err err = {0};
	cr_expect_eq(aws_secret_is_version(doc, v, ID, "", &err), 0);
	cr_expect_eq(aws_secret_is_version(doc, v, "", "x", &err), 0);
	cr_expect_eq(aws_secret_is_version(doc, v, ID, "AWSCURRENT", &err), 0);
	cr_expect_eq(aws_secret_is_version(doc, v, ID "0", "", &err), -EINVAL);
	cr_expect_eq(aws_secret_is_version(doc, v, ID, "AWSPREVIOUS", &err), -EINVAL);
	cr_expect_eq(aws_secret_is_version(doc, parse("{}"), "", "x", &err), -EINVAL);
	finish();
}

Test(aws_secrets, lines_of_a_listing)
{
	struct aws_line l = {
		.name = BUF_INIT(1000), .meta = BUF_INIT(1000), .version = BUF_INIT(100)};
	const struct json_node *e =
		parse("{\"Name\":\"prod/db\",\"RotationEnabled\":null,\"CreatedDate\":1523477145,"
		      "\"SecretVersionsToStages\":{\"old\":[\"AWSPREVIOUS\"],\"new\":[\"x\","
		      "\"AWSCURRENT\"]},\"Unknown\":{\"a\":[1]}}");
	cr_expect_eq(aws_secret_line(doc, e, &l), 0);
	cr_expect_str_eq(buf_text(&l.name), "prod/db");
	cr_expect_str_eq(buf_text(&l.version), "new");
	cr_expect_eq(l.created, INT64_C(1523477145000000000));
	cr_expect(!strstr(buf_text(&l.meta), "RotationEnabled") && strstr(l.meta.data, "Unknown"));
	static const char *const bad[] = {
		"{}", "[]", "{\"Name\":\"\"}", "{\"Name\":5}", "{\"Name\":\"a\\u0000\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(aws_secret_line(doc, parse(bad[i]), &l), -EBADMSG, "%s", bad[i]);
	buf_clear(&l.name);
	buf_clear(&l.meta);
	buf_clear(&l.version);
	finish();
}

Test(aws_secrets, versions_are_told_newest_first)
{
	struct aws_versions all = {0};
	struct version_sink sink = {0};
	cr_expect_eq(aws_versions_page(&all, doc,
			     parse("{\"Versions\":[{\"VersionId\":\"a\",\"CreatedDate\":1},"
				   "{\"VersionId\":\"b\",\"CreatedDate\":3,\"VersionStages\":"
				   "[\"AWSCURRENT\",\"x\"]},{\"Other\":1},{\"VersionId\":null}]}")),
		0);
	cr_expect_eq(aws_versions_page(&all, doc,
			     parse("{\"Versions\":[{\"VersionId\":\"c\",\"CreatedDate\":2}]}")),
		0);
	cr_expect_eq(aws_versions_tell(&all, &sink), 0);
	static const char *const want[] = {"b", "AWSCURRENT", "x", "c", "a"};
	cr_assert_eq(sink.n, 5);
	for (size_t i = 0; i < 5; i++)
		cr_expect_str_eq(sink.versions[i], want[i]);
	versions_clear(&sink);
	sink.stop_after = 2;
	cr_expect_eq(aws_versions_tell(&all, &sink), -ECANCELED);
	cr_expect_eq(sink.n, 2);
	versions_clear(&sink);
	aws_versions_clear(&all);
	finish();
}
