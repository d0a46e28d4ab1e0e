/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/client.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/path.h"
#include "base/text.h"
#include "mount/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_CHUNK  65536
#define WRITE_CHUNK 65536 /* below the max_write of every kernel that splits nothing smaller */
#define ATTR_MAX    1024

/* Ours and not a bind mount of something inside. */
static bool is_ours(const struct mount_entry *m)
{
	return strcmp(m->type, MOUNT_TYPE) == 0 && strcmp(m->root, "/") == 0;
}

static int need_choice(const struct mount_entry *m, size_t n, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf list = BUF_INIT(SFS_ERR_MAX / 2);
	for (size_t i = 0; i < n; i++)
		if (is_ours(&m[i]))
			buf_printf(&list, "%s%s", list.len ? ", " : "", m[i].point);
	if (!list.len)
		return err_set(err, ENODEV,
			"no secretfs is mounted; 'secretfs mount SOURCE MOUNTPOINT' mounts one");
	return err_set(err, ENODEV,
		"several mounts of secretfs: choose one with -m MOUNTPOINT or SECRETFS_MOUNT: %s",
		buf_text(&list));
}

/* A mount that was named: it must be one of ours. */
static int choose_named(const struct mount_entry *m, size_t n, const char *given,
	struct client *ret, struct sfs_err *err)
{
	_cleanup_free_ char *point = NULL;
	int r = mountpoint_canonical(given, &point, err);
	if (r < 0)
		return r;
	const struct mount_entry *top = mountinfo_top(m, n, point);
	if (!top || !is_ours(top))
		return err_set(err, ENODEV, "%s is no mount of secretfs", point);
	ret->point = take(point);
	return 0;
}

/* The innermost mount that holds absolute `path`, else the only mount (path NULL). */
static const struct mount_entry *find_mount(const struct mount_entry *m, size_t n, const char *path)
{
	const struct mount_entry *found = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!is_ours(&m[i]))
			continue;
		if (path && !path_below(path, m[i].point))
			continue;
		if (!path && found && found->dev != m[i].dev)
			return NULL;
		if (!found || (path && strlen(m[i].point) >= strlen(found->point)))
			found = &m[i];
	}
	return found;
}

/* A first argument that could be a path and not a name. */
static bool is_path(const char *arg)
{
	return arg[0] == '/' || strcmp(arg, ".") == 0 || strncmp(arg, "./", 2) == 0;
}

/* 1 = the first argument chose the mount, 0 = it did not. */
static int choose_by_path(
	const struct mount_entry *m, size_t n, struct client *ret, struct sfs_err *err)
{
	_cleanup_free_ char *path = NULL;
	const char *arg = ret->nargs ? ret->args[0] : "";
	if (!is_path(arg))
		return 0;
	if (mountpoint_canonical(arg, &path, NULL) == 0) {
		const struct mount_entry *top = mountinfo_top(m, n, path);
		if (top && is_ours(top)) {
			ret->point = take(path);
			ret->whole = true;
			ret->args++;
			ret->nargs--;
			return 1;
		}
	}
	const struct mount_entry *found = find_mount(m, n, arg);
	if (!found && launch_place(arg, &ret->first, NULL) == 0) {
		found = find_mount(m, n, ret->first);
		ret->args[0] = ret->first;
	}
	if (!found)
		return err_set(err, ENODEV, "%s lies in no mount of secretfs", arg);
	ret->point = mem_strdup(found->point);
	return ret->point ? 1 : err_set(err, ENOMEM, "out of memory");
}

static int choose(const struct mount_entry *m, size_t n, const struct cli_args *a,
	struct client *ret, struct sfs_err *err)
{
	const char *given = cli_value(a, "mountpoint");
	if (given)
		return choose_named(m, n, given, ret, err);
	int r = choose_by_path(m, n, ret, err);
	if (r != 0)
		return r < 0 ? r : 0;
	given = getenv("SECRETFS_MOUNT");
	if (given && *given)
		return choose_named(m, n, given, ret, err);
	const struct mount_entry *found = find_mount(m, n, NULL);
	if (!found)
		return need_choice(m, n, err);
	ret->point = mem_strdup(found->point);
	return ret->point ? 0 : err_set(err, ENOMEM, "out of memory");
}

int client_open(const struct cli_args *a, struct client *ret, struct sfs_err *err)
{
	struct mount_entry *m;
	size_t n;
	int r = mountinfo_read(&m, &n, err);
	if (r < 0)
		return r;
	*ret = (struct client){.args = a->argv, .nargs = a->argc};
	r = choose(m, n, a, ret, err);
	mountinfo_free(m, n);
	return r;
}

