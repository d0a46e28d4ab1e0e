/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a source at Google Cloud: options, variables taken at mount, the credentials file,
 * the configuration of gcloud, in the order of Google's libraries (an option beats a variable, a
 * variable a file). Nothing here is secret.
 */
#ifndef SFS_BACKENDS_GCP_CONF_H
#define SFS_BACKENDS_GCP_CONF_H

#include "backends/backend.h"
#include "backends/settings.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"
#include <stdbool.h>
#include <stdint.h>

#define GCP_UNIVERSE "googleapis.com" /* where nothing else is said */

/* Rows of the option table, beside NET_OPTIONS and what gcp.c adds. */
#define GCP_OPTIONS                                                                                \
	{.name = "project",                                                                        \
		.type = OPT_STRING,                                                                \
		.arg = "PROJECT",                                                                  \
		.help = "Project id or number, where SOURCE names none. Without both: "            \
			"GOOGLE_CLOUD_PROJECT, GCLOUD_PROJECT, the key file's project, gcloud's "  \
			"configuration, then the metadata server."},                               \
		{.name = "credentials",                                                            \
			.type = OPT_PATH,                                                          \
			.arg = "FILE",                                                             \
			.help = "Credentials file: a key of a service account, user credentials "  \
				"of gcloud, or a configuration of workload identity federation. "  \
				"No other credentials are looked for. Read again when it "         \
				"changes."},                                                       \
		{.name = "token_file",                                                             \
			.type = OPT_PATH,                                                          \
			.arg = "FILE",                                                             \
			.help = "File with an access token that somebody else renews; read again " \
				"when it changes. No other credentials are looked for."},          \
		{.name = "impersonate",                                                            \
			.type = OPT_STRING,                                                        \
			.arg = "EMAIL",                                                            \
			.help = "Service account to act as, with the credentials that were "       \
				"found; "                                                          \
				"they need the role iam.serviceAccountTokenCreator on it."},       \
		{.name = "subject",                                                                \
			.type = OPT_STRING,                                                        \
			.arg = "EMAIL",                                                            \
			.help = "User to act as by domain-wide delegation to the service account " \
				"whose key is used."},                                             \
		{.name = "token_endpoint",                                                         \
			.type = OPT_FLAG,                                                          \
			.help = "Exchange what the key of a service account signs for an access "  \
				"token at its token_uri, instead of sending it to the API as "     \
				"it is."},                                                         \
		{.name = "quota_project",                                                          \
			.type = OPT_STRING,                                                        \
			.arg = "PROJECT",                                                          \
			.help = "Project whose quota is used. Also GOOGLE_CLOUD_QUOTA_PROJECT; "   \
				"else the one that the credentials file names."},                  \
		{.name = "universe",                                                               \
			.type = OPT_STRING,                                                        \
			.arg = "DOMAIN",                                                           \
			.help = "Domain of the cloud's services. Also "                            \
				"GOOGLE_CLOUD_UNIVERSE_DOMAIN. Default: that of the credentials, " \
				"else googleapis.com."},                                           \
	{                                                                                          \
		.name = "iam_endpoint", .type = OPT_STRING, .arg = "URL",                          \
		.help = "Where impersonate= asks for tokens, as endpoint= is that of the secrets." \
	}

/* Files of credentials, in order. */
enum gcp_file { GCP_FILE_OPTION, GCP_FILE_VARIABLE, GCP_FILE_WELL_KNOWN, GCP_FILES };

struct gcp_conf {
	char *project; /* id, number or DOMAIN:ID; NULL: only the metadata server can tell, see
			  gcp_cred_project() */
	const char *project_from;  /* "the source", "GOOGLE_CLOUD_PROJECT"; static, NULL without
				      project */
	char *location;		   /* one DNS label; NULL = global */
	char *universe;		   /* the configured one; NULL = that of the credentials */
	const char *universe_from; /* static; NULL without universe */
	char *endpoint;	    /* endpoint=, checked, without slash at the end; NULL = that of universe
			       and location */
	char *iam_endpoint; /* the same of iam_endpoint= */
	char *quota_project; /* option or variable; NULL = that of the credentials */

