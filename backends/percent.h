/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding for queries and forms. */
#ifndef SFS_BACKENDS_PERCENT_H
#define SFS_BACKENDS_PERCENT_H

#include "base/buf.h"
#include <stddef.h>

/* Appends `s` percent-encoded by RFC 3986: all but letters, digits and -_.~ */
int percent_add(struct buf *out, const void *s, size_t len);

#endif
