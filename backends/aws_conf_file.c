/* SPDX-License-Identifier: Apache-2.0 */
/* The two files that settings are taken from. */
#include "backends/aws_conf.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for the settings");
}

char *aws_value_text(const struct aws_value *v, bool *ret_failed)
{
	char *text = v ? mem_strndup(v->text.p, v->text.len) : NULL;
	if (v && !text)
		*ret_failed = true;
	return text;
}

int aws_conf_file_path(const struct backend_env *env, const char *variable, const char *base,
	struct aws_conf_file *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = setting_env(env, variable, &text, err);
	if (r < 0 || (!text && !env->home))
		return r;
	ret->named = text != NULL;
	if (text)
		return setting_path(env, variable, text, &ret->path, err);
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
