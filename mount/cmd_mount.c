/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs mount, and mount.secretfs, which mount(8) calls for fstab lines and `mount -t secretfs`.
 */
#include "backends/backend.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "core/config.h"
#include "mount/cli.h"
#include "mount/launch.h"
#include "mount/mount_bar.h"
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int require_rights(struct sfs_err *err)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN))
		return 0;
	return err_set(err, EPERM,
		"mounting needs root (CAP_SYS_ADMIN): use sudo, an fstab line or a systemd unit; "
		"what the mount does afterwards runs as user=");
}

static int run_request(struct mount_request *m)
{
	struct sfs_err err = {0};
	struct argv holder = {0};
	int r = launch_argv(m, &holder, &err);
	if (r == 0 && !m->check_only)
		r = require_rights(&err);
	int code = r < 0 ? cli_fail(&err, CLI_FAILED) : m->check_only ? CLI_OK : launch(m, &holder);
	argv_clear(&holder);
	if (code == CLI_OK && !m->check_only && !m->foreground && isatty(STDERR_FILENO))
		mount_bar(m->mountpoint);
	return code;
}

/* Fills what both forms of the command share; argv is SOURCE MOUNTPOINT. */
static int request_init(const struct cli_args *a, struct mount_request *m, struct sfs_err *err)
{
	int r = launch_place(a->argv[1], &m->mountpoint, err);
	if (r < 0)
		return err_prefix(err, "mount point");
	m->source = launch_source(a->argv[0]);
	m->options = cli_joined(a, "options");
	m->verbose = cli_has(a, "verbose");
	if (!m->source || !m->options)
		return err_set(err, ENOMEM, "options: out of memory, or longer than %d bytes",
			SFS_OPTION_MAX);
	return 0;
}

static int run_mount(const struct cli_args *a)
{
	_cleanup_(mount_request_clear) struct mount_request m = {0};
	struct sfs_err err = {0};
	if (request_init(a, &m, &err) < 0)
		return cli_fail(&err, CLI_FAILED);
	m.foreground = cli_has(a, "foreground");
	return run_request(&m);
}

static bool table_knows(const struct opt_row *rows, const char *name, size_t len)
{
	for (; rows && rows->name; rows++) {
		size_t n = strlen(rows->name);
		bool prefix = n && rows->name[n - 1] == '*';
		if (prefix ? len >= n - 1 && strncmp(rows->name, name, n - 1) == 0
			   : len == n && strncmp(rows->name, name, n) == 0)
			return true;
	}
	return false;
}

static bool option_known(const char *source, const char *name, size_t len)
{
	_cleanup_free_ char *type = mem_strndup(source, strcspn(source, ":"));
	const struct backend_ops *ops = type ? backend_find(type) : NULL;
	return table_knows(config_mount_options.rows, name, len) ||
	       (ops && (table_knows(config_backend_options.rows, name, len) ||
			       table_knows(ops->options, name, len)));
}

/* Length of the first option of "a=1,b=\"x,y\"": up to a comma outside quotes and not after a
 * backslash. */
static size_t option_len(const char *text)
{
	bool quoted = false;
	size_t i = 0;
	for (; text[i] && (quoted || text[i] != ','); i++) {
		if (text[i] == '\\' && text[i + 1])
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
	}
	return i;
}

/* mount(8)'s -s: drops options that no table knows and says so. */
static int drop_unknown(struct mount_request *m)
{
	_cleanup_(buf_clear) struct buf kept = BUF_INIT(SFS_OPTION_MAX);
	for (const char *p = m->options; *p;) {
		size_t len = option_len(p), name = strcspn(p, "=,");
		if (option_known(m->source, p, name < len ? name : len)) {
			if (kept.len)
				buf_char(&kept, ',');
			buf_add(&kept, p, len);
		} else if (len && m->verbose) {
			fprintf(stderr,
				"secretfs: an unknown option of %zu bytes is ignored (-s)\n",
				name < len ? name : len);
		}
		p += len + (p[len] == ',');
	}
	char *options = kept.len ? buf_take(&kept) : mem_strdup("");
	if (!options || kept.failed)
		return -ENOMEM;
	mem_free(m->options);
	m->options = options;
	return 0;
}

