/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of net/cred.h: a fake clock and made-up rows. Include once in a program. */
#ifndef SFS_TESTS_CRED_FIXTURE_H
#define SFS_TESTS_CRED_FIXTURE_H

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
	bool boot;	 /* sets expire by boot time */
	int64_t until;	 /* when the next set expires, whenever it is asked for; 0 = by `life` */
	bool held;	 /* rows wait until it is false */
	unsigned inside; /* rows that wait */
	bool changed;
};

static struct source src = {.lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};

static inline void hold_up(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	s->inside++;
	pthread_cond_broadcast(&s->turn);
	while (s->held)
		pthread_cond_wait(&s->turn, &s->lock);
	s->inside--;
	pthread_mutex_unlock(&s->lock);
}

static inline int fetch(struct source *s, int row, struct cred **ret, struct sfs_err *err)
{
	char key[32];
	hold_up(s);
	pthread_mutex_lock(&s->lock);
	int result = s->result[row];
	int64_t expires = s->until   ? s->until
			  : !s->life ? 0
			  : s->boot  ? clock_boot() + s->life
				     : clock_wall() + s->life;
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

static inline int first(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	(void)call;
	return fetch(state, 0, ret, err);
}

static inline int second(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	(void)call;
	return fetch(state, 1, ret, err);
}

static inline bool has_changed(void *state)
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

static inline struct cred_chain *chain(int64_t life)
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

/* As Google's are: by boot time, a tenth ahead, tries half a minute apart. */
static inline struct cred_chain *boot_chain(int64_t life)
{
	struct cred_chain *c = NULL;
	struct cred_conf conf = {.name = "gcp/test",
		.rows = rows,
		.state = &src,
		.renew_ahead = 4 * MIN,
		.changed = has_changed,
		.look_every = 1,
		.boot_time = true,
		.renew_part = 10,
		.renew_pause = 30 * NSEC_PER_SEC};
	clock_fake(1000 * NSEC_PER_SEC, WALL);
	src.life = life;
	src.boot = true;
	src.serial = 1;
	cr_assert_eq(cred_chain_new(&conf, &c, NULL), 0);
	return c;
}

static inline struct call call_of(int64_t seconds)
{
	return (struct call){.deadline = clock_boot() + seconds * NSEC_PER_SEC};
}

/* The key of the set one gets now, or the errno. */
static inline int get(struct cred_chain *c, char key[32], struct sfs_err *err)
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

static inline void gives(struct cred_chain *c, const char *want)
{
	char key[32] = "";
	struct sfs_err err = {0};
	cr_assert_eq(get(c, key, &err), 0, "%s", err.msg);
	cr_assert_str_eq(key, want);
}

static inline struct sfs_err fails(struct cred_chain *c, int code)
{
	char key[32] = "";
	struct sfs_err err = {0};
	cr_assert_eq(get(c, key, &err), -code, "%s", err.msg);
	cr_assert_eq(err.code, code);
	return err;
}

static inline void pass(int64_t ns)
{
	clock_fake_advance(ns);
}

static inline unsigned ran(int row)
{
	pthread_mutex_lock(&src.lock);
	unsigned n = src.ran[row];
	pthread_mutex_unlock(&src.lock);
	return n;
}

static inline void answers(int row, int result)
{
	pthread_mutex_lock(&src.lock);
	src.result[row] = result;
	pthread_mutex_unlock(&src.lock);
}

static inline void hold(bool held)
{
	pthread_mutex_lock(&src.lock);
	src.held = held;
	pthread_cond_broadcast(&src.turn);
	pthread_mutex_unlock(&src.lock);
}

static inline void until_inside(void)
{
	pthread_mutex_lock(&src.lock);
	while (!src.inside)
		pthread_cond_wait(&src.turn, &src.lock);
	pthread_mutex_unlock(&src.lock);
}

struct walk {
	char text[512];
};

static inline void say(void *arg, const char *row, const char *result)
{
	struct walk *w = arg;
	size_t at = strlen(w->text);
	snprintf(w->text + at, sizeof(w->text) - at, "[%s %s]", row, result);
}

static inline void walk_is(struct cred_chain *c, const char *want)
{
	struct walk w = {0};
	cred_walk(c, say, &w);
	cr_assert_str_eq(w.text, want);
}

#endif
