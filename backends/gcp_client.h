/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of Secret Manager: a path becomes a GET with a bearer token, the answer a parsed
 * document or an errno with a sentence. Here and nowhere else: which host, the credentials of each
 * attempt, and what errors mean for trying again. The trying itself is net/http's.
 *
 * All functions are thread-safe but for new and free.
 */
#ifndef SFS_BACKENDS_GCP_CLIENT_H
#define SFS_BACKENDS_GCP_CLIENT_H

#include "backends/backend.h"
#include "backends/gcp_answer.h"
#include "backends/gcp_error.h"
#include "net/http.h"
#include "net/json.h"

struct gcp_client;

/* `location` is that of SOURCE. `env` must outlive the client; `opts` is looked at only now. No
 * network. Errors: EINVAL and others of the settings, ENOMEM. */
int gcp_client_new(const struct backend_env *env, const char *location,
	const struct opt_values *opts, struct gcp_client **ret, struct sfs_err *err);
/* After the last call has returned. NULL is fine. */
void gcp_client_free(struct gcp_client *c);

/* An operation: rows of constant tables. */
struct gcp_op {
	const char *permission; /* to name when it is denied */
	const char *grant;	/* the role that has it, and on what */
	size_t cap;		/* bytes of answer that are accepted */
	bool billed;		/* it costs money */
};

/* Cleared by the caller, also after a failure. */
struct gcp_answer {
	struct http_reply reply;      /* the text that `json` points into */
	struct json *json;	      /* NULL after a failure */
	const struct json_node *root; /* an object */
	struct gcp_error error;	      /* what the service said; errnum 0 = nothing */
};
#define GCP_ANSWER_INIT                   \
	{                                 \
		.reply = HTTP_REPLY_INIT, \
	}
void gcp_answer_clear(struct gcp_answer *a);

struct gcp_ask {
	const struct gcp_op *op;
	const struct gcp_name *name; /* NULL: the parent's collection `secrets` */
	const char *tail;	     /* behind the name: "/versions", ":access"; may be "" */
	const char *query;	     /* encoded, without the question mark; "" = none */
	bool lookup;		     /* somebody typed the name: one that cannot be is ENOENT */
	/* Takes what it wants out of an answer of 200, or NULL. -EBADMSG: it is damaged, and is
	 * asked for once more. */
	int (*read)(void *arg, const struct gcp_answer *a, struct sfs_err *err);
	void *arg;
};
/* `a` is cleared first. The version of `name` is part of the path where it is not "". Errors: those
 * of design section 4, by gcp_error.h and net/http.h; the sentence names the permission that is
 * missing and the role that brings it. On failure a->error tells what the service said, if it said
 * something. */
int gcp_call(struct gcp_client *c, const struct call *call, const struct gcp_ask *ask,
	struct gcp_answer *a, struct sfs_err *err);

/* The calls of struct backend_ops. `usd_per_call` is the list price of those that are billed. */
int gcp_client_status(struct gcp_client *c, struct buf *ret_json);
void gcp_client_counts(struct gcp_client *c, double usd_per_call, struct backend_counts *ret);
int gcp_client_check(struct gcp_client *c, const struct call *call, struct check_sink *sink,
	struct sfs_err *err);

#endif
