/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the core, shared by core_*.c and status.c only.
 *
 * LOCKS, in the order they may be taken: `sync` (one listing is merged at a time; a reload is one
 * too), then `lock` (the tree lock: all of struct tree, struct core_inst and the lists below), then
 * the store's, then `note_lock`, then the log's. None is held while a callback runs, while an
 * instance works, and while a store function runs that may call back (store_fetch, store_purge,
 * store_changed, entry_set_ttl, entry_set_policy).
 */
#ifndef SFS_CORE_CORE_PRIV_H
#define SFS_CORE_CORE_PRIV_H

#include "core/control.h"
#include "core/core.h"
#include "core/tree.h"
#include <pthread.h>

#define CORE_ERRORS    16 /* last errors kept for status */
#define CORE_LOG_LINES 20 /* errors logged a minute */

/* entry_user() of every entry that the core makes. */
struct entry_tag {
	struct core_inst *ci;
	bool version; /* an entry of a fixed version */
};

/* One opened back end. Those that a reload took out are kept, emptied, until core_free(): tags
 * point to them. */
struct core_inst {
	struct entry_tag current, versions;
	_Atomic unsigned refs;
	struct core *core;
	struct instance *in; /* gone after core_inst_close() */
	const struct backend_ops *ops;
	char *name, *at, *prefix, *add_prefix; /* "" = none */
	struct list_entry *names;	       /* names=, sorted, unique; never changes */
	size_t nnames;
	/* guarded by the tree lock */
	size_t index;		 /* overlay order: the lower one wins */
	bool attached;		 /* in core->insts: its names are in the tree */
	struct listing *listing; /* a reference; NULL before the first */
	struct ptab hashed;	 /* struct hashed_name by path: names in hash form */
	bool slashes, plain;	 /* some names start with a slash; some do not */
	struct ptab missing;  /* names lately asked for in vain (strings): a listing that shows one
				 makes the store forget it */
	bool answered;	      /* the first listing came or failed */
	bool running, again;  /* a listing is on its way; it is out of date already */
	bool closing;	      /* core_inst_close() has begun: no new calls */
	unsigned busy;	      /* threads between inst_enter() and inst_leave() */
	bool incomplete;      /* memory was short: names are missing in the tree */
	bool versions_used;   /* a fixed version was asked for */
	struct ptab kept;     /* names (strings) that the listing held lacks: core_keep.c */
	int64_t listed_boot;  /* when the listing held came; it tells its own start */
	int64_t doubted_boot; /* a listing that began before does not tell what is missing */
	int64_t retry_at;     /* after a failure: not before; boot time */
	unsigned list_fails;
	struct sfs_err list_err; /* code 0 = the last listing was well */
};

struct core_error {
	int64_t wall;
	char msg[SFS_ERR_MAX];
};

/* Something that must be over at a time. Guarded by the tree lock. While it is armed it counts as a
 * reference to what it is part of: who disarms it gives that back, else `due` does, which is called
 * without locks after the timer was taken out. */
struct core_timer {
	int64_t deadline;
	void (*due)(struct core *core, struct core_timer *t);
	struct core_timer *prev, *next;
	bool armed;
};

/* What is to be done when the events queued before it have been sent. */
struct core_after {
	void (*fn)(struct core_after *a); /* without locks; `a` is the owner's again */
	struct core_after *next;
};

struct job;

struct core {
	pthread_mutex_t sync, lock;
	struct tree tree;
	struct store *store;
	struct events *events;
	struct config *conf;	 /* in force */
	int64_t timeout;	 /* option of that name at the start, seconds */
	struct dent **map_dents; /* one for each conf->maps: a reference, or NULL */
	bool reloading; /* rules may have changed: keys of values in memory are looked at again */
	struct core_inst **insts; /* in overlay order */
	size_t ninsts;
	struct core_inst **old_insts; /* closed */
	size_t nold;
	struct ptab policies; /* struct policy, one for each combination met; they live as long as
				 the core */
	const struct machine *machine;
	struct core_events ev;
	bool flushing;		  /* a thread sends events: others leave theirs to it */
	struct core_after *after; /* core_after_events() */
	bool shutdown;
	atomic_bool hydrating; /* the end of the first hydration was not logged yet */
	int64_t started_wall, started_boot;
	pthread_cond_t listed; /* some first listing was answered, or shutdown */
	struct list_wait *list_waits;
	struct ptab provs; /* struct prov by waiter */
	struct job *jobs;
	unsigned users;	     /* asynchronous calls under way (struct core_use) */
	pthread_cond_t idle; /* users became 0 */

