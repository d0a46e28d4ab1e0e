/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/settings.h"

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

bool setting_has_control(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)s[i]))
			return true;
	return false;
}

int setting_env(
	const struct backend_env *env, const char *name, char **ret_text, struct sfs_err *err)
{
	struct secret *v = envstore_get(env->env, name);
	char *text = NULL;
	int r = 0;
	if (v && setting_has_control((const char *)secret_bytes(v), secret_len(v)))
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

int setting_flag(const char *what, const char *text, bool *ret, struct sfs_err *err)
{
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
		*ret = strcasecmp(text, "true") == 0;
		return 0;
	}
	return err_set(err, EINVAL, "%s must be true or false", what);
}

int setting_env_flag(
	const struct backend_env *env, const char *name, bool *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = setting_env(env, name, &text, err);
	return r < 0 || !text ? r : setting_flag(name, text, ret, err);
}

int setting_option(
	const struct opt_values *opts, const char *name, char **ret_text, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(opts, name);
	if (!v || !*v->text)
		return 0;
	if (setting_has_control(v->text, strlen(v->text)))
		return err_set(err, EINVAL,
			"option %s (%s): a line break or another control character in it", name,
			v->origin);
	char *text = mem_strdup(v->text);
	if (!text)
		return no_memory(err);
	*ret_text = text;
	return 0;
}

int setting_path(const struct backend_env *env, const char *what, const char *text, char **ret_path,
	struct sfs_err *err)
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

int setting_variables(const struct needs *n, const char *const *names, size_t n_names,
	struct envstore **ret, struct sfs_err *err)
{
	char **lines = mem_calloc(n_names + 1, sizeof(*lines));
	size_t count = 0;
	int r = lines ? 0 : no_memory(err);
	for (size_t i = 0; i < n_names && r == 0; i++) {
		const char *value = needs_getenv(n, names[i]);
		if (!value)
			continue;
		lines[count] = mem_asprintf("%s=%s", names[i], value);
		r = lines[count] ? 0 : no_memory(err);
		count++;
	}
	if (r == 0)
		r = envstore_take(lines, names, n_names, ret, err);
	for (size_t i = 0; i < count; i++)
		mem_free(lines[i]);
	mem_free(lines);
	return r;
}
