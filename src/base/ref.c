/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ref.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define EMPTY_TRIES 4
#define EMPTY_PAUSE 20 /* ms, times the number of the try: for who truncates and then writes */

static const char *after(const char *ref, const char *word)
{
	size_t len = strlen(word);
	return strncmp(ref, word, len) == 0 ? ref + len : NULL;
}

bool ref_is(const char *ref)
{
	return after(ref, "file:") || after(ref, "env:") || after(ref, "fd:");
}

/* Who may write the file chooses who we are. */
static int check_file(int fd, const char *path, struct sfs_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "read %s", path);
	if (st.st_mode & S_IWOTH)
		return err_set(err, ENOKEY,
			"%s: everybody on this machine may write it: chmod o-w it, and make sure "
			"that it still holds what you put there",
			path);
	return 0;
}

static int open_and_read(
	const struct path_env *paths, const char *path, struct buf *text, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	int r = path_open_file(paths, path, NULL, &fd, err);
	if (r == 0)
		r = check_file(fd, path, err);
	return r < 0 ? r : path_read(fd, path, text, err);
}

static void trim(struct buf *text)
{
	if (text->len && text->data[text->len - 1] == '\n')
		text->len--;
	if (text->len && text->data[text->len - 1] == '\r')
		text->len--;
}

static int read_file(const struct path_env *paths, const char *path, size_t max,
	struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = {.max = max + 2, .kind = BUF_SECRET};
	int r = 0;
	for (int i = 0; i < EMPTY_TRIES && r == 0 && !text.len; i++) {
		if (i && !clock_is_fake())
			poll(NULL, 0, EMPTY_PAUSE * i);
		r = open_and_read(paths, path, &text, err);
	}
	if (r < 0)
		return r;
	trim(&text);
	if (!text.len)
		return err_set(err, ENOKEY, "%s: the file is empty", path);
	if (text.len > max)
		return err_set(err, EFBIG, "%s: larger than the %zu bytes a credential may have",
			path, max);
	struct secret *s = secret_new(text.data, text.len);
	if (!s)
		return err_set(err, ENOMEM, "%s: no secret memory left", path);
	*ret = s;
	return 0;
}

/* What a reader would take for an answer about the secret he asked for, or not understand. */
static int about_credentials(struct sfs_err *err)
{
	switch (err->code) {
	case EACCES:
	case EPERM:
		err->code = EACCES;
		break;
	case ENOMEM:
	case EFBIG:
	case EAGAIN:
	case EBUSY:
	case ETIMEDOUT:
	case EPIPE:
		break;
	default:
		err->code = ENOKEY;
	}
	return -err->code;
}

static int read_kept(const struct envstore *env, const char *name, bool variable, size_t max,
	struct secret **ret, struct sfs_err *err)
{
	char shown[80];
	const char *what = variable ? "environment variable " : "descriptor ";
	struct secret *s = envstore_get(env, name);
	text_escaped(shown, sizeof(shown), variable ? name : name + 3,
		strlen(variable ? name : name + 3));
	if (!s)
		return err_set(err, ENOKEY, "%s%s was not there at mount: set it and mount again",
			what, shown);
	if (secret_len(s) && secret_len(s) <= max) {
		*ret = s;
		return 0;
	}
	bool empty = secret_len(s) == 0;
	secret_unref(s);
	if (empty)
		return err_set(err, ENOKEY, "%s%s was empty at mount", what, shown);
	return err_set(err, EFBIG, "%s%s: larger than the %zu bytes a credential may have", what,
		shown, max);
}

int ref_read(const struct path_env *paths, const struct envstore *env, const char *ref, size_t max,
	struct secret **ret, struct sfs_err *err)
{
	struct sfs_err own = {0};
	const char *path = after(ref, "file:"), *name = after(ref, "env:");
	err = err ? err : &own;
	if (path)
		return read_file(paths, path, max, ret, err) < 0 ? about_credentials(err) : 0;
	if (name || after(ref, "fd:"))
		return read_kept(env, name ? name : ref, name != NULL, max, ret, err);
	return err_set(err, EINVAL, "a secret is given as file:/PATH, env:NAME or fd:NUMBER");
}
