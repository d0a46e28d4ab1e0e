/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One credentials file of Google Cloud: a JSON object with a `type`, read in place in secret
 * memory. gcp_doc_parse() and the getters are pure functions; what they refuse is EBADMSG with file
 * and key, never with bytes of a value.
 */
#ifndef SFS_BACKENDS_GCP_DOC_H
#define SFS_BACKENDS_GCP_DOC_H

#include "backends/credfile.h"
#include "base/secret.h"
#include "net/json.h"
#include <stdbool.h>
#include <stddef.h>

#define GCP_FILE_MAX 65536 /* of a credentials file; a key of 16384 bits has 13 KiB */

enum gcp_type {
	GCP_SERVICE_ACCOUNT,
	GCP_AUTHORIZED_USER,
	GCP_EXTERNAL_ACCOUNT,
	GCP_EXTERNAL_USER, /* external_account_authorized_user */
	GCP_IMPERSONATED,  /* impersonated_service_account */
};

struct gcp_doc {
	enum gcp_type type;
	char *path;		      /* of the file, for people; owned unless nested */
	struct buf text;	      /* BUF_SECRET; empty in a nested one */
	struct json *json;	      /* owned unless nested */
	const struct json_node *node; /* the object with the `type` */
	bool nested;
};
#define GCP_DOC_INIT                                  \
	{                                             \
		.text = BUF_SECRET_INIT(GCP_FILE_MAX) \
	}
void gcp_doc_clear(struct gcp_doc *doc);

/* The word in a file: "service_account". */
const char *gcp_type_word(enum gcp_type type);

/* Reads and parses the file into `doc` (GCP_DOC_INIT, cleared by the caller also after a failure).
 * *ret_stamp is set on failure too. Errors: those of credfile_read(), EACCES (others may write it),
 * EBADMSG (no JSON object, no type, one that is unknown or not supported), ENOMEM. */
int gcp_doc_read(const struct path_env *paths, const char *path, struct gcp_doc *doc,
	struct credfile_stamp *ret_stamp, struct sfs_err *err);
/* The second half of it, of `doc->text`; `path` is for messages. */
int gcp_doc_parse(struct gcp_doc *doc, const char *path, struct sfs_err *err);
/* The object under `key` as credentials of their own; borrows from `doc`, gcp_doc_clear() does
 * nothing. EBADMSG: it is none. */
int gcp_doc_nested(
	const struct gcp_doc *doc, const char *key, struct gcp_doc *ret, struct sfs_err *err);

/* Getters. `obj` is an object inside of the document, NULL = the document's own; absent, null and
 * "" are all "not there". */
enum gcp_need { GCP_MAY, GCP_MUST };

/* A text that is no secret (mem_free): without control characters. 0 with *ret NULL where a
 * GCP_MAY is not there. */
int gcp_doc_text(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, char **ret, struct sfs_err *err);
/* The same of a secret: printable, no blanks. secret_unref(). */
int gcp_doc_secret(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, struct secret **ret, struct sfs_err *err);
/* A URL that credentials are sent to: https, or http to loopback (a file must not send them
 * elsewhere in the clear, whatever insecure_http says). */
int gcp_doc_url(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, char **ret, struct sfs_err *err);
/* The member if it is an object; NULL with 0 where a GCP_MAY is not there. */
int gcp_doc_object(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, const struct json_node **ret, struct sfs_err *err);
/* "FILE: KEY WHY", EBADMSG. */
int gcp_doc_bad(const struct gcp_doc *doc, const char *key, const char *why, struct sfs_err *err);

#endif
