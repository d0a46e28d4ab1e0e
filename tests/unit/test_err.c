/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void assert_printable(const char *s)
{
	for (; *s; s++)
		cr_assert(*s >= 0x20 && *s <= 0x7e, "byte %02x", (unsigned char)*s);
}

Test(err, set_returns_the_negative_code)
{
	struct sfs_err e = {0};
	cr_assert_eq(err_set(&e, ENOENT, "no such secret: %s", "db"), -ENOENT);
	cr_assert_eq(e.code, ENOENT);
	cr_assert_str_eq(e.msg, "no such secret: db");
}

Test(err, null_is_fine)
{
	cr_assert_eq(err_set(NULL, ENOENT, "x"), -ENOENT);
	cr_assert_eq(err_errno(NULL, EACCES, "x"), -EACCES);
	cr_assert_eq(err_prefix(NULL, "x"), -EIO);
	err_clear(NULL);
}

Test(err, errno_adds_the_reason)
{
	struct sfs_err e = {0};
	cr_assert_eq(err_errno(&e, EACCES, "open %s", "/x"), -EACCES);
	cr_assert_str_eq(e.msg, "open /x: Permission denied");
	cr_assert_eq(err_errno(&e, 100000, "open"), -100000);
	cr_assert_str_eq(e.msg, "open: unknown error");
}

Test(err, prefixes_stack)
{
	struct sfs_err e = {0};
	err_set(&e, EIO, "read failed");
	cr_assert_eq(err_prefix(&e, "get %s", "db/password"), -EIO);
	cr_assert_eq(err_prefix(&e, "file/prod"), -EIO);
	cr_assert_str_eq(e.msg, "file/prod: get db/password: read failed");
}

Test(err, never_turns_a_failure_into_success)
{
	struct sfs_err e = {0};
	cr_assert_eq(err_set(&e, 0, "x"), -EIO);
	cr_assert_eq(err_set(&e, -ENOENT, "x"), -EIO);
	cr_assert_eq(err_set(NULL, 0, "x"), -EIO);
	cr_assert_eq(err_errno(NULL, 0, "x"), -EIO);
	err_clear(&e);
	cr_assert_eq(err_prefix(&e, "get db"), -EIO);
	cr_assert_eq(e.code, EIO);
	cr_assert_str_eq(e.msg, "get db: failed without a reason");
}

Test(err, long_sentences_are_cut)
{
	struct sfs_err e = {0};
	char name[4 * SFS_ERR_MAX];
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			err_set(&e, EIO, "%s", name);
		else if (i == 1)
			err_prefix(&e, "%s", name);
		else
			err_errno(&e, EIO, "%s", name);
		cr_assert_eq(strlen(e.msg), SFS_ERR_MAX - 1);
	}
	err_set(&e, EIO, "short");
	name[SFS_ERR_MAX - 4] = '\0';
	err_prefix(&e, "%s", name);
	cr_assert_eq(strlen(e.msg), SFS_ERR_MAX - 1);
	cr_assert_str_eq(e.msg + SFS_ERR_MAX - 5, "n: s");
}

Test(err, terminal_sequences_do_not_survive)
{
	struct sfs_err e = {0};
	const char *evil = "a\x1b[2J\r\nb\xe2\x80\xae"
			   "c\x7f";
	err_set(&e, EIO, "%s", evil);
	cr_assert_str_eq(e.msg, "a?[2J??b???c?");
	err_prefix(&e, "%s", evil);
	assert_printable(e.msg);
	err_errno(&e, EIO, "%s", evil);
	assert_printable(e.msg);
}

Test(err, an_argument_may_be_the_message_itself)
{
	struct sfs_err e = {0};
	err_set(&e, EIO, "first");
	cr_assert_eq(err_set(&e, EACCES, "again: %s", e.msg), -EACCES);
	cr_assert_str_eq(e.msg, "again: first");
	err_prefix(&e, "(%s)", e.msg);
	cr_assert_str_eq(e.msg, "(again: first): again: first");
}

Test(err, clear_forgets)
{
	struct sfs_err e = {0};
	err_set(&e, EIO, "x");
	err_clear(&e);
	cr_assert_eq(e.code, 0);
	cr_assert_str_eq(e.msg, "");
}

Test(err, a_cause_that_passes_stays_so_under_a_prefix_only)
{
	struct sfs_err err = {0};
	err_set(&err, EKEYEXPIRED, "expired");
	cr_assert_not(err_transient(&err));
	err.passes = true;
	err_prefix(&err, "aws");
	cr_assert(err_transient(&err));
	err_set(&err, EKEYEXPIRED, "again");
	cr_assert_not(err_transient(&err));
	err_errno(&err, ETIMEDOUT, "read");
	cr_assert(err_transient(&err));
	err.passes = true;
	err_clear(&err);
	cr_assert_not(err_transient(&err));
}
