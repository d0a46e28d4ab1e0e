/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of AWS: order of the rows, options, environment, container, what people are shown. */
#include "fakes/http_script.h"

#include "aws_cred_fixture.h"

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define NO_IMDS "AWS_EC2_METADATA_DISABLED=true"
#define DIRECT	(HTTP_DIRECT | HTTP_NO_BREAKER)

#define KEYS(id, more)                                                              \
	"{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"KEY-CANARY\",\"Token\":" \
	"\"TOK-CANARY\"" more "}"
#define LATER ",\"Expiration\":\"2023-11-15T04:00:00Z\""

/* ---- options ---- */

Test(aws_cred, options_by_reference_win)
{
	char options[512];
	fx_begin(VARS("AWS_ACCESS_KEY_ID=other", "AWS_SECRET_ACCESS_KEY=other", "MY_ID=AKIDOPT",
		"MY_TOKEN=tok"));
	fx_file("key", "secret-key\n");
	snprintf(options, sizeof(options),
		"access_key_id=env:MY_ID,secret_access_key=file:%s/key,session_token=env:MY_TOKEN",
		fx.home);
	FX_OPEN_QUIET(options);
	fx_gives("AKIDOPT secret-key tok [options] options");
	fx_pass(2 * NSEC_PER_SEC);
	fx_file("key", "rotated\n");
	fx_gives("AKIDOPT rotated tok [options] options");
	fx_end();
}

static void option_fails(const char *options, const char *words)
{
	err_clear(&fx.err);
	cr_assert_eq(fx_open(options, NULL, 0, "eu-west-1"), -EINVAL);
	cr_assert(strstr(fx.err.msg, words), "%s", fx.err.msg);
	cr_assert_null(fx.cred);
	fx_close();
}

Test(aws_cred, options_that_do_not_go_together_are_refused)
{
	fx_begin(NULL);
	fx_file(".aws/config", "[profile p]\n");
	option_fails("access_key_id=env:A", "go together");
	option_fails("secret_access_key=env:A", "go together");
	option_fails("session_token=env:A", "session_token= needs");
	option_fails("access_key_id=env:A,secret_access_key=env:B,profile=p", "two sources");
	option_fails("external_id=x", "need role_arn=");
	option_fails("source_identity=me", "need role_arn=");
	option_fails(
		"role_arn=arn:aws:iam::123456789012:role/r,role_duration=60", "from 15m to 12h");
	option_fails("role_arn=short", "rn");
	fx_end();
}

Test(aws_cred, a_key_with_a_line_break_is_refused)
{
	fx_begin(VARS("A=AKID\nX-CANARY: 1", "B=key"));
	FX_OPEN_QUIET("access_key_id=env:A,secret_access_key=env:B");
	fx_fails(EINVAL, "access_key_id=");
	fx_end();
}

/* ---- environment ---- */

Test(aws_cred, the_environment)
{
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key",
		"AWS_SESSION_TOKEN=tok", "AWS_SECURITY_TOKEN=legacy"));
	FX_OPEN_QUIET(NULL);
	fx_gives("AKIDENV key tok [environment] environment variables");
	fx_walk_has("[options: not configured: access_key_id= is not given]"
		    "[environment: used][profile: not reached]");
	fx_end();
}

Test(aws_cred, the_legacy_token_and_empty_variables)
{
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key",
		"AWS_SESSION_TOKEN=", "AWS_SECURITY_TOKEN=legacy"));
	FX_OPEN_QUIET(NULL);
	fx_gives("AKIDENV key legacy [environment] environment variables");
	fx_end();
}

/* aws.md case 35 */
Test(aws_cred, half_of_the_pair_is_an_error_and_nobody_else_is_asked)
{
	fx_begin(VARS("AWS_ACCESS_KEY_ID=CANARY", "AWS_SECRET_ACCESS_KEY="));
	fx_file(".aws/credentials",
		"[default]\naws_access_key_id = a\naws_secret_access_key = b\n");
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not");
	fx_walk_has("[profile: not reached]");
	fx_end();
	fx_begin(VARS("AWS_SECRET_ACCESS_KEY=CANARY"));
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not");
	fx_end();
}

