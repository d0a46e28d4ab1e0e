/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue and the threads that work it off (R29, R65). Threads are started when a job finds
 * none idle, up to a maximum, and then stay. They have small stacks and take no signals. Jobs of
 * one lane run in the order they came, and lanes take turns: a lane with a thousand jobs holds up
 * one with a single job by one turn, and, as it may occupy three quarters of the threads only, not
 * at all unless others are at work too. Thread-safe; the pool's lock is a leaf.
 */
#ifndef SFS_CORE_POOL_H
#define SFS_CORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in the caller's job. The pool calls exactly one of the two functions, without locks; the
 * job is the callee's then. */
struct job {
	void (*run)(struct job *j);  /* in a thread of the pool */
	void (*drop)(struct job *j); /* the pool was stopped first; in the thread that stops it */
	uint32_t lane;		     /* whose turn it takes */
	/* private */
	bool queued;
	uint64_t place;			   /* in its lane: greater than that of the one before */
	struct job *prev, *next;	   /* of its lane */
	struct job *lane_prev, *lane_next; /* of the first of a lane: of other lanes */
};
#define POOL_LANE_NONE UINT32_MAX /* what nobody in particular waits for */

struct pool;

/* So many of its threads may work for one lane. */
#define POOL_SHARE(threads) ((threads) - (threads) / 4)

/* `name` (at most 15 bytes are shown by ps -L) is copied. */
int pool_new(const char *name, unsigned max_threads, size_t max_queue, struct pool **ret);
/* -EBUSY: the queue is full; -ESHUTDOWN: stopped; -EAGAIN: there is no thread and none can be
 * started. The job is the caller's then. From inside a job of this pool the first one is left to
 * the calling thread: nobody else is woken for it before pool_busy(). */
int pool_push(struct pool *p, struct job *j);
/* In a job that has pushed another and is not about to end: it may block again, so what it pushed
 * is for another thread. Without effect elsewhere. */
void pool_busy(struct pool *p);
/* Somebody of that lane waits for the job too: if it is still queued, and would run earlier there,
 * it goes to the end of that lane. The job must not be freed meanwhile. */
void pool_join(struct pool *p, struct job *j, uint32_t lane);
/* Drops what is queued and waits `wait` ns (real time) for what runs. True: all threads have ended.
 * False: some are stuck in a job and were left to themselves; the pool and what the jobs use must
 * then live for ever. */
bool pool_stop(struct pool *p, int64_t wait);
/* After pool_stop() returned true and the last pool_push() ended. NULL is fine. */
void pool_free(struct pool *p);
/* Threads and queued jobs now. */
void pool_count(struct pool *p, unsigned *ret_threads, size_t *ret_queued);

#endif
