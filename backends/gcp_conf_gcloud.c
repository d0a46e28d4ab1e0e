/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of gcloud, of which only the project is looked at. */
#include "backends/gcp_conf.h"

#include "backends/credfile.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

#define INI_MAX	  65536
#define NAME_MAX_ 64 /* of a configuration */

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for the configuration of gcloud");
}

int gcp_gcloud_dir(const struct backend_env *env, char **ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = setting_env(env, "CLOUDSDK_CONFIG", &text, err);
	if (r < 0)
		return r;
	if (text)
		return setting_path(env, "CLOUDSDK_CONFIG", text, ret, err);
	if (!env->home)
		return 0;
	*ret = mem_asprintf("%s/.config/gcloud", env->home);
	return *ret ? 0 : no_memory(err);
}

/* ---- the INI file ---- */

struct text {
	const char *p;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

static struct text trim(const char *p, size_t len)
{
	while (len && is_blank(*p)) {
		p++;
		len--;
	}
	while (len && is_blank(p[len - 1]))
		len--;
	return (struct text){p, len};
}

static bool is(struct text t, const char *word)
{
	return t.len == strlen(word) && memcmp(t.p, word, t.len) == 0;
}

/* One line: 1 = the value of `key` was appended in place of an earlier one. */
static int take_line(struct text line, const char *section, const char *key, bool *inside,
	struct buf *ret, size_t from)
{
	if (!line.len || *line.p == '#' || *line.p == ';')
		return 0;
	if (*line.p == '[') {
		if (line.p[line.len - 1] != ']')
			return -EBADMSG;
		*inside = is(trim(line.p + 1, line.len - 2), section);
		return 0;
	}
	const char *sign = memchr(line.p, '=', line.len), *colon = memchr(line.p, ':', line.len);
	if (!sign || (colon && colon < sign))
		sign = colon;
	if (!sign)
		return -EBADMSG;
	size_t n = (size_t)(sign - line.p);
	if (!*inside || !is(trim(line.p, n), key))
		return 0;
	struct text v = trim(sign + 1, line.len - n - 1);
	if (ret->len > from) { /* the last one counts */
		ret->len = from;
		ret->data[from] = '\0';
	}
	int r = buf_add(ret, v.p, v.len);
	return r < 0 ? r : 1;
}

int gcp_gcloud_ini(const char *text, size_t len, const char *section, const char *key,
	struct buf *ret, struct sfs_err *err)
{
	bool inside = false;
	size_t from = ret->len, n, number = 1;
	int found = 0;
	for (; len; text += n, len -= n, number++) {
		const char *end = memchr(text, '\n', len);
		n = end ? (size_t)(end - text) + 1 : len;
		if (inside && is_blank(*text) && trim(text, n).len)
			continue; /* more of the value before */
		int r = take_line(trim(text, n), section, key, &inside, ret, from);
		if (r == -EBADMSG)
			return err_set(err, EBADMSG,
				"line %zu is neither [section] nor key = value", number);
		if (r < 0)
			return err_errno(err, -r, "line %zu", number);
		found |= r;
	}
	return found;
}

/* ---- the files ---- */

/* What does not exist, or is in a home directory that is not ours to look into, says nothing. */
static int read_text(
	const struct backend_env *env, const char *path, struct buf *text, struct sfs_err *err)
{
	struct credfile_stamp stamp = {0};
	struct sfs_err why = {0};
	int r = credfile_read(env->paths, path, 0, text, &stamp, &why);
	if (r < 0 && !stamp.there && (r == -ENOENT || r == -ENOTDIR || r == -EACCES))
		return 0;
	return r < 0 ? err_set(err, -r, "%s", why.msg) : 0;
}

static bool is_name(const char *s)
{
	return *s && strlen(s) <= NAME_MAX_ &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
		       strlen(s);
}

/* Which configuration is active: a variable, the file `active_config`, "default". */
static int active(const struct backend_env *env, const char *dir, char **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(INI_MAX);
	_cleanup_free_ char *path = NULL, *name = NULL;
	int r = setting_env(env, "CLOUDSDK_ACTIVE_CONFIG_NAME", &name, err);
	if (r == 0 && !name) {
		path = mem_asprintf("%s/active_config", dir);
		r = path ? read_text(env, path, &text, err) : no_memory(err);
	}
	if (r < 0)
		return r;
	struct text t = trim(buf_text(&text), text.len);
	if (!name)
		name = t.len ? mem_strndup(t.p, t.len) : mem_strdup("default");
	if (!name)
		return no_memory(err);
	if (!is_name(name))
		return err_set(err, EINVAL, "%s names no configuration of gcloud",
			path ? path : "CLOUDSDK_ACTIVE_CONFIG_NAME");
	*ret = take(name);
	return 0;
}

/* gcloud's own variable beats its files. */
static int by_variable(const struct backend_env *env, struct buf *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = setting_env(env, "CLOUDSDK_CORE_PROJECT", &text, err);
	if (r < 0 || !text)
		return r;
	return buf_str(ret, text) < 0 ? no_memory(err) : 1;
}

int gcp_gcloud_project(
	const struct backend_env *env, struct buf *ret, struct buf *ret_where, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(INI_MAX);
	_cleanup_free_ char *dir = NULL, *name = NULL, *path = NULL;
	int r = by_variable(env, ret, err);
	if (r)
		return r < 0 ? r : 0;
	r = gcp_gcloud_dir(env, &dir, err);
	if (r < 0 || !dir)
		return r;
	r = active(env, dir, &name, err);
	if (r < 0)
		return r;
	path = mem_asprintf("%s/configurations/config_%s", dir, name);
	if (!path || (ret_where && buf_str(ret_where, path) < 0))
		return no_memory(err);
	r = read_text(env, path, &text, err);
	if (r < 0)
		return r;
	r = gcp_gcloud_ini(buf_text(&text), text.len, "core", "project", ret, err);
	return r < 0 ? err_prefix(err, "%s", path) : 0;
}
