/* SPDX-License-Identifier: Apache-2.0 */
/* The table of back ends. A table, not constructors: the linker drops those from a static library.
 */
#include "backends/backend.h"

#include <assert.h>
#include <string.h>

#define BACKEND(id) extern const struct backend_ops id##_backend;
#include "backends/list.h"
#undef BACKEND

#define EXTRA_MAX 16 /* back ends that one test program registers */

#define BACKEND(id) +1
enum {
	LISTED = 0
#include "backends/list.h"
};
#undef BACKEND

static const struct backend_ops *table[LISTED + EXTRA_MAX] = {
#define BACKEND(id) &id##_backend,
#include "backends/list.h"
#undef BACKEND
};
static size_t used = LISTED;

const struct backend_ops *backend_find(const char *name)
{
	for (size_t i = 0; i < used; i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

const struct backend_ops *const *backend_all(size_t *ret_n)
{
	*ret_n = used;
	return table;
}

void backend_register(const struct backend_ops *ops)
{
	assert(used < LISTED + EXTRA_MAX);
	table[used++] = ops;
}
