/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_filter.h"

#include "backends/aws_answer.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

static const char *const secret_keys[] = {"name", "description", "tag-key", "tag-value",
	"primary-region", "owning-service", "all", NULL};
static const char *const parameter_keys[] = {
	"Name", "Path", "Type", "KeyId", "Tier", "DataType", "tag:", NULL};

const struct aws_filter_kind aws_filter_secrets = {
	.keys = secret_keys, .max_filters = 10, .max_values = 10, .max_value_len = 512};
const struct aws_filter_kind aws_filter_parameters = {.keys = parameter_keys,
	.options = true,
	.max_filters = 50,
	.max_values = 50,
	.max_value_len = 1024};

/* One filter while it is read; reset for each. */
struct filter {
	struct buf key, option;
	struct buf values; /* JSON strings, commas between */
	size_t nvalues;
};

struct parse {
	const struct aws_filter_kind *kind;
	const char *s;
	struct filter f;
	struct buf *out;
	size_t n; /* filters so far, those of before included */
	struct sfs_err *err;
};

static void filter_reset(struct filter *f)
{
	buf_reset(&f->key);
	buf_reset(&f->option);
	buf_reset(&f->values);
	f->nvalues = 0;
}

static int no_memory(struct parse *p)
{
	return err_set(p->err, ENOMEM, "out of memory for a filter");
}

static bool known_key(const struct aws_filter_kind *kind, const char *key)
{
	for (const char *const *k = kind->keys; *k; k++) {
		size_t len = strlen(*k);
		if ((*k)[len - 1] == ':' ? !strncmp(key, *k, len) && key[len] : !strcmp(key, *k))
			return true;
	}
	return false;
}

static int unknown_key(struct parse *p)
{
	_cleanup_(buf_clear) struct buf all = BUF_INIT(256);
	char text[64];
	for (const char *const *k = p->kind->keys; *k; k++)
		buf_printf(&all, "%s%s%s", k == p->kind->keys ? "" : ", ", *k,
			strchr(*k, ':') ? "KEY" : "");
	return err_set(p->err, EINVAL, "a filter has no key %s; there are: %s",
		text_escaped(text, sizeof(text), p->f.key.data, p->f.key.len), buf_text(&all));
}

/* The filter that was read goes to the output. */
static int emit(struct parse *p)
{
	struct filter *f = &p->f;
	if (f->key.failed || f->option.failed || f->values.failed)
		return no_memory(p);
	if (!f->key.len)
		return err_set(p->err, EINVAL,
			"a filter lacks its key: write Key=name,Values=prod/ or name=prod/");
	if (!known_key(p->kind, f->key.data) || !utf8_valid(f->key.data, f->key.len))
		return unknown_key(p);
	if (!utf8_valid(buf_text(&f->option), f->option.len))
		return err_set(p->err, EINVAL, "Option of a filter is no text");
	/* Those of tags are fine without: the tag is there. */
	if (!f->nvalues && !strchr(buf_text(&f->key), ':'))
		return err_set(p->err, EINVAL, "the filter %s has no values", f->key.data);
	if (p->n == p->kind->max_filters)
		return err_set(
			p->err, E2BIG, "there may be %zu filters at most", p->kind->max_filters);
	if (p->n++)
		buf_char(p->out, ',');
	aws_body_begin(p->out);
	buf_str(p->out, "\"Key\":");
	json_quote(p->out, f->key.data, f->key.len);
	if (f->option.len)
		aws_put(p->out, "Option", f->option.data);
	if (f->nvalues)
		buf_printf(p->out, ",\"Values\":[%s]", f->values.data);
	filter_reset(f);
	return aws_body_end(p->out) ? no_memory(p) : 0;
}

