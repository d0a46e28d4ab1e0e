/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [map] NEWPATH = NAME[#FIELD]: one more name for a secret, a key of one, or a field of its value.
 * It is there while its target is, and comes before what sources show at the same path. Targets are
 * looked for in the sources, not in the tree, so that two names can be swapped.
 */
#include "core/core_hydrate.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include <errno.h>
#include <string.h>

struct goal {
	struct core_inst *ci;
	const char *name; /* provider's */
	const char *key, *field;
};

int core_maps_alloc(const struct config *c, struct dent ***ret)
{
	struct dent **v = mem_calloc(c->nmaps ? c->nmaps : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	*ret = v;
	return 0;
}

/* A key of a line, raw or as it is written under the mount. */
static const char *find_key(const struct list_entry *e, const char *key, size_t len)
{
	for (size_t i = 0; i < e->nkeys; i++) {
		_cleanup_(buf_clear) struct buf enc = BUF_INIT(SFS_PATH_MAX);
		if (name_encode_component(&enc, e->keys[i], strlen(e->keys[i]), false) < 0)
			continue;
		if ((enc.len == len && !memcmp(enc.data, key, len)) ||
			(strlen(e->keys[i]) == len && !memcmp(e->keys[i], key, len)))
			return e->keys[i];
	}
	return NULL;
}

static bool is_multikey(const struct list_entry *e)
{
	return e->keys || e->keys_unknown;
}

/* `path` is a secret: its value, a field of it, or a key. */
static bool goal_secret(
	struct core *core, const char *path, const struct map_entry *m, struct goal *g)
{
	const struct list_entry *e = show_first_at(core, path, &g->ci);
	if (!e)
		return false;
	g->name = e->name;
	if (!is_multikey(e)) {
		g->field = m->field;
		return true;
	}
	if (!m->field)
		return false; /* a directory */
	g->key = e->keys ? find_key(e, m->field, strlen(m->field)) : m->field;
	return g->key;
}

/* `path` is a key of a multi-key secret. */
static bool goal_key(struct core *core, const char *path, const struct map_entry *m, struct goal *g)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = slash ? mem_strndup(path, (size_t)(slash - path)) : NULL;
	const struct list_entry *e = parent ? show_first_at(core, parent, &g->ci) : NULL;
	if (!e || !e->keys)
		return false;
	g->name = e->name;
	g->key = find_key(e, slash + 1, strlen(slash + 1));
	g->field = m->field;
	return g->key;
}

/* The path that the rules know the target by. */
static bool find_goal(struct core *core, const struct map_entry *m, char *path, struct goal *g)
{
	size_t len = strlen(m->name);
	const size_t value = sizeof("/" NAME_VALUE) - 1;
	memcpy(path, m->name, len + 1);
	if (len > value && !strcmp(path + len - value, "/" NAME_VALUE))
		path[len - value] = '\0';
	return goal_secret(core, path, m, g) || goal_key(core, path, m, g);
}

static void forget(struct core *core, size_t i)
{
	struct dent *d = core->map_dents[i];
	core->map_dents[i] = NULL;
	if (!d)
		return;
	if (d->alive) {
		struct subject *s = d->subject; /* of a file in the tree: never NULL */
		s->refs++;
		tree_remove(&core->tree, d);
		show_again(core, d->path);
		core_hydrate_subject(core, s);
		subject_unref(&core->tree, s);
	}
	tree_unref(&core->tree, d);
}

static void remember(struct core *core, size_t i, struct dent *d)
{
	struct dent *old = core->map_dents[i];
	if (d == old)
		return;
	core->map_dents[i] = d ? dent_ref(d) : NULL;
	tree_unref(&core->tree, old);
}

static void show_map(struct core *core, size_t i, const char *target, const struct goal *g)
{
	const struct map_entry *m = &core->conf->maps[i];
	const struct policy *pol = core_policy(core, core->conf, m->path, target);
	struct subject *s =
		pol && !pol->hidden ? tree_subject(&core->tree, g->ci, g->name, true) : NULL;
	if (!s) {
		forget(core, i);
		return;
	}
	struct shown shown = {s, g->key, g->field, pol, true};
	s->refs++;
	if (!s->pol)
		s->pol = core_policy(core, core->conf, target, NULL);
	if (tree_put(&core->tree, m->path, &shown) == 0)
		remember(core, i, tree_file(&core->tree, m->path));
	core_hydrate_subject(core, s);
	subject_unref(&core->tree, s);
}

void core_sync_maps(struct core *core)
{
	for (size_t i = 0; i < core->conf->nmaps; i++) {
		char path[SFS_PATH_MAX];
		struct goal g = {0};
		if (strlen(core->conf->maps[i].name) < SFS_PATH_MAX &&
			find_goal(core, &core->conf->maps[i], path, &g))
			show_map(core, i, path, &g);
		else
			forget(core, i);
	}
}

void core_maps_replace(struct core *core, struct dent **v, size_t old_n)
{
	for (size_t i = 0; core->map_dents && i < old_n; i++) {
		if (v)
			forget(core, i);
		else if (core->map_dents[i]) /* the end: nothing comes back */
			tree_unref(&core->tree, core->map_dents[i]);
	}
	mem_free(core->map_dents);
	core->map_dents = v;
}
