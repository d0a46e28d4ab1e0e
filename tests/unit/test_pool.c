/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "core/pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
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

/* --- lanes --- */

static char order[16];
static size_t norder;

static void note_run(struct job *j)
{
	order[norder++] = *(const char *)(j + 1);
}

static struct named {
	struct job job;
	char name;
} jobs[16];

static void queue(struct pool *p, size_t i, char name, uint32_t lane)
{
	jobs[i] = (struct named){{.run = note_run, .lane = lane}, name};
	cr_assert_eq(pool_push(p, &jobs[i].job), 0);
}

/* One thread that is kept busy until run_queue(). */
static struct pool *open_busy(struct task *t)
{
	struct pool *p = open_pool(1, 100);

	task_init(t);
	cr_assert_eq(pool_push(p, &t->job), 0);
	sem_wait(&t->started);
	return p;
}

/* Lets all of it run, one after the other. */
static void run_queue(struct pool *p, struct task *busy)
{
	unsigned threads;
	size_t queued;

	sem_post(&busy->go);
	do {
		sched_yield();
		pool_count(p, &threads, &queued);
	} while (queued);
	close_pool(p);
}

Test(pool, lanes_take_turns)
{
	struct task busy;
	struct pool *p = open_busy(&busy);

	for (size_t i = 0; i < 5; i++)
		queue(p, i, (char)('a' + i), 1000);
	queue(p, 5, 'A', 0);
	queue(p, 6, 'B', 0);
	queue(p, 7, 'x', POOL_LANE_NONE);
	run_queue(p, &busy);
	cr_assert_str_eq(order, "aAxbBcde");
}

Test(pool, who_joins_a_job_takes_it_along_if_that_is_sooner)
{
	struct task busy;
	struct pool *p = open_busy(&busy);

	for (size_t i = 0; i < 5; i++)
		queue(p, i, (char)('a' + i), 1000);
	pool_join(p, &jobs[4].job, 0);
	pool_join(p, &jobs[3].job, 0);
	pool_join(p, &jobs[1].job, 0); /* it is second where it is, and would be third */
	pool_join(p, &jobs[4].job, 1000);
	pool_join(p, &jobs[0].job, 0);
	run_queue(p, &busy);
	cr_assert_str_eq(order, "aebdc");
}

Test(pool, the_first_of_a_lane_may_leave_it)
{
	struct task busy;
	struct pool *p = open_busy(&busy);

	queue(p, 0, 'a', 1);
	queue(p, 1, 'b', 1);
	queue(p, 2, 'c', 2);
	queue(p, 3, 'd', 2);
	pool_join(p, &jobs[3].job, 3);
	pool_join(p, &jobs[3].job, 4); /* no sooner */
	run_queue(p, &busy);
	cr_assert_str_eq(order, "acdb");
}

Test(pool, a_lane_leaves_threads_to_the_others)
{
	struct pool *p = open_pool(4, 10);
	static struct task v[6];

	for (int i = 0; i < 6; i++) {
		task_init(&v[i]);
		v[i].job.lane = i < 5 ? 1000 : 0;
	}
	for (int i = 0; i < 5; i++)
		cr_assert_eq(pool_push(p, &v[i].job), 0);
	for (int i = 0; i < POOL_SHARE(4); i++)
		sem_wait(&v[i].started);
	cr_assert_eq(pool_push(p, &v[5].job), 0);
	sem_wait(&v[5].started);
	sem_post(&v[5].go);
	sem_wait(&v[5].ended);
	cr_assert_neq(sem_trywait(&v[3].started), 0, "the free thread is not for that lane");
	pool_join(p, &v[4].job, 0);
	sem_wait(&v[4].started); /* in the other lane it is */
	for (int i = 0; i < 5; i++)
		sem_post(&v[i].go);
	for (int i = 0; i < 5; i++)
		sem_wait(&v[i].ended);
	close_pool(p);
}

/* --- nothing is left lying while threads are idle --- */

#define CROWD	    4
#define CROWD_JOBS  3000
#define CROWD_LANES 5

static struct crowd {
	struct pool *pool;
	struct job jobs[CROWD_JOBS];
	unsigned seed;
} crowd[CROWD];
static sem_t crowd_ran;

static void crowd_run(struct job *j)
{
	(void)j;
	sem_post(&crowd_ran);
}

