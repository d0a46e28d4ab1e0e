/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of every partition, what may become part of a host, ARNs and their regions. */
#include "backends/aws_endpoint.h"
#include "botocore.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const char *url(
	enum aws_service service, const char *region, unsigned flags, struct buf *out)
{
	struct sfs_err err = {0};
	buf_reset(out);
	cr_assert_eq(aws_endpoint_url(service, region, flags, out, &err), 0, "%s", err.msg);
	return buf_text(out);
}

Test(aws_endpoint, table)
{
	static const struct {
		enum aws_service service;
		const char *region;
		unsigned flags;
		const char *host;
	} rows[] = {
		{AWS_SECRETSMANAGER, "us-east-1", 0, "secretsmanager.us-east-1.amazonaws.com"},
		{AWS_SECRETSMANAGER, "us-east-1", AWS_FIPS,
			"secretsmanager-fips.us-east-1.amazonaws.com"},
		{AWS_SECRETSMANAGER, "us-east-1", AWS_DUALSTACK,
			"secretsmanager.us-east-1.amazonaws.com"},
		{AWS_SECRETSMANAGER, "us-gov-west-1", AWS_FIPS,
			"secretsmanager-fips.us-gov-west-1.amazonaws.com"},
		{AWS_SECRETSMANAGER, "cn-north-1", 0, "secretsmanager.cn-north-1.amazonaws.com.cn"},
		{AWS_SECRETSMANAGER, "eusc-de-east-1", AWS_DUALSTACK,
			"secretsmanager.eusc-de-east-1.api.amazonwebservices.eu"},
		{AWS_SSM, "eu-central-1", AWS_DUALSTACK, "ssm.eu-central-1.api.aws"},
		{AWS_SSM, "us-gov-west-1", AWS_FIPS, "ssm.us-gov-west-1.amazonaws.com"},
		{AWS_SSM, "ca-central-1", AWS_FIPS | AWS_DUALSTACK,
			"ssm-fips.ca-central-1.api.aws"},
		{AWS_STS, "us-isob-east-1", 0, "sts.us-isob-east-1.sc2s.sgov.gov"},
		{AWS_STS, "zz-new-1", 0, "sts.zz-new-1.amazonaws.com"},
		{AWS_SSO, "eu-west-1", 0, "portal.sso.eu-west-1.amazonaws.com"},
		{AWS_OIDC, "eu-west-1", 0, "oidc.eu-west-1.amazonaws.com"},
	};
	struct buf out = BUF_INIT(300);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = url(rows[i].service, rows[i].region, rows[i].flags, &out);
		cr_assert_eq(strncmp(got, "https://", 8), 0);
		cr_expect_str_eq(got + 8, rows[i].host);
	}
	buf_clear(&out);
}

/* Whatever the host, the scope of a signature names the service as such. */
Test(aws_endpoint, names_of_services)
{
	cr_expect_str_eq(aws_signing_name(AWS_SECRETSMANAGER), "secretsmanager");
	cr_expect_str_eq(aws_signing_name(AWS_SSM), "ssm");
	cr_expect_str_eq(aws_signing_name(AWS_STS), "sts");
	cr_expect_str_eq(aws_service_env(AWS_SECRETSMANAGER), "SECRETS_MANAGER");
	cr_expect_str_eq(aws_service_block(AWS_SECRETSMANAGER), "secrets_manager");
	cr_expect_str_eq(aws_service_title(AWS_SSM), "Parameter Store");
}

Test(aws_endpoint, partitions)
{
	cr_expect_str_eq(aws_partition("eu-central-1"), "aws");
	cr_expect_str_eq(aws_partition("us-gov-east-1"), "aws-us-gov");
	cr_expect_str_eq(aws_partition("us-iso-east-1"), "aws-iso");
	cr_expect_str_eq(aws_partition("us-isof-south-1"), "aws-iso-f");
	cr_expect_str_eq(aws_partition("cn-north"), "aws", "the shape counts, not the prefix");
	cr_expect_str_eq(aws_partition("cn-north-1a"), "aws");
	cr_expect_str_eq(aws_partition("us-gov-1"), "aws");
}

Test(aws_endpoint, a_region_is_one_label)
{
	static const char *const bad[] = {"", "us-east-1.evil.example", "us-east-1/", "US-EAST-1",
		"us_east_1", "-a", "a-", "a b", "a@b", "a:1", "a#", "us-east-1\n", "\xc3\xa9",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct buf out = BUF_INIT(300);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sfs_err err = {0};
		cr_expect_eq(
			aws_endpoint_url(AWS_SSM, bad[i], 0, &out, &err), -EINVAL, "%s", bad[i]);
		cr_expect(strstr(err.msg, "AWS_REGION"), "what to do: %s", err.msg);
		cr_expect_eq(out.len, 0);
	}
	buf_clear(&out);
	struct buf small = BUF_INIT(10);
	struct sfs_err err = {0};
	cr_expect_eq(aws_endpoint_url(AWS_SSM, "us-east-1", 0, &small, &err), -EFBIG);
	cr_expect_eq(small.len, 0, "nothing is half written");
	buf_clear(&small);
}

static bool text_is(struct aws_text t, const char *s)
{
	return aws_text_is(t, s);
}

#define ARN "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbC123"

Test(aws_arn, parts)
{
	struct aws_arn a = {0};
	cr_assert(aws_arn_parse(ARN, &a));
	cr_expect(text_is(a.partition, "aws"));
	cr_expect(text_is(a.service, "secretsmanager"));
	cr_expect(text_is(a.region, "eu-west-1"));
	cr_expect(text_is(a.account, "123456789012"));
	cr_expect(text_is(a.resource, "secret:prod/db-AbC123"));
	cr_assert(aws_arn_parse("arn:aws:iam::1:role/a:b", &a));
	cr_expect_eq(a.region.len, 0);
	cr_expect(text_is(a.resource, "role/a:b"));
}

