/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON web tokens that a service account signs (RFC 7515, RFC 7519, RFC 7523; AIP-4111). Pure
 * functions.
 */
#ifndef SFS_BACKENDS_GCP_JWT_H
#define SFS_BACKENDS_GCP_JWT_H

#include "base/buf.h"
#include "base/err.h"
#include "net/crypto.h"
#include <stdint.h>

#define GCP_JWT_MAX  8192
#define GCP_JWT_LIFE 3600 /* s from iat to exp; more is refused */

/* The private key of a file as it stands there; `path` is for messages. Each defect has its own
 * sentence: EBADMSG (encrypted, no RSA key, too short, line breaks that became two characters, no
 * key), ENOMEM. */
int gcp_key_load(const char *pem, size_t len, const char *path, struct crypto_rsa **ret,
	struct sfs_err *err);

struct gcp_claims {
	const char *kid; /* NULL = none */
	const char *iss;
	const char *sub;   /* NULL = none */
	const char *scope; /* one of these two */
	const char *aud;
	int64_t iat; /* s; exp is GCP_JWT_LIFE later */
};
/* Appends HEADER.CLAIMS.SIGNATURE to a BUF_SECRET. Texts must be valid UTF-8 (EBADMSG). ENOMEM,
 * EFBIG, EIO. */
int gcp_jwt_sign(struct crypto_rsa *key, const struct gcp_claims *claims, struct buf *ret,
	struct sfs_err *err);

#endif
