/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: when they are asked for, and who waits for them. */
#include "core/core_hydrate.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <utlist.h>

#define RETRY_MAX 60 /* seconds between attempts to list while the provider fails */

/* One core_list(). Two references: the waiting (or the fetch of the keys), and the armed timer. */
struct list_wait {
	struct core *core;
	struct core_waiter *w; /* NULL once it was answered or cancelled */
	struct dent *dir;      /* a reference; NULL = everything */
	unsigned refs;	       /* tree lock */
	bool linked;	       /* in core->list_waits */
	struct core_timer timer;
	struct waiter keys; /* the fetch of the value that holds the keys */
	struct entry *entry;
	struct list_wait *prev, *next;
};

struct list_call {
	struct instance_call call;
	struct core_inst *ci; /* a reference */
};

/* --- when --- */

static bool complete(const struct core_inst *ci)
{
	return !ci->closing && instance_list_complete(ci->in);
}

bool core_list_due(const struct core_inst *ci)
{
	int64_t now = clock_boot();
	if (ci->running || ci->closing || ci->core->shutdown)
		return false;
	if (!ci->answered)
		return true;
	if (ci->list_err.code)
		return now >= ci->retry_at;
	return !complete(ci) && now >= clock_after(ci->listed_boot, ci->core->conf->list_ttl);
}

bool inst_knows_all(const struct core_inst *ci)
{
	return ci->listing && !ci->listing->truncated && complete(ci);
}

bool inst_may_have(const struct core_inst *ci)
{
	if (!ci->listing || ci->listing->truncated)
		return true;
	if (complete(ci))
		return false;
	return ci->list_err.code || ci->listing->started <= ci->doubted_boot ||
	       clock_boot() > clock_after(ci->listing->started, ci->core->conf->negative_ttl);
}

bool core_list_pending(struct core *core, const struct dent *dir)
{
	for (size_t i = 0; i < core->ninsts; i++)
		if (!core->insts[i]->answered && (!dir || inst_covers(core->insts[i], dir->path)))
			return true;
	return false;
}

void core_list_collect(struct core *core, const char *dir, struct due_insts *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < core->ninsts; i++) {
		struct core_inst *ci = core->insts[i];
		if ((dir && !inst_covers(ci, dir)) || !core_list_due(ci))
			continue;
		core_inst_ref(ci);
		ret->v[ret->n++] = ci;
	}
}

void core_insts_ref(struct core *core, struct due_insts *ret)
{
	ret->n = 0;
	core_lock(core);
	for (size_t i = 0; i < core->ninsts; i++) {
		core_inst_ref(core->insts[i]);
		ret->v[ret->n++] = core->insts[i];
	}
	core_unlock(core);
}

void core_list_start_all(struct due_insts *due)
{
	for (size_t i = 0; i < due->n; i++) {
		core_list_start(due->v[i]);
		core_inst_unref(due->v[i]);
	}
	due->n = 0;
}

/* --- the listing itself --- */

static struct list_wait *ready_waits(struct core *core);
static void answer_waits(struct list_wait *ready);

/* Grows from one second, so that a provider that is down is asked a few times a minute by somebody
 * who looks. */
static int64_t back_off(unsigned fails)
{
	int64_t cap = fails < 6 ? 1 << fails : RETRY_MAX;
	int64_t ns = (cap < RETRY_MAX ? cap : RETRY_MAX) * NSEC_PER_SEC;
	return ns / 2 + (int64_t)random_below((uint64_t)ns / 2);
}

static void list_ended(struct core_inst *ci, const struct sfs_err *err)
{
	struct core *core = ci->core;
	core_lock(core);
	bool report = err && !core->shutdown && !ci->closing;
	core_unlock(core);
	if (report) { /* before anybody who waits looks at it */
		core_error_note(core, err);
		core_tell_error(core, ci->name, err);
	}
	core_lock(core);
	ci->running = false;
	ci->answered = true;
	if (err) {
		ci->list_err = *err;
		ci->retry_at = clock_boot() + back_off(ci->list_fails++);
	}
	bool again = ci->again && !core->shutdown;
	ci->again = false;
	struct list_wait *ready = ready_waits(core);
	pthread_cond_broadcast(&core->listed);
	core_unlock(core);
	answer_waits(ready);
	if (!err) /* of no names, perhaps */
		core_hydrate_news(core);
	if (again)
		core_list_start(ci);
}

static void list_done(struct instance_call *call, const struct sfs_err *err)
{
	struct list_call *lc = (struct list_call *)call;
	struct core_inst *ci = lc->ci;
	struct core *core = ci->core;
	listing_unref(call->listing); /* core_sync() has it already */
	mem_free(lc);
	list_ended(ci, err);
	core_inst_unref(ci);
	core_unuse(core);
}

