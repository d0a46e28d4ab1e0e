/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_xml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 16

struct scan {
	const char *p, *end;
	struct aws_text open[DEPTH_MAX]; /* names of the elements we are in */
	size_t depth;
	bool root; /* it has begun */
};

enum tag_kind { OPENS, CLOSES, EMPTY, NO_MORE };

struct tag {
	enum tag_kind kind;
	struct aws_text name;	   /* with its prefix */
	const char *start, *after; /* the '<' and what follows the '>' */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name_char(char c)
{
	return !is_space(c) && !strchr("<>/=\"'&!?", c);
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
}

static bool skip(struct scan *s, const char *text)
{
	size_t n = strlen(text);
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
		return false;
	s->p += n;
	return true;
}

/* To after the next `stop`; false if there is none. */
static bool skip_past(struct scan *s, const char *stop)
{
	const char *at = memmem(s->p, (size_t)(s->end - s->p), stop, strlen(stop));
	if (at)
		s->p = at + strlen(stop);
	return at;
}

static bool read_name(struct scan *s, struct aws_text *ret)
{
	const char *start = s->p;
	while (s->p < s->end && *s->p && is_name_char(*s->p))
		s->p++;
	*ret = (struct aws_text){start, (size_t)(s->p - start)};
	return ret->len > 0;
}

static bool skip_attribute(struct scan *s)
{
	struct aws_text name;
	if (!read_name(s, &name))
		return false;
	skip_space(s);
	if (!skip(s, "="))
		return false;
	skip_space(s);
	const char *quote = s->p < s->end && *s->p == '"' ? "\"" : "'";
	const char *from = s->p;
	if (!skip(s, quote) || !skip_past(s, quote))
		return false;
	return !memchr(from, '<', (size_t)(s->p - from));
}

/* What follows the '<' of an element. */
static bool read_tag(struct scan *s, struct tag *t)
{
	t->kind = skip(s, "/") ? CLOSES : OPENS;
	if (!read_name(s, &t->name))
		return false;
	for (;;) {
		const char *before = s->p;
		skip_space(s);
		if (skip(s, ">"))
			return true;
		if (t->kind == OPENS && skip(s, "/>")) {
			t->kind = EMPTY;
			return true;
		}
		if (t->kind == CLOSES || s->p == before || !skip_attribute(s))
			return false;
	}
}

/* Keeps the stack. */
static bool nest(struct scan *s, const struct tag *t)
{
	if (t->kind == CLOSES) {
		if (!s->depth)
			return false;
		struct aws_text open = s->open[--s->depth];
		return open.len == t->name.len && memcmp(open.p, t->name.p, open.len) == 0;
	}
	if ((!s->depth && s->root) || s->depth == DEPTH_MAX)
		return false;
	s->root = true;
	if (t->kind == OPENS)
		s->open[s->depth++] = t->name;
	return true;
}

static bool only_space(const char *from, const char *to)
{
	while (from < to && is_space(*from))
		from++;
	return from == to;
}

/* The next tag, past text, comments and processing instructions; false if malformed. */
static bool next_tag(struct scan *s, struct tag *t)
{
	for (;;) {
		const char *lt = memchr(s->p, '<', (size_t)(s->end - s->p));
		if (!s->depth && !only_space(s->p, lt ? lt : s->end))
			return false;
		t->kind = NO_MORE;
		if (!lt)
			return !s->depth && s->root;
		s->p = lt;
		t->start = lt;
		if (skip(s, "<?") ? !skip_past(s, "?>") : skip(s, "<!--") && !skip_past(s, "-->"))
			return false;
		if (s->p != lt)
			continue;
		s->p++;
		if (!read_tag(s, t) || !nest(s, t))
			return false;
		t->after = s->p;
		return true;
	}
}

static struct aws_text local(struct aws_text name)
{
	const char *colon = memchr(name.p, ':', name.len);
	if (!colon)
		return name;
	return (struct aws_text){colon + 1, (size_t)(name.p + name.len - colon - 1)};
}

/* Whether the first `n` open elements, and no more, are those of `path`. */
static bool path_is(const struct scan *s, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(path, "/");
		struct aws_text name = local(s->open[i]);
		bool any = len == 1 && *path == '*';
		if (!len || (!any && (name.len != len || memcmp(name.p, path, len) != 0)))
			return false;
		path += len;
		path += *path == '/';
	}
	return !*path;
}

