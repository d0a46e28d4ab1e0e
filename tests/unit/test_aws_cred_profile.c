/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of AWS by a profile: static keys, roles and their sources, programs. */
#include "fakes/http_script.h"

#include "aws_cred_fixture.h"

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define NO_IMDS "AWS_EC2_METADATA_DISABLED=true"
#define CONFIG	".aws/config"
#define CREDS	".aws/credentials"
#define ROLE	"arn:aws:iam::123456789012:role/"
#define STS	"https://sts.eu-west-1.amazonaws.com/"

#define ASSUMED(id, name)                                                                      \
	"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"             \
	"<AssumeRoleResult><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/" name \
	"/s</Arn></AssumedRoleUser><Credentials><AccessKeyId>" id                              \
	"</AccessKeyId><SecretAccessKey>K-" id "</SecretAccessKey><SessionToken>T-" id         \
	"</SessionToken><Expiration>2023-11-14T23:13:20Z</Expiration></Credentials>"           \
	"</AssumeRoleResult></AssumeRoleResponse>"
#define REFUSED(code, message)                                                           \
	"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"     \
	"<Type>Sender</Type><Code>" code "</Code><Message>" message "</Message></Error>" \
	"<RequestId>r</RequestId></ErrorResponse>"
#define SIGNED_BY(id) \
	"Authorization: AWS4-HMAC-SHA256 Credential=" id "/20231114/eu-west-1/sts/aws4_request, *"
#define ASSUME(role, more)                                                                       \
	"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%" \
	"2F" role "&RoleSessionName=me" more

/* ---- static keys ---- */

/* aws.md case 37 */
Test(profile, the_credentials_file_overrides_key_by_key)
{
	fx_begin(VARS("AWS_PROFILE=my dev"));
	fx_file(CONFIG, "[profile \"my dev\"]\naws_access_key_id = OLD\n"
			"aws_secret_access_key = config-key\naws_session_token = tok\n");
	fx_file(CREDS, "[my dev]\naws_access_key_id = NEW\n");
	FX_OPEN_QUIET(NULL);
	fx_gives("NEW config-key tok [profile] profile my dev");
	fx_end();
}

Test(profile, half_a_pair_is_an_error)
{
	fx_begin(NULL);
	fx_file(CREDS, "[default]\naws_access_key_id = CANARY\n");
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "profile default: aws_access_key_id is there but aws_secret_access_key");
	fx_end();
}

Test(profile, keys_that_cannot_stand_in_a_header_are_refused)
{
	fx_begin(NULL);
	fx_file(CREDS, "[default]\naws_access_key_id = A CANARY\naws_secret_access_key = CANARY\n");
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "profile default: aws_access_key_id holds a blank");
	fx_end();
}

/* row 47 of the matrix, and a file that appears only later */
Test(profile, files_are_read_again_when_they_change)
{
	fx_begin(VARS(NO_IMDS));
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY, "no profile default");
	fx_file(CREDS, "[default]\naws_access_key_id = A1\naws_secret_access_key = k\n");
	fx_pass(2 * NSEC_PER_SEC);
	fx_gives("A1 k  [profile] profile default");
	fx_file(CREDS, "[default]\naws_access_key_id = A2\naws_secret_access_key = k\n");
	fx_pass(2 * NSEC_PER_SEC);
	fx_gives("A2 k  [profile] profile default");
	fx_end();
}

/* rows 48 and 49 of the matrix: gone, truncated, half written */
Test(profile, what_is_missing_or_half_written_leaves_the_old)
{
	char dir[160], away[170];
	fx_begin(VARS(NO_IMDS));
	fx_file(CREDS, "[default]\naws_access_key_id = A1\naws_secret_access_key = k\n");
	FX_OPEN_QUIET(NULL);
	fx_gives("A1 k  [profile] profile default");
	static const char *const broken[] = {"", "[def", "[default]\naws_access_key_id = A2\n",
		"[default]\naws_access_key_id = A2\naws_secret_access_key\n"};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		fx_file(CREDS, broken[i]);
		fx_pass(2 * NSEC_PER_SEC);
		fx_gives("A1 k  [profile] profile default");
	}
	fx_path(dir, sizeof(dir), ".aws");
	snprintf(away, sizeof(away), "%s-away", dir);
	cr_assert_eq(rename(dir, away), 0);
	fx_pass(2 * NSEC_PER_SEC);
	fx_gives("A1 k  [profile] profile default");
	fx_file(CREDS, "[default]\naws_access_key_id = A3\naws_secret_access_key = k\n");
	fx_pass(2 * NSEC_PER_SEC);
	fx_gives("A3 k  [profile] profile default");
	fx_end();
}

