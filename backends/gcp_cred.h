/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Application Default Credentials of Google Cloud: the rows of the chain, in order: options
 * (token_file=, credentials=), the file that GOOGLE_APPLICATION_CREDENTIALS names, gcloud's
 * well-known file, the metadata server. impersonate= takes the token of a service account with
 * whichever won.
 *
 * A set is one bearer token with what belongs to it; it expires by CLOCK_BOOTTIME, so that neither
 * a wrong wall clock nor one that is set matters.
 */
#ifndef SFS_BACKENDS_GCP_CRED_H
#define SFS_BACKENDS_GCP_CRED_H

#include "backends/gcp_conf.h"
#include "net/cred.h"
#include "net/http.h"

/* All but the token hold text with a NUL at its end, or are NULL. */
enum gcp_cred_field {
	GCP_CRED_TOKEN,
	GCP_CRED_QUOTA,	   /* quota project */
	GCP_CRED_UNIVERSE, /* NULL = googleapis.com */
	GCP_CRED_SIGNED,   /* there: the token is a JWT that we signed ourselves */
};

struct gcp_cred;

/* `http` carries token and metadata requests; all are borrowed until gcp_cred_free(). No network.
 * ENOMEM. */
int gcp_cred_new(const struct backend_env *env, const struct gcp_conf *conf, struct http *http,
	struct gcp_cred **ret, struct sfs_err *err);
/* Frees the chain too. NULL is fine. */
void gcp_cred_free(struct gcp_cred *g);

/* For cred_get(), cred_reject(), cred_current(); owned by `g`. */
struct cred_chain *gcp_cred_chain(struct gcp_cred *g);

/* What goes behind "Authorization: Bearer "; valid while `c` is. */
struct gcp_bearer {
	const void *token;
	size_t len;
	bool self_signed;
};
struct gcp_bearer gcp_cred_bearer(const struct cred *c);
/* For X-Goog-User-Project; NULL = no such header. Valid while both are. */
const char *gcp_cred_quota_project(const struct gcp_cred *g, const struct cred *c);

/* Where the API is: endpoint=, else `https://secretmanager[.LOCATION.rep].UNIVERSE`, without
 * version and slash at the end. Appends. May fetch credentials, which know the universe. Errors:
 * those of cred_get(), ENOMEM. */
int gcp_cred_base(
	struct gcp_cred *g, const struct call *call, struct buf *ret, struct sfs_err *err);
/* The same for status: without asking anybody, nothing is appended while it is not known. */
int gcp_cred_known_base(struct gcp_cred *g, struct buf *ret);
/* The project: that of the settings, else what the metadata server says (asked once it is needed,
 * remembered; a failure for some seconds). Appends. Errors: EINVAL with where to give it. */
int gcp_cred_project(
	struct gcp_cred *g, const struct call *call, struct buf *ret, struct sfs_err *err);

/* Takes the clock of whoever sent a reply from its Date: to be called with each reply of Google.
 * True when the clock we signed by was wrong by a minute or more and is right now: a self-signed
 * token that was refused should then be fetched anew (cred_reject()) and the request sent once
 * more. */
bool gcp_cred_skew(struct gcp_cred *g, const struct http_reply *reply);

/* Members of the status document: "credentials", "principal", "credentials_expire", "universe" and
 * the walk. As backend_ops.status; does not block. */
int gcp_cred_status(struct gcp_cred *g, struct buf *ret_json);
/* `secretfs check`: the walk, a step a row; who we are, the universe, the hosts that are asked. 0,
 * or -errno when there are no credentials. */
int gcp_cred_check(
	struct gcp_cred *g, const struct call *call, struct check_sink *sink, struct sfs_err *err);

/* As backend_ops.needs. (backends/gcp_needs.c) */
int gcp_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err);

#endif
