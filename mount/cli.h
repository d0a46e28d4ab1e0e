/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: a table of commands, each with a table of flags. The tables drive parsing,
 * `secretfs help`, the manual page and completion, so that these cannot drift apart.
 */
#ifndef SFS_MOUNT_CLI_H
#define SFS_MOUNT_CLI_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit codes of mount(8); the commands that are no mount use the first two. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* bad usage or option, missing right, or what was asked for did not work */
	CLI_INTERRUPTED = 8, /* the user interrupted */
	CLI_MOUNT = 32,	     /* mounting or unmounting failed */
};

struct cli_flag {
	char letter;	  /* 'o' for -o; 0 = long form only */
	const char *name; /* "options" for --options */
	const char *arg;  /* placeholder in help, NULL = takes none */
	const char *help; /* a sentence */
};

struct cli_args;

struct cli_command {
	const char *name;
	const char *args;	      /* synopsis of the arguments after the flags */
	const char *summary;	      /* one line */
	const char *help;	      /* sentences; paragraphs are separated by an empty line */
	const struct cli_flag *flags; /* ended by name NULL; -h, --help is every command's */
	int min, max;		      /* number of arguments, max -1 = any */
	int (*run)(const struct cli_args *a); /* returns the exit code */
};

#define CLI_GIVEN_MAX 64 /* flags on one command line; more than any person or fstab line gives */

struct cli_given {
	const struct cli_flag *flag;
	const char *value; /* NULL for a flag without */
};

/* A parsed command line; points into argv. */
struct cli_args {
	const struct cli_command *cmd;
	struct cli_given given[CLI_GIVEN_MAX];
	size_t ngiven;
	char **argv; /* the arguments without flags, ended by NULL */
	int argc;
};

/* main.c: every visible command, ended by NULL. */
extern const struct cli_command *const cli_commands[];

/* Parses flags and arguments and runs the command; argv[0] is its name. Returns the exit code. */
int cli_run(const struct cli_command *cmd, int argc, char **argv);
const struct cli_command *cli_find(const char *name);
/* "secretfs: unknown command x; did you mean y?" */
int cli_unknown(const char *name);
bool cli_has(const struct cli_args *a, const char *flag);
/* The last value given for the flag of that long name, or NULL. */
const char *cli_value(const struct cli_args *a, const char *flag);
/* All values of the flag joined by commas in fresh memory (mem_free), "" if none; NULL on no
 * memory. */
char *cli_joined(const struct cli_args *a, const char *flag);
/* Prints "secretfs: sentence" to standard error and returns `code`. */
int cli_fail(const struct sfs_err *err, int code);
/* Prints "secretfs: note: sentence" for each of a list ended by NULL, to standard error. */
void cli_notes(char *const *notes);

/* cmd_help.c: text for a terminal. */
void help_command(FILE *f, const struct cli_command *cmd);
void help_overview(FILE *f);
/* Prints `text` wrapped at 80 columns after `indent` blanks. */
void help_wrapped(FILE *f, const char *text, int indent);
/* cmd_man.c: one table as man(7) source or as words for completion; ENOENT for an unknown table. */
int man_table(FILE *f, const char *table, struct sfs_err *err);

extern const struct cli_command cmd_mount, cmd_mount_helper, cmd_umount, cmd_ls, cmd_get,
	cmd_hydrate, cmd_purge, cmd_refresh, cmd_cached, cmd_status, cmd_events, cmd_check,
	cmd_backends, cmd_version, cmd_help;

#endif
