/* SPDX-License-Identifier: Apache-2.0 */
/* What credentials files of the types external_account and impersonated_service_account say. */
#include "backends/gcp_external.h"

#include "backends/members.h"
#include "backends/settings.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "net/http.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX	8192
#define TIMEOUT_MIN	5000 /* ms; of a program */
#define TIMEOUT_MAX	120000
#define TIMEOUT_DEFAULT 30000
#define GENERATE	":generateAccessToken"

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for credentials");
}

void gcp_external_clear(struct gcp_external *x)
{
	struct gcp_source *s = &x->source;
	char **const texts[] = {&x->audience, &x->token_type, &x->token_url, &x->impersonation_url,
		&x->client_id, &x->user_project, &s->file, &s->url, &s->field, &s->command,
		&s->output_file, &s->region_url, &s->verification_url, &s->session_url};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		mem_free(take(*texts[i]));
	for (; s->n_headers; s->n_headers--) {
		mem_free(take(s->header[s->n_headers - 1].name));
		buf_clear(&s->header[s->n_headers - 1].value);
	}
	secret_unref(take(x->client_secret));
}

void gcp_account_clear(struct gcp_account *a)
{
	mem_free(take(a->url));
	for (size_t i = 0; i < GCP_LIST_MAX; i++) {
		mem_free(take(a->delegates[i]));
		mem_free(take(a->scopes[i]));
	}
}

/* ---- members ---- */

/* Some keys of one object of a document. */
struct reader {
	const struct gcp_doc *doc;
	const struct json_node *obj; /* NULL = the document's own */
};

static int get(const struct reader *rd, const char *key, char **ret, struct sfs_err *err)
{
	return gcp_doc_text(rd->doc, rd->obj, key, GCP_MAY, ret, err);
}

static int need(const struct reader *rd, const char *key, char **ret, struct sfs_err *err)
{
	return gcp_doc_text(rd->doc, rd->obj, key, GCP_MUST, ret, err);
}

static bool has(const struct reader *rd, const char *key)
{
	return member(rd->doc->json, rd->obj, key) != NULL;
}

static int get_number(const struct reader *rd, const char *key, int64_t min, int64_t max,
	int64_t *ret, struct sfs_err *err)
{
	int64_t v;
	char why[80];
	const struct json_node *n = member(rd->doc->json, rd->obj, key);
	if (!n)
		return 0;
	if (json_int64(rd->doc->json, n, &v) < 0 || v < min || v > max) {
		snprintf(why, sizeof(why), "is no number from %lld to %lld", (long long)min,
			(long long)max);
		return gcp_doc_bad(rd->doc, key, why, err);
	}
	*ret = v;
	return 0;
}

/* ---- URLs ---- */

/* Where a subject token comes from: also the metadata service of another cloud. */
static int get_source_url(const struct reader *rd, const char *key, enum gcp_need must, char **ret,
	struct sfs_err *err)
{
	struct sfs_err why = {0};
	int r = gcp_doc_text(rd->doc, rd->obj, key, must, ret, err);
	if (r < 0 || !*ret || http_url_check(*ret, false, &why) == 0)
		return r;
	if (strncasecmp(*ret, "http:", 5) != 0 || http_url_check(*ret, true, NULL) < 0)
		return gcp_doc_bad(rd->doc, key, why.msg, err);
	return gcp_doc_bad(rd->doc, key,
		"is refused: plain http is for loopback and link-local addresses only, any other "
		"must be https",
		err);
}

char *gcp_account_of(const char *url)
{
	const char *slash = strrchr(url, '/');
	const char *end = slash ? strstr(slash, GENERATE) : NULL;
	if (!end || strcmp(end, GENERATE) != 0 || end == slash + 1)
		return NULL;
	return mem_strndup(slash + 1, (size_t)(end - slash - 1));
}

static int get_account_url(
	const struct reader *rd, enum gcp_need must, char **ret, struct sfs_err *err)
{
	static const char key[] = "service_account_impersonation_url";
	int r = gcp_doc_url(rd->doc, rd->obj, key, must, ret, err);
	if (r < 0 || !*ret)
		return r;
	_cleanup_free_ char *email = gcp_account_of(*ret);
	return email ? 0
		     : gcp_doc_bad(rd->doc, key, "does not end in /serviceAccounts/EMAIL" GENERATE,
			       err);
}

/* ---- credential_source ---- */

static int read_format(const struct reader *src, struct gcp_source *s, struct sfs_err *err)
{
	struct reader rd = {.doc = src->doc};
	_cleanup_free_ char *type = NULL;
	int r = gcp_doc_object(src->doc, src->obj, "format", GCP_MAY, &rd.obj, err);
	if (r < 0 || !rd.obj)
		return r;
	r = get(&rd, "type", &type, err);
	if (r < 0 || !type || strcmp(type, "text") == 0)
		return r;
	if (strcmp(type, "json") != 0)
		return gcp_doc_bad(
			rd.doc, "credential_source.format.type", "is neither text nor json", err);
	return need(&rd, "subject_token_field_name", &s->field, err);
}

