/* SPDX-License-Identifier: Apache-2.0 */
/* file:PATH, the embedded default: a dotenv or JSON file, or a directory of files. No account, no
 * network. */
#include "backends/file_impl.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

static const struct opt_row rows[] = {
	{.name = "format",
		.type = OPT_CHOICE,
		.arg = "FORMAT",
		.dflt = "auto",
		.choices = "auto|dotenv|json|mlrun-list",
		.help = "Format of the source file. auto: a directory is a tree of files; a file "
			"is JSON if its "
			"name ends in .json or its first character is '{', else dotenv. "
			"mlrun-list: the "
			"KEY=VALUE lists of MLRun, without comments or quotes."},
	{.name = "expand",
		.type = OPT_FLAG,
		.dflt = "no",
		.help = "With format=mlrun-list: replace $NAME and ${NAME} in values by the "
			"variables that "
			"were taken from the environment at mount; unknown ones stay."},
	{0},
};
static const struct opt_table table = {.owner = "file", .rows = rows};

static enum file_format format_of(const char *word)
{
	static const char *const words[] = {"auto", "dotenv", "json", "mlrun-list"};
	for (size_t i = 1; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i], word) == 0)
			return (enum file_format)i;
	return FILE_AUTO;
}

static void file_close(void *state)
{
	struct file_state *st = state;
	if (!st)
		return;
	doc_unref(st->doc);
	pthread_mutex_destroy(&st->lock);
	mem_free(st->path);
	mem_free(st);
}

static void file_close_p(struct file_state **st)
{
	file_close(*st);
}

/* Whoever may write the source chooses the secrets (R55). */
static void warn_if_writable(const struct file_state *st, int fd)
{
	struct stat sb;
	if (fstat(fd, &sb) == 0 && (sb.st_mode & S_IWOTH) && !(sb.st_mode & S_ISVTX))
		log_warn("file/%s: everybody on this machine may write %s; take that away with "
			 "chmod o-w",
			st->env->instance, st->path);
}

static int open_tree(struct file_state *st, int fd, struct sfs_err *err)
{
	if (st->format != FILE_AUTO)
		return err_set(err, EINVAL,
			"format= tells the format of a file, but %s is a directory", st->path);
	st->tree = true;
	warn_if_writable(st, fd);
	return 0;
}

/* Finds out what the path is, and reads a file at once: a mount of a malformed one must fail. */
static int open_source(struct file_state *st, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	struct file_doc *doc;
	int rc = path_open_dir(st->env->paths, st->path, NULL, &fd, err);
	if (rc == 0)
		return open_tree(st, fd, err);
	rc = path_open_file(st->env->paths, st->path, NULL, &fd, err);
	if (rc)
		return rc;
	warn_if_writable(st, fd);
	rc = file_current(st, &doc, err);
	if (rc)
		return rc;
	doc_unref(doc);
	return 0;
}

static int file_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	_cleanup_(file_close_p) struct file_state *st = NULL;
	if (!*location)
		return err_set(err, EINVAL, "file: needs a path: file:/etc/app/secrets.env");
	if (*location != '/')
		return err_set(
			err, EINVAL, "file: needs an absolute path, one that starts with '/'");
	st = mem_calloc(1, sizeof(*st));
	if (!st)
		return err_set(err, ENOMEM, "no memory for a source");
	pthread_mutex_init(&st->lock, NULL);
	st->env = env;
	st->format = format_of(opt_str(opts, &table, "format"));
	st->expand = opt_flag(opts, &table, "expand");
	st->path = mem_strdup(location);
	if (!st->path)
		return err_set(err, ENOMEM, "no memory for a source");
	for (size_t n = strlen(st->path); n > 1 && st->path[n - 1] == '/'; n--)
		st->path[n - 1] = '\0';
	int rc = open_source(st, err);
	if (rc)
		return rc;
	*ret_state = take(st);
	return 0;
}

static int file_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err)
{
	struct file_state *st = state;
	struct file_doc *doc;
	(void)filter; /* no BACKEND_FILTER: always NULL */
	if (st->tree)
		return tree_list(st, call, sink, err);
	int rc = file_current(st, &doc, err);
	if (rc)
		return rc;
	rc = doc_list(doc, sink, err);
	doc_unref(doc);
	struct sfs_err trouble;
	if (rc == 0 && file_trouble(st, &trouble))
		list_problem(sink, &trouble);
	return rc;
}

