/* SPDX-License-Identifier: Apache-2.0 */
/* Secret Manager: names, lines, values and versions as the service and emulators send them. */
#include "backend_kit.h"
#include "json_fixture.h"

#include "backends/gcp_answer.h"
#include "base/crc32c.h"
#include "net/crypto.h"

static void finish(void)
{
	doc_end();
	cr_expect_eq(kit_blocks(), 0, "secret memory is left");
}

/* --- names --- */

static struct gcp_name name_of(const char *text)
{
	struct gcp_name n = {0};
	cr_expect(gcp_name_parse(text, &n), "%s", text);
	return n;
}

Test(gcp_answer, ids_that_can_be)
{
	char id[300];
	static const char *const good[] = {
		"a", "DB", "db", "latest", "NEW", "-rf", "_", "--help", "0", "007", "projects"};
	static const char *const bad[] = {"", "a.b", "a b", ".hidden", "\xc3\xa9", "a:1", "%41",
		"a/b", "a~", "x@y", "a+b", "a=b", "/a", "a/", "a\n"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect_str_eq(name_of(good[i]).id, good[i]);
	struct gcp_name n = {.id = "untouched"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(gcp_name_parse(bad[i], &n), "%s", bad[i]);
	memset(id, 'x', sizeof(id));
	id[256] = '\0';
	cr_expect_not(gcp_name_parse(id, &n));
	cr_expect_str_eq(n.id, "untouched");
	id[255] = '\0';
	cr_expect_str_eq(name_of(id).id, id);
}

Test(gcp_answer, full_names)
{
	struct gcp_name n = name_of("projects/other-1/secrets/db");
	cr_expect_str_eq(n.project, "other-1");
	cr_expect_str_eq(n.location, "");
	cr_expect_str_eq(n.id, "db");
	cr_expect_str_eq(n.version, "");
	n = name_of("projects/example.com:p/locations/europe-west3/secrets/db/versions/7");
	cr_expect_str_eq(n.project, "example.com:p");
	cr_expect_str_eq(n.location, "europe-west3");
	cr_expect_str_eq(n.version, "7");
	static const char *const bad[] = {"projects/", "projects/p", "projects/p/secrets",
		"projects/p/secrets/", "projects//secrets/x", "projects/p/secrets/a b",
		"projects/p/secrets/x/", "projects/p/secrets/x/versions",
		"projects/p/secrets/x/versions/", "projects/p/secrets/x/versions/07",
		"projects/p/secrets/x/versions/7/", "projects/p/locations/EU/secrets/x",
		"projects/p/locations/a.b/secrets/x", "projects/p/locations//secrets/x",
		"projects/../secrets/x", "projects/-p/secrets/x",
		"projects/p/secrets/x/versions/7/8", "projects/p%2F/secrets/x",
		"projects/p?a=b/secrets/x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(gcp_name_parse(bad[i], &n), "%s", bad[i]);
}

Test(gcp_answer, versions_that_can_be)
{
	char alias[70];
	static const char *const good[] = {
		"1", "10", "latest", "prod", "A-1_b", "9223372036854775807"};
	static const char *const bad[] = {"", "0", "007", "+7", "-1", "1a", "NEW", "_x", "-x",
		"a b", "a/b", "9223372036854775808", "99999999999999999999999", "\xc3\xa9"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(gcp_version_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(gcp_version_ok(bad[i]), "%s", bad[i]);
	memset(alias, 'a', sizeof(alias));
	alias[64] = '\0';
	cr_expect_not(gcp_version_ok(alias));
	alias[63] = '\0';
	cr_expect(gcp_version_ok(alias));
}

/* --- lines --- */

static int line_of(const char *json, struct gcp_line *l)
{
	const struct json_node *n = parse(json);
	return gcp_line(doc, n, l);
}

Test(gcp_answer, a_line_tells_everything)
{
	struct gcp_line l = GCP_LINE_INIT;
	const char *json =
		"{\"name\":\"projects/123456/secrets/db\",\"replication\":{\"automatic\":{}},"
		"\"createTime\":\"2024-01-02T03:04:05.123456Z\",\"labels\":{\"env\":\"prod\"},"
		"\"annotations\":{\"k\":\"\\u00e9\"},\"expireTime\":\"2100-01-01T00:00:00Z\","
		"\"rotation\":{\"rotationPeriod\":\"3600s\"},\"topics\":[{\"name\":\"t\"}],"
		"\"versionAliases\":{\"prod\":\"3\"},\"etag\":\"\\\"1\\\"\",\"future\":{\"x\":1}}";
	cr_assert_eq(line_of(json, &l), 0);
	cr_expect_str_eq(buf_text(&l.id), "db");
	cr_expect_str_eq(buf_text(&l.meta), json);
	cr_expect_eq(l.created, INT64_C(1704164645123456000));
	cr_expect_eq(l.expires, INT64_C(4102444800) * NSEC_PER_SEC);
	cr_assert_eq(line_of("{\"name\":\"projects/p/locations/l/secrets/x\",\"create_time\":"
			     "\"2024-01-02T03:04:05Z\",\"expireTime\":\"soon\",\"labels\":null}",
			     &l),
		0);
	cr_expect_str_eq(buf_text(&l.id), "x");
	cr_expect_eq(l.created, INT64_C(1704164645) * NSEC_PER_SEC, "snake_case");
	cr_expect_eq(l.expires, 0);
	gcp_line_clear(&l);
	finish();
}

Test(gcp_answer, lines_without_a_name)
{
	struct gcp_line l = GCP_LINE_INIT;
	static const char *const bad[] = {"{}", "[]", "7", "{\"name\":7}", "{\"name\":\"\"}",
		"{\"name\":\"projects/p/secrets/\"}", "{\"name\":\"db\"}",
		"{\"name\":\"projects/p/secrets/a b\"}", "{\"name\":\"projects/p/secrets/a/b\"}",
		"{\"name\":\"projects/p/secrets/a\\u0000\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(line_of(bad[i], &l), -EBADMSG, "%s", bad[i]);
	gcp_line_clear(&l);
	finish();
}

/* --- values --- */

static const struct gcp_name latest = {.id = "db", .version = "latest"};
#define NAMED		 "\"name\":\"projects/123456/secrets/db/versions/4\""
#define VALUE(data, sum) "{" NAMED ",\"payload\":{\"data\":\"" data "\",\"dataCrc32c\":" sum "}}"

static int take(
	const char *json, const struct gcp_name *asked, struct payload **ret, struct sfs_err *err)
{
	const struct json_node *n = parse(json);
	return gcp_payload(doc, n, asked, ret, err);
}

static void value_is(const char *json, const char *bytes, size_t len)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(take(json, &latest, &p, &err), 0, "%s: %s", json, err.msg);
	struct secret *s = payload_part(p, NULL);
	cr_expect(secret_len(s) == len && !memcmp(secret_bytes(s), bytes, len), "%s", json);
	cr_expect_str_eq(p->version, "4");
	cr_expect_eq(p->ordinal, 4u);
	payload_unref(p);
}

static void value_fails(const char *json, const struct gcp_name *asked, int code, const char *words)
{
	struct payload *p = (struct payload *)&doc;
	struct sfs_err err = {0};
	cr_expect_eq(take(json, asked, &p, &err), -code, "%s", json);
	cr_expect_eq(p, (struct payload *)&doc, "untouched");
	cr_expect(strstr(err.msg, words) && !strstr(err.msg, "canary"), "%s", err.msg);
	cr_expect_eq(
		gcp_payload(doc, json_root(doc), asked, &p, NULL), -code, "without a sentence");
}

Test(gcp_answer, checksums)
{
	value_is(VALUE("MTIzNDU2Nzg5", "\"3808858755\""), "123456789", 9);
	value_is(VALUE("aHVudGVyMg==", "\"1736498283\""), "hunter2", 7);
	value_is(VALUE("bXkgc3VwZXIgc2VjcmV0IGRhdGE=", "\"2525891252\""), "my super secret data",
		20);
	value_is(VALUE("aHVudGVyMg==", "1736498283"), "hunter2", 7);
	value_is("{" NAMED ",\"payload\":{\"data\":\"aHVudGVyMg==\"}}", "hunter2", 7);
	value_is("{" NAMED ",\"payload\":{\"data\":\"aHVudGVyMg==\",\"data_crc32c\":1736498283}}",
		"hunter2", 7);
	value_is("{" NAMED ",\"payload\":{\"dataCrc32c\":\"0\"}}", "", 0);
	value_is("{" NAMED ",\"payload\":{}}", "", 0);
	value_fails(VALUE("aHVudGVyMw==", "\"1736498283\""), &latest, EBADMSG, "damaged");
	value_fails(VALUE("aHVudGVyMg==", "\"0\""), &latest, EBADMSG, "damaged");
	static const char *const wrong[] = {"\"-1\"", "\"4294967296\"", "\"12x\"", "-1", "1.5",
		"\"\"", "true", "{}", "\"01736498283\"", "\" 1736498283\"", "1e3"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char json[300];
		snprintf(json, sizeof(json),
			"{" NAMED ",\"payload\":{\"data\":\"aHVudGVyMg==\",\"dataCrc32c\":%s}}",
			wrong[i]);
		value_fails(json, &latest, EBADMSG, "32 bits");
	}
	finish();
}

Test(gcp_answer, both_alphabets_and_no_padding)
{
	value_is(VALUE("+/8=", "null"), "\xfb\xff", 2);
	value_is(VALUE("-_8", "null"), "\xfb\xff", 2);
	value_is(VALUE("-_8=", "null"), "\xfb\xff", 2);
	value_is(VALUE("+/8", "null"), "\xfb\xff", 2);
	value_is("{" NAMED ",\"payload\":{\"data\":\"\\u0041AE\\u003d\"}}", "\0\1", 2);
	static const char *const wrong[] = {"+_8=", "aHVu dGVy", "aHVu*GVy", "=", "aHVudA=", "a",
		"aH=u", "aHVudB==", "aHVu\\n", "canary\\u0000AA"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char json[300];
		snprintf(json, sizeof(json), "{" NAMED ",\"payload\":{\"data\":\"%s\"}}", wrong[i]);
		value_fails(json, &latest, EBADMSG, "base64");
	}
	value_fails("{" NAMED ",\"payload\":{\"data\":7}}", &latest, EBADMSG, "base64");
	value_fails("{" NAMED ",\"payload\":[]}", &latest, EBADMSG, "payload");
	value_fails("{" NAMED "}", &latest, EBADMSG, "payload");
	finish();
}

/* 65,536 bytes of every value, and one more. */
Test(gcp_answer, the_longest_value)
{
	size_t n = 65536;
	char *bytes = malloc(n + 1), *json = malloc(200000);
	struct buf b64 = BUF_INIT(200000);
	for (size_t i = 0; i <= n; i++)
		bytes[i] = (char)(i * 7 + i / 256);
	bytes[0] = '\0';
	cr_assert_eq(base64_encode(&b64, bytes, n, BASE64_STRICT), 0);
	sprintf(json, "{" NAMED ",\"payload\":{\"data\":\"%s\",\"dataCrc32c\":\"%u\"}}", b64.data,
		crc32c(bytes, n));
	value_is(json, bytes, n);
	buf_reset(&b64);
	cr_assert_eq(base64_encode(&b64, bytes, n + 1, BASE64_STRICT), 0);
	sprintf(json, "{" NAMED ",\"payload\":{\"data\":\"%s\"}}", b64.data);
	value_fails(json, &latest, EFBIG, "65536");
	buf_clear(&b64);
	free(bytes);
	free(json);
	finish();
}

Test(gcp_answer, another_secret_or_version_is_refused)
{
	static const struct gcp_name four = {.id = "db", .version = "4"},
				     five = {.id = "db", .version = "5"},
				     other = {.id = "DB", .version = "latest"},
				     prefix = {.id = "d", .version = "latest"};
	const char *json = VALUE("aHVudGVyMg==", "\"1736498283\"");
	struct payload *p = NULL;
	struct sfs_err err = {0};
	cr_expect_eq(take(json, &four, &p, &err), 0, "%s", err.msg);
	payload_unref(p);
	value_fails(json, &five, EBADMSG, "another version");
	value_fails(json, &other, EBADMSG, "another secret");
	value_fails(json, &prefix, EBADMSG, "another secret");
	value_fails("{\"payload\":{}}", &latest, EBADMSG, "names no version");
	value_fails("{\"name\":\"projects/1/secrets/db\",\"payload\":{}}", &latest, EBADMSG,
		"names no version");
	value_fails("{\"name\":\"projects/1/secrets/db/versions/latest\",\"payload\":{}}", &latest,
		EBADMSG, "no number");
	value_fails("{\"name\":\"projects/1/secrets/db/versions/04\",\"payload\":{}}", &latest,
		EBADMSG, "no number");
	finish();
}

/* --- versions --- */

static void told_is(struct gcp_versions *all, const char *expected)
{
	struct version_sink sink = {.n = 0};
	struct buf b = BUF_INIT(1000);
	cr_expect_eq(gcp_versions_tell(all, &sink), 0);
	for (size_t i = 0; i < sink.n; i++)
		buf_printf(&b, "%s ", sink.versions[i]);
	cr_expect_str_eq(buf_text(&b), expected);
	buf_clear(&b);
	versions_clear(&sink);
}

Test(gcp_answer, versions_newest_first_with_aliases)
{
	struct gcp_versions all = {0};
	const struct json_node *n =
		parse("{\"versions\":[{\"name\":\"projects/1/secrets/db/versions/"
		      "2\",\"state\":\"ENABLED\","
		      "\"createTime\":\"2024-01-02T03:04:05Z\"},{\"name\":\"projects/1/secrets/db/"
		      "versions/"
		      "10\",\"state\":\"DISABLED\"},{\"name\":\"x\"},{},7,{\"name\":\"projects/1/"
		      "secrets/db/versions/3\",\"state\":\"DESTROYED\"}]}");
	cr_expect_eq(gcp_versions_page(&all, doc, n), 0);
	n = parse("{\"versions\":[{\"name\":\"projects/1/secrets/db/versions/1\",\"state\":"
		  "\"SOMETHING_NEW\"},{\"name\":\"projects/1/secrets/db/versions/10\"}]}");
	cr_expect_eq(gcp_versions_page(&all, doc, n), 0);
	n = parse("{\"versionAliases\":{\"prod\":\"2\",\"canary\":10,\"gone\":\"3\",\"bad\":\"x\","
		  "\"a b\":\"2\",\"none\":null,\"old\":\"2\"}}");
	cr_expect_eq(gcp_versions_aliases(&all, doc, n), 0);
	told_is(&all, "latest 10 canary 2 prod old 1 ");
	gcp_versions_clear(&all);
	cr_expect_eq(gcp_versions_page(&all, doc, parse("{}")), 0);
	cr_expect_eq(gcp_versions_aliases(&all, doc, parse("{}")), 0);
	told_is(&all, "");
	finish();
}

Test(gcp_answer, the_newest_destroyed_one_is_not_told)
{
	struct gcp_versions all = {0};
	const struct json_node *n =
		parse("{\"versions\":[{\"name\":\"projects/1/secrets/db/versions/2\",\"state\":"
		      "\"DESTROYED\"},{\"name\":\"projects/1/secrets/db/versions/1\",\"state\":"
		      "\"ENABLED\"}]}");
	cr_expect_eq(gcp_versions_page(&all, doc, n), 0);
	told_is(&all, "1 ");
	gcp_versions_clear(&all);
	finish();
}

Test(gcp_answer, the_first_that_is_enabled)
{
	const struct json_node *n =
		parse("{\"versions\":[{\"name\":\"projects/1/secrets/db/versions/4\",\"state\":"
		      "\"DISABLED\"},{\"name\":\"projects/1/secrets/db/versions/3\",\"state\":"
		      "\"ENABLED\"},{\"name\":\"projects/1/secrets/db/versions/2\",\"state\":"
		      "\"ENABLED\"}]}");
	cr_expect_eq(gcp_first_enabled(doc, n), 3u);
	cr_expect_eq(gcp_first_enabled(doc, parse("{}")), 0u);
	cr_expect_eq(gcp_first_enabled(doc, parse("{\"versions\":[{\"state\":\"ENABLED\"}]}")), 0u);
	finish();
}
