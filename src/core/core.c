/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending the core, its locks and its events. */
#include "core/core_hydrate.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#define SEED_POLICY 5
#define WAIT_SLICE \
	NSEC_PER_SEC /* a waiting thread looks at the clock again: suspend does not wake it */

/* --- locks and events --- */

void core_lock(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	core->tree.batch = core->tree.next_cookie;
}

void core_unlock_quiet(struct core *core)
{
	pthread_mutex_unlock(&core->lock);
}

/* One batch of events. Names that came and went meanwhile are no news. */
static void send_batch(struct core *core, struct tree_event *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (core->ev.changed && (v[i].what != CORE_NEW || dent_alive(v[i].d)))
			core->ev.changed(core->ev.arg, v[i].d, v[i].what);
	core_tell_changes(core, v, n);
	for (size_t i = 0; i < n; i++)
		dent_unref(core, v[i].d);
	mem_free(v);
}

static void run_after(struct core_after *a)
{
	while (a) {
		struct core_after *next = a->next;
		a->fn(a);
		a = next;
	}
}

void core_after_events(struct core *core, struct core_after *a)
{
	pthread_mutex_lock(&core->lock);
	LL_APPEND(core->after, a);
	pthread_mutex_unlock(&core->lock);
	core_send(core);
}

struct then {
	struct core_after after; /* first */
	void (*fn)(void *arg);
	void *arg;
};

static void run_then(struct core_after *a)
{
	struct then *t = (struct then *)a;
	t->fn(t->arg);
	mem_free(t);
}

void core_then(struct core *core, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&core->lock);
	bool busy = core->flushing || core->tree.nevents || core->after;
	pthread_mutex_unlock(&core->lock);
	struct then *t = busy ? mem_calloc(1, sizeof(*t)) : NULL;
	if (!t) {
		fn(arg);
		return;
	}
	*t = (struct then){{.fn = run_then}, fn, arg};
	core_after_events(core, &t->after);
}

/* One thread sends at a time, so that events arrive in the order in which things happened. */
void core_send(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	while ((core->tree.nevents || core->after) && !core->flushing) {
		struct tree_event *v = take(core->tree.events);
		struct core_after *after = take(core->after);
		size_t n = core->tree.nevents;
		core->tree.nevents = core->tree.cap = 0;
		core->flushing = true;
		pthread_mutex_unlock(&core->lock);
		send_batch(core, v, n);
		run_after(after);
		pthread_mutex_lock(&core->lock);
		core->flushing = false;
	}
	pthread_mutex_unlock(&core->lock);
}

void core_unlock(struct core *core)
{
	bool events = core->tree.nevents > 0;
	pthread_mutex_unlock(&core->lock);
	if (events)
		core_send(core);
}

bool core_use(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	bool ok = !core->shutdown;
	core->users += ok;
	pthread_mutex_unlock(&core->lock);
	return ok;
}

void core_unuse(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	assert(core->users > 0);
	if (--core->users == 0)
		pthread_cond_broadcast(&core->idle);
	pthread_mutex_unlock(&core->lock);
}

/* --- policies --- */

static bool same_policy(const void *p, const void *key)
{
	const struct policy *a = p, *b = key;
	return a->ttl == b->ttl && a->stale == b->stale && a->uid == b->uid && a->gid == b->gid &&
	       a->mode == b->mode && a->hidden == b->hidden;
}

const struct policy *core_policy(
	struct core *core, const struct config *c, const char *path, const char *alias)
{
	struct policy p;
	config_policy_alias(c, path, alias, &p);
	const int64_t parts[] = {p.ttl, p.stale, p.uid, p.gid, p.mode, p.hidden};
	uint64_t hash = ptab_hash(parts, sizeof(parts), SEED_POLICY);
	pthread_mutex_lock(&core->note_lock);
	struct policy *found = ptab_find(&core->policies, hash, same_policy, &p);
	if (!found && (found = mem_calloc(1, sizeof(*found)))) {
		*found = p;
		if (ptab_add(&core->policies, hash, found) < 0) {
			mem_free(found);
			found = NULL;
		}
	}
	pthread_mutex_unlock(&core->note_lock);
	return found;
}

/* --- making --- */

static void free_policies(struct core *core)
{
	size_t pos = 0;
	void *p;
	while ((p = ptab_next(&core->policies, &pos)))
		mem_free(p);
	ptab_clear(&core->policies);
}

