/* SPDX-License-Identifier: Apache-2.0 */
/* What a back end tells of itself: to `status`, to `metrics` and to `secretfs check`. */
#ifndef SFS_BACKENDS_ABOUT_H
#define SFS_BACKENDS_ABOUT_H

#include "base/buf.h"
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/* Counters since open; what a back end does not count stays 0. */
struct backend_counts {
	uint64_t calls;	 /* calls of the provider's interface */
	uint64_t errors; /* that ended in an error */
	uint64_t retries;
	uint64_t throttled;
	uint64_t bytes_in, bytes_out;
	double cost_usd; /* estimate by list price */
};

/* A step of `secretfs check`. */
struct check_sink; /* owned by the caller */
enum check_result { CHECK_OK, CHECK_SKIPPED, CHECK_FAILED };
/* One line: what was looked at ("credentials", "environment"), how it went, a sentence. Text from
 * outside must be escaped already. */
void check_step(struct check_sink *sink, enum check_result result, const char *what,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
