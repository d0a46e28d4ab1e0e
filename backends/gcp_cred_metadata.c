/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata server of machines and containers at Google (gcp.md section 9.6): a flavour header
 * both ways, no proxy, no redirects. Whatever answers without that header is none. It gives the
 * same token until some minutes before its end.
 */
#include "backends/gcp_cred_impl.h"

#include "backends/percent.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define BASE_PATH    "/computeMetadata/v1/"
#define ACCOUNT_PATH BASE_PATH "instance/service-accounts/default/"
#define GCP_DIRECT   (HTTP_DIRECT | HTTP_NO_BREAKER)
#define READ_TRIES   5
#define TEXT_MAX     256
#define NONE_FOR     (30 * NSEC_PER_SEC) /* that there is none is remembered */
#define START_FOR    (10 * NSEC_PER_SEC) /* after our start it may not be reachable yet */
#define START_PAUSE  (500 * NSEC_PER_MSEC)
#define RETRY_FOR    (5 * NSEC_PER_SEC) /* the failure to tell a project is remembered */

/* ---- one document ---- */

static bool has_flavour(const struct http_reply *reply)
{
	char flavour[16];
	return http_reply_header(reply, "metadata-flavor", flavour, sizeof(flavour)) &&
	       strcmp(flavour, "Google") == 0;
}

static int not_google(struct sfs_err *err)
{
	return err_set(err, ENODATA,
		"what answers at its address is no metadata server of Google (no Metadata-Flavor)");
}

/* A request; what cannot be one of its answers is -ENODATA. */
static int ask_url(struct gcp_cred *g, const struct call *call, const char *url, unsigned tries,
	struct http_reply *reply, struct sfs_err *err)
{
	struct ask ask = {.method = "GET",
		.url = url,
		.flags = GCP_DIRECT,
		.attempts = tries,
		.timeout = g->conf->metadata_timeout};
	ask_header(&ask, "Metadata-Flavor", "Google");
	int r = ask_do(g->http, call, &ask, reply, err);
	if (r == -EPROTO || r == -EFBIG || r == -EBADMSG)
		return not_google(err);
	if (r < 0)
		return r;
	return has_flavour(reply) ? 0 : not_google(err);
}

static int get(struct gcp_cred *g, const struct call *call, const char *path, unsigned tries,
	struct http_reply *reply, struct sfs_err *err)
{
	_cleanup_free_ char *url = mem_asprintf("%s%s", g->conf->metadata_url, path);
	if (!url)
		return gcp_no_memory(err);
	int r = ask_url(g, call, url, tries, reply, err);
	return r < 0 && r != -ENODATA ? err_prefix(err, "the metadata server") : r;
}

/* A text of one line into `out`, "" for 404 and anything that is none. */
static int get_text(struct gcp_cred *g, const struct call *call, const char *path, unsigned tries,
	char out[TEXT_MAX], struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	*out = '\0';
	int r = get(g, call, path, tries, &reply, err);
	if (r < 0)
		return r;
	if (reply.status == 404)
		return 0;
	if (reply.status != 200)
		return err_set(err, reply.status >= 500 ? EREMOTEIO : EACCES,
			"the metadata server answered %s with status %d", path, reply.status);
	const char *text = buf_text(&reply.body);
	size_t len = strcspn(text, "\r\n");
	if (len < TEXT_MAX && !setting_has_control(text, len)) {
		memcpy(out, text, len);
		out[len] = '\0';
	}
	return 0;
}

/* ---- whether it is there ---- */

static int ping(struct gcp_cred *g, const struct call *call, unsigned tries, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_free_ char *url = mem_asprintf("%s/", g->conf->metadata_ping);
	if (!url)
		return gcp_no_memory(err);
	int r = ask_url(g, call, url, tries, &reply, err);
	if (r == 0 && reply.status != 200)
		return err_set(err, reply.status >= 500 ? EREMOTEIO : ENODATA,
			"the metadata server answered with status %d", reply.status);
	return r;
}

/* Half a second; tests that hold the clock move it by their answers. */
static void wait_a_moment(const struct call *call)
{
	int64_t until = clock_boot() + START_PAUSE;
	while (!clock_is_fake() && clock_boot() < until && !call_cancelled(call))
		poll(NULL, 0, 50);
}

