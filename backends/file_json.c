/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON files of the file back end: the members of one object. A string is its text, an object a
 * multi-key secret (one level; deeper values are compact JSON), anything else compact JSON with the
 * digits of the source. Duplicate keys: the last wins.
 */
#include "backends/file_doc.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

static int enter_members(struct file_doc *d, struct sfs_err *err)
{
	const struct json_node *m = json_first(d->json, json_root(d->json));
	_cleanup_(buf_clear) struct buf key = BUF_INIT(SFS_SOURCE_MAX);
	for (; m; m = json_next(d->json, m)) {
		buf_reset(&key);
		int rc = json_key(d->json, m, &key);
		if (!rc)
			rc = doc_add(d, buf_text(&key), key.len, (struct file_entry){.node = m});
		if (rc)
			return err_set(err, -rc, "no memory for the names of the file");
	}
	return 0;
}

int doc_parse_json(struct file_doc *d, struct sfs_err *err)
{
	int rc = json_parse(buf_text(&d->text), d->text.len, JSON_LAST_WINS, &d->json, err);
	if (rc)
		return rc;
	if (json_kind(json_root(d->json)) != JSON_OBJECT)
		return err_set(err, EBADMSG,
			"JSON: line %zu: the file must hold one object, {\"NAME\": \"value\", ...}",
			json_line(d->json, json_root(d->json)));
	return enter_members(d, err);
}

/* Keys of a multi-key secret: NUL-terminated in `pool`, one after the other. Returns their number,
 * or -errno. */
static long read_keys(const struct file_doc *d, const struct json_node *obj, struct buf *pool)
{
	const struct json_node *m = json_first(d->json, obj);
	long n = 0;
	for (; m; m = json_next(d->json, m)) {
		size_t from = pool->len;
		int rc = json_key(d->json, m, pool);
		if (rc)
			return rc;
		if (pool->len == from || memchr(pool->data + from, 0, pool->len - from)) {
			pool->len = from; /* no file can have this name */
			continue;
		}
		rc = buf_char(pool, '\0');
		if (rc)
			return rc;
		n++;
	}
	return n;
}

int doc_list_json(const struct file_doc *d, const struct file_entry *e, struct list_sink *sink,
	struct sfs_err *err)
{
	struct list_item item = {.name = doc_name(d, e), .created = d->stamp.mtime};
	_cleanup_(buf_clear) struct buf pool = BUF_INIT(2 * SFS_SOURCE_MAX);
	long n = read_keys(d, e->node, &pool);
	_cleanup_free_ const char **keys = n >= 0 ? mem_calloc((size_t)n + 1, sizeof(*keys)) : NULL;
	if (!keys)
		return err_set(err, ENOMEM, "no memory for the keys of a secret");
	const char *key = buf_text(&pool);
	for (long i = 0; i < n; i++, key += strlen(key) + 1)
		keys[i] = key;
	item.keys = keys;
	item.nkeys = (size_t)n;
	if (n > SFS_KEYS_MAX) { /* reading it will say EFBIG */
		item.keys = NULL;
		item.nkeys = 0;
		item.keys_unknown = true;
	}
	return list_add(sink, &item);
}

static int add_value(const struct file_doc *d, const struct json_node *n, const char *key,
	struct payload *p, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(SFS_VALUE_MAX);
	int rc = json_value(d->json, n, &out);
	return rc ? doc_value_error(rc, err) : doc_add_part(p, key, &out, err);
}

int doc_fill_json(
	const struct file_doc *d, const struct json_node *n, struct payload *p, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf key = BUF_INIT(SFS_SOURCE_MAX);
	if (json_kind(n) != JSON_OBJECT)
		return add_value(d, n, NULL, p, err);
	for (n = json_first(d->json, n); n; n = json_next(d->json, n)) {
		buf_reset(&key);
		int rc = json_key(d->json, n, &key);
		if (rc)
			return err_set(err, -rc, "no memory for a key");
		if (key.len == 0 || memchr(key.data, 0, key.len))
			continue;
		rc = add_value(d, n, buf_text(&key), p, err);
		if (rc)
			return rc;
	}
	return 0;
}
