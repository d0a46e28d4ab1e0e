/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of pointers by hash, for the two indexes of the core that hold every name: 24 bytes a
 * name on average, where a hash with links inside the objects takes three times that. The hash is
 * keyed (SipHash-1-3, Aumasson and Bernstein 2012), because names come from the provider and must
 * not be able to make the table slow. No lock of its own.
 */
#ifndef SFS_CORE_PTAB_H
#define SFS_CORE_PTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptab_slot {
	uint64_t hash;
	void *p; /* NULL = free */
};

/* Zero-initialise. */
struct ptab {
	struct ptab_slot *slots;
	size_t cap; /* a power of two, or 0 */
	size_t n;
};

/* Keyed hash of `len` bytes; `seed` keeps tables of different meaning apart. The key is random for
 * each process. */
uint64_t ptab_hash(const void *data, size_t len, uint64_t seed);

/* The element with that hash for which same(element, key) holds, or NULL. */
void *ptab_find(const struct ptab *t, uint64_t hash, bool (*same)(const void *p, const void *key),
	const void *key);
/* Adds an element that is not in the table. -ENOMEM: unchanged. */
int ptab_add(struct ptab *t, uint64_t hash, void *p);
/* Takes the element out; false if it is not there. */
bool ptab_del(struct ptab *t, uint64_t hash, const void *p);
/* The elements in no order: start with *pos = 0; NULL at the end. The table must not change
 * meanwhile. */
void *ptab_next(const struct ptab *t, size_t *pos);
/* Frees the table, not the elements. */
void ptab_clear(struct ptab *t);

#endif
