/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Provisional names: no listing shows them, so the sources are asked one after the other, each
 * under the names that the path may mean to it. ENOENT leads to the next one, any other answer is
 * the answer.
 */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

struct candidate {
	struct core_inst *ci; /* a reference */
	char *name;
	const struct policy *pol;
};

struct prov {
	struct core *core;
	struct waiter *user; /* key in core->provs */
	struct waiter own;   /* of the candidate in the air */
	struct dent *d;	     /* a reference */
	enum fetch_mode mode;
	char *version;
	struct entry *entry; /* of that candidate */
	struct candidate c[2 * SFS_BACKENDS_MAX];
	size_t n, i;
	bool cancelled;
};

static uint64_t hash_user(const struct waiter *w)
{
	return ptab_hash(&w, sizeof(w), 0);
}

static bool same_user(const void *p, const void *key)
{
	return ((const struct prov *)p)->user == key;
}

static void free_prov(struct prov *p)
{
	for (size_t i = 0; i < p->n; i++) {
		core_inst_unref(p->c[i].ci);
		mem_free(p->c[i].name);
	}
	entry_unref(p->entry);
	dent_unref(p->core, p->d);
	mem_free(p->version);
	mem_free(p);
}

/* The names `path` may mean to one source. Tree lock. */
static int add_candidates(struct prov *p, struct core_inst *ci, const char *path)
{
	_cleanup_(buf_clear) struct buf canonical = BUF_INIT(2 * SFS_PATH_MAX);
	struct inst_names names;
	if (!inst_covers(ci, path))
		return 0;
	int r = inst_canonical(ci, path, &canonical);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	/* A listing that came since LOOKUP found the name possible does not take that back, unless
	 * it is the last word. */
	if (inst_knows_all(ci) && !inst_at(ci, buf_text(&canonical)))
		return 0;
	const struct policy *pol = core_policy(p->core, p->core->conf, buf_text(&canonical), NULL);
	r = pol ? inst_names(ci, path, &names) : -ENOMEM;
	if (r < 0 || pol->hidden) {
		if (r == 0)
			inst_names_clear(&names);
		return r == -ENOMEM ? r : 0;
	}
	for (size_t i = 0; i < names.n && r == 0; i++) {
		char *name = mem_strdup(buf_text(&names.name[i]));
		if (!name) {
			r = -ENOMEM;
			break;
		}
		core_inst_ref(ci);
		p->c[p->n++] = (struct candidate){ci, name, pol};
	}
	inst_names_clear(&names);
	return r;
}

static int collect(struct prov *p)
{
	struct core *core = p->core;
	int r = 0;
	for (size_t i = 0; i < core->ninsts && r == 0; i++)
		r = add_candidates(p, core->insts[i], p->d->path);
	return r;
}

/* Tells the reader and ends. */
static void finish(struct prov *p, struct payload *payload, const struct sfs_err *err)
{
	struct core *core = p->core;
	core_lock(core);
	ptab_del(&core->provs, hash_user(p->user), p);
	core_unlock(core);
	p->user->done(p->user, payload, err);
	free_prov(p);
	core_unuse(core);
}

static void no_such(struct prov *p)
{
	struct sfs_err err;
	core_lock(p->core);
	for (size_t i = 0; i < p->n; i++)
		core_sync_missing(p->c[i].ci, p->c[i].name);
	core_unlock(p->core);
	err_set(&err, ENOENT, "no source has this name");
	finish(p, NULL, &err);
}

/* The name exists: it enters the tree, and whoever has the provisional one open goes on with it. */
static void enter(struct prov *p, const struct candidate *c, struct payload *payload)
{
	struct core *core = p->core;
	core_lock(core);
	struct subject *s = show_found(c->ci, c->name, payload);
	if (s) {
		tree_found(&core->tree, p->d, s);
		if (!s->entry && !p->version)
			s->entry = entry_ref(p->entry);
		if (!p->version && payload->serial && !s->serial)
			s->serial = payload->serial;
		if (!p->version)
			core_news_found(s, p->entry);
	}
	core_unlock(core);
}

static void next(struct prov *p);

static void came(struct waiter *own, struct payload *payload, const struct sfs_err *err)
{
	struct prov *p = (struct prov *)((char *)own - offsetof(struct prov, own));
	const struct candidate *c = &p->c[p->i - 1];
	if (payload) {
		enter(p, c, payload);
		finish(p, payload, NULL);
	} else if (err->code == ENOENT) {
		next(p);
	} else {
		finish(p, NULL, err);
	}
}

static void next(struct prov *p)
{
	struct core *core = p->core;
	struct sfs_err err;
	if (p->i == p->n) {
		no_such(p);
		return;
	}
	const struct candidate *c = &p->c[p->i++];
	core_lock(core);
	bool stop = p->cancelled || core->shutdown;
	struct entry *old = take(p->entry);
	p->entry = stop ? NULL : core_entry_of(c->ci, c->name, p->version, c->pol);
	p->own = (struct waiter){.done = came,
		.deadline = p->user->deadline,
		.payer = p->user->payer,
		.bulk = p->user->bulk};
	core_unlock(core);
	entry_unref(old);
	if (p->entry) {
		store_fetch(core->store, p->entry, p->mode, &p->own);
		return;
	}
	if (stop)
		err_set(&err, p->cancelled ? EINTR : EIO, "the request was given up");
	else
		err_set(&err, ENOMEM, "out of memory");
	finish(p, NULL, &err);
}

static void refuse(struct core *core, struct prov *p, struct waiter *w, int code, const char *text)
{
	struct sfs_err err;
	err_set(&err, code, "%s", text);
	if (p)
		free_prov(p);
	core_unuse(core);
	w->done(w, NULL, &err);
}

void core_prov_fetch(struct core *core, struct dent *d, const char *version, enum fetch_mode mode,
	struct waiter *w)
{
	if (!core_use(core)) {
		struct sfs_err err;
		err_set(&err, EIO, "the mount ends");
		w->done(w, NULL, &err);
		return;
	}
	struct prov *p = mem_calloc(1, sizeof(*p));
	if (!p) {
		refuse(core, NULL, w, ENOMEM, "out of memory");
		return;
	}
	p->core = core;
	p->user = w;
	p->d = dent_ref(d);
	p->mode = mode;
	p->version = mem_strdup(version);
	core_lock(core);
	int r = version && !p->version ? -ENOMEM : collect(p);
	if (r == 0)
		r = ptab_add(&core->provs, hash_user(w), p);
	core_unlock(core);
	if (r < 0)
		refuse(core, p, w, ENOMEM, "out of memory");
	else
		next(p);
}

int core_prov_cancel(
	struct core *core, struct waiter *w, bool (*cancel)(struct store *s, struct waiter *w))
{
	int r = -1;
	core_lock(core);
	struct prov *p = ptab_find(&core->provs, hash_user(w), same_user, w);
	if (p) {
		p->cancelled = true;
		r = cancel(core->store, &p->own);
		if (r)
			ptab_del(&core->provs, hash_user(w), p);
	}
	core_unlock(core);
	if (r == 1) {
		free_prov(p);
		core_unuse(core);
	}
	return r;
}

void core_prov_abort(struct core *core)
{
	size_t pos = 0;
	struct prov *p;
	core_lock(core);
	while ((p = ptab_next(&core->provs, &pos)))
		p->cancelled = true; /* its fetch ends with its source */
	core_unlock(core);
}
