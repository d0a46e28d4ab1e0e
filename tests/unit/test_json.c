/* SPDX-License-Identifier: Apache-2.0 */
/* R51, R52; rows 88 to 91 of the fault matrix; every row of the table of what lax parsers let pass.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "net/json.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int parse(
	const char *text, size_t len, unsigned flags, struct json **ret, struct sfs_err *err)
{
	return json_parse(text, len, flags, ret, err);
}

/* Verdict on a text given as a string. */
static int verdict(const char *text, unsigned flags)
{
	struct sfs_err err = {0};
	struct json *doc = NULL;
	int rc = parse(text, strlen(text), flags, &doc, &err);
	cr_assert_eq(rc == 0, doc != NULL, "%s: the result is set on success only", text);
	cr_assert_eq(-rc, err.code, "%s", text);
	json_free(doc);
	return rc;
}

static void accepts(const char *text)
{
	cr_expect_eq(verdict(text, JSON_STRICT), 0, "refused: %s", text);
}

static void refuses(const char *text)
{
	cr_expect_eq(verdict(text, JSON_STRICT), -EBADMSG, "accepted: %s", text);
	cr_expect_eq(verdict(text, JSON_LAST_WINS), -EBADMSG, "accepted: %s", text);
}

static struct json *must_parse(const char *text, unsigned flags)
{
	struct sfs_err err = {0};
	struct json *doc = NULL;
	cr_assert_eq(parse(text, strlen(text), flags, &doc, &err), 0, "%s", err.msg);
	return doc;
}

static void compact_is(const char *text, const char *expected)
{
	struct json *doc = must_parse(text, JSON_LAST_WINS);
	struct buf b = BUF_INIT(100000);
	cr_assert_eq(json_compact(doc, json_root(doc), &b), 0);
	cr_expect_str_eq(buf_text(&b), expected);
	buf_clear(&b);
	json_free(doc);
}

Test(json, accepts_the_grammar)
{
	accepts("{}");
	accepts("[]");
	accepts(" \t\r\n[ 1 , -0.5e+10 , true,false,null, \"a\" , {} ] \n");
	accepts("\"scalar\"");
	accepts("0");
	accepts("-0");
	accepts("1e999");
	accepts("\"\\ud83d\\ude00 \\u00e9 \\\" \\\\ \\/ \\b\\f\\n\\r\\t\"");
	accepts("\"\x7f \xc3\xa9 \xf0\x9f\x98\x80\"");
}

