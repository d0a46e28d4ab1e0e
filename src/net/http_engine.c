/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine is a curl_multi handle: one generation of trust files, one pool of connections. When
 * the files change, a new engine takes over and the old one ends with its last transfer, its
 * connections with it (R44).
 *
 * One thread at a time drives the handle. Who comes while nobody does drives it himself until his
 * answer is there, so that a lone request is handed to no other thread and back; what is then still
 * under way is left to the engine's own thread, as are all who come meanwhile.
 *
 * Lock order: wire->lock, then engine->lock; neither is held while libcurl runs or a transfer is
 * waited for.
 */
#include "net/http_engine.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "net/http_memory.h"
#include "net/http_resolve.h"
#include "net/http_transfer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS	 NSEC_PER_SEC	      /* how often trust files are looked at, at most */
#define SLICE_NS (50 * NSEC_PER_MSEC) /* how soon a waiter notices that it is not wanted */
#define IDLE_MS	 60000
#define STACK	 (512UL * 1024) /* TLS handshakes and NSS-free libcurl stay far below */

struct engine {
	struct engine *next; /* among the wire's old ones */
	unsigned users;	     /* threads that may hand something over; under wire->lock */
	CURLM *multi;
	pthread_t thread;
	struct trust *trust;
	struct transfer *running; /* of the thread that drives */

	pthread_mutex_t lock;	   /* guards what follows and the shared part of transfers */
	pthread_cond_t need;	   /* the engine's thread is wanted */
	bool driven;		   /* some thread drives */
	struct transfer *queue;	   /* handed over, newest first */
	unsigned count;		   /* queued and running */
	bool left;		   /* some waiter has left */
	bool worn;		   /* a connection is of no use, though libcurl would use it */
	bool retired, stop, ended; /* retired: ends when empty; stop: at once */
};

struct http_wire {
	char *name;
	const struct path_env *paths;
	char *file[TRUST_FILES];
	struct http_url proxy; /* host "" = none */
	bool insecure;
	struct resolver *resolver;

	pthread_mutex_t lock; /* guards what follows */
	struct engine *engine, *old;
	int64_t looked; /* at the trust files */
};

/* ---- the thread that drives ---- */

static void complete(struct engine *e, struct transfer *t, CURLcode code)
{
	struct transfer **at = &e->running;
	if (t->running) {
		answer_end(t, code);
		curl_multi_remove_handle(e->multi, t->easy);
		while (*at && *at != t)
			at = &(*at)->next;
		if (*at)
			*at = t->next;
		t->running = false;
	}
	pthread_mutex_lock(&e->lock);
	t->done = true;
	e->count--;
	pthread_mutex_unlock(&e->lock);
	pthread_cond_signal(&t->cond); /* our reference keeps it */
	transfer_unref(t);
}

static void give_up(struct engine *e, struct transfer *t)
{
	err_set(&t->err, ECANCELED, "nobody waits for the answer any more");
	complete(e, t, CURLE_ABORTED_BY_CALLBACK);
}

static void begin(struct engine *e, struct transfer *t)
{
	t->reply.sent = clock_wall();
	if (curl_multi_add_handle(e->multi, t->easy) != CURLM_OK) {
		err_set(&t->err, ENOMEM, "out of memory for a request to %s", t->url.host);
		complete(e, t, CURLE_OUT_OF_MEMORY);
		return;
	}
	t->running = true;
	t->next = e->running;
	e->running = t;
}

/* Oldest first. */
static struct transfer *reversed(struct transfer *list)
{
	struct transfer *out = NULL, *next;
	for (; list; list = next) {
		next = list->next;
		list->next = out;
		out = list;
	}
	return out;
}

static void drop_left(struct engine *e, bool all)
{
	struct transfer *next;
	for (struct transfer *t = e->running; t; t = next) {
		next = t->next;
		pthread_mutex_lock(&e->lock);
		bool left = all || t->left;
		pthread_mutex_unlock(&e->lock);
		if (left)
			give_up(e, t);
	}
}

/* What came from other threads; false = the engine ends. */
static bool take_orders(struct engine *e)
{
	struct transfer *new, *next;
	pthread_mutex_lock(&e->lock);
	new = reversed(take(e->queue));
	bool left = e->left, stop = e->stop;
	e->left = false;
	bool over = stop || (e->retired && e->count == 0);
	pthread_mutex_unlock(&e->lock);
	for (; new; new = next) {
		next = new->next;
		begin(e, new);
	}
	if (left || stop)
		drop_left(e, stop);
	return !over;
}

static void reap(struct engine *e)
{
	CURLMsg *m;
	int rest;
	while ((m = curl_multi_info_read(e->multi, &rest))) {
		char *t = NULL;
		CURLcode code = m->data.result;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		complete(e, (struct transfer *)(void *)t, code);
	}
}

