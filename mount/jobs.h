/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that carries out jobs one after the other: for what may wait (for the kernel, the
 * holder, the renamer), which a handler must not. */
#ifndef SFS_MOUNT_JOBS_H
#define SFS_MOUNT_JOBS_H

#include <stdbool.h>
#include <stddef.h>

/* Embedded in the caller's struct. */
struct job {
	/* Called in the thread, without locks; may free the job. */
	void (*run)(struct job *j);
	struct job *prev, *next; /* private */
};

struct jobs;
/* -ENOMEM, or what pthread_create(3) says. */
int jobs_new(struct jobs **ret);
void jobs_push(struct jobs *q, struct job *j);
/* How many wait, the running one not counted. */
size_t jobs_waiting(struct jobs *q);
/* Carries out what is queued and ends the thread. NULL is allowed. */
void jobs_free(struct jobs *q);

#endif
