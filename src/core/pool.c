/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <utlist.h>

#define POOL_STACK ((size_t)512 * 1024) /* TLS handshakes are made in it */
#define POOL_NAME  16			/* of the kernel's thread names */

struct worker {
	struct pool *pool;
	pthread_t thread;
	bool ended;
	bool busy; /* with a job of `lane` */
	bool owes; /* it pushed a job itself, woke nobody, and looks for one after its own */
	uint32_t lane;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a job, or stopping */
	pthread_cond_t ended; /* a thread */
	struct job *lanes;    /* the first job of each lane that has one; the next turn first */
	size_t queued, max_queue;
	unsigned n, alive, idle, max;
	unsigned share; /* of the threads, for one lane */
	bool stopping;
	char name[POOL_NAME];
	struct worker workers[];
};

int pool_new(const char *name, unsigned max_threads, size_t max_queue, struct pool **ret)
{
	struct pool *p = mem_calloc(1, sizeof(*p) + max_threads * sizeof(p->workers[0]));
	pthread_condattr_t attr;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->ended, &attr);
	pthread_condattr_destroy(&attr);
	p->max = max_threads;
	p->share = POOL_SHARE(max_threads);
	p->max_queue = max_queue;
	snprintf(p->name, sizeof(p->name), "%s", name);
	*ret = p;
	return 0;
}

static _Thread_local struct worker *self; /* NULL in threads of others */

/* --- lanes --- */

static struct job *lane_first(const struct pool *p, uint32_t lane)
{
	struct job *j;

	DL_FOREACH2(p->lanes, j, lane_next)
	if (j->lane == lane)
		return j;
	return NULL;
}

static void lane_append(struct pool *p, struct job *j)
{
	struct job *first = lane_first(p, j->lane);

	j->place = first ? first->prev->place + 1 : 0; /* utlist: prev of the first is the last */
	j->queued = true;
	if (first) {
		DL_APPEND(first, j);
		return;
	}
	DL_APPEND(first, j); /* alone */
	DL_APPEND2(p->lanes, j, lane_prev, lane_next);
}

/* `again`: the lane goes to the end of the turns. */
static void lane_remove(struct pool *p, struct job *j, bool again)
{
	struct job *first = lane_first(p, j->lane), *old = first;

	DL_DELETE(first, j);
	j->queued = false;
	if (old != j)
		return;
	if (first && !again) {
		DL_PREPEND_ELEM2(p->lanes, old, first, lane_prev, lane_next);
	} else if (first) {
		DL_APPEND2(p->lanes, first, lane_prev, lane_next);
	}
	DL_DELETE2(p->lanes, old, lane_prev, lane_next);
}

static bool may_run(const struct pool *p, uint32_t lane)
{
	unsigned running = 0;

	for (unsigned i = 0; i < p->n; i++)
		running += p->workers[i].busy && p->workers[i].lane == lane;
	return running < p->share;
}

/* The job whose turn it is, or NULL. Every event that makes one of them the first that may run
 * wakes a thread or is in one: a push, a join, the end of a job. */
static struct job *turn(const struct pool *p)
{
	struct job *j;

	DL_FOREACH2(p->lanes, j, lane_next)
	if (may_run(p, j->lane))
		return j;
	return NULL;
}

/* The next job, or NULL to end. */
static struct job *next_job(struct pool *p)
{
	struct job *j = NULL;

	while (!p->stopping && !(j = turn(p))) {
		p->idle++;
		pthread_cond_wait(&p->work, &p->lock);
		p->idle--;
	}
	if (p->stopping)
		return NULL;
	lane_remove(p, j, true);
	p->queued--;
	return j;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	struct job *j;

