/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that are not fetches: listing, describe, versions. */
#include "core/instance_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

enum list_kind { KIND_LIST, KIND_DESCRIBE, KIND_VERSIONS };
static const char *const kind_words[] = {"list", "describe", "list the versions of"};

struct list_job {
	struct job job;
	struct instance *in;
	enum list_kind kind;
	char *arg;    /* filter or name; NULL = all */
	bool patient; /* it may go on as long as lines come: who waits has a timer */
	_Atomic int64_t deadline;
	struct instance_call *calls;  /* who waits, chained by next; in->lock */
	struct list_job *prev, *next; /* in->jobs */
};

struct result {
	struct listing *listing;
	struct buf text;
	char **versions;
	size_t nversions;
};

static void job_free(struct list_job *j)
{
	mem_free(j->arg);
	mem_free(j);
}

/* --- the three calls of the back end --- */

static void complain(struct instance *in, const struct list_sink *sink, size_t n)
{
	bool news;

	pthread_mutex_lock(&in->lock);
	news = sink->skipped != in->logged_skipped || sink->truncated != in->logged_truncated;
	in->logged_skipped = sink->skipped;
	in->logged_truncated = sink->truncated;
	pthread_mutex_unlock(&in->lock);
	if (news && sink->skipped)
		log_warn("%s: list: skipped %zu unusable entries beside %zu good ones; the first: "
			 "%s: %s",
			in->conf.name, sink->skipped, n, sink->first, sink->reason);
	if (news && sink->truncated)
		log_warn("%s: list: there are more than %zu names; the others are not shown, "
			 "narrow the source "
			 "with prefix= or filter=",
			in->conf.name, sink->max);
}

struct patient_sink {
	struct list_sink sink; /* first */
	struct list_job *job;
};

/* A source with many pages needs longer than one answer may take: each line gives it as long again,
 * up to a limit for the whole. */
static void give_more(struct list_sink *sink)
{
	struct list_job *j = ((struct patient_sink *)sink)->job;
	int64_t until = clock_after(clock_boot(), j->in->timeout);
	int64_t latest = clock_after(sink->started, SFS_LIST_SECONDS);

	if (until > latest)
		until = latest;
	if (until > sink->call->deadline) {
		sink->call->deadline = until;
		atomic_store(&j->deadline, until);
	}
}

static int do_list(struct list_job *j, struct call *call, struct result *res, struct sfs_err *err)
{
	const struct backend_ops *ops = j->in->conf.ops;
	bool own = ops->flags & BACKEND_FILTER;
	struct patient_sink patient = {.sink = {.call = call,
					       .more = j->patient ? give_more : NULL,
					       .glob = own ? NULL : j->arg,
					       .max = SFS_LIST_MAX,
					       .started = clock_boot()},
		.job = j};
	struct list_sink *sink = &patient.sink;
	int r = ops->list(j->in->state, call, own ? j->arg : NULL, sink, err);

	if (r == -EFBIG && sink->truncated)
		r = 0;
	r = answer_code(r, err);
	if (sink->problem.code)
		err_prefix(&sink->problem, "%s", j->in->conf.name);
	if (r == 0 && list_sink_finish(sink, &res->listing) < 0)
		r = err_set(err, ENOMEM, "out of memory for the names");
	if (r == 0 && !j->arg)
		complain(j->in, sink, res->listing->n);
	list_sink_clear(sink);
	return r;
}

/* What the newest listing said of the name; `what` gets a copy of one of its strings. */
static int from_listing(struct instance *in, const char *name, bool meta, char **ret)
{
	const struct list_entry *e = NULL;
	const char *text;
	int r = 0;

	pthread_mutex_lock(&in->lock);
	if (in->last)
		e = listing_find(in->last, name);
	text = !e ? NULL : meta ? e->meta : e->version;
	*ret = mem_strdup(text);
	if (text && !*ret)
		r = -ENOMEM;
	pthread_mutex_unlock(&in->lock);
	return r;
}

static int describe(
	struct list_job *j, const struct call *call, struct result *res, struct sfs_err *err)
{
	const struct backend_ops *ops = j->in->conf.ops;
	_cleanup_free_ char *meta = NULL;
	int r = 0;

	if (!ops->describe || ops->flags & BACKEND_LIST_TELLS)
		r = from_listing(j->in, j->arg, true, &meta);
	if (r < 0)
		return r;
	if (ops->describe && !meta)
		return ops->describe(j->in->state, call, j->arg, &res->text, err);
	return buf_str(&res->text, meta ? meta : "{}");
}

