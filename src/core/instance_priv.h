/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of an instance, shared by instance*.c only. */
#ifndef SFS_CORE_INSTANCE_PRIV_H
#define SFS_CORE_INSTANCE_PRIV_H

#include "base/clock.h"
#include "core/answer.h"
#include "core/instance.h"
#include "core/listing.h"
#include "core/pool.h"
#include <pthread.h>

/* Listing, describe and versions have threads of their own: stalled fetches do not hold them up,
 * nor they each other. */
#define INSTANCE_LIST_THREADS  2
#define INSTANCE_LOCAL_THREADS 2 /* fetches of a BACKEND_LOCAL one: the disk is one */
#define INSTANCE_CLOSE_WAIT    (2 * NSEC_PER_SEC)

struct watch_sink {
	struct instance *in;
	atomic_bool reported; /* since ops->watch was called */
};

struct instance {
	struct backend_conf conf; /* a copy */
	struct backend_env env;
	const struct machine *machine;
	struct runner runner; /* what the back end calls: instance_run() */
	void *state;	      /* of the back end, if `opened` */
	bool opened;
	struct store *store;
	struct source *source;
	struct instance_events ev;
	int64_t timeout; /* seconds */
	struct pool *gets, *lists;
	atomic_bool stopping; /* also what running calls look at */
	atomic_bool no_batch; /* ops->get_batch does not work here */

	struct watch_sink sink;
	pthread_t watch_thread;
	bool has_watch;
	int stop_fd;

	pthread_mutex_t lock;  /* guards what follows; never held while calling anything outside */
	struct list_job *jobs; /* queued or running */
	struct list_job *full; /* the listing without filter that can be joined */
	struct listing *last;  /* newest full listing, a reference */
	unsigned telling;      /* threads inside `ev`: our own work, which closing waits for */
	pthread_cond_t told;   /* none of them is left */
	size_t logged_skipped; /* of the listing last complained about */
	bool logged_truncated;
};

/* instance.c */
void instance_set_limits(struct instance *in); /* what hydration may take of it at once */
/* Around a call of `ev`: false once the instance is being closed, and then it is not called. */
bool instance_tell_begin(struct instance *in);
void instance_tell_end(struct instance *in);

/* instance_get.c */
extern const struct source_ops instance_source_ops;
/* Fetches it and ends the flight. */
void get_one(struct instance *in, struct flight *f);
/* Ends the flight with a payload, or with `err`, which gets the names in front. */
void get_end(struct instance *in, struct flight *f, struct payload *p, struct sfs_err *err);
/* What the newest listing says of how long a value may be kept. */
void get_bound(struct instance *in, const char *name, struct payload *p);
int get_refused(struct instance *in, int r, struct sfs_err *err); /* the sentence to pool_push() */

/* instance_batch.c */
int batch_start(void *arg, struct flight *const *v, size_t n, struct sfs_err *err);

/* instance_list.c */
/* Answers ENODEV to everybody who still waits; for the end. */
void instance_orphan_calls(struct instance *in);

/* instance_about.c */
/* struct runner of the back end: finds the command among those of this source. */
int instance_run(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err);

/* instance_watch.c */
int watch_start(struct instance *in, struct sfs_err *err);
/* True if there is no watch thread any more when `wait` ns are over. */
bool watch_stop(struct instance *in, int64_t wait);

#endif
