/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount was asked to be: SOURCE, -o options and, when SOURCE is a file ending in .conf, its
 * sections (core/ini.h).
 *
 *   [mount]          options of the mount table
 *   [backend NAME]   type = file, location = /etc/app.env, at = DIR, and the options of that back
 * end [values NAME]    name = value pairs of an `inline` back end called NAME [rule GLOB]      ttl,
 * uid, gid, mode, dmode, stale, hidden [map]            NEWPATH = NAME[#FIELD]
 *
 * Precedence: -o over [mount] over defaults. A configuration is checked whole before anything of it
 * is used; an error names file and line. It is plain data: parsed the same way by the mount command
 * (to refuse early), the worker, and a reload.
 */
#ifndef SFS_CORE_CONFIG_H
#define SFS_CORE_CONFIG_H

#include "backends/backend.h"
#include "base/err.h"
#include "base/opt.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

extern const struct opt_table config_mount_options; /* ttl, stale, negative_ttl, list_ttl, timeout,
						       cache_size, uid, ... */
extern const struct opt_table config_rule_options;
extern const struct opt_table config_backend_options; /* of every back end: type, location, at,
							 prefix, add_prefix, names */

struct backend_conf {
	char *name; /* section name; for a bare SOURCE the back end's own name */
	const struct backend_ops *ops;
	char *location; /* "" if none */
	char *at;	/* directory under the mount without slashes at its ends; "" = the root */
	struct opt_values common;    /* of config_backend_options */
	struct opt_values own;	     /* of ops->options */
	struct inline_value *values; /* inline: owned, names mem_free()d, values unref'd */
	size_t nvalues;
};

/* What applies to a secret. */
struct policy {
	int64_t ttl;   /* seconds, -1, 0 */
	int64_t stale; /* seconds */
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permission bits, no write */
	bool hidden; /* the secret does not exist under this mount, in no view */
};

enum rule_word {
	RULE_TTL = 1,
	RULE_STALE = 2,
	RULE_UID = 4,
	RULE_GID = 8,
	RULE_MODE = 16,
	RULE_HIDDEN = 32,
	RULE_DMODE = 64
};

struct rule {
	char *glob;
	struct opt_values opts; /* of config_rule_options */
	char *origin;		/* "file:line" */
	unsigned words;		/* enum rule_word: what it sets */
	struct policy policy;	/* the words it sets, as values */
	mode_t dmode;
};

struct map_entry {
	char *path;  /* new path under the mount, as written under the mount (encoded) */
	char *name;  /* path of the source secret under the mount before mapping */
	char *field; /* after '#', or NULL */
	char *origin;
};

/* Which values are fetched at mount and kept fresh without readers. */
enum config_hydrate {
	HYDRATE_NONE,  /* lazy: fetched when opened; also with a mount ttl of 0 */
	HYDRATE_GLOBS, /* those whose path a glob matches; opened as in lazy mode */
	HYDRATE_ALL,   /* all: the kernel may serve them without asking */
};

struct config {
	char *source;		 /* as given */
	char *file;		 /* canonical path of the config file, or NULL */
	struct opt_values mount; /* of config_mount_options */
	struct backend_conf *backends;
	size_t nbackends;
	struct rule *rules;
	size_t nrules;
	struct map_entry *maps;
	size_t nmaps;
	struct policy policy; /* of the mount table; config_load() sets uid and gid, else
				 config_set_owner() */
	mode_t dmode;
	int64_t list_ttl, negative_ttl; /* seconds */
	enum config_hydrate hydrate;	/* see config_hydration() */
	char **hydrate_globs;		/* HYDRATE_GLOBS: patterns without leading slash */
	size_t nhydrate_globs;
	uint32_t open_rate; /* 0 = no limit */
};

/* Parses SOURCE and `options` (text of -o, may be NULL or ""). `paths` opens the config file. All
 * or nothing. Errors: EINVAL with a sentence that names origin ("-o" or file:line), word, reason
 * and, where there is one, the nearest known word. */
int config_load(const char *source, const char *options, const struct path_env *paths,
	struct config **ret, struct sfs_err *err);
/* Pure parser of a config file's bytes (fuzzed): fills an empty config from `text`; `file` is for
 * messages. */
int config_parse(
	const char *text, size_t len, const char *file, struct config *ret, struct sfs_err *err);
void config_free(struct config *c);

/* Directories and files the holder may open for the worker: config file, sources, OPT_PATH and
 * file: references; each the canonical directory that holds it (and, where a link leads elsewhere,
 * that of its target). NULL-terminated; free each and the array with mem_free(). */
int config_paths(const struct config *c, char ***ret, struct sfs_err *err);
/* Patterns of variables to take at mount: env: locations and env: references. As above. */
int config_env(const struct config *c, char ***ret, struct sfs_err *err);
/* Appends the effective configuration, one "name = value  # origin" a line; values of OPT_SECRET
 * and inline by name only. */
int config_text(const struct config *c, struct buf *out);

/* What applies to the secret at `path` (encoded, under the mount): rules in order, for each word
 * the first rule that sets it, then the mount's. A mount with ttl 0 caches nothing, whatever a rule
 * says. */
void config_policy(const struct config *c, const char *path, struct policy *ret);
/* The same for a file that has two paths: a rule counts if it matches `path` or `alias` (the secret
 * of a key, the target of a [map] name; NULL = none). */
void config_policy_alias(
	const struct config *c, const char *path, const char *alias, struct policy *ret);
/* Mode of the directory at `path`: the first rule that matches it and has dmode, else the mount's.
 */
mode_t config_dir_mode(const struct config *c, const char *path);
/* Who owns what no uid= or gid= of the mount decides. Before this call: the real ids of the process
 * that loaded. The worker, which runs under another account, passes on the ids of the caller of
 * mount. */
void config_set_owner(struct config *c, uid_t uid, gid_t gid);
/* Refuses what must not lie in our own mount (R23): EINVAL naming the option. `mountpoint` is
 * canonical. */
int config_check_mountpoint(const struct config *c, const char *mountpoint, struct sfs_err *err);
/* Owner and mode of directories and of the mount's own files. */
void config_dir_policy(const struct config *c, uid_t *ret_uid, gid_t *ret_gid, mode_t *ret_dmode);

/* --- config_audit.c --- */

/* Where a line for each open goes: "syslog" or an absolute path; NULL: nowhere. */
const char *config_audit(const struct config *c);
/* Whether an open fails when its line cannot be written. */
bool config_audit_required(const struct config *c);

/* --- config_hydrate.c --- */

/* The mode of the mount, which a reload may not change (config_check_reload()). */
enum config_hydrate config_hydration(const struct config *c);
/* Whether the secret at `path` is to be hydrated (its ttl and what it is are not looked at). */
bool config_hydrates(const struct config *c, const char *path);
/* Whether `next` may follow `now` while mounted. EINVAL: the kernel was told at mount whether it
 * has to ask at each open. */
int config_check_reload(const struct config *now, const struct config *next, struct sfs_err *err);

#endif
