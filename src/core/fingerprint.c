/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/hash.h"
#include "core/store_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_DIGITS 16

/* Keys and bytes of all parts, hashed under the key of the process. */
static int hash_parts(const struct payload *p, char out[VERSION_DIGITS + 1])
{
	_cleanup_free_ struct hash_part *v = mem_calloc(2 * p->nparts + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < p->nparts; i++) {
		const char *key = p->parts[i].key;

		v[2 * i] = (struct hash_part){key ? key : "", key ? strlen(key) : 0};
		v[2 * i + 1] = (struct hash_part){
			secret_bytes(p->parts[i].bytes), secret_len(p->parts[i].bytes)};
	}
	return hash_keyed_hex(v, 2 * p->nparts, out, VERSION_DIGITS);
}

int payload_fingerprint(struct payload *p, uint64_t *ret)
{
	char hex[VERSION_DIGITS + 1];
	uint64_t print;
	int r = hash_parts(p, hex);

	if (r < 0)
		return r;
	print = strtoull(hex, NULL, 16);
	if (!p->version) {
		p->version = mem_strdup(hex);
		if (!p->version)
			return -ENOMEM;
	}
	/* The same bytes under another version are another version. */
	*ret = print ^ fresh_spread(0, p->version, strlen(p->version), 0);
	return 0;
}
