/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of files: each regular file is a secret, its name the path below the root. Entries that
 * start with ".." are left out: Kubernetes keeps the files of a volume there and shows them through
 * links.
 */
#include "backends/file_impl.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define DIRS_MAX 100000 /* directories of one tree; bounds the memory of a walk */
#define DIR_LINKS_MAX \
	4096 /* links to directories that are followed: those can multiply paths without end */

struct dir {
	char *rel;	 /* name in the tree, "" = the root */
	char *canonical; /* real path */
	size_t parent;	 /* index; of the root its own */
};

struct walk {
	struct file_state *st;
	const struct call *call;
	const struct tree_visitor *v;
	struct tree_stats *stats;
	struct sfs_err *err;
	struct dir *dirs; /* those behind `next` are still to be read */
	size_t n, cap, next;
	size_t dir_links;
	char *root; /* canonical */
};

static void walk_clear(struct walk *w)
{
	for (size_t i = 0; i < w->n; i++) {
		mem_free(w->dirs[i].rel);
		mem_free(w->dirs[i].canonical);
	}
	mem_free(w->dirs);
	mem_free(w->root);
}

static int no_memory(struct walk *w)
{
	return err_set(w->err, ENOMEM, "no memory to walk %s", w->st->path);
}

/* `name` in a directory of the tree. */
static char *join(const char *rel, const char *name)
{
	return *rel ? mem_asprintf("%s/%s", rel, name) : mem_strdup(name);
}

/* `name` in a directory of the file system. */
static char *full_path(const char *dir, const char *name)
{
	return mem_asprintf("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
}

/* Takes both strings, which may be NULL for no memory. */
static int push_dir(struct walk *w, char *rel, char *canonical, size_t parent)
{
	struct dir *dirs = w->dirs;
	if (w->n >= DIRS_MAX) {
		mem_free(rel);
		mem_free(canonical);
		return err_set(
			w->err, EFBIG, "%s has more than %d directories", w->st->path, DIRS_MAX);
	}
	if (w->n == w->cap) {
		dirs = mem_realloc(w->dirs, w->cap ? 2 * w->cap : 16, sizeof(*dirs));
		if (dirs) {
			w->dirs = dirs;
			w->cap = w->cap ? 2 * w->cap : 16;
		}
	}
	if (!dirs || !rel || !canonical) {
		mem_free(rel);
		mem_free(canonical);
		return no_memory(w);
	}
	w->dirs[w->n++] = (struct dir){rel, canonical, parent};
	return 0;
}

static bool is_ancestor(const struct walk *w, size_t dir, const char *canonical)
{
	for (;; dir = w->dirs[dir].parent) {
		if (strcmp(w->dirs[dir].canonical, canonical) == 0)
			return true;
		if (dir == w->dirs[dir].parent)
			return false;
	}
}

static int show_file(struct walk *w, const char *rel, const struct stat *sb)
{
	return w->v->file ? w->v->file(w->v->arg, rel, sb) : 0;
}

/* A link to a directory counts if that is in the tree and not above the link, and so cannot be
 * walked for ever. */
static int add_dir_link(struct walk *w, size_t dir, const char *rel, const char *path)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *canonical = NULL;
	int rc = path_open_dir(w->st->env->paths, path, &canonical, &fd, NULL);
	if (rc == -ENOMEM)
		return no_memory(w);
	if (rc || !path_below(canonical, w->root) || is_ancestor(w, dir, canonical)) {
		w->stats->skipped++;
		return 0;
	}
	if (++w->dir_links > DIR_LINKS_MAX)
		return err_set(w->err, EFBIG, "%s has more than %d links to directories",
			w->st->path, DIR_LINKS_MAX);
	return push_dir(w, mem_strdup(rel), take(canonical), dir);
}

static int add_link(struct walk *w, size_t dir, const char *name, const char *rel)
{
	/* By its real place: the way through links that led here is not walked again. */
	_cleanup_free_ char *path = full_path(w->dirs[dir].canonical, name);
	_cleanup_close_ int fd = -1;
	struct stat sb = {0};
	if (!path)
		return no_memory(w);
	w->stats->aliases = true;
	int rc = w->v->link ? w->v->link(w->v->arg, path) : 0;
	if (rc)
		return rc;
	rc = path_open_file(w->st->env->paths, path, NULL, &fd, NULL);
	if (rc == -EISDIR)
		return add_dir_link(w, dir, rel, path);
	if (rc == -ENOMEM)
		return no_memory(w);
	/* A file that may not be read is shown: reading it tells why. */
	if (rc == -EACCES || (rc == 0 && fstat(fd, &sb) == 0))
		return show_file(w, rel, &sb);
	w->stats->skipped++;
	return 0;
}

