/* SPDX-License-Identifier: Apache-2.0 */
#include "core/heap.h"

#include "base/alloc.h"
#include <assert.h>
#include <errno.h>

#define HEAP_FIRST_CAP 64

int heap_reserve(struct heap *h)
{
	if (h->reserved == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : HEAP_FIRST_CAP;
		struct heap_node **v;

		if (cap > UINT32_MAX)
			return -ENOMEM;
		v = mem_realloc(h->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	h->reserved++;
	return 0;
}

void heap_unreserve(struct heap *h)
{
	assert(h->reserved > h->n);
	h->reserved--;
}

static void place(struct heap *h, size_t i, struct heap_node *node)
{
	h->v[i] = node;
	node->index = (uint32_t)i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *node)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (h->v[parent]->when <= node->when)
			break;
		place(h, i, h->v[parent]);
		i = parent;
	}
	place(h, i, node);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *node)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->v[child + 1]->when < h->v[child]->when)
			child++;
		if (h->v[child]->when >= node->when)
			break;
		place(h, i, h->v[child]);
		i = child;
	}
	place(h, i, node);
}

static void settle(struct heap *h, size_t i, struct heap_node *node)
{
	if (i > 0 && h->v[(i - 1) / 2]->when > node->when)
		sift_up(h, i, node);
	else
		sift_down(h, i, node);
}

void heap_set(struct heap *h, struct heap_node *node, int64_t when)
{
	node->when = when;
	if (node->index) {
		settle(h, node->index - 1, node);
		return;
	}
	assert(h->n < h->reserved);
	h->n++;
	sift_up(h, h->n - 1, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	size_t i;
	struct heap_node *last;

	if (!node->index)
		return;
	i = node->index - 1;
	node->index = 0;
	last = h->v[--h->n];
	if (last != node)
		settle(h, i, last);
}

struct heap_node *heap_top(const struct heap *h)
{
	return h->n ? h->v[0] : NULL;
}

void heap_clear(struct heap *h)
{
	assert(h->n == 0);
	mem_free(h->v);
	*h = (struct heap){0};
}
