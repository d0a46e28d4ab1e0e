/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/text.h"
#include <criterion/criterion.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct row {
	const char *pattern, *path;
	bool match;
};

static void check(const struct row *rows)
{
	for (; rows->pattern; rows++)
		cr_assert_eq(glob_match(rows->pattern, rows->path), rows->match, "'%s' on '%s'",
			rows->pattern, rows->path);
}

Test(glob, literals)
{
	check((const struct row[]){{"", "", true}, {"", "a", false}, {"a", "", false},
		{"abc", "abc", true}, {"abc", "abcd", false}, {"abcd", "abc", false},
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a", "A", false}, {0}});
}

Test(glob, star_and_question_mark_stop_at_slash)
{
	check((const struct row[]){{"*.env", "prod.env", true}, {"*.env", ".env", true},
		{"*.env", "a/b.env", false}, {"a*", "a", true}, {"a*", "abc", true},
		{"a*", "a/b", false}, {"*/b", "a/b", true}, {"*/b", "/b", true},
		{"*/b", "b", false}, {"*/*", "a/b", true}, {"*/*", "a/b/c", false},
		{"a?c", "abc", true}, {"a?c", "a/c", false}, {"a?c", "ac", false},
		{"?", "ab", false}, {"a*b*c", "a1b2b3c", true}, {"a*b*c", "a1b2b3d", false},
		{".*", ".dockerconfigjson", true}, {"*", ".hidden", true}, {0}});
}

Test(glob, star_alone_matches_everything)
{
	check((const struct row[]){{"*", "", true}, {"*", "a", true}, {"*", "a/b/c", true}, {0}});
}

Test(glob, two_stars_cross_slashes)
{
	check((const struct row[]){{"**", "a/b", true}, {"**", "", true},
		{"prod/**", "prod/a", true}, {"prod/**", "prod/a/b", true},
		{"prod/**", "prod/", true}, {"prod/**", "prod", false},
		{"prod/**", "production/a", false}, {"**/x", "x", true}, {"**/x", "a/x", true},
		{"**/x", "a/b/x", true}, {"**/x", "ax", false}, {"**/x", "a/bx", false},
		{"a/**/b", "a/b", true}, {"a/**/b", "a/1/b", true}, {"a/**/b", "a/1/2/b", true},
		{"a/**/b", "a/1b", false}, {"a/**/b", "ab", false}, {"a**/b", "ab", false},
		{"a**/b", "a/b", true}, {"a**/b", "a1/2/b", true}, {"a**b", "a/x/b", true},
		{"**/**/x", "x", true}, {"**/**/x", "a/x", true}, {"***", "a/b", true},
		{"***/x", "x", true}, {"**/*.pem", "tls/a.pem", true}, {"**/*.pem", "a.pem", true},
		{"a/**/*/b", "a/b", false}, {"a/**/*/b", "a/1/b", true}, {0}});
}

Test(glob, brackets)
{
	check((const struct row[]){{"[abc]", "b", true}, {"[abc]", "d", false},
		{"[a-c]x", "bx", true}, {"[a-c]", "d", false}, {"[!a-c]", "d", true},
		{"[!a-c]", "b", false}, {"[^a]", "b", true}, {"[^a]", "a", false},
		{"[]]", "]", true}, {"[!]]", "]", false}, {"[!]]", "x", true}, {"[]-a]", "_", true},
		{"[a-]", "-", true}, {"[-a]", "-", true}, {"[a\\-z]", "m", false},
		{"[a\\-z]", "-", true}, {"[\\]]", "]", true}, {"[\\!a]", "!", true},
		{"[z-a]", "m", false}, {"a[/]b", "a/b", false}, {"a[!x]b", "a/b", false},
		{"[a-cx-z]", "y", true}, {"[*?]", "*", true}, {"[*?]", "x", false},
		{"v[0-9][0-9]", "v07", true}, {0}});
}

Test(glob, malformed_brackets_are_literal)
{
	check((const struct row[]){{"[", "[", true}, {"[abc", "[abc", true}, {"[abc", "a", false},
		{"[]", "[]", true}, {"[!]", "[!]", true}, {"a[", "a[", true}, {"[[", "[[", true},
		{"[*", "[abc", true}, {"[a\\]", "[a]", true}, {"]", "]", true}, {"[[]", "[", true},
		{0}});
}

Test(glob, backslash_quotes)
{
	check((const struct row[]){{"a\\*", "a*", true}, {"a\\*", "ab", false}, {"\\?", "?", true},
		{"\\?", "x", false}, {"\\[a]", "[a]", true}, {"\\\\", "\\", true},
		{"\\a", "a", true}, {"a\\", "a\\", true}, {"a\\", "a", false},
		{"\\*", "abc", false}, {"\\**", "*abc", true}, {0}});
}

Test(glob, characters_are_not_bytes)
{
	check((const struct row[]){{"?", "\xc3\xa4", true}, {"??", "\xc3\xa4", false},
		{"*?", "\xc3\xa4", true}, {"*??", "\xc3\xa4", false},
		{"[\xc3\xa4\xc3\xb6]", "\xc3\xb6", true}, {"[!a]", "\xf0\x9f\x94\x91", true},
		{"[\xc3\xa0-\xc3\xbf]x", "\xc3\xa4x", true}, {"[\xc3\xa0-\xc3\xbf]", "a", false},
		{"?", "\xff", true}, {"\xff", "\xff", true}, {"a\xc3*", "a\xc3\xa4", false},
		{"*\xa4", "\xc3\xa4", false}, {0}});
}

/* The same question put to libc, for what both know. */
Test(glob, agrees_with_fnmatch)
{
	static const char *const tokens[] = {
		"a", "b", "/", "?", "*", "[ab]", "[!a]", "[b-c]", "\\*", "\\b", ".", "c"};
	int hits = 0;
	for (int round = 0; round < 200000; round++) {
		char pattern[64] = "", path[12];
		int n = 1 + rand() % 7, len = rand() % 9;
		for (int i = 0, star = 0; i < n; i++) {
			int t = rand() % 12;
			if (!(star && t == 4))
				strcat(pattern, tokens[t]);
			star = t == 4;
		}
		for (int i = 0; i < len; i++)
			path[i] = "aabbc/.*"[rand() % 8];
		path[len] = '\0';
		if (!strcmp(pattern, "*"))
			continue;
		bool expect = fnmatch(pattern, path, FNM_PATHNAME) == 0;
		hits += expect;
		cr_assert_eq(glob_match(pattern, path), expect, "'%s' on '%s'", pattern, path);
	}
	cr_assert_gt(hits, 1000);
}

/* The rules of '*' and '**' written as plain recursion. */
static bool reference(const char *p, const char *s, bool start)
{
	if (!*p)
		return !*s;
	if (p[0] == '*' && p[1] == '*') {
		p += strspn(p, "*");
		if (start && *p == '/') {
			if (reference(p + 1, s, true))
				return true;
			for (; *s; s++)
				if (*s == '/' && reference(p + 1, s + 1, true))
					return true;
			return false;
		}
		for (;; s++) {
			if (reference(p, s, false))
				return true;
			if (!*s)
				return false;
		}
	}
	if (*p == '*') {
		for (;; s++) {
			if (reference(p + 1, s, false))
				return true;
			if (!*s || *s == '/')
				return false;
		}
	}
	return *s && (*p == *s || (*p == '?' && *s != '/')) && reference(p + 1, s + 1, *p == '/');
}

Test(glob, agrees_with_a_recursive_reference)
{
	int hits = 0;
	for (int round = 0; round < 200000; round++) {
		char pattern[10], path[12];
		int n = rand() % 9, len = rand() % 9;
		for (int i = 0; i < n; i++)
			pattern[i] = "a/b***/?"[rand() % 8];
		pattern[n] = '\0';
		for (int i = 0; i < len; i++)
			path[i] = "aab//"[rand() % 5];
		path[len] = '\0';
		bool expect = !strcmp(pattern, "*") || reference(pattern, path, true);
		hits += expect;
		cr_assert_eq(glob_match(pattern, path), expect, "'%s' on '%s'", pattern, path);
	}
	cr_assert_gt(hits, 1000);
}

/* Each would keep a backtracking matcher busy for longer than the universe exists. */
Test(glob, is_not_exponential)
{
	static char path[SFS_PATH_MAX + 1], pattern[8 * 600 + 2];
	static const char *const pieces[] = {"*a", "**a", "**/", "*?", "[!b]*", "**/*a"};
	memset(path, 'a', SFS_PATH_MAX);
	for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
		pattern[0] = '\0';
		for (int i = 0; i < 600; i++)
			strcat(pattern, pieces[k]);
		strcat(pattern, "b");
		cr_assert_not(glob_match(pattern, path));
	}
	for (size_t i = 1; i < SFS_PATH_MAX; i += 2)
		path[i] = '/';
	pattern[0] = '\0';
	for (int i = 0; i < 600; i++)
		strcat(pattern, "**/*");
	strcat(pattern, "b");
	cr_assert_not(glob_match(pattern, path));
}

Test(glob, many_open_brackets)
{
	static char pattern[SFS_CONFIG_LINE_MAX], path[SFS_PATH_MAX + 1];
	memset(pattern, '[', sizeof(pattern) - 1);
	memset(path, '[', SFS_PATH_MAX);
	pattern[0] = '*';
	cr_assert_not(glob_match(pattern, path));
	pattern[SFS_PATH_MAX] = '\0';
	cr_assert(glob_match(pattern, path));
	pattern[SFS_PATH_MAX - 1] = ']'; /* now all of it is one bracket */
	path[SFS_PATH_MAX - 1] = 'x';
	cr_assert_not(glob_match(pattern, path));
}

Test(glob, longest_path)
{
	static char path[SFS_PATH_MAX + 2];
	memset(path, 'a', SFS_PATH_MAX);
	cr_assert(glob_match("a*a", path));
	cr_assert(glob_match("**", path));
	path[SFS_PATH_MAX] = 'a';
	cr_assert_not(glob_match("a*a", path));
}
