/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lock per chain. It is not held while a row or `changed` runs. Rows run in the chain's thread
 * only, which cred_get() wakes by `wanted`; there is no timer: who asks for a set inside its
 * renewal window sets the renewal going.
 */
#include "net/cred.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FETCH_LIMIT  (30 * NSEC_PER_SEC)
#define PAUSE_FIRST  NSEC_PER_SEC
#define PAUSE_MAX    (30 * NSEC_PER_SEC)
#define REJECT_EVERY (10 * NSEC_PER_SEC)
#define LOOK_EVERY   NSEC_PER_SEC
#define CANCEL_EVERY (100 * NSEC_PER_MSEC) /* how soon who gave up is let go */

enum row_state { ROW_NOT_REACHED, ROW_USED, ROW_NONE, ROW_FAILED };

struct row_result {
	enum row_state state;
	char why[SFS_ERR_MAX];
};

struct cred_chain {
	struct cred_conf conf;
	char *name; /* conf.name */
	size_t nrows;
	pthread_mutex_t lock; /* of all below, but what says otherwise */
	pthread_cond_t work;  /* wanted, or stopping */
	pthread_cond_t done;  /* a run has ended */
	pthread_t thread;
	bool started;
	atomic_bool stopping; /* also what the rows' call looks at */
	bool wanted, running;
	uint64_t runs; /* that have ended */
	struct cred *current;
	int64_t renew_at, block_at; /* of `current`, by the clock it expires by */
	bool rejected;		    /* `current` was, and is served no more */
	bool outdated;		    /* what `current` was made from has changed */
	bool said;		    /* that `current` cannot be renewed */
	struct sfs_err failure;	    /* of the last run; code 0 = it went well */
	int64_t pause, pause_until; /* before the next run; boot time */
	int64_t rejected_at;	    /* boot time; 0 = never */
	bool looking;		    /* somebody is in conf.changed */
	int64_t look_at;	    /* boot time */
	_Atomic int64_t skew;	    /* without the lock */
	struct row_result *result;  /* of the last run, one a row */
	struct row_result *next;    /* of the thread */
};

/* ---- one set ---- */

struct owned {
	struct cred c; /* first: a struct cred is one of these */
	_Atomic unsigned refs;
};

struct cred *cred_new(struct secret *const field[CRED_FIELDS], int64_t expires, const char *source,
	const char *principal)
{
	struct owned *o = mem_calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->c.expires = expires;
	o->c.obtained = clock_wall();
	o->c.source = mem_strdup(source);
	o->c.principal = mem_strdup(principal);
	if (!o->c.source || (principal && !o->c.principal)) {
		mem_free(o->c.source);
		mem_free(o->c.principal);
		mem_free(o);
		return NULL;
	}
	memcpy(o->c.field, field, sizeof(o->c.field));
	atomic_init(&o->refs, 1);
	return &o->c;
}

struct cred *cred_ref(struct cred *c)
{
	atomic_fetch_add_explicit(&((struct owned *)c)->refs, 1, memory_order_relaxed);
	return c;
}

int cred_about(
	char **ret_source, char **ret_principal, const char *principal, const char *fmt, va_list ap)
{
	struct buf b = BUF_INIT(SFS_ERR_MAX);
	char *who = mem_strdup(principal);
	buf_vprintf(&b, fmt, ap);
	char *source = buf_take(&b);
	if (!source || (principal && !who)) {
		mem_free(who);
		mem_free(source);
		buf_clear(&b);
		return -ENOMEM;
	}
	mem_free(*ret_principal);
	mem_free(*ret_source);
	*ret_principal = who;
	*ret_source = source;
	return 0;
}

void cred_unref(struct cred *c)
{
	struct owned *o = (struct owned *)c;
	if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < CRED_FIELDS; i++)
		secret_unref(c->field[i]);
	mem_free(c->source);
	mem_free(c->principal);
	mem_free(o);
}

static bool same_set(const struct cred *a, const struct cred *b)
{
	bool same = a->expires == b->expires && a->row == b->row;
	for (size_t i = 0; i < CRED_FIELDS && same; i++)
		same = !a->field[i] || !b->field[i] ? a->field[i] == b->field[i]
						    : secret_equal(a->field[i], b->field[i]);
	return same;
}

/* ---- with the lock ---- */

int64_t cred_clock(const struct cred_chain *c)
{
	return clock_wall() + atomic_load(&c->skew);
}

/* The clock that sets expire by. */
static int64_t now_of(const struct cred_chain *c)
{
	return c->conf.boot_time ? clock_boot() : cred_clock(c);
}

const char *cred_expiry_text(
	const struct cred_chain *c, const struct cred *set, char out[CLOCK_TEXT])
{
	int64_t wall = set->expires;
	if (!wall)
		return "never";
	if (c->conf.boot_time && __builtin_add_overflow(wall, clock_wall() - clock_boot(), &wall))
		wall = CLOCK_NEVER;
	return clock_text(wall, out);
}

