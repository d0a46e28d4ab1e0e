/* SPDX-License-Identifier: Apache-2.0 */
/* aws: and aws-ssm: by exact exchanges, with the clock standing still. */
#include "backend_kit.h"
#include "fakes/http_script.h"

#define URL	"https://secretsmanager.us-east-1.amazonaws.com"
#define SSM_URL "https://ssm.us-east-1.amazonaws.com"
#define KEYS	"access_key_id=env:KIT_A,secret_access_key=env:OTHER"
#define NOW	(INT64_C(1440938160) * NSEC_PER_SEC) /* 20150830T123600Z */
#define REQUEST "x-amzn-requestid: 4711\n"
#define TARGET	"X-Amz-Target: secretsmanager.GetSecretValue"
#define SIGNED(at, region)                                                                     \
	"X-Amz-Date: " at, "Authorization: AWS4-HMAC-SHA256 Credential=alpha/20150830/" region \
			   "/secretsmanager/aws4_request, "                                    \
			   "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=*"
#define VALUE "{\"Name\":\"db\",\"SecretString\":\"canary\"}"
#define ID    "0123456789abcdef0123456789abcdef"

static struct http_script script;
static void *state;
static const struct backend_ops *ops;
static size_t blocks; /* of secret memory, before */
static const char *options = KEYS;

static void open_with(
	const char *backend, const char *location, const struct http_exchange *ex, size_t n)
{
	struct sfs_err err = {0};
	kit_env();
	blocks = kit_blocks();
	clock_fake(NSEC_PER_SEC, NOW);
	http_script_start(&script, ex, n);
	ops = backend_find(backend);
	cr_assert_not_null(ops, "%s", backend);
	cr_assert_eq(kit_open(ops, location, options, &state, &err), 0, "%s", err.msg);
}
#define START(backend, ex) open_with(backend, "us-east-1", ex, sizeof(ex) / sizeof((ex)[0]))

static void finish(void)
{
	ops->close(state);
	const char *problem = http_script_end(&script);
	cr_expect_null(problem, "%s", problem);
	cr_expect_eq(kit_blocks(), blocks, "secret memory is left");
	clock_real();
}

static int get(const char *name, const char *version, struct sfs_err *err)
{
	struct payload *p = NULL;
	struct call call = kit_call();
	struct get_request rq = {.name = name, .version = version};
	err_clear(err);
	int rc = ops->get(state, &call, &rq, &p, err);
	cr_expect_eq(rc == 0, p != NULL);
	cr_expect(!strstr(err->msg, "canary"), "%s", err->msg);
	payload_unref(p);
	return rc;
}

static void get_fails(const char *name, const char *version, int code, const char *words)
{
	struct sfs_err err = {0};
	cr_expect_eq(get(name, version, &err), -code, "%s: %d %s", name, err.code, err.msg);
	cr_expect(strstr(err.msg, words), "%s", err.msg);
}

static void get_works(const char *name, const char *version)
{
	struct sfs_err err = {0};
	cr_expect_eq(get(name, version, &err), 0, "%s: %s", name, err.msg);
}

Test(aws_client, a_request_as_it_is)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = URL,
		.headers = {"Host: secretsmanager.us-east-1.amazonaws.com",
			"Content-Type: application/x-amz-json-1.1", TARGET,
			SIGNED("20150830T123600Z", "us-east-1"), "!X-Amz-Security-Token", "!Expect",
			"User-Agent: secretfs/*", "amz-sdk-invocation-id: *",
			"amz-sdk-request: attempt=1; max=3"},
		.body = "{\"SecretId\":\"db\"}",
		.status = 200,
		.reply = VALUE}};
	START("aws", ex);
	kit_is(ops, state, "db", "canary");
	finish();
}

