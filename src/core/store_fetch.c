/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store_priv.h"

#include "base/text.h"
#include <errno.h>
#include <string.h>

/* Parks the waiter at a flight. */
static int attach(struct flight *f, struct waiter *w)
{
	struct store *s = f->store;

	if (w->deadline != CLOCK_NEVER) {
		if (heap_reserve(&s->timers) < 0)
			return -ENOMEM;
		timer_set(s, &w->timer, w->deadline);
	}
	DL_APPEND(f->waiters, w);
	w->flight = f;
	return 0;
}

static void detach(struct waiter *w)
{
	struct store *s = w->flight->store;

	rate_leave(w);
	if (w->timer.index) {
		heap_remove(&s->timers, &w->timer);
		heap_unreserve(&s->timers);
	}
	DL_DELETE(w->flight->waiters, w);
	w->flight = NULL;
}

void waiter_take(struct waiter *w, struct outbox *box)
{
	detach(w);
	LL_PREPEND(box->waiters, w);
}

static void answer(struct waiter *w, struct payload *p, struct outbox *box)
{
	box->payload = payload_ref(p);
	LL_PREPEND(box->waiters, w);
}

static void no_memory(struct entry *e, struct waiter *w, struct outbox *box)
{
	char name[128];

	err_set(&box->err, ENOMEM, "%s: get %s: out of memory", e->source->name,
		text_escaped(name, sizeof(name), e->key, e->name_len));
	LL_PREPEND(box->waiters, w);
}

static void answer_source_error(struct entry *e, struct waiter *w, struct outbox *box)
{
	source_error(e, &box->err);
	LL_PREPEND(box->waiters, w);
}

static void answer_entry_error(struct entry *e, struct waiter *w, struct outbox *box)
{
	if (e->error)
		err_set(&box->err, e->error_code, "%s", e->error);
	else
		err_errno(&box->err, e->error_code, "%s: get a secret", e->source->name);
	LL_PREPEND(box->waiters, w);
}

static bool is_started(const struct flight *f)
{
	return f->state != FLIGHT_NEW && f->state != FLIGHT_DELAYED && f->state != FLIGHT_GATHERED;
}

/* Parks the waiter at a flight, which starts with him if nobody started it before, his user has a
 * token, and he does not come with many others. Of versions no source takes several at once. */
static int board(struct flight *f, struct waiter *w, struct outbox *box)
{
	bool started = is_started(f), gather = w->bulk && !f->nocache && !f->version, go = true;
	int r = attach(f, w);

	if (r == 0 && !started && !gather && rate_admit(w, box, &go) < 0) {
		detach(w);
		r = -ENOMEM;
	}
	if (r < 0)
		return r;
	if (w->mode == FETCH_REFRESH)
		f->asked = true;
	f->source->health.joined += started;
	if (started)
		flight_wanted(f, w, box);
	else if (gather)
		bulk_gather(f);
	else if (go)
		flight_launch(f, box);
	else if (f->state == FLIGHT_NEW)
		flight_delay(f);
	return 0;
}

/* Waits at the flight of the entry, which is made if there is none. */
static void join(struct entry *e, struct waiter *w, struct outbox *box)
{
	bool nocache = w->mode == FETCH_NOCACHE;
	struct flight *f = nocache ? NULL : e->flight;
	bool made = !f;

	if (made)
		f = flight_new(e, nocache);
	if (f && board(f, w, box) == 0)
		return;
	no_memory(e, w, box);
	if (f && made)
		flight_forget(f);
}

static void fetch_cached(struct entry *e, struct waiter *w, struct outbox *box)
{
	struct fresh_view v;
	enum fresh_verdict verdict;

	entry_view(e, clock_boot(), &v);
	verdict = fresh_decide(&v);
	if (verdict == FRESH_SERVE_REFRESH)
		flight_background(e, box);
	switch (verdict) {
	case FRESH_SERVE:
	case FRESH_SERVE_REFRESH:
		entry_touch(e);
		answer(w, e->payload, box);
		break;
	case FRESH_FAIL:
		answer_entry_error(e, w, box);
		break;
	case FRESH_FAIL_SOURCE:
		answer_source_error(e, w, box);
		break;
	case FRESH_FETCH:
		join(e, w, box);
		break;
	}
}

void store_fetch(struct store *s, struct entry *e, enum fetch_mode mode, struct waiter *w)
{
	struct outbox box = {0};

	store_lock(s); /* a cancel may come as soon as its owner shows the waiter to others */
	w->mode = mode;
	w->timer = (struct heap_node){.kind = TIMER_WAITER};
	w->prev = w->next = NULL;
	w->flight = NULL;
	w->bucket = NULL;
	if (e->source->detached) {
		err_set(&box.err, ENODEV, "%s: this source was closed", e->source->name);
		LL_PREPEND(box.waiters, w);
	} else if (mode == FETCH_CACHED) {
		fetch_cached(e, w, &box);
	} else {
		join(e, w, &box);
	}
	store_unlock(s);
	outbox_run(s, &box);
}

/* A reader went away without an answer. */
static void left(struct flight *f)
{
	if (f->waiters)
		return;
	if (f->state == FLIGHT_DELAYED || f->state == FLIGHT_GATHERED)
		flight_forget(f);
	else if (f->nocache)
		atomic_store(&f->cancelled, true);
}

void waiter_left(struct waiter *w)
{
	struct flight *f = w->flight;

	detach(w);
	left(f);
}

bool store_cancel(struct store *s, struct waiter *w)
{
	bool found;

	store_lock(s);
	found = w->flight;
	if (found)
		waiter_left(w);
	store_unlock(s);
	return found;
}

static void answer_late(const struct waiter *w, struct sfs_err *ret)
{
	const struct flight *f = w->flight;
	const struct source *src = f->source;
	char name[128];

	text_escaped(name, sizeof(name), f->name, strlen(f->name));
	if (w->bucket)
		err_set(ret, EBUSY,
			"%s: get %s: user %u opens files faster than open_rate=%u fetches a second "
			"and waited in vain for its turn; hydrate what is read often (secretfs "
			"hydrate), or raise open_rate",
			src->name, name, w->payer.uid, src->rate);
	else
		err_set(ret, ETIMEDOUT,
			"%s: get %s: no answer in time (timeout=%lld s); the fetch goes on",
			src->name, name, (long long)f->store->conf.timeout);
}

/* A value whose time is not over is better than no answer: a provider that does not answer is one
 * that cannot be reached, and one that is not asked is no better. */
void waiter_due(struct waiter *w, struct outbox *box)
{
	struct flight *f = w->flight;
	struct entry *e = f->entry;
	bool delayed = w->bucket;

	answer_late(w, &box->err);
	f->source->health.delayed_out += delayed;
	if (!f->nocache && (delayed || f->seq >= e->floor))
		entry_set_error(
			e, &box->err); /* seen in .error; the flight's own end replaces it */
	if (delayed)		       /* a flight tells of its end itself; this one had none */
		outbox_event(box, e, STORE_ERROR, true);
	if (!f->nocache && e->payload && clock_boot() < entry_drop_at(e))
		box->stale = payload_ref(e->payload);
	waiter_take(w, box);
	left(f);
}
