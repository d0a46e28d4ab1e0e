/* SPDX-License-Identifier: Apache-2.0 */
/* See fault_backend.h. Only for tests: linked into build/tests/secretfs-test, never into secretfs.
 */
#include "backends/net_options.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "fault_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HARD_MAX_MS 120000

static int fault_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	const struct opt_value *token = opt_find(opts, "token");
	if (location[0] != '/')
		return err_set(err, EINVAL, "location is no absolute path");
	struct fault *f = mem_calloc(1, sizeof(*f));
	if (!f)
		return err_set(err, ENOMEM, "no memory");
	f->env = env;
	f->token = mem_strdup(token ? token->text : NULL);
	f->dir = open(location, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->calls = f->dir < 0 ? -1
			      : openat(f->dir, "calls", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
					0666);
	if (f->calls < 0) {
		int code = errno;
		if (f->dir >= 0)
			close(f->dir);
		mem_free(f->token);
		mem_free(f);
		return err_errno(err, code, "open the directory of the faults");
	}
	*ret_state = f;
	return 0;
}

static void fault_close(void *state)
{
	struct fault *f = state;
	close(f->calls);
	close(f->dir);
	mem_free(f->token);
	mem_free(f);
}

static void record(struct fault *f, const char *what, const char *name, const char *version)
{
	struct buf line = BUF_INIT(65536);
	buf_str(&line, what);
	if (name) {
		buf_char(&line, ' ');
		text_escape(&line, name, strlen(name));
	}
	if (version) {
		buf_char(&line, '@');
		text_escape(&line, version, strlen(version));
	}
	buf_char(&line, '\n');
	if (!line.failed && write(f->calls, line.data, line.len) != (ssize_t)line.len)
		abort(); /* a test that counts calls must not go on with a wrong count */
	buf_clear(&line);
}

static bool exists(int dir, const char *path)
{
	return faccessat(dir, path, F_OK, 0) == 0;
}

/* A small file into `out` without its last newline. False if there is none. */
bool fault_small(int dir, const char *path, char out[FAULT_SMALL])
{
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, out, FAULT_SMALL - 1);
	if (n < 0)
		return false;
	out[n] = 0;
	if (n > 0 && out[n - 1] == '\n')
		out[n - 1] = 0;
	return true;
}

long fault_number(int dir, const char *path, long dflt)
{
	char text[FAULT_SMALL];
	return fault_small(dir, path, text) ? strtol(text, NULL, 10) : dflt;
}

static void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&ts, NULL);
}

/* Waits as the files of `dir` say. 0, or the error of a call that nobody waits for any more. */
static int wait_here(int dir, const struct call *call, struct sfs_err *err)
{
	sleep_ms(fault_number(dir, "delay_ms", 0));
	for (int ms = 0; ms < HARD_MAX_MS && exists(dir, "block_hard"); ms += 5)
		sleep_ms(5);
	while (exists(dir, "block")) {
		if (atomic_load(call->cancelled))
			return err_set(err, ECANCELED, "cancelled");
		if (clock_boot() >= call->deadline)
			return err_set(err, ETIMEDOUT, "the provider did not answer in time");
		sleep_ms(2);
	}
	return 0;
}

static int fail_here(int dir, struct sfs_err *err)
{
	char text[FAULT_SMALL];
	long code = fault_number(dir, "errno", 0);
	if (code <= 0)
		return 0;
	if (!fault_small(dir, "message", text))
		snprintf(text, sizeof(text), "the test asked for errno %ld", code);
	return err_set(err, (int)code, "%s", text);
}