Test(aws_cred, the_expiry_of_the_environment)
{
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key",
		"AWS_CREDENTIAL_EXPIRATION=2023-11-14T22:30:00Z"));
	FX_OPEN_QUIET(NULL);
	fx_gives("AKIDENV key  [environment] environment variables");
	fx_pass(17 * MIN);
	fx_fails(EKEYEXPIRED, "expired at 2023-11-14T22:30:00Z");
	fx_end();
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key",
		"AWS_CREDENTIAL_EXPIRATION=soon"));
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "AWS_CREDENTIAL_EXPIRATION is no time");
	fx_end();
}

/* ---- which profile ---- */

Test(aws_cred, a_named_profile_leaves_keys_in_the_environment_alone)
{
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key"));
	fx_file(".aws/credentials",
		"[dev]\naws_access_key_id = AKIDDEV\naws_secret_access_key = k\n");
	FX_OPEN_QUIET("profile=dev");
	fx_gives("AKIDDEV k  [profile] profile dev");
	fx_walk_has("[environment: not configured: not looked at, because profile= is given]");
	fx_end();
}

Test(aws_cred, aws_profile_alone_does_not_beat_keys_in_the_environment)
{
	fx_begin(
		VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key", "AWS_PROFILE=gone"));
	FX_OPEN_QUIET(NULL);
	fx_gives("AKIDENV key  [environment] environment variables");
	fx_end();
	fx_begin(VARS("AWS_PROFILE=gone", NO_IMDS));
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY, "gone");
	fx_end();
}

Test(aws_cred, without_anything_all_rows_say_why)
{
	fx_begin(VARS(NO_IMDS));
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY, "no credentials found: options: access_key_id= is not given; environment: "
			 "AWS_ACCESS_KEY_ID is not set; profile: no profile default in ");
	cr_assert(strstr(fx.err.msg, "instance metadata: switched off"), "%s", fx.err.msg);
	fx_end();
}

/* ---- container ---- */

Test(aws_cred, the_container_service_of_ecs)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = "http://169.254.170.2/v2/credentials/uuid",
			.headers = {"Accept: application/json", "!Authorization"},
			.flags = DIRECT,
			.status = 200,
			.reply = KEYS("AKIDECS", LATER ",\"RoleArn\":\"arn:x\",\"New\":1")},
	};
	fx_begin(VARS("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/uuid",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://10.0.0.1/"));
	FX_OPEN(NULL, ex);
	fx_gives("AKIDECS KEY-CANARY TOK-CANARY [container] container credentials");
	fx_end();
}

/* aws.md case 39: EKS Pod Identity; the token file is read at each refresh */
Test(aws_cred, the_container_service_of_eks_with_a_token_that_rotates)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = "http://169.254.170.23/v1/credentials",
			.headers = {"Authorization: one"},
			.flags = DIRECT,
			.status = 200,
			.reply = KEYS("AKIDEKS1", ",\"Expiration\":\"2023-11-14T23:13:20Z\"")},
		{.method = "GET",
			.url = "http://169.254.170.23/v1/credentials",
			.headers = {"Authorization: two"},
			.flags = DIRECT,
			.status = 200,
			.reply = KEYS("AKIDEKS2", LATER)},
	};
	char file[128];
	fx_begin(NULL);
	snprintf(file, sizeof(file), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=%s/token", fx.home);
	fx_file("token", "one");
	fx_vars(VARS("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN=CANARY", file));
	FX_OPEN(NULL, ex);
	fx_gives("AKIDEKS1 KEY-CANARY TOK-CANARY [container] container credentials");
	fx_file("token", "two");
	fx_pass(2 * NSEC_PER_SEC); /* a rotation alone is no reason to ask */
	fx_gives("AKIDEKS1 KEY-CANARY TOK-CANARY [container] container credentials");
	fx_pass(60 * MIN);
	fx_gives("AKIDEKS2 KEY-CANARY TOK-CANARY [container] container credentials");
	fx_pass(5 * 60 * MIN);
	fx_file("token", "CANARY\n");
	fx_fails(EKEYEXPIRED, "token has a line break at offset 6: write it without");
	fx_end();
}

static void container_fails(const char *variable, int code, const char *words)
{
	fx_begin(VARS(variable));
	FX_OPEN_QUIET(NULL);
	fx_fails(code, words);
	fx_end();
}

