/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the tree share: tree.c makes and ends dents, tree_shape.c says which. */
#ifndef SFS_CORE_TREE_PRIV_H
#define SFS_CORE_TREE_PRIV_H

#include "core/tree.h"

/* A new directory, or file that shows `s`, in the table and in `parent`. NULL, -ENOMEM. */
struct dent *tree_new_dir(struct tree *t, struct dent *parent, const char *path);
int tree_new_file(struct tree *t, struct dent *parent, const char *path, const struct shown *s);
/* Out of the tree; whoever has it open keeps it. */
void tree_end_dent(struct tree *t, struct dent *d);
/* A provisional name that now exists, or cannot: what has it open goes on with the subject (or
 * NULL). */
void tree_end_unknown(struct tree *t, struct dent *d, struct subject *s);
/* A directory starts and ends to show a multi-key secret. */
void tree_link_subject(struct dent *d, struct subject *s);
void tree_unlink_subject(struct dent *d);

#endif
