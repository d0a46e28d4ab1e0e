/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_conf.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/http.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define IMDS_IPV4 "http://169.254.169.254"
#define IMDS_IPV6 "http://[fd00:ec2::254]"

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for the settings");
}

/* ---- one setting after the other ---- */

struct loader {
	const struct backend_env *env;
	const struct opt_values *opts;
	struct aws_conf *c;
	struct aws_files *files;
};

static void loader_clear(struct loader *l)
{
	aws_files_free(l->files);
}

static int from_profile(struct loader *l, const char *key, char **ret, struct sfs_err *err)
{
	bool failed = false;
	*ret = aws_value_text(aws_files_value(l->files, l->c->profile, key), &failed);
	if (*ret && setting_has_control(*ret, strlen(*ret)))
		return err_set(
			err, EINVAL, "profile %s: a control character in %s", l->c->profile, key);
	return failed ? no_memory(err) : 0;
}

/* Where one setting comes from, in order; each may be NULL. */
struct setting {
	const char *option, *variable, *legacy, *key;
};

/* *ret stays NULL if nobody has it, *ret_from says who did. */
static int pick(struct loader *l, const struct setting *s, char **ret, const char **ret_from,
	struct sfs_err *err)
{
	int r = s->option ? setting_option(l->opts, s->option, ret, err) : 0;
	*ret_from = s->option;
	if (r == 0 && !*ret && s->variable) {
		r = setting_env(l->env, s->variable, ret, err);
		*ret_from = s->variable;
	}
	if (r == 0 && !*ret && s->legacy) {
		r = setting_env(l->env, s->legacy, ret, err);
		*ret_from = s->legacy;
	}
	if (r == 0 && !*ret && s->key) {
		r = from_profile(l, s->key, ret, err);
		*ret_from = "the profile";
	}
	return r;
}

static int pick_flag(struct loader *l, const struct setting *s, bool *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *from = NULL;
	struct setting rest = *s;
	if (s->option && opt_find(l->opts, s->option)) {
		*ret = opt_find_number(l->opts, s->option, 0) != 0;
		return 0;
	}
	rest.option = NULL;
	int r = pick(l, &rest, &text, &from, err);
	if (r < 0 || !text)
		return r;
	return setting_flag(from == s->variable ? s->variable : s->key, text, ret, err);
}

static int pick_number(
	struct loader *l, const struct setting *s, uint64_t max, uint64_t *ret, struct sfs_err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *from = NULL;
	uint64_t n;
	int r = pick(l, s, &text, &from, err);
	if (r < 0 || !text)
		return r;
	if (parse_u64(text, max, &n) < 0 || n == 0)
		return err_set(err, EINVAL, "%s must be a number from 1 to %llu",
			from == s->variable ? s->variable : s->key, (unsigned long long)max);
	*ret = n;
	return 0;
}

/* c->region stays NULL if nothing names one. */
static int find_region(struct loader *l, const char *location, struct sfs_err *err)
{
	static const struct setting order = {
		"region", "AWS_REGION", "AWS_DEFAULT_REGION", "region"};
	const struct opt_value *option = opt_find(l->opts, "region");
	struct aws_conf *c = l->c;
	int r;
	if (location && *location) {
		if (option && *option->text && strcmp(option->text, location) != 0)
			return err_set(err, EINVAL,
				"the source and region= (%s) name different regions: give one of "
				"them",
				option->origin);
		c->region = mem_strdup(location);
		c->region_from = "the source";
		r = c->region ? 0 : no_memory(err);
	} else {
		r = pick(l, &order, &c->region, &c->region_from, err);
	}
	if (r < 0)
		return r;
	if (c->region && aws_region_check(c->region, err) < 0)
		return err_prefix(err, "%s", c->region_from);
	if (!c->region)
		c->region_from = NULL;
	return 0;
}

