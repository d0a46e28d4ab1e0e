/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process that opens sources has of the machine around it: the worker by way of the
 * holder, `secretfs check` by itself. All borrowed, and valid as long as the sources.
 */
#ifndef SFS_CORE_MACHINE_H
#define SFS_CORE_MACHINE_H

#include "backends/needs.h"
#include "base/envstore.h"
#include "base/path.h"

struct machine {
	const struct path_env *paths;
	const struct envstore *env;
	const char *home; /* of whoever mounted, absolute; NULL = none */
	/* Runs commands, but its `line` is the text of a whole one (base/command.h). NULL = cannot.
	 */
	const struct runner *runner;
	/* Their texts, fixed at mount, ended by NULL; NULL = nothing is fixed: no mount. */
	const char *const *commands;
};

#endif
