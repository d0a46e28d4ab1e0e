/* SPDX-License-Identifier: Apache-2.0 */
/* What federation is configured by, and its texts (gcp.md sections 9.4 and 9.5, cases 41 to 46). */
#include "backends/gcp_external.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define AUDIENCE                                                                                \
	"//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/" \
	"a"
#define JWT	 "urn:ietf:params:oauth:token-type:jwt"
#define ACCOUNTS "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
#define SA	 "sa@p.iam.gserviceaccount.com"
#define HEAD                                                      \
	"{\"type\":\"external_account\",\"audience\":\"" AUDIENCE \
	"\",\"subject_token_type\":\"" JWT                        \
	"\",\"token_url\":\"https://sts.googleapis.com/v1/token\",\"credential_source\":"

static struct gcp_doc doc = GCP_DOC_INIT;
static struct gcp_external x;
static struct sfs_err err;

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

static void teardown(void)
{
	gcp_external_clear(&x);
	gcp_doc_clear(&doc);
	cr_expect_eq(blocks(), 0, "secret memory is left");
}
TestSuite(gcp_external, .fini = teardown);

static void load(const char *text)
{
	gcp_external_clear(&x);
	gcp_doc_clear(&doc);
	doc = (struct gcp_doc)GCP_DOC_INIT;
	err_clear(&err);
	cr_assert_eq(buf_str(&doc.text, text), 0);
	cr_assert_eq(gcp_doc_parse(&doc, "/c.json", &err), 0, "%s", err.msg);
}

static void parse(const char *text)
{
	load(text);
	cr_assert_eq(gcp_external_parse(&doc, &x, &err), 0, "%s", err.msg);
}

static void refuse(const char *text, const char *words)
{
	struct gcp_external untouched = {.audience = (char *)(uintptr_t)words};
	load(text);
	cr_assert_eq(gcp_external_parse(&doc, &untouched, &err), -EBADMSG, "%s", text);
	cr_assert_eq(untouched.audience, words);
	cr_assert(strstr(err.msg, words), "%s: %s", text, err.msg);
	cr_assert(strstr(err.msg, "/c.json"), "%s", err.msg);
	cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
}

/* ---- the file ---- */

Test(gcp_external, a_file_source)
{
	parse(HEAD "{\"file\":\"/var/run/token\"}}");
	cr_assert_eq(x.source.kind, GCP_SOURCE_FILE);
	cr_assert_str_eq(x.source.file, "/var/run/token");
	cr_assert_null(x.source.field);
	cr_assert_str_eq(x.audience, AUDIENCE);
	cr_assert_str_eq(x.token_url, "https://sts.googleapis.com/v1/token");
	cr_assert_null(x.impersonation_url);
	cr_assert_eq(x.lifetime, 3600);
}

Test(gcp_external, an_url_source_with_headers_and_a_member)
{
	parse(HEAD
		"{\"url\":\"http://169.254.169.254/metadata/identity?resource=api%3A%2F%2F1\","
		"\"headers\":{\"Metadata\":\"True\",\"Authorization\":\"Bearer CANARY\"},"
		"\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"access_token\"}}}");
	cr_assert_eq(x.source.kind, GCP_SOURCE_URL);
	cr_assert_str_eq(x.source.field, "access_token");
	cr_assert_eq(x.source.n_headers, 2);
	cr_assert_str_eq(x.source.header[0].name, "Metadata");
	cr_assert_str_eq(buf_text(&x.source.header[1].value), "Bearer CANARY");
	cr_assert_eq(x.source.header[1].value.kind, BUF_SECRET);
}

Test(gcp_external, a_program)
{
	parse(HEAD "{\"executable\":{\"command\":\"/opt/t --a 'b c'\",\"timeout_millis\":5000,"
		   "\"output_file\":\"/run/out\"}}}");
	cr_assert_eq(x.source.kind, GCP_SOURCE_PROGRAM);
	cr_assert_eq(x.source.timeout, 5 * NSEC_PER_SEC);
	cr_assert_str_eq(x.source.output_file, "/run/out");
	parse(HEAD "{\"executable\":{\"command\":\"/opt/t\"}}}");
	cr_assert_eq(x.source.timeout, 30 * NSEC_PER_SEC);
	cr_assert_null(x.source.output_file);
}

Test(gcp_external, an_aws_role)
{
	parse(HEAD "{\"environment_id\":\"aws1\",\"region_url\":\"http://169.254.169.254/r\","
		   "\"url\":\"http://[fd00:ec2::254]/k\",\"imdsv2_session_token_url\":"
		   "\"http://127.0.0.1:9/t\",\"regional_cred_verification_url\":"
		   "\"https://sts.{region}.amazonaws.com?Action=GetCallerIdentity\"}}");
	cr_assert_eq(x.source.kind, GCP_SOURCE_AWS);
	cr_assert_str_eq(x.source.url, "http://[fd00:ec2::254]/k");
	cr_assert_str_eq(x.source.session_url, "http://127.0.0.1:9/t");
	parse(HEAD "{\"environment_id\":\"aws1\",\"regional_cred_verification_url\":"
		   "\"https://sts.{region}.amazonaws.com\"}}");
	cr_assert_null(x.source.region_url);
}

