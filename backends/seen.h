/* SPDX-License-Identifier: Apache-2.0 */
/* The names of one listing: what comes again because something was added between two pages is told
 * once. */
#ifndef SFS_BACKENDS_SEEN_H
#define SFS_BACKENDS_SEEN_H

#include <stddef.h>
#include <stdint.h>

struct seen { /* hashes of the names; zero-initialise */
	uint64_t *v;
	size_t n, slots;
};
/* 1: it is new, 0: it was there, -ENOMEM. */
int seen_add(struct seen *s, const char *name);
void seen_clear(struct seen *s);

#endif
