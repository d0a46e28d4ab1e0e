/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_cred_impl.h"

#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RENEW_AHEAD (15 * 60 * NSEC_PER_SEC)
#define BLOCK_AHEAD (5 * 60 * NSEC_PER_SEC)
#define SESSION_MAX 64 /* of STS */

/* ---- the rows ---- */

typedef int (*find_fn)(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);

/* role_arn= on top of whatever was found. */
static int add_role(
	struct aws_cred *a, const struct call *call, struct aws_found *f, struct sfs_err *err)
{
	struct aws_role role = {.arn = a->role_arn,
		.session = a->role_session ? a->role_session : a->session,
		.external_id = a->external_id,
		.source_identity = a->source_identity,
		.duration = a->role_duration};
	return a->role_arn ? aws_assume(a, call, &role, f, err) : 0;
}

static int run_row(struct aws_cred *a, find_fn find, const struct call *call, struct cred **ret,
	struct sfs_err *err)
{
	_cleanup_(aws_found_clear) struct aws_found f = {0};
	int r = find(a, call, &f, err);
	if (r == 0)
		r = add_role(a, call, &f, err);
	if (r < 0)
		return r;
	struct cred *set = cred_new(f.field, f.expires, f.source, f.principal);
	if (!set)
		return aws_no_memory(err);
	memset(f.field, 0, sizeof(f.field));
	*ret = set;
	return 0;
}

static int row_options(void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	struct aws_cred *a = state;
	credwatch_reset(&a->watch); /* the first row: a run begins */
	return run_row(state, aws_find_options, call, ret, err);
}

static int row_environment(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	struct aws_cred *a = state;
	if (a->conf->profile_named)
		return err_set(err, ENODATA, "not looked at, because profile= is given");
	return run_row(a, aws_find_environment, call, ret, err);
}

static int row_profile(void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	return run_row(state, aws_find_profile, call, ret, err);
}

static int row_web_identity(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	return run_row(state, aws_find_web_identity, call, ret, err);
}

static int row_container(
	void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	return run_row(state, aws_find_container, call, ret, err);
}

static int row_imds(void *state, const struct call *call, struct cred **ret, struct sfs_err *err)
{
	return run_row(state, aws_find_imds, call, ret, err);
}

static const struct cred_row rows[] = {
	{"options", row_options},
	{"environment", row_environment},
	{"profile", row_profile},
	{"web identity", row_web_identity},
	{"container", row_container},
	{"instance metadata", row_imds},
	{0},
};

/* ---- life ---- */

static int copy_option(
	const struct opt_values *opts, const char *name, char **ret, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(opts, name);
	if (!v || !*v->text)
		return 0;
	*ret = mem_strdup(v->text);
	return *ret ? 0 : aws_no_memory(err);
}

static int check_options(const struct aws_cred *a, struct sfs_err *err)
{
	if (!a->ref[AWS_CRED_ID] != !a->ref[AWS_CRED_KEY])
		return err_set(err, EINVAL,
			"access_key_id= and secret_access_key= go together: give both");
	if (a->ref[AWS_CRED_TOKEN] && !a->ref[AWS_CRED_ID])
		return err_set(
			err, EINVAL, "session_token= needs access_key_id= and secret_access_key=");
	if (a->ref[AWS_CRED_ID] && a->conf->profile_named)
		return err_set(err, EINVAL,
			"access_key_id= and profile= are two sources of credentials: give one");
	if (!a->role_arn &&
		(a->external_id || a->source_identity || a->role_session || a->role_duration))
		return err_set(err, EINVAL,
			"external_id=, source_identity=, role_session_name= and role_duration= "
			"need role_arn=");
	return 0;
}

/* What STS would refuse is refused before anything is sent. */
static int check_role(const struct aws_cred *a, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf body = BUF_INIT(AWS_STS_BODY_MAX);
	struct aws_role role = {.arn = a->role_arn,
		.session = a->role_session ? a->role_session : a->session,
		.external_id = a->external_id,
		.source_identity = a->source_identity,
		.duration = a->role_duration};
	return a->role_arn ? aws_sts_assume_role_body(&role, &body, err) : 0;
}

static int read_options(struct aws_cred *a, const struct opt_values *opts, struct sfs_err *err)
{
	static const char *const refs[] = {"access_key_id", "secret_access_key", "session_token"};
	int r = 0;
	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]) && r == 0; i++)
		r = copy_option(opts, refs[i], &a->ref[i], err);
	if (r == 0)
		r = copy_option(opts, "role_arn", &a->role_arn, err);
	if (r == 0)
		r = copy_option(opts, "role_session_name", &a->role_session, err);
	if (r == 0)
		r = copy_option(opts, "external_id", &a->external_id, err);
	if (r == 0)
		r = copy_option(opts, "source_identity", &a->source_identity, err);
	int64_t seconds = opt_find_number(opts, "role_duration", 0);
	if (r == 0 && seconds && (seconds < 900 || seconds > 43200))
		r = err_set(err, EINVAL, "role_duration= must be from 15m to 12h");
	a->role_duration = (unsigned)seconds;
	if (r == 0)
		r = check_options(a, err);
	return r < 0 ? r : check_role(a, err);
}

