/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches of many names that somebody waits for (waiter.bulk): a write to a control file.
 *
 * Flights that are not under way are gathered in their source. They start in groups, ahead of those
 * of hydration and counted with them, so that a provider is asked for several secrets in one call
 * and half of the threads stay free for readers. A reader who wants a gathered name does not wait
 * for the group: his flight starts at once, alone. Unlike hydration they do not wait while the
 * source backs off, because somebody waits for the answer; when it is down, they get its error.
 */
#include "core/store_priv.h"

#include <assert.h>

#define LINGER (50 * NSEC_PER_MSEC) /* of what was gathered without store_gather() */

void bulk_gather(struct flight *f)
{
	struct source *src = f->source;
	int64_t at = clock_boot() + LINGER;

	if (f->state == FLIGHT_GATHERED)
		return;
	flight_gather(f);
	if (!src->timer.index || src->timer.when > at)
		timer_set(src->store, &src->timer, at);
}

static bool has_room(const struct source *src)
{
	unsigned batch = src->limits.batch;

	return (src->bulk + batch - 1) / batch < src->limits.bulk;
}

/* As fresh_decide() would have said, had it been asked now. */
static bool is_hopeless(const struct flight *f)
{
	const struct source *src = f->source;

	return !f->asked && src->fails >= FRESH_SOURCE_DOWN &&
	       clock_boot() < src->health.backoff_until;
}

static void start_group(struct source *src, struct outbox *box)
{
	uint64_t group = src->limits.batch > 1 ? ++src->store->groups : 0;

	for (unsigned i = 0; i < src->limits.batch && src->gathered; i++) {
		struct flight *f = src->gathered;

		f->bulk = true;
		f->group = group;
		flight_launch(f, box);
	}
}

static bool is_short(struct source *src)
{
	unsigned batch = src->limits.batch, there = 0;
	const struct flight *f;

	for (f = src->gathered; f && there < batch; f = f->next)
		there++;
	return bulk_waits(src, batch, there);
}

bool bulk_waits(struct source *src, unsigned n, unsigned there)
{
	if (!src->store->gathering || there >= n)
		return false;
	src->waits = true;
	return true;
}

bool bulk_pump(struct source *src, struct outbox *box)
{
	while (src->gathered && has_room(src) && !is_short(src)) {
		if (is_hopeless(src->gathered)) { /* one outbox carries one error */
			timer_set(src->store, &src->timer, clock_boot());
			return true;
		}
		start_group(src, box);
	}
	return false;
}

bool bulk_give_up(struct source *src, struct outbox *box)
{
	struct flight *f = src->gathered;
	struct sfs_err err;

	if (!f || !is_hopeless(f))
		return false;
	source_error(f->entry, &err);
	flight_refuse(f, &err, box);
	return true;
}

void store_gather(struct store *s)
{
	store_lock(s);
	s->gathering++;
	store_unlock(s);
}

void store_start_bulk(struct store *s)
{
	struct outbox box = {0};
	struct source *src;

	store_lock(s);
	assert(s->gathering > 0);
	s->gathering--;
	DL_FOREACH (s->sources, src)
		if (src->gathered || src->waits) {
			src->waits = false;
			kept_pump(src, &box);
		}
	store_unlock(s);
	outbox_run(s, &box);
}

bool store_recall(struct store *s, struct waiter *w)
{
	bool found;

	store_lock(s);
	found = w->flight && w->flight->state == FLIGHT_GATHERED;
	if (found)
		waiter_left(w);
	store_unlock(s);
	return found;
}
