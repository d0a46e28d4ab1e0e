/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret memory (R1-R3, R6, R10 of the fault page): one arena for values, tokens and keys.
 *
 * The arena is reserved address space between guard pages, made usable in steps, locked (mlock2),
 * excluded from core dumps (MADV_DONTDUMP), empty in a forked child (MADV_WIPEONFORK), wiped
 * (OPENSSL_cleanse) when a block is freed. It is ordinary anonymous memory, so a reply can be
 * written from it to /dev/fuse without a copy (memfd_secret cannot: EFAULT). When it is full an
 * allocation fails; it never falls back to the heap.
 *
 * struct secret is an immutable, reference counted string of bytes in the arena. There is no format
 * verb for it, and secret_bytes() may be called only where tests/meta/check-layers lists it. All
 * functions are thread-safe unless they say otherwise.
 */
#ifndef SFS_BASE_SECRET_H
#define SFS_BASE_SECRET_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;

enum secret_lock {
	SECRET_LOCK_TRY,     /* unlocked memory is used and shows in secret_stats().locked */
	SECRET_LOCK_REQUIRE, /* secret_init() fails with ENOMEM, naming RLIMIT_MEMLOCK and the
				remedy */
};

struct secret_stats {
	size_t cap;	 /* bytes the arena may grow to */
	size_t used;	 /* bytes in live blocks, size classes included */
	size_t blocks;	 /* live blocks */
	uint64_t failed; /* allocations refused because it was full */
	bool locked;	 /* every usable page is locked */
};

/* Reserves the arena of `cap` bytes (rounded up to pages, at least 64 KiB). Call once, before any
 * thread. Without this call the first allocation does it with SFS_ARENA_DEFAULT and
 * SECRET_LOCK_TRY. Errors: ENOMEM, EALREADY. */
int secret_init(size_t cap, enum secret_lock lock, struct sfs_err *err);
/* Tests: wipes and unmaps everything; all blocks must be freed (asserted). */
void secret_fini(void);
void secret_stats(struct secret_stats *ret);

/* Scratch memory in the arena, 16-byte aligned, zeroed; NULL when full or size > SFS_SOURCE_MAX.
 * The caller frees. */
void *secret_alloc(size_t size);
/* Grows or shrinks by copy; the old block is wiped. On NULL the old block stays. */
void *secret_realloc(void *p, size_t size);
/* Wipes and frees; NULL is fine. A pointer that is no block of the arena, or was freed, aborts the
 * process. */
void secret_free(void *p);

/* A secret of `len` bytes copied from `data`; refs = 1. NULL when full. len 0 is fine. */
struct secret *secret_new(const void *data, size_t len);
/* As secret_new(), but to be filled by the caller through *ret_data before anyone else sees it. */
struct secret *secret_new_uninit(size_t len, unsigned char **ret_data);
struct secret *secret_ref(struct secret *s);
/* Wipes and frees at the last reference. NULL is fine. */
void secret_unref(struct secret *s);
size_t secret_len(const struct secret *s);
/* The bytes, valid while the caller's reference lives. Not NUL-terminated. */
const unsigned char *secret_bytes(const struct secret *s);
/* Same length and bytes, in time that depends on the length only. */
bool secret_equal(const struct secret *a, const struct secret *b);

/* Wipes ordinary memory so that the compiler cannot drop it. */
void secret_wipe(void *p, size_t len);

static inline void secret_unref_p(struct secret **s)
{
	secret_unref(*s);
}

#endif
