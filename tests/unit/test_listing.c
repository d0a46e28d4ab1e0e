/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/clock.h"
#include "core/listing.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINK(...)                                \
	{                                        \
		.max = SFS_LIST_MAX, __VA_ARGS__ \
	}

static int add(struct list_sink *sink, const char *name)
{
	struct list_item item = {.name = name};

	return list_add(sink, &item);
}

static struct listing *finish(struct list_sink *sink)
{
	struct listing *l = NULL;

	cr_assert_eq(list_sink_finish(sink, &l), 0);
	cr_assert_eq(sink->n, 0u);
	return l;
}

Test(listing, is_sorted_and_found_by_name)
{
	struct list_sink sink = SINK(0);
	struct listing *l;

	add(&sink, "prod/db");
	add(&sink, "a");
	add(&sink, "prod");
	l = finish(&sink);
	cr_assert_eq(l->n, 3u);
	cr_assert_str_eq(l->items[0].name, "a");
	cr_assert_str_eq(l->items[2].name, "prod/db");
	cr_assert_eq(listing_find(l, "prod"), &l->items[1]);
	cr_assert_null(listing_find(l, "pro"));
	listing_unref(l);
}

Test(listing, empty_is_fine)
{
	struct list_sink sink = SINK(0);
	struct listing *l = finish(&sink);

	cr_assert_eq(l->n, 0u);
	cr_assert_null(listing_find(l, "a"));
	listing_unref(listing_ref(l));
	listing_unref(l);
}

Test(listing, of_two_equal_names_the_first_stays)
{
	struct list_sink sink = SINK(0);
	struct listing *l;

	for (int i = 0; i < 50; i++) {
		char version[16];
		struct list_item item = {.name = i % 2 ? "b" : "a", .version = version};

		snprintf(version, sizeof(version), "%d", i);
		cr_assert_eq(list_add(&sink, &item), 0);
	}
	l = finish(&sink);
	cr_assert_eq(l->n, 2u);
	cr_assert_eq(l->skipped, 48u);
	cr_assert_str_eq(l->items[0].version, "0");
	cr_assert_str_eq(l->items[1].version, "1");
	listing_unref(l);
}

Test(listing, r50_ten_bad_of_a_thousand)
{
	static char long_name[SFS_NAME_MAX + 2];
	struct list_sink sink = SINK(0);
	struct listing *l;
	char name[16];

	memset(long_name, 'x', SFS_NAME_MAX + 1);
	for (int i = 0; i < 990; i++) {
		snprintf(name, sizeof(name), "n%03d", i);
		cr_assert_eq(add(&sink, name), 0);
		if (i % 100 == 0)
			cr_assert_eq(add(&sink, i % 200 ? "" : long_name), 0);
	}
	l = finish(&sink);
	cr_assert_eq(l->n, 990u);
	cr_assert_eq(l->skipped, 10u);
	listing_unref(l);
}

Test(listing, r54_what_was_skipped_is_told_escaped)
{
	static char name[SFS_NAME_MAX + 2];
	struct list_sink sink = SINK(0);

	memset(name, 'x', SFS_NAME_MAX + 1);
	memcpy(name, "\033[2J\n", 5);
	add(&sink, name);
	add(&sink, "");
	cr_assert_not_null(strstr(sink.first, "\\x1b[2J\\x0a"), "%s", sink.first);
	cr_assert_not_null(sink.reason);
	cr_assert_eq(sink.skipped, 2u);
	list_sink_clear(&sink);
}

Test(listing, any_other_byte_is_a_name)
{
	struct list_sink sink = SINK(0);
	struct listing *l;

	add(&sink, "..");
	add(&sink, "/");
	add(&sink, "\xff\xfe\n");
	l = finish(&sink);
	cr_assert_eq(l->n, 3u);
	cr_assert_eq(l->skipped, 0u);
	listing_unref(l);
}

Test(listing, keys_are_sorted_unique_and_checked)
{
	static const char *const keys[] = {"b", "", "a", "b"};
	struct list_item item = {.name = "app", .keys = keys, .nkeys = 4},
			 none = {.name = "none", .keys = keys};
	struct list_sink sink = SINK(0);
	struct listing *l;

	cr_assert_eq(list_add(&sink, &item), 0);
	cr_assert_eq(list_add(&sink, &none), 0);
	l = finish(&sink);
	cr_assert_eq(l->items[0].nkeys, 2u);
	cr_assert_str_eq(l->items[0].keys[0], "a");
	cr_assert_str_eq(l->items[0].keys[1], "b");
	cr_assert_eq(l->skipped, 1u);
	cr_assert_not_null(l->items[1].keys, "multi-key without keys is not one value");
	cr_assert_eq(l->items[1].nkeys, 0u);
	listing_unref(l);
}

