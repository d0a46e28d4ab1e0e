/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/file_doc.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct file_doc *doc_new(void)
{
	struct file_doc *d = mem_calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	atomic_init(&d->refs, 1);
	d->text = (struct buf)BUF_SECRET_INIT(SFS_SOURCE_MAX);
	d->names = (struct buf)BUF_INIT(2 * SFS_SOURCE_MAX); /* a NUL more for each */
	d->format = FILE_DOTENV;
	return d;
}

struct file_doc *doc_ref(struct file_doc *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void doc_unref(struct file_doc *d)
{
	if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) > 1)
		return;
	json_free(d->json);
	buf_clear(&d->text);
	buf_clear(&d->names);
	mem_free(d->entries);
	mem_free(d);
}

const char *doc_name(const struct file_doc *d, const struct file_entry *e)
{
	return d->names.data + e->name;
}

static int make_room(struct file_doc *d)
{
	if (d->n < d->cap)
		return 0;
	size_t cap = d->cap ? 2 * d->cap : 16;
	struct file_entry *entries = mem_realloc(d->entries, cap, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	d->entries = entries;
	d->cap = cap;
	return 0;
}

int doc_add(struct file_doc *d, const char *name, size_t len, struct file_entry e)
{
	if (len == 0 || len > SFS_NAME_MAX || memchr(name, 0, len)) {
		d->skipped++;
		return 0;
	}
	e.name = (uint32_t)d->names.len;
	int rc = make_room(d);
	if (!rc)
		rc = buf_add(&d->names, name, len);
	if (!rc)
		rc = buf_char(&d->names, '\0');
	if (!rc)
		d->entries[d->n++] = e;
	return rc;
}

/* By name; of equal names the one that stands later in the file comes first (names are entered in
 * file order). */
static int compare(const void *a, const void *b, void *names)
{
	const struct file_entry *x = a, *y = b;
	int c = strcmp((char *)names + x->name, (char *)names + y->name);
	if (c)
		return c;
	return x->name < y->name ? 1 : -(x->name > y->name);
}

/* Sorts; of equal names the last one of the file stays. */
static void sort_entries(struct file_doc *d)
{
	size_t kept = 0;
	if (d->n == 0)
		return;
	qsort_r(d->entries, d->n, sizeof(*d->entries), compare, d->names.data);
	for (size_t i = 1; i < d->n; i++)
		if (strcmp(doc_name(d, &d->entries[i]), doc_name(d, &d->entries[kept])) != 0)
			d->entries[++kept] = d->entries[i];
	d->n = kept + 1;
}

struct filling {
	struct file_doc *d;
	bool expand;
};

static int add_line(void *arg, const struct line_item *item)
{
	struct filling *f = arg;
	struct file_entry e = {
		.line = (uint32_t)item->line,
		.value = (uint32_t)item->value,
		.len = (uint32_t)item->value_len,
		.form = f->expand ? LINE_EXPAND : item->form,
	};
	return doc_add(f->d, f->d->text.data + item->name, item->name_len, e);
}

static int parse_lines(struct file_doc *d, const char *path, bool expand, struct sfs_err *err)
{
	struct filling f = {.d = d, .expand = expand && d->format == FILE_MLRUN};
	struct line_text t = {.label = path, .text = buf_text(&d->text), .len = d->text.len};
	int rc = d->format == FILE_MLRUN ? mlrun_parse(&t, add_line, &f)
					 : dotenv_parse(&t, add_line, &f, err);
	return rc && rc != -EBADMSG ? err_set(err, -rc, "no memory for the names of the file") : rc;
}

/* A file called *.json, or one whose first character is '{', is JSON. */
static enum file_format guess(const char *path, const struct buf *text)
{
	const char *s = buf_text(text), *end = s + text->len;
	size_t n = strlen(path);
	if (n > 5 && strcmp(path + n - 5, ".json") == 0)
		return FILE_JSON;
	if (text->len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		s += 3;
	while (s < end && *s && strchr(" \t\r\n", *s))
		s++;
	return s < end && *s == '{' ? FILE_JSON : FILE_DOTENV;
}

int doc_parse(struct file_doc *d, const char *path, enum file_format format, bool expand,
	struct sfs_err *err)
{
	d->format = format == FILE_AUTO ? guess(path, &d->text) : format;
	int rc;
	if (d->format == FILE_JSON) {
		char shown[256];
		rc = doc_parse_json(d, err);
		if (rc)
			return err_prefix(
				err, "%s", text_escaped(shown, sizeof(shown), path, strlen(path)));
	} else {
		rc = parse_lines(d, path, expand, err);
		if (rc)
			return rc;
	}
	sort_entries(d);
	return 0;
}

static int compare_name(const void *key, const void *entry, const char *names)
{
	return strcmp(key, names + ((const struct file_entry *)entry)->name);
}

const struct file_entry *doc_find(const struct file_doc *d, const char *name)
{
	size_t lo = 0, hi = d->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = compare_name(name, &d->entries[mid], d->names.data);
		if (c == 0)
			return &d->entries[mid];
		if (c > 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

size_t doc_line(const struct file_doc *d, const struct file_entry *e)
{
	return e->node ? json_line(d->json, e->node) : e->line;
}

static int list_one(const struct file_doc *d, const struct file_entry *e, struct list_sink *sink,
	struct sfs_err *err)
{
	if (e->node && json_kind(e->node) == JSON_OBJECT)
		return doc_list_json(d, e, sink, err);
	struct list_item item = {.name = doc_name(d, e), .created = d->stamp.mtime};
	return list_add(sink, &item);
}

int doc_list(const struct file_doc *d, struct list_sink *sink, struct sfs_err *err)
{
	for (size_t i = 0; i < d->n; i++) {
		int rc = list_one(d, &d->entries[i], sink, err);
		if (rc)
			return rc;
	}
	return 0;
}

int doc_value_error(int rc, struct sfs_err *err)
{
	if (rc == -EFBIG)
		return err_set(err, EFBIG, "the value has more than %d bytes", SFS_VALUE_MAX);
	return err_set(err, -rc, "no secret memory for a value");
}

int doc_add_part(struct payload *p, const char *key, const struct buf *b, struct sfs_err *err)
{
	struct secret *s = secret_new(buf_text(b), b->len);
	int rc = s ? payload_add(p, key, s) : -ENOMEM;
	if (rc == -EFBIG)
		return err_set(err, EFBIG, "the secret has more than %d keys", SFS_KEYS_MAX);
	return rc ? doc_value_error(rc, err) : 0;
}

static int fill_line(const struct file_doc *d, const struct file_entry *e,
	const struct envstore *env, struct payload *p, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(SFS_VALUE_MAX);
	int rc = line_value(d->text.data + e->value, e->len, e->form, env, &out);
	return rc ? doc_value_error(rc, err) : doc_add_part(p, NULL, &out, err);
}

static void payload_unref_p(struct payload **p)
{
	payload_unref(*p);
}

int doc_payload(const struct file_doc *d, const struct file_entry *e, const struct envstore *env,
	struct payload **ret, struct sfs_err *err)
{
	_cleanup_(payload_unref_p) struct payload *p = payload_new();
	if (!p)
		return err_set(err, ENOMEM, "no memory for a value");
	p->created = d->stamp.mtime;
	int rc = e->node ? doc_fill_json(d, e->node, p, err) : fill_line(d, e, env, p, err);
	if (rc)
		return rc;
	*ret = take(p);
	return 0;
}
