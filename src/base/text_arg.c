/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of control files: paths with %XX, and globs. */
#include "base/text.h"

#include <errno.h>
#include <string.h>

static bool arg_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && !strchr("*?[#%", c);
}

int text_to_arg(struct buf *out, const char *path)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t need = 0;
	for (const char *p = path; *p; p++)
		need += arg_plain((unsigned char)*p) ? 1 : 3;
	char *to = buf_reserve(out, need);
	if (!to)
		return -out->failed;
	for (const char *p = path; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (arg_plain(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	buf_advance(out, need);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte of an argument: bytes consumed, or 0 for a bad or zero %XX and a raw NUL.
 * *ret_quoted tells that the byte was written %XX, so that it never is a glob operator. */
static size_t next_byte(const char *arg, size_t len, char *ret_byte, bool *ret_quoted)
{
	if (arg[0] != '%') {
		*ret_byte = arg[0];
		*ret_quoted = false;
		return arg[0] ? 1 : 0;
	}
	int high = len >= 3 ? hex_digit(arg[1]) : -1;
	int low = len >= 3 ? hex_digit(arg[2]) : -1;
	if (high < 0 || low < 0 || (high | low) == 0)
		return 0;
	*ret_byte = (char)(high << 4 | low);
	*ret_quoted = true;
	return 3;
}

/* True for a byte that must be quoted to stand for itself in a pattern. Operators of brackets count
 * too, because a decoded byte may come to stand between '[' and ']'. A raw backslash is an ordinary
 * byte of a path, not a quote. */
static bool pattern_quotes(char c, bool quoted)
{
	return c == '\\' || (quoted && strchr("*?[]-!^", c));
}

/* Writes the decoded argument to `to`, or only measures it when `to` is NULL. -EINVAL, or 0 with
 * the length. */
static int decode(const char *arg, size_t len, bool pattern, char *to, size_t *ret_len)
{
	size_t total = 0;
	for (size_t i = 0, n; i < len; i += n) {
		char c;
		bool quoted;
		n = next_byte(arg + i, len - i, &c, &quoted);
		if (!n)
			return -EINVAL;
		if (pattern && pattern_quotes(c, quoted)) {
			if (to)
				to[total] = '\\';
			total++;
		}
		if (to)
			to[total] = c;
		total++;
	}
	*ret_len = total;
	return 0;
}

int text_from_arg(struct buf *out, const char *arg, size_t len, bool *ret_glob)
{
	bool glob =
		len && (memchr(arg, '*', len) || memchr(arg, '?', len) || memchr(arg, '[', len));
	size_t need;
	int r = decode(arg, len, glob, NULL, &need);
	if (r < 0)
		return r;
	char *to = buf_reserve(out, need);
	if (!to)
		return -out->failed;
	decode(arg, len, glob, to, &need);
	buf_advance(out, need);
	*ret_glob = glob;
	return 0;
}
