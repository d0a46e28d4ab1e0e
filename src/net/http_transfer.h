/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt on the wire. It is shared by the thread that waits and the engine's thread, and owns
 * all that libcurl borrows, so that the waiter can leave while libcurl is still at it.
 */
#ifndef SFS_NET_HTTP_TRANSFER_H
#define SFS_NET_HTTP_TRANSFER_H

#include "net/http.h"
#include "net/http_headers.h"
#include "net/http_trust.h"
#include "net/http_url.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

/* What the header lines of the answer so far have said. */
struct answer {
	unsigned blocks; /* status lines; all but the last are 1xx */
	unsigned lines;
	int version;	  /* 10, 11, 20 */
	bool over;	  /* the headers of the final answer are complete */
	bool until_close; /* only the end of the connection ends the body */
};

struct transfer {
	/* set before it is handed over, then only read */
	CURL *easy;
	struct trust *trust;
	struct http_url url, proxy; /* proxy.host "" = none */
	struct curl_slist *resolve;
	struct http_headers headers;
	struct buf body; /* BUF_SECRET copy of what is sent */
	size_t cap;
	int64_t connect_timeout;
	bool head; /* HEAD has no body */

	/* the engine's thread, until done */
	struct answer answer;
	struct http_reply reply;
	struct sfs_err err; /* code 0: reply is complete */
	char curl_says[CURL_ERROR_SIZE];
	bool running;

	/* under the engine's lock */
	struct transfer *next;
	bool done, left; /* left: nobody waits any more */
	pthread_cond_t cond;
	atomic_uint refs; /* waiter and engine */
};

struct transfer_conf {
	const struct http_attempt *attempt;
	const struct http_url *url, *proxy; /* proxy NULL = direct */
	const char *addresses;		    /* of the host that is connected to; "" = as written */
	struct trust *trust;
	struct x509_store_st *store; /* of the trust, which keeps it; NULL without TLS */
};

/* Takes the headers of the attempt over. One reference for the waiter. ENOMEM. */
int transfer_new(const struct transfer_conf *conf, struct transfer **ret, struct sfs_err *err);
struct transfer *transfer_ref(struct transfer *t);
void transfer_unref(struct transfer *t);

/* Callbacks of libcurl. */
size_t answer_header(char *line, size_t size, size_t n, void *arg);
size_t answer_body(char *data, size_t size, size_t n, void *arg);
/* Sets t->err from what libcurl ended with, or leaves it clear: the answer is complete. */
void answer_end(struct transfer *t, CURLcode code);

#endif
