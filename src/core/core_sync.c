/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From listings to the tree. A new listing is compared with the one before, name by name (both are
 * sorted); paths and policies are worked out before the tree lock is taken, and under it only what
 * changed is touched. New names come before old ones go, so that a directory whose names were all
 * replaced stays the same directory.
 */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct sync_op {
	const struct list_entry *item; /* in one of the two listings */
	char *path;
	const struct policy *pol; /* NULL: drop */
	bool fresh;		  /* was not there before */
	bool version;		  /* the listing tells another version than before */
	bool keep;		  /* it is not dropped yet */
};

struct sync_ops {
	struct sync_op *v;
	size_t n, cap;
	bool failed;	     /* memory was short */
	bool slashes, plain; /* of the new names */
	size_t too_long;     /* names whose path would be too long */
	struct listing *old; /* a reference: items point into it */
};

/* The lines of a listing and of names=, merged. */
struct view {
	const struct core_inst *ci;
	const struct listing *l;
	bool names;
	size_t i, k;
};

static const struct list_entry *view_peek(const struct view *v, bool *ret_name, bool *ret_item)
{
	const struct list_entry *a = v->l && v->i < v->l->n ? &v->l->items[v->i] : NULL;
	const struct list_entry *b = v->names && v->k < v->ci->nnames ? &v->ci->names[v->k] : NULL;
	int order = a && b ? strcmp(a->name, b->name) : a ? -1 : 1;
	*ret_item = a && order <= 0;
	*ret_name = b && order >= 0;
	return order <= 0 ? a : b;
}

static const struct list_entry *view_next(struct view *v)
{
	bool name, item;
	const struct list_entry *e = view_peek(v, &name, &item);
	v->k += name;
	v->i += item;
	return e;
}