static int take_header(
	const struct reader *rd, const struct json_node *n, struct buf *name, struct buf *value)
{
	int r = json_key(rd->doc->json, n, name);
	if (r == 0)
		r = member_text_of(rd->doc->json, n, value);
	if (r == 0 && (!name->len || setting_has_control(buf_text(name), name->len) ||
			      setting_has_control(buf_text(value), value->len)))
		r = -EBADMSG;
	return r;
}

static int add_header(const struct reader *rd, const struct json_node *n, struct gcp_source *s,
	struct sfs_err *err)
{
	static const char key[] = "credential_source.headers";
	struct buf name = BUF_INIT(TEXT_MAX), value = BUF_SECRET_INIT(TEXT_MAX);
	if (s->n_headers == GCP_SOURCE_HEADERS)
		return gcp_doc_bad(rd->doc, key, "are more than are sent", err);
	int r = take_header(rd, n, &name, &value);
	char *text = r == 0 ? buf_take(&name) : NULL;
	if (text) {
		s->header[s->n_headers].name = text;
		s->header[s->n_headers++].value = value;
		return 0;
	}
	buf_clear(&name);
	buf_clear(&value);
	if (r == 0 || r == -ENOMEM)
		return no_memory(err);
	return gcp_doc_bad(rd->doc, key, "are not all texts without control characters", err);
}

static int read_headers(const struct reader *src, struct gcp_source *s, struct sfs_err *err)
{
	struct reader rd = {.doc = src->doc};
	int r = gcp_doc_object(src->doc, src->obj, "headers", GCP_MAY, &rd.obj, err);
	const struct json_node *n = r == 0 && rd.obj ? json_first(rd.doc->json, rd.obj) : NULL;
	for (; r == 0 && n; n = json_next(rd.doc->json, n))
		r = add_header(&rd, n, s, err);
	return r;
}

static int read_file(const struct reader *rd, struct gcp_source *s, struct sfs_err *err)
{
	int r = need(rd, "file", &s->file, err);
	return r < 0 ? r : read_format(rd, s, err);
}

static int read_url(const struct reader *rd, struct gcp_source *s, struct sfs_err *err)
{
	int r = get_source_url(rd, "url", GCP_MUST, &s->url, err);
	if (r == 0)
		r = read_headers(rd, s, err);
	return r < 0 ? r : read_format(rd, s, err);
}

static int read_program(const struct reader *src, struct gcp_source *s, struct sfs_err *err)
{
	struct reader rd = {.doc = src->doc};
	int64_t ms = TIMEOUT_DEFAULT;
	int r = gcp_doc_object(src->doc, src->obj, "executable", GCP_MUST, &rd.obj, err);
	if (r == 0)
		r = need(&rd, "command", &s->command, err);
	if (r == 0)
		r = get(&rd, "output_file", &s->output_file, err);
	if (r == 0)
		r = get_number(&rd, "timeout_millis", TIMEOUT_MIN, TIMEOUT_MAX, &ms, err);
	s->timeout = ms * NSEC_PER_MSEC;
	return r;
}

static int read_aws(const struct reader *rd, struct gcp_source *s, struct sfs_err *err)
{
	_cleanup_free_ char *id = NULL;
	int r = need(rd, "environment_id", &id, err);
	if (r == 0 && strcmp(id, "aws1") != 0)
		return gcp_doc_bad(
			rd->doc, "environment_id", "is not aws1, the only one there is", err);
	if (r == 0)
		r = need(rd, "regional_cred_verification_url", &s->verification_url, err);
	if (r == 0)
		r = get_source_url(rd, "region_url", GCP_MAY, &s->region_url, err);
	if (r == 0)
		r = get_source_url(rd, "url", GCP_MAY, &s->url, err);
	if (r == 0)
		r = get_source_url(rd, "imdsv2_session_token_url", GCP_MAY, &s->session_url, err);
	return r;
}

static int no_certificate(const struct reader *rd, struct gcp_source *s, struct sfs_err *err)
{
	(void)s;
	return gcp_doc_bad(rd->doc, "credential_source",
		"names a certificate, which is not supported: use file, url, executable or "
		"environment_id (AWS)",
		err);
}

