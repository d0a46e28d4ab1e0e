/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of back ends: the core's side of backend.h, kept as simple as it can be. Include once
 * in a program. */
#ifndef SFS_TESTS_BACKEND_KIT_H
#define SFS_TESTS_BACKEND_KIT_H

#include "backends/backend.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- sinks --- */

struct list_sink {
	char **lines; /* "name", "name{key,key}", "name{?}"; in the order they came */
	size_t n;
	int stop_after;	 /* then -ECANCELED; 0 = never */
	int64_t created; /* of the last line */
	int64_t expires; /* of the last line */
	char *meta;	 /* of the last line, or NULL */
	struct sfs_err problem;
};

void list_problem(struct list_sink *sink, const struct sfs_err *why)
{
	sink->problem = *why;
}

int list_add(struct list_sink *sink, const struct list_item *item)
{
	struct buf b = BUF_INIT(1000000);
	buf_str(&b, item->name);
	if (item->keys || item->keys_unknown)
		buf_char(&b, '{');
	for (size_t i = 0; i < item->nkeys; i++) {
		buf_str(&b, i ? "," : "");
		buf_str(&b, item->keys[i]);
	}
	if (item->keys || item->keys_unknown)
		buf_str(&b, item->keys_unknown ? "?}" : "}");
	sink->lines = realloc(sink->lines, (sink->n + 1) * sizeof(char *));
	sink->lines[sink->n++] = strdup(buf_text(&b));
	sink->created = item->created;
	sink->expires = item->expires;
	free(sink->meta);
	sink->meta = item->meta ? strdup(item->meta) : NULL;
	buf_clear(&b);
	return sink->stop_after && (int)sink->n >= sink->stop_after ? -ECANCELED : 0;
}

struct version_sink {
	char *versions[64];
	int64_t created[64];
	size_t n;
	int stop_after; /* then -ECANCELED; 0 = never */
};
int version_add(struct version_sink *sink, const char *version, int64_t created)
{
	cr_assert_lt(sink->n, 64);
	sink->created[sink->n] = created;
	sink->versions[sink->n++] = strdup(version);
	return sink->stop_after && (int)sink->n >= sink->stop_after ? -ECANCELED : 0;
}

static inline void versions_clear(struct version_sink *sink)
{
	for (size_t i = 0; i < sink->n; i++)
		free(sink->versions[i]);
	*sink = (struct version_sink){.n = 0};
}

static inline void sink_clear(struct list_sink *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->lines[i]);
	free(s->lines);
	free(s->meta);
	*s = (struct list_sink){0};
}

static inline int sink_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Counts and remembers; waits without sleeping. */
struct watch_sink {
	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned all, named;
	char last[4096]; /* latest name */
};
#define WATCH_SINK_INIT                                                             \
	{                                                                           \
		.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER \
	}

void watch_changed(struct watch_sink *sink, const char *name)
{
	pthread_mutex_lock(&sink->lock);
	if (name) {
		sink->named++;
		snprintf(sink->last, sizeof(sink->last), "%s", name);
	} else {
		sink->all++;
	}
	pthread_cond_broadcast(&sink->news);
	pthread_mutex_unlock(&sink->lock);
}

/* What `check` said: "result what: sentence" lines, result 0 to 2. */
struct check_sink {
	char text[8192];
};
void check_step(
	struct check_sink *sink, enum check_result result, const char *what, const char *fmt, ...)
{
	size_t at = strlen(sink->text);
	va_list ap;
	at += (size_t)snprintf(
		sink->text + at, sizeof(sink->text) - at, "%d %s: ", (int)result, what);
	va_start(ap, fmt);
	if (at < sizeof(sink->text))
		at += (size_t)vsnprintf(sink->text + at, sizeof(sink->text) - at, fmt, ap);
	va_end(ap);
	if (at + 1 < sizeof(sink->text))
		strcpy(sink->text + at, "\n");
}

