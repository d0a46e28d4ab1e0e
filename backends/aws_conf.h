/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a source at AWS: options, variables taken at mount, profile files, in the order of
 * the SDKs (an option beats a variable, a variable a file). Nothing here is secret.
 */
#ifndef SFS_BACKENDS_AWS_CONF_H
#define SFS_BACKENDS_AWS_CONF_H

#include "backends/aws_endpoint.h"
#include "backends/backend.h"
#include "backends/credfile.h"
#include "base/err.h"
#include "base/opt.h"
#include <stdbool.h>

struct aws_files;

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

struct aws_conf {
	char *region; /* NULL: only the instance metadata can tell, see aws_cred_region() */
	const char *region_from; /* "AWS_REGION", "profile dev"; static or of this struct */
	char *profile;		 /* name of the profile, never NULL */
	bool profile_named;	 /* by the option */
	bool profile_env;	 /* by AWS_PROFILE */
	char *config_file, *credentials_file; /* paths; NULL without a home directory */
	char *endpoint[AWS_SERVICES]; /* configured URLs, checked; NULL = that of the region */
	bool fips, dualstack;
	char *cacert;	       /* NULL = the system's */
	unsigned max_attempts; /* 0 = the engine's default */
	char *app_id;	       /* for the User-Agent; NULL = none */
	bool imds_v1;
};

/* `service` is that of the source: endpoint= is its URL. `location_region` is the region SOURCE
 * names, or NULL. Reads files, no network. Errors: EINVAL with what to write instead (a setting
 * that cannot be, two that contradict each other, no region and no metadata service to ask),
 * ENOENT (a profile that was named and does not exist), those of credfile_read(), ENOMEM. */
int aws_conf_load(const struct backend_env *env, enum aws_service service,
	const char *location_region, const struct opt_values *opts, struct aws_conf **ret,
	struct sfs_err *err);
void aws_conf_free(struct aws_conf *c);

/* The URL of a service: what is configured, else that of `region`; cleared first. */
int aws_conf_url(const struct aws_conf *c, enum aws_service service, const char *region,
	struct buf *ret, struct sfs_err *err);

/* Both files of `c` as they are now; one that does not exist is empty. `stamps` (config, then
 * credentials) may be NULL and is set on failure too. aws_files_free() by the caller. */
int aws_conf_files(const struct backend_env *env, const struct aws_conf *c, struct aws_files **ret,
	struct credfile_stamp stamps[2], struct sfs_err *err);

/* A variable as text in ordinary memory (mem_free), for what is no secret; empty counts as not set.
 * 0 with NULL if it is not set; ENOMEM, EINVAL for a control character (R40). */
int aws_env_text(
	const struct backend_env *env, const char *name, char **ret_text, struct sfs_err *err);
/* "true" and "false" in any case; anything else is an error that names the variable. `*ret` is
 * untouched when it is not set. */
int aws_env_flag(const struct backend_env *env, const char *name, bool *ret, struct sfs_err *err);

#endif
