/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the settings and credentials of a provider: a home directory of the test's own,
 * variables, options, HTTP by script. aws_cred_fixture.h and gcp_cred_fixture.h say before which
 * provider it is: FX_NAME, FX_CONF, FX_CRED and FX_LOCATION (of the source), fx_rows, fx_load(),
 * fx_new(), fx_conf_free(), fx_cred_free(), fx_chain(); and FX_BEGIN if there is more to set up.
 */
#ifndef SFS_TESTS_PROVIDER_FIXTURE_H
#define SFS_TESTS_PROVIDER_FIXTURE_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN  (60 * NSEC_PER_SEC)
#define WALL (INT64_C(1700000000) * NSEC_PER_SEC) /* 2023-11-14T22:13:20Z */

static const struct opt_table fx_table = {.owner = FX_NAME, .rows = fx_rows};

static struct {
	char home[64];
	struct path_env paths;
	struct backend_env env;
	struct envstore *vars;
	struct opt_values opts;
	FX_CONF *conf;
	struct http *http;
	FX_CRED *cred;
	struct http_script script;
	struct sfs_err err; /* of the last call */
	size_t blocks;	    /* of secret memory before */
} fx;

/* The core's side of `secretfs check`. */
struct check_sink {
	char text[8192]; /* "ok|skipped|failed what: text" lines */
};

void check_step(
	struct check_sink *sink, enum check_result result, const char *what, const char *fmt, ...)
{
	static const char *const words[] = {"ok", "skipped", "failed"};
	size_t at = strlen(sink->text);
	va_list ap;
	at += (size_t)snprintf(
		sink->text + at, sizeof(sink->text) - at, "%s %s: ", words[result], what);
	va_start(ap, fmt);
	at += (size_t)vsnprintf(sink->text + at, sizeof(sink->text) - at, fmt, ap);
	va_end(ap);
	snprintf(sink->text + at, sizeof(sink->text) - at, "\n");
}

static inline size_t fx_blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

/* `vars` is NULL-terminated "NAME=value"; NULL = none. */
static inline void fx_begin(const char *const *vars)
{
	static const char *const all[] = {"*"};
	static char *none[] = {NULL};
	secret_free(secret_alloc(1));
	fx.blocks = fx_blocks();
	snprintf(fx.home, sizeof(fx.home), "/tmp/sfs-" FX_NAME "-XXXXXX");
	cr_assert_not_null(mkdtemp(fx.home));
	fx.paths = (struct path_env){.covered_fd = -1};
	cr_assert_eq(
		envstore_take(vars ? (char *const *)(uintptr_t)vars : none, all, 1, &fx.vars, NULL),
		0);
	fx.env = (struct backend_env){
		.instance = "test", .paths = &fx.paths, .env = fx.vars, .home = fx.home};
	clock_fake(1000 * NSEC_PER_SEC, WALL);
#ifdef FX_BEGIN
	FX_BEGIN;
#endif
}

/* Other variables: for those that name the home directory. */
static inline void fx_vars(const char *const *vars)
{
	static const char *const all[] = {"*"};
	envstore_free(take(fx.vars));
	cr_assert_eq(envstore_take((char *const *)(uintptr_t)vars, all, 1, &fx.vars, NULL), 0);
	fx.env.env = fx.vars;
}

static inline void fx_path(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", fx.home, name);
}

static inline void fx_mkdirs(const char *path)
{
	char dir[256];
	for (const char *p = path + strlen(fx.home); (p = strchr(p + 1, '/'));) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
		mkdir(dir, 0700);
	}
}

/* A file below the home directory, replaced by rename as tools do. */
static inline void fx_file(const char *name, const char *text)
{
	char path[256], tmp[300];
	fx_path(path, sizeof(path), name);
	fx_mkdirs(path);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	cr_assert_eq(rename(tmp, path), 0);
}

/* The path of one, in an option or a variable; good until the next call. */
static inline const char *fx_say_path(const char *before, const char *name)
{
	static char text[4][320];
	static int n;
	char *out = text[n++ % 4];
	snprintf(out, sizeof(text[0]), "%s%s/%s", before, fx.home, name);
	return out;
}

