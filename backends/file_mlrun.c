/* SPDX-License-Identifier: Apache-2.0 */
/* format=mlrun-list: lines and blanks are those of Python's str.splitlines() and str.strip(). */
#include "backends/file_dotenv.h"

#include "base/text.h"
#include <stdbool.h>
#include <string.h>

/* Length of the line separator at `s` (CRLF is one), 0 if there is none. */
static size_t separator(const unsigned char *s, size_t len)
{
	if (s[0] == '\r' && len > 1 && s[1] == '\n')
		return 2;
	if ((s[0] >= '\n' && s[0] <= '\r') || (s[0] >= 0x1c && s[0] <= 0x1e))
		return 1;
	if (len > 1 && s[0] == 0xc2 && s[1] == 0x85)
		return 2;
	if (len > 2 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9))
		return 3;
	return 0;
}

static bool is_space(uint32_t c)
{
	return (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= ' ') || c == 0x85 || c == 0xa0 ||
	       c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Length of the white space that starts at `s`, 0 if there is none. */
static size_t space_at(const unsigned char *s, size_t len)
{
	uint32_t code;
	size_t n = len ? utf8_decode(s, len, &code) : 0;
	return n && is_space(code) ? n : 0;
}

/* Length of the white space that ends the text. */
static size_t space_before(const unsigned char *s, size_t len)
{
	for (size_t n = 1; n <= 3 && n <= len; n++)
		if (space_at(s + len - n, n) == n)
			return n;
	return 0;
}

static void strip(const char *text, size_t *from, size_t *len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;
	while ((n = space_at(s + *from, *len)) > 0) {
		*from += n;
		*len -= n;
	}
	while ((n = space_before(s + *from, *len)) > 0)
		*len -= n;
}

/* Fills `item` from the line [from, from + len); false for a line without '='. */
static bool split(const char *text, size_t from, size_t len, struct line_item *item)
{
	const char *eq = len ? memchr(text + from, '=', len) : NULL;
	if (!eq)
		return false;
	item->name = from;
	item->name_len = (size_t)(eq - text) - from;
	item->value = item->name + item->name_len + 1;
	item->value_len = len - item->name_len - 1;
	strip(text, &item->name, &item->name_len);
	strip(text, &item->value, &item->value_len);
	item->form = LINE_BARE;
	return true;
}

int mlrun_parse(
	const struct line_text *t, int (*emit)(void *arg, const struct line_item *item), void *arg)
{
	const unsigned char *s = (const unsigned char *)t->text;
	size_t line = 1;
	for (size_t from = 0; from < t->len; line++) {
		struct line_item item = {.line = line};
		size_t end = from, sep = 0;
		while (end < t->len && !(sep = separator(s + end, t->len - end)))
			end++;
		int rc = split(t->text, from, end - from, &item) ? emit(arg, &item) : 0;
		if (rc)
			return rc;
		from = end + sep;
	}
	return 0;
}
