/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of JSON answers that may be absent or null. Pure functions over a document of net/json.h.
 */
#ifndef SFS_BACKENDS_MEMBERS_H
#define SFS_BACKENDS_MEMBERS_H

#include "base/buf.h"
#include "net/json.h"
#include <stdbool.h>

/* The member, or NULL where it is absent, null, or `obj` is NULL or no object. */
const struct json_node *member(struct json *doc, const struct json_node *obj, const char *key);
/* The member if it is an array; NULL also for another kind. */
const struct json_node *member_array(
	struct json *doc, const struct json_node *obj, const char *key);
/* Appends the member, a string without U+0000. -ENODATA: not set; -EBADMSG: something else;
 * -ENOMEM, -EFBIG. Nothing is appended on failure. */
int member_string(struct json *doc, const struct json_node *obj, const char *key, struct buf *out);
/* The same of the string `n` itself. */
int member_text_of(struct json *doc, const struct json_node *n, struct buf *out);
/* The member is that string. */
bool member_is(struct json *doc, const struct json_node *obj, const char *key, const char *s);

/* Appends an object as compact JSON: the members of `only` (names ended by NULL), or all where it
 * is NULL; not those of `never`, which hold a value (today or in another answer), and none that is
 * null. */
int member_facts(struct json *doc, const struct json_node *obj, const char *const *only,
	const char *const *never, struct buf *out);

#endif
