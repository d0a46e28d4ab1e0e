/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .control/events: a file that grows (design section 1; R24, R27).
 *
 * Where files are opened here (lazy mode) a handle reads by direct I/O, a read at the end is parked
 * until something happens, and poll(2) works. Where they are not (hydrated mode) the kernel reads
 * pages of a file whose size it asks for each time, and nothing waits.
 *
 * A parked read ends: with a line; with EINTR on any signal of the caller, because unlike an open
 * it may wait for hours, and before the kernel's limit for a request is over (programs ask again
 * then, without their user); with end of file when the mount ends. Waiters are woken and poll
 * notifications sent by the notifier's thread.
 */
#ifndef SFS_MOUNT_EVENTFILE_H
#define SFS_MOUNT_EVENTFILE_H

#include "mount/park.h"
#include <sys/stat.h>

int eventfile_new(struct fs *fs); /* sets fs->eventfile, and listens to the core */
/* Everybody who waits gets end of file. No request comes any more; the notifier still runs. */
void eventfile_end(struct fs *fs);
void eventfile_free(struct fs *fs);

/* LOOKUP: the node begins with the oldest event. -ENOMEM. */
int eventfile_begin(struct fs *fs, struct inode *in);
static inline bool eventfile_is(const struct inode *in)
{
	return in->events;
}
/* Size, time and number of the node as they are now. */
void eventfile_stat(struct fs *fs, struct inode *in, struct stat *st);
void eventfile_open(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi);
/* READ of a handle, and without one. */
void eventfile_read(
	struct fs *fs, fuse_req_t req, struct handle *h, size_t size, off_t off, int flags);
void eventfile_read_pages(struct fs *fs, fuse_req_t req, struct inode *in, size_t size, off_t off);
/* RELEASE. */
void eventfile_release(struct fs *fs, uint64_t handle);
/* POLL of any file of the mount: the others are always ready. */
void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
/* Ends the reads that have waited as long as a request may; true while there are others. */
bool eventfile_sweep(struct fs *fs);

#endif
