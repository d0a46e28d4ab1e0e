/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of what a back end answers; nothing it says is believed (R50). For instance*.c and
 * listing.c. */
#ifndef SFS_CORE_ANSWER_H
#define SFS_CORE_ANSWER_H

#include "backends/payload.h"
#include "base/err.h"
#include <stdbool.h>

/* Makes of a back end's return value `r` and its sentence a proper error: 0, or -errno with
 * err->code the same and err->msg not empty. What is no errno, or one that would mean something
 * else to the kernel (ENOSYS, ESTALE), becomes EIO. */
int answer_code(int r, struct sfs_err *err);
/* Checks and mends the payload of `name`, fetched by instance `who`; on an error it is freed and
 * NULL. EBADMSG, EFBIG. */
int answer_payload(const char *who, const char *name, struct payload **p, struct sfs_err *err);
/* A text of metadata: a JSON object of at most SFS_META_MAX bytes. */
bool answer_meta(const char *text);
/* A name or key of a provider: not empty, at most SFS_NAME_MAX. */
bool answer_name(const char *name);

#endif
