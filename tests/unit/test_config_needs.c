/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/net_options.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/config_needs.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct opt_row rows[] = {NET_OPTIONS,
	{.name = "token", .type = OPT_SECRET, .arg = "REF", .help = "A reference."}, {0}};

/* What the next call of needs() does. */
static struct {
	const char *file, *dir, *env, *command, *variable, *note;
	int times, r;
	char seen[64], home[64];
} plan;

static int fake_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err)
{
	int r = 0;
	(void)location;
	(void)opts;
	snprintf(plan.home, sizeof(plan.home), "%s", needs_home(n) ? needs_home(n) : "none");
	if (plan.variable && needs_getenv(n, plan.variable))
		snprintf(plan.seen, sizeof(plan.seen), "%s", needs_getenv(n, plan.variable));
	if (plan.file)
		r = needs_file(n, plan.file);
	if (r == 0 && plan.dir)
		r = needs_dir(n, plan.dir);
	if (r == 0 && plan.env)
		r = needs_env(n, plan.env);
	for (int i = 0; r == 0 && plan.command && i <= plan.times; i++) {
		char line[160];
		snprintf(line, sizeof(line), i ? "%s %d" : "%s", plan.command, i);
		r = needs_command(n, line);
	}
	if (r == 0 && plan.note)
		r = needs_note(n, "%s %d", plan.note, 7);
	return plan.r ? err_set(err, -plan.r, "the plan says so") : r;
}

static struct backend_ops ops = {.name = "needy",
	.summary = "for tests",
	.location = "X",
	.options = rows,
	.flags = BACKEND_HIDDEN,
	.needs = fake_needs};

static const struct path_env outside = {.covered_fd = -1};
static struct machine machine = {.paths = &outside, .home = "/home/caller"};
static struct config *conf;

static void load(const char *options)
{
	struct sfs_err err = {0};
	config_free(conf);
	conf = NULL;
	cr_assert_eq(config_load("needy:x", options, &outside, &conf, &err), 0, "%s", err.msg);
}

static void setup(void)
{
	backend_register(&ops);
	load("");
}

static void teardown(void)
{
	struct secret_stats st;
	config_free(conf);
	secret_stats(&st);
	cr_assert_eq(st.blocks, 0);
}

TestSuite(config_needs, .init = setup, .fini = teardown);

static bool has(char *const *list, const char *want)
{
	for (; *list; list++)
		if (!strcmp(*list, want))
			return true;
	return false;
}

static void fails(int code, const char *why)
{
	struct config_needs n = {.paths = (char **)&conf};
	struct sfs_err err = {0};
	cr_assert_eq(config_needs(conf, &machine, &n, &err), -code, "%s", err.msg);
	cr_assert_not_null(strstr(err.msg, why), "%s", err.msg);
	cr_assert_eq(n.paths, (char **)&conf, "untouched");
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), -code, "without a place for it");
}

Test(config_needs, what_a_back_end_tells_joins_what_options_name)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	load("token=env:TOKEN,env.API_KEY=fd:5,env.OTHER_KEY=file:/etc/hostname,env.PLAIN=x");
	plan.file = "/no-such-place/f";
	plan.dir = "/usr/share";
	plan.env = "AWS_*";
	plan.command = "/opt/creds 'a b'";
	plan.note = "nobody said";
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert(has(n.paths, "/no-such-place"));
	cr_assert(has(n.paths, "/usr/share"));
	cr_assert(has(n.paths, "/etc"));
	cr_assert_not(has(n.paths, "/usr"), "of a directory not what lies beside it");
	cr_assert(has(n.env, "AWS_*"));
	cr_assert(has(n.env, "TOKEN"));
	cr_assert_str_eq(n.notes[0], "needy: nobody said 7");
	cr_assert_null(n.notes[1]);
	cr_assert_str_eq(n.fds[0], "5");
	cr_assert_null(n.fds[1]);
	cr_assert_str_eq(n.commands[0], "/opt/creds 'a b'\n/home/caller\nAPI_KEY@fd:5\n"
					"OTHER_KEY@file:/etc/hostname\nPLAIN=x");
	cr_assert_null(n.commands[1]);
}

Test(config_needs, variables_that_a_source_gives_its_program_by_itself)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	load("env.MINE=option,env.API_KEY=fd:5");
	plan.command = "/opt/creds x\nAUDIENCE=//iam=1\nMINE=source\nINTERACTIVE=0";
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert_str_eq(n.commands[0], "/opt/creds x\n/home/caller\nMINE=option\nAPI_KEY@fd:5\n"
					"AUDIENCE=//iam=1\nINTERACTIVE=0");
	plan.command = "/opt/creds x\nAUDIENCE";
	fails(EINVAL, "what it needs");
	plan.command = "/opt/creds x\n=v";
	fails(EINVAL, "what it needs");
	plan.command = "/opt/creds x\nA=\001";
	fails(EINVAL, "what it needs");
	plan.command = "/opt/creds x\n";
	fails(EINVAL, "what it needs");
	plan.command = "\nA=b";
	fails(EINVAL, "what it needs");
}

