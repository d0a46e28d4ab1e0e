/* SPDX-License-Identifier: Apache-2.0 */
#include "base/words.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define BLANKS " \t\n"

struct split {
	const char *at;
	char *to;
};

static void copy(struct split *s)
{
	*s->to++ = *s->at++;
}

/* `at` is behind the quote. */
static int single_quoted(struct split *s)
{
	while (*s->at && *s->at != '\'')
		copy(s);
	return *s->at++ ? 0 : -EINVAL;
}

static int double_quoted(struct split *s)
{
	while (*s->at && *s->at != '"') {
		if (s->at[0] == '\\' && s->at[1] && strchr("\"\\$`\n", s->at[1]))
			s->at++;
		copy(s);
	}
	return *s->at++ ? 0 : -EINVAL;
}

static int one_word(struct split *s)
{
	int r = 0;
	while (r == 0 && *s->at && !strchr(BLANKS, *s->at)) {
		char c = *s->at;
		if (c == '\'' || c == '"' || c == '\\')
			s->at++;
		if (c == '\'')
			r = single_quoted(s);
		else if (c == '"')
			r = double_quoted(s);
		else if (!*s->at) /* a backslash at the end */
			r = -EINVAL;
		else
			copy(s);
	}
	*s->to = '\0';
	return r;
}

/* An upper bound: no blank between quoted parts is counted wrongly by less. */
static size_t most_words(const char *line)
{
	size_t n = 0;
	for (; *line; line += strcspn(line, BLANKS), n++)
		line += strspn(line, BLANKS);
	return n;
}

int words_split(const char *line, char ***ret, size_t *ret_n)
{
	/* One block: the pointers, then the words; a word with its NUL is never longer than it was
	 * with its blank, but for the last. */
	size_t most = most_words(line) + 1, n = 0;
	_cleanup_free_ char **v = mem_calloc(1, most * sizeof(*v) + strlen(line) + 1);
	if (!v)
		return -ENOMEM;
	struct split s = {.at = line, .to = (char *)(v + most)};
	for (s.at += strspn(s.at, BLANKS); *s.at; s.at += strspn(s.at, BLANKS)) {
		if (n == WORDS_MAX)
			return -E2BIG;
		v[n++] = s.to;
		int r = one_word(&s);
		if (r < 0)
			return r;
		s.to++;
	}
	if (!n)
		return -EINVAL;
	*ret_n = n;
	*ret = take(v);
	return 0;
}