/* "secretfs-HOST", of characters that STS takes. */
static char *session_name(void)
{
	char name[SESSION_MAX + 1] = "secretfs-", host[256] = "";
	size_t at = strlen(name);
	gethostname(host, sizeof(host) - 1);
	for (const char *p = host; *p && at < SESSION_MAX; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", *p))
			name[at++] = *p;
	if (name[at - 1] == '-' && at > 1)
		at--;
	name[at] = '\0';
	return mem_strdup(name);
}

static bool changed(void *state)
{
	struct aws_cred *a = state;
	return credwatch_changed(&a->watch, a->env->paths);
}

static int start(struct aws_cred *a, const struct opt_values *opts, struct sfs_err *err)
{
	struct cred_conf conf = {.rows = rows,
		.state = a,
		.renew_ahead = RENEW_AHEAD,
		.block_ahead = BLOCK_AHEAD,
		.changed = changed};
	a->session = session_name();
	a->name = mem_asprintf("aws/%s", a->env->instance);
	if (!a->session || !a->name)
		return aws_no_memory(err);
	int r = read_options(a, opts, err);
	conf.name = a->name;
	return r < 0 ? r : cred_chain_new(&conf, &a->chain, err);
}

int aws_cred_new(const struct backend_env *env, const struct aws_conf *conf,
	const struct opt_values *opts, struct http *http, struct aws_cred **ret,
	struct sfs_err *err)
{
	struct aws_cred *a = mem_calloc(1, sizeof(*a));
	if (!a)
		return aws_no_memory(err);
	a->env = env;
	a->conf = conf;
	a->http = http;
	credwatch_init(&a->watch);
	pthread_mutex_init(&a->lock, NULL);
	int r = start(a, opts, err);
	if (r < 0)
		aws_cred_free(a);
	else
		*ret = a;
	return r;
}

void aws_cred_free(struct aws_cred *a)
{
	if (!a)
		return;
	cred_chain_free(a->chain);
	credwatch_clear(&a->watch);
	aws_sso_token_clear(&a->sso);
	secret_unref(a->sso_was);
	for (size_t i = 0; i < CRED_FIELDS; i++)
		mem_free(a->ref[i]);
	mem_free(a->role_arn);
	mem_free(a->role_session);
	mem_free(a->external_id);
	mem_free(a->source_identity);
	mem_free(a->session);
	mem_free(a->name);
	mem_free(a->region);
	pthread_mutex_destroy(&a->lock);
	mem_free(a);
}

struct cred_chain *aws_cred_chain(struct aws_cred *a)
{
	return a->chain;
}

struct aws_keys aws_cred_keys(const struct cred *c)
{
	return (struct aws_keys){.id = c->field[AWS_CRED_ID],
		.key = c->field[AWS_CRED_KEY],
		.token = c->field[AWS_CRED_TOKEN]};
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

int aws_cred_status(struct aws_cred *a, struct buf *ret_json)
{
	char when[CLOCK_TEXT], key[AWS_KEY_SHOWN];
	_cleanup_(cred_unref_p) struct cred *set = cred_current(a->chain);
	add_text(ret_json, "credentials", set ? set->source : "none yet");
	if (set) {
		add_text(ret_json, "access_key_id", aws_key_shown(set->field[AWS_CRED_ID], key));
		add_text(ret_json, "credentials_expire",
			set->expires ? clock_text(set->expires, when) : "never");
	}
	if (set && set->principal)
		add_text(ret_json, "principal", set->principal);
	buf_str(ret_json, ",\"credential_sources\":{");
	cred_walk(a->chain, add_row, ret_json);
	buf_char(ret_json, '}');
	return -ret_json->failed;
}

struct check {
	struct check_sink *sink;
	const struct cred *set;
};

static void check_row(void *arg, const char *row, const char *result)
{
	struct check *c = arg;
	char what[64], when[CLOCK_TEXT], key[AWS_KEY_SHOWN];
	snprintf(what, sizeof(what), "credentials: %s", row);
	if (strcmp(result, "used") == 0 && c->set)
		check_step(c->sink, CHECK_OK, what, "used: %s, access key id %s, expires %s",
			c->set->source, aws_key_shown(c->set->field[AWS_CRED_ID], key),
			c->set->expires ? clock_text(c->set->expires, when) : "never");
	else
		check_step(c->sink, strncmp(result, "failed", 6) ? CHECK_SKIPPED : CHECK_FAILED,
			what, "%s", result);
}

static void check_identity(struct aws_cred *a, const struct call *call, struct check_sink *sink)
{
	_cleanup_(buf_clear) struct buf account = BUF_INIT(256), arn = BUF_INIT(4096);
	char shown[256], id[64];
	struct sfs_err err = {0};
	if (aws_cred_identity(a, call, &account, &arn, &err) < 0) {
		check_step(sink, CHECK_FAILED, "identity", "%s", err.msg);
		return;
	}
	text_escaped(shown, sizeof(shown), buf_text(&arn), arn.len);
	text_escaped(id, sizeof(id), buf_text(&account), account.len);
	check_step(sink, CHECK_OK, "identity", "%s in account %s", shown, id);
}

int aws_cred_check(
	struct aws_cred *a, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	_cleanup_(cred_unref_p) struct cred *set = NULL;
	int r = cred_get(a->chain, call, &set, err);
	struct check c = {.sink = sink, .set = set};
	cred_walk(a->chain, check_row, &c);
	if (r == 0)
		check_identity(a, call, sink);
	return r;
}