Test(config_needs, of_the_root_directory_only_what_was_named)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	load("token=file:/token,cacert=/ca.pem");
	plan.file = "/config";
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert(has(n.paths, "/token") && has(n.paths, "/ca.pem") && has(n.paths, "/config"));
	cr_assert_not(has(n.paths, "/"));
}

Test(config_needs, nothing_told_nothing_needed)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert(!n.paths[0] && !n.env[0] && !n.fds[0] && !n.commands[0] && !n.notes[0]);
}

Test(config_needs, home_of_the_option_or_the_caller)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert_str_eq(plan.home, "/home/caller");
	config_needs_clear(&n);
	load("home=/opt/home");
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert_str_eq(plan.home, "/opt/home");
	config_needs_clear(&n);
	const struct machine homeless = {.paths = &outside};
	load("");
	cr_assert_eq(config_needs(conf, &homeless, &n, NULL), 0);
	cr_assert_str_eq(plan.home, "none");
	load("home=here");
	fails(EINVAL, "absolute");
}

Test(config_needs, variables_of_the_caller_or_of_the_store)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	static const char text[] = "PROFILE=of the store\0";
	struct envstore *env = NULL;
	setenv("PROFILE", "of the caller", 1);
	plan.variable = "PROFILE";
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0);
	cr_assert_str_eq(plan.seen, "of the caller");
	config_needs_clear(&n);
	cr_assert_eq(envstore_parse(text, sizeof(text) - 1, &env, NULL), 0);
	struct machine worker = machine;
	worker.env = env;
	cr_assert_eq(config_needs(conf, &worker, &n, NULL), 0);
	cr_assert_str_eq(plan.seen, "of the store");
	envstore_free(env);
}

Test(config_needs, what_cannot_be_needed)
{
	plan.command = "'open";
	fails(EINVAL, "needy: ");
	plan.command = "a\nb";
	fails(EINVAL, "needy: ");
	plan.command = "x";
	plan.times = SFS_COMMANDS_MAX;
	fails(E2BIG, "needy: ");
	plan.times = SFS_COMMANDS_MAX - 1;
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	cr_assert_eq(config_needs(conf, &machine, &n, NULL), 0, "just as many as allowed");
	plan.command = NULL;
	plan.file = "relative";
	fails(EINVAL, "needy: ");
	plan.file = NULL;
	plan.r = -EACCES;
	fails(EACCES, "needy: the plan says so");
}

Test(config_needs, a_reload_keeps_to_what_was_fixed)
{
	static const char text[] = "=AWS_*\0fd:5=x\0";
	static const char *const commands[] = {"/opt/a\n/home/caller", NULL};
	struct envstore *env = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(envstore_parse(text, sizeof(text) - 1, &env, NULL), 0);
	struct machine worker = machine;
	worker.env = env;
	plan.command = "/opt/b";
	cr_assert_eq(
		config_check_fixed(conf, &worker, &err), 0, "nothing is fixed without a mount");
	worker.commands = commands;
	cr_assert_eq(config_check_fixed(conf, &worker, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "/opt/b was not fixed at mount"), "%s", err.msg);
	plan.command = "/opt/a";
	plan.env = "AWS_PROFILE";
	cr_assert_eq(config_check_fixed(conf, &worker, &err), 0, "%s", err.msg);
	plan.env = "GOOGLE_*";
	cr_assert_eq(config_check_fixed(conf, &worker, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "GOOGLE_*"), "%s", err.msg);
	plan.env = NULL;
	load("token=fd:5");
	cr_assert_eq(config_check_fixed(conf, &worker, &err), 0, "%s", err.msg);
	load("token=fd:6");
	cr_assert_eq(config_check_fixed(conf, &worker, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "descriptor 6"), "%s", err.msg);
	load("env.A=1");
	cr_assert_eq(config_check_fixed(conf, &worker, &err), -EINVAL, "another environment");
	load("home=/x");
	cr_assert_eq(config_check_fixed(conf, &worker, &err), -EINVAL, "another home");
	envstore_free(env);
}

Test(config_needs, no_memory_at_any_point)
{
	unsigned long n = 1, met;
	load("token=env:TOKEN,env.API_KEY=fd:5");
	plan.file = "/etc/hostname";
	plan.command = "/opt/creds";
	do {
		struct config_needs needs = {0};
		struct sfs_err err = {0};
		alloc_fail_at(n);
		int r = config_needs(conf, &machine, &needs, &err);
		met = alloc_fail_at(0);
		cr_assert(r == 0 || (err.code && !needs.paths), "call %lu: %d %s", n, r, err.msg);
		if (r == 0)
			config_needs_clear(&needs);
	} while (met >= n++ && n < 1000);
	cr_assert_lt(n, 1000);
}
