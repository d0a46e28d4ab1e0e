/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hold.h"
#include "base/limits.h"
#include "base/mountinfo.h"
#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READ_TRIES 5
#define READ_PAUSE 10 /* ms between them */
#define READ_STEP  (64UL * 1024)
#define LINK_SPACE \
	(SFS_PATH_MAX * 2) /* what is left to walk: a link's target and what follows it */
#define FD_PATH_SIZE 40

struct walk {
	const struct path_env *env;
	const char *asked; /* for sentences */
	const char *why;   /* of a refusal of our own, or NULL */
	int fd;		   /* O_PATH, where we are; owned */
	struct statx st;   /* of it */
	int links;
	size_t len;		 /* of here */
	char here[SFS_PATH_MAX]; /* canonical path of fd; "" is the root directory */
	char rest[LINK_SPACE];	 /* what is still to be walked */
};

/* Never a request to the file system: what the kernel knows is enough for device and type. */
static int look(int fd, struct statx *st)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		    STATX_TYPE | STATX_MODE | STATX_UID | STATX_MNT_ID, st) < 0)
		return -errno;
	return 0;
}

static void stand_on(struct walk *w, int fd, const struct statx *st)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
	w->st = *st;
}

static int to_root(struct walk *w)
{
	struct statx st;
	_cleanup_close_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : look(fd, &st);
	if (r < 0)
		return r;
	stand_on(w, take_fd(fd), &st);
	w->len = 0;
	w->here[0] = '\0';
	return 0;
}

static bool is_ours(const struct walk *w, const struct statx *st)
{
	return w->env->mount_dev != 0 &&
	       makedev(st->stx_dev_major, st->stx_dev_minor) == w->env->mount_dev;
}

/* The path of the directory that our mount covers, if mount `id` shows the root of our file system
 * (and not a directory deeper in it): that of our first mount, wherever else it is bound. */
static int covered_path(const struct walk *w, uint64_t id, char *ret, size_t size)
{
	struct mount_entry *m;
	const char *first = NULL;
	size_t n;
	bool whole = false;
	int r = mountinfo_read(&m, &n, NULL);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		bool root = m[i].dev == w->env->mount_dev && strcmp(m[i].root, "/") == 0;
		if (root && !first)
			first = m[i].point;
		whole |= root && (uint64_t)m[i].id == id;
	}
	if (!whole || strlen(first) >= size)
		r = whole ? -ENAMETOOLONG : -ELOOP;
	else
		memcpy(ret, first, strlen(first) + 1);
	mountinfo_free(m, n);
	return r;
}

/* The walk has come to our own mount (`st`): goes on in what that covers. */
static int to_covered(struct walk *w, const struct statx *st)
{
	char path[SFS_PATH_MAX];
	struct statx covered;
	int r = -ELOOP;
	if (w->env->covered_fd >= 0)
		r = covered_path(w, st->stx_mnt_id, path, sizeof(path));
	if (r == -ELOOP)
		w->why = "the path leads into the secretfs mount itself: name a file outside of it";
	if (r < 0)
		return r;
	_cleanup_close_ int fd = fcntl(w->env->covered_fd, F_DUPFD_CLOEXEC, 3);
	r = fd < 0 ? -errno : look(fd, &covered);
	if (r < 0)
		return r;
	stand_on(w, take_fd(fd), &covered);
	w->len = strcmp(path, "/") == 0 ? 0 : strlen(path);
	memcpy(w->here, path, w->len);
	w->here[w->len] = '\0';
	return 0;
}

/* As fs.protected_symlinks: in /tmp a link of someone else is not followed. */
static bool link_is_trap(const struct walk *w, const struct statx *link)
{
	if ((w->st.stx_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH))
		return false;
	return link->stx_uid != geteuid() && link->stx_uid != w->st.stx_uid;
}

