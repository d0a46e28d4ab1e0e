/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of service accounts, taken with a token that may (generateAccessToken). */
#include "backends/gcp_cred_external.h"

#include "base/cleanup.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define BODY_MAX    65536
#define ASK_TIMEOUT (10 * NSEC_PER_SEC)

static char *const cloud_scope[] = {(char *)(uintptr_t)GCP_SCOPE_CLOUD, NULL};

static int ask(struct gcp_cred *g, const struct call *call, const struct gcp_generate *what,
	const struct gcp_found *found, struct http_reply *reply, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	_cleanup_(buf_clear) struct buf bearer = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	struct ask request = {
		.method = "POST", .url = what->url, .body = &body, .timeout = ASK_TIMEOUT};
	int r = gcp_generate_body(what->scopes, what->delegates, what->lifetime, &body, err);
	if (r < 0)
		return r;
	if (gcp_bearer_add(&bearer, found->token) < 0)
		return gcp_no_memory(err);
	ask_secret(&request, "Authorization", &bearer);
	ask_header(&request, "Content-Type", "application/json");
	ask_header(&request, "Accept", "application/json");
	if (what->quota_project)
		ask_header(&request, "X-Goog-User-Project", what->quota_project);
	r = ask_do(g->http, call, &request, reply, err);
	if (r < 0)
		return err_prefix(err, "the IAM Credentials API");
	gcp_cred_skew(g, reply);
	return 0;
}

static int take_account(struct gcp_cred *g, const struct http_reply *reply, const char *email,
	struct gcp_found *found, struct sfs_err *err)
{
	struct secret *token = NULL;
	int64_t expires;
	char shown[128], by[SFS_ERR_MAX / 2];
	if (reply->status != 200)
		return gcp_generate_refused(
			reply->status, buf_text(&reply->body), reply->body.len, email, err);
	int r = gcp_generate_parse(buf_text(&reply->body), reply->body.len, &token, &expires, err);
	if (r < 0)
		return err_prefix(err, "the answer of the IAM Credentials API");
	secret_unref(found->token);
	found->token = token;
	found->expires = gcp_expires_at(g, expires);
	found->self_signed = false;
	text_escaped(shown, sizeof(shown), email, strlen(email));
	snprintf(by, sizeof(by), "%s", found->source ? found->source : "?");
	return gcp_found_about(found, shown, err, "service account %s by %s", shown, by);
}

int gcp_generate(struct gcp_cred *g, const struct call *call, const struct gcp_generate *what,
	struct gcp_found *found, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_free_ char *email = gcp_account_of(what->url);
	if (!email)
		return gcp_no_memory(err);
	int r = ask(g, call, what, found, &reply, err);
	return r < 0 ? r : take_account(g, &reply, email, found, err);
}

const char *gcp_asker_quota(const struct gcp_cred *g, const struct gcp_found *found)
{
	return g->conf->quota_project ? g->conf->quota_project : found->quota_project;
}

/* ---- impersonate= ---- */

static int account_url(struct gcp_cred *g, const char *email, const char *universe, struct buf *url,
	struct sfs_err *err)
{
	int r = g->conf->iam_endpoint ? buf_str(url, g->conf->iam_endpoint)
				      : gcp_conf_host(url, "iamcredentials", NULL,
						universe ? universe : GCP_UNIVERSE, err);
	if (r == 0)
		r = buf_printf(url, "/v1/projects/-/serviceAccounts/%s:generateAccessToken", email);
	return r < 0 ? gcp_no_memory(err) : 0;
}

int gcp_impersonate(struct gcp_cred *g, const struct call *call, const char *email,
	struct gcp_found *found, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf url = BUF_INIT(SFS_HTTP_URL_MAX);
	int r = account_url(g, email, found->universe, &url, err);
	if (r < 0)
		return r;
	const struct gcp_generate what = {.url = buf_text(&url),
		.scopes = cloud_scope,
		.quota_project = gcp_asker_quota(g, found),
		.lifetime = GCP_ACCOUNT_LIFE};
	return gcp_generate(g, call, &what, found, err);
}

/* ---- impersonated_service_account ---- */

static int open_source(const struct gcp_doc *doc, struct gcp_doc *ret, struct sfs_err *err)
{
	static const char key[] = "source_credentials";
	int r = gcp_doc_nested(doc, key, ret, err);
	if (r == 0 && ret->type == GCP_IMPERSONATED)
		r = gcp_doc_bad(doc, key,
			"are an impersonated_service_account too: name whom the source may act as "
			"in delegates instead",
			err);
	return r;
}

/* The scopes that are asked for: those of the file, unless the token is to take another one. */
static int generate(struct gcp_cred *g, const struct call *call, const struct gcp_account *account,
	const char *quota, const char *scope, struct gcp_found *found, struct sfs_err *err)
{
	char *const own[] = {(char *)(uintptr_t)scope, NULL};
	bool named = account->scopes[0] && strcmp(scope, GCP_SCOPE_CLOUD) == 0;
	const struct gcp_generate what = {.url = account->url,
		.scopes = named ? account->scopes : own,
		.delegates = account->delegates,
		.quota_project = quota,
		.lifetime = GCP_ACCOUNT_LIFE};
	return gcp_generate(g, call, &what, found, err);
}

static int act_as(struct gcp_cred *g, const struct call *call, const struct gcp_doc *source,
	const struct gcp_account *account, const char *scope, struct gcp_found *ret,
	struct sfs_err *err)
{
	_cleanup_free_ char *quota = NULL;
	int r = gcp_doc_text(source, NULL, "quota_project_id", GCP_MAY, &quota, err);
	if (r == 0)
		r = gcp_cred_doc(g, call, source, GCP_SCOPE_IAM, ret, err);
	return r < 0 ? r : generate(g, call, account, quota, scope, ret, err);
}

int gcp_cred_impersonated(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	static struct log_rate warned = LOG_RATE(GCP_WARN_SECONDS);
	_cleanup_(gcp_account_clear) struct gcp_account account = {0};
	struct gcp_doc source = GCP_DOC_INIT;
	int r = gcp_account_parse(doc, &account, err);
	if (r == 0)
		r = open_source(doc, &source, err);
	if (r == 0) {
		gcp_external_warn(g, doc, account.url, &warned);
		r = act_as(g, call, &source, &account, scope, ret, err);
	}
	gcp_doc_clear(&source);
	return r;
}
