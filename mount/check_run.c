/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/check_run.h"
#include "base/cleanup.h"
#include "base/program.h"
#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int start(
	const struct machine *m, const char *text, struct program *ret, struct sfs_err *err)
{
	_cleanup_(command_clear) struct command c = {0};
	struct envstore *secrets = NULL;
	int r = command_parse(text, &c);
	if (r < 0)
		return err_errno(err, -r, "the command");
	r = program_secrets(&c, m->paths, m->env, &secrets, err);
	if (r == 0)
		r = program_start(&c, secrets, ret, err);
	envstore_free(secrets);
	return r;
}

/* Its end, with all that it started; the wait status. */
static int end(const struct program *p)
{
	int status = 0;
	program_kill(p);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int check_run(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err)
{
	_cleanup_(program_close) struct program p = {.out = -1, .err = -1, .failed = -1};
	int r = start(arg, line, &p, err);
	if (r < 0)
		return r;
	struct program_io io = {.out = p.out, .err = p.err, .text = out};
	_cleanup_close_ int ended = (int)syscall(SYS_pidfd_open, p.pid, 0);
	r = ended < 0 ? err_errno(err, errno, "wait for the program")
		      : program_follow(&io, ended, call, err);
	int status = end(&p), why = program_failed(&p);
	program_said(&io, ret_stderr);
	if (r < 0)
		return r;
	if (why)
		return err_errno(err, why, "execute the program (is it there, and may you?)");
	*ret_status = program_status(status);
	return 0;
}
