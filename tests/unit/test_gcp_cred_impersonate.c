/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of service accounts, AWS roles and workforce logins (gcp.md sections 9.4 and 9.5, cases 44
 * to 46) by exact exchanges. */
#include "fakes/http_script.h"

#include "gcp_cred_fixture.h"

#define DIRECT	(HTTP_DIRECT | HTTP_NO_BREAKER)
#define STS	"https://sts.googleapis.com/v1/token"
#define IAM	"https://iamcredentials.googleapis.com"
#define ACT(sa) "/v1/projects/-/serviceAccounts/" sa ":generateAccessToken"
#define SA	"sa@p.iam.gserviceaccount.com"

#define JWT_TYPE "urn:ietf:params:oauth:token-type:jwt"
#define ACCOUNT(type, source, more)                                                              \
	"{\"type\":\"external_account\",\"audience\":\"//iam/p\",\"subject_token_type\":\"" type \
	"\",\"token_url\":\"" STS "\",\"credential_source\":{" source "}" more "}"
#define IMPERSONATION ",\"service_account_impersonation_url\":\"" IAM ACT(SA) "\""

#define CLOUD	   "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
#define CLOUD_JSON "\"https://www.googleapis.com/auth/cloud-platform\""
#define IAM_JSON   "\"https://www.googleapis.com/auth/iam\""
#define FORM(scope, token)                                                                  \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F" \
	"%2Fiam%2Fp&scope=" scope "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3A"    \
	"token-type%3Aaccess_token&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-" \
	"type%3Ajwt&subject_token=" token
#define POST_STS(form) .method = "POST", .url = STS, .body = form
#define FORM_IAM       FORM("https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fiam", "J")
#define TOKEN(t)       \
	.status = 200, \
	.reply = "{\"access_token\":\"" t "\",\"expires_in\":3600,\"token_type\":\"Bearer\"}"
#define GENERATE(host, sa, bearer, delegates, scopes, life)                                  \
	.method = "POST", .url = host ACT(sa),                                               \
	.headers = {"Authorization: Bearer " bearer, "Content-Type: application/json",       \
		"!X-Goog-User-Project"},                                                     \
	.body = "{\"delegates\":[" delegates "],\"scope\":[" scopes "],\"lifetime\":\"" life \
		"s\"}"
#define GENERATED(t, when) \
	.status = 200, .reply = "{\"accessToken\":\"" t "\",\"expireTime\":\"" when "\"}"

static void gives(const char *token, const char *source)
{
	char want[1024];
	int n = snprintf(want, sizeof(want), "%s [options] ", token);
	const char *hole = strstr(source, "%s");
	int before = hole ? (int)(hole - source) : (int)strlen(source);
	snprintf(want + n, sizeof(want) - (size_t)n, "%.*s%s%s", before, source,
		hole ? fx.home : "", hole ? hole + 2 : "");
	fx_gives(want);
}

#define OPEN(text, ex)                                              \
	do {                                                        \
		fx_file("c.json", text);                            \
		FX_OPEN(fx_say_path("credentials=", "c.json"), ex); \
	} while (0)
#define OPEN_QUIET(text)                                              \
	do {                                                          \
		fx_file("c.json", text);                              \
		FX_OPEN_QUIET(fx_say_path("credentials=", "c.json")); \
	} while (0)

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define FILE_SOURCE "\"file\":\"~/tok\""
#define FILE_SAID   "federation of %s/c.json, subject token of the file ~/tok"

/* ---- federation with a service account ---- */

/* case 45 */
Test(impersonate, with_a_federated_token)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM_IAM), TOKEN("F1")},
		{GENERATE(IAM, SA, "F1", "", CLOUD_JSON, "1800"),
			GENERATED("A1", "2023-11-14T22:43:20.5Z")},
		{POST_STS(FORM_IAM), TOKEN("F2")},
		{GENERATE(IAM, SA, "F2", "", CLOUD_JSON, "1800"),
			GENERATED("A2", "2023-11-14T23:20:00Z")},
	};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(JWT_TYPE, FILE_SOURCE,
		     IMPERSONATION ",\"service_account_impersonation\":{\"token_lifetime_seconds\":"
				   "1800}"),
		ex);
	gives("A1", "service account " SA " by " FILE_SAID);
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, SA);
	cr_assert_eq(set->expires, clock_boot() + 30 * MIN + NSEC_PER_SEC / 2);
	cred_unref(set);
	fx_pass(31 * MIN);
	gives("A2", "service account " SA " by " FILE_SAID);
	fx_end();
}

