/* SPDX-License-Identifier: Apache-2.0 */
/* Times as providers write them. Wall time in ns, UTC. Pure functions. */
#ifndef SFS_BACKENDS_TIMES_H
#define SFS_BACKENDS_TIMES_H

#include <stddef.h>
#include <stdint.h>

/* ISO 8601 and RFC 3339: date, T or blank, time, optional fraction (cut below a ns), then Z, UTC or
 * +hh:mm. Blanks around it are fine. Later than int64 ns can say (2262) is INT64_MAX. EINVAL;
 * ERANGE: too early. */
int times_parse(const char *text, size_t len, int64_t *ret_ns);
/* Seconds since 1970 as a JSON number: "1523477145.713", "1.523477145713E9", "1523477145". Exact to
 * the digits that are there. EINVAL, ERANGE. */
int times_epoch(const char *text, size_t len, int64_t *ret_ns);

#endif