static int no_such(const struct file_state *st, struct sfs_err *err)
{
	return err_set(err, ENOENT, "%s has no entry of this name", st->path);
}

static int get_entry(struct file_state *st, const struct file_doc *doc, const char *name,
	struct payload **ret, struct sfs_err *err)
{
	const struct file_entry *e = doc_find(doc, name);
	return e ? doc_payload(doc, e, st->env->env, ret, err) : no_such(st, err);
}

static int file_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct file_state *st = state;
	struct file_doc *doc;
	(void)call; /* a local file answers at once */
	if (rq->version)
		return err_set(err, ENOENT, "a file has no other version than the current one");
	if (st->tree)
		return tree_get(st, rq->name, ret, err);
	int rc = file_current(st, &doc, err);
	if (rc)
		return rc;
	rc = get_entry(st, doc, rq->name, ret, err);
	doc_unref(doc);
	return rc;
}

/* The source is looked at once for all of them. */
static int file_get_batch(void *state, const struct call *call, const char *const *names, size_t n,
	struct payload **ret, struct sfs_err *errs, struct sfs_err *err)
{
	struct file_state *st = state;
	struct file_doc *doc = NULL;
	(void)call;
	int rc = st->tree ? 0 : file_current(st, &doc, err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (st->tree)
			tree_get(st, names[i], &ret[i], &errs[i]);
		else
			get_entry(st, doc, names[i], &ret[i], &errs[i]);
	}
	doc_unref(doc);
	return rc;
}

static int add_member(struct buf *out, const char *key, const char *value)
{
	int rc = buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", key);
	return rc ? rc : text_json(out, value, strlen(value));
}

static int describe_entry(
	struct file_state *st, const char *name, struct buf *out, struct sfs_err *err)
{
	static const char *const formats[] = {[FILE_AUTO] = "auto",
		[FILE_DOTENV] = "dotenv",
		[FILE_JSON] = "json",
		[FILE_MLRUN] = "mlrun-list"};
	struct file_doc *doc;
	int rc = file_current(st, &doc, err);
	if (rc)
		return rc;
	const struct file_entry *e = doc_find(doc, name);
	rc = e ? 0 : no_such(st, err);
	if (!rc)
		rc = add_member(out, "file", st->path);
	if (!rc)
		rc = add_member(out, "format", formats[doc->format]);
	if (!rc)
		rc = buf_printf(out, ",\"line\":%zu", doc_line(doc, e));
	doc_unref(doc);
	if (rc)
		return rc;
	struct sfs_err trouble;
	return file_trouble(st, &trouble) ? add_member(out, "problem", trouble.msg) : 0;
}

static int describe_file(
	struct file_state *st, const char *name, struct buf *out, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *path = NULL;
	int rc = tree_open(st, name, &path, &fd, err);
	return rc ? rc : add_member(out, "file", path);
}

/* Where the secret stands, and what is wrong with that place. */
static int file_describe(void *state, const struct call *call, const char *name,
	struct buf *ret_json, struct sfs_err *err)
{
	struct file_state *st = state;
	_cleanup_(buf_clear) struct buf out = BUF_INIT(SFS_META_MAX);
	(void)call;
	int rc = buf_char(&out, '{');
	if (!rc)
		rc = st->tree ? describe_file(st, name, &out, err)
			      : describe_entry(st, name, &out, err);
	if (rc && !out.failed)
		return rc;
	buf_char(&out, '}');
	rc = out.failed ? -out.failed : buf_add(ret_json, out.data, out.len);
	return rc ? err_set(err, -rc, "no room to describe the secret") : 0;
}

const struct backend_ops file_backend = {
	.name = "file",
	.summary = "a dotenv or JSON file, or a directory of files; followed by inotify",
	.location = "PATH",
	.options = rows,
	.flags = BACKEND_LOCAL | BACKEND_LIST_COMPLETE | BACKEND_LOCATION_PATH,
	.open = file_open,
	.list = file_list,
	.get = file_get,
	.close = file_close,
	.get_batch = file_get_batch,
	.describe = file_describe,
	.watch = file_watch,
};
