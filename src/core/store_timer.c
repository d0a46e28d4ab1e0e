/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store_priv.h"

#include "base/log.h"
#include "base/thread.h"
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void kick(struct store *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->kick_fd, &one, sizeof(one));

	(void)n; /* a full counter wakes the thread as well */
}

void timer_set(struct store *s, struct heap_node *n, int64_t when)
{
	if (when == CLOCK_NEVER) {
		heap_remove(&s->timers, n);
		return;
	}
	heap_set(&s->timers, n, when);
	if (s->kick_fd >= 0 && when < s->sleep_until) {
		s->sleep_until = when;
		kick(s);
	}
}

#define container(node, type) ((type *)(void *)((char *)(node)-offsetof(type, timer)))

static void fire(struct store *s, struct heap_node *n, struct outbox *box)
{
	switch ((enum timer_kind)n->kind) {
	case TIMER_WAITER:
		waiter_due(container(n, struct waiter), box);
		break;
	case TIMER_ENTRY:
		entry_due(container(n, struct entry), box);
		break;
	case TIMER_FLIGHT:
		flight_due(container(n, struct flight), box);
		break;
	case TIMER_BUCKET:
		rate_due(container(n, struct bucket), box);
		break;
	case TIMER_SOURCE:
		heap_remove(&s->timers, n);
		if (!bulk_give_up(container(n, struct source), box))
			kept_pump(container(n, struct source), box);
		break;
	}
}

/* One timer at a time: its callbacks run without the lock. */
int64_t store_run_timers(struct store *s)
{
	for (;;) {
		struct outbox box = {0};
		struct heap_node *n;
		int64_t next = CLOCK_NEVER;

		store_lock(s);
		n = heap_top(&s->timers);
		if (n && n->when > clock_boot()) {
			next = n->when;
			n = NULL;
		}
		if (n)
			fire(s, n, &box);
		else
			s->sleep_until = next;
		store_unlock(s);
		if (!n)
			return next;
		outbox_run(s, &box);
	}
}

/* CLOCK_BOOTTIME, so that a suspend counts (R37). With a fake clock only kicks wake the thread. */
static void sleep_for_kick(struct store *s, int64_t until)
{
	int64_t rest = until - clock_boot();
	struct itimerspec when = {0};
	struct pollfd fds[2] = {{s->timer_fd, POLLIN, 0}, {s->kick_fd, POLLIN, 0}};
	uint64_t count;

	if (until != CLOCK_NEVER && !clock_is_fake()) {
		rest = rest > 0 ? rest : 1; /* 0 would switch it off */
		when.it_value.tv_sec = rest / NSEC_PER_SEC;
		when.it_value.tv_nsec = rest % NSEC_PER_SEC;
	}
	timerfd_settime(s->timer_fd, 0, &when, NULL);
	if (poll(fds, 2, -1) < 0)
		return;
	for (int i = 0; i < 2; i++) {
		ssize_t n = fds[i].revents ? read(fds[i].fd, &count, sizeof(count)) : 0;

		(void)n; /* non-blocking: nothing there is fine */
	}
}

static bool is_stopping(struct store *s)
{
	bool stopping;

	store_lock(s);
	stopping = s->stopping;
	store_unlock(s);
	return stopping;
}

static void *timer_main(void *arg)
{
	struct store *s = arg;

	pthread_setname_np(pthread_self(), "sfs-timer");
	while (!is_stopping(s))
		sleep_for_kick(s, store_run_timers(s));
	return NULL;
}

static void close_fds(struct store *s)
{
	if (s->timer_fd >= 0)
		close(s->timer_fd);
	if (s->kick_fd >= 0)
		close(s->kick_fd);
	s->timer_fd = s->kick_fd = -1;
}

int store_start_timer(struct store *s)
{
	int r;

	store_lock(s);
	s->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	s->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = s->timer_fd < 0 || s->kick_fd < 0 ? -errno : 0;
	if (r == 0)
		r = thread_start(&s->thread, 0, timer_main, s);
	if (r < 0)
		close_fds(s);
	else
		s->has_thread = true;
	store_unlock(s);
	return r;
}

void store_stop_timer(struct store *s)
{
	store_lock(s);
	if (!s->has_thread) {
		store_unlock(s);
		return;
	}
	s->stopping = true;
	kick(s);
	store_unlock(s);
	pthread_join(s->thread, NULL);
	store_lock(s);
	s->has_thread = s->stopping = false;
	close_fds(s);
	store_unlock(s);
}
