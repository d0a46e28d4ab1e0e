/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static size_t decode(const char *s, uint32_t *code)
{
	return utf8_decode((const unsigned char *)s, strlen(s), code);
}

/* Every code point, encoded by hand, comes back; surrogates do not. */
Test(utf8, all_code_points)
{
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		char s[5] = {0};
		uint32_t got = 0;
		size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		if (n == 1)
			s[0] = (char)c;
		for (size_t i = n - 1; n > 1 && i > 0; i--)
			s[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
		if (n > 1)
			s[0] = (char)((0xf00 >> n & 0xff) | c >> (6 * (n - 1)));
		if (c >= 0xd800 && c <= 0xdfff) {
			cr_assert_eq(decode(s, &got), 0, "surrogate %x", c);
			continue;
		}
		cr_assert_eq(decode(s, &got), n, "code %x", c);
		cr_assert_eq(got, c);
		cr_assert_eq(utf8_decode((const unsigned char *)s, n - 1, &got), 0, "cut %x", c);
	}
}

Test(utf8, malformed_forms_are_refused)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xc3(",
		"\xe0\x80\xaf", "\xe0\x9f\xbf", "\xe2\x82", "\xe2(\xac", "\xed\xa0\x80",
		"\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
		"\xfe", "\xff"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		uint32_t code = 77;
		cr_assert_eq(decode(bad[i], &code), 0, "entry %zu", i);
		cr_assert_eq(code, 77, "untouched on failure");
		cr_assert_not(utf8_valid(bad[i], strlen(bad[i])));
	}
	cr_assert(utf8_valid("", 0));
	cr_assert(utf8_valid("a\0\xc3\xa4", 4));
	cr_assert_not(utf8_valid("ok\xff", 3));
}

Test(text, controls)
{
	static const uint32_t yes[] = {0, 0x1b, 0x1f, 0x7f, 0x80, 0x9b, 0x9f, 0x61c, 0x200e, 0x200f,
		0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069};
	static const uint32_t no[] = {0x20, 0x7e, 0xa0, 0x61b, 0x61d, 0x200d, 0x2010, 0x2027,
		0x202f, 0x2065, 0x206a, 0x10ffff};
	for (size_t i = 0; i < COUNT(yes); i++)
		cr_assert(text_is_control(yes[i]), "%x", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		cr_assert_not(text_is_control(no[i]), "%x", no[i]);
}

/* R54 */
Test(text, escape_leaves_printable_ascii_only)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(10000);
	cr_assert_eq(text_escape(&b, "a b~\\\x1b[2J\r\n\xe2\x80\xae\x7f\0x", 17), 0);
	cr_assert_str_eq(buf_text(&b), "a b~\\\\\\x1b[2J\\x0d\\x0a\\xe2\\x80\\xae\\x7f\\x00x");
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		buf_reset(&b);
		text_escape(&b, &byte, 1);
		cr_assert_leq(b.len, 4);
		for (size_t i = 0; i < b.len; i++)
			cr_assert(b.data[i] >= 0x20 && b.data[i] <= 0x7e);
	}
}

Test(text, escape_is_all_or_nothing)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(8);
	buf_str(&b, "keep");
	cr_assert_eq(text_escape(&b, "ab\x01", 3), -EFBIG);
	cr_assert_str_eq(buf_text(&b), "keep");
	_cleanup_(buf_clear) struct buf c = BUF_INIT(8);
	alloc_fail_at(1);
	cr_assert_eq(text_escape(&c, "ab", 2), -ENOMEM);
	alloc_fail_at(0);
	buf_reset(&c);
	cr_assert_eq(text_escape(&c,
			     "a\x01"
			     "bcd",
			     5),
		0);
	cr_assert_eq(text_escape(&c, "", 0), 0);
	cr_assert_str_eq(buf_text(&c), "a\\x01bcd");
}

Test(text, escaped_cuts_between_escapes)
{
	char out[64];
	cr_assert_eq(text_escaped(out, sizeof(out), "a\n", 2), out);
	cr_assert_str_eq(out, "a\\x0a");
	cr_assert_str_eq(text_escaped(out, 11, "abcdefghij", 10), "abcdefghij");
	cr_assert_str_eq(text_escaped(out, 10, "abcdefghij", 10), "abcdef...");
	cr_assert_str_eq(text_escaped(out, 10, "abc\x01\x01", 5), "abc...");
	cr_assert_str_eq(text_escaped(out, 10, "\x01\x01\x01", 3), "\\x01...");
	cr_assert_str_eq(text_escaped(out, 3, "abcdef", 6), "..");
	cr_assert_str_eq(text_escaped(out, 1, "abcdef", 6), "");
	out[0] = '!';
	cr_assert_eq(text_escaped(out, 0, "abc", 3), out);
	cr_assert_eq(out[0], '!');
}

