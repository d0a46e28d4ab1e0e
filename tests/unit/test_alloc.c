/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

Test(alloc, calloc_zeroes)
{
	unsigned char *p = mem_calloc(1000, 7);
	cr_assert_not_null(p);
	for (size_t i = 0; i < 7000; i++)
		cr_assert_eq(p[i], 0);
	mem_free(p);
}

Test(alloc, sizes_that_overflow_are_refused)
{
	void *old = mem_realloc(NULL, 4, 4);
	cr_assert_null(mem_calloc(SIZE_MAX / 2, 3));
	cr_assert_null(mem_realloc(NULL, SIZE_MAX / 2, 3));
	cr_assert_null(mem_realloc(old, SIZE_MAX, 2));
	memset(old, 1, 16); /* still ours */
	mem_free(old);
}

Test(alloc, no_bytes_is_a_block)
{
	void *p = mem_calloc(0, 8), *q = mem_realloc(NULL, 0, 8);
	cr_assert_not_null(p);
	cr_assert_not_null(q);
	q = mem_realloc(q, 3, 0);
	cr_assert_not_null(q);
	mem_free(p);
	mem_free(q);
}

Test(alloc, copies)
{
	_cleanup_free_ char *a = mem_strdup("hello");
	_cleanup_free_ char *b = mem_strndup("he\0lo", 5);
	_cleanup_free_ char *c = mem_strndup(NULL, 0);
	_cleanup_free_ char *d = mem_asprintf("%d-%s", 42, "x");
	cr_assert_str_eq(a, "hello");
	cr_assert_eq(memcmp(b, "he\0lo", 6), 0);
	cr_assert_str_eq(c, "");
	cr_assert_str_eq(d, "42-x");
	cr_assert_null(mem_strdup(NULL));
}

Test(alloc, asprintf_of_long_text)
{
	_cleanup_free_ char *s = mem_asprintf("%0100000d", 7);
	cr_assert_eq(strlen(s), 100000);
}

Test(alloc, the_nth_call_fails_once)
{
	alloc_fail_at(3);
	for (int i = 1; i <= 5; i++) {
		_cleanup_free_ void *p = mem_calloc(1, 1);
		cr_assert_eq(p == NULL, i == 3, "call %d", i);
	}
	cr_assert_eq(alloc_fail_at(0), 5);
	cr_assert_eq(alloc_fail_at(0), 0);
}

Test(alloc, every_function_can_fail)
{
	void *old = mem_calloc(1, 1);
	alloc_fail_at(1);
	cr_assert_null(mem_calloc(1, 1));
	alloc_fail_at(1);
	cr_assert_null(mem_realloc(old, 2, 1));
	alloc_fail_at(1);
	cr_assert_null(mem_strdup("x"));
	alloc_fail_at(1);
	cr_assert_null(mem_strndup("x", 1));
	alloc_fail_at(1);
	cr_assert_null(mem_asprintf("x"));
	alloc_fail_at(0);
	mem_free(old);
}

Test(cleanup, take_leaves_nothing_behind)
{
	_cleanup_free_ char *a = mem_strdup("x");
	char *b = take(a);
	cr_assert_null(a);
	cr_assert_str_eq(b, "x");
	mem_free(b);

	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int got = take_fd(fd);
	cr_assert_eq(fd, -1);
	cr_assert_eq(close(got), 0);
}

Test(cleanup, a_scope_closes_its_descriptor)
{
	int seen;
	{
		_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		cr_assert_geq(fd, 0);
		seen = fd;
	}
	cr_assert_eq(fcntl(seen, F_GETFD), -1);
}
