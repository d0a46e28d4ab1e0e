/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordinary memory (not for secrets: base/secret.h). Thin wrappers so that a test can fail every
 * allocation in turn (R67): alloc_fail_at(n) makes the n-th call from now fail once.
 */
#ifndef SFS_BASE_ALLOC_H
#define SFS_BASE_ALLOC_H

#include <stddef.h>

/* Zeroed array of `n` times `size` bytes, or NULL. The caller frees with mem_free(). */
void *mem_calloc(size_t n, size_t size);
/* As realloc(3) with overflow check of n*size; the old block stays valid on NULL. New bytes are not
 * zeroed. */
void *mem_realloc(void *p, size_t n, size_t size);
/* Copies; NULL on no memory. mem_strdup(NULL) is NULL. */
char *mem_strdup(const char *s);
/* Copies exactly `len` bytes and adds a NUL. */
char *mem_strndup(const char *s, size_t len);
/* printf into fresh memory; NULL on no memory. */
char *mem_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* free(3); NULL is fine. */
void mem_free(void *p);

/* Test hook: the n-th allocation from now (1 = the next) fails once; 0 switches off. Returns the
 * calls seen since the last call of this function. */
unsigned long alloc_fail_at(unsigned long n);

#endif
