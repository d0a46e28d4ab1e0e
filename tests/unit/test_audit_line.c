/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "mount/audit_line.h"
#include "mount/cli.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {NULL};

/* 2026-11-22T17:03:13.042Z */
#define WALL (1795366993 * NSEC_PER_SEC + 42 * NSEC_PER_MSEC + 999)

static struct audit_line usual(void)
{
	return (struct audit_line){.wall = WALL,
		.mount = "/run/secrets",
		.pid = 10,
		.tid = 11,
		.uid = 1000,
		.gid = 4294967294U,
		.comm = "app",
		.cgroup = "/system.slice/app.service",
		.exe = "/usr/bin/app",
		.name = "db/password",
		.view = "tree",
		.version = "v1",
		.cache = "hit"};
}

static char *made(const struct audit_line *l)
{
	struct buf b = BUF_INIT(SFS_AUDIT_LINE);
	cr_assert_eq(audit_line_add(l, &b), 0);
	for (size_t i = 0; i + 1 < b.len; i++)
		cr_assert(b.data[i] >= 0x20 && b.data[i] <= 0x7e, "byte %zu of %s", i, b.data);
	cr_assert_eq(b.data[b.len - 1], '\n', "one newline, at the end");
	return buf_take(&b);
}

static bool has(const struct audit_line *l, const char *member)
{
	char *text = made(l);
	bool found = strstr(text, member);
	if (!found)
		cr_log_error("%s is not in %s", member, text);
	mem_free(text);
	return found;
}

Test(audit_line, whole)
{
	struct audit_line l = usual();
	char *text = made(&l);
	cr_assert_str_eq(text,
		"{\"time\":\"2026-11-22T17:03:13.042Z\",\"mount\":\"/run/"
		"secrets\",\"pid\":10,\"tid\":"
		"11,\"uid\":1000,\"gid\":4294967294,\"comm\":\"app\",\"cgroup\":\"/system.slice/"
		"app.service\",\"exe\":\"/usr/bin/app\",\"name\":\"db/password\",\"view\":\"tree\","
		"\"version\":\"v1\",\"cache\":\"hit\",\"verdict\":\"ok\"}\n");
	mem_free(text);
}

Test(audit_line, what_is_not_known)
{
	struct audit_line l = usual();
	l.pid = l.tid = 0;
	l.comm = l.exe = l.cgroup = l.version = NULL;
	cr_assert(has(&l, "\"pid\":null,\"tid\":null,"));
	cr_assert(has(&l, "\"comm\":\"?\",\"cgroup\":\"?\",\"exe\":\"?\""));
	cr_assert(has(&l, "\"version\":null,"));
	l.comm = "";
	cr_assert(has(&l, "\"comm\":\"\""), "an empty name is a name");
}

Test(audit_line, a_field_has_a_member_of_its_own)
{
	struct audit_line l = usual();
	l.view = "fields";
	l.field = "a/\"b";
	cr_assert(has(&l, "\"view\":\"fields\",\"field\":\"a/\\\"b\",\"version\""));
}

Test(audit_line, verdicts)
{
	struct audit_line l = usual();
	l.errnum = EKEYREVOKED;
	cr_assert(has(&l, "\"verdict\":\"EKEYREVOKED\"}"));
	l.errnum = 4000;
	cr_assert(has(&l, "\"verdict\":\"errno 4000\"}"), "a number without a name");
}

Test(audit_line, nothing_ends_a_line_or_a_string)
{
	static const char evil[] = "a\"},\n{\"x\":\x1b[2J\x7f\\\t\r";
	struct audit_line l = usual();
	l.comm = l.exe = l.cgroup = l.name = l.version = evil;
	cr_assert(has(
		&l, "\"comm\":\"a\\\"},\\u000a{\\\"x\\\":\\u001b[2J\\u007f\\\\\\u0009\\u000d\","));
	l.exe = "/tmp/\xe2\x80\xae\xc3\xa4";
	cr_assert(has(&l, "\"exe\":\"/tmp/\\u202e\\u00e4\""));
}

Test(audit_line, bytes_that_are_no_text_stay_apart)
{
	struct audit_line l = usual();
	l.exe = "/tmp/\xff\n";
	cr_assert(has(&l, "\"exe\":\"/tmp/\\\\xff\\\\x0a\""));
	l.exe = "/tmp/\xfe\n";
	cr_assert(has(&l, "\"exe\":\"/tmp/\\\\xfe\\\\x0a\""));
}

Test(audit_line, the_longest_fits)
{
	static char path[SFS_PATH_MAX], version[SFS_VERSION_MAX];
	struct audit_line l = usual();
	memset(path, '\x01', sizeof(path) - 1);
	memset(version, '\x01', sizeof(version) - 1);
	l.exe = l.cgroup = l.name = path;
	l.version = version;
	mem_free(made(&l));
	memset(path, '\xff', sizeof(path) - 1);
	mem_free(made(&l));
}

Test(audit_line, no_memory_is_an_error)
{
	struct audit_line l = usual();
	l.exe = "\xff";
	unsigned long n = 0;
	int r;
	do {
		struct buf b = BUF_INIT(SFS_AUDIT_LINE);
		alloc_fail_at(++n);
		r = audit_line_add(&l, &b);
		unsigned long calls = alloc_fail_at(0);
		cr_assert(calls < n || r == -ENOMEM, "allocation %lu of %lu", n, calls);
		buf_clear(&b);
	} while (r < 0 && n < 100);
	cr_assert_gt(n, 1);
}
