/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs are taken apart by curl_url, which also connects later, so that both see the same host; what
 * it would repair (odd addresses, percent signs in the host, blanks) is refused before, on the text
 * as it stands.
 */
#include "net/http_url.h"

#include "base/limits.h"
#include "base/text.h"
#include "net/http.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

/* Where clouds tell an instance about itself, over plain http by design: link-local addresses, the
 * two unique local addresses of AWS (IMDS, EKS Pod Identity) and Google's name. */
static bool is_metadata(const struct http_url *u)
{
	struct in_addr a;
	if (strcmp(u->host, "metadata.google.internal") == 0)
		return true;
	if (u->literal && !u->v6 && inet_pton(AF_INET, u->host, &a) == 1)
		return ntohl(a.s_addr) >> 16 == 0xa9fe;
	return u->v6 &&
	       (strcmp(u->host, "fd00:ec2::254") == 0 || strcmp(u->host, "fd00:ec2::23") == 0);
}

static bool is_local(const struct http_url *u)
{
	static const char name[] = "localhost";
	struct in_addr a;
	size_t len = strlen(u->host), tail = sizeof(name) - 1;
	if (u->literal && !u->v6)
		return inet_pton(AF_INET, u->host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
	if (u->v6)
		return strcmp(u->host, "::1") == 0;
	return len >= tail && strcmp(u->host + len - tail, name) == 0 &&
	       (len == tail || u->host[len - tail - 1] == '.');
}

static bool inner_v4(uint32_t a)
{
	return a >> 24 == 127 || a >> 24 == 0 || a >> 16 == 0xa9fe || a >> 28 >= 0xe;
}

bool http_address_is_inner(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return inner_v4(
			ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr));
	if (sa->sa_family != AF_INET6)
		return true;
	const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a)) {
		uint32_t v4;
		memcpy(&v4, a->s6_addr + 12, sizeof(v4));
		return inner_v4(ntohl(v4));
	}
	return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
	       IN6_IS_ADDR_MULTICAST(a);
}

static bool only_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return len > 0;
}

/* The last label decides: a name does not end in a number, and of numbers only a dotted quad
 * without leading zeros is an address (all else inet_aton(3) would make one of). */
static const char *check_name(struct http_url *u)
{
	struct in_addr a;
	char text[INET_ADDRSTRLEN];
	const char *last = strrchr(u->host, '.');
	last = last ? last + 1 : u->host;
	if (strspn(u->host, HOST_BYTES) != strlen(u->host) || u->host[0] == '.')
		return "its host is no plain name (write it in ASCII)";
	if (inet_pton(AF_INET, u->host, &a) == 1) {
		inet_ntop(AF_INET, &a, text, sizeof(text));
		u->literal = true;
		return strcmp(text, u->host) == 0 ? NULL : "its address is oddly written";
	}
	if (only_digits(last, strlen(last)) || strncmp(last, "0x", 2) == 0 ||
		(*last == '\0' && only_digits(u->host, 1)))
		return "its address is oddly written: only a.b.c.d is taken for one";
	return strstr(u->host, "..") ? "its host has an empty label" : NULL;
}

static const char *check_v6(struct http_url *u)
{
	struct in6_addr a;
	if (inet_pton(AF_INET6, u->host, &a) != 1)
		return "what stands in its brackets is no IPv6 address";
	u->literal = u->v6 = true;
	inet_ntop(AF_INET6, &a, u->host, sizeof(u->host));
	return IN6_IS_ADDR_V4MAPPED(&a) || IN6_IS_ADDR_V4COMPAT(&a) ? "its address is oddly written"
								    : NULL;
}

/* Splits "host[:port]" as it stands in the text. */
static const char *split_authority(const char *at, size_t len, struct http_url *u)
{
	bool bracket = len && at[0] == '[';
	const char *close = bracket ? memchr(at, ']', len) : NULL;
	const char *colon = bracket ? (close ? close + 1 : at) : memchr(at, ':', len);
	size_t hlen = bracket ? 0 : colon ? (size_t)(colon - at) : len;
	if (bracket) {
		if (!close)
			return "the bracket of its host is not closed";
		hlen = (size_t)(close - at) - 1;
		at++;
		len--;
	}
	if (hlen == 0 || hlen >= sizeof(u->host))
		return hlen ? "its host is too long" : "it has no host";
	for (size_t i = 0; i < hlen; i++)
		u->host[i] = (char)tolower((unsigned char)at[i]);
	u->host[hlen] = '\0';
	const char *port = at + hlen + (bracket ? 1 : 0);
	size_t plen = len - hlen - (bracket ? 1 : 0);
	if (plen) {
		if (*port != ':' || plen > 6 || !only_digits(port + 1, plen - 1))
			return "its port is no number";
		u->port = (unsigned)strtoul(port + 1, NULL, 10);
		if (u->port == 0 || u->port > 65535)
			return "its port is not from 1 to 65535";
	}
	return bracket ? check_v6(u) : check_name(u);
}

static const char *check_bytes(const char *url)
{
	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f ||
			strchr("\\\"<>^`{|}", *p))
			return "it has a blank, a control character or a byte that must be written "
			       "as %XX";
	return strchr(url, '#') ? "a fragment (#) means nothing to a server" : NULL;
}

