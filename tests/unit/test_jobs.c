/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/jobs.h"

#include "base/alloc.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#define N 1000

struct numbered {
	struct job job; /* first */
	int number;
};

static int seen[N];
static size_t nseen;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void note(struct job *j)
{
	seen[nseen++] = ((struct numbered *)j)->number;
	mem_free(j);
}

static void wait_at_gate(struct job *j)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	mem_free(j);
}

static void push(struct jobs *q, void (*run)(struct job *j), int number)
{
	struct numbered *n = mem_calloc(1, sizeof(*n));
	n->job.run = run;
	n->number = number;
	jobs_push(q, &n->job);
}

Test(jobs, are_carried_out_in_order_and_all_of_them_before_the_end)
{
	struct jobs *q;
	cr_assert_eq(jobs_new(&q), 0);
	pthread_mutex_lock(&gate);
	push(q, wait_at_gate, 0);
	for (int i = 0; i < N; i++)
		push(q, note, i);
	cr_assert_geq(jobs_waiting(q), N, "the first one blocks them");
	pthread_mutex_unlock(&gate);
	jobs_free(q);
	cr_assert_eq(nseen, N);
	for (int i = 0; i < N; i++)
		cr_assert_eq(seen[i], i);
}

Test(jobs, without_memory_there_is_no_queue)
{
	struct jobs *q = (void *)&nseen;
	alloc_fail_at(1);
	cr_assert_eq(jobs_new(&q), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq(q, (void *)&nseen, "untouched");
	jobs_free(NULL);
}
