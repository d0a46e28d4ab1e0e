/* SPDX-License-Identifier: Apache-2.0 */
/* Identity federation (gcp.md section 9.4, cases 41 to 45) by exact exchanges. */
#include "fakes/http_script.h"

#include "gcp_cred_fixture.h"

#define DIRECT (HTTP_DIRECT | HTTP_NO_BREAKER)
#define STS    "https://sts.googleapis.com/v1/token"
#define IAM    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
#define SA     "sa@p.iam.gserviceaccount.com"

#define ACCOUNT(source, more)                                                             \
	"{\"type\":\"external_account\",\"audience\":\"//iam/p\",\"subject_token_type\":" \
	"\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"" STS                   \
	"\",\"credential_source\":{" source "}" more "}"
#define IMPERSONATION ",\"service_account_impersonation_url\":\"" IAM SA ":generateAccessToken\""

#define CLOUD "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
#define FORM(scope, token)                                                                  \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F" \
	"%2Fiam%2Fp&scope=" scope "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3A"    \
	"token-type%3Aaccess_token&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-" \
	"type%3Ajwt&subject_token=" token
#define POST_STS(form)                                                                   \
	.method = "POST", .url = STS, .body = form,                                      \
	.headers = {"Content-Type: application/x-www-form-urlencoded", "!Authorization", \
		"!X-Goog-User-Project"}
#define TOKEN(t)                                                                                   \
	.status = 200, .reply =                                                                    \
			       "{\"access_token\":\"" t "\",\"issued_token_type\":\"urn:ietf:"     \
			       "params:oauth:token-type:access_token\",\"token_type\":\"Bearer\"," \
			       "\"expires_in\":3600}"
#define REFUSE(word, text) \
	.status = 400, .reply = "{\"error\":\"" word "\",\"error_description\":\"" text "\"}"

/* The token that one gets now, and the source: %s is the home directory. */
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

#define FILE_SOURCE "\"file\":\"~/tok\""
#define FILE_SAID   "federation of %s/c.json, subject token of the file ~/tok"

/* ---- files ---- */

/* case 41 */
Test(external, a_token_file_is_read_at_each_exchange)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM(CLOUD, "jwt.1%2B%2F%3D")), TOKEN("G1")},
		{POST_STS(FORM(CLOUD, "jwt2")), TOKEN("G2")},
	};
	fx_begin(NULL);
	fx_file("tok", "jwt.1+/=\n");
	OPEN(ACCOUNT(FILE_SOURCE, ""), ex);
	gives("G1", FILE_SAID);
	fx_file("tok", "jwt2");
	fx_pass(MIN);
	gives("G1", FILE_SAID); /* another token is no reason for another exchange */
	fx_pass(60 * MIN);
	gives("G2", FILE_SAID);
	fx_end();
}

Test(external, a_member_of_a_token_file)
{
	static const struct http_exchange ex[] = {{POST_STS(FORM(CLOUD, "J")), TOKEN("G")}};
	fx_begin(NULL);
	fx_file("tok", "{\"id\":\"J\"}");
	OPEN(ACCOUNT(FILE_SOURCE ",\"format\":{\"type\":\"json\",\"subject_token_field_name\":"
				 "\"id\"}",
		     ""),
		ex);
	gives("G", FILE_SAID);
	fx_end();
}

Test(external, a_token_file_that_is_no_use)
{
	fx_begin(NULL);
	OPEN_QUIET(ACCOUNT(FILE_SOURCE, ""));
	fx_fails(ENOKEY, "/tok");
	fx_file("tok", "\n");
	fx_pass(2 * NSEC_PER_SEC); /* it is watched: no need to wait for the next try */
	fx_fails(EBADMSG, "/tok: it is empty");
	fx_file("tok", "{\"id\":\"CANARY\"}");
	fx_file("c.json", ACCOUNT(FILE_SOURCE ",\"format\":{\"type\":\"json\","
					      "\"subject_token_field_name\":\"other\"}",
				  ""));
	fx_pass(2 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "its member other is missing");
	fx_end();
}

Test(external, a_token_file_that_others_may_write_is_refused)
{
	char path[256];
	fx_begin(NULL);
	fx_file("tok", "CANARY");
	fx_path(path, sizeof(path), "tok");
	cr_assert_eq(chmod(path, 0606), 0);
	OPEN_QUIET(ACCOUNT(FILE_SOURCE, ""));
	fx_fails(EACCES, "everybody on this machine may write it");
	fx_end();
}

