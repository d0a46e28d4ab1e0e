/* SPDX-License-Identifier: Apache-2.0 */
/* The back end `fault:` and the machine: values from references, variables, files and programs, as
 * the credentials of a real back end are; what it needs, and what it tells of itself. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/ref.h"
#include "fault_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RUN_MAX 65536 /* as a credential */

static int run_line(struct fault *f, const char *line, const struct call *call, struct secret **ret,
	struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(RUN_MAX);
	_cleanup_(buf_clear) struct buf said = BUF_INIT(4096);
	const struct runner *r = f->env->runner;
	int status = 0;
	if (!r)
		return err_set(err, ENOTSUP, "there is no runner");
	int rc = r->run(r->arg, line, call, &out, &said, &status, err);
	if (rc)
		return rc;
	if (status)
		return err_set(err, ENOKEY, "the program ended with status %d: %s", status,
			buf_text(&said));
	*ret = secret_new(out.data ? out.data : "", out.len);
	return *ret ? 0 : err_set(err, ENOMEM, "no memory");
}

static int from_variable(
	struct fault *f, const char *name, struct secret **ret, struct sfs_err *err)
{
	*ret = envstore_get(f->env->env, name);
	return *ret ? 0 : err_set(err, ENOKEY, "variable %s is not set", name);
}

static int from_file(struct fault *f, const char *path, struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(SFS_VALUE_MAX);
	_cleanup_close_ int fd = -1;
	int r = path_open_file(f->env->paths, path, NULL, &fd, err);
	if (!r)
		r = path_read(fd, path, &text, err);
	if (r)
		return r;
	*ret = secret_new(text.data ? text.data : "", text.len);
	return *ret ? 0 : err_set(err, ENOMEM, "no memory");
}

/* A value from elsewhere, as the credentials of a real back end are. */
int fault_from(struct fault *f, const char *from, const struct call *call, struct payload *p,
	struct sfs_err *err)
{
	struct secret *s = NULL;
	int r = 0;
	if (!strcmp(from, "home"))
		s = secret_new(f->env->home ? f->env->home : "-",
			strlen(f->env->home ? f->env->home : "-"));
	else if (!strcmp(from, "ref") && f->token)
		r = ref_read(f->env->paths, f->env->env, f->token, SFS_REF_MAX, &s, err);
	else if (!strncmp(from, "run ", 4))
		r = run_line(f, from + 4, call, &s, err);
	else if (!strncmp(from, "file ", 5))
		r = from_file(f, from + 5, &s, err);
	else if (!strncmp(from, "env ", 4))
		r = from_variable(f, from + 4, &s, err);
	if (!r)
		r = s ? payload_add(p, NULL, s) : -EINVAL;
	return r && !err->code ? err_set(err, EINVAL, "cannot be had from there") : r;
}

static int need_line(struct needs *n, const char *line)
{
	if (!strncmp(line, "env ", 4))
		return needs_env(n, line + 4);
	if (!strncmp(line, "file ", 5))
		return needs_file(n, line + 5);
	if (!strncmp(line, "dir ", 4))
		return needs_dir(n, line + 4);
	if (!strncmp(line, "command ", 8))
		return needs_command(n, line + 8);
	if (!strncmp(line, "variable ", 9)) /* only if it is set: a name that it holds */
		return needs_getenv(n, line + 9) ? needs_env(n, needs_getenv(n, line + 9)) : 0;
	return -EINVAL;
}

int fault_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err)
{
	char text[FAULT_SMALL], *rest = text;
	(void)opts;
	_cleanup_close_ int dir = open(location, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;
	if (dir < 0 || !fault_small(dir, "needs", text))
		return 0;
	for (char *line; !r && (line = strsep(&rest, "\n"));)
		r = *line ? need_line(n, line) : 0;
	return r ? err_errno(err, -r, "a line of needs") : 0;
}

int fault_status(void *state, struct buf *ret_json)
{
	const struct fault *f = state;
	char text[FAULT_SMALL];
	return fault_small(f->dir, "status", text) ? buf_str(ret_json, text) : 0;
}

void fault_counts(void *state, struct backend_counts *ret)
{
	const struct fault *f = state;
	struct backend_counts c = {0};
	char text[FAULT_SMALL];
	if (fault_small(f->dir, "counts", text) &&
		sscanf(text,
			"%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			" %lf",
			&c.calls, &c.errors, &c.retries, &c.throttled, &c.bytes_in, &c.bytes_out,
			&c.cost_usd) == 7)
		*ret = c;
}

static void check_line(struct check_sink *sink, char *line)
{
	const char *word = strsep(&line, " "), *what = strsep(&line, " ");
	enum check_result r = !strcmp(word, "ok")     ? CHECK_OK
			      : !strcmp(word, "skip") ? CHECK_SKIPPED
						      : CHECK_FAILED;
	if (what)
		check_step(sink, r, what, "%s", line ? line : "");
}

int fault_check(void *state, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	const struct fault *f = state;
	char text[FAULT_SMALL], *rest = text;
	(void)call;
	if (fault_small(f->dir, "check", text))
		for (char *line; (line = strsep(&rest, "\n"));)
			if (*line)
				check_line(sink, line);
	long code = fault_number(f->dir, "check_errno", 0);
	return code ? err_set(err, (int)code, "no credentials were found") : 0;
}
