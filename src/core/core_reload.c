/* SPDX-License-Identifier: Apache-2.0 */
/* A new configuration in force: new sources are opened before anything changes, old ones closed
 * after. */
#include "core/config_needs.h"
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <time.h>

struct reload {
	struct core *core;
	struct config *c;
	size_t n;
	struct core_inst **insts; /* the new set */
	bool *fresh;		  /* opened for it */
	struct sync_ops **ops;
	struct ptab *dropped;
	struct dent **maps;
	struct core_inst **gone; /* closed by it; room for all old ones */
	size_t ngone;
};

/* --- what stays --- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_options(const struct opt_values *a, const struct opt_values *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct opt_value *v = opt_find(b, opt_value_name(&a->v[i]));
		if (!v || strcmp(v->text, a->v[i].text) != 0)
			return false;
	}
	return true;
}

static bool same_values(const struct backend_conf *a, const struct backend_conf *b)
{
	if (a->nvalues != b->nvalues)
		return false;
	for (size_t i = 0; i < a->nvalues; i++)
		if (strcmp(a->values[i].name, b->values[i].name) != 0 ||
			!secret_equal(a->values[i].value, b->values[i].value))
			return false;
	return true;
}

static bool same_backend(const struct backend_conf *a, const struct backend_conf *b)
{
	return a->ops == b->ops && same_text(a->name, b->name) &&
	       same_text(a->location, b->location) && same_text(a->at, b->at) &&
	       same_options(&a->common, &b->common) && same_options(&a->own, &b->own) &&
	       same_values(a, b);
}

static bool in_set(const struct reload *r, const struct core_inst *ci)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->insts[i] == ci)
			return true;
	return false;
}

static struct core_inst *find_same(const struct reload *r, const struct backend_conf *conf)
{
	for (size_t i = 0; i < r->core->ninsts; i++) {
		struct core_inst *ci = r->core->insts[i];
		if (!in_set(r, ci) && same_backend(instance_conf(ci->in), conf))
			return ci;
	}
	return NULL;
}

/* --- new sources --- */

static void reload_undo(struct reload *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->insts[i] && r->fresh[i]) {
			core_inst_close(r->insts[i]);
			core_inst_unref(r->insts[i]);
		}
}

static void reload_free(struct reload *r)
{
	for (size_t i = 0; r->ops && i < r->n; i++)
		core_sync_free(r->ops[i]);
	mem_free(r->insts);
	mem_free(r->fresh);
	mem_free(r->ops);
	mem_free(r->dropped);
	mem_free(r->maps);
	mem_free(r->gone);
}