/* mount(8) names the namespace by a process id or by a file. */
static int enter_namespace(const char *ns, struct sfs_err *err)
{
	char file[SFS_PATH_MAX];
	bool pid = ns[strspn(ns, "0123456789")] == 0;
	snprintf(file, sizeof(file), pid ? "/proc/%s/ns/mnt" : "%s", ns);
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0)
		return err_errno(err, errno, "mount namespace %s", file);
	return 0;
}

static int run_mount_helper(const struct cli_args *a)
{
	_cleanup_(mount_request_clear) struct mount_request m = {0};
	struct sfs_err err = {0};
	const char *ns = cli_value(a, "namespace");
	if (ns && enter_namespace(ns, &err) < 0)
		return cli_fail(&err, CLI_FAILED);
	if (request_init(a, &m, &err) < 0)
		return cli_fail(&err, CLI_FAILED);
	m.check_only = cli_has(a, "fake");
	m.sloppy = cli_has(a, "sloppy");
	if (m.sloppy && drop_unknown(&m) < 0) {
		err_set(&err, ENOMEM, "options: out of memory");
		return cli_fail(&err, CLI_FAILED);
	}
	return run_request(&m);
}

static const struct cli_flag mount_flags[] = {
	{'o', "options", "OPTIONS", "Options separated by commas; may be given more than once."},
	{'f', "foreground", NULL,
		"Stay in the foreground and log to standard error; Ctrl-C unmounts."},
	{'v', "verbose", NULL, "Show what is started."},
	{0},
};

static const struct cli_flag helper_flags[] = {
	{'o', "options", "OPTIONS", "Options separated by commas, as in fstab."},
	{'f', "fake", NULL, "Check everything and mount nothing."},
	{'s', "sloppy", NULL, "Ignore unknown options instead of refusing them."},
	{'n', "no-mtab", NULL, "Accepted and without meaning: there is no mtab to write."},
	{'v', "verbose", NULL, "Show what is started."},
	{'N', "namespace", "NS", "Mount in this mount namespace: a process id or a file."},
	{'t', "type", "TYPE", "Accepted and without meaning: the type is secretfs."},
	{0},
};

const struct cli_command cmd_mount = {
	.name = "mount",
	.args = "[-o OPTIONS] [-f] SOURCE MOUNTPOINT",
	.summary = "Mount a source of secrets as a directory of read-only files",
	.help = "SOURCE is BACKEND[:LOCATION] ('secretfs backends' lists them) or a configuration "
		"file that ends in .conf. "
		"The command returns when the mount is live, or says why it is not. On a terminal "
		"it "
		"shows how far hydration is until that is over; Ctrl-C leaves the mount alone.\n\n"
		"A mount point that does not exist is made with mode 0755. One that is not empty "
		"is refused, unless the option "
		"nonempty is given. A dead mount of secretfs at that place is detached first.\n\n"
		"Exit codes are those of mount(8): 0 well, 1 bad usage or no right, 8 interrupted, "
		"32 the mount failed.",
	.flags = mount_flags,
	.min = 2,
	.max = 2,
	.run = run_mount,
};

const struct cli_command cmd_mount_helper = {
	.name = "mount.secretfs",
	.args = "SOURCE MOUNTPOINT [-sfnv] [-N NS] [-o OPTIONS] [-t TYPE]",
	.summary = "Called by mount(8)",
	.help = "mount(8) starts this program for the type secretfs, in fstab and in 'mount -t "
		"secretfs'. By hand, use "
		"'secretfs mount'.",
	.flags = helper_flags,
	.min = 2,
	.max = 2,
	.run = run_mount_helper,
};
