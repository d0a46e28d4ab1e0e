/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core over back ends that a test controls: what they list, what they hold, how they fail, and
 * when they answer. Each LOCATION "0", "1", ... is one of `fakes`. Nothing here sleeps: a test
 * waits for what it asked for.
 */
#ifndef SFS_TESTS_CORE_FAKES_H
#define SFS_TESTS_CORE_FAKES_H

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
	unsigned lists, gets, batches, waiting;
	const char *last_filter;
	bool problem; /* what it lists is not what it holds */
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
	if (f->problem)
		list_problem(sink, &(struct sfs_err){.code = EBADMSG, .msg = "the fake is torn"});
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

static int fake_get_batch(void *state, const struct call *call, const char *const *names, size_t n,
	struct payload **ret, struct sfs_err *errs, struct sfs_err *err)
{
	struct fake *f = state;
	(void)err;
	pthread_mutex_lock(&f->lock);
	f->batches++;
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < n; i++)
		fake_get(state, call, &(struct get_request){.name = names[i]}, &ret[i], &errs[i]);
	return 0;
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
 * and metadata. "fakeb": takes several names at once. */
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

static const struct backend_ops fakeb_ops = {.name = "fakeb",
	.summary = "fake",
	.location = "N",
	.options = fake_options,
	.open = fake_open,
	.list = fake_list,
	.get = fake_get,
	.get_batch = fake_get_batch,
	.close = fake_close};

static inline void fakes_register(void)
{
	backend_register(&fakeb_ops);
	backend_register(&fake_ops);
	backend_register(&fakew_ops);
	backend_register(&faked_ops);
}

#endif
