/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What credentials and settings of AWS are made of on this machine, found out in the mount command:
 * variables, the two files, tokens, and the programs that the selected profile and its sources
 * name.
 */
#include "backends/aws_conf.h"
#include "backends/aws_cred.h"
#include "backends/settings.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_MAX 16

/* Variables that say where to look; all others are only taken along. */
static const char *const where[] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE",
	"AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION",
	"AWS_EC2_METADATA_DISABLED"};
#define WHERE (sizeof(where) / sizeof(where[0]))
static const char *const where_files[] = {
	"AWS_CA_BUNDLE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"};

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for what the source needs");
}

static int told(int r, struct sfs_err *err)
{
	return r < 0 ? err_errno(err, -r, "tell what the source needs") : 0;
}

/* It may come later, as tokens do; or it was mistyped. */
static int note_missing(const struct backend_env *env, struct needs *n, const char *what,
	const char *path, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	char shown[256];
	int r = path_open_file(env->paths, path, NULL, &fd, NULL);
	if (r != -ENOENT && r != -ENOTDIR)
		return 0;
	r = needs_note(n, "%s is %s, which does not exist: nothing can be fetched without it", what,
		text_escaped(shown, sizeof(shown), path, strlen(path)));
	return told(r, err);
}

static int need_path(const struct backend_env *env, struct needs *n, const char *what,
	const char *text, struct sfs_err *err)
{
	_cleanup_free_ char *path = NULL;
	if (!text)
		return 0;
	int r = setting_path(env, what, text, &path, err);
	if (r == 0)
		r = told(needs_file(n, path), err);
	return r < 0 ? r : note_missing(env, n, what, path, err);
}

static int need_value(const struct backend_env *env, struct needs *n, const char *profile,
	const char *key, const struct aws_value *v, struct sfs_err *err)
{
	char what[192];
	bool failed = false;
	_cleanup_free_ char *text = aws_value_text(v, &failed);
	if (failed)
		return no_memory(err);
	snprintf(what, sizeof(what), "%s of profile %.100s", key, profile);
	return need_path(env, n, what, text, err);
}

static int need_command(
	struct needs *n, const char *profile, const struct aws_value *v, struct sfs_err *err)
{
	bool failed = false;
	_cleanup_free_ char *line = aws_value_text(v, &failed);
	if (failed)
		return no_memory(err);
	int r = line ? needs_command(n, line) : 0;
	if (r == -EINVAL)
		return err_set(err, EINVAL,
			"profile %s: the quotes of its credential_process are not closed", profile);
	return told(r, err);
}

/* The selected profile and those it is made from. A circle ends: that is for open() to tell. */
static int need_profiles(const struct backend_env *env, struct needs *n, const char *first,
	const struct aws_files *files, struct sfs_err *err)
{
	bool failed = false;
	_cleanup_free_ char *profile = mem_strdup(first);
	int r = profile ? 0 : no_memory(err);
	for (int i = 0; i < CHAIN_MAX && profile && r == 0; i++) {
		r = need_value(env, n, profile, "web_identity_token_file",
			aws_files_value(files, profile, "web_identity_token_file"), err);
		if (r == 0)
			r = need_value(env, n, profile, "ca_bundle",
				aws_files_value(files, profile, "ca_bundle"), err);
		if (r == 0)
			r = need_command(n, profile,
				aws_files_value(files, profile, "credential_process"), err);
		char *next =
			aws_value_text(aws_files_value(files, profile, "source_profile"), &failed);
		mem_free(profile);
		profile = next;
	}
	return failed ? no_memory(err) : r;
}

/* Right on an instance, and forgotten everywhere else. Where the service may not be asked it is an
 * error, which open() tells. */
static int note_region(const struct backend_env *env, struct needs *n, const struct aws_conf *c,
	struct sfs_err *err)
{
	bool off = false;
	int r = c->region ? 0 : setting_env_flag(env, "AWS_EC2_METADATA_DISABLED", &off, err);
	if (r < 0 || c->region || off)
		return r;
	r = needs_note(n, "no region is named, so the instance metadata service will be asked for "
			  "it; where there is none, name the region after the colon of the source, "
			  "by region=, AWS_REGION, or region in the profile");
	return told(r, err);
}

/* profile= is checked by open(); a variable may be meant for others, and then keys of variables do
 * without it. */
static int note_profile(struct needs *n, const struct aws_conf *c, const struct aws_files *files,
	struct sfs_err *err)
{
	struct sfs_err why = {0};
	if (!c->profile_env || aws_files_has_profile(files, c->profile))
		return 0;
	aws_files_no_profile(files, c->profile, &why);
	return told(needs_note(n, "AWS_PROFILE: %s", why.msg), err);
}

static int need_files(const struct backend_env *env, struct needs *n, const char *location,
	const struct opt_values *opts, struct sfs_err *err)
{
	_cleanup_(aws_conf_free_p) struct aws_conf *c = NULL;
	struct aws_files *files = NULL;
	int r = aws_conf_profile(env, opts, &c, err);
	for (int i = 0; i < 2 && r == 0; i++)
		if (c->file[i].path)
			r = told(needs_file(n, c->file[i].path), err);
	if (r == 0)
		r = aws_conf_files(env, c, &files, NULL, err);
	if (r < 0)
		return r;
	r = need_profiles(env, n, c->profile, files, err);
	if (r == 0)
		r = aws_conf_region(env, location, opts, files, c, err);
	if (r == 0)
		r = note_region(env, n, c, err);
	if (r == 0)
		r = note_profile(n, c, files, err);
	aws_files_free(files);
	return r;
}

static int need_sso(struct needs *n, struct sfs_err *err)
{
	if (!needs_home(n))
		return 0;
	_cleanup_free_ char *dir = mem_asprintf("%s/.aws/sso/cache", needs_home(n));
	return dir ? told(needs_dir(n, dir), err) : no_memory(err);
}

/* The file of cacert= is needed of itself. */
static int note_cacert(const struct backend_env *env, struct needs *n,
	const struct opt_values *opts, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(opts, "cacert");
	return v ? note_missing(env, n, "cacert", v->text, err) : 0;
}

int aws_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err)
{
	struct envstore *vars = NULL;
	int r = told(needs_env(n, "AWS_*"), err);
	if (r == 0)
		r = setting_variables(n, where, WHERE, &vars, err);
	if (r < 0)
		return r;
	struct backend_env env = {
		.instance = "", .paths = needs_paths(n), .env = vars, .home = needs_home(n)};
	r = need_files(&env, n, location, opts, err);
	for (size_t i = 0; i < sizeof(where_files) / sizeof(where_files[0]) && r == 0; i++) {
		const char *text = needs_getenv(n, where_files[i]);
		r = need_path(&env, n, where_files[i], text && *text ? text : NULL, err);
	}
	if (r == 0)
		r = note_cacert(&env, n, opts, err);
	if (r == 0)
		r = need_sso(n, err);
	envstore_free(vars);
	return r;
}
