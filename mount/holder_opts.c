/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/command.h"
#include "base/text.h"
#include "mount/holder.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
	O_MOUNTPOINT = 256,
	O_SOURCE,
	O_USER,
	O_NONEMPTY,
	O_ALLOW,
	O_ENV,
	O_LOG,
	O_AUDIT,
	O_READY,
	O_MEMLOCK,
	O_ON_CHANGE,
	O_DELAY,
	O_TIMEOUT,
	O_HOME,
	O_COMMAND,
	O_FD
};

static const struct option table[] = {
	{"mountpoint", required_argument, NULL, O_MOUNTPOINT},
	{"source", required_argument, NULL, O_SOURCE},
	{"user", required_argument, NULL, O_USER},
	{"nonempty", no_argument, NULL, O_NONEMPTY},
	{"allow", required_argument, NULL, O_ALLOW},
	{"env", required_argument, NULL, O_ENV},
	{"log", required_argument, NULL, O_LOG},
	{"audit", required_argument, NULL, O_AUDIT},
	{"ready-fd", required_argument, NULL, O_READY},
	{"memlock", required_argument, NULL, O_MEMLOCK},
	{"on-change", required_argument, NULL, O_ON_CHANGE},
	{"on-change-delay", required_argument, NULL, O_DELAY},
	{"on-change-timeout", required_argument, NULL, O_TIMEOUT},
	{"home", required_argument, NULL, O_HOME},
	{"command", required_argument, NULL, O_COMMAND},
	{"fd", required_argument, NULL, O_FD},
	{0},
};

/* "UID:GID" in digits: names were looked up by the command that started us. */
static int parse_user(const char *text, struct holder_opts *o, struct sfs_err *err)
{
	char uid[16];
	uint64_t u, g;
	size_t len = strcspn(text, ":");
	if (text[len] && len < sizeof(uid)) {
		memcpy(uid, text, len);
		uid[len] = '\0';
		if (parse_u64(uid, UINT32_MAX - 1, &u) == 0 &&
			parse_u64(text + len + 1, UINT32_MAX - 1, &g) == 0) {
			o->uid = (uid_t)u;
			o->gid = (gid_t)g;
			return 0;
		}
	}
	return err_set(err, EINVAL, "--user=%s: give UID:GID as two numbers", text);
}

static int parse_ready(const char *text, struct holder_opts *o, struct sfs_err *err)
{
	uint64_t fd;
	if (parse_u64(text, INT_MAX, &fd) < 0 || fd < 3 || fcntl((int)fd, F_GETFD) < 0)
		return err_set(err, EINVAL, "--ready-fd=%s: not an open descriptor above 2", text);
	o->ready_fd = (int)fd;
	return 0;
}

static int parse_number(
	const char *name, const char *text, uint64_t max, uint64_t *ret, struct sfs_err *err)
{
	if (parse_u64(text, max, ret) < 0)
		return err_set(err, EINVAL, "--%s=%s: give a number", name, text);
	return 0;
}

static int parse_command(const char *text, struct holder_opts *o, struct sfs_err *err)
{
	if (!*text || strlen(text) >= SFS_COMMAND_MAX)
		return err_set(err, EINVAL, "--on-change: give a command of 1 to %d bytes",
			SFS_COMMAND_MAX - 1);
	o->on_change = text;
	return 0;
}

static int add_allow(struct holder_opts *o, char *path, struct sfs_err *err)
{
	size_t len = strlen(path);
	if (path[0] != '/')
		return err_set(err, EINVAL, "--allow=%s: not an absolute path", path);
	while (len > 1 && path[len - 1] == '/') /* as path_below() wants it */
		path[--len] = '\0';
	o->allow[o->nallow++] = path;
	return 0;
}

static int add_program(struct holder_opts *o, char *text, struct sfs_err *err)
{
	_cleanup_(command_clear) struct command c = {0};
	int r = command_parse(text, &c);
	if (r < 0)
		return err_errno(err, -r, "--command");
	if (o->ncommands == SFS_COMMANDS_MAX)
		return err_set(err, E2BIG, "--command: more than %d", SFS_COMMANDS_MAX);
	o->commands[o->ncommands++] = text;
	return 0;
}

/* "FD:NUMBER" */
static int add_fd(struct holder_opts *o, const char *text, struct sfs_err *err)
{
	struct holder_fd f;
	char end;
	if (sscanf(text, "%d:%d%c", &f.fd, &f.number, &end) != 2 || f.fd < 3 || f.number < 0 ||
		fcntl(f.fd, F_GETFD) < 0)
		return err_set(err, EINVAL, "--fd=%s: not an open descriptor above 2", text);
	o->fds[o->nfds++] = f;
	return 0;
}

