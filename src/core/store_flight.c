/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store_priv.h"

#include "base/text.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* --- making, starting, freeing --- */

static struct flight **list_of(struct flight *f)
{
	switch (f->state) {
	case FLIGHT_DELAYED:
		return &f->source->delayed;
	case FLIGHT_GATHERED:
		return &f->source->gathered;
	case FLIGHT_BLOCKED:
		return &f->source->blocked;
	case FLIGHT_QUEUED:
		return &f->source->queued;
	case FLIGHT_RUNNING:
		return &f->source->running;
	default:
		return NULL;
	}
}

static void set_state(struct flight *f, enum flight_state state)
{
	struct flight **list = list_of(f);

	if (list)
		DL_DELETE(*list, f);
	f->state = state;
	list = list_of(f);
	if (list)
		DL_APPEND(*list, f);
}

struct flight *flight_new(struct entry *e, bool nocache)
{
	struct store *s = e->source->store;
	const char *version = entry_version(e);
	size_t vlen = version ? strlen(version) + 1 : 0;
	struct flight *f = mem_calloc(1, sizeof(*f) + e->name_len + 1 + vlen);

	if (!f)
		return NULL;
	if (heap_reserve(&s->timers) < 0) {
		mem_free(f);
		return NULL;
	}
	memcpy(f->name, e->key, e->name_len);
	if (version)
		f->version = memcpy(f->name + e->name_len + 1, version, vlen);
	f->store = s;
	f->source = e->source;
	f->entry = e;
	f->nocache = nocache;
	f->timer.kind = TIMER_FLIGHT;
	atomic_init(&f->cancelled, false);
	atomic_fetch_add(&s->refs, 1);
	e->source->refs++;
	e->refs++;
	if (!nocache)
		e->flight = f;
	return f;
}

/* Out of its lists, timers and counts; what remains is the name, for the source's thread. */
static void unhook(struct flight *f)
{
	struct entry *e = f->entry;

	heap_remove(&f->store->timers, &f->timer);
	heap_unreserve(&f->store->timers);
	if (f->state == FLIGHT_RUNNING && !f->nocache)
		e->running--;
	if (f->background)
		f->source->background--;
	if (f->state == FLIGHT_RUNNING && f->bulk)
		f->source->bulk--;
	if (e->flight == f)
		e->flight = NULL;
	set_state(f, FLIGHT_ABANDONED);
}

/* The last use: gives the lock back, because the store may end with it. */
static void free_unlock(struct flight *f)
{
	struct store *s = f->store;

	source_release(f->source);
	mem_free(f);
	store_unlock(s);
	store_unref(s);
}

static uint32_t lane_of(const struct waiter *w)
{
	return w->payer.limited ? w->payer.uid : POOL_LANE_NONE;
}

static void run(struct flight *f, struct outbox *box)
{
	struct store *s = f->store;
	struct source *src = f->source;

	set_state(f, FLIGHT_RUNNING);
	f->job.lane = f->waiters ? lane_of(f->waiters) : POOL_LANE_NONE;
	f->background = !f->waiters && !f->bulk;
	if (f->background)
		src->background++;
	if (f->bulk)
		src->bulk++;
	if (!f->nocache)
		f->entry->running++;
	f->seq = ++s->flights;
	f->deadline = clock_after(clock_boot(), s->conf.timeout);
	if (f->deadline < CLOCK_NEVER - STORE_GRACE)
		timer_set(s, &f->timer, f->deadline + STORE_GRACE);
	src->health.fetches++;
	src->starting++;
	src->refs++;
	LL_APPEND2(box->start, f, next_start);
}

void flight_delay(struct flight *f)
{
	set_state(f, FLIGHT_DELAYED);
}

void flight_gather(struct flight *f)
{
	set_state(f, FLIGHT_GATHERED);
}

struct flight *flight_of(const struct entry *e)
{
	return e->flight && e->flight->state != FLIGHT_DELAYED ? e->flight : NULL;
}

void flight_launch(struct flight *f, struct outbox *box)
{
	struct waiter *w;

	DL_FOREACH (f->waiters, w)
		rate_leave(w);
	if (!f->nocache && f->entry->running >= STORE_RUNNING_MAX)
		set_state(f, FLIGHT_BLOCKED);
	else if (!f->waiters && !f->bulk && f->source->background >= f->source->limits.background)
		set_state(f, FLIGHT_QUEUED);
	else
		run(f, box);
}

