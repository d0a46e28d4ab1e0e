/* SPDX-License-Identifier: Apache-2.0 */
/* What settings are taken from: variables and the two files. */
#include "backends/aws_conf.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for the settings");
}

/* ---- variables ---- */

bool aws_has_control(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)s[i]))
			return true;
	return false;
}

int aws_env_text(
	const struct backend_env *env, const char *name, char **ret_text, struct sfs_err *err)
{
	struct secret *v = envstore_get(env->env, name);
	char *text = NULL;
	int r = 0;
	if (v && aws_has_control((const char *)secret_bytes(v), secret_len(v)))
		r = err_set(err, EINVAL,
			"environment variable %s: a line break or another control character in it",
			name);
	else if (v && secret_len(v)) {
		text = mem_strndup((const char *)secret_bytes(v), secret_len(v));
		r = text ? 0 : no_memory(err);
	}
	secret_unref(v);
	if (r == 0)
		*ret_text = text;
	return r;
}

int aws_flag(const char *what, const char *text, bool *ret, struct sfs_err *err)
{
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
		*ret = strcasecmp(text, "true") == 0;
		return 0;
	}
	return err_set(err, EINVAL, "%s must be true or false", what);
}

int aws_env_flag(const struct backend_env *env, const char *name, bool *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = aws_env_text(env, name, &text, err);
	return r < 0 || !text ? r : aws_flag(name, text, ret, err);
}

char *aws_value_text(const struct aws_value *v, bool *ret_failed)
{
	char *text = v ? mem_strndup(v->text.p, v->text.len) : NULL;
	if (v && !text)
		*ret_failed = true;
	return text;
}

/* ---- files ---- */

int aws_conf_path(const struct backend_env *env, const char *what, const char *text,
	char **ret_path, struct sfs_err *err)
{
	static const char *const homes[] = {"~/", "$HOME/", "${HOME}/"};
	const char *rest = NULL;
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]) && !rest; i++)
		if (strncmp(text, homes[i], strlen(homes[i])) == 0)
			rest = text + strlen(homes[i]);
	if (rest && !env->home)
		return err_set(err, EINVAL,
			"%s is below the home directory, and there is none: give home=", what);
	if (!rest && *text != '/')
		return err_set(err, EINVAL, "%s must be an absolute path", what);
	char *path = rest ? mem_asprintf("%s/%s", env->home, rest) : mem_strdup(text);
	if (!path)
		return no_memory(err);
	*ret_path = path;
	return 0;
}

int aws_conf_file_path(const struct backend_env *env, const char *variable, const char *base,
	struct aws_conf_file *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = aws_env_text(env, variable, &text, err);
	if (r < 0 || (!text && !env->home))
		return r;
	ret->named = text != NULL;
	if (text)
		return aws_conf_path(env, variable, text, &ret->path, err);
	ret->path = mem_asprintf("%s/.aws/%s", env->home, base);
	return ret->path ? 0 : no_memory(err);
}

/* A home directory that is not ours to look into is no home directory (pods often have HOME=/root
 * and another user). */
static bool absent(const struct aws_conf_file *f, const struct credfile_stamp *stamp, int r)
{
	if (stamp->there)
		return false;
	return r == -ENOENT || r == -ENOTDIR || (r == -EACCES && !f->named);
}

static int add_file(const struct backend_env *env, const struct aws_conf_file *f,
	enum aws_file kind, struct aws_files *files, struct credfile_stamp *stamp,
	struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(AWS_FILE_MAX);
	struct sfs_err why = {0};
	if (!f->path)
		return 0;
	int r = credfile_read(env->paths, f->path,
		kind == AWS_FILE_CREDENTIALS ? CREDFILE_SECRET : 0, &text, stamp, &why);
	if (absent(f, stamp, r))
		return 0;
	if (r < 0)
		return err_set(err, -r, "%s", why.msg);
	return aws_files_add(files, buf_text(&text), text.len, kind, f->path, err);
}

int aws_conf_files(const struct backend_env *env, const struct aws_conf *c, struct aws_files **ret,
	struct credfile_stamp stamps[2], struct sfs_err *err)
{
	struct credfile_stamp own[2] = {0};
	struct aws_files *files;
	stamps = stamps ? stamps : own;
	if (aws_files_new(&files) < 0)
		return no_memory(err);
	int r = 0;
	for (int i = 0; i < 2 && r == 0; i++)
		r = add_file(env, &c->file[i], (enum aws_file)i, files, &stamps[i], err);
	if (r < 0)
		aws_files_free(files);
	else
		*ret = files;
	return r;
}
