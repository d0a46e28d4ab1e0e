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

#define POOL_STACK ((size_t)256 * 1024)
#define POOL_NAME  16 /* of the kernel's thread names */

struct worker {
	struct pool *pool;
	pthread_t thread;
	bool ended;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a job, or stopping */
	pthread_cond_t ended; /* a thread */
	struct job *head, **tail;
	size_t queued, max_queue;
	unsigned n, alive, idle, max;
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
	p->tail = &p->head;
	p->max = max_threads;
	p->max_queue = max_queue;
	snprintf(p->name, sizeof(p->name), "%s", name);
	*ret = p;
	return 0;
}

/* The next job, or NULL to end. */
static struct job *next_job(struct pool *p)
{
	struct job *j;

	while (!p->head && !p->stopping) {
		p->idle++;
		pthread_cond_wait(&p->work, &p->lock);
		p->idle--;
	}
	if (p->stopping)
		return NULL;
	j = p->head;
	p->head = j->next;
	if (!p->head)
		p->tail = &p->head;
	p->queued--;
	return j;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	struct job *j;

	pthread_setname_np(pthread_self(), p->name);
	pthread_mutex_lock(&p->lock);
	while ((j = next_job(p))) {
		pthread_mutex_unlock(&p->lock);
		j->run(j);
		pthread_mutex_lock(&p->lock);
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

static int check_push(struct pool *p)
{
	if (p->stopping)
		return -ESHUTDOWN;
	if (p->queued >= p->max_queue)
		return -EBUSY;
	/* Every idle thread is about to take one of the jobs queued already. */
	if (p->queued + 1 > p->idle && p->n < p->max && add_worker(p) < 0 && p->n == 0)
		return -EAGAIN;
	return 0;
}

int pool_push(struct pool *p, struct job *j)
{
	int r;

	pthread_mutex_lock(&p->lock);
	r = check_push(p);
	if (r == 0) {
		j->next = NULL;
		*p->tail = j;
		p->tail = &j->next;
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static struct job *take_queue(struct pool *p)
{
	struct job *j = p->head;

	p->head = NULL;
	p->tail = &p->head;
	p->queued = 0;
	return j;
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
	assert(p->alive == 0 && !p->head);
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
