/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of option values, private to base/opt*.c. */
#ifndef SFS_BASE_OPT_CHECK_H
#define SFS_BASE_OPT_CHECK_H

#include "base/opt.h"

/* Checks `text` (NULL = none given) for `row`, given as `name`; *ret_num gets what a typed getter
 * returns: 0/1, seconds, bytes, number, id, mode (0 for text types). EINVAL with a sentence that
 * never repeats the value; errors of the user data base as they are. */
int opt_check(const struct opt_row *row, const char *name, const char *text, const char *origin,
	int64_t *ret_num, struct sfs_err *err);

#endif
