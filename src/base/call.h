/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call to a provider: when it must be over, and whether nobody wants it any more. What waits
 * looks at both, and ends with ETIMEDOUT or ECANCELED.
 */
#ifndef SFS_BASE_CALL_H
#define SFS_BASE_CALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct call {
	int64_t deadline; /* CLOCK_BOOTTIME ns */
	const atomic_bool *cancelled;
};

static inline bool call_cancelled(const struct call *c)
{
	return c->cancelled && atomic_load_explicit(c->cancelled, memory_order_relaxed);
}

#endif
