/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of AWS: which wins. */
#include "fakes/http_script.h"

#include "aws_cred_fixture.h"

#define CONFIG ".aws/config"
#define CREDS  ".aws/credentials"

static void conf_is_ok(const char *options, const char *region)
{
	fx_options(options);
	cr_assert_eq(fx_conf(region), 0, "%s", fx.err.msg);
}

static void conf_fails(const char *options, const char *region, int code, const char *words)
{
	fx_options(options);
	cr_assert_eq(fx_conf(region), -code, "%d %s", fx.err.code, fx.err.msg);
	cr_assert_null(fx.conf);
	cr_assert(strstr(fx.err.msg, words), "%s", fx.err.msg);
	cr_assert_null(strstr(fx.err.msg, "CANARY"), "%s", fx.err.msg);
}

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

Test(aws_conf, without_anything_only_the_metadata_can_tell_the_region)
{
	fx_begin(NULL);
	conf_is_ok(NULL, NULL);
	cr_assert_null(fx.conf->region);
	cr_assert_null(fx.conf->region_from);
	cr_assert_str_eq(fx.conf->profile, "default");
	cr_assert_not(fx.conf->profile_named);
	cr_assert_str_eq(fx.conf->imds_endpoint, "http://169.254.169.254");
	cr_assert_eq(fx.conf->imds_timeout, NSEC_PER_SEC);
	cr_assert_eq(fx.conf->imds_attempts, 1);
	fx_end();
}

Test(aws_conf, no_region_and_no_metadata_is_an_error_at_once)
{
	fx_begin(VARS("AWS_EC2_METADATA_DISABLED=true"));
	conf_fails(NULL, NULL, EINVAL, "no region: name it in the source (aws:REGION)");
	conf_is_ok(NULL, "eu-west-1");
	fx_end();
}

Test(aws_conf, the_region_by_source_option_variables_file)
{
	fx_begin(VARS("AWS_REGION=eu-west-3", "AWS_DEFAULT_REGION=eu-west-4"));
	fx_file(CONFIG, "[default]\nregion = eu-north-1\n");
	conf_is_ok("region=eu-west-2", "eu-west-2");
	cr_assert_str_eq(fx.conf->region, "eu-west-2");
	cr_assert_str_eq(fx.conf->region_from, "the source");
	conf_is_ok("region=eu-west-2", "");
	cr_assert_str_eq(fx.conf->region_from, "region");
	conf_is_ok(NULL, NULL);
	cr_assert_str_eq(fx.conf->region, "eu-west-3");
	cr_assert_str_eq(fx.conf->region_from, "AWS_REGION");
	conf_fails("region=eu-west-2", "eu-west-1", EINVAL, "different regions");
	fx_end();
}

Test(aws_conf, the_legacy_variable_and_then_the_profile)
{
	fx_begin(VARS("AWS_REGION=", "AWS_DEFAULT_REGION=eu-west-4"));
	conf_is_ok(NULL, NULL);
	cr_assert_str_eq(fx.conf->region, "eu-west-4");
	fx_end();
	fx_begin(VARS("AWS_PROFILE=dev"));
	fx_file(CONFIG, "[profile dev]\nregion = eu-north-1\n");
	conf_is_ok(NULL, NULL);
	cr_assert_str_eq(fx.conf->region, "eu-north-1");
	cr_assert_str_eq(fx.conf->region_from, "the profile");
	cr_assert(fx.conf->profile_env);
	fx_end();
}

/* row 95 of the matrix */
Test(aws_conf, a_region_is_one_label_and_settings_have_no_line_breaks)
{
	fx_begin(VARS("AWS_ENDPOINT_URL=http://127.0.0.1:1/\r\nX-CANARY: 1"));
	conf_fails(NULL, "eu-west-1.evil.example", EINVAL, "region");
	conf_fails(NULL, "eu-west-1\r\nX: 1", EINVAL, "region");
	conf_fails("endpoint=http://127.0.0.1/\n", "eu-west-1", EINVAL, "control character");
	conf_fails(
		NULL, "eu-west-1", EINVAL, "environment variable AWS_ENDPOINT_URL: a line break");
	fx_end();
}

static void url_is(enum aws_service s, const char *want)
{
	struct buf b = BUF_INIT(1000);
	cr_assert_eq(aws_conf_url(fx.conf, s, "eu-west-1", &b, NULL), 0);
	cr_assert_str_eq(buf_text(&b), want);
	buf_clear(&b);
}

