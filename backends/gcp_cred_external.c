/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workload and workforce identity federation: a subject token of somebody else is exchanged at STS
 * for one of Google's, with which the token of a service account may be taken. The credentials file
 * decides whom all this is sent to, so those hosts are shown and, if they are odd, warned of.
 */
#include "backends/gcp_cred_external.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

/* ---- hosts ---- */

static const char *universe_of(
	const struct gcp_cred *g, const struct gcp_doc *doc, char **ret_owned)
{
	if (g->conf->universe)
		return g->conf->universe;
	if (gcp_doc_text(doc, NULL, "universe_domain", GCP_MAY, ret_owned, NULL) == 0 && *ret_owned)
		return *ret_owned;
	return GCP_UNIVERSE;
}

static bool ends_in(const char *host, size_t len, const char *tail)
{
	size_t n = strlen(tail);
	return len >= n && strncmp(host + len - n, tail, n) == 0 &&
	       (len == n || host[len - n - 1] == '.');
}

/* This machine itself, or a service of the cloud that is meant. */
static bool host_is_known(const char *url, const char *universe)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(SFS_HTTP_URL_MAX);
	if (http_url_host(url, &b, NULL) < 0)
		return false;
	const char *host = buf_text(&b);
	size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	return ends_in(host, len, universe) || ends_in(host, len, "localhost") ||
	       strncmp(host, "127.", 4) == 0 || (len == 5 && strncmp(host, "[::1]", 5) == 0);
}

void gcp_external_warn(
	const struct gcp_cred *g, const struct gcp_doc *doc, const char *url, struct log_rate *rate)
{
	_cleanup_free_ char *owned = NULL;
	const char *universe = universe_of(g, doc, &owned);
	char host[128];
	if (host_is_known(url, universe) || !log_due(rate))
		return;
	log_warn("%s: %s sends credentials to %s, which is not under %s: keep the file only if "
		 "you know who runs that host",
		g->name, doc->path, gcp_host_shown(url, host, sizeof(host)), universe);
}

/* ---- the exchange ---- */

static int subject_token(
	const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err)
{
	switch (ask->x->source.kind) {
	case GCP_SOURCE_FILE:
		return gcp_subject_file(ask, ret, err);
	case GCP_SOURCE_URL:
		return gcp_subject_url(ask, ret, err);
	case GCP_SOURCE_PROGRAM:
		return gcp_subject_program(ask, ret, err);
	case GCP_SOURCE_AWS:
		return gcp_subject_aws(ask, ret, err);
	}
	return -EINVAL;
}

static int post(const struct gcp_subject_ask *ask, const struct secret *subject, const char *scope,
	struct gcp_token *ret, struct gcp_refusal *refusal, struct sfs_err *err)
{
	const struct gcp_external *x = ask->x;
	_cleanup_(buf_clear) struct buf form = BUF_SECRET_INIT(GCP_EXCHANGE_MAX);
	char shown[320], what[360];
	int r = gcp_exchange_form(x, scope, subject, &form, err);
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "the subject token of the %s",
		gcp_subject_shown(x, shown, sizeof(shown)));
	const struct gcp_token_ask request = {.what = "the security token service",
		.credential = what,
		.url = x->token_url,
		.form = &form,
		.client_id = x->client_id,
		.client_secret = x->client_secret};
	return gcp_token_post(ask->g, ask->call, &request, ret, refusal, err);
}

/* What a newer subject token may put right: STS has few words, and "invalid_grant" is what it says
 * of a token that has expired. */
static bool worth_another(const struct gcp_refusal *refusal)
{
	return refusal->status && (refusal->kind == GCP_REFUSED_EXPIRED ||
					  strcmp(refusal->error, "invalid_grant") == 0 ||
					  strcmp(refusal->error, "invalid_request") == 0);
}

/* Once more with the token as it is now, where that is another one. The first failure stands when
 * there is none. */
static int exchange_again(struct gcp_subject_ask *ask, const struct secret *old, const char *scope,
	struct gcp_token *ret, struct sfs_err *err)
{
	struct secret *fresh = NULL;
	struct sfs_err why = {0};
	struct gcp_refusal refusal = {0};
	ask->again = true;
	if (subject_token(ask, &fresh, &why) < 0)
		return -err->code;
	int r = -err->code;
	if (!secret_equal(old, fresh))
		r = post(ask, fresh, scope, ret, &refusal, err);
	secret_unref(fresh);
	return r;
}

static int exchange(
	struct gcp_subject_ask *ask, const char *scope, struct gcp_token *ret, struct sfs_err *err)
{
	struct secret *subject = NULL;
	struct gcp_refusal refusal = {0};
	int r = subject_token(ask, &subject, err);
	if (r == 0) {
		r = post(ask, subject, scope, ret, &refusal, err);
		if (r < 0 && worth_another(&refusal))
			r = exchange_again(ask, subject, scope, ret, err);
	}
	secret_unref(subject);
	return r;
}

static int take_token(struct gcp_token *t, struct gcp_found *found)
{
	secret_unref(found->token);
	found->token = take(t->access);
	found->expires = gcp_expires(t->life);
	found->self_signed = false;
	return 0;
}

