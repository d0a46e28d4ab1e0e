/* SPDX-License-Identifier: Apache-2.0 */
/* What the control files show of the core. All text is printable ASCII and newlines (R54), and
 * never a value. Inside of the core. */
#ifndef SFS_CORE_STATUS_H
#define SFS_CORE_STATUS_H

#include "core/core_priv.h"

/* Each appends to `out`; what goes wrong stands in out->failed. */
void status_json(struct core *core, struct buf *out);
void status_metrics(struct core *core, struct buf *out);
/* A header line with '#', then name, version, age, seconds left, state; separated by tabs. */
void status_cached(struct core *core, struct buf *out);
/* "NAME SECONDS" of every TTL that a user set, as the ttl file takes it. */
void status_ttls(struct core *core, struct buf *out);
/* Every secret's path, one a line. */
void status_names(struct core *core, struct buf *out);

#endif
