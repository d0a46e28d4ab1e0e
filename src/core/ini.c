/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ini.h"

#include "base/limits.h"
#include <errno.h>
#include <string.h>

struct span {
	const char *s;
	size_t len;
};

void ini_open(struct ini_reader *r, const char *text, size_t len, const char *file)
{
	static const char mark[] = "\xef\xbb\xbf"; /* byte order mark of some editors */
	*r = (struct ini_reader){.text = text,
		.len = len,
		.file = file,
		.name = BUF_INIT(SFS_CONFIG_LINE_MAX),
		.value = BUF_SECRET_INIT(SFS_CONFIG_LINE_MAX)};
	if (len >= 3 && !memcmp(text, mark, 3))
		r->pos = 3;
}

void ini_close(struct ini_reader *r)
{
	buf_clear(&r->name);
	buf_clear(&r->value);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span t)
{
	while (t.len && is_blank(t.s[0])) {
		t.s++;
		t.len--;
	}
	while (t.len && is_blank(t.s[t.len - 1]))
		t.len--;
	return t;
}

static int bad(const struct ini_reader *r, struct sfs_err *err, const char *what)
{
	return err_set(err, EINVAL, "%s:%zu: %s", r->file, r->line, what);
}

static struct span next_line(struct ini_reader *r)
{
	struct span l = {.s = r->text + r->pos};
	const char *end = memchr(l.s, '\n', r->len - r->pos);
	l.len = end ? (size_t)(end - l.s) : r->len - r->pos;
	r->pos += l.len + (end != NULL);
	r->line++;
	return l;
}

static int escape(char c)
{
	static const char from[] = "\"\\nrt", to[] = "\"\\\n\r\t";
	const char *p = c ? strchr(from, c) : NULL;
	return p ? to[p - from] : -1;
}

/* Reads a quoted text that starts at t->s[0] == '"' into `out` and moves `t` behind its end. */
static int quoted(struct ini_reader *r, struct span *t, struct buf *out, struct sfs_err *err)
{
	size_t i = 1;
	int added = 0;
	for (; i < t->len && t->s[i] != '"' && added == 0; i++) {
		int c = (unsigned char)t->s[i];
		if (c == '\\')
			c = ++i < t->len ? escape(t->s[i]) : -1;
		if (c < 0)
			return bad(r, err,
				"in double quotes a backslash stands before \" \\ n r or t only");
		added = buf_char(out, (char)c);
	}
	if (added < 0)
		return err_set(err, -added, "%s:%zu: out of memory", r->file, r->line);
	if (i >= t->len)
		return bad(r, err, "the double quote has no end (write \\\" for a quote itself)");
	t->s += i + 1;
	t->len -= i + 1;
	return 0;
}

static int add(struct ini_reader *r, struct buf *out, struct span t, struct sfs_err *err)
{
	int e = buf_add(out, t.s, t.len);
	return e < 0 ? err_set(err, -e, "%s:%zu: out of memory", r->file, r->line) : 0;
}

static int parse_value(struct ini_reader *r, struct span t, struct sfs_err *err)
{
	t = trim(t);
	r->has_value = true;
	if (!t.len || t.s[0] != '"')
		return add(r, &r->value, t, err);
	int e = quoted(r, &t, &r->value, err);
	if (e == 0 && trim(t).len)
		return bad(r, err, "bytes after the closing double quote of a value");
	return e;
}

static int parse_section(struct ini_reader *r, struct span t, struct sfs_err *err)
{
	if (t.s[t.len - 1] != ']')
		return bad(r, err, "a section line ends with ]");
	t = trim((struct span){t.s + 1, t.len - 2});
	size_t word = 0;
	while (word < t.len && !is_blank(t.s[word]))
		word++;
	if (!word)
		return bad(r, err, "a section has a name: [mount], [backend NAME]");
	int e = add(r, &r->name, (struct span){t.s, word}, err);
	struct span arg = trim((struct span){t.s + word, t.len - word});
	return e == 0 && arg.len ? parse_value(r, arg, err) : e;
}

static int parse_pair(struct ini_reader *r, struct span t, struct sfs_err *err)
{
	int e = 0;
	if (t.s[0] == '"') {
		e = quoted(r, &t, &r->name, err);
		t = trim(t);
		if (e == 0 && t.len && t.s[0] != '=')
			return bad(r, err, "after a quoted name comes =");
	} else {
		const char *eq = memchr(t.s, '=', t.len);
		size_t len = eq ? (size_t)(eq - t.s) : t.len;
		e = add(r, &r->name, trim((struct span){t.s, len}), err);
		t = (struct span){t.s + len, t.len - len};
	}
	if (e < 0)
		return e;
	if (!r->name.len)
		return bad(r, err, "a name is missing before =");
	return t.len ? parse_value(r, (struct span){t.s + 1, t.len - 1}, err) : 0;
}

int ini_next(struct ini_reader *r, enum ini_kind *ret, struct sfs_err *err)
{
	buf_reset(&r->name);
	buf_reset(&r->value);
	r->has_value = false;
	while (r->pos < r->len) {
		struct span l = next_line(r);
		if (l.len > SFS_CONFIG_LINE_MAX)
			return bad(r, err, "the line is longer than 65536 bytes");
		if (memchr(l.s, '\0', l.len))
			return bad(r, err, "the line holds a NUL byte: this is no text file");
		l = trim(l);
		if (!l.len || l.s[0] == '#' || l.s[0] == ';')
			continue;
		bool section = l.s[0] == '[';
		int e = section ? parse_section(r, l, err) : parse_pair(r, l, err);
		if (e == 0)
			*ret = section ? INI_SECTION : INI_PAIR;
		return e;
	}
	*ret = INI_END;
	return 0;
}
