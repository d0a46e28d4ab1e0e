/* SPDX-License-Identifier: Apache-2.0 */
/* STS: roles by keys and by web identity, and who we are. */
#include "backends/aws_cred_impl.h"

#include "backends/aws_error.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

#define URL_MAX 2048

struct sts_try {
	struct aws_cred *a;
	const struct aws_sts_call *what;
	const char *url, *host, *region;
	int64_t used; /* the offset of the clock it was signed with */
	bool resigned;
};

static int sign(struct sts_try *t, struct http_headers *h, struct sfs_err *err)
{
	static const struct aws_header type = {"content-type", AWS_STS_CONTENT_TYPE};
	_cleanup_(buf_clear) struct buf authorization = BUF_SECRET_INIT(16384);
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(AWS_KEY_MAX);
	char date[AWS_DATE];
	int64_t now = cred_clock(t->a->chain);
	t->used = now - clock_wall();
	struct aws_sign_request rq = {.method = "POST",
		.host = t->host,
		.path = "/",
		.query = "",
		.headers = &type,
		.n_headers = 1,
		.body = buf_text(t->what->body),
		.body_len = t->what->body->len,
		.region = t->region,
		.service = aws_signing_name(AWS_STS),
		.now = now};
	int r = aws_sign(t->what->keys, &rq, date, &authorization, err);
	if (r < 0)
		return r;
	if (t->what->keys->token)
		r = aws_secret_add(&token, t->what->keys->token);
	if (r == 0)
		r = http_header(h, "X-Amz-Date", date);
	if (r == 0 && t->what->keys->token)
		r = http_header_secret(h, "X-Amz-Security-Token", "", buf_text(&token), token.len);
	if (r == 0)
		r = http_header_secret(
			h, "Authorization", "", buf_text(&authorization), authorization.len);
	return r < 0 ? err_errno(err, -r, "headers of a request to STS") : 0;
}

static int add_headers(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err)
{
	struct sts_try *t = arg;
	(void)attempt;
	int r = http_header(h, "Content-Type", AWS_STS_CONTENT_TYPE);
	if (r < 0)
		return err_errno(err, -r, "headers of a request to STS");
	return t->what->keys ? sign(t, h, err) : 0;
}

static enum http_verdict judge(void *arg, const struct http_reply *reply)
{
	struct sts_try *t = arg;
	struct aws_error e;
	int64_t date, offset;
	if (reply->status == 200)
		return HTTP_ACCEPT;
	aws_error_xml(reply->status, buf_text(&reply->body), reply->body.len, &e);
	if (e.class == AWS_THROTTLE)
		return HTTP_THROTTLE;
	if (e.class == AWS_TRANSIENT)
		return HTTP_TRANSIENT;
	if (e.class != AWS_SKEW || !t->what->keys || t->resigned)
		return HTTP_ACCEPT;
	bool dated = http_reply_skew(reply, &date);
	if (!aws_skew(&e, dated ? &date : NULL, t->used, &offset))
		return HTTP_ACCEPT;
	cred_skew(t->a->chain, offset);
	t->resigned = true;
	return HTTP_RESEND;
}

static int refused(const struct sts_try *t, const struct http_reply *reply, bool *ret_again,
	struct sfs_err *err)
{
	struct aws_error e;
	struct aws_asked asked = {.service = aws_service_title(AWS_STS),
		.action = t->what->action,
		.credential = t->what->credential};
	aws_error_xml(reply->status, buf_text(&reply->body), reply->body.len, &e);
	if (ret_again)
		*ret_again = e.class == AWS_CREDENTIALS;
	return aws_error_sentence(&e, &asked, err);
}

int aws_sts_do(struct aws_cred *a, const struct call *call, const struct aws_sts_call *what,
	struct http_reply *ret, bool *ret_again, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf region = BUF_INIT(64);
	_cleanup_(buf_clear) struct buf url = BUF_INIT(URL_MAX), host = BUF_INIT(URL_MAX);
	int r = aws_cred_region(a, call, &region, err);
	if (r == 0)
		r = aws_conf_url(a->conf, AWS_STS, buf_text(&region), &url, err);
	if (r == 0 && buf_char(&url, '/') < 0)
		r = aws_no_memory(err);
	if (r == 0)
		r = http_url_host(buf_text(&url), &host, err);
	if (r < 0)
		return r;
	struct sts_try t = {.a = a,
		.what = what,
		.url = buf_text(&url),
		.host = buf_text(&host),
		.region = buf_text(&region)};
	struct http_request rq = {.method = "POST",
		.url = t.url,
		.body = buf_text(what->body),
		.body_len = what->body->len,
		.cap = AWS_STS_REPLY_MAX,
		.attempts = a->conf->max_attempts,
		.headers = add_headers,
		.judge = judge,
		.arg = &t,
		.no_host = aws_conf_no_host(a->conf, AWS_STS)};
	r = http_do(a->http, call, &rq, ret, err);
	if (r < 0)
		return err_prefix(err, "%s", what->action);
	return ret->status == 200 ? 0 : refused(&t, ret, ret_again, err);
}

