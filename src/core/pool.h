/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue and the threads that work it off (R29, R65). Threads are started when a job finds
 * none idle, up to a maximum, and then stay. They have small stacks and take no signals.
 * Thread-safe.
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
	struct job *next;	     /* private */
};

struct pool;

/* `name` (at most 15 bytes are shown by ps -L) is copied. */
int pool_new(const char *name, unsigned max_threads, size_t max_queue, struct pool **ret);
/* -EBUSY: the queue is full; -ESHUTDOWN: stopped; -EAGAIN: there is no thread and none can be
 * started. The job is the caller's then. */
int pool_push(struct pool *p, struct job *j);
/* Drops what is queued and waits `wait` ns (real time) for what runs. True: all threads have ended.
 * False: some are stuck in a job and were left to themselves; the pool and what the jobs use must
 * then live for ever. */
bool pool_stop(struct pool *p, int64_t wait);
/* After pool_stop() returned true. NULL is fine. */
void pool_free(struct pool *p);
/* Threads and queued jobs now. */
void pool_count(struct pool *p, unsigned *ret_threads, size_t *ret_queued);

#endif
