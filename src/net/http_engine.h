/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire: attempts by libcurl. A curl_multi handle carries the transfers, driven by a
 * thread of its own or by the first of those who wait; each waits by his own clock and leaves at
 * his deadline, whatever becomes of the transfer (R46).
 */
#ifndef SFS_NET_HTTP_ENGINE_H
#define SFS_NET_HTTP_ENGINE_H

#include "net/http.h"

struct http_wire;

/* Errors: EINVAL, ENOMEM. */
int http_wire_new(const struct http_conf *conf, struct http_wire **ret, struct sfs_err *err);
/* Ends its threads, except one that hangs in the system's resolver: that ends by itself. */
void http_wire_free(struct http_wire *w);
/* A perform() of struct http_transport; `arg` is the wire. */
int http_wire_perform(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err);
const char *http_wire_trusted(const struct http_wire *w);

#endif
