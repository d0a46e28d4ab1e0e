/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of one attempt, and how those of an answer are kept. */
#ifndef SFS_NET_HTTP_HEADERS_H
#define SFS_NET_HTTP_HEADERS_H

#include "net/http.h"
#include <curl/curl.h>

struct http_headers {
	/* A curl list whose nodes are ours and whose text, "Name: value", is in the secret arena.
	 * libcurl borrows it. */
	struct curl_slist *first, *last;
	struct http_field *fields; /* parallel to it */
	size_t n;
	struct sfs_err err; /* why one was refused */
};

void http_headers_clear(struct http_headers *h);
/* Whether a header of that name (any case) is there. */
bool http_headers_have(const struct http_headers *h, const char *name);
size_t http_headers_size(const struct http_headers *h);
/* Makes libcurl leave out what it would add by itself. */
int http_headers_without(struct http_headers *h, const char *name);

/* Adds a line of an answer ("Name: value\r\n") to r->headers. EBADMSG if it is none; E2BIG. */
int http_reply_line(struct http_reply *r, const char *line, size_t len);
/* The first header of that name, or NULL. */
const char *http_reply_find(const struct http_reply *r, const char *name, size_t *ret_len);
size_t http_reply_count(const struct http_reply *r, const char *name);

#endif
