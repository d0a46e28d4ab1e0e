/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_conf.h"

#include "backends/gcp_doc.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "net/http.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define METADATA_HOST "metadata.google.internal"
#define METADATA_IP   "169.254.169.254"

const char *gcp_firmware_file = "/sys/class/dmi/id/product_name";

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for the settings");
}

/* ---- what may stand in a URL ---- */

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static int bad(const char *what, const char *text, const char *why, struct sfs_err *err)
{
	char shown[96];
	text_escaped(shown, sizeof(shown), text, strlen(text));
	return err_set(err, EINVAL, "%s: %s is %s", what, shown, why);
}

/* One label of a host name of `len` bytes. */
static bool is_label(const char *s, size_t len)
{
	return len && len <= 63 && strspn(s, LOWER DIGITS "-") >= len && s[0] != '-' &&
	       s[len - 1] != '-';
}

static bool is_domain(const char *s, size_t len)
{
	bool dots = false;
	while (len) {
		const char *dot = memchr(s, '.', len);
		size_t n = dot ? (size_t)(dot - s) : len;
		if (!is_label(s, n))
			return false;
		if (!dot)
			return dots;
		dots = true;
		s += n + 1;
		len -= n + 1;
	}
	return false;
}

/* An id is 6 to 30 characters for new projects; older ones and emulators know others. */
static bool is_project(const char *s)
{
	const char *colon = strchr(s, ':');
	if (colon && !is_domain(s, (size_t)(colon - s)))
		return false;
	s = colon ? colon + 1 : s;
	if (*s && strspn(s, DIGITS) == strlen(s))
		return !colon && *s != '0' && strlen(s) <= 19;
	return is_label(s, strlen(s)) && strchr(LOWER, *s);
}

int gcp_check_project(const char *what, const char *text, struct sfs_err *err)
{
	return is_project(text) ? 0
				: bad(what, text,
					  "no project: write its id, such as my-project or "
					  "example.com:my-project, or its number",
					  err);
}

int gcp_check_universe(const char *what, const char *text, struct sfs_err *err)
{
	return is_domain(text, strlen(text))
		       ? 0
		       : bad(what, text, "no domain of a cloud, such as googleapis.com", err);
}

int gcp_check_email(const char *what, const char *text, struct sfs_err *err)
{
	const char *at = strchr(text, '@');
	size_t local = at ? (size_t)(at - text) : 0;
	if (local && strspn(text, LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "._%+-") >= local &&
		strlen(text) <= 254 && is_domain(at + 1, strlen(at + 1)))
		return 0;
	return bad(what, text,
		"no address of an account, such as name@project.iam.gserviceaccount.com", err);
}

int gcp_conf_host(struct buf *out, const char *service, const char *location, const char *universe,
	struct sfs_err *err)
{
	int r = location ? buf_printf(out, "https://%s.%s.rep.%s", service, location, universe)
			 : buf_printf(out, "https://%s.%s", service, universe);
	return r < 0 ? no_memory(err) : 0;
}

/* ---- one setting after the other ---- */

struct loader {
	const struct backend_env *env;
	const struct opt_values *opts;
	struct gcp_conf *c;
};

/* An option, else a variable, else another. *ret stays NULL if nobody has it. */
static int pick(struct loader *l, const char *option, const char *variable, const char *other,
	char **ret, const char **ret_from, struct sfs_err *err)
{
	const char *const names[] = {variable, other};
	int r = option ? setting_option(l->opts, option, ret, err) : 0;
	*ret_from = option;
	for (size_t i = 0; i < 2 && r == 0 && !*ret && names[i]; i++) {
		r = setting_env(l->env, names[i], ret, err);
		*ret_from = names[i];
	}
	if (!*ret)
		*ret_from = NULL;
	return r;
}

static int load_file(struct loader *l, enum gcp_file which, const char *from, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = which == GCP_FILE_OPTION ? setting_option(l->opts, from, &text, err)
					 : setting_env(l->env, from, &text, err);
	if (r == 0 && text)
		r = setting_path(l->env, from, text, &l->c->file[which], err);
	return r;
}

static int load_well_known(struct loader *l, struct sfs_err *err)
{
	_cleanup_free_ char *dir = NULL;
	int r = gcp_gcloud_dir(l->env, &dir, err);
	if (r < 0 || !dir)
		return r;
	l->c->file[GCP_FILE_WELL_KNOWN] =
		mem_asprintf("%s/application_default_credentials.json", dir);
	return l->c->file[GCP_FILE_WELL_KNOWN] ? 0 : no_memory(err);
}

