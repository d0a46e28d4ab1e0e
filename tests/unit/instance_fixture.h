/* SPDX-License-Identifier: Apache-2.0 */
/* An instance over a back end that does what the test says. For test_instance*.c. */
#ifndef SFS_TESTS_INSTANCE_FIXTURE_H
#define SFS_TESTS_INSTANCE_FIXTURE_H

#include "base/alloc.h"
#include "base/clock.h"
#include "core/instance.h"
#include "core/pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static struct fake {
	atomic_uint opens, closes, gets, lists;
	int open_code, list_code, get_code; /* returned as they are */
	char said[64];			    /* sentence with get_code */
	bool no_value, half_value;
	size_t value_len;
	const char *meta, *version;
	struct payload *give;	 /* instead of a fresh one */
	unsigned enomem;	 /* so many gets fail with it */
	void (*in_enomem)(void); /* what happens meanwhile */
	bool stall;		 /* gets wait for `go` */
	const char *brisk;	 /* but not of this name */
	sem_t entered, go;
	atomic_bool saw_cancel;
	unsigned nlist;
	sem_t listing, list_go;
	bool stall_list;
	int64_t expires;    /* of each line of a listing */
	int64_t line_takes; /* ns of the fake clock before each line of a listing */
	const char *describe;
	char filter[64];
	char location[64];
	atomic_uint watches;
	sem_t watching;
	int watch_code;
} fake;

static inline int fake_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	(void)env;
	(void)opts;
	fake.opens++;
	snprintf(fake.location, sizeof(fake.location), "%s", location);
	if (fake.open_code)
		return err_set(err, fake.open_code, "no such file");
	*ret_state = &fake;
	return 0;
}

static inline int fake_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err)
{
	char name[32];

	(void)state;
	fake.lists++;
	if (filter)
		snprintf(fake.filter, sizeof(fake.filter), "%s", filter);
	if (fake.stall_list) {
		sem_post(&fake.listing);
		sem_wait(&fake.list_go);
	}
	for (unsigned i = 0; i < fake.nlist; i++) {
		struct list_item item = {.name = name,
			.meta = "{\"from\":\"list\"}",
			.version = "7",
			.expires = fake.expires};
		int r;

		snprintf(name, sizeof(name), "n%u", i);
		if (fake.line_takes)
			clock_fake_advance(fake.line_takes);
		if (fake.line_takes && clock_boot() >= call->deadline)
			return err_set(err, ETIMEDOUT, "the next page did not come");
		r = list_add(sink, &item);
		if (r < 0)
			return r;
	}
	return fake.list_code ? err_set(err, fake.list_code, "cannot list") : 0;
}

static inline struct payload *make_value(const char *name)
{
	struct payload *p = payload_new();
	unsigned char *data;
	struct secret *s;

	if (fake.value_len) {
		s = secret_new_uninit(fake.value_len, &data);
		cr_assert(s != NULL);
		/* Past payload_add(), which knows the limit too. */
		p->parts = mem_calloc(1, sizeof(p->parts[0]));
		p->parts[0].bytes = s;
		p->nparts = 1;
	} else if (!fake.half_value) {
		cr_assert_eq(payload_add(p, NULL, secret_new(name, strlen(name))), 0);
	} else {
		p->parts = mem_calloc(2, sizeof(p->parts[0]));
		p->nparts = 2;
		p->parts[0].bytes = secret_new("x", 1);
		p->parts[1].bytes = secret_new("y", 1);
	}
	p->meta = mem_strdup(fake.meta);
	p->version = mem_strdup(fake.version);
	return p;
}

static inline int fake_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	(void)state;
	fake.gets++;
	if (fake.stall && (!fake.brisk || strcmp(rq->name, fake.brisk) != 0)) {
		sem_post(&fake.entered);
		sem_wait(&fake.go);
		fake.saw_cancel = atomic_load(call->cancelled);
	}
	if (fake.enomem > 0) {
		fake.enomem--;
		if (fake.in_enomem)
			fake.in_enomem();
		return err_set(err, ENOMEM, "the arena is full");
	}
	if (fake.get_code) {
		if (fake.said[0])
			err_set(err, fake.get_code < 0 ? -fake.get_code : 1, "%s", fake.said);
		return fake.get_code;
	}
	if (!fake.no_value)
		*ret = fake.give ? fake.give : make_value(rq->name);
	return 0;
}

static inline void fake_close(void *state)
{
	(void)state;
	fake.closes++;
}

static inline int fake_describe(void *state, const struct call *call, const char *name,
	struct buf *ret_json, struct sfs_err *err)
{
	(void)state;
	(void)call;
	(void)name;
	(void)err;
	return buf_str(ret_json, fake.describe);
}

