/* SPDX-License-Identifier: Apache-2.0 */
#include "core/listing.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include "base/text.h"
#include "core/answer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void strings_free(char **v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		mem_free(v[i]);
	mem_free(v);
}

static void item_clear(struct list_entry *it)
{
	mem_free(it->name);
	strings_free(it->keys, it->nkeys);
	mem_free(it->version);
	mem_free(it->meta);
}

/* --- listing --- */

struct listing *listing_ref(struct listing *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void listing_unref(struct listing *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	for (size_t i = 0; i < l->n; i++)
		item_clear(&l->items[i]);
	mem_free(l->items);
	mem_free(l);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, ((const struct list_entry *)b)->name);
}

const struct list_entry *listing_find(const struct listing *l, const char *name)
{
	return l->n ? bsearch(name, l->items, l->n, sizeof(l->items[0]), by_name) : NULL;
}

/* --- sink --- */

static int stopped(const struct call *call)
{
	return call && call->cancelled && atomic_load(call->cancelled) ? -ECANCELED : 0;
}

static void skip(struct list_sink *sink, const char *what, const char *reason)
{
	if (sink->skipped++ > 0)
		return;
	text_escaped(sink->first, sizeof(sink->first), what, strnlen(what, sizeof(sink->first)));
	sink->reason = reason;
}

static int room(void **v, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 64;
	void *more;

	if (n < *cap)
		return 0;
	more = mem_realloc(*v, want, size);
	if (!more)
		return -ENOMEM;
	*v = more;
	*cap = want;
	return 0;
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts and drops doubles. */
static size_t unique(char **v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof(*v), by_string);
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && !strcmp(v[kept - 1], v[i]))
			mem_free(v[i]);
		else
			v[kept++] = v[i];
	}
	return kept;
}

static int copy_keys(struct list_sink *sink, const struct list_item *item, struct list_entry *to)
{
	if (!item->keys)
		return 0;
	to->keys = mem_calloc(item->nkeys + 1, sizeof(char *));
	if (!to->keys)
		return -ENOMEM;
	for (size_t i = 0; i < item->nkeys; i++) {
		if (!answer_name(item->keys[i])) {
			skip(sink, item->name, "one of its keys is empty or too long");
			continue;
		}
		to->keys[to->nkeys] = mem_strdup(item->keys[i]);
		if (!to->keys[to->nkeys])
			return -ENOMEM;
		to->nkeys++;
	}
	to->nkeys = to->nkeys ? unique(to->keys, to->nkeys) : 0;
	return 0;
}

static int copy_text(const char *text, char **ret)
{
	*ret = mem_strdup(text);
	return text && !*ret ? -ENOMEM : 0;
}

static int copy_item(struct list_sink *sink, const struct list_item *item, struct list_entry *to)
{
	const char *version = item->version, *meta = item->meta;

	if (version && (!version[0] || strnlen(version, SFS_VERSION_MAX + 1) > SFS_VERSION_MAX)) {
		skip(sink, item->name, "its version id is empty or too long");
		version = NULL;
	}
	if (meta && !answer_meta(meta)) {
		skip(sink, item->name, "its metadata is no JSON object or too long");
		meta = NULL;
	}
	*to = (struct list_entry){
		.keys_unknown = item->keys_unknown,
		.created = item->created > 0 ? item->created : 0,
		.expires = item->expires > 0 ? item->expires : 0,
	};
	if (copy_text(item->name, &to->name) == 0 && copy_text(version, &to->version) == 0 &&
		copy_text(meta, &to->meta) == 0 && copy_keys(sink, item, to) == 0)
		return 0;
	item_clear(to);
	return -ENOMEM;
}

/* A name that is no path (over the limits of name_encode()) matches nothing. -ENOMEM. */
static int matches(const char *glob, const char *name, bool *ret)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(SFS_PATH_MAX + 1);
	int r = name_encode(&path, name, strlen(name));

	*ret = r == 0 && glob_match(glob, buf_text(&path));
	return r == -ENOMEM ? r : 0;
}

int list_add(struct list_sink *sink, const struct list_item *item)
{
	bool wanted = true;
	int r = stopped(sink->call);

	if (r < 0)
		return r;
	if (sink->more)
		sink->more(sink);
	if (!answer_name(item->name)) {
		skip(sink, item->name ? item->name : "", "its name is empty or too long");
		return 0;
	}
	if (item->nkeys > SFS_KEYS_MAX) {
		skip(sink, item->name, "it has too many keys");
		return 0;
	}
	if (sink->glob)
		r = matches(sink->glob, item->name, &wanted);
	if (r < 0 || !wanted)
		return r;
	if (sink->n >= sink->max) {
		sink->truncated = true;
		return -EFBIG;
	}
	r = room((void **)&sink->items, sink->n, &sink->cap, sizeof(sink->items[0]));
	if (r == 0)
		r = copy_item(sink, item, &sink->items[sink->n]);
	if (r == 0)
		sink->n++;
	return r;
}

