/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define BIG	    (2 * SFS_PATH_MAX)
#define HASH_LENGTH 34 /* "%~" and 32 digits */

struct pair {
	const char *name, *path;
};

static void check_pairs(const struct pair *pairs, size_t n)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	for (size_t i = 0; i < n; i++) {
		buf_reset(&b);
		cr_assert_eq(name_encode(&b, pairs[i].name, strlen(pairs[i].name)), 0);
		cr_assert_str_eq(buf_text(&b), pairs[i].path);
		buf_reset(&b);
		cr_assert_eq(name_decode(&b, pairs[i].path, strlen(pairs[i].path)), 0);
		cr_assert_str_eq(buf_text(&b), pairs[i].name);
	}
}

Test(name, ordinary_names_stay)
{
	static const struct pair pairs[] = {{"supersecret", "supersecret"},
		{"prod/db/password", "prod/db/password"},
		{".dockerconfigjson", ".dockerconfigjson"}, {"a b*?[]#~\\'\"", "a b*?[]#~\\'\""},
		{"sch\xc3\xb6n/\xe5\x90\x8d", "sch\xc3\xb6n/\xe5\x90\x8d"}, {"...", "..."},
		{"-", "-"}, {"arn:aws:x", "arn:aws:x"}, {"a/.b", "a/.b"}};
	check_pairs(pairs, COUNT(pairs));
}

Test(name, slashes_that_leave_nothing_between_are_encoded)
{
	static const struct pair pairs[] = {{"/a", "%2Fa"}, {"a/", "a%2F"}, {"a//b", "a%2F/b"},
		{"a///b", "a%2F%2F/b"}, {"/", "%2F"}, {"//", "%2F%2F"}, {"///", "%2F%2F%2F"},
		{"//a", "%2F/a"}, {"///a", "%2F%2F/a"}, {"a//b/", "a%2F/b%2F"}, {"/a/b", "%2Fa/b"},
		{"/a/", "%2Fa%2F"}, {"a/b//", "a/b%2F%2F"}};
	check_pairs(pairs, COUNT(pairs));
}

Test(name, dots)
{
	static const struct pair pairs[] = {{".", "%2E"}, {"..", "%2E%2E"},
		{"a/../b", "a/%2E%2E/b"}, {"./a", "%2E/a"}, {"/.", "%2F."}, {"/..", "%2F.."},
		{"./", ".%2F"}, {"../", "..%2F"}, {"//..", "%2F/%2E%2E"}, {".//..", ".%2F/%2E%2E"}};
	check_pairs(pairs, COUNT(pairs));
}

Test(name, reserved_names)
{
	static const struct pair pairs[] = {{".control", "%2Econtrol"}, {".meta/x", "%2Emeta/x"},
		{"x/.control", "x/.control"}, {"x/.next", "x/.next"}, {".value", "%2Evalue"},
		{"x/.value", "x/%2Evalue"}, {"x/.value/y", "x/%2Evalue/y"},
		{".control/", ".control%2F"}, {"/.control", "%2F.control"},
		{"//.control", "%2F/.control"}, {".Control", ".Control"},
		{".controls", ".controls"}, {".contro", ".contro"}, {".values", ".values"},
		{".control\x01", ".control%01"}, {".versions", "%2Eversions"},
		{".fields", "%2Efields"}, {".json", "%2Ejson"}, {".nocache", "%2Enocache"},
		{".rendered", "%2Erendered"}, {".next", "%2Enext"}};
	check_pairs(pairs, COUNT(pairs));
	cr_assert(name_is_reserved_root(".control"));
	cr_assert(name_is_reserved_root(".next"));
	cr_assert_not(name_is_reserved_root(".value"));
	cr_assert_not(name_is_reserved_root("control"));
	cr_assert_not(name_is_reserved_root(""));
}

Test(name, bytes_that_are_encoded)
{
	static const struct pair pairs[] = {{"%", "%25"}, {"a%2Fb", "a%252Fb"}, {"%~", "%25~"},
		{"\n", "%0A"}, {"a\x1b[2J", "a%1B[2J"}, {"\x7f", "%7F"}, {"\xff\xfe", "%FF%FE"},
		{"a\xc3", "a%C3"}, {"\xc0\xaf", "%C0%AF"}, {"\xed\xa0\x80", "%ED%A0%80"},
		{"\xc2\x9b", "%C2%9B"},
		{"x\xe2\x80\xae"
		 "cod",
			"x%E2%80%AEcod"},
		{"\xd8\x9c", "%D8%9C"}, {"\xe2\x81\xa6", "%E2%81%A6"},
		{"\xe2\x80\xa8", "%E2%80%A8"}};
	check_pairs(pairs, COUNT(pairs));
}

