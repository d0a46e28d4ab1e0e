/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches: the store's flights become jobs of the instance's threads. */
#include "core/instance_priv.h"

#include "base/alloc.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define ROOM_TRIES   4
#define ROOM_WAIT_NS (25 * NSEC_PER_MSEC)

void get_bound(struct instance *in, const char *name, struct payload *p)
{
	const struct list_entry *e = NULL;
	int64_t at, left;

	pthread_mutex_lock(&in->lock);
	if (in->last)
		e = listing_find(in->last, name);
	at = e ? e->expires : 0;
	pthread_mutex_unlock(&in->lock);
	if (!at)
		return;
	left = at - clock_wall();
	p->ttl_max = left > 0 ? left / NSEC_PER_SEC : 0;
}

static int call_get(
	struct instance *in, struct flight *f, struct payload **ret, struct sfs_err *err)
{
	struct call call = {flight_deadline(f), flight_cancelled(f)};
	struct get_request rq = {flight_name(f), flight_version(f)};
	struct payload *p = NULL;
	int r;

	err_clear(err);
	r = answer_code(in->conf.ops->get(in->state, &call, &rq, &p, err), err);
	if (r < 0)
		payload_unref(p);
	else
		r = answer_payload(in->conf.name, rq.name, &p, err);
	if (r < 0)
		return r;
	get_bound(in, rq.name, p);
	*ret = p;
	return 0;
}

static bool given_up(struct flight *f)
{
	return atomic_load(flight_cancelled(f)) || clock_boot() >= flight_deadline(f);
}

/* False: nobody would get the value any more, or nobody asked for it. */
static bool find_room(struct instance *in, struct flight *f)
{
	if (given_up(f) || !flight_may_evict(f))
		return false;
	if (!store_make_room(in->store, SFS_VALUE_MAX))
		nanosleep(&(struct timespec){.tv_nsec = ROOM_WAIT_NS}, NULL);
	return !given_up(f);
}

static int get(struct instance *in, struct flight *f, struct payload **ret, struct sfs_err *err)
{
	int r;

	if (atomic_load(flight_cancelled(f)))
		return err_set(err, ECANCELED, "nobody waits for it any more");
	if (clock_boot() >= flight_deadline(f))
		return err_set(err, ETIMEDOUT,
			"its time was over before a thread was free: all wait for the source");
	r = call_get(in, f, ret, err);
	/* The arena may be full of values nobody needs now (R3), or of files that are just being
	 * closed. */
	for (int i = 0; r == -ENOMEM && i < ROOM_TRIES && find_room(in, f); i++)
		r = call_get(in, f, ret, err);
	return r;
}

void get_end(struct instance *in, struct flight *f, struct payload *p, struct sfs_err *err)
{
	const char *name = flight_name(f);
	char text[256];

	if (!p)
		err_prefix(err, "%s: get %s", in->conf.name,
			text_escaped(text, sizeof(text), name, strlen(name)));
	flight_done(f, p, p ? NULL : err);
}

void get_one(struct instance *in, struct flight *f)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};

	pool_busy(in->gets); /* fetches before this one, in the same job, may have started others */
	if (get(in, f, &p, &err) < 0)
		p = NULL;
	get_end(in, f, p, &err);
}

static void get_run(struct job *job)
{
	struct flight *f = flight_of_job(job);

	get_one(flight_arg(f), f);
}

static void get_drop(struct job *job)
{
	struct flight *f = flight_of_job(job);
	struct sfs_err err;

	err_set(&err, ENODEV, "this source was closed");
	get_end(flight_arg(f), f, NULL, &err);
}

int get_refused(struct instance *in, int r, struct sfs_err *err)
{
	if (r == -EBUSY)
		return err_set(err, EBUSY, "%s: %d fetches are waiting already; try again later",
			in->conf.name, SFS_QUEUE_MAX);
	if (r == -ESHUTDOWN)
		return err_set(err, ENODEV, "%s: this source was closed", in->conf.name);
	return err_errno(err, -r, "%s: start a thread for a fetch", in->conf.name);
}

static int get_start(void *arg, struct flight *f, struct sfs_err *err)
{
	struct instance *in = arg;
	struct job *j = flight_job(f);
	int r;

	j->run = get_run;
	j->drop = get_drop;
	r = pool_push(in->gets, j);
	return r < 0 ? get_refused(in, r, err) : 0;
}

/* A batch is not in a lane of its readers: batches are few. */
static void get_join(void *arg, struct flight *f, uint32_t lane)
{
	struct instance *in = arg;

	pool_join(in->gets, flight_job(f), lane);
}

const struct source_ops instance_source_ops = {
	.start = get_start, .start_batch = batch_start, .join = get_join};
