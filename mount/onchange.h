/* SPDX-License-Identifier: Apache-2.0 */
/*
 * on_change=: tells the holder which names were created, rotated or deleted, for the command that
 * was fixed at mount. Collected and sent by a thread of its own, so that nobody waits for a holder
 * that is slow; what is too much becomes "changed *" (base/changes.h).
 */
#ifndef SFS_MOUNT_ONCHANGE_H
#define SFS_MOUNT_ONCHANGE_H

#include "base/hold.h"
#include "core/core.h"

struct onchange;

/* `hold` is borrowed until onchange_free(). */
int onchange_new(struct hold_client *hold, struct onchange **ret);
/* Ends the thread; what is not sent yet is dropped. NULL is fine. */
void onchange_free(struct onchange *oc);

/* A change of the core; those that are none for a command are ignored. Never waits. `oc` NULL: no
 * command. */
void onchange_note(struct onchange *oc, const struct dent *d, enum core_change what);

#endif
