/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked requests: a FUSE request that waits for the core holds no thread, only one of these (R29).
 *
 * A park is answered once, by whoever wins park_finish(): the core's callback, or the parks' thread
 * when the caller was interrupted (R26). The memory lives until both are through with it. On
 * FUSE_INTERRUPT the caller's /proc/TID/status is read: a pending KILL, INT, TERM, HUP or QUIT, or
 * an unreadable file, is answered EINTR at once; for other signals the request stays parked and is
 * looked at every 100 ms, because the kernel reports only the first signal and programs do not
 * retry open(2) after SIGALRM or SIGCHLD.
 */
#ifndef SFS_MOUNT_PARK_H
#define SFS_MOUNT_PARK_H

#include "base/limits.h"
#include "mount/inode.h"
#include "mount/jobs.h"
#include <stdatomic.h>

struct audit_note;

struct park {
	fuse_req_t req;
	struct fs *fs;
	struct inode *inode; /* pinned while parked; may be NULL */
	/* What the core was asked; which one depends on the operation. */
	union {
		struct waiter fetch;
		struct core_waiter list;
		struct versions_waiter versions;
		struct text_waiter text;
		struct control_waiter control;
		struct { /* a read of .control/events; under the lock of eventfile.c */
			struct park *prev, *next;
			off_t off;
			int64_t deadline;
			bool linked;
		} event;
	} w;
	struct payer payer; /* the caller, on whose account a fetch starts; for w.fetch, w.list */
	/* What the operation needs when it goes on. */
	char name[SFS_COMPONENT_MAX + 1]; /* LOOKUP */
	struct fuse_file_info fi;	  /* OPEN, OPENDIR */
	struct dent *dent;		  /* a reference, or NULL */
	char *sub;			  /* owned, or NULL */
	size_t size;			  /* WRITE, READ: bytes; LOOKUP: rounds */
	struct secret
		*bytes; /* OPEN of a node that follows: what it will read; a reference, or NULL */
	int errnum;	/* WRITE, OPEN: what to answer */
	struct audit_note *audit; /* OPEN of a secret with audit=; owned */
	/* Without OPEN (fill.c): */
	struct job job;
	int64_t deadline;
	off_t off;
	bool reading, follow;
	enum retry retry;
	bool outdated; /* the current version is here already, and another: the park is finished */

	bool stream; /* set before park_arm(): it may wait for hours, so any signal of the caller
			ends it */

	/* private */
	bool (*cancel)(struct park *p);
	pid_t tid; /* the caller's thread */
	_Atomic unsigned refs;
	atomic_bool finished;
	bool is_lookup;
	bool queued; /* on the list of interrupted ones; under the parks' lock */
	struct park *prev, *next;
};

int parks_new(struct fs *fs); /* sets fs->parks */
/* Ends the thread. All parks must be finished. */
void parks_free(struct fs *fs);

/* The two halves of park_new(): until it is armed, nobody else sees the park. */
struct park *park_make(
	struct fs *fs, fuse_req_t req, struct inode *in, bool (*cancel)(struct park *p));
void park_arm(struct park *p);
/* A park of the request; pins `in` (may be NULL). Its one reference belongs to the callback the
 * caller passes to the core next. After that the caller must not touch request or park. NULL on no
 * memory, the request is then already answered ENOMEM. */
struct park *park_new(
	struct fs *fs, fuse_req_t req, struct inode *in, bool (*cancel)(struct park *p));
/* Before park_arm(): it is a LOOKUP, which holds its directory in the kernel: no renames while
 * there are any. */
void park_lookup(struct park *p);
/* True for exactly one caller, which must answer p->req. */
bool park_finish(struct park *p);
/* Gives a reference back: the callback does it when it is through. */
void park_ref(struct park *p);
void park_put(struct park *p);
/* `cancel` of a park that waits with its w.fetch, or w.list. */
bool park_cancel_fetch(struct park *p);
bool park_cancel_list(struct park *p);
/* The park that embeds a waiter. */
#define park_of(ptr, member) \
	((struct park *)(void *)((char *)(ptr)-offsetof(struct park, w.member)))

/* Wakes the thread that drops what nodes hold when its time is over. */
void parks_kick(struct fs *fs);

#endif
