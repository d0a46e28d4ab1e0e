/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/onchange.h"
#include "base/alloc.h"
#include "base/changes.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

#define RETRY_NS (50 * NSEC_PER_MSEC) /* for a holder that does not read now */

struct onchange {
	struct hold_client *hold;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows; a leaf */
	pthread_cond_t wake;
	struct changes waiting;
	bool stop;
};

static void nap(struct onchange *oc)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += RETRY_NS;
	ts.tv_sec += ts.tv_nsec / NSEC_PER_SEC;
	ts.tv_nsec %= NSEC_PER_SEC;
	pthread_cond_timedwait(&oc->wake, &oc->lock, &ts);
}

/* With the lock held, which is given up for the call. A message that finds no room is sent again; a
 * holder that has gone runs no command. */
static void send_chunk(struct onchange *oc, const char *text)
{
	int r;
	do {
		pthread_mutex_unlock(&oc->lock);
		r = hold_tell_now(oc->hold, HOLD_CHANGED, 0, text);
		pthread_mutex_lock(&oc->lock);
		if (r == -EAGAIN && !oc->stop)
			nap(oc);
	} while (r == -EAGAIN && !oc->stop);
}

static void *run(void *arg)
{
	struct onchange *oc = arg;
	char text[SFS_HOLD_MSG_MAX];
	pthread_mutex_lock(&oc->lock);
	while (!oc->stop) {
		size_t n = changes_take(&oc->waiting, text, sizeof(text) - 1);
		text[n] = '\0';
		if (n)
			send_chunk(oc, text);
		else
			pthread_cond_wait(&oc->wake, &oc->lock);
	}
	pthread_mutex_unlock(&oc->lock);
	return NULL;
}

int onchange_new(struct hold_client *hold, struct onchange **ret)
{
	struct onchange *oc = mem_calloc(1, sizeof(*oc));
	if (!oc)
		return -ENOMEM;
	oc->hold = hold;
	oc->waiting = (struct changes)CHANGES_INIT;
	pthread_mutex_init(&oc->lock, NULL);
	pthread_cond_init(&oc->wake, NULL);
	int r = pthread_create(&oc->thread, NULL, run, oc);
	if (r) {
		pthread_cond_destroy(&oc->wake);
		pthread_mutex_destroy(&oc->lock);
		mem_free(oc);
		return -r;
	}
	*ret = oc;
	return 0;
}

void onchange_free(struct onchange *oc)
{
	if (!oc)
		return;
	pthread_mutex_lock(&oc->lock);
	oc->stop = true;
	pthread_cond_signal(&oc->wake);
	pthread_mutex_unlock(&oc->lock);
	pthread_join(oc->thread, NULL);
	changes_clear(&oc->waiting);
	pthread_cond_destroy(&oc->wake);
	pthread_mutex_destroy(&oc->lock);
	mem_free(oc);
}

static bool is_told(enum core_change what, enum change *ret)
{
	switch (what) {
	case CORE_NEW:
		*ret = CHANGE_CREATED;
		return true;
	case CORE_ROTATED:
		*ret = CHANGE_ROTATED;
		return true;
	case CORE_GONE:
		*ret = CHANGE_DELETED;
		return true;
	default:
		return false;
	}
}

/* Directories come and go with what is in them. */
void onchange_note(struct onchange *oc, const struct dent *d, enum core_change what)
{
	enum change c;
	if (!oc || dent_kind(d) != CORE_SECRET || !is_told(what, &c))
		return;
	pthread_mutex_lock(&oc->lock);
	changes_add(&oc->waiting, c, dent_path(d));
	pthread_cond_signal(&oc->wake);
	pthread_mutex_unlock(&oc->lock);
}