static int impersonate(const struct gcp_subject_ask *ask, const char *scope,
	struct gcp_found *found, struct sfs_err *err)
{
	char *const scopes[] = {(char *)(uintptr_t)scope, NULL};
	const struct gcp_generate what = {.url = ask->x->impersonation_url,
		.scopes = scopes,
		.quota_project = gcp_asker_quota(ask->g, found),
		.lifetime = ask->x->lifetime};
	return gcp_generate(ask->g, ask->call, &what, found, err);
}

static int federate(struct gcp_subject_ask *ask, const char *scope, struct gcp_found *found,
	struct sfs_err *err)
{
	const struct gcp_external *x = ask->x;
	struct gcp_token token = {0};
	char shown[320];
	int r = exchange(ask, x->impersonation_url ? GCP_SCOPE_IAM : scope, &token, err);
	if (r == 0)
		r = take_token(&token, found);
	gcp_token_clear(&token);
	if (r == 0)
		r = gcp_found_about(found, NULL, err, "federation of %s, subject token of the %s",
			ask->path, gcp_subject_shown(x, shown, sizeof(shown)));
	return r < 0 || !x->impersonation_url ? r : impersonate(ask, scope, found, err);
}

int gcp_cred_external_account(struct gcp_cred *g, const struct call *call,
	const struct gcp_doc *doc, const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	static struct log_rate exchange_warned = LOG_RATE(GCP_WARN_SECONDS);
	static struct log_rate account_warned = LOG_RATE(GCP_WARN_SECONDS);
	_cleanup_(gcp_external_clear) struct gcp_external x = {0};
	struct gcp_subject_ask ask = {.g = g, .call = call, .x = &x, .path = doc->path};
	int r = gcp_external_parse(doc, &x, err);
	if (r < 0)
		return r;
	gcp_external_warn(g, doc, x.token_url, &exchange_warned);
	if (x.impersonation_url)
		gcp_external_warn(g, doc, x.impersonation_url, &account_warned);
	return federate(&ask, scope, ret, err);
}

/* ---- external_account_authorized_user ---- */

struct user {
	char *url, *client_id;
	struct secret *client_secret, *refresh;
};

static void user_clear(struct user *u)
{
	mem_free(take(u->url));
	mem_free(take(u->client_id));
	secret_unref(take(u->client_secret));
	secret_unref(take(u->refresh));
}

static int read_user(const struct gcp_doc *doc, struct user *u, struct sfs_err *err)
{
	int r = gcp_doc_url(doc, NULL, "token_url", GCP_MUST, &u->url, err);
	if (r == 0)
		r = gcp_doc_text(doc, NULL, "client_id", GCP_MUST, &u->client_id, err);
	if (r == 0)
		r = gcp_doc_secret(doc, NULL, "client_secret", GCP_MUST, &u->client_secret, err);
	return r < 0 ? r : gcp_doc_secret(doc, NULL, "refresh_token", GCP_MUST, &u->refresh, err);
}

/* The refresh token to use: that of the file, unless it was replaced by a newer one since. */
static const struct secret *current_refresh(const struct gcp_cred *g, const struct user *u)
{
	return g->refresh_now && g->refresh_was && secret_equal(g->refresh_was, u->refresh)
		       ? g->refresh_now
		       : u->refresh;
}

/* A new one is kept in memory; the file belongs to gcloud. */
static void keep_refresh(struct gcp_cred *g, const struct user *u, struct secret *refresh)
{
	secret_unref(g->refresh_now);
	secret_unref(g->refresh_was);
	g->refresh_now = refresh;
	g->refresh_was = secret_ref(u->refresh);
}

static int refresh(struct gcp_cred *g, const struct call *call, const struct user *u,
	const char *path, struct gcp_token *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	_cleanup_(buf_clear) struct buf form = BUF_SECRET_INIT(GCP_EXCHANGE_MAX);
	struct gcp_refusal refusal = {0};
	char what[SFS_ERR_MAX];
	if (gcp_secret_add(&token, current_refresh(g, u)) < 0)
		return gcp_no_memory(err);
	gcp_form_add(&form, "grant_type", "refresh_token", strlen("refresh_token"));
	if (gcp_form_add(&form, "refresh_token", buf_text(&token), token.len) < 0)
		return gcp_no_memory(err);
	snprintf(what, sizeof(what), "the refresh token in %.300s", path);
	const struct gcp_token_ask ask = {.what = "the token endpoint of the workforce pool",
		.credential = what,
		.url = u->url,
		.form = &form,
		.client_id = u->client_id,
		.client_secret = u->client_secret};
	return gcp_token_post(g, call, &ask, ret, &refusal, err);
}

int gcp_cred_external_user(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	static struct log_rate warned = LOG_RATE(GCP_WARN_SECONDS);
	_cleanup_(user_clear) struct user u = {0};
	struct gcp_token token = {0};
	(void)scope; /* that of the login */
	int r = read_user(doc, &u, err);
	if (r < 0)
		return r;
	gcp_external_warn(g, doc, u.url, &warned);
	r = refresh(g, call, &u, doc->path, &token, err);
	if (r == 0)
		r = take_token(&token, ret);
	if (r == 0 && token.refresh)
		keep_refresh(g, &u, take(token.refresh));
	gcp_token_clear(&token);
	return r < 0 ? r
		     : gcp_found_about(
			       ret, NULL, err, "login of a workforce pool in %s", doc->path);
}

