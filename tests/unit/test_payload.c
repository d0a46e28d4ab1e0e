/* SPDX-License-Identifier: Apache-2.0 */
#include "backend_kit.h"

static struct secret *text(const char *s)
{
	return secret_new(s, strlen(s));
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

Test(payload, one_value)
{
	struct payload *p = payload_new();
	cr_assert_eq(payload_add(p, NULL, text("abc")), 0);
	cr_expect_eq(secret_len(payload_part(p, NULL)), 3);
	cr_expect_null(payload_part(p, "abc"));
	cr_expect_eq(payload_size(p), 3);
	cr_expect_eq(p->ttl_hint, -1);
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
}

Test(payload, keys_are_sorted_whatever_their_order)
{
	static const char *const keys[] = {"m", "a", "z", "b", "y", ""};
	struct payload *p = payload_new();
	for (size_t i = 0; i < 6; i++)
		cr_assert_eq(payload_add(p, keys[i], text(keys[i])), 0);
	for (size_t i = 1; i < p->nparts; i++)
		cr_expect_lt(strcmp(p->parts[i - 1].key, p->parts[i].key), 0);
	for (size_t i = 0; i < 6; i++)
		cr_expect_eq(secret_len(payload_part(p, keys[i])), strlen(keys[i]));
	cr_expect_null(payload_part(p, "c"));
	cr_expect_null(payload_part(p, NULL), "a secret with keys has no single value");
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
}

Test(payload, a_key_twice_is_refused_and_its_bytes_freed)
{
	struct payload *p = payload_new();
	cr_assert_eq(payload_add(p, "a", text("1")), 0);
	cr_expect_eq(payload_add(p, "a", text("2")), -EEXIST);
	cr_expect_eq(payload_add(p, NULL, text("2")), -EEXIST, "a value beside keys");
	cr_expect_eq(p->nparts, 1);
	cr_expect_eq(*secret_bytes(payload_part(p, "a")), '1');
	cr_expect_eq(blocks(), 1);
	payload_unref(p);
}

Test(payload, a_key_beside_a_value_is_refused)
{
	struct payload *p = payload_new();
	cr_assert_eq(payload_add(p, NULL, text("1")), 0);
	cr_expect_eq(payload_add(p, NULL, text("1")), -EEXIST);
	cr_expect_eq(payload_add(p, "a", text("1")), -EEXIST);
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
}

/* Row 93. */
Test(payload, a_value_over_the_limit_is_refused)
{
	unsigned char *bytes;
	struct payload *p = payload_new();
	cr_expect_eq(payload_add(p, "big", secret_new_uninit(SFS_VALUE_MAX + 1, &bytes)), -EFBIG);
	cr_expect_eq(blocks(), 0);
	cr_expect_eq(payload_add(p, "fits", secret_new_uninit(SFS_VALUE_MAX, &bytes)), 0);
	payload_unref(p);
}

Test(payload, the_number_of_keys_is_limited)
{
	struct payload *p = payload_new();
	char key[16];
	for (int i = 0; i < SFS_KEYS_MAX; i++) {
		snprintf(key, sizeof(key), "%d", (i * 7919) % SFS_KEYS_MAX);
		cr_assert_eq(payload_add(p, key, text("")), 0);
	}
	cr_expect_eq(payload_add(p, "x", text("")), -EFBIG);
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
}

static struct payload *pair(const char *a, const char *b)
{
	struct payload *p = payload_new();
	cr_assert_eq(payload_add(p, "k", text(a)), 0);
	cr_assert_eq(payload_add(p, "l", text(b)), 0);
	return p;
}

Test(payload, same_means_keys_and_bytes)
{
	struct payload *a = pair("1", "2"), *b = pair("1", "2"), *c = pair("1", "3"),
		       *d = payload_new();
	struct payload *e = payload_new();
	payload_add(d, NULL, text("1"));
	payload_add(e, "k", text("1"));
	b->version = mem_strdup("other");
	cr_expect(payload_same(a, b));
	cr_expect(!payload_same(a, c));
	cr_expect(!payload_same(a, d));
	cr_expect(!payload_same(d, e));
	payload_unref(a);
	payload_unref(b);
	payload_unref(c);
	payload_unref(d);
	payload_unref(e);
	cr_expect_eq(blocks(), 0);
}

Test(payload, lives_until_the_last_reference)
{
	struct payload *p = payload_new();
	payload_add(p, NULL, text("abc"));
	cr_expect_eq(payload_ref(p), p);
	payload_unref(p);
	cr_expect_eq(blocks(), 1);
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
	payload_unref(NULL);
}

Test(payload, without_memory_nothing_is_added_and_nothing_leaks)
{
	struct payload *p = payload_new();
	for (unsigned long n = 1; n <= 2; n++) {
		alloc_fail_at(n);
		int rc = payload_add(p, "k", text("1"));
		alloc_fail_at(0);
		cr_expect_eq(rc, -ENOMEM);
		cr_expect_eq(p->nparts, 0);
	}
	payload_unref(p);
	cr_expect_eq(blocks(), 0);
}

Test(registry, finds_by_name_only)
{
	static const struct backend_ops extra = {.name = "extra"};
	size_t n, more;
	const struct backend_ops *const *all = backend_all(&n);
	cr_assert_geq(n, 4);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(backend_find(all[i]->name), all[i]);
	cr_expect_null(backend_find("extra"));
	cr_expect_null(backend_find(""));
	backend_register(&extra);
	cr_expect_eq(backend_find("extra"), &extra);
	backend_all(&more);
	cr_expect_eq(more, n + 1);
}
