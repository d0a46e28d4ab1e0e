/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob_match(): the pattern is read once, token by token, while a set holds every place of the path
 * that the part read so far can reach. A token costs at most one pass over the path, so no pattern
 * is exponential, and nothing is allocated.
 */
#include "base/text.h"

#include "base/limits.h"
#include <string.h>

enum token_kind { TOKEN_CHAR, TOKEN_ANY, TOKEN_BRACKET, TOKEN_STAR, TOKEN_STARS, TOKEN_DIRS };

struct token {
	enum token_kind kind;
	uint32_t code;		       /* TOKEN_CHAR */
	const char *bracket, *closing; /* TOKEN_BRACKET: first character inside, and the ']' */
};

/* Places of the path, as a flag for each; none outside [low, high]. Empty when low > high. */
struct places {
	size_t low, high;
	bool at[SFS_PATH_MAX + 1];
};

/* The character at `s` and its length. A byte that is not UTF-8 is a character of its own, outside
 * Unicode. */
static size_t next_char(const char *s, size_t len, uint32_t *ret_code)
{
	size_t n = utf8_decode((const unsigned char *)s, len, ret_code);
	if (n)
		return n;
	*ret_code = UINT32_C(0x80000000) | (unsigned char)*s;
	return 1;
}

/* The same in a pattern, where a backslash quotes; one at the very end stands for itself. */
static size_t next_quoted(const char *s, uint32_t *ret_code, bool *ret_quoted)
{
	*ret_quoted = s[0] == '\\' && s[1];
	if (*ret_quoted)
		return 1 + next_char(s + 1, strnlen(s + 1, 4), ret_code);
	return next_char(s, strnlen(s, 4), ret_code);
}

/* The ']' of the bracket whose inside starts at `s`, or NULL. The first character never closes. */
static const char *bracket_end(const char *s)
{
	if (*s == '!' || *s == '^')
		s++;
	for (bool first = true; *s; first = false) {
		if (*s == ']' && !first)
			return s;
		s += s[0] == '\\' && s[1] ? 2 : 1;
	}
	return NULL;
}

static bool bracket_matches(const struct token *t, uint32_t code)
{
	const char *s = t->bracket;
	bool negated = *s == '!' || *s == '^', quoted;
	if (code == '/')
		return false;
	for (s += negated; s < t->closing;) {
		uint32_t low, high;
		s += next_quoted(s, &low, &quoted);
		high = low;
		if (*s == '-' && s + 1 < t->closing)
			s += 1 + next_quoted(s + 1, &high, &quoted);
		if (code >= low && code <= high)
			return !negated;
	}
	return negated;
}

static bool token_matches(const struct token *t, uint32_t code)
{
	if (t->kind == TOKEN_CHAR)
		return code == t->code;
	return t->kind == TOKEN_ANY ? code != '/' : bracket_matches(t, code);
}

/* Reads one token of the pattern; returns its length. `start`: it stands at the start of a
 * component. *brackets is cleared at the first '[' without end: then none of those after it has one
 * either, and looking again would cost time. */
static size_t next_token(const char *s, bool start, bool *brackets, struct token *ret)
{
	bool quoted;
	if (s[0] == '*') {
		size_t n = strspn(s, "*");
		bool dirs = n > 1 && start && s[n] == '/';
		ret->kind = n == 1 ? TOKEN_STAR : dirs ? TOKEN_DIRS : TOKEN_STARS;
		return n + dirs;
	}
	if (s[0] == '?') {
		ret->kind = TOKEN_ANY;
		return 1;
	}
	if (s[0] == '[' && *brackets) {
		ret->closing = bracket_end(s + 1);
		if (ret->closing) {
			ret->kind = TOKEN_BRACKET;
			ret->bracket = s + 1;
			return (size_t)(ret->closing - s) + 1;
		}
		*brackets = false;
	}
	ret->kind = TOKEN_CHAR;
	return next_quoted(s, &ret->code, &quoted);
}

/* Every place of `from` moves over one character that the token matches; `to` gets the places
 * reached. */
static void step_char(const struct token *t, const char *path, size_t len,
	const struct places *from, struct places *to)
{
	size_t end = from->high + 4 < len ? from->high + 4 : len;
	memset(to->at + from->low, 0, end - from->low + 1);
	to->low = len + 1;
	to->high = 0;
	for (size_t i = from->low, n; i <= from->high && i < len; i += n) {
		uint32_t code;
		n = next_char(path + i, len - i, &code);
		if (!from->at[i] || !token_matches(t, code))
			continue;
		to->at[i + n] = true;
		to->high = i + n;
		if (to->low > len)
			to->low = i + n;
	}
}

/* Places spread to the right: over anything but '/' (TOKEN_STAR), over anything (TOKEN_STARS), or
 * to the starts of the components that follow (TOKEN_DIRS). In place. */
static void step_star(enum token_kind kind, const char *path, size_t len, struct places *p)
{
	bool reached = false;
	size_t high = p->high, last = p->low;
	for (size_t i = p->low; i <= len; i++) {
		bool was = i <= high && p->at[i];
		bool spread = reached && (kind != TOKEN_DIRS || path[i - 1] == '/');
		if (kind == TOKEN_STAR && i > p->low && path[i - 1] == '/')
			reached = spread = false;
		p->at[i] = was || spread;
		reached = reached || was;
		if (p->at[i])
			last = i;
		else if (kind == TOKEN_STAR && i > high)
			break;
	}
	p->high = last;
}

static bool match_rest(const char *pattern, const char *path, size_t len)
{
	struct places sets[2];
	struct places *now = &sets[0], *next = &sets[1];
	bool start = true, brackets = true;
	now->low = now->high = 0;
	now->at[0] = true;
	while (*pattern && now->low <= now->high) {
		struct token t = {0};
		pattern += next_token(pattern, start, &brackets, &t);
		start = t.kind == TOKEN_DIRS || (t.kind == TOKEN_CHAR && t.code == '/');
		if (t.kind >= TOKEN_STAR) {
			step_star(t.kind, path, len, now);
			continue;
		}
		step_char(&t, path, len, now, next);
		struct places *old = now;
		now = next;
		next = old;
	}
	return now->low <= now->high && now->high == len && now->at[len];
}

bool glob_match(const char *pattern, const char *path)
{
	if (!strcmp(pattern, "*"))
		return true;
	/* Most patterns of a long list part from the path before their first operator: no set for
	 * those. */
	size_t i = 0, same = 0;
	for (; pattern[i] && !strchr("*?[\\", pattern[i]); i++) {
		if (pattern[i] != path[i])
			return false;
		if (pattern[i] == '/')
			same = i + 1;
	}
	if (!pattern[i])
		return !path[i];
	size_t len = strnlen(path + same, SFS_PATH_MAX + 1);
	return len <= SFS_PATH_MAX && match_rest(pattern + same, path + same, len);
}