void flight_wanted(struct flight *f, const struct waiter *w, struct outbox *box)
{
	struct source *src = f->source;

	if (f->state == FLIGHT_QUEUED)
		run(f, box);
	else if (f->state == FLIGHT_RUNNING && src->ops->join)
		src->ops->join(src->arg, f, lane_of(w));
}

void flight_background(struct entry *e, struct outbox *box)
{
	struct flight *f = e->flight;

	if (flight_of(e) || e->source->detached)
		return;
	if (!f && e->keep) {
		kept_queue(e, true);
		kept_pump(e->source, box);
		return;
	}
	if (!f)
		f = flight_new(e, false);
	if (f)
		flight_launch(f, box);
}

void flight_forget(struct flight *f)
{
	struct entry *e = f->entry;
	struct store *s = f->store;

	unhook(f);
	source_release(f->source);
	mem_free(f);
	entry_arm(e);
	entry_release(e);
	atomic_fetch_sub(&s->refs, 1); /* never the last: the caller has the owner's */
}

/* Those that waited for the end of this one. */
static void launch_next(struct source *src, struct entry *e, struct outbox *box)
{
	if (src->detached)
		return;
	if (e->flight && e->flight->state == FLIGHT_BLOCKED)
		flight_launch(e->flight, box);
	if (src->queued && src->background < src->limits.background)
		run(src->queued, box);
	kept_pump(src, box);
}

void flight_supersede(struct entry *e)
{
	struct store *s = e->source->store;

	e->floor = s->flights + 1;
	if (e->flight && e->flight->state == FLIGHT_RUNNING)
		e->flight = NULL; /* one that has not started will bring the new value */
}

/* --- success --- */

static bool precedes(const struct payload *p, const struct payload *held)
{
	if (p->ordinal && held->ordinal)
		return p->ordinal < held->ordinal;
	return p->created && held->created && !held->dated && p->created < held->created;
}

/* An answer that is older than what is held: a lagging replica, until it is confirmed (R64). */
static bool is_older(const struct flight *f, const struct payload *p, int64_t now)
{
	struct entry *e = f->entry;
	const struct payload *held = e->payload;

	if (!held || !precedes(p, held) || !strcmp(held->version, p->version) || e->changed_at ||
		f->asked)
		return false;
	if (!e->older_since)
		e->older_since = now;
	return now - e->older_since < fresh_lag(p->ordinal, entry_ttl(e, held));
}

static void well(struct entry *e, const struct payload *p)
{
	e->fetched_boot = p->fetched_boot;
	e->fetched_wall = p->fetched_wall;
	e->fetches++;
	e->failed = false;
	e->fails = 0;
	e->retry_at = 0;
	e->changed_at = 0;
	e->read = false;
}

static void keep_newer(struct flight *f, struct payload *p, struct outbox *box)
{
	struct entry *e = f->entry;

	e->source->health.kept_newer++;
	well(e, p);
	e->floor = f->seq;
	entry_reckon(e);
	box->payload = payload_ref(e->payload);
	box->drop[box->ndrop++] = p;
	outbox_event(box, e, STORE_REFRESHED, false);
}

/* Where the source tells no time, the first version seen may be as old as the secret; another one
 * is as old as the fetch that brought it. */
static void date(struct entry *e, struct payload *p)
{
	if (e->serial && e->serial != p->serial)
		e->turned_wall = p->fetched_wall;
	if (p->created || !e->turned_wall)
		return;
	p->created = e->turned_wall;
	p->dated = true;
}

static void keep(struct flight *f, struct payload *p, uint64_t print, struct outbox *box)
{
	struct entry *e = f->entry;
	struct store *s = f->store;
	bool first = !e->serial, same = e->serial == p->serial;

	well(e, p);
	date(e, p);
	e->floor = f->seq;
	e->older_since = 0;
	e->serial = p->serial;
	e->print = print;
	if (entry_ttl(e, p) == 0 || payload_size(p) > s->conf.cache_bytes) {
		entry_drop(e, box);
		e->lapsed = true;
	} else {
		entry_hold(e, p, box);
	}
	kept_well(e);
	box->payload = p;
	outbox_event(box, e, first ? STORE_FETCHED : same ? STORE_REFRESHED : STORE_ROTATED, false);
}

