/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One write to a control file while it is carried out. Inside of the core.
 *
 * A job first waits for the first listings (globs and names need them), asks for filters, then
 * hands at most JOB_FLIGHTS targets at once to the store, which starts as many fetches as the
 * source may carry. It goes on when its writer is gone: after an interrupt until the fetches in the
 * air have ended, after the writer's deadline to its end.
 */
#ifndef SFS_CORE_CORE_JOB_H
#define SFS_CORE_CORE_JOB_H

#include "base/buf.h"
#include "core/core_priv.h"

/* Twice what a source may have in the air: the store fills its batches from the other half. */
#define JOB_FLIGHTS  (SFS_POOL_THREADS * SFS_BATCH_MAX)
#define JOB_FAILURES 1000 /* lines of failures shown */

struct target {
	struct dent *d; /* a reference */
	size_t command;
};

/* How a command went. */
struct outcome {
	size_t ok, failed;
	int code;	/* of the first failure */
	char *sentence; /* its sentence; NULL: no memory for it */
};

struct flight_slot {
	struct waiter w;
	struct job *job;
	size_t target;
	struct flight_slot *next; /* free ones */
};

struct job {
	struct core *core;
	enum control_file file;
	struct command *commands;
	struct outcome *outcomes; /* one a command */
	size_t ncommands;
	unsigned refs; /* tree lock; the work, and the armed timer */
	struct core_timer timer;
	struct control_waiter *w; /* NULL once answered or cancelled; tree lock */
	struct job *prev, *next;  /* core->jobs; tree lock */
	struct core_waiter listed;
	struct core_after after;

	pthread_mutex_t lock; /* all below; no other lock is taken under it */
	struct target *targets;
	size_t ntargets, cap, next_target, done;
	size_t lists; /* filter listings under way */
	unsigned in_flight;
	bool running; /* its targets are known */
	bool pumping, stopped, finished;
	struct buf failures; /* lines of text */
	size_t nfailures;
	struct flight_slot slots[JOB_FLIGHTS], *free_slots;
};

/* --- core_target.c --- */

/* Adds the targets of a command; failures to find names go to its outcome. No lock held. */
int job_expand(struct job *j, size_t command);
/* Adds the names of a listing that a filter gave. */
int job_expand_listing(
	struct job *j, size_t command, struct core_inst *ci, const struct listing *l);
/* Notes a failure of a command; `path` may be NULL. */
void job_failed(struct job *j, size_t command, const char *path, const struct sfs_err *err);
void job_ok(struct job *j, size_t command);
/* Carries out a purge, or sets TTLs, over all targets. */
void job_purge(struct job *j);
void job_set_ttls(struct job *j);

#endif
