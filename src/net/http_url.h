/* SPDX-License-Identifier: Apache-2.0 */
/* What a URL is made of, and which addresses may be connected to (R39, row 54 of the matrix). */
#ifndef SFS_NET_HTTP_URL_H
#define SFS_NET_HTTP_URL_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define HTTP_HOST_MAX 256 /* a DNS name has at most 253 bytes */

enum http_scheme { HTTP_PLAIN, HTTP_TLS };

struct http_url {
	enum http_scheme scheme;
	char host[HTTP_HOST_MAX]; /* lower case, without the brackets of IPv6 */
	unsigned port;
	bool literal; /* host is an address */
	bool v6;
	bool local;    /* loopback: an address of it, or localhost and what is below it */
	bool metadata; /* the metadata service of a cloud */
};

/* Only what http_url_check() allows comes through. EINVAL. */
int http_url_parse(const char *url, struct http_url *ret, struct sfs_err *err);
/* http://HOST:PORT or https://HOST:PORT and nothing else. EINVAL. */
int http_proxy_check(const char *proxy, struct http_url *ret, struct sfs_err *err);
/* Host (escaped) that a Location header leads to, for people; at most `size` bytes. */
void http_location_host(const char *url, const char *location, char *out, size_t size);
/* Addresses a public name has no business with: loopback, link-local, unspecified, multicast. */
bool http_address_is_inner(const struct sockaddr *sa);

#endif
