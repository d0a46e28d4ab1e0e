/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of a person, as gcloud auth application-default login leaves them. */
#include "backends/gcp_cred_impl.h"

#include "base/cleanup.h"
#include "base/text.h"
#include <string.h>

#define FORM_MAX 65536

struct user {
	char *id, *account, *url;
	struct secret *secret, *refresh;
	struct secret *was; /* the file's refresh token, where `refresh` is a newer one */
};

static void user_clear(struct user *u)
{
	mem_free(u->id);
	mem_free(u->account);
	mem_free(u->url);
	secret_unref(u->secret);
	secret_unref(u->refresh);
	secret_unref(u->was);
}

static int load(const struct gcp_doc *doc, struct user *u, struct sfs_err *err)
{
	int r = gcp_doc_text(doc, NULL, "client_id", GCP_MUST, &u->id, err);
	if (r == 0)
		r = gcp_doc_secret(doc, NULL, "client_secret", GCP_MUST, &u->secret, err);
	if (r == 0)
		r = gcp_doc_secret(doc, NULL, "refresh_token", GCP_MUST, &u->refresh, err);
	if (r == 0)
		r = gcp_doc_text(doc, NULL, "account", GCP_MAY, &u->account, err);
	if (r == 0)
		r = gcp_doc_url(doc, NULL, "token_uri", GCP_MAY, &u->url, err);
	if (r == 0 && !u->url && !(u->url = mem_strdup(GCP_TOKEN_URL)))
		return gcp_no_memory(err);
	return r;
}

/* The file's refresh token, or the one that took its place while it stayed the same. */
static void choose_refresh(const struct gcp_cred *g, struct user *u)
{
	if (!g->refresh_was || !secret_equal(g->refresh_was, u->refresh))
		return;
	u->was = u->refresh;
	u->refresh = secret_ref(g->refresh_now);
}

/* A new one came with the access token: kept in memory, the file is not ours to write. */
static void keep_refresh(struct gcp_cred *g, struct user *u, struct gcp_token *token)
{
	if (!token->refresh)
		return;
	secret_unref(g->refresh_now);
	g->refresh_now = take(token->refresh);
	if (u->was)
		return; /* refresh_was is that of the file already */
	secret_unref(g->refresh_was);
	g->refresh_was = secret_ref(u->refresh);
}

static void add_secret(struct buf *form, const char *key, const struct secret *s)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_FILE_MAX);
	if (gcp_secret_add(&text, s) < 0)
		form->failed = ENOMEM;
	else
		gcp_form_add(form, key, buf_text(&text), text.len);
}

static int make_form(const struct user *u, struct buf *form, struct sfs_err *err)
{
	gcp_form_add(form, "grant_type", "refresh_token", strlen("refresh_token"));
	gcp_form_add(form, "client_id", u->id, strlen(u->id));
	add_secret(form, "client_secret", u->secret);
	add_secret(form, "refresh_token", u->refresh);
	return form->failed ? err_errno(err, form->failed, "the form for the token endpoint") : 0;
}

int gcp_cred_authorized_user(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	_cleanup_(user_clear) struct user u = {0};
	_cleanup_(buf_clear) struct buf form = BUF_SECRET_INIT(FORM_MAX);
	_cleanup_free_ char *shown = mem_asprintf("the refresh token in %s", doc->path);
	struct gcp_token token = {0};
	struct gcp_refusal refusal = {0};
	char account[256] = "";
	(void)scope; /* that of the login */
	if (!shown)
		return gcp_no_memory(err);
	int r = load(doc, &u, err);
	if (r == 0)
		choose_refresh(g, &u);
	if (r == 0)
		r = make_form(&u, &form, err);
	struct gcp_token_ask ask = {
		.what = "the token endpoint", .credential = shown, .url = u.url, .form = &form};
	if (r == 0)
		r = gcp_token_post(g, call, &ask, &token, &refusal, err);
	if (r < 0)
		return r;
	keep_refresh(g, &u, &token);
	ret->token = take(token.access);
	ret->expires = gcp_expires(token.life);
	gcp_token_clear(&token);
	if (u.account)
		text_escaped(account, sizeof(account), u.account, strlen(u.account));
	return gcp_found_about(ret, u.account ? account : NULL, err, "user %s%sin %s", account,
		u.account ? " " : "credentials ", doc->path);
}
