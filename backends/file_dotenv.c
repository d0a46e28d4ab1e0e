/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/file_dotenv.h"

#include "base/text.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct cursor {
	const struct line_text *t;
	size_t pos, line;
	struct sfs_err *err;
};

static int malformed(const struct cursor *c, size_t line, const char *what)
{
	char label[256];
	text_escaped(label, sizeof(label), c->t->label, strlen(c->t->label));
	return err_set(c->err, EBADMSG, "%s:%zu: %s", label, line, what);
}

static bool at_end(const struct cursor *c)
{
	return c->pos >= c->t->len;
}

/* The byte at the cursor; a line feed at the end of the text. */
static char peek(const struct cursor *c)
{
	return at_end(c) ? '\n' : c->t->text[c->pos];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct cursor *c)
{
	while (!at_end(c) && is_blank(peek(c)))
		c->pos++;
}

/* True at LF, at CR before LF, and at the end. */
static bool at_line_end(const struct cursor *c)
{
	if (peek(c) == '\n')
		return true;
	return peek(c) == '\r' && (c->pos + 1 == c->t->len || c->t->text[c->pos + 1] == '\n');
}

static void skip_line(struct cursor *c)
{
	while (!at_end(c) && peek(c) != '\n')
		c->pos++;
	if (!at_end(c))
		c->pos++;
	c->line++;
}

static bool is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_name_char(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

/* Passes over "export" and blanks, unless `export` is the name itself. */
static void skip_export(struct cursor *c)
{
	size_t at = c->pos;
	if (c->t->len - at < 7 || memcmp(c->t->text + at, "export", 6) != 0 ||
		!is_blank(c->t->text[at + 6]))
		return;
	c->pos += 6;
	skip_blanks(c);
	if (peek(c) == '=')
		c->pos = at;
}

static int take_name(struct cursor *c, struct line_item *item)
{
	skip_export(c);
	item->name = c->pos;
	if (at_end(c) || !is_name_start(peek(c)))
		return malformed(c, c->line,
			"a line must be NAME=value; a name starts with a letter or '_'");
	while (!at_end(c) && is_name_char(peek(c)))
		c->pos++;
	item->name_len = c->pos - item->name;
	skip_blanks(c);
	if (at_end(c) || peek(c) != '=')
		return malformed(c, c->line,
			at_line_end(c) ? "'=' is missing after the name"
				       : "the name holds a character other than letters, digits, "
					 "'_', '.' and '-'");
	c->pos++;
	skip_blanks(c);
	return 0;
}

/* After the closing quote only blanks and a comment may stand. */
static int take_rest(struct cursor *c)
{
	skip_blanks(c);
	if (!at_line_end(c) && peek(c) != '#')
		return malformed(
			c, c->line, "there is text after the closing quote; quote the whole value");
	return 0;
}

static int take_quoted(struct cursor *c, struct line_item *item)
{
	char quote = peek(c);
	item->form = quote == '"' ? LINE_DOUBLE : LINE_SINGLE;
	item->value = ++c->pos;
	for (; !at_end(c) && peek(c) != quote; c->pos++) {
		if (peek(c) == '\\' && quote == '"' && c->pos + 1 < c->t->len)
			c->pos++;
		if (peek(c) == '\n')
			c->line++;
	}
	if (at_end(c))
		return malformed(c, item->line, "the quote that starts the value is never closed");
	item->value_len = c->pos - item->value;
	c->pos++;
	return take_rest(c);
}

static void take_bare(struct cursor *c, struct line_item *item)
{
	size_t end = c->pos;
	bool blank = true; /* the blanks after '=' count: "A= #x" is empty */
	item->form = LINE_BARE;
	item->value = c->pos;
	if (c->pos > 0 && c->t->text[c->pos - 1] == '=')
		blank = false;
	for (; !at_line_end(c); c->pos++) {
		if (blank && peek(c) == '#')
			break;
		blank = is_blank(peek(c));
		if (!blank)
			end = c->pos + 1;
	}
	item->value_len = end - item->value;
}

static int take_assignment(struct cursor *c, struct line_item *item)
{
	*item = (struct line_item){.line = c->line};
	int rc = take_name(c, item);
	if (rc)
		return rc;
	if (!at_end(c) && (peek(c) == '"' || peek(c) == '\''))
		return take_quoted(c, item);
	take_bare(c, item);
	return 0;
}

static int check_nul(struct cursor *c)
{
	const char *nul = c->t->len ? memchr(c->t->text, 0, c->t->len) : NULL;
	size_t line = 1;
	if (!nul)
		return 0;
	for (const char *p = c->t->text; p < nul; p++)
		line += *p == '\n';
	return malformed(c, line, "a NUL byte: this is no text file");
}

int dotenv_parse(const struct line_text *t, int (*emit)(void *arg, const struct line_item *item),
	void *arg, struct sfs_err *err)
{
	struct cursor c = {.t = t, .line = 1, .err = err};
	int rc = check_nul(&c);
	if (rc)
		return rc;
	if (t->len >= 3 && memcmp(t->text, "\xef\xbb\xbf", 3) == 0)
		c.pos = 3;
	for (; !at_end(&c); skip_line(&c)) {
		struct line_item item;
		skip_blanks(&c);
		if (at_line_end(&c) || peek(&c) == '#')
			continue;
		rc = take_assignment(&c, &item);
		if (!rc)
			rc = emit(arg, &item);
		if (rc)
			return rc;
	}
	return 0;
}

/* What `\c` means in double quotes; 0 = the backslash stays. */
static char escaped(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case '\\':
	case '"':
	case '$':
		return c;
	default:
		return 0;
	}
}

