/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes and open handles. Node ids and handle ids are numbers that are never reused, never
 * pointers; an unknown one is ESTALE (R21).
 *
 * One version of a secret is one inode: `serial` binds it. The table finds an inode by id as long
 * as the kernel remembers it, and the current one of a name by key; a rotated or purged inode loses
 * its key and lives on until the kernel forgets it.
 */
#ifndef SFS_MOUNT_INODE_H
#define SFS_MOUNT_INODE_H

#include "mount/fs.h"

/* Which of the trees at the root a node belongs to. */
enum view {
	VIEW_TREE,     /* the secrets themselves */
	VIEW_VERSIONS, /* sub = version, or NULL for the directory of versions */
	VIEW_FIELDS,   /* sub = path of the field, "" for the object itself, NULL for a plain
			  directory */
	VIEW_JSON,
	VIEW_NOCACHE,
	VIEW_META,
	VIEW_CONTROL, /* sub = file name; NULL for the directory itself */
	VIEW_LIST,    /* .control/list: sub = filter; NULL for the directory itself */
	VIEW_NEXT,    /* where the renamer finds new nodes (rename.h) */
	VIEW_N
};

struct inode {
	/* fixed */
	uint64_t ino;
	uint64_t number; /* what stat and readdir show: inode_number() */
	enum view view;
	bool is_dir;
	struct dent *dent;	     /* a reference; the root's for .control */
	char *sub;		     /* see enum view; owned */
	int control;		     /* VIEW_CONTROL files: enum control_file; else -1 */
	uint64_t generation;	     /* of the dent when made */
	struct buf text;	     /* control file: the snapshot made at LOOKUP */
	struct event_reader *events; /* .control/events: owned; else NULL */

	/* under the table's lock; read with inode_state(), changed with the functions below */
	uint64_t nlookup; /* as the kernel counts */
	unsigned pins;	  /* handles and requests that use it */
	bool keyed;	  /* the current inode of its key */
	bool follows;	  /* stands for the name, not for a version: never ESTALE, direct I/O */
	unsigned readers; /* open handles that read through the page cache: they need size and pages
			     as they are */
	bool resized;	  /* `next_size` is to be shown when the last of them closes */
	uint64_t next_size;
	bool provisional; /* nobody has said yet that it exists: zero lifetimes */
	uint64_t serial;  /* version bound; 0 = none yet */
	uint64_t size;
	int64_t mtime;
	struct secret *held; /* its bytes. With OPEN: for a second after LOOKUP handed the version
				out, so that the OPEN that follows finds them. Without: what READ
				returns; NULL = to be fetched */
	int64_t held_until;
	pid_t held_for; /* inode_hand(): only the OPEN of this thread may have them */
	/* Only without OPEN: */
	bool filled;	 /* size is known: bytes or text were here */
	bool used;	 /* READ returned bytes since they were put here */
	bool superseded; /* it was the current one of its key */
	char *version;	 /* of the bytes of a node that follows, as the payload says; owned */
	int64_t pending_until;
	struct buf pending; /* control file: the unfinished last line of a long write */

	/* private */
	struct inode_links *links;
};

int inodes_new(struct fs *fs); /* sets fs->inodes */
void inodes_free(struct fs *fs);

/* The inode of a node id, pinned; NULL if the kernel cannot know it. */
struct inode *inode_get(struct fs *fs, uint64_t ino);
void inode_put(struct fs *fs, struct inode *in);

/* What identifies a node (the first four), and what it is made with. Pointers are borrowed. */
struct inode_key {
	enum view view;
	bool is_dir;
	struct dent *dent;
	const char *sub;
	int control;
	uint64_t generation;
	bool provisional, follows;
	uint64_t serial; /* of the version that is current, 0 = not known: for its number */
};
/* The current inode of the key, pinned, made if there is none. With `fresh` always a new one that
 * nobody else finds. NULL on no memory. */
struct inode *inode_obtain(struct fs *fs, const struct inode_key *key, bool fresh);
/* The current inode of a tree name if the kernel may know it, pinned; else NULL. */
struct inode *inode_of(struct fs *fs, enum view view, struct dent *d);
/*
 * st_ino. A node lives as long as the kernel remembers it, which may be shorter than between two
 * calls of one program (memory pressure; a view is a new node at each LOOKUP), and cp(1), tail(1)
 * and whoever polls compare numbers. So a number does not follow from the node: in the tree the
 * name has one (dent_mark()) until another version is current, elsewhere it comes from the path.
 */
uint64_t inode_number(struct fs *fs, struct inode *in);
/* It is no longer the current one of its key. */
void inode_supersede(struct fs *fs, struct inode *in);
/* Adds one kernel reference (a LOOKUP answered), or takes some back. */
void inode_remember(struct fs *fs, struct inode *in);
void inode_forget(struct fs *fs, uint64_t ino, uint64_t n);