Test(gcp_external, a_service_account_and_a_client)
{
	parse("{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/locations/global/"
	      "workforcePools/p/providers/a\",\"subject_token_type\":\"" JWT
	      "\",\"token_url\":\"http://127.0.0.1:8/token\",\"service_account_impersonation_url\":"
	      "\"" ACCOUNTS SA ":generateAccessToken\",\"service_account_impersonation\":{"
	      "\"token_lifetime_seconds\":1800},\"client_id\":\"me\",\"client_secret\":\"CANARY\","
	      "\"workforce_pool_user_project\":\"123\",\"credential_source\":{\"file\":\"/t\"}}");
	cr_assert_eq(x.lifetime, 1800);
	cr_assert_str_eq(x.client_id, "me");
	cr_assert_not_null(x.client_secret);
	cr_assert_str_eq(x.user_project, "123");
}

Test(gcp_external, sources_that_are_none)
{
	refuse(HEAD "{}}", "names no source");
	refuse(HEAD "{\"file\":\"/t\",\"url\":\"https://x/\"}}", "names several sources");
	refuse(HEAD "{\"file\":\"/t\",\"executable\":{\"command\":\"x\"}}}",
		"names several sources");
	refuse(HEAD "{\"certificate\":{\"use_default_certificate_config\":true}}}",
		"names a certificate, which is not supported");
	refuse(HEAD "{\"environment_id\":\"aws2\",\"regional_cred_verification_url\":\"x\"}}",
		"is not aws1");
	refuse(HEAD "{\"environment_id\":\"aws1\"}}", "regional_cred_verification_url");
	refuse(HEAD "\"CANARY\"}", "credential_source");
	refuse(HEAD "{\"file\":7}}", "file");
	refuse(HEAD "{\"file\":\"/a\\nb\"}}", "file");
	refuse(HEAD "{\"executable\":\"x\"}}", "executable");
	refuse(HEAD "{\"executable\":{\"timeout_millis\":5000}}}", "command");
}

Test(gcp_external, settings_that_cannot_be)
{
	refuse(HEAD "{\"executable\":{\"command\":\"x\",\"timeout_millis\":4999}}}",
		"timeout_millis is no number from 5000 to 120000");
	refuse(HEAD "{\"executable\":{\"command\":\"x\",\"timeout_millis\":120001}}}",
		"timeout_millis");
	refuse(HEAD "{\"executable\":{\"command\":\"x\",\"timeout_millis\":\"6000\"}}}",
		"timeout_millis");
	refuse(HEAD "{\"file\":\"/t\",\"format\":{\"type\":\"xml\"}}}", "neither text nor json");
	refuse(HEAD "{\"file\":\"/t\",\"format\":{\"type\":\"json\"}}}",
		"subject_token_field_name");
	refuse(HEAD "{\"file\":\"/t\",\"format\":[]}}", "format");
	refuse(HEAD "{\"url\":\"https://x/\",\"headers\":{\"A\":1}}}", "headers");
	refuse(HEAD "{\"url\":\"https://x/\",\"headers\":{\"A\":\"CANARY\\r\\nB: c\"}}}",
		"headers");
	refuse(HEAD "{\"url\":\"https://x/\",\"headers\":{\"\":\"CANARY\"}}}", "headers");
	refuse(HEAD "{\"url\":\"https://x/\",\"headers\":{\"A\":\"\",\"B\":\"\",\"C\":\"\","
		    "\"D\":\"\",\"E\":\"\",\"F\":\"\",\"G\":\"\"}}}",
		"headers");
	refuse(HEAD "{\"file\":\"/t\"},\"workforce_pool_user_project\":\"1\"}",
		"is for the audience of a workforce pool only");
	refuse(HEAD "{\"file\":\"/t\"},\"service_account_impersonation\":{"
		    "\"token_lifetime_seconds\":599}}",
		"token_lifetime_seconds is no number from 600 to 43200");
	refuse(HEAD "{\"file\":\"/t\"},\"service_account_impersonation_url\":"
		    "\"https://iam/v1/x:signBlob\"}",
		"does not end in /serviceAccounts/EMAIL:generateAccessToken");
	refuse(HEAD "{\"file\":\"/t\"},\"service_account_impersonation_url\":"
		    "\"https://iam/v1/:generateAccessToken\"}",
		"does not end in");
}

