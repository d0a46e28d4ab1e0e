/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of AWS by the token that `aws sso login` left (aws.md case 45). */
#include "fakes/http_script.h"

#include "aws_cred_fixture.h"

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define NO_IMDS "AWS_EC2_METADATA_DISABLED=true"
#define PORTAL	"https://portal.sso.eu-west-2.amazonaws.com/federation/credentials"
#define OIDC	"https://oidc.eu-west-2.amazonaws.com/token"

#define CONFIG                                                                    \
	"[default]\nsso_session = corp\nsso_account_id = 123456789012\n"          \
	"sso_role_name = Read+Only\n[sso-session corp]\nsso_region = eu-west-2\n" \
	"sso_start_url = https://corp.example/start\n"
#define TOKEN(access, until)                                                           \
	"{\"startUrl\":\"https://corp.example/start\",\"region\":\"eu-west-2\","       \
	"\"accessToken\":\"" access "\",\"expiresAt\":\"" until "\","                  \
	"\"clientId\":\"CID\",\"clientSecret\":\"CSECRET\",\"registrationExpiresAt\":" \
	"\"2024-01-01T00:00:00Z\",\"refreshToken\":\"R1\"}"
/* 2023-11-14T23:13:20Z */
#define KEYS                                                                       \
	"{\"roleCredentials\":{\"accessKeyId\":\"SSO\",\"secretAccessKey\":\"K\"," \
	"\"sessionToken\":\"T\",\"expiration\":1700003600000}}"
#define ASK(token)                                                                       \
	.method = "GET", .url = PORTAL "?role_name=Read%2BOnly&account_id=123456789012", \
	.headers = {"x-amz-sso_bearer_token: " token, "!Authorization"}
#define RENEW                                                            \
	.method = "POST", .url = OIDC,                                   \
	.headers = {"Content-Type: application/json", "!Authorization"}, \
	.body = "{\"clientId\":\"CID\",\"clientSecret\":\"CSECRET\","    \
		"\"grantType\":\"refresh_token\",\"refreshToken\":\"R1\"}"
#define GIVES "SSO K T [profile] profile default, SSO role Read+Only in account 123456789012"

static void session_file(char *out, size_t size, const char *of)
{
	char cmd[256];
	snprintf(cmd, sizeof(cmd), "printf %%s '%s' | sha1sum", of);
	FILE *f = popen(cmd, "re");
	char hex[64] = "";
	cr_assert_eq(fread(hex, 1, 40, f), 40);
	pclose(f);
	snprintf(out, size, ".aws/sso/cache/%s.json", hex);
}

static void log_in(const char *token)
{
	char name[128];
	session_file(name, sizeof(name), "corp");
	fx_file(name, token);
}

static void begin(const char *token)
{
	fx_begin(VARS(NO_IMDS));
	fx_file(".aws/config", CONFIG);
	if (token)
		log_in(token);
}

Test(sso, a_token_of_a_session_buys_credentials)
{
	static const struct http_exchange ex[] = {{ASK("TOKEN1"), .status = 200, .reply = KEYS}};
	begin(TOKEN("TOKEN1", "2023-11-15T06:00:00Z"));
	FX_OPEN(NULL, ex);
	fx_gives(GIVES);
	struct cred *set = fx_set();
	cr_assert_eq(set->expires, WALL + 60 * MIN); /* milliseconds */
	cred_unref(set);
	fx_end();
}

Test(sso, the_legacy_form_has_its_file_by_the_start_url)
{
	static const struct http_exchange ex[] = {{ASK("LEGACY"), .status = 200, .reply = KEYS}};
	char name[128];
	fx_begin(VARS(NO_IMDS));
	fx_file(".aws/config", "[default]\nsso_account_id = 123456789012\nsso_role_name = "
			       "Read+Only\nsso_region = eu-west-2\n"
			       "sso_start_url = https://corp.example/start\n");
	session_file(name, sizeof(name), "https://corp.example/start");
	fx_file(name, "{\"accessToken\":\"LEGACY\",\"expiresAt\":\"2023-11-15T06:00:00UTC\"}");
	FX_OPEN(NULL, ex);
	fx_gives(GIVES);
	fx_end();
}

Test(sso, nobody_logged_in_and_then_somebody_does)
{
	static const struct http_exchange ex[] = {{ASK("TOKEN1"), .status = 200, .reply = KEYS}};
	begin(NULL);
	FX_OPEN(NULL, ex);
	fx_fails(EKEYEXPIRED,
		"profile default: nobody is logged in: run aws sso login --profile default");
	log_in(TOKEN("TOKEN1", "2023-11-15T06:00:00Z"));
	fx_pass(NSEC_PER_SEC + 1);
	fx_gives(GIVES);
	fx_end();
}

