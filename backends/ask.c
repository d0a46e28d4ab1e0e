/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/ask.h"

#include <errno.h>
#include <stdint.h>

void ask_header(struct ask *ask, const char *name, const char *value)
{
	ask->header[ask->n_headers].name = name;
	ask->header[ask->n_headers++].value = value;
}

void ask_secret(struct ask *ask, const char *name, const struct buf *value)
{
	ask->header[ask->n_headers].name = name;
	ask->header[ask->n_headers++].secret = value;
}

static int add_headers(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err)
{
	const struct ask *ask = arg;
	(void)attempt;
	for (size_t i = 0; i < ask->n_headers; i++) {
		const struct buf *s = ask->header[i].secret;
		int r = s ? http_header_secret(h, ask->header[i].name, "", buf_text(s), s->len)
			  : http_header(h, ask->header[i].name, ask->header[i].value);
		if (r < 0)
			return err_errno(err, -r, "header %s", ask->header[i].name);
	}
	return 0;
}

int ask_do(struct http *h, const struct call *call, const struct ask *ask, struct http_reply *ret,
	struct sfs_err *err)
{
	struct http_request rq = {.method = ask->method,
		.url = ask->url,
		.body = ask->body ? buf_text(ask->body) : NULL,
		.body_len = ask->body ? ask->body->len : 0,
		.cap = ask->cap ? ask->cap : ASK_REPLY_MAX,
		.flags = ask->flags,
		.attempts = ask->attempts,
		.connect_timeout = ask->timeout,
		.attempt_timeout = ask->timeout,
		.headers = add_headers,
		.judge = ask->judge,
		.arg = (void *)(uintptr_t)ask};
	return http_do(h, call, &rq, ret, err);
}
