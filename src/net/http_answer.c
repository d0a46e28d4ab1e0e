/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer as it comes in, and what its end means. Caps count here, in the callbacks: libcurl's
 * own limits do not see chunked bodies. An answer counts when it is complete: by its length, its
 * chunks, or the framing of HTTP/2; one that ends with the connection only if it is a whole JSON
 * document (R42).
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "net/http_transfer.h"
#include "net/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int refuse(struct transfer *t, const char *why)
{
	return err_set(&t->err, EBADMSG, "the answer of %s is refused: %s", t->url.host, why);
}

/* ---- headers ---- */

static bool is_status_line(const char *line, size_t len)
{
	return len > 5 && memcmp(line, "HTTP/", 5) == 0;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static int begin_block(struct transfer *t, const char *line, size_t len)
{
	struct answer *a = &t->answer;
	char copy[16];
	int major, minor = 0, status;
	snprintf(copy, sizeof(copy), "%.*s", (int)(len < 15 ? len : 15), line);
	if (sscanf(copy, "HTTP/%d.%d %d", &major, &minor, &status) != 3 &&
		(minor = 0, sscanf(copy, "HTTP/%d %d", &major, &status)) != 2)
		return refuse(t, "its first line is no status line");
	if (a->over)
		return refuse(t, "there is a second one");
	if (++a->blocks > SFS_HTTP_INTERIM_MAX + 1)
		return refuse(t, "too many interim answers (1xx) come before it");
	a->version = major * 10 + minor;
	a->lines = 0;
	t->reply.status = status;
	buf_reset(&t->reply.headers);
	return 0;
}

static bool value_is(const struct http_reply *r, const char *name, const char *want)
{
	size_t len;
	const char *v = http_reply_find(r, name, &len);
	return v && len == strlen(want) && strncasecmp(v, want, len) == 0;
}

static bool has_body(const struct transfer *t)
{
	return !t->head && t->reply.status != 204 && t->reply.status != 304;
}

/* What would be read otherwise by someone else on the way (request smuggling), or cannot be bounded
 * by its length, is no answer. */
static int check_framing(struct transfer *t)
{
	const struct http_reply *r = &t->reply;
	size_t lengths = http_reply_count(r, "content-length");
	size_t codings = http_reply_count(r, "transfer-encoding");
	if (http_reply_count(r, "content-encoding") && !value_is(r, "content-encoding", "identity"))
		return refuse(t, "it is compressed, which was not asked for");
	if (codings > 1 || (codings && !value_is(r, "transfer-encoding", "chunked")))
		return refuse(t, "its transfer encoding was not asked for");
	if (lengths > 1 || (lengths && codings))
		return refuse(t, "its length is stated twice");
	t->answer.until_close = t->answer.version < 20 && !lengths && !codings && has_body(t);
	return 0;
}

static int end_block(struct transfer *t)
{
	int status = t->reply.status;
	if (status >= 100 && status < 200)
		return 0;
	t->answer.over = true;
	t->reply.received = clock_wall();
	return check_framing(t);
}

static int take_line(struct transfer *t, const char *line, size_t len)
{
	struct answer *a = &t->answer;
	int r = 0;
	if (a->blocks == 0 || is_status_line(line, len))
		return begin_block(t, line, len);
	if (++a->lines > SFS_HTTP_LINES_MAX)
		return refuse(t, "it has too many headers");
	if (len <= 2 && (line[0] == '\r' || line[0] == '\n'))
		return a->over ? 0 : end_block(t);
	if (!a->over) /* trailers mean nothing to us */
		r = http_reply_line(&t->reply, line, len);
	if (r == -ENOMEM)
		return err_set(&t->err, ENOMEM, "out of secret memory for an answer");
	if (r == -E2BIG)
		return refuse(t, "its headers are too long");
	return r < 0 ? refuse(t, "one of its headers is malformed") : 0;
}

size_t answer_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	return n && take_line(t, line, size * n) < 0 ? 0 : size * n;
}

/* ---- body ---- */

static int too_long(struct transfer *t)
{
	return err_set(&t->err, EFBIG, "the answer of %s is longer than the %zu bytes allowed",
		t->url.host, t->cap);
}

/* All room at once when the length is known. */
static int make_room(struct transfer *t)
{
	curl_off_t length = -1;
	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (length > 0 && (uint64_t)length > t->cap)
		return too_long(t);
	if (length > 0 && !buf_reserve(&t->reply.body, (size_t)length))
		return err_set(&t->err, ENOMEM, "out of secret memory for an answer of %lld bytes",
			(long long)length);
	return 0;
}

size_t answer_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct buf *b = &t->reply.body;
	size_t len = size * n;
	if (len == 0)
		return 0;
	if (b->len == 0 && make_room(t) < 0)
		return 0;
	if (len > t->cap - b->len) {
		too_long(t);
		return 0;
	}
	if (buf_add(b, data, len) < 0) {
		err_set(&t->err, ENOMEM, "out of secret memory for an answer");
		return 0;
	}
	return len;
}