/* Opens D/s/ID. */
static int open_id(struct fault *f, const char *id)
{
	char path[300];
	snprintf(path, sizeof(path), "s/%s", id);
	return openat(f->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The directory of a secret by its provider name, or -1. Looks at ID first, then at each `name`
 * file. */
static int find(struct fault *f, const char *name)
{
	char text[FAULT_SMALL];
	if (strlen(name) < 200 && !strchr(name, '/') && name[0] != '.') {
		_cleanup_close_ int fd = open_id(f, name);
		if (fd >= 0 && !exists(fd, "name"))
			return take_fd(fd);
	}
	int copy = openat(f->dir, "s", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	int found = -1;
	for (struct dirent *e; d && found < 0 && (e = readdir(d));) {
		_cleanup_close_ int fd = e->d_name[0] == '.' ? -1 : open_id(f, e->d_name);
		if (fd >= 0 && fault_small(fd, "name", text) && !strcmp(text, name))
			found = take_fd(fd);
	}
	if (d)
		closedir(d);
	return found;
}

/* Whole file as a secret. NULL with errno ENOENT, ENOMEM or EFBIG. */
static struct secret *load(int dir, const char *path)
{
	struct stat st;
	unsigned char *data;
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	struct secret *s = secret_new_uninit((size_t)st.st_size, &data);
	if (!s) {
		errno = ENOMEM;
		return NULL;
	}
	if (read(fd, data, (size_t)st.st_size) != st.st_size) {
		secret_unref(s);
		errno = EAGAIN;
		return NULL;
	}
	return s;
}

static struct secret *filled(size_t size)
{
	unsigned char *data;
	struct secret *s = secret_new_uninit(size, &data);
	if (s)
		memset(data, 'x', size);
	else
		errno = ENOMEM;
	return s;
}

static int add_keys(int dir, struct payload *p, struct sfs_err *err)
{
	int keys = openat(dir, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = keys < 0 ? NULL : fdopendir(keys);
	int r = d ? 0 : err_errno(err, EIO, "read keys");
	for (struct dirent *e; d && !r && (e = readdir(d));) {
		if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.'))
			continue;
		struct secret *s = load(dirfd(d), e->d_name);
		r = s ? payload_add(p, e->d_name, s) : -ENOMEM;
		if (r)
			err_set(err, -r, "add a key");
	}
	if (d)
		closedir(d);
	return r;
}

/* A writer may replace `value` between open and fstat; a missing file means the secret is just
 * being made. */
static int add_value(int dir, const char *version, struct payload *p, struct sfs_err *err)
{
	char path[600];
	snprintf(path, sizeof(path), "%s%s", version ? "versions/" : "value",
		version ? version : "");
	long size = version ? -1 : fault_number(dir, "size", -1);
	struct secret *s = size >= 0 ? filled((size_t)size) : load(dir, path);
	if (!s && errno == ENOENT)
		return err_set(err, ENOENT, "no such %s", version ? "version" : "secret");
	if (!s)
		return err_set(err, ENOMEM, "no memory for the value");
	int r = payload_add(p, NULL, s);
	return r ? err_set(err, -r, "the value is too large") : 0;
}

static int add_facts(int dir, const char *version, struct payload *p)
{
	char text[FAULT_SMALL];
	p->ttl_hint = fault_number(dir, "ttl_hint", -1);
	p->created = fault_number(dir, "created", 0) * NSEC_PER_SEC;
	if (version || fault_small(dir, "version", text)) {
		p->version = mem_strdup(version ? version : text);
		if (!p->version)
			return -ENOMEM;
	}
	if (fault_small(dir, "meta", text)) {
		p->meta = mem_strdup(text);
		if (!p->meta)
			return -ENOMEM;
	}
	return 0;
}

static int get_generated(struct fault *f, const char *name, struct payload *p, struct sfs_err *err)
{
	char *end;
	long i = strncmp(name, "gen-", 4) ? -1 : strtol(name + 4, &end, 10);
	if (i < 0 || *end || strlen(name) != 10 || i >= fault_number(f->dir, "list/generate", 0))
		return err_set(err, ENOENT, "no such secret");
	struct secret *s = secret_new(name, strlen(name));
	int r = s ? payload_add(p, NULL, s) : -ENOMEM;
	return r ? err_set(err, -r, "no memory for the value") : 0;
}

static int fill(int dir, const char *version, struct payload *p, struct sfs_err *err)
{
	int r = add_facts(dir, version, p);
	if (r)
		return err_set(err, -r, "no memory");
	if (!version && exists(dir, "keys"))
		return add_keys(dir, p, err);
	return add_value(dir, version, p, err);
}

static int fault_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct fault *f = state;
	record(f, "get", rq->name, rq->version);
	_cleanup_close_ int dir = find(f, rq->name);
	int r = dir < 0 ? 0 : wait_here(dir, call, err);
	if (!r && dir >= 0)
		r = fail_here(dir, err);
	if (r)
		return r;
	struct payload *p = payload_new();
	if (!p)
		return err_set(err, ENOMEM, "no memory");
	char from[FAULT_SMALL];
	if (dir >= 0 && fault_small(dir, "from", from))
		r = fault_from(f, from, call, p, err);
	else
		r = dir < 0 ? get_generated(f, rq->name, p, err) : fill(dir, rq->version, p, err);
	if (r)
		payload_unref(p);
	else
		*ret = p;
	return r;
}

static int list_raw(struct fault *f, struct list_sink *sink)
{
	_cleanup_close_ int fd = openat(f->dir, "list/raw", O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r = 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	char *text = mem_calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	ssize_t n = read(fd, text, (size_t)st.st_size);
	for (char *s = text; !r && s < text + n; s += strlen(s) + 1) {
		struct list_item item = {.name = s};
		r = list_add(sink, &item);
	}
	mem_free(text);
	return r;
}

static int list_generated(struct fault *f, struct list_sink *sink)
{
	long n = fault_number(f->dir, "list/generate", 0);
	for (long i = 0; i < n; i++) {
		char name[32];
		snprintf(name, sizeof(name), "gen-%06ld", i);
		struct list_item item = {.name = name};
		int r = list_add(sink, &item);
		if (r)
			return r;
	}
	return 0;
}

#define KEYS_MAX 64
static size_t key_names(int dir, char *keys[KEYS_MAX])
{
	int fd = openat(dir, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t n = 0;
	for (struct dirent *e; d && n < KEYS_MAX && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			(keys[n] = mem_strdup(e->d_name)))
			n++;
	if (d)
		closedir(d);
	return n;
}

static int list_one(int dir, const char *id, struct list_sink *sink)
{
	char name[FAULT_SMALL], version[FAULT_SMALL], meta[FAULT_SMALL];
	char *keys[KEYS_MAX];
	struct list_item item = {.name = fault_small(dir, "name", name) ? name : id};
	if (exists(dir, "unlisted"))
		return 0;
	item.created = fault_number(dir, "created", 0) * NSEC_PER_SEC;
	item.version = fault_small(dir, "version", version) ? version : NULL;
	item.meta = fault_small(dir, "meta", meta) ? meta : NULL;
	item.keys_unknown = exists(dir, "keys_unknown");
	if (!item.keys_unknown)
		item.nkeys = key_names(dir, keys);
	item.keys = item.nkeys ? (const char *const *)keys : NULL;
	int r = list_add(sink, &item);
	for (size_t i = 0; i < item.nkeys; i++)
		mem_free(keys[i]);
	return r;
}

static int list_files(struct fault *f, struct list_sink *sink)
{
	int fd = openat(f->dir, "s", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;
	for (struct dirent *e; d && !r && (e = readdir(d));) {
		_cleanup_close_ int dir = e->d_name[0] == '.' ? -1 : open_id(f, e->d_name);
		if (dir >= 0)
			r = list_one(dir, e->d_name, sink);
	}
	if (d)
		closedir(d);
	return r;
}

static int fault_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err)
{
	struct fault *f = state;
	(void)filter;
	record(f, "list", NULL, NULL);
	_cleanup_close_ int dir = openat(f->dir, "list", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? 0 : wait_here(dir, call, err);
	if (!r && dir >= 0)
		r = fail_here(dir, err);
	if (r)
		return r;
	r = list_files(f, sink);
	if (!r)
		r = list_generated(f, sink);
	if (!r)
		r = list_raw(f, sink);
	return r ? err_set(err, -r, "the listing was stopped") : 0;
}

static int fault_versions(void *state, const struct call *call, const char *name,
	struct version_sink *sink, struct sfs_err *err)
{
	struct fault *f = state;
	char text[FAULT_SMALL];
	int r = 0;
	(void)call;
	record(f, "versions", name, NULL);
	_cleanup_close_ int dir = find(f, name);
	if (dir < 0)
		return err_set(err, ENOENT, "no such secret");
	if (fault_small(dir, "version", text))
		r = version_add(sink, text, 0);
	int fd = openat(dir, "versions", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *e; d && !r && (e = readdir(d));)
		if (e->d_name[0] != '.')
			r = version_add(sink, e->d_name, 0);
	if (d)
		closedir(d);
	return r ? err_set(err, -r, "the list of versions was stopped") : 0;
}

static int fault_describe(void *state, const struct call *call, const char *name,
	struct buf *ret_json, struct sfs_err *err)
{
	struct fault *f = state;
	char text[FAULT_SMALL];
	record(f, "describe", name, NULL);
	_cleanup_close_ int dir = find(f, name);
	if (dir < 0)
		return err_set(err, ENOENT, "no such secret");
	(void)call;
	int r = fail_here(dir, err);
	if (r)
		return r;
	r = buf_str(ret_json, fault_small(dir, "meta", text) ? text : "{}");
	return r ? err_set(err, -r, "no memory") : 0;
}

static const struct opt_row fault_rows[] = {NET_OPTIONS,
	{.name = "token", .type = OPT_SECRET, .arg = "REF", .help = "What `from` ref reads."}, {0}};

const struct backend_ops fault_backend = {
	.name = "fault",
	.summary = "does what a directory of files says (tests only)",
	.location = "DIR",
	.flags = BACKEND_HIDDEN,
	.open = fault_open,
	.list = fault_list,
	.get = fault_get,
	.close = fault_close,
	.versions = fault_versions,
	.describe = fault_describe,
	.options = fault_rows,
	.needs = fault_needs,
	.status = fault_status,
	.counts = fault_counts,
	.check = fault_check,
};