Test(json, refuses_what_is_outside_the_grammar)
{
	static const char *const bad[] = {"", " ", "{", "[", "]", "}", "[1", "[1,", "[1,]", "[,1]",
		"[1 2]", "{1:2}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\" 1}",
		"{\"a\":1 \"b\":2}", "[}", "{]", "tru", "True", "nul", "nan", "NaN", "Infinity",
		"-", "+1", "01", "012", "-01", "1.", ".5", "1.e3", "1e", "1e+", "0x10", "--1", "1-",
		"'a'", "\"", "\"abc", "\"\\", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "// c\n1",
		"/* c */1", "[1,/*x*/2]", "\"a\tb\"", "\"a\nb\"", "1 2", "{} {}", "[] x", "{}\x01"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(bad[i]);
}

/* Row 90 and the table of the lax parser. */
Test(json, refuses_bytes_that_are_no_text)
{
	struct sfs_err err = {0};
	struct json *doc = NULL;
	refuses("\xef\xbb\xbf{}");	 /* byte order mark */
	refuses("\"\xff\"");		 /* never in UTF-8 */
	refuses("\"\xc0\xaf\"");	 /* overlong */
	refuses("\"\xed\xa0\x80\"");	 /* encoded surrogate */
	refuses("\"\xf4\x90\x80\x80\""); /* above U+10FFFF */
	refuses("\"\xe2\x82\"");	 /* cut short */
	refuses("\"\\ud800\"");		 /* lone surrogates */
	refuses("\"\\ud800x\"");
	refuses("\"\\ud800\\u0041\"");
	refuses("\"\\ud800\\ud800\"");
	refuses("\"\\udc00\"");
	cr_expect_eq(parse("\"a\0b\"", 5, 0, &doc, &err), -EBADMSG); /* raw NUL */
	cr_expect_eq(parse("1\0", 2, 0, &doc, &err), -EBADMSG);
	cr_expect_null(doc);
}

/* A value with U+0000 is never cut. */
Test(json, escaped_nul_is_a_byte_of_a_value)
{
	struct json *doc = must_parse("\"abc\\u0000def\"", JSON_STRICT);
	struct buf b = BUF_SECRET_INIT(100);
	cr_assert_eq(json_string(doc, json_root(doc), &b), 0);
	cr_expect_eq(b.len, 7);
	cr_expect_arr_eq(b.data, "abc\0def", 7);
	buf_clear(&b);
	json_free(doc);
}

Test(json, escaped_nul_in_a_key_is_refused_where_keys_are_the_providers)
{
	cr_expect_eq(verdict("{\"a\\u0000b\":1}", JSON_STRICT), -EBADMSG);
	cr_expect_eq(verdict("{\"a\\u0000b\":1}", JSON_LAST_WINS), 0);
}

/* Row 89. */
Test(json, duplicate_keys_are_refused_when_strict)
{
	cr_expect_eq(verdict("{\"a\":1,\"a\":2}", JSON_STRICT), -EBADMSG);
	cr_expect_eq(verdict("{\"a\":1,\"\\u0061\":2}", JSON_STRICT), -EBADMSG,
		"another spelling of one key");
	cr_expect_eq(verdict("{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", JSON_STRICT), -EBADMSG, "nested");
	accepts("{\"a\":1,\"A\":2}"); /* twins in case are two keys */
	accepts("[{\"a\":1},{\"a\":2}]");
}

Test(json, last_of_equal_keys_wins_for_users)
{
	compact_is("{\"a\":1,\"b\":2,\"a\":{\"c\":3},\"\\u0061\":4}", "{\"b\":2,\"\\u0061\":4}");
	struct json *doc = must_parse("{\"a\":1,\"b\":2,\"a\":3}", JSON_LAST_WINS);
	const struct json_node *a = json_member(doc, json_root(doc), "a", 1);
	int64_t v = 0;
	cr_expect_eq(json_count(json_root(doc)), 2);
	cr_expect_eq(json_int64(doc, a, &v), 0);
	cr_expect_eq(v, 3);
	json_free(doc);
}

/* Few keys are compared one by one, many by a table. */
Test(json, equal_keys_are_found_among_few_and_many)
{
	for (int n = 2; n <= 40; n++) {
		_cleanup_(buf_clear) struct buf text = BUF_INIT(4096);
		_cleanup_(buf_clear) struct buf kept = BUF_INIT(4096);
		for (int i = 0; i < n; i++)
			buf_printf(&text, "%s\"key%d\":%d", i ? "," : "{", i == n - 1 ? 0 : i, i);
		buf_str(&text, "}");
		for (int i = 1; i < n - 1; i++)
			buf_printf(&kept, "%s\"key%d\":%d", i > 1 ? "," : "{", i, i);
		buf_printf(&kept, "%s\"key0\":%d}", n > 2 ? "," : "{", n - 1);
		cr_expect_eq(verdict(buf_text(&text), JSON_STRICT), -EBADMSG, "%d keys", n);
		compact_is(buf_text(&text), buf_text(&kept));
	}
}

Test(json, twins_in_case_are_found_exactly)
{
	struct json *doc = must_parse("{\"V\":1,\"v\":2}", JSON_STRICT);
	int64_t v = 0;
	cr_expect_eq(json_int64(doc, json_member(doc, json_root(doc), "v", 1), &v), 0);
	cr_expect_eq(v, 2);
	cr_expect_null(json_member(doc, json_root(doc), "Vv", 2));
	cr_expect_null(json_member(doc, json_root(doc), "", 0));
	json_free(doc);
}

/* R52, row 91: the digits of the source. */
Test(json, numbers_keep_their_text)
{
	char digits[400] = "[1";
	memset(digits + 2, '7', 300);
	strcpy(digits + 302, "]");
	compact_is("[9223372036854775807,1e999,0.1,-0,-0.0E-0,1.10]",
		"[9223372036854775807,1e999,0.1,-0,-0.0E-0,1.10]");
	compact_is(digits, digits);
}

static int int_of(const char *text, int64_t *ret)
{
	struct json *doc = must_parse(text, JSON_STRICT);
	int rc = json_int64(doc, json_root(doc), ret);
	json_free(doc);
	return rc;
}

Test(json, integers_are_exact_or_refused)
{
	int64_t v = 77;
	cr_expect_eq(int_of("9223372036854775808", &v), -ERANGE);
	cr_expect_eq(int_of("-9223372036854775809", &v), -ERANGE);
	cr_expect_eq(int_of("1e3", &v), -EINVAL);
	cr_expect_eq(int_of("1.0", &v), -EINVAL);
	cr_expect_eq(int_of("\"1\"", &v), -EINVAL);
	cr_expect_eq(v, 77, "untouched on failure");
	cr_expect_eq(int_of("9223372036854775807", &v), 0);
	cr_expect_eq(v, INT64_MAX);
	cr_expect_eq(int_of("-9223372036854775808", &v), 0);
	cr_expect_eq(v, INT64_MIN);
	cr_expect_eq(int_of("-0", &v), 0);
	cr_expect_eq(v, 0);
}

Test(json, compact_drops_blanks_outside_strings_only)
{
	compact_is("{ \"a b\" : [ 1 , \" x \\u0041\" , { } , [ ] ] ,\n\"n\":null }",
		"{\"a b\":[1,\" x \\u0041\",{},[]],\"n\":null}");
}

Test(json, value_of_a_string_is_its_text)
{
	struct json *doc = must_parse(
		"[\"a\\n\\ud83d\\ude00\\u00e9\\u20ac\\/\", 1.50, [ true ]]", JSON_STRICT);
	const struct json_node *n = json_first(doc, json_root(doc));
	struct buf b = BUF_INIT(1000);
	json_value(doc, n, &b);
	cr_expect_str_eq(buf_text(&b), "a\n\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac/");
	buf_reset(&b);
	n = json_next(doc, n);
	json_value(doc, n, &b);
	cr_expect_str_eq(buf_text(&b), "1.50");
	cr_expect_eq(json_string(doc, n, &b), -EINVAL);
	buf_reset(&b);
	json_value(doc, json_next(doc, n), &b);
	cr_expect_str_eq(buf_text(&b), "[true]");
	buf_clear(&b);
	json_free(doc);
}

Test(json, children_come_in_source_order)
{
	struct json *doc = must_parse("{\"z\":1,\"a\":[2,3],\"m\":{}}", JSON_STRICT);
	struct buf b = BUF_INIT(100);
	const struct json_node *n = json_first(doc, json_root(doc));
	for (; n; n = json_next(doc, n))
		json_key(doc, n, &b);
	cr_expect_str_eq(buf_text(&b), "zam");
	cr_expect_null(json_first(doc, json_member(doc, json_root(doc), "m", 1)));
	cr_expect_null(json_member(doc, json_member(doc, json_root(doc), "a", 1), "x", 1),
		"an array has no members");
	cr_expect_eq(json_key(doc, json_root(doc), &b), -EINVAL);
	buf_clear(&b);
	json_free(doc);
}

Test(json, errors_say_where_and_not_what)
{
	struct sfs_err err = {0};
	struct json *doc = NULL;
	const char *text = "{\n  \"password\": \"hunter2-canary\",\n  \"x\": hunter2-canary\n}";
	cr_assert_eq(parse(text, strlen(text), 0, &doc, &err), -EBADMSG);
	cr_expect(strstr(err.msg, "line 3 column 8"), "%s", err.msg);
	cr_expect(!strstr(err.msg, "canary") && !strstr(err.msg, "password"), "%s", err.msg);
}

Test(json, line_of_a_node)
{
	struct json *doc = must_parse("{\n\n\"a\": 1,\n\"b\":\n2}", JSON_STRICT);
	cr_expect_eq(json_line(doc, json_member(doc, json_root(doc), "a", 1)), 3);
	cr_expect_eq(json_line(doc, json_member(doc, json_root(doc), "b", 1)), 5);
	json_free(doc);
}

static char *repeat(const char *unit, size_t times, size_t *ret_len)
{
	size_t n = strlen(unit);
	char *s = malloc(n * times + 1);
	cr_assert_not_null(s);
	for (size_t i = 0; i < times; i++)
		memcpy(s + i * n, unit, n);
	s[n * times] = '\0';
	*ret_len = n * times;
	return s;
}

static char *nested(int depth)
{
	char *s = calloc(2 * (size_t)depth + 1, 1);
	memset(s, '[', (size_t)depth);
	memset(s + depth, ']', (size_t)depth);
	return s;
}

Test(json, depth_is_limited)
{
	char *s = nested(SFS_JSON_DEPTH);
	accepts(s);
	free(s);
	s = nested(SFS_JSON_DEPTH + 1);
	refuses(s);
	free(s);
}

/* Row 88: refused before anything but the empty document is allocated, in time that is linear. */
static void refused_cheaply(const char *first, const char *unit)
{
	size_t len;
	char *s = repeat(unit, 10000000 / strlen(unit), &len);
	struct json *doc = NULL;
	struct sfs_err err = {0};
	memcpy(s, first, strlen(first));
	clock_t from = clock();
	alloc_fail_at(0);
	cr_expect_eq(parse(s, len, 0, &doc, &err), -EBADMSG, "%s", unit);
	cr_expect_leq(alloc_fail_at(0), 1, "%s", unit);
	cr_expect_lt((double)(clock() - from) / CLOCKS_PER_SEC, 1.0, "processor time for %s", unit);
	free(s);
}

Test(json, ten_megabytes_of_brackets)
{
	refused_cheaply("", "[");
	refused_cheaply("", "{\"a\":");
}

Test(json, ten_megabytes_of_ones)
{
	refused_cheaply("", "1,");
	refused_cheaply("[1", ",1"); /* [1,1,1,... */
	refused_cheaply("[1,", "{},");
}

/* R51: the array of nodes has exactly the size of the document (16 bytes an element, at most
 * SFS_JSON_ELEMENTS). */
Test(json, the_most_elements_allowed)
{
	size_t len;
	char *s = repeat("123456,", SFS_JSON_ELEMENTS - 1, &len);
	struct json *doc = NULL;
	char *text = malloc(len + 2);
	text[0] = '[';
	memcpy(text + 1, s, len);
	text[len] = ']';
	cr_assert_eq(parse(text, len + 1, 0, &doc, NULL), 0);
	cr_expect_eq(json_count(json_root(doc)), SFS_JSON_ELEMENTS - 1);
	json_free(doc);
	free(text);
	free(s);
}

Test(json, no_more_elements_than_allowed)
{
	size_t len;
	char *s = repeat("1,", SFS_JSON_ELEMENTS, &len);
	s[len - 1] = ']'; /* SFS_JSON_ELEMENTS ones */
	char *text = malloc(len + 2);
	text[0] = '[';
	memcpy(text + 1, s, len + 1);
	refuses(text);				  /* and the array itself: one too many */
	memmove(text + 1, text + 3, len - 2 + 1); /* one less */
	accepts(text);
	free(text);
	free(s);
}

static char *many_members(size_t n, size_t *ret_len)
{
	char *s = malloc(n * 24 + 8), *p = s;
	*p++ = '{';
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%s\"key%zu\":%zu", i ? "," : "", i, i);
	strcpy(p, "}");
	*ret_len = strlen(s);
	return s;
}