static inline int fake_versions(void *state, const struct call *call, const char *name,
	struct version_sink *sink, struct sfs_err *err)
{
	(void)state;
	(void)call;
	(void)name;
	(void)err;
	version_add(sink, "9", 0);
	return version_add(sink, "8", 0);
}

static inline int fake_watch(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err)
{
	struct pollfd fd = {stop_fd, POLLIN, 0};

	(void)state;
	fake.watches++;
	if (fake.watch_code && fake.watches == 1)
		return err_set(err, fake.watch_code, "too many watches");
	watch_changed(sink, NULL);
	watch_changed(sink, "db");
	watch_changed(sink, "");
	sem_post(&fake.watching);
	poll(&fd, 1, -1);
	return 0;
}

static struct backend_ops ops;

/* --- fixture --- */

static struct store *store;
static struct instance *in;
static struct sfs_err err;
static struct {
	atomic_uint listed, failed, changed, all;
	atomic_size_t n;
} news;

static inline void on_listed(
	void *arg, struct instance *i, struct listing *l, const struct sfs_err *e)
{
	(void)arg;
	(void)i;
	cr_assert(!l != !e);
	if (l) {
		news.n = l->n;
		news.listed++;
	} else {
		news.failed++;
	}
}

static inline void on_changed(void *arg, struct instance *i, const char *name)
{
	(void)arg;
	(void)i;
	if (name)
		news.changed++;
	else
		news.all++;
}

static const struct instance_events events = {on_listed, on_changed, NULL};

static struct machine machine;

static inline int try_open(const char *name)
{
	struct backend_conf conf = {
		.name = (char *)name, .ops = &ops, .location = (char *)"here", .at = (char *)""};

	return instance_open(&conf, &machine, store, 10, &events, &in, &err);
}

static inline void set_up(void)
{
	struct store_config conf = {.cache_bytes = 1 << 20, .negative_ttl = 5, .timeout = 10};

	clock_fake(1000 * NSEC_PER_SEC, 1);
	ops = (struct backend_ops){.name = "fake",
		.summary = "",
		.open = fake_open,
		.list = fake_list,
		.get = fake_get,
		.close = fake_close};
	sem_init(&fake.entered, 0, 0);
	sem_init(&fake.go, 0, 0);
	sem_init(&fake.listing, 0, 0);
	sem_init(&fake.list_go, 0, 0);
	sem_init(&fake.watching, 0, 0);
	cr_assert_eq(store_new(&conf, &store), 0);
}

static inline void open_it(void)
{
	cr_assert_eq(try_open("aws/prod"), 0, "%s", err.msg);
}

static inline void tear_down(void)
{
	instance_close(in);
	in = NULL;
	store_free(store);
}

struct reader {
	struct waiter w;
	sem_t done;
	struct payload *p;
	struct sfs_err err;
};

static inline void reader_done(struct waiter *w, struct payload *p, const struct sfs_err *e)
{
	struct reader *r = (struct reader *)w;

	r->p = p ? payload_ref(p) : NULL;
	if (e)
		r->err = *e;
	sem_post(&r->done);
}

static inline void start_read_as(struct payer payer, const char *name, struct reader *r)
{
	struct entry_policy pol = {.ttl = 300, .stale = 0};
	struct entry *e = store_entry(store, instance_source(in), name, NULL, &pol);

	*r = (struct reader){.w = {.done = reader_done, .deadline = CLOCK_NEVER, .payer = payer}};
	sem_init(&r->done, 0, 0);
	store_fetch(store, e, FETCH_REFRESH, &r->w);
	entry_unref(e);
}

static inline void start_read(const char *name, struct reader *r)
{
	start_read_as((struct payer){0}, name, r);
}

/* 0, or the errno; the payload is given back. */
static inline int read_it(const char *name, struct reader *r)
{
	start_read(name, r);
	sem_wait(&r->done);
	payload_unref(r->p);
	return r->err.code;
}

struct asked {
	struct instance_call c;
	sem_t done;
	struct sfs_err err;
};

static inline void asked_done(struct instance_call *c, const struct sfs_err *e)
{
	struct asked *a = (struct asked *)c;

	if (e)
		a->err = *e;
	sem_post(&a->done);
}

static inline void asked_init(struct asked *a)
{
	*a = (struct asked){.c = {.done = asked_done}};
	sem_init(&a->done, 0, 0);
}

static inline int asked_wait(struct asked *a)
{
	sem_wait(&a->done);
	return a->err.code;
}

static inline int list_it(struct asked *a, const char *filter)
{
	asked_init(a);
	cr_assert_eq(instance_list(in, filter, &a->c, &err), 0);
	return asked_wait(a);
}

#endif
