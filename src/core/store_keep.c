/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hydration: values that are fetched and kept fresh though nobody reads them (entry_keep()).
 *
 * Each source has two queues of entries, both without memory of their own: `renews`, whose value is
 * held and due again, goes first; `wants` have no value. kept_pump() turns them into bulk flights,
 * as many at once as the source's limits say, in full groups while more entries are about to come
 * (store_gather()). It waits while the source backs off, tries with one flight after that, and
 * starts nothing from `wants` while the store is full: so hydration never makes room for itself by
 * dropping what it has just fetched.
 */
#include "core/store_priv.h"

#include "base/secret.h"
#include <errno.h>

#define REFUSED_PAUSE \
	NSEC_PER_SEC /* after the source took no flight, or there was no memory for one */

/* --- numbers for the status --- */

enum kept_bit {
	KEPT_TOTAL = 1,
	KEPT_TRIED = 2,
	KEPT_FAILED = 4,
	KEPT_FIRST = 8,
	KEPT_WAITING = 16
};

static unsigned kept_bits(const struct entry *e)
{
	unsigned bits = KEPT_TOTAL;

	if (!e->keep || entry_ttl(e, e->payload) == 0)
		return 0;
	if (e->tried)
		bits |= KEPT_TRIED;
	if (e->tried && e->failed && !e->payload)
		bits |= KEPT_FAILED;
	if (e->want && !e->tried)
		bits |= KEPT_FIRST;
	if (e->want && !e->payload && !e->failed)
		bits |= KEPT_WAITING;
	return bits;
}

void kept_count(struct entry *e)
{
	unsigned now = kept_bits(e), before = e->counted;
	size_t *n = e->source->store->kept;

	for (unsigned i = 0; i < STORE_KEPT_BITS; i++) {
		n[i] += now >> i & 1;
		n[i] -= before >> i & 1;
	}
	e->counted = (uint8_t)now;
}

void store_kept(const struct store *s, struct store_kept *ret)
{
	struct store *m = (struct store *)s; /* its lock */
	size_t values;

	store_lock(m);
	*ret = (struct store_kept){
		.total = s->kept[0],
		.tried = s->kept[1],
		.failed = s->kept[2],
		.running = s->kept[3] > 0 && !s->full,
		.full = s->full,
		.arena = s->full_arena,
		.changed_at = s->kept_at,
	};
	if (s->full)
		ret->missing = s->kept[4];
	values = s->values ? s->values : 1;
	ret->missing_bytes = ret->missing * (s->bytes / values);
	store_unlock(m);
}

/* --- room --- */

static void set_full(struct store *s, bool arena, struct outbox *box)
{
	if (s->full)
		return;
	s->full = true;
	s->full_arena = arena;
	s->full_at = s->bytes;
	box->full = true;
}

/* A part of the arena stays free for readers and for the new copies that a refresh needs. */
static bool arena_is_full(void)
{
	struct secret_stats st;

	secret_stats(&st);
	return st.used > st.cap - st.cap / 8;
}

bool kept_fits(struct flight *f, const struct payload *p, struct outbox *box)
{
	struct store *s = f->store;
	size_t size = payload_size(p);

	if (!f->bulk || f->waiters || f->entry->payload || size > s->conf.cache_bytes)
		return true; /* somebody wants it; or no room would be enough */
	if (s->bytes + size > s->conf.cache_bytes)
		set_full(s, false, box);
	else if (arena_is_full())
		set_full(s, true, box);
	else
		return true;
	return false;
}

void kept_unfit(struct entry *e)
{
	e->failed = false;
	e->fails = 0;
	e->retry_at = 0;
	if (e->keep && e->want)
		kept_queue(e, true);
}

void kept_evicted(struct entry *e, struct outbox *box)
{
	struct store *s = e->source->store;

	if (!e->keep)
		return;
	set_full(s, s->bytes + SFS_VALUE_MAX < s->conf.cache_bytes, box);
	e->want = true;
	kept_queue(e, false);
}

/* Not at the first byte that becomes free: what is fetched now would be evicted by the next reader.
 */
void kept_room(struct store *s)
{
	struct source *src;

	if (!s->full || s->bytes >= s->full_at - s->full_at / 4)
		return;
	s->full = false;
	DL_FOREACH (s->sources, src)
		timer_set(s, &src->timer, clock_boot());
}

/* --- queues --- */

static struct entry **queue_of(struct entry *e)
{
	return e->renewing ? &e->source->renews : &e->source->wants;
}

void kept_queue(struct entry *e, bool front)
{
	if (e->queued || e->source->detached)
		return;
	e->renewing = e->payload;
	e->queued = true;
	if (front)
		DL_PREPEND2(*queue_of(e), e, want_prev, want_next);
	else
		DL_APPEND2(*queue_of(e), e, want_prev, want_next);
	kept_count(e);
}

void kept_unqueue(struct entry *e)
{
	if (!e->queued)
		return;
	DL_DELETE2(*queue_of(e), e, want_prev, want_next);
	e->queued = false;
	kept_count(e);
}

void kept_detach(struct source *src)
{
	while (src->renews)
		kept_unqueue(src->renews);
	while (src->wants)
		kept_unqueue(src->wants);
}

/* --- starting --- */

static bool needs_fetch(const struct entry *e, int64_t now)
{
	if (flight_of(e))
		return false;
	if (!e->payload)
		return e->keep && e->want && entry_ttl(e, NULL) != 0;
	return e->changed_at || (e->keep && now >= e->refresh_at);
}