static inline void fx_options(const char *text)
{
	const struct opt_table *tables[] = {&fx_table};
	opt_clear(&fx.opts);
	if (text)
		cr_assert_eq(
			opt_parse(&fx.opts, tables, 1, text, "-o", &fx.err), 0, "%s", fx.err.msg);
}

static inline int fx_conf(const char *location)
{
	fx_conf_free(take(fx.conf));
	err_clear(&fx.err);
	return fx_load(&fx.env, location, &fx.opts, &fx.conf, &fx.err);
}

/* Settings, engine by script (from which every request must come as written), chain. */
static inline int fx_open(
	const char *options, const struct http_exchange *ex, size_t n, const char *location)
{
	struct http_conf hc = {.name = "test", .paths = &fx.paths};
	fx_options(options);
	cr_assert_eq(fx_conf(location), 0, "%s", fx.err.msg);
	http_script_start(&fx.script, ex, n);
	cr_assert_eq(http_new(&hc, &fx.http, &fx.err), 0, "%s", fx.err.msg);
	return fx_new(&fx.env, fx.conf, &fx.opts, fx.http, &fx.cred, &fx.err);
}
#define FX_OPEN(options, ex)                                                                   \
	cr_assert_eq(fx_open(options, ex, sizeof(ex) / sizeof((ex)[0]), FX_LOCATION), 0, "%s", \
		fx.err.msg)
#define FX_OPEN_QUIET(options) \
	cr_assert_eq(fx_open(options, NULL, 0, FX_LOCATION), 0, "%s", fx.err.msg)

static inline void fx_close(void)
{
	fx_cred_free(take(fx.cred));
	http_free(take(fx.http));
	http_script_end(&fx.script);
	cr_expect_null(fx.script.problem, "%s", fx.script.problem);
	fx_conf_free(take(fx.conf));
	opt_clear(&fx.opts);
}

static inline void fx_end(void)
{
	char cmd[128];
	fx_close();
	envstore_free(take(fx.vars));
	snprintf(cmd, sizeof(cmd), "rm -rf %s", fx.home);
	cr_expect_eq(system(cmd), 0);
	cr_expect_eq(fx_blocks(), fx.blocks, "secret memory is left");
}

static inline struct cred *fx_set(void)
{
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	struct cred *set = NULL;
	err_clear(&fx.err);
	cr_assert_eq(cred_get(fx_chain(fx.cred), &call, &set, &fx.err), 0, "%s", fx.err.msg);
	return set;
}

static inline void fx_text(const struct secret *s, char *out, size_t size)
{
	size_t n = s ? secret_len(s) : 0;
	cr_assert_lt(n, size);
	if (n)
		memcpy(out, secret_bytes(s), n);
	out[n] = '\0';
}

/* The errno, with these words in the sentence, and nothing that looks like a credential. */
static inline void fx_fails(int code, const char *words)
{
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	struct cred *set = NULL;
	err_clear(&fx.err);
	cr_assert_eq(cred_get(fx_chain(fx.cred), &call, &set, &fx.err), -code, "%d %s", fx.err.code,
		fx.err.msg);
	cr_assert_null(set);
	cr_assert(strstr(fx.err.msg, words), "%s", fx.err.msg);
	cr_assert_null(strstr(fx.err.msg, "CANARY"), "%s", fx.err.msg);
}

/* Time passes; failures that are remembered are forgotten after half a minute. */
static inline void fx_pass(int64_t ns)
{
	clock_fake_advance(ns);
}

static inline void fx_say(void *arg, const char *row, const char *result)
{
	char *out = arg;
	size_t at = strlen(out);
	snprintf(out + at, 4096 - at, "[%s: %s]", row, result);
}

static inline void fx_walk_has(const char *words)
{
	char text[4096] = "";
	cred_walk(fx_chain(fx.cred), fx_say, text);
	cr_assert(strstr(text, words), "%s", text);
	cr_assert_null(strstr(text, "CANARY"), "%s", text);
}

#endif