Test(name, unicode_forms_and_cases_stay_apart)
{
	static const struct pair pairs[] = {{"\xc3\xa9", "\xc3\xa9"}, {"e\xcc\x81", "e\xcc\x81"},
		{"KEY", "KEY"}, {"key", "key"}};
	check_pairs(pairs, COUNT(pairs));
}

Test(name, decode_is_lenient)
{
	static const struct pair pairs[] = {{"prod/db/password", "prod%2Fdb%2fpassword"},
		{"abc", "%61%62c"}, {".control", ".control"}, {"a/./b", "a/./b"},
		{"a//b", "a/%2Fb"}, {"\xff", "\xff"}};
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	for (size_t i = 0; i < COUNT(pairs); i++) {
		buf_reset(&b);
		cr_assert_eq(name_decode(&b, pairs[i].path, strlen(pairs[i].path)), 0);
		cr_assert_str_eq(buf_text(&b), pairs[i].name);
	}
}

Test(name, decode_refuses_and_appends_nothing)
{
	static const char *const bad[] = {"", "/", "/a", "a/", "a//b", "%", "%2", "%zz", "%2G",
		"a%", "%00", "a/%", "%~", "%~0123456789abcdef0123456789abcde",
		"%~0123456789abcdef0123456789abcdex", "%~0123456789abcdef0123456789abcdef0",
		"%~0123456789abcdef0123456789abcdefx/y"};
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	buf_str(&b, "keep");
	for (size_t i = 0; i < COUNT(bad); i++)
		cr_assert_eq(name_decode(&b, bad[i], strlen(bad[i])), -EINVAL, "'%s'", bad[i]);
	cr_assert_eq(name_decode(&b, "a\0b", 3), -EINVAL);
	cr_assert_eq(name_decode(&b, "a%2Fb", 3), -EINVAL, "the escape is cut");
	cr_assert_eq(name_decode(&b, "x%~0123456789abcdef0123456789abcdef", 35), -ENOTUNIQ);
	cr_assert_eq(name_decode(&b, "%~0123456789abcdef0123456789abcdef/y", 36), -ENOTUNIQ);
	cr_assert_eq(name_decode(&b, "%~0123456789abcdef0123456789abcdef/%", 36), -EINVAL);
	cr_assert_str_eq(buf_text(&b), "keep");
}

Test(name, encode_refuses_and_appends_nothing)
{
	static char big[BIG];
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	memset(big, 'a', sizeof(big));
	buf_str(&b, "keep");
	cr_assert_eq(name_encode(&b, "", 0), -EINVAL);
	cr_assert_eq(name_encode(&b, "a\0b", 3), -EINVAL);
	cr_assert_eq(name_encode(&b, big, SFS_NAME_MAX + 1), -ENAMETOOLONG);
	cr_assert_eq(name_encode_component(&b, "", 0, true), -EINVAL);
	cr_assert_eq(name_encode_component(&b, "\0", 1, false), -EINVAL);
	cr_assert_eq(name_encode_component(&b, big, SFS_NAME_MAX + 1, false), -ENAMETOOLONG);
	cr_assert_eq(name_decode(&b, big, SFS_PATH_MAX + 1), -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i % 50 == 49 ? '/' : '\x01';
	cr_assert_eq(name_encode(&b, big, SFS_NAME_MAX), -ENAMETOOLONG, "three bytes for one");
	cr_assert_str_eq(buf_text(&b), "keep");
	cr_assert_eq(b.failed, 0);
}

Test(name, a_full_buffer_and_no_memory_are_reported)
{
	struct buf small = BUF_INIT(4), none = BUF_INIT(100);
	cr_assert_eq(name_encode(&small, "abcde", 5), -ENAMETOOLONG);
	cr_assert_eq(small.len, 0);
	buf_clear(&small);
	cr_assert_eq(name_decode(&small, "abcde", 5), -ENAMETOOLONG);
	buf_clear(&small);
	alloc_fail_at(1);
	cr_assert_eq(name_encode(&none, "abc", 3), -ENOMEM);
	alloc_fail_at(0);
	buf_clear(&none);
}

Test(name, components_never_make_directories)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	static const struct {
		const char *name, *path;
		bool root;
	} rows[] = {{"a/b", "a%2Fb", false}, {"/", "%2F", true}, {".control", ".control", false},
		{".control", "%2Econtrol", true}, {".value", "%2Evalue", false},
		{".value", "%2Evalue", true}, {"..", "%2E%2E", false}, {"../x", "..%2Fx", false},
		{"tls.key", "tls.key", false}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		buf_reset(&b);
		cr_assert_eq(
			name_encode_component(&b, rows[i].name, strlen(rows[i].name), rows[i].root),
			0);
		cr_assert_str_eq(buf_text(&b), rows[i].path);
	}
}

