/* SPDX-License-Identifier: Apache-2.0 */
/* The table of errors, the spellings of codes and messages, sentences, and the clock. */
#include "backends/aws_error.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct aws_text text_of(const char *s)
{
	return (struct aws_text){s, s ? strlen(s) : 0};
}

static struct aws_error classify(int status, const char *code, const char *message)
{
	struct aws_error e;
	aws_error_classify(status, text_of(code), text_of(message), &e);
	return e;
}

static struct aws_error json(int status, const char *type, const char *body)
{
	struct aws_error e;
	struct secret_stats stats;
	aws_error_json(status, type, body, strlen(body), &e);
	secret_stats(&stats);
	cr_assert_eq(stats.blocks, 0);
	return e;
}

static const struct aws_asked get = {
	.service = "Secrets Manager", .action = "secretsmanager:GetSecretValue"};

static const char *sentence(const struct aws_error *e, const struct aws_asked *asked)
{
	static struct sfs_err err;
	err_clear(&err);
	int rc = aws_error_sentence(e, asked, &err);
	cr_assert_eq(rc, -err.code);
	return err.msg;
}

static void says(const struct aws_error *e, const char *text)
{
	const char *s = sentence(e, &get);
	cr_expect(strstr(s, text), "%s", s);
}

/* ---- the table ---- */

