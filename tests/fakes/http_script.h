/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP by script, for tests of what calls http_do(): a list of exchanges, each an attempt exactly
 * as it must be and the answer it gets. Attempts must come in this order, and all of them.
 *
 *   static const struct http_exchange ex[] = {
 *           {.method = "GET", .url = "https://x/y", .status = 200, .reply = "{}"},
 *   };
 *   struct http_script s;
 *   http_script_start(&s, ex, 1);      every http_new() from now on uses it
 *   ...
 *   cr_assert_null(http_script_end(&s), "%s", s.problem);
 */
#ifndef SFS_TESTS_HTTP_SCRIPT_H
#define SFS_TESTS_HTTP_SCRIPT_H

#include "net/http.h"

#define HTTP_SCRIPT_HEADERS 16

struct http_exchange {
	const char *method, *url;
	/* "name: value" that must be there (names in any case, the value exactly; one that ends in
	 * "*" only begins so), "!name" that must not. Ends at NULL. */
	const char *headers[HTTP_SCRIPT_HEADERS];
	const char *body; /* exactly; NULL: none. With body_len 0 it is a C string */
	size_t body_len;
	bool any_body;	/* the body is not looked at */
	unsigned flags; /* of the request, exactly */

	int fail;	   /* errno instead of an answer */
	const char *why;   /* its sentence */
	int64_t takes;	   /* ns the fake clock moves, if it is in use */
	int status;	   /* of the answer */
	const char *with;  /* its headers: "name: value\n" each, names in lower case */
	const char *reply; /* its body; with reply_len 0 a C string */
	size_t reply_len;
};

struct http_script {
	const struct http_exchange *ex;
	size_t n, at;	/* of them, done */
	int64_t paused; /* ns of all pauses; they move a fake clock */
	unsigned pauses;
	const char *problem; /* first thing that was not as it must be, or NULL */
	char text[1024];
};

void http_script_start(struct http_script *s, const struct http_exchange *ex, size_t n);
/* Libcurl again. NULL if everything came as written, else what did not (never a header's value). */
const char *http_script_end(struct http_script *s);

#endif
