/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_needs.h"
#include "core/instance_priv.h"

#include "base/alloc.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static void conf_clear(struct backend_conf *c)
{
	for (size_t i = 0; c->values && i < c->nvalues; i++) {
		mem_free((char *)c->values[i].name);
		secret_unref(c->values[i].value);
	}
	mem_free(c->values);
	opt_clear(&c->common);
	opt_clear(&c->own);
	mem_free(c->name);
	mem_free(c->location);
	mem_free(c->at);
	*c = (struct backend_conf){0};
}

static int copy_values(struct backend_conf *to, const struct backend_conf *from)
{
	to->values = mem_calloc(from->nvalues + 1, sizeof(to->values[0]));
	if (!to->values)
		return -ENOMEM;
	for (size_t i = 0; i < from->nvalues; i++) {
		to->values[i].name = mem_strdup(from->values[i].name);
		if (!to->values[i].name)
			return -ENOMEM;
		to->values[i].value = secret_ref(from->values[i].value);
		to->nvalues++;
	}
	return 0;
}

static int conf_copy(struct backend_conf *to, const struct backend_conf *from)
{
	to->ops = from->ops;
	to->name = mem_strdup(from->name);
	to->location = mem_strdup(from->location ? from->location : "");
	to->at = mem_strdup(from->at ? from->at : "");
	if (!to->name || !to->location || !to->at || copy_values(to, from) < 0)
		return -ENOMEM;
	if (opt_copy(&to->common, &from->common) < 0 || opt_copy(&to->own, &from->own) < 0)
		return -ENOMEM;
	return 0;
}

static void instance_free(struct instance *in)
{
	if (in->opened)
		in->conf.ops->close(in->state);
	source_unref(in->source);
	pool_free(in->gets);
	pool_free(in->lists);
	listing_unref(in->last);
	if (in->stop_fd >= 0)
		close(in->stop_fd);
	conf_clear(&in->conf);
	pthread_cond_destroy(&in->told);
	pthread_mutex_destroy(&in->lock);
	mem_free(in);
}

static int check_ops(const struct backend_conf *conf, struct sfs_err *err)
{
	const struct backend_ops *ops = conf->ops;
	const char *lacks = !ops->open	  ? "open"
			    : !ops->list  ? "list"
			    : !ops->get	  ? "get"
			    : !ops->close ? "close"
					  : NULL;

	if (!lacks)
		return 0;
	return err_set(err, EINVAL, "%s: the back end %s lacks the required call %s", conf->name,
		ops->name, lacks);
}

static unsigned threads_of(const struct backend_ops *ops)
{
	if (ops->threads)
		return ops->threads;
	return ops->flags & BACKEND_LOCAL ? INSTANCE_LOCAL_THREADS : SFS_POOL_THREADS;
}

/* From a local source each fetch is so short that handing it to a thread costs more; so a thread
 * gets several, also where there is no get_batch. */
void instance_set_limits(struct instance *in)
{
	const struct backend_ops *ops = in->conf.ops;
	unsigned threads = threads_of(ops);
	bool several =
		(ops->get_batch && !atomic_load(&in->no_batch)) || ops->flags & BACKEND_LOCAL;
	const struct source_limits limits = {.bulk = threads / 2,
		.batch = several ? SFS_BATCH_MAX : 1,
		.background = threads / 4 ? threads / 4 : 1};

	source_limit(in->source, &limits);
}

/* Everything but the back end itself. */
static int set_up(struct instance *in, const struct backend_conf *conf, struct sfs_err *err)
{
	unsigned threads = threads_of(conf->ops);

	in->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (in->stop_fd < 0)
		return err_errno(err, errno, "%s: eventfd", conf->name);
	if (conf_copy(&in->conf, conf) < 0 ||
		pool_new("sfs-get", threads, SFS_QUEUE_MAX, &in->gets) < 0 ||
		pool_new("sfs-list", INSTANCE_LIST_THREADS, SFS_QUEUE_MAX, &in->lists) < 0 ||
		source_new(in->store, conf->name, &instance_source_ops, in, &in->source) < 0)
		return err_set(err, ENOMEM, "%s: out of memory", conf->name);
	instance_set_limits(in);
	return 0;
}

