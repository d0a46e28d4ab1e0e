/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs backends and secretfs version: what this build can do. */
#include "backends/backend.h"
#include "base/text.h"
#include "core/config.h"
#include "mount/cli.h"
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 64

static const struct backend_ops *visible(const struct backend_ops *ops)
{
	return ops && !(ops->flags & BACKEND_HIDDEN) ? ops : NULL;
}

static int show_all(void)
{
	size_t n;
	const struct backend_ops *const *all = backend_all(&n);
	for (size_t i = 0; i < n; i++) {
		char source[64];
		if (!visible(all[i]))
			continue;
		snprintf(source, sizeof(source), "%s:%s", all[i]->name,
			all[i]->location ? all[i]->location : "");
		printf("%-20s %s\n", source, all[i]->summary);
	}
	puts("\n'secretfs backends NAME' shows the options of one.");
	return CLI_OK;
}

static int show_one(const struct backend_ops *ops)
{
	printf("%s:%s\n", ops->name, ops->location ? ops->location : "");
	help_wrapped(stdout, ops->summary, 2);
	if (ops->options) {
		const struct opt_table own = {ops->name, ops->options};
		putchar('\n');
		opt_print_help(stdout, &own);
	}
	putchar('\n');
	opt_print_help(stdout, &config_backend_options);
	return CLI_OK;
}

static int unknown(const char *name)
{
	const char *names[NAMES_MAX];
	char shown[128];
	size_t n, nnames = 0;
	const struct backend_ops *const *all = backend_all(&n);
	for (size_t i = 0; i < n && nnames < NAMES_MAX; i++)
		if (visible(all[i]))
			names[nnames++] = all[i]->name;
	const char *near = text_nearest(name, names, nnames);
	fprintf(stderr, "secretfs: backends: there is no back end %s%s%s%s\n",
		text_escaped(shown, sizeof(shown), name, strlen(name)),
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return CLI_FAILED;
}

static int run_backends(const struct cli_args *a)
{
	if (a->argc == 0)
		return show_all();
	const struct backend_ops *ops = visible(backend_find(a->argv[0]));
	return ops ? show_one(ops) : unknown(a->argv[0]);
}

static int run_version(const struct cli_args *a)
{
	(void)a;
	puts("secretfs " SFS_VERSION);
	return CLI_OK;
}

static const struct cli_flag no_flags[] = {{0}};

const struct cli_command cmd_backends = {
	.name = "backends",
	.args = "[NAME]",
	.summary = "List the kinds of sources, or the options of one",
	.help = "A source is written BACKEND:LOCATION.",
	.flags = no_flags,
	.max = 1,
	.run = run_backends,
};

const struct cli_command cmd_version = {
	.name = "version",
	.args = "",
	.summary = "Show the version",
	.help = "Prints \"secretfs\" and the version.",
	.flags = no_flags,
	.run = run_version,
};
