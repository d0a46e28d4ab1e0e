/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets Manager: names and versions that can be, and what its answers say. Pure functions; the
 * calls are in aws.c and aws_secrets_batch.c.
 */
#ifndef SFS_BACKENDS_AWS_SECRETS_H
#define SFS_BACKENDS_AWS_SECRETS_H

#include "backends/aws_answer.h"
#include "backends/aws_client.h"
#include "backends/backend.h"

#define AWS_SECRET_NAME_MAX 512	 /* of a name, at creation */
#define AWS_SECRET_ID_MAX   2048 /* of an ARN */
#define AWS_STAGE_MAX	    256

/* A name or ARN that the service could know: letters, digits and /_+=.@-! only, or an ARN of a
 * secret. Anything else does not exist, and nobody is asked. */
bool aws_secret_name_ok(const char *name);

/* `id` and `stage` have room for AWS_STAGE_MAX + 1 bytes and are "" where not given. VERSION is a
 * version id (32 to 64 characters), a stage, ID:STAGE, or :STAGE for a stage that looks like an id.
 * Errors: EINVAL with what is wrong. */
int aws_secret_version(const char *version, char *ret_id, char *ret_stage, struct sfs_err *err);

/* The secret of one SecretList entry; `name` and `meta` are cleared first. -EBADMSG: no usable
 * name. */
int aws_secret_line(struct json *doc, const struct json_node *entry, struct aws_line *ret);

/* The payload of a GetSecretValue answer or of an item of a batch, with one reference. Errors:
 * EBADMSG (neither text nor bytes or both, broken base64), EFBIG, ENOMEM. */
int aws_secret_payload(
	struct json *doc, const struct json_node *value, struct payload **ret, struct sfs_err *err);
/* The answer is the version that was asked for: EINVAL otherwise. */
int aws_secret_is_version(struct json *doc, const struct json_node *value, const char *id,
	const char *stage, struct sfs_err *err);

/* Versions of an answer of ListSecretVersionIds, gathered over all pages. */
struct aws_version {
	char *id;
	int64_t created;
	struct buf stages; /* each with a NUL behind it */
};
struct aws_versions {
	struct aws_version *v;
	size_t n, cap;
};
/* -ENOMEM; unusable entries are left out. */
int aws_versions_page(struct aws_versions *v, struct json *doc, const struct json_node *root);
/* Newest first, each followed by its stages. */
int aws_versions_tell(struct aws_versions *v, struct version_sink *sink);
void aws_versions_clear(struct aws_versions *v);

/* ---- shared by aws.c and aws_secrets_batch.c ---- */

struct aws_source {
	struct aws_client *client;
	struct buf filters; /* of filter=: JSON objects, commas between */
	size_t nfilters;
};
int aws_secrets_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err);
int aws_secrets_get_batch(void *state, const struct call *call, const char *const *names, size_t n,
	struct payload **ret, struct sfs_err *errs, struct sfs_err *err);

#endif
