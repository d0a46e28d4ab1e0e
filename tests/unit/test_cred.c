/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of credential chains: which row wins, one run for all, what is remembered. */
#include "cred_fixture.h"

/* ---- which row ---- */

Test(cred, the_first_configured_row_wins_and_is_asked_once)
{
	struct cred_chain *c = chain(0);
	walk_is(c, "[one not reached][two not reached]");
	cr_assert_null(cred_current(c));
	gives(c, "key-1");
	gives(c, "key-1");
	pass(1000 * 60 * MIN);
	gives(c, "key-1");
	cr_assert_eq(ran(0), 1);
	cr_assert_eq(ran(1), 0);
	walk_is(c, "[one used][two not reached]");
	cred_chain_free(c);
}

Test(cred, a_row_that_is_not_configured_leads_to_the_next)
{
	struct cred_chain *c = chain(0);
	answers(0, -ENODATA);
	gives(c, "key-2");
	walk_is(c, "[one not configured: row 0 has nothing][two used]");
	struct cred *now = cred_current(c);
	cr_assert_str_eq(now->row, "two");
	cr_assert_str_eq(now->source, "the second");
	cred_unref(now);
	cred_chain_free(c);
}

Test(cred, a_row_that_fails_is_an_error_and_nobody_else_is_asked)
{
	struct cred_chain *c = chain(0);
	answers(0, -EACCES);
	struct sfs_err err = fails(c, EACCES);
	cr_assert_str_eq(err.msg, "row 0 has nothing");
	cr_assert_eq(ran(1), 0);
	walk_is(c, "[one failed: row 0 has nothing][two not reached]");
	cred_chain_free(c);
}

Test(cred, a_file_that_is_not_there_is_no_secret_that_does_not_exist)
{
	for (size_t i = 0; i < 3; i++) {
		struct cred_chain *c = chain(0);
		answers(0, (const int[]){-ENOENT, -ENOTDIR, -EISDIR}[i]);
		struct sfs_err err = fails(c, ENOKEY);
		cr_assert_str_eq(err.msg, "row 0 has nothing");
		cred_chain_free(c);
	}
}

Test(cred, when_no_row_is_configured_the_sentence_names_all)
{
	struct cred_chain *c = chain(0);
	answers(0, -ENODATA);
	answers(1, -ENODATA);
	struct sfs_err err = fails(c, ENOKEY);
	cr_assert_str_eq(
		err.msg, "no credentials found: one: row 0 has nothing; two: row 1 has nothing");
	cred_chain_free(c);
}

/* ---- failures are remembered ---- */

Test(cred, a_failure_is_remembered_longer_each_time)
{
	struct cred_chain *c = chain(0);
	answers(0, -EHOSTUNREACH);
	fails(c, EHOSTUNREACH);
	fails(c, EHOSTUNREACH);
	cr_assert_eq(ran(0), 1);
	pass(2 * NSEC_PER_SEC);
	fails(c, EHOSTUNREACH);
	cr_assert_eq(ran(0), 2);
	pass(NSEC_PER_SEC);
	fails(c, EHOSTUNREACH);
	cr_assert_eq(ran(0), 2);
	for (unsigned i = 0; i < 10; i++) {
		pass(30 * NSEC_PER_SEC); /* never longer */
		fails(c, EHOSTUNREACH);
		cr_assert_eq(ran(0), 3 + i);
	}
	answers(0, 0);
	pass(30 * NSEC_PER_SEC);
	gives(c, "key-13");
	cred_chain_free(c);
}

/* ---- one at a time ---- */

static pthread_barrier_t together;

static void *reader(void *arg)
{
	pthread_barrier_wait(&together);
	gives(arg, "key-2");
	return NULL;
}