	struct core_timer *timers;
	int64_t timer_wake; /* when its thread looks again; boot time */
	pthread_cond_t timer_cond;
	pthread_t timer_thread;
	bool has_timer_thread;

	pthread_mutex_t note_lock;
	char *mount_dir;
	char **notes; /* core_note() */
	size_t nnotes;
	struct core_error errors[CORE_ERRORS];
	size_t nerrors;	      /* ever; the newest is (nerrors - 1) % CORE_ERRORS */
	int64_t logged_since; /* boot time: start of the minute whose lines are counted */
	unsigned logged;
	struct sfs_err control_err;
	int64_t control_err_wall;
	char *progress[CONTROL_N];	/* text of the last write, for its read */
	int64_t progress_at[CONTROL_N]; /* boot time of that */
};

/* --- core.c --- */

void core_lock(struct core *core);
/* Gives the tree lock back and sends the queued events. */
void core_unlock(struct core *core);
/* The two halves of it, for who has another lock to give back in between. */
void core_unlock_quiet(struct core *core);
void core_send(struct core *core);
/* Another thread may be sending what this one has caused: whoever tells somebody that it is done
 * comes through here. No lock held; perhaps called before this returns. */
void core_after_events(struct core *core, struct core_after *a);
void core_inst_ref(struct core_inst *ci);
void core_inst_unref(struct core_inst *ci);
int core_inst_open(struct core *core, const struct backend_conf *conf, struct core_inst **ret,
	struct sfs_err *err);
void core_inst_close(struct core_inst *ci); /* no lock held; waits for its threads */
/* Puts open_rate= of `c` in force; local sources have no limit. */
void core_inst_set_rate(struct core_inst *ci, const struct config *c);
/* Around calls of instance_*(): false when the instance is being closed. No lock held. */
bool inst_enter(struct core_inst *ci);
void inst_leave(struct core_inst *ci);
/* An interned copy; NULL on no memory. Tree lock not needed; `c` is the configuration to go by. */
const struct policy *core_policy(
	struct core *core, const struct config *c, const char *path, const char *alias);
/* An asynchronous call begins (false: the core is shutting down) or ends. core_shutdown() waits for
 * all of them. */
bool core_use(struct core *core);
void core_unuse(struct core *core);

/* --- core_events.c: what .control/events tells --- */

/* What is to be told of an entry. */
struct news {
	const char *what; /* NULL = nothing */
	char *name;	  /* path under the mount, owned; NULL = none */
};
/* Chooses words and name for what the store reports. Tree lock. */
void core_news(struct core *core, struct entry *e, enum store_event ev, const struct sfs_err *err,
	struct news *ret);
/* A secret that no listing shows was found, and this is its entry. Tree lock. */
void core_news_found(struct subject *s, const struct entry *e);
/* Tells it. No lock held, as for those below. */
void core_tell(struct core *core, struct entry *e, struct news *n, const struct sfs_err *err);
/* A listing came and brought so many changes. */
void core_tell_listed(struct core_inst *ci, size_t names, size_t created, size_t deleted);
/* A request to fetch is through, or the hydration at mount. */
void core_tell_hydrated(
	struct core *core, const char *what, size_t done, size_t total, size_t failed);
/* A batch of changes of the tree. */
void core_tell_changes(struct core *core, const struct tree_event *v, size_t n);
/* Something that is of no single name failed. `source` may be NULL. */
void core_tell_error(struct core *core, const char *source, const struct sfs_err *err);
/* --- core_path.c: names of a source and paths under the mount --- */

/* Path of provider name `name` given listing `l` (may be NULL): appended to `out`. -ENOENT: not
 * shown (outside prefix=), -ENAMETOOLONG, -ENOMEM, -EINVAL. */
int inst_path(
	const struct core_inst *ci, const struct listing *l, const char *name, struct buf *out);
/* Provider names that path `path` may mean, most likely first, at most 2: *ret_n of them,
 * NUL-terminated, in out[]. -ENOENT: none. */
struct inst_names {
	struct buf name[2];
	size_t n;
};
int inst_names(const struct core_inst *ci, const char *path, struct inst_names *ret);
/* A component that is a whole resource name with its slashes as %2F: "arn:..." (or "arn%3A..."),
 * "projects%2F...". It opens that resource, also in other accounts and projects. */