Test(profile, one_without_credentials_leads_to_the_next_row)
{
	fx_begin(VARS(NO_IMDS));
	fx_file(CONFIG, "[default]\nregion = eu-west-1\n");
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY, "profile: profile default holds no credentials; web identity: ");
	fx_end();
}

/* ---- roles ---- */

Test(profile, a_role_on_top_of_another_profile)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = STS,
		.headers = {SIGNED_BY("BASE"), "X-Amz-Security-Token: base-token",
			"Content-Type: application/x-www-form-urlencoded; charset=utf-8",
			"X-Amz-Date: 20231114T221320Z"},
		.body = ASSUME("r", "&DurationSeconds=1800&ExternalId=ext"),
		.status = 200,
		.reply = ASSUMED("ROLE", "r")}};
	fx_begin(NULL);
	fx_file(CONFIG, "[default]\nrole_arn = " ROLE "r\nsource_profile = base\n"
			"role_session_name = me\nexternal_id = ext\nduration_seconds = 1800\n"
			"[profile base]\naws_access_key_id = BASE\n"
			"aws_secret_access_key = k\naws_session_token = base-token\n");
	FX_OPEN(NULL, ex);
	fx_gives("ROLE K-ROLE T-ROLE [profile] role " ROLE "r by profile base");
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, "arn:aws:sts::123456789012:assumed-role/r/s");
	cr_assert_eq(set->expires, WALL + 60 * MIN);
	cred_unref(set);
	fx_end();
}

Test(profile, chains_of_roles)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = STS,
			.headers = {SIGNED_BY("BASE"), "!X-Amz-Security-Token"},
			.body = ASSUME("inner", ""),
			.status = 200,
			.reply = ASSUMED("INNER", "inner")},
		{.method = "POST",
			.url = STS,
			.headers = {SIGNED_BY("INNER"), "X-Amz-Security-Token: T-INNER"},
			.body = ASSUME("outer", ""),
			.status = 200,
			.reply = ASSUMED("OUTER", "outer")},
	};
	fx_begin(NULL);
	fx_file(CONFIG, "[default]\nrole_arn = " ROLE "outer\nsource_profile = mid\n"
			"role_session_name = me\n[profile mid]\nrole_arn = " ROLE "inner\n"
			"source_profile = base\nrole_session_name = me\n[profile base]\n"
			"aws_access_key_id = BASE\naws_secret_access_key = k\n");
	FX_OPEN(NULL, ex);
	fx_gives("OUTER K-OUTER T-OUTER [profile] role " ROLE "outer by role " ROLE
		 "inner by profile base");
	fx_end();
}

/* aws.md case 36 */
Test(profile, a_profile_may_be_its_own_source_if_it_has_keys)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = STS,
		.headers = {SIGNED_BY("SELF")},
		.body = ASSUME("r", ""),
		.status = 200,
		.reply = ASSUMED("ROLE", "r")}};
	fx_begin(NULL);
	fx_file(CREDS, "[default]\nrole_arn = " ROLE "r\nsource_profile = default\n"
		       "role_session_name = me\naws_access_key_id = SELF\n"
		       "aws_secret_access_key = k\n");
	FX_OPEN(NULL, ex);
	fx_gives("ROLE K-ROLE T-ROLE [profile] role " ROLE "r by profile default");
	fx_end();
}

static void config_fails(const char *config, int code, const char *words)
{
	fx_begin(VARS(NO_IMDS));
	fx_file(CONFIG, config);
	FX_OPEN_QUIET(NULL);
	fx_fails(code, words);
	fx_walk_has("[web identity: not reached]");
	fx_end();
}

