/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/launch.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/path.h"
#include "base/text.h"
#include "core/config_needs.h"
#include "mount/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX                                                                                  \
	8192 /* arguments of the holder; paths and patterns of a configuration are bounded by its \
		own limits */
#define MEMLOCK_SLACK                                                                        \
	(8 * 1024 * 1024)   /* beside the arena: the holder's copy of env: values, stacks of \
			       libraries that lock */
#define FD_ASIDE 10	    /* above all numbers that the holder wants */
#define ACCOUNT	 "secretfs" /* runs the worker where it exists */
#define NOGROUP	 65534	    /* kernel's overflow gid: owns nothing by convention */

void mount_request_clear(struct mount_request *m)
{
	mem_free(m->source);
	mem_free(m->mountpoint);
	mem_free(m->options);
	*m = (struct mount_request){0};
}

void argv_clear(struct argv *a)
{
	for (size_t i = 0; i < a->n; i++)
		mem_free(a->v[i]);
	mem_free(a->v);
	*a = (struct argv){0};
}

/* Takes `text`, also on error; NULL means that making it failed. */
static int argv_take(struct argv *a, char *text)
{
	if (!text || a->n >= ARGS_MAX) {
		mem_free(text);
		return text ? -E2BIG : -ENOMEM;
	}
	char **v = mem_realloc(a->v, a->n + 2, sizeof(*v));
	if (!v) {
		mem_free(text);
		return -ENOMEM;
	}
	a->v = v;
	a->v[a->n++] = text;
	a->v[a->n] = NULL;
	return 0;
}

__attribute__((format(printf, 2, 3))) static int argv_add(struct argv *a, const char *fmt, ...)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(SFS_OPTION_MAX + SFS_PATH_MAX);
	va_list ap;
	va_start(ap, fmt);
	int r = buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return r < 0 ? r : argv_take(a, b.len ? buf_take(&b) : mem_strdup(""));
}

/* Adds "--flag=TEXT" for each string of the list. */
static int argv_add_list(struct argv *a, const char *flag, char *const *list)
{
	int r = 0;
	for (size_t i = 0; r == 0 && list[i]; i++)
		r = argv_add(a, "--%s=%s", flag, list[i]);
	return r;
}

/* The holder lies beside this program in a build directory, else where it is installed. */
static char *holder_path(const char *self)
{
	const char *slash = strrchr(self, '/');
	_cleanup_free_ char *beside =
		mem_asprintf("%.*s/secretfs-holder", slash ? (int)(slash - self) : 0, self);
	if (beside && access(beside, X_OK) == 0)
		return take(beside);
	return mem_strdup(SFS_LIBEXECDIR "/secretfs-holder");
}

static int self_path(char **ret, struct sfs_err *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_errno(err, errno, "/proc/self/exe (is /proc mounted?)");
	self[n] = 0;
	char *copy = mem_strdup(self);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	*ret = copy;
	return 0;
}

/* The worker runs as user=, else as the account made for it, else as the caller. */
static void worker_ids(const struct config *c, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *pw;
	uid_t uid;
	if (opt_user(&c->mount, &config_mount_options, "user", &uid)) {
		pw = getpwuid(uid);
		*ret_uid = uid;
		*ret_gid = pw ? pw->pw_gid : NOGROUP;
	} else if ((pw = getpwnam(ACCOUNT))) {
		*ret_uid = pw->pw_uid;
		*ret_gid = pw->pw_gid;
	} else {
		*ret_uid = getuid();
		*ret_gid = getgid();
	}
}

const char *launch_home(void)
{
	const char *home = getenv("HOME");
	if (home && home[0] == '/')
		return home;
	const struct passwd *pw = getpwuid(getuid());
	return pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

/* The descriptor of an fd: reference, which the holder reads: 0 to 2 under another number, because
 * a daemon has its own there. */
static int add_fd(struct argv *a, const char *number, struct sfs_err *err)
{
	uint64_t n;
	int fd = parse_u64(number, INT_MAX, &n) == 0 ? (int)n : -1;
	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return err_set(err, EBADF,
			"fd:%s: that descriptor is not open: start the mount with %s<FILE", number,
			number);
	int passed = fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD, FD_ASIDE);
	if (passed < 0)
		return err_errno(err, errno, "fd:%s", number);
	int r = argv_add(a, "--fd=%d:%d", passed, fd);
	return r < 0 ? err_errno(err, -r, "fd:%s", number) : 0;
}