Test(sso, an_expired_token_that_cannot_be_renewed_says_to_log_in)
{
	begin("{\"accessToken\":\"CANARY\",\"expiresAt\":\"2023-11-14T22:00:00Z\"}");
	FX_OPEN_QUIET(NULL);
	fx_fails(EKEYEXPIRED, "the login of SSO expired: run aws sso login");
	fx_end();
}

Test(sso, a_token_that_is_refused_says_to_log_in)
{
	static const struct http_exchange ex[] = {{ASK("CANARY"), .status = 401,
		.reply = "{\"message\":\"Session token not found or invalid\"}"}};
	begin("{\"accessToken\":\"CANARY\",\"expiresAt\":\"2023-11-15T06:00:00Z\"}");
	FX_OPEN(NULL, ex);
	fx_fails(EKEYEXPIRED, "not accepted any more: run aws sso login");
	fx_end();
}

Test(sso, a_role_one_may_not_have)
{
	static const struct http_exchange ex[] = {
		{ASK("CANARY"), .status = 403, .reply = "{\"message\":\"No access\"}"}};
	begin("{\"accessToken\":\"CANARY\",\"expiresAt\":\"2023-11-15T06:00:00Z\"}");
	FX_OPEN(NULL, ex);
	fx_fails(EACCES, "SSO gives no credentials for role Read+Only in account 123456789012: "
			 "status 403 No access");
	fx_end();
}

Test(sso, a_token_near_its_end_is_renewed_in_memory)
{
	static const struct http_exchange ex[] = {
		{RENEW, .status = 200,
			.reply = "{\"accessToken\":\"TOKEN2\",\"expiresIn\":28800,"
				 "\"refreshToken\":\"R2\",\"tokenType\":\"Bearer\"}"},
		{ASK("TOKEN2"), .status = 200, .reply = KEYS},
		{ASK("TOKEN2"), .status = 200,
			.reply =
				"{\"roleCredentials\":{\"accessKeyId\":\"SSO\",\"secretAccessKey\":"
				"\"K\",\"sessionToken\":\"T\",\"expiration\":1700099999000}}"},
	};
	char name[128], path[256], text[1024] = "";
	begin(TOKEN("TOKEN1", "2023-11-14T22:20:00Z"));
	FX_OPEN(NULL, ex);
	fx_gives(GIVES);
	fx_pass(61 * MIN); /* the renewed one is kept, though the file has the old one */
	fx_gives(GIVES);
	session_file(name, sizeof(name), "corp");
	fx_path(path, sizeof(path), name);
	FILE *f = fopen(path, "re");
	cr_assert_gt(fread(text, 1, sizeof(text) - 1, f), 0);
	fclose(f);
	cr_assert_str_eq(text, TOKEN("TOKEN1", "2023-11-14T22:20:00Z"));
	fx_end();
}

Test(sso, a_new_login_beats_a_renewed_token)
{
	static const struct http_exchange ex[] = {
		{RENEW, .status = 200, .reply = "{\"accessToken\":\"TOKEN2\",\"expiresIn\":28800}"},
		{ASK("TOKEN2"), .status = 200, .reply = KEYS},
		{ASK("TOKEN3"), .status = 200, .reply = KEYS},
	};
	begin(TOKEN("TOKEN1", "2023-11-14T22:20:00Z"));
	FX_OPEN(NULL, ex);
	fx_gives(GIVES);
	log_in(TOKEN("TOKEN3", "2023-11-15T06:00:00Z"));
	fx_pass(2 * NSEC_PER_SEC);
	fx_gives(GIVES);
	fx_end();
}

Test(sso, a_renewal_that_fails_matters_only_at_the_end)
{
	static const struct http_exchange ex[] = {
		{RENEW, .status = 400, .reply = "{\"error\":\"invalid_grant\"}"},
		{ASK("TOKEN1"), .status = 200, .reply = KEYS},
		{RENEW, .status = 400, .reply = "{\"error\":\"invalid_grant\"}"},
	};
	begin(TOKEN("TOKEN1", "2023-11-14T22:20:00Z"));
	FX_OPEN(NULL, ex);
	fx_gives(GIVES);
	fx_pass(61 * MIN);
	fx_fails(EKEYEXPIRED, "the login of SSO is over and cannot be renewed: run aws sso login");
	fx_end();
}

static void config_fails(const char *config, const char *words)
{
	fx_begin(VARS(NO_IMDS));
	fx_file(".aws/config", config);
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, words);
	fx_end();
}

Test(sso, settings_that_are_missing)
{
	config_fails("[default]\nsso_session = gone\n", "no section [sso-session gone]");
	config_fails("[default]\nsso_start_url = https://x\n", "sso_region is missing");
	config_fails("[default]\nsso_start_url = https://x\nsso_region = eu-west-1\n",
		"sso_account_id is missing");
	config_fails("[default]\nsso_start_url = https://x\nsso_region = a.b\n"
		     "sso_account_id = 1\nsso_role_name = r\n",
		"sso_region");
}
