/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of gcp.md 6, 7 and 9 that whole exchanges of credentials show: how often is asked, what is
 * asked again, and what the answers of several services make together. */
#include "fakes/http_script.h"

#include "gcp_cred_files.h"

#include "backends/gcp_jwt.h"

#define DIRECT (HTTP_DIRECT | HTTP_NO_BREAKER)
#define TOKEN(t)       \
	.status = 200, \
	.reply = "{\"access_token\":\"" t "\",\"expires_in\":3600,\"token_type\":\"Bearer\"}"
#define OAUTH(word) .status = 400, .reply = "{\"error\":\"" word "\"}"

/* ---- token endpoints ---- */

#define FAILS(code, words, ...)                                         \
	do {                                                            \
		static const struct http_exchange ex[] = {__VA_ARGS__}; \
		fx_begin(NULL);                                         \
		fx_file(WELL_KNOWN, USER_FILE(""));                     \
		FX_OPEN(NULL, ex);                                      \
		fx_fails(code, words);                                  \
		fx_end();                                               \
	} while (0)

/* Section 7: three attempts. */
Test(gcp_cred_requests, a_token_endpoint_is_asked_three_times)
{
	FAILS(EREMOTEIO, "status 503", {REFRESH, .status = 503, .reply = "<html>"},
		{REFRESH, .status = 500, .reply = ""}, {REFRESH, .status = 503, .reply = ""});
	FAILS(EREMOTEIO, "server_error", {REFRESH, OAUTH("server_error")},
		{REFRESH, OAUTH("temporarily_unavailable")}, {REFRESH, OAUTH("server_error")});
	FAILS(EBUSY, "too often", {REFRESH, .status = 429}, {REFRESH, .status = 429},
		{REFRESH, .status = 429});
	FAILS(EHOSTUNREACH, "refused", {REFRESH, .fail = EHOSTUNREACH, .why = "refused"},
		{REFRESH, .fail = EHOSTUNREACH, .why = "refused"},
		{REFRESH, .fail = EHOSTUNREACH, .why = "refused"});
}

Test(gcp_cred_requests, what_passes_at_a_token_endpoint)
{
	static const struct http_exchange ex[] = {{REFRESH, .status = 504, .reply = "<html>"},
		{REFRESH, .status = 408}, {REFRESH, TOKEN("T")}};
	fx_begin(NULL);
	fx_file(WELL_KNOWN, USER_FILE(""));
	FX_OPEN(NULL, ex);
	cred_unref(fx_set());
	fx_end();
}

/* The refresh token goes nowhere else, and what is final is asked once. */
Test(gcp_cred_requests, what_is_final_at_a_token_endpoint)
{
	FAILS(EPROTO, "evil.test",
		{REFRESH, .status = 307, .with = "location: https://evil.test/token\n"});
	FAILS(EPROTO, "certificate",
		{REFRESH, .fail = EPROTO, .why = "the certificate is no good"});
	FAILS(EKEYREJECTED, "unauthorized_client", {REFRESH, OAUTH("unauthorized_client")});
	FAILS(EBADMSG, "the token endpoint", {REFRESH, .status = 200, .reply = "[\"CANARY\"]"});
}

/* ---- where credentials are looked for ---- */

#define METADATA "http://metadata.google.internal/computeMetadata/v1/"
#define ASK(u)	 .method = "GET", .url = u, .flags = DIRECT, .with = "metadata-flavor: Google\n"

/* case 35: a daemon without a home on a machine of Google's */
Test(gcp_cred_requests, without_a_home_the_metadata_server_is_next)
{
	static const struct http_exchange ex[] = {
		{ASK("http://169.254.169.254/"), .status = 200},
		{ASK(METADATA "universe/universe-domain"), .status = 404},
		{ASK(METADATA "instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww."
			      "googleapis.com%2Fauth%2Fcloud-platform"),
			TOKEN("ya29.m")},
		{ASK(METADATA "instance/service-accounts/default/email"), .status = 200,
			.reply = EMAIL},
	};
	fx_begin(VARS("GOOGLE_APPLICATION_CREDENTIALS=")); /* case 34: empty is none */
	fx.env.home = NULL;
	FX_OPEN(NULL, ex);
	fx_gives("ya29.m [metadata server] metadata server, " EMAIL);
	fx_walk_has("[GOOGLE_APPLICATION_CREDENTIALS: not configured: ");
	fx_walk_has("HOME is not set and there is no home directory, nor is CLOUDSDK_CONFIG set]");
	fx_end();
}

