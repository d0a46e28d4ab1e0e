/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider says of an error, fit for a sentence of ours: no token that it repeats,
 * printable, short. */
#ifndef SFS_BACKENDS_SAID_H
#define SFS_BACKENDS_SAID_H

#include "base/buf.h"
#include <stddef.h>

#define SAID_MAX 240 /* leaves room for our own words in a sentence of SFS_ERR_MAX */

/* Appends about as much of the text as SAID_MAX, words that are longer than any name as "[...]".
 * `b` is BUF_SECRET. */
void said_add(struct buf *b, const char *text, size_t len);
/* The result as printable ASCII, cut. `b` is changed. */
void said_text(struct buf *b, char *out, size_t size);

#endif
