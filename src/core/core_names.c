/* SPDX-License-Identifier: Apache-2.0 */
/* Names as the mount asks for them: from memory, always. */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/name.h"
#include <errno.h>
#include <string.h>

/* --- dents --- */

struct dent *core_root(struct core *core)
{
	return dent_ref(core->tree.root);
}

struct dent *dent_ref(struct dent *d)
{
	atomic_fetch_add(&d->refs, 1);
	return d;
}

void dent_unref(struct core *core, struct dent *d)
{
	unsigned refs = d ? atomic_load(&d->refs) : 0;
	while (refs > 1)
		if (atomic_compare_exchange_weak(&d->refs, &refs, refs - 1))
			return;
	if (!d)
		return;
	/* Perhaps the last one: only under the lock, where look-ups take theirs. */
	core_lock(core);
	tree_unref(&core->tree, d);
	core_unlock(core);
}

enum core_kind dent_kind(const struct dent *d)
{
	return d->kind;
}

const char *dent_path(const struct dent *d)
{
	return d->path;
}

struct dent_mark *dent_mark(struct dent *d)
{
	return &d->mark;
}

const char *dent_basename(const struct dent *d)
{
	return d->path + d->base;
}

struct dent *dent_parent(const struct dent *d)
{
	return d->parent;
}

bool dent_is_multikey(const struct dent *d)
{
	return d->multikey;
}

bool dent_alive(const struct dent *d)
{
	return d->alive;
}

const char *core_source_name(const struct core *core, const struct dent *d)
{
	struct core *c = (struct core *)core;
	const char *name = "";
	core_lock(c);
	if (d->subject)
		name = d->subject->inst->name; /* lives as long as the dent */
	core_unlock(c);
	return name;
}

/* --- attributes --- */

/* What is remembered of the size belongs to one serial; a new value is measured once. Tree lock. */
static void measure(struct core *core, struct dent *d, const struct entry_info *info)
{
	struct sfs_err err;
	struct secret *bytes = NULL;
	if (info->serial == d->size_serial)
		return;
	struct payload *p = entry_peek(d->subject->entry);
	if (!p)
		return;
	if (core_select(core, d, p, &bytes, &err) == 0) {
		d->size = (uint32_t)secret_len(bytes);
		d->size_serial = p->serial;
		secret_unref(bytes);
	}
	payload_unref(p);
}

void core_dent_policy(struct core *core, const struct dent *d, struct policy *ret)
{
	_cleanup_(buf_clear) struct buf canonical = BUF_INIT(2 * SFS_PATH_MAX);
	const struct policy *known = d->pol ? d->pol : d->subject ? d->subject->pol : NULL;
	if (known) {
		*ret = *known;
		return;
	}
	/* A provisional name, perhaps with encoded slashes: the rules are about the path that it
	 * means. */
	for (size_t i = 0; i < core->ninsts; i++) {
		if (inst_canonical(core->insts[i], d->path, &canonical) == 0) {
			config_policy(core->conf, buf_text(&canonical), ret);
			return;
		}
		buf_reset(&canonical);
	}
	config_policy(core->conf, d->path, ret);
}

/* A file that does not show the value held (its key is gone, say) has none that may be served. */
static int64_t valid_until(const struct dent *d, const struct entry_info *info)
{
	bool fresh = info->state == ENTRY_FRESH || info->state == ENTRY_REFRESHING;
	bool shown = d->kind == CORE_DIR || d->size_serial == info->serial;
	return fresh && shown ? info->expires_boot : 0;
}

static void file_attr(struct core *core, struct dent *d, struct core_attr *a)
{
	const struct subject *s = d->subject;
	struct entry_info info = {0};
	struct policy pol;
	core_dent_policy(core, d, &pol);
	a->uid = pol.uid;
	a->gid = pol.gid;
	a->mode = pol.mode;
	a->nocache = pol.ttl == 0;
	if (!s)
		return;
	a->generation = s->generation;
	a->nocache = s->pol ? s->pol->ttl == 0 : a->nocache;
	a->mtime = s->created ? s->created : a->mtime;
	if (!s->entry)
		return;
	entry_info(s->entry, &info);
	a->nocache = info.ttl == 0 || core->conf->policy.ttl == 0;
	a->mtime = info.serial && info.created ? info.created : a->mtime;
	if (d->kind != CORE_DIR)
		measure(core, d, &info);
	a->serial = d->size_serial;
	a->size = d->size;
	a->valid_until = valid_until(d, &info);
}

