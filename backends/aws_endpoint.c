/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_endpoint.h"

#include "base/text.h"
#include <errno.h>
#include <string.h>

#define LABEL_MAX 63 /* of DNS */

struct partition {
	const char *name, *prefix; /* of its regions, which go on as WORD-NUMBER */
	const char *suffix, *dual_suffix;
};

/* The last one is for everything else: a new region is known to nobody's table at first. */
static const struct partition partitions[] = {
	{"aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"aws-us-gov", "us-gov-", "amazonaws.com", "api.aws"},
	{"aws-eusc", "eusc-de-", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"aws-iso-f", "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"aws", "", "amazonaws.com", "api.aws"},
};

static const struct {
	const char *host, *signing, *env, *block, *title;
} services[AWS_SERVICES] = {
	[AWS_SECRETSMANAGER] = {"secretsmanager", "secretsmanager", "SECRETS_MANAGER",
		"secrets_manager", "Secrets Manager"},
	[AWS_SSM] = {"ssm", "ssm", "SSM", "ssm", "Parameter Store"},
	[AWS_STS] = {"sts", "sts", "STS", "sts", "STS"},
	[AWS_SSO] = {"portal.sso", "awsssoportal", "SSO", "sso", "IAM Identity Center"},
	[AWS_OIDC] = {"oidc", "sso-oauth", "SSO_OIDC", "sso_oidc", "IAM Identity Center sign-in"},
};

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_label(const char *s, size_t len)
{
	if (!len || len > LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_lower(s[i]) && !is_digit(s[i]) && s[i] != '-')
			return false;
	return true;
}

int aws_region_check(const char *region, struct sfs_err *err)
{
	char shown[100];
	if (!*region)
		return err_set(err, EINVAL,
			"there is no region: set region=, AWS_REGION, or region in the profile");
	if (is_label(region, strlen(region)))
		return 0;
	return err_set(err, EINVAL,
		"\"%s\" is no region: one looks like us-east-1 (region=, AWS_REGION, or region in "
		"the profile)",
		text_escaped(shown, sizeof(shown), region, strlen(region)));
}

/* The prefix, a word, a hyphen and a number. */
static bool has_shape(const struct partition *p, const char *region)
{
	size_t n = strlen(p->prefix);
	if (strncmp(region, p->prefix, n) != 0)
		return false;
	const char *word = region + n, *s = word;
	while (is_lower(*s) || is_digit(*s))
		s++;
	if (s == word || *s++ != '-' || !is_digit(*s))
		return false;
	while (is_digit(*s))
		s++;
	return !*s;
}

static const struct partition *find(const char *region)
{
	size_t last = sizeof(partitions) / sizeof(partitions[0]) - 1;
	for (size_t i = 0; i < last; i++)
		if (has_shape(&partitions[i], region))
			return &partitions[i];
	return &partitions[last];
}

const char *aws_partition(const char *region)
{
	return find(region)->name;
}

/* Secrets Manager answers on IPv6 under its plain name where others have a second one. */
static bool dual_is_plain(enum aws_service service, const struct partition *p, unsigned flags)
{
	bool china = strcmp(p->name, "aws-cn") == 0;
	bool classic = china || strcmp(p->name, "aws") == 0 || strcmp(p->name, "aws-us-gov") == 0;
	return service == AWS_SECRETSMANAGER && classic && !(china && (flags & AWS_FIPS));
}

/* All of GovCloud is FIPS under the plain names, but for Secrets Manager and dual-stack. */
static bool fips_is_plain(enum aws_service service, const struct partition *p, unsigned flags)
{
	return service != AWS_SECRETSMANAGER && !(flags & AWS_DUALSTACK) &&
	       strcmp(p->name, "aws-us-gov") == 0;
}

int aws_endpoint_url(enum aws_service service, const char *region, unsigned flags, struct buf *ret,
	struct sfs_err *err)
{
	int rc = aws_region_check(region, err);
	if (rc < 0)
		return rc;
	const struct partition *p = find(region);
	bool fips = (flags & AWS_FIPS) && !fips_is_plain(service, p, flags);
	bool dual = (flags & AWS_DUALSTACK) && !dual_is_plain(service, p, flags);
	size_t before = ret->len;
	const char *const parts[] = {"https://", services[service].host, fips ? "-fips" : "", ".",
		region, ".", dual ? p->dual_suffix : p->suffix};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		buf_str(ret, parts[i]);
	if (!ret->failed)
		return 0;
	if (ret->data)
		ret->data[ret->len = before] = '\0';
	return err_errno(err, ret->failed, "endpoint of %s", services[service].title);
}

const char *aws_signing_name(enum aws_service service)
{
	return services[service].signing;
}

const char *aws_service_env(enum aws_service service)
{
	return services[service].env;
}

const char *aws_service_block(enum aws_service service)
{
	return services[service].block;
}

const char *aws_service_title(enum aws_service service)
{
	return services[service].title;
}

/* ---- ARNs ---- */

bool aws_arn_parse(const char *text, struct aws_arn *ret)
{
	struct aws_text part[5];
	if (strncmp(text, "arn:", 4) != 0)
		return false;
	const char *s = text + 4;
	for (size_t i = 0; i < 4; i++) {
		const char *end = strchr(s, ':');
		if (!end)
			return false;
		part[i] = (struct aws_text){s, (size_t)(end - s)};
		s = end + 1;
	}
	part[4] = (struct aws_text){s, strlen(s)};
	if (!part[0].len || !part[1].len || !part[4].len)
		return false;
	*ret = (struct aws_arn){part[0], part[1], part[2], part[3], part[4]};
	return true;
}

int aws_arn_region(const char *name, enum aws_service service, const char *region,
	struct aws_text *ret, struct sfs_err *err)
{
	struct aws_arn arn;
	int rc = aws_region_check(region, err);
	if (rc < 0)
		return rc;
	if (!aws_arn_parse(name, &arn)) {
		*ret = (struct aws_text){region, strlen(region)};
		return 0;
	}
	if (!aws_text_is(arn.service, services[service].signing))
		return err_set(err, EINVAL, "the ARN is not one of %s", services[service].title);
	if (!aws_text_is(arn.partition, aws_partition(region)))
		return err_set(err, EINVAL,
			"the ARN is not in the partition %s of region %s, whose credentials are of "
			"no "
			"use elsewhere",
			aws_partition(region), region);
	if (arn.region.len && !is_label(arn.region.p, arn.region.len))
		return err_set(err, EINVAL, "the ARN names no valid region");
	*ret = arn.region.len ? arn.region : (struct aws_text){region, strlen(region)};
	return 0;
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

bool aws_arn_secret_name(const char *arn, struct aws_text *ret)
{
	static const char kind[] = "secret:";
	enum { KIND = sizeof(kind) - 1, TAIL = 7 };
	struct aws_arn a;
	if (!aws_arn_parse(arn, &a) || !aws_text_is(a.service, "secretsmanager"))
		return false;
	if (a.resource.len <= KIND + TAIL || memcmp(a.resource.p, kind, KIND) != 0)
		return false;
	const char *tail = a.resource.p + a.resource.len - TAIL;
	if (tail[0] != '-')
		return false;
	for (size_t i = 1; i < TAIL; i++)
		if (!is_alnum(tail[i]))
			return false;
	*ret = (struct aws_text){a.resource.p + KIND, a.resource.len - KIND - TAIL};
	return true;
}