/* The provider's clock counts. */
Test(impersonate, an_expiry_is_taken_by_the_clock_that_set_it)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM_IAM), TOKEN("F1")},
		{GENERATE(IAM, SA, "F1", "", CLOUD_JSON, "3600"),
			.with = "date: Tue, 14 Nov 2023 21:13:20 GMT\n", /* an hour behind ours */
			GENERATED("A1", "2023-11-14T22:13:20Z")},
	};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(JWT_TYPE, FILE_SOURCE, IMPERSONATION), ex);
	struct cred *set = fx_set();
	cr_assert_eq(set->expires, clock_boot() + 60 * MIN);
	cred_unref(set);
	fx_end();
}

Test(impersonate, whose_quota_is_used)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM_IAM), TOKEN("F1"), .headers = {"!X-Goog-User-Project"}},
		{.method = "POST",
			.url = IAM ACT(SA),
			.any_body = true,
			.headers = {"X-Goog-User-Project: payer-1"},
			GENERATED("A1", "2023-11-14T23:13:20Z")},
	};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(JWT_TYPE, FILE_SOURCE, IMPERSONATION ",\"quota_project_id\":\"payer-1\""), ex);
	gives("A1", "service account " SA " by " FILE_SAID);
	fx_end();
}

static void refused(int status, const char *reply, int code, const char *words)
{
	const struct http_exchange ex[] = {
		{POST_STS(FORM_IAM), TOKEN("CANARY")},
		{GENERATE(IAM, SA, "CANARY", "", CLOUD_JSON, "3600"), .status = status,
			.reply = reply},
	};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(JWT_TYPE, FILE_SOURCE, IMPERSONATION), ex);
	fx_fails(code, words);
	fx_end();
}

Test(impersonate, what_is_refused)
{
	refused(403,
		"{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":"
		"\"Permission "
		"'iam.serviceAccounts.getAccessToken' denied on resource (or it may not "
		"exist).\"}}",
		EACCES,
		"permission iam.serviceAccounts.getAccessToken is missing on service "
		"account " SA);
	refused(404, "{\"error\":{\"message\":\"Not found; Gaia id not found\"}}", EKEYREJECTED,
		"service account " SA " does not exist");
	refused(400, "{\"error\":{\"message\":\"lifetime\"}}", EINVAL, "lifetime");
	refused(401, "{\"error\":{\"message\":\"CANARY1CANARY2CANARY\"}}", EKEYREJECTED,
		"does not accept the token");
	refused(200, "{\"accessToken\":\"CANARY\"}", EBADMSG,
		"the answer of the IAM Credentials API: its expireTime");
	refused(200, "[\"CANARY\"]", EBADMSG, "no JSON object");
}

/* ---- impersonate= ---- */

#define USER                                                                           \
	"{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"cs\"," \
	"\"refresh_token\":\"rt\"}"
#define POST_USER                                                       \
	.method = "POST", .url = "https://oauth2.googleapis.com/token", \
	.body = "grant_type=refresh_token&client_id=id&client_secret=cs&refresh_token=rt"

Test(impersonate, by_option_with_any_credentials)
{
	static const struct http_exchange ex[] = {
		{POST_USER, TOKEN("U1")},
		{GENERATE(IAM, SA, "U1", "", CLOUD_JSON, "3600"),
			GENERATED("A1", "2023-11-14T23:13:20Z")},
	};
	char options[400];
	fx_begin(NULL);
	fx_file("c.json", USER);
	snprintf(options, sizeof(options), "impersonate=" SA ",credentials=%s/c.json", fx.home);
	FX_OPEN(options, ex);
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, SA);
	cr_assert(strstr(set->source, "service account " SA " by "), "%s", set->source);
	cred_unref(set);
	fx_end();
}

