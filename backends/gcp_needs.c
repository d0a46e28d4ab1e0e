/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What credentials and settings of Google Cloud are made of on this machine, found out in the mount
 * command: variables, credentials files and what they name, the configuration of gcloud.
 */
#include "backends/gcp_conf.h"
#include "backends/gcp_cred.h"
#include "backends/gcp_doc.h"
#include "backends/gcp_external.h"
#include "backends/settings.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

/* Variables that are read; in front those that say where to look. */
static const char *const wanted[] = {"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
	"CLOUDSDK_ACTIVE_CONFIG_NAME", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
	"CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT",
	"GOOGLE_CLOUD_QUOTA_PROJECT", "GOOGLE_CLOUD_UNIVERSE_DOMAIN", "GCE_METADATA_*",
	"NO_GCE_CHECK", "KUBERNETES_SERVICE_HOST", "K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET",
	"GAE_SERVICE"};
#define WANTED (sizeof(wanted) / sizeof(wanted[0]))
#define WHERE  5

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for what the source needs");
}

static int told(int r, struct sfs_err *err)
{
	return r < 0 ? err_errno(err, -r, "tell what the source needs") : 0;
}

/* What a document names, and the one inside of it. */
static int need_doc(const struct backend_env *env, const struct gcp_conf *c,
	const struct gcp_doc *doc, struct needs *n, struct sfs_err *err)
{
	struct gcp_doc source = GCP_DOC_INIT;
	if (doc->type == GCP_EXTERNAL_ACCOUNT)
		return gcp_external_needs(env, doc, c->executables, n, err);
	if (doc->type != GCP_IMPERSONATED || doc->nested)
		return 0;
	int r = gcp_doc_nested(doc, "source_credentials", &source, err);
	return r < 0 ? r : need_doc(env, c, &source, n, err);
}

/* A file that is not there yet, or cannot be read now, names nothing: open() tells. */
static int need_file(const struct backend_env *env, const struct gcp_conf *c, const char *path,
	struct needs *n, struct sfs_err *err)
{
	_cleanup_(gcp_doc_clear) struct gcp_doc doc = GCP_DOC_INIT;
	struct credfile_stamp stamp = {0};
	struct sfs_err why = {0};
	int r = told(needs_file(n, path), err);
	if (r < 0)
		return r;
	r = gcp_doc_read(env->paths, path, &doc, &stamp, &why);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "%s", why.msg);
	return r < 0 ? 0 : need_doc(env, c, &doc, n, err);
}

/* The file that counts: those behind it are not looked at. */
static int need_files(const struct backend_env *env, const struct gcp_conf *c, struct needs *n,
	struct sfs_err *err)
{
	if (c->token_file)
		return told(needs_file(n, c->token_file), err);
	for (int i = 0; i < GCP_FILES; i++)
		if (c->file[i])
			return need_file(env, c, c->file[i], n, err);
	return 0;
}

/* Which configuration is active may change, so the whole folder of them. */
static int need_gcloud(const struct backend_env *env, struct needs *n, struct sfs_err *err)
{
	_cleanup_free_ char *dir = NULL, *active = NULL, *all = NULL;
	int r = gcp_gcloud_dir(env, &dir, err);
	if (r < 0 || !dir)
		return r;
	active = mem_asprintf("%s/active_config", dir);
	all = mem_asprintf("%s/configurations", dir);
	if (!active || !all)
		return no_memory(err);
	r = told(needs_file(n, active), err);
	return r < 0 ? r : told(needs_dir(n, all), err);
}

int gcp_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err)
{
	_cleanup_(gcp_conf_free_p) struct gcp_conf *c = NULL;
	struct envstore *vars = NULL;
	int r = 0;
	(void)location;
	for (size_t i = 0; i < WANTED && r == 0; i++)
		r = told(needs_env(n, wanted[i]), err);
	if (r == 0)
		r = setting_variables(n, wanted, WHERE, &vars, err);
	if (r < 0)
		return r;
	struct backend_env env = {
		.instance = "", .paths = needs_paths(n), .env = vars, .home = needs_home(n)};
	r = gcp_conf_files(&env, opts, &c, err);
	if (r == 0)
		r = need_files(&env, c, n, err);
	if (r == 0)
		r = need_gcloud(&env, n, err);
	envstore_free(vars);
	return r;
}