static bool over(const struct cred_chain *c, const struct cred *set)
{
	return set->expires && now_of(c) >= set->expires;
}

/* Whether what we have may be handed out. */
static bool usable(const struct cred_chain *c)
{
	return c->current && !c->rejected && !over(c, c->current);
}

static void pause_for(struct cred_chain *c, int64_t ns)
{
	int64_t half = ns / 2;
	c->pause_until = clock_boot() + half + (int64_t)random_below((uint64_t)half);
}

/* The times of a new set: spread by chance, so that many nodes started together do not renew
 * together. */
static void schedule(struct cred_chain *c, const struct cred *set)
{
	int64_t skew = c->conf.boot_time ? 0 : atomic_load(&c->skew);
	int64_t life = set->expires - (set->obtained + skew), ahead = c->conf.renew_ahead;
	life = life > 0 ? life : 0;
	if (c->conf.renew_part && ahead < life / c->conf.renew_part)
		ahead = life / c->conf.renew_part;
	ahead = ahead < life / 4 ? ahead : life / 4;
	int64_t block = c->conf.block_ahead < ahead / 3 ? c->conf.block_ahead : ahead / 3;
	c->renew_at = c->block_at = CLOCK_NEVER;
	if (!set->expires)
		return;
	c->renew_at = set->expires - ahead - (int64_t)random_below((uint64_t)ahead / 5 + 1);
	c->block_at = set->expires - block;
}

/* Before the source is asked again for something newer than what it just gave once more. */
static void pause_same(struct cred_chain *c)
{
	int64_t left = c->current->expires - now_of(c) - c->conf.renew_ahead;
	pause_for(c, PAUSE_MAX);
	if (!c->conf.renew_pause)
		return;
	c->pause_until = clock_boot() + (left > c->conf.renew_pause ? left : c->conf.renew_pause);
}

/* A run brought `set`, whose reference is taken over. */
static void adopt(struct cred_chain *c, struct cred *set)
{
	if (c->current && same_set(c->current, set)) {
		cred_unref(set);
	} else {
		cred_unref(c->current);
		c->current = set;
		schedule(c, set);
	}
	c->rejected = c->said = false;
	err_clear(&c->failure);
	c->pause = c->pause_until = 0;
	if (now_of(c) >= c->renew_at) /* the source has nothing newer yet: not at each read */
		pause_same(c);
}

/* What is still good is not renewed more often than that, but what has expired at once. */
static void pause_usable(struct cred_chain *c)
{
	int64_t ns = c->conf.renew_pause, now = clock_boot();
	int64_t left = c->current->expires ? c->current->expires - now_of(c) : ns;
	ns = ns < left ? ns : left;
	if (c->pause_until < now + ns)
		c->pause_until = now + ns;
}

static void fail(struct cred_chain *c, const struct sfs_err *why)
{
	char until[CLOCK_TEXT];
	c->failure = *why;
	c->pause = c->pause ? c->pause * 2 : PAUSE_FIRST * 2;
	if (c->pause > PAUSE_MAX)
		c->pause = PAUSE_MAX;
	pause_for(c, c->pause);
	if (!usable(c))
		return;
	pause_usable(c);
	if (c->said)
		return;
	c->said = true;
	log_warn("%s: the credentials cannot be renewed, those in use are good until %s: %s",
		c->name, c->current->expires ? cred_expiry_text(c, c->current, until) : "revoked",
		why->msg);
}

/* ---- the thread ---- */

static int no_credentials(const struct cred_chain *c, struct sfs_err *err)
{
	struct buf all = BUF_INIT(2 * SFS_ERR_MAX);
	for (size_t i = 0; i < c->nrows; i++)
		if (c->next[i].state == ROW_NONE)
			buf_printf(&all, "%s%s: %s", all.len ? "; " : "", c->conf.rows[i].name,
				c->next[i].why);
	err_set(err, ENOKEY, "no credentials found: %s", buf_text(&all));
	buf_clear(&all);
	return -ENOKEY;
}

/* A token file that is missing is no missing secret, which is what ENOENT says to a reader and to
 * the cache. */
static int row_errno(int r, struct sfs_err *err)
{
	switch (-r) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
		return err_set(err, ENOKEY, "%s", err->msg);
	default:
		return r;
	}
}

