/* SPDX-License-Identifier: Apache-2.0 */
/* Who a caller is, from a /proc made of plain files. */
#include "base/alloc.h"
#include "base/clock.h"
#include "mount/audit_who.h"
#include "mount/cli.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct cli_command *const cli_commands[] = {NULL};

#define REST "S 1 5 5 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 "

static char proc[] = "/tmp/test-audit.XXXXXX";
static unsigned asked;
static int answer; /* of exe() */
static struct audit_ids *ids;

static int exe(void *arg, pid_t tid, char **ret)
{
	cr_assert_eq(arg, &asked);
	asked++;
	if (answer < 0)
		return answer;
	*ret = mem_asprintf("/bin/%d", (int)tid);
	return *ret ? 0 : -ENOMEM;
}

static void put(pid_t tid, const char *name, const char *text)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/%d", proc, (int)tid);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%d/%s", proc, (int)tid, name);
	FILE *f = fopen(path, "w");
	cr_assert(f);
	fputs(text, f);
	fclose(f);
}

static void process(pid_t tid, pid_t pid, const char *comm, unsigned start)
{
	char text[256];
	snprintf(text, sizeof(text), "%d (%s) " REST "%u 1 2\n", (int)tid, comm, start);
	put(tid, "stat", text);
	snprintf(text, sizeof(text), "Name:\tx\nUmask:\t0022\nTgid:\t%d\nPid:\t%d\n", (int)pid,
		(int)tid);
	put(tid, "status", text);
	put(tid, "cgroup", "1:name=systemd:/old\n0::/a.slice/b\n");
}

static void start(void)
{
	cr_assert(mkdtemp(proc));
	clock_fake(NSEC_PER_SEC, NSEC_PER_SEC);
	cr_assert_eq(audit_ids_new(proc, exe, &asked, &ids), 0);
}

static void end(void)
{
	char command[64];
	audit_ids_free(ids);
	snprintf(command, sizeof(command), "rm -rf %s", proc);
	cr_assert_eq(system(command), 0);
}

TestSuite(audit_who, .init = start, .fini = end);

Test(audit_who, all_is_found)
{
	process(7, 5, "app", 100);
	struct audit_who *w = audit_ids_find(ids, 7);
	cr_assert(w->seen);
	cr_assert_eq(w->pid, 5);
	cr_assert_str_eq(w->comm, "app");
	cr_assert_str_eq(w->exe, "/bin/7");
	cr_assert_str_eq(w->cgroup, "/a.slice/b");
	audit_who_unref(w);
}

Test(audit_who, ten_thousand_opens_cost_one_question)
{
	process(7, 7, "app", 100);
	cr_assert_null(audit_ids_known(ids, 7), "never asks");
	cr_assert_eq(asked, 0);
	audit_who_unref(audit_ids_find(ids, 7));
	for (int i = 0; i < 100; i++) {
		struct audit_who *w = audit_ids_known(ids, 7);
		cr_assert(w);
		audit_who_unref(w);
	}
	audit_who_unref(audit_ids_find(ids, 7));
	cr_assert_eq(asked, 1);
}

Test(audit_who, it_is_remembered_for_a_tenth_of_a_second)
{
	process(7, 7, "app", 100);
	audit_who_unref(audit_ids_find(ids, 7));
	clock_fake_advance(99 * NSEC_PER_MSEC);
	struct audit_who *w = audit_ids_known(ids, 7);
	cr_assert(w);
	audit_who_unref(w);
	clock_fake_advance(1 * NSEC_PER_MSEC);
	cr_assert_null(audit_ids_known(ids, 7), "reading did not make it longer");
}

Test(audit_who, another_program_or_process_of_the_same_number_is_asked_for)
{
	process(7, 7, "sh", 100);
	audit_who_unref(audit_ids_find(ids, 7));
	process(7, 7, "cat", 100);
	cr_assert_null(audit_ids_known(ids, 7), "it executed another program");
	audit_who_unref(audit_ids_find(ids, 7));
	process(7, 7, "cat", 101);
	cr_assert_null(audit_ids_known(ids, 7), "the number was given out again");
	process(7 + 256, 7, "cat", 101);
	cr_assert_null(audit_ids_known(ids, 7 + 256), "one that shares the row");
	cr_assert_eq(asked, 2);
}

