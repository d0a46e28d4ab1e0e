/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The selected profile of ~/.aws/config and ~/.aws/credentials: a role on top of another profile or
 * source, web identity, static keys, a program, SSO; in that order, except that a profile which is
 * the source of another one gives its static keys first, as in the SDKs.
 */
#include "backends/aws_cred_impl.h"

#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_MAX 16 /* profiles that lead to each other */

struct resolve {
	struct aws_cred *a;
	const struct call *call;
	const struct aws_files *files;
	const char *way[CHAIN_MAX]; /* the profiles so far */
	size_t n;
};

static int resolve(
	struct resolve *rs, const char *profile, struct aws_found *ret, struct sfs_err *err);

static const struct aws_value *value(const struct resolve *rs, const char *profile, const char *key)
{
	return aws_files_value(rs->files, profile, key);
}

static int wrong(const char *profile, const char *why, struct sfs_err *err)
{
	return err_set(err, EINVAL, "profile %s: %s", profile, why);
}

/* ---- static keys ---- */

static bool has_static(const struct resolve *rs, const char *profile)
{
	return value(rs, profile, "aws_access_key_id") ||
	       value(rs, profile, "aws_secret_access_key");
}

static int find_static(
	struct resolve *rs, const char *profile, struct aws_found *ret, struct sfs_err *err)
{
	const struct aws_value *id = value(rs, profile, "aws_access_key_id");
	const struct aws_value *key = value(rs, profile, "aws_secret_access_key");
	const struct aws_value *token = value(rs, profile, "aws_session_token");
	if (!token)
		token = value(rs, profile, "aws_security_token");
	if (!id || !key)
		return wrong(profile,
			id ? "aws_access_key_id is there but aws_secret_access_key is not"
			   : "aws_secret_access_key is there but aws_access_key_id is not",
			err);
	int r = aws_value_secret(id, profile, "aws_access_key_id", &ret->field[AWS_CRED_ID], err);
	if (r == 0)
		r = aws_value_secret(
			key, profile, "aws_secret_access_key", &ret->field[AWS_CRED_KEY], err);
	if (r == 0)
		r = aws_value_secret(
			token, profile, "aws_session_token", &ret->field[AWS_CRED_TOKEN], err);
	return r < 0 ? r : aws_found_about(ret, NULL, err, "profile %s", profile);
}

/* ---- roles ---- */

/* What AssumeRole is told, in copies of our own. */
struct role_text {
	char *arn, *session, *external_id, *duration;
	struct aws_role role;
};

static void role_clear(struct role_text *t)
{
	mem_free(t->arn);
	mem_free(t->session);
	mem_free(t->external_id);
	mem_free(t->duration);
}

static int read_role(
	const struct resolve *rs, const char *profile, struct role_text *t, struct sfs_err *err)
{
	bool failed = false;
	uint64_t seconds = 0;
	t->arn = aws_value_text(value(rs, profile, "role_arn"), &failed);
	t->session = aws_value_text(value(rs, profile, "role_session_name"), &failed);
	t->external_id = aws_value_text(value(rs, profile, "external_id"), &failed);
	t->duration = aws_value_text(value(rs, profile, "duration_seconds"), &failed);
	if (failed)
		return aws_no_memory(err);
	if (t->duration && (parse_u64(t->duration, 43200, &seconds) < 0 || seconds < 900))
		return wrong(profile, "duration_seconds must be a number from 900 to 43200", err);
	t->role = (struct aws_role){.arn = t->arn,
		.session = t->session ? t->session : rs->a->session,
		.external_id = t->external_id,
		.duration = (unsigned)seconds};
	return 0;
}

static int circle(const struct resolve *rs, const char *profile, struct sfs_err *err)
{
	struct buf way = BUF_INIT(256);
	for (size_t i = 0; i < rs->n; i++)
		buf_printf(&way, "%s -> ", rs->way[i]);
	err_set(err, EINVAL, "the source_profile of these profiles leads in a circle: %s%s",
		buf_text(&way), profile);
	buf_clear(&way);
	return -EINVAL;
}

static int from_profile(struct resolve *rs, const char *from, const char *source,
	struct aws_found *ret, struct sfs_err *err)
{
	if (!aws_files_has_profile(rs->files, source)) {
		int r = aws_files_no_profile(rs->files, source, err);
		err_prefix(err, "source_profile of profile %s", from);
		return r;
	}
	if (has_static(rs, source)) /* also a profile that is its own source */
		return find_static(rs, source, ret, err);
	for (size_t i = 0; i < rs->n; i++)
		if (strcmp(rs->way[i], source) == 0)
			return circle(rs, source, err);
	int r = resolve(rs, source, ret, err);
	if (r == -ENODATA)
		return err_set(err, ENOKEY,
			"profile %s is the source_profile of %s but holds no credentials", source,
			from);
	return r;
}

