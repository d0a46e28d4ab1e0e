/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_client.h"

#include "backends/gcp_conf.h"
#include "backends/gcp_cred.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX    1024
#define PROJECT_MAX 256
#define ATTEMPTS    5 /* as Google's own clients */
#define ATTEMPT_NS  (10 * NSEC_PER_SEC)
#define BACKOFF_NS  (500 * NSEC_PER_MSEC)
#define THROTTLE_NS (2 * NSEC_PER_SEC)
#define REFUSED_NS  (5 * NSEC_PER_SEC) /* a thousand files do not try a token in turn */
#define USER_AGENT  "secretfs/" SFS_VERSION

struct gcp_client {
	struct gcp_conf *conf;
	struct http *http;  /* of the service */
	struct http *other; /* tokens, metadata: their failures do not open our breaker */
	struct gcp_cred *cred;
	_Atomic uint64_t billed; /* attempts that cost money */

	pthread_mutex_t lock;	  /* guards what follows */
	struct cred *refused;	  /* the last token that was not accepted; a reference, or NULL */
	bool refused_new;	  /* and it was a new one */
	int64_t refused_until;	  /* boot time; nobody tries it before */
	struct gcp_error refusal; /* what was said */
};

/* One gcp_call(). */
struct attempt {
	struct gcp_client *c;
	const struct call *call;
	const struct gcp_ask *ask;
	struct gcp_answer *answer;
	struct cred *cred;     /* of the last attempt; a reference */
	struct cred *rejected; /* a reference */
	bool refused_new;      /* not sent: it was refused for another file, and was a new one */
	bool damaged;	       /* an answer of 200 could not be used; once */
	int failed;	       /* an answer of 200 ended in this -errno, with `why` */
	struct sfs_err why;
};

/* --- life --- */

