/* SPDX-License-Identifier: Apache-2.0 */
/* Entries gathered under the tree lock for what the store may only be told without it. */
#include "core/core_priv.h"

#include "base/alloc.h"

void entry_list_add(struct entry_list *l, struct entry *e)
{
	if (e && l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct entry **v = mem_realloc(l->v, cap, sizeof(struct entry *));
		if (v) {
			l->v = v;
			l->cap = cap;
		}
	}
	if (e && l->n < l->cap) {
		l->v[l->n++] = e;
		return;
	}
	l->failed = l->failed || e;
	entry_unref(e);
}

void entry_list_end(
	struct core *core, struct entry_list *l, void (*fn)(struct store *s, struct entry *e))
{
	if (l->n)
		store_gather(core->store);
	for (size_t i = 0; i < l->n; i++) {
		fn(core->store, l->v[i]);
		entry_unref(l->v[i]);
	}
	if (l->n)
		store_start_bulk(core->store);
	mem_free(l->v);
	*l = (struct entry_list){.failed = l->failed};
}
