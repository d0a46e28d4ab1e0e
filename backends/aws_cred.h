/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for AWS: the rows of the chain, in order: options, environment, the selected profile
 * (static keys, assume role, web identity, a program, SSO), web identity of the environment (IRSA),
 * container (ECS, EKS Pod Identity, Greengrass), instance metadata (IMDSv2). role_arn= assumes a
 * role on top of whichever won.
 */
#ifndef SFS_BACKENDS_AWS_CRED_H
#define SFS_BACKENDS_AWS_CRED_H

#include "backends/aws_conf.h"
#include "backends/aws_sign.h"
#include "net/cred.h"
#include "net/http.h"

enum aws_cred_field { AWS_CRED_ID, AWS_CRED_KEY, AWS_CRED_TOKEN };

struct aws_cred;

/* `http` carries STS, SSO and metadata requests; env, conf and http are borrowed until
 * aws_cred_free(), `opts` only now. Reads the references of the options; no network. Errors: EINVAL
 * (an option without its partner), those of a reference, ENOMEM. */
int aws_cred_new(const struct backend_env *env, const struct aws_conf *conf,
	const struct opt_values *opts, struct http *http, struct aws_cred **ret,
	struct sfs_err *err);
/* Frees the chain too. NULL is fine. */
void aws_cred_free(struct aws_cred *a);

/* For cred_get(), cred_reject(), cred_skew(), cred_current(); owned by `a`. */
struct cred_chain *aws_cred_chain(struct aws_cred *a);
/* What aws_sign() takes; valid while `c` is. */
struct aws_keys aws_cred_keys(const struct cred *c);

/* The region: that of the settings, else what the instance metadata says (asked once it is needed,
 * remembered; a failure for some seconds). Appends. Errors: EINVAL with where to give it. */
int aws_cred_region(
	struct aws_cred *a, const struct call *call, struct buf *ret, struct sfs_err *err);

/* Who we are, by GetCallerIdentity: needs no permission. Appends. */
int aws_cred_identity(struct aws_cred *a, const struct call *call, struct buf *ret_account,
	struct buf *ret_arn, struct sfs_err *err);

/* Members of the status document: "credentials", "principal", "credentials_expire" and the walk.
 * As backend_ops.status; does not block. */
int aws_cred_status(struct aws_cred *a, struct buf *ret_json);
/* `secretfs check`: the walk, a step a row, and who we are. 0, or -errno when there are no
 * credentials. */
int aws_cred_check(
	struct aws_cred *a, const struct call *call, struct check_sink *sink, struct sfs_err *err);

/* As backend_ops.needs, for aws: and aws-ssm:. (backends/aws_needs.c) */
int aws_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err);

#endif
