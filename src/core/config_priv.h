/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the configuration: what its own files share. Not for others. */
#ifndef SFS_CORE_CONFIG_PRIV_H
#define SFS_CORE_CONFIG_PRIV_H

#include "core/config.h"

#define CONFIG_ORIGIN_OPTION "-o" /* origin of what the command line says */

#define NEEDS_MAX	4096 /* paths, or patterns of variables; bounds the holder's command line */
#define NEEDS_VARIABLES 256  /* variables that one back end looks at before the mount */

/* A growing list of strings, each once; ended by NULL. */
struct config_list {
	char **v;
	size_t n;
	bool failed; /* no memory */
};
/* Takes `s` over; NULL = making it failed. */
void config_list_add(struct config_list *l, char *s);
/* Hands the strings over, also of an empty list; ENOMEM if it failed. */
int config_list_end(struct config_list *l, char ***ret, struct sfs_err *err);
void config_list_clear(struct config_list *l);
/* What the options name, for config_paths() and config_env(). */
void config_add_paths(struct config_list *l, const struct config *c);
void config_add_env(struct config_list *l, const struct config *c);
/* The directory that holds a file, and that of its target where a link leads elsewhere; a directory
 * alone, canonical as far as it exists. */
void config_add_file(struct config_list *l, const char *path);
void config_add_dir(struct config_list *l, const char *path);

/* Turns accepted options into numbers, once, so that a policy costs no parsing. `uid`, `gid`: where
 * the mount has none. */
void config_compile(struct config *c, uid_t uid, gid_t gid);
/* The same for lazy and hydrate; after config_compile(). EINVAL: both given; ENOMEM. */
int config_compile_hydrate(struct config *c, struct sfs_err *err);
void config_clear_globs(struct config *c);
/* Frees what it holds and zeroes it. */
void config_clear(struct config *c);
void backend_conf_clear(struct backend_conf *b);

/* Checks that tables cannot express, over everything read: ranges, at=, locations, names. */
int config_check(struct config *c, struct sfs_err *err);
int config_check_audit(const struct config *c, struct sfs_err *err);
/* A part of config_check_reload(). */
int config_check_audit_reload(
	const struct config *now, const struct config *next, struct sfs_err *err);
/* Words that are no options of ours: the bare `user` of fstab means nothing (*ret_skip), suid, dev
 * and exec are refused. */
int config_word(
	const char *name, bool has_value, const char *origin, bool *ret_skip, struct sfs_err *err);
/* Sets at, location and ops of a back end whose options stand in `common`; `at` is what counts
 * without at=. */
int backend_conf_finish(
	struct backend_conf *b, const char *at, const char *origin, struct sfs_err *err);
/* The back end called `type`, or EINVAL with the nearest name and the list. */
int config_find_backend(
	const char *type, const char *origin, const struct backend_ops **ret, struct sfs_err *err);

#endif
