/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "core/pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

struct task {
	struct job job;
	sem_t started, go, ended;
	bool dropped;
	sigset_t blocked;
};

static void task_run(struct job *j)
{
	struct task *t = (struct task *)j;

	pthread_sigmask(SIG_SETMASK, NULL, &t->blocked);
	sem_post(&t->started);
	sem_wait(&t->go);
	sem_post(&t->ended);
}

static void task_drop(struct job *j)
{
	((struct task *)j)->dropped = true;
}

static void task_init(struct task *t)
{
	t->job = (struct job){.run = task_run, .drop = task_drop};
	t->dropped = false;
	sem_init(&t->started, 0, 0);
	sem_init(&t->go, 0, 0);
	sem_init(&t->ended, 0, 0);
}

static struct pool *open_pool(unsigned threads, size_t queue)
{
	struct pool *p = NULL;

	cr_assert_eq(pool_new("test", threads, queue, &p), 0);
	return p;
}

static void close_pool(struct pool *p)
{
	cr_assert(pool_stop(p, INT64_C(60000000000)));
	pool_free(p);
}

Test(pool, no_job_no_thread)
{
	struct pool *p = open_pool(3, 3);
	unsigned threads;
	size_t queued;

	pool_count(p, &threads, &queued);
	cr_assert(threads == 0 && queued == 0);
	close_pool(p);
}

Test(pool, runs_up_to_its_threads_and_queues_the_rest)
{
	struct pool *p = open_pool(2, 10);
	static struct task v[4];
	unsigned threads;
	size_t queued;

	for (int i = 0; i < 4; i++) {
		task_init(&v[i]);
		cr_assert_eq(pool_push(p, &v[i].job), 0);
	}
	sem_wait(&v[0].started);
	sem_wait(&v[1].started);
	pool_count(p, &threads, &queued);
	cr_assert(threads == 2 && queued == 2);
	for (int i = 0; i < 4; i++)
		sem_post(&v[i].go);
	for (int i = 0; i < 4; i++)
		sem_wait(&v[i].ended);
	close_pool(p);
	cr_assert_not(v[3].dropped);
}

Test(pool, r65_a_full_queue_is_ebusy_at_once)
{
	struct pool *p = open_pool(1, 2);
	static struct task v[4];

	for (int i = 0; i < 4; i++)
		task_init(&v[i]);
	cr_assert_eq(pool_push(p, &v[0].job), 0);
	sem_wait(&v[0].started);
	cr_assert_eq(pool_push(p, &v[1].job), 0);
	cr_assert_eq(pool_push(p, &v[2].job), 0);
	cr_assert_eq(pool_push(p, &v[3].job), -EBUSY);
	for (int i = 0; i < 3; i++)
		sem_post(&v[i].go);
	sem_wait(&v[2].ended);
	close_pool(p);
	cr_assert_not(v[3].dropped, "a refused job stays its owner's");
}

Test(pool, stop_drops_what_is_queued)
{
	struct pool *p = open_pool(1, 2);
	static struct task v[2], late;

	task_init(&v[0]);
	task_init(&v[1]);
	task_init(&late);
	cr_assert_eq(pool_push(p, &v[0].job), 0);
	sem_wait(&v[0].started);
	cr_assert_eq(pool_push(p, &v[1].job), 0);
	sem_post(&v[0].go);
	sem_wait(&v[0].ended);
	sem_post(&v[1].go); /* it may have been started meanwhile */
	cr_assert(pool_stop(p, INT64_C(60000000000)));
	cr_assert(v[1].dropped || sem_trywait(&v[1].ended) == 0, "neither run nor dropped");
	cr_assert_eq(pool_push(p, &late.job), -ESHUTDOWN);
	pool_free(p);
}

Test(pool, stop_does_not_wait_for_a_stuck_job)
{
	static struct pool *p; /* stays: it is left behind */
	static struct task stuck, queued;

	p = open_pool(1, 2);
	task_init(&stuck);
	task_init(&queued);
	cr_assert_eq(pool_push(p, &stuck.job), 0);
	sem_wait(&stuck.started);
	cr_assert_eq(pool_push(p, &queued.job), 0);
	cr_assert_not(pool_stop(p, 1000000));
	cr_assert(queued.dropped);
	sem_post(&stuck.go); /* the thread ends in its own time, the pool stays */
	sem_wait(&stuck.ended);
}

Test(pool, threads_take_no_signals)
{
	struct pool *p = open_pool(1, 1);
	static struct task t;

	task_init(&t);
	cr_assert_eq(pool_push(p, &t.job), 0);
	sem_post(&t.go);
	sem_wait(&t.ended);
	cr_assert(sigismember(&t.blocked, SIGTERM) && sigismember(&t.blocked, SIGHUP));
	close_pool(p);
	pthread_sigmask(SIG_SETMASK, NULL, &t.blocked);
	cr_assert_not(sigismember(&t.blocked, SIGTERM), "the caller's mask is as before");
}

Test(pool, no_memory)
{
	struct pool *p = (struct pool *)&p;

	alloc_fail_at(1);
	cr_assert_eq(pool_new("test", 1, 1, &p), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq(p, (struct pool *)&p, "untouched");
}
