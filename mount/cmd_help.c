/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs help: text for a terminal, made from the tables. */
#include "core/config.h"
#include "mount/cli.h"
#include <stdio.h>
#include <string.h>

#define COLUMNS 80

/* One word of a wrapped text; returns the column after it. */
static int put_word(FILE *f, const char *word, int len, int column, int indent)
{
	if (column > indent && column + 1 + len > COLUMNS) {
		fprintf(f, "\n%*s", indent, "");
		column = indent;
	} else if (column > indent) {
		fputc(' ', f);
		column++;
	}
	fprintf(f, "%.*s", len, word);
	return column + len;
}

void help_wrapped(FILE *f, const char *text, int indent)
{
	int column = indent;
	fprintf(f, "%*s", indent, "");
	while (*text) {
		size_t len = strcspn(text, " \n");
		if (len)
			column = put_word(f, text, (int)len, column, indent);
		text += len;
		if (strncmp(text, "\n\n", 2) == 0) {
			fprintf(f, "\n\n%*s", indent, "");
			column = indent;
		}
		text += strspn(text, " \n");
	}
	fputc('\n', f);
}

static void print_flag(FILE *f, const struct cli_flag *flag)
{
	if (flag->letter)
		fprintf(f, "  -%c, --%s%s%s\n", flag->letter, flag->name, flag->arg ? " " : "",
			flag->arg ? flag->arg : "");
	else
		fprintf(f, "  --%s%s%s\n", flag->name, flag->arg ? " " : "",
			flag->arg ? flag->arg : "");
	help_wrapped(f, flag->help, 8);
}

void help_command(FILE *f, const struct cli_command *cmd)
{
	bool helper = cmd == &cmd_mount_helper;
	fprintf(f, "usage: %s%s%s%s\n\n", helper ? "" : "secretfs ", cmd->name,
		*cmd->args ? " " : "", cmd->args);
	help_wrapped(f, cmd->help, 0);
	if (cmd->flags->name)
		fputs("\nFlags:\n", f);
	for (const struct cli_flag *flag = cmd->flags; flag->name; flag++)
		print_flag(f, flag);
	if (cmd == &cmd_mount || helper) {
		fputc('\n', f);
		opt_print_help(f, &config_mount_options);
		fputs("\nOptions of one kind of source: secretfs backends NAME\n", f);
	}
}

void help_overview(FILE *f)
{
	fputs("usage: secretfs COMMAND [ARGUMENTS]\n\n"
	      "Shows the secrets of a provider as read-only files.\n\n",
		f);
	for (size_t i = 0; cli_commands[i]; i++)
		fprintf(f, "  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
	fputs("\n'secretfs help COMMAND' shows one command; secretfs(1) is the manual.\n", f);
}

static int run_help(const struct cli_args *a)
{
	struct sfs_err err = {0};
	const char *table = cli_value(a, "man");
	if (table)
		return man_table(stdout, table, &err) < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
	if (a->argc == 0) {
		help_overview(stdout);
		return CLI_OK;
	}
	const struct cli_command *cmd = cli_find(a->argv[0]);
	if (!cmd && strcmp(a->argv[0], cmd_mount_helper.name) == 0)
		cmd = &cmd_mount_helper;
	if (!cmd)
		return cli_unknown(a->argv[0]);
	help_command(stdout, cmd);
	return CLI_OK;
}

static const struct cli_flag help_flags[] = {
	{0, "man", "TABLE", "Print a table as source of the manual pages; the build uses it."},
	{0},
};

const struct cli_command cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "Show help for a command",
	.help = "Without COMMAND: the list of commands.",
	.flags = help_flags,
	.max = 1,
	.run = run_help,
};
