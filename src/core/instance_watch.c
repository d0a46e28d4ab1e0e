/* SPDX-License-Identifier: Apache-2.0 */
/* The watch thread: keeps the back end's watch running and passes its news on. */
#include "core/instance_priv.h"

#include "base/log.h"
#include "base/thread.h"
#include "core/freshness.h"
#include <errno.h>
#include <poll.h>
#include <time.h>

/* inotify and HTTP watches nest deeper than a fetch. */
#define WATCH_STACK ((size_t)512 * 1024)

void watch_changed(struct watch_sink *sink, const char *name)
{
	struct instance *in = sink->in;

	if (!instance_tell_begin(in))
		return;
	if (name && !answer_name(name))
		name = NULL; /* something changed that has no usable name: look at everything */
	if (!name)
		atomic_store(&sink->reported, true);
	if (in->ev.changed)
		in->ev.changed(in->ev.arg, in, name);
	instance_tell_end(in);
}

static void report(struct instance *in, int r, struct sfs_err *err)
{
	static struct log_rate rate = LOG_RATE(60);

	if (r == 0)
		err_set(err, EIO, "the back end stopped watching without saying why");
	else
		answer_code(r, err);
	err_prefix(err, "%s: watch for changes", in->conf.name);
	if (log_due(&rate))
		log_err(LOG_LEVEL_WARN, err);
}

/* True if the instance ends. */
static bool pause_watch(struct instance *in, unsigned fails)
{
	struct pollfd fd = {in->stop_fd, POLLIN, 0};
	uint64_t limit = (uint64_t)(fresh_backoff(fails) / NSEC_PER_MSEC);

	poll(&fd, 1, (int)random_below(limit) + 1);
	return atomic_load(&in->stopping);
}

static void *watch_main(void *arg)
{
	struct instance *in = arg;
	unsigned fails = 0;

	pthread_setname_np(pthread_self(), "sfs-watch");
	while (!atomic_load(&in->stopping)) {
		struct sfs_err err = {0};
		int r = in->conf.ops->watch(in->state, in->stop_fd, &in->sink, &err);
		bool reported = atomic_exchange(&in->sink.reported, false);

		if (atomic_load(&in->stopping))
			break;
		fails = reported ? 1 : fails + 1;
		report(in, r, &err);
		if (pause_watch(in, fails))
			break;
	}
	return NULL;
}

int watch_start(struct instance *in, struct sfs_err *err)
{
	int r = thread_start(&in->watch_thread, WATCH_STACK, watch_main, in);

	if (r < 0)
		return err_errno(err, -r, "%s: start the watch thread", in->conf.name);
	in->has_watch = true;
	return 0;
}

bool watch_stop(struct instance *in, int64_t wait)
{
	struct timespec t;
	int64_t until;

	if (!in->has_watch)
		return true;
	clock_gettime(CLOCK_REALTIME, &t);
	until = t.tv_sec * NSEC_PER_SEC + t.tv_nsec + wait;
	t.tv_sec = until / NSEC_PER_SEC;
	t.tv_nsec = until % NSEC_PER_SEC;
	if (pthread_timedjoin_np(in->watch_thread, NULL, &t) == 0)
		return true;
	pthread_detach(in->watch_thread);
	return false;
}