/* Before those who wait learn of it and try again. */
static void note_wear(struct engine *e)
{
	if (!http_h2_failed())
		return;
	pthread_mutex_lock(&e->lock);
	e->worn = true;
	pthread_mutex_unlock(&e->lock);
}

/* False = the engine ends. */
static bool drive(struct engine *e)
{
	int active;
	if (!take_orders(e))
		return false;
	curl_multi_perform(e->multi, &active);
	note_wear(e);
	reap(e);
	return true;
}

/* With e->lock held. */
static bool is_over(const struct engine *e)
{
	return e->stop || (e->retired && e->count == 0);
}

/* ---- the engine's own thread ---- */

/* Until there is something that nobody drives, which it then does; false = the engine ends. */
static bool await_work(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	while (!is_over(e) && (e->driven || e->count == 0))
		pthread_cond_wait(&e->need, &e->lock);
	bool over = is_over(e);
	e->driven = true;
	pthread_mutex_unlock(&e->lock);
	return !over;
}

/* Whether nothing is under way any more. */
static bool rest(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	bool idle = e->count == 0;
	e->driven = !idle;
	pthread_mutex_unlock(&e->lock);
	return idle;
}

static void *run(void *arg)
{
	struct engine *e = arg;
	pthread_setname_np(pthread_self(), "sfs-http");
	while (await_work(e))
		while (drive(e) && !rest(e))
			curl_multi_poll(e->multi, NULL, 0, IDLE_MS, NULL);
	drop_left(e, true);
	pthread_mutex_lock(&e->lock);
	CURLM *multi = take(e->multi);
	pthread_mutex_unlock(&e->lock);
	curl_multi_cleanup(multi);
	pthread_mutex_lock(&e->lock);
	e->ended = true;
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* ---- the engine seen from outside ---- */

static void engine_free(struct engine *e)
{
	trust_unref(e->trust);
	pthread_cond_destroy(&e->need);
	pthread_mutex_destroy(&e->lock);
	mem_free(e);
}

static int engine_new(struct trust *trust, struct engine **ret, struct sfs_err *err)
{
	struct engine *e = mem_calloc(1, sizeof(*e));
	if (!e) {
		err_set(err, ENOMEM, "out of memory");
		return -ENOMEM;
	}
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->need, NULL);
	e->trust = trust_ref(trust);
	e->multi = curl_multi_init();
	if (!e->multi || curl_multi_setopt(e->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX) ||
		curl_multi_setopt(
			e->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)SFS_HTTP_CONNS_MAX) ||
		curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)SFS_HTTP_CONNS_MAX) ||
		thread_start(&e->thread, STACK, run, e) < 0) {
		curl_multi_cleanup(e->multi);
		engine_free(e);
		err_set(err, ENOMEM, "cannot start the thread that sends requests");
		return -ENOMEM;
	}
	*ret = e;
	return 0;
}

/* The thread frees the handle when it ends, so the wake-up is inside the lock. */
static void tell(struct engine *e, bool *flag)
{
	pthread_mutex_lock(&e->lock);
	*flag = true;
	if (e->multi && e->driven)
		curl_multi_wakeup(e->multi);
	pthread_cond_signal(&e->need);
	pthread_mutex_unlock(&e->lock);
}

static void engine_end(struct engine *e)
{
	tell(e, &e->stop);
	pthread_join(e->thread, NULL);
	engine_free(e);
}

/* *ret_lead: nobody drives, so the caller must. */
static int submit(struct engine *e, struct transfer *t, bool *ret_lead, struct sfs_err *err)
{
	bool lead = false;
	int r = 0;
	pthread_mutex_lock(&e->lock);
	if (e->count >= SFS_HTTP_RUNNING_MAX) {
		r = err_set(err, EBUSY,
			"%u requests to this source are under way already: try again later",
			e->count);
	} else {
		e->count++;
		t->next = e->queue;
		e->queue = transfer_ref(t);
		lead = !e->driven;
		e->driven = true;
	}
	pthread_mutex_unlock(&e->lock);
	if (r == 0 && !lead) /* while it has users the handle stays */
		curl_multi_wakeup(e->multi);
	if (r == 0)
		*ret_lead = lead;
	return r;
}

/* With e->lock held. */
static int why_leave(
	const struct transfer *t, const struct call *call, int64_t deadline, struct sfs_err *err)
{
	if (t->done)
		return 0;
	if (call_cancelled(call))
		return err_set(err, ECANCELED, "nobody waits for the answer any more");
	if (deadline <= clock_boot())
		return err_set(err, ETIMEDOUT, "%s does not answer in time", t->url.host);
	return 0;
}