Test(listing, bad_attributes_spoil_only_themselves)
{
	static char long_version[SFS_VERSION_MAX + 2];
	struct list_item item = {
		.name = "a", .version = long_version, .meta = "[1]", .created = -5};
	struct list_item good = {.name = "b", .version = "7", .meta = "{\"k\":1}", .created = 5};
	struct list_sink sink = SINK(0);
	struct listing *l;

	memset(long_version, 'v', SFS_VERSION_MAX + 1);
	cr_assert_eq(list_add(&sink, &item), 0);
	cr_assert_eq(list_add(&sink, &good), 0);
	l = finish(&sink);
	cr_assert(!l->items[0].version && !l->items[0].meta && l->items[0].created == 0);
	cr_assert_str_eq(l->items[1].version, "7");
	cr_assert_str_eq(l->items[1].meta, "{\"k\":1}");
	cr_assert_eq(l->items[1].created, 5);
	listing_unref(l);
}

Test(listing, too_many_keys_skip_the_item)
{
	static const char *keys[SFS_KEYS_MAX + 1];
	struct list_item item = {.name = "a", .keys = keys, .nkeys = SFS_KEYS_MAX + 1};
	struct list_sink sink = SINK(0);

	cr_assert_eq(list_add(&sink, &item), 0);
	cr_assert(sink.n == 0 && sink.skipped == 1);
	list_sink_clear(&sink);
}

Test(listing, is_cut_at_the_maximum)
{
	struct list_sink sink = SINK(0);
	struct listing *l;

	sink.max = 2;
	cr_assert_eq(add(&sink, "a"), 0);
	cr_assert_eq(add(&sink, "b"), 0);
	cr_assert_eq(add(&sink, "c"), -EFBIG);
	l = finish(&sink);
	cr_assert(l->n == 2 && l->truncated);
	listing_unref(l);
}

Test(listing, a_glob_matches_encoded_names)
{
	struct list_sink sink = SINK(.glob = "prod/*");
	struct listing *l;

	add(&sink, "prod/db");
	add(&sink, "prod/a/b");
	add(&sink, "test/db");
	add(&sink, "prod/%");
	l = finish(&sink);
	cr_assert_eq(l->n, 2u);
	cr_assert_str_eq(l->items[0].name, "prod/%");
	cr_assert_str_eq(l->items[1].name, "prod/db");
	listing_unref(l);
}

Test(listing, a_cancelled_call_stops)
{
	atomic_bool cancelled = true;
	struct call call = {CLOCK_NEVER, &cancelled};
	struct list_sink sink = SINK(.call = &call);

	cr_assert_eq(add(&sink, "a"), -ECANCELED);
	list_sink_clear(&sink);
}

/* Everything a listing allocates, failed once: either -ENOMEM or as if nothing had happened, and no
 * leak (ASan). */
Test(listing, no_memory_at_every_allocation)
{
	static const char *const keys[] = {"k1", "k2"};
	unsigned long n;

	for (n = 1;; n++) {
		struct list_item item = {
			.name = "b", .keys = keys, .nkeys = 2, .version = "1", .meta = "{}"};
		struct list_sink sink = SINK(0);
		struct listing *l = NULL;
		int r;

		alloc_fail_at(n);
		r = list_add(&sink, &item);
		if (r == 0)
			r = add(&sink, "a");
		if (r == 0)
			r = list_sink_finish(&sink, &l);
		if (alloc_fail_at(0) < n) {
			cr_assert_eq(r, 0);
			listing_unref(l);
			break;
		}
		cr_assert(r == -ENOMEM || r == 0, "%d", r);
		cr_assert((r == 0) == (l != NULL));
		listing_unref(l);
		list_sink_clear(&sink);
	}
	cr_assert_gt(n, 8u);
}

/* --- versions --- */

Test(versions, keep_their_order_without_doubles_and_bad_ones)
{
	static char long_version[SFS_VERSION_MAX + 2];
	static const char *const given[] = {"7", "AWSCURRENT", "6", "", "7", "6", NULL};
	struct version_sink sink = {0};
	char **v = NULL;
	size_t n = 0;

	memset(long_version, 'v', SFS_VERSION_MAX + 1);
	cr_assert_eq(version_add(&sink, long_version, 0), 0);
	for (int i = 0; i < 7; i++)
		cr_assert_eq(version_add(&sink, given[i], 0), 0);
	cr_assert_eq(sink.skipped, 3u);
	cr_assert_eq(version_sink_finish(&sink, &v, &n), 0);
	cr_assert_eq(n, 3u);
	cr_assert_str_eq(v[0], "7");
	cr_assert_str_eq(v[1], "AWSCURRENT");
	cr_assert_str_eq(v[2], "6");
	for (size_t i = 0; i < n; i++)
		mem_free(v[i]);
	mem_free(v);
}

Test(versions, none)
{
	struct version_sink sink = {0};
	char **v = NULL;
	size_t n = 7;

	cr_assert_eq(version_sink_finish(&sink, &v, &n), 0);
	cr_assert_eq(n, 0u);
	mem_free(v);
}

Test(versions, no_memory)
{
	struct version_sink sink = {0};
	char **v = (char **)&v;
	size_t n = 7;

	alloc_fail_at(1);
	cr_assert_eq(version_add(&sink, "1", 0), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq(version_add(&sink, "1", 0), 0);
	alloc_fail_at(1);
	cr_assert_eq(version_sink_finish(&sink, &v, &n), -ENOMEM);
	alloc_fail_at(0);
	cr_assert(v == (char **)&v && n == 7, "untouched");
}