/* ---- what the machine must give ---- */

static int told(int r, const char *what, struct sfs_err *err)
{
	return r < 0 ? err_errno(err, -r, "tell what the credentials need: %s", what) : 0;
}

static int need_path(const struct backend_env *env, const struct gcp_doc *doc, const char *key,
	const char *text, struct needs *n, char **ret_path, struct sfs_err *err)
{
	_cleanup_free_ char *path = NULL;
	int r = setting_path(env, key, text, &path, err);
	if (r < 0)
		return err_prefix(err, "%s", doc->path);
	r = told(needs_file(n, path), key, err);
	if (r == 0 && ret_path)
		*ret_path = take(path);
	return r;
}

static int need_program(const struct backend_env *env, const struct gcp_doc *doc,
	const struct gcp_external *x, struct needs *n, struct sfs_err *err)
{
	_cleanup_free_ char *output = NULL, *line = NULL;
	const char *text = x->source.output_file;
	int r = text ? need_path(env, doc, "output_file", text, n, &output, err) : 0;
	if (r < 0)
		return r;
	line = gcp_program_line(x, output);
	r = line ? needs_command(n, line) : -ENOMEM;
	if (r == -EINVAL)
		return gcp_doc_bad(
			doc, "command", "is no command line: its quotes are not closed", err);
	return told(r, "its program", err);
}

static int need_aws(struct needs *n, struct sfs_err *err)
{
	static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};
	int r = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
		r = told(needs_env(n, names[i]), names[i], err);
	return r;
}

int gcp_external_needs(const struct backend_env *env, const struct gcp_doc *doc, bool programs,
	struct needs *n, struct sfs_err *err)
{
	_cleanup_(gcp_external_clear) struct gcp_external x = {0};
	int r = gcp_external_parse(doc, &x, err);
	if (r < 0)
		return r;
	switch (x.source.kind) {
	case GCP_SOURCE_FILE:
		return need_path(env, doc, "credential_source.file", x.source.file, n, NULL, err);
	case GCP_SOURCE_PROGRAM:
		return programs ? need_program(env, doc, &x, n, err) : 0;
	case GCP_SOURCE_AWS:
		return need_aws(n, err);
	case GCP_SOURCE_URL:
		break;
	}
	return 0;
}

/* ---- secretfs check ---- */

struct checker {
	const char *universe;
	struct check_sink *sink;
};

static void say_host(const struct checker *c, const char *what, const char *url)
{
	char host[128];
	gcp_host_shown(url, host, sizeof(host));
	bool known = host_is_known(url, c->universe);
	check_step(c->sink, CHECK_OK, "credentials", "%s: %s%s%s%s", what, host,
		known ? "" : " (warning: not under ", known ? "" : c->universe,
		known ? "" : ": keep the file only if you know who runs that host)");
}

static int check_external(const struct checker *c, const struct gcp_doc *doc)
{
	_cleanup_(gcp_external_clear) struct gcp_external x = {0};
	struct sfs_err err = {0};
	char shown[320];
	int r = gcp_external_parse(doc, &x, &err);
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* the walk says what is wrong */
	check_step(c->sink, CHECK_OK, "credentials", "subject token: %s",
		gcp_subject_shown(&x, shown, sizeof(shown)));
	say_host(c, "exchange", x.token_url);
	if (x.impersonation_url)
		say_host(c, "impersonation", x.impersonation_url);
	return 0;
}

static int check_url(
	const struct checker *c, const struct gcp_doc *doc, const char *key, const char *what)
{
	_cleanup_free_ char *url = NULL;
	int r = gcp_doc_url(doc, NULL, key, GCP_MUST, &url, NULL);
	if (r == 0)
		say_host(c, what, url);
	return r == -ENOMEM ? r : 0;
}

int gcp_external_check(const struct gcp_cred *g, const struct gcp_doc *doc, struct check_sink *sink)
{
	_cleanup_free_ char *owned = NULL;
	const struct checker c = {.universe = universe_of(g, doc, &owned), .sink = sink};
	struct gcp_doc source = GCP_DOC_INIT;
	int r = 0;
	switch (doc->type) {
	case GCP_EXTERNAL_ACCOUNT:
		return check_external(&c, doc);
	case GCP_EXTERNAL_USER:
		return check_url(&c, doc, "token_url", "refresh");
	case GCP_IMPERSONATED:
		r = check_url(&c, doc, "service_account_impersonation_url", "impersonation");
		if (r < 0 || gcp_doc_nested(doc, "source_credentials", &source, NULL) < 0 ||
			source.type == GCP_IMPERSONATED)
			return r;
		r = gcp_external_check(g, &source, sink);
		gcp_doc_clear(&source);
		return r;
	default:
		return 0;
	}
}
