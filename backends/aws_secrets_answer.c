/* SPDX-License-Identifier: Apache-2.0 */
/* Names, versions and answers of Secrets Manager. */
#include "backends/aws_secrets.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "net/crypto.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	    "0123456789"
#define NAME_BYTES  LETTERS DIGITS "/_+=.@-!"
#define ID_BYTES    LETTERS DIGITS "-"
#define ID_MIN	    32
#define ID_MAX	    64
#define FACTS_BYTES 320 /* what most values come with */
#define HEX_ID_FROM 21	/* so many hex digits and hyphens are meant to be an id, not a stage */

bool aws_secret_name_ok(const char *name)
{
	struct aws_arn arn;
	size_t len = strlen(name);
	if (aws_arn_parse(name, &arn))
		return len <= AWS_SECRET_ID_MAX && arn.resource.len > strlen("secret:") &&
		       !strncmp(arn.resource.p, "secret:", strlen("secret:")) &&
		       strspn(arn.resource.p, NAME_BYTES ":") == arn.resource.len;
	return len > 0 && len <= AWS_SECRET_NAME_MAX && strspn(name, NAME_BYTES) == len;
}

/* --- versions that are asked for --- */

static bool is_id(const char *s, size_t len)
{
	return len >= ID_MIN && len <= ID_MAX && strspn(s, ID_BYTES) >= len;
}

static bool looks_like_id(const char *s, size_t len)
{
	return len >= HEX_ID_FROM && strspn(s, "0123456789abcdefABCDEF-") >= len;
}

static void put(char *out, const char *s, size_t len)
{
	memcpy(out, s, len);
	out[len] = '\0';
}

int aws_secret_version(const char *version, char *ret_id, char *ret_stage, struct sfs_err *err)
{
	const char *colon = strchr(version, ':');
	size_t len = colon ? (size_t)(colon - version) : strlen(version);
	const char *stage = colon ? colon + 1 : "";
	if (!colon && !is_id(version, len) && !looks_like_id(version, len)) {
		stage = version;
		len = 0;
	}
	if (len && !is_id(version, len))
		return err_set(err, EINVAL,
			"a version id has %d to %d letters, digits and hyphens; this one has %zu",
			ID_MIN, ID_MAX, len);
	size_t stage_len = strlen(stage);
	if ((!len || colon) && (!stage_len || stage_len > AWS_STAGE_MAX || strchr(stage, ':')))
		return err_set(err, EINVAL,
			"a version is an id, a stage such as AWSPREVIOUS, or ID:STAGE");
	for (size_t i = 0; i < stage_len; i++)
		if (stage[i] < 0x20 || stage[i] > 0x7e)
			return err_set(err, ENOENT, "no stage has such a name");
	put(ret_id, version, len);
	put(ret_stage, stage, stage_len);
	return 0;
}

/* --- lines of a listing --- */

/* The version that carries AWSCURRENT; both spellings of the member occur. */
static void current_version(struct json *doc, const struct json_node *entry, struct buf *out)
{
	const struct json_node *ids = member(doc, entry, "SecretVersionsToStages");
	ids = ids ? ids : member(doc, entry, "VersionIdsToStages");
	if (!ids || json_kind(ids) != JSON_OBJECT)
		return;
	for (const struct json_node *m = json_first(doc, ids); m; m = json_next(doc, m)) {
		const struct json_node *s = json_kind(m) == JSON_ARRAY ? json_first(doc, m) : NULL;
		for (; s; s = json_next(doc, s)) {
			_cleanup_(buf_clear) struct buf stage = BUF_INIT(4 * AWS_STAGE_MAX);
			if (member_text_of(doc, s, &stage) ||
				strcmp(buf_text(&stage), "AWSCURRENT"))
				continue;
			if (json_key(doc, m, out) || strlen(buf_text(out)) != out->len)
				buf_reset(out);
			return;
		}
	}
}

int aws_secret_line(struct json *doc, const struct json_node *entry, struct aws_line *ret)
{
	return aws_line(doc, entry, "CreatedDate", current_version, ret);
}

/* --- values --- */

static int bad_value(int rc, struct sfs_err *err)
{
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "no memory for a value");
	if (rc == -EFBIG)
		return err_set(err, EFBIG, "the value has more than %d bytes", SFS_VALUE_MAX);
	return err_set(err, EBADMSG,
		"the answer of Secrets Manager holds a binary value that is no base64");
}

/* `out` gets the bytes of exactly one of the two members. */
static int value_bytes(
	struct json *doc, const struct json_node *value, struct buf *out, struct sfs_err *err)
{
	const struct json_node *text = member(doc, value, "SecretString");
	const struct json_node *binary = member(doc, value, "SecretBinary");
	_cleanup_(buf_clear) struct buf base64 = BUF_SECRET_INIT(2 * SFS_VALUE_MAX);
	if (!text == !binary)
		return err_set(err, EBADMSG,
			"the answer of Secrets Manager holds %s SecretString %s SecretBinary",
			text ? "both" : "neither", text ? "and" : "nor");
	if (json_kind(text ? text : binary) != JSON_STRING)
		return err_set(err, EBADMSG,
			"the answer of Secrets Manager holds a value that is no text");
	int rc = json_string(doc, text ? text : binary, text ? out : &base64);
	if (!rc && binary)
		rc = base64_decode(out, buf_text(&base64), base64.len, BASE64_STRICT);
	return rc ? bad_value(rc, err) : 0;
}

