/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files gcp_cred_external*.c and gcp_cred_impersonate.c. */
#ifndef SFS_BACKENDS_GCP_CRED_EXTERNAL_H
#define SFS_BACKENDS_GCP_CRED_EXTERNAL_H

#include "backends/gcp_cred_impl.h"
#include "backends/gcp_external.h"
#include "base/log.h"

/* One subject token that is wanted. */
struct gcp_subject_ask {
	struct gcp_cred *g;
	const struct call *call;
	const struct gcp_external *x;
	const char *path; /* of the credentials file, for people */
	bool again;	  /* the last one was not accepted: not from a cache of the source */
};

/* Each gives a token (secret_unref()); they run in the thread of the rows. Errors: EBADMSG, ENOKEY,
 * EACCES, ENOENT and the like with the source in the sentence; those of http_do(). */
int gcp_subject_file(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err);
int gcp_subject_url(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err);
int gcp_subject_program(
	const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err);
int gcp_subject_aws(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err);
/* Where it comes from, for people: "file /x", "the program /y". Returns `out`. */
const char *gcp_subject_shown(const struct gcp_external *x, char *out, size_t size);

/* GET (or, of a session token, PUT) of `url` for a subject token: plain http without a proxy. The
 * answer must be 200. `ask` has headers at most. */
int gcp_subject_get(const struct gcp_subject_ask *ask, struct ask *request, struct http_reply *ret,
	struct sfs_err *err);

/* Token of a service account with the token of `found`, which is replaced with its expiry, source
 * and principal. */
struct gcp_generate {
	const char *url;
	char *const *scopes, *const *delegates; /* ended by NULL; delegates may be NULL */
	const char *quota_project;		/* of who asks; NULL = none */
	unsigned lifetime;			/* s */
};
int gcp_generate(struct gcp_cred *g, const struct call *call, const struct gcp_generate *what,
	struct gcp_found *found, struct sfs_err *err);

/* Whose quota that uses where the source of the token is what the settings and the file mean. */
const char *gcp_asker_quota(const struct gcp_cred *g, const struct gcp_found *found);

/* Says in the log, as often as `rate` lets it, that credentials go to a host that is not under the
 * universe domain. */
#define GCP_WARN_SECONDS (24 * 3600)
void gcp_external_warn(const struct gcp_cred *g, const struct gcp_doc *doc, const char *url,
	struct log_rate *rate);

#endif
