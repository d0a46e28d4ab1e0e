/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that need no file of settings: options, environment, web identity of the environment. */
#include "backends/aws_cred_impl.h"

#include "backends/times.h"
#include "base/cleanup.h"
#include "base/ref.h"
#include <errno.h>
#include <string.h>

static int read_option(
	struct aws_cred *a, enum aws_cred_field i, struct aws_found *ret, struct sfs_err *err)
{
	static const char *const names[] = {
		"access_key_id=", "secret_access_key=", "session_token="};
	if (!a->ref[i])
		return 0;
	if (strncmp(a->ref[i], "file:", 5) == 0) {
		struct credfile_stamp never = {0};
		credfile_look(a->env->paths, a->ref[i] + 5, &never);
		credwatch_add(&a->watch, a->ref[i] + 5, &never);
	}
	int r = ref_read(a->env->paths, a->env->env, a->ref[i], AWS_KEY_MAX, &ret->field[i], err);
	if (r == 0)
		r = aws_key_check(ret->field[i], "the secret", err);
	return r < 0 ? err_prefix(err, "option %s", names[i]) : 0;
}

int aws_find_options(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err)
{
	(void)call;
	if (!a->ref[AWS_CRED_ID])
		return err_set(err, ENODATA, "access_key_id= is not given");
	for (int i = AWS_CRED_ID; i <= AWS_CRED_TOKEN; i++) {
		int r = read_option(a, (enum aws_cred_field)i, ret, err);
		if (r < 0)
			return r;
	}
	return aws_found_about(ret, NULL, err, "options");
}

/* Half a pair is a typing error, and no reason to become somebody else. */
static int check_pair(const struct aws_found *f, struct sfs_err *err)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"};
	int missing = f->field[AWS_CRED_ID] ? AWS_CRED_KEY : AWS_CRED_ID;
	if (f->field[missing])
		return 0;
	if (missing == AWS_CRED_ID && !f->field[AWS_CRED_KEY])
		return err_set(err, ENODATA, "AWS_ACCESS_KEY_ID is not set");
	return err_set(err, EINVAL,
		"environment variable %s is set but %s is not: set both, or none of them",
		names[!missing], names[missing]);
}

static int env_expiry(const struct backend_env *env, int64_t *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = setting_env(env, "AWS_CREDENTIAL_EXPIRATION", &text, err);
	if (r < 0 || !text)
		return r;
	if (times_parse(text, strlen(text), ret) < 0)
		return err_set(err, EINVAL,
			"environment variable AWS_CREDENTIAL_EXPIRATION is no time in the form "
			"2030-01-31T23:59:59Z");
	return 0;
}

int aws_find_environment(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err)
{
	const struct backend_env *env = a->env;
	(void)call;
	int r = aws_env_secret(env, "AWS_ACCESS_KEY_ID", &ret->field[AWS_CRED_ID], err);
	if (r == 0)
		r = aws_env_secret(env, "AWS_SECRET_ACCESS_KEY", &ret->field[AWS_CRED_KEY], err);
	if (r == 0)
		r = check_pair(ret, err);
	if (r == 0)
		r = aws_env_secret(env, "AWS_SESSION_TOKEN", &ret->field[AWS_CRED_TOKEN], err);
	if (r == 0 && !ret->field[AWS_CRED_TOKEN])
		r = aws_env_secret(env, "AWS_SECURITY_TOKEN", &ret->field[AWS_CRED_TOKEN], err);
	if (r == 0)
		r = env_expiry(env, &ret->expires, err);
	return r < 0 ? r : aws_found_about(ret, NULL, err, "environment variables");
}

/* IRSA and the like. */
int aws_find_web_identity(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_free_ char *file = NULL, *path = NULL, *arn = NULL, *session = NULL;
	int r = setting_env(a->env, "AWS_WEB_IDENTITY_TOKEN_FILE", &file, err);
	if (r == 0 && !file)
		return err_set(err, ENODATA, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	if (r == 0)
		r = setting_path(a->env, "AWS_WEB_IDENTITY_TOKEN_FILE", file, &path, err);
	if (r == 0)
		r = setting_env(a->env, "AWS_ROLE_ARN", &arn, err);
	if (r == 0 && !arn)
		r = err_set(err, EINVAL,
			"environment variable AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN "
			"is not: set both, or none of them");
	if (r == 0)
		r = setting_env(a->env, "AWS_ROLE_SESSION_NAME", &session, err);
	if (r < 0)
		return r;
	struct aws_role role = {.arn = arn, .session = session ? session : a->session};
	return aws_assume_web_identity(a, call, &role, path, ret, err);
}
