/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for back ends (R38-R48, R56-R59). One `struct http` per identity (back end, principal,
 * client certificate, proxy): one thread drives one curl_multi handle with its own connection pool,
 * while any number of worker threads block in http_do(). Retries with full jitter, Retry-After, the
 * retry bucket, the breaker, the rate limit, caps and deadlines are here and nowhere else.
 *
 * Never: redirects, cookies, netrc, authentication by libcurl, proxies or anything else from the
 * environment, plain http except as http_url_check() says, compressed answers, answers longer than
 * their cap, answers that end before they are complete.
 *
 * All functions are thread-safe unless they say otherwise.
 */
#ifndef SFS_NET_HTTP_H
#define SFS_NET_HTTP_H

#include "base/buf.h"
#include "base/call.h"
#include "base/err.h"
#include "base/path.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before the first thread of the process: the allocators of libcurl and OpenSSL wipe what
 * they free, OpenSSL gets a secure heap of its own (R4, R5). ENOMEM. */
int http_init(struct sfs_err *err);

struct http;

struct http_conf {
	const char *name;	      /* of the instance, for thread and messages: "prod" */
	const struct path_env *paths; /* how to open cacert, cert and key */
	const char *cacert; /* PEM file with the only certificates to trust; NULL = the system's */
	const char *cert, *key; /* PEM files of a client certificate, or NULL */
	const char *proxy;	/* http://HOST:PORT or https://HOST:PORT; NULL = none */
	bool insecure_http;	/* plain http to any host is wanted */
	double rate;		/* requests a second, as a bucket of that size; 0 = no limit */
};

/* Copies what it keeps. Trust files are read at the first request and again when they change: the
 * pool and its TLS sessions are then dropped (R44). Errors: EINVAL (proxy), ENOMEM, EAGAIN. */
int http_new(const struct http_conf *conf, struct http **ret, struct sfs_err *err);
/* After the last http_do() has returned. NULL is fine. */
void http_free(struct http *h);

/* Whether a URL may be asked: https, or http to loopback, a link-local metadata address, or with
 * `insecure`; no user, no fragment, no control or blank, no odd spelling of an address (0x7f000001,
 * 127.1). Errors: EINVAL with what is wrong; the URL itself is escaped in the sentence. */
int http_url_check(const char *url, bool insecure, struct sfs_err *err);
/* Host of a URL as it stands in the Host header: lower case, brackets kept, port only if it is not
 * that of the scheme. EINVAL, ENOMEM. */
int http_url_host(const char *url, struct buf *ret_host, struct sfs_err *err);

/* Headers of one attempt. Values are checked (R40): a control character is EINVAL before anything
 * is sent. */
struct http_headers;
int http_header(struct http_headers *h, const char *name, const char *value);
/* The same for tokens and signatures: `prefix` ("Bearer ", may be "") and the value, in wiped
 * memory. */
int http_header_secret(struct http_headers *h, const char *name, const char *prefix,
	const void *value, size_t len);

struct http_reply {
	int status;		/* of the last attempt; 0 = there was no answer */
	struct buf body;	/* BUF_SECRET */
	struct buf headers;	/* BUF_SECRET: "name: value\n" each, names in lower case */
	int64_t sent, received; /* wall time ns, between which the server made its Date */
	unsigned attempts;
};
#define HTTP_REPLY_INIT                                                       \
	{                                                                     \
		.body = BUF_SECRET_INIT(0), .headers = BUF_SECRET_INIT(65536) \
	}
/* Copies the value of the first header of that (lower case) name; false if there is none or it does
 * not fit. `out` is untouched then. */
bool http_reply_header(const struct http_reply *r, const char *name, char *out, size_t size);
/* The server's clock minus ours in ns, from Date and the middle of sent and received; false without
 * a usable Date. */
bool http_reply_skew(const struct http_reply *r, int64_t *ret_ns);
void http_reply_clear(struct http_reply *r);

enum http_verdict {
	HTTP_ACCEPT,	/* final, good or bad */
	HTTP_TRANSIENT, /* fault of the service: again after a pause */
	HTTP_THROTTLE,	/* too many requests: again after the pause it asks for, or ours */
	HTTP_RESEND,	/* again at once, because the next attempt is another one (new signature,
			   new credentials); at most once a request */
};

enum http_flags {
	HTTP_DIRECT = 1,     /* never through the proxy: metadata services, loopback */
	HTTP_NO_BREAKER = 2, /* neither counted by the breaker nor held back by it or by the rate:
				probes */
};

struct http_request {
	const char *method; /* "GET", "POST", "PUT" */
	const char *url;    /* checked by http_url_check() again */
	const void *body;   /* borrowed; NULL = none */
	size_t body_len;
	size_t cap; /* bytes of body that are accepted; above: EFBIG */
	unsigned flags;
	unsigned attempts;	 /* at most; 0 = 3 */
	int64_t connect_timeout; /* ns; 0 = 3 s */
	int64_t attempt_timeout; /* ns for one attempt; 0 = until the call's deadline */
	/* Adds the headers; called before each attempt (0-based), at the moment of sending, in the
	 * thread of http_do(). An error ends the request with it. */
	int (*headers)(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err);
	/* Judges a complete answer; NULL: 429 is THROTTLE, 500 502 503 504 are TRANSIENT. A
	 * redirect never comes here. */
	enum http_verdict (*judge)(void *arg, const struct http_reply *r);
	void *arg;
};

/* Sends, and again as the verdicts say, inside the call's deadline. 0: *ret holds the last answer,
 * whatever its status (also when the attempts are used up). Otherwise *ret is empty and the errno
 * is that of design section 4: EHOSTUNREACH (DNS, refused, reset; also while the breaker is open,
 * with the last failure's sentence), ETIMEDOUT, EPROTO (TLS with the reason, redirect with the host
 * it names), EFBIG (over the cap), EBADMSG (cut, malformed), ECANCELED, EBUSY (rate limit, queue
 * full), EINVAL (URL, header), ENOMEM. Transport failures are retried like HTTP_TRANSIENT. `ret` is
 * cleared first; its body's max is set to the cap. */
int http_do(struct http *h, const struct call *call, const struct http_request *rq,
	struct http_reply *ret, struct sfs_err *err);

struct http_stats {
	uint64_t requests; /* http_do() */
	uint64_t attempts; /* sent on the wire */
	uint64_t retries,
		errors;	    /* errors: http_do() that failed, and last answers of 4xx and 5xx */
	uint64_t throttled; /* answers judged HTTP_THROTTLE */
	uint64_t bytes_in, bytes_out;
	bool breaker_open;
};
void http_stats(struct http *h, struct http_stats *ret);

/* ---- the seam for tests: exact exchanges without a network ---- */

struct http_attempt {
	const char *method, *url;
	const struct http_headers *headers;
	const void *body;
	size_t body_len, cap;
	int64_t deadline; /* CLOCK_BOOTTIME ns */
};
struct http_transport {
	/* One attempt: fills status, headers and body, or -errno with a sentence. */
	int (*perform)(void *arg, const struct http_attempt *a, const struct call *call,
		struct http_reply *ret, struct sfs_err *err);
	void *arg;
};
/* Tests: every `struct http` made from now on sends through this instead of libcurl; NULL = libcurl
 * again. Not thread-safe. */
void http_fake(const struct http_transport *t);
/* Tests: the n-th header, or false. */
bool http_header_at(
	const struct http_headers *h, size_t n, const char **ret_name, const char **ret_value);

#endif
