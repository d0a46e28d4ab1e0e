/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/members.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

const struct json_node *member(struct json *doc, const struct json_node *obj, const char *key)
{
	const struct json_node *n = obj ? json_member(doc, obj, key, strlen(key)) : NULL;
	return n && json_kind(n) != JSON_NULL ? n : NULL;
}

const struct json_node *member_array(struct json *doc, const struct json_node *obj, const char *key)
{
	const struct json_node *n = member(doc, obj, key);
	return n && json_kind(n) == JSON_ARRAY ? n : NULL;
}

int member_text_of(struct json *doc, const struct json_node *n, struct buf *out)
{
	size_t from = out->len;
	if (json_kind(n) != JSON_STRING)
		return -EBADMSG;
	int rc = json_string(doc, n, out);
	if (rc == 0 && out->len > from && memchr(out->data + from, 0, out->len - from))
		rc = -EBADMSG;
	if (rc && out->len > from) {
		out->len = from;
		out->data[from] = '\0';
	}
	return rc;
}

int member_string(struct json *doc, const struct json_node *obj, const char *key, struct buf *out)
{
	const struct json_node *n = member(doc, obj, key);
	return n ? member_text_of(doc, n, out) : -ENODATA;
}

bool member_is(struct json *doc, const struct json_node *obj, const char *key, const char *s)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_NAME_MAX);
	return member_string(doc, obj, key, &text) == 0 && !strcmp(buf_text(&text), s);
}

static bool listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static bool may_tell(const char *const *only, const char *const *never, const struct buf *key,
	const struct json_node *m)
{
	const char *name = buf_text(key);
	if (strlen(name) != key->len || json_kind(m) == JSON_NULL || listed(never, name))
		return false;
	return !only || listed(only, name);
}

int member_facts(struct json *doc, const struct json_node *obj, const char *const *only,
	const char *const *never, struct buf *out)
{
	_cleanup_(buf_clear) struct buf key = BUF_INIT(SFS_META_MAX);
	bool first = true;
	int rc = buf_char(out, '{');
	const struct json_node *m = json_first(doc, obj);
	for (; m && rc == 0; m = json_next(doc, m)) {
		buf_reset(&key);
		rc = json_key(doc, m, &key);
		if (rc || !may_tell(only, never, &key, m))
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		json_quote(out, buf_text(&key), key.len);
		buf_char(out, ':');
		rc = json_compact(doc, m, out);
	}
	return rc ? rc : buf_char(out, '}');
}
