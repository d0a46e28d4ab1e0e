/* SPDX-License-Identifier: Apache-2.0 */
/* R40: what may be sent as a header; and how the headers of an answer are kept. */
#include "base/clock.h"
#include "base/limits.h"
#include "net/http_headers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct http_headers h;
static struct http_reply r = HTTP_REPLY_INIT;

Test(headers, they_come_in_order)
{
	const char *name, *value;
	cr_assert_eq(http_header(&h, "X-A", "1"), 0);
	cr_assert_eq(http_header_secret(&h, "Authorization", "Bearer ", "tok", 3), 0);
	cr_assert_eq(http_header(&h, "X-Empty", ""), 0);
	cr_assert_eq(http_headers_without(&h, "Accept"), 0);
	cr_assert_eq(http_headers_without(&h, "x-a"), 0, "it is there: nothing to do");
	cr_assert(http_header_at(&h, 0, &name, &value));
	cr_assert_str_eq(name, "X-A");
	cr_assert_str_eq(value, "1");
	cr_assert(http_header_at(&h, 1, &name, &value));
	cr_assert_str_eq(value, "Bearer tok");
	cr_assert(http_header_at(&h, 2, &name, &value));
	cr_assert_str_eq(value, "");
	cr_assert_not(http_header_at(&h, 3, &name, &value));
	cr_assert_eq(h.n, 3);
	const char *const lines[] = {"X-A: 1", "Authorization: Bearer tok", "X-Empty;", "Accept:"};
	const struct curl_slist *l = h.first;
	for (size_t i = 0; i < 4; i++, l = l->next)
		cr_assert_str_eq(l->data, lines[i]);
	cr_assert_null(l);
	http_headers_clear(&h);
	cr_assert_null(h.first);
}

Test(headers, control_characters_are_refused_before_anything_is_sent)
{
	static const char *const bad[] = {"a\r\nX: 1", "a\n", "\r", "a\x1b[0m", "\x7f", "a\x01"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(http_header(&h, "X-Region", bad[i]), -EINVAL);
		cr_assert(strstr(h.err.msg, "X-Region"), "%s", h.err.msg);
		cr_assert_null(h.first);
		http_headers_clear(&h);
		cr_assert_eq(http_header_secret(&h, "X-Region", bad[i], "", 0), -EINVAL);
		http_headers_clear(&h);
	}
	cr_assert_eq(http_header_secret(&h, "X-T", "", "a\0b", 3), -EINVAL);
	cr_assert_eq(http_header(&h, "X-Good", "1"), -EINVAL, "the first refusal stays");
	cr_assert(strstr(h.err.msg, "X-T"), "%s", h.err.msg);
	http_headers_clear(&h);
	cr_assert_eq(http_header(&h, "X-Good", "a\tb \xc3\xa4"), 0);
	http_headers_clear(&h);
}

Test(headers, names_are_tokens)
{
	static const char *const bad[] = {"", "X A", "X:", "X\r\n", "X\xc3\xa4", "(x)"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(http_header(&h, bad[i], "1"), -EINVAL, "%s", bad[i]);
		http_headers_clear(&h);
	}
}

Test(headers, too_long)
{
	static char value[SFS_HTTP_HEADERS_MAX + 1];
	memset(value, 'x', sizeof(value));
	cr_assert_eq(http_header_secret(&h, "X", "", value, sizeof(value)), -EINVAL);
	http_headers_clear(&h);
}

static int line(const char *text)
{
	return http_reply_line(&r, text, strlen(text));
}

Test(answers, names_are_lower_case_and_values_trimmed)
{
	char out[16] = "before";
	size_t len;
	cr_assert_eq(line("Content-Type:  text/html \r\n"), 0);
	cr_assert_eq(line("X-A:1\r\n"), 0);
	cr_assert_eq(line("x-a: 2\n"), 0);
	cr_assert_eq(line("X-Empty:\r\n"), 0);
	cr_assert_str_eq(
		buf_text(&r.headers), "content-type: text/html\nx-a: 1\nx-a: 2\nx-empty: \n");
	cr_assert(http_reply_header(&r, "x-a", out, sizeof(out)));
	cr_assert_str_eq(out, "1", "the first one");
	cr_assert_eq(http_reply_count(&r, "x-a"), 2);
	cr_assert(http_reply_header(&r, "x-empty", out, sizeof(out)));
	cr_assert_str_eq(out, "");
	strcpy(out, "before");
	cr_assert_not(http_reply_header(&r, "x-", out, sizeof(out)));
	cr_assert_not(http_reply_header(&r, "content-type", out, 9));
	cr_assert_str_eq(out, "before", "untouched");
	cr_assert_null(http_reply_find(&r, "text/html", &len));
	http_reply_clear(&r);
	cr_assert_not(http_reply_header(&r, "x-a", out, sizeof(out)));
}

Test(answers, malformed_lines)
{
	cr_assert_eq(line("nonsense\r\n"), -EBADMSG);
	cr_assert_eq(line(": x\r\n"), -EBADMSG);
	cr_assert_eq(line("X: a\x1b[0m\r\n"), -EBADMSG);
	cr_assert_eq(http_reply_line(&r, "X: a\0b\r\n", 8), -EBADMSG);
	cr_assert_eq(r.headers.len, 0);
	static char big[SFS_HTTP_HEADERS_MAX + 8] = "X: ";
	memset(big + 3, 'y', sizeof(big) - 3);
	cr_assert_eq(http_reply_line(&r, big, sizeof(big)), -E2BIG);
	http_reply_clear(&r);
}

Test(answers, skew_is_taken_from_the_middle)
{
	int64_t skew = 5;
	cr_assert_not(http_reply_skew(&r, &skew));
	line("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
	r.sent = INT64_C(784111770) * NSEC_PER_SEC;
	r.received = r.sent + 4 * NSEC_PER_SEC;
	cr_assert(http_reply_skew(&r, &skew));
	cr_assert_eq(skew, 5 * NSEC_PER_SEC);
	http_reply_clear(&r);
	line("Date: yesterday\r\n");
	cr_assert_not(http_reply_skew(&r, &skew));
	http_reply_clear(&r);
}
