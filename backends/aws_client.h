/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of Secrets Manager or Parameter Store: a JSON body becomes a signed POST, the answer a
 * parsed document or an errno with a sentence. Here and nowhere else: which host and scope (those
 * of an ARN's region), the credentials of each attempt, the service's clock, and what its errors
 * mean for trying again. The trying itself is net/http's.
 *
 * All functions are thread-safe but for new and free.
 */
#ifndef SFS_BACKENDS_AWS_CLIENT_H
#define SFS_BACKENDS_AWS_CLIENT_H

#include "backends/aws_answer.h"
#include "backends/aws_endpoint.h"
#include "backends/aws_error.h"
#include "backends/backend.h"
#include "net/http.h"
#include "net/json.h"

struct aws_client;

/* `location_region` is the region that SOURCE names, "" = none. `env` must outlive the client;
 * `opts` is looked at only now. No network. Errors: EINVAL and others of the settings, ENOMEM. */
int aws_client_new(const struct backend_env *env, enum aws_service service,
	const char *location_region, const struct opt_values *opts, struct aws_client **ret,
	struct sfs_err *err);
/* After the last call has returned. NULL is fine. */
void aws_client_free(struct aws_client *c);

/* An operation: rows of constant tables. */
struct aws_op {
	const char *target; /* "secretsmanager.GetSecretValue" */
	const char *action; /* the IAM action to name when it is denied */
	size_t cap;	    /* bytes of answer that are accepted */
};

struct aws_ask {
	const struct aws_op *op;
	const char *name;	/* of the secret, for the region of an ARN; NULL = none */
	const struct buf *body; /* a JSON object */
	bool lookup;		/* somebody typed the name: one that cannot be is ENOENT */
};

/* Cleared by the caller, also after a failure. */
struct aws_answer {
	struct http_reply reply;      /* the text that `json` points into */
	struct json *json;	      /* NULL after a failure */
	const struct json_node *root; /* an object */
	struct aws_error error;	      /* what the service said; code "" and errnum 0 = nothing */
};
#define AWS_ANSWER_INIT                   \
	{                                 \
		.reply = HTTP_REPLY_INIT, \
	}
void aws_answer_clear(struct aws_answer *a);

/* `a` is cleared first. Errors: those of design section 4, by aws_error.h and net/http.h; the
 * sentence names the action that is missing and the request's id. On failure a->error tells what
 * the service said, if it said something. */
int aws_call(struct aws_client *c, const struct call *call, const struct aws_ask *ask,
	struct aws_answer *a, struct sfs_err *err);

/* For items of a batch: the sentence to one error in an answer of 200. Returns -errno. */
int aws_item_error(struct aws_client *c, const struct aws_op *op, struct aws_text code,
	struct aws_text message, struct sfs_err *err);

/* Whether an ARN is one of this service and partition; a plain name always is. EINVAL. */
int aws_client_check_name(struct aws_client *c, const char *name, struct sfs_err *err);
/* An ARN of another region than the client's: it cannot go into one batch with others. */
bool aws_client_is_elsewhere(struct aws_client *c, const char *name);

/* The calls of struct backend_ops. `usd_per_call` is the list price. */
int aws_client_status(struct aws_client *c, struct buf *ret_json);
void aws_client_counts(struct aws_client *c, double usd_per_call, struct backend_counts *ret);
int aws_client_check(struct aws_client *c, const struct call *call, struct check_sink *sink,
	struct sfs_err *err);

#endif
