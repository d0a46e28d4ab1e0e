/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages under base/secret.c: reserved address space between guard pages, made usable and locked
 * in steps, handed out in runs of 4 KiB units. All bookkeeping is outside of the reserved space, so
 * that an overrun of a secret cannot forge it. Not thread-safe: secret.c holds its lock. Nobody
 * else includes this header.
 *
 * Invariant: every byte of a free unit or slot is zero, hence a new block needs no memset. Who
 * gives back wipes first.
 */
#ifndef SFS_BASE_ARENA_H
#define SFS_BASE_ARENA_H

#include "base/err.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_UNIT  4096U
#define ARENA_NONE  UINT32_MAX
#define ARENA_BINS  32 /* free runs by floor(log2(units)) */
#define ARENA_SLOTS (ARENA_UNIT / 16)

enum unit_kind {
	UNIT_UNUSABLE, /* not grown into yet */
	UNIT_FREE,
	UNIT_SLAB,   /* one unit of equal slots */
	UNIT_RUN,    /* first unit of a large block */
	UNIT_INSIDE, /* further units of a free run or of a large block */
};

struct arena_unit {
	uint8_t kind;
	uint8_t class; /* UNIT_SLAB: size class of secret.c */
	uint16_t live; /* UNIT_SLAB: slots in use */
	uint32_t len;  /* units of the run: at the first, and for free runs at the last one too */
	uint32_t prev, next; /* UNIT_FREE: in its bin; UNIT_SLAB: among slabs with a free slot */
	uint64_t used[ARENA_SLOTS / 64];
};

struct arena {
	unsigned char *base;
	size_t map_len;		/* of the mapping, which starts `guard` bytes before base */
	size_t guard;		/* bytes of each guard: one page of the kernel */
	uint32_t units, usable; /* reserved, grown into so far */
	struct arena_unit *unit;
	uint32_t bins[ARENA_BINS];
	enum secret_lock lock;
	bool locked; /* no usable unit is unlocked */
};

/* Reserves `cap` bytes. Errors: ENOMEM, or that of madvise(2). On error the arena holds nothing. */
int arena_open(struct arena *a, size_t cap, enum secret_lock lock, struct sfs_err *err);
/* Unmaps. The caller has wiped what was in use. */
void arena_close(struct arena *a);
/* First unit of a run of `n` (kind UNIT_RUN, zeroed), or ARENA_NONE when full. */
uint32_t arena_take(struct arena *a, uint32_t n);
/* Gives back `n` wiped units from `first` on and joins them with free neighbours. */
void arena_give(struct arena *a, uint32_t first, uint32_t n);
/* Makes the run at `first` `n` units long where it stands: gives back its (wiped) tail, or takes
 * units that follow. False if those are in use. */
bool arena_resize(struct arena *a, uint32_t first, uint32_t n);

/* Doubly linked lists of units through prev/next. */
void arena_link(struct arena *a, uint32_t *head, uint32_t i);
void arena_unlink(struct arena *a, uint32_t *head, uint32_t i);

static inline unsigned char *arena_at(const struct arena *a, uint32_t i)
{
	return a->base + (size_t)i * ARENA_UNIT;
}

#endif
