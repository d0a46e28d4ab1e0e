/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_client.h"

#include "backends/aws_conf.h"
#include "backends/aws_cred.h"
#include "backends/aws_sign.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/crypto.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX	       2048
#define HOSTS_MAX      8 /* whose clock we remember: one, and those of ARNs of other regions */
#define HOST_MAX       256
#define REQUEST_ID_MAX 80
#define CONTENT_TYPE   "application/x-amz-json-1.1"

struct host_clock {
	char host[HOST_MAX];
	int64_t offset; /* its clock minus ours, ns */
};

struct aws_client {
	enum aws_service service;
	struct aws_conf *conf;
	struct http *http;  /* of the service */
	struct http *other; /* STS, SSO, metadata: their failures do not open our breaker */
	struct aws_cred *cred;
	char *agent; /* User-Agent */
	pthread_mutex_t lock;
	struct host_clock clocks[HOSTS_MAX]; /* lock */
	size_t nclocks;			     /* lock */
	struct buf region; /* lock; told by the metadata service, empty until then */
};

/* One aws_call(). */
struct attempt {
	struct aws_client *c;
	const struct call *call;
	const struct aws_ask *ask;
	struct aws_answer *answer;
	const char *region;
	const char *host;
	unsigned max;
	char id[UUID_TEXT];
	struct cred *cred;     /* of the last attempt; a reference */
	struct cred *rejected; /* a reference */
	int64_t offset;	       /* the last attempt was signed with */
	bool resent;	       /* once for the clock */
	bool malformed;	       /* an answer of 200 was no JSON; once */
	int failed;	       /* -ENOMEM in judge() */
	struct sfs_err json_err;
};

/* --- life --- */

static int make_http(const struct backend_env *env, const struct aws_conf *conf,
	const struct opt_values *opts, double rate, struct http **ret, struct sfs_err *err)
{
	const struct opt_value *proxy = opt_find(opts, "proxy");
	const struct http_conf hc = {.name = env->instance,
		.paths = env->paths,
		.cacert = conf->cacert,
		.proxy = proxy ? proxy->text : NULL,
		.insecure_http = conf->insecure_http,
		.rate = rate};
	return http_new(&hc, ret, err);
}

/* Parameter Store answers so many requests a second of a whole account, unless one pays for more;
 * what is above is throttled for everybody. */
#define SSM_RATE 40

static double rate_of(enum aws_service service, const struct opt_values *opts)
{
	return (double)opt_find_number(opts, "rate", service == AWS_SSM ? SSM_RATE : 0);
}

static int set_up(struct aws_client *c, const struct backend_env *env, const char *region,
	const struct opt_values *opts, struct sfs_err *err)
{
	int rc = aws_conf_load(env, c->service, *region ? region : NULL, opts, &c->conf, err);
	if (!rc)
		rc = make_http(env, c->conf, opts, rate_of(c->service, opts), &c->http, err);
	if (!rc)
		rc = make_http(env, c->conf, opts, 0, &c->other, err);
	if (!rc)
		rc = aws_cred_new(env, c->conf, opts, c->other, &c->cred, err);
	if (rc)
		return rc;
	c->agent = mem_asprintf("secretfs/%s%s%s", SFS_VERSION, c->conf->app_id ? " app/" : "",
		c->conf->app_id ? c->conf->app_id : "");
	return c->agent ? 0 : err_set(err, ENOMEM, "out of memory for a source");
}

