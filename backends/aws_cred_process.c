/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process: a program that prints credentials, run by the spawner. */
#include "backends/aws_cred_impl.h"
#include "backends/redact.h"

#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define PROCESS_LIMIT (30 * NSEC_PER_SEC)
#define STDERR_MAX    4096
#define STDERR_SHOWN  160

static int failed(const char *profile, int status, const struct buf *errors, struct sfs_err *err)
{
	char shown[STDERR_SHOWN];
	redact(buf_text(errors), shown, sizeof(shown));
	return err_set(err, ENOKEY, "the credential_process of profile %s ended with status %d%s%s",
		profile, status, *shown ? ": " : "", shown);
}

static int run(struct aws_cred *a, const struct call *call, const char *profile, const char *line,
	struct buf *out, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf errors = BUF_INIT(STDERR_MAX);
	int64_t limit = clock_boot() + PROCESS_LIMIT;
	struct call mine = {.deadline = call->deadline < limit ? call->deadline : limit,
		.cancelled = call->cancelled};
	int status = 0;
	if (!a->env->runner)
		return err_set(err, ENOKEY,
			"the credential_process of profile %s cannot be run here", profile);
	int r = a->env->runner->run(a->env->runner->arg, line, &mine, out, &errors, &status, err);
	if (r == -ENOENT)
		return err_set(err, ENOKEY,
			"the credential_process of profile %s cannot be run: its program does not "
			"exist, or the line was changed after the mount, which fixes it: mount "
			"again",
			profile);
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			"the credential_process of profile %s did not end in time and was killed",
			profile);
	if (r < 0)
		return err_prefix(err, "the credential_process of profile %s", profile);
	return status ? failed(profile, status, &errors, err) : 0;
}

int aws_find_process(struct aws_cred *a, const struct call *call, const char *profile,
	const struct aws_value *line, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(ASK_REPLY_MAX);
	bool no_memory = false;
	_cleanup_free_ char *text = aws_value_text(line, &no_memory);
	if (no_memory)
		return aws_no_memory(err);
	int r = run(a, call, profile, text, &out, err);
	if (r < 0)
		return r;
	r = aws_keys_parse(buf_text(&out), out.len, AWS_KEYS_PROCESS, ret, err);
	if (r < 0)
		return err_prefix(
			err, "what the credential_process of profile %s printed", profile);
	return aws_found_about(ret, NULL, err, "profile %s, credential_process", profile);
}
