/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the text of a command; its first line also goes through the splitting into words,
 * quoted again it must give the same words. */
#include "base/alloc.h"
#include "base/command.h"
#include "base/words.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void quote(struct buf *b, const char *word)
{
	buf_str(b, b->len ? " '" : "'");
	for (; *word; word++)
		if (*word == '\'')
			buf_str(b, "'\\''");
		else
			buf_char(b, *word);
	buf_char(b, '\'');
}

static void check_words(const char *line)
{
	struct buf again = BUF_INIT(1 << 22);
	char **v = NULL, **w = NULL;
	size_t n = 0, m = 0, len = 0;
	if (words_split(line, &v, &n) < 0) {
		require(!v && !n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		len += strlen(v[i]);
		quote(&again, v[i]);
	}
	require(n > 0 && n <= WORDS_MAX && !v[n] && len <= strlen(line));
	require(words_split(buf_text(&again), &w, &m) == 0 && m == n);
	for (size_t i = 0; i < n; i++)
		require(!strcmp(v[i], w[i]));
	mem_free(v);
	mem_free(w);
	buf_clear(&again);
}

static void check_command(const char *text)
{
	struct buf again = BUF_INIT(1 << 22);
	struct command c = {0};
	if (command_parse(text, &c) < 0) {
		require(!c.line && !c.vars);
		return;
	}
	require(command_begin(&again, c.line, c.home) == 0);
	for (size_t i = 0; i < c.nvars; i++)
		command_add(&again, c.vars[i].name, c.vars[i].value, c.vars[i].ref);
	require(!strcmp(buf_text(&again), text));
	require(command_check_line(c.line) == 0);
	command_clear(&c);
	buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_words(text);
	check_command(text);
	free(text);
	return 0;
}