/* Section 6: the token is read again once; the same one is not sent twice. */
Test(external, a_token_that_is_not_accepted)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM(CLOUD, "CANARY")),
			REFUSE("invalid_grant", "The token has expired.")},
		{POST_STS(FORM(CLOUD, "CANARY2")), REFUSE("invalid_target", "no such pool")},
		{POST_STS(FORM(CLOUD, "CANARY3")), REFUSE("unauthorized_client", "by condition")},
		{POST_STS(FORM(CLOUD, "J")), TOKEN("G")},
	};
	fx_begin(NULL);
	fx_file("tok", "CANARY");
	OPEN(ACCOUNT(FILE_SOURCE, ""), ex);
	fx_fails(EKEYEXPIRED, "the subject token of the file ~/tok");
	fx_file("tok", "CANARY2");
	fx_pass(31 * NSEC_PER_SEC);
	fx_fails(EKEYREJECTED, "invalid_target: no such pool");
	fx_file("tok", "CANARY3");
	fx_pass(31 * NSEC_PER_SEC);
	fx_fails(EKEYREJECTED, "unauthorized_client: by condition");
	fx_file("tok", "J");
	fx_pass(31 * NSEC_PER_SEC);
	gives("G", FILE_SAID);
	fx_end();
}

Test(external, faults_of_sts_are_tried_again)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM(CLOUD, "J")), .status = 503, .reply = "<html>"},
		{POST_STS(FORM(CLOUD, "J")), REFUSE("internal_failure", "sorry")},
		{POST_STS(FORM(CLOUD, "J")), TOKEN("G")},
	};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(FILE_SOURCE, ""), ex);
	gives("G", FILE_SAID);
	fx_end();
}

Test(external, a_client_is_shown_by_basic_authentication)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = STS,
		.body = FORM(CLOUD, "J"),
		.headers = {"Authorization: Basic bWU6c2VjcmV0"}, /* me:secret */
		TOKEN("G")}};
	fx_begin(NULL);
	fx_file("tok", "J");
	OPEN(ACCOUNT(FILE_SOURCE, ",\"client_id\":\"me\",\"client_secret\":\"secret\""), ex);
	gives("G", FILE_SAID);
	fx_end();
}

/* ---- URLs ---- */

#define URL_SOURCE                                                                   \
	"\"url\":\"http://127.0.0.1:81/t?a=b\",\"headers\":{\"Metadata\":\"True\"}," \
	"\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"access_token\"}"
#define GET_URL                                                               \
	.method = "GET", .url = "http://127.0.0.1:81/t?a=b", .flags = DIRECT, \
	.headers = {"Metadata: True", "!Authorization"}

/* case 43; never by the proxy */
Test(external, a_token_of_an_url)
{
	static const struct http_exchange ex[] = {
		{GET_URL, .status = 200, .reply = "{\"access_token\":\"J\"}"},
		{POST_STS(FORM(CLOUD, "J")), TOKEN("G")},
	};
	fx_begin(NULL);
	OPEN(ACCOUNT(URL_SOURCE, ""), ex);
	gives("G", "federation of %s/c.json, subject token of the URL of 127.0.0.1");
	fx_end();
}

Test(external, an_url_elsewhere_is_asked_as_everything_is)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = "https://ci.example/id?audience=x",
			.headers = {"Authorization: Bearer CANARY"},
			.status = 200,
			.reply = "J\n"},
		{POST_STS(FORM(CLOUD, "J")), TOKEN("G")},
	};
	fx_begin(NULL);
	OPEN(ACCOUNT("\"url\":\"https://ci.example/id?audience=x\",\"headers\":{"
		     "\"Authorization\":\"Bearer CANARY\"}",
		     ""),
		ex);
	gives("G", "federation of %s/c.json, subject token of the URL of ci.example");
	fx_end();
}