Test(name, components_up_to_255_bytes_are_kept_whole)
{
	char name[300];
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	memset(name, 'a', sizeof(name));
	cr_assert_eq(name_encode(&b, name, 255), 0);
	cr_assert_eq(b.len, 255);
	cr_assert_null(strchr(buf_text(&b), '%'));
	buf_reset(&b);
	name[100] = '%'; /* 253 bytes that take 255 */
	cr_assert_eq(name_encode(&b, name, 253), 0);
	cr_assert_eq(b.len, 255);
	cr_assert_null(strstr(buf_text(&b), "%~"));
	buf_reset(&b);
	cr_assert_eq(name_encode(&b, name, 254), 0);
	cr_assert_not_null(strstr(buf_text(&b), "%~"));
}

Test(name, longer_components_become_prefix_and_hash)
{
	char name[600], expect[256], digits[33];
	_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
	memset(name, 'a', 599);
	name[599] = '\0';
	cr_assert_eq(hash_hex(name, 599, digits, 32), 0);
	snprintf(expect, sizeof(expect), "%.221s%%~%s", name, digits);
	cr_assert_eq(name_encode(&b, name, 599), 0);
	cr_assert_str_eq(buf_text(&b), expect);
	cr_assert_eq(name_decode(&b, expect, 255), -ENOTUNIQ);

	/* Only the long component is changed, and it alone is hashed. */
	char path[700];
	snprintf(path, sizeof(path), "x/%s/y", name);
	buf_reset(&b);
	cr_assert_eq(name_encode(&b, path, strlen(path)), 0);
	snprintf(path, sizeof(path), "x/%s/y", expect);
	cr_assert_str_eq(buf_text(&b), path);
	cr_assert_eq(name_decode(&b, path, strlen(path)), -ENOTUNIQ);
}

Test(name, the_cut_keeps_characters_whole)
{
	static const char *const units[] = {
		"\xc3\xa4", "\xe5\x90\x8d", "\xf0\x9f\x94\x91", "\x01", "\xe2\x80\xae", "\xff"};
	for (size_t u = 0; u < COUNT(units); u++) {
		for (size_t shift = 0; shift < 12; shift++) {
			char name[1200];
			size_t len = shift;
			_cleanup_(buf_clear) struct buf b = BUF_INIT(BIG);
			memset(name, 'a', shift);
			while (len < 1000)
				len += (size_t)sprintf(name + len, "%s", units[u]);
			cr_assert_eq(name_encode(&b, name, len), 0);
			cr_assert_leq(b.len, 255);
			cr_assert_gt(b.len, 255 - 12);
			cr_assert(utf8_valid(b.data, b.len));
			/* Without the hash it is a whole encoding, hence the beginning of the name.
			 */
			_cleanup_(buf_clear) struct buf prefix = BUF_INIT(BIG);
			cr_assert_eq(name_decode(&prefix, b.data, b.len - HASH_LENGTH), 0);
			cr_assert_eq(memcmp(prefix.data, name, prefix.len), 0);
		}
	}
}

/* --- the properties of R49 over random names --- */

static size_t random_name(char *out, size_t most)
{
	static const char *const pieces[] = {"/", "//", ".", "..", ".control", ".value", ".next",
		".json", "%", "%2F", "%~", "%~0123456789abcdef0123456789abcdef", "\x1b",
		"\xe2\x80\xae", "\xc3\xa4", "\xc3", "\xed\xa0\x80", "\xc2\x85", "a", "db", "\x7f",
		"\r\n", "\xf0\x9f\x94\x91", "\xff", " ",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	size_t len = 0, n = 1 + (size_t)rand() % 9;
	for (size_t i = 0; i < n; i++) {
		const char *piece = pieces[(size_t)rand() % COUNT(pieces)];
		char byte[2] = {(char)(1 + rand() % 255), 0};
		if (rand() % 4 == 0)
			piece = byte;
		for (int times = rand() % 8 ? 1 : rand() % 6;
			times > 0 && len + strlen(piece) <= most; times--) {
			memcpy(out + len, piece, strlen(piece));
			len += strlen(piece);
		}
	}
	if (!len)
		out[len++] = 'x';
	return len;
}

/* A component that a directory may show: what R49 demands. Returns true for one in hash form. */
static bool check_component(const char *s, size_t len, bool at_root)
{
	char text[256];
	cr_assert(len >= 1 && len <= SFS_COMPONENT_MAX);
	memcpy(text, s, len);
	text[len] = '\0';
	cr_assert_eq(strlen(text), len);
	cr_assert(
		strcmp(text, ".") != 0 && strcmp(text, "..") != 0 && strcmp(text, NAME_VALUE) != 0);
	cr_assert_not(at_root && name_is_reserved_root(text));
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t code = 0;
		n = utf8_decode((const unsigned char *)s + i, len - i, &code);
		cr_assert_gt(n, 0);
		cr_assert_not(text_is_control(code));
	}
	return strstr(text, "%~") != NULL;
}

