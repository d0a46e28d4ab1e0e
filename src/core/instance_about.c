/* SPDX-License-Identifier: Apache-2.0 */
/* What a back end tells of itself, and the commands it runs. */
#include "base/cleanup.h"
#include "base/log.h"
#include "core/config_needs.h"
#include "core/instance_priv.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int instance_status(struct instance *in, struct buf *out)
{
	const struct backend_ops *ops = in->conf.ops;
	return ops->status ? ops->status(in->state, out) : 0;
}

bool instance_counts(struct instance *in, struct backend_counts *ret)
{
	const struct backend_ops *ops = in->conf.ops;
	if (!ops->counts)
		return false;
	*ret = (struct backend_counts){0};
	ops->counts(in->state, ret);
	return true;
}

void check_step(
	struct check_sink *sink, enum check_result result, const char *what, const char *fmt, ...)
{
	char text[SFS_ERR_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sink->say(sink->arg, result, what, text);
}

int instance_check(struct instance *in, struct check_sink *sink, struct sfs_err *err)
{
	const struct backend_ops *ops = in->conf.ops;
	const struct call call = {
		.deadline = clock_after(clock_boot(), in->timeout), .cancelled = &in->stopping};
	if (!ops->check)
		return 0;
	err_clear(err);
	int r = ops->check(in->state, &call, sink, err);
	if (r == 0)
		return 0;
	answer_code(r, err);
	return err_prefix(err, "%s", in->conf.name);
}

int instance_run(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err)
{
	const struct instance *in = arg;
	const struct runner *r = in->machine->runner;
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_OPTION_MAX);
	int rc = config_command(&in->conf, in->machine, line, &text, err);
	return rc < 0 ? rc
		      : r->run(r->arg, buf_text(&text), call, out, ret_stderr, ret_status, err);
}