/* The credentials in an answer take the place of what was found. */
static int take_role(struct aws_found *found, const struct http_reply *reply,
	const struct aws_role *role, const char *how, struct sfs_err *err)
{
	struct aws_temp temp;
	int r = aws_sts_credentials(buf_text(&reply->body), reply->body.len, &temp, err);
	if (r < 0)
		return err_prefix(err, "role %s", role->arn);
	r = aws_found_about(found, temp.arn, err, "role %s by %s", role->arn, how);
	if (r == 0) {
		for (size_t i = 0; i < CRED_FIELDS; i++)
			secret_unref(take(found->field[i]));
		found->field[AWS_CRED_ID] = take(temp.id);
		found->field[AWS_CRED_KEY] = take(temp.key);
		found->field[AWS_CRED_TOKEN] = take(temp.token);
		found->expires = temp.expires;
	}
	aws_temp_clear(&temp);
	return r;
}

int aws_assume(struct aws_cred *a, const struct call *call, const struct aws_role *role,
	struct aws_found *found, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf body = BUF_INIT(AWS_STS_BODY_MAX);
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	struct aws_keys keys = {.id = found->field[AWS_CRED_ID],
		.key = found->field[AWS_CRED_KEY],
		.token = found->field[AWS_CRED_TOKEN]};
	struct aws_sts_call what = {.action = "sts:AssumeRole",
		.body = &body,
		.keys = &keys,
		.credential = found->source};
	int r = aws_sts_assume_role_body(role, &body, err);
	if (r == 0)
		r = aws_sts_do(a, call, &what, &reply, NULL, err);
	if (r < 0)
		return err_prefix(err, "role %s", role->arn);
	_cleanup_free_ char *how = mem_strdup(found->source);
	return how ? take_role(found, &reply, role, how, err) : aws_no_memory(err);
}

/* One try with the token as it is in the file now. */
static int web_identity_once(struct aws_cred *a, const struct call *call,
	const struct aws_role *role, const char *token_file, struct aws_found *ret, bool *ret_again,
	struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(AWS_TOKEN_MAX);
	_cleanup_(buf_clear) struct buf body = BUF_SECRET_INIT(AWS_STS_BODY_MAX);
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	struct credfile_stamp stamp = {0};
	struct aws_sts_call what = {.action = "sts:AssumeRoleWithWebIdentity", .body = &body};
	int r = credfile_read_token(a->env->paths, token_file, &token, &stamp, err);
	if (r == 0)
		r = aws_sts_web_identity_body(role, buf_text(&token), token.len, &body, err);
	if (r == 0)
		r = aws_sts_do(a, call, &what, &reply, ret_again, err);
	if (r == 0)
		r = take_role(ret, &reply, role, "web identity", err);
	if (r < 0) /* another token ends the pause after a failure; a good one may rotate */
		credwatch_add(&a->watch, token_file, &stamp);
	return r;
}

int aws_assume_web_identity(struct aws_cred *a, const struct call *call,
	const struct aws_role *role, const char *token_file, struct aws_found *ret,
	struct sfs_err *err)
{
	bool again = false;
	int r = web_identity_once(a, call, role, token_file, ret, &again, err);
	if (r < 0 && again) { /* STS sometimes fails to get the key, or the token just rotated */
		err_clear(err);
		r = web_identity_once(a, call, role, token_file, ret, &again, err);
	}
	return r;
}

int aws_cred_identity(struct aws_cred *a, const struct call *call, struct buf *ret_account,
	struct buf *ret_arn, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf body = BUF_INIT(AWS_STS_BODY_MAX);
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(cred_unref_p) struct cred *set = NULL;
	int r = cred_get(a->chain, call, &set, err);
	if (r < 0)
		return r;
	struct aws_keys keys = aws_cred_keys(set);
	struct aws_sts_call what = {.action = "sts:GetCallerIdentity",
		.body = &body,
		.keys = &keys,
		.credential = set->source};
	if (aws_sts_identity_body(&body) < 0)
		return aws_no_memory(err);
	r = aws_sts_do(a, call, &what, &reply, NULL, err);
	if (r < 0)
		return r;
	return aws_sts_identity(buf_text(&reply.body), reply.body.len, ret_account, ret_arn, err);
}
