/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one `get` of a back end brings: one version of one secret, as one value or as several keys.
 * Built by the back end, immutable afterwards, reference counted, shared by cache and open files.
 */
#ifndef SFS_BACKENDS_PAYLOAD_H
#define SFS_BACKENDS_PAYLOAD_H

#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct part {
	char *key; /* provider's key, NUL-terminated; NULL when the secret is one value */
	struct secret *bytes; /* never NULL; may be empty */
};

struct payload {
	_Atomic unsigned refs;
	char *version;	 /* provider's version id, or NULL: the core fills in a keyed hash of the
			    bytes */
	char *meta;	 /* a JSON object: what the provider said, never the value; or NULL */
	int64_t created; /* wall time of this version's creation, ns; 0 = unknown */
	/* The number of this version where the provider counts the versions of a secret up and
	 * never gives a number twice; 0 = it does not. Of two answers the higher one is newer. */
	uint64_t ordinal;
	int64_t ttl_hint; /* seconds the provider says it is valid (lease), or -1 = no hint */
	bool immutable;	  /* addressed by a fixed version id: needs no refetch */
	/* Filled by the core when the payload arrives; a back end leaves them as they are. */
	int64_t fetched_boot, fetched_wall;
	int64_t ttl_max; /* seconds until the secret goes away, -1 = it does not */
	bool dated;	 /* `created` is when it was seen to have changed: the back end told none */
	uint64_t serial; /* same bytes and version in a row keep the serial; a change gets a new one
			  */
	size_t nparts;
	struct part *
		parts; /* single value: nparts = 1 and key NULL; multi-key: sorted by key, unique */
};

/* An empty payload with one reference, or NULL. */
struct payload *payload_new(void);
/* Adds a part. `key` is copied; `bytes` passes to the payload, also on error. -ENOMEM, -EEXIST (key
 * twice), -EFBIG (SFS_KEYS_MAX; a value over SFS_VALUE_MAX). */
int payload_add(struct payload *p, const char *key, struct secret *bytes);
struct payload *payload_ref(struct payload *p);
void payload_unref(struct payload *p);
/* The bytes of `key` (NULL = the single value), a borrowed pointer; NULL if there is no such part.
 */
struct secret *payload_part(const struct payload *p, const char *key);
/* Sum of the lengths of all parts. */
size_t payload_size(const struct payload *p);
/* Same keys and bytes. */
bool payload_same(const struct payload *a, const struct payload *b);

#endif