/* case 40: an empty variable is none */
Test(gcp_cred_requests, an_empty_quota_variable_leaves_that_of_the_file)
{
	static const struct http_exchange ex[] = {{REFRESH, TOKEN("T")}};
	fx_begin(VARS("GOOGLE_CLOUD_QUOTA_PROJECT="));
	fx_file(WELL_KNOWN, USER_FILE(",\"quota_project_id\":\"file-quota\""));
	FX_OPEN(NULL, ex);
	struct cred *set = fx_set();
	cr_assert_str_eq(gcp_cred_quota_project(fx.cred, set), "file-quota");
	cred_unref(set);
	fx_end();
}

/* ---- federation ---- */

#define STS	"https://sts.googleapis.com/v1/token"
#define SUBJECT "https://ci.example/id"
#define FEDERATED                                                                         \
	"{\"type\":\"external_account\",\"audience\":\"//iam/p\",\"subject_token_type\":" \
	"\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"" STS                   \
	"\",\"credential_source\":{\"url\":\"" SUBJECT "\"}}"
#define FORM_OF(token)                                                                            \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F%2F"    \
	"iam%2Fp&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&requested_token_" \
	"type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token_type=urn%3A"  \
	"ietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=" token
#define GIVES(token) .method = "GET", .url = SUBJECT, .status = 200, .reply = token
#define POST(token)  .method = "POST", .url = STS, .body = FORM_OF(token)

static void federation(const struct http_exchange *ex, size_t n)
{
	fx_begin(NULL);
	fx_file("c.json", FEDERATED);
	cr_assert_eq(fx_open(fx_say_path("credentials=", "c.json"), ex, n, "my-proj"), 0, "%s",
		fx.err.msg);
}
#define FEDERATION(ex) federation(ex, sizeof(ex) / sizeof((ex)[0]))

/* Section 6: the subject token is read again once, and sent if it is another one. */
Test(gcp_cred_requests, a_subject_token_that_was_renewed_meanwhile)
{
	static const struct http_exchange expired[] = {
		{GIVES("J1")},
		{POST("J1"), OAUTH("invalid_grant")},
		{GIVES("J2")},
		{POST("J2"), TOKEN("G")},
	};
	static const struct http_exchange malformed[] = {
		{GIVES("J1")},
		{POST("J1"), OAUTH("invalid_request")},
		{GIVES("J2")},
		{POST("J2"), TOKEN("G")},
	};
	FEDERATION(expired);
	cred_unref(fx_set());
	fx_end();
	FEDERATION(malformed);
	cred_unref(fx_set());
	fx_end();
}

Test(gcp_cred_requests, a_subject_token_that_stays_what_it_is)
{
	static const struct http_exchange same[] = {
		{GIVES("CANARY")},
		{POST("CANARY"), OAUTH("invalid_grant")},
		{GIVES("CANARY")},
	};
	static const struct http_exchange twice[] = {
		{GIVES("CANARY1")},
		{POST("CANARY1"), OAUTH("invalid_request")},
		{GIVES("CANARY2")},
		{POST("CANARY2"), OAUTH("invalid_request")},
	};
	static const struct http_exchange gone[] = {
		{GIVES("CANARY1")},
		{POST("CANARY1"), OAUTH("invalid_grant")},
		{.method = "GET", .url = SUBJECT, .status = 404},
	};
	FEDERATION(same);
	fx_fails(EKEYREJECTED, "invalid_grant");
	fx_end();
	FEDERATION(twice);
	fx_fails(EKEYREJECTED, "invalid_request");
	fx_end();
	FEDERATION(gone);
	fx_fails(EKEYREJECTED, "invalid_grant");
	fx_end();
}

