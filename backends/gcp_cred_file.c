/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials files: read, checked, given to who knows their type; and asking token endpoints. */
#include "backends/gcp_cred_impl.h"

#include "backends/gcp_external.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "net/crypto.h"
#include "net/http_url.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what was found ---- */

void gcp_found_clear(struct gcp_found *f)
{
	secret_unref(take(f->token));
	mem_free(take(f->source));
	mem_free(take(f->principal));
	mem_free(take(f->quota_project));
	mem_free(take(f->universe));
}

int gcp_found_about(
	struct gcp_found *f, const char *principal, struct sfs_err *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = cred_about(&f->source, &f->principal, principal, fmt, ap);
	va_end(ap);
	return r < 0 ? gcp_no_memory(err) : 0;
}

/* ---- one file ---- */

static int universe_differs(const char *from, const char *configured, const char *path,
	const char *universe, struct sfs_err *err)
{
	return err_set(err, EINVAL,
		"%s says universe %s, but the credentials of %s are for %s: they are not sent "
		"there",
		from, configured, path, universe);
}

int gcp_take_universe(struct gcp_cred *g, const char *path, char *universe, struct gcp_found *f,
	struct sfs_err *err)
{
	const struct gcp_conf *c = g->conf;
	const char *is = universe ? universe : GCP_UNIVERSE;
	if (c->universe && strcmp(c->universe, is) != 0) {
		int r = universe_differs(c->universe_from, c->universe, path, is, err);
		mem_free(universe);
		return r;
	}
	mem_free(f->universe);
	f->universe = universe;
	return 0;
}

/* The universe of a document, before anything is asked with it. A nested one has that of the
 * outer. */
static int read_universe(
	struct gcp_cred *g, const struct gcp_doc *doc, struct gcp_found *f, struct sfs_err *err)
{
	_cleanup_free_ char *universe = NULL;
	struct sfs_err why = {0};
	int r = gcp_doc_text(doc, NULL, "universe_domain", GCP_MAY, &universe, err);
	if (r < 0 || (doc->nested && !universe))
		return r;
	if (universe && gcp_check_universe("universe_domain", universe, &why) < 0)
		return err_set(err, EBADMSG, "%s: %s", doc->path, why.msg);
	if (!doc->nested)
		return gcp_take_universe(g, doc->path, take(universe), f, err);
	const char *outer = f->universe ? f->universe : GCP_UNIVERSE;
	return strcmp(outer, universe) == 0
		       ? 0
		       : universe_differs(doc->path, outer, "its source", universe, err);
}

static int read_quota(const struct gcp_doc *doc, struct gcp_found *f, struct sfs_err *err)
{
	struct sfs_err why = {0};
	if (doc->nested)
		return 0;
	int r = gcp_doc_text(doc, NULL, "quota_project_id", GCP_MAY, &f->quota_project, err);
	if (r < 0 || !f->quota_project)
		return r;
	if (gcp_check_project("quota_project_id", f->quota_project, &why) < 0)
		return err_set(err, EBADMSG, "%s: %s", doc->path, why.msg);
	return 0;
}

int gcp_cred_doc(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	static const gcp_type_fn types[] = {
		[GCP_SERVICE_ACCOUNT] = gcp_cred_service_account,
		[GCP_AUTHORIZED_USER] = gcp_cred_authorized_user,
		[GCP_EXTERNAL_ACCOUNT] = gcp_cred_external_account,
		[GCP_EXTERNAL_USER] = gcp_cred_external_user,
		[GCP_IMPERSONATED] = gcp_cred_impersonated,
	};
	int r = read_universe(g, doc, ret, err);
	if (r == 0)
		r = read_quota(doc, ret, err);
	if (r == 0 && g->conf->token_endpoint && doc->type != GCP_SERVICE_ACCOUNT && !doc->nested)
		return err_set(err, EINVAL,
			"%s=: %s is no key of a service account, which this needs",
			g->conf->subject ? "subject" : "token_endpoint", doc->path);
	return r < 0 ? r : types[doc->type](g, call, doc, scope, ret, err);
}

int gcp_file_error(int r, const char *from, struct sfs_err *err)
{
	struct sfs_err why = *err;
	int code = -r;
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EISDIR || r == -ENAMETOOLONG)
		code = ENOKEY; /* ENOENT is for secrets */
	if (r == -EFBIG)
		code = EBADMSG;
	return err_set(err, code, "%s%s%s", from ? from : "", from ? ": " : "", why.msg);
}

int gcp_cred_file(struct gcp_cred *g, const struct call *call, const char *path, const char *from,
	const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	_cleanup_(gcp_doc_clear) struct gcp_doc doc = GCP_DOC_INIT;
	struct credfile_stamp stamp = {0};
	int r = gcp_doc_read(g->env->paths, path, &doc, &stamp, err);
	credwatch_add(&g->watch, path, &stamp);
	if (r < 0)
		return gcp_file_error(r, from, err);
	return gcp_cred_doc(g, call, &doc, scope, ret, err);
}

/* ---- asking a token endpoint ---- */