static int run_row(struct cred_chain *c, size_t i, const struct call *call, struct cred **ret,
	struct sfs_err *err)
{
	const struct cred_row *row = &c->conf.rows[i];
	char when[CLOCK_TEXT];
	_cleanup_(cred_unref_p) struct cred *set = NULL;
	int r = row_errno(row->fetch(c->conf.state, call, &set, err), err);
	if (r == 0) {
		set->row = row->name;
		if (c->conf.boot_time)
			set->obtained = clock_boot();
		if (over(c, set))
			r = err_set(err, EKEYEXPIRED, "what %s gives expired at %s", set->source,
				cred_expiry_text(c, set, when));
	}
	c->next[i].state = r == 0 ? ROW_USED : r == -ENODATA ? ROW_NONE : ROW_FAILED;
	snprintf(c->next[i].why, sizeof(c->next[i].why), "%s", r == 0 ? set->source : err->msg);
	if (r == 0)
		*ret = take(set);
	return r;
}

/* Runs the rows until one answers. `last` is the name of the row after which none is asked, or
 * NULL. */
static int run_rows(struct cred_chain *c, const char *last, struct cred **ret, struct sfs_err *err)
{
	int64_t limit = c->conf.fetch_limit ? c->conf.fetch_limit : FETCH_LIMIT;
	struct call call = {.deadline = clock_boot() + limit, .cancelled = &c->stopping};
	memset(c->next, 0, c->nrows * sizeof(*c->next));
	for (size_t i = 0; i < c->nrows; i++) {
		err_clear(err);
		int r = run_row(c, i, &call, ret, err);
		if (r != -ENODATA)
			return r;
		if (last && strcmp(last, c->conf.rows[i].name) == 0)
			return err_set(err, ENOKEY, "%s: %s", last, c->next[i].why);
	}
	return no_credentials(c, err);
}

/* With the lock, which is given up meanwhile. */
static void run(struct cred_chain *c)
{
	const char *last = usable(c) ? c->current->row : NULL;
	struct cred *set = NULL;
	struct sfs_err err = {0};
	c->wanted = c->outdated = false;
	c->running = true;
	pthread_mutex_unlock(&c->lock);
	int r = run_rows(c, last, &set, &err);
	pthread_mutex_lock(&c->lock);
	c->running = false;
	struct row_result *old = c->result;
	c->result = c->next;
	c->next = old;
	if (r == 0)
		adopt(c, set);
	else
		fail(c, &err);
	c->runs++;
	pthread_cond_broadcast(&c->done);
}

