/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core over back ends that a test controls: what they list, what they hold, how they fail, and
 * when they answer. Each LOCATION "0", "1", ... is one of `fakes`. Nothing here sleeps: a test
 * waits for what it asked for.
 */
#ifndef SFS_TESTS_CORE_FIXTURE_H
#define SFS_TESTS_CORE_FIXTURE_H

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "core/config_priv.h"
#include "core/core_priv.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKES	 4
#define FAKE_MAX 64

struct fake_secret {
	char *name, *value;
	const char *keys[8]; /* "key=value"; NULL-terminated; NULL = one value */
	bool unlisted, keys_unknown;
	int64_t created;
	const char *version;
};

struct fake {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct fake_secret s[FAKE_MAX];
	size_t n;
	size_t many; /* that many more names "team%zu/service%zu-password" */
	int list_err, get_err;
	bool hold_list, hold_get; /* calls wait until false */
	unsigned lists, gets, waiting;
	const char *last_filter;
	struct watch_sink *sink;
};

#define FAKE_INIT                                                                   \
	{                                                                           \
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER \
	}
static struct fake fakes[FAKES] = {FAKE_INIT, FAKE_INIT, FAKE_INIT, FAKE_INIT};

static inline struct fake_secret *fake_find(struct fake *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->s[i].name, name))
			return &f->s[i];
	return NULL;
}

static inline struct fake_secret *fake_set(size_t i, const char *name, const char *value)
{
	struct fake *f = &fakes[i];
	pthread_mutex_lock(&f->lock);
	struct fake_secret *s = fake_find(f, name);
	if (!s) {
		s = &f->s[f->n++];
		*s = (struct fake_secret){.name = strdup(name)};
	}
	free(s->value);
	s->value = value ? strdup(value) : NULL;
	pthread_mutex_unlock(&f->lock);
	return s;
}

static inline void fake_drop(size_t i, const char *name)
{
	struct fake *f = &fakes[i];
	pthread_mutex_lock(&f->lock);
	struct fake_secret *s = fake_find(f, name);
	cr_assert(s, "%s", name);
	free(s->name);
	free(s->value);
	*s = f->s[--f->n];
	pthread_mutex_unlock(&f->lock);
}

static inline void fake_clear(struct fake *f)
{
	while (f->n) {
		free(f->s[--f->n].name);
		free(f->s[f->n].value);
	}
}

/* Keys as "key=value". */
static inline struct fake_secret *fake_keys(
	size_t i, const char *name, const char *a, const char *b)
{
	struct fake_secret *s = fake_set(i, name, NULL);
	pthread_mutex_lock(&fakes[i].lock);
	s->keys[0] = a;
	s->keys[1] = b;
	s->keys[2] = NULL;
	pthread_mutex_unlock(&fakes[i].lock);
	return s;
}

static inline void fake_release(size_t i)
{
	pthread_mutex_lock(&fakes[i].lock);
	fakes[i].hold_list = fakes[i].hold_get = false;
	pthread_cond_broadcast(&fakes[i].cond);
	pthread_mutex_unlock(&fakes[i].lock);
}

/* Until `n` calls are held up. */
static inline void fake_wait_held(size_t i, unsigned n)
{
	pthread_mutex_lock(&fakes[i].lock);
	while (fakes[i].waiting < n)
		pthread_cond_wait(&fakes[i].cond, &fakes[i].lock);
	pthread_mutex_unlock(&fakes[i].lock);
}

static inline void fake_gate(struct fake *f, const bool *hold, const struct call *call)
{
	f->waiting++;
	pthread_cond_broadcast(&f->cond);
	while (*hold && !atomic_load(call->cancelled)) {
		struct timespec ts;
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 10000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_sec++;
			ts.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&f->cond, &f->lock, &ts); /* looks at `cancelled` as well */
	}
	f->waiting--;
}

static int fake_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	(void)env;
	(void)opts;
	unsigned long i = strtoul(location, NULL, 10);
	if (i >= FAKES)
		return err_set(err, EINVAL, "there is no such fake");
	*ret_state = &fakes[i];
	return 0;
}

static inline int fake_list_one(const struct fake_secret *s, struct list_sink *sink)
{
	const char *keys[8];
	char text[8][64];
	struct list_item item = {.name = s->name, .created = s->created, .version = s->version};
	for (; s->keys[item.nkeys] && !s->keys_unknown; item.nkeys++) {
		snprintf(text[item.nkeys], sizeof(text[0]), "%.*s",
			(int)strcspn(s->keys[item.nkeys], "="), s->keys[item.nkeys]);
		keys[item.nkeys] = text[item.nkeys];
	}
	item.keys = item.nkeys ? keys : NULL;
	item.keys_unknown = s->keys_unknown;
	return list_add(sink, &item);
}