static bool claim(struct core_inst *ci)
{
	pthread_mutex_lock(&ci->core->lock);
	bool ok = !ci->running && !ci->closing && !ci->core->shutdown;
	if (ok) {
		ci->running = true;
		ci->busy++;
		ci->core->users++;
	}
	pthread_mutex_unlock(&ci->core->lock);
	return ok;
}

void core_list_start(struct core_inst *ci)
{
	struct core *core = ci->core;
	struct sfs_err err = {0};
	if (!claim(ci))
		return;
	struct list_call *lc = mem_calloc(1, sizeof(*lc));
	int r = lc ? 0 : err_set(&err, ENOMEM, "%s: out of memory", ci->name);
	if (lc) {
		lc->call.done = list_done;
		lc->ci = ci;
		core_inst_ref(ci);
		r = instance_list(ci->in, NULL, &lc->call, &err);
	}
	inst_leave(ci);
	if (r == 0)
		return;
	list_ended(ci, &err);
	if (lc)
		core_inst_unref(ci);
	mem_free(lc);
	core_unuse(core);
}

/* --- news from the source --- */

static void on_listed(void *arg, struct instance *in, struct listing *l, const struct sfs_err *err)
{
	(void)in;
	(void)err; /* list_done() has it too */
	if (l)
		core_sync(arg, l);
}

/* The entries of `ci`: of one name, or of all. */
static void collect_entries(struct core_inst *ci, const char *name, struct entry_list *ret)
{
	struct tree *t = &ci->core->tree;
	struct subject *s = name ? tree_subject(t, ci, name, false) : NULL;
	size_t pos = 0;
	if (s && s->entry)
		entry_list_add(ret, entry_ref(s->entry));
	while (!name && (s = ptab_next(&t->subjects, &pos)))
		if (s->inst == ci && s->entry)
			entry_list_add(ret, entry_ref(s->entry));
}

static void on_changed(void *arg, struct instance *in, const char *name)
{
	struct core_inst *ci = arg;
	struct core *core = ci->core;
	struct entry_list e = {0};
	(void)in;
	core_lock(core);
	ci->again = ci->running;
	collect_entries(ci, name, &e);
	core_unlock(core);
	core_list_start(ci);
	entry_list_end(core, &e, store_changed);
}

void core_list_events(struct instance_events *ev, struct core_inst *ci)
{
	*ev = (struct instance_events){.listed = on_listed, .changed = on_changed, .arg = ci};
}

/* --- waiting --- */

static void wait_unref(struct list_wait *lw)
{
	struct core *core = lw->core;
	core_lock(core);
	bool last = --lw->refs == 0;
	core_unlock(core);
	if (!last)
		return;
	entry_unref(lw->entry);
	dent_unref(core, lw->dir);
	mem_free(lw);
}

/* Out of the list, with its waiter; the timer's reference is given back. Tree lock. */
static struct core_waiter *unlink_wait(struct list_wait *lw)
{
	struct core_waiter *w = lw->w;
	if (lw->linked)
		DL_DELETE(lw->core->list_waits, lw);
	lw->linked = false;
	if (core_timer_disarm(lw->core, &lw->timer))
		lw->refs--;
	return w;
}

/* Takes those out whose listings have all come. */
static struct list_wait *ready_waits(struct core *core)
{
	struct list_wait *ready = NULL, *lw, *tmp;
	DL_FOREACH_SAFE (core->list_waits, lw, tmp) {
		if (core_list_pending(core, lw->dir))
			continue;
		unlink_wait(lw);
		DL_APPEND(ready, lw);
	}
	return ready;
}

/* The error of a directory of which nothing can be listed. Tree lock. */
static int dir_error(struct core *core, const struct dent *dir, struct sfs_err *err)
{
	const struct core_inst *bad = NULL;
	for (size_t i = 0; i < core->ninsts; i++) {
		const struct core_inst *ci = core->insts[i];
		if (dir && !inst_covers(ci, dir->path))
			continue;
		if (dir && (ci->listing || ci->nnames))
			return 0;
		if (!bad && ci->list_err.code)
			bad = ci;
	}
	return bad ? err_set(err, bad->list_err.code, "%s", bad->list_err.msg) : 0;
}

static void finish(struct list_wait *lw, const struct sfs_err *err)
{
	core_lock(lw->core);
	struct core_waiter *w = lw->w;
	lw->w = NULL;
	if (w)
		w->wait = NULL;
	core_unlock(lw->core);
	if (w)
		w->done(w, err);
	wait_unref(lw);
}