/* The one source there must be. */
static int read_source(const struct gcp_doc *doc, struct gcp_source *s, struct sfs_err *err)
{
	static const struct {
		const char *key;
		enum gcp_source_kind kind;
		int (*read)(const struct reader *rd, struct gcp_source *s, struct sfs_err *err);
	} sources[] = {
		{"file", GCP_SOURCE_FILE, read_file},
		{"executable", GCP_SOURCE_PROGRAM, read_program},
		{"environment_id", GCP_SOURCE_AWS, read_aws},
		{"certificate", GCP_SOURCE_FILE, no_certificate},
		{"url", GCP_SOURCE_URL, read_url},
	};
	static const char one[] = "credential_source";
	struct reader rd = {.doc = doc};
	size_t found = 0, count = 0;
	int r = gcp_doc_object(doc, NULL, one, GCP_MUST, &rd.obj, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		/* AWS has an url too, which is no source of its own */
		if (!has(&rd, sources[i].key) ||
			(sources[i].kind == GCP_SOURCE_URL && has(&rd, "environment_id")))
			continue;
		found = i;
		count++;
	}
	if (count != 1)
		return gcp_doc_bad(doc, one,
			count ? "names several sources: it must be exactly one of file, url, "
				"executable and environment_id (AWS)"
			      : "names no source: it must be one of file, url, executable and "
				"environment_id (AWS)",
			err);
	s->kind = sources[found].kind;
	return sources[found].read(&rd, s, err);
}

/* ---- external_account ---- */

static int read_account(const struct reader *rd, struct gcp_external *x, struct sfs_err *err)
{
	struct reader more = {.doc = rd->doc};
	int64_t life = GCP_ACCOUNT_LIFE;
	int r = get_account_url(rd, GCP_MAY, &x->impersonation_url, err);
	if (r == 0)
		r = gcp_doc_object(
			rd->doc, NULL, "service_account_impersonation", GCP_MAY, &more.obj, err);
	if (r == 0 && more.obj)
		r = get_number(&more, "token_lifetime_seconds", GCP_ACCOUNT_LIFE_MIN,
			GCP_ACCOUNT_LIFE_MAX, &life, err);
	x->lifetime = (unsigned)life;
	return r;
}

static int read_client(const struct reader *rd, struct gcp_external *x, struct sfs_err *err)
{
	static const char project[] = "workforce_pool_user_project";
	int r = get(rd, "client_id", &x->client_id, err);
	if (r == 0)
		r = gcp_doc_secret(rd->doc, NULL, "client_secret", GCP_MAY, &x->client_secret, err);
	if (r == 0)
		r = get(rd, project, &x->user_project, err);
	if (r == 0 && x->user_project && !strstr(x->audience, "/workforcePools/"))
		r = gcp_doc_bad(
			rd->doc, project, "is for the audience of a workforce pool only", err);
	return r;
}

static int read_all(const struct gcp_doc *doc, struct gcp_external *x, struct sfs_err *err)
{
	const struct reader rd = {.doc = doc, .obj = doc->node};
	int r = need(&rd, "audience", &x->audience, err);
	if (r == 0)
		r = need(&rd, "subject_token_type", &x->token_type, err);
	if (r == 0)
		r = gcp_doc_url(doc, NULL, "token_url", GCP_MUST, &x->token_url, err);
	if (r == 0)
		r = read_client(&rd, x, err);
	if (r == 0)
		r = read_account(&rd, x, err);
	return r < 0 ? r : read_source(doc, &x->source, err);
}

int gcp_external_parse(const struct gcp_doc *doc, struct gcp_external *ret, struct sfs_err *err)
{
	struct gcp_external x = {0};
	int r = read_all(doc, &x, err);
	if (r < 0) {
		gcp_external_clear(&x);
		return r;
	}
	*ret = x;
	return 0;
}

/* ---- impersonated_service_account ---- */

/* A list of names, in order. */
static int read_list(const struct gcp_doc *doc, const char *key, char *ret[GCP_LIST_MAX + 1],
	struct sfs_err *err)
{
	const struct json_node *list = member(doc->json, doc->node, key);
	size_t n = 0;
	if (list && json_kind(list) != JSON_ARRAY)
		return gcp_doc_bad(doc, key, "is no array", err);
	const struct json_node *at = list ? json_first(doc->json, list) : NULL;
	for (; at; at = json_next(doc->json, at)) {
		struct buf text = BUF_INIT(TEXT_MAX);
		if (n == GCP_LIST_MAX)
			return gcp_doc_bad(doc, key, "has too many entries", err);
		int r = member_text_of(doc->json, at, &text);
		bool bad =
			r == -EBADMSG ||
			(r == 0 && (!text.len || setting_has_control(buf_text(&text), text.len)));
		ret[n] = r < 0 || bad ? NULL : buf_take(&text);
		buf_clear(&text);
		if (bad)
			return gcp_doc_bad(doc, key, "holds something that is no name", err);
		if (!ret[n++])
			return no_memory(err);
	}
	return 0;
}

int gcp_account_parse(const struct gcp_doc *doc, struct gcp_account *ret, struct sfs_err *err)
{
	const struct reader rd = {.doc = doc, .obj = doc->node};
	struct gcp_account a = {0};
	int r = get_account_url(&rd, GCP_MUST, &a.url, err);
	if (r == 0)
		r = read_list(doc, "delegates", a.delegates, err);
	if (r == 0)
		r = read_list(doc, "scopes", a.scopes, err);
	if (r < 0) {
		gcp_account_clear(&a);
		return r;
	}
	*ret = a;
	return 0;
}