static int open_backend(struct instance *in, const struct machine *m, struct sfs_err *err)
{
	int r;

	in->machine = m;
	in->runner = (struct runner){.run = instance_run, .arg = in};
	in->env = (struct backend_env){
		.instance = in->conf.name,
		.paths = m->paths,
		.env = m->env,
		.home = config_home(&in->conf, m),
		.runner = m->runner ? &in->runner : NULL,
		.inline_values = in->conf.values,
		.n_inline = in->conf.nvalues,
	};
	err_clear(err);
	r = in->conf.ops->open(&in->env, in->conf.location, &in->conf.own, &in->state, err);
	if (r == 0) {
		in->opened = true;
		return 0;
	}
	answer_code(r, err);
	return err_prefix(err, "%s", in->conf.name);
}

int instance_open(const struct backend_conf *conf, const struct machine *machine,
	struct store *store, int64_t timeout, const struct instance_events *ev,
	struct instance **ret, struct sfs_err *err)
{
	struct instance *in;
	struct sfs_err own;
	int r;

	err = err ? err : &own;
	r = check_ops(conf, err);
	if (r < 0)
		return r;
	in = mem_calloc(1, sizeof(*in));
	if (!in)
		return err_set(err, ENOMEM, "%s: out of memory", conf->name);
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->told, NULL);
	in->store = store;
	in->timeout = timeout;
	in->ev = *ev;
	in->sink.in = in;
	in->stop_fd = -1;
	r = set_up(in, conf, err);
	if (r == 0)
		r = open_backend(in, machine, err);
	if (r < 0) {
		if (in->source)
			source_detach(in->source);
		instance_free(in);
		return r;
	}
	*ret = in;
	return 0;
}

int instance_start(struct instance *in, struct sfs_err *err)
{
	return in->conf.ops->watch ? watch_start(in, err) : 0;
}

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static int64_t left(int64_t until)
{
	int64_t now = monotonic();

	return now < until ? until - now : 0;
}

bool instance_tell_begin(struct instance *in)
{
	pthread_mutex_lock(&in->lock);
	bool ok = !atomic_load(&in->stopping);
	in->telling += ok;
	pthread_mutex_unlock(&in->lock);
	return ok;
}

void instance_tell_end(struct instance *in)
{
	pthread_mutex_lock(&in->lock);
	if (--in->telling == 0)
		pthread_cond_broadcast(&in->told);
	pthread_mutex_unlock(&in->lock);
}

/* However long it takes: whoever listens is about to go away, and what the listener does ends. */
static void stop_telling(struct instance *in)
{
	pthread_mutex_lock(&in->lock);
	atomic_store(&in->stopping, true);
	while (in->telling)
		pthread_cond_wait(&in->told, &in->lock);
	pthread_mutex_unlock(&in->lock);
}

void instance_close(struct instance *in)
{
	bool all;

	if (!in)
		return;
	stop_telling(in);
	int64_t until = monotonic() + INSTANCE_CLOSE_WAIT;
	if (eventfd_write(in->stop_fd, 1) < 0)
		log_error("%s: cannot stop the watch: %s", in->conf.name, strerror(errno));
	source_detach(in->source);
	all = pool_stop(in->gets, left(until));
	all = pool_stop(in->lists, left(until)) && all;
	all = watch_stop(in, left(until)) && all;
	instance_orphan_calls(in);
	if (all)
		instance_free(in);
	else
		log_error("%s: a call of the back end did not return within %d s of being told to "
			  "stop; "
			  "its thread and memory are left behind",
			in->conf.name, (int)(INSTANCE_CLOSE_WAIT / NSEC_PER_SEC));
}

const struct backend_conf *instance_conf(const struct instance *in)
{
	return &in->conf;
}

struct source *instance_source(struct instance *in)
{
	return in->source;
}

bool instance_list_complete(const struct instance *in)
{
	return (in->conf.ops->flags & BACKEND_LIST_COMPLETE) &&
	       atomic_load(&((struct instance *)in)->sink.reported);
}