/* One service account by federation, which may act as another: the first token is for that only. */
Test(impersonate, by_option_on_top_of_an_impersonation)
{
#define OTHER "other@p.iam.gserviceaccount.com"
	static const struct http_exchange ex[] = {
		{POST_STS(FORM_IAM), TOKEN("F1")},
		{GENERATE(IAM, SA, "F1", "", IAM_JSON, "3600"),
			GENERATED("A1", "2023-11-14T23:13:20Z")},
		{GENERATE("https://iam.example:8443", OTHER, "A1", "", CLOUD_JSON, "3600"),
			GENERATED("A2", "2023-11-14T22:23:20Z")},
	};
	char options[400];
	fx_begin(NULL);
	fx_file("tok", "J");
	fx_file("c.json", ACCOUNT(JWT_TYPE, FILE_SOURCE, IMPERSONATION));
	snprintf(options, sizeof(options),
		"impersonate=" OTHER ",iam_endpoint=https://iam.example:8443,credentials=%s/c.json",
		fx.home);
	FX_OPEN(options, ex);
	gives("A2", "service account " OTHER " by service account " SA " by " FILE_SAID);
	fx_end();
}

Test(impersonate, in_another_universe)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = "https://s.example.cloud/t",
			.any_body = true,
			TOKEN("F1")},
		{GENERATE("https://iamcredentials.example.cloud", SA, "F1", "", CLOUD_JSON, "3600"),
			GENERATED("A1", "2023-11-14T23:13:20Z")},
	};
	char options[400];
	fx_begin(NULL);
	fx_file("tok", "J");
	fx_file("c.json", "{\"type\":\"external_account\",\"audience\":\"a\",\"token_url\":"
			  "\"https://s.example.cloud/t\",\"subject_token_type\":\"t\","
			  "\"universe_domain\":\"example.cloud\",\"credential_source\":{"
			  "\"file\":\"~/tok\"}}");
	snprintf(options, sizeof(options), "impersonate=" SA ",credentials=%s/c.json", fx.home);
	FX_OPEN(options, ex);
	gives("A1", "service account " SA " by " FILE_SAID);
	fx_end();
}

/* ---- impersonated_service_account ---- */

#define IMPERSONATED(source, more)                                                                \
	"{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":\"" IAM \
	ACT(SA) "\",\"source_credentials\":" source more "}"

/* case 46 */
Test(impersonate, delegates_go_in_order)
{
	static const struct http_exchange ex[] = {
		{POST_USER, TOKEN("U1")},
		{GENERATE(IAM, SA, "U1", "\"z@x\",\"a@x\"", CLOUD_JSON, "3600"),
			GENERATED("A1", "2023-11-14T23:13:20Z")},
	};
	fx_begin(NULL);
	OPEN(IMPERSONATED(USER, ",\"delegates\":[\"z@x\",\"a@x\"],\"quota_project_id\":\"payer\""),
		ex);
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, SA);
	/* that of the file is for the API, not for the source */
	cr_assert_str_eq(gcp_cred_quota_project(fx.cred, set), "payer");
	cred_unref(set);
	fx_end();
}

Test(impersonate, scopes_and_quota_of_the_source)
{
	static const struct http_exchange ex[] = {
		{POST_USER, TOKEN("U1")},
		{.method = "POST",
			.url = IAM ACT(SA),
			.headers = {"X-Goog-User-Project: users-own"},
			.body = "{\"delegates\":[],\"scope\":[\"s1\",\"s2\"],\"lifetime\":"
				"\"3600s\"}",
			GENERATED("A1", "2023-11-14T23:13:20Z")},
	};
	fx_begin(NULL);
	OPEN(IMPERSONATED("{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":"
			  "\"cs\",\"refresh_token\":\"rt\",\"quota_project_id\":\"users-own\"}",
		     ",\"scopes\":[\"s1\",\"s2\"]"),
		ex);
	struct cred *set = fx_set();
	cr_assert_null(gcp_cred_quota_project(fx.cred, set));
	cred_unref(set);
	fx_end();
}

Test(impersonate, sources_that_are_refused)
{
	fx_begin(NULL);
	OPEN_QUIET(IMPERSONATED(IMPERSONATED(USER, ""), ""));
	fx_fails(EBADMSG, "source_credentials are an impersonated_service_account too");
	fx_file("c.json", IMPERSONATED("{\"type\":\"gdch_service_account\"}", ""));
	fx_pass(2 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "gdch_service_account");
	fx_file("c.json", IMPERSONATED("\"CANARY\"", ""));
	fx_pass(2 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "source_credentials");
	fx_file("c.json", "{\"type\":\"impersonated_service_account\","
			  "\"service_account_impersonation_url\":\"http://evil/" SA
			  ":generateAccessToken\",\"source_credentials\":" USER "}");
	fx_pass(2 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "service_account_impersonation_url");
	fx_end();
}