static int add_regular(struct walk *w, int fd, const char *name, const char *rel)
{
	struct stat sb;
	if (fstatat(fd, name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone meanwhile */
	if (!S_ISREG(sb.st_mode)) {
		w->stats->skipped++;
		return 0;
	}
	if (sb.st_nlink > 1)
		w->stats->aliases = true;
	return show_file(w, rel, &sb);
}

/* The type where readdir(3) does not tell. Directories are never looked at: one may be our own
 * mount. */
static unsigned char entry_type(int fd, const struct dirent *e)
{
	struct stat sb;
	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	return fstatat(fd, e->d_name, &sb, AT_SYMLINK_NOFOLLOW) == 0
		       ? (unsigned char)IFTODT(sb.st_mode)
		       : DT_UNKNOWN;
}

static int add_entry(struct walk *w, size_t dir, int fd, const struct dirent *e)
{
	unsigned char type = entry_type(fd, e);
	_cleanup_free_ char *rel = join(w->dirs[dir].rel, e->d_name);
	if (!rel)
		return no_memory(w);
	if (type == DT_REG)
		return add_regular(w, fd, e->d_name, rel);
	if (type == DT_LNK)
		return add_link(w, dir, e->d_name, rel);
	if (type != DT_DIR) {
		w->stats->skipped++;
		return 0;
	}
	return push_dir(w, take(rel), full_path(w->dirs[dir].canonical, e->d_name), dir);
}

static bool is_hidden(const char *name)
{
	return name[0] == '.' && (name[1] == '.' || name[1] == '\0');
}

static int check_call(struct walk *w)
{
	if (w->call && w->call->cancelled && atomic_load(w->call->cancelled))
		return err_set(w->err, ECANCELED, "nobody waits for the list of %s", w->st->path);
	if (w->call && clock_boot() > w->call->deadline)
		return err_set(
			w->err, ETIMEDOUT, "walking %s took longer than the timeout", w->st->path);
	return 0;
}

static void closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int read_entries(struct walk *w, size_t dir, int fd)
{
	_cleanup_(closedir_p) DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return no_memory(w);
	}
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (!e)
			return errno ? err_errno(w->err, errno, "read directory %s",
					       w->dirs[dir].canonical)
				     : 0;
		if (is_hidden(e->d_name))
			continue;
		int rc = add_entry(w, dir, fd, e);
		if (rc)
			return rc;
	}
}

/* A subdirectory that went away or may not be read costs only itself. */
static int read_dir(struct walk *w, size_t dir)
{
	_cleanup_close_ int fd = -1;
	int rc = check_call(w);
	if (rc)
		return rc;
	rc = path_open_dir(w->st->env->paths, w->dirs[dir].canonical, NULL, &fd, w->err);
	if (rc == -ENOMEM || (rc && dir == 0))
		return rc;
	if (rc) {
		w->stats->skipped++;
		return 0;
	}
	if (w->v->dir) {
		rc = w->v->dir(w->v->arg, w->dirs[dir].rel, w->dirs[dir].canonical, fd);
		if (rc)
			return rc;
	}
	return read_entries(w, dir, take_fd(fd));
}

static int start(struct walk *w)
{
	_cleanup_close_ int fd = -1;
	int rc = path_open_dir(w->st->env->paths, w->st->path, &w->root, &fd, w->err);
	return rc ? rc : push_dir(w, mem_strdup(""), mem_strdup(w->root), 0);
}

int tree_walk(struct file_state *st, const struct call *call, const struct tree_visitor *v,
	struct tree_stats *ret, struct sfs_err *err)
{
	struct tree_stats stats = {0};
	_cleanup_(walk_clear) struct walk w = {
		.st = st, .call = call, .v = v, .stats = &stats, .err = err};
	int rc = start(&w);
	for (; !rc && w.next < w.n; w.next++)
		rc = read_dir(&w, w.next);
	if (rc)
		return rc;
	*ret = stats;
	return 0;
}

static int list_file(void *arg, const char *rel, const struct stat *sb)
{
	struct list_item item = {.name = rel, .created = file_stamp_of(sb).mtime};
	return list_add(arg, &item);
}

static void report_skipped(struct file_state *st, size_t skipped)
{
	if (atomic_exchange(&st->skipped, skipped) != skipped && skipped)
		log_warn("file/%s: %s: %zu entries left out: not regular files, links that lead "
			 "nowhere or out of the tree to a directory, or directories that may not "
			 "be read",
			st->env->instance, st->path, skipped);
}