/* ---- impersonation ---- */

#define IAM_URL                                                                             \
	"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/target@p.iam." \
	"gserviceaccount.com:generateAccessToken"
#define IMPERSONATED(source)                                                                \
	"{\"type\":\"impersonated_service_account\",\"service_account_impersonation_url\":" \
	"\"" IAM_URL "\",\"source_credentials\":" source "}"
#define GENERATE(bearer)                                                                       \
	.method = "POST", .url = IAM_URL, .headers = {"Authorization: Bearer " bearer},        \
	.body = "{\"delegates\":[],\"scope\":[\"https://www.googleapis.com/auth/cloud-platfor" \
		"m\"],\"lifetime\":\"3600s\"}"
#define GENERATED \
	.status = 200, .reply = "{\"accessToken\":\"A1\",\"expireTime\":\"2023-11-14T23:13:20Z\"}"

/* What the key of KEY_FILE shows the token endpoint at the time of the test. */
static const char *assertion(const char *scope, char out[8192])
{
	char pem[4096], *p = pem;
	struct buf jwt = BUF_SECRET_INIT(GCP_JWT_MAX);
	struct crypto_rsa *key = NULL;
	const struct gcp_claims claims = {.kid = "kid1",
		.iss = EMAIL,
		.scope = scope,
		.aud = "https://oauth2.googleapis.com/token",
		.iat = WALL / NSEC_PER_SEC - 10};
	for (const char *t = GCP_KEY; *t; t++) {
		bool newline = t[0] == '\\' && t[1] == 'n';
		*p++ = newline ? '\n' : *t;
		t += newline;
	}
	*p = '\0';
	cr_assert_eq(gcp_key_load(pem, strlen(pem), "k", &key, NULL), 0);
	cr_assert_eq(gcp_jwt_sign(key, &claims, &jwt, NULL), 0);
	snprintf(out, 8192,
		"grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer&"
		"assertion=%s",
		buf_text(&jwt));
	buf_clear(&jwt);
	crypto_rsa_free(key);
	return out;
}

/* Section 9.5: a key that acts as another account asks for the scope of the IAM API only. */
Test(gcp_cred_requests, a_key_acts_as_another_account)
{
	static char form[8192];
	fx_begin(NULL);
	const struct http_exchange ex[] = {
		{.method = "POST",
			.url = "https://oauth2.googleapis.com/token",
			.headers = {FORM},
			.body = assertion("https://www.googleapis.com/auth/iam", form),
			TOKEN("S1")},
		{GENERATE("S1"), GENERATED},
	};
	FX_OPEN(key_option(IMPERSONATED(KEY_FILE(""))), ex);
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, "target@p.iam.gserviceaccount.com");
	cred_unref(set);
	fx_end();
}

Test(gcp_cred_requests, faults_of_the_iam_credentials_api_are_tried_again)
{
	static const struct http_exchange passes[] = {{REFRESH, TOKEN("U1")},
		{GENERATE("U1"), .status = 503, .reply = "<html>"}, {GENERATE("U1"), .status = 429},
		{GENERATE("U1"), GENERATED}};
	static const struct http_exchange stays[] = {{REFRESH, TOKEN("CANARY")},
		{GENERATE("CANARY"), .status = 500, .reply = "CANARY"},
		{GENERATE("CANARY"), .status = 502}, {GENERATE("CANARY"), .status = 504}};
	static const struct http_exchange elsewhere[] = {{REFRESH, TOKEN("CANARY")},
		{GENERATE("CANARY"), .status = 302, .with = "location: https://evil.test/\n"}};
	fx_begin(NULL);
	FX_OPEN(key_option(IMPERSONATED(USER_FILE(""))), passes);
	cred_unref(fx_set());
	fx_close();
	FX_OPEN(key_option(IMPERSONATED(USER_FILE(""))), stays);
	fx_fails(EREMOTEIO, "status 504");
	fx_close();
	FX_OPEN(key_option(IMPERSONATED(USER_FILE(""))), elsewhere);
	fx_fails(EPROTO, "evil.test");
	fx_end();
}
