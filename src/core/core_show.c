/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has a place in the tree. At one path the order is: [map] names, then the sources in the order
 * of the configuration; and a secret `app/user` before the key `user` of a multi-key secret `app`
 * of the same source. What is hidden by another comes back when that goes.
 */
#include "core/core_hydrate.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct keys {
	const char *const *v; /* sorted */
	size_t n;
};

static int key_path(const char *dir, const char *key, struct buf *out)
{
	buf_printf(out, "%s/", dir);
	int r = name_encode_component(out, key, strlen(key), false);
	if (r < 0)
		return r;
	return out->failed ? -ENOMEM : out->len <= SFS_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Whether `d` keeps its place against a secret of `ci` (or a key of one). */
static bool stays(const struct dent *d, const struct core_inst *ci, bool key)
{
	const struct subject *s = d->subject;
	if (d->mapped || s->inst->index < ci->index)
		return true;
	return s->inst == ci && key && !dent_key(d);
}

/* --- keys --- */

static int show_key(struct core *core, struct dent *dir, const char *key)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	struct subject *s = dir->subject;
	if (key_path(dir->path, key, &path) < 0)
		return path.failed == ENOMEM ? -ENOMEM : 0;
	const struct policy *pol = core_policy(core, core->conf, buf_text(&path), dir->path);
	if (!pol)
		return -ENOMEM;
	struct dent *d = tree_file(&core->tree, buf_text(&path));
	if (pol->hidden) {
		if (d && d->subject == s)
			tree_remove(&core->tree, d);
		return 0;
	}
	if (d && d->subject != s && stays(d, s->inst, true))
		return 0;
	struct shown shown = {.subject = s, .key = key, .pol = pol};
	return tree_put(&core->tree, buf_text(&path), &shown);
}