Test(external, urls_that_give_nothing)
{
	static const struct http_exchange ex[] = {
		{GET_URL, .status = 404, .reply = "CANARY"},
		{GET_URL, .status = 403, .reply = "CANARY"},
		{GET_URL, .status = 200, .reply = "CANARY"},
		{GET_URL, .status = 200, .reply = "{\"access_token\":null}"},
	};
	fx_begin(NULL);
	OPEN(ACCOUNT(URL_SOURCE, ""), ex);
	fx_fails(ENOKEY, "the source of the subject token at 127.0.0.1 answered with status 404");
	fx_pass(31 * NSEC_PER_SEC);
	fx_fails(EACCES, "status 403");
	fx_pass(31 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "the subject token that 127.0.0.1 gives");
	fx_pass(31 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "its member access_token is missing");
	fx_end();
}

Test(external, urls_and_hosts_that_are_refused)
{
	fx_begin(NULL);
	OPEN_QUIET(ACCOUNT("\"url\":\"http://10.0.0.1/t\"", ""));
	fx_fails(EBADMSG, "plain http is for loopback and link-local addresses only");
	fx_file("c.json", "{\"type\":\"external_account\",\"audience\":\"a\",\"token_url\":"
			  "\"http://evil.example/\",\"subject_token_type\":\"t\","
			  "\"credential_source\":{\"file\":\"~/tok\"}}");
	fx_pass(2 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "token_url");
	fx_end();
}

/* ---- programs ---- */

static struct {
	const char *out[4], *errors;
	int r, status;
	unsigned ran;
	int64_t limit;
	char line[1024];
} program;

static int run_program(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err)
{
	(void)arg;
	snprintf(program.line, sizeof(program.line), "%s", line);
	program.limit = call->deadline - clock_boot();
	cr_expect_eq(out->kind, BUF_SECRET);
	if (program.r < 0)
		return err_set(err, -program.r, "the runner says no");
	buf_str(out, program.out[program.ran++ % 4]);
	buf_str(ret_stderr, program.errors ? program.errors : "");
	*ret_status = program.status;
	return 0;
}

static const struct runner runner = {.run = run_program};

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define ALLOWED VARS("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1")
#define PRINTS(token, more)                                                             \
	"{\"version\":1,\"success\":true,\"token_type\":\"urn:ietf:params:oauth:token-" \
	"type:jwt\",\"id_token\":\"" token "\"" more "}"
#define PROGRAM	     "\"executable\":{\"command\":\"/opt/idp --x 'y z'\",\"timeout_millis\":10000}"
#define PROGRAM_SAID "federation of %s/c.json, subject token of the program /opt/idp"

static void begin_program(const char *const *vars)
{
	fx_begin(vars);
	fx.env.runner = &runner;
}

/* case 42 */
Test(external, a_program_must_be_allowed)
{
	begin_program(NULL);
	OPEN_QUIET(ACCOUNT(PROGRAM, ""));
	fx_fails(EACCES, "set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1");
	cr_assert_eq(program.ran, 0);
	fx_end();
	begin_program(VARS("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=true"));
	OPEN_QUIET(ACCOUNT(PROGRAM, ""));
	fx_fails(EACCES, "is not allowed");
	cr_assert_eq(program.ran, 0);
	fx_end();
}

Test(external, a_program_gives_a_token)
{
	static const struct http_exchange ex[] = {{POST_STS(FORM(CLOUD, "J1")), TOKEN("G")}};
	begin_program(ALLOWED);
	program.out[0] = PRINTS("J1", "");
	OPEN(ACCOUNT(PROGRAM, ""), ex);
	gives("G", PROGRAM_SAID);
	cr_assert_str_eq(program.line,
		"/opt/idp --x 'y z'\nGOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=//iam/p\n"
		"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:jwt\n"
		"GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0");
	cr_assert_leq(program.limit, 10 * NSEC_PER_SEC);
	fx_end();
}

#define CACHED "\"executable\":{\"command\":\"/opt/idp\",\"output_file\":\"~/out.json\"}"
#define LATER  ",\"expiration_time\":1700000600"

Test(external, what_the_program_left_is_used_while_it_is_good)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM(CLOUD, "LEFT")), TOKEN("G1")},
		{POST_STS(FORM(CLOUD, "J1")), TOKEN("G2")},
	};
	begin_program(ALLOWED);
	program.out[0] = PRINTS("J1", "");
	fx_file("out.json", PRINTS("LEFT", LATER));
	OPEN(ACCOUNT(CACHED, ""), ex);
	gives("G1", PROGRAM_SAID);
	cr_assert_eq(program.ran, 0);
	fx_pass(61 * MIN);
	gives("G2", PROGRAM_SAID);
	cr_assert_eq(program.ran, 1);
	cr_assert(strstr(program.line, "/out.json"), "%s", program.line);
	cr_assert(strstr(program.line, "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=/"));
	fx_end();
}

