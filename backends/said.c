/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/said.h"

#include "base/text.h"
#include <string.h>

#define WORD_TOO_BIG 128 /* no name in a message is, a token is */

/* Whether a run without blanks ends here. */
static bool ends_word(char c)
{
	return (unsigned char)c <= ' ' || strchr("\"',;:=", c);
}

/* One word, or "[...]" for one that is longer than any name. */
static void add_word(struct buf *b, const char *word, size_t len)
{
	if (len >= WORD_TOO_BIG)
		buf_str(b, "[...]");
	else
		buf_add(b, word, len);
}

void said_add(struct buf *b, const char *text, size_t len)
{
	size_t i = 0;
	while (i < len && b->len < SAID_MAX) {
		size_t start = i;
		while (i < len && !ends_word(text[i]))
			i++;
		add_word(b, text + start, i - start);
		if (i < len)
			buf_add(b, text + i++, 1);
	}
}

/* Typographic apostrophes, which services write here and there, as plain ones. */
static void plain_apostrophes(struct buf *b)
{
	size_t n = 0;
	for (size_t i = 0; i < b->len; i++) {
		bool curly =
			b->len - i >= 3 && (memcmp(b->data + i, "\xe2\x80\x98", 3) == 0 ||
						   memcmp(b->data + i, "\xe2\x80\x99", 3) == 0);
		b->data[n++] = curly ? '\'' : b->data[i];
		i += curly ? 2 : 0;
	}
	b->len = n;
}

void said_text(struct buf *b, char *out, size_t size)
{
	plain_apostrophes(b);
	text_escaped(out, size, buf_text(b), b->len);
}