Test(audit_who, what_has_gone_or_is_hidden)
{
	struct audit_who *w = audit_ids_find(ids, 8);
	cr_assert(w && !w->seen && w->pid == 0 && !w->exe && !w->cgroup);
	audit_who_unref(w);
	w = audit_ids_find(ids, 0);
	cr_assert(w && !w->seen, "a caller of another namespace");
	audit_who_unref(w);
	cr_assert_eq(asked, 0);
	put(9, "stat", "9 (half) " REST "5 1\n");
	answer = -EACCES;
	w = audit_ids_find(ids, 9);
	cr_assert(w->seen && w->pid == 0 && !w->exe && !w->cgroup);
	cr_assert_str_eq(w->comm, "half");
	audit_who_unref(w);
}

Test(audit_who, no_memory)
{
	process(7, 7, "app", 100);
	struct audit_ids *none = ids;
	alloc_fail_at(1);
	cr_assert_eq(audit_ids_new(proc, exe, NULL, &none), -ENOMEM);
	cr_assert_eq(none, ids);
	alloc_fail_at(1);
	cr_assert_null(audit_ids_find(ids, 7));
	alloc_fail_at(2);
	struct audit_who *w = audit_ids_find(ids, 7);
	alloc_fail_at(0);
	cr_assert(w && w->seen && !w->cgroup && w->exe);
	audit_who_unref(w);
	audit_who_unref(NULL);
	audit_ids_free(NULL);
}

static int parse(const char *text, char *comm, uint64_t *ret)
{
	return audit_parse_stat(text, strlen(text), comm, ret);
}

Test(audit_parse, stat)
{
	char comm[AUDIT_COMM_MAX + 1] = "untouched";
	uint64_t begun = 1;
	cr_assert_eq(parse("1 (a) R 1 (b)\n) " REST "777 9 9", comm, &begun), 0);
	cr_assert_str_eq(comm, "a) R 1 (b)\n");
	cr_assert_eq(begun, 777);
	cr_assert_eq(parse("1 () " REST "778 9", comm, &begun), 0);
	cr_assert_str_eq(comm, "");
	cr_assert_eq(
		parse("1 (0123456789012345678901234567890123456789012345678901234567890123456789)"
		      " " REST "1 2",
			comm, &begun),
		0);
	cr_assert_eq(strlen(comm), AUDIT_COMM_MAX);
	static const char *const bad[] = {"", "1", "1 (a", "1 a)", ")(", "1 (a)", "1 (a) S 1 2",
		"1 (a) " REST, "1 (a) " REST "x 1", "1 (a) " REST "5x 1", "1 (a) " REST "-5 1",
		"1 (a) " REST "5"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(comm, "untouched");
		begun = 3;
		cr_assert_eq(parse(bad[i], comm, &begun), -EBADMSG, "%s", bad[i]);
		cr_assert(begun == 3 && strcmp(comm, "untouched") == 0, "%s", bad[i]);
	}
}

static bool group(const char *text, const char *want)
{
	size_t len = 99;
	const char *got = audit_parse_cgroup(text, &len);
	if (!want)
		return !got && len == 99;
	return got && len == strlen(want) && memcmp(got, want, len) == 0;
}

Test(audit_parse, cgroup)
{
	cr_assert(group("0::/a/b\n", "/a/b"));
	cr_assert(group("0::/a", "/a"), "without newline");
	cr_assert(group("4:memory:/m\n1:name=systemd:/s\n0::/u\n", "/u"), "the unified one first");
	cr_assert(group("4:memory:/m\n1:name=systemd:/s\n", "/s"));
	cr_assert(group("12:cpu:/0::/fake\n0::/x:y\n", "/x:y"));
	cr_assert(group("4:memory:/m\n", NULL));
	cr_assert(group("", NULL));
	cr_assert(group("\n\n", NULL));
}