/* In a pod of GKE it is not reachable during the first seconds. */
static int reach(struct gcp_cred *g, const struct call *call, struct sfs_err *err)
{
	int64_t until = g->conf->metadata_starting ? g->born + START_FOR : 0;
	if (atomic_load(&g->seen))
		return 0;
	for (;;) {
		bool more = clock_boot() < until && clock_boot() < call->deadline;
		int r = ping(g, call, more ? 1 : g->conf->metadata_attempts, err);
		if (r == 0)
			atomic_store(&g->seen, true);
		bool passes = r == -EHOSTUNREACH || r == -ETIMEDOUT || r == -EREMOTEIO;
		if (!passes || !more || call_cancelled(call))
			return r;
		wait_a_moment(call);
	}
}

/* Why there is none, as -ENODATA; what ends the run stays as it is. */
static int none(int r, const struct call *call, struct sfs_err *err)
{
	if (r == -ENODATA || r == -ENOMEM || r == -ECANCELED || clock_boot() >= call->deadline)
		return r;
	struct sfs_err why = *err;
	return err_set(err, ENODATA, "there is none: %s", why.msg);
}

static int find(struct gcp_cred *g, const struct call *call, struct sfs_err *err)
{
	if (g->conf->metadata_off)
		return err_set(err, ENODATA, "switched off by NO_GCE_CHECK");
	if (clock_boot() < g->none_until)
		return err_set(err, ENODATA, "%s", g->none.msg);
	int r = reach(g, call, err);
	if (r == 0)
		return 0;
	r = none(r, call, err);
	if (r == -ENODATA) {
		g->none_until = clock_boot() + NONE_FOR;
		g->none = *err;
	}
	return r;
}

/* ---- whose token for where ---- */

static int know_universe(struct gcp_cred *g, const struct call *call, struct sfs_err *err)
{
	char text[TEXT_MAX];
	if (g->metadata_universe)
		return 0;
	int r = get_text(g, call, BASE_PATH "universe/universe-domain", READ_TRIES, text, err);
	if (r == 0 && *text)
		r = gcp_check_universe("universe of the metadata server", text, err);
	if (r < 0)
		return r;
	g->metadata_universe = mem_strdup(text);
	return g->metadata_universe ? 0 : gcp_no_memory(err);
}

static int take_universe(struct gcp_cred *g, struct gcp_found *f, struct sfs_err *err)
{
	char *universe = *g->metadata_universe ? mem_strdup(g->metadata_universe) : NULL;
	if (*g->metadata_universe && !universe)
		return gcp_no_memory(err);
	return gcp_take_universe(g, "the metadata server", universe, f, err);
}

/* Only for people: without it everything else works, so nothing waits for it. */
static void know_email(struct gcp_cred *g, const struct call *call)
{
	char text[TEXT_MAX], shown[TEXT_MAX];
	if (g->metadata_email || get_text(g, call, ACCOUNT_PATH "email", 1, text, NULL) < 0)
		return;
	g->metadata_email = mem_strdup(text_escaped(shown, sizeof(shown), text, strlen(text)));
}

/* ---- the token ---- */

static int refused(const struct http_reply *reply, struct sfs_err *err)
{
	const char *text = buf_text(&reply->body);
	switch (reply->status) {
	case 404:
		return err_set(err, ENODATA, "this machine has no service account");
	case 429:
		return err_set(err, EBUSY, "the metadata server is asked too often");
	case 403:
		if (strstr(text, "getAccessToken"))
			return err_set(err, EACCES,
				"the metadata server has no token for us: the Kubernetes service "
				"account may not act as its Google service account "
				"(iam.serviceAccounts.getAccessToken); bind "
				"roles/iam.workloadIdentityUser to it");
		break;
	default:
		break;
	}
	return err_set(err, reply->status >= 500 ? EREMOTEIO : EACCES,
		"the metadata server answered the request for a token with status %d",
		reply->status);
}

/* The same token as before has the expiry of before, to the ns: the chain then knows that nothing
 * is new. */
