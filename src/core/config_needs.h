/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a configuration needs of the machine, so that it can be fixed at mount: files, variables,
 * descriptors and commands; what its options name, and what the back ends tell (backends/needs.h).
 */
#ifndef SFS_CORE_CONFIG_NEEDS_H
#define SFS_CORE_CONFIG_NEEDS_H

#include "core/config.h"
#include "core/machine.h"

/* Lists of strings, each ended by NULL, owned. */
struct config_needs {
	char **paths;	 /* as config_paths() */
	char **env;	 /* as config_env() */
	char **fds;	 /* numbers of fd: references */
	char **commands; /* texts of base/command.h */
	char **notes;	 /* what to tell whoever mounts: "NAME: sentence" */
};
void config_needs_clear(struct config_needs *n);

/* Asks each back end. `m->env` NULL: variables come from the environment of this process. Errors:
 * those of the back ends, with the name of the source; ENOMEM; EINVAL: home= is no absolute path;
 * E2BIG: more than SFS_COMMANDS_MAX commands. */
int config_needs(const struct config *c, const struct machine *m, struct config_needs *ret,
	struct sfs_err *err);

/* Whether all that `c` needs and that only a mount can fix was fixed for `m`: EINVAL with the first
 * thing that was not. Files are not looked at: the worker may be able to open them by itself. */
int config_check_fixed(const struct config *c, const struct machine *m, struct sfs_err *err);

/* The home directory for that source: home=, else that of `m`; may be NULL. */
const char *config_home(const struct backend_conf *b, const struct machine *m);
/* Appends the text of the command that `line` (as needs_command() takes it) is for that source.
 * Errors: ENOMEM, EINVAL. */
int config_command(const struct backend_conf *b, const struct machine *m, const char *line,
	struct buf *out, struct sfs_err *err);

#endif
