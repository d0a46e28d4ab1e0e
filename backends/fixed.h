/* SPDX-License-Identifier: Apache-2.0 */
/* For back ends whose secrets never change while mounted (env, inline): a sorted set of names and
 * values, and the calls that serve it. The set is the back end's state. */
#ifndef SFS_BACKENDS_FIXED_H
#define SFS_BACKENDS_FIXED_H

#include "backends/backend.h"

struct fixed_set;

/* An empty set; `what` ("environment variable") is for messages and stays valid. NULL on no memory.
 */
struct fixed_set *fixed_new(const char *what);
/* Adds a name with a new reference to its value; a name given again gets the new value. -ENOMEM. */
int fixed_add(struct fixed_set *set, const char *name, struct secret *value);
size_t fixed_count(const struct fixed_set *set);

/* Calls of struct backend_ops; `state` is a struct fixed_set. */
int fixed_list(void *state, const struct call *call, const char *filter, struct list_sink *sink,
	struct sfs_err *err);
int fixed_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err);
/* There is no news: reports once and waits for the end, so that the listing counts as complete. */
int fixed_watch(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err);
void fixed_close(void *state);

#endif