/* ---- external_account_authorized_user ---- */

#define LOGIN(refresh)                                                                           \
	"{\"type\":\"external_account_authorized_user\",\"audience\":\"//iam/p\",\"token_url\":" \
	"\"https://sts.googleapis.com/v1/oauthtoken\",\"client_id\":\"me\",\"client_secret\":"   \
	"\"secret\",\"refresh_token\":\"" refresh "\"}"
#define POST_LOGIN(refresh)                                                  \
	.method = "POST", .url = "https://sts.googleapis.com/v1/oauthtoken", \
	.headers = {"Authorization: Basic bWU6c2VjcmV0"},                    \
	.body = "grant_type=refresh_token&refresh_token=" refresh
#define LOGIN_SAID "login of a workforce pool in %s/c.json"

Test(impersonate, a_login_keeps_the_newest_refresh_token)
{
	static const struct http_exchange ex[] = {
		{POST_LOGIN("rt%2F1"), .status = 200,
			.reply = "{\"access_token\":\"G1\",\"expires_in\":\"3600\",\"refresh_"
				 "token\":"
				 "\"rt2\"}"},
		{POST_LOGIN("rt2"), TOKEN("G2")},
		{POST_LOGIN("rt2"), TOKEN("G3")},
		{POST_LOGIN("rt9"), TOKEN("G4")},
	};
	fx_begin(NULL);
	OPEN(LOGIN("rt/1"), ex);
	gives("G1", LOGIN_SAID);
	fx_pass(61 * MIN);
	gives("G2", LOGIN_SAID);
	fx_pass(61 * MIN);
	gives("G3", LOGIN_SAID);
	fx_file("c.json", LOGIN("rt9")); /* a new login */
	fx_pass(2 * NSEC_PER_SEC);
	gives("G4", LOGIN_SAID);
	fx_end();
}

Test(impersonate, a_login_that_is_over)
{
	static const struct http_exchange ex[] = {{POST_LOGIN("CANARY"), .status = 400,
		.reply = "{\"error\":\"invalid_grant\",\"error_description\":\"expired\"}"}};
	fx_begin(NULL);
	OPEN(LOGIN("CANARY"), ex);
	fx_fails(EKEYEXPIRED, "the refresh token in ");
	fx_end();
	fx_begin(NULL);
	OPEN_QUIET("{\"type\":\"external_account_authorized_user\",\"token_url\":\"http://evil/\","
		   "\"client_id\":\"me\",\"client_secret\":\"s\",\"refresh_token\":\"CANARY\"}");
	fx_fails(EBADMSG, "token_url");
	fx_end();
}

/* ---- AWS ---- */

#define AWS_TYPE "urn:ietf:params:aws:token-type:aws4_request"
#define MD	 "http://169.254.169.254/latest/"
#define AWS(more)                                                                       \
	"\"environment_id\":\"aws1\",\"regional_cred_verification_url\":\"https://sts." \
	"{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15\"" more
#define AWS_METADATA                                                                    \
	",\"region_url\":\"" MD "meta-data/placement/availability-zone\",\"url\":\"" MD \
	"meta-data/iam/security-credentials\",\"imdsv2_session_token_url\":\"" MD "api/token\""
#define GET(path, token)                                  \
	.method = "GET", .url = MD path, .flags = DIRECT, \
	.headers = {"X-aws-ec2-metadata-token: " token}
#define PUT                                                      \
	.method = "PUT", .url = MD "api/token", .flags = DIRECT, \
	.headers = {"X-aws-ec2-metadata-token-ttl-seconds: 300"}
#define AWS_SAID "federation of %s/c.json, subject token of the AWS role"
#define KEYS                                                                         \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"AKIDEXAMPLE\",\"SecretAccessKey\":" \
	"\"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\",\"Token\":\"TK+/=\"}"
/* The exchange for KEYS in us-east-2 at the time of the test, the subject token encoded twice; made
 * by Python's hmac, json and urllib. */
