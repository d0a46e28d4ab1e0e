/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `secretfs help --man TABLE`: the tables of this program as man(7) source and as shell words.
 * packaging/generate puts them into the templates of the manual pages and of the completion; a test
 * fails when the committed files differ.
 */
#include "backends/backend.h"
#include "backends/net_options.h"
#include "base/text.h"
#include "core/config.h"
#include "core/core.h"
#include "mount/cli.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Text in man source: '-' stays a minus, a leading '.' or '\'' is no request. */
static void man_text(FILE *f, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", f);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", f);
		else if (*text == '\\')
			fputs("\\e", f);
		else
			fputc(*text, f);
	}
}

/* Paragraphs: an empty line starts a new one. */
static void man_paragraphs(FILE *f, const char *text)
{
	const char *end;
	for (; (end = strstr(text, "\n\n")); text = end + 2) {
		char part[4096];
		snprintf(part, sizeof(part), "%.*s", (int)(end - text), text);
		man_text(f, part);
		fputs("\n.IP\n", f);
	}
	man_text(f, text);
	fputc('\n', f);
}

static void man_flag(FILE *f, const struct cli_flag *flag)
{
	fputs(".TP\n", f);
	if (flag->letter)
		fprintf(f, "\\fB\\-%c\\fR, ", flag->letter);
	fputs("\\fB\\-\\-", f);
	man_text(f, flag->name);
	fputs("\\fR", f);
	if (flag->arg)
		fprintf(f, " \\fI%s\\fR", flag->arg);
	fputc('\n', f);
	man_paragraphs(f, flag->help);
}

static void man_command(FILE *f, const struct cli_command *cmd)
{
	fprintf(f, ".TP\n\\fB%s\\fR%s", cmd->name, *cmd->args ? " " : "");
	man_text(f, cmd->args);
	fputc('\n', f);
	fprintf(f, "%s.\n", cmd->summary);
	man_paragraphs(f, cmd->help);
	if (!cmd->flags->name || cmd == &cmd_help)
		return;
	fputs(".RS\n", f);
	for (const struct cli_flag *flag = cmd->flags; flag->name; flag++)
		man_flag(f, flag);
	fputs(".RE\n", f);
}

static void man_commands(FILE *f)
{
	for (size_t i = 0; cli_commands[i]; i++)
		man_command(f, cli_commands[i]);
}

static void man_helper(FILE *f)
{
	for (const struct cli_flag *flag = cmd_mount_helper.flags; flag->name; flag++)
		man_flag(f, flag);
}

static void man_control(FILE *f)
{
	for (size_t i = 0; i < CONTROL_N; i++) {
		const struct control_row *row = &control_rows[i];
		fprintf(f, ".TP\n\\fB%s%s\\fR", i == CONTROL_LIST_ALL ? "list/" : "", row->name);
		if (row->args) {
			fputs(" \\fI", f);
			man_text(f, row->args);
			fputs("\\fR", f);
		}
		fputc('\n', f);
		man_paragraphs(f, row->help);
	}
}

static const struct backend_ops *shown_backend(size_t i)
{
	size_t n;
	const struct backend_ops *const *all = backend_all(&n);
	return i < n ? all[i] : NULL;
}

#define OWN_MAX 128 /* options of one back end */

/* Its own rows; those that all on a network have stand in the manual once. True if there are such.
 */
static bool own_rows(const struct backend_ops *ops, struct opt_row own[OWN_MAX + 1])
{
	size_t n = 0;
	bool shared = false;
	for (const struct opt_row *row = ops->options; row && row->name && n < OWN_MAX; row++)
		if (net_options_has(row))
			shared = true;
		else
			own[n++] = *row;
	own[n] = (struct opt_row){0};
	return shared;
}