bool inst_is_resource(const char *component, size_t len);
void inst_names_clear(struct inst_names *n);
/* Whether `path` lies at or below the directory of the source. */
bool inst_covers(const struct core_inst *ci, const char *path);
/* The line of a provider name: of the listing, else of names=. */
const struct list_entry *inst_item(
	const struct core_inst *ci, const struct listing *l, const char *name);
/* The line that is shown at secret path `path`, or NULL. Tree lock. */
const struct list_entry *inst_at(const struct core_inst *ci, const char *path);
/* The canonical path that `path` is another spelling of, for this source: appended. -ENOENT. */
int inst_canonical(const struct core_inst *ci, const char *path, struct buf *out);

struct hashed_name {
	char *name;
	char path[];
};
int inst_hashed_add(struct core_inst *ci, const char *path, const char *name);
void inst_hashed_del(struct core_inst *ci, const char *path);
void inst_hashed_clear(struct core_inst *ci);

/* --- core_sync.c: from listings to the tree --- */

/* Puts listing `l` in place of the one held. No lock held. */
void core_sync(struct core_inst *ci, struct listing *l);
/* What to do to the tree when a source comes (its names= and the listing it may have already), or
 * when rules change: made with `sync` held, by configuration `c`; applied with the tree lock held
 * as well. Names that are shown no more go to `dropped` (strings). */
struct sync_ops;
int core_sync_prepare(struct core_inst *ci, const struct config *c, struct sync_ops **ret);
void core_sync_apply(struct core_inst *ci, const struct sync_ops *ops, struct ptab *dropped);
void core_sync_free(struct sync_ops *ops);
/* Removes everything of a source that leaves. `sync` and tree lock. */
void core_sync_remove(struct core_inst *ci);
/* A name was asked for in vain. Tree lock. */
void core_sync_missing(struct core_inst *ci, const char *name);
/* Empties a table of strings and frees them. */
void core_sync_forget(struct ptab *t);
/* Adds a name to a table of strings, unless it is there. */
void core_sync_drop(struct ptab *dropped, const char *name);
/* Values of names that are shown no more are dropped; frees the strings. No lock held. */
void core_drop_values(struct core_inst *ci, struct ptab *dropped);

/* --- core_entries.c --- */

/* References to entries. Zero-initialise. */
struct entry_list {
	struct entry **v;
	size_t n, cap;
	bool failed; /* memory was short: some are missing */
};
/* Takes the reference over; NULL is no entry. Any lock but the store's. */
void entry_list_add(struct entry_list *l, struct entry *e);
/* Calls fn for each (store_purge, store_changed) and gives them back; `failed` stays. No lock held.
 */
void entry_list_end(
	struct core *core, struct entry_list *l, void (*fn)(struct store *s, struct entry *e));

/* --- core_missing.c: purge of what is not in the tree; no lock held --- */

/* The names that a path may mean. */
void core_missing_path(struct core *core, const char *path);
/* All names asked for in vain whose path `glob` matches; NULL = all. */
void core_missing_glob(struct core *core, const char *glob);

/* --- core_keep.c: names fetched while a listing was made; tree lock --- */

/* Listing `l`, which takes over, lacks a name that is shown. True: it stays. */
bool core_keep(struct core_inst *ci, const struct listing *l, const char *name);
/* Looks again at the names kept so far. */
void core_keep_review(struct core_inst *ci, const struct listing *l, struct ptab *dropped);

/* --- core_map.c: [map] names; tree lock --- */

/* They follow the sources. */
void core_sync_maps(struct core *core);
/* The names of the old configuration go; room for those of `c` (made by core_maps_alloc()) takes
 * over. */
int core_maps_alloc(const struct config *c, struct dent ***ret);
void core_maps_replace(struct core *core, struct dent **v, size_t old_n);

/* --- core_show.c: one secret in the tree; all under the tree lock --- */

/* Shows the secret of line `item` at `path`, unless a source before it or a [map] name has the
 * place. */
int show_secret(struct core_inst *ci, const struct list_entry *item, const char *path,
	const struct policy *pol);
/* Shows it no more; what it hid comes back. True if nothing shows the secret any longer. */
bool show_not(struct core_inst *ci, const char *name, const char *path);
/* The first source that has a secret at `path`, and its line; or NULL. */
const struct list_entry *show_first_at(struct core *core, const char *path, struct core_inst **ret);
/* A secret that no listing shows is gone; what it hid comes back. */
void show_gone(struct core *core, struct subject *s);
/* Puts at `path` what should be there after something was removed. */
void show_again(struct core *core, const char *path);
/* The keys a fetched payload shows differ from the tree's: the tree follows. */
void show_payload(struct core *core, struct subject *s, const struct payload *p);
/* Shows a secret that no listing has; borrowed subject, or NULL. */
struct subject *show_found(struct core_inst *ci, const char *name, const struct payload *p);