/* A copy of the changeable fields. */
struct inode_state {
	bool follows, provisional, filled, used, held, superseded;
	uint64_t serial, size;
	int64_t mtime;
};
void inode_state(struct fs *fs, struct inode *in, struct inode_state *ret);

enum bind_result {
	BIND_SAME,  /* the inode is this version (perhaps from now on) */
	BIND_OTHER, /* it is another version */
};
/* Binds an unbound inode to a version, or compares. A version handed out by LOOKUP, or just bound,
 * has its bytes held: a second with OPEN, without it until they are dropped. */
enum bind_result inode_bind(struct fs *fs, struct inode *in, uint64_t serial, struct secret *bytes,
	int64_t mtime, bool lookup);
/* Sets what stat shows for a node that stands for the name. While files opened as a version are
 * open on it, their size stays: the kernel would cut off what they read. */
void inode_show(struct fs *fs, struct inode *in, uint64_t size, int64_t mtime);

/*
 * Sending a caller away with ESTALE makes the kernel look the name up again, once in an open(2).
 * What the thread opens next is its retry: the node that LOOKUP gave it, or, where there is no name
 * to look up (a bind mount of the file, /dev/stdin), the same node again. A retry is never sent
 * away, else the program would see the error.
 */
enum retry { RETRY_NO, RETRY_LOOKED_UP, RETRY_SAME_NODE };
/* Whether this OPEN is one; asking uses it up. */
enum retry inode_retry(struct fs *fs, struct inode *in, pid_t tid);
/* The caller gets ESTALE now. */
void inode_send_away(struct fs *fs, struct inode *in, pid_t tid);
/* LOOKUP gave the thread this node. */
void inode_looked_up(struct fs *fs, struct inode *in, pid_t tid);
/* The bytes held: a reference, or NULL. */
struct secret *inode_held(struct fs *fs, struct inode *in);
/* A GETATTR had to fetch a value that is never cached: the node stands for the name, and the OPEN
 * of the same thread, which follows at once, takes the bytes; after a second they are dropped. */
void inode_hand(struct fs *fs, struct inode *in, struct secret *bytes,
	const struct payload *payload, pid_t tid);
/* These bytes and their version (to be freed), once, or NULL. */
struct secret *inode_take(struct fs *fs, struct inode *in, pid_t tid, char **ret_version);
/* The node stands for the name from now on. */
void inode_follow(struct fs *fs, struct inode *in);
/* The bytes held are over (purge, expiry): they go within a second. Until then who looked the name
 * up before may open them, and without OPEN those who have the file open may finish. */
void inode_drop_held(struct fs *fs, struct inode *in);
/* Drops what is over its time; returns false when nothing is left that will be. Called by the
 * parks' thread. */
bool inodes_sweep(struct fs *fs);
/* The arena is full: drops what can be fetched again; versions that no longer can, only if there
 * was nothing else. */
void inodes_drop_held(struct fs *fs);

/* --- without OPEN (content.c) --- */
/* A node that stands for the name shows these bytes of `version` from now on, for a few seconds
 * after its last use. True if it showed others before: the kernel may have pages of them. */
bool inode_put_bytes(struct fs *fs, struct inode *in, struct secret *bytes, const char *version,
	uint64_t serial, int64_t mtime);
/* The bytes of a READ, a reference; NULL: they must be fetched. `end`: where it ends. */
struct secret *inode_read(struct fs *fs, struct inode *in, uint64_t end);
/* Whether these are the bytes that the node has shown: who reads on must get the same. */
bool inode_is_same(struct fs *fs, struct inode *in, const char *version, uint64_t serial);
/* Takes the text over (moved) unless the node has one. */
void inode_put_text(struct fs *fs, struct inode *in, struct buf *text);
/* The unfinished line of a control file waits a moment for the rest. */
void inode_await_rest(struct fs *fs, struct inode *in);

/* --- open handles --- */
struct handle {
	uint64_t id;
	struct inode *inode;	     /* pinned */
	struct secret *bytes;	     /* what reads return: a value; else NULL and `text` counts */
	struct buf text;	     /* what reads return: text that is no secret, made at OPEN */
	struct event_reader *events; /* of .control/events: owned; else NULL */
	bool listed; /* a directory whose names were made at OPENDIR (versions, fields): */
	char **names;
	unsigned char *types; /* DT_* of each name */
	size_t nnames;
	unsigned pins; /* under the table's lock */
	bool closed, cached;
};
/* Takes over `bytes` and pins `in`. `cached`: it reads through the page cache. NULL on no memory
 * (then `bytes` is dropped). */
struct handle *handle_new(struct fs *fs, struct inode *in, struct secret *bytes, bool cached);
/* The handle of an id, pinned; NULL if unknown. */
struct handle *handle_get(struct fs *fs, uint64_t id);
void handle_put(struct fs *fs, struct handle *h);
/* RELEASE: the handle ends with its last pin. */
void handle_close(struct fs *fs, uint64_t id);

/* Numbers for status and tests. */
void inodes_count(struct fs *fs, uint64_t *ret_inodes, uint64_t *ret_handles);

#endif