Test(aws_client, versions_go_as_they_were_asked)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.body = "{\"SecretId\":\"db\",\"VersionId\":\"" ID "\"}",
			.status = 200,
			.reply = "{\"SecretString\":\"canary\",\"VersionId\":\"" ID "\"}"},
		{.method = "POST",
			.url = URL,
			.body = "{\"SecretId\":\"db\",\"VersionStage\":\"AWSPREVIOUS\"}",
			.status = 200,
			.reply = "{\"SecretString\":\"canary\",\"VersionId\":\"" ID
				 "\",\"VersionStages\":[\"AWSCURRENT\"]}"},
		{.method = "POST",
			.url = URL,
			.body = "{\"SecretId\":\"db\",\"VersionId\":\"" ID
				"\",\"VersionStage\":\"x\"}",
			.status = 400,
			.with = REQUEST,
			.reply = "{\"__type\":\"InvalidRequestException\",\"Message\":\"You "
				 "provided "
				 "a VersionStage that is not associated to the provided "
				 "VersionId.\"}"},
	};
	START("aws", ex);
	get_works("db", ID);
	get_fails("db", "AWSPREVIOUS", EINVAL, "AWSPREVIOUS");
	get_fails("db", ID ":x", EINVAL, "request 4711");
	get_fails("db", "0123456789abcdef0123456789abcde", EINVAL, "31");
	finish();
}

Test(aws_client, names_that_cannot_be_are_not_asked_for)
{
	static const struct http_exchange ex[1];
	open_with("aws", "us-east-1", ex, 0);
	static const char *const names[] = {"foo bar", "~x", "\xc3\xa9", "a:b", "",
		"arn:aws:ssm:us-east-1:1:parameter/a",
		"arn:aws-cn:secretsmanager:cn-north-1:1:secret:a-AbCdEf"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		get_fails(names[i], NULL, ENOENT, "");
	finish();
}

Test(aws_client, an_arn_goes_to_its_region)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = "https://secretsmanager.eu-west-1.amazonaws.com",
		.headers = {"Host: secretsmanager.eu-west-1.amazonaws.com", TARGET,
			SIGNED("20150830T123600Z", "eu-west-1")},
		.any_body = true,
		.status = 200,
		.reply = VALUE}};
	START("aws", ex);
	get_works("arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf", NULL);
	finish();
}

/* aws.md cases 3 and 4: whatever the host, the scope is the service's name and the region of the
 * settings, and what is signed as host is what is sent. */
static void scope_is_kept(const char *more, const char *region, const char *url, const char *host)
{
	static char with[256], line[300], signed_for[200];
	snprintf(with, sizeof(with), KEYS "%s", more);
	snprintf(line, sizeof(line), "Host: %s", host);
	snprintf(signed_for, sizeof(signed_for),
		"Authorization: AWS4-HMAC-SHA256 "
		"Credential=alpha/20150830/%s/secretsmanager/aws4_request, *",
		region);
	const struct http_exchange ex[] = {{.method = "POST",
		.url = url,
		.headers = {line, TARGET, signed_for},
		.any_body = true,
		.status = 200,
		.reply = VALUE}};
	options = with;
	open_with("aws", region, ex, 1);
	get_works("db", NULL);
	finish();
	options = KEYS;
}

Test(aws_client, the_scope_is_that_of_the_settings_whatever_the_host)
{
#define VPCE "vpce-0a1b2c3d-e4f5.secretsmanager.eu-west-1.vpce.amazonaws.com"
	scope_is_kept(",endpoint=https://" VPCE, "us-east-1", "https://" VPCE, VPCE);
	scope_is_kept(",fips", "us-east-1", "https://secretsmanager-fips.us-east-1.amazonaws.com",
		"secretsmanager-fips.us-east-1.amazonaws.com");
	scope_is_kept(",fips", "us-gov-west-1",
		"https://secretsmanager-fips.us-gov-west-1.amazonaws.com",
		"secretsmanager-fips.us-gov-west-1.amazonaws.com");
	scope_is_kept(",endpoint=http://127.0.0.1:4566/", "us-east-1", "http://127.0.0.1:4566",
		"127.0.0.1:4566");
	scope_is_kept(",endpoint=https://Vault.test:443", "us-east-1", "https://Vault.test:443",
		"vault.test");
}