/* Nobody waits for it and there is no room: as if it had not been asked for. */
static void drop_unfit(struct flight *f, struct payload *p, struct outbox *box)
{
	f->entry->floor = f->seq;
	kept_unfit(f->entry);
	box->payload = p;
}

static void succeed(struct flight *f, struct payload *p, uint64_t print, struct outbox *box)
{
	struct entry *e = f->entry;

	source_answered(f->source);
	p->fetched_boot = clock_boot();
	p->fetched_wall = clock_wall();
	f->source->health.last_ok_wall = p->fetched_wall;
	p->serial = e->serial && e->print == print ? e->serial : ++f->store->serials;
	if (f->nocache || f->seq < e->floor)
		box->payload = p;
	else if (is_older(f, p, p->fetched_boot))
		keep_newer(f, p, box);
	else if (!kept_fits(f, p, box))
		drop_unfit(f, p, box);
	else
		keep(f, p, print, box);
}

/* --- failure --- */

/* Readers that may get a stale value do, if its time is not over. */
static void offer_stale(const struct flight *f, const struct sfs_err *err, struct outbox *box)
{
	const struct entry *e = f->entry;

	if (!f->nocache && e->payload && err_transient(err) && clock_boot() < entry_drop_at(e))
		box->stale = payload_ref(e->payload);
}

static void back_off(struct entry *e, int64_t now)
{
	if (e->fails < UINT8_MAX)
		e->fails++;
	e->retry_at = now + (int64_t)random_below((uint64_t)fresh_backoff(e->fails) + 1);
	if (!e->payload)
		return;
	/* A refresh ahead of the end of the TTL gets more tries. */
	e->refreshed = false;
	if (e->refresh_at < e->retry_at)
		e->refresh_at = e->retry_at;
	if (e->refresh_at <= now)
		e->refresh_at = now + NSEC_PER_MSEC;
}

static void remember(struct entry *e, const struct sfs_err *err, struct outbox *box)
{
	int64_t now = clock_boot();
	bool held = e->payload, gone = err->code == ENOENT;

	entry_set_error(e, err);
	if (!err_transient(err)) {
		gone = gone || held;
		entry_drop(e, box);
		e->changed_at = 0;
		e->older_since = 0;
		e->lapsed = false;
	}
	if (err->code == ENOENT) {
		int64_t keep_for = e->source->store->conf.negative_ttl;

		e->fails = 0;
		e->retry_at = keep_for > 0 ? clock_after(now, keep_for) : now;
	} else if (err->code == ENOMEM) {
		e->retry_at =
			now; /* our own want, perhaps over by now: says nothing about the name */
	} else {
		back_off(e, now);
	}
	outbox_event(box, e, gone ? STORE_GONE : STORE_ERROR, true);
}

static void fail(struct flight *f, const struct sfs_err *err, struct outbox *box)
{
	if (atomic_load(&f->cancelled) && f->nocache)
		return; /* its reader went away: says nothing about the source */
	if (!f->group || f->group != f->source->failed_group)
		source_failed(f->source, err);
	else /* what came together counts once against the source */
		f->source->health.failures++;
	if (f->group)
		f->source->failed_group = f->group;
	if (!f->nocache && f->seq >= f->entry->floor) {
		remember(f->entry, err, box);
		kept_failed(f, err, box);
	}
	offer_stale(f, err, box);
}

/* --- the end --- */

static void take_waiters(struct flight *f, struct outbox *box)
{
	while (f->waiters)
		waiter_take(f->waiters->prev, box); /* from the tail: they come out in order */
}

/* After succeed() or fail(): what is left to do in either case. */
static void land(struct flight *f, struct outbox *box)
{
	struct entry *e = f->entry;

	take_waiters(f, box);
	unhook(f);
	f->entry = NULL;
	launch_next(f->source, e, box);
	entry_arm(e);
	entry_release(e);
}

void flight_abandon(struct flight *f, const struct sfs_err *err, struct outbox *box)
{
	box->err = *err;
	if (!f->source->detached)
		fail(f, err, box);
	atomic_store(&f->cancelled, true);
	land(f, box);
}

