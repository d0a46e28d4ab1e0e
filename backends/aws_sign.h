/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4 in the Authorization header. Nothing is sent here: the result can as well
 * be handed to somebody else (Google's workload identity federation wants a signed request).
 *
 * What is signed must be what is sent: send exactly these headers, `x-amz-date` = the date returned
 * here, `x-amz-security-token` = the token, and Host as given.
 */
#ifndef SFS_BACKENDS_AWS_SIGN_H
#define SFS_BACKENDS_AWS_SIGN_H

#include "backends/aws_time.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include <stddef.h>
#include <stdint.h>

/* Borrowed; all of one generation (struct cred keeps them together). */
struct aws_keys {
	const struct secret *id;    /* AKIA... or ASIA... */
	const struct secret *key;   /* the secret access key */
	const struct secret *token; /* NULL = long-term keys; any length */
};

struct aws_header {
	const char *name; /* any case; signed in lower case */
	const char *value;
};

#define AWS_SIGN_HEADERS 16 /* of the caller; we send four */

struct aws_sign_request {
	const char *method; /* "POST" */
	const char *host;   /* as sent in Host: lower case, port only if not the scheme's */
	const char *path;   /* as sent, percent-encoded; "/" */
	const char *query;  /* as sent: encoded, sorted by name; "" */
	/* To be signed beside host, x-amz-date and x-amz-security-token, which come from here:
	 * content-type and every x-amz-* that is sent. Never user-agent, expect, connection. */
	const struct aws_header *headers;
	size_t n_headers;
	const void *body;
	size_t body_len;
	const char *region;  /* of the configuration or the ARN, never guessed from the host */
	const char *service; /* aws_signing_name() */
	int64_t now;	     /* wall time ns, the skew of the service added */
};

/* Appends the value of Authorization to `ret_authorization` (BUF_SECRET: with the signature one
 * could repeat the request for minutes) and writes the date to send. Both untouched on failure.
 * Errors: EINVAL (a header twice, control characters, no key, a region or service with a slash),
 * ENOMEM, EFBIG, EIO. */
int aws_sign(const struct aws_keys *keys, const struct aws_sign_request *rq,
	char ret_date[AWS_DATE], struct buf *ret_authorization, struct sfs_err *err);

/* The parts, for tests against published vectors. The caller wipes the key. */
int aws_sign_key(const void *secret, size_t len, const char date[AWS_DATE], const char *region,
	const char *service, unsigned char ret_key[32]);
int aws_sign_canonical(const struct aws_keys *keys, const struct aws_sign_request *rq,
	const char date[AWS_DATE], struct buf *ret, struct sfs_err *err);

#endif
