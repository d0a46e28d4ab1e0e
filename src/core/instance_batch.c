/* SPDX-License-Identifier: Apache-2.0 */
/* Several fetches of hydration in one call of the back end. */
#include "core/freshness.h"
#include "core/instance_priv.h"

#include "base/alloc.h"
#include "base/log.h"
#include <errno.h>

struct batch_job {
	struct job job;
	struct instance *in;
	size_t n;
	struct flight *flights[SFS_BATCH_MAX];
};

/* Answers and errors of one call. */
struct batch {
	const char *names[SFS_BATCH_MAX];
	struct payload *ret[SFS_BATCH_MAX];
	struct sfs_err errs[SFS_BATCH_MAX];
};

static int call_batch(const struct batch_job *j, struct batch *b, struct sfs_err *err)
{
	struct instance *in = j->in;
	struct call call = {flight_deadline(j->flights[0]), &in->stopping};

	if (clock_boot() >= call.deadline)
		return err_set(err, ETIMEDOUT,
			"its time was over before a thread was free: all wait for the source");

	for (size_t i = 0; i < j->n; i++)
		b->names[i] = flight_name(j->flights[i]);
	err_clear(err);
	return answer_code(
		in->conf.ops->get_batch(in->state, &call, b->names, j->n, b->ret, b->errs, err),
		err);
}

/* The answer to one name. Neither a value nor an error, or both, is a mistake of the back end. */
static int check_one(const struct batch_job *j, struct batch *b, size_t i)
{
	struct sfs_err *err = &b->errs[i];

	if (b->ret[i] && !err->code)
		return answer_payload(j->in->conf.name, b->names[i], &b->ret[i], err);
	payload_unref(b->ret[i]);
	b->ret[i] = NULL;
	if (err->code)
		return answer_code(-err->code, err);
	return err_set(err, EBADMSG, "the back end left this secret out of its answer");
}

/* Somebody came to wait for it: then it may have the room of another value. */
static void finish_one(const struct batch_job *j, struct batch *b, size_t i)
{
	struct flight *f = j->flights[i];
	int r = check_one(j, b, i);

	if (r == 0)
		get_bound(j->in, b->names[i], b->ret[i]);
	if (r == -ENOMEM && flight_may_evict(f))
		get_one(j->in, f);
	else
		get_end(j->in, f, b->ret[i], &b->errs[i]);
}

static void end_all(const struct batch_job *j, const struct sfs_err *err)
{
	for (size_t i = 0; i < j->n; i++) {
		struct sfs_err own = *err;

		get_end(j->in, j->flights[i], NULL, &own);
	}
}

static void get_each(const struct batch_job *j)
{
	for (size_t i = 0; i < j->n; i++)
		get_one(j->in, j->flights[i]);
}

/* A local source's flights come several at once all the same. */
static void give_up_batches(struct instance *in, const struct sfs_err *err)
{
	if (atomic_exchange(&in->no_batch, true))
		return;
	instance_set_limits(in);
	log_info("%s: secrets are fetched one by one, because several at once failed: %s",
		in->conf.name, err->msg);
}

static void drop_answers(const struct batch_job *j, struct batch *b)
{
	for (size_t i = 0; i < j->n; i++)
		payload_unref(b->ret[i]);
}

static void fetch(const struct batch_job *j, struct batch *b)
{
	struct sfs_err err;
	int r = call_batch(j, b, &err);

	if (r == 0) {
		for (size_t i = 0; i < j->n; i++)
			finish_one(j, b, i);
		return;
	}
	drop_answers(j, b);
	if (err_transient(&err) || atomic_load(&j->in->stopping)) {
		end_all(j, &err);
	} else {
		give_up_batches(j->in, &err);
		get_each(j);
	}
}

static void batch_run(struct job *job)
{
	struct batch_job *j = (struct batch_job *)job;
	struct batch b = {0};

	if (j->in->conf.ops->get_batch && !atomic_load(&j->in->no_batch))
		fetch(j, &b);
	else
		get_each(j);
	mem_free(j);
}

static void batch_drop(struct job *job)
{
	struct sfs_err err;

	err_set(&err, ENODEV, "this source was closed");
	end_all((struct batch_job *)job, &err);
	mem_free(job);
}

int batch_start(void *arg, struct flight *const *v, size_t n, struct sfs_err *err)
{
	struct instance *in = arg;
	struct batch_job *j = mem_calloc(1, sizeof(*j));
	int r;

	if (!j)
		return err_set(err, ENOMEM, "%s: out of memory", in->conf.name);
	j->job.run = batch_run;
	j->job.drop = batch_drop;
	j->job.lane = POOL_LANE_NONE;
	j->in = in;
	for (size_t i = 0; i < n; i++)
		j->flights[j->n++] = v[i];
	r = pool_push(in->gets, &j->job);
	if (r == 0)
		return 0;
	mem_free(j);
	return get_refused(in, r, err);
}