static bool check_path(const char *path)
{
	bool hashed = false;
	for (const char *s = path;;) {
		size_t len = strcspn(s, "/");
		hashed |= check_component(s, len, s == path);
		if (!s[len])
			return hashed;
		s += len + 1;
	}
}

Test(name, decode_of_encode_is_the_identity)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(BIG);
	_cleanup_(buf_clear) struct buf back = BUF_INIT(BIG);
	_cleanup_(buf_clear) struct buf again = BUF_INIT(BIG);
	int hashed = 0;
	for (int round = 0; round < 200000; round++) {
		char name[1000];
		size_t len = random_name(name, sizeof(name));
		buf_reset(&path);
		buf_reset(&back);
		buf_reset(&again);
		cr_assert_eq(name_encode(&path, name, len), 0);
		if (check_path(buf_text(&path))) {
			cr_assert_eq(name_decode(&back, path.data, path.len), -ENOTUNIQ);
			hashed++;
			continue;
		}
		cr_assert_eq(name_decode(&back, path.data, path.len), 0);
		cr_assert_eq(back.len, len);
		cr_assert_eq(memcmp(back.data, name, len), 0);
		cr_assert_eq(name_encode(&again, back.data, back.len), 0);
		cr_assert_str_eq(buf_text(&again), buf_text(&path));
	}
	cr_assert_gt(hashed, 100);
	cr_assert_lt(hashed, 100000);
}

Test(name, components_are_reversible_too)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(BIG);
	_cleanup_(buf_clear) struct buf back = BUF_INIT(BIG);
	for (int round = 0; round < 50000; round++) {
		char name[200];
		bool root = rand() % 2;
		size_t len = random_name(name, sizeof(name));
		buf_reset(&path);
		buf_reset(&back);
		cr_assert_eq(name_encode_component(&path, name, len, root), 0);
		cr_assert_null(strchr(buf_text(&path), '/'));
		if (check_component(path.data, path.len, root))
			continue;
		cr_assert_eq(name_decode(&back, path.data, path.len), 0);
		cr_assert_eq(back.len, len);
		cr_assert_eq(memcmp(back.data, name, len), 0);
	}
}

/* What decode accepts names something, and the canonical path of that decodes to the same name. */
Test(name, lenient_paths_have_one_canonical_form)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(BIG);
	_cleanup_(buf_clear) struct buf path = BUF_INIT(BIG);
	_cleanup_(buf_clear) struct buf back = BUF_INIT(BIG);
	int accepted = 0;
	for (int round = 0; round < 100000; round++) {
		char text[30];
		size_t len = 1 + (size_t)rand() % 20;
		for (size_t i = 0; i < len; i++)
			text[i] = "%%2Ff.~ae/\xc3\xa4v"[rand() % 13];
		buf_reset(&name);
		buf_reset(&path);
		buf_reset(&back);
		if (name_decode(&name, text, len) < 0)
			continue;
		accepted++;
		cr_assert_eq(name_encode(&path, name.data, name.len), 0);
		check_path(buf_text(&path));
		cr_assert_eq(name_decode(&back, path.data, path.len), 0);
		cr_assert_str_eq(buf_text(&back), buf_text(&name));
	}
	cr_assert_gt(accepted, 1000);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

Test(name, long_names_that_differ_anywhere_stay_apart)
{
	enum { N = 45 * 400 };
	char **paths = calloc(N, sizeof(*paths));
	for (int i = 0; i < N; i++) {
		char name[400];
		struct buf b = BUF_INIT(BIG);
		memset(name, 'a', sizeof(name));
		/* one byte changed, at each place in turn; 46 bytes below the usual letters, %, .
		 * and / among them */
		name[i % 400] = (char)(1 + (i / 400) % 46);
		cr_assert_eq(name_encode(&b, name, 400), 0);
		paths[i] = buf_take(&b);
	}
	qsort(paths, N, sizeof(*paths), compare);
	for (int i = 1; i < N; i++)
		cr_assert_str_neq(paths[i - 1], paths[i]);
	for (int i = 0; i < N; i++)
		mem_free(paths[i]);
	free(paths);
}

/* Whoever knows the hash form of a long name cannot choose another name that is shown under it. */
Test(name, nobody_can_take_the_hash_form_of_another)
{
	char name[400];
	_cleanup_(buf_clear) struct buf victim = BUF_INIT(BIG);
	_cleanup_(buf_clear) struct buf forged = BUF_INIT(BIG);
	memset(name, 'a', sizeof(name));
	cr_assert_eq(name_encode(&victim, name, sizeof(name)), 0);
	cr_assert_eq(name_encode(&forged, victim.data, victim.len), 0);
	cr_assert_str_neq(buf_text(&forged), buf_text(&victim));
}