Test(json, members_of_a_large_object_are_found_by_hash)
{
	size_t len;
	char *s = many_members(100000, &len), key[24];
	struct json *doc = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(parse(s, len, 0, &doc, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < 100000; i += 7) {
		int64_t v = -1;
		size_t n = (size_t)sprintf(key, "key%zu", i);
		const struct json_node *m = json_member(doc, json_root(doc), key, n);
		cr_assert_not_null(m);
		cr_assert_eq(json_int64(doc, m, &v), 0);
		cr_assert_eq(v, (int64_t)i);
	}
	cr_expect_null(json_member(doc, json_root(doc), "key100000", 9));
	json_free(doc);
	free(s);
}

Test(json, a_twin_at_the_end_of_a_large_object_is_found)
{
	size_t len;
	char *s = many_members(50000, &len);
	struct json *doc = NULL;
	struct sfs_err err = {0};
	strcpy(s + len - 1, ",\"key17\":0}");
	cr_expect_eq(parse(s, strlen(s), JSON_STRICT, &doc, &err), -EBADMSG);
	cr_assert_eq(parse(s, strlen(s), JSON_LAST_WINS, &doc, &err), 0);
	cr_expect_eq(json_count(json_root(doc)), 50000);
	json_free(doc);
	free(s);
}

Test(json, every_failing_allocation_is_enomem)
{
	size_t len;
	char *s = many_members(100, &len);
	for (unsigned long n = 1; n <= 3; n++) {
		struct json *doc = NULL;
		struct sfs_err err = {0};
		alloc_fail_at(n);
		int rc = parse(s, len, 0, &doc, &err);
		alloc_fail_at(0);
		cr_expect_eq(rc, -ENOMEM, "allocation %lu", n);
		cr_expect_null(doc);
	}
	free(s);
}

Test(json, lookup_without_memory_for_a_table_still_finds)
{
	size_t len;
	char *s = many_members(100, &len);
	for (unsigned long n = 1; n <= 4; n++) {
		struct json *doc = NULL;
		struct sfs_err err = {0};
		cr_assert_eq(parse(s, len, 0, &doc, &err), 0);
		alloc_fail_at(n);
		const struct json_node *m = json_member(doc, json_root(doc), "key42", 5);
		alloc_fail_at(0);
		cr_expect_not_null(m, "allocation %lu", n);
		json_free(doc);
	}
	free(s);
}

Test(json, an_endless_text_is_refused)
{
	struct json *doc = NULL;
	struct sfs_err err = {0};
	cr_expect_eq(json_parse("1", (size_t)SFS_SOURCE_MAX + 1, 0, &doc, &err), -EBADMSG);
}

Test(json, quote_writes_what_parse_reads)
{
	static const char raw[] = "a\"\\\b\f\n\r\t\x01\x1f\x7f \xc3\xa9/\0z";
	struct buf b = BUF_SECRET_INIT(1000), back = BUF_SECRET_INIT(1000);
	cr_assert_eq(json_quote(&b, raw, sizeof(raw) - 1), 0);
	struct json *doc = NULL;
	cr_assert_eq(json_parse(b.data, b.len, 0, &doc, NULL), 0);
	cr_assert_eq(json_string(doc, json_root(doc), &back), 0);
	cr_expect_eq(back.len, sizeof(raw) - 1);
	cr_expect_arr_eq(back.data, raw, sizeof(raw) - 1);
	json_free(doc);
	buf_clear(&b);
	buf_clear(&back);
}

Test(json, quote_refuses_what_is_no_utf8_and_adds_nothing)
{
	struct buf b = BUF_INIT(100);
	buf_str(&b, "x");
	cr_expect_eq(json_quote(&b, "ab\xff", 3), -EILSEQ);
	cr_expect_str_eq(buf_text(&b), "x");
	buf_clear(&b);
}
