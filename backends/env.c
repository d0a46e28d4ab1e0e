/* SPDX-License-Identifier: Apache-2.0 */
/* env:NAME,PREFIX*: environment variables, taken once at mount. */
#include "backends/fixed.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define SYNTAX                                                                                     \
	"env: needs the names of variables, separated by commas; NAME* means all that start with " \
	"NAME: env:DB_PASSWORD,APP_*"

static int check_pattern(const char *pattern, struct sfs_err *err)
{
	char shown[128];
	size_t n = strcspn(pattern, "= \t\n"); /* what follows may be a value */
	const char *star = strchr(pattern, '*');
	text_escaped(shown, sizeof(shown), pattern, n);
	if (!*pattern)
		return err_set(err, EINVAL, "an empty name; %s", SYNTAX);
	if (pattern[n])
		return err_set(err, EINVAL, "after \"%s\": a name has no blank and no '='; %s",
			shown, SYNTAX);
	if (star && star[1])
		return err_set(
			err, EINVAL, "\"%s\": '*' may stand only at the end; %s", shown, SYNTAX);
	return 0;
}

/* The variables that match `pattern`. */
static int add_matches(struct fixed_set *set, const struct envstore *env, const char *pattern)
{
	for (size_t i = 0; i < envstore_count(env); i++) {
		const char *name = envstore_name(env, i);
		if (!env_matches(pattern, name))
			continue;
		struct secret *value = envstore_get(env, name);
		int rc = value ? fixed_add(set, name, value) : -ENOMEM;
		secret_unref(value);
		if (rc)
			return rc;
	}
	return 0;
}

static int add_patterns(
	struct fixed_set *set, const struct envstore *env, char *patterns, struct sfs_err *err)
{
	for (char *rest = patterns, *pattern; (pattern = strsep(&rest, ","));) {
		int rc = check_pattern(pattern, err);
		if (rc)
			return rc;
		if (add_matches(set, env, pattern) < 0)
			return err_set(err, ENOMEM, "no memory for the variables");
	}
	return 0;
}

static int env_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	_cleanup_free_ char *patterns = mem_strdup(location);
	(void)opts;
	if (!*location)
		return err_set(err, EINVAL, "%s", SYNTAX);
	struct fixed_set *set = fixed_new("environment variable");
	int rc = set && patterns ? add_patterns(set, env->env, patterns, err)
				 : err_set(err, ENOMEM, "no memory for the variables");
	if (rc) {
		fixed_close(set);
		return rc;
	}
	if (fixed_count(set) == 0)
		log_warn("env/%s: none of the variables was set when the mount was made",
			env->instance);
	*ret_state = set;
	return 0;
}

const struct backend_ops env_backend = {
	.name = "env",
	.summary = "environment variables, by name or prefix, taken at mount",
	.location = "NAMES",
	.flags = BACKEND_LOCAL | BACKEND_LIST_COMPLETE | BACKEND_LOCATION_ENV,
	.open = env_open,
	.list = fixed_list,
	.get = fixed_get,
	.close = fixed_close,
	.watch = fixed_watch,
};
