/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "base/limits.h"

#include <stdio.h>
#include <string.h>

#define REPLACEMENT 0xfffd

/* Length of the sequence that starts with `c`, its payload bits and the smallest code point that
 * needs that length. */
static size_t utf8_lead(unsigned char c, uint32_t *ret_bits, uint32_t *ret_min)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t min;
	} forms[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	for (size_t i = 0; i < 4; i++) {
		if ((c & forms[i].mask) != forms[i].lead)
			continue;
		*ret_bits = c & (unsigned char)~forms[i].mask;
		*ret_min = forms[i].min;
		return i + 1;
	}
	return 0;
}

size_t utf8_decode(const unsigned char *s, size_t len, uint32_t *ret_code)
{
	uint32_t code = 0, min = 0;
	size_t n = len ? utf8_lead(s[0], &code, &min) : 0;
	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

size_t text_plain(const unsigned char *s, size_t len)
{
	size_t n = 0;
	/* Eight at a time, as long as no subtraction borrows from a byte and none has its top bit.
	 */
	for (uint64_t x; len - n >= sizeof(x); n += sizeof(x)) {
		memcpy(&x, s + n, sizeof(x));
		uint64_t odd = x | (x - EACH(0x20)) | ((x ^ EACH('"')) - EACH(1)) |
			       ((x ^ EACH('\\')) - EACH(1)) | ((x ^ EACH(0x7f)) - EACH(1));
		if (odd & EACH(0x80))
			break;
	}
	while (n < len && s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

bool utf8_valid(const void *s, size_t len)
{
	const unsigned char *p = s;
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t code;
		n = utf8_decode(p + i, len - i, &code);
		if (!n)
			return false;
	}
	return true;
}

bool text_is_control(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {{0, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e},
		{0x2066, 0x2069}};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

/* One byte as printable ASCII; returns the length, at most 4. */
static size_t escape_byte(unsigned char c, char out[4])
{
	static const char hex[] = "0123456789abcdef";
	if (c >= 0x20 && c <= 0x7e && c != '\\') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = c == '\\' ? '\\' : 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return c == '\\' ? 2 : 4;
}

int text_escape(struct buf *out, const void *s, size_t len)
{
	const unsigned char *p = s;
	char piece[4];
	size_t need = 0;
	for (size_t i = 0; i < len; i++)
		need += escape_byte(p[i], piece);
	/* One reservation for all of it: the text is appended whole or not at all. */
	char *to = buf_reserve(out, need);
	if (!to)
		return -out->failed;
	for (size_t i = 0; i < len; i++) {
		size_t n = escape_byte(p[i], piece);
		memcpy(to, piece, n);
		to += n;
	}
	buf_advance(out, need);
	return 0;
}

const char *text_escaped(char *out, size_t size, const void *s, size_t len)
{
	const unsigned char *p = s;
	size_t used = 0,
	       whole = 0; /* `whole`: up to here the text can be kept if "..." must follow */
	char piece[4];
	if (!size)
		return out;
	for (size_t i = 0; i < len; i++) {
		size_t n = escape_byte(p[i], piece);
		if (used + n >= size) {
			snprintf(out + whole, size - whole, "...");
			return out;
		}
		memcpy(out + used, piece, n);
		used += n;
		if (used + sizeof("...") <= size)
			whole = used;
	}
	out[used] = '\0';
	return out;
}

/* One code point of a JSON string as ASCII; returns the length, at most 12. */
static size_t json_unit(uint32_t code, char out[16])
{
	if (code == '"' || code == '\\')
		return (size_t)snprintf(out, 16, "\\%c", (int)code);
	if (code >= 0x20 && code <= 0x7e) {
		out[0] = (char)code;
		return 1;
	}
	if (code <= 0xffff)
		return (size_t)snprintf(out, 16, "\\u%04x", (unsigned)code);
	code -= 0x10000;
	return (size_t)snprintf(out, 16, "\\u%04x\\u%04x", 0xd800 + (unsigned)(code >> 10),
		0xdc00 + (unsigned)(code & 0x3ff));
}

/* The string without quotes to `to`, or only its length when `to` is NULL. */
static size_t json_text(char *to, const unsigned char *p, size_t len)
{
	size_t total = 0;
	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		char piece[16];
		size_t run = text_plain(p + i, len - i);
		if (to && run)
			memcpy(to + total, p + i, run);
		total += run;
		i += run;
		if (i == len)
			break;
		size_t n = utf8_decode(p + i, len - i, &code);
		size_t width = json_unit(n ? code : REPLACEMENT, piece);
		if (to)
			memcpy(to + total, piece, width);
		total += width;
		i += n ? n : 1;
	}
	return total;
}

int text_json(struct buf *out, const void *s, size_t len)
{
	size_t inner = json_text(NULL, s, len);
	char *to = buf_reserve(out, inner + 2);
	if (!to)
		return -out->failed;
	to[0] = '"';
	json_text(to + 1, s, len);
	to[inner + 1] = '"';
	buf_advance(out, inner + 2);
	return 0;
}

static bool component_ok(const char *s, size_t len)
{
	return len > 0 && len <= SFS_COMPONENT_MAX && !(len == 1 && s[0] == '.') &&
	       !(len == 2 && s[0] == '.' && s[1] == '.');
}

bool text_plain_path(const char *path, size_t len)
{
	if (len == 0 || len >= SFS_PATH_MAX || memchr(path, '\0', len))
		return false;
	for (;;) {
		const char *slash = memchr(path, '/', len);
		size_t n = slash ? (size_t)(slash - path) : len;
		if (!component_ok(path, n))
			return false;
		if (!slash)
			return true;
		path += n + 1;
		len -= n + 1;
	}
}
