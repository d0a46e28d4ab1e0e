/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/program.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
	struct buf out, said;
	int status, failed, r;
	struct sfs_err err;
};

static void run_clear(struct run *r)
{
	buf_clear(&r->out);
	buf_clear(&r->said);
}

/* As who waits for it does: what is not over is killed. */
static void run(struct run *r, const char *text, size_t max, const struct call *call,
	const struct envstore *secrets)
{
	_cleanup_(command_clear) struct command c = {0};
	struct program p = {0};
	*r = (struct run){
		.out = {.max = max, .kind = BUF_SECRET}, .said = {.max = 4096, .kind = BUF_PLAIN}};
	cr_assert_eq(command_parse(text, &c), 0, "%s", text);
	cr_assert_eq(program_start(&c, secrets, &p, &r->err), 0, "%s", r->err.msg);
	struct program_io io = {.out = p.out, .err = p.err, .text = &r->out};
	_cleanup_close_ int done = (int)syscall(SYS_pidfd_open, p.pid, 0);
	int status;
	r->r = program_follow(&io, done, call, &r->err);
	program_kill(&p);
	cr_assert_eq(waitpid(p.pid, &status, 0), p.pid);
	r->status = program_status(status);
	r->failed = program_failed(&p);
	program_said(&io, &r->said);
	program_close(&p);
}

static const struct call patient = {.deadline = INT64_MAX};

Test(program, what_it_writes_and_how_it_ended)
{
	_cleanup_(run_clear) struct run r;
	run(&r, "sh -c 'printf %s \"$1\"; echo oh no >&2; exit 3' x 'a b'\n", 100, &patient, NULL);
	cr_assert_eq(r.r, 0, "%s", r.err.msg);
	cr_assert_str_eq(r.out.data, "a b");
	cr_assert_str_eq(buf_text(&r.said), "oh no");
	cr_assert_eq(r.status, 3);
	cr_assert_eq(r.failed, 0);
}

Test(program, a_signal_that_ended_it)
{
	_cleanup_(run_clear) struct run r;
	run(&r, "sh -c 'kill -9 $$'\n", 100, &patient, NULL);
	cr_assert_eq(r.r, 0);
	cr_assert_eq(r.status, 128 + 9);
}

Test(program, one_that_cannot_be_executed)
{
	_cleanup_(run_clear) struct run r, s;
	run(&r, "no-such-program-here\n", 100, &patient, NULL);
	cr_assert_eq(r.failed, ENOENT);
	run(&s, "/etc/passwd\n", 100, &patient, NULL);
	cr_assert_eq(s.failed, EACCES);
}

/* R8. */
Test(program, nothing_is_inherited)
{
	_cleanup_(run_clear) struct run r;
	_cleanup_close_ int open_fd = open("/dev/null", O_RDONLY); /* without CLOEXEC, as a leak */
	cr_assert_gt(open_fd, 2);
	setenv("LEAK", "1", 1);
	signal(SIGTERM, SIG_IGN);
	run(&r,
		"sh -c 'env | sort; ls /proc/self/fd; umask; pwd; grep SigIgn /proc/self/status'\n"
		"/home/x\nB=2\nPATH=/bin:/usr/bin",
		4000, &patient, NULL);
	cr_assert_eq(r.r, 0, "%s", r.err.msg);
	cr_assert_str_eq(r.out.data,
		"B=2\nHOME=/home/x\nLANG=C.UTF-8\nPATH=/bin:/usr/bin\nPWD=/\n0\n1\n2\n3\n0077\n/\n"
		"SigIgn:\t0000000000000000\n");
	signal(SIGTERM, SIG_DFL);
}

Test(program, secret_variables_come_from_the_store)
{
	_cleanup_(run_clear) struct run r;
	static const char text[] = "A_KEY=s3cret\0";
	struct envstore *s = NULL;
	struct command c = {0};
	struct program p = {.pid = 7};
	struct sfs_err err = {0};
	cr_assert_eq(envstore_parse(text, sizeof(text) - 1, &s, NULL), 0);
	run(&r, "sh -c 'echo $A_KEY'\n\nA_KEY@env:X", 100, &patient, s);
	cr_assert_str_eq(r.out.data, "s3cret\n");
	cr_assert_eq(command_parse("true\n\nB_KEY@env:X", &c), 0);
	cr_assert_eq(program_start(&c, s, &p, &err), -EINVAL, "a value that is not there");
	cr_assert_not_null(strstr(err.msg, "B_KEY"));
	cr_assert_eq(p.pid, 7);
	command_clear(&c);
	envstore_free(s);
}

Test(program, too_much_output_is_refused)
{
	_cleanup_(run_clear) struct run r, s;
	run(&r, "printf 12345\n", 5, &patient, NULL);
	cr_assert_eq(r.r, 0, "%s", r.err.msg);
	cr_assert_eq(r.out.len, 5);
	run(&s, "sh -c 'yes; sleep 100'\n", 5000, &patient, NULL);
	cr_assert_eq(s.r, -EFBIG);
	cr_assert_not_null(strstr(s.err.msg, "5000"));
}

Test(program, much_on_standard_error_is_cut_and_escaped)
{
	_cleanup_(run_clear) struct run r;
	run(&r, "sh -c 'printf \"\\033[31m\" >&2; yes | head -c 100000 >&2; echo fine'\n", 100,
		&patient, NULL);
	cr_assert_eq(r.r, 0);
	cr_assert_str_eq(r.out.data, "fine\n");
	cr_assert_lt(r.said.len, 512);
	cr_assert_eq(strncmp(r.said.data, "\\x1b[31my", 8), 0, "%s", r.said.data);
}

Test(program, one_that_hangs_is_ended_with_all_it_started)
{
	_cleanup_(run_clear) struct run r, s;
	const struct call late = {.deadline = clock_boot()};
	atomic_bool yes = true;
	const struct call unwanted = {.deadline = INT64_MAX, .cancelled = &yes};
	run(&r, "sh -c 'sleep 1000 & echo $!; wait'\n", 100, &late, NULL);
	cr_assert_eq(r.r, -ETIMEDOUT);
	cr_assert_eq(r.status, 128 + SIGKILL);
	run(&s, "sleep 1000\n", 100, &unwanted, NULL);
	cr_assert_eq(s.r, -ECANCELED);
	cr_assert_eq(s.status, 128 + SIGKILL);
}

Test(program, what_it_leaves_behind_is_not_waited_for)
{
	_cleanup_(run_clear) struct run r;
	run(&r, "sh -c 'sleep 1000 & echo done'\n", 100, &patient, NULL);
	cr_assert_eq(r.r, 0);
	cr_assert_str_eq(r.out.data, "done\n");
}