/* aws.md case 39 */
Test(aws_cred, only_some_hosts_are_asked_over_plain_http)
{
	container_fails("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://10.0.0.1/", EINVAL,
		"names 10.0.0.1: without https only loopback");
	container_fails("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.169.254/", EINVAL,
		"without https only loopback");
	container_fails("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1.evil.example/", EINVAL,
		"without https only loopback");
	container_fails("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x@127.0.0.1/", EINVAL,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI");
	container_fails("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=.evil.example/", EINVAL,
		"must start with a slash");
}

static void container_allowed(const char *url)
{
	char var[256];
	struct http_exchange ex[] = {{.method = "GET",
		.url = url,
		.headers = {"Authorization: tok"},
		.flags = DIRECT,
		.status = 200,
		.reply = KEYS("AKID", "")}};
	snprintf(var, sizeof(var), "AWS_CONTAINER_CREDENTIALS_FULL_URI=%s", url);
	fx_begin(VARS(var, "AWS_CONTAINER_AUTHORIZATION_TOKEN=tok"));
	FX_OPEN(NULL, ex);
	fx_gives("AKID KEY-CANARY TOK-CANARY [container] container credentials");
	fx_end();
}

Test(aws_cred, hosts_that_are_asked)
{
	container_allowed("https://credentials.example/x");
	container_allowed("http://127.0.0.1:8080/x");
	container_allowed("http://localhost/x");
	container_allowed("http://[::1]:1/x");
	container_allowed("http://[fd00:ec2::23]/v1/credentials");
	container_allowed("http://169.254.170.2/x");
}

Test(aws_cred, a_container_service_that_refuses_is_an_error)
{
	static const struct http_exchange ex[] = {{.method = "GET",
		.url = "http://169.254.170.2/x",
		.flags = DIRECT,
		.status = 404,
		.reply = "{\"code\":\"NotFound\",\"message\":\"no \\u001b[31mtask\"}"}};
	fx_begin(VARS("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x"));
	FX_OPEN(NULL, ex);
	fx_fails(EACCES, "answered with status 404: no \\x1b[31mtask");
	fx_walk_has("[instance metadata: not reached]");
	fx_end();
}

Test(aws_cred, a_container_service_that_cannot_be_reached_is_an_error)
{
	static const struct http_exchange ex[] = {
		{.method = "GET",
			.url = "http://169.254.170.2/x",
			.flags = DIRECT,
			.fail = EHOSTUNREACH,
			.why = "refused"},
		{.method = "GET",
			.url = "http://169.254.170.2/x",
			.flags = DIRECT,
			.fail = EHOSTUNREACH,
			.why = "refused"},
		{.method = "GET",
			.url = "http://169.254.170.2/x",
			.flags = DIRECT,
			.fail = EHOSTUNREACH,
			.why = "refused"},
	};
	fx_begin(VARS("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x"));
	FX_OPEN(NULL, ex);
	fx_fails(EHOSTUNREACH, "the container's credential service");
	fx_end();
}

Test(aws_cred, a_malformed_answer_of_the_container_service_shows_nothing)
{
	static const struct http_exchange ex[] = {{.method = "GET",
		.url = "http://169.254.170.2/x",
		.flags = DIRECT,
		.status = 200,
		.reply = "{\"AccessKeyId\":\"CANARY\",\"SecretAccessKey\":\"CANARY CANARY\"}"}};
	fx_begin(VARS("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x"));
	FX_OPEN(NULL, ex);
	fx_fails(EBADMSG, "SecretAccessKey holds a blank");
	fx_end();
}

/* ---- for people ---- */

Test(aws_cred, status_tells_where_they_came_from_and_four_characters)
{
	struct buf b = BUF_INIT(10000);
	fx_begin(
		VARS("AWS_ACCESS_KEY_ID=AKIACANARY0000001A2B", "AWS_SECRET_ACCESS_KEY=KEY-CANARY"));
	FX_OPEN_QUIET(NULL);
	buf_str(&b, "{");
	cr_assert_eq(aws_cred_status(fx.cred, &b), 0);
	cr_assert(strstr(buf_text(&b), "{\"credentials\":\"none yet\""), "%s", buf_text(&b));
	cred_unref(fx_set());
	buf_reset(&b);
	cr_assert_eq(aws_cred_status(fx.cred, &b), 0);
	cr_assert(strstr(buf_text(&b),
			  "\"credentials\":\"environment "
			  "variables\",\"access_key_id\":\"...1A2B\",\"credentials_expire\":"
			  "\"never\",\"credential_sources\":{\"options\":\"not configured: "),
		"%s", buf_text(&b));
	cr_assert(strstr(buf_text(&b), ",\"environment\":\"used\","), "%s", buf_text(&b));
	cr_assert_null(strstr(buf_text(&b), "CANARY"));
	buf_clear(&b);
	fx_end();
}

#define IDENTITY                                                                          \
	"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
	"<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/bob</Arn>"          \
	"<UserId>X</UserId><Account>123456789012</Account></GetCallerIdentityResult>"     \
	"</GetCallerIdentityResponse>"

Test(aws_cred, check_prints_the_walk_and_who_we_are)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = "https://sts.eu-west-1.amazonaws.com/",
		.headers = {"Authorization: AWS4-HMAC-SHA256 Credential=AKIACANARY0000001A2B/"
			    "20231114/eu-west-1/sts/aws4_request*"},
		.body = "Action=GetCallerIdentity&Version=2011-06-15",
		.status = 200,
		.reply = IDENTITY}};
	struct check_sink sink = {0};
	struct call call = {.deadline = CLOCK_NEVER};
	fx_begin(
		VARS("AWS_ACCESS_KEY_ID=AKIACANARY0000001A2B", "AWS_SECRET_ACCESS_KEY=KEY-CANARY"));
	FX_OPEN(NULL, ex);
	cr_assert_eq(aws_cred_check(fx.cred, &call, &sink, &fx.err), 0, "%s", fx.err.msg);
	cr_assert_str_eq(sink.text,
		"skipped credentials: options: not configured: access_key_id= is not given\n"
		"ok credentials: environment: used: environment variables, access key id ...1A2B, "
		"expires never\n"
		"skipped credentials: profile: not reached\n"
		"skipped credentials: web identity: not reached\n"
		"skipped credentials: container: not reached\n"
		"skipped credentials: instance metadata: not reached\n"
		"ok identity: arn:aws:iam::123456789012:user/bob in account 123456789012\n");
	fx_end();
}