#define AWS_FORM                                                                       \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audienc" \
	"e=%2F%2Fiam%2Fp&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platfo" \
	"rm&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_to" \
	"ken&subject_token_type=urn%3Aietf%3Aparams%3Aaws%3Atoken-type%3Aaws4_request" \
	"&subject_token=%257B%2522headers%2522%253A%255B%257B%2522key%2522%253A%2522A" \
	"uthorization%2522%252C%2522value%2522%253A%2522AWS4-HMAC-SHA256%2520Credenti" \
	"al%253DAKIDEXAMPLE%252F20231114%252Fus-east-2%252Fsts%252Faws4_request%252C%" \
	"2520SignedHeaders%253Dhost%253Bx-amz-date%253Bx-amz-security-token%253Bx-goo" \
	"g-cloud-target-resource%252C%2520Signature%253Dd7e0209b43a6007f1e1e90d67bb31" \
	"2d9f65b99be58716078793da690932b93cb%2522%257D%252C%257B%2522key%2522%253A%25" \
	"22host%2522%252C%2522value%2522%253A%2522sts.us-east-2.amazonaws.com%2522%25" \
	"7D%252C%257B%2522key%2522%253A%2522x-amz-date%2522%252C%2522value%2522%253A%" \
	"252220231114T221320Z%2522%257D%252C%257B%2522key%2522%253A%2522x-goog-cloud-" \
	"target-resource%2522%252C%2522value%2522%253A%2522%252F%252Fiam%252Fp%2522%2" \
	"57D%252C%257B%2522key%2522%253A%2522x-amz-security-token%2522%252C%2522value" \
	"%2522%253A%2522TK%252B%252F%253D%2522%257D%255D%252C%2522method%2522%253A%25" \
	"22POST%2522%252C%2522url%2522%253A%2522https%253A%252F%252Fsts.us-east-2.ama" \
	"zonaws.com%253FAction%253DGetCallerIdentity%2526Version%253D2011-06-15%2522%" \
	"257D"

/* case 44 */
Test(impersonate, an_aws_role_of_the_instance_metadata)
{
	static const struct http_exchange ex[] = {
		{PUT, .status = 200, .reply = "T1"},
		{GET("meta-data/placement/availability-zone", "T1"), .status = 200,
			.reply = "us-east-2b"},
		{GET("meta-data/iam/security-credentials", "T1"), .status = 200, .reply = "web\n"},
		{GET("meta-data/iam/security-credentials/web", "T1"), .status = 200, .reply = KEYS},
		{.method = "POST", .url = STS, .body = AWS_FORM, TOKEN("G1")},
	};
	fx_begin(NULL);
	OPEN(ACCOUNT(AWS_TYPE, AWS(AWS_METADATA), ""), ex);
	gives("G1", AWS_SAID);
	fx_end();
}

/* Nothing is asked of the metadata service, not even a session. */
Test(impersonate, an_aws_role_of_the_environment)
{
	static const struct http_exchange ex[] = {
		{.method = "POST", .url = STS, .body = AWS_FORM, TOKEN("G1")},
	};
	fx_begin(VARS("AWS_REGION=us-east-2", "AWS_DEFAULT_REGION=eu-west-1",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		"AWS_SESSION_TOKEN=TK+/="));
	OPEN(ACCOUNT(AWS_TYPE, AWS(AWS_METADATA), ""), ex);
	gives("G1", AWS_SAID);
	fx_end();
}

/* A session for the region alone. */
Test(impersonate, an_aws_role_of_the_environment_without_region)
{
	static const struct http_exchange ex[] = {
		{PUT, .status = 200, .reply = "T1"},
		{GET("meta-data/placement/availability-zone", "T1"), .status = 200,
			.reply = "us-east-2b\n"},
		{.method = "POST", .url = STS, .body = AWS_FORM, TOKEN("G1")},
	};
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		"AWS_SESSION_TOKEN=TK+/="));
	OPEN(ACCOUNT(AWS_TYPE, AWS(AWS_METADATA), ""), ex);
	gives("G1", AWS_SAID);
	fx_end();
}

