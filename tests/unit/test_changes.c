/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/changes.h"
#include "base/limits.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct changes c;

static void setup(void)
{
	c = (struct changes)CHANGES_INIT;
}

static void teardown(void)
{
	changes_clear(&c);
}

TestSuite(changes, .init = setup, .fini = teardown);

static const char *all(void)
{
	static char out[SFS_CHANGES_MAX + 1];
	size_t n = changes_take(&c, out, sizeof(out) - 1);
	out[n] = '\0';
	return out;
}

static int lines(const char *text)
{
	return changes_add_lines(&c, text, strlen(text));
}

Test(changes, a_line_each)
{
	cr_assert(!changes_any(&c));
	cr_assert_str_eq(all(), "");
	changes_add(&c, CHANGE_CREATED, "a b/c");
	changes_add(&c, CHANGE_ROTATED, "x");
	changes_add(&c, CHANGE_DELETED, "x");
	cr_assert(changes_any(&c));
	cr_assert_str_eq(all(), "created a b/c\nrotated x\ndeleted x\n");
	cr_assert(!changes_any(&c));
}

Test(changes, a_repeated_line_moves_to_the_end)
{
	changes_add(&c, CHANGE_CREATED, "a");
	changes_add(&c, CHANGE_CREATED, "aa");
	changes_add(&c, CHANGE_DELETED, "a");
	changes_add(&c, CHANGE_CREATED, "a");
	cr_assert_str_eq(all(), "created aa\ndeleted a\ncreated a\n");
}

Test(changes, a_line_is_not_found_within_another)
{
	changes_add(&c, CHANGE_CREATED, "x created a");
	changes_add(&c, CHANGE_CREATED, "a");
	cr_assert_str_eq(all(), "created x created a\ncreated a\n");
}

Test(changes, too_much_becomes_one_line)
{
	static char text[SFS_CHANGES_MAX];
	char path[64];
	size_t n, total = 0, last = 0;
	for (int i = 0; i < 10000; i++) {
		snprintf(path, sizeof(path), "secret-number-%d", i);
		changes_add(&c, CHANGE_ROTATED, path);
	}
	cr_assert(c.more);
	changes_add(&c, CHANGE_ROTATED, "y");
	while ((n = changes_take(&c, text, SFS_HOLD_MSG_MAX - 1)) > 0) {
		cr_assert_lt(n, SFS_HOLD_MSG_MAX);
		cr_assert_eq(text[n - 1], '\n');
		total += n;
		last = n;
	}
	cr_assert(total > SFS_CHANGES_MAX - 200 && total <= SFS_CHANGES_MAX, "%zu", total);
	cr_assert_eq(memcmp(text + last - 10, "changed *\n", 10), 0);
	cr_assert(!changes_any(&c));
	changes_add(&c, CHANGE_ROTATED, "y");
	cr_assert_str_eq(all(), "rotated y\n", "afterwards as new");
}

Test(changes, the_longest_path_fits_a_message)
{
	static char path[SFS_PATH_MAX], out[SFS_HOLD_MSG_MAX];
	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 256 == 255 ? '/' : 'a';
	path[sizeof(path) - 1] = '\0';
	changes_add(&c, CHANGE_CREATED, path);
	cr_assert(!c.more);
	size_t n = changes_take(&c, out, SFS_HOLD_MSG_MAX - 1);
	cr_assert_eq(n, strlen("created \n") + strlen(path));
	cr_assert_eq(changes_add_lines(&c, out, n), 0);
}

Test(changes, legal_lines_of_others)
{
	cr_assert_eq(lines("created a\nrotated b c/\xc3\xbc\n"), 0);
	cr_assert_eq(lines("deleted .x/...\n"), 0);
	cr_assert_eq(lines(""), 0);
	cr_assert_str_eq(all(), "created a\nrotated b c/\xc3\xbc\ndeleted .x/...\n");
	cr_assert_eq(lines("created a\nchanged *\n"), 0);
	cr_assert_str_eq(all(), "created a\nchanged *\n");
}

Test(changes, illegal_lines_of_others)
{
	static const char *const bad[] = {"created a", "\n", "created\n", "created \n", "made a\n",
		"created a\n\n", "created /a\n", "created a/\n", "created a//b\n", "created ../a\n",
		"created a/../b\n", "created .\n", "created a\x1b[0m\n", "created a\tb\n",
		"created \xff\n", "created \xe2\x80\xae\n", "created \x7f\n", "changed a\n",
		"changed **\n", "changed * \n", "Created a\n", " created a\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[128];
		cr_assert_eq(lines(bad[i]), -EBADMSG, "%zu", i);
		snprintf(text, sizeof(text), "created good\n%s", bad[i]);
		cr_assert_eq(lines(text), -EBADMSG, "%zu: all or nothing", i);
		cr_assert(!changes_any(&c), "%zu", i);
	}
	cr_assert_eq(changes_add_lines(&c, "created a\0b\n", 12), -EBADMSG);
}

Test(changes, a_long_component_is_illegal)
{
	char text[300] = "created ";
	memset(text + 8, 'a', 256);
	text[264] = '\n';
	cr_assert_eq(lines(text), -EBADMSG);
	text[263] = '\n';
	text[264] = '\0';
	cr_assert_eq(lines(text), 0);
}

Test(changes, no_memory_is_too_much)
{
	alloc_fail_at(1);
	changes_add(&c, CHANGE_CREATED, "a");
	alloc_fail_at(0);
	cr_assert_str_eq(all(), "changed *\n");
}
