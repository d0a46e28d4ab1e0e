/* SPDX-License-Identifier: Apache-2.0 */
/* One request for settings or credentials: headers that are the same at each attempt. */
#ifndef SFS_BACKENDS_ASK_H
#define SFS_BACKENDS_ASK_H

#include "base/buf.h"
#include "net/http.h"

#define ASK_HEADERS   6
#define ASK_REPLY_MAX 65536 /* an answer with credentials (aws.md section 3, gcp.md section 2) */

/* All of it is borrowed. */
struct ask {
	const char *method, *url;
	struct {
		const char *name;
		const char *value; /* public, or */
		const struct buf *secret;
	} header[ASK_HEADERS];
	size_t n_headers;
	const struct buf *body; /* NULL = none */
	size_t cap;		/* of the answer's body; 0 = ASK_REPLY_MAX */
	unsigned flags, attempts;
	enum http_verdict (*judge)(
		void *arg, const struct http_reply *r); /* as struct http_request,
							    without its arg */
	int64_t timeout; /* of one attempt and of connecting, ns; 0 = as struct http_request */
};
/* At most ASK_HEADERS of both. */
void ask_header(struct ask *ask, const char *name, const char *value);
void ask_secret(struct ask *ask, const char *name, const struct buf *value);
/* As http_do(); the caller clears `ret`. */
int ask_do(struct http *h, const struct call *call, const struct ask *ask, struct http_reply *ret,
	struct sfs_err *err);

#endif