	pthread_setname_np(pthread_self(), p->name);
	self = w;
	pthread_mutex_lock(&p->lock);
	while ((j = next_job(p))) {
		w->busy = true;
		w->lane = j->lane;
		pthread_mutex_unlock(&p->lock);
		j->run(j);
		pthread_mutex_lock(&p->lock);
		w->busy = w->owes = false;
	}
	w->ended = true;
	p->alive--;
	pthread_cond_broadcast(&p->ended);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int add_worker(struct pool *p)
{
	struct worker *w = &p->workers[p->n];
	int r;

	w->pool = p;
	r = thread_start(&w->thread, POOL_STACK, worker_main, w);
	if (r < 0)
		return r;
	p->n++;
	p->alive++;
	return 0;
}

/* The end of a fetch starts the next one: the thread that was busy with it takes that, and waking
 * another would cost more than many a fetch. */
static bool takes_it_itself(const struct pool *p)
{
	return self && self->pool == p && !self->owes;
}

static int check_push(struct pool *p)
{
	if (p->stopping)
		return -ESHUTDOWN;
	if (p->queued >= p->max_queue)
		return -EBUSY;
	/* Every idle thread is about to take one of the jobs queued already, or waits for another
	 * lane: then so does the thread started here. */
	if (!takes_it_itself(p) && p->queued + 1 > p->idle && p->n < p->max && add_worker(p) < 0 &&
		p->n == 0)
		return -EAGAIN;
	return 0;
}

int pool_push(struct pool *p, struct job *j)
{
	bool wake = !takes_it_itself(p);
	int r;

	pthread_mutex_lock(&p->lock);
	r = check_push(p);
	if (r == 0) {
		lane_append(p, j);
		p->queued++;
		if (!wake)
			self->owes = true;
	}
	pthread_mutex_unlock(&p->lock);
	if (r == 0 && wake) /* without the lock, which the other thread wants at once */
		pthread_cond_signal(&p->work);
	return r;
}

void pool_busy(struct pool *p)
{
	if (!self || self->pool != p || !self->owes)
		return;
	pthread_mutex_lock(&p->lock);
	self->owes = false;
	if (p->queued > p->idle && p->n < p->max)
		add_worker(p); /* if there is no memory for one, the others have it in their turn */
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

void pool_join(struct pool *p, struct job *j, uint32_t lane)
{
	struct job *mine, *other;

	pthread_mutex_lock(&p->lock);
	if (j->queued && j->lane != lane) {
		mine = lane_first(p, j->lane);
		other = lane_first(p, lane);
		/* How many are before it at most, here and there. */
		if (j->place - mine->place > (other ? other->prev->place + 1 - other->place : 0)) {
			lane_remove(p, j, false);
			j->lane = lane;
			lane_append(p, j);
			pthread_cond_signal(&p->work); /* there it may run */
		}
	}
	pthread_mutex_unlock(&p->lock);
}

/* All that is queued, chained by next. */
static struct job *take_queue(struct pool *p)
{
	struct job *all = NULL, *j;

	while ((j = p->lanes)) {
		lane_remove(p, j, true);
		LL_PREPEND(all, j);
	}
	p->queued = 0;
	return all;
}

static void drop_all(struct job *j)
{
	while (j) {
		struct job *next = j->next;

		j->drop(j);
		j = next;
	}
}

static void wait_ended(struct pool *p, int64_t wait)
{
	struct timespec t;
	int64_t until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &t);
	until = t.tv_sec * NSEC_PER_SEC + t.tv_nsec + wait;
	t.tv_sec = until / NSEC_PER_SEC;
	t.tv_nsec = until % NSEC_PER_SEC;
	while (p->alive > 0 && r == 0)
		r = pthread_cond_timedwait(&p->ended, &p->lock, &t);
}

bool pool_stop(struct pool *p, int64_t wait)
{
	struct job *queue;
	bool all;

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	queue = take_queue(p);
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	drop_all(queue);

	pthread_mutex_lock(&p->lock);
	wait_ended(p, wait);
	all = p->alive == 0;
	for (unsigned i = 0; i < p->n; i++)
		if (!p->workers[i].ended)
			pthread_detach(p->workers[i].thread);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; all && i < p->n; i++)
		pthread_join(p->workers[i].thread, NULL);
	return all;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	assert(p->alive == 0 && !p->lanes);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
}

void pool_count(struct pool *p, unsigned *ret_threads, size_t *ret_queued)
{
	pthread_mutex_lock(&p->lock);
	*ret_threads = p->alive;
	*ret_queued = p->queued;
	pthread_mutex_unlock(&p->lock);
}