Test(aws_error, table)
{
	static const struct {
		int status;
		const char *code;
		int errnum;
		enum aws_error_class class;
	} rows[] = {
		{400, "ResourceNotFoundException", ENOENT, AWS_FINAL},
		{404, "ResourceNotFoundException", ENOENT, AWS_FINAL},
		{400, "ParameterNotFound", ENOENT, AWS_FINAL},
		{400, "ParameterVersionNotFound", ENOENT, AWS_FINAL},
		{400, "InvalidRequestException", EINVAL, AWS_FINAL},
		{400, "InvalidParameterException", EINVAL, AWS_FINAL},
		{400, "ValidationException", EINVAL, AWS_FINAL},
		{400, "ValidationError", EINVAL, AWS_FINAL},
		{400, "SerializationException", EINVAL, AWS_FINAL},
		{400, "InvalidNextTokenException", EREMOTEIO, AWS_FINAL},
		{400, "InvalidNextToken", EREMOTEIO, AWS_FINAL},
		{400, "AccessDeniedException", EACCES, AWS_FINAL},
		{403, "AccessDenied", EACCES, AWS_FINAL},
		{400, "DecryptionFailure", EKEYREVOKED, AWS_FINAL},
		{400, "InvalidKeyId", EKEYREVOKED, AWS_FINAL},
		{400, "KMSInvalidStateException", EKEYREVOKED, AWS_FINAL},
		{400, "ThrottlingException", EBUSY, AWS_THROTTLE},
		{503, "SlowDown", EBUSY, AWS_THROTTLE},
		{400, "PriorRequestNotComplete", EBUSY, AWS_THROTTLE},
		{429, "Whatever", EBUSY, AWS_THROTTLE},
		{429, NULL, EBUSY, AWS_THROTTLE},
		{500, "InternalServiceError", EREMOTEIO, AWS_TRANSIENT},
		{400, "InternalServiceError", EREMOTEIO, AWS_TRANSIENT},
		{400, "RequestTimeout", EREMOTEIO, AWS_TRANSIENT},
		{400, "IDPCommunicationError", EREMOTEIO, AWS_TRANSIENT},
		{500, NULL, EREMOTEIO, AWS_TRANSIENT},
		{502, "Strange", EREMOTEIO, AWS_TRANSIENT},
		{503, NULL, EREMOTEIO, AWS_TRANSIENT},
		{504, NULL, EREMOTEIO, AWS_TRANSIENT},
		{501, NULL, EREMOTEIO, AWS_FINAL},
		{400, "ExpiredTokenException", EKEYEXPIRED, AWS_CREDENTIALS},
		{403, "ExpiredToken", EKEYEXPIRED, AWS_CREDENTIALS},
		{400, "UnrecognizedClientException", EKEYREJECTED, AWS_CREDENTIALS},
		{403, "InvalidClientTokenId", EKEYREJECTED, AWS_CREDENTIALS},
		{400, "InvalidIdentityToken", EKEYREJECTED, AWS_CREDENTIALS},
		{403, "IDPRejectedClaim", EACCES, AWS_FINAL},
		{400, "InvalidSignatureException", EKEYREJECTED, AWS_SKEW},
		{403, "SignatureDoesNotMatch", EKEYREJECTED, AWS_SKEW},
		{403, "RequestExpired", EKEYREJECTED, AWS_SKEW},
		{403, "AuthFailure", EKEYREJECTED, AWS_SKEW},
		{400, "IncompleteSignature", EPROTO, AWS_FINAL},
		{403, "MissingAuthenticationTokenException", EPROTO, AWS_FINAL},
		{403, "OptInRequired", EACCES, AWS_FINAL},
		{403, "RegionDisabledException", EACCES, AWS_FINAL},
		{400, "UnknownOperationException", EOPNOTSUPP, AWS_FINAL},
		{400, "InvalidAction", EOPNOTSUPP, AWS_FINAL},
		{400, "PackedPolicyTooLarge", EINVAL, AWS_FINAL},
		{403, NULL, EACCES, AWS_FINAL},
		{401, "Strange", EACCES, AWS_FINAL},
		{400, "Strange", EPROTO, AWS_FINAL},
		{404, NULL, EPROTO, AWS_FINAL},
		{0, NULL, EPROTO, AWS_FINAL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct aws_error e = classify(rows[i].status, rows[i].code, NULL);
		cr_expect_eq(e.errnum, rows[i].errnum, "%d %s: %d", rows[i].status, rows[i].code,
			e.errnum);
		cr_expect_eq(e.class, rows[i].class, "%d %s", rows[i].status, rows[i].code);
		cr_expect_eq(e.status, rows[i].status);
		cr_expect_not(strstr(sentence(&e, &get), "%s"));
		cr_expect(strstr(sentence(&e, &get), "Secrets Manager"));
	}
}

Test(aws_error, texts_that_tell_cases_apart)
{
	static const struct {
		const char *code, *message;
		int errnum;
		enum aws_error_kind kind;
	} rows[] = {
		{"ResourceNotFoundException", "Secrets Manager can't find the specified secret.",
			ENOENT, AWS_ERR_NO_SECRET},
		{"ResourceNotFoundException",
			"Secrets Manager can't find the specified secret value for staging label: "
			"AWSCURRENT",
			ENOENT, AWS_ERR_NO_VERSION},
		{"ResourceNotFoundException",
			"Secrets Manager can\xe2\x80\x99t find the specified secret value for "
			"VersionId: x",
			ENOENT, AWS_ERR_NO_VERSION},
		{"InvalidRequestException",
			"You can't perform this operation on the secret because it was marked for "
			"deletion.",
			EKEYREVOKED, AWS_ERR_DELETED},
		{"InvalidRequestException",
			"You can\xe2\x80\x99t perform this operation on the secret because it was "
			"marked for deletion.",
			EKEYREVOKED, AWS_ERR_DELETED},
		{"InvalidRequestException",
			"You tried to perform the operation on a secret that's currently marked "
			"deleted.",
			EKEYREVOKED, AWS_ERR_DELETED},
		{"InvalidRequestException", "You provided a VersionStage that is not associated",
			EINVAL, AWS_ERR_REQUEST},
		{"AccessDeniedException", "Access to KMS is not allowed", EACCES,
			AWS_ERR_KMS_DENIED},
		{"AccessDeniedException",
			"The ciphertext refers to a customer master key that does not exist, does "
			"not exist in this region, or you are not allowed to access.",
			EACCES, AWS_ERR_KMS_DENIED},
		{"AccessDeniedException",
			"User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on "
			"resource: arn:aws:kms:r:1:key/k",
			EACCES, AWS_ERR_KMS_DENIED},
		{"AccessDeniedException", "User: x is not authorized", EACCES, AWS_ERR_DENIED},
		{"InternalServiceError", "marked for deletion", EREMOTEIO, AWS_ERR_SERVICE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct aws_error e = classify(400, rows[i].code, rows[i].message);
		cr_expect_eq(e.kind, rows[i].kind, "row %zu: %d", i, e.kind);
		cr_expect_eq(e.errnum, rows[i].errnum, "row %zu", i);
	}
}

/* ---- codes and bodies ---- */

Test(aws_error, codes_are_normalised)
{
	static const char *const spellings[] = {"ResourceNotFoundException",
		"com.amazonaws.secretsmanager#ResourceNotFoundException",
		"com.amazonaws.secretsmanager#ResourceNotFoundException:http://x/y#z",
		"ResourceNotFoundException:http://internal.amazon.com/coral/",
		" ResourceNotFoundException "};
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		struct aws_error e = classify(400, spellings[i], NULL);
		cr_expect_str_eq(e.code, "ResourceNotFoundException");
		cr_expect_eq(e.errnum, ENOENT);
	}
}

Test(aws_error, codes_of_strangers_are_harmless)
{
	char big[300];
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	struct aws_error e = classify(400, big, NULL);
	cr_expect_eq(strlen(e.code), AWS_CODE_MAX - 1);
	e = classify(400, "Bad\x1b[31mCode", NULL);
	cr_expect_str_eq(e.code, "Bad");
	e = classify(400, "", "");
	cr_expect_str_eq(e.code, "");
}

Test(aws_error, bodies)
{
	struct aws_error e;
	e = json(400, NULL, "{\"__type\": \"a.b#ResourceNotFoundException\", \"Message\": \"M\"}");
	cr_expect(e.errnum == ENOENT && !strcmp(e.message, "M"));
	e = json(400, NULL, "{\"__type\": \"ValidationException\", \"message\": \"m\"}");
	cr_expect(e.errnum == EINVAL && !strcmp(e.message, "m"));
	e = json(400, "x", "{\"__type\": \"ResourceNotFoundException\"}");
	cr_expect(e.errnum == ENOENT && !*e.message);
	e = json(400, "a#AccessDeniedException:http://x", "{\"message\": null}");
	cr_expect(e.errnum == EACCES && !*e.message);
	e = json(400, NULL, "{\"code\": \"ExpiredTokenException\"}");
	cr_expect_eq(e.errnum, EKEYEXPIRED);
	e = json(400, "ThrottlingException", "");
	cr_expect_eq(e.class, AWS_THROTTLE);
	e = json(403, NULL, "{\"__type\": 7, \"Message\": [1]}");
	cr_expect(e.errnum == EACCES && !*e.code);
	static const char *const broken[] = {"<html>503</html>", "", "{", "[]", "\"x\"", "null",
		"{\"__type\": \"\\ud800\"}", "\x00"};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		cr_expect_eq(json(503, NULL, broken[i]).class, AWS_TRANSIENT, "%s", broken[i]);
		cr_expect_eq(json(500, NULL, broken[i]).class, AWS_TRANSIENT, "%s", broken[i]);
		cr_expect_eq(json(400, NULL, broken[i]).errnum, EPROTO, "%s", broken[i]);
		cr_expect_str_eq(json(503, NULL, broken[i]).message, "");
	}
}