/* What `needs` told, a line each: "env X", "file /x", "dir /x", "command x", "note x". */
struct needs {
	const char *const *environment; /* NAME, value, ..., NULL */
	const char *home;
	char text[8192];
};
const char *needs_getenv(const struct needs *n, const char *name)
{
	for (const char *const *e = n->environment; e && *e; e += 2)
		if (!strcmp(*e, name))
			return e[1];
	return NULL;
}
const char *needs_home(const struct needs *n)
{
	return n->home;
}
static struct path_env kit_paths = {.covered_fd = -1};
const struct path_env *needs_paths(const struct needs *n)
{
	(void)n;
	return &kit_paths;
}
static inline int kit_needs(struct needs *n, const char *word, const char *text)
{
	size_t at = strlen(n->text);
	snprintf(n->text + at, sizeof(n->text) - at, "%s %s\n", word, text);
	return 0;
}
int needs_env(struct needs *n, const char *pattern)
{
	return kit_needs(n, "env", pattern);
}
int needs_file(struct needs *n, const char *path)
{
	return kit_needs(n, "file", path);
}
int needs_dir(struct needs *n, const char *path)
{
	return kit_needs(n, "dir", path);
}
int needs_command(struct needs *n, const char *line)
{
	return kit_needs(n, "command", line);
}
int needs_note(struct needs *n, const char *fmt, ...)
{
	char text[SFS_ERR_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return kit_needs(n, "note", text);
}

/* --- a source --- */

static inline const struct envstore *kit_env(void)
{
	static char a[] = "KIT_A=alpha", b[] = "KIT_B=", c[] = "OTHER=gamma-canary",
		    home[] = "HOME=/kit";
	static char *const environment[] = {a, b, c, home, NULL};
	static const char *const all[] = {"*"};
	static struct envstore *store;
	if (!store)
		cr_assert_eq(envstore_take(environment, all, 1, &store, NULL), 0);
	return store;
}

static struct backend_env kit_backend_env = {.instance = "kit", .paths = &kit_paths};

static inline const struct backend_env *kit_backend(void)
{
	kit_backend_env.env = kit_env();
	return &kit_backend_env;
}

static inline struct call kit_call(void)
{
	static const atomic_bool no;
	return (struct call){.deadline = CLOCK_NEVER, .cancelled = &no};
}

/* Opens with an option string such as "format=json", or NULL. */
static inline int kit_open(const struct backend_ops *ops, const char *location, const char *options,
	void **ret, struct sfs_err *err)
{
	struct opt_values vals = {0};
	struct opt_table table = {.owner = ops->name, .rows = ops->options};
	const struct opt_table *tables[] = {&table};
	int rc = options ? opt_parse(&vals, tables, 1, options, "-o", err) : 0;
	if (!rc)
		rc = ops->open(kit_backend(), location, &vals, ret, err);
	opt_clear(&vals);
	return rc;
}

static inline size_t kit_blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

/* Lines of the listing, sorted, each followed by a blank. */
/* A listing says that something is wrong, with these words, or (NULL) that nothing is. */
static inline void kit_problem_is(const struct backend_ops *ops, void *state, const char *words)
{
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	struct call call = kit_call();
	cr_expect_eq(ops->list(state, &call, NULL, &sink, &err), 0, "%s", err.msg);
	cr_expect_eq(!sink.problem.code, !words, "%s", sink.problem.msg);
	cr_expect(!words || strstr(sink.problem.msg, words), "%s", sink.problem.msg);
	sink_clear(&sink);
}

static inline void kit_list_is(const struct backend_ops *ops, void *state, const char *expected)
{
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	struct call call = kit_call();
	struct buf b = BUF_INIT(1000000);
	int rc = ops->list(state, &call, NULL, &sink, &err);
	cr_expect_eq(rc, 0, "list: %s", err.msg);
	if (sink.n)
		qsort(sink.lines, sink.n, sizeof(char *), sink_compare);
	for (size_t i = 0; i < sink.n; i++) {
		buf_str(&b, sink.lines[i]);
		buf_char(&b, ' ');
	}
	cr_expect_str_eq(buf_text(&b), expected);
	buf_clear(&b);
	sink_clear(&sink);
}

static inline int kit_get(const struct backend_ops *ops, void *state, const char *name,
	struct payload **ret, struct sfs_err *err)
{
	struct call call = kit_call();
	struct get_request rq = {.name = name};
	return ops->get(state, &call, &rq, ret, err);
}

/* `key` NULL for a single value. */
static inline void kit_part_is_n(const struct backend_ops *ops, void *state, const char *name,
	const char *key, const char *expected, size_t len)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};
	int rc = kit_get(ops, state, name, &p, &err);
	cr_assert_eq(rc, 0, "%s: %s", name, err.msg);
	struct secret *s = payload_part(p, key);
	cr_assert_not_null(s, "%s has no %s", name, key ? key : "value");
	cr_expect_eq(secret_len(s), len, "%s: %zu bytes instead of %zu", name, secret_len(s), len);
	cr_expect(secret_len(s) == len && memcmp(secret_bytes(s), expected, len) == 0,
		"%s: other bytes", name);
	payload_unref(p);
}

