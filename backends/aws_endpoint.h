/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of AWS by partition, region, FIPS and dual-stack; and resource names (ARNs). Pure
 * functions.
 */
#ifndef SFS_BACKENDS_AWS_ENDPOINT_H
#define SFS_BACKENDS_AWS_ENDPOINT_H

#include "backends/aws_text.h"
#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

enum aws_service { AWS_SECRETSMANAGER, AWS_SSM, AWS_STS, AWS_SSO, AWS_OIDC };
#define AWS_SERVICES 5

enum aws_endpoint_flags { AWS_FIPS = 1, AWS_DUALSTACK = 2 };

/* One DNS label of lower-case letters, digits and hyphens, before a host is made of it. EINVAL with
 * a sentence that says where a region comes from. */
int aws_region_check(const char *region, struct sfs_err *err);
/* "aws", "aws-cn", ...; a region of no known shape is in "aws". */
const char *aws_partition(const char *region);
/* Appends "https://HOST", without a path. Errors: EINVAL (region), ENOMEM, EFBIG. */
int aws_endpoint_url(enum aws_service service, const char *region, unsigned flags, struct buf *ret,
	struct sfs_err *err);
/* What goes into the scope of a signature, whatever the host: "secretsmanager". */
const char *aws_signing_name(enum aws_service service);
/* What follows AWS_ENDPOINT_URL_ and names the block in [services NAME]: "SECRETS_MANAGER",
 * "secrets_manager". */
const char *aws_service_env(enum aws_service service);
const char *aws_service_block(enum aws_service service);
/* For people: "Secrets Manager". */
const char *aws_service_title(enum aws_service service);

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE; region and account may be empty, the resource may
 * hold colons. */
struct aws_arn {
	struct aws_text partition, service, region, account, resource;
};
/* False if it is no ARN; *ret is untouched then. The slices point into `text`. */
bool aws_arn_parse(const char *text, struct aws_arn *ret);
/* The region a request for `name` goes to: that of the ARN, or `region` where `name` is a plain
 * name or an ARN without one. EINVAL: an ARN of another service, another partition than that of
 * `region` (its credentials do not work there), or a bad region. *ret points into `name` or
 * `region`. */
int aws_arn_region(const char *name, enum aws_service service, const char *region,
	struct aws_text *ret, struct sfs_err *err);
/* The name in the full ARN of a secret: without "secret:" and the hyphen and six characters at its
 * end. False for a partial ARN or none of a secret. Only a listing knows whether an ARN is full: a
 * plain name may end in the same way, so this is never applied to what a user typed. */
bool aws_arn_secret_name(const char *arn, struct aws_text *ret);

#endif
