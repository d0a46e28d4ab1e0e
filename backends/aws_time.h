/* SPDX-License-Identifier: Apache-2.0 */
/* Times as AWS writes them. Wall time in ns, UTC. Pure functions. */
#ifndef SFS_BACKENDS_AWS_TIME_H
#define SFS_BACKENDS_AWS_TIME_H

#include <stddef.h>
#include <stdint.h>

#define AWS_DATE 17 /* "20150830T123600Z" and a NUL */

/* The form of X-Amz-Date. EINVAL before the year 1 or after 9999. */
int aws_time_amz(int64_t ns, char ret[AWS_DATE]);
/* ISO 8601 as in Expiration and expiresAt: date, T or blank, time, optional fraction (cut below a
 * ns), then Z, UTC or +hh:mm. Blanks around it are fine. Later than int64 ns can say (2262) is
 * INT64_MAX. EINVAL; ERANGE: too early. */
int aws_time_parse(const char *text, size_t len, int64_t *ret_ns);
/* Seconds since 1970 as a JSON number: "1523477145.713", "1.523477145713E9", "1523477145". Exact to
 * the digits that are there. EINVAL, ERANGE. */
int aws_time_epoch(const char *text, size_t len, int64_t *ret_ns);

#endif
