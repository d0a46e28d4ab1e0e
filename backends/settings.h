/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of sources on a network that are no secrets: options, variables taken at mount, paths.
 */
#ifndef SFS_BACKENDS_SETTINGS_H
#define SFS_BACKENDS_SETTINGS_H

#include "backends/backend.h"
#include "base/err.h"
#include "base/opt.h"
#include <stdbool.h>
#include <stddef.h>

/* A path of a setting: "~/" and "$HOME/" stand for the home directory. mem_free(). EINVAL: not
 * absolute, or no home directory is known; ENOMEM. `what` names the setting. */
int setting_path(const struct backend_env *env, const char *what, const char *text, char **ret_path,
	struct sfs_err *err);

/* A variable as text in ordinary memory (mem_free), for what is no secret; empty counts as not set.
 * 0 with NULL if it is not set; ENOMEM, EINVAL for a control character (R40). */
int setting_env(
	const struct backend_env *env, const char *name, char **ret_text, struct sfs_err *err);
/* Control characters must not get into a URL, a header, a path (R40). */
bool setting_has_control(const char *s, size_t len);
/* "true" and "false" in any case, else EINVAL: `what` must be one of them. */
int setting_flag(const char *what, const char *text, bool *ret, struct sfs_err *err);
/* "true" and "false" in any case; anything else is an error that names the variable. `*ret` is
 * untouched when it is not set. */
int setting_env_flag(
	const struct backend_env *env, const char *name, bool *ret, struct sfs_err *err);

/* For needs(), where variables are not taken yet: those of `names` as they are now, in a store that
 * the functions above read. ENOMEM. */
int setting_variables(const struct needs *n, const char *const *names, size_t n_names,
	struct envstore **ret, struct sfs_err *err);

/* An option as text (mem_free); empty counts as not given. 0 with `*ret_text` untouched if it is
 * not given; ENOMEM, EINVAL for a control character. */
int setting_option(
	const struct opt_values *opts, const char *name, char **ret_text, struct sfs_err *err);

#endif