#define EXPIRED                                                                       \
	"{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: " \
	"20150830T123600Z is now earlier than 20150830T124100Z (20150830T124600Z - 5 min.)\"}"

Test(aws_client, the_clock_of_the_service_is_learned)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.headers = {SIGNED("20150830T123600Z", "us-east-1")},
			.any_body = true,
			.status = 400,
			.with = "date: Sun, 30 Aug 2015 12:46:00 GMT\n",
			.reply = EXPIRED},
		{.method = "POST",
			.url = URL,
			.headers = {SIGNED("20150830T124600Z", "us-east-1")},
			.any_body = true,
			.status = 200,
			.reply = VALUE},
		{.method = "POST",
			.url = URL,
			.headers = {SIGNED("20150830T124600Z", "us-east-1")},
			.any_body = true,
			.status = 200,
			.reply = VALUE},
	};
	START("aws", ex);
	get_works("db", NULL);
	get_works("db", NULL);
	cr_expect_eq(script.pauses, 0, "at once");
	finish();
}

Test(aws_client, expired_with_a_right_clock_is_tried_once_more)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 400,
			.with = "date: Sun, 30 Aug 2015 12:36:01 GMT\n",
			.reply = EXPIRED},
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 400,
			.with = "date: Sun, 30 Aug 2015 12:36:01 GMT\n" REQUEST,
			.reply = EXPIRED},
	};
	START("aws", ex);
	get_fails("db", NULL, EKEYREJECTED, "request 4711");
	finish();
}

Test(aws_client, a_wrong_key_is_not_tried_again)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = URL,
		.any_body = true,
		.status = 400,
		.with = "date: Sun, 30 Aug 2015 12:36:01 GMT\n",
		.reply = "{\"__type\":\"InvalidSignatureException\",\"message\":\"The request "
			 "signature we calculated does not match\"}"}};
	START("aws", ex);
	get_fails("db", NULL, EKEYREJECTED, "");
	finish();
}

Test(aws_client, a_refusal_in_xml_is_understood)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 403,
			.reply = "<?xml version=\"1.0\"?><ErrorResponse><Error><Code>"
				 "SignatureDoesNotMatch</Code><Message>no</Message></Error>"
				 "</ErrorResponse>"},
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 403,
			.reply = "<ErrorResponse><Errors><Error><Code>SignatureDoesNotMatch</Code>"
				 "</Error></Errors></ErrorResponse>"},
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 403,
			.with = "content-type: text/html\n",
			.reply = "<html>Forbidden</html>"},
	};
	START("aws", ex);
	get_fails("db", NULL, EKEYREJECTED, "");
	get_fails("db", NULL, EKEYREJECTED, "");
	get_fails("db", NULL, EACCES, "");
	finish();
}

Test(aws_client, throttling_is_waited_for)
{
#define SLOW_DOWN                                                      \
	.method = "POST", .url = URL, .any_body = true, .status = 400, \
	.reply = "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}"
	static const struct http_exchange ex[] = {
		{SLOW_DOWN, .headers = {"amz-sdk-request: attempt=1; max=3"}},
		{SLOW_DOWN, .headers = {"amz-sdk-request: attempt=2; max=3"}},
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.headers = {"amz-sdk-request: attempt=3; max=3"},
			.status = 200,
			.reply = VALUE},
		{SLOW_DOWN},
		{SLOW_DOWN},
		{SLOW_DOWN},
	};
	START("aws", ex);
	get_works("db", NULL);
	cr_expect_eq(script.pauses, 2);
	get_fails("db", NULL, EBUSY, "");
	finish();
}

