/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answers of Secrets Manager and Parameter Store have in common: times, facts, lists with
 * tokens. Pure functions over a document of net/json.h.
 */
#ifndef SFS_BACKENDS_AWS_ANSWER_H
#define SFS_BACKENDS_AWS_ANSWER_H

#include "backends/members.h"
#include "backends/seen.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AWS_TOKEN_MAX 4096 /* NextToken, by the service model */
#define AWS_PAGES_MAX \
	20000 /* of one listing: 500,000 secrets at 100 a page, and as many empty ones */

/* Wall time ns of a member of epoch seconds; 0 where it is absent or no usable time. */
int64_t aws_when(struct json *doc, const struct json_node *obj, const char *key);

/* Appends an object as compact JSON: the members of `only` (ended by NULL), or all where it is
 * NULL; never those that hold a value (SecretString, SecretBinary, Value, SourceResult), never one
 * that is null. */
int aws_facts(
	struct json *doc, const struct json_node *obj, const char *const *only, struct buf *out);

/* Appends `"KEY":"VALUE"` with a comma in front unless the object just began. `value` is valid
 * UTF-8 (names are checked before). */
int aws_put(struct buf *body, const char *key, const char *value);
int aws_put_raw(struct buf *body, const char *key, const char *json);
/* `{` + what was put + `}` */
int aws_body_begin(struct buf *body);
int aws_body_end(struct buf *body);

/* ---- listings of many pages ---- */

struct aws_pages {
	struct buf token; /* of the page to ask for; empty = the first */
	struct buf mark;  /* an earlier one, to find out that tokens go round in a circle */
	unsigned long n, next_mark;
	bool restarted;
};
#define AWS_PAGES_INIT                                                                            \
	{                                                                                         \
		.token = BUF_INIT(AWS_TOKEN_MAX), .mark = BUF_INIT(AWS_TOKEN_MAX), .next_mark = 1 \
	}
/* A line of a listing. Set the buffers up with their maxima; aws_line() empties them first. */
struct aws_line {
	struct buf name, meta, version;
	int64_t created;
};
/* Reads Name, the time under `when`, and everything else as meta; what does not fit into meta is
 * left out. `version` appends the current version, or nothing. Errors: EBADMSG (no object, no
 * usable name), ENOMEM. */
int aws_line(struct json *doc, const struct json_node *entry, const char *when,
	void (*version)(struct json *doc, const struct json_node *entry, struct buf *out),
	struct aws_line *ret);

/* Takes NextToken of an answer: 1 = there is another page, 0 = that was the last (absent, null or
 * empty). EBADMSG: no string, or tokens that come again; EFBIG: more than AWS_PAGES_MAX pages. */
int aws_pages_next(
	struct aws_pages *p, struct json *doc, const struct json_node *root, struct sfs_err *err);
/* The service no longer knows the token: true once, and the listing starts again. */
bool aws_pages_restart(struct aws_pages *p);
void aws_pages_clear(struct aws_pages *p);

#endif
