/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_cred_impl.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENEW_AHEAD (4 * 60 * NSEC_PER_SEC)
#define RENEW_PART  10
#define RENEW_PAUSE (30 * NSEC_PER_SEC)
#define FETCH_LIMIT (150 * NSEC_PER_SEC) /* with programs, which may take two minutes */
#define SKEW_MIN    (60 * NSEC_PER_SEC)

/* ---- the rows ---- */

/* A text as a field of a set: with its NUL. NULL stays NULL. */
static int add_field(struct secret **field, const char *text, struct sfs_err *err)
{
	if (!text)
		return 0;
	*field = secret_new(text, strlen(text) + 1);
	return *field ? 0 : gcp_no_memory(err);
}

static int make_set(struct gcp_found *f, struct cred **ret, struct sfs_err *err)
{
	struct secret *field[CRED_FIELDS] = {[GCP_CRED_TOKEN] = f->token};
	int r = add_field(&field[GCP_CRED_QUOTA], f->quota_project, err);
	if (r == 0)
		r = add_field(&field[GCP_CRED_UNIVERSE], f->universe, err);
	if (r == 0)
		r = add_field(&field[GCP_CRED_SIGNED], f->self_signed ? "yes" : NULL, err);
	struct cred *set = r == 0 ? cred_new(field, f->expires, f->source, f->principal) : NULL;
	if (!set) {
		for (size_t i = GCP_CRED_TOKEN + 1; i < CRED_FIELDS; i++)
			secret_unref(field[i]);
		return gcp_no_memory(err);
	}
	f->token = NULL;
	*ret = set;
	return 0;
}

/* What the token of a row is for. */
static const char *scope_of(const struct gcp_cred *g)
{
	return g->conf->impersonate ? GCP_SCOPE_IAM : GCP_SCOPE_CLOUD;
}

/* impersonate= on top of whatever was found. */
static int finish(struct gcp_cred *g, const struct call *call, int r, struct gcp_found *f,
	struct cred **ret, struct sfs_err *err)
{
	if (r == 0 && g->conf->impersonate)
		r = gcp_impersonate(g, call, g->conf->impersonate, f, err);
	if (r == 0)
		r = make_set(f, ret, err);
	gcp_found_clear(f);
	return r;
}

static int read_token_file(struct gcp_cred *g, struct gcp_found *f, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(GCP_TOKEN_MAX);
	struct credfile_stamp stamp = {0};
	const char *path = g->conf->token_file;
	int r = credfile_read_token(g->env->paths, path, &token, &stamp, err);
	credwatch_add(&g->watch, path, &stamp);
	if (r < 0)
		return gcp_file_error(r, "token_file=", err);
	f->token = secret_new(token.data, token.len);
	return f->token ? gcp_found_about(f, NULL, err, "token file %s", path) : gcp_no_memory(err);
}

static int row_options(void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	struct gcp_cred *g = state;
	struct gcp_found f = {0};
	int r;
	credwatch_reset(&g->watch); /* the first row: a run begins */
	if (g->conf->token_file)
		r = read_token_file(g, &f, err);
	else if (g->conf->file[GCP_FILE_OPTION])
		r = gcp_cred_file(g, call, g->conf->file[GCP_FILE_OPTION],
			"credentials=", scope_of(g), &f, err);
	else
		r = err_set(err, ENODATA, "neither credentials= nor token_file= is given");
	return finish(g, call, r, &f, ret, err);
}

static int row_variable(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	struct gcp_cred *g = state;
	struct gcp_found f = {0};
	const char *path = g->conf->file[GCP_FILE_VARIABLE];
	int r = path ? gcp_cred_file(g, call, path, "GOOGLE_APPLICATION_CREDENTIALS", scope_of(g),
			       &f, err)
		     : err_set(err, ENODATA, "the variable is not set");
	return finish(g, call, r, &f, ret, err);
}

/* A home directory that is not ours to look into is no home directory (pods often have HOME=/root
 * and another user). */
static int well_known(
	struct gcp_cred *g, const struct call *call, struct gcp_found *f, struct sfs_err *err)
{
	const char *path = g->conf->file[GCP_FILE_WELL_KNOWN];
	struct credfile_stamp stamp;
	if (!path)
		return err_set(err, ENODATA,
			"HOME is not set and there is no home directory, nor is CLOUDSDK_CONFIG "
			"set");
	credfile_look(g->env->paths, path, &stamp);
	if (!stamp.there) {
		credwatch_add(&g->watch, path, &stamp);
		return err_set(err, ENODATA, "there is no %s", path);
	}
	return gcp_cred_file(g, call, path, NULL, scope_of(g), f, err);
}

static int row_well_known(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	struct gcp_found f = {0};
	int r = well_known(state, call, &f, err);
	return finish(state, call, r, &f, ret, err);
}

