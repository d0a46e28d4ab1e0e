/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

Test(buf, empty_is_an_empty_string)
{
	struct buf b = BUF_INIT(10);
	cr_assert_str_eq(buf_text(&b), "");
	cr_assert_eq(b.len, 0);
	cr_assert_null(b.data);
	cr_assert_eq(buf_add(&b, NULL, 0), 0);
	buf_clear(&b);
}

Test(buf, appends_and_terminates)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	cr_assert_eq(buf_str(&b, "ab"), 0);
	cr_assert_eq(buf_char(&b, '\0'), 0);
	cr_assert_eq(buf_printf(&b, "%d", 42), 0);
	cr_assert_eq(buf_add(&b, "xyz", 2), 0);
	cr_assert_eq(b.len, 7);
	cr_assert_eq(memcmp(b.data,
			     "ab\0"
			     "42xy",
			     8),
		0);
}

Test(buf, many_small_appends)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1 << 20);
	alloc_fail_at(0);
	for (int i = 0; i < 1 << 20; i++)
		cr_assert_eq(buf_char(&b, (char)i), 0);
	for (int i = 0; i < 1 << 20; i++)
		cr_assert_eq(b.data[i], (char)i);
	cr_assert_lt(alloc_fail_at(0), 20);
	cr_assert_leq(b.cap, b.max + 1);
}

Test(buf, maximum_is_exact)
{
	for (size_t max = 0; max < 200; max++) {
		_cleanup_(buf_clear) struct buf b = BUF_INIT(max);
		for (size_t i = 0; i < max; i++)
			cr_assert_eq(buf_char(&b, 'x'), 0);
		cr_assert_eq(buf_char(&b, 'y'), -EFBIG);
		cr_assert_eq(b.len, max);
		cr_assert_eq(strlen(buf_text(&b)), max);
	}
}

Test(buf, first_failure_sticks_and_content_stays)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(4);
	buf_str(&b, "abc");
	cr_assert_eq(buf_str(&b, "de"), -EFBIG);
	cr_assert_eq(b.failed, EFBIG);
	cr_assert_eq(buf_char(&b, 'd'), -EFBIG);
	cr_assert_eq(buf_add(&b, "", 0), -EFBIG);
	cr_assert_eq(buf_printf(&b, "d"), -EFBIG);
	cr_assert_null(buf_reserve(&b, 1));
	cr_assert_null(buf_take(&b));
	cr_assert_str_eq(buf_text(&b), "abc");
	buf_reset(&b);
	cr_assert_eq(buf_str(&b, "wxyz"), 0);
	cr_assert_str_eq(buf_text(&b), "wxyz");
}

Test(buf, no_memory)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000000);
	alloc_fail_at(1);
	cr_assert_eq(buf_str(&b, "abc"), -ENOMEM);
	cr_assert_eq(b.failed, ENOMEM);
	cr_assert_str_eq(buf_text(&b), "");
	buf_reset(&b);
	cr_assert_eq(buf_str(&b, "abc"), 0);
	alloc_fail_at(1);
	cr_assert_null(buf_reserve(&b, 100000));
	cr_assert_eq(b.failed, ENOMEM);
	cr_assert_str_eq(buf_text(&b), "abc");
	cr_assert_eq(b.len, 3);
	alloc_fail_at(0);
}

Test(buf, huge_lengths_do_not_wrap)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(SIZE_MAX);
	buf_str(&b, "abc");
	cr_assert_null(buf_reserve(&b, SIZE_MAX - 3));
	cr_assert_eq(b.failed, EFBIG);
	buf_reset(&b);
	buf_str(&b, "abc");
	cr_assert_null(buf_reserve(&b, SIZE_MAX - 1));
	cr_assert_eq(b.failed, EFBIG);
}

Test(buf, reserve_and_advance)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(100000);
	char *p = buf_reserve(&b, 70000);
	cr_assert_not_null(p);
	cr_assert_leq(b.cap, 70001);
	memset(p, 'z', 70000);
	buf_advance(&b, 10);
	cr_assert_str_eq(buf_text(&b), "zzzzzzzzzz");
	cr_assert_eq(buf_reserve(&b, 5), b.data + 10);
}

Test(buf, advance_beyond_the_reservation_aborts, .signal = SIGABRT)
{
	struct buf b = BUF_INIT(100);
	buf_reserve(&b, 10);
	buf_advance(&b, 100);
}

Test(buf, printf_into_a_secret_buffer_aborts, .signal = SIGABRT)
{
	struct buf b = BUF_SECRET_INIT(100);
	buf_printf(&b, "x");
}

Test(buf, take_gives_the_memory_away)
{
	struct buf b = BUF_INIT(100);
	buf_str(&b, "mine");
	_cleanup_free_ char *s = buf_take(&b);
	cr_assert_str_eq(s, "mine");
	cr_assert_eq(b.len, 0);
	cr_assert_str_eq(buf_text(&b), "");
	_cleanup_free_ char *nothing = buf_take(&b);
	cr_assert_str_eq(nothing, "");
	cr_assert_eq(buf_str(&b, "again"), 0);
	buf_clear(&b);
	alloc_fail_at(1);
	cr_assert_null(buf_take(&b));
	alloc_fail_at(0);
}

Test(buf, secret_memory_comes_from_the_arena_and_is_wiped)
{
	struct secret_stats before, during, after;
	struct buf b = BUF_SECRET_INIT(100000);
	secret_stats(&before);
	cr_assert_eq(buf_str(&b, "CANARY-1"), 0);
	for (int i = 0; i < 5000; i++)
		cr_assert_eq(buf_add(&b, "0123456789", 10), 0);
	secret_stats(&during);
	cr_assert_eq(during.blocks, before.blocks + 1);
	cr_assert_eq(memcmp(b.data, "CANARY-1012345", 14), 0);

	buf_reset(&b);
	for (size_t i = 0; i < b.cap; i++)
		cr_assert_eq(b.data[i], 0);
	buf_clear(&b);
	secret_stats(&after);
	cr_assert_eq(after.blocks, before.blocks);
}

Test(buf, a_full_arena_is_no_memory)
{
	struct buf b = BUF_SECRET_INIT(SIZE_MAX / 2);
	cr_assert_eq(secret_init(64 * 1024, SECRET_LOCK_TRY, NULL), 0);
	cr_assert_eq(buf_str(&b, "kept"), 0);
	cr_assert_null(buf_reserve(&b, 1 << 20));
	cr_assert_eq(b.failed, ENOMEM);
	cr_assert_str_eq(buf_text(&b), "kept");
	buf_clear(&b);
}
