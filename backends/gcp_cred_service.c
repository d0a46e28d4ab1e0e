/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of service accounts: a token that we sign ourselves and the API takes as it is (AIP-4111),
 * or one that the token endpoint gives for it (RFC 7523), where that is wanted, a user is acted
 * for, or another account's token is taken with it.
 */
#include "backends/gcp_cred_impl.h"

#include "backends/gcp_jwt.h"
#include "backends/members.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <string.h>

/* Always this, wherever token_uri leads to. */
#define AUDIENCE "https://oauth2.googleapis.com/token"
#define GRANT	 "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define EARLY	 10 /* s that a token is dated back, for clocks that differ a little */

struct account {
	char *email, *kid, *token_uri;
	struct crypto_rsa *key;
};

static void account_clear(struct account *a)
{
	mem_free(a->email);
	mem_free(a->kid);
	mem_free(a->token_uri);
	crypto_rsa_free(a->key);
}

static int load_key(const struct gcp_doc *doc, struct crypto_rsa **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf pem = BUF_SECRET_INIT(GCP_FILE_MAX);
	int r = member_string(doc->json, doc->node, "private_key", &pem);
	if (r == -ENODATA || (r == 0 && !pem.len))
		return gcp_doc_bad(doc, "private_key", "is missing", err);
	if (r == -ENOMEM)
		return gcp_no_memory(err);
	if (r < 0)
		return gcp_doc_bad(doc, "private_key", "must be a string", err);
	return gcp_key_load(buf_text(&pem), pem.len, doc->path, ret, err);
}

static int load_account(const struct gcp_doc *doc, struct account *a, struct sfs_err *err)
{
	int r = gcp_doc_text(doc, NULL, "client_email", GCP_MUST, &a->email, err);
	if (r == 0)
		r = gcp_doc_text(doc, NULL, "private_key_id", GCP_MAY, &a->kid, err);
	if (r == 0)
		r = gcp_doc_url(doc, NULL, "token_uri", GCP_MUST, &a->token_uri, err);
	return r < 0 ? r : load_key(doc, &a->key, err);
}

static int64_t issued_at(const struct gcp_cred *g)
{
	return gcp_now(g) / NSEC_PER_SEC - EARLY;
}

static int self_signed(struct gcp_cred *g, const struct account *a, const char *scope,
	struct gcp_found *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf jwt = BUF_SECRET_INIT(GCP_JWT_MAX);
	struct gcp_claims claims = {.kid = a->kid,
		.iss = a->email,
		.sub = a->email,
		.scope = scope,
		.iat = issued_at(g)};
	int r = gcp_jwt_sign(a->key, &claims, &jwt, err);
	if (r < 0)
		return r;
	ret->token = secret_new(jwt.data, jwt.len);
	ret->self_signed = true;
	ret->expires = gcp_expires((GCP_JWT_LIFE - EARLY) * NSEC_PER_SEC);
	return ret->token ? 0 : gcp_no_memory(err);
}

/* One exchange; *ret_refusal tells whether the clock was wrong. */
static int exchange_once(struct gcp_cred *g, const struct call *call, const struct account *a,
	const char *scope, const char *path, struct gcp_token *ret, struct gcp_refusal *ret_refusal,
	struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf jwt = BUF_SECRET_INIT(GCP_JWT_MAX);
	_cleanup_(buf_clear) struct buf form = BUF_SECRET_INIT(2 * GCP_JWT_MAX);
	_cleanup_free_ char *shown = mem_asprintf("what the key in %s signed", path);
	struct gcp_claims claims = {.kid = a->kid,
		.iss = a->email,
		.sub = g->conf->subject,
		.scope = scope,
		.aud = AUDIENCE,
		.iat = issued_at(g)};
	struct gcp_token_ask ask = {.what = "the token endpoint",
		.credential = shown,
		.url = a->token_uri,
		.form = &form};
	if (!shown)
		return gcp_no_memory(err);
	int r = gcp_jwt_sign(a->key, &claims, &jwt, err);
	if (r < 0)
		return r;
	gcp_form_add(&form, "grant_type", GRANT, strlen(GRANT));
	gcp_form_add(&form, "assertion", jwt.data, jwt.len);
	return form.failed ? gcp_no_memory(err)
			   : gcp_token_post(g, call, &ask, ret, ret_refusal, err);
}

static int exchanged(struct gcp_cred *g, const struct call *call, const struct account *a,
	const char *scope, const char *path, struct gcp_found *ret, struct sfs_err *err)
{
	struct gcp_token token = {0};
	struct gcp_refusal refusal = {0};
	int r = exchange_once(g, call, a, scope, path, &token, &refusal, err);
	if (r < 0 && refusal.kind == GCP_REFUSED_CLOCK) { /* its Date has told the offset */
		err_clear(err);
		r = exchange_once(g, call, a, scope, path, &token, &refusal, err);
	}
	if (r < 0)
		return r;
	ret->token = take(token.access);
	ret->expires = gcp_expires(token.life);
	gcp_token_clear(&token);
	return 0;
}

static bool usual_universe(const struct gcp_found *f)
{
	return !f->universe || strcmp(f->universe, GCP_UNIVERSE) == 0;
}

/* Outside of googleapis.com there is no token endpoint for keys and no delegation. */
static int check_universe(const struct gcp_cred *g, const struct gcp_found *f, struct sfs_err *err)
{
	if (!g->conf->token_endpoint || usual_universe(f))
		return 0;
	return err_set(err, EINVAL,
		"%s= does not go with universe %s, where a key can only sign tokens itself",
		g->conf->subject ? "subject" : "token_endpoint", f->universe);
}

/* Google's own clients show the IAM API tokens of the token endpoint where there is one. */
static bool is_exchanged(const struct gcp_cred *g, const struct gcp_found *f, const char *scope)
{
	return g->conf->token_endpoint || (strcmp(scope, GCP_SCOPE_IAM) == 0 && usual_universe(f));
}

int gcp_cred_service_account(struct gcp_cred *g, const struct call *call, const struct gcp_doc *doc,
	const char *scope, struct gcp_found *ret, struct sfs_err *err)
{
	_cleanup_(account_clear) struct account a = {0};
	char email[256], subject[256] = "";
	int r = check_universe(g, ret, err);
	if (r == 0)
		r = load_account(doc, &a, err);
	if (r == 0)
		r = is_exchanged(g, ret, scope) ? exchanged(g, call, &a, scope, doc->path, ret, err)
						: self_signed(g, &a, scope, ret, err);
	if (r < 0)
		return r;
	text_escaped(email, sizeof(email), a.email, strlen(a.email));
	if (g->conf->subject)
		snprintf(subject, sizeof(subject), " for %s", g->conf->subject);
	return gcp_found_about(ret, g->conf->subject ? g->conf->subject : email, err,
		"key of %s%s in %s", email, subject, doc->path);
}
