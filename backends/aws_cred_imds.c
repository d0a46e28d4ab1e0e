/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instance metadata, version 2 (R47): a token first, fixed addresses, no proxy, no redirects, one
 * try of a second. Whatever answers there but does not speak it counts as no metadata service, and
 * the chain goes on; what fails after a token was given is a failure.
 */
#include "backends/aws_cred_impl.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define TOKEN_PATH  "/latest/api/token"
#define ROLES_PATH  "/latest/meta-data/iam/security-credentials/"
#define REGION_PATH "/latest/meta-data/placement/region"
#define TOKEN_LIFE  "21600" /* s; the longest */
#define TOKEN_MAX   1024
#define ROLE_MAX    128
/* Credentials that are over, or nearly, are used on, and asked for again after this. */
#define REUSE_BELOW (5 * 60 * NSEC_PER_SEC)
#define REUSE_MIN   (10 * 60 * NSEC_PER_SEC)
#define REUSE_MAX   (25 * 60 * NSEC_PER_SEC)

#define REGION_RETRY (5 * NSEC_PER_SEC)

struct imds {
	struct aws_cred *a;
	const struct call *call;
	struct buf token; /* empty: version 1 */
};

static void imds_clear(struct imds *m)
{
	buf_clear(&m->token);
}

static int none(struct sfs_err *err, const char *why)
{
	return err_set(err, ENODATA, "%s", why);
}

