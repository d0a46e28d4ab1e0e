/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit lines on their way out: one thread writes them, in order, each whole. Nobody else waits
 * for a disk: who wants to know that a line was written is called back, at its deadline at the
 * latest.
 *
 * The queue is bounded. While it has room, a line that nobody requires is taken and its open goes
 * on; when it is full, the open waits until its line is written. So lines are not dropped, but
 * those that fail or are not written by the deadline; these are counted, and told of once a minute.
 */
#ifndef SFS_MOUNT_AUDIT_LOG_H
#define SFS_MOUNT_AUDIT_LOG_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_entry;
struct audit_log;

/* Where lines go. Strings are borrowed. */
struct audit_place {
	const char *name; /* for people */
	bool syslog;	  /* a datagram a line, with a header; else a file to append to */
	/* Opens it anew; waits as long as it takes. In the writing thread only. */
	int (*open)(void *arg, int *ret_fd, struct sfs_err *err);
	/* audit_log_sweep() is to be called now and then, from now until it returns false. */
	void (*sweep)(void *arg);
	void *arg;
};

/* Opens nothing yet. `max`: lines that may wait. */
int audit_log_new(const struct audit_place *place, size_t max, struct audit_log **ret);
/* Writes what waits and ends the thread. What is added later is not written. */
void audit_log_stop(struct audit_log *l);
void audit_log_free(struct audit_log *l); /* after audit_log_stop() */

/* Embedded in who waits. */
struct audit_wait {
	/* 0, or why the line could not be written, -ETIMEDOUT at the deadline. Without locks, from
	 * the writing or the sweeping thread, perhaps before audit_log_add() returns. */
	void (*done)(struct audit_wait *w, int r);
	int64_t deadline; /* boot time */
	/* private */
	struct audit_entry *entry;
	struct audit_wait *prev, *next;
};

enum audit_added {
	AUDIT_GO_ON,  /* the line is taken; w->done is not called */
	AUDIT_WAIT,   /* w->done will be called */
	AUDIT_FAILED, /* it cannot be taken; counted */
};
/* `text` is one line with its newline (mem_free), taken over. `required`: wait even if there is
 * room. `w` NULL: never wait, rather fail. */
enum audit_added audit_log_add(
	struct audit_log *l, char *text, size_t len, bool required, struct audit_wait *w);
/* A line could not even be made. */
void audit_log_fail(struct audit_log *l, int r);
/* Opens the place anew (the file was renamed) before the next line. */
void audit_log_reopen(struct audit_log *l);
/* Calls back who waited too long; false when nobody waited since the last call. */
bool audit_log_sweep(struct audit_log *l);

struct audit_counts {
	uint64_t lines, failures; /* written; not written */
	uint64_t slowed; /* opens that waited for room, though their line was not required */
	size_t queued;
	int64_t failed_wall; /* of the last failure; 0 = none */
	struct sfs_err last; /* its sentence */
};
void audit_log_counts(struct audit_log *l, struct audit_counts *ret);

#endif
