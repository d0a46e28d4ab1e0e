/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the settings and credentials of AWS (provider_fixture.h). Include once in a program,
 * after "fakes/http_script.h". */
#ifndef SFS_TESTS_AWS_CRED_FIXTURE_H
#define SFS_TESTS_AWS_CRED_FIXTURE_H

#include "backends/aws_conf.h"
#include "backends/aws_cred.h"
#include "backends/net_options.h"

#define FX_NAME	    "aws"
#define FX_CONF	    struct aws_conf
#define FX_CRED	    struct aws_cred
#define FX_LOCATION "eu-west-1"

#define fx_conf_free aws_conf_free
#define fx_cred_free aws_cred_free
#define fx_chain     aws_cred_chain
#define fx_new	     aws_cred_new

static const struct opt_row fx_rows[] = {AWS_OPTIONS, NET_OPTIONS, {0}};

static inline int fx_load(const struct backend_env *env, const char *region,
	const struct opt_values *opts, struct aws_conf **ret, struct sfs_err *err)
{
	return aws_conf_load(env, AWS_SECRETSMANAGER, region, opts, ret, err);
}

#include "provider_fixture.h"

/* "id key token source" of what one gets now. */
static inline void fx_gives(const char *want)
{
	char id[256], key[256], token[512], all[2048];
	struct cred *set = fx_set();
	fx_text(set->field[AWS_CRED_ID], id, sizeof(id));
	fx_text(set->field[AWS_CRED_KEY], key, sizeof(key));
	fx_text(set->field[AWS_CRED_TOKEN], token, sizeof(token));
	snprintf(all, sizeof(all), "%s %s %s [%s] %s", id, key, token, set->row, set->source);
	cr_assert_str_eq(all, want);
	cred_unref(set);
}

#endif
