/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subject tokens of a program (AWS calls such credential_process, Google executable-sourced
 * credentials): run by the runner as fixed at mount, and only where the environment of the mount
 * allows it, because the credentials file decides what is run.
 */
#include "backends/gcp_cred_external.h"

#include "backends/redact.h"
#include "base/cleanup.h"
#include "base/log.h"
#include <stdio.h>
#include <string.h>

#define ALLOW	     "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
#define STDERR_MAX   4096
#define STDERR_SHOWN 160

static int output_path(const struct gcp_subject_ask *ask, char **ret, struct sfs_err *err)
{
	const char *text = ask->x->source.output_file;
	int r = text ? setting_path(ask->g->env, "credential_source.executable.output_file", text,
			       ret, err)
		     : 0;
	return r < 0 ? err_prefix(err, "%s", ask->path) : 0;
}

/* A token that the program left, and that is good yet: 1. Whatever else is there is ignored, and
 * the program says what is wrong. */
static int from_output(const struct gcp_subject_ask *ask, const char *path, struct secret **ret)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	struct secret *token = NULL;
	struct sfs_err why = {0};
	int64_t expires = 0;
	int r = credfile_read(ask->g->env->paths, path, CREDFILE_SECRET, &text, NULL, &why);
	if (r == 0)
		r = gcp_program_parse(
			buf_text(&text), text.len, gcp_now(ask->g), &token, &expires, &why);
	if (r < 0) {
		log_debug("%s: no token in the output file %s: %s", ask->g->name, path, why.msg);
		return r == -ENOMEM ? r : 0;
	}
	if (!expires) {
		secret_unref(token);
		return 0;
	}
	*ret = token;
	return 1;
}

/* The status tells that it failed, what it printed perhaps why. */
static int failed(const struct gcp_subject_ask *ask, int status, const struct buf *out,
	const struct buf *errors, struct sfs_err *err)
{
	char shown[STDERR_SHOWN];
	int64_t expires;
	struct secret *token = NULL;
	int r = gcp_program_parse(buf_text(out), out->len, gcp_now(ask->g), &token, &expires, err);
	secret_unref(token);
	if (r == -ENOKEY)
		return r;
	redact(buf_text(errors), shown, sizeof(shown));
	return err_set(
		err, ENOKEY, "it ended with status %d%s%s", status, *shown ? ": " : "", shown);
}

static int run(
	const struct gcp_subject_ask *ask, const char *line, struct buf *out, struct sfs_err *err)
{
	const struct runner *runner = ask->g->env->runner;
	_cleanup_(buf_clear) struct buf errors = BUF_INIT(STDERR_MAX);
	int64_t limit = clock_boot() + ask->x->source.timeout;
	const struct call mine = {
		.deadline = ask->call->deadline < limit ? ask->call->deadline : limit,
		.cancelled = ask->call->cancelled};
	int status = 0;
	if (!runner)
		return err_set(err, ENOKEY, "it cannot be run here");
	int r = runner->run(runner->arg, line, &mine, out, &errors, &status, err);
	if (r == -ENOENT)
		return err_set(err, ENOKEY,
			"it cannot be run: it does not exist, or the credentials file was changed "
			"after the mount, which fixes it: mount again");
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "it did not end in time and was killed");
	if (r < 0)
		return r;
	return status ? failed(ask, status, out, &errors, err) : 0;
}

static int run_and_parse(const struct gcp_subject_ask *ask, const char *line, struct secret **ret,
	struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	char program[300];
	int64_t expires;
	int r = run(ask, line, &out, err);
	if (r == 0) {
		r = gcp_program_parse(buf_text(&out), out.len, gcp_now(ask->g), ret, &expires, err);
		if (r < 0 && r != -ENOKEY)
			err_prefix(err, "what it printed");
	}
	if (r < 0)
		err_prefix(err, "the subject token of the %s",
			gcp_subject_shown(ask->x, program, sizeof(program)));
	return r;
}

int gcp_subject_program(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err)
{
	_cleanup_free_ char *path = NULL, *line = NULL;
	int r = output_path(ask, &path, err);
	if (r < 0)
		return r;
	if (!ask->g->conf->executables)
		return err_set(err, EACCES,
			"%s wants to run a program for its subject token, which is not allowed: "
			"set " ALLOW "=1 and mount again if you trust the file",
			ask->path);
	if (path && !ask->again && (r = from_output(ask, path, ret)) != 0)
		return r < 0 ? gcp_no_memory(err) : 0;
	line = gcp_program_line(ask->x, path);
	return line ? run_and_parse(ask, line, ret, err) : gcp_no_memory(err);
}
