/* SPDX-License-Identifier: Apache-2.0 */
/* R39: which URLs may be asked. */
#include "base/limits.h"
#include "net/http.h"
#include "net/http_url.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define N(x) (sizeof(x) / sizeof((x)[0]))

static struct sfs_err err;

Test(url, good_ones)
{
	static const char *const good[] = {"https://secretsmanager.eu-west-1.amazonaws.com/",
		"https://secretsmanager.eu-west-1.amazonaws.com", "https://a.test:8443/x/y?z=%20&w",
		"https://a.test/a%2fb/../c", "HTTPS://A.Test/", "https://a_b-c.test/",
		"https://a.test./", "https://10.0.0.1/", "https://[2001:db8::1]:443/x",
		"https://[::1]/", "http://127.0.0.1:4566/", "http://127.8.8.8/",
		"http://localhost:80/", "http://x.localhost/", "http://[::1]:8080/",
		"http://169.254.169.254/latest/api/token", "http://169.254.170.2/v2",
		"http://169.254.170.23/v1", "http://[fd00:ec2::254]/", "http://[fd00:ec2::23]/v1",
		"http://metadata.google.internal/computeMetadata/v1/"};
	for (size_t i = 0; i < N(good); i++)
		cr_assert_eq(http_url_check(good[i], false, &err), 0, "%s: %s", good[i], err.msg);
}

Test(url, bad_ones)
{
	static const char *const bad[] = {"", "https://", "https:///x", "a.test", "//a.test/", "/x",
		"file:///etc/passwd", "ftp://a.test/", "gopher://a.test/", "https:a.test",
		"https:/a.test", "https://user@a.test/", "https://user:pass@a.test/",
		"https://127.0.0.1:18080@127.0.0.1:18081/", "https://a.test@/", "https://@a.test/",
		"https://0x7f000001/", "https://2130706433/", "https://127.1/",
		"https://0177.0.0.1/", "https://127.0.0.1./", "https://127.0.0.01/",
		"https://1.2.3.4.5/", "https://0x7f.1/", "https://a.0x1/", "https://256.1.1.1/",
		"https://a%2fb.test/", "https://a%00.test/", "https://%61.test/",
		"https://b\303\274cher.test/", "https://a.test/\r\nX: 1", "https://a.test/ x",
		" https://a.test/", "https://a.test/\tx", "https://a.test/x#y",
		"https://a.test/\x7f", "https://a.test/\xff", "https://a\\b.test/",
		"https://a.test/\\x", "https://a.test:/", "https://a.test:0/",
		"https://a.test:65536/", "https://a.test:x/", "https://a.test:443:443/",
		"https://a.test:4 4/", "https://a..test/", "https://.test/", "https://[::1/",
		"https://[::1]x/", "https://[::g]/", "https://[::ffff:127.0.0.1]/",
		"https://[fe80::1%25eth0]/", "https://[127.0.0.1]/", "https://a,b.test/",
		"https://*/", "https://a.test\"/", "https://a.test/{x}", "https://a!b.test/",
		"https://a.test;x/"};
	for (size_t i = 0; i < N(bad); i++)
		cr_assert_eq(http_url_check(bad[i], true, &err), -EINVAL, "%s", bad[i]);
}

Test(url, plain_http_only_where_nobody_listens)
{
	static const char *const plain[] = {"http://a.test/", "http://10.0.0.1/",
		"http://[2001:db8::1]/", "http://localhost.test/", "http://notlocalhost/",
		"http://metadata.google.internal.test/", "http://[fd00:ec2::255]/",
		"http://169.253.169.254/"};
	for (size_t i = 0; i < N(plain); i++) {
		cr_assert_eq(http_url_check(plain[i], false, &err), -EINVAL, "%s", plain[i]);
		cr_assert(strstr(err.msg, "insecure_http"), "%s", err.msg);
		cr_assert_eq(http_url_check(plain[i], true, &err), 0, "%s: %s", plain[i], err.msg);
	}
}

Test(url, nothing_of_a_bad_url_but_its_host_is_shown)
{
	cr_assert_eq(http_url_check("https://user:hunter2@a.test/path?token=hunter3", false, &err),
		-EINVAL);
	cr_assert_null(strstr(err.msg, "hunter"), "%s", err.msg);
	cr_assert_eq(http_url_check("http://a.test/path?token=hunter3", false, &err), -EINVAL);
	cr_assert_null(strstr(err.msg, "hunter"), "%s", err.msg);
	cr_assert(strstr(err.msg, "a.test"), "%s", err.msg);
}

Test(url, too_long)
{
	static char url[SFS_HTTP_URL_MAX + 2] = "https://a.test/";
	memset(url + strlen(url), 'x', sizeof(url) - 1 - strlen(url));
	cr_assert_eq(http_url_check(url, false, &err), -EINVAL);
	url[SFS_HTTP_URL_MAX] = '\0';
	cr_assert_eq(http_url_check(url, false, &err), 0, "%s", err.msg);
	char host[400] = "https://";
	memset(host + 8, 'a', 300);
	cr_assert_eq(http_url_check(host, false, &err), -EINVAL);
}

Test(url, host_header)
{
	static const struct {
		const char *url, *host;
	} t[] = {{"https://A.Test/x", "a.test"}, {"https://a.test:443/", "a.test"},
		{"https://a.test:80/", "a.test:80"}, {"http://localhost:80/", "localhost"},
		{"http://localhost:4566/", "localhost:4566"},
		{"https://[2001:DB8::1]:8443/", "[2001:db8::1]:8443"}};
	for (size_t i = 0; i < N(t); i++) {
		struct buf b = BUF_INIT(300);
		cr_assert_eq(http_url_host(t[i].url, &b, &err), 0, "%s", err.msg);
		cr_assert_str_eq(buf_text(&b), t[i].host);
		buf_clear(&b);
	}
	struct buf b = BUF_INIT(300);
	cr_assert_eq(http_url_host("nonsense", &b, &err), -EINVAL);
	cr_assert_eq(b.len, 0);
}

static bool inner(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return http_address_is_inner((struct sockaddr *)(void *)&v4);
	cr_assert_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1, "%s", text);
	return http_address_is_inner((struct sockaddr *)(void *)&v6);
}

/* Row 54 of the fault matrix. */
Test(url, addresses_that_a_public_name_must_not_have)
{
	static const char *const bad[] = {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3",
		"169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
		"ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"};
	static const char *const fine[] = {"10.0.0.1", "192.168.1.1", "172.16.0.1", "52.1.2.3",
		"1.1.1.1", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1"};
	for (size_t i = 0; i < N(bad); i++)
		cr_assert(inner(bad[i]), "%s", bad[i]);
	for (size_t i = 0; i < N(fine); i++)
		cr_assert_not(inner(fine[i]), "%s", fine[i]);
}

Test(url, where_a_redirect_leads)
{
	char host[64];
	http_location_host("https://a.test/x", "https://b.test/y", host, sizeof(host));
	cr_assert_str_eq(host, "b.test");
	http_location_host("https://a.test/x", "/y", host, sizeof(host));
	cr_assert_str_eq(host, "a.test");
	http_location_host("https://a.test/x", "http://[", host, sizeof(host));
	cr_assert_str_eq(host, "an unreadable address");
}
