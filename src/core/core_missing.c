/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A purge of names that are not in the tree: what the store remembers of them (ENOENT for
 * negative_ttl) is forgotten, and a listing that began before no longer says that they do not
 * exist, so that the next open asks at once.
 */
#include "core/core_priv.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include <string.h>

/* The listing held does not count against names from now on. */
static void doubt(struct core_inst *ci)
{
	ci->doubted_boot = clock_boot();
}

static struct entry *entry_of(struct core_inst *ci, const char *name)
{
	return core_entry_of(ci, name, NULL, &ci->core->conf->policy);
}

void core_missing_path(struct core *core, const char *path)
{
	struct entry_list list = {0};
	core_lock(core);
	for (size_t i = 0; i < core->ninsts; i++) {
		struct core_inst *ci = core->insts[i];
		struct inst_names names;
		if (!inst_covers(ci, path) || inst_names(ci, path, &names) < 0)
			continue;
		doubt(ci);
		for (size_t k = 0; k < names.n; k++)
			entry_list_add(&list, entry_of(ci, buf_text(&names.name[k])));
		inst_names_clear(&names);
	}
	core_unlock(core);
	entry_list_end(core, &list, store_purge);
}

static bool hits(const struct core_inst *ci, const char *name, const char *glob)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	return !glob ||
	       (inst_path(ci, ci->listing, name, &path) == 0 && glob_match(glob, buf_text(&path)));
}

/* The entries of names asked for in vain that the glob matches. Tree lock. */
static void collect(struct core_inst *ci, const char *glob, struct entry_list *ret)
{
	size_t pos = 0;
	const char *name;
	while ((name = ptab_next(&ci->missing, &pos)))
		if (hits(ci, name, glob))
			entry_list_add(ret, entry_of(ci, name));
}

void core_missing_glob(struct core *core, const char *glob)
{
	struct entry_list list = {0};
	core_lock(core);
	for (size_t i = 0; i < core->ninsts; i++) {
		doubt(core->insts[i]);
		collect(core->insts[i], glob, &list);
	}
	core_unlock(core);
	entry_list_end(core, &list, store_purge);
}