Test(impersonate, an_aws_role_without_sessions)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = MD "meta-data/iam/security-credentials",
			.flags = DIRECT,
			.headers = {"!X-aws-ec2-metadata-token"},
			.status = 200,
			.reply = "web"},
		{.method = "GET",
			.url = MD "meta-data/iam/security-credentials/web",
			.flags = DIRECT,
			.headers = {"!X-aws-ec2-metadata-token"},
			.status = 200,
			.reply = KEYS},
		{.method = "POST", .url = STS, .body = AWS_FORM, TOKEN("G1")},
	};
	fx_begin(VARS("AWS_DEFAULT_REGION=us-east-2", "AWS_ACCESS_KEY_ID=half"));
	OPEN(ACCOUNT(AWS_TYPE, AWS(",\"url\":\"" MD "meta-data/iam/security-credentials\""), ""),
		ex);
	gives("G1", AWS_SAID);
	fx_end();
}

static void aws_fails(const char *const *vars, const char *more, const struct http_exchange *ex,
	size_t n, int code, const char *words)
{
	char text[2048];
	fx_begin(vars);
	snprintf(text, sizeof(text), ACCOUNT(AWS_TYPE, AWS("%s"), ""), more);
	fx_file("c.json", text);
	cr_assert_eq(fx_open(fx_say_path("credentials=", "c.json"), ex, n, "my-proj"), 0, "%s",
		fx.err.msg);
	fx_fails(code, words);
	fx_end();
}

Test(impersonate, aws_roles_that_cannot_be_had)
{
	static const struct http_exchange no_session[] = {{PUT, .status = 403, .reply = "CANARY"}};
	static const struct http_exchange odd_region[] = {
		{PUT, .status = 200, .reply = "T1"},
		{GET("meta-data/placement/availability-zone", "T1"), .status = 200,
			.reply = "<html>CANARY"},
	};
	static const struct http_exchange no_keys[] = {
		{PUT, .status = 200, .reply = "T1"},
		{GET("meta-data/iam/security-credentials", "T1"), .status = 200, .reply = "web"},
		{GET("meta-data/iam/security-credentials/web", "T1"), .status = 200,
			.reply = "{\"Code\":\"Failed\",\"AccessKeyId\":\"CANARY\"}"},
	};
	const char *const *region = VARS("AWS_REGION=us-east-2");
	aws_fails(NULL, "", NULL, 0, ENOKEY,
		"neither AWS_REGION nor credential_source.region_url is set");
	aws_fails(region, "", NULL, 0, ENOKEY, "nor credential_source.url is set");
	aws_fails(VARS("AWS_REGION=us east"), "", NULL, 0, EINVAL, "region");
	aws_fails(VARS("AWS_REGION=us-east-2", "AWS_ACCESS_KEY_ID=CANARY 1"), "", NULL, 0, EINVAL,
		"AWS_ACCESS_KEY_ID");
	aws_fails(NULL, AWS_METADATA, no_session, 1, EACCES, "status 403");
	aws_fails(NULL, AWS_METADATA, odd_region, 2, EBADMSG, "metadata address of AWS");
	aws_fails(region, AWS_METADATA, no_keys, 3, EBADMSG, "SecretAccessKey is missing");
}

/* ---- secretfs check ---- */

static void check_says(const char *words)
{
	struct check_sink sink = {.text = ""};
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	cr_assert_eq(gcp_cred_check(fx.cred, &call, &sink, &fx.err), 0, "%s", fx.err.msg);
	cr_assert(strstr(sink.text, words), "%s", sink.text);
	cr_assert_null(strstr(sink.text, "CANARY"), "%s", sink.text);
}

Test(impersonate, check_shows_who_is_asked)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM_IAM), TOKEN("F1")},
		{GENERATE(IAM, SA, "F1", "", CLOUD_JSON, "3600"),
			GENERATED("CANARY", "2023-11-14T23:13:20Z")},
	};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(JWT_TYPE, FILE_SOURCE, IMPERSONATION), ex);
	check_says("ok credentials: subject token: file ~/tok\n"
		   "ok credentials: exchange: sts.googleapis.com\n"
		   "ok credentials: impersonation: iamcredentials.googleapis.com\n");
	fx_end();
}

Test(impersonate, check_warns_of_hosts_that_are_not_googles)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = "https://sts.googleapis.com.evil.example/t",
		.any_body = true,
		TOKEN("CANARY")}};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN("{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\","
	     "\"token_url\":\"https://sts.googleapis.com.evil.example/t\",\"credential_source\":{"
	     "\"file\":\"~/tok\"}}",
		ex);
	check_says("ok credentials: exchange: sts.googleapis.com.evil.example (warning: not under "
		   "googleapis.com: keep the file only if you know who runs that host)\n");
	fx_end();
}
