/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict JSON (RFC 8259) for hostile input (R51, R52): a document is checked whole, then read in
 * place.
 *
 * The parser keeps an array of nodes that point into the caller's text; it copies nothing, so a
 * value stays where the caller keeps it (a BUF_SECRET) and numbers keep the digits of the source.
 * That is why it is not cJSON, which makes heap copies of every string, turns numbers into double,
 * and cuts strings at U+0000.
 *
 * Refused: anything outside the grammar, depth over SFS_JSON_DEPTH, more than SFS_JSON_ELEMENTS
 * nodes, invalid UTF-8, lone surrogates, raw control characters in strings, bytes after the
 * document, a byte order mark; and, unless JSON_LAST_WINS, two equal keys in one object and \u0000
 * in a key (the caller then skips what it cannot name).
 */
#ifndef SFS_NET_JSON_H
#define SFS_NET_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

enum json_flags {
	JSON_STRICT = 0,
	JSON_LAST_WINS = 1, /* values of users: of two equal keys the last one counts, as in jq */
};

struct json;	  /* a parsed document; borrows the text it was parsed from */
struct json_node; /* a value in it; valid while the document lives */

/* Parses exactly `len` bytes. The text must outlive the document. Errors: EBADMSG with line and
 * column, never with bytes of the text; ENOMEM. */
int json_parse(
	const char *text, size_t len, unsigned flags, struct json **ret, struct sfs_err *err);
void json_free(struct json *doc);
const struct json_node *json_root(const struct json *doc);

enum json_kind json_kind(const struct json_node *n);
/* Members of an object or items of an array; 0 for others. */
size_t json_count(const struct json_node *n);
/* Iteration over children in source order: first child of a container or NULL, then siblings until
 * NULL. With JSON_LAST_WINS overwritten members are not visited. */
const struct json_node *json_first(const struct json *doc, const struct json_node *container);
const struct json_node *json_next(const struct json *doc, const struct json_node *child);
/* 1-based line in the text, for messages. */
size_t json_line(const struct json *doc, const struct json_node *n);

/* The member of an object whose decoded key is exactly these bytes, or NULL (also when `obj` is no
 * object). O(1) on average: a hash table is made at the first lookup in a large object. Not
 * thread-safe on one document. */
const struct json_node *json_member(
	struct json *doc, const struct json_node *obj, const void *key, size_t len);

/* Appends the decoded key of a member. `out` should be BUF_SECRET where keys may be secret. */
int json_key(const struct json *doc, const struct json_node *member, struct buf *out);
/* Appends the decoded string; \u0000 becomes the byte 0. -EINVAL if it is no string. */
int json_string(const struct json *doc, const struct json_node *n, struct buf *out);
/* Appends the value as compact JSON: no blanks outside strings, strings and numbers as in the
 * source. */
int json_compact(const struct json *doc, const struct json_node *n, struct buf *out);
/* "Value of a field": a string decoded, anything else compact. */
int json_value(const struct json *doc, const struct json_node *n, struct buf *out);
/* An integer without fraction or exponent that fits; -EINVAL, -ERANGE. */
int json_int64(const struct json *doc, const struct json_node *n, int64_t *ret);

/* Appends bytes that are valid UTF-8 as a JSON string with quotes (secret-safe: writes straight
 * into `out`); -EILSEQ for invalid UTF-8, with nothing appended. */
int json_quote(struct buf *out, const void *s, size_t len);

#endif
