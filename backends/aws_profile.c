/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_profile.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include "base/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum kind { PROFILE, SESSION, SERVICES, OTHER };

struct section {
	enum kind kind;
	struct aws_text name;
};

struct entry {
	size_t section;
	struct aws_text block; /* the key this one stands below; empty = none */
	struct aws_text key;   /* lower case */
	struct aws_value value;
};

struct file {
	char *text; /* a block of the secret arena; all slices point into it */
	char *origin;
	struct section *sections;
	struct entry *entries;
	size_t nsections, nentries, sections_cap, entries_cap;
};

struct aws_files {
	struct file file[2]; /* by enum aws_file; origin NULL = not read */
};

/* ---- reading ---- */

/* A text being read, line by line. `key` and `indent` tell where an indented line belongs. */
struct reader {
	struct file *f;
	enum aws_file kind;
	char *p, *end;		/* what is left */
	char *line, *line_end;	/* without blanks at its end */
	size_t number, indent;	/* of the line */
	size_t key_indent;	/* of the last key that was no nested one */
	struct aws_text parent; /* that key, if it had no value: what is below it is nested */
	struct entry *last; /* its entry, if it had a value; valid until the next one is added */
	bool comment;	    /* a comment stood between `last` and this line */
	struct sfs_err *err;
};