static int load_region(struct loader *l, const char *location, struct sfs_err *err)
{
	int r = find_region(l, location, err);
	if (r < 0)
		return r;
	if (!l->c->region && l->c->imds_disabled)
		return err_set(err, EINVAL,
			"no region: name it in the source (aws:REGION), by region=, AWS_REGION or "
			"the profile's region");
	return 0;
}

static int check_url(struct loader *l, const char *from, char *url, struct sfs_err *err)
{
	int r = http_url_check(url, l->c->insecure_http, err);
	if (r < 0)
		return err_prefix(err, "%s", from);
	for (size_t n = strlen(url); n && url[n - 1] == '/'; n--)
		url[n - 1] = '\0';
	return 0;
}

static int from_services(struct loader *l, enum aws_service s, char **ret, struct sfs_err *err)
{
	_cleanup_free_ char *services = NULL;
	bool failed = false;
	int r = from_profile(l, "services", &services, err);
	if (r < 0 || !services)
		return r;
	if (!aws_files_has_services(l->files, services)) {
		char shown[128];
		text_escaped(shown, sizeof(shown), services, strlen(services));
		return err_set(err, EINVAL,
			"profile %s says services = %s, but there is no section [services %s]",
			l->c->profile, shown, shown);
	}
	*ret = aws_value_text(
		aws_files_service(l->files, services, aws_service_block(s), "endpoint_url"),
		&failed);
	return failed ? no_memory(err) : 0;
}

/* What is configured beside the options: settings 2 to 5. */
static int configured_endpoint(struct loader *l, enum aws_service s, char **ret,
	const char **ret_from, struct sfs_err *err)
{
	char name[64];
	const struct setting variable = {.variable = "AWS_ENDPOINT_URL"};
	const struct setting key = {.key = "endpoint_url"};
	snprintf(name, sizeof(name), "AWS_ENDPOINT_URL_%s", aws_service_env(s));
	*ret_from = "AWS_ENDPOINT_URL of the service";
	int r = setting_env(l->env, name, ret, err);
	if (r == 0 && !*ret)
		r = pick(l, &variable, ret, ret_from, err);
	if (r == 0 && !*ret) {
		*ret_from = "endpoint_url of the services section";
		r = from_services(l, s, ret, err);
	}
	if (r == 0 && !*ret) {
		r = pick(l, &key, ret, ret_from, err);
		*ret_from = "endpoint_url of the profile";
	}
	return r;
}

static int load_endpoint(
	struct loader *l, enum aws_service s, const char *option, bool ignore, struct sfs_err *err)
{
	const char *from = option;
	char **url = &l->c->endpoint[s];
	int r = option ? setting_option(l->opts, option, url, err) : 0;
	if (r == 0 && !*url && !ignore)
		r = configured_endpoint(l, s, url, &from, err);
	return r < 0 || !*url ? r : check_url(l, from, *url, err);
}

/* SDKs refuse this too: who asks for FIPS must not get something else without a word. */
static int check_variants(const struct aws_conf *c, enum aws_service service, struct sfs_err *err)
{
	const char *which = c->fips ? "FIPS" : "dual-stack";
	if ((!c->fips && !c->dualstack) || (!c->endpoint[service] && !c->endpoint[AWS_STS]))
		return 0;
	return err_set(err, EINVAL,
		"a configured endpoint for %s and %s endpoints do not go together: leave out one "
		"of them",
		aws_service_title(c->endpoint[service] ? service : AWS_STS), which);
}

static int load_endpoints(struct loader *l, enum aws_service service, struct sfs_err *err)
{
	static const struct setting fips = {
		"fips", "AWS_USE_FIPS_ENDPOINT", NULL, "use_fips_endpoint"};
	static const struct setting dual = {
		"dualstack", "AWS_USE_DUALSTACK_ENDPOINT", NULL, "use_dualstack_endpoint"};
	static const struct setting off = {.variable = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
		.key = "ignore_configured_endpoint_urls"};
	bool ignore = false;
	int r = pick_flag(l, &fips, &l->c->fips, err);
	if (r == 0)
		r = pick_flag(l, &dual, &l->c->dualstack, err);
	if (r == 0)
		r = pick_flag(l, &off, &ignore, err);
	for (int s = 0; s < AWS_SERVICES && r == 0; s++) {
		const char *option = s == (int)service ? "endpoint"
				     : s == AWS_STS    ? "sts_endpoint"
						       : NULL;
		r = load_endpoint(l, (enum aws_service)s, option, ignore, err);
	}
	return r < 0 ? r : check_variants(l->c, service, err);
}