/* Line breaks of a CRLF file mean LF; escapes count in double quotes. */
static int add_quoted(const char *s, size_t len, bool escapes, struct buf *out)
{
	size_t from = 0;
	int rc = 0;
	for (size_t i = 0; i + 1 < len && !rc; i++) {
		char esc = escapes && s[i] == '\\' ? escaped(s[i + 1]) : 0;
		bool crlf = s[i] == '\r' && s[i + 1] == '\n';
		if (!esc && !crlf) {
			i += escapes && s[i] == '\\' && s[i + 1] != '\r';
			continue;
		}
		rc = buf_add(out, s + from, i - from);
		if (!rc)
			rc = buf_char(out, crlf ? '\n' : esc);
		from = ++i + 1;
	}
	return rc ? rc : buf_add(out, s + from, len - from);
}

static bool is_word(char c)
{
	return is_name_start(c) || (c >= '0' && c <= '9');
}

/* Length of the reference "$NAME" or "${NAME}" at `s`, 0 if there is none; the name is [*ret_name,
 * *ret_name + *ret_len). */
static size_t reference(const char *s, size_t len, size_t *ret_name, size_t *ret_len)
{
	size_t i = 1;
	if (len > 1 && s[1] == '{') {
		const char *close = memchr(s + 2, '}', len - 2);
		*ret_name = 2;
		*ret_len = close ? (size_t)(close - s) - 2 : 0;
		return close ? *ret_len + 3 : 0;
	}
	while (i < len && is_word(s[i]))
		i++;
	*ret_name = 1;
	*ret_len = i - 1;
	return i > 1 ? i : 0;
}

static struct secret *variable(const struct envstore *env, const char *name, size_t len)
{
	char text[256];
	if (!env || len == 0 || len >= sizeof(text))
		return NULL;
	memcpy(text, name, len);
	text[len] = '\0';
	return envstore_get(env, text);
}

static int add_expanded(const char *s, size_t len, const struct envstore *env, struct buf *out)
{
	int rc = 0;
	for (size_t i = 0, step; i < len && !rc; i += step) {
		size_t name = 0, name_len = 0;
		size_t n = s[i] == '$' ? reference(s + i, len - i, &name, &name_len) : 0;
		struct secret *v = n ? variable(env, s + i + name, name_len) : NULL;
		step = n ? n : 1;
		rc = v ? buf_add(out, secret_bytes(v), secret_len(v)) : buf_add(out, s + i, step);
		secret_unref(v);
	}
	return rc;
}

int line_value(const char *value, size_t len, enum line_form form, const struct envstore *env,
	struct buf *out)
{
	switch (form) {
	case LINE_SINGLE:
	case LINE_DOUBLE:
		return add_quoted(value, len, form == LINE_DOUBLE, out);
	case LINE_EXPAND:
		return add_expanded(value, len, env, out);
	default:
		return buf_add(out, value, len);
	}
}