void core_attr(struct core *core, struct dent *d, struct core_attr *ret)
{
	struct core_attr a = {.mtime = core->started_wall};
	core_lock(core);
	if (d->kind == CORE_DIR) {
		config_dir_policy(core->conf, &a.uid, &a.gid, &a.mode);
		a.mode = config_dir_mode(core->conf, d->path);
		if (d->subject && d->subject->created)
			a.mtime = d->subject->created;
	} else {
		file_attr(core, d, &a);
	}
	core_unlock(core);
	*ret = a;
}

/* Whether what `glob` matches may lie below directory `dir`: one of the two texts starts the other,
 * as far as the glob is plain. */
static bool may_reach(const char *glob, const char *dir)
{
	size_t plain = strcspn(glob, "*?[\\"), len = strlen(dir);
	if (plain > len)
		return !strncmp(glob, dir, len) && glob[len] == '/';
	return !strncmp(glob, dir, plain) && glob[plain];
}

/* Some key of the secret is hidden, or may be as long as its keys are not known. */
static bool hides_key(const struct core *core, const struct dent *dir)
{
	const struct subject *s = dir->subject;
	const struct list_entry *item = inst_item(s->inst, s->inst->listing, s->name);
	for (size_t i = 0; i < core->conf->nrules; i++) {
		const struct rule *r = &core->conf->rules[i];
		if (!(r->words & RULE_HIDDEN) || !r->policy.hidden ||
			!may_reach(r->glob, dir->path))
			continue;
		if (!item || !item->keys)
			return true;
		for (size_t k = 0; k < item->nkeys; k++) {
			_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
			struct policy pol;
			buf_printf(&path, "%s/", dir->path);
			if (name_encode_component(
				    &path, item->keys[k], strlen(item->keys[k]), false) < 0)
				return true;
			config_policy_alias(core->conf, buf_text(&path), dir->path, &pol);
			if (pol.hidden)
				return true;
		}
	}
	return false;
}

/* A key with an owner or mode of its own must not be shown by a file of another. */
static void restrict_to_keys(const struct core *core, const struct dent *dir, struct core_attr *a)
{
	for (const struct dent *d = dir->subject->shown; d; d = d->same_next) {
		if (!dent_key(d) || d->mapped || !d->pol)
			continue;
		a->mode &= d->pol->mode;
		if (d->pol->uid != a->uid || d->pol->gid != a->gid)
			a->mode = 0;
	}
	if (hides_key(core, dir))
		a->mode = 0;
}

void core_view_attr(struct core *core, struct dent *d, struct core_attr *ret)
{
	struct core_attr a = {.mtime = core->started_wall};
	core_lock(core);
	file_attr(core, d, &a);
	if (d->kind == CORE_DIR && d->subject)
		restrict_to_keys(core, d, &a);
	core_unlock(core);
	*ret = a;
}

/* --- look-up --- */