/* aws.md case 36 */
Test(profile, roles_that_cannot_be)
{
	config_fails("[default]\nrole_arn = " ROLE "r\nsource_profile = a\n"
		     "credential_source = Environment\n",
		EINVAL, "source_profile and credential_source are both there");
	config_fails("[default]\nrole_arn = " ROLE "r\n", EINVAL, "role_arn needs source_profile");
	config_fails("[default]\nrole_arn = " ROLE "r\nsource_profile = a\n[profile a]\n"
		     "role_arn = " ROLE "r\nsource_profile = b\n[profile b]\nrole_arn = " ROLE
		     "r\nsource_profile = a\n",
		EINVAL, "leads in a circle: default -> a -> b -> a");
	config_fails("[default]\nrole_arn = " ROLE "r\nsource_profile = default\n", EINVAL,
		"leads in a circle: default -> default");
	config_fails("[default]\nrole_arn = " ROLE "r\nsource_profile = gone\n", ENOKEY,
		"source_profile of profile default: there is no profile gone");
	config_fails("[default]\nrole_arn = " ROLE "r\nsource_profile = empty\n[profile empty]\n"
		     "region = eu-west-1\n",
		ENOKEY, "profile empty is the source_profile of default but holds no credentials");
	config_fails("[default]\nrole_arn = " ROLE "r\nsource_profile = a\nmfa_serial = arn:x\n",
		EACCES, "mfa_serial");
	config_fails("[default]\nrole_arn = " ROLE "r\ncredential_source = Elsewhere\n", EINVAL,
		"credential_source must be Environment, Ec2InstanceMetadata or EcsContainer");
	config_fails("[default]\nrole_arn = " ROLE "r\ncredential_source = Environment\n", ENOKEY,
		"credential_source Environment: AWS_ACCESS_KEY_ID is not set");
	config_fails("[default]\nrole_arn = " ROLE
		     "r\ncredential_source = Environment\nduration_seconds = 60\n",
		EINVAL, "duration_seconds must be a number from 900 to 43200");
	config_fails("[default]\nlogin_session = x\n", EOPNOTSUPP, "credential_process");
}

Test(profile, a_role_by_the_container)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = "http://169.254.170.2/c",
			.flags = HTTP_DIRECT | HTTP_NO_BREAKER,
			.status = 200,
			.reply = "{\"AccessKeyId\":\"ECS\",\"SecretAccessKey\":\"k\"}"},
		{.method = "POST",
			.url = STS,
			.headers = {SIGNED_BY("ECS")},
			.any_body = true,
			.status = 200,
			.reply = ASSUMED("ROLE", "r")},
	};
	fx_begin(VARS("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c"));
	fx_file(CONFIG, "[default]\nrole_arn = " ROLE "r\ncredential_source = EcsContainer\n");
	FX_OPEN(NULL, ex);
	fx_gives("ROLE K-ROLE T-ROLE [profile] role " ROLE "r by container credentials");
	fx_end();
}

Test(profile, role_arn_as_option_is_on_top_of_whatever_won)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = "http://127.0.0.1:5000/",
		.headers = {SIGNED_BY("AKIDENV")},
		.body = ASSUME("r", "&DurationSeconds=7200&ExternalId=x1&SourceIdentity=node7"),
		.status = 200,
		.reply = ASSUMED("ROLE", "r")}};
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=k"));
	FX_OPEN("role_arn=" ROLE "r,role_session_name=me,external_id=x1,role_duration=2h,"
		"source_identity=node7,"
		"sts_endpoint=http://127.0.0.1:5000",
		ex);
	fx_gives("ROLE K-ROLE T-ROLE [environment] role " ROLE "r by environment variables");
	fx_end();
}

Test(profile, a_role_that_is_refused_says_what_is_missing)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = STS,
		.any_body = true,
		.status = 403,
		.reply = REFUSED("AccessDenied", "User is not authorized to perform: "
						 "sts:AssumeRole on resource")}};
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=KEY-CANARY"));
	FX_OPEN("role_arn=" ROLE "r", ex);
	fx_fails(EACCES, "sts:AssumeRole");
	cr_assert(strstr(fx.err.msg, "role " ROLE "r"), "%s", fx.err.msg);
	fx_end();
}

Test(profile, a_clock_that_is_off_is_corrected_once)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = STS,
			.headers = {"X-Amz-Date: 20231114T221320Z"},
			.any_body = true,
			.status = 403,
			.with = "date: Tue, 14 Nov 2023 22:23:20 GMT\n",
			.reply = REFUSED("SignatureDoesNotMatch",
				"Signature expired: 20231114T221320Z is now earlier than "
				"20231114T221820Z (20231114T222320Z - 5 min.)")},
		{.method = "POST",
			.url = STS,
			.headers = {"X-Amz-Date: 20231114T222320Z"},
			.any_body = true,
			.status = 200,
			.reply = ASSUMED("ROLE", "r")},
	};
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=k"));
	FX_OPEN("role_arn=" ROLE "r", ex);
	fx_gives("ROLE K-ROLE T-ROLE [environment] role " ROLE "r by environment variables");
	fx_end();
}