/* ---- the end ---- */

static bool is_whole_json(const struct buf *b)
{
	struct json *doc = NULL;
	bool whole = false;
	if (b->len && json_parse(b->data, b->len, JSON_LAST_WINS, &doc, NULL) == 0) {
		enum json_kind kind = json_kind(json_root(doc));
		whole = kind == JSON_OBJECT || kind == JSON_ARRAY;
	}
	json_free(doc);
	return whole;
}

static bool says(const struct transfer *t, const char *what)
{
	return strstr(t->curl_says, what) != NULL;
}

/* ", through the proxy HOST:PORT" */
static const char *through(const struct transfer *t, char *out, size_t size)
{
	out[0] = '\0';
	if (t->proxy.host[0])
		snprintf(out, size, ", through the proxy %s port %u", t->proxy.host, t->proxy.port);
	return out;
}

#define THROUGH_MAX (HTTP_HOST_MAX + 64)

static int tls_failed(struct transfer *t)
{
	char by[THROUGH_MAX], why[CURL_ERROR_SIZE];
	bool own = says(t, "own certificate") || says(t, "private key") || says(t, "client cert");
	text_escaped(why, sizeof(why), t->curl_says, strlen(t->curl_says));
	return err_set(&t->err, EPROTO, "no trusted TLS connection to %s%s: %s; %s", t->url.host,
		through(t, by, sizeof(by)), why,
		own ? "check the client certificate and its key"
		    : "check the server's certificate, the clock, and cacert=");
}

static int not_connected(struct transfer *t, const char *why)
{
	char by[THROUGH_MAX];
	return err_set(&t->err, EHOSTUNREACH, "cannot connect to %s port %u%s: %s", t->url.host,
		t->url.port, through(t, by, sizeof(by)), why);
}

static int connect_failed(struct transfer *t)
{
	long os = 0;
	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os);
	return not_connected(t, os ? strerror((int)os) : "no address answers");
}

/* Up to and including TLS with the server itself. */
static bool is_connected(struct transfer *t)
{
	curl_off_t when = 0;
	curl_easy_getinfo(t->easy,
		t->url.scheme == HTTP_TLS ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T,
		&when);
	return when != 0;
}

static int timed_out(struct transfer *t)
{
	if (!is_connected(t))
		return not_connected(t, "nobody answers there in time");
	return err_set(&t->err, ETIMEDOUT, "%s does not answer in time", t->url.host);
}

/* A connection that ended or broke. */
static int broken(struct transfer *t)
{
	if (says(t, "eset"))
		return err_set(&t->err, EHOSTUNREACH, "%s reset the connection", t->url.host);
	if (t->answer.blocks)
		return refuse(t, "it is cut off");
	if (!is_connected(t))
		return not_connected(t, "the connection was closed again");
	return err_set(
		&t->err, EHOSTUNREACH, "%s closed the connection without an answer", t->url.host);
}

static bool proxy_refused(struct transfer *t)
{
	long status = 0;
	curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	if (!t->proxy.host[0] || status == 200)
		return false;
	if (status)
		err_set(&t->err, EHOSTUNREACH,
			"the proxy %s port %u does not connect us to %s: it answers with status "
			"%ld%s",
			t->proxy.host, t->proxy.port, t->url.host, status,
			status == 407 ? " (it wants a user, which secretfs does not send)" : "");
	return status != 0;
}

static int failed(struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		if (t->answer.blocks && !t->answer.over) /* its own limit for one line */
			return refuse(t, "its headers are too long");
		return err_set(&t->err, ENOMEM, "out of memory for a request to %s", t->url.host);
	case CURLE_OPERATION_TIMEDOUT:
		return timed_out(t);
	case CURLE_SSL_CONNECT_ERROR:
		if (says(t, "SSL_ERROR_SYSCALL") || says(t, "reset by peer") ||
			says(t, "unexpected eof"))
			return not_connected(
				t, "the connection was closed during the TLS handshake");
		return tls_failed(t);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_SHUTDOWN_FAILED:
		return tls_failed(t);
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return refuse(t, "it is cut off");
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_CONTENT_ENCODING:
		return refuse(t, "it is no valid HTTP");
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return broken(t);
	default:
		return connect_failed(t);
	}
}

void answer_end(struct transfer *t, CURLcode code)
{
	if (t->err.code) /* a callback refused it */
		return;
	if (code != CURLE_OK) {
		if (!proxy_refused(t))
			failed(t, code);
		return;
	}
	if (!t->answer.over)
		refuse(t, "it has no complete headers");
	else if (t->answer.until_close && !is_whole_json(&t->reply.body))
		refuse(t, "it states no length and is no complete JSON document, so it may be cut "
			  "off");
}
