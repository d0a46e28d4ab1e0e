/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "core/heap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#define N 2000

static void check(const struct heap *h)
{
	for (size_t i = 0; i < h->n; i++) {
		cr_assert_eq(h->v[i]->index, i + 1);
		if (i > 0)
			cr_assert(h->v[(i - 1) / 2]->when <= h->v[i]->when);
	}
}

static void reserve(struct heap *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(heap_reserve(h), 0);
}

Test(heap, empty_has_no_top)
{
	struct heap h = {0};

	cr_assert_null(heap_top(&h));
	heap_clear(&h);
}

Test(heap, comes_out_in_order)
{
	static struct heap_node v[N];
	struct heap h = {0};
	int64_t last = INT64_MIN;

	srand(7);
	reserve(&h, N);
	for (size_t i = 0; i < N; i++)
		heap_set(&h, &v[i], rand() % 500);
	check(&h);
	for (size_t i = 0; i < N; i++) {
		struct heap_node *n = heap_top(&h);

		cr_assert(n->when >= last);
		last = n->when;
		heap_remove(&h, n);
		cr_assert_eq(n->index, 0u);
	}
	cr_assert_null(heap_top(&h));
	heap_clear(&h);
}

Test(heap, random_moves_and_removals_keep_the_order)
{
	static struct heap_node v[200];
	struct heap h = {0};

	srand(11);
	reserve(&h, 200);
	for (int i = 0; i < 20000; i++) {
		struct heap_node *n = &v[rand() % 200];

		if (rand() % 3)
			heap_set(&h, n, rand() % 1000);
		else
			heap_remove(&h, n);
		if (i % 100 == 0)
			check(&h);
	}
	check(&h);
	for (int i = 0; i < 200; i++)
		heap_remove(&h, &v[i]);
	heap_clear(&h);
}

Test(heap, removing_what_is_not_in_does_nothing)
{
	struct heap_node a = {0}, b = {0};
	struct heap h = {0};

	reserve(&h, 1);
	heap_set(&h, &a, 1);
	heap_remove(&h, &b);
	cr_assert_eq(heap_top(&h), &a);
	heap_remove(&h, &a);
	heap_clear(&h);
}

Test(heap, a_failed_reservation_leaves_it_usable)
{
	struct heap_node a = {0};
	struct heap h = {0};

	alloc_fail_at(1);
	cr_assert_eq(heap_reserve(&h), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq(h.reserved, 0u);
	reserve(&h, 64);
	alloc_fail_at(1);
	cr_assert_eq(heap_reserve(&h), -ENOMEM);
	alloc_fail_at(0);
	heap_set(&h, &a, 5);
	cr_assert_eq(heap_top(&h), &a);
	heap_remove(&h, &a);
	heap_clear(&h);
}

Test(heap, given_back_slots_are_used_again)
{
	struct heap h = {0};

	reserve(&h, 64);
	for (int i = 0; i < 1000; i++) {
		heap_unreserve(&h);
		reserve(&h, 1);
	}
	cr_assert_eq(h.cap, 64u);
	heap_clear(&h);
}
