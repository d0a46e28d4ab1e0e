/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/words.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void splits(const char *line, const char *const *want)
{
	_cleanup_free_ char **v = NULL;
	size_t n = 0, i = 0;
	cr_assert_eq(words_split(line, &v, &n), 0, "%s", line);
	for (; want[i]; i++)
		cr_assert(i < n && strcmp(v[i], want[i]) == 0, "%s: word %zu", line, i);
	cr_assert_eq(n, i, "%s: %zu words", line, n);
	cr_assert_null(v[n]);
}

#define SPLITS(line, ...) splits(line, (const char *const[]){__VA_ARGS__, NULL})

Test(words, as_a_shell_splits_them)
{
	SPLITS("a", "a");
	SPLITS("  a\tb \n c ", "a", "b", "c");
	SPLITS("/opt/x 'a b' \"c d\"", "/opt/x", "a b", "c d");
	SPLITS("a'b'\"c\"d", "abcd");
	SPLITS("a\\ b \\'c\\\" \\\\", "a b", "'c\"", "\\");
	SPLITS("'' \"\" x", "", "", "x");
	SPLITS("'a\\b' \"a\\b\" a\\b", "a\\b", "a\\b", "ab");
	SPLITS("\"\\\"\\\\\\$\\`\\x\"", "\"\\$`\\x");
	SPLITS("'it'\\''s'", "it's");
}

Test(words, nothing_else_of_a_shell)
{
	SPLITS("$HOME `id` $(id) *.c ~ # x | y; z > w & {a,b}", "$HOME", "`id`", "$(id)", "*.c",
		"~", "#", "x", "|", "y;", "z", ">", "w", "&", "{a,b}");
}

Test(words, what_has_no_end_is_refused)
{
	static const char *const bad[] = {
		"", " \t\n", "'a", "\"a", "a \"b c", "a\\", "\"a\\\"", "'"};
	char *none = NULL, **v = &none;
	size_t n = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(words_split(bad[i], &v, &n), -EINVAL, "%s", bad[i]);
		cr_assert(v == &none && n == 7, "untouched");
	}
}

Test(words, not_too_many_and_not_without_memory)
{
	char line[2 * WORDS_MAX + 3];
	_cleanup_free_ char **v = NULL;
	size_t n = 0;
	for (size_t i = 0; i < sizeof(line) - 1; i += 2)
		memcpy(line + i, "x ", 2);
	line[2 * WORDS_MAX + 2] = '\0';
	cr_assert_eq(words_split(line, &v, &n), -E2BIG);
	line[2 * WORDS_MAX] = '\0';
	alloc_fail_at(1);
	cr_assert_eq(words_split(line, &v, &n), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq(words_split(line, &v, &n), 0);
	cr_assert_eq(n, WORDS_MAX);
}