static int from_source(struct resolve *rs, const char *profile, const char *source,
	struct aws_found *ret, struct sfs_err *err)
{
	int r;
	if (strcmp(source, "Environment") == 0)
		r = aws_find_environment(rs->a, rs->call, ret, err);
	else if (strcmp(source, "Ec2InstanceMetadata") == 0)
		r = aws_find_imds(rs->a, rs->call, ret, err);
	else if (strcmp(source, "EcsContainer") == 0)
		r = aws_find_container(rs->a, rs->call, ret, err);
	else
		return wrong(profile,
			"credential_source must be Environment, Ec2InstanceMetadata or "
			"EcsContainer",
			err);
	if (r == -ENODATA) {
		err->code = ENOKEY;
		return err_prefix(err, "profile %s: credential_source %s", profile, source);
	}
	return r;
}

static int check_role(const struct resolve *rs, const char *profile, struct sfs_err *err)
{
	bool named = value(rs, profile, "source_profile");
	bool other = value(rs, profile, "credential_source");
	if (value(rs, profile, "mfa_serial"))
		return err_set(err, EACCES,
			"profile %s: the role wants a code of an MFA device (mfa_serial), which "
			"nobody can type here: use a role without it, or a credential_process",
			profile);
	if (named && other)
		return wrong(profile,
			"source_profile and credential_source are both there: keep one of them",
			err);
	if (!named && !other)
		return wrong(profile,
			"role_arn needs source_profile, credential_source or "
			"web_identity_token_file",
			err);
	return 0;
}

static int find_role(
	struct resolve *rs, const char *profile, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(role_clear) struct role_text t = {0};
	_cleanup_free_ char *named = NULL, *other = NULL;
	bool failed = false;
	int r = check_role(rs, profile, err);
	if (r == 0)
		r = read_role(rs, profile, &t, err);
	if (r < 0)
		return r;
	named = aws_value_text(value(rs, profile, "source_profile"), &failed);
	other = aws_value_text(value(rs, profile, "credential_source"), &failed);
	if (failed)
		return aws_no_memory(err);
	r = named ? from_profile(rs, profile, named, ret, err)
		  : from_source(rs, profile, other, ret, err);
	return r < 0 ? r : aws_assume(rs->a, rs->call, &t.role, ret, err);
}

static int find_token_role(
	struct resolve *rs, const char *profile, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(role_clear) struct role_text t = {0};
	_cleanup_free_ char *file = NULL, *path = NULL;
	char what[160];
	bool failed = false;
	int r = read_role(rs, profile, &t, err);
	if (r < 0)
		return r;
	file = aws_value_text(value(rs, profile, "web_identity_token_file"), &failed);
	if (failed)
		return aws_no_memory(err);
	snprintf(what, sizeof(what), "web_identity_token_file of profile %.100s", profile);
	r = setting_path(rs->a->env, what, file, &path, err);
	return r < 0 ? r : aws_assume_web_identity(rs->a, rs->call, &t.role, path, ret, err);
}

/* ---- a profile ---- */

static int resolve(
	struct resolve *rs, const char *profile, struct aws_found *ret, struct sfs_err *err)
{
	const struct aws_value *line;
	if (rs->n == CHAIN_MAX)
		return wrong(profile, "more than 16 profiles lead to each other", err);
	rs->way[rs->n++] = profile;
	if (value(rs, profile, "role_arn"))
		return value(rs, profile, "web_identity_token_file")
			       ? find_token_role(rs, profile, ret, err)
			       : find_role(rs, profile, ret, err);
	if (has_static(rs, profile))
		return find_static(rs, profile, ret, err);
	if ((line = value(rs, profile, "credential_process")))
		return aws_find_process(rs->a, rs->call, profile, line, ret, err);
	if (value(rs, profile, "sso_session") || value(rs, profile, "sso_start_url"))
		return aws_find_sso(rs->a, rs->call, rs->files, profile, ret, err);
	if (value(rs, profile, "login_session"))
		return err_set(err, EOPNOTSUPP,
			"profile %s: credentials of `aws login` are bound to that program: use "
			"credential_process = aws configure export-credentials --format process",
			profile);
	return err_set(err, ENODATA, "profile %s holds no credentials", profile);
}

static int missing_profile(
	const struct aws_conf *c, const struct aws_files *files, struct sfs_err *err)
{
	if (c->profile_named || c->profile_env)
		return aws_files_no_profile(files, c->profile, err);
	if (!c->file[AWS_FILE_CONFIG].path && !c->file[AWS_FILE_CREDENTIALS].path)
		return err_set(err, ENODATA, "no home directory is known");
	return err_set(err, ENODATA, "no profile default in %s or %s",
		c->file[AWS_FILE_CREDENTIALS].path ? c->file[AWS_FILE_CREDENTIALS].path : "-",
		c->file[AWS_FILE_CONFIG].path ? c->file[AWS_FILE_CONFIG].path : "-");
}

int aws_find_profile(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err)
{
	struct aws_files *files = NULL;
	int r = aws_conf_files(a->env, a->conf, &files, a->file_stamp, err);
	for (int i = 0; i < 2; i++)
		if (a->conf->file[i].path)
			credwatch_add(&a->watch, a->conf->file[i].path, &a->file_stamp[i]);
	if (r < 0)
		return r;
	struct resolve rs = {.a = a, .call = call, .files = files};
	r = aws_files_has_profile(files, a->conf->profile)
		    ? resolve(&rs, a->conf->profile, ret, err)
		    : missing_profile(a->conf, files, err);
	aws_files_free(files);
	return r;
}