int aws_client_new(const struct backend_env *env, enum aws_service service,
	const char *location_region, const struct opt_values *opts, struct aws_client **ret,
	struct sfs_err *err)
{
	struct aws_client *c = mem_calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory for a source");
	pthread_mutex_init(&c->lock, NULL);
	c->service = service;
	c->region = (struct buf)BUF_INIT(HOST_MAX);
	int rc = set_up(c, env, location_region, opts, err);
	if (rc) {
		aws_client_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void aws_client_free(struct aws_client *c)
{
	if (!c)
		return;
	aws_cred_free(c->cred);
	http_free(c->http);
	http_free(c->other);
	aws_conf_free(c->conf);
	mem_free(c->agent);
	buf_clear(&c->region);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

void aws_answer_clear(struct aws_answer *a)
{
	json_free(a->json);
	http_reply_clear(&a->reply);
	*a = (struct aws_answer)AWS_ANSWER_INIT;
}

/* --- the clocks of hosts --- */

static int64_t offset_of(struct aws_client *c, const char *host)
{
	int64_t offset = 0;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->nclocks; i++)
		if (!strcmp(c->clocks[i].host, host))
			offset = c->clocks[i].offset;
	pthread_mutex_unlock(&c->lock);
	return offset;
}

/* A host too many takes the place of the last one: it is corrected again when it is asked. */
static void set_offset(struct aws_client *c, const char *host, int64_t offset)
{
	size_t i = 0;
	if (strlen(host) >= HOST_MAX)
		return;
	pthread_mutex_lock(&c->lock);
	while (i < c->nclocks && strcmp(c->clocks[i].host, host) != 0)
		i++;
	if (i == HOSTS_MAX)
		i--;
	else if (i == c->nclocks)
		c->nclocks++;
	snprintf(c->clocks[i].host, HOST_MAX, "%s", host);
	c->clocks[i].offset = offset;
	pthread_mutex_unlock(&c->lock);
	cred_skew(aws_cred_chain(c->cred), offset);
}

/* --- one attempt --- */

static int add_token(struct http_headers *h, const struct secret *token)
{
	return token ? http_header_secret(h, "X-Amz-Security-Token", "", secret_bytes(token),
			       secret_len(token))
		     : 0;
}

static int add_headers(struct attempt *a, unsigned n, struct http_headers *h, const char *date,
	const struct buf *authorization, const struct secret *token)
{
	char count[64];
	snprintf(count, sizeof(count), "attempt=%u; max=%u", n + 1, a->max);
	int rc = http_header(h, "Host", a->host);
	if (!rc)
		rc = http_header(h, "Content-Type", CONTENT_TYPE);
	if (!rc)
		rc = http_header(h, "X-Amz-Target", a->ask->op->target);
	if (!rc)
		rc = http_header(h, "X-Amz-Date", date);
	if (!rc)
		rc = add_token(h, token);
	if (!rc)
		rc = http_header_secret(
			h, "Authorization", "", authorization->data, authorization->len);
	if (!rc)
		rc = http_header(h, "User-Agent", a->c->agent);
	if (!rc)
		rc = http_header(h, "amz-sdk-invocation-id", a->id);
	return rc ? rc : http_header(h, "amz-sdk-request", count);
}

static int sign(struct attempt *a, unsigned n, struct http_headers *h, struct sfs_err *err)
{
	const struct aws_header headers[] = {
		{"content-type", CONTENT_TYPE}, {"x-amz-target", a->ask->op->target}};
	const struct aws_sign_request rq = {.method = "POST",
		.host = a->host,
		.path = "/",
		.query = "",
		.headers = headers,
		.n_headers = 2,
		.body = a->ask->body->data,
		.body_len = a->ask->body->len,
		.region = a->region,
		.service = aws_signing_name(a->c->service),
		.now = clock_wall() + a->offset};
	_cleanup_(buf_clear) struct buf authorization = BUF_SECRET_INIT(8192);
	struct aws_keys keys = aws_cred_keys(a->cred);
	char date[AWS_DATE];
	int rc = aws_sign(&keys, &rq, date, &authorization, err);
	if (rc)
		return rc;
	rc = add_headers(a, n, h, date, &authorization, keys.token);
	return rc ? err_errno(err, -rc, "make the headers of a request") : 0;
}

static int asked_sentence(struct attempt *a, struct sfs_err *err)
{
	const struct aws_asked asked = {.service = aws_service_title(a->c->service),
		.action = a->ask->op->action,
		.credential = a->cred ? a->cred->source : NULL,
		.lookup = a->ask->lookup};
	char id[REQUEST_ID_MAX], text[2 * REQUEST_ID_MAX];
	int rc = aws_error_sentence(&a->answer->error, &asked, err);
	if (!http_reply_header(&a->answer->reply, "x-amzn-requestid", id, sizeof(id)) || !err)
		return rc;
	return err_set(err, err->code, "%s (request %s)", err->msg,
		text_escaped(text, sizeof(text), id, strlen(id)));
}

/* At the moment of sending: the time is taken now, and the credentials are those of now. */
static int on_headers(void *arg, unsigned n, struct http_headers *h, struct sfs_err *err)
{
	struct attempt *a = arg;
	cred_unref(take(a->cred));
	int rc = cred_get(aws_cred_chain(a->c->cred), a->call, &a->cred, err);
	if (rc)
		return rc;
	if (a->rejected == a->cred) /* nothing else is to be had */
		return asked_sentence(a, err);
	a->offset = offset_of(a->c, a->host);
	return sign(a, n, h, err);
}

/* --- the answer --- */

static int read_json(struct attempt *a, const struct http_reply *r)
{
	struct aws_answer *answer = a->answer;
	int rc = json_parse(
		buf_text(&r->body), r->body.len, JSON_STRICT, &answer->json, &a->json_err);
	if (rc)
		return rc;
	answer->root = json_root(answer->json);
	if (json_kind(answer->root) == JSON_OBJECT)
		return 0;
	json_free(take(answer->json));
	return err_set(&a->json_err, EBADMSG, "JSON: it is no object");
}

/* Only 200 is ever meant; 204 and the like hold nothing, and are then malformed. */
static bool is_success(const struct http_reply *r)
{
	return r->status / 100 == 2;
}

static enum http_verdict judge_ok(struct attempt *a, const struct http_reply *r)
{
	int rc = read_json(a, r);
	if (rc == -ENOMEM)
		a->failed = rc;
	if (rc != -EBADMSG || a->malformed)
		return HTTP_ACCEPT;
	a->malformed = true;
	return HTTP_TRANSIENT;
}

/* The service's clock is another than ours: signed anew with its time, once. */
static enum http_verdict judge_skew(struct attempt *a, const struct http_reply *r)
{
	int64_t date, offset;
	bool has = http_reply_skew(r, &date);
	if (a->resent || !aws_skew(&a->answer->error, has ? &date : NULL, a->offset, &offset))
		return HTTP_ACCEPT;
	a->resent = true;
	set_offset(a->c, a->host, offset);
	return HTTP_RESEND;
}

static enum http_verdict judge_credentials(struct attempt *a)
{
	if (a->rejected || !cred_reject(aws_cred_chain(a->c->cred), a->cred))
		return HTTP_ACCEPT;
	a->rejected = cred_ref(a->cred);
	return HTTP_RESEND;
}

/* What stands before a service may refuse a signature in the XML of the other protocol. */
static void read_error(const struct http_reply *r, struct aws_error *ret)
{
	char type[256];
	const char *body = buf_text(&r->body);
	bool has = http_reply_header(r, "x-amzn-errortype", type, sizeof(type));
	if (!has && body[strspn(body, " \t\r\n")] == '<')
		aws_error_xml(r->status, body, r->body.len, ret);
	else
		aws_error_json(r->status, has ? type : NULL, body, r->body.len, ret);
}

static enum http_verdict judge(void *arg, const struct http_reply *r)
{
	struct attempt *a = arg;
	struct aws_error *e = &a->answer->error;
	json_free(take(a->answer->json));
	*e = (struct aws_error){0};
	if (is_success(r))
		return judge_ok(a, r);
	read_error(r, e);
	switch (e->class) {
	case AWS_TRANSIENT:
		return HTTP_TRANSIENT;
	case AWS_THROTTLE:
		return HTTP_THROTTLE;
	case AWS_SKEW:
		return judge_skew(a, r);
	case AWS_CREDENTIALS:
		return judge_credentials(a);
	case AWS_FINAL:
		break;
	}
	return HTTP_ACCEPT;
}

/* The usual reason is somebody else who answers: a portal one must log in to, a proxy. */
static int malformed(struct attempt *a, struct sfs_err *err)
{
	const char *title = aws_service_title(a->c->service);
	char type[128], shown[256];
	bool has = http_reply_header(&a->answer->reply, "content-type", type, sizeof(type));
	if (has && !strstr(type, "json"))
		return err_set(err, EBADMSG,
			"what answers is not %s: the content type is %s (a proxy, or a portal one "
			"must log in to?)",
			title, text_escaped(shown, sizeof(shown), type, strlen(type)));
	return err_set(err, EBADMSG, "the answer of %s is malformed: %s", title, a->json_err.msg);
}

static int conclude(struct attempt *a, struct sfs_err *err)
{
	struct aws_answer *answer = a->answer;
	if (answer->json)
		return 0;
	if (a->failed)
		return err_set(err, -a->failed, "out of memory for an answer of %zu bytes",
			answer->reply.body.len);
	if (is_success(&answer->reply))
		return malformed(a, err);
	return asked_sentence(a, err);
}

static int send(struct attempt *a, const char *url, struct sfs_err *err)
{
	const struct http_request rq = {.method = "POST",
		.url = url,
		.body = a->ask->body->data,
		.body_len = a->ask->body->len,
		.cap = a->ask->op->cap,
		.attempts = a->max,
		.headers = on_headers,
		.judge = judge,
		.arg = a,
		.no_host = aws_conf_no_host(a->c->conf, a->c->service)};
	struct sfs_err own = {0};
	err = err ? err : &own;
	crypto_uuid(a->id);
	int rc = http_do(a->c->http, a->call, &rq, &a->answer->reply, err);
	if (!rc)
		rc = conclude(a, err);
	cred_unref(a->cred);
	cred_unref(a->rejected);
	if (rc) {
		json_free(take(a->answer->json));
		a->answer->root = NULL;
	}
	return rc;
}

/* --- where to --- */

/* The region of the settings; where only the metadata service can tell it, it is asked once. */
static int own_region(
	struct aws_client *c, const struct call *call, struct buf *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf told = BUF_INIT(HOST_MAX);
	if (c->conf->region)
		return buf_str(ret, c->conf->region);
	pthread_mutex_lock(&c->lock);
	int rc = c->region.len ? buf_str(ret, c->region.data) : -ENODATA;
	pthread_mutex_unlock(&c->lock);
	if (rc != -ENODATA)
		return rc;
	rc = aws_cred_region(c->cred, call, &told, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&c->lock);
	if (!c->region.len)
		buf_str(&c->region, buf_text(&told));
	pthread_mutex_unlock(&c->lock);
	return buf_str(ret, buf_text(&told));
}

static int region_of(struct aws_client *c, const struct call *call, const char *name,
	struct buf *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf own = BUF_INIT(HOST_MAX);
	struct aws_text slice;
	int rc = own_region(c, call, &own, err);
	if (rc || !name)
		return rc ? rc : buf_str(ret, buf_text(&own));
	rc = aws_arn_region(name, c->service, buf_text(&own), &slice, err);
	return rc ? rc : buf_add(ret, slice.p, slice.len);
}

int aws_call(struct aws_client *c, const struct call *call, const struct aws_ask *ask,
	struct aws_answer *answer, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf region = BUF_INIT(HOST_MAX), url = BUF_INIT(URL_MAX),
					host = BUF_INIT(HOST_MAX);
	aws_answer_clear(answer);
	if (ask->body->failed)
		return err_errno(err, ask->body->failed, "make a request of %s",
			aws_service_title(c->service));
	int rc = region_of(c, call, ask->name, &region, err);
	if (!rc && region.failed)
		rc = err_errno(err, region.failed, "make the address of %s",
			aws_service_title(c->service));
	if (!rc)
		rc = aws_conf_url(c->conf, c->service, buf_text(&region), &url, err);
	if (!rc)
		rc = http_url_host(buf_text(&url), &host, err);
	if (rc)
		return rc;
	struct attempt a = {.c = c,
		.call = call,
		.ask = ask,
		.answer = answer,
		.region = buf_text(&region),
		.host = buf_text(&host),
		.max = c->conf->max_attempts ? c->conf->max_attempts : 3};
	return send(&a, buf_text(&url), err);
}

int aws_item_error(struct aws_client *c, const struct aws_op *op, struct aws_text code,
	struct aws_text message, struct sfs_err *err)
{
	struct cred *cred = cred_current(aws_cred_chain(c->cred));
	const struct aws_asked asked = {.service = aws_service_title(c->service),
		.action = op->action,
		.credential = cred ? cred->source : NULL,
		.lookup = true};
	struct aws_error e;
	aws_error_classify(400, code, message, &e);
	int rc = aws_error_sentence(&e, &asked, err);
	cred_unref(cred);
	return rc;
}

int aws_client_check_name(struct aws_client *c, const char *name, struct sfs_err *err)
{
	struct aws_text region;
	struct aws_arn arn;
	if (!aws_arn_parse(name, &arn))
		return 0;
	/* Without a region of our own any partition may be right. */
	if (!c->conf->region)
		return aws_text_is(arn.service, aws_signing_name(c->service))
			       ? 0
			       : err_set(err, EINVAL, "this ARN is not one of %s",
					 aws_service_title(c->service));
	return aws_arn_region(name, c->service, c->conf->region, &region, err);
}

bool aws_client_is_elsewhere(struct aws_client *c, const char *name)
{
	struct aws_arn arn;
	if (!aws_arn_parse(name, &arn))
		return false;
	return !c->conf->region || (arn.region.len && !aws_text_is(arn.region, c->conf->region));
}

/* --- what it tells of itself --- */

int aws_client_status(struct aws_client *c, struct buf *ret_json)
{
	_cleanup_(buf_clear) struct buf url = BUF_INIT(URL_MAX);
	if (c->conf->region &&
		aws_conf_url(c->conf, c->service, c->conf->region, &url, NULL) == 0) {
		buf_str(ret_json, "\"region\":");
		json_quote(ret_json, c->conf->region, strlen(c->conf->region));
		buf_str(ret_json, ",\"endpoint\":");
		json_quote(ret_json, url.data, url.len);
	}
	return aws_cred_status(c->cred, ret_json);
}

void aws_client_counts(struct aws_client *c, double usd_per_call, struct backend_counts *ret)
{
	struct http_stats st;
	http_stats(c->http, &st);
	*ret = (struct backend_counts){.calls = st.requests,
		.errors = st.errors,
		.retries = st.retries,
		.throttled = st.throttled,
		.bytes_in = st.bytes_in,
		.bytes_out = st.bytes_out,
		.cost_usd = usd_per_call * (double)st.attempts};
}

int aws_client_check(
	struct aws_client *c, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf region = BUF_INIT(HOST_MAX), url = BUF_INIT(URL_MAX);
	int rc = own_region(c, call, &region, err);
	if (!rc)
		rc = aws_conf_url(c->conf, c->service, buf_text(&region), &url, err);
	if (rc) {
		check_step(sink, CHECK_FAILED, "region", "%s", err->msg);
		return rc;
	}
	check_step(sink, CHECK_OK, "region", "%s (%s)", buf_text(&region),
		c->conf->region_from ? c->conf->region_from : "the instance metadata");
	check_step(sink, CHECK_OK, "endpoint", "%s", buf_text(&url));
	return aws_cred_check(c->cred, call, sink, err);
}
