/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of token endpoints (oauth2, STS): an access token, or an OAuth error (RFC 6749 section
 * 5.2, RFC 8693). Pure functions, but for time.
 */
#ifndef SFS_BACKENDS_GCP_TOKEN_H
#define SFS_BACKENDS_GCP_TOKEN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCP_TOKEN_MAX 16384		    /* federated tokens have several KiB */
#define GCP_LIFETIME  (INT64_C(3600) - 225) /* s, of a token without expires_in: less a margin */

struct gcp_token {
	struct secret *access;
	struct secret *refresh; /* a new refresh token; NULL = the old one stays */
	int64_t life;		/* ns from now on */
};
void gcp_token_clear(struct gcp_token *t);

/* A successful answer: access_token, expires_in (number or string of it, optional), token_type
 * (Bearer where it is there), refresh_token. `ret` is untouched on failure. EBADMSG, never with
 * bytes of the text; ENOMEM. */
int gcp_token_parse(const char *text, size_t len, struct gcp_token *ret, struct sfs_err *err);

enum gcp_refusal_kind {
	GCP_REFUSED,	     /* not accepted: EKEYREJECTED */
	GCP_REFUSED_CLOCK,   /* "reasonable timeframe": the clock is off */
	GCP_REFUSED_EXPIRED, /* what was shown has expired or was revoked: EKEYEXPIRED */
	GCP_REFUSED_REAUTH,  /* a person must log in again (invalid_rapt): EKEYEXPIRED */
	GCP_REFUSED_THROTTLE,
	GCP_REFUSED_FAULT, /* of the service, passes: EREMOTEIO */
};
struct gcp_refusal {
	int status; /* HTTP; 0 = there was no refusal */
	enum gcp_refusal_kind kind;
	char error[64];	  /* "invalid_grant"; "" = the body says nothing */
	char subtype[64]; /* "invalid_rapt" */
	char reason[200]; /* error_description, printable, cut; nothing that looks like a token */
};
/* What a status that is not 200 means; any body. */
void gcp_refusal_parse(int status, const char *text, size_t len, struct gcp_refusal *ret);
/* The errno and a sentence: "WHAT does not accept CREDENTIAL: invalid_grant (...)". */
int gcp_refusal_sentence(
	const struct gcp_refusal *r, const char *what, const char *credential, struct sfs_err *err);

/* Appends `key=value` to a form (application/x-www-form-urlencoded), with & in front unless it is
 * the first; everything outside the unreserved characters as %XX. */
int gcp_form_add(struct buf *form, const char *key, const void *value, size_t len);

#endif