	char *file[GCP_FILES]; /* credentials files by enum gcp_file; NULL = none is named (the
				  variable is not looked at beside an option), or there is no home
				  directory */
	char *token_file;      /* NULL = none; never with file[GCP_FILE_OPTION] */
	char *impersonate;     /* EMAIL, checked; NULL = nobody */
	char *subject;	       /* EMAIL, checked; NULL = nobody */
	bool token_endpoint;   /* the option, or needed for `subject` */
	bool executables;      /* GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 */

	char *cacert; /* path; NULL = the system's */
	bool insecure_http;

	bool metadata_off;	  /* NO_GCE_CHECK */
	bool metadata_likely;	  /* variables or the firmware say that this is Google Cloud */
	bool metadata_starting;	  /* it may not be reachable yet at the start (GKE) */
	char *metadata_url;	  /* "http://HOST[:PORT]", never NULL */
	char *metadata_ping;	  /* "http://IP[:PORT]", never NULL */
	int64_t metadata_timeout; /* ns for one attempt */
	unsigned metadata_attempts;
};

/* `location` is that of SOURCE: "", PROJECT or PROJECT/LOCATION; a domain-scoped project id has a
 * colon. Reads files, no network. Errors: EINVAL with what to write instead (a setting that cannot
 * be, two that contradict each other, no project and nothing that could tell it), those of reading
 * a credentials file that is named (gcp_doc_read()), ENOMEM. */
int gcp_conf_load(const struct backend_env *env, const char *location,
	const struct opt_values *opts, struct gcp_conf **ret, struct sfs_err *err);
void gcp_conf_free(struct gcp_conf *c);
static inline void gcp_conf_free_p(struct gcp_conf **c)
{
	gcp_conf_free(*c);
}
/* Only which files and switches of credentials there are: the first step of gcp_conf_load(), and
 * all that needs() wants. */
int gcp_conf_files(const struct backend_env *env, const struct opt_values *opts,
	struct gcp_conf **ret, struct sfs_err *err);

/* Appends `https://SERVICE[.LOCATION.rep].UNIVERSE`; `location` NULL = global. ENOMEM. */
int gcp_conf_host(struct buf *out, const char *service, const char *location, const char *universe,
	struct sfs_err *err);
/* Whether it may stand in a URL. EINVAL; `what` is wrong. */
int gcp_check_project(const char *what, const char *text, struct sfs_err *err);
int gcp_check_universe(const char *what, const char *text, struct sfs_err *err);
int gcp_check_email(const char *what, const char *text, struct sfs_err *err);

/* Where the firmware says whose machine this is. Tests put another file there. */
extern const char *gcp_firmware_file;

/* gcp_conf_gcloud.c: the project of gcloud's active configuration. Appends to `ret`; 0 with nothing
 * appended where there is none. `ret_where` (BUF_PLAIN, may be NULL) gets the file that was looked
 * at, or would have been. Errors: EINVAL (a malformed file), EACCES, ENOMEM. */
int gcp_gcloud_project(
	const struct backend_env *env, struct buf *ret, struct buf *ret_where, struct sfs_err *err);
/* The directory of gcloud: CLOUDSDK_CONFIG, else ~/.config/gcloud; NULL without a home directory.
 * mem_free(). EINVAL, ENOMEM. */
int gcp_gcloud_dir(const struct backend_env *env, char **ret, struct sfs_err *err);
/* The value of `key` in `section` of an INI file as gcloud writes it: 1 = appended, 0 = not there.
 * A pure function. EBADMSG, ENOMEM, EFBIG. */
int gcp_gcloud_ini(const char *text, size_t len, const char *section, const char *key,
	struct buf *ret, struct sfs_err *err);

#endif