static int reload_alloc(struct reload *r, struct sfs_err *err)
{
	struct core *core = r->core;
	size_t n = r->c->nbackends;
	struct core_inst **old =
		mem_realloc(core->old_insts, core->nold + core->ninsts, sizeof(*old));
	if (old)
		core->old_insts = old;
	r->insts = mem_calloc(n, sizeof(*r->insts));
	r->fresh = mem_calloc(n, sizeof(*r->fresh));
	r->ops = mem_calloc(n, sizeof(*r->ops));
	r->dropped = mem_calloc(n, sizeof(*r->dropped));
	r->gone = mem_calloc(core->ninsts, sizeof(*r->gone));
	r->n = r->insts && r->fresh && r->ops ? n : 0;
	if (!old || !r->n || !r->dropped || !r->gone || core_maps_alloc(r->c, &r->maps) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int open_new(struct reload *r, struct sfs_err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct backend_conf *conf = &r->c->backends[i];
		r->insts[i] = find_same(r, conf);
		if (r->insts[i])
			continue;
		int e = core_inst_open(r->core, conf, &r->insts[i], err);
		if (e < 0)
			return e;
		r->fresh[i] = true;
		e = instance_start(r->insts[i]->in, err);
		if (e < 0)
			return e;
		core_list_start(r->insts[i]);
	}
	return 0;
}

/* The names of new sources should be there at once; not longer than a reader would wait. */
static void wait_new(struct reload *r)
{
	struct core *core = r->core;
	int64_t deadline = clock_after(clock_boot(), core->timeout);
	pthread_mutex_lock(&core->lock);
	for (size_t i = 0; i < r->n; i++)
		while (r->fresh[i] && !r->insts[i]->answered && !core->shutdown &&
			clock_boot() < deadline) {
			struct timespec ts;
			clock_gettime(CLOCK_MONOTONIC, &ts);
			ts.tv_sec++;
			pthread_cond_timedwait(&core->listed, &core->lock, &ts);
		}
	pthread_mutex_unlock(&core->lock);
}

/* --- the change; `sync` and the tree lock are held --- */

static void remove_old(struct reload *r)
{
	struct core *core = r->core;
	for (size_t i = 0; i < core->ninsts; i++) {
		struct core_inst *ci = core->insts[i];
		if (in_set(r, ci))
			continue;
		ci->attached = false;
		core_sync_remove(ci);
		r->gone[r->ngone++] = ci;
		core->old_insts[core->nold++] = ci;
	}
}

static void unfix_old(struct reload *r)
{
	for (size_t i = 0; i < r->ngone; i++) {
		bool used = !*r->gone[i]->at;
		for (size_t k = 0; k < r->n; k++)
			used = used || !strcmp(r->insts[k]->at, r->gone[i]->at);
		if (!used)
			tree_unfix(&r->core->tree, r->gone[i]->at);
	}
}

/* Secrets that were found by asking: their rules may be others now; they come back when asked for.
 */
static void remove_unlisted(struct core *core)
{
	bool again = true;
	while (again) {
		size_t pos = 0;
		struct subject *s;
		again = false;
		while (!again && (s = ptab_next(&core->tree.subjects, &pos))) {
			if (!s->unlisted || !s->shown)
				continue;
			tree_remove(&core->tree, s->shown);
			again = true; /* the table may have changed */
		}
	}
}

static void dirs_changed(struct core *core, const struct config *old)
{
	size_t pos = 0;
	struct dent *d;
	while ((d = ptab_next(&core->tree.paths, &pos)))
		if (d->kind == CORE_DIR &&
			(config_dir_mode(old, d->path) != config_dir_mode(core->conf, d->path) ||
				old->policy.uid != core->conf->policy.uid ||
				old->policy.gid != core->conf->policy.gid))
			tree_event(&core->tree, d, CORE_ATTR);
}

static void change(struct reload *r, struct config *old)
{
	struct core *core = r->core;
	core->conf = r->c;
	core->reloading = true;
	remove_old(r);
	remove_unlisted(core);
	mem_free(core->insts);
	core->insts = take(r->insts);
	core->ninsts = r->n;
	for (size_t i = 0; i < r->n; i++) {
		core_inst_set_rate(core->insts[i], core->conf);
		core->insts[i]->index = i;
		core->insts[i]->attached = true;
		if (*core->insts[i]->at)
			tree_fix(&core->tree, core->insts[i]->at);
	}
	core_maps_replace(core, take(r->maps), old->nmaps);
	for (size_t i = 0; i < r->n; i++)
		core_sync_apply(core->insts[i], r->ops[i], &r->dropped[i]);
	core_sync_maps(core);
	r->insts = core->insts;
	unfix_old(r);
	r->insts = NULL;
	dirs_changed(core, old);
	core->reloading = false;
}

/* --- afterwards --- */

struct retune {
	struct entry **e;
	const struct policy **pol;
	size_t n;
};

/* Entries and their new policies: set without locks, because values may expire by it. */
static void retune_collect(struct core *core, struct retune *rt)
{
	size_t pos = 0, max = core->tree.subjects.n + 1;
	struct subject *s;
	rt->e = mem_calloc(max, sizeof(struct entry *));
	rt->pol = mem_calloc(max, sizeof(struct policy *));
	while (rt->e && rt->pol && (s = ptab_next(&core->tree.subjects, &pos)))
		if (s->entry && s->pol) {
			rt->e[rt->n] = entry_ref(s->entry);
			rt->pol[rt->n++] = s->pol;
		}
}

static void retune(struct core *core, struct retune *rt)
{
	for (size_t i = 0; i < rt->n; i++) {
		struct entry_policy p = {
			rt->pol[i]->ttl, rt->pol[i]->stale, core->conf->policy.ttl == 0};
		entry_set_policy(rt->e[i], &p);
		entry_unref(rt->e[i]);
	}
	mem_free(rt->e);
	mem_free(rt->pol);
}

static void close_old(struct reload *r)
{
	for (size_t i = 0; i < r->ngone; i++) {
		struct core_inst *ci = r->gone[i];
		core_inst_close(ci);
		pthread_mutex_lock(&r->core->sync);
		core_lock(r->core);
		struct listing *l = take(ci->listing);
		inst_hashed_clear(ci);
		core_unlock(r->core);
		pthread_mutex_unlock(&r->core->sync);
		listing_unref(l);
	}
}

/* Options that only a new mount can change. */
static void warn_fixed(const struct config *a, const struct config *b)
{
	static const char *const fixed[] = {"cache_size", "arena", "memlock", "timeout",
		"negative_ttl", "user", "log", "wait", "nonempty", "on_change", "on_change_delay",
		"on_change_timeout"};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		const struct opt_value *x = opt_find(&a->mount, fixed[i]);
		const struct opt_value *y = opt_find(&b->mount, fixed[i]);
		if (!same_text(x ? x->text : NULL, y ? y->text : NULL))
			log_warn("reload: option %s takes effect at the next mount", fixed[i]);
	}
}

static int prepare(struct reload *r, struct sfs_err *err)
{
	for (size_t i = 0; i < r->n; i++)
		if (core_sync_prepare(r->insts[i], r->c, &r->ops[i]) < 0)
			return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int exchange(struct reload *r, struct sfs_err *err)
{
	struct core *core = r->core;
	struct config *old = core->conf;
	struct retune rt = {0};
	pthread_mutex_lock(&core->sync);
	int e = prepare(r, err);
	if (e < 0) {
		pthread_mutex_unlock(&core->sync);
		return e;
	}
	store_gather(core->store);
	core_lock(core);
	change(r, old);
	retune_collect(core, &rt);
	core_unlock_quiet(core);
	pthread_mutex_unlock(&core->sync);
	core_send(core);
	retune(core, &rt);
	store_start_bulk(core->store);
	for (size_t i = 0; i < r->n; i++)
		core_drop_values(core->insts[i], &r->dropped[i]);
	core_list_recheck(core);
	close_old(r);
	warn_fixed(old, core->conf);
	config_free(old);
	return 0;
}

int core_reload(struct core *core, struct config *c, struct sfs_err *err)
{
	struct reload r = {.core = core, .c = c};
	if (!core_use(core))
		return err_set(err, EIO, "the mount ends");
	pthread_mutex_lock(&core->lock);
	int e = config_check_reload(core->conf, c, err);
	pthread_mutex_unlock(&core->lock);
	if (e == 0)
		e = config_check_fixed(c, core->machine, err);
	if (e == 0)
		e = reload_alloc(&r, err);
	if (e == 0)
		e = open_new(&r, err);
	if (e == 0) {
		wait_new(&r);
		e = exchange(&r, err);
	}
	if (e < 0)
		reload_undo(&r);
	reload_free(&r);
	core_unuse(core);
	return e;
}