static int load_executables(struct loader *l, struct sfs_err *err)
{
	static const char name[] = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
	_cleanup_free_ char *text = NULL;
	int r = setting_env(l->env, name, &text, err);
	if (r == 0)
		l->c->executables = text && strcmp(text, "1") == 0;
	return r;
}

static int load_token_file(struct loader *l, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	int r = setting_option(l->opts, "token_file", &text, err);
	if (r == 0 && text)
		r = setting_path(l->env, "token_file", text, &l->c->token_file, err);
	if (r == 0 && l->c->token_file && l->c->file[GCP_FILE_OPTION])
		return err_set(err, EINVAL,
			"credentials= and token_file= are two sources of credentials: give one");
	return r;
}

int gcp_conf_files(const struct backend_env *env, const struct opt_values *opts,
	struct gcp_conf **ret, struct sfs_err *err)
{
	_cleanup_(gcp_conf_free_p) struct gcp_conf *c = mem_calloc(1, sizeof(*c));
	struct loader l = {.env = env, .opts = opts, .c = c};
	if (!c)
		return no_memory(err);
	int r = load_file(&l, GCP_FILE_OPTION, "credentials", err);
	if (r == 0)
		r = load_token_file(&l, err);
	if (r == 0 && !c->file[GCP_FILE_OPTION] && !c->token_file)
		r = load_file(&l, GCP_FILE_VARIABLE, "GOOGLE_APPLICATION_CREDENTIALS", err);
	if (r == 0)
		r = load_well_known(&l, err);
	if (r == 0)
		r = load_executables(&l, err);
	if (r == 0)
		*ret = take(c);
	return r;
}

/* ---- URLs and names ---- */

static int load_url(struct loader *l, const char *option, char **ret, struct sfs_err *err)
{
	int r = setting_option(l->opts, option, ret, err);
	if (r < 0 || !*ret)
		return r;
	r = http_url_check(*ret, l->c->insecure_http, err);
	if (r < 0)
		return err_prefix(err, "%s", option);
	if (strchr(*ret, '?'))
		return err_set(err, EINVAL, "%s: a URL with a query is none of a service", option);
	for (size_t n = strlen(*ret); n && (*ret)[n - 1] == '/'; n--)
		(*ret)[n - 1] = '\0';
	return 0;
}

static int load_principals(struct loader *l, struct sfs_err *err)
{
	struct gcp_conf *c = l->c;
	const char *from;
	int r = setting_option(l->opts, "impersonate", &c->impersonate, err);
	if (r == 0 && c->impersonate)
		r = gcp_check_email("impersonate", c->impersonate, err);
	if (r == 0)
		r = setting_option(l->opts, "subject", &c->subject, err);
	if (r == 0 && c->subject)
		r = gcp_check_email("subject", c->subject, err);
	if (r == 0)
		r = pick(l, "quota_project", "GOOGLE_CLOUD_QUOTA_PROJECT", NULL, &c->quota_project,
			&from, err);
	if (r == 0 && c->quota_project)
		r = gcp_check_project(from, c->quota_project, err);
	c->token_endpoint = c->subject || opt_find_number(l->opts, "token_endpoint", 0) != 0;
	return r;
}

static int load_universe(struct loader *l, struct sfs_err *err)
{
	struct gcp_conf *c = l->c;
	int r = pick(l, "universe", "GOOGLE_CLOUD_UNIVERSE_DOMAIN", NULL, &c->universe,
		&c->universe_from, err);
	return r < 0 || !c->universe ? r : gcp_check_universe(c->universe_from, c->universe, err);
}

static int load_services(struct loader *l, struct sfs_err *err)
{
	int r = load_url(l, "endpoint", &l->c->endpoint, err);
	if (r == 0)
		r = load_url(l, "iam_endpoint", &l->c->iam_endpoint, err);
	if (r == 0)
		r = setting_option(l->opts, "cacert", &l->c->cacert, err);
	return r;
}

/* ---- the metadata server ---- */

/* "HOST[:PORT]" of a variable as URL, which must be one that is asked in the clear. */
static int load_address(struct loader *l, const char *variable, const char *legacy,
	const char *dflt, char **ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *from;
	int r = pick(l, NULL, variable, legacy, &text, &from, err);
	if (r < 0)
		return r;
	l->c->metadata_likely |= text != NULL;
	if (text && strpbrk(text, "/@?#"))
		return err_set(err, EINVAL, "%s must be HOST or HOST:PORT", from);
	*ret = mem_asprintf("http://%s", text ? text : dflt);
	if (!*ret)
		return no_memory(err);
	r = text ? http_url_check(*ret, l->c->insecure_http, err) : 0;
	return r < 0 ? err_prefix(err, "%s", from) : 0;
}