Test(aws_arn, what_is_none)
{
	static const char *const bad[] = {"", "arn", "arn:", "prod/db", "ARN:aws:a:b:c:d",
		"arn:aws:ssm:r:a", "arn:aws:ssm:r:a:", "arn::ssm:r:a:x", "arn:aws::r:a:x",
		"arn:aws:ssm", "xarn:aws:ssm:r:a:x"};
	struct aws_arn a = {.region = {"kept", 4}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(aws_arn_parse(bad[i], &a), "%s", bad[i]);
	cr_expect(text_is(a.region, "kept"), "untouched");
}

static int region_of(const char *name, const char *region, const char *expected)
{
	struct aws_text t = {"kept", 4};
	struct sfs_err err = {0};
	int rc = aws_arn_region(name, AWS_SECRETSMANAGER, region, &t, &err);
	cr_expect(text_is(t, rc < 0 ? "kept" : expected), "%s", name);
	cr_expect_eq(err.code, -rc);
	return rc;
}

/* A request for an ARN goes to the region of the ARN or nowhere, never signed for another one. */
Test(aws_arn, region_of_a_request)
{
	cr_expect_eq(region_of("prod/db", "us-east-1", "us-east-1"), 0);
	cr_expect_eq(region_of("prod/db-AbC123", "us-east-1", "us-east-1"), 0);
	cr_expect_eq(region_of(ARN, "us-east-1", "eu-west-1"), 0);
	cr_expect_eq(region_of("arn:aws:secretsmanager::1:secret:x", "us-east-1", "us-east-1"), 0);
	cr_expect_eq(region_of("arn:aws:ssm:us-east-1:1:parameter/x", "us-east-1", ""), -EINVAL);
	cr_expect_eq(region_of(ARN, "cn-north-1", ""), -EINVAL);
	cr_expect_eq(region_of("arn:aws-cn:secretsmanager:cn-north-1:1:secret:x", "us-east-1", ""),
		-EINVAL);
	cr_expect_eq(region_of("arn:aws:secretsmanager:evil.example/:1:secret:x", "us-east-1", ""),
		-EINVAL);
	cr_expect_eq(region_of("prod/db", "bad region", ""), -EINVAL);
}

Test(aws_arn, name_of_a_secret)
{
	struct aws_text t = {"kept", 4};
	cr_expect_not(aws_arn_secret_name("prod/db-AbC123", &t), "a name is no ARN");
	cr_expect_not(aws_arn_secret_name("arn:aws:secretsmanager:r:1:secret:prod/db", &t));
	cr_expect_not(aws_arn_secret_name("arn:aws:secretsmanager:r:1:secret:-AbC123", &t));
	cr_expect_not(aws_arn_secret_name("arn:aws:secretsmanager:r:1:secret:a-AbC12!", &t));
	cr_expect_not(aws_arn_secret_name("arn:aws:ssm:r:1:secret:prod/db-AbC123", &t));
	cr_expect(text_is(t, "kept"));
	cr_assert(aws_arn_secret_name(ARN, &t));
	cr_expect(text_is(t, "prod/db"));
	cr_assert(aws_arn_secret_name("arn:aws:secretsmanager:r:1:secret:name-AbC123-x9Y8z7", &t));
	cr_expect(text_is(t, "name-AbC123"), "only the last one is the service's");
}

/* ---- the same by botocore ---- */

static const char program[] =
	"from botocore.endpoint_provider import EndpointProvider\n"
	"from botocore.loaders import Loader\n"
	"l = Loader()\n"
	"parts = l.load_data('partitions')\n"
	"sv = ['secretsmanager', 'ssm', 'sts', 'sso', 'sso-oidc']\n"
	"rules = [EndpointProvider(l.load_service_model(s, 'endpoint-rule-set-1'), parts)\n"
	"         for s in sv]\n"
	"for line in sys.stdin:\n"
	"    s, region, flags = line.split()\n"
	"    p = dict(Region=region, UseFIPS=bool(int(flags) & 1),\n"
	"             UseDualStack=bool(int(flags) & 2))\n"
	"    if s == '2': p['UseGlobalEndpoint'] = False\n"
	"    print(rules[int(s)].resolve_endpoint(**p).url)\n";

static const char *const regions[] = {"us-east-1", "us-west-2", "ap-southeast-7", "mx-central-1",
	"cn-north-1", "cn-northwest-1", "us-gov-west-1", "us-gov-east-1", "eusc-de-east-1",
	"us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "zz-new-9"};
#define REGIONS (sizeof(regions) / sizeof(regions[0]))

Test(aws_endpoint, botocore_asks_the_same_hosts, .timeout = 120)
{
	struct buf input = BUF_INIT(100000), out = BUF_INIT(300);
	char line[300];
	for (size_t i = 0; i < AWS_SERVICES * REGIONS * 4; i++)
		buf_printf(
			&input, "%zu %s %zu\n", i / 4 / REGIONS, regions[i / 4 % REGIONS], i % 4);
	FILE *f = botocore_ask(program, buf_text(&input));
	for (size_t i = 0; i < AWS_SERVICES * REGIONS * 4; i++)
		cr_expect_str_eq(url((enum aws_service)(i / 4 / REGIONS), regions[i / 4 % REGIONS],
					 (unsigned)(i % 4), &out),
			botocore_line(f, line, sizeof(line)));
	cr_assert_eq(pclose(f), 0);
	buf_clear(&input);
	buf_clear(&out);
}
