/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "core/fields.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct secret *text(const char *s)
{
	return secret_new(s, strlen(s));
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

static struct fields *must_parse(const char *s)
{
	struct sfs_err err = {0};
	struct fields *f = NULL;
	struct secret *v = text(s);
	cr_assert_eq(fields_parse(v, &f, &err), 0, "%s: %s", s, err.msg);
	secret_unref(v); /* the fields hold their own */
	return f;
}

static void has_none(const char *s)
{
	struct sfs_err err = {0};
	struct fields *f = NULL;
	struct secret *v = text(s);
	cr_expect_eq(fields_parse(v, &f, &err), -ENOENT, "%s", s);
	cr_expect_null(f);
	cr_expect(err.msg[0], "a sentence");
	secret_unref(v);
}

static void field_is(struct fields *f, const char *path, const char *expected)
{
	struct sfs_err err = {0};
	struct secret *s = NULL;
	cr_assert_eq(fields_get(f, path, &s, &err), 0, "%s: %s", path, err.msg);
	cr_expect_eq(secret_len(s), strlen(expected), "%s", path);
	cr_expect_arr_eq(secret_bytes(s), expected, strlen(expected), "%s", path);
	secret_unref(s);
}

static void is_absent(struct fields *f, const char *path)
{
	struct sfs_err err = {0};
	struct secret *s = NULL;
	cr_expect_eq(fields_kind(f, path), FIELD_NONE, "%s", path);
	cr_expect_eq(fields_get(f, path, &s, &err), -ENOENT, "%s", path);
	cr_expect_null(s, "untouched");
	cr_expect(strstr(err.msg, "field"), "%s", err.msg);
}

static int gather(void *arg, const char *name, enum field_kind kind)
{
	struct buf *b = arg;
	buf_str(b, name);
	return buf_str(b, kind == FIELD_OBJECT ? "/ " : " ");
}

static void names_are(struct fields *f, const char *path, const char *expected)
{
	struct buf b = BUF_INIT(10000);
	cr_assert_eq(fields_each(f, path, gather, &b), 0);
	cr_expect_str_eq(buf_text(&b), expected);
	buf_clear(&b);
}

#define GUIDE                                                                                  \
	"{\"s\":\"raw "                                                                        \
	"\\\"text\\\"\",\"n\":9223372036854775807,\"f\":1e999,\"z\":-0,\"t\":true,\"x\":null," \
	"\"o\":{\"in\":{\"deep\":\"v\"},\"e\":{}},\"l\":[1, 2 "                                \
	"],\"u\":\"\\u00e9\",\"empty\":\"\",\"a/b\":\"slash\"}"

Test(fields, every_kind_of_value)
{
	struct fields *f = must_parse(GUIDE);
	field_is(f, "s", "raw \"text\"");
	field_is(f, "n", "9223372036854775807");
	field_is(f, "f", "1e999");
	field_is(f, "z", "-0");
	field_is(f, "t", "true");
	field_is(f, "x", "null");
	field_is(f, "l", "[1,2]");
	field_is(f, "u", "\xc3\xa9");
	field_is(f, "empty", "");
	field_is(f, "a%2Fb", "slash");
	field_is(f, "o/in/deep", "v");
	fields_free(f);
	cr_expect_eq(blocks(), 0);
}

Test(fields, objects_are_directories)
{
	struct fields *f = must_parse(GUIDE);
	cr_expect_eq(fields_kind(f, ""), FIELD_OBJECT);
	cr_expect_eq(fields_kind(f, "o"), FIELD_OBJECT);
	cr_expect_eq(fields_kind(f, "o/e"), FIELD_OBJECT, "also an empty one");
	cr_expect_eq(fields_kind(f, "l"), FIELD_VALUE);
	names_are(f, "", "s n f z t x o/ l u empty a%2Fb ");
	names_are(f, "o", "in/ e/ ");
	names_are(f, "o/e", "");
	fields_free(f);
}

Test(fields, absent_is_enoent_never_null)
{
	static const char *const paths[] = {"nope", "s/x", "o/nope", "l/0", "o/in/deep/er", "a/b",
		"/", "s/", "/s", "o//in", "%73", "S", "a%2fb", ".", "..", "%00"};
	struct fields *f = must_parse(GUIDE);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		is_absent(f, paths[i]);
	fields_free(f);
}

Test(fields, of_an_absent_object_there_are_no_names)
{
	struct fields *f = must_parse(GUIDE);
	struct buf b = BUF_INIT(100);
	cr_expect_eq(fields_each(f, "nope", gather, &b), -ENOENT);
	cr_expect_eq(fields_each(f, "s", gather, &b), -ENOTDIR);
	cr_expect_eq(b.len, 0);
	fields_free(f);
}

Test(fields, what_is_no_object_has_none)
{
	has_none("");
	has_none("password");
	has_none("[1]");
	has_none("\"{}\"");
	has_none("{\"a\":1} x");
	has_none("{\"a\":1,}");
	has_none("{");
	has_none("{\"a\":\"\xff\"}");
	has_none("\xef\xbb\xbf{}");
}

Test(fields, binary_values_have_none)
{
	struct fields *f = NULL;
	struct sfs_err err = {0};
	struct secret *v = secret_new("{\"a\":1}\0", 8);
	cr_expect_eq(fields_parse(v, &f, &err), -ENOENT);
	secret_unref(v);
	cr_expect_eq(blocks(), 0);
}

Test(fields, the_last_of_equal_keys_wins)
{
	struct fields *f = must_parse("{\"a\":1,\"b\":2,\"a\":\"three\"}");
	field_is(f, "a", "three");
	names_are(f, "", "b a ");
	fields_free(f);
}

Test(fields, odd_keys_have_one_encoded_name)
{
	struct fields *f = must_parse("{\".\":\"1\",\"..\":\"2\",\"%\":\"3\",\".value\":\"4\","
				      "\"a\\nb\":\"5\",\"\":\"6\",\"n\\u0000l\":\"7\"}");
	struct buf b = BUF_INIT(1000);
	cr_assert_eq(fields_each(f, "", gather, &b), 0);
	cr_expect_str_eq(buf_text(&b), "%2E %2E%2E %25 %2Evalue a%0Ab ",
		"the empty key and the one with NUL are not shown");
	field_is(f, "%2E", "1");
	field_is(f, "%2E%2E", "2");
	field_is(f, "%25", "3");
	field_is(f, "%2Evalue", "4");
	field_is(f, "a%0Ab", "5");
	buf_clear(&b);
	fields_free(f);
}

static int first_name(void *arg, const char *name, enum field_kind kind)
{
	(void)kind;
	strcpy(arg, name);
	return 7;
}

Test(fields, a_long_key_is_found_by_its_hashed_name)
{
	char json[1100] = "{\"", name[300] = "";
	memset(json + 2, 'k', 1000);
	strcpy(json + 1002, "\":\"long\",\"b\":1}");
	struct fields *f = must_parse(json);
	cr_expect_eq(
		fields_each(f, "", first_name, name), 7, "what emit returns stops and is returned");
	cr_expect_leq(strlen(name), 255);
	cr_expect(strstr(name, "%~"));
	field_is(f, name, "long");
	name[strlen(name) - 1] ^= 1;
	is_absent(f, name);
	fields_free(f);
	cr_expect_eq(blocks(), 0);
}

Test(fields, a_field_may_be_as_long_as_a_value)
{
	size_t n = 1000000;
	char *json = malloc(n + 20), *v = malloc(n + 1);
	memset(v, 'x', n);
	v[n] = '\0';
	sprintf(json, "{\"k\":\"%s\"}", v);
	struct fields *f = must_parse(json);
	field_is(f, "k", v);
	fields_free(f);
	free(json);
	free(v);
}

Test(fields, without_memory_enomem)
{
	struct secret *v = text(GUIDE);
	for (unsigned long n = 1; n <= 3; n++) {
		struct fields *f = NULL;
		alloc_fail_at(n);
		int rc = fields_parse(v, &f, NULL);
		alloc_fail_at(0);
		cr_expect_eq(rc, -ENOMEM, "allocation %lu", n);
		cr_expect_null(f);
	}
	secret_unref(v);
	cr_expect_eq(blocks(), 0);
}

static struct payload *keys(const char *a, const void *b, size_t len)
{
	struct payload *p = payload_new();
	cr_assert_eq(payload_add(p, "user\"name", text(a)), 0);
	cr_assert_eq(payload_add(p, "pass", secret_new(b, len)), 0);
	return p;
}

Test(payload_json, keys_sorted_and_quoted)
{
	struct payload *p = keys("a\nb", "\xc3\xa9\0\x01", 4);
	struct secret *s = NULL;
	static const char expected[] =
		"{\"pass\":\"\xc3\xa9\\u0000\\u0001\",\"user\\\"name\":\"a\\nb\"}";
	cr_assert_eq(payload_json(p, &s, NULL), 0);
	cr_expect_eq(secret_len(s), strlen(expected));
	cr_expect_arr_eq(secret_bytes(s), expected, strlen(expected));
	secret_unref(s);
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
}

Test(payload_json, binary_names_its_key_and_not_its_bytes)
{
	struct payload *p = keys("a", "canary\xff", 7);
	struct secret *s = NULL;
	struct sfs_err err = {0};
	cr_expect_eq(payload_json(p, &s, &err), -EBADMSG);
	cr_expect_null(s);
	cr_expect(strstr(err.msg, "pass") && !strstr(err.msg, "canary"), "%s", err.msg);
	payload_unref(p);
}

Test(payload_json, no_keys_is_an_empty_object_and_one_value_none)
{
	struct payload *p = payload_new();
	struct secret *s = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(payload_json(p, &s, NULL), 0);
	cr_expect_eq(secret_len(s), 2);
	secret_unref(s);
	s = NULL;
	payload_add(p, NULL, text("x"));
	cr_expect_eq(payload_json(p, &s, &err), -ENOENT);
	cr_expect_null(s);
	payload_unref(p);
}