Test(text, escaped_never_overruns)
{
	char out[40], in[30];
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)rand() % 30, len = (size_t)rand() % sizeof(in);
		for (size_t i = 0; i < len; i++)
			in[i] = (char)(rand() % 4 ? 'a' + rand() % 26 : rand());
		memset(out, '!', sizeof(out));
		text_escaped(out, size, in, len);
		for (size_t i = size; i < sizeof(out); i++)
			cr_assert_eq(out[i], '!');
		if (size)
			cr_assert_lt(strnlen(out, sizeof(out)), size);
	}
}

Test(text, json)
{
	static const char in[] = "a\"b\\c/\n\x1b\x7f\xc3\xa4\xe2\x80\xae\xf0\x9f\x94\x91\xff\xc3\0";
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	cr_assert_eq(text_json(&b, in, sizeof(in) - 1), 0);
	cr_assert_str_eq(buf_text(&b),
		"\"a\\\"b\\\\c/\\u000a\\u001b\\u007f\\u00e4\\u202e\\ud83d\\udd11"
		"\\ufffd\\ufffd\\u0000\"");
	buf_reset(&b);
	cr_assert_eq(text_json(&b, "", 0), 0);
	cr_assert_str_eq(buf_text(&b), "\"\"");
	struct buf small = BUF_INIT(3);
	cr_assert_eq(text_json(&small, "ab", 2), -EFBIG);
	cr_assert_eq(small.len, 0);
	buf_clear(&small);
}

static const char *to_arg(struct buf *b, const char *path)
{
	buf_reset(b);
	cr_assert_eq(text_to_arg(b, path), 0);
	return buf_text(b);
}

static int from_arg(struct buf *b, const char *arg, bool *glob)
{
	buf_reset(b);
	return text_from_arg(b, arg, strlen(arg), glob);
}

Test(arg, encodes_blanks_operators_and_non_ascii)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	cr_assert_str_eq(to_arg(&b, "prod/db/password"), "prod/db/password");
	cr_assert_str_eq(to_arg(&b, "a b*?[#%]\\~"), "a%20b%2A%3F%5B%23%25]\\~");
	cr_assert_str_eq(to_arg(&b, "\x1f\x7f\xc3\xa4"), "%1F%7F%C3%A4");
	cr_assert_str_eq(to_arg(&b, ""), "");
}

Test(arg, decodes)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	bool glob = true;
	cr_assert_eq(from_arg(&b, "a%20b/%2a%C3%a4\\", &glob), 0);
	cr_assert_str_eq(buf_text(&b), "a b/*\xc3\xa4\\");
	cr_assert_not(glob);
	cr_assert_eq(from_arg(&b, "", &glob), 0);
	cr_assert_eq(b.len, 0);
}

Test(arg, an_operator_makes_a_pattern_with_quoted_literals)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	bool glob = false;
	cr_assert_eq(from_arg(&b, "prod/**", &glob), 0);
	cr_assert(glob);
	cr_assert_str_eq(buf_text(&b), "prod/**");
	cr_assert_eq(from_arg(&b, "a%2A*", &glob), 0);
	cr_assert_str_eq(buf_text(&b), "a\\**");
	cr_assert(glob_match(buf_text(&b), "a*bc"));
	cr_assert_not(glob_match(buf_text(&b), "abc"));
	cr_assert_eq(from_arg(&b, "\\%5C[%5D%5E%2D%21a]", &glob), 0);
	cr_assert(glob_match(buf_text(&b), "\\\\^"));
	cr_assert(glob_match(buf_text(&b), "\\\\-"));
	cr_assert(glob_match(buf_text(&b), "\\\\]"));
	cr_assert_not(glob_match(buf_text(&b), "\\\\b"));
}

