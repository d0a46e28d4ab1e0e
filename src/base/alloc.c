/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_ulong calls;   /* allocations since the last alloc_fail_at() */
static atomic_ulong fail_at; /* the one that fails; 0 = none */

static bool may_allocate(void)
{
	unsigned long n = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
	return n != atomic_load_explicit(&fail_at, memory_order_relaxed);
}

unsigned long alloc_fail_at(unsigned long n)
{
	atomic_store(&fail_at, n);
	return atomic_exchange(&calls, 0);
}

void *mem_calloc(size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes) || !may_allocate())
		return NULL;
	return calloc(1, bytes ? bytes : 1); /* no bytes is a block all the same: NULL is failure */
}

void *mem_realloc(void *p, size_t n, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, size, &bytes) || !may_allocate())
		return NULL;
	return realloc(p, bytes ? bytes : 1); /* realloc(p, 0) would free */
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t len)
{
	char *copy = len < SIZE_MAX ? mem_realloc(NULL, len + 1, 1) : NULL;
	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *mem_asprintf(const char *fmt, ...)
{
	va_list ap, again;
	char *s = NULL;
	va_start(ap, fmt);
	va_copy(again, ap);
	int len = vsnprintf(NULL, 0, fmt, ap);
	if (len >= 0)
		s = mem_realloc(NULL, (size_t)len + 1, 1);
	if (s)
		vsnprintf(s, (size_t)len + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return s;
}

void mem_free(void *p)
{
	free(p);
}