static inline void kit_is(
	const struct backend_ops *ops, void *state, const char *name, const char *expected)
{
	kit_part_is_n(ops, state, name, NULL, expected, strlen(expected));
}

static inline void kit_fails(const struct backend_ops *ops, void *state, const char *name, int code)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};
	cr_expect_eq(kit_get(ops, state, name, &p, &err), -code, "%s: %s", name, err.msg);
	cr_expect_null(p, "untouched on failure");
	cr_expect(err.code == code && err.msg[0], "a sentence");
}

/* --- files --- */

/* A fresh directory below TMPDIR; the caller's test process removes it with kit_rm(). */
static inline char *kit_dir(void)
{
	static char path[64];
	snprintf(path, sizeof(path), "/tmp/sfs-test-XXXXXX");
	cr_assert_not_null(mkdtemp(path));
	cr_assert_eq(chmod(path, 0755), 0);
	return path;
}

static inline void kit_rm(const char *dir)
{
	char cmd[256];
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	cr_assert_eq(system(cmd), 0);
}

static inline const char *kit_path(const char *dir, const char *name)
{
	static char ring[8][512];
	static unsigned next;
	char *p = ring[next++ % 8];
	snprintf(p, sizeof(ring[0]), "%s/%s", dir, name);
	return p;
}

/* Writes in place. */
static inline void kit_write_n(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static inline void kit_write(const char *path, const char *text)
{
	kit_write_n(path, text, strlen(text));
}

/* Replaces atomically. */
static inline void kit_replace(const char *path, const char *text)
{
	char tmp[600];
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	kit_write(tmp, text);
	cr_assert_eq(rename(tmp, path), 0);
}

/* --- a watch --- */

struct kit_watch {
	const struct backend_ops *ops;
	void *state;
	struct watch_sink sink;
	int stop_fd;
	pthread_t thread;
	int rc;
	struct sfs_err err;
};

static inline void *kit_watch_run(void *arg)
{
	struct kit_watch *w = arg;
	w->rc = w->ops->watch(w->state, w->stop_fd, &w->sink, &w->err);
	return NULL;
}

/* Waits until the sink has counted so many; a wait of 20 s means that the report never came. */
static inline void kit_await(struct kit_watch *w, const unsigned *counter, unsigned count)
{
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 20;
	pthread_mutex_lock(&w->sink.lock);
	int rc = 0;
	while (*counter < count && rc == 0)
		rc = pthread_cond_timedwait(&w->sink.news, &w->sink.lock, &end);
	pthread_mutex_unlock(&w->sink.lock);
	cr_assert_eq(rc, 0, "no report of a change: %s", w->err.msg);
}

static inline unsigned kit_seen(struct kit_watch *w, const unsigned *counter)
{
	pthread_mutex_lock(&w->sink.lock);
	unsigned n = *counter;
	pthread_mutex_unlock(&w->sink.lock);
	return n;
}

/* Starts it and waits for the report that it is set up. */
static inline void kit_watch_start(struct kit_watch *w, const struct backend_ops *ops, void *state)
{
	*w = (struct kit_watch){.ops = ops,
		.state = state,
		.sink = WATCH_SINK_INIT,
		.stop_fd = eventfd(0, EFD_CLOEXEC)};
	cr_assert_eq(pthread_create(&w->thread, NULL, kit_watch_run, w), 0);
	kit_await(w, &w->sink.all, 1);
}

static inline void kit_watch_stop(struct kit_watch *w)
{
	cr_assert_eq(eventfd_write(w->stop_fd, 1), 0);
	cr_assert_eq(pthread_join(w->thread, NULL), 0);
	close(w->stop_fd);
	cr_expect_eq(w->rc, 0, "%s", w->err.msg);
}

#endif
