/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of one transfer. Everything that libcurl would take from files or the environment,
 * or do on its own, is switched off by name: redirects, cookies, netrc, authentication, proxies,
 * compression, alternative services.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "net/http_transfer.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#define LIFETIME_S   3600L /* R44: a connection outlives a change of trust by no more */
#define SECURITY_MIN 1	   /* OpenSSL's level: at least no signatures with SHA-1 */
#define CONNECT_LINE 1024

static const struct {
	CURLoption option;
	long value;
} fixed[] = {
	{CURLOPT_NOSIGNAL, 1},
	{CURLOPT_NOPROGRESS, 1},
	{CURLOPT_FOLLOWLOCATION, 0},
	{CURLOPT_NETRC, CURL_NETRC_IGNORED},
	{CURLOPT_HTTP09_ALLOWED, 0},
	{CURLOPT_HTTP_CONTENT_DECODING, 0},
	{CURLOPT_PATH_AS_IS, 1}, /* what was signed is what is sent */
	{CURLOPT_QUICK_EXIT, 1},
	{CURLOPT_LOW_SPEED_LIMIT, 1},
	{CURLOPT_LOW_SPEED_TIME, 30},
	{CURLOPT_MAXLIFETIME_CONN, LIFETIME_S},
	{CURLOPT_TCP_KEEPALIVE, 1},
	{CURLOPT_UPLOAD_BUFFERSIZE, 16384}, /* made and wiped for each request */
	{CURLOPT_PIPEWAIT, 1},
	{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_SSL_VERIFYPEER, 1},
	{CURLOPT_SSL_VERIFYHOST, 2},
	{CURLOPT_SSL_SESSIONID_CACHE, 0}, /* a resumed session checks no certificate (R44) */
	{CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_PROXY_SSL_VERIFYPEER, 1},
	{CURLOPT_PROXY_SSL_VERIFYHOST, 2},
	{CURLOPT_HTTPPROXYTUNNEL, 1}, /* the proxy sees CONNECT and nothing of the request */
	{CURLOPT_HEADEROPT, CURLHEADER_SEPARATE},
	{CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
};

/* Of a new connection, to the server or to the proxy. */
static CURLcode prepare_tls(CURL *easy, void *ctx, void *arg)
{
	(void)easy;
	if (!arg) /* never: nothing would be trusted */
		return CURLE_SSL_CACERT_BADFILE;
	SSL_CTX_set1_cert_store(ctx, arg);
	SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT);
	if (SSL_CTX_get_security_level(ctx) < SECURITY_MIN)
		SSL_CTX_set_security_level(ctx, SECURITY_MIN);
	return CURLE_OK;
}

/* The text is the trust's, which the transfer holds: nothing is copied. */
static CURLcode set_blob(CURL *easy, CURLoption option, const struct buf *b)
{
	struct curl_blob blob = {.data = b->data, .len = b->len, .flags = CURL_BLOB_NOCOPY};
	return b->len ? curl_easy_setopt(easy, option, &blob) : CURLE_OK;
}

/* libcurl would read or copy the certificates to trust for each connection: it is told of none, and
 * gets the store that is made of them. */
static unsigned set_tls(struct transfer *t, const struct transfer_conf *c)
{
	static const CURLoption own[] = {
		CURLOPT_CAINFO, CURLOPT_CAPATH, CURLOPT_PROXY_CAINFO, CURLOPT_PROXY_CAPATH};
	CURL *e = t->easy;
	const struct buf *text = t->trust->text;
	unsigned bad = 0;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		bad |= curl_easy_setopt(e, own[i], NULL);
	if (c->url->scheme == HTTP_TLS) {
		bad |= set_blob(e, CURLOPT_SSLCERT_BLOB, &text[TRUST_CERT]);
		bad |= set_blob(e, CURLOPT_SSLKEY_BLOB, &text[TRUST_KEY]);
	}
	bad |= curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, c->store);
	bad |= curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
	return bad;
}