static int load_imds_endpoint(struct loader *l, struct sfs_err *err)
{
	static const struct setting url = {.variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT",
		.key = "ec2_metadata_service_endpoint"};
	static const struct setting mode = {.variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
		.key = "ec2_metadata_service_endpoint_mode"};
	_cleanup_free_ char *family = NULL;
	const char *from = NULL, *dflt = IMDS_IPV4;
	int r = pick(l, &url, &l->c->imds_endpoint, &from, err);
	if (r < 0)
		return r;
	if (l->c->imds_endpoint)
		return check_url(l, url.variable, l->c->imds_endpoint, err);
	r = pick(l, &mode, &family, &from, err);
	if (r < 0)
		return r;
	if (family && strcasecmp(family, "ipv6") == 0)
		dflt = IMDS_IPV6;
	else if (family && strcasecmp(family, "ipv4") != 0)
		return err_set(err, EINVAL, "%s must be IPv4 or IPv6", mode.variable);
	l->c->imds_endpoint = mem_strdup(dflt);
	return l->c->imds_endpoint ? 0 : no_memory(err);
}

static int load_imds(struct loader *l, struct sfs_err *err)
{
	static const struct setting timeout = {
		.variable = "AWS_METADATA_SERVICE_TIMEOUT", .key = "metadata_service_timeout"};
	static const struct setting tries = {.variable = "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
		.key = "metadata_service_num_attempts"};
	uint64_t seconds = 1, attempts = 1;
	int r = setting_env_flag(l->env, "AWS_EC2_METADATA_DISABLED", &l->c->imds_disabled, err);
	if (r == 0)
		r = load_imds_endpoint(l, err);
	if (r == 0)
		r = pick_number(l, &timeout, 60, &seconds, err);
	if (r == 0)
		r = pick_number(l, &tries, 10, &attempts, err);
	l->c->imds_timeout = (int64_t)seconds * NSEC_PER_SEC;
	l->c->imds_attempts = (unsigned)attempts;
	l->c->imds_v1 = opt_find_number(l->opts, "imds_v1", 0) != 0;
	return r;
}

static int load_rest(struct loader *l, struct sfs_err *err)
{
	static const struct setting ca = {"cacert", "AWS_CA_BUNDLE", NULL, "ca_bundle"};
	static const struct setting tries = {.variable = "AWS_MAX_ATTEMPTS", .key = "max_attempts"};
	static const struct setting app = {.variable = "AWS_SDK_UA_APP_ID", .key = "sdk_ua_app_id"};
	_cleanup_free_ char *bundle = NULL;
	const char *from = NULL;
	uint64_t attempts = 0;
	int r = pick(l, &ca, &bundle, &from, err);
	if (r == 0 && bundle)
		r = setting_path(l->env, from, bundle, &l->c->cacert, err);
	if (r == 0)
		r = pick_number(l, &tries, 100, &attempts, err);
	if (r == 0)
		r = pick(l, &app, &l->c->app_id, &from, err);
	l->c->max_attempts = (unsigned)attempts;
	return r;
}

/* ---- all of them ---- */

