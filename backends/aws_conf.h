/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a source at AWS: options, variables taken at mount, profile files, in the order of
 * the SDKs (an option beats a variable, a variable a file). Nothing here is secret.
 */
#ifndef SFS_BACKENDS_AWS_CONF_H
#define SFS_BACKENDS_AWS_CONF_H

#include "backends/aws_endpoint.h"
#include "backends/aws_profile.h"
#include "backends/backend.h"
#include "backends/credfile.h"
#include "backends/settings.h"
#include "base/err.h"
#include "base/opt.h"
#include <stdbool.h>
#include <stdint.h>

/* The rows that aws: and aws-ssm: have in common, for their `options`. */
#define AWS_OPTIONS                                                                                \
	{.name = "region",                                                                         \
		.type = OPT_STRING,                                                                \
		.arg = "REGION",                                                                   \
		.help = "Region, where SOURCE names none. Without both: AWS_REGION, "              \
			"AWS_DEFAULT_REGION, the profile's region, then the instance metadata."},  \
		{.name = "profile",                                                                \
			.type = OPT_STRING,                                                        \
			.arg = "NAME",                                                             \
			.help = "Profile of ~/.aws/config and ~/.aws/credentials to use. Keys in " \
				"environment variables are then not looked at, and a profile "     \
				"that does not exist is an error."},                               \
		{.name = "access_key_id",                                                          \
			.type = OPT_SECRET,                                                        \
			.arg = "REF",                                                              \
			.help = "Access key id, with secret_access_key: no other credentials are " \
				"looked for."},                                                    \
		{.name = "secret_access_key",                                                      \
			.type = OPT_SECRET,                                                        \
			.arg = "REF",                                                              \
			.help = "Secret access key to access_key_id."},                            \
		{.name = "session_token",                                                          \
			.type = OPT_SECRET,                                                        \
			.arg = "REF",                                                              \
			.help = "Session token to access_key_id, for temporary keys."},            \
		{.name = "role_arn",                                                               \
			.type = OPT_STRING,                                                        \
			.arg = "ARN",                                                              \
			.help = "Role to assume with the credentials that were found."},           \
		{.name = "role_session_name",                                                      \
			.type = OPT_STRING,                                                        \
			.arg = "NAME",                                                             \
			.help = "Name of the session of role_arn in the provider's logs. "         \
				"Default: secretfs-HOSTNAME."},                                    \
		{.name = "external_id",                                                            \
			.type = OPT_STRING,                                                        \
			.arg = "ID",                                                               \
			.help = "External id that the trust policy of role_arn asks for."},        \
		{.name = "source_identity",                                                        \
			.type = OPT_STRING,                                                        \
			.arg = "NAME",                                                             \
			.help = "Source identity of the session of role_arn, where its trust "     \
				"policy wants one: it stays in the provider's logs through all "   \
				"further roles."},                                                 \
		{.name = "role_duration",                                                          \
			.type = OPT_DURATION,                                                      \
			.arg = "SECONDS",                                                          \
			.help = "Lifetime of the credentials of role_arn, 15m to 12h. Default: "   \
				"the provider's, 1h."},                                            \
		{.name = "fips",                                                                   \
			.type = OPT_FLAG,                                                          \
			.help = "Use the FIPS endpoints. Also AWS_USE_FIPS_ENDPOINT."},            \
		{.name = "dualstack",                                                              \
			.type = OPT_FLAG,                                                          \
			.help = "Use the endpoints that have IPv6 too. Also "                      \
				"AWS_USE_DUALSTACK_ENDPOINT."},                                    \
		{.name = "sts_endpoint",                                                           \
			.type = OPT_STRING,                                                        \
			.arg = "URL",                                                              \
			.help = "Endpoint of STS, as endpoint= is that of the secrets."},          \
	{                                                                                          \
		.name = "imds_v1", .type = OPT_FLAG,                                               \
		.help = "Let the instance metadata service answer without a session token "        \
			"(IMDSv1). Without it such a service counts as none."                      \
	}

/* One of the two files of settings. */
struct aws_conf_file {
	char *path; /* NULL: there is no home directory */
	bool named; /* by its variable */
};

struct aws_conf {
	char *region; /* NULL: only the instance metadata can tell, see aws_cred_region() */
	const char *region_from;      /* "AWS_REGION", "the profile"; static, NULL without region */
	char *profile;		      /* name of the profile, never NULL */
	bool profile_named;	      /* by the option */
	bool profile_env;	      /* by AWS_PROFILE */
	struct aws_conf_file file[2]; /* by enum aws_file */
	char *endpoint[AWS_SERVICES]; /* configured URLs, checked, without slash at the end; NULL =
					 that of the region */
	bool fips, dualstack;
	char *cacert;	       /* NULL = the system's */
	unsigned max_attempts; /* 0 = the engine's default */
	char *app_id;	       /* for the User-Agent; NULL = none */
	bool insecure_http;    /* the option */
	bool imds_disabled;
	bool imds_v1;	      /* the option */
	char *imds_endpoint;  /* URL without slash at the end, never NULL */
	int64_t imds_timeout; /* ns for one attempt */
	unsigned imds_attempts;
};

/* `service` is that of the source: endpoint= is its URL. `location_region` is the region SOURCE
 * names, or NULL. Reads files, no network. Errors: EINVAL with what to write instead (a setting
 * that cannot be, two that contradict each other, no region and no metadata service to ask),
 * ENOKEY (a profile that was named and does not exist), those of credfile_read(), ENOMEM. */
int aws_conf_load(const struct backend_env *env, enum aws_service service,
	const char *location_region, const struct opt_values *opts, struct aws_conf **ret,
	struct sfs_err *err);
void aws_conf_free(struct aws_conf *c);
static inline void aws_conf_free_p(struct aws_conf **c)
{
	aws_conf_free(*c);
}
/* Only which profile and which files: the first step of aws_conf_load(). */
int aws_conf_profile(const struct backend_env *env, const struct opt_values *opts,
	struct aws_conf **ret, struct sfs_err *err);
/* Another step, for what aws_conf_profile() made: sets c->region and c->region_from. `files` are
 * those of aws_conf_files(). EINVAL, ENOMEM. */
int aws_conf_region(const struct backend_env *env, const char *location_region,
	const struct opt_values *opts, struct aws_files *files, struct aws_conf *c,
	struct sfs_err *err);

/* The URL of a service: what is configured, else that of `region`; cleared first. */
int aws_conf_url(const struct aws_conf *c, enum aws_service service, const char *region,
	struct buf *ret, struct sfs_err *err);

/* What to say when the host of that URL does not exist (http_request.no_host); NULL: the user named
 * it. */
const char *aws_conf_no_host(const struct aws_conf *c, enum aws_service service);

/* Both files of `c` as they are now; one that does not exist is empty. `stamps` (by enum aws_file)
 * may be NULL and is set on failure too. aws_files_free() by the caller. */
int aws_conf_files(const struct backend_env *env, const struct aws_conf *c, struct aws_files **ret,
	struct credfile_stamp stamps[2], struct sfs_err *err);
/* Where one of them is: as `variable` says, else ~/.aws/BASE. */
int aws_conf_file_path(const struct backend_env *env, const char *variable, const char *base,
	struct aws_conf_file *ret, struct sfs_err *err);

/* A copy of a value of a file that is no secret (mem_free); NULL with *ret_failed set on no memory,
 * plain NULL if `v` is. */
char *aws_value_text(const struct aws_value *v, bool *ret_failed);

#endif
