/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of credential chains: fake clock, made-up rows. */
#include "net/cred.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIN  (60 * NSEC_PER_SEC)
#define WALL (INT64_C(1700000000) * NSEC_PER_SEC)

/* A row that does what the test says, counts, and can be held up. */
struct source {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	int result[2];	 /* of row 0 and 1: 0, -ENODATA, -errno */
	int64_t life;	 /* ns of the next set; 0 = for ever */
	unsigned ran[2]; /* how often each was asked */
	unsigned serial; /* makes each set another one; 0 = always the same */
	bool held;	 /* rows wait until it is false */
	unsigned inside; /* rows that wait */
	bool changed;
};

static struct source src = {.lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};

static void hold_up(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	s->inside++;
	pthread_cond_broadcast(&s->turn);
	while (s->held)
		pthread_cond_wait(&s->turn, &s->lock);
	s->inside--;
	pthread_mutex_unlock(&s->lock);
}

static int fetch(struct source *s, int row, struct cred **ret, struct sfs_err *err)
{
	char key[32];
	hold_up(s);
	pthread_mutex_lock(&s->lock);
	int result = s->result[row];
	int64_t expires = s->life ? clock_wall() + s->life : 0;
	snprintf(key, sizeof(key), "key-%u", s->serial ? s->serial++ : 0);
	s->ran[row]++;
	pthread_mutex_unlock(&s->lock);
	if (result < 0)
		return err_set(err, -result, "row %d has nothing", row);
	struct secret *field[CRED_FIELDS] = {secret_new("id", 2), secret_new(key, strlen(key))};
	*ret = cred_new(field, expires, row ? "the second" : "the first", NULL);
	cr_assert_not_null(*ret);
	return 0;
}

static int first(void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	(void)call;
	return fetch(state, 0, ret, err);
}

static int second(void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	(void)call;
	return fetch(state, 1, ret, err);
}

static bool has_changed(void *state)
{
	struct source *s = state;
	pthread_mutex_lock(&s->lock);
	bool changed = s->changed;
	s->changed = false;
	pthread_mutex_unlock(&s->lock);
	return changed;
}

static const struct cred_row rows[] = {
	{.name = "one", .fetch = first}, {.name = "two", .fetch = second}, {0}};

static struct cred_chain *chain(int64_t life)
{
	struct cred_chain *c = NULL;
	struct cred_conf conf = {.name = "aws/test",
		.rows = rows,
		.state = &src,
		.renew_ahead = 15 * MIN,
		.block_ahead = 5 * MIN,
		.changed = has_changed};
	clock_fake(1000 * NSEC_PER_SEC, WALL);
	src.life = life;
	src.serial = 1;
	cr_assert_eq(cred_chain_new(&conf, &c, NULL), 0);
	return c;
}

static struct call call_of(int64_t seconds)
{
	return (struct call){.deadline = clock_boot() + seconds * NSEC_PER_SEC};
}

/* The key of the set one gets now, or the errno. */
static int get(struct cred_chain *c, char key[32], struct sfs_err *err)
{
	struct call call = call_of(10);
	struct cred *set = NULL;
	int r = cred_get(c, &call, &set, err);
	if (r < 0) {
		cr_assert_null(set);
		return r;
	}
	size_t n = secret_len(set->field[1]);
	memcpy(key, secret_bytes(set->field[1]), n);
	key[n] = '\0';
	cred_unref(set);
	return 0;
}

static void gives(struct cred_chain *c, const char *want)
{
	char key[32] = "";
	struct sfs_err err = {0};
	cr_assert_eq(get(c, key, &err), 0, "%s", err.msg);
	cr_assert_str_eq(key, want);
}

static struct sfs_err fails(struct cred_chain *c, int code)
{
	char key[32] = "";
	struct sfs_err err = {0};
	cr_assert_eq(get(c, key, &err), -code, "%s", err.msg);
	cr_assert_eq(err.code, code);
	return err;
}

static void pass(int64_t ns)
{
	clock_fake_advance(ns);
}

static unsigned ran(int row)
{
	pthread_mutex_lock(&src.lock);
	unsigned n = src.ran[row];
	pthread_mutex_unlock(&src.lock);
	return n;
}