Test(aws_conf, endpoints_in_the_order_of_the_sdks)
{
	static const char file[] = "[default]\nendpoint_url = https://p.example\nservices = s\n"
				   "[services s]\nssm =\n  endpoint_url = https://b.example/\n";
	fx_begin(VARS("AWS_ENDPOINT_URL_STS=https://sts.example/"));
	fx_file(CONFIG, file);
	conf_is_ok("endpoint=https://o.example//", "eu-west-1");
	url_is(AWS_SECRETSMANAGER, "https://o.example");
	url_is(AWS_STS, "https://sts.example");
	url_is(AWS_SSM, "https://b.example"); /* aws.md case 37: the nested block */
	url_is(AWS_SSO, "https://p.example");
	conf_is_ok("sts_endpoint=https://t.example", "eu-west-1");
	url_is(AWS_SECRETSMANAGER, "https://p.example");
	url_is(AWS_STS, "https://t.example");
	fx_end();
}

Test(aws_conf, the_general_variable_redirects_all_services)
{
	fx_begin(VARS("AWS_ENDPOINT_URL=http://127.0.0.1:4566",
		"AWS_ENDPOINT_URL_SSM=http://127.0.0.1:1"));
	conf_is_ok(NULL, "eu-west-1");
	url_is(AWS_SECRETSMANAGER, "http://127.0.0.1:4566");
	url_is(AWS_SSM, "http://127.0.0.1:1");
	url_is(AWS_STS, "http://127.0.0.1:4566");
	url_is(AWS_SSO, "http://127.0.0.1:4566");
	fx_end();
}

Test(aws_conf, configured_endpoints_can_be_ignored_but_the_option_counts)
{
	fx_begin(VARS("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=TRUE",
		"AWS_ENDPOINT_URL=http://127.0.0.1:4566"));
	fx_file(CONFIG, "[default]\nendpoint_url = https://p.example\nservices = missing\n");
	conf_is_ok("endpoint=https://o.example", "eu-west-1");
	url_is(AWS_SECRETSMANAGER, "https://o.example");
	url_is(AWS_SSM, "https://ssm.eu-west-1.amazonaws.com");
	fx_end();
}

Test(aws_conf, a_missing_services_section_is_an_error)
{
	fx_begin(NULL);
	fx_file(CONFIG, "[default]\nservices = gone\n");
	conf_fails(NULL, "eu-west-1", EINVAL, "no section [services gone]");
	fx_end();
}

Test(aws_conf, plain_http_and_bad_urls_are_refused)
{
	fx_begin(NULL);
	conf_fails("endpoint=http://secrets.example", "eu-west-1", EINVAL, "endpoint");
	conf_is_ok("endpoint=http://secrets.example,insecure_http", "eu-west-1");
	conf_fails("endpoint=https://user:pw@secrets.example", "eu-west-1", EINVAL, "endpoint");
	fx_end();
}

Test(aws_conf, fips_and_dualstack_by_option_variable_file)
{
	fx_begin(VARS("AWS_USE_DUALSTACK_ENDPOINT=true"));
	fx_file(CONFIG, "[default]\nuse_fips_endpoint = true\n");
	conf_is_ok(NULL, "us-east-1");
	cr_assert(fx.conf->fips && fx.conf->dualstack);
	conf_is_ok("fips=no,dualstack=no", "us-east-1");
	cr_assert_not(fx.conf->fips || fx.conf->dualstack);
	fx_end();
	fx_begin(VARS("AWS_USE_FIPS_ENDPOINT=maybe"));
	conf_fails(NULL, "us-east-1", EINVAL, "AWS_USE_FIPS_ENDPOINT must be true or false");
	fx_end();
}

Test(aws_conf, a_custom_endpoint_and_fips_do_not_go_together)
{
	fx_begin(NULL);
	conf_fails("fips,endpoint=https://o.example", "us-east-1", EINVAL, "do not go together");
	conf_fails("dualstack,sts_endpoint=https://o.example", "us-east-1", EINVAL,
		"STS and dual-stack");
	fx_end();
}

Test(aws_conf, certificates_attempts_and_the_name_of_the_application)
{
	char want[128];
	fx_begin(VARS("AWS_CA_BUNDLE=~/ca.pem", "AWS_MAX_ATTEMPTS=7", "AWS_SDK_UA_APP_ID=app"));
	conf_is_ok(NULL, "us-east-1");
	fx_path(want, sizeof(want), "ca.pem");
	cr_assert_str_eq(fx.conf->cacert, want);
	cr_assert_eq(fx.conf->max_attempts, 7);
	cr_assert_str_eq(fx.conf->app_id, "app");
	conf_is_ok("cacert=/etc/ssl/own.pem", "us-east-1");
	cr_assert_str_eq(fx.conf->cacert, "/etc/ssl/own.pem");
	fx_end();
	fx_begin(VARS("AWS_MAX_ATTEMPTS=0"));
	conf_fails(NULL, "us-east-1", EINVAL, "AWS_MAX_ATTEMPTS must be a number from 1");
	fx_end();
	fx_begin(VARS("AWS_CA_BUNDLE=ca.pem"));
	conf_fails(NULL, "us-east-1", EINVAL, "AWS_CA_BUNDLE must be an absolute path");
	fx_end();
}