static int do_describe(
	struct list_job *j, const struct call *call, struct result *res, struct sfs_err *err)
{
	int r;

	res->text = (struct buf)BUF_INIT(SFS_META_MAX);
	r = describe(j, call, res, err);
	if (r == 0 && res->text.failed == EFBIG)
		return err_set(
			err, EBADMSG, "the description has more than %d bytes", SFS_META_MAX);
	r = answer_code(r ? r : -res->text.failed, err);
	if (r == 0 && (strlen(buf_text(&res->text)) != res->text.len ||
			      !answer_meta(buf_text(&res->text))))
		r = err_set(err, EBADMSG, "the description is no JSON object");
	return r;
}

static int versions_default(struct list_job *j, struct version_sink *sink)
{
	_cleanup_free_ char *version = NULL;
	int r = from_listing(j->in, j->arg, false, &version);

	return r == 0 && version ? version_add(sink, version, 0) : r;
}

static int do_versions(
	struct list_job *j, const struct call *call, struct result *res, struct sfs_err *err)
{
	const struct backend_ops *ops = j->in->conf.ops;
	_cleanup_(version_sink_clear) struct version_sink sink = {.call = call};
	int r = ops->versions ? ops->versions(j->in->state, call, j->arg, &sink, err)
			      : versions_default(j, &sink);

	if (r == -EFBIG && sink.n >= SFS_LIST_MAX)
		r = 0;
	r = answer_code(r, err);
	if (r < 0)
		return r;
	if (version_sink_finish(&sink, &res->versions, &res->nversions) < 0)
		return err_set(err, ENOMEM, "out of memory for the versions");
	return 0;
}

static int perform(struct list_job *j, struct result *res, struct sfs_err *err)
{
	struct call call = {j->deadline, &j->in->stopping};

	if (atomic_load(&j->in->stopping))
		return err_set(err, ENODEV, "this source was closed");
	if (clock_boot() >= j->deadline)
		return err_set(err, ETIMEDOUT, "its time was over before a thread was free");
	err_clear(err);
	switch (j->kind) {
	case KIND_LIST:
		return do_list(j, &call, res, err);
	case KIND_DESCRIBE:
		return do_describe(j, &call, res, err);
	case KIND_VERSIONS:
		return do_versions(j, &call, res, err);
	}
	return err_set(err, EINVAL, "unknown call");
}

/* --- answers --- */

static struct instance_call *take_calls(struct list_job *j)
{
	struct instance *in = j->in;
	struct instance_call *calls;

	pthread_mutex_lock(&in->lock);
	calls = j->calls;
	j->calls = NULL;
	if (in->full == j)
		in->full = NULL;
	pthread_mutex_unlock(&in->lock);
	return calls;
}

static void give(struct instance_call *c, struct result *res)
{
	if (res->listing)
		c->listing = listing_ref(res->listing);
	/* There is one caller only, unless it is a listing. */
	c->text = res->text;
	c->versions = res->versions;
	c->nversions = res->nversions;
	res->text = (struct buf){0};
	res->versions = NULL;
	res->nversions = 0;
}

static void result_clear(struct result *res)
{
	listing_unref(res->listing);
	buf_clear(&res->text);
	for (size_t i = 0; i < res->nversions; i++)
		mem_free(res->versions[i]);
	mem_free(res->versions);
}

/* `err` NULL = well. A call is its owner's again as soon as done was called. */
static void answer_calls(struct instance_call *c, struct result *res, const struct sfs_err *err)
{
	while (c) {
		struct instance_call *next = c->next;

		if (!err)
			give(c, res);
		c->done(c, err);
		c = next;
	}
}

static void set_last(struct instance *in, struct listing *l)
{
	struct listing *old;

	pthread_mutex_lock(&in->lock);
	old = in->last;
	in->last = listing_ref(l);
	pthread_mutex_unlock(&in->lock);
	listing_unref(old);
}

static void announce(struct list_job *j, struct listing *l, const struct sfs_err *err)
{
	struct instance *in = j->in;

	if (j->kind != KIND_LIST || j->arg || !instance_tell_begin(in))
		return;
	if (l)
		set_last(in, l);
	if (in->ev.listed)
		in->ev.listed(in->ev.arg, in, l, err);
	instance_tell_end(in);
}

static void prefix(const struct list_job *j, struct sfs_err *err)
{
	char text[256];

	if (j->kind == KIND_LIST)
		err_prefix(err, "%s: list", j->in->conf.name);
	else
		err_prefix(err, "%s: %s %s", j->in->conf.name, kind_words[j->kind],
			text_escaped(text, sizeof(text), j->arg, strlen(j->arg)));
}

