/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a JSON-object secret (.fields) and multi-key secrets as one object (.json). Results
 * live in the secret arena. */
#ifndef SFS_CORE_FIELDS_H
#define SFS_CORE_FIELDS_H

#include "backends/payload.h"
#include "base/buf.h"
#include "base/err.h"

struct fields; /* a parsed value; holds a reference to it. For one thread at a time. */

/* ENOENT if the value is no JSON object (anything that does not parse counts as that). */
int fields_parse(struct secret *value, struct fields **ret, struct sfs_err *err);
void fields_free(struct fields *f);

enum field_kind { FIELD_NONE, FIELD_VALUE, FIELD_OBJECT };
/* `path`: components encoded by name_encode_component(), separated by '/'; "" is the value itself
 * (FIELD_OBJECT). An object that is empty is FIELD_OBJECT too. */
enum field_kind fields_kind(struct fields *f, const char *path);
/* Bytes of the field: a string raw, another value compact JSON with the digits of the source, no
 * newline. ENOENT, ENOMEM. */
int fields_get(struct fields *f, const char *path, struct secret **ret, struct sfs_err *err);
/* Encoded names of the members of the object at `path` in source order; emit non-zero stops and is
 * returned. Keys that no file can be named after (empty, with a NUL byte) are left out. ENOENT,
 * ENOTDIR (no object), ENOMEM. */
int fields_each(struct fields *f, const char *path,
	int (*emit)(void *arg, const char *name, enum field_kind kind), void *arg);

/* A multi-key payload as {"key":"value",...}, keys sorted, no blanks, no newline. EBADMSG naming
 * the key whose bytes are no UTF-8. */
int payload_json(const struct payload *p, struct secret **ret, struct sfs_err *err);

#endif