static int load_number(
	struct loader *l, const char *variable, uint64_t max, uint64_t *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	uint64_t n;
	int r = setting_env(l->env, variable, &text, err);
	if (r < 0 || !text)
		return r;
	if (parse_u64(text, max, &n) < 0 || n == 0)
		return err_set(err, EINVAL, "%s must be a number from 1 to %llu", variable,
			(unsigned long long)max);
	*ret = n;
	return 0;
}

/* What the firmware of a machine at Google calls itself; no file, no hint. */
static bool firmware_says_google(const struct backend_env *env)
{
	_cleanup_close_ int fd = -1;
	char text[16] = "";
	if (path_open_file(env->paths, gcp_firmware_file, NULL, &fd, NULL) < 0)
		return false;
	return read(fd, text, sizeof(text) - 1) >= 6 && strncmp(text, "Google", 6) == 0;
}

/* Variables of the platforms at Google that hide the firmware. */
static bool variables_say_google(const struct backend_env *env)
{
	static const char *const names[] = {
		"K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_SERVICE"};
	bool there = false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !there; i++) {
		struct secret *v = envstore_get(env->env, names[i]);
		there = v && secret_len(v);
		secret_unref(v);
	}
	return there;
}

static int load_hints(struct loader *l, struct sfs_err *err)
{
	_cleanup_free_ char *pod = NULL, *off = NULL;
	struct gcp_conf *c = l->c;
	int r = setting_env(l->env, "KUBERNETES_SERVICE_HOST", &pod, err);
	if (r == 0)
		r = setting_env(l->env, "NO_GCE_CHECK", &off, err);
	if (r < 0)
		return r;
	c->metadata_off = off && strcasecmp(off, "true") == 0;
	bool google = firmware_says_google(l->env);
	c->metadata_starting = pod || google;
	c->metadata_likely |= pod || google || variables_say_google(l->env);
	return 0;
}

static int load_metadata(struct loader *l, struct sfs_err *err)
{
	struct gcp_conf *c = l->c;
	uint64_t seconds = 3, attempts = 3;
	int r = load_address(
		l, "GCE_METADATA_HOST", "GCE_METADATA_ROOT", METADATA_HOST, &c->metadata_url, err);
	if (r == 0)
		r = load_address(l, "GCE_METADATA_IP", NULL, METADATA_IP, &c->metadata_ping, err);
	if (r == 0)
		r = load_number(l, "GCE_METADATA_TIMEOUT", 60, &seconds, err);
	if (r == 0)
		r = load_number(l, "GCE_METADATA_DETECT_RETRIES", 10, &attempts, err);
	if (r == 0)
		r = load_hints(l, err);
	c->metadata_timeout = (int64_t)seconds * NSEC_PER_SEC;
	c->metadata_attempts = (unsigned)attempts;
	return r;
}

/* ---- project and location ---- */

static int load_location(struct loader *l, const char *location, struct sfs_err *err)
{
	const char *slash = strchr(location, '/');
	size_t len = slash ? (size_t)(slash - location) : strlen(location);
	struct gcp_conf *c = l->c;
	if (slash && !is_label(slash + 1, strlen(slash + 1)))
		return bad("the source", slash + 1,
			"no location: write one word such as europe-west3", err);
	if (slash && !(c->location = mem_strdup(slash + 1)))
		return no_memory(err);
	if (!len)
		return 0;
	c->project = mem_strndup(location, len);
	c->project_from = "the source";
	return c->project ? gcp_check_project("the source", c->project, err) : no_memory(err);
}

/* project= beside a SOURCE that names one must be the same. */
static int agree(struct loader *l, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(l->opts, "project");
	if (!l->c->project || !v || !*v->text || strcmp(v->text, l->c->project) == 0)
		return 0;
	return err_set(err, EINVAL,
		"the source and project= (%s) name different projects: give one of them",
		v->origin);
}

/* The first of the credentials files that counts, parsed: what is wrong with it is told at mount.
 * false: there is none. */
