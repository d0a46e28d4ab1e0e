/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of Google's APIs (google.rpc.Status as JSON): what they mean for the caller, when to ask
 * again, and a sentence that says what to do. Judged by the status word where the body has one,
 * else by HTTP status; front ends and proxies answer HTML or anything. Pure functions.
 */
#ifndef SFS_BACKENDS_GCP_ERROR_H
#define SFS_BACKENDS_GCP_ERROR_H

#include "backends/said.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCP_WORD_MAX 64

enum gcp_error_class {
	GCP_FINAL,	 /* ask no more */
	GCP_TRANSIENT,	 /* fault of the service: again after a pause */
	GCP_THROTTLE,	 /* too many requests: again after a pause */
	GCP_CREDENTIALS, /* get a new token, once */
};

/* Which sentence. */
enum gcp_error_kind {
	GCP_ERR_OTHER,
	GCP_ERR_NO_SECRET,     /* no such secret, or one without a version */
	GCP_ERR_NO_VERSION,    /* no such version or alias */
	GCP_ERR_DISABLED,      /* the version */
	GCP_ERR_DESTROYED,     /* the version */
	GCP_ERR_KMS_KEY,       /* disabled, destroyed or scheduled for it */
	GCP_ERR_KMS_DENIED,    /* Secret Manager may not use the key */
	GCP_ERR_LOCATION,      /* by policy not this endpoint or location */
	GCP_ERR_STATE,	       /* another failed precondition */
	GCP_ERR_ARGUMENT,      /* bad name, filter or token of a page */
	GCP_ERR_TOKEN,	       /* no token, or one that is not accepted */
	GCP_ERR_DENIED,	       /* the permission is missing, or the secret */
	GCP_ERR_DENIED_BARE,   /* 403 without a reason */
	GCP_ERR_API_OFF,       /* Secret Manager is not enabled in the project */
	GCP_ERR_BILLING,       /* billing is off */
	GCP_ERR_QUOTA_PROJECT, /* the project that is to pay */
	GCP_ERR_SCOPE,	       /* the access token has too little scope */
	GCP_ERR_PERIMETER,     /* VPC Service Controls */
	GCP_ERR_THROTTLED,
	GCP_ERR_SERVICE,     /* 5xx */
	GCP_ERR_NOT_SERVICE, /* the endpoint is something else */
};

struct gcp_error {
	int status;		   /* HTTP */
	char word[GCP_WORD_MAX];   /* "PERMISSION_DENIED"; "" = the body has none */
	char reason[GCP_WORD_MAX]; /* of ErrorInfo: "SERVICE_DISABLED"; "" = none */
	char message[SAID_MAX];	   /* of the provider, escaped and cut; "" = none */
	int64_t delay;		   /* RetryInfo, ns; -1 = none */
	int errnum;		   /* positive, as in design section 4 */
	enum gcp_error_class class;
	enum gcp_error_kind kind;
};

/* From an answer that is not 200; never fails. */
void gcp_error_parse(int status, const void *body, size_t len, struct gcp_error *ret);

struct gcp_asked {
	const char *permission; /* "secretmanager.versions.access" */
	const char *grant;	/* what brings it: "roles/secretmanager.viewer on the project" */
	const char *credential; /* where the credentials came from, or NULL */
	const char *location;	/* of the source; NULL = global */
	bool lookup;		/* the name is one that somebody typed: a bad name is ENOENT */
	bool renewed;		/* the token is a new one, got because of this very error */
};
/* Sets the sentence and returns -errno. */
int gcp_error_sentence(
	const struct gcp_error *e, const struct gcp_asked *asked, struct sfs_err *err);

/* A duration of the JSON mapping ("3600s", "3.5s") as ns; what is too long saturates. EINVAL. */
int gcp_duration(const char *text, size_t len, int64_t *ret_ns);

#endif
