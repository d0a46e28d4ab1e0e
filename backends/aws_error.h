/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of AWS services: the code in its many spellings made one, what it means for the caller
 * (the table of errnos), and a sentence that says what to do. Judged by code and not by HTTP
 * status, since Secrets Manager answers 400 to nearly everything. Pure functions.
 */
#ifndef SFS_BACKENDS_AWS_ERROR_H
#define SFS_BACKENDS_AWS_ERROR_H

#include "backends/aws_text.h"
#include "backends/said.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AWS_CODE_MAX	96
#define AWS_ACTION_MAX	80
#define AWS_MESSAGE_MAX SAID_MAX

enum aws_error_class {
	AWS_FINAL,	 /* ask no more */
	AWS_TRANSIENT,	 /* fault of the service: again after a pause */
	AWS_THROTTLE,	 /* too many requests: again after a pause */
	AWS_CREDENTIALS, /* renew the credentials (for web identity: read the token again), once */
	AWS_SKEW,	 /* see aws_skew() */
};

/* Which sentence. */
enum aws_error_kind {
	AWS_ERR_OTHER,	    /* a code that is not in the table */
	AWS_ERR_NO_SECRET,  /* no such secret or parameter */
	AWS_ERR_NO_VERSION, /* it is there but has no such version (or no value at all) */
	AWS_ERR_DELETED,    /* marked for deletion */
	AWS_ERR_REQUEST,    /* InvalidRequestException */
	AWS_ERR_ARGUMENT,   /* bad name or parameter */
	AWS_ERR_PAGE,	    /* NextToken is stale: list again from the start, once */
	AWS_ERR_DENIED,	    /* IAM or resource policy */
	AWS_ERR_KMS_DENIED, /* kms:Decrypt is missing */
	AWS_ERR_KMS_KEY,    /* the key is disabled, deleted or pending deletion */
	AWS_ERR_THROTTLED,
	AWS_ERR_SERVICE,     /* 5xx */
	AWS_ERR_EXPIRED,     /* the session token */
	AWS_ERR_UNKNOWN_KEY, /* id or token */
	AWS_ERR_SIGNATURE,   /* wrong secret key, or the clock */
	AWS_ERR_INCOMPLETE,  /* headers lost on the way */
	AWS_ERR_ACCOUNT,     /* account or region is not enabled */
	AWS_ERR_NOT_SERVICE, /* the endpoint is something else */
	AWS_ERR_IDENTITY,    /* STS does not accept the web identity token */
	AWS_ERR_POLICY,	     /* STS: session policy or duration */
};

struct aws_error {
	char code[AWS_CODE_MAX]; /* normalised, printable; "" = none */
	/* Of the provider, escaped and cut; "" = none. Without what services and proxies repeat of
	 * a request: a canonical request holds the session token. */
	char message[AWS_MESSAGE_MAX];
	char action[AWS_ACTION_MAX]; /* the IAM action it says is missing; "" = not told */
	int status;		     /* HTTP */
	int errnum;		     /* positive, as in design section 4 */
	enum aws_error_class class;
	enum aws_error_kind kind;
	bool clock; /* it is about time: "Signature expired", "not yet current" */
};

/* From code (or NULL) and message (or NULL) of an answer or of one item of a batch; never fails. */
void aws_error_classify(
	int status, struct aws_text code, struct aws_text message, struct aws_error *ret);
/* From an error answer of the JSON protocol; `type` is the header x-amzn-errortype or NULL. Bodies
 * that are empty, HTML or broken are judged by type and status. */
void aws_error_json(
	int status, const char *type, const void *body, size_t len, struct aws_error *ret);
/* From an error answer of STS. */
void aws_error_xml(int status, const void *body, size_t len, struct aws_error *ret);

struct aws_asked {
	const char *service;	/* aws_service_title() */
	const char *action;	/* the IAM action: "secretsmanager:GetSecretValue" */
	const char *credential; /* where the credentials came from, or NULL */
	bool lookup;		/* the name is one that somebody typed: a bad name is ENOENT */
};
/* Sets the sentence and returns -errno. */
int aws_error_sentence(
	const struct aws_error *e, const struct aws_asked *asked, struct sfs_err *err);

/* An answer of class AWS_SKEW: whether to sign and send once more, and with which offset (the
 * service's clock minus ours, to be kept for the next requests). `date` is the offset by its Date
 * header (http_reply_skew()), NULL without one; `used` the offset the request was signed with. */
bool aws_skew(const struct aws_error *e, const int64_t *date, int64_t used, int64_t *ret_offset);

#endif
