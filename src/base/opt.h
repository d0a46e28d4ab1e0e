/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: one table per owner drives parsing of -o strings and config sections, --help, manual
 * pages and completion. Values are kept as text with their origin; typed getters were already
 * satisfied when the value was accepted.
 */
#ifndef SFS_BASE_OPT_H
#define SFS_BASE_OPT_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum opt_type {
	OPT_FLAG,     /* no value, or yes/no/true/false/on/off/1/0 */
	OPT_GLOBS,    /* the same, or patterns of paths (glob_match()) with ':' between them, \: for
			 one in    a pattern */
	OPT_STRING,   /* any text */
	OPT_CHOICE,   /* one of opt_row.choices ("a|b|c") */
	OPT_DURATION, /* parse_duration(): seconds, -1 = never */
	OPT_SIZE,     /* parse_size() */
	OPT_NUMBER,   /* parse_u64() up to 2^31 - 1 */
	OPT_USER,     /* user name or number */
	OPT_GROUP,    /* group name or number */
	OPT_MODE,     /* octal permission bits without any write bit, at most 0555 */
	OPT_PATH, /* absolute path of a file or directory; the holder may open it for the worker */
	OPT_SECRET, /* reference to a secret: file:PATH, env:NAME or fd:N; a plain value is refused
		       with a sentence  that tells how to give it and does not repeat it */
	OPT_VARIABLE, /* of a prefix row ("env.*"): a variable for programs; a text, or for a name
			 that holds a secret (opt_variable_secret()) a reference as OPT_SECRET */
	OPT_IGNORED,  /* words of fstab that mean nothing to us; with or without value */
};

/* Whether an option of that type may stand without a value. */
static inline bool opt_type_bare(enum opt_type type)
{
	return type == OPT_FLAG || type == OPT_GLOBS || type == OPT_IGNORED;
}

struct opt_row {
	const char *name; /* as in -o name=value; a trailing '*' matches a prefix ("x-systemd.*";
			     OPT_IGNORED and OPT_VARIABLE only) */
	enum opt_type type;
	const char *arg;  /* placeholder in help: "SECONDS"; NULL for flags */
	const char *dflt; /* default as text, shown in help and used by the getters; NULL = none */
	const char *choices; /* OPT_CHOICE only */
	const char *help; /* one or more sentences, plain ASCII; the only text that --help and the
			     manual have */
};

/* Rows end with a name of NULL. */
struct opt_table {
	const char *owner; /* "mount", "file", "rule": for messages and headings */
	const struct opt_row *rows;
};

struct opt_value {
	const struct opt_row *row;
	char *name;   /* as given, of an OPT_VARIABLE; else NULL: see opt_value_name() */
	char *text;   /* "" for a flag given alone */
	char *origin; /* "-o", "/etc/secretfs/x.conf:12" */
	int64_t num; /* private: what the typed getters return; users and groups are looked up once,
			when accepted */
};

/* An ordered set of accepted values; the last one given for a name wins. Zero-initialise;
 * opt_clear() at the end. */
struct opt_values {
	struct opt_value *v;
	size_t n;
};

/* Checks `text` (NULL = none given) against the row of that name in one of the `ntables` tables and
 * stores a copy. An unknown name is EINVAL with the nearest known name; a bad value is EINVAL with
 * name, origin, and what is allowed, and is not repeated (it may be a secret given to the wrong
 * option). ENOMEM. On error nothing changes. */
int opt_set(struct opt_values *vals, const struct opt_table *const *tables, size_t ntables,
	const char *name, const char *text, const char *origin, struct sfs_err *err);

/* Parses "a=1,b,c=\"x,y\",d=x\\,y": commas inside double quotes or after a backslash belong to the
 * value, quotes are removed, \\ is a backslash, \" a quote; a backslash before anything else stands
 * for itself. Empty items are skipped, as mount(8) does. Errors: those of opt_set(), EINVAL (quote
 * without end), E2BIG (over SFS_OPTION_MAX). All or nothing. */
int opt_parse(struct opt_values *vals, const struct opt_table *const *tables, size_t ntables,
	const char *options, const char *origin, struct sfs_err *err);

int opt_copy(struct opt_values *dst, const struct opt_values *src);
void opt_clear(struct opt_values *vals);

/* The name under which a value was given. */
const char *opt_value_name(const struct opt_value *v);
/* The name of the variable that an OPT_VARIABLE sets; NULL for any other value. */
const char *opt_variable(const struct opt_value *v);
/* Whether a variable of that name holds a secret: it ends in KEY, TOKEN, SECRET or PASSWORD. */
bool opt_variable_secret(const char *variable);
/* The reference of base/ref.h that the value is; NULL if it is none. */
const char *opt_reference(const struct opt_value *v);

/* The value given for `name`, else NULL. Valid until `vals` changes. */
const struct opt_value *opt_find(const struct opt_values *vals, const char *name);
/* The number a value stands for (0 or 1 of a flag, seconds, bytes), else `fallback`: for a row that
 * several tables have, where a getter that wants the table cannot know which. */
int64_t opt_find_number(const struct opt_values *vals, const char *name, int64_t fallback);
/* Typed getters: the value given, else the row's default, else the stated fallback. `t` is the
 * table of the row. Calling one with a name that the table does not have, or of another type,
 * aborts (a programming error). */
const char *opt_str(
	const struct opt_values *vals, const struct opt_table *t, const char *name); /* or NULL */
bool opt_flag(
	const struct opt_values *vals, const struct opt_table *t, const char *name); /* or false */
/* Of an OPT_GLOBS; *ret_text gets the patterns as given, for OPT_GLOBS_SOME only. */
enum opt_globs { OPT_GLOBS_NONE, OPT_GLOBS_ALL, OPT_GLOBS_SOME };
enum opt_globs opt_globs(const struct opt_values *vals, const struct opt_table *t, const char *name,
	const char **ret_text); /* or OPT_GLOBS_NONE */
int64_t opt_duration(
	const struct opt_values *vals, const struct opt_table *t, const char *name); /* or -1 */
uint64_t opt_size(
	const struct opt_values *vals, const struct opt_table *t, const char *name); /* or 0 */
uint64_t opt_number(
	const struct opt_values *vals, const struct opt_table *t, const char *name); /* or 0 */
/* These report whether the option was given (or has a default). */
bool opt_user(
	const struct opt_values *vals, const struct opt_table *t, const char *name, uid_t *ret);
bool opt_group(
	const struct opt_values *vals, const struct opt_table *t, const char *name, gid_t *ret);
bool opt_mode(
	const struct opt_values *vals, const struct opt_table *t, const char *name, mode_t *ret);

/* Help for a terminal, 80 columns; OPT_IGNORED rows are left out. */
void opt_print_help(FILE *f, const struct opt_table *t);
/* The same rows as man(7) ".TP" paragraphs, OPT_IGNORED rows as one sentence. */
void opt_print_man(FILE *f, const struct opt_table *t);

#endif