static struct sync_op *add_op(struct sync_ops *ops)
{
	if (ops->n == ops->cap) {
		size_t cap = ops->cap ? ops->cap * 2 : 64;
		struct sync_op *v = mem_realloc(ops->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		ops->v = v;
		ops->cap = cap;
	}
	return memset(&ops->v[ops->n], 0, sizeof(*ops->v));
}

/* One more op; `c` NULL = drop. */
static void push(struct sync_ops *ops, const struct view *v, const struct list_entry *item,
	const struct config *c, bool fresh, bool version)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	int r = inst_path(v->ci, v->l, item->name, &path);
	struct sync_op *op = r == 0 ? add_op(ops) : NULL;
	ops->too_long += r == -ENAMETOOLONG && c;
	ops->failed = ops->failed || r == -ENOMEM || (r == 0 && !op);
	if (!op)
		return;
	op->item = item;
	op->fresh = fresh;
	op->version = version;
	op->path = buf_take(&path);
	if (op->path && c)
		op->pol = core_policy(v->ci->core, c, op->path, NULL);
	if (!op->path || (c && !op->pol)) {
		mem_free(op->path);
		ops->failed = true;
		return;
	}
	if (op->pol && op->pol->hidden)
		op->pol = NULL;
	ops->n++;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_item(const struct list_entry *a, const struct list_entry *b)
{
	if (a->created != b->created || a->keys_unknown != b->keys_unknown ||
		a->nkeys != b->nkeys || !a->keys != !b->keys)
		return false;
	for (size_t i = 0; a->keys && i < a->nkeys; i++)
		if (strcmp(a->keys[i], b->keys[i]) != 0)
			return false;
	return true;
}

/* A name with a leading slash has another path when its twin without one comes or goes. */
static bool moved(const struct view *a, const struct view *b, const char *name)
{
	_cleanup_(buf_clear) struct buf pa = BUF_INIT(2 * SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf pb = BUF_INIT(2 * SFS_PATH_MAX);
	const char *rest = name + strlen(a->ci->prefix);
	if (strncmp(name, a->ci->prefix, strlen(a->ci->prefix)) != 0 || rest[0] != '/')
		return false;
	return inst_path(a->ci, a->l, name, &pa) == 0 && inst_path(b->ci, b->l, name, &pb) == 0 &&
	       strcmp(buf_text(&pa), buf_text(&pb)) != 0;
}

static void note_spelling(struct sync_ops *ops, const struct core_inst *ci, const char *name)
{
	size_t prefix = strlen(ci->prefix);
	if (strncmp(name, ci->prefix, prefix) != 0)
		return;
	if (name[prefix] == '/')
		ops->slashes = true;
	else
		ops->plain = true;
}

/* Ops that lead from view `a` to view `b`; `all`: names that are in both are shown again. */
static void compare(
	struct sync_ops *ops, struct view a, struct view b, const struct config *c, bool all)
{
	const struct list_entry *x = view_next(&a), *y = view_next(&b);
	while (x || y) {
		int order = x && y ? strcmp(x->name, y->name) : x ? -1 : 1;
		if (order >= 0)
			note_spelling(ops, b.ci, y->name);
		if (order < 0) {
			push(ops, &a, x, NULL, false, false);
		} else if (order > 0) {
			push(ops, &b, y, c, true, false);
		} else {
			bool version =
				x->version && y->version && !same_text(x->version, y->version);
			bool other = moved(&a, &b, y->name);
			if (other)
				push(ops, &a, x, NULL, false, false);
			if (all || other || version || !same_item(x, y))
				push(ops, &b, y, c, false, version);
		}
		x = order <= 0 ? view_next(&a) : x;
		y = order >= 0 ? view_next(&b) : y;
	}
}

void core_sync_free(struct sync_ops *ops)
{
	if (!ops)
		return;
	for (size_t i = 0; i < ops->n; i++)
		mem_free(ops->v[i].path);
	mem_free(ops->v);
	listing_unref(ops->old);
	mem_free(ops);
}

int core_sync_prepare(struct core_inst *ci, const struct config *c, struct sync_ops **ret)
{
	struct sync_ops *ops = mem_calloc(1, sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	struct view none = {.ci = ci}, all = {.ci = ci, .l = ci->listing, .names = true};
	compare(ops, none, all, c, true);
	if (ops->failed) {
		core_sync_free(ops);
		return -ENOMEM;
	}
	*ret = ops;
	return 0;
}

static bool same_string(const void *p, const void *key)
{
	return !strcmp(p, key);
}

void core_sync_drop(struct ptab *t, const char *name)
{
	uint64_t hash = ptab_hash(name, strlen(name), 0);
	if (ptab_find(t, hash, same_string, name))
		return;
	_cleanup_free_ char *copy = mem_strdup(name);
	if (copy && ptab_add(t, hash, copy) == 0)
		take(copy);
}

void core_sync_forget(struct ptab *t)
{
	size_t pos = 0;
	char *s;
	while ((s = ptab_next(t, &pos)))
		mem_free(s);
	ptab_clear(t);
}

#define MISSING_MAX 4096 /* names; far more than can be asked for within negative_ttl */

void core_sync_missing(struct core_inst *ci, const char *name)
{
	if (ci->missing.n >= MISSING_MAX)
		core_sync_forget(&ci->missing);
	core_sync_drop(&ci->missing, name);
}

void core_sync_apply(struct core_inst *ci, const struct sync_ops *ops, struct ptab *dropped)
{
	bool failed = false;
	ci->slashes = ops->slashes;
	ci->plain = ops->plain;
	for (size_t i = 0; i < ops->n; i++) {
		const struct sync_op *op = &ops->v[i];
		if (op->pol)
			failed |= inst_hashed_add(ci, op->path, op->item->name) < 0 ||
				  show_secret(ci, op->item, op->path, op->pol) == -ENOMEM;
	}
	for (size_t i = 0; i < ops->n; i++) {
		const struct sync_op *op = &ops->v[i];
		if (op->pol || op->keep)
			continue;
		if (show_not(ci, op->item->name, op->path))
			core_sync_drop(dropped, op->item->name);
		inst_hashed_del(ci, op->path);
	}
	ci->incomplete = failed || ops->failed;
}

/* Names that came and were asked for in vain before, and names whose version the listing says is
 * another. */
static void collect_again(struct core_inst *ci, const struct sync_ops *ops, struct entry_list *ret)
{
	for (size_t i = 0; i < ops->n; i++) {
		const struct sync_op *op = &ops->v[i];
		const char *name = op->item->name;
		if (!op->pol || !(op->version || (op->fresh && ci->missing.n)))
			continue;
		struct subject *s = tree_subject(&ci->core->tree, ci, name, false);
		if (op->version && s && s->entry)
			entry_list_add(ret, entry_ref(s->entry));
		char *seen = op->fresh ? ptab_find(&ci->missing, ptab_hash(name, strlen(name), 0),
						 same_string, name)
				       : NULL;
		if (!seen)
			continue;
		struct entry_policy pol = {
			op->pol->ttl, op->pol->stale, ci->core->conf->policy.ttl == 0};
		entry_list_add(ret,
			store_entry(ci->core->store, instance_source(ci->in), name, NULL, &pol));
		ptab_del(&ci->missing, ptab_hash(name, strlen(name), 0), seen);
		mem_free(seen);
	}
}

static void log_sync(
	const struct core_inst *ci, const struct sync_ops *ops, const struct listing *l)
{
	static struct log_rate rate = LOG_RATE(60);
	char too_long[64] = "";
	if ((!ops->too_long && !ops->failed && !l->truncated) || !log_due(&rate))
		return;
	if (ops->too_long)
		snprintf(too_long, sizeof(too_long), " (%zu names make too long a path)",
			ops->too_long);
	log_warn("%s: the listing is not shown whole%s%s%s", ci->name, too_long,
		ops->failed ? " (memory was short)" : "",
		l->truncated ? " (there are more names than the limit)" : "");
}

/* How many of the names to be dropped are shown: not those that a rule hides. Tree lock. */
static size_t count_shown(struct core_inst *ci, const struct sync_ops *ops)
{
	size_t n = 0;
	for (size_t i = 0; i < ops->n; i++) {
		const struct sync_op *op = &ops->v[i];
		const struct subject *s =
			op->pol ? NULL : tree_subject(&ci->core->tree, ci, op->item->name, false);
		n += s && s->shown;
	}
	return n;
}

/* Of the first listing the number is news; later what came and went. */
static void tell_sync(struct core_inst *ci, const struct sync_ops *ops, const struct listing *l,
	size_t deleted, bool first)
{
	size_t created = 0;
	for (size_t i = 0; i < ops->n && !first; i++)
		created += ops->v[i].pol && ops->v[i].fresh;
	if (first || created || deleted)
		core_tell_listed(ci, l->n, created, deleted);
}

/* With both locks. */
static void install(struct core_inst *ci, struct listing *l, struct sync_ops *ops,
	struct ptab *dropped, struct entry_list *again)
{
	struct core *core = ci->core;
	ci->listing = listing_ref(l);
	ci->listed_boot = clock_boot();
	err_clear(&ci->list_err);
	ci->list_fails = 0;
	if (!ci->attached)
		return;
	core_keep_review(ci, l, dropped);
	for (size_t i = 0; i < ops->n; i++)
		ops->v[i].keep = !ops->v[i].pol && core_keep(ci, l, ops->v[i].item->name);
	core->tree.quiet = !ci->answered;
	core_sync_apply(ci, ops, dropped);
	core_sync_maps(core);
	core->tree.quiet = false;
	collect_again(ci, ops, again);
}

/* The back end has logged it. */
static void tell_problem(struct core_inst *ci, const struct listing *old, const struct listing *l)
{
	if (!l->problem.code || (old && strcmp(old->problem.msg, l->problem.msg) == 0))
		return;
	core_error_keep(ci->core, &l->problem);
	core_tell_error(ci->core, ci->name, &l->problem);
}

void core_sync(struct core_inst *ci, struct listing *l)
{
	struct core *core = ci->core;
	struct sync_ops ops = {0};
	struct entry_list again = {0};
	struct ptab dropped = {0};
	pthread_mutex_lock(&core->sync);
	if (ci->listing == l || (ci->listing && l->started < ci->listing->started)) {
		pthread_mutex_unlock(&core->sync);
		return;
	}
	store_gather(core->store);
	ops.old = ci->listing;
	compare(&ops, (struct view){.ci = ci, .l = ops.old, .names = true},
		(struct view){.ci = ci, .l = l, .names = true}, core->conf, ci->incomplete);
	core_lock(core);
	bool first = !ci->answered;
	size_t deleted = count_shown(ci, &ops);
	install(ci, l, &ops, &dropped, &again);
	deleted -= count_shown(ci, &ops);
	core_unlock_quiet(core);
	pthread_mutex_unlock(&core->sync);
	tell_sync(ci, &ops, l, deleted, first);
	tell_problem(ci, ops.old, l);
	core_send(core);
	log_sync(ci, &ops, l);
	entry_list_end(core, &again, store_changed);
	store_start_bulk(core->store);
	core_drop_values(ci, &dropped);
	for (size_t i = 0; i < ops.n; i++)
		mem_free(ops.v[i].path);
	mem_free(ops.v);
	listing_unref(ops.old);
}

void core_drop_values(struct core_inst *ci, struct ptab *dropped)
{
	struct core *core = ci->core;
	struct source *src = instance_source(ci->in);
	struct entry_policy pol = {0};
	size_t pos = 0;
	const char *name;
	if (!dropped->n)
		return;
	core_purge_versions(core, ci, dropped);
	while ((name = ptab_next(dropped, &pos))) {
		struct entry *e = store_entry(core->store, src, name, NULL, &pol);
		if (e)
			store_purge(core->store, e);
		entry_unref(e);
	}
	core_sync_forget(dropped);
}

/* Marks the subjects of `ci` and keeps them, so that the table does not change while their dents
 * go. */
static void hold_subjects(struct tree *t, const struct core_inst *ci)
{
	size_t pos = 0;
	struct subject *s;
	while ((s = ptab_next(&t->subjects, &pos)))
		if (s->inst == ci) {
			s->refs++;
			s->leaving = true;
		}
}

void core_sync_remove(struct core_inst *ci)
{
	struct tree *t = &ci->core->tree;
	struct subject *s;
	size_t pos = 0;
	hold_subjects(t, ci);
	while ((s = ptab_next(&t->subjects, &pos)))
		while (s->leaving && s->shown)
			tree_remove(t, s->shown);
	for (pos = 0; (s = ptab_next(&t->subjects, &pos));) {
		if (!s->leaving)
			continue;
		s->leaving = false;
		entry_unref(s->entry);
		s->entry = NULL;
		size_t n = t->subjects.n;
		subject_unref(t, s);
		pos -= t->subjects.n < n; /* the slot may have another now */
	}
	core_sync_forget(&ci->missing);
	core_sync_forget(&ci->kept);
}
