/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind inode.h, for the files that implement it: inode.c, handle.c, retry.c,
 * content.c.
 */
#ifndef SFS_MOUNT_INODE_PRIV_H
#define SFS_MOUNT_INODE_PRIV_H

#include "mount/inode.h"
#include <pthread.h>

#define HASH_NONFATAL_OOM 1
/* The default one falls through switch labels, which clang refuses; keys here are numbers and paths
 * of our own. */
#define HASH_FUNCTION(k, n, h) HASH_FNV(k, n, h)
#include <uthash.h>
#include <utlist.h>

/* Threads that got ESTALE lately. */
#define AWAY_ROWS    512
#define AWAY_PER_ROW 4
struct away {
	uint64_t ino;	    /* from where */
	uint64_t name;	    /* a hash of it */
	uint64_t looked_up; /* what LOOKUP gave it since; 0 = nothing */
	int64_t until;
	pid_t tid;
};

/* What the tables need of an inode; kept apart so that inode.h does not pull in uthash. */
struct inode_links {
	struct inode *in;
	UT_hash_handle by_id, by_key;
	char *key;
	size_t key_len;
	struct inode_links *prev, *next; /* list of inodes with something to drop */
	bool listed;
};

struct handle_links {
	struct handle h;
	UT_hash_handle hh;
};

struct inodes {
	pthread_mutex_t lock; /* protects everything below and the changeable fields of inodes and
				 handles */
	struct inode_links *by_id, *by_key, *due;
	struct handle_links *handles;
	uint64_t next_ino, next_handle;
	struct away away[AWAY_ROWS][AWAY_PER_ROW]; /* a row by thread number */
};

void handle_clear(struct handle *h);

/* All with the table's lock. */
/* Holds `bytes` (a reference is taken; NULL = none) until then. Returns what the caller must unref
 * after unlocking, or NULL. */
struct secret *inode_set_held(
	struct inodes *t, struct inode *in, struct secret *bytes, int64_t until);
/* It has something to drop later. */
void inode_due(struct inodes *t, struct inode *in);

#endif
