/* SPDX-License-Identifier: Apache-2.0 */
/* URLs: what is accepted has one reading, ours and libcurl's, and no user, blank or fragment. */
#include "base/alloc.h"
#include "net/http.h"
#include "net/http_url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = mem_strndup((const char *)data, size);
	struct sfs_err err = {0};
	struct http_url u, proxy;
	struct buf host = BUF_INIT(HTTP_HOST_MAX + 16);
	char to[HTTP_HOST_MAX];
	if (!url)
		return 0;
	int strict = http_url_check(url, false, &err), loose = http_url_check(url, true, &err);
	require(strict < 0 || loose == 0);
	require((loose == 0) == (http_url_parse(url, &u, &err) == 0));
	if (loose == 0) {
		require(u.host[0] && u.port > 0 && u.port < 65536);
		require(!strpbrk(u.host, "@/?# %\\") && !strpbrk(url, " \t\r\n#"));
		require(strict == 0 || (u.scheme == HTTP_PLAIN && !u.local && !u.metadata));
		require(http_url_host(url, &host, &err) == 0 && host.len > 0);
	}
	require(http_proxy_check(url, &proxy, &err) < 0 || loose == 0);
	http_location_host("https://a.test/x", url, to, sizeof(to));
	require(strlen(to) < sizeof(to));
	buf_clear(&host);
	mem_free(url);
	return 0;
}
