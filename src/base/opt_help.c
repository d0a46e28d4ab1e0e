/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"

#include <string.h>

#define COLUMNS	    80
#define TEXT_COLUMN 26

/* The placeholder of a row's value: "SECONDS", "a|b|c", or NULL for a flag. */
static const char *placeholder(const struct opt_row *row)
{
	if (row->type == OPT_FLAG || row->type == OPT_IGNORED)
		return NULL;
	if (row->arg)
		return row->arg;
	return row->type == OPT_CHOICE ? row->choices : "VALUE";
}

/* What stands for the '*' of a row that takes many names. */
static const char *any_name(const struct opt_row *row)
{
	return row->type == OPT_VARIABLE ? "NAME" : "";
}

static int name_length(const struct opt_row *row)
{
	return (int)strlen(row->name) - (row->type == OPT_VARIABLE);
}

/* The choices where the placeholder does not already show them. */
static const char *listed_choices(const struct opt_row *row)
{
	bool shown = !row->arg || (row->choices && !strcmp(row->arg, row->choices));
	return row->type == OPT_CHOICE && !shown ? row->choices : NULL;
}

/* One word with `tail` right behind it, on the next line if it does not fit; returns the column
 * reached. */
static int put_word(FILE *f, const char *word, size_t len, const char *tail, int column)
{
	int width = (int)(len + strlen(tail));
	if (column > TEXT_COLUMN && column + 1 + width > COLUMNS) {
		fprintf(f, "\n%*s", TEXT_COLUMN, "");
		column = TEXT_COLUMN;
	} else if (column > TEXT_COLUMN) {
		fputc(' ', f);
		column++;
	}
	fprintf(f, "%.*s%s", (int)len, word, tail);
	return column + width;
}

static int put_text(FILE *f, const char *text, int column)
{
	for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
		size_t len = strcspn(text, " \n");
		column = put_word(f, text, len, "", column);
		text += len;
	}
	return column;
}

static int put_choices(FILE *f, const char *choices, int column)
{
	column = put_text(f, "One of", column);
	while (choices) {
		size_t len = strcspn(choices, "|");
		const char *next = choices[len] ? choices + len + 1 : NULL;
		column = put_word(f, choices, len, next ? "," : ".", column);
		choices = next;
	}
	return column;
}

static void help_row(FILE *f, const struct opt_row *row)
{
	const char *arg = placeholder(row), *choices = listed_choices(row);
	bool bare = row->type == OPT_GLOBS;
	int column = fprintf(f, "  %.*s%s%s%s%s%s", name_length(row), row->name, any_name(row),
		bare ? "[" : "", arg ? "=" : "", arg ? arg : "", bare ? "]" : "");
	if (column + 2 > TEXT_COLUMN) {
		fputc('\n', f);
		column = 0;
	}
	fprintf(f, "%*s", TEXT_COLUMN - column, "");
	column = put_text(f, row->help, TEXT_COLUMN);
	if (choices)
		column = put_choices(f, choices, column);
	if (row->dflt)
		put_word(f, row->dflt, strlen(row->dflt), ".", put_text(f, "Default:", column));
	fputc('\n', f);
}

void opt_print_help(FILE *f, const struct opt_table *t)
{
	fprintf(f, "Options of %s:\n", t->owner);
	for (const struct opt_row *row = t->rows; row->name; row++)
		if (row->type != OPT_IGNORED)
			help_row(f, row);
}

/* What troff would take as a command or turn into another glyph: a reader copies options from the
 * page. */
static void man_char(FILE *f, char c, bool line_start)
{
	static const struct {
		char c;
		const char *troff;
	} table[] = {{'\\', "\\e"}, {'-', "\\-"}, {'"', "\\(dq"}, {'\'', "\\(aq"}, {'`', "\\(ga"},
		{'~', "\\(ti"}, {'^', "\\(ha"}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (c != table[i].c)
			continue;
		fputs(table[i].troff, f);
		return;
	}
	if (c == '.' && line_start)
		fputs("\\&", f);
	fputc(c, f);
}

static void man_part(FILE *f, const char *s, size_t len)
{
	bool start = true;
	for (; len; s++, len--) {
		man_char(f, *s, start);
		start = *s == '\n';
	}
}

static void man_text(FILE *f, const char *s)
{
	man_part(f, s, strlen(s));
}

static void man_bold_part(FILE *f, const char *s, size_t len)
{
	fputs("\\fB", f);
	man_part(f, s, len);
	fputs("\\fR", f);
}

static void man_bold(FILE *f, const char *s)
{
	man_bold_part(f, s, strlen(s));
}

static void man_row(FILE *f, const struct opt_row *row)
{
	const char *arg = placeholder(row), *choices = listed_choices(row);
	fputs(".TP\n", f);
	man_bold_part(f, row->name, (size_t)name_length(row));
	if (row->type == OPT_VARIABLE)
		fprintf(f, "\\fI%s\\fR", any_name(row));
	if (arg) {
		fprintf(f, "%s=\\fI", row->type == OPT_GLOBS ? "[" : "");
		man_text(f, arg);
		fprintf(f, "\\fR%s", row->type == OPT_GLOBS ? "]" : "");
	}
	fputc('\n', f);
	man_text(f, row->help);
	fputc('\n', f);
	if (choices) {
		fputs("One of ", f);
		man_bold(f, choices);
		fputs(".\n", f);
	}
	if (row->dflt) {
		fputs("Default: ", f);
		man_bold(f, row->dflt);
		fputs(".\n", f);
	}
}

static void man_ignored(FILE *f, const struct opt_table *t)
{
	const char *between = ".PP\nAccepted and without effect, as fstab(5) has them: ";
	for (const struct opt_row *row = t->rows; row->name; row++) {
		if (row->type != OPT_IGNORED)
			continue;
		fputs(between, f);
		man_bold(f, row->name);
		between = ", ";
	}
	if (between[0] == ',')
		fputs(".\n", f);
}

void opt_print_man(FILE *f, const struct opt_table *t)
{
	for (const struct opt_row *row = t->rows; row->name; row++)
		if (row->type != OPT_IGNORED)
			man_row(f, row);
	man_ignored(f, t);
}