/* ---- web identity ---- */

#define WEB(token)                                                                     \
	"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%" \
	"3A%3A123456789012%3Arole%2Fr&RoleSessionName=me&WebIdentityToken=" token
#define WEB_ASSUMED(id)                                                                   \
	"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"            \
	"<Credentials><SessionToken>T</SessionToken><SecretAccessKey>K</SecretAccessKey>" \
	"<Expiration>2023-11-14T23:13:20.500Z</Expiration><AccessKeyId>" id               \
	"</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"                  \
	"</AssumeRoleWithWebIdentityResponse>"
#define UNSIGNED "!Authorization", "!X-Amz-Date", "!X-Amz-Security-Token"

/* aws.md case 34 */
Test(profile, web_identity_goes_unsigned_and_reads_the_token_each_time)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = STS,
			.headers = {UNSIGNED},
			.body = WEB("one.jwt"),
			.status = 200,
			.reply = WEB_ASSUMED("W1")},
		{.method = "POST",
			.url = STS,
			.headers = {UNSIGNED},
			.body = WEB("two.jwt"),
			.status = 400,
			.reply = REFUSED("InvalidIdentityToken",
				"Couldn't retrieve verification key from your identity provider")},
		{.method = "POST",
			.url = STS,
			.headers = {UNSIGNED},
			.body = WEB("two.jwt"),
			.status = 200,
			.reply = WEB_ASSUMED("W2")},
	};
	char file[160];
	fx_begin(NULL);
	snprintf(file, sizeof(file), "AWS_WEB_IDENTITY_TOKEN_FILE=%s/token", fx.home);
	fx_file("token", "one.jwt\n");
	fx_vars(VARS(file, "AWS_ROLE_ARN=" ROLE "r", "AWS_ROLE_SESSION_NAME=me"));
	FX_OPEN(NULL, ex);
	fx_gives("W1 K T [web identity] role " ROLE "r by web identity");
	fx_file("token", "two.jwt\n");
	fx_pass(56 * MIN);
	fx_gives("W2 K T [web identity] role " ROLE "r by web identity");
	fx_end();
}

Test(profile, a_web_identity_that_stays_refused)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = STS,
			.any_body = true,
			.status = 400,
			.reply = REFUSED("InvalidIdentityToken", "CANARY-jwt is bad")},
		{.method = "POST",
			.url = STS,
			.any_body = true,
			.status = 400,
			.reply = REFUSED("InvalidIdentityToken", "again")},
	};
	char file[160];
	fx_begin(NULL);
	snprintf(file, sizeof(file), "AWS_WEB_IDENTITY_TOKEN_FILE=%s/token", fx.home);
	fx_file("token", "one.jwt");
	fx_vars(VARS(file, "AWS_ROLE_ARN=" ROLE "r"));
	FX_OPEN(NULL, ex);
	fx_fails(EKEYREJECTED, "does not accept the web identity token");
	fx_end();
}

Test(profile, a_token_without_a_role_is_an_error)
{
	fx_begin(VARS("AWS_WEB_IDENTITY_TOKEN_FILE=/nonexistent", NO_IMDS));
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not");
	fx_vars(VARS("AWS_WEB_IDENTITY_TOKEN_FILE=/nonexistent", "AWS_ROLE_ARN=" ROLE "r"));
	fx_pass(30 * NSEC_PER_SEC);
	fx_fails(ENOKEY, "/nonexistent");
	fx_end();
}

Test(profile, web_identity_in_a_profile_comes_before_its_source)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = STS,
		.headers = {UNSIGNED},
		.body = WEB("jwt1"),
		.status = 200,
		.reply = WEB_ASSUMED("W1")}};
	fx_begin(NULL);
	fx_file("tok", "jwt1");
	fx_file(CONFIG, "[default]\nrole_arn = " ROLE "r\nweb_identity_token_file = ~/tok\n"
			"source_profile = other\nrole_session_name = me\n");
	FX_OPEN(NULL, ex);
	fx_gives("W1 K T [profile] role " ROLE "r by web identity");
	fx_end();
}

/* ---- credential_process ---- */

static struct {
	const char *line, *out, *errors;
	int r, status;
	unsigned ran;
	int64_t limit;
} program;