static enum http_verdict judge(void *arg, const struct http_reply *reply)
{
	struct gcp_refusal r;
	(void)arg;
	if (reply->status == 200)
		return HTTP_ACCEPT;
	gcp_refusal_parse(reply->status, buf_text(&reply->body), reply->body.len, &r);
	if (r.kind == GCP_REFUSED_THROTTLE)
		return HTTP_THROTTLE;
	return r.kind == GCP_REFUSED_FAULT ? HTTP_TRANSIENT : HTTP_ACCEPT;
}

/* RFC 6749 section 2.3.1: both are form-encoded first. */
static int add_basic(const struct gcp_token_ask *ask, struct buf *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf pair = BUF_SECRET_INIT(GCP_FILE_MAX);
	_cleanup_(buf_clear) struct buf plain = BUF_SECRET_INIT(GCP_FILE_MAX);
	buf_str(&pair, ask->client_id);
	buf_char(&pair, ':');
	if (ask->client_secret && gcp_secret_add(&plain, ask->client_secret) == 0)
		buf_add(&pair, buf_text(&plain), plain.len);
	if (pair.failed || plain.failed)
		return gcp_no_memory(err);
	buf_str(ret, "Basic ");
	return base64_encode(ret, pair.data, pair.len, BASE64_STRICT) < 0 ? gcp_no_memory(err) : 0;
}

static int post(struct gcp_cred *g, const struct call *call, const struct gcp_token_ask *ask,
	struct http_reply *reply, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf basic = BUF_SECRET_INIT(2 * GCP_FILE_MAX);
	struct ask rq = {.method = "POST", .url = ask->url, .body = ask->form, .judge = judge};
	ask_header(&rq, "Content-Type", "application/x-www-form-urlencoded");
	ask_header(&rq, "Accept", "application/json");
	if (ask->client_id) {
		int r = add_basic(ask, &basic, err);
		if (r < 0)
			return r;
		ask_secret(&rq, "Authorization", &basic);
	}
	return ask_do(g->http, call, &rq, reply, err);
}

int gcp_token_post(struct gcp_cred *g, const struct call *call, const struct gcp_token_ask *ask,
	struct gcp_token *ret, struct gcp_refusal *ret_refusal, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	char host[256];
	*ret_refusal = (struct gcp_refusal){0};
	gcp_host_shown(ask->url, host, sizeof(host));
	int r = post(g, call, ask, &reply, err);
	if (r < 0)
		return err_prefix(err, "%s (%s)", ask->what, host);
	gcp_cred_skew(g, &reply);
	if (reply.status != 200) {
		gcp_refusal_parse(reply.status, buf_text(&reply.body), reply.body.len, ret_refusal);
		gcp_refusal_sentence(ret_refusal, ask->what, ask->credential, err);
		return err_prefix(err, "%s", host);
	}
	r = gcp_token_parse(buf_text(&reply.body), reply.body.len, ret, err);
	return r < 0 ? err_prefix(err, "the answer of %s (%s)", ask->what, host) : 0;
}

/* ---- small things ---- */

int64_t gcp_now(const struct gcp_cred *g)
{
	return cred_clock(g->chain);
}

int64_t gcp_expires_at(const struct gcp_cred *g, int64_t wall)
{
	int64_t at;
	return __builtin_sub_overflow(wall, gcp_now(g), &at) ||
			       __builtin_add_overflow(at, clock_boot(), &at)
		       ? CLOCK_NEVER
		       : at;
}

int gcp_bearer_add(struct buf *out, const struct secret *token)
{
	int r = buf_str(out, "Bearer ");
	return r < 0 ? r : gcp_secret_add(out, token);
}

const char *gcp_host_shown(const char *url, char *out, size_t size)
{
	struct http_url u;
	if (http_url_parse(url, &u, NULL) < 0)
		snprintf(out, size, "?");
	else
		text_escaped(out, size, u.host, strlen(u.host));
	return out;
}

/* ---- for `secretfs check` ---- */

static void check_token_url(
	const struct gcp_cred *g, const struct gcp_doc *doc, struct check_sink *sink)
{
	_cleanup_free_ char *url = NULL;
	char host[256];
	if (doc->type == GCP_SERVICE_ACCOUNT && !g->conf->token_endpoint && !g->conf->impersonate) {
		check_step(sink, CHECK_OK, "token host",
			"none: the key signs what the API takes as a token");
		return;
	}
	if (gcp_doc_url(doc, NULL, "token_uri", GCP_MAY, &url, NULL) == 0)
		check_step(sink, CHECK_OK, "token host", "%s",
			gcp_host_shown(url ? url : GCP_TOKEN_URL, host, sizeof(host)));
}

void gcp_check_file(struct gcp_cred *g, const char *path, struct check_sink *sink)
{
	_cleanup_(gcp_doc_clear) struct gcp_doc doc = GCP_DOC_INIT;
	struct credfile_stamp stamp = {0};
	if (gcp_doc_read(g->env->paths, path, &doc, &stamp, NULL) < 0)
		return; /* it was just read: it changes, and the next run tells */
	if (doc.type == GCP_SERVICE_ACCOUNT || doc.type == GCP_AUTHORIZED_USER)
		check_token_url(g, &doc, sink);
	else
		gcp_external_check(g, &doc, sink);
}
