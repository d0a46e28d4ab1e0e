/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HOLD_RUN: a command for the runner. The worker names a number; the values of the command's secret
 * variables come from what was kept at mount, or from the files named then, and reach the runner
 * through the socket of the run before the worker has its end of it.
 */
#include "base/cleanup.h"
#include "base/command.h"
#include "base/program.h"
#include "base/runmsg.h"
#include "mount/holder.h"
#include <errno.h>
#include <sys/socket.h>

/* *ret_fd stays -1 where the command has no secret variables. */
static int make_secrets(
	const struct holder_run_env *e, const struct command *c, int *ret_fd, struct sfs_err *err)
{
	struct envstore *s = NULL;
	int r = program_secrets(c, e->paths, e->vars, &s, err);
	if (r == 0 && envstore_count(s))
		r = envstore_memfd(s, ret_fd, err);
	envstore_free(s);
	return r;
}

static int hand_over(const struct holder_run_env *e, uint32_t number, int secrets, int *ret_end,
	struct sfs_err *err)
{
	const struct hold_msg first = {.type = HOLD_ENV}, order = {.type = HOLD_RUN, .arg = number};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_errno(err, errno, "make a socket for the program");
	_cleanup_close_ int workers = pair[0], runners = pair[1];
	int r = hold_send(workers, &first, secrets);
	if (r == 0)
		r = hold_send(e->runner, &order, runners);
	if (r == -EAGAIN)
		return err_set(err, EBUSY, "too many programs wait for their start");
	if (r < 0)
		return err_errno(err, -r, "tell the runner of commands");
	*ret_end = take_fd(workers);
	return 0;
}

static int run(const struct holder_run_env *e, uint32_t number, int *ret_end, struct sfs_err *err)
{
	_cleanup_(command_clear) struct command c = {0};
	_cleanup_close_ int secrets = -1;
	if (number >= e->o->ncommands || e->runner < 0)
		return err_set(err, ENOENT,
			"the program was not fixed at mount: unmount and mount again to add it");
	int r = command_parse(e->o->commands[number], &c);
	if (r < 0)
		return err_errno(err, -r, "command %u", (unsigned)number);
	r = make_secrets(e, &c, &secrets, err);
	return r < 0 ? r : hand_over(e, number, secrets, ret_end, err);
}

void holder_run_command(const struct holder_run_env *e, const struct hold_msg *m)
{
	struct sfs_err err = {0};
	_cleanup_close_ int end = -1;
	int r = run(e, m->arg, &end, &err);
	holder_answer(e->sock, m, end, r < 0 ? err.msg : "", -r);
}
