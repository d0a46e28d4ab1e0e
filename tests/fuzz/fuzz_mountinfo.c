/* SPDX-License-Identifier: Apache-2.0 */
/* The list of mounts holds names that users chose: any text parses into strings that end, and the
 * walk over it ends. */
#include "base/mountinfo.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mount_entry *m;
	size_t n;
	if (mountinfo_parse((const char *)data, size, &m, &n) < 0)
		return 0;
	for (size_t i = 0; i < n && i < 16; i++) {
		const struct mount_entry *top = mountinfo_top(m, n, m[i].point);
		if (top && strcmp(top->point, m[i].point) != 0)
			abort();
		if (strlen(m[i].source) > size || strlen(m[i].type) > size ||
			strlen(m[i].root) > size)
			abort();
	}
	mountinfo_free(m, n);
	return 0;
}