Test(aws_error, bodies_of_sts)
{
	static const char xml[] = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>old"
				  "</Message></Error></ErrorResponse>";
	struct aws_error e;
	aws_error_xml(403, xml, strlen(xml), &e);
	cr_expect(e.errnum == EKEYEXPIRED && !strcmp(e.message, "old"));
	aws_error_xml(503, "<html>", 6, &e);
	cr_expect_eq(e.class, AWS_TRANSIENT);
	aws_error_xml(500, NULL, 0, &e);
	cr_expect_eq(e.class, AWS_TRANSIENT);
}

/* ---- messages ---- */

Test(aws_error, messages_are_escaped_and_cut)
{
	char big[2000];
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i % 5 ? 'm' : ' ';
	big[sizeof(big) - 1] = '\0';
	struct aws_error e = classify(400, "ValidationException", big);
	cr_expect_lt(strlen(e.message), AWS_MESSAGE_MAX);
	cr_expect_str_eq(e.message + strlen(e.message) - 3, "...");
	e = classify(400, "ValidationException", "a\x1b[31m\xff");
	cr_expect_str_eq(e.message, "a\\x1b[31m\\xff");
	e = classify(400, "InvalidRequestException", "You can\xe2\x80\x99t\nsecond line");
	cr_expect_str_eq(e.message, "You can't");
}

#define TOKEN                                                                        \
	"FwoGZXIvYXdzECANARY/////////wEaDCANARYxyzCANARYxyzCANARYxyzCANARYxyzCANARY" \
	"xyzCANARYxyzCANARYxyzCANARYxyzCANARYxyzCANARYxyzCANARYxyzCANARYxyzCANARY"

/* Services answer a wrong signature with the request they expected, token and all; others repeat
 * the Authorization header. */
