/* SPDX-License-Identifier: Apache-2.0 */
/* What status and metrics share; for status*.c only. */
#ifndef SFS_CORE_STATUS_PRIV_H
#define SFS_CORE_STATUS_PRIV_H

#include "core/core_priv.h"

/* A snapshot of what the tree lock guards, so that text is built without it. */
struct inst_view {
	struct core_inst *ci; /* a reference */
	size_t names, skipped;
	bool truncated, answered, running, complete;
	int64_t list_age;	 /* ns; -1 = never */
	struct sfs_err list_err; /* or what the listing said is wrong */
	struct source_health health;
	char location[256]; /* escaped */
	struct backend_counts counts;
	bool counted;
	struct buf about; /* members of a JSON object; empty = nothing is told */
};

struct views {
	struct inst_view v[SFS_BACKENDS_MAX];
	size_t n;
};

/* Of all sources that are not closing; end with views_end(). */
void views_take(struct core *core, struct views *ret);
void views_end(struct views *v);
const char *view_state(const struct inst_view *v);
/* 0 for what is negative. */
int64_t status_seconds(int64_t ns);

#endif
