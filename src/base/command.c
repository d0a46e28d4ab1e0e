/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a command: LINE, HOME, and NAME=VALUE or NAME@REFERENCE, with newlines between. */
#include "base/command.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/words.h"
#include <errno.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

void command_clear(struct command *c)
{
	for (size_t i = 0; i < c->nvars; i++) {
		mem_free(c->vars[i].name);
		mem_free(c->vars[i].value);
	}
	mem_free(c->vars);
	mem_free(c->line);
	mem_free(c->home);
	*c = (struct command){0};
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 && *s != '\t')
			return false;
	return true;
}

int command_check_line(const char *line)
{
	_cleanup_free_ char **words = NULL;
	size_t n;
	if (strnlen(line, SFS_COMMAND_MAX) == SFS_COMMAND_MAX)
		return -E2BIG;
	return printable(line) ? words_split(line, &words, &n) : -EINVAL;
}

int command_begin(struct buf *out, const char *line, const char *home)
{
	home = home ? home : "";
	if (!printable(line) || !printable(home))
		return -EINVAL;
	buf_str(out, line);
	buf_char(out, '\n');
	return buf_str(out, home);
}

int command_add(struct buf *out, const char *variable, const char *value, bool ref)
{
	buf_char(out, '\n');
	buf_str(out, variable);
	buf_char(out, ref ? '@' : '=');
	return buf_str(out, value);
}

/* The text to the next newline; *text gets behind it, or NULL. */
static char *next_line(const char **text)
{
	const char *start = *text;
	size_t len = strcspn(start, "\n");
	*text = start[len] ? start + len + 1 : NULL;
	return mem_strndup(start, len);
}

static int add_var(struct command *c, const char **text)
{
	_cleanup_free_ char *line = next_line(text);
	if (!line)
		return -ENOMEM;
	size_t len = strspn(line, LETTERS);
	if (!len || (line[len] != '=' && line[len] != '@') || !printable(line) ||
		c->nvars == SFS_VARIABLES_MAX + SFS_VARIABLES_OWN)
		return -EINVAL;
	struct command_var v = {.name = mem_strndup(line, len),
		.value = mem_strdup(line + len + 1),
		.ref = line[len] == '@'};
	struct command_var *vars = mem_realloc(c->vars, c->nvars + 1, sizeof(*vars));
	if (vars)
		c->vars = vars;
	if (!vars || !v.name || !v.value) {
		mem_free(v.name);
		mem_free(v.value);
		return -ENOMEM;
	}
	c->vars[c->nvars++] = v;
	return 0;
}

int command_parse(const char *text, struct command *ret)
{
	_cleanup_(command_clear) struct command c = {0};
	c.line = next_line(&text);
	if (!c.line)
		return -ENOMEM;
	int r = command_check_line(c.line);
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	if (!text)
		return -EINVAL;
	c.home = next_line(&text);
	if (!c.home)
		return -ENOMEM;
	if (!printable(c.home) || (*c.home && *c.home != '/'))
		return -EINVAL;
	while (r == 0 && text)
		r = add_var(&c, &text);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct command){0};
	return 0;
}
