/* SPDX-License-Identifier: Apache-2.0 */
/* The form of time that AWS signs. Wall time in ns, UTC. */
#ifndef SFS_BACKENDS_AWS_TIME_H
#define SFS_BACKENDS_AWS_TIME_H

#include <stdint.h>

#define AWS_DATE 17 /* "20150830T123600Z" and a NUL */

/* The form of X-Amz-Date. EINVAL before the year 1 or after 9999. */
int aws_time_amz(int64_t ns, char ret[AWS_DATE]);

#endif
