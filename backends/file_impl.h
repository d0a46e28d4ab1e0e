/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file back end: file.c (the calls), file_load.c (one parsed file kept current), file_doc.c,
 * file_dotenv.c, file_mlrun.c, file_json.c (its formats), file_dir.c (a tree of files),
 * file_watch.c, file_watchset.c, file_chain.c (following changes).
 */
#ifndef SFS_BACKENDS_FILE_IMPL_H
#define SFS_BACKENDS_FILE_IMPL_H

#include "backends/file_doc.h"
#include "base/clock.h"
#include <pthread.h>
#include <sys/stat.h>

#define FILE_SETTLE                                                                           \
	(50 * NSEC_PER_MSEC) /* a file written in place, or removed, gets this long to become \
				whole again */

struct file_state {
	const struct backend_env *env;
	char *path; /* absolute */
	bool tree;
	enum file_format format;
	bool expand;

	pthread_mutex_t lock; /* guards what follows up to `trouble` */
	struct file_doc
		*doc; /* the last good content; never NULL after open (not used for trees) */
	struct file_stamp bad; /* refused content that need not be read again; ino 0 = none */
	bool racy; /* `doc` was read so soon after a change that a second change may hide behind its
		      stamp */
	bool gone; /* the file does not exist */
	struct sfs_err trouble; /* why `doc` is not what the path holds; code 0 = it is */

	atomic_bool by_holder;	/* the file can be opened by the holder only: looking at it is not
				   cheap */
	atomic_bool watched;	/* a watch is set up ... */
	atomic_ulong events;	/* ... counts what it sees, and */
	atomic_ulong looked;	/* how many of them the last finished look has covered */
	_Atomic size_t skipped; /* entries of the tree that were last said to be left out */
};

/* True if the file changed less than FILE_SETTLE ago; file_pause() lets this time pass. Both go by
 * the kernel's clock, which stamps files: tests with a fake clock write real files too. */
bool file_is_recent(const struct stat *st);
void file_pause(void);
struct file_stamp file_stamp_of(const struct stat *st);
bool file_stamp_same(const struct file_stamp *a, const struct file_stamp *b);

/* --- file_load.c --- */
/* The content as of now, a new reference: reads the file anew if it changed. When the new content
 * cannot be used the last good one is returned and the reason logged once; only the first call of
 * all fails. */
int file_current(struct file_state *st, struct file_doc **ret, struct sfs_err *err);
/* Whether that content is not what the path holds now, and why. */
bool file_trouble(struct file_state *st, struct sfs_err *ret);
/* The sentence of a source that does not exist any more. */
void file_gone(const struct file_state *st, struct sfs_err *ret);
/* Stamp of the file at the path, all 0 when it cannot be opened. */
struct file_stamp file_look(struct file_state *st);

/* --- file_dir.c --- */
struct tree_visitor {
	/* A directory, before its entries are read. `rel` is its name in the tree ("" = the root),
	 * `canonical` its real path. */
	int (*dir)(void *arg, const char *rel, const char *canonical, int fd);
	/* A file that is shown as `rel`. `st` is of what a link leads to; all 0 if only the holder
	 * could tell. */
	int (*file)(void *arg, const char *rel, const struct stat *st);
	/* Any link, also one that is not followed. `path` is absolute. */
	int (*link)(void *arg, const char *path);
	void *arg;
};
struct tree_stats {
	size_t skipped; /* entries that are no secrets: sockets, devices, links that lead nowhere or
			   out */
	bool aliases;	/* one file may be shown under two names */
};
/* Walks the tree; every callback may be NULL, non-zero stops. `call` may be NULL. */
int tree_walk(struct file_state *st, const struct call *call, const struct tree_visitor *v,
	struct tree_stats *ret, struct sfs_err *err);
int tree_list(struct file_state *st, const struct call *call, struct list_sink *sink,
	struct sfs_err *err);
int tree_get(struct file_state *st, const char *name, struct payload **ret, struct sfs_err *err);
/* Opens the file that the tree shows as `name`; *ret_path is its path for messages (mem_free).
 * ENOENT, EACCES. */
int tree_open(
	struct file_state *st, const char *name, char **ret_path, int *ret_fd, struct sfs_err *err);

/* --- file_chain.c --- */
/* Calls `visit` for each directory in which a change can make `path` mean another file: with
 * `name`, the entry to look at (links on the way, the last component, the first missing one), or
 * with NULL, a directory that is only passed. */
int chain_walk(const struct path_env *paths, const char *path,
	int (*visit)(void *arg, const char *dir, const char *name), void *arg, struct sfs_err *err);

/* --- file_watch.c --- */
int file_watch(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err);

#endif