static int load_profile_name(struct loader *l, struct sfs_err *err)
{
	static const struct setting order = {"profile", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", NULL};
	const char *from = NULL;
	struct aws_conf *c = l->c;
	int r = pick(l, &order, &c->profile, &from, err);
	if (r < 0)
		return r;
	c->profile_named = c->profile && strcmp(from, "profile") == 0;
	c->profile_env = c->profile && !c->profile_named;
	if (!c->profile)
		c->profile = mem_strdup("default");
	return c->profile ? 0 : no_memory(err);
}

int aws_conf_profile(const struct backend_env *env, const struct opt_values *opts,
	struct aws_conf **ret, struct sfs_err *err)
{
	_cleanup_(aws_conf_free_p) struct aws_conf *c = mem_calloc(1, sizeof(*c));
	struct loader l = {.env = env, .opts = opts, .c = c};
	if (!c)
		return no_memory(err);
	int r = load_profile_name(&l, err);
	if (r == 0)
		r = aws_conf_file_path(
			env, "AWS_CONFIG_FILE", "config", &c->file[AWS_FILE_CONFIG], err);
	if (r == 0)
		r = aws_conf_file_path(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials",
			&c->file[AWS_FILE_CREDENTIALS], err);
	if (r < 0)
		return r;
	c->insecure_http = opt_find_number(opts, "insecure_http", 0) != 0;
	*ret = take(c);
	return 0;
}

int aws_conf_region(const struct backend_env *env, const char *location_region,
	const struct opt_values *opts, struct aws_files *files, struct aws_conf *c,
	struct sfs_err *err)
{
	struct loader l = {.env = env, .opts = opts, .c = c, .files = files};
	return find_region(&l, location_region, err);
}

int aws_conf_load(const struct backend_env *env, enum aws_service service,
	const char *location_region, const struct opt_values *opts, struct aws_conf **ret,
	struct sfs_err *err)
{
	_cleanup_(aws_conf_free_p) struct aws_conf *c = NULL;
	int r = aws_conf_profile(env, opts, &c, err);
	if (r < 0)
		return r;
	_cleanup_(loader_clear) struct loader l = {.env = env, .opts = opts, .c = c};
	r = aws_conf_files(env, c, &l.files, NULL, err);
	if (r == 0 && c->profile_named && !aws_files_has_profile(l.files, c->profile))
		r = aws_files_no_profile(l.files, c->profile, err);
	if (r == 0)
		r = load_imds(&l, err);
	if (r == 0)
		r = load_region(&l, location_region, err);
	if (r == 0)
		r = load_endpoints(&l, service, err);
	if (r == 0)
		r = load_rest(&l, err);
	if (r == 0)
		*ret = take(c);
	return r;
}

void aws_conf_free(struct aws_conf *c)
{
	if (!c)
		return;
	for (int i = 0; i < AWS_SERVICES; i++)
		mem_free(c->endpoint[i]);
	mem_free(c->file[0].path);
	mem_free(c->file[1].path);
	mem_free(c->region);
	mem_free(c->profile);
	mem_free(c->cacert);
	mem_free(c->app_id);
	mem_free(c->imds_endpoint);
	mem_free(c);
}

int aws_conf_url(const struct aws_conf *c, enum aws_service service, const char *region,
	struct buf *ret, struct sfs_err *err)
{
	unsigned flags = (c->fips ? AWS_FIPS : 0) | (c->dualstack ? AWS_DUALSTACK : 0);
	buf_reset(ret);
	if (!c->endpoint[service])
		return aws_endpoint_url(service, region, flags, ret, err);
	return buf_str(ret, c->endpoint[service]) < 0 ? no_memory(err) : 0;
}

const char *aws_conf_no_host(const struct aws_conf *c, enum aws_service service)
{
	if (c->endpoint[service])
		return NULL;
	if (c->fips)
		return "AWS has FIPS endpoints for some regions only (of the United States, Canada "
		       "and GovCloud): leave out fips (AWS_USE_FIPS_ENDPOINT, use_fips_endpoint), "
		       "or name an endpoint by endpoint= or sts_endpoint=";
	if (c->dualstack)
		return "this region may have no dual-stack endpoint: leave out dualstack "
		       "(AWS_USE_DUALSTACK_ENDPOINT, use_dualstack_endpoint)";
	return "is there such a region? It comes from the source, region=, AWS_REGION or the "
	       "profile";
}