/* Four retries are in the bucket: a provider that is ill is not asked three times by everybody. */
Test(aws_client, retries_come_to_an_end)
{
	static const struct http_exchange ex[] = {{SLOW_DOWN}, {SLOW_DOWN}, {SLOW_DOWN},
		{SLOW_DOWN}, {SLOW_DOWN}, {SLOW_DOWN}, {SLOW_DOWN}, {SLOW_DOWN}};
	START("aws", ex);
	for (int i = 0; i < 4; i++)
		get_fails("db", NULL, EBUSY, "");
	finish();
}

Test(aws_client, a_malformed_answer_is_asked_for_once_more)
{
	static const struct http_exchange ex[] = {
		{.method = "POST", .url = URL, .any_body = true, .status = 200, .reply = "{"},
		{.method = "POST", .url = URL, .any_body = true, .status = 200, .reply = VALUE},
		{.method = "POST", .url = URL, .any_body = true, .status = 200, .reply = "[]"},
		{.method = "POST", .url = URL, .any_body = true, .status = 200, .reply = "canary"},
	};
	START("aws", ex);
	get_works("db", NULL);
	get_fails("db", NULL, EBADMSG, "malformed");
	finish();
}

/* Rows 65 and 66 of the fault matrix: never an empty secret. */
Test(aws_client, somebody_else_answers_or_nobody_says_anything)
{
#define OTHER(code, headers, text)                                                \
	{                                                                         \
		.method = "POST", .url = URL, .any_body = true, .status = (code), \
		.with = (headers), .reply = (text)                                \
	}
#define TWICE(...) OTHER(__VA_ARGS__), OTHER(__VA_ARGS__)
	static const struct http_exchange ex[] = {
		TWICE(200, "content-type: text/html; charset=utf-8\n", "<html>log in</html>"),
		TWICE(200, "content-type: application/x-amz-json-1.1\n", ""),
		TWICE(204, NULL, ""),
		TWICE(200, "content-type: application/json\n", "null"),
		TWICE(202, NULL, "{}x"),
	};
	static const char *const words[] = {
		"not Secrets Manager: the content type is text/html; charset=utf-8 (a proxy, or",
		"malformed", "malformed", "malformed", "malformed"};
	START("aws", ex);
	for (size_t i = 0; i < 5; i++)
		get_fails("db", NULL, EBADMSG, words[i]);
	finish();
}

Test(aws_client, a_missing_action_is_named)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 400,
			.reply = "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}"},
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 400,
			.reply =
				"{\"__type\":\"AccessDeniedException\",\"Message\":\"Access to KMS "
				"is not allowed\"}"},
		{.method = "POST",
			.url = URL,
			.any_body = true,
			.status = 400,
			.with = "x-amzn-errortype: ResourceNotFoundException:http://x\n"},
	};
	START("aws", ex);
	get_fails("db", NULL, EACCES, "secretsmanager:GetSecretValue");
	get_fails("db", NULL, EACCES, "kms:Decrypt");
	get_fails("db", NULL, ENOENT, "");
	finish();
}

Test(aws_client, a_listing_of_three_pages)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.headers = {"X-Amz-Target: secretsmanager.ListSecrets"},
			.body = "{\"MaxResults\":100}",
			.status = 200,
			.reply = "{\"SecretList\":[],\"NextToken\":\"t1\"}"},
		{.method = "POST",
			.url = URL,
			.body = "{\"MaxResults\":100,\"NextToken\":\"t1\"}",
			.status = 200,
			.reply = "{\"SecretList\":[{\"Name\":\"b\"},{\"Name\":\"a\"}],"
				 "\"NextToken\":\"t2\"}"},
		{.method = "POST",
			.url = URL,
			.body = "{\"MaxResults\":100,\"NextToken\":\"t2\"}",
			.status = 200,
			.reply = "{\"SecretList\":[{\"Name\":\"a\"}],\"NextToken\":null}"},
	};
	START("aws", ex);
	kit_list_is(ops, state, "a b ");
	finish();
}