static int set(struct holder_opts *o, int option, char *arg, struct sfs_err *err)
{
	switch (option) {
	case O_MOUNTPOINT:
		o->mountpoint = arg;
		return 0;
	case O_SOURCE:
		o->source = arg;
		return 0;
	case O_USER:
		return parse_user(arg, o, err);
	case O_NONEMPTY:
		o->nonempty = true;
		return 0;
	case O_ALLOW:
		return add_allow(o, arg, err);
	case O_ENV:
		o->env[o->nenv++] = arg;
		return 0;
	case O_LOG:
		o->log = arg;
		if (arg[0] == '/' || strcmp(arg, "stderr") == 0 || strcmp(arg, "syslog") == 0)
			return 0;
		return err_set(
			err, EINVAL, "--log=%s: give stderr, syslog or an absolute path", arg);
	case O_AUDIT:
		o->audit = arg;
		if (arg[0] == '/' || strcmp(arg, "syslog") == 0)
			return 0;
		return err_set(err, EINVAL, "--audit=%s: give syslog or an absolute path", arg);
	case O_READY:
		return parse_ready(arg, o, err);
	case O_MEMLOCK:
		return parse_number("memlock", arg, UINT64_MAX / 2, &o->memlock, err);
	case O_ON_CHANGE:
		return parse_command(arg, o, err);
	case O_DELAY:
		return parse_number("on-change-delay", arg, INT32_MAX, &o->change_delay, err);
	case O_TIMEOUT:
		return parse_number("on-change-timeout", arg, INT32_MAX, &o->change_timeout, err);
	case O_HOME:
		o->home = arg;
		return 0;
	case O_COMMAND:
		return add_program(o, arg, err);
	case O_FD:
		return add_fd(o, arg, err);
	default:
		return err_set(
			err, EINVAL, "unknown option: this program is started by 'secretfs mount'");
	}
}

static int complete(const struct holder_opts *o, struct sfs_err *err)
{
	if (!o->mountpoint || o->mountpoint[0] != '/')
		return err_set(err, EINVAL, "--mountpoint: an absolute path is needed");
	if (!o->source || !*o->source)
		return err_set(err, EINVAL, "--source is needed");
	if (o->uid == (uid_t)-1)
		return err_set(err, EINVAL, "--user is needed");
	if (o->nworker == 0 || o->worker[0][0] != '/')
		return err_set(err, EINVAL, "after -- the absolute path of the worker is needed");
	return 0;
}

/* Looked for first: it is where the reason of a refusal goes. */
static void find_ready(int argc, char **argv, struct holder_opts *o)
{
	static const char name[] = "--ready-fd=";
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strncmp(argv[i], name, sizeof(name) - 1) == 0)
			parse_ready(argv[i] + sizeof(name) - 1, o, NULL);
}

int holder_options(int argc, char **argv, struct holder_opts *ret, struct sfs_err *err)
{
	struct holder_opts o = {.uid = (uid_t)-1,
		.log = "stderr",
		.ready_fd = -1,
		.home = "/",
		.change_delay = 1,
		.change_timeout = 60};
	int c, r = 0;
	size_t most = (size_t)argc + 1;
	o.allow = mem_calloc(most, sizeof(*o.allow));
	o.env = mem_calloc(most, sizeof(*o.env));
	o.commands = mem_calloc(most, sizeof(*o.commands));
	o.fds = mem_calloc(most, sizeof(*o.fds));
	if (!o.allow || !o.env || !o.commands || !o.fds)
		r = err_set(err, ENOMEM, "read the command line: no memory");
	find_ready(argc, argv, &o);
	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "+", table, NULL)) != -1)
		r = set(&o, c, optarg, err);
	o.worker = argv + optind;
	o.nworker = argc - optind;
	if (r == 0)
		r = complete(&o, err);
	if (r < 0) {
		ret->ready_fd = o.ready_fd;
		holder_options_clear(&o);
		return r;
	}
	*ret = o;
	return 0;
}

void holder_options_clear(struct holder_opts *o)
{
	mem_free(o->allow);
	mem_free(o->env);
	mem_free(o->commands);
	mem_free(o->fds);
	*o = (struct holder_opts){.ready_fd = -1};
}