static int read_file(struct loader *l, struct gcp_doc *doc, bool *ret_there, struct sfs_err *err)
{
	const struct gcp_conf *c = l->c;
	struct credfile_stamp stamp = {0};
	struct sfs_err why = {0};
	*ret_there = false;
	for (int i = 0; i < GCP_FILES && !c->token_file; i++) {
		if (!c->file[i])
			continue;
		int r = gcp_doc_read(l->env->paths, c->file[i], doc, &stamp, &why);
		if (r == 0)
			*ret_there = true;
		if (r == 0 || i == GCP_FILE_WELL_KNOWN) /* its row tells what is wrong */
			return r == -ENOMEM ? err_set(err, ENOMEM, "%s", why.msg) : 0;
		return err_set(err, -r, "%s: %s",
			i == GCP_FILE_OPTION ? "credentials=" : "GOOGLE_APPLICATION_CREDENTIALS",
			why.msg);
	}
	return 0;
}

static int project_of_file(struct loader *l, const struct gcp_doc *doc, struct sfs_err *err)
{
	struct gcp_conf *c = l->c;
	if (doc->type != GCP_SERVICE_ACCOUNT)
		return 0;
	c->project_from = "the credentials file";
	return gcp_doc_text(doc, NULL, "project_id", GCP_MAY, &c->project, err);
}

static int project_of_gcloud(struct loader *l, struct buf *where, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf project = BUF_INIT(256);
	int r = gcp_gcloud_project(l->env, &project, where, err);
	if (r < 0 || !project.len)
		return r;
	l->c->project_from = "gcloud's configuration";
	l->c->project = buf_take(&project);
	return l->c->project ? 0 : no_memory(err);
}

static int no_project(struct loader *l, const struct buf *where, struct sfs_err *err)
{
	const struct gcp_conf *c = l->c;
	l->c->project_from = NULL;
	if (c->metadata_likely && !c->metadata_off)
		return 0;
	return err_set(err, EINVAL,
		"no project: name it in the source (gcp:PROJECT) or by project=; looked at "
		"GOOGLE_CLOUD_PROJECT, GCLOUD_PROJECT, the project_id of a key file, gcloud's "
		"configuration (%s) and the metadata server (%s)",
		where->len ? buf_text(where) : "there is no home directory",
		c->metadata_off ? "switched off by NO_GCE_CHECK"
				: "nothing says that this is Google Cloud");
}

static int load_project(struct loader *l, const char *location, struct sfs_err *err)
{
	_cleanup_(gcp_doc_clear) struct gcp_doc doc = GCP_DOC_INIT;
	_cleanup_(buf_clear) struct buf where = BUF_INIT(SFS_PATH_MAX);
	struct gcp_conf *c = l->c;
	bool there;
	int r = load_location(l, location, err);
	if (r == 0)
		r = agree(l, err);
	if (r == 0 && !c->project)
		r = pick(l, "project", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", &c->project,
			&c->project_from, err);
	if (r == 0)
		r = read_file(l, &doc, &there, err);
	if (r == 0 && !c->project && there)
		r = project_of_file(l, &doc, err);
	if (r == 0 && !c->project)
		r = project_of_gcloud(l, &where, err);
	if (r == 0 && !c->project)
		return no_project(l, &where, err);
	if (r < 0 || !c->project)
		return r;
	return gcp_check_project(c->project_from, c->project, err);
}

/* ---- all of them ---- */

int gcp_conf_load(const struct backend_env *env, const char *location,
	const struct opt_values *opts, struct gcp_conf **ret, struct sfs_err *err)
{
	_cleanup_(gcp_conf_free_p) struct gcp_conf *c = NULL;
	int r = gcp_conf_files(env, opts, &c, err);
	if (r < 0 || !c)
		return r;
	struct loader l = {.env = env, .opts = opts, .c = c};
	c->insecure_http = opt_find_number(opts, "insecure_http", 0) != 0;
	r = load_metadata(&l, err);
	if (r == 0)
		r = load_project(&l, location, err);
	if (r == 0)
		r = load_services(&l, err);
	if (r == 0)
		r = load_universe(&l, err);
	if (r == 0)
		r = load_principals(&l, err);
	if (r == 0)
		*ret = take(c);
	return r;
}

void gcp_conf_free(struct gcp_conf *c)
{
	if (!c)
		return;
	for (int i = 0; i < GCP_FILES; i++)
		mem_free(c->file[i]);
	mem_free(c->project);
	mem_free(c->location);
	mem_free(c->universe);
	mem_free(c->endpoint);
	mem_free(c->iam_endpoint);
	mem_free(c->quota_project);
	mem_free(c->token_file);
	mem_free(c->impersonate);
	mem_free(c->subject);
	mem_free(c->cacert);
	mem_free(c->metadata_url);
	mem_free(c->metadata_ping);
	mem_free(c);
}
