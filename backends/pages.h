/* SPDX-License-Identifier: Apache-2.0 */
/* A listing of many pages: the token for the next one, that it ends, and where it begins again. */
#ifndef SFS_BACKENDS_PAGES_H
#define SFS_BACKENDS_PAGES_H

#include "base/buf.h"
#include "base/err.h"
#include "net/json.h"
#include <stdbool.h>

#define PAGES_TOKEN_MAX 4096 /* AWS says so in its service models; tokens of others are shorter */
/* Of one listing: 500,000 secrets at 100 a page, and as many empty ones between. */
#define PAGES_MAX 20000

struct pages {
	struct buf token; /* of the page to ask for; empty = the first */
	struct buf mark;  /* an earlier one, to find out that tokens go round in a circle */
	unsigned long n, next_mark;
	bool restarted;
};
#define PAGES_INIT                                                                     \
	{                                                                              \
		.token = BUF_INIT(PAGES_TOKEN_MAX), .mark = BUF_INIT(PAGES_TOKEN_MAX), \
		.next_mark = 1                                                         \
	}

/* Takes the token of an answer (NULL: it has none): 1 = there is another page, 0 = that was the
 * last (none, or an empty one). EBADMSG: no string, or tokens that come again; EFBIG: more than
 * PAGES_MAX pages. */
int pages_next(
	struct pages *p, struct json *doc, const struct json_node *token, struct sfs_err *err);
/* The service no longer knows the token: true once, and the listing starts again. */
bool pages_restart(struct pages *p);
void pages_clear(struct pages *p);

#endif