static void answers(int row, int result)
{
	pthread_mutex_lock(&src.lock);
	src.result[row] = result;
	pthread_mutex_unlock(&src.lock);
}

static void hold(bool held)
{
	pthread_mutex_lock(&src.lock);
	src.held = held;
	pthread_cond_broadcast(&src.turn);
	pthread_mutex_unlock(&src.lock);
}

static void until_inside(void)
{
	pthread_mutex_lock(&src.lock);
	while (!src.inside)
		pthread_cond_wait(&src.turn, &src.lock);
	pthread_mutex_unlock(&src.lock);
}

struct walk {
	char text[512];
};

static void say(void *arg, const char *row, const char *result)
{
	struct walk *w = arg;
	size_t at = strlen(w->text);
	snprintf(w->text + at, sizeof(w->text) - at, "[%s %s]", row, result);
}

static void walk_is(struct cred_chain *c, const char *want)
{
	struct walk w = {0};
	cred_walk(c, say, &w);
	cr_assert_str_eq(w.text, want);
}

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

/* ---- renewal ---- */

Test(cred, renewed_in_the_background_before_it_expires)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(41 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 1);
	pass(5 * MIN); /* 14 left */
	hold(true);
	gives(c, "key-1"); /* without waiting */
	until_inside();
	gives(c, "key-1");
	hold(false);
	cred_settle(c);
	gives(c, "key-2");
	cr_assert_eq(ran(0), 2);
	cred_chain_free(c);
}

Test(cred, short_lives_are_renewed_in_their_last_quarter)
{
	struct cred_chain *c = chain(4 * MIN);
	gives(c, "key-1");
	pass(160 * NSEC_PER_SEC);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 1);
	pass(30 * NSEC_PER_SEC);
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred, near_the_end_callers_wait_for_the_renewal)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(56 * MIN);
	gives(c, "key-2");
	cred_chain_free(c);
}

/* aws.md case 42 */
Test(cred, while_renewal_fails_a_valid_set_is_served_then_it_is_expired)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	answers(0, -EHOSTUNREACH);
	pass(46 * MIN); /* 14 left */
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-1");
	cr_assert_eq(ran(0), 2);
	pass(10 * MIN); /* 4 left */
	gives(c, "key-1");
	cr_assert_eq(ran(0), 3);
	pass(4 * MIN);
	struct sfs_err err = fails(c, EKEYEXPIRED);
	cr_assert(strstr(err.msg, "the credentials (the first) expired at 2023-11-14T23:13:20Z and "
				  "cannot be renewed: row 0 has nothing"),
		"%s", err.msg);
	answers(0, 0);
	pass(30 * NSEC_PER_SEC);
	gives(c, "key-5");
	cred_chain_free(c);
}

Test(cred, waiting_for_the_renewal_of_a_good_set_ends_at_half_of_the_time)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(56 * MIN);
	hold(true);
	struct call call = {.deadline = clock_boot() - 1}; /* no time at all */
	struct cred *set = NULL;
	cr_assert_eq(cred_get(c, &call, &set, NULL), 0);
	cred_unref(set);
	until_inside();
	hold(false);
	cred_settle(c);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred, a_source_that_has_nothing_newer_is_not_asked_at_each_read)
{
	struct cred_chain *c = chain(60 * MIN);
	src.serial = 0;
	gives(c, "key-0");
	struct cred *was = cred_current(c);
	pass(50 * MIN);
	src.life = 10 * MIN; /* the same expiry again */
	for (int i = 0; i < 100; i++) {
		gives(c, "key-0");
		cred_settle(c);
	}
	cr_assert_eq(ran(0), 2);
	struct cred *now = cred_current(c);
	cr_assert_eq(was, now); /* one set, one object */
	cred_unref(was);
	cred_unref(now);
	pass(MIN);
	src.life = 60 * MIN;
	src.serial = 7;
	gives(c, "key-0");
	cred_settle(c);
	gives(c, "key-7");
	cred_chain_free(c);
}

