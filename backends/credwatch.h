/* SPDX-License-Identifier: Apache-2.0 */
/* The files that one run of a credential chain looked at, so that a change of one is seen. */
#ifndef SFS_BACKENDS_CREDWATCH_H
#define SFS_BACKENDS_CREDWATCH_H

#include "backends/credfile.h"
#include <pthread.h>

#define CREDWATCH_MAX 32 /* files that one run looks at */

struct credwatch_file {
	char *path;
	struct credfile_stamp stamp;
};

/* Thread-safe between init and clear. */
struct credwatch {
	pthread_mutex_t lock;
	struct credwatch_file file[CREDWATCH_MAX]; /* by the last run */
	size_t n;
};
void credwatch_init(struct credwatch *w);
void credwatch_clear(struct credwatch *w);
/* A run begins: nothing is watched yet. */
void credwatch_reset(struct credwatch *w);
/* This run depends on a file. */
void credwatch_add(struct credwatch *w, const char *path, const struct credfile_stamp *stamp);
/* For cred_conf.changed: whether one of them looks otherwise now. */
bool credwatch_changed(struct credwatch *w, const struct path_env *paths);

#endif