/* The next entry that is to be fetched, out of its queue; or NULL. */
static struct entry *next_entry(struct source *src)
{
	struct store *s = src->store;
	int64_t now = clock_boot();
	struct entry *e;

	while ((e = src->renews ? src->renews : s->full ? NULL : src->wants)) {
		kept_unqueue(e);
		if (needs_fetch(e, now) && (e->payload || !s->full))
			return e;
		if (needs_fetch(e, now)) /* it lost its value while it stood in line */
			kept_queue(e, false);
		entry_arm(e);
	}
	return NULL;
}

/* How many flights may start together. */
static unsigned room(const struct source *src)
{
	unsigned batch = src->limits.batch;

	if (src->fails > 0)
		return src->bulk ? 0 : 1;
	return (src->bulk + batch - 1) / batch < src->limits.bulk ? batch : 0;
}

/* Starts at most `n`, which the source gets together. False if there was none. */
static bool start_some(struct source *src, unsigned n, struct outbox *box)
{
	uint64_t group = n > 1 ? ++src->store->groups : 0;
	unsigned started = 0;

	while (started < n) {
		struct entry *e = next_entry(src);
		bool delayed = e && e->flight; /* readers wait with it, for a token: no more */
		struct flight *f = delayed ? e->flight : e ? flight_new(e, false) : NULL;

		if (e && !f)
			kept_refused(e);
		if (!f)
			return false;
		f->bulk = !delayed;
		f->group = delayed ? 0 : group;
		flight_launch(f, box);
		started++;
	}
	return started > 0;
}

/* Whether fewer than `n` stand in line and more are about to come. */
static bool is_short(struct source *src, unsigned n)
{
	unsigned there = 0;
	const struct entry *e;

	for (e = src->renews; e && there < n; e = e->want_next)
		there++;
	for (e = src->store->full ? NULL : src->wants; e && there < n; e = e->want_next)
		there++;
	return bulk_waits(src, n, there);
}

void kept_pump(struct source *src, struct outbox *box)
{
	unsigned n;

	if (src->detached || bulk_pump(src, box) ||
		(!src->renews && (!src->wants || src->store->full)))
		return;
	int64_t until = src->health.backoff_until;
	if (until < src->pause_until)
		until = src->pause_until;
	if (clock_boot() < until) {
		timer_set(src->store, &src->timer, until);
		return;
	}
	while ((n = room(src)) > 0 && !is_short(src, n) && start_some(src, n, box))
		;
}

/* --- when it failed --- */

static void try_later(struct entry *e, int64_t limit)
{
	int64_t at = clock_boot() + limit / 2 + (int64_t)random_below((uint64_t)limit / 2 + 1);

	e->refreshed = false;
	e->refresh_at = at > e->retry_at ? at : e->retry_at;
	entry_arm(e);
}

static void kept_later(struct entry *e)
{
	try_later(e, fresh_keep_backoff(e->fails ? e->fails : 1));
}

void kept_refused(struct entry *e)
{
	struct source *src = e->source;

	src->pause_until = clock_boot() + REFUSED_PAUSE;
	timer_set(src->store, &src->timer, src->pause_until);
	if (e->payload || e->want)
		kept_queue(e, true);
}

void kept_failed(struct flight *f, const struct sfs_err *err, struct outbox *box)
{
	struct entry *e = f->entry;
	struct store *s = f->store;
	struct secret_stats st;

	if (!e->keep)
		return;
	secret_stats(&st);
	if (err->code == ENOMEM && f->bulk && !e->payload &&
		(s->full || st.failed != s->arena_failed)) {
		s->arena_failed = st.failed;
		set_full(s, true, box);
		kept_unfit(e);
		return;
	}
	if (!e->tried)
		s->kept_at = clock_boot();
	e->tried = true;
	if (!err_transient(err))
		e->want = false; /* until somebody asks, or the source says that it changed */
	if (err->code == ENOMEM) /* not counted as a failure of the name, so it does not back off */
		try_later(e, FRESH_KEEP_CAP);
	else
		kept_later(e);
}

void kept_well(struct entry *e)
{
	if (e->want)
		e->source->store->kept_at = clock_boot();
	e->want = false;
	e->tried = true;
	kept_unqueue(e);
}

void kept_lapsed(struct entry *e)
{
	if (!e->keep || entry_ttl(e, NULL) == 0)
		return;
	e->want = true;
	if (e->fails > 0)
		kept_later(e);
	else
		e->refresh_at = clock_boot();
}

void kept_forget(struct entry *e)
{
	e->want = false;
	e->tried = true;
	kept_unqueue(e);
}

void kept_due(struct entry *e, struct outbox *box)
{
	kept_queue(e, false);
	kept_pump(e->source, box);
}

/* --- for the user --- */

void kept_end(struct entry *e)
{
	e->keep = e->want = e->tried = false;
	kept_unqueue(e);
	kept_count(e);
}

/* No callback may come from here: the timer starts what is queued. */
static void begin(struct entry *e)
{
	e->keep = true;
	e->tried = e->payload;
	e->want = !e->payload;
	e->refreshed = false; /* nobody read it, so it was not */
	if (!e->payload && !flight_of(e)) {
		kept_queue(e, false);
		timer_set(e->source->store, &e->source->timer, clock_boot());
	}
	entry_arm(e);
}

void entry_keep(struct entry *e, bool keep)
{
	store_lock(e->source->store);
	if (keep && !e->keep)
		begin(e);
	else if (!keep && e->keep)
		kept_end(e);
	store_unlock(e->source->store);
}

void source_limit(struct source *src, const struct source_limits *limits)
{
	store_lock(src->store);
	src->limits = *limits;
	store_unlock(src->store);
}