static void job_end(struct list_job *j)
{
	struct instance *in = j->in;

	pthread_mutex_lock(&in->lock);
	DL_DELETE(in->jobs, j);
	pthread_mutex_unlock(&in->lock);
	job_free(j);
}

static void job_run(struct job *job)
{
	struct list_job *j = (struct list_job *)job;
	struct result res = {0};
	struct sfs_err err = {0};
	bool well = perform(j, &res, &err) == 0;

	if (!well)
		prefix(j, &err);
	announce(j, well ? res.listing : NULL, well ? NULL : &err);
	answer_calls(take_calls(j), &res, well ? NULL : &err);
	result_clear(&res);
	job_end(j);
}

static void job_drop(struct job *job)
{
	struct list_job *j = (struct list_job *)job;
	struct sfs_err err;

	err_set(&err, ENODEV, "this source was closed");
	prefix(j, &err);
	answer_calls(take_calls(j), NULL, &err);
	job_end(j);
}

void instance_orphan_calls(struct instance *in)
{
	struct instance_call *calls = NULL;
	struct list_job *j;
	struct sfs_err err;

	err_set(&err, ENODEV, "%s: this source was closed", in->conf.name);
	do {
		pthread_mutex_lock(&in->lock);
		DL_FOREACH (in->jobs, j)
			if (j->calls)
				break;
		calls = j ? j->calls : NULL;
		if (j)
			j->calls = NULL;
		pthread_mutex_unlock(&in->lock);
		answer_calls(calls, NULL, &err);
	} while (calls);
}

/* --- asking --- */

static int refused(struct list_job *j, int r, struct sfs_err *err)
{
	if (r == -EBUSY)
		err_set(err, EBUSY, "%d calls are waiting already; try again later", SFS_QUEUE_MAX);
	else if (r == -ESHUTDOWN)
		err_set(err, ENODEV, "this source was closed");
	else
		err_errno(err, -r, "start a thread");
	prefix(j, err);
	return -err->code;
}

/* Queues `j`, or joins its call to the full listing that runs: then *ret_joined is set and `j` not
 * needed. A listing that is stuck beyond its deadline is not joined: the next one gets a chance in
 * another thread. in->lock is held. */
static int push_locked(struct instance *in, struct list_job *j, bool *ret_joined)
{
	bool full = j->kind == KIND_LIST && !j->arg;
	int r;

	if (full && in->full && clock_boot() < in->full->deadline) {
		LL_PREPEND(in->full->calls, j->calls);
		*ret_joined = true;
		return 0;
	}
	r = pool_push(in->lists, &j->job);
	if (r < 0)
		return r;
	DL_APPEND(in->jobs, j);
	if (full)
		in->full = j;
	return 0;
}

static struct list_job *job_new(
	struct instance *in, enum list_kind kind, const char *arg, struct instance_call *c)
{
	struct list_job *j = mem_calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->arg = mem_strdup(arg);
	if (arg && !j->arg) {
		mem_free(j);
		return NULL;
	}
	j->job.run = job_run;
	j->job.drop = job_drop;
	j->in = in;
	j->kind = kind;
	j->patient = (kind == KIND_LIST && !arg) || c->deadline == 0;
	j->deadline = c->deadline ? c->deadline : clock_after(clock_boot(), in->timeout);
	j->calls = c;
	c->next = NULL;
	return j;
}

static int ask(struct instance *in, enum list_kind kind, const char *arg, struct instance_call *c,
	struct sfs_err *err)
{
	struct list_job *j = job_new(in, kind, arg, c);
	struct sfs_err own;
	bool joined = false;
	int r;

	err = err ? err : &own;
	if (!j)
		return err_set(
			err, ENOMEM, "%s: %s: out of memory", in->conf.name, kind_words[kind]);
	pthread_mutex_lock(&in->lock);
	r = push_locked(in, j, &joined);
	pthread_mutex_unlock(&in->lock);
	if (r == 0 && !joined)
		return 0;
	if (r < 0)
		r = refused(j, r, err);
	job_free(j);
	return r;
}

int instance_list(
	struct instance *in, const char *filter, struct instance_call *c, struct sfs_err *err)
{
	return ask(in, KIND_LIST, filter, c, err);
}

int instance_describe(
	struct instance *in, const char *name, struct instance_call *c, struct sfs_err *err)
{
	return ask(in, KIND_DESCRIBE, name, c, err);
}

int instance_versions(
	struct instance *in, const char *name, struct instance_call *c, struct sfs_err *err)
{
	return ask(in, KIND_VERSIONS, name, c, err);
}