Test(aws_client, parameters_are_always_decrypted)
{
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = SSM_URL,
			.headers = {"X-Amz-Target: AmazonSSM.GetParameter"},
			.body = "{\"Name\":\"/prod/db:3\",\"WithDecryption\":true}",
			.status = 200,
			.reply = "{\"Parameter\":{\"Name\":\"/prod/db\",\"Value\":\"canary\"}}"},
		{.method = "POST",
			.url = SSM_URL,
			.body = "{\"Name\":\"/prod/db:nosuch\",\"WithDecryption\":true}",
			.status = 400,
			.reply = "{\"__type\":\"ParameterVersionNotFound\"}"},
	};
	open_with("aws-ssm", "us-east-1/prod", ex, 2);
	get_works("db", "3");
	get_fails("db", "nosuch", ENOENT, "");
	get_fails("db", "ssm-x", ENOENT, "labels");
	get_fails("a//b", NULL, ENOENT, "");
	finish();
}

/* Twelve parameters: ten and two; one of them unknown, one left out and asked for alone. */
Test(aws_client, parameters_in_batches)
{
	static const char *const names[] = {
		"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "no such", "l"};
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = SSM_URL,
			.headers = {"X-Amz-Target: AmazonSSM.GetParameters"},
			.body = "{\"Names\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\","
				"\"j\"],\"WithDecryption\":true}",
			.status = 200,
			.reply = "{\"Parameters\":[{\"Name\":\"b\",\"Value\":\"canary\"},{\"Name\":"
				 "\"a\",\"Value\":\"canary\"}],\"InvalidParameters\":[\"c\",\"d\","
				 "\"e\",\"f\",\"g\",\"h\",\"i\",\"j\"]}"},
		{.method = "POST",
			.url = SSM_URL,
			.body = "{\"Names\":[\"k\",\"l\"],\"WithDecryption\":true}",
			.status = 200,
			.reply = "{\"Parameters\":[{\"Name\":\"k\",\"Value\":\"canary\"}]}"},
		{.method = "POST",
			.url = SSM_URL,
			.body = "{\"Name\":\"l\",\"WithDecryption\":true}",
			.status = 200,
			.reply = "{\"Parameter\":{\"Name\":\"l\",\"Value\":\"canary\"}}"},
	};
	START("aws-ssm", ex);
	struct payload *ret[13] = {0};
	struct sfs_err errs[13] = {0}, err = {0};
	struct call call = kit_call();
	cr_assert_eq(ops->get_batch(state, &call, names, 13, ret, errs, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < 13; i++) {
		bool there = strchr("abkl", names[i][0]) != NULL;
		cr_expect_eq(ret[i] != NULL, there, "%s", names[i]);
		cr_expect_eq(errs[i].code, there ? 0 : ENOENT, "%s", names[i]);
		payload_unref(ret[i]);
	}
	finish();
}

Test(aws_client, a_batch_that_is_denied_or_throttled_as_a_whole)
{
	static const char *const names[] = {"a", "b"};
	static const struct http_exchange ex[] = {
		{.method = "POST",
			.url = URL,
			.headers = {"X-Amz-Target: secretsmanager.BatchGetSecretValue"},
			.body = "{\"SecretIdList\":[\"a\",\"b\"]}",
			.status = 400,
			.reply = "{\"__type\":\"AccessDeniedException\"}"},
		{SLOW_DOWN},
		{SLOW_DOWN},
		{SLOW_DOWN},
	};
	START("aws", ex);
	struct payload *ret[2] = {0};
	struct sfs_err errs[2] = {0}, err = {0};
	struct call call = kit_call();
	cr_expect_eq(ops->get_batch(state, &call, names, 2, ret, errs, &err), -EACCES);
	cr_expect(strstr(err.msg, "secretsmanager:BatchGetSecretValue"), "%s", err.msg);
	cr_expect_eq(ops->get_batch(state, &call, names, 2, ret, errs, &err), -EBUSY);
	cr_expect(!ret[0] && !ret[1]);
	finish();
}