void list_sink_clear(struct list_sink *sink)
{
	for (size_t i = 0; i < sink->n; i++)
		item_clear(&sink->items[i]);
	mem_free(sink->items);
	sink->items = NULL;
	sink->n = sink->cap = 0;
}

static bool is_sorted(const struct list_entry *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (strcmp(v[i - 1].name, v[i].name) >= 0)
			return false;
	return true;
}

struct ranked {
	struct list_entry item;
	size_t rank; /* in which order they came: qsort() is not stable */
};

static int by_name_and_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	int c = strcmp(x->item.name, y->item.name);

	return c ? c : (x->rank > y->rank) - (x->rank < y->rank);
}

static void merge_ranked(struct list_sink *sink, struct ranked *v)
{
	size_t kept = 0, n = sink->n;

	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && !strcmp(sink->items[kept - 1].name, v[i].item.name)) {
			skip(sink, v[i].item.name, "its name is listed twice");
			item_clear(&v[i].item);
		} else {
			sink->items[kept++] = v[i].item;
		}
	}
	sink->n = kept;
}

void list_problem(struct list_sink *sink, const struct sfs_err *why)
{
	sink->problem = *why;
}

static int sort_items(struct list_sink *sink)
{
	_cleanup_free_ struct ranked *v = NULL;

	if (is_sorted(sink->items, sink->n))
		return 0;
	v = mem_calloc(sink->n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < sink->n; i++)
		v[i] = (struct ranked){sink->items[i], i};
	qsort(v, sink->n, sizeof(*v), by_name_and_rank);
	merge_ranked(sink, v);
	return 0;
}

int list_sink_finish(struct list_sink *sink, struct listing **ret)
{
	struct listing *l = mem_calloc(1, sizeof(*l));

	if (!l || sort_items(sink) < 0) {
		mem_free(l);
		list_sink_clear(sink);
		return -ENOMEM;
	}
	atomic_init(&l->refs, 1);
	l->items = sink->items;
	l->n = sink->n;
	l->skipped = sink->skipped;
	l->truncated = sink->truncated;
	l->started = sink->started;
	l->problem = sink->problem;
	sink->items = NULL;
	sink->n = sink->cap = 0;
	*ret = l;
	return 0;
}

/* --- versions --- */

int version_add(struct version_sink *sink, const char *version, int64_t created)
{
	int r = stopped(sink->call);

	(void)created; /* the order given is the order shown */
	if (r < 0)
		return r;
	if (!version || !version[0] || strnlen(version, SFS_VERSION_MAX + 1) > SFS_VERSION_MAX) {
		sink->skipped++;
		return 0;
	}
	if (sink->n >= SFS_LIST_MAX)
		return -EFBIG;
	r = room((void **)&sink->v, sink->n, &sink->cap, sizeof(sink->v[0]));
	if (r == 0)
		r = copy_text(version, &sink->v[sink->n]);
	if (r == 0)
		sink->n++;
	return r;
}

void version_sink_clear(struct version_sink *sink)
{
	strings_free(sink->v, sink->n);
	sink->v = NULL;
	sink->n = sink->cap = 0;
}

static int by_target(const void *a, const void *b)
{
	char *const *x = *(char **const *)a, *const *y = *(char **const *)b;
	int c = strcmp(*x, *y);

	return c ? c : (x > y) - (x < y);
}

/* Sets every later double to NULL. */
static int mark_doubles(char **v, size_t n)
{
	_cleanup_free_ char ***at = mem_calloc(n + 1, sizeof(char **));
	size_t first = 0;

	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		at[i] = &v[i];
	qsort(at, n, sizeof(char **), by_target);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(*at[first], *at[i])) {
			first = i;
			continue;
		}
		mem_free(*at[i]);
		*at[i] = NULL;
	}
	return 0;
}

int version_sink_finish(struct version_sink *sink, char ***ret, size_t *ret_n)
{
	size_t kept = 0;

	if (mark_doubles(sink->v, sink->n) < 0) {
		version_sink_clear(sink);
		return -ENOMEM;
	}
	for (size_t i = 0; i < sink->n; i++)
		if (sink->v[i])
			sink->v[kept++] = sink->v[i];
	*ret = sink->v;
	*ret_n = kept;
	sink->v = NULL;
	sink->n = sink->cap = 0;
	return 0;
}