Test(arg, bad_escapes_are_refused_and_nothing_is_appended)
{
	static const char *const bad[] = {
		"%", "%2", "a%", "%zz", "%2g", "%g2", "ab%00", "*%", "%%41"};
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	bool glob = true;
	for (size_t i = 0; i < COUNT(bad); i++) {
		buf_reset(&b);
		buf_str(&b, "keep");
		cr_assert_eq(
			text_from_arg(&b, bad[i], strlen(bad[i]), &glob), -EINVAL, "%s", bad[i]);
		cr_assert_str_eq(buf_text(&b), "keep");
		cr_assert(glob, "untouched on failure");
	}
	cr_assert_eq(text_from_arg(&b, "a\0b", 3, &glob), -EINVAL);
	cr_assert_eq(text_from_arg(&b, "a%20b", 3, &glob), -EINVAL, "the escape is cut");
	struct buf small = BUF_INIT(2);
	cr_assert_eq(text_from_arg(&small, "abc", 3, &glob), -EFBIG);
	cr_assert_eq(small.len, 0);
	buf_clear(&small);
}

/* Any path survives the way through a control file, and as part of a pattern it matches itself and
 * nothing near it. */
Test(arg, round_trip)
{
	_cleanup_(buf_clear) struct buf arg = BUF_INIT(1000);
	_cleanup_(buf_clear) struct buf back = BUF_INIT(1000);
	for (int round = 0; round < 50000; round++) {
		char path[20];
		bool glob;
		size_t len = 1 + (size_t)rand() % 18;
		for (size_t i = 0; i < len; i++)
			path[i] = rand() % 3 ? "*?[]#%\\!-^/ a"[rand() % 13]
					     : (char)(1 + rand() % 255);
		path[len] = '\0';
		to_arg(&arg, path);
		for (size_t i = 0; i < arg.len; i++)
			cr_assert(arg.data[i] > 0x20 && arg.data[i] < 0x7f);
		cr_assert_eq(text_from_arg(&back, arg.data, arg.len, &glob), 0);
		cr_assert_not(glob);
		cr_assert_str_eq(buf_text(&back), path);
		buf_reset(&back);
		buf_str(&arg, "**");
		cr_assert_eq(text_from_arg(&back, arg.data, arg.len, &glob), 0);
		cr_assert(glob);
		cr_assert(glob_match(buf_text(&back), path));
		path[0] = path[0] == 'b' ? 'c' : 'b';
		cr_assert_not(glob_match(buf_text(&back), path));
		buf_reset(&back);
	}
}

Test(nearest, finds_typing_errors)
{
	static const char *const names[] = {
		"timeout", "ttl", "list_ttl", "negative_ttl", "uid", "gid", "mode"};
	cr_assert_str_eq(text_nearest("tll", names, COUNT(names)), "ttl");
	cr_assert_str_eq(text_nearest("tlt", names, COUNT(names)), "ttl");
	cr_assert_str_eq(text_nearest("TTL", names, COUNT(names)), "ttl");
	cr_assert_str_eq(text_nearest("tiemout", names, COUNT(names)), "timeout");
	cr_assert_str_eq(text_nearest("list-ttl", names, COUNT(names)), "list_ttl");
	cr_assert_str_eq(text_nearest("gid", names, COUNT(names)), "gid");
	cr_assert_str_eq(text_nearest("moe", names, COUNT(names)), "mode");
}

Test(nearest, nothing_near_is_null)
{
	static const char *const names[] = {"timeout", "ttl"};
	char word[1000];
	memset(word, 't', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	cr_assert_null(text_nearest("banana", names, 2));
	cr_assert_null(text_nearest("", names, 2));
	cr_assert_null(text_nearest(word, names, 2));
	cr_assert_null(text_nearest("ttl", names, 0));
	cr_assert_null(text_nearest("ttl", (const char *const[]){word}, 1));
}

Test(parse, duration)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {{"0", 0}, {"300", 300}, {"5s", 5}, {"5m", 300}, {"2h", 7200}, {"1d", 86400},
		{"-1", -1}, {"never", -1}, {"2147483647", INT32_MAX}, {"24855d", 2147472000},
		{"007", 7}};
	for (size_t i = 0; i < COUNT(good); i++) {
		int64_t got = 99;
		cr_assert_eq(parse_duration(good[i].text, &got), 0, "%s", good[i].text);
		cr_assert_eq(got, good[i].seconds, "%s", good[i].text);
	}
	static const char *const bad[] = {"", "s", "-", "-2", "+1", " 1", "1 ", "1.5", "1h30m",
		"5x", "5ss", "0x10", "ever", "5S", "-1s", "1e3"};
	static const char *const large[] = {"2147483648", "24856d", "99999999999999999999999",
		"18446744073709551617", "18446744073709551616s", "153722867280912931m"};
	int64_t got = 99;
	for (size_t i = 0; i < COUNT(bad); i++)
		cr_assert_eq(parse_duration(bad[i], &got), -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < COUNT(large); i++)
		cr_assert_eq(parse_duration(large[i], &got), -ERANGE, "%s", large[i]);
	cr_assert_eq(got, 99, "untouched on failure");
}

