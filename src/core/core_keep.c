/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that a listing lacks although they were fetched after its call had begun: the provider has
 * said twice what is true, and the fetch said it later (listings of large providers lag besides).
 * They stay in the tree until a listing that began after the fetch lacks them too; one is started
 * at once. A source that tells its changes itself needs none of this.
 */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

static bool confirmed(struct core_inst *ci, const char *name, int64_t since)
{
	const struct subject *s = tree_subject(&ci->core->tree, ci, name, false);
	struct entry_info info;
	if (!s || !s->entry || !s->shown)
		return false;
	entry_info(s->entry, &info);
	return info.fetched_boot >= since && !(info.has_error && info.error.code == ENOENT);
}

/* Takes over `name`. */
static bool add(struct ptab *t, char *name)
{
	if (name && ptab_add(t, ptab_hash(name, strlen(name), 0), name) == 0)
		return true;
	mem_free(name);
	return false;
}

bool core_keep(struct core_inst *ci, const struct listing *l, const char *name)
{
	if (inst_item(ci, l, name) || inst_knows_all(ci) || !confirmed(ci, name, l->started) ||
		!add(&ci->kept, mem_strdup(name)))
		return false;
	tree_subject(&ci->core->tree, ci, name, false)->unlisted = true;
	ci->again = true;
	return true;
}

static void drop(struct core_inst *ci, const char *name, struct ptab *dropped)
{
	struct subject *s = tree_subject(&ci->core->tree, ci, name, false);
	if (s && s->unlisted)
		show_gone(ci->core, s);
	core_sync_drop(dropped, name);
}

void core_keep_review(struct core_inst *ci, const struct listing *l, struct ptab *dropped)
{
	struct ptab old = ci->kept;
	size_t pos = 0;
	char *name;
	ci->kept = (struct ptab){0};
	while ((name = ptab_next(&old, &pos))) {
		bool listed = inst_item(ci, l, name);
		if (!listed && confirmed(ci, name, l->started) && add(&ci->kept, mem_strdup(name)))
			continue;
		if (!listed)
			drop(ci, name, dropped);
	}
	core_sync_forget(&old);
}