static int compare_key(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

static bool has_key(const struct keys *keys, const char *key)
{
	return keys->n && bsearch(key, keys->v, keys->n, sizeof(*keys->v), compare_key);
}

static void show_secret_again(struct core *core, const char *path);

/* Key files whose key is gone. Removing one may move another, so the search starts anew after each.
 */
static void remove_keys(struct core *core, struct subject *s, const struct keys *keys)
{
	struct dent *d = s->shown, *next;
	struct subject *hold = s;
	hold->refs++;
	for (; d; d = next) {
		next = d->same_next;
		if (!dent_key(d) || d->mapped || has_key(keys, dent_key(d)))
			continue;
		_cleanup_free_ char *path = mem_strdup(d->path);
		tree_remove(&core->tree, d);
		if (path)
			show_secret_again(core, path);
		next = s->shown;
	}
	subject_unref(&core->tree, hold);
}

static int set_keys(struct core *core, struct dent *dir, const struct keys *keys)
{
	int r = 0;
	remove_keys(core, dir->subject, keys);
	for (size_t i = 0; i < keys->n && dir->alive && dir->multikey; i++) {
		int e = show_key(core, dir, keys->v[i]);
		r = e < 0 ? e : r;
	}
	return r;
}

/* A key file that a secret of the same path had hidden. */
static void show_key_again(struct core *core, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = slash ? mem_strndup(path, (size_t)(slash - path)) : NULL;
	struct dent *dir = parent ? tree_find(&core->tree, parent) : NULL;
	if (!dir || !dir->multikey)
		return;
	const struct list_entry *item =
		inst_item(dir->subject->inst, dir->subject->inst->listing, dir->subject->name);
	for (size_t i = 0; item && i < item->nkeys && dir->alive && dir->multikey; i++) {
		_cleanup_(buf_clear) struct buf own = BUF_INIT(2 * SFS_PATH_MAX);
		if (key_path(dir->path, item->keys[i], &own) == 0 && !strcmp(buf_text(&own), path))
			show_key(core, dir, item->keys[i]);
	}
}

/* --- secrets --- */

/* Keys that a value brought stay until the next value. */
static int keep_keys(struct core *core, struct dent *dir)
{
	bool known = false;
	for (struct dent *d = dir->subject->shown; d; d = d->same_next) {
		if (!dent_key(d) || d->mapped)
			continue;
		known = true;
		/* The rules may be new. */
		const struct policy *pol = core_policy(core, core->conf, d->path, dir->path);
		if (!pol || pol == d->pol)
			continue;
		d->pol = pol;
		tree_event(&core->tree, d, CORE_ATTR);
	}
	/* What is hidden now, or no longer, shows at the next look at the keys, which waits for the
	 * value. */
	dir->keys_unknown = !known || core->reloading;
	return 0;
}

static int show_multikey(struct core *core, const char *path, const struct shown *shown,
	const struct keys *keys, bool keys_unknown)
{
	struct dent *dir;
	int r = tree_put_multikey(&core->tree, path, shown, &dir);
	if (r < 0)
		return r;
	if (!keys_unknown) {
		dir->keys_unknown = false;
		return set_keys(core, dir, keys);
	}
	return keep_keys(core, dir);
}

/* Makes room at `path` for a secret of subject `s`. False: the place is taken. */
static bool make_room(struct core *core, struct dent *d, const struct subject *s, bool multikey)
{
	if (!d)
		return true;
	if (d->subject == s && !d->mapped && !dent_key(d)) {
		if (d->kind == CORE_DIR && !multikey)
			tree_remove(&core->tree, d);
		return true;
	}
	if (stays(d, s->inst, false))
		return false;
	tree_remove(&core->tree, d);
	return true;
}

static int show_subject(struct core *core, struct subject *s, const struct list_entry *item,
	const char *path, const struct policy *pol)
{
	struct shown shown = {.subject = s, .pol = pol};
	bool multikey = item->keys || item->keys_unknown;
	struct dent *d = tree_occupant(&core->tree, path);
	bool was_key = d && dent_key(d) && !d->mapped;
	s->pol = pol;
	s->created = item->created;
	if (!make_room(core, d, s, multikey))
		return 0;
	if (!multikey)
		return tree_put(&core->tree, path, &shown);
	const struct keys keys = {(const char *const *)item->keys, item->nkeys};
	int r = show_multikey(core, path, &shown, &keys, item->keys_unknown && !item->keys);
	if (was_key) /* it finds a place beside, as .value */
		show_key_again(core, path);
	return r;
}

int show_secret(struct core_inst *ci, const struct list_entry *item, const char *path,
	const struct policy *pol)
{
	struct core *core = ci->core;
	struct subject *s = tree_subject(&core->tree, ci, item->name, true);
	if (!s)
		return -ENOMEM;
	s->refs++;
	s->unlisted = false;
	int r = show_subject(core, s, item, path, pol);
	core_hydrate_subject(core, s);
	subject_unref(&core->tree, s);
	return r;
}

const struct list_entry *show_first_at(struct core *core, const char *path, struct core_inst **ret)
{
	for (size_t i = 0; i < core->ninsts; i++) {
		const struct list_entry *e = inst_at(core->insts[i], path);
		if (e) {
			*ret = core->insts[i];
			return e;
		}
	}
	return NULL;
}

static void show_secret_again(struct core *core, const char *path)
{
	struct core_inst *ci = NULL;
	const struct list_entry *e = show_first_at(core, path, &ci);
	const struct policy *pol = e ? core_policy(core, core->conf, path, NULL) : NULL;
	if (pol && !pol->hidden)
		show_secret(ci, e, path, pol);
}

void show_again(struct core *core, const char *path)
{
	show_secret_again(core, path);
	show_key_again(core, path);
}

void show_gone(struct core *core, struct subject *s)
{
	s->refs++;
	while (s->shown && s->unlisted) {
		_cleanup_free_ char *path = mem_strdup(s->shown->path);
		tree_remove(&core->tree, s->shown);
		if (!path)
			continue;
		inst_hashed_del(s->inst, path);
		show_again(core, path);
	}
	core_hydrate_subject(core, s);
	subject_unref(&core->tree, s);
}

bool show_not(struct core_inst *ci, const char *name, const char *path)
{
	struct core *core = ci->core;
	struct subject *s = tree_subject(&core->tree, ci, name, false);
	struct dent *d = tree_occupant(&core->tree, path);
	if (!s)
		return true;
	s->refs++;
	bool last = true;
	if (d && d->subject == s && !d->mapped && !dent_key(d)) {
		tree_remove(&core->tree, d);
		show_again(core, path);
	}
	last = !s->shown;
	core_hydrate_subject(core, s); /* the kernel may know its node for a long time yet */
	subject_unref(&core->tree, s);
	return last;
}

/* --- what a fetch shows --- */

static int payload_keys(const struct payload *p, const char ***ret)
{
	const char **v = mem_calloc(p->nparts ? p->nparts : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < p->nparts; i++)
		v[i] = p->parts[i].key;
	*ret = v;
	return 0;
}

static bool is_multikey(const struct payload *p)
{
	return p->nparts == 0 || p->parts[0].key;
}

/* The dent that stands for the whole of the subject. */
static struct dent *own_dent(const struct subject *s)
{
	struct dent *d = s->shown;
	while (d && (d->mapped || dent_key(d)))
		d = d->same_next;
	return d;
}

const struct dent *core_face(const struct subject *s)
{
	const struct dent *own = own_dent(s), *best = s->shown;
	for (const struct dent *d = s->shown; d && !own; d = d->same_next)
		if (d->mapped)
			best = d;
	return own ? own : best;
}

/* The path of the secret that `d` shows: without the .value. */
static char *secret_path(const struct dent *d)
{
	bool value = d->kind == CORE_SECRET && !strcmp(dent_basename(d), NAME_VALUE);
	return mem_strdup(value ? d->parent->path : d->path);
}

static void show_payload_at(
	struct core *core, struct subject *s, struct dent *d, const struct payload *p)
{
	_cleanup_free_ char *path = secret_path(d);
	_cleanup_free_ const char **v = NULL;
	const struct shown shown = {.subject = s, .pol = s->pol};
	if (!path)
		return;
	if (!is_multikey(p)) {
		tree_remove(&core->tree, d);
		tree_put(&core->tree, path, &shown);
	} else if (payload_keys(p, &v) == 0) {
		const struct keys keys = {v, p->nparts};
		show_multikey(core, path, &shown, &keys, false);
	}
}

void show_payload(struct core *core, struct subject *s, const struct payload *p)
{
	struct dent *d = own_dent(s);
	if (!d || (d->kind == CORE_SECRET && !is_multikey(p)))
		return;
	s->refs++;
	show_payload_at(core, s, d, p);
	subject_unref(&core->tree, s);
}

struct subject *show_found(struct core_inst *ci, const char *name, const struct payload *p)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	_cleanup_free_ const char **v = NULL;
	struct core *core = ci->core;
	struct subject *s = tree_subject(&core->tree, ci, name, false);
	if (s && s->shown)
		return s;
	if (!ci->attached || inst_path(ci, ci->listing, name, &path) < 0)
		return NULL;
	const struct policy *pol = core_policy(core, core->conf, buf_text(&path), NULL);
	struct list_entry item = {.name = (char *)name};
	if (!pol || pol->hidden)
		return NULL;
	if (is_multikey(p)) {
		if (payload_keys(p, &v) < 0)
			return NULL;
		item.keys = (char **)v;
		item.nkeys = p->nparts;
	}
	if (show_secret(ci, &item, buf_text(&path), pol) < 0)
		return NULL;
	inst_hashed_add(ci, buf_text(&path), name);
	s = tree_subject(&core->tree, ci, name, false);
	if (s && s->shown)
		s->unlisted = !inst_item(ci, ci->listing, name);
	return s;
}
