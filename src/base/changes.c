/* SPDX-License-Identifier: Apache-2.0 */
#include "base/changes.h"
#include "base/limits.h"
#include "base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALL "changed *\n"

static const char *const words[] = {
	[CHANGE_CREATED] = "created",
	[CHANGE_ROTATED] = "rotated",
	[CHANGE_DELETED] = "deleted",
};

/* Where the line (with its newline) stands, or NULL. */
static char *find_line(const struct changes *c, const char *line, size_t len)
{
	char *at = c->text.data, *end = at ? at + c->text.len : NULL;
	while (at && (at = memmem(at, (size_t)(end - at), line, len))) {
		if (at == c->text.data || at[-1] == '\n')
			return at;
		at++;
	}
	return NULL;
}

static void cut(struct changes *c, char *at, size_t len)
{
	size_t after = (size_t)(c->text.data + c->text.len - at) - len;
	memmove(at, at + len, after + 1); /* with the NUL of the buffer */
	c->text.len -= len;
}

/* After `more` nothing is added: the command looks at everything anyway. */
static void add_line(struct changes *c, const char *line, size_t len)
{
	char *old;
	if (c->more)
		return;
	if ((old = find_line(c, line, len)))
		cut(c, old, len);
	if (c->text.len + len > SFS_CHANGES_MAX - sizeof(ALL) || buf_add(&c->text, line, len) < 0) {
		c->text.failed = 0;
		c->more = true;
	}
}

void changes_add(struct changes *c, enum change what, const char *path)
{
	char line[SFS_PATH_MAX + 16];
	int n = snprintf(line, sizeof(line), "%s %s\n", words[what], path);
	if ((size_t)n < sizeof(line))
		add_line(c, line, (size_t)n);
	else
		c->more = true;
}

static bool is_printable(const char *s, size_t len)
{
	uint32_t code;
	size_t n;
	for (; len; s += n, len -= n) {
		n = utf8_decode((const unsigned char *)s, len, &code);
		if (n == 0 || text_is_control(code))
			return false;
	}
	return true;
}

/* `len` without the newline. */
static bool line_ok(const char *line, size_t len)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);
		if (len > n && memcmp(line, words[i], n) == 0 && line[n] == ' ')
			return text_plain_path(line + n + 1, len - n - 1) &&
			       is_printable(line + n + 1, len - n - 1);
	}
	return false;
}

static bool is_all(const char *line, size_t len)
{
	return len == sizeof(ALL) - 2 && memcmp(line, ALL, len) == 0;
}

static int each_line(const char *text, size_t len, struct changes *c)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : 0;
		if (!end || (!is_all(text, n) && !line_ok(text, n)))
			return -EBADMSG;
		if (c && is_all(text, n))
			c->more = true;
		else if (c)
			add_line(c, text, n + 1);
		text += n + 1;
		len -= n + 1;
	}
	return 0;
}

int changes_add_lines(struct changes *c, const char *text, size_t len)
{
	int r = each_line(text, len, NULL);
	return r < 0 ? r : each_line(text, len, c);
}

bool changes_any(const struct changes *c)
{
	return c->text.len > 0 || c->more;
}

size_t changes_take(struct changes *c, char *out, size_t size)
{
	size_t n = c->text.len;
	if (n > size) {
		const char *end = memrchr(c->text.data, '\n', size);
		n = end ? (size_t)(end - c->text.data) + 1 : 0;
	}
	if (n) {
		memcpy(out, c->text.data, n);
		cut(c, c->text.data, n);
	}
	if (c->more && c->text.len == 0 && size - n >= sizeof(ALL) - 1) {
		memcpy(out + n, ALL, sizeof(ALL) - 1);
		n += sizeof(ALL) - 1;
		c->more = false;
	}
	return n;
}

void changes_clear(struct changes *c)
{
	buf_clear(&c->text);
	c->more = false;
}
