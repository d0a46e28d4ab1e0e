/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the settings and credentials of Google Cloud (provider_fixture.h). Include once in a
 * program, after "fakes/http_script.h". */
#ifndef SFS_TESTS_GCP_CRED_FIXTURE_H
#define SFS_TESTS_GCP_CRED_FIXTURE_H

#include "backends/gcp_conf.h"
#include "backends/gcp_cred.h"
#include "backends/net_options.h"

#define FX_NAME	    "gcp"
#define FX_CONF	    struct gcp_conf
#define FX_CRED	    struct gcp_cred
#define FX_LOCATION "my-proj"
#define FX_BEGIN    gcp_firmware_file = "/nonexistent" /* whatever machine this is */

#define fx_conf_free gcp_conf_free
#define fx_cred_free gcp_cred_free
#define fx_chain     gcp_cred_chain

static const struct opt_row fx_rows[] = {GCP_OPTIONS, NET_OPTIONS, {0}};

static inline int fx_load(const struct backend_env *env, const char *location,
	const struct opt_values *opts, struct gcp_conf **ret, struct sfs_err *err)
{
	return gcp_conf_load(env, location, opts, ret, err);
}

static inline int fx_new(const struct backend_env *env, const struct gcp_conf *conf,
	const struct opt_values *opts, struct http *http, struct gcp_cred **ret,
	struct sfs_err *err)
{
	(void)opts;
	return gcp_cred_new(env, conf, http, ret, err);
}

#include "provider_fixture.h"

/* "token [row] source" of what one gets now. */
static inline void fx_gives(const char *want)
{
	char token[8192], all[9000];
	struct cred *set = fx_set();
	fx_text(set->field[GCP_CRED_TOKEN], token, sizeof(token));
	snprintf(all, sizeof(all), "%s [%s] %s", token, set->row, set->source);
	cr_assert_str_eq(all, want);
	cred_unref(set);
}

#endif
