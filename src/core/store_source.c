/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store_priv.h"

#include "base/text.h"
#include <assert.h>
#include <errno.h>

static void free_source(struct source *src)
{
	pthread_cond_destroy(&src->idle);
	mem_free(src->name);
	mem_free(src);
}

int source_new(struct store *s, const char *name, const struct source_ops *ops, void *arg,
	struct source **ret)
{
	struct source *src = mem_calloc(1, sizeof(*src));

	if (!src)
		return -ENOMEM;
	src->name = mem_strdup(name);
	if (!src->name) {
		mem_free(src);
		return -ENOMEM;
	}
	pthread_cond_init(&src->idle, NULL);
	src->store = s;
	src->ops = ops;
	src->arg = arg;
	src->refs = 1;
	src->limits = (struct source_limits){
		.bulk = STORE_BACKGROUND_MAX, .batch = 1, .background = STORE_BACKGROUND_MAX};
	src->timer.kind = TIMER_SOURCE;
	store_lock(s);
	int r = heap_reserve(&s->timers);
	if (r == 0)
		DL_APPEND(s->sources, src);
	store_unlock(s);
	if (r < 0) {
		free_source(src);
		return r;
	}
	*ret = src;
	return 0;
}

void source_release(struct source *src)
{
	assert(src->refs > 0);
	if (--src->refs > 0)
		return;
	rate_clear(src);
	heap_remove(&src->store->timers, &src->timer);
	heap_unreserve(&src->store->timers);
	DL_DELETE(src->store->sources, src);
	free_source(src);
}

void source_unref(struct source *src)
{
	struct store *s;

	if (!src)
		return;
	s = src->store;
	store_lock(s);
	source_release(src);
	store_unlock(s);
}

/* Ends one flight of the source, whatever it is doing. False when there is none. */
static bool end_one(struct source *src, const struct sfs_err *err)
{
	struct store *s = src->store;
	struct outbox box = {0};
	struct flight *f;

	store_lock(s);
	f = src->running   ? src->running
	    : src->queued  ? src->queued
	    : src->blocked ? src->blocked
	    : src->delayed ? src->delayed
			   : src->gathered;
	if (f && f->state == FLIGHT_RUNNING)
		flight_abandon(f, err, &box);
	else if (f)
		flight_refuse(f, err, &box);
	store_unlock(s);
	outbox_run(s, &box);
	return f;
}

static bool drop_one(struct source *src)
{
	struct store *s = src->store;
	struct outbox box = {0};
	struct entry *e;

	store_lock(s);
	DL_FOREACH (s->lru, e)
		if (e->source == src)
			break;
	if (e) {
		e->refs++;
		entry_drop(e, &box);
		entry_release(e);
	}
	store_unlock(s);
	outbox_run(s, &box);
	return e;
}

void source_detach(struct source *src)
{
	struct store *s = src->store;
	struct sfs_err err;

	err_set(&err, ENODEV, "%s: this source was closed", src->name);
	store_lock(s);
	src->detached = true;
	kept_detach(src);
	while (src->starting > 0)
		pthread_cond_wait(&src->idle, &s->lock);
	store_unlock(s);
	while (end_one(src, &err))
		;
	while (drop_one(src))
		;
}

/* The provider gave an answer, if only "no": it is there. */
void source_answered(struct source *src)
{
	src->fails = 0;
	src->health.backoff_until = 0;
}

/* "There is none" is a good answer: who asks for what does not exist must not make the source look
 * ill. */
void source_failed(struct source *src, const struct sfs_err *err)
{
	src->health.failures++;
	if (err->code == ENOENT) {
		source_answered(src);
		src->health.last_ok_wall = clock_wall();
		return;
	}
	src->health.last_error_wall = clock_wall();
	src->health.last_error = *err;
	if (!err_transient(err)) {
		source_answered(src);
	} else if (fresh_blames_source(err->code)) {
		uint64_t limit;

		src->fails++;
		limit = (uint64_t)fresh_backoff(src->fails);
		src->health.backoff_until = clock_boot() + (int64_t)random_below(limit + 1);
	}
}

/* The source's sentence is about the name that failed last; this one names the reader's. */
void source_error(const struct entry *e, struct sfs_err *ret)
{
	const struct source *src = e->source;
	char name[128];

	err_set(ret, src->health.last_error.code,
		"%s: get %s: not tried, the source failed %u times in a row; the last: %s",
		src->name, text_escaped(name, sizeof(name), e->key, e->name_len), src->fails,
		src->health.last_error.msg);
}

void source_health(const struct source *src, struct source_health *ret)
{
	store_lock(src->store);
	*ret = src->health;
	store_unlock(src->store);
}
