/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STS: request bodies of the query protocol, and its XML answers (aws_xml.h). Pure functions.
 */
#ifndef SFS_BACKENDS_AWS_STS_H
#define SFS_BACKENDS_AWS_STS_H

#include "backends/aws_text.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include <stddef.h>
#include <stdint.h>

#define AWS_STS_CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"
#define AWS_STS_REPLY_MAX    65536
#define AWS_STS_BODY_MAX     131072 /* a web identity token of 20,000 bytes, each as %XX, and more */

struct aws_role {
	const char *arn;
	const char *session;	     /* RoleSessionName */
	const char *external_id;     /* AssumeRole only; NULL = none */
	const char *source_identity; /* the same */
	unsigned duration;	     /* s; 0 = the service's default of an hour */
};

/* Each appends a body. Lengths and characters are checked here, so that a typing error is told
 * before anything is sent: EINVAL with the setting to correct. Else ENOMEM, EFBIG. */
int aws_sts_assume_role_body(const struct aws_role *role, struct buf *ret, struct sfs_err *err);
/* `ret` is a BUF_SECRET; blanks around the token are dropped. The request goes without a signature.
 */
int aws_sts_web_identity_body(const struct aws_role *role, const void *token, size_t len,
	struct buf *ret, struct sfs_err *err);
int aws_sts_identity_body(struct buf *ret);

struct aws_temp {
	struct secret *id, *key, *token; /* all three set */
	int64_t expires;		 /* wall time ns */
	char *arn;			 /* of the assumed role, escaped; NULL = not told */
};
void aws_temp_clear(struct aws_temp *t);
/* The answer of AssumeRole or AssumeRoleWithWebIdentity. *ret is untouched on failure, else the
 * caller clears it. EBADMSG, ENOMEM. */
int aws_sts_credentials(const char *xml, size_t len, struct aws_temp *ret, struct sfs_err *err);
/* The answer of GetCallerIdentity: appends account and ARN as the service wrote them. */
int aws_sts_identity(const char *xml, size_t len, struct buf *ret_account, struct buf *ret_arn,
	struct sfs_err *err);
/* The code and message of an error answer, decoded; message may stay empty. -EBADMSG: it is no
 * ErrorResponse. */
int aws_xml_error(const char *xml, size_t len, struct buf *ret_code, struct buf *ret_message);

#endif
