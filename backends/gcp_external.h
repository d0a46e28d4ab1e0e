/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials of another identity provider that Google takes in exchange (workload and workforce
 * identity federation: AIP-4117, RFC 8693) and tokens of service accounts taken with them: what the
 * files say, and the texts of the exchange. Pure functions; gcp_cred_external*.c and
 * gcp_cred_impersonate.c do the rest.
 */
#ifndef SFS_BACKENDS_GCP_EXTERNAL_H
#define SFS_BACKENDS_GCP_EXTERNAL_H

#include "backends/ask.h"
#include "backends/aws_sign.h"
#include "backends/gcp_doc.h"
#include "backends/needs.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCP_SUBJECT_MAX	     65536 /* a subject token; a SAML assertion has some 10 KiB */
#define GCP_EXCHANGE_MAX     (4 * GCP_SUBJECT_MAX) /* of a form, each byte as %XX and more */
#define GCP_SOURCE_HEADERS   ASK_HEADERS	   /* of the request for one */
#define GCP_LIST_MAX	     16			   /* delegates or scopes of one file */
#define GCP_ACCOUNT_LIFE     3600		   /* s; of the token of a service account */
#define GCP_ACCOUNT_LIFE_MIN 600		   /* s; what Google's tools take */
#define GCP_ACCOUNT_LIFE_MAX 43200		   /* s; where an organization policy allows it */

enum gcp_source_kind { GCP_SOURCE_FILE, GCP_SOURCE_URL, GCP_SOURCE_PROGRAM, GCP_SOURCE_AWS };

/* What credential_source says. Strings are NULL where nothing is given. */
struct gcp_source {
	enum gcp_source_kind kind;
	char *file; /* as written */
	char *url;  /* GCP_SOURCE_URL; GCP_SOURCE_AWS: where the keys of the role are */
	struct {
		char *name;
		struct buf value; /* BUF_SECRET */
	} header[GCP_SOURCE_HEADERS];
	size_t n_headers;
	char *field; /* of a file or URL: the member that is the token; NULL = the whole text */

	char *command, *output_file;
	int64_t timeout; /* ns */

	char *region_url, *verification_url, *session_url;
};

struct gcp_external {
	char *audience, *token_type, *token_url;
	char *impersonation_url; /* NULL = the federated token is used itself */
	unsigned lifetime;	 /* s; of the token of the service account */
	char *client_id;	 /* for HTTP Basic; NULL = none */
	struct secret *client_secret;
	char *user_project; /* of a workforce pool */
	struct gcp_source source;
};

/* A document of type external_account. *ret is untouched on failure, else the caller clears it.
 * Errors: EBADMSG with file and key, ENOMEM. */
int gcp_external_parse(const struct gcp_doc *doc, struct gcp_external *ret, struct sfs_err *err);
void gcp_external_clear(struct gcp_external *x);

/* A document of type impersonated_service_account, without its source. */
struct gcp_account {
	char *url;
	char *delegates[GCP_LIST_MAX + 1]; /* in order; ended by NULL */
	char *scopes[GCP_LIST_MAX + 1];	   /* none = cloud-platform */
};
int gcp_account_parse(const struct gcp_doc *doc, struct gcp_account *ret, struct sfs_err *err);
void gcp_account_clear(struct gcp_account *a);

/* The e-mail address in ".../serviceAccounts/EMAIL:generateAccessToken" (mem_free); NULL where it
 * is no such URL, or no memory. */
char *gcp_account_of(const char *url);

/* The token in what a file or URL gave: all of it without one line end, or a member of an object.
 * EBADMSG: nothing, or no such member, never with bytes of the text; ENOMEM. */
int gcp_subject_parse(const struct gcp_source *s, const char *text, size_t len, struct secret **ret,
	struct sfs_err *err);

/* What a program printed, or its output file. *ret_expires is wall time ns, 0 = not told. Errors:
 * EBADMSG (not as agreed), ENOKEY (it says with code and message why it has no token), EKEYEXPIRED
 * (at `now` the token is over), ENOMEM. */
int gcp_program_parse(const char *text, size_t len, int64_t now, struct secret **ret,
	int64_t *ret_expires, struct sfs_err *err);
/* The command with the variables that tell it what is wanted, as needs_command() and runner.run
 * take it (mem_free). `output_file` is its path, or NULL. NULL = no memory. */
char *gcp_program_line(const struct gcp_external *x, const char *output_file);

/* The subject token of an AWS role: a signed request for its identity, which Google sends, as
 * percent-encoded JSON. Appends to `ret` (BUF_SECRET). Errors: EBADMSG (the URL), those of
 * aws_sign(). */
struct gcp_aws_request {
	struct aws_keys keys;
	const char *region;
	const char *url; /* regional_cred_verification_url, with {region} */
	const char *audience;
	int64_t now; /* wall time ns */
};
int gcp_aws_subject(const struct gcp_aws_request *rq, struct buf *ret, struct sfs_err *err);

/* The form of the exchange, into a BUF_SECRET of GCP_EXCHANGE_MAX. ENOMEM, EFBIG. */
int gcp_exchange_form(const struct gcp_external *x, const char *scope, const struct secret *subject,
	struct buf *ret, struct sfs_err *err);

/* The body of generateAccessToken; lists end with NULL, `delegates` may be NULL. ENOMEM, EFBIG. */
int gcp_generate_body(char *const *scopes, char *const *delegates, unsigned lifetime,
	struct buf *ret, struct sfs_err *err);
/* Its answer: the token, and when it expires as wall time ns of the provider. Both untouched on
 * failure: EBADMSG, ENOMEM. */
int gcp_generate_parse(const char *text, size_t len, struct secret **ret_token,
	int64_t *ret_expires, struct sfs_err *err);
/* A refusal of it, in the first shape of gcp.md section 6: the errno with a sentence; `email` is
 * whose token was wanted. */
int gcp_generate_refused(
	int status, const char *text, size_t len, const char *email, struct sfs_err *err);

/* For `secretfs check`: a step for each host that a document (external_account,
 * external_account_authorized_user, impersonated_service_account) sends credentials to, and where
 * its subject token comes from; with a word of warning for a host that is not under the universe
 * domain. Another type: nothing. */
struct gcp_cred;
struct check_sink;
int gcp_external_check(
	const struct gcp_cred *g, const struct gcp_doc *doc, struct check_sink *sink);

/* What of a document of type external_account must be told before the mount, for gcp_needs():
 * files, variables, and the program if `programs` are allowed. */
struct backend_env;
int gcp_external_needs(const struct backend_env *env, const struct gcp_doc *doc, bool programs,
	struct needs *n, struct sfs_err *err);

#endif
