/* SPDX-License-Identifier: Apache-2.0 */
/* The language of the control files (design section 1): a pure parser from one write to commands.
 */
#ifndef SFS_CORE_CONTROL_H
#define SFS_CORE_CONTROL_H

#include "core/core.h"

enum command_kind { COMMAND_NAME, COMMAND_GLOB, COMMAND_ALL, COMMAND_FILTER };

struct command {
	enum command_kind kind;
	char *arg;   /* decoded path, glob_match() pattern, or filter; NULL for COMMAND_ALL */
	int64_t ttl; /* CONTROL_TTL only */
	size_t line; /* 1-based */
};

/* Parses the text of one write to `f`. Blank lines and lines starting with '#' are nothing. All
 * lines are checked; the first bad one is EINVAL naming its number and what is allowed (never more
 * of the line than its length). Free with commands_free(). */
int commands_parse(enum control_file f, const char *text, size_t len, struct command **ret,
	size_t *ret_n, struct sfs_err *err);
void commands_free(struct command *c, size_t n);

#endif