Test(aws_error, messages_never_repeat_credentials)
{
	static const char *const rows[][2] = {
		{"InvalidSignatureException",
			"The request signature we calculated does not match the signature you "
			"provided.\n\nThe Canonical String for this request should have been\n"
			"'POST\n/\n\nx-amz-security-token:" TOKEN "\n"},
		{"SignatureDoesNotMatch", "no match for x-amz-security-token:" TOKEN},
		{"IncompleteSignature",
			"'CANARY' not a valid key=value pair (missing equal-sign) in Authorization "
			"header: 'AWS4-HMAC-SHA256 Credential=CANARY'."},
		{"UnrecognizedClientException", "the token \"" TOKEN "\" is not valid"},
		{"Strange", "x-amz-security-token:" TOKEN ",authorization:x"},
		{"Strange", TOKEN},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct aws_error e = classify(403, rows[i][0], rows[i][1]);
		cr_expect_not(strstr(e.message, "CANARY"), "%s", e.message);
		cr_expect_not(strstr(sentence(&e, &get), "CANARY"));
	}
	struct aws_error e = classify(403, "Strange", "a \"" TOKEN "\" b");
	cr_expect_str_eq(e.message, "a \"[...]\" b");
}

/* ---- sentences ---- */

#define USER "User: arn:aws:sts::123456789012:assumed-role/nodes/i-0abc"
#define ARN  "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbC123"

Test(aws_error, a_refusal_names_the_action_the_identity_and_the_reason)
{
	struct aws_error e = classify(400, "AccessDeniedException",
		USER
		" is not authorized to perform: secretsmanager:GetSecretValue on resource: " ARN
		" because no identity-based policy allows the "
		"secretsmanager:GetSecretValue action");
	cr_expect_str_eq(e.action, "secretsmanager:GetSecretValue");
	cr_expect_str_eq(e.message,
		USER " is not authorized because no identity-based policy allows the "
		     "secretsmanager:GetSecretValue action");
	says(&e, "allow secretsmanager:GetSecretValue in an IAM policy");
	says(&e, "resource policy of the secret");
	says(&e, USER);

	e = classify(400, "AccessDeniedException", NULL);
	cr_expect_str_eq(e.action, "");
	says(&e, "allow secretsmanager:GetSecretValue in an IAM policy");

	e = classify(400, "AccessDeniedException",
		USER " is not authorized to perform: secretsmanager:BatchGetSecretValue");
	says(&e, "allow secretsmanager:BatchGetSecretValue in");
	e = classify(400, "AccessDeniedException", "x is not authorized to perform: nonsense now");
	cr_expect_str_eq(e.action, "");

	struct aws_asked assume = {.service = "STS",
		.action = "sts:AssumeRole",
		.credential = "environment variables"};
	e = classify(403, "AccessDenied", NULL);
	const char *s = sentence(&e, &assume);
	cr_expect(strstr(s, "trust policy of the role") && strstr(s, "environment variables"), "%s",
		s);
	struct aws_asked ssm = {.service = "Parameter Store", .action = "ssm:GetParameter"};
	s = sentence(&e, &ssm);
	cr_expect(strstr(s, "allow ssm:GetParameter in") && !strstr(s, "resource policy"), "%s", s);
	struct aws_asked list = {
		.service = "Secrets Manager", .action = "secretsmanager:ListSecrets"};
	s = sentence(&e, &list);
	cr_expect_not(strstr(s, "resource policy"), "%s", s);
}

Test(aws_error, what_to_do)
{
	struct aws_error e = classify(400, "AccessDeniedException", "Access to KMS is not allowed");
	says(&e, "allow kms:Decrypt on the KMS key");
	e = classify(400, "DecryptionFailure", NULL);
	says(&e, "enable the key");
	e = classify(400, "ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for staging label: X");
	says(&e, "it is there, but");
	e = classify(400, "UnrecognizedClientException", "The security token is invalid");
	says(&e, "does not know the access key");
	says(&e, "(UnrecognizedClientException, HTTP 400: The security token is invalid)");
	e = classify(
		400, "InvalidSignatureException", "Signature expired: a is now earlier than b");
	says(&e, "set the clock");
	says(&e, "Signature expired: a is now");
	e = classify(400, "InvalidSignatureException", "The request signature we calculated");
	says(&e, "the secret access key does not belong");
	e = classify(503, NULL, NULL);
	says(&e, "(HTTP 503)");
}