static char *text_of(struct json *doc, const struct json_node *obj, const char *key, size_t max)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(max);
	return member_string(doc, obj, key, &b) == 0 && b.len ? buf_take(&b) : NULL;
}

/* Version, times and facts. What does not fit is left out. */
static int describe(struct json *doc, const struct json_node *value, struct payload *p)
{
	static const char *const facts[] = {
		"ARN", "Name", "VersionId", "VersionStages", "CreatedDate", NULL};
	_cleanup_(buf_clear) struct buf meta = BUF_INIT(SFS_META_MAX);
	buf_reserve(&meta, FACTS_BYTES);
	int rc = aws_facts(doc, value, facts, &meta);
	p->created = aws_when(doc, value, "CreatedDate");
	if (member(doc, value, "VersionId")) {
		p->version = text_of(doc, value, "VersionId", SFS_VERSION_MAX);
		rc = p->version ? rc : rc ? rc : -EBADMSG;
	}
	if (rc == 0) {
		p->meta = buf_take(&meta);
		rc = p->meta ? 0 : -ENOMEM;
	}
	return rc == -EFBIG ? 0 : rc;
}

int aws_secret_payload(
	struct json *doc, const struct json_node *value, struct payload **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf bytes = BUF_SECRET_INIT(SFS_VALUE_MAX);
	int rc = value_bytes(doc, value, &bytes, err);
	if (rc)
		return rc;
	struct payload *p = payload_new();
	struct secret *s = p ? secret_new(buf_text(&bytes), bytes.len) : NULL;
	rc = s ? payload_add(p, NULL, s) : -ENOMEM;
	if (!rc)
		rc = describe(doc, value, p);
	if (rc) {
		payload_unref(p);
		return rc == -EBADMSG ? err_set(err, EBADMSG,
						"the answer of Secrets Manager has a version id "
						"that is no text of up to %d bytes",
						SFS_VERSION_MAX)
				      : bad_value(rc, err);
	}
	*ret = p;
	return 0;
}

int aws_secret_is_version(struct json *doc, const struct json_node *value, const char *id,
	const char *stage, struct sfs_err *err)
{
	const struct json_node *stages = member_array(doc, value, "VersionStages");
	if (*id && !member_is(doc, value, "VersionId", id))
		return err_set(err, EINVAL, "Secrets Manager sent another version than %s", id);
	const struct json_node *s = stages ? json_first(doc, stages) : NULL;
	for (; s && *stage; s = json_next(doc, s)) {
		_cleanup_(buf_clear) struct buf text = BUF_INIT(4 * AWS_STAGE_MAX);
		if (member_text_of(doc, s, &text) == 0 && !strcmp(buf_text(&text), stage))
			return 0;
	}
	return *stage ? err_set(err, EINVAL, "the version Secrets Manager sent is not at stage %s",
				stage)
		      : 0;
}

/* --- the versions of a secret --- */

static int add_stages(struct aws_version *v, struct json *doc, const struct json_node *entry)
{
	const struct json_node *s = member_array(doc, entry, "VersionStages");
	for (s = s ? json_first(doc, s) : NULL; s; s = json_next(doc, s)) {
		size_t from = v->stages.len;
		int rc = member_text_of(doc, s, &v->stages);
		if (rc == 0 && v->stages.len > from)
			rc = buf_char(&v->stages, '\0');
		if (rc == -ENOMEM)
			return rc;
	}
	return 0;
}

static int add_version(struct aws_versions *all, struct json *doc, const struct json_node *entry)
{
	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 32;
		struct aws_version *v = mem_realloc(all->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		all->v = v;
		all->cap = cap;
	}
	struct aws_version *v = &all->v[all->n];
	*v = (struct aws_version){.id = text_of(doc, entry, "VersionId", SFS_VERSION_MAX),
		.created = aws_when(doc, entry, "CreatedDate"),
		.stages = BUF_INIT(64 * AWS_STAGE_MAX)};
	if (!v->id)
		return 0;
	all->n++;
	return add_stages(v, doc, entry);
}

int aws_versions_page(struct aws_versions *v, struct json *doc, const struct json_node *root)
{
	const struct json_node *n = member_array(doc, root, "Versions");
	int rc = 0;
	for (n = n ? json_first(doc, n) : NULL; n && rc == 0; n = json_next(doc, n))
		rc = add_version(v, doc, n);
	return rc;
}

static int newest_first(const void *a, const void *b)
{
	const struct aws_version *x = a, *y = b;
	if (x->created != y->created)
		return x->created > y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

int aws_versions_tell(struct aws_versions *v, struct version_sink *sink)
{
	int rc = 0;
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), newest_first);
	for (size_t i = 0; i < v->n && rc == 0; i++) {
		const struct aws_version *one = &v->v[i];
		rc = version_add(sink, one->id, one->created);
		for (size_t at = 0; at < one->stages.len && rc == 0;
			at += strlen(one->stages.data + at) + 1)
			rc = version_add(sink, one->stages.data + at, one->created);
	}
	return rc;
}

void aws_versions_clear(struct aws_versions *v)
{
	for (size_t i = 0; i < v->n; i++) {
		mem_free(v->v[i].id);
		buf_clear(&v->v[i].stages);
	}
	mem_free(v->v);
	*v = (struct aws_versions){0};
}