/* The whole tree was removed, and so its secrets; or it is there. */
static void note_gone(struct file_state *st, bool gone, struct list_sink *sink)
{
	struct sfs_err why;
	pthread_mutex_lock(&st->lock);
	bool news = gone && !st->gone;
	st->gone = gone;
	pthread_mutex_unlock(&st->lock);
	if (!gone)
		return;
	file_gone(st, &why);
	list_problem(sink, &why);
	if (news)
		log_warn("file/%s: %s", st->env->instance, why.msg);
}

int tree_list(
	struct file_state *st, const struct call *call, struct list_sink *sink, struct sfs_err *err)
{
	struct tree_visitor v = {.file = list_file, .arg = sink};
	struct tree_stats stats;
	int rc = tree_walk(st, call, &v, &stats, err);
	bool gone = rc == -ENOENT || rc == -ENOTDIR;
	if (gone || !rc)
		note_gone(st, gone, sink);
	if (gone)
		return 0;
	if (!rc)
		report_skipped(st, stats.skipped);
	return rc;
}

/* A name that list could have given: relative, no empty component, none that starts with "..", and
 * no ".". */
static bool is_tree_name(const char *name)
{
	for (;;) {
		size_t len = strcspn(name, "/");
		if (len == 0 || (len == 1 && name[0] == '.') || (name[0] == '.' && name[1] == '.'))
			return false;
		if (!name[len])
			return true;
		name += len + 1;
	}
}

static int no_such(struct sfs_err *err)
{
	return err_set(err, ENOENT, "there is no such file in the directory of the source");
}

/* The directory of `path` must lie in the tree: a link may lead out of it to a file, not to a
 * directory of files. */
static int check_parent(struct file_state *st, const char *path, struct sfs_err *err)
{
	_cleanup_free_ char *root = NULL, *real = NULL;
	_cleanup_free_ char *parent = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
	_cleanup_close_ int fd = -1, root_fd = -1;
	if (!parent)
		return err_set(err, ENOMEM, "no memory for a path");
	int rc = path_open_dir(st->env->paths, *parent ? parent : "/", &real, &fd, err);
	if (!rc)
		rc = path_open_dir(st->env->paths, st->path, &root, &root_fd, err);
	if (rc)
		return rc;
	return path_below(real, root) ? 0 : no_such(err);
}

int tree_open(
	struct file_state *st, const char *name, char **ret_path, int *ret_fd, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	if (!is_tree_name(name))
		return no_such(err);
	_cleanup_free_ char *path = full_path(st->path, name);
	if (!path)
		return err_set(err, ENOMEM, "no memory for a path");
	int rc = path_open_file(st->env->paths, path, NULL, &fd, err);
	if (rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR || rc == -ENAMETOOLONG || rc == -ELOOP)
		return no_such(err);
	if (!rc && strchr(name, '/'))
		rc = check_parent(st, path, err);
	if (rc)
		return rc;
	*ret_path = take(path);
	*ret_fd = take_fd(fd);
	return 0;
}

static int read_value(int fd, const char *path, struct payload *p, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf b = BUF_SECRET_INIT(SFS_VALUE_MAX);
	struct stat sb;
	if (fstat(fd, &sb) < 0)
		return err_errno(err, errno, "look at %s", path);
	/* Just emptied: most likely `> file`, whose bytes follow. */
	if (sb.st_size == 0 && file_is_recent(&sb) && (file_pause(), fstat(fd, &sb)) < 0)
		return err_errno(err, errno, "look at %s", path);
	if (sb.st_size > SFS_VALUE_MAX)
		return err_set(err, EFBIG, "%s has %lld bytes, more than a value may have (%d)",
			path, (long long)sb.st_size, SFS_VALUE_MAX);
	int rc = path_read(fd, path, &b, err);
	if (rc)
		return rc;
	p->created = file_stamp_of(&sb).mtime;
	return doc_add_part(p, NULL, &b, err);
}

int tree_get(struct file_state *st, const char *name, struct payload **ret, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *path = NULL;
	int rc = tree_open(st, name, &path, &fd, err);
	if (rc)
		return rc;
	struct payload *p = payload_new();
	rc = p ? read_value(fd, path, p, err) : err_set(err, ENOMEM, "no memory for a value");
	if (rc) {
		payload_unref(p);
		return rc;
	}
	*ret = p;
	return 0;
}