static int child_path(const struct dent *dir, const char *name, struct buf *out)
{
	size_t len = strlen(name);
	if (!len || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -ENOENT;
	if (len > SFS_COMPONENT_MAX)
		return -ENAMETOOLONG;
	buf_printf(out, "%s%s%s", dir->path, *dir->path ? "/" : "", name);
	if (out->failed)
		return out->failed == ENOMEM ? -ENOMEM : -ENAMETOOLONG;
	return 0;
}

/* `name` is what a whole provider name looks like as one component. */
static bool is_one_component(const char *name)
{
	_cleanup_(buf_clear) struct buf raw = BUF_INIT(SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf again = BUF_INIT(SFS_PATH_MAX);
	if (name_decode(&raw, name, strlen(name)) < 0)
		return false;
	if (inst_is_resource(name, strlen(name)))
		return true;
	if (name_encode_component(&again, buf_text(&raw), raw.len, true) == 0 &&
		!strcmp(buf_text(&again), name))
		return true;
	buf_reset(&again);
	return name_encode_component(&again, buf_text(&raw), raw.len, false) == 0 &&
	       !strcmp(buf_text(&again), name);
}

/* What one source says to a path that is not in the table. */
enum verdict { NOT_HERE, HERE, MAYBE };

static enum verdict ask_inst(struct core *core, struct core_inst *ci, const char *path,
	const char *name, struct dent **ret)
{
	_cleanup_(buf_clear) struct buf canonical = BUF_INIT(2 * SFS_PATH_MAX);
	struct policy pol;
	bool value = !strcmp(name, NAME_VALUE);
	if (inst_canonical(ci, path, &canonical) < 0)
		return NOT_HERE;
	struct dent *d = tree_find(&core->tree, buf_text(&canonical));
	if (d && d->kind != CORE_UNKNOWN && !value) {
		*ret = d;
		return HERE;
	}
	if (!value && strcmp(buf_text(&canonical), path) != 0 && !is_one_component(name))
		return NOT_HERE;
	config_policy(core->conf, buf_text(&canonical), &pol);
	/* No listing speaks of resources by their full names, unless it is the last word. */
	bool may =
		inst_may_have(ci) || (inst_is_resource(name, strlen(name)) && !inst_knows_all(ci));
	return pol.hidden || !may ? NOT_HERE : MAYBE;
}

/* Another spelling of a key of a multi-key secret. */
static struct dent *find_key(struct core *core, const struct dent *dir, const char *name)
{
	_cleanup_(buf_clear) struct buf raw = BUF_INIT(SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	buf_printf(&path, "%s/", dir->path);
	if (!dir->multikey || name_decode(&raw, name, strlen(name)) < 0 ||
		name_encode_component(&path, buf_text(&raw), raw.len, false) < 0 || path.failed)
		return NULL;
	struct dent *d = tree_find(&core->tree, buf_text(&path));
	return d && d->kind != CORE_UNKNOWN ? d : NULL;
}

/* The [map] name at `path`, while its target is not known. */
static bool is_map_path(const struct core *core, const char *path)
{
	for (size_t i = 0; i < core->conf->nmaps; i++)
		if (!strcmp(core->conf->maps[i].path, path))
			return true;
	return false;
}

static int lookup_unlisted(
	struct core *core, struct dent *dir, const char *path, const char *name, struct dent **ret)
{
	struct dent *d = find_key(core, dir, name);
	bool maybe = false;
	if (!strcmp(name, NAME_VALUE) && (dir->multikey || !*dir->path))
		return -ENOENT;
	for (size_t i = 0; i < core->ninsts && !d; i++)
		if (inst_covers(core->insts[i], path))
			maybe |= ask_inst(core, core->insts[i], path, name, &d) == MAYBE;
	if (d) {
		*ret = dent_ref(d);
		return 0;
	}
	if (!maybe || is_map_path(core, path))
		return -ENOENT;
	d = tree_find(&core->tree, path);
	d = d ? dent_ref(d) : tree_unknown(&core->tree, dir, path);
	if (!d)
		return -ENOMEM;
	*ret = d;
	return 0;
}

static int lookup_locked(struct core *core, struct dent *dir, const char *name, struct dent **ret)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(SFS_PATH_MAX);
	if (dir->kind != CORE_DIR)
		return -ENOTDIR;
	int r = child_path(dir, name, &path);
	if (r < 0)
		return r;
	struct dent *d = tree_find(&core->tree, buf_text(&path));
	if (d && d->kind != CORE_UNKNOWN) {
		*ret = dent_ref(d);
		return 0;
	}
	if (core_list_pending(core, dir) || (dir->multikey && dir->keys_unknown))
		return -EAGAIN;
	return lookup_unlisted(core, dir, buf_text(&path), name, ret);
}

int core_lookup(struct core *core, struct dent *dir, const char *name, struct dent **ret)
{
	struct due_insts due;
	core_lock(core);
	int r = lookup_locked(core, dir, name, ret);
	core_list_collect(core, dir->path, &due);
	core_unlock(core);
	core_list_start_all(&due);
	return r;
}

int core_walk(struct core *core, struct dent *dir, const char *path, struct dent **ret)
{
	struct dent *d = dent_ref(dir);
	int r = *path ? 0 : -ENOENT;
	while (*path && r == 0) {
		size_t len = strcspn(path, "/");
		_cleanup_free_ char *name = mem_strndup(path, len);
		struct dent *next = NULL;
		r = name ? core_lookup(core, d, name, &next) : -ENOMEM;
		dent_unref(core, d);
		d = next;
		path += len;
		if (*path == '/' && !*++path && r == 0)
			r = -ENOENT; /* a slash at the end */
	}
	if (r < 0) {
		dent_unref(core, d);
		return r;
	}
	*ret = d;
	return 0;
}

int core_readdir(struct core *core, struct dent *dir, uint64_t cookie,
	int (*emit)(void *arg, const struct core_dirent *de), void *arg)
{
	if (dir->kind != CORE_DIR)
		return -ENOTDIR;
	core_lock(core);
	int r = tree_each(dir, cookie, emit, arg);
	core_unlock(core);
	return r;
}
