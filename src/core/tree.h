/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names under the mount, inside the core. A dent is a path; a subject is a secret of a source,
 * which one or several dents show (its file, the keys of a multi-key secret, [map] names). Nothing
 * here knows listings, sources or policies: core_sync.c decides what is shown, this file keeps the
 * shape:
 *
 *   - a directory exists while it has children, is fixed (root, at=), or is a multi-key secret;
 *   - a secret `a` beside `a/b` is shown as `a/.value`, and comes back as `a` when `a/b` is gone;
 *   - path and kind of a dent never change: a change of kind is a new dent.
 *
 * Everything is guarded by the tree lock of the core (core_priv.h), except `refs`, which is atomic,
 * `multikey` and `alive`, which the mount reads without it, and what never changes (path, kind,
 * parent). Events are collected in the queue and sent by the core after unlocking.
 */
#ifndef SFS_CORE_TREE_H
#define SFS_CORE_TREE_H

#include "core/core.h"
#include "core/ptab.h"

struct core_inst;

struct subject {
	unsigned refs;		  /* one per dent that points here, dead ones included; tree lock */
	bool unlisted;		  /* no listing shows it; it was found by asking */
	bool leaving;		  /* core_sync_remove() is at work */
	bool held, expired;	  /* at the last news: it had a value; its TTL was over */
	struct core_inst *inst;	  /* a reference */
	struct entry *entry;	  /* a reference; NULL until somebody asks for its value */
	struct dent *shown;	  /* living dents that show it, chained by same_next */
	const struct policy *pol; /* of its own path */
	int64_t created;	  /* of the name, wall ns; 0 = unknown */
	uint64_t serial;	  /* last one seen; 0 = none */
	uint64_t generation;	  /* see struct core_attr */
	char name[];		  /* provider's name */
};

/* Which part of a subject a dent shows. */
struct part_of {
	char *key;   /* of a multi-key secret, or NULL */
	char *field; /* of [map], or NULL */
};

struct dent_slot {
	uint64_t cookie;
	struct dent *d; /* NULL = removed */
};

struct dent_dir {
	struct dent_slot *slots; /* by cookie */
	uint32_t n, cap, live;
};

struct dent {
	_Atomic unsigned refs;
	uint8_t kind;	       /* enum core_kind */
	_Atomic bool multikey; /* CORE_DIR: `subject` is shown as this directory */
	bool keys_unknown;     /* and its keys come only with the value */
	_Atomic bool alive;    /* in the tree */
	bool fixed;	       /* CORE_DIR that stays when empty */
	bool mapped;	       /* a [map] name */
	bool ended;	       /* CORE_DIR: its multi-key secret went, and that was not told yet */
	uint16_t base;	       /* offset of the last component in `path` */
	uint32_t size;	       /* of the bytes with serial `size_serial` */
	uint64_t size_serial;
	uint64_t cookie;
	struct dent *parent;		    /* a reference */
	struct dent_dir *dir;		    /* CORE_DIR, else NULL */
	struct part_of *part;		    /* or NULL: the whole value */
	struct subject *subject;	    /* a reference, or NULL */
	struct dent *same_prev, *same_next; /* in subject->shown while alive */
	const struct policy *pol;	    /* of a file */
	struct dent_mark mark;
	char path[];
};

struct tree_event {
	struct dent *d; /* a reference */
	enum core_change what;
};

struct tree {
	struct ptab paths;    /* dents by path; holds a reference, but not on CORE_UNKNOWN */
	struct ptab subjects; /* by (inst, name); no reference */
	struct dent *root;
	uint64_t next_cookie, next_generation;
	uint64_t batch; /* newest cookie when the lock was taken: what came later and ends before it
			   is given back is no news */
	bool quiet;	/* new names are not news: the first listing */
	struct tree_event *events;
	size_t nevents, cap;
	size_t lost; /* events there was no memory for */
};

/* What is to be shown at a path. */
struct shown {
	struct subject *subject;
	const char *key, *field; /* or NULL */
	const struct policy *pol;
	bool mapped;
};

int tree_init(struct tree *t);
/* Frees all. No dent may be referenced outside any more. */
void tree_clear(struct tree *t);

/* Borrowed; CORE_UNKNOWN dents too. */
struct dent *tree_find(const struct tree *t, const char *path);
/* The directory at `path`, made with its parents where it is missing; borrowed. NULL on no memory
 * or a path over SFS_PATH_MAX. */
struct dent *tree_dir(struct tree *t, const char *path);
/* The file that shows the secret of path `path`: there or in its ".value"; or the multi-key
 * directory; borrowed, or NULL. */
struct dent *tree_occupant(const struct tree *t, const char *path);
/* The file at `path` or in its ".value"; borrowed, or NULL. */
struct dent *tree_file(const struct tree *t, const char *path);
/* Shows `s` at `path`, or as its .value where that is a directory. What showed something else there
 * is replaced. -ENOMEM. */
int tree_put(struct tree *t, const char *path, const struct shown *s);
/* Makes `path` a multi-key directory without keys yet. *ret is borrowed. */
int tree_put_multikey(struct tree *t, const char *path, const struct shown *s, struct dent **ret);
/* Takes a file, or the multi-key role of a directory with its key files, away; parents without
 * purpose go too. */
void tree_remove(struct tree *t, struct dent *d);
/* A directory becomes fixed, or is so no longer. */
int tree_fix(struct tree *t, const char *path);
void tree_unfix(struct tree *t, const char *path);
/* A provisional name: one reference for the caller. */
struct dent *tree_unknown(struct tree *t, struct dent *dir, const char *path);

/* A provisional name turned out to be subject `s`: whoever has it open goes on with that. */
void tree_found(struct tree *t, struct dent *d, struct subject *s);

/* The subject of that name, or NULL; made when `make`. Borrowed: it lives while a dent shows it, so
 * give it one at once or call subject_settle(). */
struct subject *tree_subject(struct tree *t, struct core_inst *inst, const char *name, bool make);
/* Frees a subject that nothing refers to. */
void subject_settle(struct tree *t, struct subject *s);
void subject_unref(struct tree *t, struct subject *s);

/* Queues an event for a living dent, unless it is so new that CORE_NEW says it all. */
void tree_event(struct tree *t, struct dent *d, enum core_change what);
/* Gives a reference back under the tree lock. */
void tree_unref(struct tree *t, struct dent *d);

/* Children after `cookie`, as core_readdir(). */
int tree_each(const struct dent *dir, uint64_t cookie,
	int (*emit)(void *arg, const struct core_dirent *de), void *arg);
static inline const char *dent_key(const struct dent *d)
{
	return d->part ? d->part->key : NULL;
}

#endif
