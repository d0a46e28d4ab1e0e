/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSO (IAM Identity Center): the token that `aws sso login` left in ~/.aws/sso/cache buys
 * credentials of a role. A token of a session is renewed here shortly before it expires, in memory
 * only: the file belongs to the AWS CLI.
 */
#include "backends/aws_cred_impl.h"

#include "backends/percent.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "net/crypto.h"
#include "net/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RENEW_AHEAD (15 * 60 * NSEC_PER_SEC)
#define RENEW_EVERY (60 * NSEC_PER_SEC)
#define URL_MAX	    4096

struct sso {
	struct aws_cred *a;
	const struct call *call;
	const char *profile;
	char *session; /* NULL: the legacy form, all in the profile */
	char *region, *start_url, *account, *role;
};

static void sso_clear(struct sso *s)
{
	mem_free(s->session);
	mem_free(s->region);
	mem_free(s->start_url);
	mem_free(s->account);
	mem_free(s->role);
}

static int log_in(const struct sso *s, const char *why, struct sfs_err *err)
{
	return err_set(err, EKEYEXPIRED, "profile %s: %s: run aws sso login --profile %s",
		s->profile, why, s->profile);
}

/* ---- settings ---- */

static int missing(const struct sso *s, const char *key, struct sfs_err *err)
{
	return err_set(err, EINVAL, "profile %s: %s is missing", s->profile, key);
}

static int check_settings(const struct sso *s, struct sfs_err *err)
{
	if (!s->region)
		return missing(s, "sso_region", err);
	if (!s->start_url)
		return missing(s, "sso_start_url", err);
	if (!s->account)
		return missing(s, "sso_account_id", err);
	if (!s->role)
		return missing(s, "sso_role_name", err);
	int r = aws_region_check(s->region, err);
	return r < 0 ? err_prefix(err, "profile %s: sso_region", s->profile) : 0;
}

static int read_settings(struct sso *s, const struct aws_files *files, struct sfs_err *err)
{
	bool failed = false;
	s->session = aws_value_text(aws_files_value(files, s->profile, "sso_session"), &failed);
	if (s->session && !aws_files_has_session(files, s->session))
		return err_set(err, EINVAL,
			"profile %s says sso_session = %s, but there is no section [sso-session "
			"%s]",
			s->profile, s->session, s->session);
	const struct aws_value *region =
		s->session ? aws_files_session(files, s->session, "sso_region")
			   : aws_files_value(files, s->profile, "sso_region");
	const struct aws_value *start =
		s->session ? aws_files_session(files, s->session, "sso_start_url")
			   : aws_files_value(files, s->profile, "sso_start_url");
	s->region = aws_value_text(region, &failed);
	s->start_url = aws_value_text(start, &failed);
	s->account = aws_value_text(aws_files_value(files, s->profile, "sso_account_id"), &failed);
	s->role = aws_value_text(aws_files_value(files, s->profile, "sso_role_name"), &failed);
	return failed ? aws_no_memory(err) : check_settings(s, err);
}

/* ---- the token ---- */

static int token_path(const struct sso *s, char **ret, struct sfs_err *err)
{
	char hex[SHA1_HEX];
	const char *name = s->session ? s->session : s->start_url;
	if (!s->a->env->home)
		return err_set(err, EINVAL,
			"profile %s: the token of SSO is below the home directory, and there is "
			"none: give home=",
			s->profile);
	int r = crypto_sha1_hex(name, strlen(name), hex);
	if (r < 0)
		return err_errno(err, -r, "profile %s: the name of the token's file", s->profile);
	*ret = mem_asprintf("%s/.aws/sso/cache/%s.json", s->a->env->home, hex);
	return *ret ? 0 : aws_no_memory(err);
}

