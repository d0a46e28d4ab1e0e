/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines parsed by tables of the test's own; the names and filters of the client commands.
 */
#include "base/alloc.h"
#include "mount/cli.h"
#include "mount/client.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int captured = -1;

/* From here on what is printed to both standard streams can be read with printed(). */
static void capture(void)
{
	captured = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	cr_assert_geq(captured, 0);
	cr_assert_eq(dup2(captured, STDOUT_FILENO), STDOUT_FILENO);
	cr_assert_eq(dup2(captured, STDERR_FILENO), STDERR_FILENO);
}

static const char *printed(void)
{
	static char text[4096];
	fflush(NULL);
	ssize_t n = pread(captured, text, sizeof(text) - 1, 0);
	cr_assert_gt(n, 0);
	text[n] = 0;
	return text;
}

static struct cli_args seen;
static int runs;

static int note_run(const struct cli_args *a)
{
	seen = *a;
	runs++;
	return 7;
}

static const struct cli_flag probe_flags[] = {
	{'o', "options", "OPTIONS", "Options."},
	{'q', "quiet", NULL, "Quiet."},
	{0, "long-only", "X", "Only long."},
	{0},
};

static const struct cli_command probe = {
	.name = "probe",
	.args = "[-q] A [B]",
	.summary = "A test",
	.help = "Words that are long enough to be wrapped at the end of a line of eighty columns, "
		"and more.\n\nSecond.",
	.flags = probe_flags,
	.min = 1,
	.max = 2,
	.run = note_run,
};

const struct cli_command *const cli_commands[] = {&probe, NULL};

static int run(int argc, const char *const *words)
{
	static char *argv[16]; /* outlives the run: `seen` points into it */
	for (int i = 0; i < argc; i++)
		argv[i] = (char *)(uintptr_t)words[i];
	argv[argc] = NULL;
	return cli_run(&probe, argc, argv);
}

#define RUN(...)                                                           \
	run((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
		(const char *[]){__VA_ARGS__})

Test(cli, flags_and_arguments_in_any_order)
{
	cr_assert_eq(RUN("probe", "a", "-q", "-o", "x=1", "b", "--long-only=z"), 7);
	cr_assert_eq(seen.argc, 2);
	cr_assert_str_eq(seen.argv[0], "a");
	cr_assert_str_eq(seen.argv[1], "b");
	cr_assert(cli_has(&seen, "quiet"));
	cr_assert_str_eq(cli_value(&seen, "long-only"), "z");
	cr_assert_null(cli_value(&seen, "quiet"));
}

Test(cli, the_last_value_wins_and_all_can_be_joined)
{
	RUN("probe", "-o", "a=1", "--options", "b", "-o", "c=3", "x");
	cr_assert_str_eq(cli_value(&seen, "options"), "c=3");
	char *all = cli_joined(&seen, "options");
	cr_assert_str_eq(all, "a=1,b,c=3");
	mem_free(all);
	all = cli_joined(&seen, "long-only");
	cr_assert_str_eq(all, "");
	mem_free(all);
}

Test(cli, two_dashes_end_the_flags)
{
	RUN("probe", "--", "-q");
	cr_assert_str_eq(seen.argv[0], "-q");
	cr_assert_not(cli_has(&seen, "quiet"));
}

Test(cli, an_unknown_flag_names_the_nearest, .init = capture)
{
	cr_assert_eq(RUN("probe", "--optoins=secret-in-a-flag", "a"), CLI_FAILED);
	cr_assert_eq(runs, 0);
	const char *text = printed();
	cr_assert(strstr(text, "did you mean --options?"), "%s", text);
	cr_assert_not(strstr(text, "secret-in-a-flag"), "%s", text);
}

Test(cli, refusals, .init = capture)
{
	cr_assert_eq(RUN("probe"), CLI_FAILED);			    /* too few */
	cr_assert_eq(RUN("probe", "a", "b", "c"), CLI_FAILED);	    /* too many */
	cr_assert_eq(RUN("probe", "-z", "a"), CLI_FAILED);	    /* unknown letter */
	cr_assert_eq(RUN("probe", "a", "-o"), CLI_FAILED);	    /* value missing */
	cr_assert_eq(RUN("probe", "--quiet=yes", "a"), CLI_FAILED); /* takes none */
	cr_assert_eq(runs, 0);
}

Test(cli, help_is_every_commands_flag, .init = capture)
{
	cr_assert_eq(RUN("probe", "--help"), CLI_OK);
	cr_assert_eq(runs, 0);
	const char *text = printed();
	cr_assert(strstr(text, "usage: secretfs probe [-q] A [B]"), "%s", text);
	cr_assert(strstr(text, "-o, --options OPTIONS"), "%s", text);
	for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
		cr_assert_leq(end - line, 80);
}

Test(cli, an_unknown_command_names_the_nearest, .init = capture)
{
	cr_assert_eq(cli_unknown("prob"), CLI_FAILED);
	cr_assert_eq(cli_unknown("\x1b[31m"), CLI_FAILED);
	cr_assert_eq(cli_unknown("file:/etc/x.env"), CLI_FAILED);
	cr_assert_not_null(strstr(printed(), "mount -t secretfs"));
	const char *text = printed();
	cr_assert(strstr(text, "did you mean probe?"), "%s", text);
	cr_assert_not(strchr(text, 0x1b));
}

/* --- names of the clients --- */

static char point[] = "/run/secrets";
static const struct client at = {.point = point};

Test(client, names_and_paths_mean_the_same)
{
	const char *name = NULL;
	cr_assert_eq(client_name(&at, "prod/db/password", &name, NULL), 0);
	cr_assert_str_eq(name, "prod/db/password");
	cr_assert_eq(client_name(&at, "/run/secrets/prod/db", &name, NULL), 0);
	cr_assert_str_eq(name, "prod/db");
	cr_assert_eq(client_name(&at, ".dockerconfigjson", &name, NULL), 0);
	cr_assert_eq(client_name(&at, "..x", &name, NULL), 0);
}

Test(client, names_that_leave_the_mount_are_refused)
{
	static const char *const bad[] = {"", "/run/secrets", "/run/secrets/", "../x", "a/../b",
		"a/./b", "a//b", "..", ".", "/etc/passwd", "/run/secretsx/a"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *name = "untouched";
		struct sfs_err err = {0};
		cr_assert_eq(client_name(&at, bad[i], &name, &err), -EINVAL, "%s", bad[i]);
		cr_assert_str_eq(name, "untouched");
		cr_assert(err.msg[0]);
	}
}

Test(client, paths_are_made_of_parts)
{
	char *path = client_path(&at, ".versions/%s/%s", "a", "7");
	cr_assert_str_eq(path, "/run/secrets/.versions/a/7");
	mem_free(path);
	alloc_fail_at(1);
	cr_assert_null(client_path(&at, "x"));
	alloc_fail_at(0);
}