static void left_is_ignored(const char *left)
{
	static const struct http_exchange ex[] = {{POST_STS(FORM(CLOUD, "J1")), TOKEN("G")}};
	begin_program(ALLOWED);
	program.ran = 0;
	program.out[0] = PRINTS("J1", "");
	fx_file("out.json", left);
	OPEN(ACCOUNT(CACHED, ""), ex);
	gives("G", PROGRAM_SAID);
	cr_assert_eq(program.ran, 1, "%s", left);
	fx_end();
}

Test(external, what_the_program_left_and_is_no_good_is_ignored)
{
	left_is_ignored(PRINTS("LEFT", "")); /* nobody knows for how long */
	left_is_ignored(PRINTS("LEFT", ",\"expiration_time\":1700000000"));
	left_is_ignored("half of a fi");
	left_is_ignored("");
	left_is_ignored("{\"version\":1,\"success\":false,\"code\":\"1\",\"message\":\"not now\"}");
}

Test(external, a_cached_token_that_is_not_accepted_makes_the_program_run)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM(CLOUD, "LEFT")), REFUSE("invalid_grant", "revoked")},
		{POST_STS(FORM(CLOUD, "J1")), TOKEN("G")},
	};
	begin_program(ALLOWED);
	program.out[0] = PRINTS("J1", "");
	fx_file("out.json", PRINTS("LEFT", LATER));
	OPEN(ACCOUNT(CACHED, ""), ex);
	gives("G", PROGRAM_SAID);
	cr_assert_eq(program.ran, 1);
	fx_end();
}

Test(external, a_program_is_run_again_at_most_once)
{
	static const struct http_exchange ex[] = {
		{POST_STS(FORM(CLOUD, "CANARY1")), REFUSE("invalid_grant", "expired")},
		{POST_STS(FORM(CLOUD, "CANARY2")), REFUSE("invalid_grant", "expired")},
	};
	begin_program(ALLOWED);
	program.out[0] = PRINTS("CANARY1", "");
	program.out[1] = PRINTS("CANARY2", "");
	OPEN(ACCOUNT(PROGRAM, ""), ex);
	fx_fails(EKEYEXPIRED, "the subject token of the program /opt/idp");
	cr_assert_eq(program.ran, 2);
	fx_end();
}

static void program_fails(
	const char *out, const char *errors, int status, int r, int code, const char *words)
{
	begin_program(ALLOWED);
	program.ran = 0;
	program.out[0] = out;
	program.errors = errors;
	program.status = status;
	program.r = r;
	OPEN_QUIET(ACCOUNT(PROGRAM, ""));
	fx_fails(code, words);
	fx_end();
}

Test(external, programs_that_fail)
{
	program_fails("", "", 3, 0, ENOKEY, "the program /opt/idp: it ended with status 3");
	program_fails(
		"CANARY", "no vault\n at AKIAIOSFODNN7EXAMPLE", 1, 0, ENOKEY, "status 1: no vault");
	program_fails("{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"who?\"}", "",
		1, 0, ENOKEY, "it says: 401: who?");
	program_fails("{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"who?\"}", "",
		0, 0, ENOKEY, "it says: 401: who?");
	program_fails("{\"version\":2}", "", 0, 0, EBADMSG, "what it printed: its version");
	program_fails("CANARY", "", 0, 0, EBADMSG, "what it printed");
	program_fails("", "", 0, -ENOENT, ENOKEY, "mount again");
	program_fails("", "", 0, -ETIMEDOUT, ETIMEDOUT, "did not end in time and was killed");
	program_fails("", "", 0, -EBUSY, EBUSY, "the runner says no");
	program.r = 0;
	begin_program(ALLOWED);
	fx.env.runner = NULL;
	OPEN_QUIET(ACCOUNT(PROGRAM, ""));
	fx_fails(ENOKEY, "it cannot be run here");
	fx_end();
}