Test(aws_cred, check_tells_which_row_failed)
{
	struct check_sink sink = {0};
	struct call call = {.deadline = CLOCK_NEVER};
	fx_begin(VARS("AWS_ACCESS_KEY_ID=CANARY"));
	FX_OPEN_QUIET(NULL);
	cr_assert_eq(aws_cred_check(fx.cred, &call, &sink, &fx.err), -EINVAL);
	cr_assert(strstr(sink.text, "failed credentials: environment: failed: environment variable "
				    "AWS_ACCESS_KEY_ID is set"),
		"%s", sink.text);
	cr_assert_null(strstr(sink.text, "CANARY"));
	fx_end();
}

Test(aws_cred, without_memory_nothing_is_left)
{
	fx_begin(VARS("AWS_ACCESS_KEY_ID=AKIDENV", "AWS_SECRET_ACCESS_KEY=key"));
	FX_OPEN_QUIET(NULL);
	for (unsigned long n = 1; n < 12; n++) {
		struct aws_cred *a = NULL;
		alloc_fail_at(n);
		int r = aws_cred_new(&fx.env, fx.conf, &fx.opts, fx.http, &a, &fx.err);
		alloc_fail_at(0);
		cr_assert(r == 0 || r == -ENOMEM, "%lu: %s", n, fx.err.msg);
		cr_assert_eq(r == 0, a != NULL);
		aws_cred_free(a);
	}
	for (unsigned long n = 1; n < 8; n++) {
		struct call call = {.deadline = CLOCK_NEVER};
		struct cred *set = NULL;
		fx_pass(60 * NSEC_PER_SEC);
		alloc_fail_at(n);
		int r = cred_get(aws_cred_chain(fx.cred), &call, &set, &fx.err);
		alloc_fail_at(0);
		cr_assert(r == 0 || r == -ENOMEM, "%lu: %s", n, fx.err.msg);
		cred_unref(set);
	}
	fx_gives("AKIDENV key  [environment] environment variables");
	fx_end();
}