/* Puts the target of the link before what is left of the path. */
static int follow(struct walk *w, int link, const struct statx *st)
{
	char target[SFS_PATH_MAX];
	if (++w->links > SFS_PATH_LINKS)
		return -ELOOP;
	if (link_is_trap(w, st)) {
		w->why = "a symbolic link of another user in a sticky directory is not followed";
		return -EACCES;
	}
	ssize_t n = readlinkat(link, "", target, sizeof(target));
	if (n < 0)
		return -errno;
	size_t rest = strlen(w->rest);
	if (n == 0 || (size_t)n >= sizeof(target) || (size_t)n + 1 + rest >= sizeof(w->rest))
		return n == 0 ? -ENOENT : -ENAMETOOLONG;
	memmove(w->rest + n + 1, w->rest, rest + 1);
	memcpy(w->rest, target, (size_t)n);
	w->rest[n] = '/';
	if (rest == 0) /* no slash of ours at the end: that would ask for a directory */
		w->rest[n] = '\0';
	return target[0] == '/' ? to_root(w) : 0;
}

static int up(struct walk *w)
{
	struct statx st;
	_cleanup_close_ int fd = openat(w->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : look(fd, &st);
	if (r < 0)
		return r;
	if (is_ours(w,
		    &st)) /* from a directory of what it covers the kernel goes up into the mount */
		return to_covered(w, &st);
	stand_on(w, take_fd(fd), &st);
	while (w->len && w->here[w->len - 1] != '/')
		w->len--;
	if (w->len)
		w->len--;
	w->here[w->len] = '\0';
	return 0;
}

static int down(struct walk *w, const char *name)
{
	struct statx st;
	_cleanup_close_ int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : look(fd, &st);
	if (r < 0)
		return r;
	if (is_ours(w, &st))
		return to_covered(w, &st);
	if (S_ISLNK(st.stx_mode))
		return follow(w, fd, &st);
	size_t len = strlen(name);
	if (w->len + 1 + len >= sizeof(w->here))
		return -ENAMETOOLONG;
	w->here[w->len++] = '/';
	memcpy(w->here + w->len, name, len + 1);
	w->len += len;
	stand_on(w, take_fd(fd), &st);
	return 0;
}

/* Takes the next component out of `rest`, which loses it and the slashes before it. */
static int next_component(struct walk *w, char *name, size_t size)
{
	size_t skip = strspn(w->rest, "/");
	size_t len = strcspn(w->rest + skip, "/");
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(name, w->rest + skip, len);
	name[len] = '\0';
	memmove(w->rest, w->rest + skip + len, strlen(w->rest + skip + len) + 1);
	return 0;
}

static int walk_all(struct walk *w)
{
	char name[SFS_COMPONENT_MAX + 1];
	int r = to_root(w);
	while (r == 0 && w->rest[0]) {
		if (!S_ISDIR(w->st.stx_mode))
			return -ENOTDIR;
		r = next_component(w, name, sizeof(name));
		if (r < 0 || !name[0] || strcmp(name, ".") == 0)
			continue;
		r = strcmp(name, "..") == 0 ? up(w) : down(w, name);
	}
	return r;
}

static int walk_error(const struct walk *w, int r, struct sfs_err *err)
{
	if (w->why)
		return err_set(err, -r, "open %s: %s", w->asked, w->why);
	return err_errno(err, -r, "open %s", w->asked);
}

int path_walk(const struct path_env *env, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err)
{
	struct walk w = {.env = env, .asked = path, .fd = -1};
	if (path[0] != '/')
		return err_set(err, EINVAL, "open %s: the path must be absolute", path);
	if (strlen(path) >= SFS_PATH_MAX)
		return err_set(err, ENAMETOOLONG, "open %.64s...: the path is longer than %d bytes",
			path, SFS_PATH_MAX - 1);
	memcpy(w.rest, path, strlen(path) + 1);
	int r = walk_all(&w);
	_cleanup_close_ int fd = w.fd;
	if (r < 0)
		return walk_error(&w, r, err);
	if (ret_canonical) {
		char *canonical = mem_strdup(w.len ? w.here : "/");
		if (!canonical)
			return err_set(err, ENOMEM, "open %s: no memory", path);
		*ret_canonical = canonical;
	}
	*ret_fd = take_fd(fd);
	return 0;
}

/* The kernel's own name of what the descriptor stands for: no second walk, nothing can be swapped.
 */
static const char *fd_path(int fd, char out[FD_PATH_SIZE])
{
	snprintf(out, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
	return out;
}

static const char *kind_of(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	case S_IFLNK:
		return "a symbolic link";
	default:
		return "no regular file";
	}
}

static int reopen(int opath_fd, const char *path, int flags, int *ret_fd, struct sfs_err *err)
{
	char name[FD_PATH_SIZE];
	int fd = open(fd_path(opath_fd, name), O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
	if (fd < 0)
		return err_errno(err, errno, "open %s", path);
	*ret_fd = fd;
	return 0;
}

/* 0, or a refusal for what no privilege changes: marked by 1, so that the holder is not asked. */
static int refuse_type(int opath_fd, const char *path, bool dir, struct sfs_err *err)
{
	struct statx st;
	int r = look(opath_fd, &st);
	if (r < 0)
		return err_errno(err, -r, "open %s", path);
	if (dir)
		return S_ISDIR(st.stx_mode) ? 0 : err_errno(err, ENOTDIR, "open %s", path);
	if (S_ISDIR(st.stx_mode))
		return err_errno(err, EISDIR, "open %s", path);
	if (S_ISREG(st.stx_mode))
		return 0;
	err_set(err, EACCES, "open %s: it is %s: only regular files are read", path,
		kind_of(st.stx_mode));
	return 1;
}

int path_reopen_file(int opath_fd, const char *path, int *ret_fd, struct sfs_err *err)
{
	int r = refuse_type(opath_fd, path, false, err);
	if (r != 0)
		return r > 0 ? -EACCES : r;
	return reopen(opath_fd, path, O_NONBLOCK, ret_fd, err);
}

int path_reopen_dir(int opath_fd, const char *path, int *ret_fd, struct sfs_err *err)
{
	int r = refuse_type(opath_fd, path, true, err);
	if (r != 0)
		return r;
	return reopen(opath_fd, path, O_DIRECTORY, ret_fd, err);
}

int path_watch_fd(int opath_fd, const char *path, unsigned mask, int *ret_fd, struct sfs_err *err)
{
	char name[FD_PATH_SIZE];
	_cleanup_close_ int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0 && errno == EMFILE)
		return err_set(err, EMFILE,
			"watch %s: too many inotify instances or open files: raise "
			"fs.inotify.max_user_instances",
			path);
	if (fd < 0)
		return err_errno(err, errno, "watch %s", path);
	if (inotify_add_watch(fd, fd_path(opath_fd, name), mask) < 0) {
		if (errno == ENOSPC)
			return err_set(err, ENOSPC,
				"watch %s: no inotify watch left: raise "
				"fs.inotify.max_user_watches",
				path);
		return err_errno(err, errno, "watch %s", path);
	}
	*ret_fd = take_fd(fd);
	return 0;
}

static bool may_ask(const struct path_env *env, int r)
{
	return env->hold && (r == -EACCES || r == -EPERM);
}

/* What we may not do, the holder may. If it is gone, the first refusal is the better sentence. */
static int ask_holder(const struct path_env *env, enum hold_type t, const char *path, unsigned mask,
	char **ret_canonical, int *ret_fd, struct sfs_err *err)
{
	struct sfs_err theirs = {0};
	_cleanup_free_ char *canonical = NULL;
	int fd = -1;
	int r = hold_ask_path(env->hold, t, path, mask, &canonical, &fd, &theirs);
	if (r == 0) {
		if (ret_canonical)
			*ret_canonical = take(canonical);
		*ret_fd = fd;
		err_clear(err);
		return 0;
	}
	if (r == -EPIPE || r == -ETIMEDOUT)
		return err ? -err->code : -EACCES;
	if (err)
		*err = theirs;
	return r;
}

typedef int (*reopen_fn)(int opath_fd, const char *path, int *ret_fd, struct sfs_err *err);

static int open_any(const struct path_env *env, const char *path, bool dir, char **ret_canonical,
	int *ret_fd, struct sfs_err *err)
{
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int at = -1;
	int r = path_walk(env, path, &canonical, &at, err);
	if (r == 0) {
		r = refuse_type(at, path, dir, err);
		if (r != 0)
			return r > 0 ? -EACCES : r;
		r = reopen(at, path, dir ? O_DIRECTORY : O_NONBLOCK, ret_fd, err);
	}
	if (may_ask(env, r))
		return ask_holder(env, dir ? HOLD_OPEN_DIR : HOLD_OPEN_FILE, path, 0, ret_canonical,
			ret_fd, err);
	if (r == 0 && ret_canonical)
		*ret_canonical = take(canonical);
	return r;
}

int path_open_file(const struct path_env *env, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err)
{
	return open_any(env, path, false, ret_canonical, ret_fd, err);
}

int path_open_dir(const struct path_env *env, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err)
{
	return open_any(env, path, true, ret_canonical, ret_fd, err);
}

int path_watch(const struct path_env *env, const char *path, unsigned mask, int *ret_fd,
	struct sfs_err *err)
{
	_cleanup_close_ int at = -1;
	int r = path_walk(env, path, NULL, &at, err);
	if (r == 0)
		r = path_watch_fd(at, path, mask, ret_fd, err);
	if (may_ask(env, r))
		return ask_holder(env, HOLD_WATCH, path, mask, NULL, ret_fd, err);
	return r;
}

/* Back to the length it had, with nothing of the rest left in memory. */
static void cut_back(struct buf *b, size_t len)
{
	if (b->len > len) {
		secret_wipe(b->data + len, b->len - len);
		b->len = len;
	}
}

static bool same_file_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int too_big(const char *path, size_t max, struct sfs_err *err)
{
	return err_set(err, EFBIG, "read %s: larger than the %zu bytes allowed", path, max);
}

/* Reads to the end once; `size` is what fstat(2) said, 0 where the file system does not know.
 * Memory for just that is reserved, because doubling would ask the arena for twice the file. 1 = it
 * grew meanwhile. */
static int read_once(
	int fd, const char *path, size_t size, size_t room, struct buf *b, struct sfs_err *err)
{
	size_t end = size ? size : room;
	if (size && !buf_reserve(b, size))
		return err_errno(err, b->failed, "read %s", path);
	for (size_t at = 0;;) {
		char extra; /* at the end: is there one byte more? */
		size_t step = end - at < READ_STEP ? end - at : READ_STEP;
		char *to = step ? buf_reserve(b, step) : &extra;
		if (!to)
			return err_errno(err, b->failed, "read %s", path);
		ssize_t n = pread(fd, to, step ? step : 1, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "read %s", path);
		if (n == 0)
			return 0;
		if (!step)
			return at == room ? too_big(path, b->max, err) : 1;
		buf_advance(b, (size_t)n);
		at += (size_t)n;
	}
}

int path_read(int fd, const char *path, struct buf *b, struct sfs_err *err)
{
	size_t start = b->len;
	size_t room = b->max - start;
	for (int i = 0; i < READ_TRIES; i++) {
		struct stat before, after;
		if (i && !clock_is_fake())
			poll(NULL, 0, READ_PAUSE * i);
		if (fstat(fd, &before) < 0)
			return err_errno(err, errno, "read %s", path);
		if (before.st_size > 0 && (size_t)before.st_size > room)
			return too_big(path, b->max, err);
		int r = read_once(fd, path, (size_t)before.st_size, room, b, err);
		if (r == 0 && fstat(fd, &after) < 0)
			r = err_errno(err, errno, "read %s", path);
		if (r == 0 && same_file_state(&before, &after))
			return 0;
		cut_back(b, start);
		if (r < 0)
			return r;
	}
	return err_set(err, EAGAIN,
		"read %s: it keeps changing while it is read: write it beside and rename it", path);
}

bool path_below(const char *path, const char *root)
{
	size_t len = strlen(root);
	if (strcmp(root, "/") == 0)
		return path[0] == '/';
	return strncmp(path, root, len) == 0 && (path[len] == '\0' || path[len] == '/');
}
