/* SPDX-License-Identifier: Apache-2.0 */
/* Scope clean-up for locals; ownership leaves a scope through take(). GCC and clang only, as the
 * project. */
#ifndef SFS_BASE_CLEANUP_H
#define SFS_BASE_CLEANUP_H

#include "base/alloc.h"
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	mem_free(*(void **)p);
}

static inline void cleanup_close_p(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* _cleanup_free_ char *s = mem_strdup(...); */
#define _cleanup_free_ __attribute__((cleanup(cleanup_free_p)))
/* _cleanup_close_ int fd = -1; */
#define _cleanup_close_ __attribute__((cleanup(cleanup_close_p)))
/* _cleanup_(buf_clear) struct buf b = ...; the function takes a pointer to the variable */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* The value of pointer variable `p`, which is NULL afterwards. */
#define take(p)                         \
	__extension__({                 \
		__typeof__(p) _t = (p); \
		(p) = NULL;             \
		_t;                     \
	})

/* The value of descriptor variable `fd`, which is -1 afterwards. */
#define take_fd(fd)            \
	__extension__({        \
		int _t = (fd); \
		(fd) = -1;     \
		_t;            \
	})

#endif