static int request(struct imds *m, const char *method, const char *path, struct http_reply *reply,
	struct sfs_err *err)
{
	const struct aws_conf *c = m->a->conf;
	_cleanup_free_ char *url = mem_asprintf("%s%s", c->imds_endpoint, path);
	struct ask ask = {.method = method,
		.url = url,
		.flags = HTTP_DIRECT | HTTP_NO_BREAKER,
		.attempts = c->imds_attempts,
		.timeout = c->imds_timeout};
	if (!url)
		return aws_no_memory(err);
	if (strcmp(method, "PUT") == 0)
		ask_header(&ask, "X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE);
	else if (m->token.len)
		ask_secret(&ask, "X-aws-ec2-metadata-token", &m->token);
	return ask_do(m->a->http, m->call, &ask, reply, err);
}

/* What came instead of a token. A container is one hop further away than the answer may go by
 * default: it never arrives. */
static int no_answer(struct imds *m, int r, struct sfs_err *err)
{
	switch (-r) {
	case ECANCELED:
	case ENOMEM:
		return r;
	case ETIMEDOUT:
		if (m->call->deadline <= clock_boot())
			return r;
		return none(err,
			"no answer from the instance metadata service; in a container on an "
			"instance its hop limit (HttpPutResponseHopLimit) must be 2");
	default:
		return none(err, "there is no instance metadata service");
	}
}

static int take_token(struct imds *m, const struct http_reply *reply, struct sfs_err *err)
{
	const struct buf *b = &reply->body;
	size_t len = b->len;
	while (len && (b->data[len - 1] == '\n' || b->data[len - 1] == '\r'))
		len--;
	for (size_t i = 0; i < len; i++)
		if (b->data[i] < 0x21 || b->data[i] > 0x7e || b->data[i] == '<')
			len = 0;
	if (!len || len > TOKEN_MAX)
		return none(err, "what answers at the metadata address gave no usable token");
	buf_reset(&m->token);
	return buf_add(&m->token, b->data, len) < 0 ? aws_no_memory(err) : 0;
}

static int judge_token(struct imds *m, const struct http_reply *reply, struct sfs_err *err)
{
	switch (reply->status) {
	case 200:
		return take_token(m, reply, err);
	case 400:
		return err_set(err, EINVAL,
			"the instance metadata service does not accept our request (status 400)");
	case 403:
	case 404:
	case 405:
		if (m->a->conf->imds_v1)
			return 0;
		return none(err,
			"the metadata service gives no session token (IMDSv2); imds_v1 allows one "
			"without");
	default:
		if (reply->status == 429 || reply->status >= 500)
			return err_set(err, aws_status_errno(reply->status),
				"the instance metadata service answered with status %d",
				reply->status);
		return none(err, "what answers at the metadata address is no metadata service");
	}
}

static int get_token(struct imds *m, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	int r = request(m, "PUT", TOKEN_PATH, &reply, err);
	return r < 0 ? no_answer(m, r, err) : judge_token(m, &reply, err);
}

/* One document; a token that is not accepted is fetched anew, once. 1 = it does not exist. */
static int get(struct imds *m, const char *path, struct http_reply *reply, struct sfs_err *err)
{
	int r = request(m, "GET", path, reply, err);
	if (r == 0 && reply->status == 401 && m->token.len) {
		r = get_token(m, err);
		if (r == 0)
			r = request(m, "GET", path, reply, err);
	}
	if (r == -EPROTO || r == -EFBIG || r == -EBADMSG)
		return none(err, "what answers at the metadata address is no metadata service");
	if (r < 0)
		return r == -ENODATA ? r : err_prefix(err, "the instance metadata service");
	if (reply->status == 200)
		return 0;
	if (reply->status == 404)
		return 1;
	return err_set(err, aws_status_errno(reply->status),
		"the instance metadata service answered with status %d", reply->status);
}

/* The first line of a text answer, which must look like a name. */
static bool first_line(const struct http_reply *reply, char *out, size_t size)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789+=,.@_-";
	const char *text = buf_text(&reply->body);
	size_t len = strcspn(text, "\r\n");
	if (!len || len >= size || strspn(text, name) != len)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static int get_role(struct imds *m, char role[ROLE_MAX], struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	int r = get(m, ROLES_PATH, &reply, err);
	if (r < 0)
		return r;
	if (r == 1 || !reply.body.len)
		return none(err, "this instance has no role");
	if (!first_line(&reply, role, ROLE_MAX))
		return none(err, "what answers at the metadata address names no usable role");
	return 0;
}

/* Static stability: while the service cannot renew them, expired credentials are better than none,
 * since whom they are for may still accept them. */
static void keep_alive(struct aws_cred *a, struct aws_found *f)
{
	static struct log_rate rate = LOG_RATE(600);
	int64_t now = cred_clock(a->chain);
	if (f->expires >= now + REUSE_BELOW)
		return;
	f->expires = now + REUSE_MIN + (int64_t)random_below(REUSE_MAX - REUSE_MIN);
	if (log_due(&rate))
		log_warn("%s: the instance metadata service gives credentials that expired or are "
			 "about to; they are used on and asked for again later",
			a->name);
}

static int get_keys(struct imds *m, const char *role, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	char path[sizeof(ROLES_PATH) + ROLE_MAX];
	snprintf(path, sizeof(path), "%s%s", ROLES_PATH, role);
	int r = get(m, path, &reply, err);
	if (r == 1)
		return none(err, "this instance has no credentials for its role");
	if (r < 0)
		return r;
	r = aws_keys_parse(buf_text(&reply.body), reply.body.len, AWS_KEYS_IMDS, ret, err);
	if (r == -ENODATA) {
		log_warn("%s: the instance metadata service has no credentials for role %s: %s",
			m->a->name, role, err->msg);
		return err_prefix(err, "no credentials for role %s", role);
	}
	if (r == -EBADMSG)
		return none(err, "the metadata service's answer is malformed");
	if (r < 0)
		return r;
	keep_alive(m->a, ret);
	return aws_found_about(ret, NULL, err, "instance metadata, role %s", role);
}

int aws_find_imds(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(imds_clear) struct imds m = {
		.a = a, .call = call, .token = BUF_SECRET_INIT(TOKEN_MAX)};
	char role[ROLE_MAX];
	if (a->conf->imds_disabled)
		return none(err, "switched off by AWS_EC2_METADATA_DISABLED");
	int r = get_token(&m, err);
	if (r == 0)
		r = get_role(&m, role, err);
	return r < 0 ? r : get_keys(&m, role, ret, err);
}

/* ---- the region ---- */

static int ask_region(
	struct aws_cred *a, const struct call *call, char *out, size_t size, struct sfs_err *err)
{
	_cleanup_(imds_clear) struct imds m = {
		.a = a, .call = call, .token = BUF_SECRET_INIT(TOKEN_MAX)};
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	int r = get_token(&m, err);
	if (r == 0)
		r = get(&m, REGION_PATH, &reply, err);
	if (r < 0)
		return r;
	if (r == 1 || !first_line(&reply, out, size))
		return none(err, "the instance metadata service names no region");
	return aws_region_check(out, err);
}

static int no_region(struct sfs_err *err)
{
	struct sfs_err why = *err;
	if (why.code != ENODATA)
		return err_prefix(err, "no region is configured, and the instance metadata");
	return err_set(err, EINVAL,
		"no region: name it in the source (aws:REGION), by region=, AWS_REGION or the "
		"profile's region (%s)",
		why.msg);
}

/* 0: appended; 1: to be asked. */
static int known_region(struct aws_cred *a, struct buf *ret, struct sfs_err *err)
{
	int r = 1;
	pthread_mutex_lock(&a->lock);
	const char *region = a->conf->region ? a->conf->region : a->region;
	if (region)
		r = buf_str(ret, region) < 0 ? aws_no_memory(err) : 0;
	else if (clock_boot() < a->region_retry)
		r = err_set(err, a->region_failure.code, "%s", a->region_failure.msg);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int aws_cred_region(
	struct aws_cred *a, const struct call *call, struct buf *ret, struct sfs_err *err)
{
	char region[64];
	int r = known_region(a, ret, err);
	if (r <= 0)
		return r;
	struct sfs_err why = {0};
	r = ask_region(a, call, region, sizeof(region), &why);
	if (r < 0)
		r = no_region(&why);
	pthread_mutex_lock(&a->lock);
	if (r == 0 && !a->region)
		a->region = mem_strdup(region);
	if (r < 0 && r != -ECANCELED) {
		a->region_retry = clock_boot() + REGION_RETRY;
		a->region_failure = why;
	}
	pthread_mutex_unlock(&a->lock);
	if (r < 0)
		return err_set(err, -r, "%s", why.msg);
	return buf_str(ret, region) < 0 ? aws_no_memory(err) : 0;
}