static int bad(const struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int bad(const struct reader *r, const char *fmt, ...)
{
	char what[300], origin[200];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	text_escaped(origin, sizeof(origin), r->f->origin, strlen(r->f->origin));
	return err_set(r->err, EINVAL, "%s line %zu: %s", origin, r->number, what);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_comment(char c)
{
	return c == '#' || c == ';';
}

static struct aws_text trimmed(char *from, char *to)
{
	while (from < to && is_blank(*from))
		from++;
	while (from < to && is_blank(to[-1]))
		to--;
	return (struct aws_text){from, (size_t)(to - from)};
}

/* Cuts off the next line; false at the end. */
static int next_line(struct reader *r, bool *ret_more)
{
	*ret_more = r->p < r->end;
	if (!*ret_more)
		return 0;
	char *lf = memchr(r->p, '\n', (size_t)(r->end - r->p));
	char *stop = lf ? lf : r->end, *next = lf ? lf + 1 : r->end;
	r->number++;
	if (stop > r->p && stop[-1] == '\r')
		stop--;
	for (const char *c = r->p; c < stop; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return bad(r, "there is a %s in it; this is no text file",
				*c ? "control character" : "NUL byte");
	struct aws_text t = trimmed(r->p, stop);
	r->line = (char *)t.p;
	r->line_end = r->line + t.len;
	r->indent = (size_t)(r->line - r->p);
	r->p = next;
	return 0;
}

static int no_memory(struct reader *r)
{
	return err_errno(r->err, ENOMEM, "read profiles");
}

/* Room for one more in an array of `n`. */
static void *room(void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	size_t more = *cap ? 2 * *cap : 32;
	void *p = mem_realloc(array, more, size);
	if (p)
		*cap = more;
	return p;
}

static bool starts_with_word(struct aws_text t, const char *word, struct aws_text *ret_rest)
{
	size_t n = strlen(word);
	if (t.len <= n || memcmp(t.p, word, n) != 0 || !is_blank(t.p[n]))
		return false;
	*ret_rest = trimmed((char *)t.p + n, (char *)t.p + t.len);
	return true;
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

static struct aws_text unquoted(struct aws_text t)
{
	if (t.len < 2 || !is_quote(t.p[0]) || t.p[t.len - 1] != t.p[0])
		return t;
	return (struct aws_text){t.p + 1, t.len - 2};
}

/* What is between the brackets. */
static int header_text(struct reader *r, struct aws_text *ret)
{
	char quote = 0, *s = r->line + 1;
	for (; s < r->line_end && (quote || *s != ']'); s++) {
		if (quote && *s == quote)
			quote = 0;
		else if (!quote && is_quote(*s))
			quote = *s;
	}
	if (s == r->line_end)
		return bad(r, "the section is not closed with ]");
	*ret = trimmed(r->line + 1, s);
	struct aws_text after = trimmed(s + 1, r->line_end);
	if (after.len && !is_comment(after.p[0]))
		return bad(r, "nothing may follow the ] of a section");
	return 0;
}

/* `default` needs no word before it in the config file; all others do, and what has none is another
 * program's, or somebody forgot it (see aws_files_no_profile()). */
static struct section section_of(struct aws_text t, enum aws_file kind)
{
	static const struct {
		const char *word;
		enum kind kind;
	} words[] = {{"profile", PROFILE}, {"sso-session", SESSION}, {"services", SERVICES}};
	struct aws_text name;
	if (kind == AWS_FILE_CREDENTIALS)
		return (struct section){PROFILE, unquoted(t)};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (starts_with_word(t, words[i].word, &name))
			return (struct section){words[i].kind, unquoted(name)};
	name = unquoted(t);
	return (struct section){aws_text_is(name, "default") ? PROFILE : OTHER, name};
}

static int read_section(struct reader *r)
{
	struct aws_text t;
	int rc = header_text(r, &t);
	if (rc < 0)
		return rc;
	struct section s = section_of(t, r->kind);
	if (!s.name.len)
		return bad(r, "the section has no name");
	void *p = room(r->f->sections, r->f->nsections, &r->f->sections_cap, sizeof(s));
	if (!p)
		return no_memory(r);
	r->f->sections = p;
	r->f->sections[r->f->nsections++] = s;
	r->last = NULL;
	r->parent = (struct aws_text){NULL, 0};
	r->key_indent = SIZE_MAX;
	return 0;
}

static void lower(struct aws_text t)
{
	char *s = (char *)t.p; /* our own copy of the file */
	for (size_t i = 0; i < t.len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			s[i] = (char)(s[i] - 'A' + 'a');
}

static int add_entry(struct reader *r, struct aws_text key, struct aws_text value, bool nested)
{
	struct file *f = r->f;
	void *p = room(f->entries, f->nentries, &f->entries_cap, sizeof(*f->entries));
	if (!p)
		return no_memory(r);
	f->entries = p;
	f->entries[f->nentries++] = (struct entry){.section = f->nsections - 1,
		.block = nested ? r->parent : (struct aws_text){NULL, 0},
		.key = key,
		.value = {value, f->origin, r->number}};
	return 0;
}

static int read_key(struct reader *r, bool nested)
{
	char *eq = memchr(r->line, '=', (size_t)(r->line_end - r->line));
	if (!eq)
		return bad(r, "it is neither [section], key = value nor a comment");
	struct aws_text key = trimmed(r->line, eq), value = trimmed(eq + 1, r->line_end);
	if (!key.len)
		return bad(r, "there is no key before the =");
	if (!r->f->nsections)
		return bad(r, "a key before the first [section]");
	lower(key);
	int rc = add_entry(r, key, value, nested);
	if (rc < 0 || nested)
		return rc;
	r->key_indent = r->indent;
	r->parent = value.len ? (struct aws_text){NULL, 0} : key;
	r->last = value.len ? &r->f->entries[r->f->nentries - 1] : NULL;
	r->comment = false;
	return 0;
}

/* A value over several lines stays one piece of the text, line ends and all: what splits a command
 * line at blanks splits there too. */
static int continue_value(struct reader *r)
{
	struct aws_text *value = &r->last->value.text;
	if (r->comment)
		return bad(r, "a value goes on after a comment; put the comment before it");
	value->len = (size_t)(r->line_end - value->p);
	return 0;
}

static int read_line(struct reader *r)
{
	if (r->line == r->line_end)
		return 0;
	if (is_comment(*r->line)) {
		r->comment = true;
		return 0;
	}
	if (r->indent > r->key_indent && r->f->nsections && r->key_indent != SIZE_MAX)
		return r->last ? continue_value(r) : read_key(r, true);
	if (*r->line == '[')
		return read_section(r);
	return read_key(r, false);
}

static int read_lines(struct reader *r)
{
	static const char bom[] = "\xef\xbb\xbf";
	bool more = true;
	if (r->end - r->p >= 3 && memcmp(r->p, bom, 3) == 0)
		r->p += 3;
	r->key_indent = SIZE_MAX;
	for (;;) {
		int rc = next_line(r, &more);
		if (rc < 0 || !more)
			return rc;
		if ((rc = read_line(r)) < 0)
			return rc;
	}
}

/* ---- the files ---- */

static void file_clear(struct file *f)
{
	secret_free(f->text);
	mem_free(f->origin);
	mem_free(f->sections);
	mem_free(f->entries);
	*f = (struct file){0};
}

int aws_files_new(struct aws_files **ret)
{
	struct aws_files *f = mem_calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	*ret = f;
	return 0;
}

void aws_files_free(struct aws_files *f)
{
	if (!f)
		return;
	file_clear(&f->file[AWS_FILE_CONFIG]);
	file_clear(&f->file[AWS_FILE_CREDENTIALS]);
	mem_free(f);
}

int aws_files_add(struct aws_files *f, const void *text, size_t len, enum aws_file kind,
	const char *origin, struct sfs_err *err)
{
	_cleanup_(file_clear) struct file new = {0};
	char shown[200];
	text_escaped(shown, sizeof(shown), origin, strlen(origin));
	if (f->file[kind].origin)
		return err_set(err, EEXIST, "%s: there is such a file already", shown);
	if (len > AWS_FILE_MAX)
		return err_set(err, EFBIG,
			"%s has more than %d bytes, which no file of profiles has", shown,
			AWS_FILE_MAX);
	new.origin = mem_strdup(origin);
	new.text = secret_alloc(len + 1);
	if (!new.origin || !new.text)
		return err_errno(err, ENOMEM, "read %s", shown);
	if (len)
		memcpy(new.text, text, len);
	struct reader r = {
		.f = &new, .kind = kind, .p = new.text, .end = new.text + len, .err = err};
	int rc = read_lines(&r);
	if (rc < 0)
		return rc;
	f->file[kind] = new;
	new = (struct file){0};
	return 0;
}

/* ---- answers ---- */

static bool same(struct aws_text a, struct aws_text b)
{
	return a.len == b.len && (!a.len || memcmp(a.p, b.p, a.len) == 0);
}

static struct aws_text text_of(const char *s)
{
	return (struct aws_text){s, strlen(s)};
}

static bool has(const struct file *f, enum kind kind, const char *name)
{
	for (size_t i = 0; i < f->nsections; i++)
		if (f->sections[i].kind == kind && aws_text_is(f->sections[i].name, name))
			return true;
	return false;
}

/* The last such entry of one file, or NULL. */
static const struct aws_value *find(
	const struct file *f, enum kind kind, const char *name, const char *block, const char *key)
{
	for (size_t i = f->nentries; i-- > 0;) {
		const struct entry *e = &f->entries[i];
		const struct section *s = &f->sections[e->section];
		if (s->kind == kind && aws_text_is(e->key, key) && same(e->block, text_of(block)) &&
			aws_text_is(s->name, name))
			return e->value.text.len ? &e->value : NULL;
	}
	return NULL;
}

bool aws_files_has_profile(const struct aws_files *f, const char *profile)
{
	return has(&f->file[AWS_FILE_CONFIG], PROFILE, profile) ||
	       has(&f->file[AWS_FILE_CREDENTIALS], PROFILE, profile);
}

const struct aws_value *aws_files_value(
	const struct aws_files *f, const char *profile, const char *key)
{
	const struct aws_value *v = find(&f->file[AWS_FILE_CREDENTIALS], PROFILE, profile, "", key);
	return v ? v : find(&f->file[AWS_FILE_CONFIG], PROFILE, profile, "", key);
}

bool aws_files_has_session(const struct aws_files *f, const char *session)
{
	return has(&f->file[AWS_FILE_CONFIG], SESSION, session);
}

const struct aws_value *aws_files_session(
	const struct aws_files *f, const char *session, const char *key)
{
	return find(&f->file[AWS_FILE_CONFIG], SESSION, session, "", key);
}

bool aws_files_has_services(const struct aws_files *f, const char *services)
{
	return has(&f->file[AWS_FILE_CONFIG], SERVICES, services);
}

const struct aws_value *aws_files_service(
	const struct aws_files *f, const char *services, const char *service, const char *key)
{
	return find(&f->file[AWS_FILE_CONFIG], SERVICES, services, service, key);
}

/* ---- a profile that is not there ---- */

#define NEAR_MAX 64 /* profiles that are compared, and bytes of a name */

struct names {
	char text[NEAR_MAX][NEAR_MAX];
	const char *at[NEAR_MAX];
	size_t n;
};

static void collect(const struct file *f, struct names *to)
{
	for (size_t i = 0; i < f->nsections && to->n < NEAR_MAX; i++) {
		const struct section *s = &f->sections[i];
		if (s->kind != PROFILE || s->name.len >= NEAR_MAX)
			continue;
		memcpy(to->text[to->n], s->name.p, s->name.len);
		to->text[to->n][s->name.len] = '\0';
		to->at[to->n] = to->text[to->n];
		to->n++;
	}
}

static const char *nearest(const struct aws_files *f, const char *profile, char out[100])
{
	struct names names = {.n = 0};
	char shown[NEAR_MAX];
	collect(&f->file[AWS_FILE_CONFIG], &names);
	collect(&f->file[AWS_FILE_CREDENTIALS], &names);
	const char *near = names.n ? text_nearest(profile, names.at, names.n) : NULL;
	out[0] = '\0';
	if (near)
		snprintf(out, 100, "; did you mean %s?",
			text_escaped(shown, sizeof(shown), near, strlen(near)));
	return out;
}

int aws_files_no_profile(const struct aws_files *f, const char *profile, struct sfs_err *err)
{
	const struct file *c = &f->file[AWS_FILE_CONFIG], *k = &f->file[AWS_FILE_CREDENTIALS];
	char name[80], config[120] = "", credentials[120] = "", hint[100];
	text_escaped(name, sizeof(name), profile, strlen(profile));
	if (c->origin)
		text_escaped(config, sizeof(config), c->origin, strlen(c->origin));
	if (k->origin)
		text_escaped(credentials, sizeof(credentials), k->origin, strlen(k->origin));
	if (!c->origin && !k->origin)
		return err_set(err, ENOKEY,
			"there is no profile %s: no file of profiles could be read (~/.aws/config, "
			"~/.aws/credentials)",
			name);
	if (has(c, OTHER, profile))
		return err_set(err, ENOKEY,
			"there is no profile %s: its section in %s must be written [profile %s]",
			name, config, name);
	return err_set(err, ENOKEY, "there is no profile %s in %s%s%s%s", name, config,
		*config && *credentials ? " or " : "", credentials, nearest(f, profile, hint));
}