static int row_metadata(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	struct gcp_found f = {0};
	int r = gcp_cred_metadata(state, call, &f, err);
	return finish(state, call, r, &f, ret, err);
}

static const struct cred_row rows[] = {
	{"options", row_options},
	{"GOOGLE_APPLICATION_CREDENTIALS", row_variable},
	{"gcloud's file", row_well_known},
	{"metadata server", row_metadata},
	{0},
};

/* ---- life ---- */

static bool changed(void *state)
{
	struct gcp_cred *g = state;
	return credwatch_changed(&g->watch, g->env->paths);
}

static int start(struct gcp_cred *g, struct sfs_err *err)
{
	struct cred_conf conf = {.rows = rows,
		.state = g,
		.renew_ahead = RENEW_AHEAD,
		.renew_part = RENEW_PART,
		.renew_pause = RENEW_PAUSE,
		.fetch_limit = g->conf->executables ? FETCH_LIMIT : 0,
		.boot_time = true,
		.changed = changed,
		.look_every = g->conf->token_file ? 1 : 0}; /* as often as it is used */
	g->name = mem_asprintf("gcp/%s", g->env->instance);
	if (!g->name)
		return gcp_no_memory(err);
	conf.name = g->name;
	return cred_chain_new(&conf, &g->chain, err);
}

int gcp_cred_new(const struct backend_env *env, const struct gcp_conf *conf, struct http *http,
	struct gcp_cred **ret, struct sfs_err *err)
{
	struct gcp_cred *g = mem_calloc(1, sizeof(*g));
	if (!g)
		return gcp_no_memory(err);
	g->env = env;
	g->conf = conf;
	g->http = http;
	g->born = clock_boot();
	credwatch_init(&g->watch);
	pthread_mutex_init(&g->lock, NULL);
	int r = start(g, err);
	if (r < 0)
		gcp_cred_free(g);
	else
		*ret = g;
	return r;
}

void gcp_cred_free(struct gcp_cred *g)
{
	if (!g)
		return;
	cred_chain_free(g->chain);
	credwatch_clear(&g->watch);
	secret_unref(g->refresh_now);
	secret_unref(g->refresh_was);
	mem_free(g->metadata_universe);
	mem_free(g->metadata_email);
	mem_free(g->project);
	mem_free(g->name);
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}

int gcp_secret_add(struct buf *out, const struct secret *s)
{
	return buf_add(out, secret_bytes(s), secret_len(s));
}

/* ---- what others ask ---- */

struct cred_chain *gcp_cred_chain(struct gcp_cred *g)
{
	return g->chain;
}

struct gcp_bearer gcp_cred_bearer(const struct cred *c)
{
	const struct secret *token = c->field[GCP_CRED_TOKEN];
	return (struct gcp_bearer){.token = secret_bytes(token),
		.len = secret_len(token),
		.self_signed = c->field[GCP_CRED_SIGNED] != NULL};
}

/* Fields other than the token end in a NUL. */
static const char *field_text(const struct cred *c, enum gcp_cred_field field)
{
	return c->field[field] ? (const char *)secret_bytes(c->field[field]) : NULL;
}

const char *gcp_cred_quota_project(const struct gcp_cred *g, const struct cred *c)
{
	return g->conf->quota_project ? g->conf->quota_project : field_text(c, GCP_CRED_QUOTA);
}

static const char *universe_of(const struct gcp_cred *g, const struct cred *c)
{
	const char *universe = g->conf->universe;
	if (!universe && c)
		universe = field_text(c, GCP_CRED_UNIVERSE);
	return universe ? universe : GCP_UNIVERSE;
}

int gcp_cred_base(struct gcp_cred *g, const struct call *call, struct buf *ret, struct sfs_err *err)
{
	const struct gcp_conf *conf = g->conf;
	_cleanup_(cred_unref_p) struct cred *set = NULL;
	if (conf->endpoint)
		return buf_str(ret, conf->endpoint) < 0 ? gcp_no_memory(err) : 0;
	int r = conf->universe ? 0 : cred_get(g->chain, call, &set, err);
	if (r < 0)
		return r;
	return gcp_conf_host(ret, "secretmanager", conf->location, universe_of(g, set), err);
}

int gcp_cred_known_base(struct gcp_cred *g, struct buf *ret)
{
	const struct gcp_conf *conf = g->conf;
	_cleanup_(cred_unref_p) struct cred *set = cred_current(g->chain);
	if (conf->endpoint)
		return buf_str(ret, conf->endpoint);
	if (!set && !conf->universe)
		return 0;
	return gcp_conf_host(ret, "secretmanager", conf->location, universe_of(g, set), NULL);
}

