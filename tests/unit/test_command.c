/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/command.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char whole[] = "/opt/creds --for 'a b'\n/home/me\nAWS_PROFILE=dev=1\nAPI_KEY@env:K";

Test(command, its_text_can_be_read_back)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	_cleanup_(command_clear) struct command c = {0};
	cr_assert_eq(command_begin(&b, "/opt/creds --for 'a b'", "/home/me"), 0);
	cr_assert_eq(command_add(&b, "AWS_PROFILE", "dev=1", false), 0);
	cr_assert_eq(command_add(&b, "API_KEY", "env:K", true), 0);
	cr_assert_str_eq(buf_text(&b), whole);
	cr_assert_eq(command_parse(whole, &c), 0);
	cr_assert_str_eq(c.line, "/opt/creds --for 'a b'");
	cr_assert_str_eq(c.home, "/home/me");
	cr_assert_eq(c.nvars, 2);
	cr_assert_str_eq(c.vars[0].name, "AWS_PROFILE");
	cr_assert_str_eq(c.vars[0].value, "dev=1");
	cr_assert_not(c.vars[0].ref);
	cr_assert_str_eq(c.vars[1].name, "API_KEY");
	cr_assert_str_eq(c.vars[1].value, "env:K");
	cr_assert(c.vars[1].ref);
}

Test(command, without_home_and_variables)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	_cleanup_(command_clear) struct command c = {0};
	cr_assert_eq(command_begin(&b, "x", NULL), 0);
	cr_assert_eq(command_parse(buf_text(&b), &c), 0);
	cr_assert_str_eq(c.home, "");
	cr_assert_eq(c.nvars, 0);
}

Test(command, lines_that_are_none)
{
	char line[5000];
	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	cr_assert_eq(command_check_line(line), -E2BIG);
	cr_assert_eq(command_check_line(""), -EINVAL);
	cr_assert_eq(command_check_line("'a"), -EINVAL);
	cr_assert_eq(command_check_line("a\nb"), -EINVAL);
	cr_assert_eq(command_check_line("a\033b"), -EINVAL);
	cr_assert_eq(command_check_line("a\t'b'"), 0);
}

Test(command, malformed_texts)
{
	static const char *const bad[] = {"", "x", "\n/h", "x\nrelative", "x\n/h\n", "x\n/h\nA",
		"x\n/h\n=v", "x\n/h\nA B=v", "x\n/h\nA:v", "'x\n/h", "x\n/h\nA=\001", "x\n/\033"};
	struct command c = {.line = (char *)(uintptr_t)whole};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(command_parse(bad[i], &c), -EINVAL, "%zu", i);
		cr_assert_eq(c.line, whole, "untouched");
	}
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	cr_assert_eq(command_begin(&b, "a\nb", NULL), -EINVAL);
	cr_assert_eq(command_begin(&b, "a", "/h\nX=1"), -EINVAL);
	cr_assert_eq(b.len, 0);
}

Test(command, no_memory_anywhere)
{
	for (unsigned long n = 1; n < 40; n++) {
		_cleanup_(command_clear) struct command c = {0};
		alloc_fail_at(n);
		int r = command_parse(whole, &c);
		unsigned long met = alloc_fail_at(0);
		cr_assert_eq(r, met >= n ? -ENOMEM : 0, "%lu", n);
	}
}