/* aws.md case 43, row 50 of the matrix */
Test(cred, fifty_threads_at_expiry_are_one_fetch)
{
	struct cred_chain *c = chain(60 * MIN);
	pthread_t t[50];
	gives(c, "key-1");
	pass(60 * MIN);
	hold(true);
	pthread_barrier_init(&together, NULL, 50);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(thread_start(&t[i], 0, reader, c), 0);
	until_inside();
	hold(false);
	for (int i = 0; i < 50; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(ran(0), 2);
	cred_chain_free(c);
}

Test(cred, who_gives_up_does_not_end_the_fetch)
{
	struct cred_chain *c = chain(0);
	atomic_bool gone = true;
	struct call call = {.deadline = CLOCK_NEVER, .cancelled = &gone};
	struct cred *set = NULL;
	struct sfs_err err = {0};
	hold(true);
	cr_assert_eq(cred_get(c, &call, &set, &err), -ECANCELED);
	call = (struct call){.deadline = clock_boot()};
	cr_assert_eq(cred_get(c, &call, &set, &err), -ETIMEDOUT);
	cr_assert_null(set);
	hold(false);
	gives(c, "key-1");
	cr_assert_eq(ran(0), 1);
	cred_chain_free(c);
}

static int until_cancelled(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	(void)state;
	(void)ret;
	hold_up(&src);
	while (!call_cancelled(call))
		sched_yield();
	return err_set(err, ECANCELED, "cancelled");
}

Test(cred, freeing_a_chain_cancels_the_row_that_runs)
{
	static const struct cred_row row[] = {{.name = "slow", .fetch = until_cancelled}, {0}};
	struct cred_conf conf = {.name = "x", .rows = row};
	struct cred_chain *c = NULL;
	struct cred *set = NULL;
	struct call call = {.deadline = 0};
	cr_assert_eq(cred_chain_new(&conf, &c, NULL), 0);
	cr_assert_eq(cred_get(c, &call, &set, NULL), -ETIMEDOUT);
	cred_chain_free(c);
	cred_chain_free(NULL);
}

/* ---- what is said and what is kept ---- */

Test(cred, a_failing_renewal_is_logged_once)
{
	char text[4096] = "";
	int out[2], was = dup(STDERR_FILENO);
	cr_assert_eq(pipe2(out, O_NONBLOCK), 0);
	dup2(out[1], STDERR_FILENO);
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	answers(0, -EHOSTUNREACH);
	for (int i = 0; i < 5; i++) {
		pass(i ? MIN : 56 * MIN);
		if (i < 4)
			gives(c, "key-1");
	}
	dup2(was, STDERR_FILENO);
	close(was);
	ssize_t n = read(out[0], text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	char *line = strstr(text, "the credentials cannot be renewed");
	cr_assert_not_null(line);
	cr_assert(strstr(line, "aws/test") || strstr(text, "aws/test: the credentials"));
	cr_assert_null(strstr(line + 1, "the credentials cannot be renewed"), "%s", text);
	cr_assert_null(strstr(text, "key-"), "a credential in the log");
	cred_chain_free(c);
	close(out[0]);
	close(out[1]);
}

Test(cred, nothing_is_left_in_secret_memory)
{
	struct secret_stats st;
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(56 * MIN);
	gives(c, "key-2");
	cred_chain_free(c);
	secret_stats(&st);
	cr_assert_eq(st.blocks, 0);
}

Test(cred, a_set_that_could_not_be_made_leaves_the_fields_to_the_caller)
{
	struct secret *field[CRED_FIELDS] = {secret_new("id", 2)};
	for (unsigned long n = 1; n < 4; n++) {
		alloc_fail_at(n);
		cr_assert_null(cred_new(field, 0, "source", "principal"));
		alloc_fail_at(0);
	}
	struct cred *c = cred_new(field, 0, "source", NULL);
	cr_assert_null(c->principal);
	cred_unref(cred_ref(c));
	cred_unref(c);
	cred_unref(NULL);
}

Test(cred, without_memory_there_is_no_chain)
{
	struct cred_conf conf = {.name = "x", .rows = rows, .state = &src};
	for (unsigned long n = 1; n < 5; n++) {
		struct cred_chain *c = NULL;
		alloc_fail_at(n);
		cr_assert_eq(cred_chain_new(&conf, &c, NULL), -ENOMEM);
		cr_assert_null(c);
		alloc_fail_at(0);
	}
}