Test(aws_client, what_is_asked_costs)
{
	static const struct http_exchange ex[] = {
		{SLOW_DOWN},
		{.method = "POST", .url = URL, .any_body = true, .status = 200, .reply = VALUE},
	};
	struct backend_counts c = {0};
	struct buf b = BUF_INIT(10000);
	START("aws", ex);
	get_works("db", NULL);
	ops->counts(state, &c);
	cr_expect_eq(c.calls, 1);
	cr_expect_eq(c.retries, 1);
	cr_expect_eq(c.throttled, 1);
	cr_expect(c.cost_usd > 9.9e-6 && c.cost_usd < 1.01e-5, "two calls on the wire");
	cr_expect_eq(ops->status(state, &b), 0);
	cr_expect(strstr(buf_text(&b), "us-east-1") && !strstr(b.data, "canary"), "%s", b.data);
	buf_clear(&b);
	finish();
}

/* As many at once as Parameter Store answers in a second, then no faster than that. */
static int64_t waited_for_parameters(const char *backend, const char *opts)
{
	static struct http_exchange ex[45];
	bool ssm = !strcmp(backend, "aws-ssm");
	for (size_t i = 0; i < 45; i++)
		ex[i] = (struct http_exchange){.method = "POST",
			.url = ssm ? SSM_URL : URL,
			.any_body = true,
			.status = 200,
			.reply = ssm ? "{\"Parameter\":{\"Value\":\"canary\"}}" : VALUE};
	options = opts;
	START(backend, ex);
	for (int i = 0; i < 45; i++)
		get_works("db", NULL);
	int64_t waited = script.paused;
	finish();
	return waited;
}

Test(aws_client, parameter_store_is_not_asked_faster_than_it_answers)
{
	cr_expect_gt(waited_for_parameters("aws-ssm", KEYS), 0);
	cr_expect_eq(waited_for_parameters("aws-ssm", KEYS ",rate=0"), 0);
	cr_expect_gt(waited_for_parameters("aws-ssm", KEYS ",rate=5"), NSEC_PER_SEC);
	cr_expect_eq(waited_for_parameters("aws", KEYS), 0);
}

/* ---- hosts that do not exist ---- */

static void no_host(const char *more, const char *url, const char *words)
{
	static char with[256];
	struct http_exchange ex[3];
	for (size_t i = 0; i < 3; i++)
		ex[i] = (struct http_exchange){.method = "POST",
			.url = url,
			.any_body = true,
			.fail = ENXIO,
			.why = "cannot resolve it"};
	snprintf(with, sizeof(with), KEYS "%s", more);
	options = with;
	open_with("aws", "eu-west-9", ex, 3);
	get_fails("db", NULL, EHOSTUNREACH, words);
	finish();
	options = KEYS;
}

Test(aws_client, a_host_that_does_not_exist_says_which_setting_to_look_at)
{
	no_host("", "https://secretsmanager.eu-west-9.amazonaws.com",
		"cannot resolve it (after 3 attempts): is there such a region?");
	no_host(",fips", "https://secretsmanager-fips.eu-west-9.amazonaws.com",
		"AWS has FIPS endpoints for some regions only (of the United States, Canada and "
		"GovCloud): leave out fips (AWS_USE_FIPS_ENDPOINT, use_fips_endpoint), or name an "
		"endpoint by endpoint=");
	no_host(",dualstack", "https://secretsmanager.eu-west-9.amazonaws.com",
		"leave out dualstack");
	no_host(",endpoint=https://vault.test", "https://vault.test",
		"cannot resolve it (after 3 attempts)");
}