/* cases 43 and 51 */
Test(gcp_external, where_nothing_is_sent_in_the_clear)
{
	refuse(HEAD "{\"url\":\"http://10.0.0.1/t\"}}",
		"plain http is for loopback and link-local addresses only");
	refuse(HEAD "{\"url\":\"http://169.254.1.1.example/t\"}}", "plain http is for loopback");
	refuse(HEAD "{\"url\":\"ftp://127.0.0.1/t\"}}", "url");
	refuse("{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"" JWT
	       "\",\"token_url\":\"http://evil/\",\"credential_source\":{\"file\":\"/t\"}}",
		"token_url");
	refuse(HEAD "{\"file\":\"/t\"},\"service_account_impersonation_url\":"
		    "\"http://evil/" SA ":generateAccessToken\"}",
		"service_account_impersonation_url");
	refuse(HEAD "{\"environment_id\":\"aws1\",\"region_url\":\"http://evil/\","
		    "\"regional_cred_verification_url\":\"https://x\"}}",
		"region_url");
	parse(HEAD "{\"url\":\"http://127.0.0.1:1234/t\"}}");
	parse(HEAD "{\"url\":\"http://169.254.169.254/t\"}}");
	parse(HEAD "{\"url\":\"https://anywhere.example/t\"}}");
}

Test(gcp_external, what_is_missing)
{
	refuse("{\"type\":\"external_account\"}", "audience");
	refuse("{\"type\":\"external_account\",\"audience\":\"a\"}", "subject_token_type");
	refuse("{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\"}",
		"token_url");
	refuse("{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
	       "\"token_url\":\"https://s/\"}",
		"credential_source");
}

Test(gcp_external, no_memory_anywhere)
{
	load(HEAD "{\"url\":\"https://x/\",\"headers\":{\"A\":\"B\"},\"format\":{\"type\":\"json\","
		  "\"subject_token_field_name\":\"t\"}},\"service_account_impersonation_url\":"
		  "\"" ACCOUNTS SA ":generateAccessToken\"}");
	for (unsigned long n = 1; n < 60; n++) {
		struct gcp_external y = {0};
		alloc_fail_at(n);
		int r = gcp_external_parse(&doc, &y, NULL);
		unsigned long met = alloc_fail_at(0);
		cr_assert(r == 0 || met >= n, "%lu: %d", n, r);
		gcp_external_clear(&y);
	}
}

/* ---- impersonated_service_account ---- */

Test(gcp_external, an_account_with_delegates_in_order)
{
	struct gcp_account a = {0};
	load("{\"type\":\"impersonated_service_account\",\"delegates\":[\"c\",\"a\",\"b\"],"
	     "\"scopes\":[\"s\"],\"service_account_impersonation_url\":\"" ACCOUNTS SA
	     ":generateAccessToken\",\"source_credentials\":{\"type\":\"authorized_user\"}}");
	cr_assert_eq(gcp_account_parse(&doc, &a, &err), 0, "%s", err.msg);
	cr_assert_str_eq(a.delegates[0], "c");
	cr_assert_str_eq(a.delegates[1], "a");
	cr_assert_str_eq(a.delegates[2], "b");
	cr_assert_null(a.delegates[3]);
	cr_assert_str_eq(a.scopes[0], "s");
	gcp_account_clear(&a);
}

static void refuse_account(const char *text, const char *words)
{
	struct gcp_account a = {.url = (char *)(uintptr_t)words};
	load(text);
	cr_assert_eq(gcp_account_parse(&doc, &a, &err), -EBADMSG, "%s", text);
	cr_assert_eq(a.url, words);
	cr_assert(strstr(err.msg, words), "%s", err.msg);
}

Test(gcp_external, accounts_that_are_none)
{
#define ACCOUNT                                                                             \
	"{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":" \
	"\"" ACCOUNTS SA ":generateAccessToken\""
	refuse_account(
		"{\"type\":\"impersonated_service_account\"}", "service_account_impersonation_url");
	refuse_account(ACCOUNT ",\"delegates\":\"x\"}", "delegates is no array");
	refuse_account(ACCOUNT ",\"delegates\":[\"a\",1]}", "delegates holds something");
	refuse_account(ACCOUNT ",\"delegates\":[\"a\",\"\"]}", "delegates holds something");
	refuse_account(ACCOUNT ",\"scopes\":[null]}", "scopes holds something");
	refuse_account(ACCOUNT ",\"delegates\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
			       "\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]}",
		"too many");
}

Test(gcp_external, the_account_of_an_url)
{
	char *email = gcp_account_of(ACCOUNTS SA ":generateAccessToken");
	cr_assert_str_eq(email, SA);
	mem_free(email);
	cr_assert_null(gcp_account_of("https://x/:generateAccessToken"));
	cr_assert_null(gcp_account_of("https://x/a:generateAccessTokens"));
	cr_assert_null(gcp_account_of("x"));
}