static void man_own_options(FILE *f, const struct backend_ops *ops)
{
	struct opt_row own[OWN_MAX + 1];
	bool shared = own_rows(ops, own);
	const struct opt_table t = {ops->name, own};
	opt_print_man(f, &t);
	if (shared)
		fputs(".PP\nAlso the options of sources on a network.\n", f);
}

static void man_backends(FILE *f)
{
	const struct backend_ops *ops;
	for (size_t i = 0; (ops = shown_backend(i)); i++) {
		if (ops->flags & BACKEND_HIDDEN)
			continue;
		fprintf(f, ".SS %s:", ops->name);
		man_text(f, ops->location ? ops->location : "");
		fprintf(f, "\n%c", toupper((unsigned char)ops->summary[0]));
		man_text(f, ops->summary + 1);
		fputs(".\n", f);
		man_own_options(f, ops);
	}
}

static void man_options_mount(FILE *f)
{
	opt_print_man(f, &config_mount_options);
}

static void man_options_backend(FILE *f)
{
	opt_print_man(f, &config_backend_options);
}

static void man_options_net(FILE *f)
{
	opt_print_man(f, &net_options_table);
}

static void man_options_rule(FILE *f)
{
	opt_print_man(f, &config_rule_options);
}

static void words_commands(FILE *f)
{
	fputs("commands='", f);
	for (size_t i = 0; cli_commands[i]; i++)
		fprintf(f, "%s%s", i ? " " : "", cli_commands[i]->name);
	fputs("'\n", f);
}

/* A shell case: the flags of each command. */
static void words_flags(FILE *f)
{
	for (size_t i = 0; cli_commands[i]; i++) {
		fprintf(f, "\t%s) flags='--help", cli_commands[i]->name);
		for (const struct cli_flag *flag = cli_commands[i]->flags;
			flag->name && cli_commands[i] != &cmd_help; flag++)
			fprintf(f, " --%s", flag->name);
		fputs("' ;;\n", f);
	}
}

static void words_of(FILE *f, const struct opt_row *rows)
{
	for (; rows && rows->name; rows++)
		if (rows->type != OPT_IGNORED && rows->type != OPT_VARIABLE)
			fprintf(f, "%s%s ", rows->name, opt_type_bare(rows->type) ? "" : "=");
		else if (rows->type == OPT_VARIABLE) /* the name is the user's */
			fprintf(f, "%.*s ", (int)strlen(rows->name) - 1, rows->name);
}

static void words_options(FILE *f)
{
	const struct backend_ops *ops;
	fputs("options='", f);
	words_of(f, config_mount_options.rows);
	words_of(f, config_backend_options.rows);
	words_of(f, net_options_table.rows);
	for (size_t i = 0; (ops = shown_backend(i)); i++) {
		struct opt_row own[OWN_MAX + 1];
		own_rows(ops, own);
		if (!(ops->flags & BACKEND_HIDDEN))
			words_of(f, own);
	}
	fputs("'\n", f);
}

static void words_backends(FILE *f)
{
	const struct backend_ops *ops;
	fputs("backends='", f);
	for (size_t i = 0; (ops = shown_backend(i)); i++)
		if (!(ops->flags & BACKEND_HIDDEN))
			fprintf(f, "%s ", ops->name);
	fputs("'\n", f);
}

static const struct {
	const char *name;
	void (*print)(FILE *f);
} tables[] = {
	{"commands", man_commands},
	{"mount-flags", man_helper},
	{"options:mount", man_options_mount},
	{"options:backend", man_options_backend},
	{"options:net", man_options_net},
	{"options:rule", man_options_rule},
	{"backends", man_backends},
	{"control", man_control},
	{"words:commands", words_commands},
	{"words:flags", words_flags},
	{"words:options", words_options},
	{"words:backends", words_backends},
};

int man_table(FILE *f, const char *table, struct sfs_err *err)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (strcmp(tables[i].name, table) == 0) {
			tables[i].print(f);
			return 0;
		}
	}
	return err_set(err, ENOENT, "there is no table %s", table);
}
