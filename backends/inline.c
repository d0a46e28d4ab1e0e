/* SPDX-License-Identifier: Apache-2.0 */
/* inline: the values stand in the configuration file. For demonstrations. */
#include "backends/fixed.h"

#include "base/log.h"
#include <errno.h>

#define HINT "its values stand in the [values NAME] section of a configuration file"

static int add_values(struct fixed_set *set, const struct backend_env *env)
{
	int rc = 0;
	for (size_t i = 0; i < env->n_inline && !rc; i++)
		rc = fixed_add(set, env->inline_values[i].name, env->inline_values[i].value);
	return rc;
}

static int inline_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	(void)opts;
	if (*location)
		return err_set(err, EINVAL, "inline: takes nothing after the colon; %s", HINT);
	if (env->n_inline == 0)
		return err_set(err, EINVAL, "inline: has no values; %s", HINT);
	struct fixed_set *set = fixed_new("inline value");
	if (!set || add_values(set, env) < 0) {
		fixed_close(set);
		return err_set(err, ENOMEM, "no memory for the inline values");
	}
	log_warn("inline/%s: %zu values stand readable in a configuration file: for demonstrations "
		 "only",
		env->instance, fixed_count(set));
	*ret_state = set;
	return 0;
}

const struct backend_ops inline_backend = {
	.name = "inline",
	.summary = "values of the configuration file, for demonstrations",
	.flags = BACKEND_LOCAL | BACKEND_LIST_COMPLETE,
	.open = inline_open,
	.list = fixed_list,
	.get = fixed_get,
	.close = fixed_close,
	.watch = fixed_watch,
};
