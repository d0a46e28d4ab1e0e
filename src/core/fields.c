/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fields.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include "net/json.h"
#include <errno.h>
#include <string.h>

struct fields {
	struct secret *value; /* holds the text that `doc` points into */
	struct json *doc;
};

void fields_free(struct fields *f)
{
	if (!f)
		return;
	json_free(f->doc);
	secret_unref(f->value);
	mem_free(f);
}

/* Spares binary values and plain passwords the parser. */
static bool may_be_object(const char *text, size_t len)
{
	size_t i = 0;
	while (i < len && memchr(" \t\r\n", text[i], 4))
		i++;
	return i < len && text[i] == '{';
}

static int no_object(struct sfs_err *err)
{
	return err_set(err, ENOENT, "the value is not a JSON object, so it has no fields");
}

int fields_parse(struct secret *value, struct fields **ret, struct sfs_err *err)
{
	const char *text = (const char *)secret_bytes(value);
	size_t len = secret_len(value);
	struct json *doc;
	if (!may_be_object(text, len))
		return no_object(err);
	int rc = json_parse(text, len, JSON_LAST_WINS, &doc, err);
	if (rc)
		return rc == -ENOMEM ? rc : no_object(err);
	struct fields *f = mem_calloc(1, sizeof(*f));
	if (!f) {
		json_free(doc);
		return err_set(err, ENOMEM, "no memory for the fields of the value");
	}
	f->value = secret_ref(value);
	f->doc = doc;
	*ret = f;
	return 0;
}

static enum field_kind kind_of(const struct json_node *n)
{
	return json_kind(n) == JSON_OBJECT ? FIELD_OBJECT : FIELD_VALUE;
}

/* Encoded name of a member into `out` (emptied first). Fails for keys that no file can be named
 * after: the empty one, one with a NUL, an endless one. */
static int member_name(
	const struct fields *f, const struct json_node *m, struct buf *key, struct buf *out)
{
	buf_reset(key);
	buf_reset(out);
	int rc = json_key(f->doc, m, key);
	return rc ? rc : name_encode_component(out, buf_text(key), key->len, false);
}

static bool name_is(const struct buf *name, const char *comp, size_t len)
{
	return name->len == len && memcmp(buf_text(name), comp, len) == 0;
}

/* A component in hash form cannot be decoded: compares it with the names of all members. */
static const struct json_node *search_hashed(
	struct fields *f, const struct json_node *obj, const char *comp, size_t len)
{
	_cleanup_(buf_clear) struct buf key = BUF_SECRET_INIT(SFS_VALUE_MAX);
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	const struct json_node *m = json_first(f->doc, obj);
	for (; m; m = json_next(f->doc, m))
		if (member_name(f, m, &key, &name) == 0 && name_is(&name, comp, len))
			return m;
	return NULL;
}

/* The member whose encoded name is exactly `comp`: another spelling ("%61" for "a") names nothing,
 * so that a field has one path only. */
static const struct json_node *find_member(
	struct fields *f, const struct json_node *obj, const char *comp, size_t len)
{
	_cleanup_(buf_clear) struct buf key = BUF_SECRET_INIT(SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	int rc = name_decode(&key, comp, len);
	if (rc == -ENOTUNIQ)
		return search_hashed(f, obj, comp, len);
	if (rc || name_encode_component(&name, buf_text(&key), key.len, false) < 0 ||
		!name_is(&name, comp, len))
		return NULL;
	return json_member(f->doc, obj, buf_text(&key), key.len);
}

static const struct json_node *find_path(struct fields *f, const char *path)
{
	const struct json_node *n = json_root(f->doc);
	while (n && *path) {
		size_t len = strcspn(path, "/");
		n = json_kind(n) == JSON_OBJECT ? find_member(f, n, path, len) : NULL;
		path += len;
		if (*path == '/' && *++path == '\0')
			return NULL;
	}
	return n;
}

enum field_kind fields_kind(struct fields *f, const char *path)
{
	const struct json_node *n = find_path(f, path);
	return n ? kind_of(n) : FIELD_NONE;
}

int fields_get(struct fields *f, const char *path, struct secret **ret, struct sfs_err *err)
{
	const struct json_node *n = find_path(f, path);
	if (!n) {
		char shown[128];
		return err_set(err, ENOENT, "the value has no field %s",
			text_escaped(shown, sizeof(shown), path, strlen(path)));
	}
	/* Decoded or compact, it is never longer than its source. */
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(secret_len(f->value));
	int rc = json_value(f->doc, n, &out);
	struct secret *s = rc ? NULL : secret_new(buf_text(&out), out.len);
	if (!s)
		return err_set(err, ENOMEM, "no secret memory for a field of the value");
	*ret = s;
	return 0;
}

int fields_each(struct fields *f, const char *path,
	int (*emit)(void *arg, const char *name, enum field_kind kind), void *arg)
{
	_cleanup_(buf_clear) struct buf key = BUF_SECRET_INIT(SFS_VALUE_MAX);
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	const struct json_node *n = find_path(f, path);
	if (!n || json_kind(n) != JSON_OBJECT)
		return n ? -ENOTDIR : -ENOENT;
	for (n = json_first(f->doc, n); n; n = json_next(f->doc, n)) {
		int rc = member_name(f, n, &key, &name);
		if (rc == -ENOMEM)
			return rc;
		if (rc == 0)
			rc = emit(arg, buf_text(&name), kind_of(n));
		else
			rc = 0;
		if (rc)
			return rc;
	}
	return 0;
}

static int bad_text(struct sfs_err *err, const char *what, const char *key)
{
	char shown[128];
	return err_set(err, EBADMSG, "%s of key %s is not valid UTF-8, so it cannot stand in JSON",
		what, text_escaped(shown, sizeof(shown), key, strlen(key)));
}

static int add_part(struct buf *out, const struct part *part, struct sfs_err *err)
{
	int rc = json_quote(out, part->key, strlen(part->key));
	if (rc == -EILSEQ)
		return bad_text(err, "the name", part->key);
	if (!rc)
		rc = buf_char(out, ':');
	if (!rc)
		rc = json_quote(out, secret_bytes(part->bytes), secret_len(part->bytes));
	if (rc == -EILSEQ)
		return bad_text(err, "the value", part->key);
	return rc ? err_set(err, -rc, "no secret memory for the keys as JSON") : 0;
}

int payload_json(const struct payload *p, struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(SFS_SOURCE_MAX);
	if (p->nparts == 1 && !p->parts[0].key)
		return err_set(
			err, ENOENT, "the secret is one value, it has no keys to show as JSON");
	int rc = buf_char(&out, '{');
	for (size_t i = 0; i < p->nparts && !rc; i++) {
		if (i > 0)
			rc = buf_char(&out, ',');
		if (!rc)
			rc = add_part(&out, &p->parts[i], err);
		if (rc == -EBADMSG)
			return rc;
	}
	if (rc == 0)
		rc = buf_char(&out, '}');
	struct secret *s = rc ? NULL : secret_new(buf_text(&out), out.len);
	if (!s)
		return err_set(err, ENOMEM, "no secret memory for the keys as JSON");
	*ret = s;
	return 0;
}
