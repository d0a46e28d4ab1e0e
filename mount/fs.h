/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounted file system: what its parts share. One worker process serves one mount.
 *
 * Handlers run in the session's threads and never wait: what cannot be answered from memory is
 * parked (park.h) and answered by whoever completes the work. LOCKS of the mount, all leaves below
 * the core's: inodes (inode.c), parks (park.c), notifier queue (notify.c). None is held while
 * calling the core or libfuse.
 */
#ifndef SFS_MOUNT_FS_H
#define SFS_MOUNT_FS_H

#define FUSE_USE_VERSION 314

#include "core/core.h"
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct inodes;
struct parks;
struct audit;
struct onchange;
struct eventfile;
struct renamer;
struct jobs;
struct renames;

struct fs {
	struct core *core;
	struct fuse_session *se;
	struct inodes *inodes;
	struct parks *parks;
	struct renamer *renamer; /* renamer.h */
	struct jobs *notifier;	 /* the only thread that sends notifications */
	struct renames *renames; /* rename.h */
	atomic_uint parked_lookups;
	struct jobs *asker;	   /* asks the holder what may take a moment */
	struct onchange *onchange; /* onchange.h; NULL without a command */
	struct eventfile *eventfile;
	struct hold_client *hold;
	struct audit *audit;  /* NULL: no audit= */
	const char *why_open; /* why the kernel asks at each open; NULL: it does not */
	bool no_open;	 /* hydrated mode: the kernel sends no OPEN, content stands at the inode */
	int64_t timeout; /* ns: how long a request may be parked (timeout=) */
	int64_t park_limit; /* ns: half of the kernel's request timeout, or CLOCK_NEVER (R27) */
	int64_t mounted;    /* wall time of the mount: mtime of what has none of its own */
	/* All of the above is set: the core's callbacks, which come from its threads as soon as it
	 * is open, may use it. */
	atomic_bool serving;
};

/* Boot time by which a request parked now must be answered. */
int64_t fs_deadline(const struct fs *fs);
/* The same for control writes, which are bounded by the kernel's limit only. */
int64_t fs_control_deadline(const struct fs *fs);

/* How long the kernel may keep names and attributes, in seconds. What changes is announced by the
 * notifier, so this only bounds a lost announcement. */
#define FS_TIMEOUT 60.0
/* Without OPEN a version is kept until its time is over, but not longer than this. */
#define FS_TIMEOUT_MAX 3600

#endif
