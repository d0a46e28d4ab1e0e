/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One opened back end: the only place that calls struct backend_ops. It fills the defaults of
 * optional calls, checks every answer (names, sizes, counts), prefixes errors with the instance's
 * name, and owns the worker threads (a bulkhead: a stalled back end holds up only itself, R65), the
 * queue (SFS_QUEUE_MAX, above EBUSY) and the watch thread.
 */
#ifndef SFS_CORE_INSTANCE_H
#define SFS_CORE_INSTANCE_H

#include "core/config.h"
#include "core/machine.h"
#include "core/store.h"

struct instance;

/* A listing: immutable, reference counted, sorted by name (bytewise), names unique. */
struct list_entry {
	char *name;
	char **keys; /* sorted, unique; NULL = one value */
	uint32_t nkeys;
	bool keys_unknown;
	int64_t created, expires; /* 0 = unknown, never */
	char *version, *meta;	  /* or NULL */
};
struct listing {
	_Atomic unsigned refs;
	struct list_entry *items;
	size_t n;
	size_t skipped;		/* unusable lines, keys and attributes, names given twice */
	bool truncated;		/* there are more than SFS_LIST_MAX names */
	int64_t started;	/* boot time at which the call began: what it says may be as old */
	struct sfs_err problem; /* list_problem(), with the instance's name; code 0 = none */
};
struct listing *listing_ref(struct listing *l);
void listing_unref(struct listing *l);
/* The line of that name by binary search, or NULL. */
const struct list_entry *listing_find(const struct listing *l, const char *name);

struct instance_events {
	/* Each full listing, changed or not, or a failed attempt (l NULL): from a worker thread, no
	 * lock held, before the `done` of those who asked for it. `l` is borrowed. */
	void (*listed)(
		void *arg, struct instance *in, struct listing *l, const struct sfs_err *err);
	/* watch_changed(): `name` or NULL. From the watch thread, no lock held. */
	void (*changed)(void *arg, struct instance *in, const char *name);
	void *arg;
};

/* Opens the back end and makes its source in `store`. `conf` is copied; `machine` and `store` must
 * outlive the instance. `timeout` in seconds bounds a call that has no deadline of its own.
 * Errors: the back end's; EINVAL if it lacks a required call. */
int instance_open(const struct backend_conf *conf, const struct machine *machine,
	struct store *store, int64_t timeout, const struct instance_events *ev,
	struct instance **ret, struct sfs_err *err);
/* Starts the watch thread where there is a watch. */
int instance_start(struct instance *in, struct sfs_err *err);
/* Detaches the source, stops watch and workers (waits for running calls, at most 2 s), closes the
 * back end. Calls still queued or stuck are answered ENODEV. A call that does not return keeps its
 * thread, the instance's memory and the open back end for ever, said in the log; no event or `done`
 * comes after this returned. */
void instance_close(struct instance *in);

const struct backend_conf *instance_conf(const struct instance *in);
struct source *instance_source(struct instance *in);
/* True while the watch runs and has reported once: with BACKEND_LIST_COMPLETE an unlisted name does
 * not exist. */
bool instance_list_complete(const struct instance *in);

/* What the back end tells of itself; these do not block and may be called until instance_close().
 * Appends members of a JSON object, not checked, with commas between; nothing where there is no
 * such call. Errors: of the buffer. */
int instance_status(struct instance *in, struct buf *out);
/* False where the back end does not count. */
bool instance_counts(struct instance *in, struct backend_counts *ret);
/* Steps of `secretfs check`, in the calling thread, for at most the instance's timeout: `say` gets
 * each of them. Errors: when it is no use to go on. */
struct check_sink {
	void (*say)(void *arg, enum check_result result, const char *what, const char *text);
	void *arg;
};
int instance_check(struct instance *in, struct check_sink *sink, struct sfs_err *err);

/* Asynchronous calls: `done` is called exactly once, from a worker thread or instance_close(),
 * unless the call returns -errno. A back end that ignores its deadline delays `done`: who must
 * answer in time keeps a timer of his own. They never wait behind stalled fetches. */
struct instance_call {
	void (*done)(struct instance_call *c,
		const struct sfs_err *err); /* err NULL = well; may free `c` */
	int64_t deadline;		    /* boot time; 0 = the instance's timeout from now */
	/* results, owned by the caller after done */
	struct listing *listing; /* instance_list */
	struct buf text;	 /* instance_describe: JSON object; set up by the call */
	char **versions;	 /* instance_versions: newest first, unique; may be NULL with 0 */
	size_t nversions;
	/* private */
	struct instance_call *next;
};
/* filter NULL = all (single flight: a running listing is joined). Otherwise the provider's filter,
 * or a glob_match() pattern of paths where the back end has none. Errors of all three: -EBUSY,
 * -ENODEV (closed), -ENOMEM, -EAGAIN (no thread can be started). */
int instance_list(
	struct instance *in, const char *filter, struct instance_call *c, struct sfs_err *err);
int instance_describe(
	struct instance *in, const char *name, struct instance_call *c, struct sfs_err *err);
int instance_versions(
	struct instance *in, const char *name, struct instance_call *c, struct sfs_err *err);

#endif
