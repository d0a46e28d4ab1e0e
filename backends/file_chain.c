/* SPDX-License-Identifier: Apache-2.0 */
/* The places where a change can make a path lead somewhere else. */
#include "backends/file_impl.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

struct chain {
	const struct path_env *paths;
	int (*visit)(void *arg, const char *dir, const char *name);
	void *arg;
	struct buf dir;	 /* real path so far, "" = the root */
	struct buf rest; /* what is still to be walked */
	int links;
	struct sfs_err *err;
};

static const char *dir_path(const struct chain *c)
{
	return c->dir.len ? c->dir.data : "/";
}

/* Cuts the next component off `rest` into `out`; false at the end. */
static bool next_component(struct chain *c, char out[SFS_COMPONENT_MAX + 1])
{
	const char *from = buf_text(&c->rest);
	size_t skip = strspn(from, "/");
	size_t len = strcspn(from + skip, "/");
	if (len == 0 || len > SFS_COMPONENT_MAX)
		return false;
	memcpy(out, from + skip, len);
	out[len] = '\0';
	memmove(c->rest.data, from + skip + len, c->rest.len - skip - len + 1);
	c->rest.len -= skip + len;
	return true;
}

static void drop_last(struct buf *dir)
{
	char *slash = dir->len ? strrchr(dir->data, '/') : NULL;
	dir->len = slash ? (size_t)(slash - dir->data) : 0;
	if (slash)
		*slash = '\0';
}

/* The rest is what the link says, and then the old rest. */
static int follow(struct chain *c, const char *target)
{
	char old[SFS_PATH_MAX + 1];
	if (++c->links > SFS_PATH_LINKS)
		return err_set(c->err, ELOOP, "too many links on the way to the source");
	if (*target == '/')
		buf_reset(&c->dir);
	memcpy(old, buf_text(&c->rest), c->rest.len + 1);
	buf_reset(&c->rest);
	int rc = buf_str(&c->rest, target);
	if (!rc)
		rc = buf_str(&c->rest, old);
	return rc ? err_set(c->err, rc == -EFBIG ? ENAMETOOLONG : ENOMEM,
			    "a link on the way is too long")
		  : 0;
}

static int descend(struct chain *c, const char *name)
{
	int rc = buf_char(&c->dir, '/');
	if (!rc)
		rc = buf_str(&c->dir, name);
	if (rc)
		return err_set(
			c->err, rc == -EFBIG ? ENAMETOOLONG : ENOMEM, "the path is too long");
	return c->visit(c->arg, c->dir.data, NULL);
}

/* Bytes of the link `name` in the directory walked to, in `target`; 0 = no link, or -errno. A
 * directory that may not be read is taken as one without links. */
static ssize_t read_link(struct chain *c, const char *name, char target[SFS_PATH_MAX])
{
	_cleanup_close_ int fd = -1;
	int rc = path_open_dir(c->paths, dir_path(c), NULL, &fd, NULL);
	if (rc < 0)
		return rc == -EACCES || rc == -EPERM ? 0 : rc;
	ssize_t n = readlinkat(fd, name, target, SFS_PATH_MAX - 1);
	if (n < 0)
		return errno == EINVAL ? 0 : -errno;
	target[n] = '\0';
	return n;
}

/* One component. Returns 1 when the walk is over. */
static int step(struct chain *c, const char *name)
{
	char target[SFS_PATH_MAX];
	ssize_t n = read_link(c, name, target);
	bool last = strspn(buf_text(&c->rest), "/") == c->rest.len;
	if (n != 0 || last) {
		int rc = c->visit(c->arg, dir_path(c), name);
		if (rc || n <= 0)
			return rc ? rc : 1;
		return follow(c, target);
	}
	return descend(c, name);
}

static void chain_clear(struct chain *c)
{
	buf_clear(&c->dir);
	buf_clear(&c->rest);
}

int chain_walk(const struct path_env *paths, const char *path,
	int (*visit)(void *arg, const char *dir, const char *name), void *arg, struct sfs_err *err)
{
	_cleanup_(chain_clear) struct chain c = {
		.paths = paths,
		.visit = visit,
		.arg = arg,
		.dir = BUF_INIT(SFS_PATH_MAX),
		.rest = BUF_INIT(SFS_PATH_MAX),
		.err = err,
	};
	char name[SFS_COMPONENT_MAX + 1];
	int rc =
		buf_str(&c.rest, path) < 0 ? err_set(err, ENAMETOOLONG, "the path is too long") : 0;
	while (!rc && next_component(&c, name)) {
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0)
			drop_last(&c.dir);
		else
			rc = step(&c, name);
	}
	return rc > 0 ? 0 : rc;
}