static int add_value(struct parse *p, const char *text, size_t len)
{
	struct filter *f = &p->f;
	if (f->nvalues == p->kind->max_values)
		return err_set(
			p->err, E2BIG, "a filter may have %zu values at most", p->kind->max_values);
	if (!len || len > p->kind->max_value_len || memchr(text, 0, len) || !utf8_valid(text, len))
		return err_set(p->err, EINVAL, "a value of a filter is text of 1 to %zu bytes",
			p->kind->max_value_len);
	if (f->nvalues++)
		buf_char(&f->values, ',');
	return json_quote(&f->values, text, len) ? no_memory(p) : 0;
}

/* --- as the CLI takes them --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Reads up to a comma or blank, quotes taken off. */
static int read_word(struct parse *p, struct buf *out)
{
	buf_reset(out);
	while (*p->s && *p->s != ',' && !is_blank(*p->s)) {
		char quote = *p->s == '"' || *p->s == '\'' ? *p->s : 0;
		const char *end = quote ? strchr(p->s + 1, quote) : p->s + 1;
		if (!end)
			return err_set(p->err, EINVAL, "a quote in the filter has no end");
		buf_add(out, p->s + (quote != 0), quote ? (size_t)(end - p->s - 1) : 1);
		p->s = quote ? end + 1 : end;
	}
	return out->failed ? no_memory(p) : 0;
}

/* The word before '=' at the place where one may stand, or 0: it is a value. Quotes make a value of
 * anything. */
static size_t word_length(const char *s)
{
	size_t n = strcspn(s, "=, \t\r\n'\"");
	return s[n] == '=' ? n : 0;
}

static bool word_is(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(s, word, len);
}

/* Values up to the end of the filter, or to the next Key=, Option= or Values= after a comma. */
static int read_values(struct parse *p)
{
	_cleanup_(buf_clear) struct buf word = BUF_INIT(SFS_FILTER_MAX);
	for (;;) {
		int rc = read_word(p, &word);
		if (!rc)
			rc = add_value(p, buf_text(&word), word.len);
		if (rc || *p->s != ',')
			return rc;
		size_t n = word_length(p->s + 1);
		if (word_is(p->s + 1, n, "Key") || word_is(p->s + 1, n, "Option"))
			return 0;
		p->s++;
	}
}

static int read_part(struct parse *p)
{
	size_t n = word_length(p->s);
	const char *word = p->s;
	struct filter *f = &p->f;
	if (!n)
		return err_set(p->err, EINVAL,
			"the filter is not understood: write Key=name,Values=prod/ or name=prod/, "
			"several with blanks between");
	p->s += n + 1;
	if (word_is(word, n, "Key"))
		return read_word(p, &f->key);
	if (p->kind->options && word_is(word, n, "Option"))
		return read_word(p, &f->option);
	if (!word_is(word, n, "Values")) {
		if (f->key.len)
			return err_set(p->err, EINVAL,
				"a filter has Key=, Values=%s, and nothing else",
				p->kind->options ? " and Option=" : "");
		buf_add(&f->key, word, n);
	}
	return read_values(p);
}

static int read_filter(struct parse *p)
{
	for (;;) {
		int rc = read_part(p);
		if (rc)
			return rc;
		if (*p->s != ',')
			return emit(p);
		p->s++;
	}
}

static int read_plain(struct parse *p)
{
	int rc = 0;
	while (rc == 0) {
		while (is_blank(*p->s))
			p->s++;
		if (!*p->s)
			return 0;
		rc = read_filter(p);
	}
	return rc;
}

/* --- as boto3 takes them --- */

static int json_word(struct parse *p, struct json *doc, const struct json_node *obj,
	const char *key, struct buf *out)
{
	int rc = member_string(doc, obj, key, out);
	if (rc == -EBADMSG)
		return err_set(p->err, EINVAL, "%s of a filter is no text", key);
	return rc && rc != -ENODATA ? no_memory(p) : 0;
}

