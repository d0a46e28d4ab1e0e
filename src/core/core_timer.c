/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines of what waits in the core itself (listings, versions, control files); values have
 * theirs in the store. They are few and all of about the same length, so a list is enough: the
 * thread looks at it at most every 20 ms.
 */
#include "core/core_priv.h"

#include "base/clock.h"
#include "base/thread.h"
#include <errno.h>
#include <time.h>
#include <utlist.h>

#define LOOK_EVERY (20 * NSEC_PER_MSEC)
#define SLEEP_MAX \
	NSEC_PER_SEC /* CLOCK_BOOTTIME runs on in suspend, the condition's clock does not */

void core_timer_arm(struct core *core, struct core_timer *t, int64_t deadline)
{
	t->deadline = deadline;
	if (t->armed || deadline == CLOCK_NEVER)
		return;
	DL_APPEND(core->timers, t);
	t->armed = true;
	if (deadline < core->timer_wake)
		pthread_cond_signal(&core->timer_cond);
}

bool core_timer_disarm(struct core *core, struct core_timer *t)
{
	if (!t->armed)
		return false;
	DL_DELETE(core->timers, t);
	t->armed = false;
	return true;
}

int64_t core_run_timers(struct core *core)
{
	int64_t next = CLOCK_NEVER, now = clock_boot();
	struct core_timer *due = NULL, *t, *tmp;
	pthread_mutex_lock(&core->lock);
	core->timer_wake = now; /* what is armed from now on is seen before the next sleep */
	DL_FOREACH_SAFE (core->timers, t, tmp) {
		if (t->deadline > now) {
			next = t->deadline < next ? t->deadline : next;
			continue;
		}
		core_timer_disarm(core, t);
		DL_APPEND(due, t);
	}
	pthread_mutex_unlock(&core->lock);
	while ((t = due)) {
		due = t->next;
		t->due(core, t);
	}
	return next;
}

/* How long until the next deadline, those armed since core_run_timers() included. Tree lock. */
static int64_t time_left(const struct core *core, int64_t now)
{
	const struct core_timer *t;
	int64_t left = SLEEP_MAX;
	DL_FOREACH (core->timers, t)
		if (t->deadline < now + left)
			left = t->deadline - now;
	return left < LOOK_EVERY ? LOOK_EVERY : left;
}

/* False: the end. */
static bool sleep_a_while(struct core *core)
{
	struct timespec ts;
	pthread_mutex_lock(&core->lock);
	int64_t now = clock_boot(), left = time_left(core, now);
	bool on = !core->shutdown;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	int64_t ns = ts.tv_nsec + left;
	ts.tv_sec += ns / NSEC_PER_SEC;
	ts.tv_nsec = ns % NSEC_PER_SEC;
	core->timer_wake = now + left;
	if (on)
		pthread_cond_timedwait(&core->timer_cond, &core->lock, &ts);
	pthread_mutex_unlock(&core->lock);
	return on;
}

static void *timer_main(void *arg)
{
	do
		core_run_timers(arg);
	while (sleep_a_while(arg));
	return NULL;
}

int core_timer_start(struct core *core)
{
	int r = thread_start(&core->timer_thread, 0, timer_main, core);
	core->has_timer_thread = r == 0;
	return r;
}

void core_timer_stop(struct core *core)
{
	if (!core->has_timer_thread)
		return;
	pthread_mutex_lock(&core->lock);
	pthread_cond_signal(&core->timer_cond);
	pthread_mutex_unlock(&core->lock);
	pthread_join(core->timer_thread, NULL);
	core->has_timer_thread = false;
}
