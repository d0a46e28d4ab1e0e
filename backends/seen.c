/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/seen.h"

#include "base/alloc.h"
#include <errno.h>
#include <stdbool.h>

#define SEEN_SLOTS 256 /* at first; a power of two */

/* FNV-1a, 64 bits. A provider that makes two names collide hides one of its own. Never 0, which
 * marks a free slot. */
static uint64_t hash_of(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

static bool put(uint64_t *v, size_t slots, uint64_t h)
{
	size_t i = (size_t)(h ^ h >> 32) & (slots - 1);
	while (v[i] && v[i] != h)
		i = (i + 1) & (slots - 1);
	bool fresh = !v[i];
	v[i] = h;
	return fresh;
}

static int grow(struct seen *s)
{
	size_t slots = s->slots ? 2 * s->slots : SEEN_SLOTS;
	uint64_t *v = mem_calloc(slots, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < s->slots; i++)
		if (s->v[i])
			put(v, slots, s->v[i]);
	mem_free(s->v);
	s->v = v;
	s->slots = slots;
	return 0;
}

int seen_add(struct seen *s, const char *name)
{
	if (2 * s->n >= s->slots && grow(s) < 0)
		return -ENOMEM;
	bool fresh = put(s->v, s->slots, hash_of(name));
	s->n += fresh;
	return fresh;
}

void seen_clear(struct seen *s)
{
	mem_free(s->v);
	*s = (struct seen){0};
}