static int fake_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err)
{
	struct fake *f = state;
	int r = 0;
	pthread_mutex_lock(&f->lock);
	f->lists++;
	f->last_filter = filter ? "filter" : NULL;
	fake_gate(f, &f->hold_list, call);
	if (f->list_err)
		r = err_set(err, f->list_err, "the fake may not list");
	for (size_t i = 0; i < f->n && r == 0; i++)
		if (!f->s[i].unlisted && (!filter || strstr(f->s[i].name, filter)))
			r = fake_list_one(&f->s[i], sink);
	for (size_t i = 0; i < f->many && r == 0; i++) {
		char name[64];
		snprintf(name, sizeof(name), "team%zu/service%zu-password", i % 100, i);
		r = list_add(sink, &(struct list_item){.name = name});
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

static inline struct payload *fake_payload(const struct fake_secret *s)
{
	struct payload *p = payload_new();
	for (size_t k = 0; s->keys[k]; k++) {
		char key[64];
		size_t len = strcspn(s->keys[k], "=");
		snprintf(key, sizeof(key), "%.*s", (int)len, s->keys[k]);
		const char *v = s->keys[k] + len + 1;
		payload_add(p, key, secret_new(v, strlen(v)));
	}
	if (!s->keys[0])
		payload_add(p, NULL, secret_new(s->value, strlen(s->value)));
	p->created = s->created;
	return p;
}

static int fake_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct fake *f = state;
	int r = 0;
	pthread_mutex_lock(&f->lock);
	f->gets++;
	fake_gate(f, &f->hold_get, call);
	struct fake_secret *s = fake_find(f, rq->name);
	if (f->get_err)
		r = err_set(err, f->get_err, "the fake fails");
	else if (!s)
		r = err_set(err, ENOENT, "the fake has no such secret");
	else
		*ret = fake_payload(s);
	if (r == 0 && rq->version)
		(*ret)->version = mem_strdup(rq->version);
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void fake_close(void *state)
{
	(void)state;
}

static int fake_describe(void *state, const struct call *call, const char *name, struct buf *out,
	struct sfs_err *err)
{
	(void)state;
	(void)call;
	(void)err;
	return buf_printf(out, "{\"described\":%zu}", strlen(name));
}

static int fake_versions(void *state, const struct call *call, const char *name,
	struct version_sink *sink, struct sfs_err *err)
{
	(void)state;
	(void)call;
	(void)name;
	(void)err;
	int r = version_add(sink, "v2", 0);
	return r ? r : version_add(sink, "v1", 0);
}

static int fake_watch(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err)
{
	struct fake *f = state;
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};
	(void)err;
	watch_changed(sink, NULL);
	pthread_mutex_lock(&f->lock);
	f->sink = sink;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	poll(&p, 1, -1);
	pthread_mutex_lock(&f->lock);
	f->sink = NULL;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static const struct opt_row fake_options[] = {
	{"token", OPT_SECRET, "REF", NULL, NULL, "A reference."},
	{"cafile", OPT_PATH, "FILE", NULL, NULL, "A path."}, {0}};

/* "fake": on a network. "fakew": watched, its listing is always complete. "faked": tells versions
 * and metadata. */
static const struct backend_ops fake_ops = {.name = "fake",
	.summary = "fake",
	.location = "N",
	.options = fake_options,
	.open = fake_open,
	.list = fake_list,
	.get = fake_get,
	.close = fake_close};
static const struct backend_ops fakew_ops = {.name = "fakew",
	.summary = "fake",
	.location = "N",
	.flags = BACKEND_LOCAL | BACKEND_LIST_COMPLETE,
	.open = fake_open,
	.list = fake_list,
	.get = fake_get,
	.close = fake_close,
	.watch = fake_watch};
static const struct backend_ops faked_ops = {.name = "faked",
	.summary = "fake",
	.location = "N",
	.flags = BACKEND_FILTER,
	.open = fake_open,
	.list = fake_list,
	.get = fake_get,
	.close = fake_close,
	.describe = fake_describe,
	.versions = fake_versions};

static inline void fakes_register(void)
{
	backend_register(&fake_ops);
	backend_register(&fakew_ops);
	backend_register(&faked_ops);
}

/* --- the core --- */

struct fixture_event {
	char path[256];
	enum core_change what;
};

static pthread_mutex_t fx_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fx_cond = PTHREAD_COND_INITIALIZER;
static struct fixture_event fx_events[1024];
static size_t fx_nevents;

static void fx_changed(void *arg, struct dent *d, enum core_change what)
{
	(void)arg;
	pthread_mutex_lock(&fx_lock);
	if (fx_nevents < 1024) {
		snprintf(fx_events[fx_nevents].path, 256, "%s", dent_path(d));
		fx_events[fx_nevents++].what = what;
	}
	pthread_cond_broadcast(&fx_cond);
	pthread_mutex_unlock(&fx_lock);
}

/* How often the event was seen. */
static inline size_t fx_count(const char *path, enum core_change what)
{
	size_t n = 0;
	pthread_mutex_lock(&fx_lock);
	for (size_t i = 0; i < fx_nevents; i++)
		n += fx_events[i].what == what && (!path || !strcmp(fx_events[i].path, path));
	pthread_mutex_unlock(&fx_lock);
	return n;
}

static inline void fx_await(const char *path, enum core_change what)
{
	for (;;) {
		pthread_mutex_lock(&fx_lock);
		size_t seen = fx_nevents;
		pthread_mutex_unlock(&fx_lock);
		if (fx_count(path, what))
			return;
		pthread_mutex_lock(&fx_lock);
		while (fx_nevents == seen)
			pthread_cond_wait(&fx_cond, &fx_lock);
		pthread_mutex_unlock(&fx_lock);
	}
}

static inline void fx_forget(void)
{
	pthread_mutex_lock(&fx_lock);
	fx_nevents = 0;
	pthread_mutex_unlock(&fx_lock);
}

static inline struct config *fx_config(const char *text)
{
	struct sfs_err err = {0};
	struct config *c = mem_calloc(1, sizeof(*c));
	int r = config_parse(text, strlen(text), "test.conf", c, &err);
	cr_assert_eq(r, 0, "%s", err.msg);
	c->source = mem_strdup("test.conf");
	config_set_owner(c, 1000, 1000);
	return c;
}

static const struct path_env fx_paths = {.covered_fd = -1};

static inline struct core *fx_open_unlisted(const char *text)
{
	static bool registered;
	struct sfs_err err = {0};
	struct envstore *env = NULL;
	struct core *core = NULL;
	const struct core_events ev = {.changed = fx_changed};
	if (!registered)
		fakes_register();
	registered = true;
	cr_assert_eq(envstore_parse("", 0, &env, &err), 0);
	int r = core_open(fx_config(text), &fx_paths, env, &ev, &core, &err);
	cr_assert_eq(r, 0, "%s", err.msg);
	return core;
}

static inline struct core *fx_open(const char *text)
{
	struct core *core = fx_open_unlisted(text);
	core_wait_listed(core, true, CLOCK_NEVER, NULL);
	return core;
}

static inline void fx_close(struct core *core)
{
	for (size_t i = 0; i < FAKES; i++)
		fake_release(i);
	struct envstore *env = (struct envstore *)core->env;
	core_shutdown(core);
	core_free(core);
	envstore_free(env);
	for (size_t i = 0; i < FAKES; i++)
		fake_clear(&fakes[i]);
}

/* Lists source `i` again and waits for the end of it. */
static inline void fx_relist(struct core *core, size_t i)
{
	struct core_inst *ci = core->insts[i];
	pthread_mutex_lock(&core->lock);
	while (ci->running)
		pthread_cond_wait(&core->listed, &core->lock);
	pthread_mutex_unlock(&core->lock);
	core_list_start(ci);
	pthread_mutex_lock(&core->lock);
	while (ci->running)
		pthread_cond_wait(&core->listed, &core->lock);
	pthread_mutex_unlock(&core->lock);
}

/* --- blocking calls --- */

struct fx_wait {
	union {
		struct waiter fetch;
		struct core_waiter list;
		struct control_waiter control;
		struct text_waiter text;
		struct versions_waiter versions;
	} w;
	bool done;
	int code;
	struct sfs_err err;
	struct payload *p;
	char *text;
};

static inline void fx_done(struct fx_wait *x, const struct sfs_err *err)
{
	pthread_mutex_lock(&fx_lock);
	x->done = true;
	x->code = err ? err->code : 0;
	if (err)
		x->err = *err;
	pthread_cond_broadcast(&fx_cond);
	pthread_mutex_unlock(&fx_lock);
}

static inline int fx_join(struct fx_wait *x)
{
	pthread_mutex_lock(&fx_lock);
	while (!x->done)
		pthread_cond_wait(&fx_cond, &fx_lock);
	pthread_mutex_unlock(&fx_lock);
	return -x->code;
}

static inline void fx_fetched(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	struct fx_wait *x = (struct fx_wait *)w;
	x->p = p ? payload_ref(p) : NULL;
	fx_done(x, err);
}

static inline void fx_listed(struct core_waiter *w, const struct sfs_err *err)
{
	fx_done((struct fx_wait *)w, err);
}

static inline void fx_controlled(struct control_waiter *w, const struct sfs_err *err)
{
	fx_done((struct fx_wait *)w, err);
}

static inline void fx_texted(
	struct text_waiter *w, const char *text, size_t len, const struct sfs_err *err)
{
	struct fx_wait *x = (struct fx_wait *)w;
	x->text = text ? mem_strndup(text, len) : NULL;
	fx_done(x, err);
}

static inline void fx_versioned(
	struct versions_waiter *w, const char *const *v, size_t n, const struct sfs_err *err)
{
	struct fx_wait *x = (struct fx_wait *)w;
	struct buf b = BUF_INIT(4096);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s ", v[i]);
	x->text = mem_strdup(buf_text(&b));
	buf_clear(&b);
	fx_done(x, err);
}

static inline int fx_list(struct core *core, struct dent *d)
{
	struct fx_wait x = {.w.list = {.done = fx_listed, .deadline = CLOCK_NEVER}};
	core_list(core, d, &x.w.list);
	return fx_join(&x);
}

/* As a program does: waits where the core says so. */
static inline int fx_walk(struct core *core, const char *path, struct dent **ret)
{
	struct dent *d = core_root(core);
	char *copy = strdup(path), *save = NULL;
	int r = 0;
	for (char *c = strtok_r(copy, "/", &save); c && r == 0; c = strtok_r(NULL, "/", &save)) {
		struct dent *next = NULL;
		while ((r = core_lookup(core, d, c, &next)) == -EAGAIN)
			if ((r = fx_list(core, d)) < 0)
				break;
		dent_unref(core, d);
		d = next;
	}
	free(copy);
	if (r == 0)
		*ret = d;
	return r;
}

static inline int fx_fetch(
	struct core *core, struct dent *d, const char *version, enum fetch_mode mode, char out[256])
{
	struct fx_wait x = {.w.fetch = {.done = fx_fetched, .deadline = CLOCK_NEVER}};
	struct secret *s = NULL;
	struct sfs_err err = {0};
	core_fetch(core, d, version, mode, &x.w.fetch);
	int r = fx_join(&x);
	if (r == 0)
		r = core_select(core, d, x.p, &s, &err);
	if (r == 0)
		snprintf(out, 256, "%.*s", (int)secret_len(s), (const char *)secret_bytes(s));
	secret_unref(s);
	payload_unref(x.p);
	return r;
}

/* The bytes at `path`, or "-ERRNO". A static buffer. */
static inline const char *fx_read(struct core *core, const char *path)
{
	static char out[256];
	struct dent *d = NULL;
	int r = fx_walk(core, path, &d);
	if (r == 0) {
		r = fx_fetch(core, d, NULL, FETCH_CACHED, out);
		dent_unref(core, d);
	}
	if (r < 0)
		snprintf(out, sizeof(out), "-%s", strerrorname_np(-r));
	return out;
}

static inline int fx_control(
	struct core *core, enum control_file f, const char *text, struct sfs_err *err)
{
	struct fx_wait x = {.w.control = {.done = fx_controlled, .deadline = CLOCK_NEVER}};
	core_control_write(core, f, text, strlen(text), &x.w.control);
	int r = fx_join(&x);
	if (err)
		*err = x.err;
	return r;
}

/* --- the tree as text: "a b/ b/c" in order of creation --- */

static inline int fx_dump_one(void *arg, const struct core_dirent *de)
{
	struct buf *b = arg;
	buf_printf(b, "%s%s%s ", dent_path(de->dent), dent_kind(de->dent) == CORE_DIR ? "/" : "",
		dent_is_multikey(de->dent) ? "+" : "");
	if (dent_kind(de->dent) == CORE_DIR)
		tree_each(de->dent, 0, fx_dump_one, b);
	return 0;
}

static inline const char *fx_dump(struct core *core)
{
	static char out[4096];
	struct buf b = BUF_INIT(4095);
	core_lock(core);
	tree_each(core->tree.root, 0, fx_dump_one, &b);
	core_unlock(core);
	snprintf(out, sizeof(out), "%s", buf_text(&b));
	if (b.len)
		out[b.len - 1] = '\0';
	buf_clear(&b);
	return out;
}

#define assert_tree(core, want)	      cr_assert_str_eq(fx_dump(core), want)
#define assert_read(core, path, want) cr_assert_str_eq(fx_read(core, path), want)

#define CONF_ONE "[backend x]\ntype = fake\nlocation = 0\nat = /\n"

#endif
