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

static bool listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

/* Whether a member may be told: also of answers that hold no value today. */
static bool may_tell(const char *const *only, const struct buf *key, const struct json_node *m)
{
	static const char *const values[] = {
		"SecretString", "SecretBinary", "Value", "SourceResult", NULL};
	const char *name = buf_text(key);
	if (strlen(name) != key->len || json_kind(m) == JSON_NULL || listed(values, name))
		return false;
	return !only || listed(only, name);
}

int aws_facts(
	struct json *doc, const struct json_node *obj, const char *const *only, struct buf *out)
{
	_cleanup_(buf_clear) struct buf key = BUF_INIT(SFS_META_MAX);
	bool first = true;
	int rc = buf_char(out, '{');
	const struct json_node *m = json_first(doc, obj);
	for (; m && rc == 0; m = json_next(doc, m)) {
		buf_reset(&key);
		rc = json_key(doc, m, &key);
		if (rc || !may_tell(only, &key, m))
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

/* --- pages --- */

/* A circle of any length is found: the mark stands still while twice as many pages go by as
 * before. */
static bool goes_round(struct aws_pages *p)
{
	bool same = p->mark.len && p->mark.len == p->token.len &&
		    !memcmp(p->mark.data, p->token.data, p->token.len);
	if (same || ++p->n != p->next_mark)
		return same;
	p->next_mark *= 2;
	buf_reset(&p->mark);
	buf_add(&p->mark, p->token.data, p->token.len);
	return false;
}

int aws_pages_next(
	struct aws_pages *p, struct json *doc, const struct json_node *root, struct sfs_err *err)
{
	buf_reset(&p->token);
	int rc = member_string(doc, root, "NextToken", &p->token);
	if (rc == -ENODATA || (rc == 0 && !p->token.len))
		return 0;
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory for a page of the listing");
	if (rc)
		return err_set(err, EBADMSG,
			"the token for the next page is no text of at most %d bytes",
			AWS_TOKEN_MAX);
	if (goes_round(p))
		return err_set(err, EBADMSG,
			"the listing goes round in a circle: a token for the next page came again");
	if (p->n > AWS_PAGES_MAX)
		return err_set(err, EFBIG, "the listing has more than %d pages", AWS_PAGES_MAX);
	return p->mark.failed ? err_set(err, ENOMEM, "out of memory for a page of the listing") : 1;
}

bool aws_pages_restart(struct aws_pages *p)
{
	bool again = !p->restarted && p->token.len;
	if (!again)
		return false;
	buf_reset(&p->token);
	buf_reset(&p->mark);
	p->n = 0;
	p->next_mark = 1;
	p->restarted = true;
	return true;
}

void aws_pages_clear(struct aws_pages *p)
{
	buf_clear(&p->token);
	buf_clear(&p->mark);
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