static int read_token(struct sso *s, struct aws_sso_token *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(AWS_SSO_FILE_MAX);
	_cleanup_free_ char *path = NULL;
	struct credfile_stamp stamp = {0};
	int r = token_path(s, &path, err);
	if (r < 0)
		return r;
	r = credfile_read(s->a->env->paths, path, 0, &text, &stamp, err);
	credwatch_add(&s->a->watch, path, &stamp);
	if (r == -ENOENT || r == -ENOTDIR)
		return log_in(s, "nobody is logged in", err);
	if (r < 0)
		return r;
	r = aws_sso_token_parse(buf_text(&text), text.len, ret, err);
	return r < 0 ? err_prefix(err, "%s", path) : 0;
}

static void use_renewed(struct sso *s, struct aws_sso_token *t)
{
	struct aws_cred *a = s->a;
	if (!a->sso_was || !secret_equal(a->sso_was, t->access)) {
		/* somebody logged in again: that token counts */
		aws_sso_token_clear(&a->sso);
		secret_unref(take(a->sso_was));
		return;
	}
	aws_sso_token_clear(t);
	*t = a->sso;
	t->access = secret_ref(t->access);
	t->refresh = t->refresh ? secret_ref(t->refresh) : NULL;
	t->client_id = t->client_id ? secret_ref(t->client_id) : NULL;
	t->client_secret = t->client_secret ? secret_ref(t->client_secret) : NULL;
}

static int add_member(
	struct buf *body, const char *name, const struct secret *value, const char *plain)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(AWS_KEY_MAX);
	int r = value ? aws_secret_add(&text, value) : buf_str(&text, plain);
	if (r == 0)
		r = buf_char(body, body->len ? ',' : '{');
	if (r == 0)
		r = json_quote(body, name, strlen(name));
	if (r == 0)
		r = buf_char(body, ':');
	return r < 0 ? r : json_quote(body, buf_text(&text), text.len);
}

static int renew_body(const struct aws_sso_token *t, struct buf *body)
{
	int r = add_member(body, "clientId", t->client_id, NULL);
	if (r == 0)
		r = add_member(body, "clientSecret", t->client_secret, NULL);
	if (r == 0)
		r = add_member(body, "grantType", NULL, "refresh_token");
	if (r == 0)
		r = add_member(body, "refreshToken", t->refresh, NULL);
	return r < 0 ? r : buf_char(body, '}');
}

static int ask_renewal(struct sso *s, struct aws_sso_token *t, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_SECRET_INIT((size_t)8 * AWS_KEY_MAX);
	_cleanup_(buf_clear) struct buf url = BUF_INIT(URL_MAX);
	char why[160];
	if (renew_body(t, &body) < 0)
		return aws_no_memory(err);
	int r = aws_conf_url(s->a->conf, AWS_OIDC, s->region, &url, err);
	if (r == 0 && buf_str(&url, "/token") < 0)
		r = aws_no_memory(err);
	if (r < 0)
		return r;
	struct ask ask = {.method = "POST", .url = buf_text(&url), .body = &body};
	ask_header(&ask, "Content-Type", "application/json");
	r = ask_do(s->a->http, s->call, &ask, &reply, err);
	if (r < 0)
		return err_prefix(err, "renew the token of SSO");
	if (reply.status == 200)
		return aws_sso_refresh_parse(
			buf_text(&reply.body), reply.body.len, cred_clock(s->a->chain), t, err);
	aws_refusal_text(buf_text(&reply.body), reply.body.len, why, sizeof(why));
	return err_set(err, aws_status_errno(reply.status),
		"the token of SSO was not renewed: status %d %s", reply.status, why);
}

/* Near its end, if it can be and has not just been tried. A failure matters only when it is over.
 */