static int make_http(const struct backend_env *env, const struct gcp_conf *conf,
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

int gcp_client_new(const struct backend_env *env, const char *location,
	const struct opt_values *opts, struct gcp_client **ret, struct sfs_err *err)
{
	struct gcp_client *c = mem_calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory for a source");
	pthread_mutex_init(&c->lock, NULL);
	double rate = (double)opt_find_number(opts, "rate", 0);
	int rc = gcp_conf_load(env, location, opts, &c->conf, err);
	if (!rc)
		rc = make_http(env, c->conf, opts, rate, &c->http, err);
	if (!rc)
		rc = make_http(env, c->conf, opts, 0, &c->other, err);
	if (!rc)
		rc = gcp_cred_new(env, c->conf, c->other, &c->cred, err);
	if (rc) {
		gcp_client_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void gcp_client_free(struct gcp_client *c)
{
	if (!c)
		return;
	cred_unref(c->refused);
	gcp_cred_free(c->cred);
	http_free(c->http);
	http_free(c->other);
	gcp_conf_free(c->conf);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

void gcp_answer_clear(struct gcp_answer *a)
{
	json_free(a->json);
	http_reply_clear(&a->reply);
	*a = (struct gcp_answer)GCP_ANSWER_INIT;
}

/* --- tokens that are not accepted --- */

/* The token of the last attempt is one that was got because of a refusal. */
static bool is_new(const struct attempt *a)
{
	return a->rejected && a->rejected != a->cred;
}

static void note_refusal(const struct attempt *a)
{
	struct gcp_client *c = a->c;
	pthread_mutex_lock(&c->lock);
	struct cred *old = c->refused;
	c->refused = cred_ref(a->cred);
	c->refused_new = is_new(a);
	c->refused_until = clock_boot() + REFUSED_NS;
	c->refusal = a->answer->error;
	pthread_mutex_unlock(&c->lock);
	cred_unref(old);
}

/* It was not accepted a moment ago, perhaps for another file. */
static bool is_refused(struct attempt *a)
{
	struct gcp_client *c = a->c;
	struct cred *over = NULL;
	pthread_mutex_lock(&c->lock);
	if (clock_boot() >= c->refused_until)
		over = take(c->refused);
	bool refused = c->refused && c->refused == a->cred;
	if (refused) {
		a->answer->error = c->refusal;
		a->refused_new = c->refused_new;
	}
	pthread_mutex_unlock(&c->lock);
	cred_unref(over);
	return refused;
}

/* --- one attempt --- */

static int asked_sentence(const struct attempt *a, struct sfs_err *err)
{
	const struct gcp_asked asked = {.permission = a->ask->op->permission,
		.grant = a->ask->op->grant,
		.credential = a->cred ? a->cred->source : NULL,
		.location = a->c->conf->location,
		.lookup = a->ask->lookup,
		.renewed = a->refused_new || is_new(a)};
	return gcp_error_sentence(&a->answer->error, &asked, err);
}

static int add_headers(struct attempt *a, struct http_headers *h)
{
	struct gcp_bearer bearer = gcp_cred_bearer(a->cred);
	const char *quota = gcp_cred_quota_project(a->c->cred, a->cred);
	int rc = http_header_secret(h, "Authorization", "Bearer ", bearer.token, bearer.len);
	if (!rc)
		rc = http_header(h, "Accept", "application/json");
	if (!rc)
		rc = http_header(h, "User-Agent", USER_AGENT);
	if (!rc && quota)
		rc = http_header(h, "X-Goog-User-Project", quota);
	return rc;
}

/* At the moment of sending: the credentials are those of now. */
static int on_headers(void *arg, unsigned n, struct http_headers *h, struct sfs_err *err)
{
	struct attempt *a = arg;
	(void)n;
	cred_unref(take(a->cred));
	int rc = cred_get(gcp_cred_chain(a->c->cred), a->call, &a->cred, err);
	if (rc)
		return rc;
	if (a->rejected == a->cred) /* nothing else is to be had */
		note_refusal(a);
	if (is_refused(a))
		return asked_sentence(a, err);
	if (a->ask->op->billed)
		atomic_fetch_add(&a->c->billed, 1);
	rc = add_headers(a, h);
	return rc ? err_errno(err, -rc, "make the headers of a request") : 0;
}

/* --- the answer --- */

static int read_answer(struct attempt *a, const struct http_reply *r)
{
	struct gcp_answer *answer = a->answer;
	int rc = json_parse(buf_text(&r->body), r->body.len, JSON_STRICT, &answer->json, &a->why);
	if (rc)
		return err_prefix(&a->why, "the answer of Secret Manager is malformed");
	answer->root = json_root(answer->json);
	if (json_kind(answer->root) != JSON_OBJECT)
		return err_set(&a->why, EBADMSG,
			"the answer of Secret Manager is malformed: it is no JSON object");
	return a->ask->read ? a->ask->read(a->ask->arg, answer, &a->why) : 0;
}

static enum http_verdict judge_ok(struct attempt *a, const struct http_reply *r)
{
	a->failed = read_answer(a, r);
	if (a->failed != -EBADMSG || a->damaged)
		return HTTP_ACCEPT;
	a->damaged = true;
	return HTTP_TRANSIENT;
}

static enum http_verdict judge_credentials(struct attempt *a)
{
	if (a->rejected || !cred_reject(gcp_cred_chain(a->c->cred), a->cred))
		return HTTP_ACCEPT;
	a->rejected = cred_ref(a->cred);
	return HTTP_RESEND;
}

static enum http_verdict judge(void *arg, const struct http_reply *r)
{
	struct attempt *a = arg;
	struct gcp_error *e = &a->answer->error;
	json_free(take(a->answer->json));
	*e = (struct gcp_error){0};
	gcp_cred_skew(a->c->cred, r);
	if (r->status == 200)
		return judge_ok(a, r);
	gcp_error_parse(r->status, buf_text(&r->body), r->body.len, e);
	switch (e->class) {
	case GCP_TRANSIENT:
		return HTTP_TRANSIENT;
	case GCP_THROTTLE:
		return HTTP_THROTTLE;
	case GCP_CREDENTIALS:
		return judge_credentials(a);
	case GCP_FINAL:
		break;
	}
	return HTTP_ACCEPT;
}

static int64_t asked_pause(void *arg, const struct http_reply *r)
{
	const struct attempt *a = arg;
	return r->status == 200 ? -1 : a->answer->error.delay;
}

static int conclude(struct attempt *a, struct sfs_err *err)
{
	if (a->answer->error.class == GCP_CREDENTIALS)
		note_refusal(a);
	if (a->answer->reply.status != 200)
		return asked_sentence(a, err);
	return a->failed ? err_set(err, -a->failed, "%s", a->why.msg) : 0;
}

static int send(struct attempt *a, const char *url, struct sfs_err *err)
{
	const struct http_request rq = {.method = "GET",
		.url = url,
		.cap = a->ask->op->cap,
		.attempts = ATTEMPTS,
		.attempt_timeout = ATTEMPT_NS,
		.backoff = BACKOFF_NS,
		.throttle_backoff = THROTTLE_NS,
		.headers = on_headers,
		.judge = judge,
		.pause = asked_pause,
		.arg = a};
	struct sfs_err own = {0};
	err = err ? err : &own;
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

/* A full name may be of another project; one of another location is at another host. */
static int add_parent(struct gcp_client *c, const struct call *call, const struct gcp_name *name,
	struct buf *url, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf project = BUF_INIT(PROJECT_MAX);
	const char *here = c->conf->location ? c->conf->location : "";
	const char *location = here;
	int rc = 0;
	if (name && *name->project) {
		location = name->location;
		buf_str(&project, name->project);
	} else {
		rc = gcp_cred_project(c->cred, call, &project, err);
	}
	if (rc)
		return rc;
	if (strcmp(location, here) != 0)
		return err_set(err, ENOENT,
			"this source has secrets of %s%s only, which are at another address than "
			"those of %s%s; mount gcp:PROJECT%s%s for them",
			*here ? "location " : "no location", here, *location ? "location " : "none",
			location, *location ? "/" : "", location);
	buf_printf(url, "/v1/projects/%s", buf_text(&project));
	if (*location)
		buf_printf(url, "/locations/%s", location);
	return 0;
}

static int make_url(struct gcp_client *c, const struct call *call, const struct gcp_ask *ask,
	struct buf *url, struct sfs_err *err)
{
	int rc = gcp_cred_base(c->cred, call, url, err);
	if (!rc)
		rc = add_parent(c, call, ask->name, url, err);
	if (rc)
		return rc;
	buf_str(url, "/secrets");
	if (ask->name)
		buf_printf(url, "/%s", ask->name->id);
	if (ask->name && *ask->name->version)
		buf_printf(url, "/versions/%s", ask->name->version);
	buf_str(url, ask->tail);
	if (*ask->query)
		buf_printf(url, "?%s", ask->query);
	return url->failed ? err_errno(err, url->failed, "make the address of Secret Manager") : 0;
}

int gcp_call(struct gcp_client *c, const struct call *call, const struct gcp_ask *ask,
	struct gcp_answer *answer, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf url = BUF_INIT(SFS_HTTP_URL_MAX);
	gcp_answer_clear(answer);
	int rc = make_url(c, call, ask, &url, err);
	if (rc)
		return rc;
	struct attempt a = {.c = c, .call = call, .ask = ask, .answer = answer};
	return send(&a, buf_text(&url), err);
}

/* --- what it tells of itself --- */

static void add_member(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, "%s\"%s\":", out->len ? "," : "", key);
	json_quote(out, text, strlen(text));
}

int gcp_client_status(struct gcp_client *c, struct buf *ret_json)
{
	_cleanup_(buf_clear) struct buf url = BUF_INIT(HOST_MAX);
	if (c->conf->project)
		add_member(ret_json, "project", c->conf->project);
	if (gcp_cred_known_base(c->cred, &url) == 0 && url.len)
		add_member(ret_json, "endpoint", url.data);
	return gcp_cred_status(c->cred, ret_json);
}

void gcp_client_counts(struct gcp_client *c, double usd_per_call, struct backend_counts *ret)
{
	struct http_stats st;
	http_stats(c->http, &st);
	*ret = (struct backend_counts){.calls = st.requests,
		.errors = st.errors,
		.retries = st.retries,
		.throttled = st.throttled,
		.bytes_in = st.bytes_in,
		.bytes_out = st.bytes_out,
		.cost_usd = usd_per_call * (double)atomic_load(&c->billed)};
}

static int check_place(
	struct gcp_client *c, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf project = BUF_INIT(PROJECT_MAX), url = BUF_INIT(HOST_MAX);
	int rc = gcp_cred_project(c->cred, call, &project, err);
	if (rc) {
		check_step(sink, CHECK_FAILED, "project", "%s", err->msg);
		return rc;
	}
	check_step(sink, CHECK_OK, "project", "%s (%s)", buf_text(&project),
		c->conf->project_from ? c->conf->project_from : "the metadata server");
	rc = gcp_cred_base(c->cred, call, &url, err);
	if (rc) {
		check_step(sink, CHECK_FAILED, "endpoint", "%s", err->msg);
		return rc;
	}
	check_step(sink, CHECK_OK, "endpoint", "%s", buf_text(&url));
	return 0;
}

int gcp_client_check(
	struct gcp_client *c, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	struct sfs_err own = {0};
	err = err ? err : &own;
	int rc = gcp_cred_check(c->cred, call, sink, err);
	return rc ? rc : check_place(c, call, sink, err);
}