int aws_xml_find(const char *xml, size_t len, const char *path, struct aws_text *ret)
{
	struct scan s = {.p = xml, .end = xml + len};
	struct aws_text found = {NULL, 0};
	const char *inside = NULL; /* where the content begins while we are in the element */
	size_t depth = 0;
	struct tag t;
	skip(&s, "\xef\xbb\xbf");
	while (next_tag(&s, &t)) {
		if (t.kind == NO_MORE) {
			if (!found.p)
				return -EBADMSG;
			*ret = found;
			return 0;
		}
		if (t.kind == EMPTY && s.depth < DEPTH_MAX) {
			s.open[s.depth] = t.name; /* for the comparison only */
			if (!found.p && !inside && path_is(&s, s.depth + 1, path))
				found = (struct aws_text){t.after, 0};
		}
		if (t.kind == OPENS && !found.p && !inside && path_is(&s, s.depth, path)) {
			inside = t.after;
			depth = s.depth;
		}
		if (t.kind == CLOSES && inside && s.depth < depth) {
			found = (struct aws_text){inside, (size_t)(t.start - inside)};
			inside = NULL;
		}
	}
	return -EBADMSG;
}

/* ---- character data ---- */

static bool is_digit_of(char c, unsigned base, unsigned *ret)
{
	unsigned v = 99;
	if (c >= '0' && c <= '9')
		v = (unsigned)(c - '0');
	else if (c >= 'a' && c <= 'f')
		v = (unsigned)(c - 'a') + 10;
	else if (c >= 'A' && c <= 'F')
		v = (unsigned)(c - 'A') + 10;
	*ret = v;
	return v < base;
}

static bool number_of(const char *s, size_t len, uint32_t *ret)
{
	unsigned base = len && *s == 'x' ? 16 : 10, digit;
	uint32_t code = 0;
	size_t i = base == 16;
	if (i == len)
		return false;
	for (; i < len; i++) {
		if (!is_digit_of(s[i], base, &digit) || code > 0x10ffff)
			return false;
		code = code * base + digit;
	}
	*ret = code;
	return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) &&
	       (code >= 0x20 || code == '\t' || code == '\n' || code == '\r');
}

/* What is between '&' and ';'. */
static bool entity(const char *s, size_t len, uint32_t *ret)
{
	static const struct {
		const char *name;
		char c;
	} known[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
	if (len && *s == '#')
		return number_of(s + 1, len - 1, ret);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (aws_text_is((struct aws_text){s, len}, known[i].name)) {
			*ret = (unsigned char)known[i].c;
			return true;
		}
	}
	return false;
}

static void add_utf8(struct buf *b, uint32_t code)
{
	char out[4];
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n; i-- > 1; code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(lead[n] | code);
	buf_add(b, out, n);
}

/* One character at `s` into the buffer; the bytes it took, 0 if it is not allowed. */
static size_t decode_one(const char *s, size_t left, unsigned flags, struct buf *b)
{
	size_t n = 1;
	uint32_t code = (unsigned char)*s;
	if (*s == '&') {
		const char *semi = memchr(s, ';', left);
		if (!semi || !entity(s + 1, (size_t)(semi - s) - 1, &code))
			return 0;
		n = (size_t)(semi - s) + 1;
	} else if (*s == '<' || (code < 0x20 && !is_space(*s))) {
		return 0;
	}
	if ((flags & AWS_XML_NO_BLANKS) && code < 0x80 && is_space((char)code))
		return n;
	if (n == 1)
		buf_char(b, *s);
	else
		add_utf8(b, code);
	return n;
}

int aws_xml_decode(struct aws_text raw, unsigned flags, struct buf *ret)
{
	size_t before = ret->len;
	const char *s = raw.p, *end = raw.p + raw.len;
	while (s < end && is_space(*s))
		s++;
	while (s < end && is_space(end[-1]))
		end--;
	while (s < end && !ret->failed) {
		size_t n = decode_one(s, (size_t)(end - s), flags, ret);
		if (!n)
			break;
		s += n;
	}
	if (s == end)
		return -ret->failed;
	if (ret->data)
		ret->data[ret->len = before] = '\0';
	return ret->failed ? -ret->failed : -EBADMSG;
}