void client_close(struct client *c)
{
	mem_free(c->point);
	mem_free(c->first);
	c->point = c->first = NULL;
}

int client_no_names(const struct client *c, struct sfs_err *err)
{
	return c->nargs ? err_set(err, EINVAL, "%s is no mount point of secretfs", c->args[0]) : 0;
}

static bool name_ok(const char *name)
{
	while (*name) {
		size_t len = strcspn(name, "/");
		if (len == 0 || (len <= 2 && strncmp(name, "..", len) == 0))
			return false;
		name += len;
		if (*name == '/' && !*++name)
			return false;
	}
	return true;
}

int client_name(const struct client *c, const char *arg, const char **ret, struct sfs_err *err)
{
	const char *name = arg;
	if (arg[0] == '/') {
		if (!path_below(arg, c->point))
			return err_set(
				err, EINVAL, "%s does not lie in the mount %s", arg, c->point);
		name = arg + strlen(c->point);
		name += strspn(name, "/");
	}
	if (!*name || !name_ok(name))
		return err_set(err, EINVAL,
			"%s is no name of a secret: give it as it stands under the mount, such as "
			"prod/db/password",
			*arg ? arg : "(nothing)");
	*ret = name;
	return 0;
}

char *client_path(const struct client *c, const char *fmt, ...)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(4 * SFS_PATH_MAX);
	va_list ap;
	buf_printf(&b, "%s/", c->point);
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return buf_take(&b);
}

const char *client_attr(const char *path, const char *attr, char *out, size_t size)
{
	char name[64], raw[ATTR_MAX];
	snprintf(name, sizeof(name), "user.secretfs.%s", attr);
	ssize_t n = getxattr(path, name, raw, sizeof(raw));
	return text_escaped(out, size, raw, n > 0 ? (size_t)n : 0);
}

int client_error(const char *path, int code, struct sfs_err *err)
{
	char sentence[SFS_ERR_MAX];
	/* A name that does not exist, or must not be seen, has no attribute to ask for. */
	if (*client_attr(path, "error", sentence, sizeof(sentence)))
		return err_set(err, code, "%s (%s)", sentence, strerror(code));
	return err_errno(err, code, "%s", path);
}

int client_control_error(const struct client *c, const char *path, int code, struct sfs_err *err)
{
	if (code == EACCES)
		return err_set(err, code,
			"%s: the control files of %s are for the owner of the mount and root", path,
			c->point);
	return err_errno(err, code, "%s", path);
}

int client_read_fd(int fd, struct buf *ret)
{
	for (;;) {
		char *room = buf_reserve(ret, READ_CHUNK);
		if (!room)
			return -ret->failed;
		ssize_t n = read(fd, room, READ_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_advance(ret, (size_t)n);
	}
}

int client_read(const struct client *c, const char *control, struct buf *ret, struct sfs_err *err)
{
	_cleanup_free_ char *path = client_path(c, ".control/%s", control);
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : client_read_fd(fd, ret);
	return r < 0 ? client_control_error(c, path, -r, err) : 0;
}

int client_show(const struct cli_args *a, const char *control, struct buf *ret, struct sfs_err *err)
{
	_cleanup_(client_close) struct client c = {0};
	int r = client_open(a, &c, err);
	if (r == 0)
		r = client_no_names(&c, err);
	return r < 0 ? r : client_read(&c, control, ret, err);
}

/* Bytes of the next write: whole lines, as many as fit. */
static size_t chunk_len(const char *text, size_t len)
{
	if (len <= WRITE_CHUNK)
		return len;
	const char *nl = memrchr(text, '\n', WRITE_CHUNK);
	return nl ? (size_t)(nl - text) + 1 : WRITE_CHUNK;
}

int client_write(const struct client *c, const char *control, const char *text, size_t len,
	struct sfs_err *err)
{
	int first = 0;
	_cleanup_free_ char *path = client_path(c, ".control/%s", control);
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return client_control_error(c, path, errno, err);
	for (size_t done = 0; done < len;) {
		size_t n = chunk_len(text + done, len - done);
		ssize_t w = write(fd, text + done, n);
		if (w < 0 && first == 0)
			first = errno;
		if (w < 0 && errno == EINTR)
			break;
		/* After an error the next lines still count: named lines are all tried. */
		done += w > 0 ? (size_t)w : n;
	}
	return first ? err_errno(err, first, "%s", path) : 0;
}
