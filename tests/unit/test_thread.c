/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

struct seen {
	sigset_t mask;
	size_t stack;
};

static void *look(void *arg)
{
	struct seen *s = arg;
	pthread_attr_t attr;

	pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, &s->stack);
	pthread_attr_destroy(&attr);
	return arg;
}

Test(thread, takes_no_signals_and_the_caller_keeps_his)
{
	struct seen s;
	pthread_t t;
	sigset_t own;
	void *ret;

	cr_assert_eq(thread_start(&t, (size_t)512 * 1024, look, &s), 0);
	pthread_join(t, &ret);
	cr_assert_eq(ret, &s);
	cr_assert(sigismember(&s.mask, SIGTERM) && sigismember(&s.mask, SIGUSR1));
	/* a sanitizer adds what it needs itself */
	cr_assert(s.stack >= (size_t)512 * 1024 && s.stack < (size_t)4 << 20, "%zu", s.stack);
	pthread_sigmask(SIG_SETMASK, NULL, &own);
	cr_assert_not(sigismember(&own, SIGTERM));
}

Test(thread, without_a_size_the_stack_is_the_systems)
{
	struct seen s;
	pthread_t t;

	cr_assert_eq(thread_start(&t, 0, look, &s), 0);
	pthread_join(t, NULL);
	cr_assert_gt(s.stack, (size_t)1 << 20);
}

Test(thread, refused_is_an_error)
{
	struct seen s;
	pthread_t t;

	cr_assert_lt(thread_start(&t, (size_t)1 << 60, look, &s), 0);
}