Test(cred, what_a_row_gives_must_not_be_expired)
{
	struct cred_chain *c = chain(-MIN);
	struct sfs_err err = fails(c, EKEYEXPIRED);
	cr_assert_str_eq(err.msg, "what the first gives expired at 2023-11-14T22:12:20Z");
	walk_is(c, "[one failed: what the first gives expired at 2023-11-14T22:12:20Z][two not "
		   "reached]");
	cred_chain_free(c);
}

Test(cred, the_clock_of_the_provider_decides)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	cred_skew(c, 57 * MIN);
	cr_assert_eq(cred_clock(c), clock_wall() + 57 * MIN);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred, no_row_after_the_winner_is_asked_while_its_set_is_valid)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	answers(0, -ENODATA); /* its file was removed */
	pass(50 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-1");
	cr_assert_eq(ran(1), 0);
	pass(11 * MIN); /* and then it is as it would be after a restart */
	gives(c, "key-4");
	cr_assert_eq(ran(1), 1);
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

/* ---- rejected, changed ---- */

Test(cred, a_rejected_set_is_fetched_anew_once_each_ten_seconds)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	struct cred *bad = cred_current(c);
	cr_assert(cred_reject(c, bad));
	gives(c, "key-2");
	cr_assert(cred_reject(c, bad)); /* another one is current already */
	gives(c, "key-2");
	cr_assert_eq(ran(0), 2);
	struct cred *worse = cred_current(c);
	cr_assert_not(cred_reject(c, worse));
	gives(c, "key-2");
	pass(10 * NSEC_PER_SEC);
	cr_assert(cred_reject(c, worse));
	gives(c, "key-3");
	cred_unref(bad);
	cred_unref(worse);
	cred_chain_free(c);
}

Test(cred, a_rejected_set_is_not_served_when_there_is_no_newer)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	struct cred *bad = cred_current(c);
	answers(0, -EHOSTUNREACH);
	cr_assert(cred_reject(c, bad));
	struct sfs_err err = fails(c, EHOSTUNREACH);
	cr_assert(strstr(err.msg, "did not accept the credentials (the first)"), "%s", err.msg);
	cr_assert(cred_reject(c, bad)); /* is one already */
	fails(c, EHOSTUNREACH);
	cr_assert_eq(ran(0), 2);
	answers(0, 0);
	pass(2 * NSEC_PER_SEC);
	gives(c, "key-3");
	cred_unref(bad);
	cred_chain_free(c);
}

Test(cred, the_same_set_again_ends_a_rejection)
{
	struct cred_chain *c = chain(0);
	src.serial = 0;
	gives(c, "key-0");
	struct cred *bad = cred_current(c), *again = NULL;
	struct call call = call_of(10);
	cr_assert(cred_reject(c, bad));
	cr_assert_eq(cred_get(c, &call, &again, NULL), 0);
	cr_assert_eq(again, bad);
	cr_assert_eq(ran(0), 2);
	cred_unref(bad);
	cred_unref(again);
	cred_chain_free(c);
}

Test(cred, a_changed_source_is_read_at_the_next_get)
{
	struct cred_chain *c = chain(0);
	gives(c, "key-1");
	pass(2 * NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-2");
	src.changed = true;
	gives(c, "key-2"); /* looked at once a second */
	pass(2 * NSEC_PER_SEC);
	gives(c, "key-3");
	cr_assert_eq(ran(0), 3);
	cred_chain_free(c);
}

/* rows 47 to 49 of the matrix: what the file holds now cannot be used */
Test(cred, a_source_that_broke_leaves_the_old_set)
{
	struct cred_chain *c = chain(0);
	gives(c, "key-1");
	answers(0, -EBADMSG);
	pass(2 * NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-1");
	gives(c, "key-1");
	cr_assert_eq(ran(0), 2);
	answers(0, 0);
	pass(2 * NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-3");
	cred_chain_free(c);
}

Test(cred, a_change_forgets_a_remembered_failure)
{
	struct cred_chain *c = chain(0);
	answers(0, -EACCES);
	for (int i = 0; i < 8; i++) {
		fails(c, EACCES);
		pass(31 * NSEC_PER_SEC);
	}
	fails(c, EACCES);
	answers(0, 0);
	pass(2 * NSEC_PER_SEC);
	fails(c, EACCES); /* still remembered */
	pass(NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-10");
	cred_chain_free(c);
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
