/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/fixed.h"

#include "base/alloc.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

struct fixed_item {
	char *name;
	struct secret *value;
};

struct fixed_set {
	const char *what;
	struct fixed_item *items; /* sorted by name */
	size_t n, cap;
};

struct fixed_set *fixed_new(const char *what)
{
	struct fixed_set *set = mem_calloc(1, sizeof(*set));
	if (set)
		set->what = what;
	return set;
}

void fixed_close(void *state)
{
	struct fixed_set *set = state;
	if (!set)
		return;
	for (size_t i = 0; i < set->n; i++) {
		mem_free(set->items[i].name);
		secret_unref(set->items[i].value);
	}
	mem_free(set->items);
	mem_free(set);
}

size_t fixed_count(const struct fixed_set *set)
{
	return set->n;
}

/* Index of `name`, or where it belongs; *ret_found tells which. */
static size_t find(const struct fixed_set *set, const char *name, bool *ret_found)
{
	size_t lo = 0, hi = set->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(set->items[mid].name, name);
		*ret_found = c == 0;
		if (c == 0)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = false;
	return lo;
}

static int make_room(struct fixed_set *set)
{
	if (set->n < set->cap)
		return 0;
	size_t cap = set->cap ? 2 * set->cap : 8;
	struct fixed_item *items = mem_realloc(set->items, cap, sizeof(*items));
	if (!items)
		return -ENOMEM;
	set->items = items;
	set->cap = cap;
	return 0;
}

int fixed_add(struct fixed_set *set, const char *name, struct secret *value)
{
	bool found;
	size_t at = find(set, name, &found);
	if (found) {
		secret_unref(set->items[at].value);
		set->items[at].value = secret_ref(value);
		return 0;
	}
	char *copy = mem_strdup(name);
	if (!copy || make_room(set) < 0) {
		mem_free(copy);
		return -ENOMEM;
	}
	memmove(set->items + at + 1, set->items + at, (set->n - at) * sizeof(*set->items));
	set->items[at] = (struct fixed_item){copy, secret_ref(value)};
	set->n++;
	return 0;
}

int fixed_list(void *state, const struct call *call, const char *filter, struct list_sink *sink,
	struct sfs_err *err)
{
	const struct fixed_set *set = state;
	(void)call;
	(void)filter;
	(void)err;
	for (size_t i = 0; i < set->n; i++) {
		struct list_item item = {.name = set->items[i].name};
		int rc = list_add(sink, &item);
		if (rc)
			return rc;
	}
	return 0;
}

int fixed_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	const struct fixed_set *set = state;
	bool found;
	size_t at = find(set, rq->name, &found);
	(void)call;
	if (!found)
		return err_set(err, ENOENT, "there was no such %s at mount", set->what);
	if (rq->version)
		return err_set(
			err, ENOENT, "an %s has no other version than the current one", set->what);
	struct payload *p = payload_new();
	int rc = p ? payload_add(p, NULL, secret_ref(set->items[at].value)) : -ENOMEM;
	if (rc) {
		payload_unref(p);
		return err_set(err, -rc,
			rc == -EFBIG ? "the value has more than %d bytes"
				     : "no memory for a value (at most %d bytes)",
			SFS_VALUE_MAX);
	}
	*ret = p;
	return 0;
}

int fixed_watch(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err)
{
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};
	(void)state;
	watch_changed(sink, NULL);
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "wait for the end of the mount");
	return 0;
}
