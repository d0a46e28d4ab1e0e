/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/jobs.h"

#include "base/alloc.h"
#include <errno.h>
#include <pthread.h>
#include <utlist.h>

struct jobs {
	pthread_mutex_t lock; /* protects what follows; nothing is called under it */
	pthread_cond_t wake;
	struct job *queue;
	size_t n;
	bool stop;
	pthread_t thread;
};

static void *jobs_run(void *arg)
{
	struct jobs *q = arg;
	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct job *j;
		while (!q->queue && !q->stop)
			pthread_cond_wait(&q->wake, &q->lock);
		if (!(j = q->queue))
			break;
		DL_DELETE(q->queue, j);
		q->n--;
		pthread_mutex_unlock(&q->lock);
		j->run(j);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static void destroy(struct jobs *q)
{
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	mem_free(q);
}

int jobs_new(struct jobs **ret)
{
	struct jobs *q = mem_calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	int r = pthread_create(&q->thread, NULL, jobs_run, q);
	if (r) {
		destroy(q);
		return -r;
	}
	*ret = q;
	return 0;
}

void jobs_push(struct jobs *q, struct job *j)
{
	pthread_mutex_lock(&q->lock);
	DL_APPEND(q->queue, j);
	q->n++;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
}

size_t jobs_waiting(struct jobs *q)
{
	pthread_mutex_lock(&q->lock);
	size_t n = q->n;
	pthread_mutex_unlock(&q->lock);
	return n;
}

void jobs_free(struct jobs *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
	pthread_join(q->thread, NULL);
	destroy(q);
}
