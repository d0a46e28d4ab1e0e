/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of on_change= gets to read: lines "EVENT PATH", with EVENT one of created, rotated
 * and deleted, and PATH as it stands under the mount (core/core.h: no control character can be in
 * it). Each line once, at the place of its last occurrence; bounded by SFS_CHANGES_MAX: what does
 * not fit becomes a last line "changed *". Used by the worker, which collects, and by the spawner,
 * which trusts nothing that comes from it.
 */
#ifndef SFS_BASE_CHANGES_H
#define SFS_BASE_CHANGES_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum change { CHANGE_CREATED, CHANGE_ROTATED, CHANGE_DELETED };

struct changes {
	struct buf text; /* lines, each with its newline */
	bool more;	 /* some did not fit */
};
#define CHANGES_INIT                              \
	{                                         \
		.text = BUF_INIT(SFS_CHANGES_MAX) \
	}

/* Never fails: what cannot be kept is `more`. */
void changes_add(struct changes *c, enum change what, const char *path);
/* Lines of somebody else: all are legal, or none is taken and -EBADMSG returned. */
int changes_add_lines(struct changes *c, const char *text, size_t len);
bool changes_any(const struct changes *c);
/* Moves the first whole lines that fit into `out` (no NUL is added); the number of bytes, 0 if
 * there is nothing. `size` is at least SFS_HOLD_MSG_MAX - 1, which holds the longest line. */
size_t changes_take(struct changes *c, char *out, size_t size);
void changes_clear(struct changes *c);

#endif