Test(parse, size)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"64", 64}, {"64k", 65536}, {"64K", 65536}, {"1m", 1 << 20},
		{"3G", UINT64_C(3) << 30}, {"18446744073709551615", UINT64_MAX},
		{"17179869183g", UINT64_C(17179869183) << 30}};
	for (size_t i = 0; i < COUNT(good); i++) {
		uint64_t got = 99;
		cr_assert_eq(parse_size(good[i].text, &got), 0, "%s", good[i].text);
		cr_assert_eq(got, good[i].bytes, "%s", good[i].text);
	}
	uint64_t got = 99;
	static const char *const bad[] = {"", "k", "-1", "1kk", "1t", "1 k", "1kb", "+1", "1.5m"};
	static const char *const large[] = {
		"18446744073709551616", "17179869184g", "99999999999999999999k"};
	for (size_t i = 0; i < COUNT(bad); i++)
		cr_assert_eq(parse_size(bad[i], &got), -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < COUNT(large); i++)
		cr_assert_eq(parse_size(large[i], &got), -ERANGE, "%s", large[i]);
	cr_assert_eq(got, 99, "untouched on failure");
}

Test(parse, u64)
{
	uint64_t got = 99;
	cr_assert_eq(parse_u64("18446744073709551615", UINT64_MAX, &got), 0);
	cr_assert_eq(got, UINT64_MAX);
	cr_assert_eq(parse_u64("10", 10, &got), 0);
	cr_assert_eq(got, 10);
	cr_assert_eq(parse_u64("11", 10, &got), -ERANGE);
	cr_assert_eq(parse_u64("5", 4, &got), -ERANGE);
	cr_assert_eq(parse_u64("1", 0, &got), -ERANGE);
	cr_assert_eq(parse_u64("18446744073709551616", UINT64_MAX, &got), -ERANGE);
	cr_assert_eq(parse_u64("", 10, &got), -EINVAL);
	cr_assert_eq(parse_u64("1k", 10, &got), -EINVAL);
	cr_assert_eq(parse_u64("99x", 10, &got), -EINVAL);
	cr_assert_eq(parse_u64("-1", 10, &got), -EINVAL);
	cr_assert_eq(got, 10, "untouched on failure");
	cr_assert_eq(parse_u64("0", 0, &got), 0);
	cr_assert_eq(got, 0);
}

Test(text, plain_paths_lead_nowhere_else)
{
	static const char *const good[] = {
		"a", "a/b", "...", "a/..b", ".a", "a b", "\xff", "a/.b."};
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/..", "../a", "a/../b", "./a"};
	char path[SFS_PATH_MAX + 1];
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert(text_plain_path(good[i], strlen(good[i])), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(!text_plain_path(bad[i], strlen(bad[i])), "%s", bad[i]);
	cr_assert(!text_plain_path("a\0b", 3));
	memset(path, 'a', sizeof(path));
	cr_assert(text_plain_path(path, 255) && !text_plain_path(path, 256));
	for (size_t i = 255; i < sizeof(path); i += 256)
		path[i] = '/';
	cr_assert(text_plain_path(path, SFS_PATH_MAX - 1));
	cr_assert(!text_plain_path(path, SFS_PATH_MAX + 1));
}

/* Every byte at every place of a word, before and after it. */
Test(text, plain_bytes_end_at_the_first_that_is_not)
{
	unsigned char s[24];
	for (int c = 0; c < 256; c++) {
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		for (size_t at = 0; at < sizeof(s); at++) {
			memset(s, '~', sizeof(s));
			s[at] = (unsigned char)c;
			cr_assert_eq(text_plain(s, sizeof(s)), plain ? sizeof(s) : at);
			cr_assert_eq(text_plain(s, at), at);
		}
	}
	cr_assert_eq(text_plain(s, 0), 0);
}

Test(text, json_keeps_plain_runs_around_what_is_escaped)
{
	_cleanup_(buf_clear) struct buf out = BUF_INIT(256);
	static const char in[] = "plain text before\x7f\" and \\ after\xc3\xa4, then the end";
	cr_assert_eq(text_json(&out, in, sizeof(in) - 1), 0);
	cr_assert_str_eq(buf_text(&out),
		"\"plain text before\\u007f\\\" and \\\\ after\\u00e4, then the end\"");
}
