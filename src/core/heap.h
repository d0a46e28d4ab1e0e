/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binary heap of points in time, earliest first. Nodes are embedded in what they belong to and
 * know their place, so that moving and removing one costs O(log n). Room is reserved ahead
 * (heap_reserve), one slot for each node that may ever be in the heap at the same time; setting a
 * node then never fails. Not thread-safe.
 */
#ifndef SFS_CORE_HEAP_H
#define SFS_CORE_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialise; set `kind` freely. */
struct heap_node {
	int64_t when;
	uint32_t index; /* 1-based place in the heap; 0 = not in it */
	uint32_t kind;	/* the user's */
};

/* Zero-initialise; heap_clear() at the end. */
struct heap {
	struct heap_node **v;
	size_t n, cap, reserved;
};

/* One more slot. -ENOMEM. */
int heap_reserve(struct heap *h);
/* Gives a slot back; its node must not be in the heap any more. */
void heap_unreserve(struct heap *h);
/* Puts `node` at `when`, whether it was in the heap or not. */
void heap_set(struct heap *h, struct heap_node *node, int64_t when);
/* Takes it out; nothing if it is not in. */
void heap_remove(struct heap *h, struct heap_node *node);
/* The earliest node, or NULL. */
struct heap_node *heap_top(const struct heap *h);
/* Frees the memory. The heap must be empty. */
void heap_clear(struct heap *h);

#endif