Test(aws_conf, a_named_profile_must_exist)
{
	fx_begin(NULL);
	fx_file(CONFIG, "[profile dev]\nregion = eu-west-1\n");
	conf_fails("profile=dve", NULL, ENOKEY, "dve");
	conf_is_ok("profile=dev", NULL);
	cr_assert(fx.conf->profile_named);
	fx_end();
	fx_begin(VARS("AWS_PROFILE=gone")); /* that one says so when credentials are needed */
	conf_is_ok(NULL, "eu-west-1");
	fx_end();
}

Test(aws_conf, files_by_their_variables)
{
	char a[160], b[160];
	fx_begin(NULL);
	snprintf(a, sizeof(a), "AWS_CONFIG_FILE=%s/elsewhere", fx.home);
	snprintf(b, sizeof(b), "AWS_SHARED_CREDENTIALS_FILE=~/missing");
	fx_file("elsewhere", "[default]\nregion = eu-south-1\n");
	fx_vars(VARS(a, b));
	conf_is_ok(NULL, NULL);
	cr_assert_str_eq(fx.conf->region, "eu-south-1");
	fx_end();
}

Test(aws_conf, a_malformed_file_names_the_line_and_shows_nothing_of_it)
{
	fx_begin(NULL);
	fx_file(CREDS, "[default]\naws_secret_access_key CANARY\n");
	conf_fails(NULL, "eu-west-1", EINVAL, "line 2");
	fx_end();
}

/* R55 */
Test(aws_conf, a_file_that_everybody_may_write_is_refused)
{
	char path[160];
	fx_begin(NULL);
	fx_file(CREDS, "[default]\n");
	fx_path(path, sizeof(path), CREDS);
	chmod(path, 0666);
	conf_fails(NULL, "eu-west-1", EACCES, "everybody on this machine may write it");
	fx_end();
}

Test(aws_conf, without_a_home_directory_there_are_no_files)
{
	fx_begin(NULL);
	fx.env.home = NULL;
	conf_is_ok(NULL, "eu-west-1");
	cr_assert_null(fx.conf->file[0].path);
	fx_end();
}

Test(aws_conf, the_metadata_service_can_be_elsewhere)
{
	fx_begin(VARS("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338/",
		"AWS_METADATA_SERVICE_TIMEOUT=3", "AWS_METADATA_SERVICE_NUM_ATTEMPTS=2"));
	conf_is_ok("imds_v1", NULL);
	cr_assert_str_eq(fx.conf->imds_endpoint, "http://127.0.0.1:1338");
	cr_assert_eq(fx.conf->imds_timeout, 3 * NSEC_PER_SEC);
	cr_assert_eq(fx.conf->imds_attempts, 2);
	cr_assert(fx.conf->imds_v1);
	fx_end();
	fx_begin(VARS("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6"));
	conf_is_ok(NULL, NULL);
	cr_assert_str_eq(fx.conf->imds_endpoint, "http://[fd00:ec2::254]");
	fx_end();
	fx_begin(VARS("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://attacker.example"));
	conf_fails(NULL, NULL, EINVAL, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	fx_end();
	fx_begin(VARS("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv5"));
	conf_fails(NULL, NULL, EINVAL, "must be IPv4 or IPv6");
	fx_end();
}

Test(aws_conf, without_memory_nothing_is_left)
{
	fx_begin(VARS("AWS_REGION=eu-west-1"));
	fx_file(CONFIG, "[default]\nendpoint_url = https://p.example\n");
	for (unsigned long n = 1; n < 60; n++) {
		struct aws_conf *c = NULL;
		alloc_fail_at(n);
		int r = aws_conf_load(&fx.env, AWS_SSM, NULL, &fx.opts, &c, &fx.err);
		alloc_fail_at(0);
		cr_assert(r == 0 || r == -ENOMEM, "allocation %lu: %s", n, fx.err.msg);
		cr_assert_eq(r == 0, c != NULL);
		aws_conf_free(c);
	}
	fx_end();
}