/* What the holder keeps, opens and runs for the worker. */
static int add_needs(struct argv *a, const struct config_needs *n, struct sfs_err *err)
{
	int r = argv_add_list(a, "allow", n->paths);
	if (r < 0)
		return err_errno(err, -r, "files the source may open");
	r = argv_add_list(a, "env", n->env);
	if (r < 0)
		return err_errno(err, -r, "environment variables to take");
	r = argv_add_list(a, "command", n->commands);
	if (r < 0)
		return err_errno(err, -r, "programs that give credentials");
	for (size_t i = 0; r == 0 && n->fds[i]; i++)
		r = add_fd(a, n->fds[i], err);
	return r;
}

/* Makes a relative path absolute; "./" at its start is dropped. */
static char *absolute(const char *path)
{
	char cwd[SFS_PATH_MAX];
	if (path[0] == '/' || path[0] == 0 || !getcwd(cwd, sizeof(cwd)))
		return mem_strdup(path);
	while (path[0] == '.' && path[1] == '/')
		path += 2 + strspn(path + 2, "/");
	if (strcmp(path, ".") == 0)
		return mem_strdup(cwd);
	return mem_asprintf("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
}

char *launch_source(const char *source)
{
	size_t len = strlen(source), word = strcspn(source, ":");
	if (!source[word])
		return len > 5 && strcmp(source + len - 5, ".conf") == 0 ? absolute(source)
									 : mem_strdup(source);
	_cleanup_free_ char *name = mem_strndup(source, word);
	if (!name)
		return NULL;
	const struct backend_ops *ops = backend_find(name);
	if (!ops || !(ops->flags & BACKEND_LOCATION_PATH))
		return mem_strdup(source);
	_cleanup_free_ char *location = absolute(source + word + 1);
	return location ? mem_asprintf("%s:%s", name, location) : NULL;
}

/* Cuts trailing "/" and "/." and splits the last component off; NULL if there is no name to split
 * off.
 */
static char *split_last(char *path)
{
	size_t len = strlen(path);
	while (len > 1 && (path[len - 1] == '/' || (path[len - 1] == '.' && path[len - 2] == '/')))
		path[--len] = 0;
	char *slash = strrchr(path, '/');
	char *base = slash ? slash + 1 : path;
	if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return NULL;
	if (slash)
		*slash = 0;
	return base;
}

int launch_place(const char *path, char **ret, struct sfs_err *err)
{
	int r = mountpoint_canonical(path, ret, err);
	if (r != -ENOENT)
		return r;
	_cleanup_free_ char *copy = mem_strdup(path), *parent = NULL;
	const char *base = copy ? split_last(copy) : NULL;
	if (!base)
		return r;
	const char *above = base == copy ? "." : *copy ? copy : "/";
	r = launch_place(above, &parent, err); /* one component less each time */
	if (r < 0)
		return r;
	char *joined = mem_asprintf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, base);
	if (!joined)
		return err_set(err, ENOMEM, "out of memory");
	err_clear(err);
	*ret = joined;
	return 0;
}

static const char *log_target(const struct mount_request *m, const struct config *c)
{
	const char *log = opt_str(&c->mount, &config_mount_options, "log");
	if (log && *log)
		return log;
	return m->foreground ? "stderr" : "syslog";
}

/* Where lines go. */
static int add_log(
	struct argv *a, const struct mount_request *m, const struct config *c, struct sfs_err *err)
{
	_cleanup_free_ char *file = NULL;
	const char *log = log_target(m, c);
	int r = config_check_mountpoint(c, m->mountpoint, err);
	if (r < 0)
		return r;
	if (log[0] == '/' && launch_place(log, &file, err) < 0)
		return err_prefix(err, "option log");
	r = argv_add(a, "--log=%s", file ? file : log);
	return r < 0 ? err_errno(err, -r, "option log") : 0;
}

static int add_audit(struct argv *a, const struct config *c, struct sfs_err *err)
{
	const char *audit = config_audit(c);
	int r = audit ? argv_add(a, "--audit=%s", audit) : 0;
	return r < 0 ? err_errno(err, -r, "option audit") : 0;
}