bool gcp_cred_skew(struct gcp_cred *g, const struct http_reply *reply)
{
	static struct log_rate rate = LOG_RATE(600);
	int64_t offset, used = atomic_load(&g->skew);
	if (!http_reply_skew(reply, &offset) || llabs(offset - used) < SKEW_MIN)
		return false;
	if (!atomic_compare_exchange_strong(&g->skew, &used, offset))
		return true; /* another thread saw it at the same time */
	cred_skew(g->chain, offset);
	if (log_due(&rate))
		log_warn("%s: the clock of this machine differs from Google's by %lld seconds; "
			 "tokens are signed with theirs",
			g->name, (long long)(offset / NSEC_PER_SEC));
	return true;
}

/* ---- for people ---- */

static void add_text(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s\"%s\":", out->len && out->data[out->len - 1] != '{' ? "," : "", name);
	text_json(out, value, strlen(value));
}

static void add_row(void *arg, const char *row, const char *result)
{
	add_text(arg, row, result);
}

int gcp_cred_status(struct gcp_cred *g, struct buf *ret_json)
{
	char when[CLOCK_TEXT];
	_cleanup_(cred_unref_p) struct cred *set = cred_current(g->chain);
	const char *quota = set ? gcp_cred_quota_project(g, set) : g->conf->quota_project;
	add_text(ret_json, "credentials", set ? set->source : "none yet");
	if (set)
		add_text(ret_json, "credentials_expire", cred_expiry_text(g->chain, set, when));
	if (set && set->principal)
		add_text(ret_json, "principal", set->principal);
	if (set || g->conf->universe)
		add_text(ret_json, "universe", universe_of(g, set));
	if (quota)
		add_text(ret_json, "quota_project", quota);
	buf_str(ret_json, ",\"credential_sources\":{");
	cred_walk(g->chain, add_row, ret_json);
	buf_char(ret_json, '}');
	return -ret_json->failed;
}

struct check {
	struct gcp_cred *g;
	struct check_sink *sink;
	const struct cred *set;
};

static void check_row(void *arg, const char *row, const char *result)
{
	struct check *c = arg;
	char what[64], when[CLOCK_TEXT];
	snprintf(what, sizeof(what), "credentials: %s", row);
	if (strcmp(result, "used") == 0 && c->set)
		check_step(c->sink, CHECK_OK, what, "used: %s, expires %s", c->set->source,
			cred_expiry_text(c->g->chain, c->set, when));
	else
		check_step(c->sink, strncmp(result, "failed", 6) ? CHECK_SKIPPED : CHECK_FAILED,
			what, "%s", result);
}

/* impersonate= asks one host more. */
static void check_impersonation(
	const struct gcp_cred *g, const struct cred *set, struct check_sink *sink)
{
	_cleanup_(buf_clear) struct buf url = BUF_INIT(1024);
	char host[256];
	if (!g->conf->impersonate)
		return;
	if (g->conf->iam_endpoint)
		buf_str(&url, g->conf->iam_endpoint);
	else
		gcp_conf_host(&url, "iamcredentials", NULL, universe_of(g, set), NULL);
	check_step(sink, CHECK_OK, "token host", "%s, for a token of %s",
		gcp_host_shown(buf_text(&url), host, sizeof(host)), g->conf->impersonate);
}

static void check_hosts(struct gcp_cred *g, const struct cred *set, const struct call *call,
	struct check_sink *sink)
{
	_cleanup_(buf_clear) struct buf base = BUF_INIT(1024);
	char host[256];
	if (gcp_cred_base(g, call, &base, NULL) == 0)
		check_step(sink, CHECK_OK, "API", "%s",
			gcp_host_shown(buf_text(&base), host, sizeof(host)));
	for (int i = 0; i < GCP_FILES; i++)
		if (g->conf->file[i] && strcmp(set->row, rows[i].name) == 0 && !g->conf->token_file)
			gcp_check_file(g, g->conf->file[i], sink);
	check_impersonation(g, set, sink);
	if (strcmp(set->row, "metadata server") == 0)
		check_step(sink, CHECK_OK, "token host", "%s, the metadata server",
			gcp_host_shown(g->conf->metadata_url, host, sizeof(host)));
}

static void check_identity(struct gcp_cred *g, const struct cred *set, struct check_sink *sink)
{
	const char *quota = gcp_cred_quota_project(g, set);
	check_step(sink, set->principal ? CHECK_OK : CHECK_SKIPPED, "principal", "%s",
		set->principal ? set->principal : "these credentials do not tell whose they are");
	check_step(sink, CHECK_OK, "universe", "%s%s", universe_of(g, set),
		g->conf->universe ? ", as configured" : "");
	if (quota)
		check_step(sink, CHECK_OK, "quota project", "%s", quota);
}

int gcp_cred_check(
	struct gcp_cred *g, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	_cleanup_(cred_unref_p) struct cred *set = NULL;
	int r = cred_get(g->chain, call, &set, err);
	struct check c = {.g = g, .sink = sink, .set = set};
	cred_walk(g->chain, check_row, &c);
	if (r < 0)
		return r;
	check_identity(g, set, sink);
	check_hosts(g, set, call, sink);
	return 0;
}