void flight_refuse(struct flight *f, const struct sfs_err *err, struct outbox *box)
{
	struct store *s = f->store;

	if (box->err.code == 0)
		box->err = *err;
	if (f->state == FLIGHT_RUNNING)
		f->source->health.fetches--;
	if (f->state != FLIGHT_ABANDONED) {
		if (!f->source->detached)
			offer_stale(f, err, box);
		if (f->bulk && f->entry->keep)
			kept_refused(f->entry);
		land(f, box);
	}
	source_release(f->source);
	mem_free(f);
	atomic_fetch_sub(&s->refs, 1); /* never the last: the caller has the owner's */
}

void flight_due(struct flight *f, struct outbox *box)
{
	struct sfs_err err;
	char name[128];

	err_set(&err, ETIMEDOUT, "%s: get %s: the source did not keep its deadline of %lld s",
		f->source->name, text_escaped(name, sizeof(name), f->name, strlen(f->name)),
		(long long)f->store->conf.timeout);
	flight_abandon(f, &err, box);
}

void flight_done(struct flight *f, struct payload *p, const struct sfs_err *err)
{
	struct store *s = f->store;
	struct outbox box = {0};
	uint64_t print = 0;
	int r = p ? payload_fingerprint(p, &print) : 0;

	assert(!p != !err);
	if (err)
		box.err = *err;
	else if (r < 0)
		err_errno(&box.err, -r, "%s: get a secret", f->source->name);
	if (r < 0) {
		payload_unref(p);
		p = NULL;
	}
	store_lock(s);
	if (f->state == FLIGHT_ABANDONED) {
		free_unlock(f);
		payload_unref(p);
		return;
	}
	if (p)
		succeed(f, p, print, &box);
	else
		fail(f, &box.err, &box);
	land(f, &box);
	atomic_fetch_add(&s->refs, 1);
	free_unlock(f);
	outbox_run(s, &box);
	store_trim(s);
	store_unref(s);
}

/* --- what the source may ask --- */

const char *flight_name(const struct flight *f)
{
	return f->name;
}

struct job *flight_job(struct flight *f)
{
	return &f->job;
}

struct flight *flight_of_job(struct job *j)
{
	return (struct flight *)((char *)j - offsetof(struct flight, job));
}

void *flight_arg(const struct flight *f)
{
	return f->source->arg;
}

const char *flight_version(const struct flight *f)
{
	return f->version;
}

int64_t flight_deadline(const struct flight *f)
{
	return f->deadline;
}

const atomic_bool *flight_cancelled(const struct flight *f)
{
	return &f->cancelled;
}

bool flight_may_evict(const struct flight *f)
{
	bool may;

	store_lock(f->store);
	may = !f->bulk || f->waiters;
	store_unlock(f->store);
	return may;
}

/* --- invalidation --- */

/* A flight that has not started and nobody waits for has no purpose after a purge. */
static void cancel_idle(struct entry *e)
{
	struct flight *f = e->flight;

	if (f && f->state != FLIGHT_RUNNING && !f->waiters)
		flight_forget(f);
}

void store_purge(struct store *s, struct entry *e)
{
	struct outbox box = {0};

	store_lock(s);
	flight_supersede(e);
	cancel_idle(e);
	kept_forget(e);
	entry_drop(e, &box);
	e->failed = e->lapsed = false;
	e->fails = 0;
	e->retry_at = e->changed_at = e->older_since = 0;
	entry_arm(e);
	outbox_event(&box, e, STORE_PURGED, false);
	store_unlock(s);
	outbox_run(s, &box);
}

void store_changed(struct store *s, struct entry *e)
{
	struct outbox box = {0};
	int64_t now = clock_boot();

	store_lock(s);
	if (!e->payload || !e->payload->immutable) {
		flight_supersede(e);
		e->want = e->want || (e->keep && e->failed && !e->payload);
		e->failed = e->failed && e->payload;
		e->fails = 0;
		e->retry_at = 0;
		if (e->payload) {
			e->changed_at = now;
			entry_reckon(e);
		}
		if (e->payload || e->want)
			flight_background(e, &box);
		entry_arm(e);
	}
	store_unlock(s);
	outbox_run(s, &box);
}