static int run_program(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err)
{
	(void)arg;
	program.ran++;
	program.limit = call->deadline - clock_boot();
	cr_expect_str_eq(line, program.line);
	cr_expect_eq(out->kind, BUF_SECRET);
	if (program.r < 0)
		return err_set(err, -program.r, "the runner says no");
	buf_str(out, program.out);
	buf_str(ret_stderr, program.errors);
	*ret_status = program.status;
	return 0;
}

static const struct runner runner = {.run = run_program};

#define LINE "\"/opt/my tool/get\" --arg 'a b' c\\ d"

static void begin_program(const char *out)
{
	fx_begin(VARS(NO_IMDS));
	fx_file(CONFIG, "[default]\ncredential_process = " LINE "\n");
	fx.env.runner = &runner;
	program.line = LINE; /* as it stands: the runner splits it like a shell */
	program.out = out;
	program.errors = "";
	FX_OPEN_QUIET(NULL);
}

Test(profile, a_program_gives_keys_for_ever)
{
	begin_program("{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"k\"}\n");
	fx_gives("PROC k  [profile] profile default, credential_process");
	cr_assert_leq(program.limit, 30 * NSEC_PER_SEC);
	fx_pass(1000 * 60 * MIN);
	fx_gives("PROC k  [profile] profile default, credential_process");
	cr_assert_eq(program.ran, 1);
	fx_end();
}

/* aws.md case 38 */
Test(profile, a_program_is_run_again_when_what_it_gave_expires)
{
	begin_program("{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"k\","
		      "\"SessionToken\":\"t\",\"Expiration\":\"2023-11-14T23:13:20Z\"}");
	fx_gives("PROC k t [profile] profile default, credential_process");
	fx_pass(61 * MIN);
	fx_fails(EKEYEXPIRED, "what profile default, credential_process gives expired");
	cr_assert_eq(program.ran, 2);
	program.out = "{\"Version\":1,\"AccessKeyId\":\"NEW\",\"SecretAccessKey\":\"k\"}";
	fx_pass(3 * NSEC_PER_SEC);
	fx_gives("NEW k  [profile] profile default, credential_process");
	fx_end();
}

static void program_fails(const char *out, int code, const char *words)
{
	begin_program(out);
	fx_fails(code, words);
	fx_end();
}

/* aws.md case 38 */
Test(profile, what_a_program_must_not_print)
{
	program_fails("{\"Version\":\"1\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"CANARY\"}",
		EBADMSG, "Version is not the number 1");
	program_fails("{\"Version\":2,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"CANARY\"}",
		EBADMSG, "Version is not the number 1");
	program_fails("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"CANARY\"}", EBADMSG,
		"Version is missing");
	program_fails("{\"Version\":1,\"AccessKeyId\":\"CANARY\"}", EBADMSG,
		"SecretAccessKey is missing");
	program_fails("", EBADMSG, "credential_process of profile default printed");
	program_fails("CANARY", EBADMSG, "credential_process of profile default printed");
	program_fails("[]", EBADMSG, "it is no JSON object");
	program_fails("{\"Version\":1,\"AccessKeyId\":\"a\\r\\nX: 1\",\"SecretAccessKey\":\"k\"}",
		EBADMSG, "AccessKeyId holds a blank");
	program_fails("{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"k\","
		      "\"Expiration\":\"soon\"}",
		EBADMSG, "Expiration is no time");
}

Test(profile, a_program_that_fails_is_shown_without_what_may_be_a_key)
{
	begin_program("");
	program.status = 3;
	program.errors = "no vault for AKIACANARY0123456789: token "
			 "wJalrCANARY/K7MDENG+bPxRfiCY9 expired";
	fx_fails(ENOKEY, "ended with status 3: no vault for [...]: token [...] expired");
	fx_end();
}

/* aws.md case 38: the hang; the runner kills it */
Test(profile, a_program_that_hangs_or_cannot_be_run)
{
	begin_program("");
	program.r = -ETIMEDOUT;
	fx_fails(ETIMEDOUT, "did not end in time and was killed");
	program.r = -ENOENT;
	fx_pass(30 * NSEC_PER_SEC);
	fx_fails(ENOKEY, "the line was changed after the mount");
	fx.env.runner = NULL;
	fx_pass(30 * NSEC_PER_SEC);
	fx_fails(ENOKEY, "cannot be run here");
	fx_end();
}
