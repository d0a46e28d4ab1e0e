/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store_priv.h"

#include "base/cleanup.h"
#include "base/log.h"
#include <assert.h>
#include <errno.h>

int store_new(const struct store_config *conf, struct store **ret)
{
	struct store *s = mem_calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->refs = 1;
	s->conf = *conf;
	s->timer_fd = s->kick_fd = -1;
	*ret = s;
	return 0;
}

void store_unref(struct store *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	heap_clear(&s->timers);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

void store_free(struct store *s)
{
	struct entry *e, *tmp;

	if (!s)
		return;
	store_stop_timer(s);
	store_lock(s);
	HASH_ITER (hh, s->entries, e, tmp) {
		struct outbox box = {0};

		assert(e->refs == 0);
		e->user_set = false;
		e->failed = false;
		e->refs++;
		entry_drop(e, &box);
		entry_release(e);
		store_unlock(s);
		outbox_run(s, &box);
		store_lock(s);
	}
	assert(!s->entries);
	store_unlock(s);
	store_unref(s);
}

void outbox_event(struct outbox *box, struct entry *e, enum store_event ev, bool with_err)
{
	assert(box->nevents < sizeof(box->events) / sizeof(box->events[0]));
	e->refs++;
	box->events[box->nevents].entry = e;
	box->events[box->nevents].event = ev;
	box->events[box->nevents].with_err = with_err;
	box->nevents++;
}

static void run_events(struct store *s, struct outbox *box)
{
	for (unsigned i = 0; i < box->nevents; i++) {
		struct entry *e = box->events[i].entry;

		if (s->conf.event)
			s->conf.event(s->conf.arg, e, box->events[i].event,
				box->events[i].with_err ? &box->err : NULL);
		entry_unref(e);
	}
	box->nevents = 0;
}

/* A waiter's memory is its owner's again as soon as done was called. */
static void run_waiters(struct outbox *box)
{
	struct waiter *w = box->waiters, *next;

	for (; w; w = next) {
		struct payload *p = box->payload;

		next = w->next;
		if (!p && w->mode == FETCH_CACHED)
			p = box->stale;
		w->done(w, p, p ? NULL : &box->err);
	}
	box->waiters = NULL;
}

static void run_drops(struct outbox *box)
{
	for (unsigned i = 0; i < box->ndrop; i++)
		payload_unref(box->drop[i]);
	box->ndrop = 0;
}

static void deliver(struct store *s, struct outbox *box)
{
	run_events(s, box);
	if (box->full && s->conf.full)
		s->conf.full(s->conf.arg);
	box->full = false;
	run_drops(box);
	run_waiters(box);
	payload_unref(box->payload);
	payload_unref(box->stale);
	box->payload = box->stale = NULL;
}

/* Hands one flight to its source. From here on it belongs to flight_done(), unless the source
 * refuses. */
static int call_start(struct source *src, struct flight **v, size_t n, struct sfs_err *err)
{
	int r = n > 1 ? src->ops->start_batch(src->arg, v, n, err)
		      : src->ops->start(src->arg, v[0], err);

	if (r < 0 && !err->code)
		err_errno(err, -r, "%s: start a fetch", src->name);
	return r;
}

/* After the source was asked to start `f`, which is gone if it was not refused. What it set free
 * comes before `rest`. */
static struct flight *started(struct store *s, struct source *src, struct flight *f,
	const struct sfs_err *refused, struct flight *rest)
{
	struct outbox box = {0};
	struct flight *more, **end = &more;

	store_lock(s);
	if (refused)
		flight_refuse(f, refused, &box);
	if (--src->starting == 0)
		pthread_cond_broadcast(&src->idle);
	source_release(src);
	store_unlock(s);
	more = box.start;
	box.start = NULL;
	while (*end)
		end = &(*end)->next_start;
	*end = rest;
	deliver(s, &box);
	return more;
}

/* Starts the first flight of the chain, with those behind it that belong to its group. Returns what
 * is left to start. */
static struct flight *start_first(struct store *s, struct flight *f)
{
	struct source *src = f->source; /* kept by each flight's call that is under way */
	struct flight *v[SFS_BATCH_MAX];
	struct sfs_err err = {0};
	uint64_t group = f->group;
	size_t n = 0;

	do {
		v[n++] = f;
		f = f->next_start;
	} while (f && group && f->group == group && n < SFS_BATCH_MAX);
	int r = call_start(src, v, n, &err);
	for (size_t i = 0; i < n; i++)
		f = started(s, src, v[i], r < 0 ? &err : NULL, f);
	return f;
}

/* A refused flight may set free the next one: a loop, so that a long queue costs no stack. */
void outbox_run(struct store *s, struct outbox *box)
{
	struct flight *f = box->start;

	if (*box->slowed)
		log_warn("%s", box->slowed);
	run_events(s, box);
	box->start = NULL;
	while (f)
		f = start_first(s, f);
	deliver(s, box);
}

/* The least recently read value; with `idle` one that only the cache holds. */
static struct entry *victim(struct store *s, bool idle)
{
	struct entry *e = s->lru ? s->lru->prev : NULL; /* utlist: the head's prev is the tail */

	while (idle && e && atomic_load(&e->payload->refs) != 1)
		e = e == s->lru ? NULL : e->prev;
	return e;
}

static void evict(struct store *s, struct entry *e, struct outbox *box)
{
	s->evictions++;
	outbox_event(box, e, STORE_EVICTED, false);
	entry_drop(e, box);
	kept_evicted(e, box);
}

void store_trim(struct store *s)
{
	for (;;) {
		struct outbox box = {0};
		bool over;

		store_lock(s);
		over = s->bytes > s->conf.cache_bytes && s->lru;
		if (over)
			evict(s, victim(s, false), &box);
		store_unlock(s);
		if (!over)
			return;
		outbox_run(s, &box);
	}
}

bool store_make_room(struct store *s, size_t bytes)
{
	size_t freed = 0;
	bool any = false;

	if (s->conf.pressure)
		s->conf.pressure(s->conf.arg);
	while (!any || freed < bytes) {
		struct outbox box = {0};
		struct entry *e;

		store_lock(s);
		e = victim(s, true);
		if (e) {
			freed += payload_size(e->payload);
			evict(s, e, &box);
		}
		store_unlock(s);
		if (!e)
			break;
		any = true;
		outbox_run(s, &box);
	}
	return any;
}

/* Entries that a flight is about to bring a first value for; only their number without `v`. */
static size_t expected(struct store *s, struct entry **v)
{
	const struct source *src;
	struct flight *f;
	size_t n = 0;

	DL_FOREACH (s->sources, src) {
		struct flight *const lists[] = {
			src->running, src->queued, src->blocked, src->delayed, src->gathered};

		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
			DL_FOREACH (lists[i], f) {
				if (f->nocache || f->entry->payload)
					continue;
				f->entry->refs += v != NULL;
				if (v)
					v[n] = f->entry;
				n++;
			}
	}
	return n;
}

static int snapshot(struct store *s, struct entry ***ret, size_t *ret_n)
{
	struct entry **v, *e;
	size_t n = 0;

	store_lock(s);
	v = mem_calloc(s->values + expected(s, NULL) + 1, sizeof(struct entry *));
	if (v) {
		n = expected(s, v);
		DL_FOREACH (s->lru, e) {
			e->refs++;
			v[n++] = e;
		}
	}
	store_unlock(s);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}

int store_each(struct store *s, int (*fn)(void *arg, struct entry *e), void *arg)
{
	_cleanup_free_ struct entry **v = NULL;
	size_t n = 0;
	int r = snapshot(s, &v, &n);

	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = fn(arg, v[i]);
		entry_unref(v[i]);
	}
	return r;
}

void store_totals(
	const struct store *s, size_t *ret_bytes, size_t *ret_values, uint64_t *ret_evictions)
{
	struct store *m = (struct store *)s; /* its lock */

	store_lock(m);
	*ret_bytes = s->bytes;
	*ret_values = s->values;
	*ret_evictions = s->evictions;
	store_unlock(m);
}
