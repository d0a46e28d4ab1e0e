/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/credfile.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct credfile_stamp stamp_of(const struct stat *st)
{
	return (struct credfile_stamp){.there = true,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec,
		.ctime = st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec};
}

static bool same_stamp(const struct credfile_stamp *a, const struct credfile_stamp *b)
{
	return a->there == b->there && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime == b->mtime && a->ctime == b->ctime;
}

/* Who owns the directory of `canonical` put the file there, or let its owner do so. What we may not
 * look into is closed to strangers too. */
static bool owner_of_dir(const struct path_env *paths, const char *canonical, uid_t uid)
{
	struct stat st;
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *dir = mem_strdup(canonical);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	if (!slash)
		return false;
	slash[slash == dir] = '\0';
	int r = path_walk(paths, dir, NULL, &fd, NULL);
	if (r == -EACCES || r == -EPERM)
		return true;
	return r == 0 && fstat(fd, &st) == 0 && st.st_uid == uid;
}

static int check_owner(const struct path_env *paths, const char *path, const char *canonical,
	const struct stat *st, struct sfs_err *err)
{
	if (st->st_mode & S_IWOTH)
		return err_set(err, EACCES,
			"%s is not used: everybody on this machine may write it; take that away "
			"with chmod o-w",
			path);
	if (st->st_uid == 0 || st->st_uid == geteuid() ||
		owner_of_dir(paths, canonical, st->st_uid))
		return 0;
	return err_set(err, EACCES,
		"%s is not used: it belongs to user %u, who is neither root nor the user of this "
		"mount nor the owner of its directory",
		path, (unsigned)st->st_uid);
}

static void warn_if_open(const char *path, const struct stat *st)
{
	if (st->st_mode & (S_IRGRP | S_IROTH))
		log_warn("%s holds credentials and others may read it; take that away with chmod "
			 "go-r",
			path);
}

int credfile_read(const struct path_env *paths, const char *path, unsigned flags, struct buf *out,
	struct credfile_stamp *ret_stamp, struct sfs_err *err)
{
	struct stat st;
	struct credfile_stamp stamp = {0}, old = ret_stamp ? *ret_stamp : stamp;
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	if (ret_stamp)
		*ret_stamp = stamp;
	int r = path_open_file(paths, path, &canonical, &fd, err);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "read %s", path);
	stamp = stamp_of(&st);
	if (ret_stamp)
		*ret_stamp = stamp;
	r = check_owner(paths, path, canonical, &st, err);
	if (r < 0)
		return r;
	if ((flags & CREDFILE_SECRET) && !same_stamp(&stamp, &old))
		warn_if_open(path, &st);
	return path_read(fd, path, out, err);
}

static void cut(struct buf *b, size_t len)
{
	secret_wipe(b->data + len, b->len - len);
	b->len = len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int credfile_read_token(const struct path_env *paths, const char *path, struct buf *out,
	struct credfile_stamp *ret_stamp, struct sfs_err *err)
{
	size_t start = out->len, end;
	int r = credfile_read(paths, path, 0, out, ret_stamp, err);
	if (r < 0)
		return r;
	for (end = out->len; end > start && is_blank(out->data[end - 1]); end--)
		;
	if (end == start)
		r = err_set(err, EBADMSG, "the token file %s is empty", path);
	for (size_t i = start; i < end && r == 0; i++)
		if (out->data[i] < 0x21 || out->data[i] > 0x7e)
			r = err_set(err, EBADMSG,
				"the token file %s holds a byte at offset %zu that no token has",
				path, i - start);
	if (out->data)
		cut(out, r < 0 ? start : end);
	return r;
}

void credfile_look(const struct path_env *paths, const char *path, struct credfile_stamp *ret_stamp)
{
	struct stat st;
	_cleanup_close_ int fd = -1;
	int r = path_walk(paths, path, NULL, &fd, NULL);
	if (r == -EACCES || r == -EPERM)
		r = path_open_file(paths, path, NULL, &fd, NULL);
	*ret_stamp = (struct credfile_stamp){0};
	if (r == 0 && fstat(fd, &st) == 0)
		*ret_stamp = stamp_of(&st);
}

bool credfile_changed(
	const struct path_env *paths, const char *path, const struct credfile_stamp *stamp)
{
	struct credfile_stamp now;
	credfile_look(paths, path, &now);
	return !same_stamp(&now, stamp);
}
