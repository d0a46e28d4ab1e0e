/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a back end fills while it lists: list_add() and version_add() of backends/backend.h work on
 * these. One sink belongs to one call and its thread. For instance_list.c.
 */
#ifndef SFS_CORE_LISTING_H
#define SFS_CORE_LISTING_H

#include "backends/backend.h"
#include "core/instance.h"

struct list_sink {
	struct call *call; /* the deadline moves with every line, if `more` is set */
	void (*more)(struct list_sink *sink);
	const char *glob; /* only names whose path matches; NULL = all */
	size_t max;	  /* lines; SFS_LIST_MAX outside tests */
	int64_t started;  /* boot time */
	struct list_entry *items;
	size_t n, cap;
	size_t skipped;	    /* unusable lines, keys and attributes */
	bool truncated;	    /* there were more than max */
	char first[128];    /* the first skipped one, escaped */
	const char *reason; /* and why */
	struct sfs_err problem;
};

/* Sorts, drops names given twice (the first one stays, the others count as skipped), and makes a
 * listing with one reference. The sink is empty afterwards, also on -ENOMEM. */
int list_sink_finish(struct list_sink *sink, struct listing **ret);
void list_sink_clear(struct list_sink *sink);

struct version_sink {
	const struct call *call;
	char **v;
	size_t n, cap;
	size_t skipped;
};
/* As above: what was given first stays, order is kept. Free *ret and each string. */
int version_sink_finish(struct version_sink *sink, char ***ret, size_t *ret_n);
void version_sink_clear(struct version_sink *sink);

#endif
