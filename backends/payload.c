/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/payload.h"

#include "base/alloc.h"
#include "base/limits.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct payload *payload_new(void)
{
	struct payload *p = mem_calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	atomic_init(&p->refs, 1);
	p->ttl_hint = p->ttl_max = -1;
	return p;
}

struct payload *payload_ref(struct payload *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void payload_unref(struct payload *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < p->nparts; i++) {
		mem_free(p->parts[i].key);
		secret_unref(p->parts[i].bytes);
	}
	mem_free(p->parts);
	mem_free(p->version);
	mem_free(p->meta);
	mem_free(p);
}

/* Index of `key`, or where it would stand; *ret_found tells which. */
static size_t find(const struct payload *p, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = p->nparts;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(p->parts[mid].key, key);
		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = false;
	return lo;
}

static bool is_single(const struct payload *p)
{
	return p->nparts == 1 && !p->parts[0].key;
}

/* The array has room for a power of two of parts, so it grows when their number is one. */
static int make_room(struct payload *p)
{
	size_t n = p->nparts;
	if (n & (n - 1))
		return 0;
	struct part *parts = mem_realloc(p->parts, n ? 2 * n : 1, sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	p->parts = parts;
	return 0;
}

static int insert(struct payload *p, const char *key, struct secret *bytes)
{
	bool found = key ? is_single(p) : p->nparts > 0;
	size_t at = key && !found ? find(p, key, &found) : 0;
	if (found)
		return -EEXIST;
	if (p->nparts == SFS_KEYS_MAX || secret_len(bytes) > SFS_VALUE_MAX)
		return -EFBIG;
	char *copy = mem_strdup(key);
	if ((key && !copy) || make_room(p) < 0) {
		mem_free(copy);
		return -ENOMEM;
	}
	memmove(p->parts + at + 1, p->parts + at, (p->nparts - at) * sizeof(*p->parts));
	p->parts[at] = (struct part){.key = copy, .bytes = bytes};
	p->nparts++;
	return 0;
}

int payload_add(struct payload *p, const char *key, struct secret *bytes)
{
	int rc = insert(p, key, bytes);
	if (rc)
		secret_unref(bytes);
	return rc;
}

struct secret *payload_part(const struct payload *p, const char *key)
{
	bool found;
	if (!key || is_single(p))
		return !key && is_single(p) ? p->parts[0].bytes : NULL;
	size_t at = find(p, key, &found);
	return found ? p->parts[at].bytes : NULL;
}

size_t payload_size(const struct payload *p)
{
	size_t sum = 0;
	for (size_t i = 0; i < p->nparts; i++)
		sum += secret_len(p->parts[i].bytes);
	return sum;
}

static bool key_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool payload_same(const struct payload *a, const struct payload *b)
{
	if (a->nparts != b->nparts)
		return false;
	for (size_t i = 0; i < a->nparts; i++) {
		const struct part *x = &a->parts[i], *y = &b->parts[i];
		if (!key_same(x->key, y->key) || !secret_equal(x->bytes, y->bytes))
			return false;
	}
	return true;
}