Test(aws_error, a_bad_name_is_no_such_file_where_somebody_typed_it)
{
	struct aws_error e = classify(400, "ValidationException", "Invalid name");
	struct aws_asked lookup = get;
	struct sfs_err err = {0};
	cr_expect_eq(aws_error_sentence(&e, &get, &err), -EINVAL);
	lookup.lookup = true;
	cr_expect_eq(aws_error_sentence(&e, &lookup, &err), -ENOENT);
	e = classify(400, "AccessDeniedException", NULL);
	cr_expect_eq(aws_error_sentence(&e, &lookup, &err), -EACCES);
}

/* Own words, credential and message have room in a sentence that gets two prefixes. */
Test(aws_error, sentences_have_an_end)
{
	char message[1000];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = i % 7 ? 'm' : ' ';
	message[sizeof(message) - 1] = '\0';
	struct aws_error e = classify(400, "UnrecognizedClientException", message);
	struct aws_asked asked = get;
	asked.credential = "profile production, role arn:aws:iam::123456789012:role/reader";
	cr_expect_lt(strlen(sentence(&e, &asked)), SFS_ERR_MAX);
}

/* ---- the clock ---- */

#define S INT64_C(1000000000)

static bool skew(const struct aws_error *e, int64_t date, int64_t used, int64_t *ret)
{
	*ret = -7;
	return aws_skew(e, &date, used, ret);
}

Test(aws_skew, our_clock_is_off)
{
	struct aws_error e = classify(403, "InvalidSignatureException", "Signature expired: x");
	int64_t off;
	cr_expect(skew(&e, 600 * S, 0, &off));
	cr_expect_eq(off, 600 * S);
	cr_expect(skew(&e, -600 * S, 0, &off));
	cr_expect_eq(off, -600 * S);
	cr_expect(skew(&e, 240 * S, 0, &off));
	cr_expect_eq(off, 240 * S);
	/* The message need not speak of time. */
	e = classify(403, "SignatureDoesNotMatch", "The request signature we calculated");
	cr_expect(skew(&e, 600 * S, 0, &off));
	cr_expect_eq(off, 600 * S);
}

/* The clock was set meanwhile: what was learnt of it is wrong now. */
Test(aws_skew, an_old_offset_is_replaced)
{
	struct aws_error e = classify(403, "SignatureDoesNotMatch", NULL);
	int64_t off;
	cr_expect(skew(&e, 0, 600 * S, &off));
	cr_expect_eq(off, 0);
	cr_expect(skew(&e, -100 * S, 200 * S, &off));
	cr_expect_eq(off, -100 * S);
}

/* The machine slept, or the request stood in a queue: once more with the time of now. */
Test(aws_skew, the_clock_is_right_by_now)
{
	struct aws_error e = classify(403, "InvalidSignatureException", "Signature expired: x");
	int64_t off;
	cr_expect(skew(&e, 3 * S, 0, &off));
	cr_expect_eq(off, 0, "small differences are not learnt");
	cr_expect(skew(&e, 600 * S, 599 * S, &off));
	cr_expect_eq(off, 599 * S);
	e = classify(403, "SignatureDoesNotMatch", "Signature not yet current: x");
	cr_expect(aws_skew(&e, NULL, 5 * S, &off), "without a Date too");
	cr_expect_eq(off, 5 * S);
	e = classify(403, "RequestTimeTooSkewed", NULL);
	cr_expect(skew(&e, 0, 0, &off));
}

Test(aws_skew, a_wrong_key_is_not_asked_again)
{
	struct aws_error e = classify(403, "SignatureDoesNotMatch", "The request signature");
	int64_t off;
	cr_expect_not(skew(&e, 0, 0, &off));
	cr_expect_not(skew(&e, 239 * S, 0, &off));
	cr_expect_not(skew(&e, 600 * S, 600 * S, &off));
	cr_expect_not(aws_skew(&e, NULL, 0, &off));
	cr_expect_eq(off, -7, "untouched");
	e = classify(403, "AccessDeniedException", "Signature expired");
	cr_expect_not(skew(&e, 600 * S, 0, &off), "no error of a signature");
}

Test(aws_skew, absurd_dates_do_not_overflow)
{
	struct aws_error e = classify(403, "RequestExpired", NULL);
	int64_t off;
	cr_expect(skew(&e, INT64_MIN, INT64_MAX, &off));
	cr_expect(skew(&e, INT64_MAX, INT64_MIN, &off));
}
