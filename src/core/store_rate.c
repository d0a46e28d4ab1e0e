/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many flights a second the readers of one user may start (R32): a program that greps the mount
 * is slowed down, and neither the provider nor anybody else pays for it.
 *
 * Each source has a bucket for each user who lately started a flight, SFS_RATE_UIDS at most: a new
 * one takes the place of the one that was not used for longest, which is full again unless so many
 * users are at work at once. When all have a queue the new user is not limited: the limit protects
 * against a scanner, not against thousands of accounts.
 */
#include "core/store_priv.h"

#include "base/limits.h"
#include <errno.h>
#include <stdio.h>

#define QUIET (60 * NSEC_PER_SEC) /* between two log lines about one user */

/* Boot time from which on a flight may start. */
static int64_t next_token(const struct bucket *b)
{
	uint32_t rate = b->source->rate;

	return rate ? b->full_at + NSEC_PER_SEC / rate - STORE_RATE_BURST : 0;
}

static bool take_token(struct bucket *b, int64_t now)
{
	uint32_t rate = b->source->rate;

	if (next_token(b) > now)
		return false;
	if (rate)
		b->full_at = (b->full_at > now ? b->full_at : now) + NSEC_PER_SEC / rate;
	return true;
}

static void arm(struct bucket *b)
{
	timer_set(b->source->store, &b->timer, b->queue ? next_token(b) : CLOCK_NEVER);
}

/* --- the buckets of a source --- */

static void bucket_free(struct bucket *b)
{
	struct source *src = b->source;

	heap_remove(&src->store->timers, &b->timer);
	heap_unreserve(&src->store->timers);
	DL_DELETE(src->buckets, b);
	src->nbuckets--;
	mem_free(b);
}

void rate_clear(struct source *src)
{
	while (src->buckets)
		bucket_free(src->buckets);
}

/* False: all of them are in use. */
static bool make_place(struct source *src)
{
	struct bucket *b = src->buckets ? src->buckets->prev : NULL; /* utlist: the tail */

	if (src->nbuckets < SFS_RATE_UIDS)
		return true;
	while (b && b->queue)
		b = b == src->buckets ? NULL : b->prev;
	if (b)
		bucket_free(b);
	return b;
}

static struct bucket *bucket_new(struct source *src, uint32_t uid)
{
	struct bucket *b = mem_calloc(1, sizeof(*b));

	if (b && heap_reserve(&src->store->timers) < 0) {
		mem_free(b);
		b = NULL;
	}
	if (!b)
		return NULL;
	b->source = src;
	b->uid = uid;
	b->timer.kind = TIMER_BUCKET;
	src->nbuckets++;
	return b;
}

/* The user's bucket, NULL without a limit for him; or -ENOMEM. */
static int bucket_of(struct source *src, struct payer payer, struct bucket **ret)
{
	struct bucket *b = NULL;

	if (src->rate && payer.limited)
		DL_FOREACH (src->buckets, b)
			if (b->uid == payer.uid)
				break;
	if (b)
		DL_DELETE(src->buckets, b);
	else if (src->rate && payer.limited && make_place(src) && !(b = bucket_new(src, payer.uid)))
		return -ENOMEM;
	if (b)
		DL_PREPEND(src->buckets, b);
	*ret = b;
	return 0;
}

void source_set_rate(struct source *src, uint32_t rate)
{
	struct bucket *b;

	store_lock(src->store);
	src->rate = rate;
	DL_FOREACH (src->buckets, b)
		arm(b);
	store_unlock(src->store);
}

/* --- the queue --- */

static void say(struct bucket *b, int64_t now, struct outbox *box)
{
	if (now < b->quiet_until)
		return;
	b->quiet_until = now + QUIET;
	snprintf(box->slowed, sizeof(box->slowed),
		"%.64s: user %u opens files faster than open_rate=%u fetches a second: further "
		"opens of this user wait; hydrate what is read often, or raise open_rate",
		b->source->name, b->uid, b->source->rate);
}

int rate_admit(struct waiter *w, struct outbox *box, bool *ret)
{
	struct source *src = w->flight->source;
	int64_t now = clock_boot();
	struct bucket *b;

	if (bucket_of(src, w->payer, &b) < 0)
		return -ENOMEM;
	*ret = !b || (!b->queue && take_token(b, now));
	if (*ret)
		return 0;
	if (!b->queue)
		say(b, now, box);
	DL_APPEND2(b->queue, w, queue_prev, queue_next);
	w->bucket = b;
	src->health.delayed++;
	src->health.waiting++;
	arm(b);
	return 0;
}

void rate_leave(struct waiter *w)
{
	struct bucket *b = w->bucket;

	if (!b)
		return;
	DL_DELETE2(b->queue, w, queue_prev, queue_next);
	w->bucket = NULL;
	b->source->health.waiting--;
	arm(b);
}

void rate_due(struct bucket *b, struct outbox *box)
{
	if (take_token(b, clock_boot()))
		flight_launch(b->queue->flight, box);
	arm(b);
}