static void *chain_main(void *arg)
{
	struct cred_chain *c = arg;
	pthread_setname_np(pthread_self(), "credentials");
	pthread_mutex_lock(&c->lock);
	while (!atomic_load(&c->stopping)) {
		if (c->wanted)
			run(c);
		else
			pthread_cond_wait(&c->work, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- callers, with the lock ---- */

/* Asks for a run; *ret_ticket is what `runs` will be when it has ended. One that is under way is as
 * good, unless the source changed since it began. */
static int ask(struct cred_chain *c, uint64_t *ret_ticket, struct sfs_err *err)
{
	if (!c->started) {
		int r = thread_start(&c->thread, 0, chain_main, c);
		if (r < 0)
			return err_errno(err, -r, "start a thread to fetch credentials");
		c->started = true;
	}
	if (!c->wanted && (!c->running || c->outdated)) {
		c->wanted = true;
		pthread_cond_signal(&c->work);
	}
	*ret_ticket = c->runs + c->running + c->wanted;
	return 0;
}

/* -ETIMEDOUT and -ECANCELED say nothing: the caller knows what for. */
static int wait_run(
	struct cred_chain *c, const struct call *call, int64_t deadline, uint64_t ticket)
{
	while (c->runs < ticket) {
		int64_t left = deadline - clock_boot();
		if (call_cancelled(call))
			return -ECANCELED;
		if (left <= 0)
			return -ETIMEDOUT;
		clock_cond_wait(&c->done, &c->lock, left < CANCEL_EVERY ? left : CANCEL_EVERY);
	}
	return 0;
}

static int give_failure(const struct cred_chain *c, struct sfs_err *err)
{
	char when[CLOCK_TEXT];
	if (c->current && c->rejected)
		return err_set(err, c->failure.code,
			"the provider did not accept the credentials (%s), and there are no newer "
			"ones: %s",
			c->current->source, c->failure.msg);
	if (c->current && over(c, c->current)) {
		err_set(err, EKEYEXPIRED,
			"the credentials (%s) expired at %s and cannot be renewed: %s",
			c->current->source, cred_expiry_text(c, c->current, when), c->failure.msg);
		err->passes = err_transient(&c->failure); /* an outage of who gives them */
		return -EKEYEXPIRED;
	}
	return err_set(err, c->failure.code, "%s", c->failure.msg);
}

/* There is nothing usable: waits for runs until there is, or gives the failure of the last one. */
static int need_now(struct cred_chain *c, const struct call *call, struct sfs_err *err)
{
	while (!usable(c)) {
		uint64_t ticket;
		if (c->failure.code && clock_boot() < c->pause_until)
			return give_failure(c, err);
		int r = ask(c, &ticket, err);
		if (r < 0)
			return r;
		r = wait_run(c, call, call->deadline, ticket);
		if (r == -ECANCELED)
			return err_set(err, ECANCELED, "nobody waits for the credentials any more");
		if (r == -ETIMEDOUT)
			return err_set(err, ETIMEDOUT,
				"no credentials in time; they are being fetched, try again");
		if (c->failure.code)
			return give_failure(c, err);
	}
	return 0;
}

/* There is a usable set: sets a renewal going if it is time, and waits for it if it is late. No
 * failure: the set is good. */
static void renew(struct cred_chain *c, const struct call *call)
{
	int64_t now = now_of(c), boot = clock_boot();
	bool wait = c->outdated || now >= c->block_at;
	uint64_t ticket;
	if ((!wait && now < c->renew_at) || boot < c->pause_until || ask(c, &ticket, NULL) < 0)
		return;
	if (wait && call->deadline > boot)
		wait_run(c, call, boot + (call->deadline - boot) / 2, ticket);
}

/* Looks at the sources of what we have, and drops the lock meanwhile. */
static void look(struct cred_chain *c)
{
	if (!c->conf.changed || c->looking || !c->runs || clock_boot() < c->look_at)
		return;
	c->looking = true;
	pthread_mutex_unlock(&c->lock);
	bool changed = c->conf.changed(c->conf.state);
	pthread_mutex_lock(&c->lock);
	c->looking = false;
	c->look_at = clock_boot() + (c->conf.look_every ? c->conf.look_every : LOOK_EVERY);
	if (changed) {
		c->outdated = true;
		c->pause = c->pause_until = 0;
	}
}

int cred_get(struct cred_chain *c, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	pthread_mutex_lock(&c->lock);
	look(c);
	if (usable(c))
		renew(c, call);
	int r = need_now(c, call, err); /* also when it expired while we waited */
	if (r == 0)
		*ret = cred_ref(c->current);
	pthread_mutex_unlock(&c->lock);
	return r;
}

bool cred_reject(struct cred_chain *c, const struct cred *bad)
{
	bool done = true;
	pthread_mutex_lock(&c->lock);
	int64_t boot = clock_boot();
	if (c->current == bad && !c->rejected) {
		done = !c->rejected_at || boot - c->rejected_at >= REJECT_EVERY;
		if (done) {
			c->rejected = true;
			c->rejected_at = boot;
			c->pause = c->pause_until = 0;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return done;
}

void cred_skew(struct cred_chain *c, int64_t ns)
{
	atomic_store(&c->skew, ns);
}

struct cred *cred_current(struct cred_chain *c)
{
	pthread_mutex_lock(&c->lock);
	struct cred *set = c->current ? cred_ref(c->current) : NULL;
	pthread_mutex_unlock(&c->lock);
	return set;
}

void cred_walk(struct cred_chain *c, void (*say)(void *arg, const char *row, const char *result),
	void *arg)
{
	static const char *const words[] = {"not reached", "used", "not configured: ", "failed: "};
	for (size_t i = 0; i < c->nrows; i++) {
		char text[SFS_ERR_MAX + 32];
		pthread_mutex_lock(&c->lock);
		const struct row_result *r = &c->result[i];
		bool why = r->state == ROW_NONE || r->state == ROW_FAILED;
		snprintf(text, sizeof(text), "%s%s", words[r->state], why ? r->why : "");
		pthread_mutex_unlock(&c->lock);
		say(arg, c->conf.rows[i].name, text);
	}
}

void cred_settle(struct cred_chain *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->wanted || c->running)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

/* ---- life ---- */

static void chain_clear(struct cred_chain *c)
{
	cred_unref(c->current);
	mem_free(c->name);
	mem_free(c->result);
	mem_free(c->next);
	mem_free(c);
}

int cred_chain_new(const struct cred_conf *conf, struct cred_chain **ret, struct sfs_err *err)
{
	struct cred_chain *c = mem_calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "no memory for credentials");
	c->conf = *conf;
	while (conf->rows[c->nrows].name)
		c->nrows++;
	c->name = mem_strdup(conf->name);
	c->result = mem_calloc(c->nrows + 1, sizeof(*c->result));
	c->next = mem_calloc(c->nrows + 1, sizeof(*c->next));
	if (!c->name || !c->result || !c->next || clock_cond_init(&c->done) < 0) {
		chain_clear(c);
		return err_set(err, ENOMEM, "no memory for credentials");
	}
	c->conf.name = c->name;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	*ret = c;
	return 0;
}

void cred_chain_free(struct cred_chain *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->stopping, true);
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	if (c->started)
		pthread_join(c->thread, NULL);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->done);
	chain_clear(c);
}