static int64_t expiry_of(struct gcp_cred *g, const struct gcp_token *token)
{
	_cleanup_(cred_unref_p) struct cred *now = cred_current(g->chain);
	if (now && secret_equal(now->field[GCP_CRED_TOKEN], token->access))
		return now->expires;
	return gcp_expires(token->life);
}

static int get_token(
	struct gcp_cred *g, const struct call *call, struct gcp_found *f, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(buf_clear) struct buf path = BUF_INIT(1024);
	struct gcp_token token = {0};
	buf_str(&path, ACCOUNT_PATH "token?scopes=");
	if (percent_add(&path, GCP_SCOPE_CLOUD, strlen(GCP_SCOPE_CLOUD)) < 0)
		return gcp_no_memory(err);
	int r = get(g, call, buf_text(&path), READ_TRIES, &reply, err);
	if (r < 0)
		return r;
	if (reply.status != 200)
		return refused(&reply, err);
	gcp_cred_skew(g, &reply);
	r = gcp_token_parse(buf_text(&reply.body), reply.body.len, &token, err);
	if (r < 0)
		return err_prefix(err, "the answer of the metadata server");
	f->expires = expiry_of(g, &token);
	f->token = take(token.access);
	gcp_token_clear(&token);
	return 0;
}

int gcp_cred_metadata(
	struct gcp_cred *g, const struct call *call, struct gcp_found *ret, struct sfs_err *err)
{
	int r = find(g, call, err);
	if (r == 0)
		r = know_universe(g, call, err);
	if (r == 0)
		r = take_universe(g, ret, err);
	if (r == 0)
		r = get_token(g, call, ret, err);
	if (r < 0)
		return r;
	know_email(g, call);
	const char *email = g->metadata_email ? g->metadata_email : "";
	return gcp_found_about(
		ret, *email ? email : NULL, err, "metadata server%s%s", *email ? ", " : "", email);
}

/* ---- the project ---- */

static int ask_project(
	struct gcp_cred *g, const struct call *call, char out[TEXT_MAX], struct sfs_err *err)
{
	int r = g->conf->metadata_off ? err_set(err, ENODATA, "it is switched off by NO_GCE_CHECK")
				      : reach(g, call, err);
	if (r == 0)
		r = get_text(g, call, BASE_PATH "project/project-id", READ_TRIES, out, err);
	if (r < 0)
		return r;
	if (!*out)
		return err_set(err, ENODATA, "it names none");
	return gcp_check_project("project of the metadata server", out, err);
}

static int no_project(struct sfs_err *err)
{
	struct sfs_err why = *err;
	return err_set(err, why.code == ENODATA ? EINVAL : why.code,
		"no project is configured (gcp:PROJECT, project=, GOOGLE_CLOUD_PROJECT, a key "
		"file, gcloud's configuration), and the metadata server does not tell one: %s",
		why.msg);
}

/* 0: appended; 1: to be asked. */
static int known_project(struct gcp_cred *g, struct buf *ret, struct sfs_err *err)
{
	int r = 1;
	pthread_mutex_lock(&g->lock);
	const char *project = g->conf->project ? g->conf->project : g->project;
	if (project)
		r = buf_str(ret, project) < 0 ? gcp_no_memory(err) : 0;
	else if (clock_boot() < g->project_retry)
		r = err_set(err, g->project_failure.code, "%s", g->project_failure.msg);
	pthread_mutex_unlock(&g->lock);
	return r;
}

int gcp_cred_project(
	struct gcp_cred *g, const struct call *call, struct buf *ret, struct sfs_err *err)
{
	char project[TEXT_MAX] = "";
	int r = known_project(g, ret, err);
	if (r <= 0)
		return r;
	struct sfs_err why = {0};
	r = ask_project(g, call, project, &why);
	if (r < 0)
		r = no_project(&why);
	pthread_mutex_lock(&g->lock);
	if (r == 0 && !g->project)
		g->project = mem_strdup(project);
	if (r < 0 && r != -ECANCELED) {
		g->project_retry = clock_boot() + RETRY_FOR;
		g->project_failure = why;
	}
	pthread_mutex_unlock(&g->lock);
	if (r < 0)
		return err_set(err, -r, "%s", why.msg);
	return buf_str(ret, project) < 0 ? gcp_no_memory(err) : 0;
}