static int json_values(struct parse *p, struct json *doc, const struct json_node *obj)
{
	const struct json_node *n = member(doc, obj, "Values");
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_FILTER_MAX);
	int rc = 0;
	if (n && json_kind(n) != JSON_ARRAY)
		return err_set(p->err, EINVAL, "Values of a filter is no list");
	for (n = n ? json_first(doc, n) : NULL; n && rc == 0; n = json_next(doc, n)) {
		buf_reset(&text);
		rc = json_string(doc, n, &text);
		if (rc == -EINVAL)
			return err_set(p->err, EINVAL, "a value of a filter is no text");
		rc = rc ? no_memory(p) : add_value(p, buf_text(&text), text.len);
	}
	return rc;
}

static int json_members(struct parse *p, struct json *doc, const struct json_node *obj)
{
	_cleanup_(buf_clear) struct buf key = BUF_INIT(SFS_FILTER_MAX);
	const struct json_node *m = json_first(doc, obj);
	for (; m; m = json_next(doc, m)) {
		char text[64];
		buf_reset(&key);
		if (json_key(doc, m, &key) != 0)
			return no_memory(p);
		const char *k = buf_text(&key);
		if (strcmp(k, "Key") != 0 && strcmp(k, "Values") != 0 &&
			!(p->kind->options && !strcmp(k, "Option")))
			return err_set(p->err, EINVAL, "a filter has Key, Values%s, but no %s",
				p->kind->options ? " and Option" : "",
				text_escaped(text, sizeof(text), k, key.len));
	}
	return 0;
}

static int json_filter(struct parse *p, struct json *doc, const struct json_node *obj)
{
	if (json_kind(obj) != JSON_OBJECT)
		return err_set(p->err, EINVAL,
			"filters in JSON look like [{\"Key\": \"name\", \"Values\": [\"prod/\"]}]");
	int rc = json_members(p, doc, obj);
	if (!rc)
		rc = json_word(p, doc, obj, "Key", &p->f.key);
	if (!rc && p->kind->options)
		rc = json_word(p, doc, obj, "Option", &p->f.option);
	if (!rc)
		rc = json_values(p, doc, obj);
	return rc ? rc : emit(p);
}

static int read_json(struct parse *p)
{
	struct json *doc = NULL;
	int rc = json_parse(p->s, strlen(p->s), JSON_STRICT, &doc, p->err);
	if (rc)
		return rc == -EBADMSG ? err_set(p->err, EINVAL, "filter: %s", p->err->msg) : rc;
	const struct json_node *n = json_root(doc);
	if (json_kind(n) == JSON_ARRAY)
		for (n = json_first(doc, n); n && rc == 0; n = json_next(doc, n))
			rc = json_filter(p, doc, n);
	else
		rc = json_filter(p, doc, n);
	json_free(doc);
	return rc;
}

int aws_filter_parse(const struct aws_filter_kind *kind, const char *text, struct buf *ret,
	size_t *n, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_INIT(64 * SFS_FILTER_MAX);
	struct sfs_err own = {0};
	struct parse p = {.kind = kind, .s = text, .out = &out, .n = *n, .err = err ? err : &own};
	p.f = (struct filter){.key = BUF_INIT(SFS_FILTER_MAX),
		.option = BUF_INIT(SFS_FILTER_MAX),
		.values = BUF_INIT(8 * SFS_FILTER_MAX)};
	while (is_blank(*p.s))
		p.s++;
	int rc = strlen(text) > SFS_FILTER_MAX
			 ? err_set(p.err, E2BIG, "a filter has at most %d bytes", SFS_FILTER_MAX)
		 : *p.s == '[' || *p.s == '{' ? read_json(&p)
					      : read_plain(&p);
	if (!rc && p.n == *n)
		rc = err_set(p.err, EINVAL, "the filter is empty");
	if (!rc)
		rc = buf_add(ret, out.data, out.len) ? no_memory(&p) : 0;
	buf_clear(&p.f.key);
	buf_clear(&p.f.option);
	buf_clear(&p.f.values);
	if (rc)
		return rc;
	*n = p.n;
	return 0;
}
