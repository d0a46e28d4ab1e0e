/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answers of Secrets Manager and Parameter Store have in common: times, facts, lists with
 * tokens. Pure functions over a document of net/json.h.
 */
#ifndef SFS_BACKENDS_AWS_ANSWER_H
#define SFS_BACKENDS_AWS_ANSWER_H

#include "backends/members.h"
#include "backends/pages.h"
#include "backends/seen.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* pages_next() with NextToken of an answer. */
int aws_pages_next(
	struct pages *p, struct json *doc, const struct json_node *root, struct sfs_err *err);

#endif
