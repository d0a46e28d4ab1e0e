/* SPDX-License-Identifier: Apache-2.0 */
/* What others say in their errors, for people. */
#ifndef SFS_BACKENDS_REDACT_H
#define SFS_BACKENDS_REDACT_H

#include <stddef.h>

/* Copies text, cut at `size`, that may name a credential: words of 16 characters or more with a
 * digit among them become "[...]". Returns `out`. The text must be printable already. */
const char *redact(const char *text, char *out, size_t size);

#endif