/* "HOST:PORT:ADDRESSES"; the + lets the entry age like any other. */
static unsigned set_route(struct transfer *t, const struct transfer_conf *c)
{
	const struct http_url *to = c->proxy ? c->proxy : c->url;
	CURL *e = t->easy;
	char line[CONNECT_LINE];
	unsigned bad = 0;
	if (*c->addresses) {
		snprintf(line, sizeof(line), "+%s:%u:%s", to->host, to->port, c->addresses);
		t->resolve = curl_slist_append(NULL, line);
		if (!t->resolve)
			return 1;
		bad |= curl_easy_setopt(e, CURLOPT_RESOLVE, t->resolve);
	}
	bad |= curl_easy_setopt(e, CURLOPT_NOPROXY, "");
	if (!c->proxy)
		return bad | curl_easy_setopt(e, CURLOPT_PROXY, "");
	snprintf(line, sizeof(line), to->v6 ? "%s://[%s]:%u" : "%s://%s:%u",
		to->scheme == HTTP_TLS ? "https" : "http", to->host, to->port);
	return bad | curl_easy_setopt(e, CURLOPT_PROXY, line);
}

static unsigned set_method(struct transfer *t, const struct http_attempt *a)
{
	CURL *e = t->easy;
	unsigned bad = 0;
	t->head = strcmp(a->method, "HEAD") == 0;
	if (t->head)
		return curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	if (strcmp(a->method, "GET") == 0 && a->body_len == 0)
		return curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	if (a->body || strcmp(a->method, "DELETE") != 0) {
		bad |= curl_easy_setopt(e, CURLOPT_POST, 1L);
		bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body_len);
		bad |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, a->body_len ? t->body.data : "");
	}
	return bad | curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, a->method);
}

/* Only what the caller asks for is sent, besides Host, Content-Length and User-Agent. */
static unsigned set_headers(struct transfer *t, struct http_attempt const *a)
{
	static const char *const unwanted[] = {"Accept", "Content-Type", "Expect"};
	t->headers = *a->headers;
	*a->headers = (struct http_headers){0};
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
		if (http_headers_without(&t->headers, unwanted[i]) < 0)
			return 1;
	return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers.first) |
	       curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "secretfs/" SFS_VERSION);
}

static long milliseconds(int64_t ns)
{
	int64_t ms = (ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (long)ms;
}

static unsigned set_all(struct transfer *t, const struct transfer_conf *c)
{
	const struct http_attempt *a = c->attempt;
	CURL *e = t->easy;
	unsigned bad = 0;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		bad |= curl_easy_setopt(e, fixed[i].option, fixed[i].value);
	bad |= curl_easy_setopt(
		e, CURLOPT_PROTOCOLS_STR, c->url->scheme == HTTP_TLS ? "https" : "http");
	bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
		c->url->scheme == HTTP_TLS ? (long)CURL_HTTP_VERSION_2TLS
					   : (long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(e, CURLOPT_URL, a->url);
	bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	bad |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->curl_says);
	bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, answer_header);
	bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, answer_body);
	bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	/* The waiter's clock decides; this is for one that stopped. */
	bad |= curl_easy_setopt(
		e, CURLOPT_TIMEOUT_MS, milliseconds(a->deadline - clock_boot() + NSEC_PER_SEC));
	bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(a->connect_timeout));
	return bad | set_headers(t, a) | set_method(t, a) | set_route(t, c) | set_tls(t, c);
}

int transfer_new(const struct transfer_conf *c, struct transfer **ret, struct sfs_err *err)
{
	const struct http_attempt *a = c->attempt;
	struct transfer *t = mem_calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ENOMEM, "out of memory");
	pthread_cond_t *cond = &t->cond;
	clock_cond_init(cond);
	t->refs = 1;
	t->reply = (struct http_reply)HTTP_REPLY_INIT;
	t->reply.body.max = t->cap = a->cap;
	t->body = (struct buf)BUF_SECRET_INIT(a->body_len);
	t->trust = trust_ref(c->trust);
	t->url = *c->url;
	if (c->proxy)
		t->proxy = *c->proxy;
	t->connect_timeout = a->connect_timeout;
	t->easy = curl_easy_init();
	if (!t->easy || (a->body_len && buf_add(&t->body, a->body, a->body_len) < 0) ||
		set_all(t, c) != 0) {
		transfer_unref(t);
		return err_set(err, ENOMEM, "out of memory for a request to %s", c->url->host);
	}
	*ret = t;
	return 0;
}

struct transfer *transfer_ref(struct transfer *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void transfer_unref(struct transfer *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->resolve);
	http_headers_clear(&t->headers);
	http_reply_clear(&t->reply);
	buf_clear(&t->body);
	trust_unref(t->trust);
	pthread_cond_destroy(&t->cond);
	mem_free(t);
}
