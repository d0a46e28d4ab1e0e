/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads at one store; meant for ThreadSanitizer (R70). The clock is the real one, its timer
 * thread runs. */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/pool.h"
#include "core/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 64
#define ROUNDS	400
#define NAMES	8

static struct store *store;
static struct source *src;
static struct pool *pool;
static struct entry *entries[NAMES];
static atomic_uint gets, events;
static atomic_uint wrong; /* what threads found; asserted by the test's own */
static atomic_bool failing;
static sem_t gate; /* when `gated`, each get waits for it */
static bool gated;

struct get_job {
	struct job job;
	struct flight *f;
};

static void get_run(struct job *j)
{
	struct flight *f = ((struct get_job *)j)->f;
	unsigned n = atomic_fetch_add(&gets, 1);
	struct sfs_err err;
	struct payload *p;

	mem_free(j);
	if (gated)
		sem_wait(&gate);
	if (atomic_load(&failing) || (!gated && n % 13 == 0)) {
		err_set(&err, n % 2 ? ENOENT : ETIMEDOUT, "failed on purpose");
		flight_done(f, NULL, &err);
		return;
	}
	p = payload_new();
	payload_add(p, NULL, secret_new(flight_name(f), strlen(flight_name(f))));
	flight_done(f, p, NULL);
}

static void get_drop(struct job *j)
{
	struct flight *f = ((struct get_job *)j)->f;
	struct sfs_err err;

	mem_free(j);
	err_set(&err, ENODEV, "closed");
	flight_done(f, NULL, &err);
}

static int start(void *arg, struct flight *f, struct sfs_err *err)
{
	struct get_job *j = mem_calloc(1, sizeof(*j));

	(void)arg;
	j->job = (struct job){.run = get_run, .drop = get_drop};
	j->f = f;
	if (pool_push(pool, &j->job) == 0)
		return 0;
	mem_free(j);
	return err_set(err, EBUSY, "busy");
}

static const struct source_ops ops = {.start = start};

static void on_event(void *arg, struct entry *e, enum store_event ev, const struct sfs_err *err)
{
	(void)arg;
	(void)ev;
	(void)err;
	wrong += entry_user(e) != NULL;
	events++;
}

static void set_up(void)
{
	struct store_config conf = {
		.cache_bytes = 64, .negative_ttl = 0, .timeout = 60, .event = on_event};
	struct entry_policy pol = {.ttl = 300, .stale = 300};
	char name[32];

	sem_init(&gate, 0, 0);
	cr_assert_eq(store_new(&conf, &store), 0);
	cr_assert_eq(source_new(store, "test", &ops, NULL, &src), 0);
	cr_assert_eq(pool_new("get", 4, 65536, &pool), 0);
	cr_assert_eq(store_start_timer(store), 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name-number-%d", i);
		entries[i] = store_entry(store, src, name, NULL, &pol);
	}
}

static void tear_down(void)
{
	cr_assert_eq(atomic_load(&wrong), 0u);
	for (int i = 0; i < NAMES; i++)
		entry_unref(entries[i]);
	source_detach(src);
	cr_assert(pool_stop(pool, 60 * NSEC_PER_SEC));
	pool_free(pool);
	source_unref(src);
	store_free(store);
}

struct request {
	struct waiter w;
	sem_t done;
	atomic_uint calls;
	const char *name;
	int code;
};

static void request_done(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	struct request *r = (struct request *)w;

	if (p)
		wrong += memcmp(secret_bytes(p->parts[0].bytes), r->name, strlen(r->name)) != 0;
	r->code = err ? err->code : 0;
	atomic_fetch_add(&r->calls, 1);
	sem_post(&r->done);
}

static void request_init(struct request *r, struct entry *e)
{
	memset(r, 0, sizeof(*r));
	sem_init(&r->done, 0, 0);
	r->name = entry_name(e);
	r->w.done = request_done;
	r->w.deadline = CLOCK_NEVER;
}

static int nothing(void *arg, struct entry *e)
{
	struct entry_info info;

	(void)arg;
	entry_info(e, &info);
	return 0;
}