/* Pushes into any lane, and joins what may be queued still, by anybody's lane. */
static void *crowd_push(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; i < CROWD_JOBS; i++) {
		unsigned r = (unsigned)rand_r(&c->seed);

		c->jobs[i] = (struct job){.run = crowd_run, .lane = r % CROWD_LANES};
		cr_assert_eq(pool_push(c->pool, &c->jobs[i]), 0);
		pool_join(c->pool, &c->jobs[i - r / 7 % (i + 1)], r / 100 % CROWD_LANES);
		if (r % 64 == 0)
			sched_yield(); /* so that threads become idle now and then */
	}
	return NULL;
}

Test(pool, every_job_runs_whatever_the_lanes, .timeout = 60)
{
	struct pool *p = open_pool(8, (size_t)CROWD * CROWD_JOBS);
	pthread_t t[CROWD];

	sem_init(&crowd_ran, 0, 0);
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i].pool = p;
		crowd[i].seed = i + 1;
		cr_assert_eq(pthread_create(&t[i], NULL, crowd_push, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < CROWD * CROWD_JOBS; i++)
		sem_wait(&crowd_ran);
	close_pool(p);
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

/* --- pushed from inside a job --- */

struct outer {
	struct task task;
	struct pool *pool;
	struct task *inner[2];
	bool busy;
};

static void outer_run(struct job *j)
{
	struct outer *o = (struct outer *)j;

	for (int i = 0; i < 2 && o->inner[i]; i++)
		cr_expect_eq(pool_push(o->pool, &o->inner[i]->job), 0);
	if (o->busy)
		pool_busy(o->pool);
	task_run(j);
}

static void outer_init(struct outer *o, struct pool *p, struct task *first, struct task *second)
{
	task_init(&o->task);
	o->task.job.run = outer_run;
	o->pool = p;
	o->inner[0] = first;
	o->inner[1] = second;
	o->busy = false;
	task_init(first);
	if (second)
		task_init(second);
}

Test(pool, what_a_job_pushes_runs_after_it_without_another_thread)
{
	struct pool *p = open_pool(4, 4);
	struct task inner;
	struct outer o;
	unsigned threads;
	size_t queued;

	outer_init(&o, p, &inner, NULL);
	cr_assert_eq(pool_push(p, &o.task.job), 0);
	sem_wait(&o.task.started);
	pool_count(p, &threads, &queued);
	cr_assert_eq(threads, 1);
	cr_assert_eq(queued, 1);
	sem_post(&o.task.go);
	sem_post(&inner.go);
	sem_wait(&inner.ended);
	pool_count(p, &threads, &queued);
	cr_assert_eq(threads, 1);
	cr_assert_eq(queued, 0);
	close_pool(p);
}

Test(pool, of_two_that_a_job_pushes_the_second_does_not_wait_for_it)
{
	struct pool *p = open_pool(4, 4);
	struct task first, second;
	struct outer o;

	outer_init(&o, p, &first, &second);
	sem_post(&first.go);
	sem_post(&second.go);
	cr_assert_eq(pool_push(p, &o.task.job), 0);
	sem_wait(&o.task.started);
	sem_wait(&first.ended); /* by the thread that was started for the second */
	sem_wait(&second.ended);
	sem_post(&o.task.go);
	close_pool(p);
}

/* Once where a thread is idle, once where it must be started. */
static void gives_away(unsigned before)
{
	struct pool *p = open_pool(2, 4);
	struct task inner, first[2];
	struct outer o;
	unsigned threads;
	size_t queued;

	for (unsigned i = 0; i < before; i++) {
		task_init(&first[i]);
		cr_assert_eq(pool_push(p, &first[i].job), 0);
		sem_wait(&first[i].started);
	}
	for (unsigned i = 0; i < before; i++) {
		sem_post(&first[i].go);
		sem_wait(&first[i].ended);
	}
	outer_init(&o, p, &inner, NULL);
	o.busy = true;
	cr_assert_eq(pool_push(p, &o.task.job), 0);
	sem_wait(&o.task.started);
	sem_wait(&inner.started); /* while the one that pushed it goes on */
	pool_count(p, &threads, &queued);
	cr_assert_eq(threads, 2);
	sem_post(&inner.go);
	sem_post(&o.task.go);
	close_pool(p);
}

Test(pool, a_job_that_goes_on_gives_what_it_pushed_to_another_thread)
{
	gives_away(2);
}

Test(pool, a_job_that_goes_on_has_another_thread_started)
{
	gives_away(0);
}

Test(pool, busy_means_nothing_to_other_threads)
{
	struct pool *p = open_pool(2, 2);

	pool_busy(p);
	close_pool(p);
}
