/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/runs.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/program.h"
#include "base/runmsg.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define TICK_MS 50 /* how late a cancelled call is seen before the program has started */

static bool find(const struct runs *r, const char *text, uint32_t *ret)
{
	for (uint32_t i = 0; r->commands[i]; i++)
		if (strcmp(r->commands[i], text) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

/* The runner's last word: 0 with the exit status, or why there was no program. */
static int verdict(const struct hold_msg *m, int *ret_status, struct sfs_err *err)
{
	if (m->type != HOLD_REPLY || m->code < 0)
		return err_set(err, EBADMSG, "the runner of commands answered something else");
	if (m->code)
		return err_set(err, m->code, "%s", m->text);
	*ret_status = (int)m->arg;
	return 0;
}

/* One message; waits for it as long as the call allows. 1, or -errno. */
static int next_message(
	int sock, const struct call *call, struct hold_msg *m, int *ret_fd, struct sfs_err *err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	while (poll(&p, 1, TICK_MS) <= 0) {
		if (call_cancelled(call))
			return err_set(err, ECANCELED, "nobody waits for the program any more");
		if (clock_boot() >= call->deadline)
			return err_set(err, ETIMEDOUT, "the program was not started in time");
	}
	int r = hold_recv(sock, m, ret_fd);
	if (r == 0)
		return err_set(err, EIO, "the runner of commands has ended; it is started again");
	return r < 0 ? err_errno(err, -r, "hear from the runner of commands") : r;
}

struct ends {
	int sock, out, err;
};

static void ends_close(const struct ends *e)
{
	cleanup_close_p(&e->sock);
	cleanup_close_p(&e->out);
	cleanup_close_p(&e->err);
}

/* 1 = both pipes are here, 0 = it was not started and *m says why. */
static int take_pipes(
	struct ends *e, const struct call *call, struct hold_msg *m, struct sfs_err *err)
{
	while (e->out < 0 || e->err < 0) {
		int fd = -1;
		int r = next_message(e->sock, call, m, &fd, err);
		if (r < 0)
			return r;
		int *to = m->arg == RUN_OUT ? &e->out : &e->err;
		if (m->type == HOLD_RUN && fd >= 0 && *to < 0)
			*to = take_fd(fd);
		if (fd >= 0)
			close(fd);
		if (m->type != HOLD_RUN)
			return 0;
	}
	return 1;
}

static int follow(struct ends *e, const struct call *call, struct buf *out, struct buf *said,
	struct hold_msg *m, struct sfs_err *err)
{
	struct program_io io = {.out = e->out, .err = e->err, .text = out};
	int fd = -1;
	int r = program_follow(&io, e->sock, call, err);
	program_said(&io, said);
	if (r == 0)
		r = next_message(e->sock, call, m, &fd, err);
	if (fd >= 0)
		close(fd);
	return r < 0 ? r : 0;
}

int runs_run(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err)
{
	const struct runs *runs = arg;
	_cleanup_(ends_close) struct ends e = {-1, -1, -1};
	struct hold_msg m = {0};
	uint32_t number;
	if (!find(runs, line, &number))
		return err_set(err, ENOENT,
			"the program was not fixed at mount: unmount and mount again to add it");
	int r = hold_ask(runs->hold, HOLD_RUN, "", number, &e.sock, err);
	if (r < 0)
		return r;
	r = take_pipes(&e, call, &m, err);
	if (r > 0)
		r = follow(&e, call, out, ret_stderr, &m, err);
	return r < 0 ? r : verdict(&m, ret_status, err);
}