static int init_locks(struct core *core)
{
	pthread_condattr_t attr;
	pthread_mutex_init(&core->sync, NULL);
	pthread_mutex_init(&core->lock, NULL);
	pthread_mutex_init(&core->note_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&core->listed, &attr);
	pthread_cond_init(&core->idle, &attr);
	pthread_cond_init(&core->timer_cond, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

static int make_store(struct core *core, const struct config *c)
{
	const struct opt_table *t = &config_mount_options;
	struct store_config conf = {.negative_ttl = opt_duration(&c->mount, t, "negative_ttl"),
		.timeout = opt_duration(&c->mount, t, "timeout"),
		.node = random_below(UINT64_MAX),
		.event = core_store_event,
		.pressure = core_pressure,
		.full = core_hydrate_full,
		.arg = core};
	bool given = opt_find(&c->mount, "cache_size");
	conf.cache_bytes = opt_size(&c->mount, t, given ? "cache_size" : "arena");
	return store_new(&conf, &core->store);
}

static struct core *new_core(const struct machine *machine, const struct core_events *ev)
{
	struct core *core = mem_calloc(1, sizeof(*core));
	if (!core || events_new(&core->events) < 0 || tree_init(&core->tree) < 0) {
		if (core)
			events_free(core->events);
		mem_free(core);
		return NULL;
	}
	init_locks(core);
	core->machine = machine;
	if (ev)
		core->ev = *ev;
	core->started_wall = clock_wall();
	core->started_boot = clock_boot();
	return core;
}

static int open_insts(struct core *core, const struct config *c, struct sfs_err *err)
{
	core->insts = mem_calloc(c->nbackends, sizeof(*core->insts));
	if (!core->insts)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < c->nbackends; i++) {
		int r = core_inst_open(core, &c->backends[i], &core->insts[i], err);
		if (r < 0)
			return r;
		core_inst_set_rate(core->insts[i], c);
		core->insts[i]->index = i;
		core->ninsts++;
	}
	return 0;
}

/* Shows names= and the directories of at=, before any listing. */
static int attach_inst(struct core_inst *ci)
{
	struct core *core = ci->core;
	struct sync_ops *ops = NULL;
	struct ptab dropped = {0};
	pthread_mutex_lock(&core->sync);
	store_gather(core->store);
	int r = core_sync_prepare(ci, core->conf, &ops);
	core_lock(core);
	core->tree.quiet = true;
	ci->attached = r == 0;
	if (r == 0)
		r = *ci->at ? tree_fix(&core->tree, ci->at) : 0;
	if (r == 0)
		core_sync_apply(ci, ops, &dropped);
	core_sync_maps(core);
	core->tree.quiet = false;
	core_unlock_quiet(core);
	pthread_mutex_unlock(&core->sync);
	store_start_bulk(core->store);
	core_sync_free(ops);
	core_drop_values(ci, &dropped);
	return r;
}

static int start_insts(struct core *core, struct sfs_err *err)
{
	for (size_t i = 0; i < core->ninsts; i++) {
		int r = attach_inst(core->insts[i]);
		if (r < 0)
			return err_set(err, -r, "out of memory");
		r = instance_start(core->insts[i]->in, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start_threads(struct core *core, struct sfs_err *err)
{
	if (clock_is_fake()) /* the test runs the timers itself */
		return 0;
	int r = store_start_timer(core->store);
	if (r == 0)
		r = core_timer_start(core);
	return r < 0 ? err_errno(err, -r, "cannot start a thread for timers") : 0;
}

static int open_all(struct core *core, struct config *c, struct sfs_err *err)
{
	int r = make_store(core, c);
	if (r < 0)
		return err_errno(err, -r, "cannot make the cache");
	core->conf = c;
	atomic_init(&core->hydrating, config_hydration(c) != HYDRATE_NONE);
	core->timeout = opt_duration(&c->mount, &config_mount_options, "timeout");
	r = core_maps_alloc(c, &core->map_dents);
	if (r < 0)
		return err_set(err, ENOMEM, "out of memory");
	r = open_insts(core, c, err);
	if (r == 0)
		r = start_threads(core, err);
	if (r == 0)
		r = start_insts(core, err);
	return r;
}

int core_open(struct config *c, const struct machine *machine, const struct core_events *ev,
	struct core **ret, struct sfs_err *err)
{
	struct core *core = new_core(machine, ev);
	if (!core)
		return err_set(err, ENOMEM, "out of memory");
	int r = open_all(core, c, err);
	if (r < 0) {
		core_shutdown(core);
		core_maps_replace(core, NULL, c->nmaps);
		core->conf = NULL; /* stays the caller's */
		core_free(core);
		return r;
	}
	*ret = core;
	for (size_t i = 0; i < core->ninsts; i++)
		core_list_start(core->insts[i]);
	return 0;
}

/* --- waiting for listings --- */

/* 1 = some first listing is still on its way; else 0 or the first error. Tree lock. */
static int first_listings(const struct core *core, bool all, struct sfs_err *err)
{
	const struct core_inst *bad = NULL;
	for (size_t i = 0; i < core->ninsts; i++) {
		const struct core_inst *ci = core->insts[i];
		if (!all && !(ci->ops->flags & BACKEND_LOCAL))
			continue;
		if (!ci->answered)
			return 1;
		if (!bad && !ci->listing && !ci->nnames)
			bad = ci;
	}
	return bad ? err_set(err, bad->list_err.code, "%s", bad->list_err.msg) : 0;
}

/* Waits for a signal, at most until `deadline` or a second, whatever comes first. */
static void wait_slice(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t left)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (left > WAIT_SLICE)
		left = WAIT_SLICE;
	int64_t ns = ts.tv_nsec + left;
	ts.tv_sec += ns / NSEC_PER_SEC;
	ts.tv_nsec = ns % NSEC_PER_SEC;
	pthread_cond_timedwait(cond, lock, &ts);
}

int core_wait_listed(struct core *core, bool all, int64_t deadline, struct sfs_err *err)
{
	int r;
	pthread_mutex_lock(&core->lock);
	while ((r = first_listings(core, all, err)) == 1) {
		int64_t now = clock_boot();
		if (core->shutdown || now >= deadline)
			break;
		wait_slice(&core->listed, &core->lock, deadline - now);
	}
	if (r == 1)
		r = core->shutdown ? err_set(err, EIO, "the mount ends")
				   : err_set(err, ETIMEDOUT, "no listing within the time to wait");
	pthread_mutex_unlock(&core->lock);
	return r;
}

/* --- ending --- */

static void wait_idle(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	while (core->users || core->flushing)
		wait_slice(&core->idle, &core->lock, WAIT_SLICE / 10);
	pthread_mutex_unlock(&core->lock);
}

void core_shutdown(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	bool first = !core->shutdown;
	core->shutdown = true;
	pthread_cond_broadcast(&core->listed);
	pthread_mutex_unlock(&core->lock);
	if (!first)
		return;
	core_jobs_abort(core);
	core_list_abort(core);
	core_prov_abort(core);
	for (size_t i = 0; i < core->ninsts; i++)
		core_inst_close(core->insts[i]);
	core_timer_stop(core);
	if (core->store)
		store_stop_timer(core->store);
	wait_idle(core);
}

static void free_notes(struct core *core)
{
	for (size_t i = 0; i < core->nnotes; i++)
		mem_free(core->notes[i]);
	for (size_t i = 0; i < CONTROL_N; i++)
		mem_free(core->progress[i]);
	mem_free(core->notes);
	mem_free(core->mount_dir);
}

void core_free(struct core *core)
{
	if (!core)
		return;
	core_shutdown(core);
	if (core->conf)
		core_maps_replace(core, NULL, core->conf->nmaps);
	tree_clear(&core->tree);
	for (size_t i = 0; i < core->ninsts; i++)
		core_inst_unref(core->insts[i]);
	for (size_t i = 0; i < core->nold; i++)
		core_inst_unref(core->old_insts[i]);
	mem_free(core->insts);
	mem_free(core->old_insts);
	if (core->store)
		store_free(core->store);
	ptab_clear(&core->provs);
	free_policies(core);
	free_notes(core);
	events_free(core->events);
	config_free(core->conf);
	pthread_cond_destroy(&core->listed);
	pthread_cond_destroy(&core->idle);
	pthread_cond_destroy(&core->timer_cond);
	pthread_mutex_destroy(&core->sync);
	pthread_mutex_destroy(&core->lock);
	pthread_mutex_destroy(&core->note_lock);
	mem_free(core);
}

const struct config *core_config(struct core *core)
{
	pthread_mutex_lock(&core->lock);
	const struct config *c = core->conf;
	pthread_mutex_unlock(&core->lock);
	return c;
}

void core_set_mount_dir(struct core *core, const char *dir)
{
	char *copy = mem_strdup(dir);
	pthread_mutex_lock(&core->note_lock);
	char *old = core->mount_dir;
	core->mount_dir = copy;
	pthread_mutex_unlock(&core->note_lock);
	mem_free(old);
}

struct events *core_event_ring(struct core *core)
{
	return core->events;
}

void core_note(struct core *core, const char *text)
{
	_cleanup_free_ char *copy = mem_strdup(text);
	pthread_mutex_lock(&core->note_lock);
	char **v = copy ? mem_realloc(core->notes, core->nnotes + 1, sizeof(*v)) : NULL;
	if (v) {
		core->notes = v;
		v[core->nnotes++] = take(copy);
	}
	pthread_mutex_unlock(&core->note_lock);
}
