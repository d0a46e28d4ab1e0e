/* SPDX-License-Identifier: Apache-2.0 */
/* A bar on standard error while a control file works: a thread reads "done/total" from it a few
 * times a second. */
#ifndef SFS_MOUNT_PROGRESS_H
#define SFS_MOUNT_PROGRESS_H

#include "mount/client.h"
#include <pthread.h>

struct progress {
	const struct client *c;
	const char *control;
	int stop_fd[2]; /* closing the second end stops the thread */
	pthread_t thread;
	bool drawn; /* of the thread, until it was joined */
};

/* 0 or -errno: then there is simply no bar. `c` and `control` stay valid until progress_stop(). */
int progress_start(struct progress *p, const struct client *c, const char *control);
/* Stops and rubs the bar out. */
void progress_stop(struct progress *p);

/* One picture of the bar; false: there is nothing to show. And an empty line in its place. */
bool progress_draw(unsigned long done, unsigned long total);
void progress_erase(void);

#endif