static int64_t slice(int64_t deadline)
{
	int64_t left = deadline - clock_boot();
	return left < SLICE_NS ? left > 0 ? left : 0 : SLICE_NS;
}

/* With e->lock held, which is given back meanwhile: drives until the answer is there. */
static int lead(struct engine *e, struct transfer *t, const struct call *call, int64_t deadline,
	struct sfs_err *err)
{
	int r = 0;
	pthread_mutex_unlock(&e->lock);
	for (bool done = false; !done && r == 0;) {
		drive(e); /* it does not end: we use it */
		pthread_mutex_lock(&e->lock);
		done = t->done;
		r = why_leave(t, call, deadline, err);
		pthread_mutex_unlock(&e->lock);
		if (!done && r == 0)
			curl_multi_poll(e->multi, NULL, 0,
				(int)((slice(deadline) + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC), NULL);
	}
	pthread_mutex_lock(&e->lock);
	e->driven = false;
	if (e->count) /* others, or ours that we leave */
		pthread_cond_signal(&e->need);
	return r;
}

/* The same for who is served by the thread that drives. */
static int follow(struct engine *e, struct transfer *t, const struct call *call, int64_t deadline,
	struct sfs_err *err)
{
	int r;
	while ((r = why_leave(t, call, deadline, err)) == 0 && !t->done)
		clock_cond_wait(&t->cond, &e->lock, slice(deadline));
	return r;
}

static int await(struct engine *e, struct transfer *t, bool leads, const struct call *call,
	struct sfs_err *err)
{
	int64_t deadline = call->deadline;
	pthread_mutex_lock(&e->lock);
	int r = leads ? lead(e, t, call, deadline, err) : follow(e, t, call, deadline, err);
	t->left = !t->done;
	pthread_mutex_unlock(&e->lock);
	if (r < 0)
		tell(e, &e->left);
	return r;
}

/* ---- the wire ---- */

/* With w->lock held: joins old engines that ended. */
static void bury(struct http_wire *w)
{
	for (struct engine **at = &w->old; *at;) {
		struct engine *e = *at;
		pthread_mutex_lock(&e->lock);
		bool ended = e->ended;
		pthread_mutex_unlock(&e->lock);
		if (ended) {
			*at = e->next;
			pthread_join(e->thread, NULL);
			engine_free(e);
		} else {
			at = &e->next;
		}
	}
}

/* With w->lock held. It ends once nobody can hand anything to it and its last transfer is over. */
static void retire_if_unused(struct http_wire *w, struct engine *e)
{
	if (e != w->engine && e->users == 0)
		tell(e, &e->retired);
}

/* With w->lock held. */
static int renew(struct http_wire *w, struct sfs_err *err)
{
	struct trust *trust = NULL;
	struct engine *e = NULL;
	int r = trust_load(w->paths, w->file, &trust, err);
	if (r == 0)
		r = engine_new(trust, &e, err);
	trust_unref(trust);
	if (w->engine && r != -ENOMEM) { /* what is trusted no longer is not used either */
		w->engine->next = w->old;
		w->old = take(w->engine);
		retire_if_unused(w, w->old);
	}
	if (r == 0)
		w->engine = e;
	return r;
}

static bool is_worn(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	bool worn = e->worn;
	pthread_mutex_unlock(&e->lock);
	return worn;
}

/* The engine to use; its users is counted up. */
static int wire_engine(struct http_wire *w, struct engine **ret, struct sfs_err *err)
{
	int r = 0;
	pthread_mutex_lock(&w->lock);
	int64_t now = clock_boot();
	bool look = w->engine && now - w->looked >= LOOK_NS;
	if (look || !w->engine)
		w->looked = now;
	if (look)
		bury(w);
	if (!w->engine || is_worn(w->engine) ||
		(look && trust_changed(w->engine->trust, w->paths, w->file)))
		r = renew(w, err);
	if (r == 0) {
		*ret = w->engine;
		w->engine->users++;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

static void wire_engine_put(struct http_wire *w, struct engine *e)
{
	pthread_mutex_lock(&w->lock);
	e->users--;
	retire_if_unused(w, e);
	pthread_mutex_unlock(&w->lock);
}

static void set_file(struct http_wire *w, enum trust_file i, const char *path, int *r)
{
	if (path && !(w->file[i] = mem_strdup(path)))
		*r = -ENOMEM;
}

int http_wire_new(const struct http_conf *conf, struct http_wire **ret, struct sfs_err *err)
{
	const char *ca = conf->cacert;
	if (!http_ready())
		return err_set(err, EINVAL, "http_init() was not called");
	if (!ca && (ca = curl_version_info(CURLVERSION_NOW)->cainfo) && access(ca, F_OK) < 0)
		ca = NULL; /* only TLS needs it: find_store() says so then */
	struct http_wire *w = mem_calloc(1, sizeof(*w));
	int r = 0;
	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	pthread_mutex_init(&w->lock, NULL);
	w->paths = conf->paths;
	w->insecure = conf->insecure_http;
	set_file(w, TRUST_CA, ca, &r);
	set_file(w, TRUST_CERT, conf->cert, &r);
	set_file(w, TRUST_KEY, conf->key, &r);
	if (!(w->name = mem_strdup(conf->name)))
		r = -ENOMEM;
	r = r < 0 ? err_set(err, ENOMEM, "out of memory") : resolver_new(&w->resolver, err);
	if (r == 0 && conf->proxy)
		r = http_proxy_check(conf->proxy, &w->proxy, err);
	if (r == 0)
		*ret = w;
	else
		http_wire_free(w);
	return r;
}

void http_wire_free(struct http_wire *w)
{
	struct engine *next;
	if (!w)
		return;
	for (struct engine *e = w->old; e; e = next) {
		next = e->next;
		engine_end(e);
	}
	if (w->engine)
		engine_end(w->engine);
	resolver_free(w->resolver);
	for (size_t i = 0; i < TRUST_FILES; i++)
		mem_free(w->file[i]);
	pthread_mutex_destroy(&w->lock);
	mem_free(w->name);
	mem_free(w);
}

const char *http_wire_trusted(const struct http_wire *w)
{
	return w->file[TRUST_CA] ? w->file[TRUST_CA] : "OpenSSL's own";
}

/* Addresses of whom we connect to; "" when it is an address already. */
static int find_addresses(struct http_wire *w, const struct http_url *url,
	const struct http_url *proxy, const struct call *call, char out[RESOLVE_TEXT],
	struct sfs_err *err)
{
	const struct http_url *to = proxy ? proxy : url;
	bool inner = proxy || url->local || url->metadata || w->insecure;
	out[0] = '\0';
	int r = to->literal ? 0 : resolver_get(w->resolver, to->host, inner, call, out, err);
	return r == -ENXIO && proxy ? err_set(err, EHOSTUNREACH, "%s", err->msg) : r;
}

static int exchange(struct engine *e, const struct transfer_conf *c, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	struct transfer *t = NULL;
	bool leads = false;
	int r = transfer_new(c, &t, err);
	if (r == 0)
		r = submit(e, t, &leads, err);
	if (r == 0)
		r = await(e, t, leads, call, err);
	if (r == 0) {
		if (t->err.code) {
			*err = t->err;
			r = -t->err.code;
		} else {
			http_reply_clear(ret);
			*ret = t->reply;
			t->reply = (struct http_reply)HTTP_REPLY_INIT;
		}
	}
	transfer_unref(t);
	return r;
}

/* The certificates to trust, if TLS is met on the way. */
static int find_store(const struct http_wire *w, struct transfer_conf *c, struct sfs_err *err)
{
	const char *path = w->file[TRUST_CA], *system = curl_version_info(CURLVERSION_NOW)->cainfo;
	if (c->url->scheme != HTTP_TLS && !(c->proxy && c->proxy->scheme == HTTP_TLS))
		return 0;
	if (!path && system)
		return err_set(err, EPROTO,
			"certificates to trust: %s was not there at the start; install the "
			"certificates of the system (ca-certificates) and mount again, or set "
			"cacert=",
			system);
	return trust_store(c->trust, path, &c->store, err);
}

int http_wire_perform(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	struct http_wire *w = arg;
	struct engine *e;
	struct http_url url;
	char addresses[RESOLVE_TEXT];
	const struct call attempt = {.deadline = a->deadline, .cancelled = call->cancelled};
	int r = http_url_parse(a->url, &url, err);
	if (r < 0)
		return r;
	const struct http_url *proxy =
		w->proxy.host[0] && !(a->flags & HTTP_DIRECT) && !url.local ? &w->proxy : NULL;
	if ((r = find_addresses(w, &url, proxy, &attempt, addresses, err)) != 0 ||
		(r = wire_engine(w, &e, err)) != 0)
		return r;
	struct transfer_conf c = {.attempt = a,
		.url = &url,
		.proxy = proxy,
		.addresses = addresses,
		.trust = e->trust};
	if ((r = find_store(w, &c, err)) == 0)
		r = exchange(e, &c, &attempt, ret, err);
	wire_engine_put(w, e);
	if (r == -EHOSTUNREACH)
		resolver_forget(w->resolver, (proxy ? proxy : &url)->host);
	return r;
}
