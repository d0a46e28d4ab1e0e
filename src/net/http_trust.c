/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_trust.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <unistd.h>

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void trust_unref(struct trust *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	for (size_t i = 0; i < TRUST_FILES; i++)
		buf_clear(&t->text[i]);
	mem_free(t);
}

static int open_it(const struct path_env *env, const char *path, struct stat *st, int *ret_fd,
	struct sfs_err *err)
{
	int r = path_open_file(env, path, NULL, ret_fd, err);
	if (r == 0 && fstat(*ret_fd, st) < 0) {
		r = err_errno(err, errno, "look at %s", path);
		close(*ret_fd);
	}
	return r;
}

static int load_one(const struct path_env *env, const char *path, struct trust *t, size_t i,
	struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	struct buf b = BUF_INIT(SFS_TRUST_MAX);
	if (i == TRUST_KEY)
		b.kind = BUF_SECRET;
	t->text[i] = b;
	if (!path)
		return 0;
	int r = open_it(env, path, &t->seen[i], &fd, err);
	if (r == 0)
		r = path_read(fd, path, &t->text[i], err);
	if (r == 0 && t->text[i].len == 0)
		r = err_set(err, EPROTO, "%s is empty", path);
	return r;
}

int trust_load(const struct path_env *env, char *const paths[TRUST_FILES], struct trust **ret,
	struct sfs_err *err)
{
	static const char *const what[] = {
		"certificates to trust", "client certificate", "key of the client certificate"};
	struct trust *t = mem_calloc(1, sizeof(*t));
	int r = t ? 0 : err_set(err, ENOMEM, "out of memory");
	if (!t)
		return r;
	t->refs = 1;
	for (size_t i = 0; i < TRUST_FILES && r == 0; i++) {
		r = load_one(env, paths[i], t, i, err);
		if (r < 0) {
			/* ENOENT of a certificate must not look like that of a secret. */
			err->code = r == -ENOMEM ? ENOMEM : EPROTO;
			r = err_prefix(err, "%s", what[i]);
		}
	}
	if (r == 0)
		*ret = t;
	else
		trust_unref(t);
	return r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool trust_changed(
	const struct trust *t, const struct path_env *env, char *const paths[TRUST_FILES])
{
	for (size_t i = 0; i < TRUST_FILES; i++) {
		_cleanup_close_ int fd = -1;
		struct stat now;
		if (paths[i] && (open_it(env, paths[i], &now, &fd, NULL) != 0 ||
					!same_file(&now, &t->seen[i])))
			return true;
	}
	return false;
}
