/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP for back ends (R38-R48, R56-R59). One `struct http` per identity (back end, principal,
 * client certificate, proxy): one curl_multi handle with its own connection pool, which one thread
 * at a time drives, while any number of worker threads block in http_do(). Retries with full
 * jitter, Retry-After, the retry bucket, the breaker, the rate limit, caps and deadlines are here
 * and nowhere else.
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

/* Once, after secret_init() and before the first thread and the first use of OpenSSL in the
 * process: libcurl and nghttp2 live in the secret arena (or, when that is full, in memory that is
 * wiped when freed), OpenSSL wipes what it frees and gets a secure heap of its own (R4, R5), and
 * variables that these libraries read are removed from the environment (R18). A second call does
 * nothing. Errors: ENOMEM, EOPNOTSUPP (a libcurl without OpenSSL), EALREADY (OpenSSL was used
 * before). */
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

/* Copies what it keeps, `paths` excepted, which stays valid. Trust files are read at the first
 * request and again when they change: the pool and its TLS sessions are then dropped (R44). Errors:
 * EINVAL (proxy, no http_init()), ENOMEM. */
int http_new(const struct http_conf *conf, struct http **ret, struct sfs_err *err);
/* After the last http_do() has returned. NULL is fine. */
void http_free(struct http *h);
/* Path of the certificates that are trusted, for status; valid while `h` lives. */
const char *http_trusted(const struct http *h);

/* Whether a URL may be asked: https, or http to loopback, the metadata service of a cloud, or with
 * `insecure`; no user, no fragment, no control, blank or other byte that must be escaped, no odd
 * spelling of an address (0x7f000001, 127.1). Errors: EINVAL with what is wrong; of the URL the
 * sentence shows scheme, host and port at most.
 *
 * A name that resolves to loopback, link-local or multicast addresses is not connected to
 * (EHOSTUNREACH) unless it is `localhost` or below it, or the metadata service's, or `insecure`. */
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
#define HTTP_REPLY_INIT                                                                      \
	{                                                                                    \
		.body = BUF_SECRET_INIT(0), .headers = BUF_SECRET_INIT(SFS_HTTP_HEADERS_MAX) \
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
			   new credentials); at most once a request, beyond its attempts */
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
	unsigned attempts;	  /* at most, HTTP_RESEND not counted; 0 = 3 */
	int64_t connect_timeout;  /* ns; 0 = 3 s */
	int64_t attempt_timeout;  /* ns for one attempt; 0 = until the call's deadline */
	int64_t backoff;	  /* ns, base of the pauses before retries; 0 = 100 ms */
	int64_t throttle_backoff; /* the same after HTTP_THROTTLE; 0 = `backoff` */
	/* Adds the headers; called before each attempt (0-based), at the moment of sending, in the
	 * thread of http_do(). An error ends the request with it. */
	int (*headers)(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err);
	/* Judges a complete answer; NULL: 429 is THROTTLE, 500 502 503 504 are TRANSIENT. A
	 * redirect never comes here. */
	enum http_verdict (*judge)(void *arg, const struct http_reply *r);
	/* After a verdict that is not HTTP_ACCEPT: the ns that the body of the answer asks to wait,
	 * as Retry-After does; negative = it does not. NULL: bodies ask for nothing. */
	int64_t (*pause)(void *arg, const struct http_reply *r);
	void *arg;
	/* What to say beside when the host's name does not exist, which is then likely a wrong
	 * setting; static, or NULL. */
	const char *no_host;
};

/* Sends, and again as the verdicts say, inside the call's deadline. 0: *ret holds the last answer,
 * whatever its status (also when the attempts are used up). Otherwise *ret is empty and the errno
 * is that of design section 4: EHOSTUNREACH (DNS, refused, reset; also while the breaker is open,
 * with the last failure's sentence), EREMOTEIO (the same where the last failure was an answer),
 * ETIMEDOUT, EPROTO (TLS with the reason, redirect with the host
 * it names), EFBIG (over the cap), EBADMSG (cut, malformed), ECANCELED, EBUSY (rate limit, queue
 * full, a pause the server asked for), EINVAL (URL, header), ENOMEM. What could not connect, timed
 * out or was cut is retried like HTTP_TRANSIENT; TLS, caps and redirects are final.
 *
 * Pauses: full jitter (R56) up to 5 s, or what Retry-After asks for up to 60 s, or
 * x-amz-retry-after (ms) if that is longer than ours by at most 5 s. One that does not fit into the
 * deadline is not waited for: the answer is returned at once. Requests that come before the moment
 * a Retry-After named wait for it too, or fail with EBUSY (R58). `ret` is cleared first; its body's
 * max is set to the cap. */
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
	struct http_headers *headers; /* may be taken over: whoever does leaves none behind */
	const void *body;
	size_t body_len, cap;
	unsigned flags;		 /* enum http_flags */
	int64_t connect_timeout; /* ns */
	int64_t deadline;	 /* of this attempt; CLOCK_BOOTTIME ns */
};
struct http_transport {
	/* One attempt: fills status, headers, body, sent and received, or -errno with a sentence;
	 * ENXIO: the host's name does not exist. */
	int (*perform)(void *arg, const struct http_attempt *a, const struct call *call,
		struct http_reply *ret, struct sfs_err *err);
	/* Instead of waiting between attempts (a fake clock may be moved here); NULL = waits. */
	void (*pause)(void *arg, int64_t ns);
	void *arg;
};
/* Tests: every `struct http` made from now on sends through this instead of libcurl; NULL = libcurl
 * again. Not thread-safe. */
void http_fake(const struct http_transport *t);
/* Tests: the n-th header, or false. */
bool http_header_at(
	const struct http_headers *h, size_t n, const char **ret_name, const char **ret_value);

#endif
