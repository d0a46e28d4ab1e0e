/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON answers credentials for AWS come in: of a credential_process, the container service, the
 * instance metadata, SSO. Pure functions; what they read is secret and stays in secret memory. A
 * field that is to stand in a header must be printable and without blanks (R40).
 */
#ifndef SFS_BACKENDS_AWS_CRED_JSON_H
#define SFS_BACKENDS_AWS_CRED_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "net/cred.h"
#include <stddef.h>
#include <stdint.h>

/* A set on its way to become a struct cred. Zero-initialise. */
struct aws_found {
	struct secret *field[CRED_FIELDS]; /* by enum aws_cred_field */
	int64_t expires;		   /* wall time ns; 0 = never */
	char *source;			   /* for people */
	char *principal;		   /* escaped; NULL = unknown */
};
void aws_found_clear(struct aws_found *f);

enum aws_keys_form {
	AWS_KEYS_PROCESS,   /* Version 1, SessionToken and Expiration optional */
	AWS_KEYS_CONTAINER, /* Token, Expiration optional */
	AWS_KEYS_IMDS,	    /* Code, Token, Expiration */
	AWS_KEYS_SSO,	    /* roleCredentials, expiration in ms */
};
/* Fills fields and expiry of `ret`, which is untouched on failure. Errors: EBADMSG with what is
 * wrong, never with bytes of the text; ENODATA: the instance metadata says with its Code that there
 * are none; ENOMEM. */
int aws_keys_parse(const char *text, size_t len, enum aws_keys_form form, struct aws_found *ret,
	struct sfs_err *err);

/* A token of `aws sso login`. */
struct aws_sso_token {
	struct secret *access;
	struct secret *refresh, *client_id, *client_secret; /* all, or NULL: not to be renewed */
	int64_t expires, registration_expires;		    /* wall time ns */
};
void aws_sso_token_clear(struct aws_sso_token *t);
/* The file in ~/.aws/sso/cache. EBADMSG, ENOMEM; `ret` is untouched on failure. */
int aws_sso_token_parse(
	const char *text, size_t len, struct aws_sso_token *ret, struct sfs_err *err);
/* The answer to a refresh at wall time `now`: replaces what it brings in `t`, which is untouched on
 * failure. EBADMSG, ENOMEM. */
int aws_sso_refresh_parse(
	const char *text, size_t len, int64_t now, struct aws_sso_token *t, struct sfs_err *err);

/* The names of a service's error answer ({"code": ..., "message": …} in any spelling) as printable
 * text; "" if there are none. */
void aws_refusal_text(const char *text, size_t len, char *out, size_t size);

#endif
