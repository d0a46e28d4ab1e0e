/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of a command line by the tables of cli.h. */
#include "mount/cli.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS_MAX  16  /* flags of one command */
#define NAMES_MAX  64  /* commands, for the nearest one */
#define LONG_BASE  256 /* getopt's value of the first long form: above every letter */
#define ECHOED_MAX 128 /* bytes of a mistyped word that are repeated */

static const struct cli_flag help_flag = {'h', "help", NULL, "Show this help."};

/* What getopt_long(3) wants, made from a command's table; entry i of `flags` has the value
 * LONG_BASE + i. */
struct getopt_tables {
	const struct cli_flag *flags[FLAGS_MAX];
	struct option longs[FLAGS_MAX + 1];
	char shorts[2 * FLAGS_MAX + 2];
	size_t n, nshorts;
};

static void table_add(struct getopt_tables *t, const struct cli_flag *f)
{
	if (t->n == FLAGS_MAX)
		abort(); /* a table of this program grew */
	t->longs[t->n] = (struct option){
		.name = f->name,
		.has_arg = f->arg ? required_argument : no_argument,
		.val = LONG_BASE + (int)t->n,
	};
	if (f->letter) {
		t->shorts[t->nshorts++] = f->letter;
		if (f->arg)
			t->shorts[t->nshorts++] = ':';
	}
	t->flags[t->n++] = f;
}

static void table_make(const struct cli_command *cmd, struct getopt_tables *t)
{
	*t = (struct getopt_tables){
		.shorts = ":", .nshorts = 1}; /* ':' = tell a missing argument apart */
	for (const struct cli_flag *f = cmd->flags; f && f->name; f++)
		table_add(t, f);
	table_add(t, &help_flag);
}

static const struct cli_flag *table_flag(const struct getopt_tables *t, int value)
{
	if (value >= LONG_BASE)
		return t->flags[value - LONG_BASE];
	for (size_t i = 0; i < t->n; i++)
		if (t->flags[i]->letter == value)
			return t->flags[i];
	return NULL;
}

static int bad_flag(const struct cli_command *cmd, const struct getopt_tables *t, const char *word,
	bool no_argument_given)
{
	const char *names[FLAGS_MAX];
	char shown[ECHOED_MAX];
	/* The value of --flag=value may be anything, a secret too: only the name is repeated. */
	size_t len = strcspn(word, "=");
	_cleanup_free_ char *name = mem_strndup(word, len);
	if (!name)
		return CLI_FAILED;
	text_escaped(shown, sizeof(shown), name, len);
	for (size_t i = 0; i < t->n; i++)
		names[i] = t->flags[i]->name;
	const char *near = strncmp(name, "--", 2) == 0 ? text_nearest(name + 2, names, t->n) : NULL;
	if (no_argument_given)
		fprintf(stderr, "secretfs: %s: flag %s needs a value", cmd->name, shown);
	else
		fprintf(stderr,
			"secretfs: %s: unknown flag %s, or a value for a flag that takes none",
			cmd->name, shown);
	if (near && !no_argument_given && strcmp(near, name + 2) != 0)
		fprintf(stderr, "; did you mean --%s?", near);
	fprintf(stderr, "\nsecretfs: try 'secretfs help %s'\n", cmd->name);
	return CLI_FAILED;
}

/* -1 = go on and run; else the exit code. */
static int parse(const struct cli_command *cmd, int argc, char **argv, struct cli_args *a)
{
	struct getopt_tables t;
	int c;
	table_make(cmd, &t);
	opterr = 0;
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		char letter[3] = {'-', (char)optopt, 0};
		bool is_letter = optopt > 0 && optopt < LONG_BASE;
		if (c == '?' || c == ':')
			return bad_flag(cmd, &t, is_letter ? letter : argv[optind - 1], c == ':');
		const struct cli_flag *f = table_flag(&t, c);
		if (f == &help_flag) {
			help_command(stdout, cmd);
			return CLI_OK;
		}
		if (a->ngiven == CLI_GIVEN_MAX) {
			fprintf(stderr, "secretfs: %s: more than %d flags\n", cmd->name,
				CLI_GIVEN_MAX);
			return CLI_FAILED;
		}
		a->given[a->ngiven++] = (struct cli_given){f, f->arg ? optarg : NULL};
	}
	a->argv = argv + optind;
	a->argc = argc - optind;
	return -1;
}

int cli_run(const struct cli_command *cmd, int argc, char **argv)
{
	struct cli_args a = {.cmd = cmd};
	int code = parse(cmd, argc, argv, &a);
	if (code >= 0)
		return code;
	if (a.argc < cmd->min || (cmd->max >= 0 && a.argc > cmd->max)) {
		fprintf(stderr, "secretfs: %s: %s\nusage: secretfs %s %s\n", cmd->name,
			a.argc < cmd->min ? "too few arguments" : "too many arguments", cmd->name,
			cmd->args);
		return CLI_FAILED;
	}
	return cmd->run(&a);
}

const struct cli_command *cli_find(const char *name)
{
	for (size_t i = 0; cli_commands[i]; i++)
		if (strcmp(cli_commands[i]->name, name) == 0)
			return cli_commands[i];
	return NULL;
}

int cli_unknown(const char *name)
{
	const char *names[NAMES_MAX];
	char shown[ECHOED_MAX];
	size_t n = 0;
	for (; n < NAMES_MAX && cli_commands[n]; n++)
		names[n] = cli_commands[n]->name;
	const char *near = text_nearest(name, names, n);
	if (strpbrk(name, ":/")) { /* mount(8) calls us so for the type that findmnt shows */
		fprintf(stderr,
			"secretfs: %s is a source, not a command: 'secretfs mount SOURCE "
			"MOUNTPOINT', or 'mount -t secretfs', mounts it\n",
			text_escaped(shown, sizeof(shown), name, strlen(name)));
		return CLI_FAILED;
	}
	fprintf(stderr, "secretfs: unknown command %s%s%s%s ('secretfs help' lists them)\n",
		text_escaped(shown, sizeof(shown), name, strlen(name)),
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return CLI_FAILED;
}

bool cli_has(const struct cli_args *a, const char *flag)
{
	for (size_t i = 0; i < a->ngiven; i++)
		if (strcmp(a->given[i].flag->name, flag) == 0)
			return true;
	return false;
}

const char *cli_value(const struct cli_args *a, const char *flag)
{
	for (size_t i = a->ngiven; i > 0; i--)
		if (strcmp(a->given[i - 1].flag->name, flag) == 0)
			return a->given[i - 1].value;
	return NULL;
}

char *cli_joined(const struct cli_args *a, const char *flag)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(SFS_OPTION_MAX);
	for (size_t i = 0; i < a->ngiven; i++) {
		if (strcmp(a->given[i].flag->name, flag) != 0)
			continue;
		if (b.len)
			buf_char(&b, ',');
		buf_str(&b, a->given[i].value);
	}
	if (!b.len)
		return mem_strdup("");
	return buf_take(&b);
}

int cli_fail(const struct sfs_err *err, int code)
{
	fprintf(stderr, "secretfs: %s\n", err->msg);
	return code;
}

void cli_notes(char *const *notes)
{
	char shown[2 * SFS_ERR_MAX];
	for (; *notes; notes++)
		fprintf(stderr, "secretfs: note: %s\n",
			text_escaped(shown, sizeof(shown), *notes, strlen(*notes)));
}