static int renew_token(struct sso *s, struct aws_sso_token *t, struct sfs_err *err)
{
	struct aws_cred *a = s->a;
	int64_t now = cred_clock(a->chain);
	bool can = s->session && t->refresh &&
		   (!t->registration_expires || t->registration_expires > now);
	if (t->expires > now + RENEW_AHEAD || !can || clock_boot() < a->sso_refresh_at)
		return 0;
	struct secret *was = secret_ref(a->sso_was ? a->sso_was : t->access);
	a->sso_refresh_at = clock_boot() + RENEW_EVERY;
	int r = ask_renewal(s, t, err);
	if (r < 0) {
		secret_unref(was);
		return t->expires > now ? 0 : r;
	}
	aws_sso_token_clear(&a->sso);
	secret_unref(a->sso_was);
	a->sso_was = was;
	a->sso = (struct aws_sso_token){.access = secret_ref(t->access),
		.refresh = secret_ref(t->refresh),
		.client_id = secret_ref(t->client_id),
		.client_secret = secret_ref(t->client_secret),
		.expires = t->expires,
		.registration_expires = t->registration_expires};
	return 0;
}

static int get_token(struct sso *s, struct aws_sso_token *t, struct sfs_err *err)
{
	int r = read_token(s, t, err);
	if (r < 0)
		return r;
	use_renewed(s, t);
	r = renew_token(s, t, err);
	if (r == -EACCES || r == -EKEYREJECTED)
		return log_in(s, "the login of SSO is over and cannot be renewed", err);
	if (r < 0)
		return r;
	if (t->expires <= cred_clock(s->a->chain))
		return log_in(s, "the login of SSO expired", err);
	return 0;
}

/* ---- credentials for it ---- */

static int role_url(struct sso *s, struct buf *url, struct sfs_err *err)
{
	int r = aws_conf_url(s->a->conf, AWS_SSO, s->region, url, err);
	if (r < 0)
		return r;
	buf_str(url, "/federation/credentials?role_name=");
	percent_add(url, s->role, strlen(s->role));
	buf_str(url, "&account_id=");
	percent_add(url, s->account, strlen(s->account));
	return url->failed ? aws_no_memory(err) : 0;
}

static int refused(const struct sso *s, const struct http_reply *reply, struct sfs_err *err)
{
	char why[160];
	if (reply->status == 401)
		return log_in(s, "the login of SSO is not accepted any more", err);
	aws_refusal_text(buf_text(&reply->body), reply->body.len, why, sizeof(why));
	return err_set(err, aws_status_errno(reply->status),
		"profile %s: SSO gives no credentials for role %s in account %s: status %d %s",
		s->profile, s->role, s->account, reply->status, why);
}

static int buy(
	struct sso *s, const struct aws_sso_token *t, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(AWS_KEY_MAX);
	_cleanup_(buf_clear) struct buf url = BUF_INIT(URL_MAX);
	int r = role_url(s, &url, err);
	if (r < 0)
		return r;
	if (aws_secret_add(&token, t->access) < 0)
		return aws_no_memory(err);
	struct ask ask = {.method = "GET", .url = buf_text(&url)};
	ask_header(&ask, "Accept", "application/json");
	ask_secret(&ask, "x-amz-sso_bearer_token", &token);
	r = ask_do(s->a->http, s->call, &ask, &reply, err);
	if (r < 0)
		return err_prefix(err, "profile %s: SSO", s->profile);
	if (reply.status != 200)
		return refused(s, &reply, err);
	r = aws_keys_parse(buf_text(&reply.body), reply.body.len, AWS_KEYS_SSO, ret, err);
	if (r < 0)
		return err_prefix(err, "profile %s: the answer of SSO", s->profile);
	return aws_found_about(ret, NULL, err, "profile %s, SSO role %s in account %s", s->profile,
		s->role, s->account);
}

int aws_find_sso(struct aws_cred *a, const struct call *call, const struct aws_files *files,
	const char *profile, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(sso_clear) struct sso s = {.a = a, .call = call, .profile = profile};
	_cleanup_(aws_sso_token_clear) struct aws_sso_token t = {0};
	int r = read_settings(&s, files, err);
	if (r == 0)
		r = get_token(&s, &t, err);
	return r < 0 ? r : buy(&s, &t, ret, err);
}
