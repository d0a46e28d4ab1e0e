/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs get: the bytes of one secret on standard output, exactly. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/harden.h"
#include "core/fields.h"
#include "mount/client.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct get_args {
	const char *name, *version, *field;
	bool nocache, json;
};

/* The file to read. A field is taken out of the value here, so that it goes together with every
 * other flag. */
static char *file_of(const struct client *c, const struct get_args *g)
{
	if (g->version)
		return client_path(c, ".versions/%s/%s", g->name, g->version);
	if (g->json)
		return client_path(c, ".json/%s", g->name);
	if (g->nocache)
		return client_path(c, ".nocache/%s", g->name);
	return client_path(c, "%s", g->name);
}

/* A version of one key of a multi-key secret stands below the secret: app/key is
 * .versions/app/VERSION/key. */
static char *key_version_file(const struct client *c, const struct get_args *g)
{
	const char *slash = g->version ? strrchr(g->name, '/') : NULL;
	if (!slash)
		return NULL;
	return client_path(
		c, ".versions/%.*s/%s/%s", (int)(slash - g->name), g->name, g->version, slash + 1);
}

static int open_secret(
	const struct client *c, const struct get_args *g, int *ret_fd, struct sfs_err *err)
{
	_cleanup_free_ char *path = file_of(c, g);
	_cleanup_free_ char *other = key_version_file(c, g);
	struct stat st;
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	const char *tried = path;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int code = errno;
	if (fd < 0 && other && (code == ENOENT || code == ENOTDIR)) {
		fd = open(other, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT && errno != ENOTDIR) {
			code = errno;
			tried = other;
		}
	}
	if (fd < 0)
		return client_error(tried, code, err);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, EISDIR,
			"a directory: get one of the names below it ('secretfs ls %s'), or all "
			"keys of a "
			"secret with several as one object with --json",
			g->name);
	*ret_fd = take_fd(fd);
	return 0;
}

static int write_out(const void *data, size_t len, struct sfs_err *err)
{
	for (const char *p = data; len;) {
		ssize_t n = write(STDOUT_FILENO, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "standard output");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_field(const struct buf *value, const char *field, struct sfs_err *err)
{
	struct secret *whole = secret_new(buf_text(value), value->len), *part = NULL;
	struct fields *f = NULL;
	int r = whole ? fields_parse(whole, &f, err) : err_set(err, ENOMEM, "out of locked memory");
	if (r == 0)
		r = fields_get(f, field, &part, err);
	if (r == 0)
		r = write_out(secret_bytes(part), secret_len(part), err);
	secret_unref(part);
	fields_free(f);
	secret_unref(whole);
	return r;
}

static int get(const struct client *c, const struct get_args *g, struct sfs_err *err)
{
	/* JSON of a secret with many keys may be longer than one value. */
	_cleanup_(buf_clear) struct buf value = BUF_SECRET_INIT(SFS_SOURCE_MAX / 2);
	_cleanup_close_ int fd = -1;
	int r = open_secret(c, g, &fd, err);
	if (r < 0)
		return r;
	r = client_read_fd(fd, &value);
	if (r < 0) {
		_cleanup_free_ char *path = file_of(c, g);
		return path ? client_error(path, -r, err) : err_errno(err, -r, "read");
	}
	return g->field ? write_field(&value, g->field, err)
			: write_out(buf_text(&value), value.len, err);
}

static int run_get(const struct cli_args *a)
{
	_cleanup_(client_close) struct client c = {0};
	struct sfs_err err = {0};
	struct get_args g = {
		.version = cli_value(a, "version"),
		.field = cli_value(a, "field"),
		.nocache = cli_has(a, "nocache"),
		.json = cli_has(a, "json"),
	};
	int r = harden_no_dump(&err);
	if (r == 0)
		r = client_open(a, &c, &err);
	if (r == 0)
		r = c.nargs == 1 ? client_name(&c, c.args[0], &g.name, &err)
				 : err_set(&err, EINVAL, "get: give one name");
	if (r == 0 && (g.version != NULL) + g.nocache + g.json > 1)
		r = err_set(&err, EINVAL, "--version, --nocache and --json exclude each other");
	if (r == 0) {
		r = get(&c, &g, &err);
		if (r < 0)
			err_prefix(&err, "get %s", g.name);
	}
	return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

static const struct cli_flag get_flags[] = {
	CLIENT_FLAG,
	{'V', "version", "VERSION",
		"This version: an id, a number, a stage such as AWSPREVIOUS, or an alias."},
	{'F', "field", "FIELD", "This field of a value that is a JSON object; nested: a/b."},
	{'n', "nocache", NULL, "Fetched anew and stored nowhere."},
	{'j', "json", NULL, "All keys of a secret with several, as one JSON object."},
	{0},
};

const struct cli_command cmd_get = {
	.name = "get",
	.args = "[-m MOUNTPOINT] [-V VERSION | -n | -j] [-F FIELD] NAME",
	.summary = "Write the bytes of a secret to standard output",
	.help = "NAME is the name as it stands under the mount, or its path. Nothing is added to "
		"the bytes and nothing is taken "
		"away. The same without this command: cat MOUNTPOINT/NAME.",
	.flags = get_flags,
	.min = 1,
	.max = 2,
	.run = run_get,
};