/* The dent that stands for a shown subject: its own, else a [map] name, else a key. Tree lock. */
const struct dent *core_face(const struct subject *s);

/* --- core_list.c --- */

/* As core_list() for the whole mount: the first listings of all sources. */
void core_list_all(struct core *core, struct core_waiter *w);
/* Starts a listing unless one runs. No lock held. */
void core_list_start(struct core_inst *ci);
/* Whether the first listing or a renewal is due. Tree lock. */
bool core_list_due(const struct core_inst *ci);
/* References to the sources that show names in `dir` and whose listing is due, for
 * core_list_start_all() after unlocking. Tree lock. */
struct due_insts {
	struct core_inst *v[SFS_BACKENDS_MAX];
	size_t n;
};
void core_list_collect(struct core *core, const char *dir, struct due_insts *ret);
void core_list_start_all(struct due_insts *due);
/* References to all sources. No lock held. */
void core_insts_ref(struct core *core, struct due_insts *ret);
void core_list_events(struct instance_events *ev, struct core_inst *ci);
/* True while the first listing of a source that shows names in `dir` (NULL: of any) is on its way.
 * Tree lock. */
bool core_list_pending(struct core *core, const struct dent *dir);
/* Whether an unlisted name may exist all the same, and be asked for. Tree lock. */
bool inst_may_have(const struct core_inst *ci);
/* The source follows its changes: a name that its listing lacks does not exist. Tree lock. */
bool inst_knows_all(const struct core_inst *ci);
/* Sources came or went: some who wait may have waited for them. No lock held. */
void core_list_recheck(struct core *core);
void core_list_abort(struct core *core); /* shutdown: EIO for all */

/* --- core_names.c --- */

/* The policy of a file; of a provisional name that of the path it means. Tree lock. */
void core_dent_policy(struct core *core, const struct dent *d, struct policy *ret);

/* --- core_values.c --- */

/* The entry of a subject's current value, made if there is none; a reference. NULL on no memory, or
 * when its source ends. Tree lock. */
struct entry *core_entry(struct core *core, struct subject *s);
/* The entry of any name and version (NULL = current) of a source; otherwise the same. */
struct entry *core_entry_of(
	struct core_inst *ci, const char *name, const char *version, const struct policy *pol);
void core_store_event(void *arg, struct entry *e, enum store_event ev, const struct sfs_err *err);
void core_pressure(void *arg); /* store_config.pressure */
/* Drops values of fixed versions: of the names in `names` (strings by ptab_hash(name, len, 0)), or
 * of all. -ENOMEM: not all of them. No lock held. */
int core_purge_versions(struct core *core, struct core_inst *ci, const struct ptab *names);

/* --- core_prov.c --- */

/* A fetch of a provisional name. Tree lock is not held. */
void core_prov_fetch(struct core *core, struct dent *d, const char *version, enum fetch_mode mode,
	struct waiter *w);
/* With store_cancel() or store_recall(). 1 = it was ours and is cancelled, 0 = it is ours, about to
 * be answered and asks no further source, -1 = not ours. */
int core_prov_cancel(
	struct core *core, struct waiter *w, bool (*cancel)(struct store *s, struct waiter *w));
void core_prov_abort(struct core *core);

/* --- core_timer.c --- */

int core_timer_start(struct core *core);
void core_timer_stop(struct core *core);
void core_timer_arm(struct core *core, struct core_timer *t, int64_t deadline); /* tree lock */
bool core_timer_disarm(
	struct core *core, struct core_timer *t); /* tree lock; false: it was not armed */
/* Runs what is due and returns the next deadline. Tests with a fake clock call it themselves. */
int64_t core_run_timers(struct core *core);

/* --- core_control.c --- */

/* Keeps the sentence for status; note logs it too. */
void core_error_keep(struct core *core, const struct sfs_err *err);
void core_error_note(struct core *core, const struct sfs_err *err);

/* --- core_job.c --- */
void core_jobs_abort(struct core *core);
/* What a read of hydrate, refresh or purge shows. */
int core_job_progress(struct core *core, enum control_file f, struct buf *out);

#endif
