/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A purge of names that are not in the tree: what the store remembers of them (ENOENT for
 * negative_ttl) is forgotten, and a listing that began before no longer says that they do not
 * exist, so that the next open asks at once.
 */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include <string.h>

/* The listing held does not count against names from now on. */
static void doubt(struct core_inst *ci)
{
	ci->doubted_boot = clock_boot();
}

static void purge_all(struct core *core, struct entry **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		store_purge(core->store, v[i]);
		entry_unref(v[i]);
	}
}

static struct entry *entry_of(struct core_inst *ci, const char *name)
{
	return core_entry_of(ci, name, NULL, &ci->core->conf->policy);
}

void core_missing_path(struct core *core, const char *path)
{
	struct entry *v[2 * SFS_BACKENDS_MAX];
	size_t n = 0;
	core_lock(core);
	for (size_t i = 0; i < core->ninsts; i++) {
		struct core_inst *ci = core->insts[i];
		struct inst_names names;
		if (!inst_covers(ci, path) || inst_names(ci, path, &names) < 0)
			continue;
		doubt(ci);
		for (size_t k = 0; k < names.n; k++)
			if ((v[n] = entry_of(ci, buf_text(&names.name[k]))))
				n++;
		inst_names_clear(&names);
	}
	core_unlock(core);
	purge_all(core, v, n);
}

static bool hits(const struct core_inst *ci, const char *name, const char *glob)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	return !glob ||
	       (inst_path(ci, ci->listing, name, &path) == 0 && glob_match(glob, buf_text(&path)));
}

/* The entries of names asked for in vain that the glob matches; NULL on no memory. Tree lock. */
static struct entry **collect(struct core_inst *ci, const char *glob, size_t *ret_n)
{
	struct entry **v = mem_calloc(ci->missing.n + 1, sizeof(struct entry *));
	size_t pos = 0;
	const char *name;
	while (v && (name = ptab_next(&ci->missing, &pos)))
		if (hits(ci, name, glob) && (v[*ret_n] = entry_of(ci, name)))
			++*ret_n;
	return v;
}

void core_missing_glob(struct core *core, const char *glob)
{
	struct due_insts all = {.n = 0};
	core_insts_ref(core, &all);
	for (size_t i = 0; i < all.n; i++) {
		_cleanup_free_ struct entry **v = NULL;
		size_t n = 0;
		core_lock(core);
		doubt(all.v[i]);
		v = collect(all.v[i], glob, &n);
		core_unlock(core);
		purge_all(core, v, n);
		core_inst_unref(all.v[i]);
	}
}
