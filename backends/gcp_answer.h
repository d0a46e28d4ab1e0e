/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret Manager: names that can be, and what its answers say (gcp.md sections 3 to 5). Pure
 * functions over a document of net/json.h.
 *
 * The JSON mapping of proto3: what is empty is absent, int64 are strings (numbers are taken too),
 * unknown members and words are fine; member names in lowerCamelCase or, as some emulators have
 * them, in snake_case.
 */
#ifndef SFS_BACKENDS_GCP_ANSWER_H
#define SFS_BACKENDS_GCP_ANSWER_H

#include "backends/backend.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "net/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCP_ID_MAX	255 /* of a secret */
#define GCP_ALIAS_MAX	63  /* of a version */
#define GCP_VERSION_MAX 63  /* alias or number */
#define GCP_SECRET_MAX	65536
#define GCP_LATEST	"latest"

/* ---- names ---- */

/* A secret that is asked for: an id of the source's project, or a full resource name
 * (projects/P[/locations/L]/secrets/S[/versions/V]). Texts are "" where the name has none. */
struct gcp_name {
	char project[256];
	char location[64];
	char id[GCP_ID_MAX + 1];
	char version[GCP_VERSION_MAX + 1];
};
/* False: no secret can have this name, and nobody is asked. `ret` is untouched then. */
bool gcp_name_parse(const char *name, struct gcp_name *ret);
/* A number in its only spelling, an alias, or `latest`. */
bool gcp_version_ok(const char *version);
/* The number of a version, 0 = it is none (or none that can be). */
uint64_t gcp_version_number(const char *text, size_t len);

/* ---- members ---- */

/* As member(), under the lowerCamelCase `key` or its snake_case spelling. */
const struct json_node *gcp_member(struct json *doc, const struct json_node *obj, const char *key);
/* Wall time ns of a timestamp; 0 where it is absent or no usable time. */
int64_t gcp_when(struct json *doc, const struct json_node *obj, const char *key);

/* ---- listings ---- */

/* A line of a listing. Set the buffers up with their maxima; gcp_line() empties them first. */
struct gcp_line {
	struct buf id, meta;
	int64_t created, expires;
};
#define GCP_LINE_INIT                                                      \
	{                                                                  \
		.id = BUF_INIT(GCP_ID_MAX), .meta = BUF_INIT(SFS_META_MAX) \
	}
void gcp_line_clear(struct gcp_line *l);
/* An entry of `secrets`. What does not fit into meta is left out. EBADMSG (no object, no usable
 * name), ENOMEM. */
int gcp_line(struct json *doc, const struct json_node *entry, struct gcp_line *ret);
/* All of a Secret as compact JSON. EFBIG, ENOMEM. */
int gcp_facts(struct json *doc, const struct json_node *secret, struct buf *out);

/* ---- values ---- */

/* The payload of an answer of :access, with one reference, version and ordinal set: of the secret
 * `id`, and of the version that was asked for if that is a number. Errors: EBADMSG (another secret
 * or version, broken base64, wrong checksum), EFBIG, ENOMEM; never with bytes of the value. */
int gcp_payload(struct json *doc, const struct json_node *root, const struct gcp_name *asked,
	struct payload **ret, struct sfs_err *err);

/* ---- versions ---- */

struct gcp_version {
	uint64_t number;
	int64_t created;
	bool destroyed;
};
struct gcp_versions {
	struct gcp_version *v; /* of all pages */
	size_t n, cap;
	struct gcp_alias {
		char name[GCP_ALIAS_MAX + 1];
		uint64_t number;
	} * aliases;
	size_t naliases;
};
/* Adds those of an answer of list versions; unusable entries are left out. -ENOMEM. */
int gcp_versions_page(struct gcp_versions *v, struct json *doc, const struct json_node *root);
/* Adds the aliases of a Secret. -ENOMEM. */
int gcp_versions_aliases(struct gcp_versions *v, struct json *doc, const struct json_node *secret);
/* Newest first: `latest` for the first, then each number followed by its aliases. Destroyed ones,
 * which nobody can read again, are left out. */
int gcp_versions_tell(struct gcp_versions *v, struct version_sink *sink);
void gcp_versions_clear(struct gcp_versions *v);
/* The number of the first entry whose state is ENABLED; 0 = there is none. */
uint64_t gcp_first_enabled(struct json *doc, const struct json_node *root);

#endif