/* The command of on_change= and its HOME: of the caller's account, not of his environment. */
static int add_command(struct argv *a, const struct config *c, struct sfs_err *err)
{
	const struct opt_table *t = &config_mount_options;
	const struct opt_value *v = opt_find(&c->mount, "on_change");
	if (!v)
		return 0;
	const struct passwd *pw = getpwuid(getuid());
	int r = argv_add(a, "--on-change=%s", v->text);
	if (r == 0)
		r = argv_add(a, "--on-change-delay=%" PRId64,
			opt_duration(&c->mount, t, "on_change_delay"));
	if (r == 0)
		r = argv_add(a, "--on-change-timeout=%" PRId64,
			opt_duration(&c->mount, t, "on_change_timeout"));
	if (r == 0)
		r = argv_add(a, "--home=%s", pw && pw->pw_dir ? pw->pw_dir : "/");
	return r < 0 ? err_errno(err, -r, "option on_change") : 0;
}

static int add_fixed(struct argv *a, const struct mount_request *m, const struct config *c)
{
	uint64_t arena = opt_size(&c->mount, &config_mount_options, "arena");
	uid_t uid;
	gid_t gid;
	int r;
	worker_ids(c, &uid, &gid);
	if ((r = argv_add(a, "--mountpoint=%s", m->mountpoint)) < 0 ||
		(r = argv_add(a, "--source=%s", m->source)) < 0 ||
		(r = argv_add(a, "--user=%ju:%ju", (uintmax_t)uid, (uintmax_t)gid)) < 0 ||
		(r = argv_add(a, "--memlock=%" PRIu64, arena + MEMLOCK_SLACK)) < 0)
		return r;
	if (opt_flag(&c->mount, &config_mount_options, "nonempty"))
		return argv_add(a, "--nonempty");
	return 0;
}

/* The worker's own command line (mount/worker.h); the holder adds the device number of the mount.
 */
static int add_worker(struct argv *a, const struct mount_request *m, const struct config *c,
	char *const *commands, const char *self)
{
	const struct opt_table *t = &config_mount_options;
	/* A log file is the worker's standard error. */
	const char *log = strcmp(log_target(m, c), "syslog") == 0 ? "syslog" : "stderr";
	const char *const words[] = {
		"--", self, "worker", m->source, m->mountpoint, m->options, log};
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(words) / sizeof(words[0]); i++)
		r = argv_add(a, "%s", words[i]);
	if (r == 0)
		r = argv_add(a, "%" PRIu64, opt_size(&c->mount, t, "arena"));
	if (r == 0)
		r = argv_add(a, "%s", opt_str(&c->mount, t, "memlock"));
	if (r == 0) /* who owns what no option gives to somebody else */
		r = argv_add(a, "%ju:%ju", (uintmax_t)getuid(), (uintmax_t)getgid());
	if (r == 0)
		r = argv_add(a, "%s", launch_home() ? launch_home() : "");
	for (size_t i = 0; r == 0 && commands[i]; i++)
		r = argv_add(a, "%s", commands[i]);
	return r;
}

static int fill_argv(const struct mount_request *m, const struct config *c,
	const struct config_needs *n, struct argv *a, struct sfs_err *err)
{
	_cleanup_free_ char *self = NULL;
	int r = self_path(&self, err);
	if (!self)
		return r;
	r = argv_take(a, holder_path(self));
	if (r == 0)
		r = add_fixed(a, m, c);
	if (r < 0)
		return err_errno(err, -r, "command line of the holder");
	if ((r = add_needs(a, n, err)) < 0 || (r = add_command(a, c, err)) < 0 ||
		(r = add_log(a, m, c, err)) < 0 || (r = add_audit(a, c, err)) < 0)
		return r;
	r = add_worker(a, m, c, n->commands, self);
	return r < 0 ? err_errno(err, -r, "command line of the worker") : 0;
}

int launch_argv(const struct mount_request *m, struct argv *ret, struct sfs_err *err)
{
	const struct path_env paths = {.covered_fd = -1};
	const struct machine machine = {.paths = &paths, .home = launch_home()};
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	struct config *c;
	struct argv a = {0};
	int r = config_load(m->source, m->options, &paths, &c, err);
	if (r < 0)
		return r;
	r = config_needs(c, &machine, &n, err);
	if (r == 0)
		r = fill_argv(m, c, &n, &a, err);
	config_free(c);
	if (r < 0) {
		argv_clear(&a);
		return r;
	}
	cli_notes(n.notes);
	*ret = a;
	return 0;
}