static void keys_here(struct waiter *keys, struct payload *p, const struct sfs_err *err)
{
	struct list_wait *lw =
		(struct list_wait *)((char *)keys - offsetof(struct list_wait, keys));
	core_lock(lw->core);
	if (p && lw->dir->subject)
		show_payload(lw->core, lw->dir->subject, p);
	core_unlock(lw->core);
	finish(lw, err);
}

/* All listings are here: an error, the value that holds the keys, or done. */
static void listed(struct list_wait *lw)
{
	struct core *core = lw->core;
	struct sfs_err err = {0};
	struct subject *s = NULL;
	core_lock(core);
	int r = dir_error(core, lw->dir, &err);
	if (r == 0 && lw->dir && lw->dir->multikey && lw->dir->keys_unknown)
		s = lw->dir->subject;
	lw->entry = s ? core_entry(core, s) : NULL;
	if (lw->entry) {
		lw->keys.done = keys_here;
		lw->keys.deadline = lw->w ? lw->w->deadline : 0;
		lw->keys.payer = lw->w ? lw->w->payer : (struct payer){0};
	}
	core_unlock(core);
	if (lw->entry) {
		store_fetch(core->store, lw->entry, FETCH_CACHED, &lw->keys);
		return;
	}
	if (s)
		r = err_set(&err, ENOMEM, "out of memory");
	finish(lw, r < 0 ? &err : NULL);
}

static void answer_waits(struct list_wait *ready)
{
	struct list_wait *lw;
	while ((lw = ready)) {
		DL_DELETE(ready, lw);
		listed(lw);
	}
}

void core_list_recheck(struct core *core)
{
	core_lock(core);
	struct list_wait *ready = ready_waits(core);
	core_unlock(core);
	answer_waits(ready);
}

static void wait_due(struct core *core, struct core_timer *t)
{
	struct list_wait *lw = (struct list_wait *)((char *)t - offsetof(struct list_wait, timer));
	struct sfs_err err;
	core_lock(core);
	bool linked = lw->linked;
	if (linked)
		unlink_wait(lw);
	core_unlock(core);
	if (linked) {
		err_set(&err, ETIMEDOUT, "the first listing did not come in time");
		finish(lw, &err);
	}
	wait_unref(lw);
}

static struct list_wait *new_wait(struct core *core, struct dent *dir, struct core_waiter *w)
{
	struct list_wait *lw = mem_calloc(1, sizeof(*lw));
	w->wait = lw;
	if (!lw)
		return NULL;
	lw->core = core;
	lw->w = w;
	lw->dir = dir ? dent_ref(dir) : NULL;
	lw->refs = 1;
	lw->timer.due = wait_due;
	return lw;
}

static void refuse(struct core_waiter *w, int code, const char *text)
{
	struct sfs_err err;
	err_set(&err, code, "%s", text);
	w->done(w, &err);
}

void core_list(struct core *core, struct dent *dir, struct core_waiter *w)
{
	struct due_insts due;
	struct list_wait *lw = new_wait(core, dir, w);
	if (!lw) {
		refuse(w, ENOMEM, "out of memory");
		return;
	}
	core_lock(core);
	bool stopped = core->shutdown;
	core_list_collect(core, dir ? dir->path : NULL, &due);
	bool pending = !stopped && core_list_pending(core, dir);
	if (pending) {
		DL_APPEND(core->list_waits, lw);
		lw->linked = true;
		core_timer_arm(core, &lw->timer, w->deadline);
		lw->refs += lw->timer.armed;
	}
	core_unlock(core);
	core_list_start_all(&due);
	if (stopped) {
		struct sfs_err err;
		err_set(&err, EIO, "the mount ends");
		finish(lw, &err);
	} else if (!pending) {
		listed(lw);
	}
}

void core_list_all(struct core *core, struct core_waiter *w)
{
	core_list(core, NULL, w);
}

bool core_list_cancel(struct core *core, struct core_waiter *w)
{
	bool cancelled = false;
	core_lock(core);
	struct list_wait *lw = w->wait;
	if (lw && lw->linked) {
		unlink_wait(lw);
		cancelled = true;
	} else if (lw && lw->entry) {
		cancelled = store_cancel(core->store, &lw->keys);
	}
	if (cancelled) {
		lw->w = NULL;
		w->wait = NULL;
	}
	core_unlock(core);
	if (cancelled)
		wait_unref(lw);
	return cancelled;
}

void core_list_abort(struct core *core)
{
	struct list_wait *all = NULL, *lw, *tmp;
	struct sfs_err err;
	err_set(&err, EIO, "the mount ends");
	core_lock(core);
	DL_FOREACH_SAFE (core->list_waits, lw, tmp) {
		unlink_wait(lw);
		DL_APPEND(all, lw);
	}
	core_unlock(core);
	while ((lw = all)) {
		DL_DELETE(all, lw);
		finish(lw, &err);
	}
}
