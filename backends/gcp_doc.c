/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_doc.h"

#include "backends/members.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "net/http_url.h"
#include <errno.h>
#include <string.h>

#define TEXT_MAX 8192 /* of one member: a URL or an audience */

static const char *const words[] = {
	[GCP_SERVICE_ACCOUNT] = "service_account",
	[GCP_AUTHORIZED_USER] = "authorized_user",
	[GCP_EXTERNAL_ACCOUNT] = "external_account",
	[GCP_EXTERNAL_USER] = "external_account_authorized_user",
	[GCP_IMPERSONATED] = "impersonated_service_account",
};
#define TYPES (sizeof(words) / sizeof(words[0]))

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for a credentials file");
}

const char *gcp_type_word(enum gcp_type type)
{
	return words[type];
}

void gcp_doc_clear(struct gcp_doc *doc)
{
	if (doc->nested)
		return;
	json_free(take(doc->json));
	buf_clear(&doc->text);
	mem_free(take(doc->path));
	doc->node = NULL;
}

int gcp_doc_bad(const struct gcp_doc *doc, const char *key, const char *why, struct sfs_err *err)
{
	return err_set(err, EBADMSG, "%s: %s %s", doc->path, key, why);
}

/* ---- type ---- */

/* A word may be told, anything else may be what somebody pasted there. */
static bool is_word(const char *s)
{
	return *s && strlen(s) <= 40 && strspn(s, "abcdefghijklmnopqrstuvwxyz_") == strlen(s);
}

static int find_type(struct gcp_doc *doc, struct sfs_err *err)
{
	_cleanup_free_ char *word = NULL;
	int r = gcp_doc_text(doc, NULL, "type", GCP_MAY, &word, err);
	if (r < 0)
		return r;
	if (!word)
		return gcp_doc_bad(doc, "type",
			"is missing: this is no credentials file of Google Cloud", err);
	for (size_t i = 0; i < TYPES; i++)
		if (strcmp(word, words[i]) == 0) {
			doc->type = (enum gcp_type)i;
			return 0;
		}
	return err_set(err, EBADMSG,
		"%s: credentials of type %s are not supported: it must be service_account, "
		"authorized_user, external_account, external_account_authorized_user or "
		"impersonated_service_account",
		doc->path, is_word(word) ? word : "(no word)");
}

int gcp_doc_parse(struct gcp_doc *doc, const char *path, struct sfs_err *err)
{
	doc->path = mem_strdup(path);
	if (!doc->path)
		return no_memory(err);
	int r = json_parse(buf_text(&doc->text), doc->text.len, JSON_STRICT, &doc->json, err);
	if (r < 0)
		return err_prefix(err, "%s", path);
	doc->node = json_root(doc->json);
	if (json_kind(doc->node) != JSON_OBJECT)
		return err_set(err, EBADMSG, "%s: it must hold a JSON object", path);
	return find_type(doc, err);
}

int gcp_doc_read(const struct path_env *paths, const char *path, struct gcp_doc *doc,
	struct credfile_stamp *ret_stamp, struct sfs_err *err)
{
	gcp_doc_clear(doc);
	int r = credfile_read(paths, path, CREDFILE_SECRET, &doc->text, ret_stamp, err);
	return r < 0 ? r : gcp_doc_parse(doc, path, err);
}

int gcp_doc_nested(
	const struct gcp_doc *doc, const char *key, struct gcp_doc *ret, struct sfs_err *err)
{
	struct gcp_doc inner = {.path = doc->path, .json = doc->json, .nested = true};
	int r = gcp_doc_object(doc, NULL, key, GCP_MUST, &inner.node, err);
	if (r == 0)
		r = find_type(&inner, err);
	if (r < 0)
		return r;
	*ret = inner;
	return 0;
}

/* ---- members ---- */

static int missing(
	const struct gcp_doc *doc, const char *key, enum gcp_need need, struct sfs_err *err)
{
	return need == GCP_MAY ? 0 : gcp_doc_bad(doc, key, "is missing", err);
}

/* A string into `out`: 0 = there is none. */
static int get(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	struct buf *out, struct sfs_err *err)
{
	int r = member_string(doc->json, obj ? obj : doc->node, key, out);
	if (r == -ENODATA || (r == 0 && !out->len))
		return 0;
	if (r == -ENOMEM)
		return no_memory(err);
	if (r == -EFBIG)
		return gcp_doc_bad(doc, key, "is too long", err);
	return r < 0 ? gcp_doc_bad(doc, key, "must be a string without U+0000", err) : 1;
}

static size_t span(const struct buf *b, unsigned char from)
{
	size_t n = 0;
	while (n < b->len && (unsigned char)b->data[n] >= from && b->data[n] != 0x7f)
		n++;
	return n;
}

int gcp_doc_text(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, char **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(TEXT_MAX); /* it may be misplaced */
	int r = get(doc, obj, key, &text, err);
	if (r < 0)
		return r;
	if (r == 0)
		return missing(doc, key, need, err);
	if (span(&text, 0x20) < text.len)
		return gcp_doc_bad(doc, key, "holds a control character", err);
	char *copy = mem_strndup(text.data, text.len);
	if (!copy)
		return no_memory(err);
	*ret = copy;
	return 0;
}

int gcp_doc_secret(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_FILE_MAX);
	int r = get(doc, obj, key, &text, err);
	if (r < 0)
		return r;
	if (r == 0)
		return missing(doc, key, need, err);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return gcp_doc_bad(doc, key,
				"holds a blank or another byte that no credential has", err);
	struct secret *s = secret_new(text.data, text.len);
	if (!s)
		return no_memory(err);
	*ret = s;
	return 0;
}

int gcp_doc_url(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, char **ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	struct http_url url;
	struct sfs_err why = {0};
	char shown[HTTP_HOST_MAX];
	int r = gcp_doc_text(doc, obj, key, need, &text, err);
	if (r < 0 || !text)
		return r;
	if (http_url_parse(text, &url, &why) < 0)
		return err_set(err, EBADMSG, "%s: %s: %s", doc->path, key, why.msg);
	if (url.scheme == HTTP_PLAIN && !url.local)
		return err_set(err, EBADMSG,
			"%s: %s would send credentials to %s without TLS: it must begin with "
			"https://",
			doc->path, key,
			text_escaped(shown, sizeof(shown), url.host, strlen(url.host)));
	*ret = take(text);
	return 0;
}

int gcp_doc_object(const struct gcp_doc *doc, const struct json_node *obj, const char *key,
	enum gcp_need need, const struct json_node **ret, struct sfs_err *err)
{
	const struct json_node *n = member(doc->json, obj ? obj : doc->node, key);
	if (!n)
		return missing(doc, key, need, err);
	if (json_kind(n) != JSON_OBJECT)
		return gcp_doc_bad(doc, key, "must be an object", err);
	*ret = n;
	return 0;
}