static void disturb(struct entry *e, unsigned what)
{
	struct source_health h;
	struct payload *p;

	switch (what % 8) {
	case 0:
		store_purge(store, e);
		break;
	case 1:
		store_changed(store, e);
		break;
	case 2:
		entry_set_ttl(e, what % 3 ? 300 : 0);
		break;
	case 3:
		store_make_room(store, 16);
		break;
	case 4:
		store_each(store, nothing, NULL);
		break;
	case 5:
		source_health(src, &h);
		break;
	default:
		p = entry_peek(e);
		payload_unref(p);
		break;
	}
}

static void *reader_main(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct entry *e = entries[rand_r(&seed) % NAMES];
		static const enum fetch_mode modes[] = {
			FETCH_CACHED, FETCH_CACHED, FETCH_REFRESH, FETCH_NOCACHE};
		struct request r;

		request_init(&r, e);
		if (rand_r(&seed) % 4 == 0)
			r.w.deadline = clock_boot() + (int64_t)(rand_r(&seed) % 1000) * 1000;
		store_fetch(store, e, modes[rand_r(&seed) % 4], &r.w);
		/* True XOR done is called: otherwise this waits for ever, or is woken from a dead
		 * stack. */
		if (rand_r(&seed) % 5 || !store_cancel(store, &r.w))
			sem_wait(&r.done);
		else
			wrong += r.calls != 0;
		if (rand_r(&seed) % 3 == 0)
			disturb(e, (unsigned)rand_r(&seed));
	}
	return NULL;
}

Test(threads, r70_sixty_four_of_them)
{
	pthread_t t[THREADS];
	size_t bytes, values;
	uint64_t evicted;

	set_up();
	for (uintptr_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, reader_main, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	store_totals(store, &bytes, &values, &evicted);
	cr_assert_leq(bytes, 64u);
	cr_assert_gt(atomic_load(&events), 0u);
	tear_down();
}

#define CROWD 1000

static struct request crowd[CROWD];

static void *crowd_main(void *arg)
{
	struct request *r = arg;

	store_fetch(store, entries[0], FETCH_CACHED, &r->w);
	return NULL;
}

/* A thousand readers at once; the one get is held until all have asked. */
static void run_crowd(void)
{
	pthread_t t[CROWD];
	struct source_health h;
	unsigned threads;
	size_t queued;

	for (int i = 0; i < CROWD; i++)
		request_init(&crowd[i], entries[0]);
	for (int i = 0; i < CROWD; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, crowd_main, &crowd[i]), 0);
	for (int i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	pool_count(pool, &threads, &queued);
	cr_assert_leq(threads, 4u, "R29: parked readers cost no thread");
	sem_post(&gate);
	for (int i = 0; i < CROWD; i++)
		sem_wait(&crowd[i].done);
	source_health(src, &h);
	cr_assert_eq(h.fetches, 1u);
	cr_assert_eq(h.joined, CROWD - 1u);
	cr_assert_eq(h.failures, atomic_load(&failing) ? 1u : 0u);
	cr_assert_eq(atomic_load(&gets), 1u);
}

Test(threads, r60_a_thousand_readers_one_fetch)
{
	set_up();
	gated = true;
	run_crowd();
	for (int i = 0; i < CROWD; i++)
		cr_assert_eq(crowd[i].code, 0);
	tear_down();
}

Test(threads, r60_a_thousand_readers_one_failure)
{
	set_up();
	gated = true;
	failing = true;
	run_crowd();
	for (int i = 0; i < CROWD; i++)
		cr_assert(crowd[i].code == ENOENT || crowd[i].code == ETIMEDOUT);
	tear_down();
}

static void on_timeout(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	struct request *r = (struct request *)w;

	(void)p;
	r->code = err ? err->code : 0;
	sem_post(&r->done);
}

/* The timer thread wakes for a deadline that is nearer than the one it sleeps for. */
Test(threads, the_timer_thread_ends_waiters)
{
	struct request r;

	set_up();
	gated = true;
	request_init(&r, entries[0]);
	r.w.done = on_timeout;
	r.w.deadline = clock_boot() + 1000000;
	store_fetch(store, entries[0], FETCH_CACHED, &r.w);
	sem_wait(&r.done);
	cr_assert_eq(r.code, ETIMEDOUT);
	sem_post(&gate);
	tear_down();
}