static const char *scheme_of(const char *url, struct http_url *u, const char **ret_rest)
{
	if (strncasecmp(url, "https://", 8) == 0) {
		u->scheme = HTTP_TLS;
		u->port = 443;
		*ret_rest = url + 8;
	} else if (strncasecmp(url, "http://", 7) == 0) {
		u->scheme = HTTP_PLAIN;
		u->port = 80;
		*ret_rest = url + 7;
	} else {
		return "it must begin with https://, or http:// on this machine";
	}
	return NULL;
}

static const char *take_apart(const char *url, struct http_url *u)
{
	const char *rest, *why;
	if (strlen(url) > SFS_HTTP_URL_MAX)
		return "it is too long";
	if ((why = check_bytes(url)) || (why = scheme_of(url, u, &rest)))
		return why;
	size_t len = strcspn(rest, "/?");
	if (memchr(rest, '@', len))
		return "it holds a user or password: credentials have options of their own, and "
		       "a proxy that asks for them is not supported";
	if ((why = split_authority(rest, len, u)))
		return why;
	u->local = is_local(u);
	u->metadata = is_metadata(u);
	return NULL;
}

static bool same_host(const char *host, const char *port, const struct http_url *u)
{
	struct in6_addr a, b;
	char inner[HTTP_HOST_MAX];
	size_t n = strlen(host);
	if (strtoul(port, NULL, 10) != u->port)
		return false;
	if (!u->v6)
		return strcasecmp(host, u->host) == 0;
	if (n < 2 || n >= sizeof(inner) ||
		host[0] != '[') /* in brackets, perhaps spelt otherwise */
		return false;
	snprintf(inner, sizeof(inner), "%.*s", (int)(n - 2), host + 1);
	return inet_pton(AF_INET6, inner, &a) == 1 && inet_pton(AF_INET6, u->host, &b) == 1 &&
	       memcmp(&a, &b, sizeof(a)) == 0;
}

/* What curl makes of it must be the same: EINVAL, ENOMEM. */
static int curl_agrees(const char *url, const struct http_url *u)
{
	CURLU *c = curl_url();
	char *host = NULL, *port = NULL;
	CURLUcode code =
		c ? curl_url_set(c, CURLUPART_URL, url, CURLU_PATH_AS_IS) : CURLUE_OUT_OF_MEMORY;
	if (code == CURLUE_OK)
		code = curl_url_get(c, CURLUPART_HOST, &host, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(c, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	bool same = code == CURLUE_OK && same_host(host, port, u);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(c);
	return code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : same ? 0 : -EINVAL;
}

int http_url_parse(const char *url, struct http_url *ret, struct sfs_err *err)
{
	struct http_url u = {0};
	char shown[HTTP_HOST_MAX * 2];
	const char *why = take_apart(url, &u);
	if (why)
		return err_set(err, EINVAL, "the URL%s%s is refused: %s", u.host[0] ? " of " : "",
			text_escaped(shown, sizeof(shown), u.host, strlen(u.host)), why);
	int r = curl_agrees(url, &u);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "the URL of %s: out of memory", u.host);
	if (r < 0)
		return err_set(err, EINVAL, "the URL of %s is refused: libcurl reads it otherwise",
			u.host);
	*ret = u;
	return 0;
}

int http_url_check(const char *url, bool insecure, struct sfs_err *err)
{
	struct http_url u;
	int r = http_url_parse(url, &u, err);
	if (r < 0)
		return r;
	if (u.scheme == HTTP_PLAIN && !insecure && !u.local && !u.metadata)
		return err_set(err, EINVAL,
			"plain http to %s is refused: use https, or insecure_http=yes where nobody "
			"listens",
			u.host);
	return 0;
}

int http_url_host(const char *url, struct buf *ret_host, struct sfs_err *err)
{
	struct http_url u;
	int r = http_url_parse(url, &u, err);
	if (r < 0)
		return r;
	bool shown = u.port != (u.scheme == HTTP_TLS ? 443U : 80U);
	r = buf_printf(ret_host, u.v6 ? "[%s]" : "%s", u.host);
	if (r == 0 && shown)
		r = buf_printf(ret_host, ":%u", u.port);
	return r < 0 ? err_errno(err, -r, "host of a URL") : 0;
}

int http_proxy_check(const char *proxy, struct http_url *ret, struct sfs_err *err)
{
	int r = http_url_parse(proxy, ret, err);
	if (r < 0)
		return err_prefix(err, "proxy");
	const char *path = strchr(strstr(proxy, "://") + 3, '/');
	if (strchr(proxy, '?') || (path && path[1]))
		return err_set(err, EINVAL,
			"proxy %s: only http://HOST:PORT or https://HOST:PORT is a proxy",
			ret->host);
	return 0;
}

void http_location_host(const char *url, const char *location, char *out, size_t size)
{
	CURLU *c = curl_url();
	char *host = NULL;
	if (!c || curl_url_set(c, CURLUPART_URL, url, 0) ||
		curl_url_set(c, CURLUPART_URL, location, CURLU_NON_SUPPORT_SCHEME) ||
		curl_url_get(c, CURLUPART_HOST, &host, 0))
		snprintf(out, size, "an unreadable address");
	else
		text_escaped(out, size, host, strlen(host));
	curl_free(host);
	curl_url_cleanup(c);
}
