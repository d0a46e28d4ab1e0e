/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_answer.h"

#include "backends/members.h"
#include "backends/times.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

int64_t aws_when(struct json *doc, const struct json_node *obj, const char *key)
{
	const struct json_node *n = member(doc, obj, key);
	_cleanup_(buf_clear) struct buf text = BUF_INIT(64);
	int64_t ns;
	if (!n || json_kind(n) != JSON_NUMBER || json_compact(doc, n, &text) != 0)
		return 0;
	return times_epoch(text.data, text.len, &ns) == 0 && ns > 0 ? ns : 0;
}

int aws_facts(
	struct json *doc, const struct json_node *obj, const char *const *only, struct buf *out)
{
	static const char *const values[] = {
		"SecretString", "SecretBinary", "Value", "SourceResult", NULL};
	return member_facts(doc, obj, only, values, out);
}

int aws_put_raw(struct buf *body, const char *key, const char *json)
{
	if (body->len > 1)
		buf_char(body, ',');
	json_quote(body, key, strlen(key));
	buf_char(body, ':');
	return buf_str(body, json);
}

int aws_put(struct buf *body, const char *key, const char *value)
{
	int rc = aws_put_raw(body, key, "");
	return rc ? rc : json_quote(body, value, strlen(value));
}

int aws_body_begin(struct buf *body)
{
	return buf_char(body, '{');
}

int aws_body_end(struct buf *body)
{
	return buf_char(body, '}');
}

int aws_pages_next(
	struct pages *p, struct json *doc, const struct json_node *root, struct sfs_err *err)
{
	return pages_next(p, doc, member(doc, root, "NextToken"), err);
}

int aws_line(struct json *doc, const struct json_node *entry, const char *when,
	void (*version)(struct json *doc, const struct json_node *entry, struct buf *out),
	struct aws_line *ret)
{
	buf_reset(&ret->name);
	buf_reset(&ret->meta);
	buf_reset(&ret->version);
	int rc = json_kind(entry) == JSON_OBJECT ? member_string(doc, entry, "Name", &ret->name)
						 : -EBADMSG;
	if (rc || !ret->name.len)
		return rc == -ENOMEM ? rc : -EBADMSG;
	version(doc, entry, &ret->version);
	ret->created = aws_when(doc, entry, when);
	rc = aws_facts(doc, entry, NULL, &ret->meta);
	if (rc == -EFBIG) /* it can be listed all the same */
		buf_reset(&ret->meta);
	return rc == -EFBIG ? 0 : rc;
}
