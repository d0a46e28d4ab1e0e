/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the credentials for Google Cloud. Rows run in one thread (net/cred.h), so that what
 * only they touch needs no lock; `lock` guards what others look at too.
 */
#ifndef SFS_BACKENDS_GCP_CRED_IMPL_H
#define SFS_BACKENDS_GCP_CRED_IMPL_H

#include "backends/ask.h"
#include "backends/credwatch.h"
#include "backends/gcp_cred.h"
#include "backends/gcp_doc.h"
#include "backends/gcp_token.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define GCP_SCOPE_CLOUD "https://www.googleapis.com/auth/cloud-platform"
#define GCP_SCOPE_IAM                                                              \
	"https://www.googleapis.com/auth/iam" /* a token that is impersonated with \
					       */

struct gcp_cred {
	const struct backend_env *env;
	const struct gcp_conf *conf;
	struct http *http;
	struct cred_chain *chain;
	char *name;		/* of the chain in log lines: "gcp/prod" */
	struct credwatch watch; /* files of the last run */

	/* rows only */
	struct secret *refresh_now, *refresh_was; /* external_account_authorized_user: the token
						     that took the place of the file's, and the
						     file's at that time */
	int64_t none_until; /* boot time until which it is known that there is no metadata server */
	struct sfs_err none;	 /* what was found instead */
	char *metadata_universe; /* as it says, "" = googleapis.com; NULL = not asked yet */
	char *metadata_email;	 /* escaped; "" = it has none; NULL = not asked yet */

	int64_t born;	      /* boot time of gcp_cred_new() */
	atomic_bool seen;     /* the metadata server has answered */
	_Atomic int64_t skew; /* clock of Google minus ours, ns */

	pthread_mutex_t lock;
	char *project;	       /* as the metadata server says; NULL = not asked yet */
	int64_t project_retry; /* boot time: a failure is remembered until then */
	struct sfs_err project_failure;
};

/* A token on its way to become a set. Zero-initialise; gcp_found_clear() by the caller, also after
 * a failure. Texts are escaped already. */
struct gcp_found {
	struct secret *token;
	int64_t expires;     /* boot time ns; 0 = never */
	bool self_signed;    /* a JWT that we signed */
	char *source;	     /* for people: "key of sa@p.iam.gserviceaccount.com in /x.json" */
	char *principal;     /* who we are; NULL = unknown */
	char *quota_project; /* that the file names; NULL = none */
	char *universe;	     /* of the credential; NULL = googleapis.com */
};
void gcp_found_clear(struct gcp_found *f);
/* Sets source (printf) and principal (copied, may be NULL), in place of what is there. */
int gcp_found_about(struct gcp_found *f, const char *principal, struct sfs_err *err,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static inline int gcp_no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for credentials");
}

/* ---- one type of credentials: all of this form ---- */

/* Gets a token of `scope` by `doc`, fills token, expires, self_signed, source and principal of
 * `ret`. Whoever calls has checked the universe and set `universe` and `quota_project`. Errors: of
 * the file (EBADMSG, EACCES), of who gives the token (gcp.md section 6). Never -ENODATA: a file
 * that is there is configured. */
typedef int (*gcp_type_fn)(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);

int gcp_cred_service_account(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);
int gcp_cred_authorized_user(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);
int gcp_cred_external_account(struct gcp_cred *g, const struct call *call,
	const struct gcp_doc *doc, const char *scope, struct gcp_found *ret, struct sfs_err *err);
int gcp_cred_external_user(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);
int gcp_cred_impersonated(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);

/* Any of them by the document's type (gcp_cred_file.c), also of a nested one: checks its universe,
 * takes over universe and quota project. */
int gcp_cred_doc(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);
/* The same of a file, which is watched from then on; `from` is what names it, or NULL. */
int gcp_cred_file(struct gcp_cred *g, const struct call *call, const char *path, const char *from,
	const char *scope, struct gcp_found *ret, struct sfs_err *err);
/* The errno of a file that cannot be read, as who reads a secret gets it; "FROM: " in front. */
int gcp_file_error(int r, const char *from, struct sfs_err *err);
/* The credentials of `path` are for `universe` (taken over; NULL = googleapis.com): EINVAL if
 * another one is configured, so that nothing is sent. */
int gcp_take_universe(struct gcp_cred *g, const char *path, char *universe, struct gcp_found *f,
	struct sfs_err *err);
/* Steps of `secretfs check` that a file gives: the hosts that are asked with it. */
void gcp_check_file(struct gcp_cred *g, const char *path, struct check_sink *sink);
/* The metadata server; -ENODATA: there is none, or it has no service account. */
int gcp_cred_metadata(
	struct gcp_cred *g, const struct call *call, struct gcp_found *ret, struct sfs_err *err);

/* impersonate=: replaces token, expiry, source and principal of `found`, whose token has
 * GCP_SCOPE_IAM or more, by those of the service account `email`; its universe stays. The URL is
 * conf->iam_endpoint, else iamcredentials of the universe. */
int gcp_impersonate(struct gcp_cred *g, const struct call *call, const char *email,
	struct gcp_found *found, struct sfs_err *err);

/* ---- asking ---- */

#define GCP_TOKEN_URL "https://oauth2.googleapis.com/token"

struct gcp_token_ask {
	const char *what;	/* who is asked, for people: "the token endpoint" */
	const char *credential; /* what is shown, for people: "the refresh token in FILE" */
	const char *url;	/* https, or http to loopback */
	const struct buf *form; /* BUF_SECRET, of gcp_form_add() */
	const char *client_id;	/* HTTP Basic with `client_secret`; NULL = without */
	const struct secret *client_secret;
};
/* POSTs the form; faults are tried again. 0: `ret` is filled. *ret_refusal (never NULL) is filled
 * with status and words of a refusal, so that the caller may do something about it and ask again;
 * `err` has the sentence then. The clock offset is taken from any answer. */
int gcp_token_post(struct gcp_cred *g, const struct call *call, const struct gcp_token_ask *ask,
	struct gcp_token *ret, struct gcp_refusal *ret_refusal, struct sfs_err *err);
/* Boot time `life` ns from now. */
static inline int64_t gcp_expires(int64_t life)
{
	return clock_boot() + life;
}
/* Boot time of a wall time that the provider named. */
int64_t gcp_expires_at(const struct gcp_cred *g, int64_t wall);
/* The wall time of the provider, ns: ours with the offset. */
int64_t gcp_now(const struct gcp_cred *g);

/* The bytes of a secret, into a BUF_SECRET. */
int gcp_secret_add(struct buf *out, const struct secret *s);
/* "Bearer TOKEN" into a BUF_SECRET, for ask_secret(&ask, "Authorization", ...). */
int gcp_bearer_add(struct buf *out, const struct secret *token);
/* The host of a URL for people, printable; "?" for none. */
const char *gcp_host_shown(const char *url, char *out, size_t size);

#endif
