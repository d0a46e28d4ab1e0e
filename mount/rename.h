/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that inotify sees (R23): a rotation is a rename over the name, a creation a rename or
 * mkdir, a deletion an unlink or rmdir, made inside the mount by the renamer process. The rename
 * thread announces one operation at a time and has the renamer make it; the handlers accept it from
 * the renamer's thread only, and only what was announced: for everybody else it is EROFS.
 *
 * The kernel must see something to rename: to the renamer, `.next/ID` is the new node and the name
 * is still the old one. To others the name is the old one too until it has happened.
 *
 * Where there is no renamer, or too much to do, the caller announces with notify.h instead.
 */
#ifndef SFS_MOUNT_RENAME_H
#define SFS_MOUNT_RENAME_H

#include "mount/inode.h"

#define RENAME_DIR ".next"

int renames_new(struct fs *fs); /* sets fs->renames */
/* Ends the thread; what waits is not made any more, actions of rename_then() run. */
void renames_free(struct fs *fs);

/* Has the change made. False: it is not, use notify.h. *ret_old: the node of the name that the
 * kernel may know, pinned, or NULL; it is over, which the caller sees to. */
bool rename_change(struct fs *fs, struct dent *d, enum core_change what, struct inode **ret_old);
/* The node that a name still is because its rename has not happened yet, pinned; else NULL. */
struct inode *rename_old(struct fs *fs, const struct dent *d);
/* Runs `action` after all changes asked for so far: in the rename thread, or at once if there are
 * none. */
void rename_then(struct fs *fs, void (*action)(void *arg), void *arg);

/* LOOKUP: true if the request is the renamer's business and was answered. */
bool rename_lookup(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name);

/* The handlers of what changes names. */
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

#endif
