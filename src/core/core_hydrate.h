/* SPDX-License-Identifier: Apache-2.0 */
/* Hydration inside of the core: marks what the configuration wants, and tells how far it is. */
#ifndef SFS_CORE_CORE_HYDRATE_H
#define SFS_CORE_CORE_HYDRATE_H

#include "core/core_priv.h"

/* Whether a subject is to be hydrated follows from the rules and from what shows it: called
 * whenever one of them changed. Tree lock. */
void core_hydrate_subject(struct core *core, struct subject *s);

struct hydrate_view {
	enum config_hydrate mode;
	struct store_kept kept; /* `running` while a first listing is on its way, too */
};
void core_hydrate_look(struct core *core, struct hydrate_view *ret);
/* What .control/hydrate shows of it. */
void core_hydrate_text(struct core *core, const struct store_kept *kept, struct buf *out);
/* The sentence for values that do not fit. */
void core_hydrate_problem(struct core *core, const struct store_kept *kept, struct buf *out);
/* store_config.full */
void core_hydrate_full(void *arg);
/* A fetch ended: says so in the log when it was the last one of the mount. No lock. */
void core_hydrate_news(struct core *core);

#endif
