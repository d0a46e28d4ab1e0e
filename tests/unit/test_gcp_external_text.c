/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of an exchange: subject tokens, signed requests, forms, answers (gcp.md section 9.4).
 */
#include "backends/gcp_external.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AUDIENCE \
	"//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/a"
#define JWT	 "urn:ietf:params:oauth:token-type:jwt"
#define ACCOUNTS "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
#define SA	 "sa@p.iam.gserviceaccount.com"
/* The session token of the signing suite (post-sts-header-before). */
#define TK                                                                                \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBu"    \
	"FqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmU"    \
	"pp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6" \
	"d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx" \
	"3iSIlTJabIQwj2ICCR/oLxBA=="
#define WALL (INT64_C(1700000000) * NSEC_PER_SEC) /* 2023-11-14T22:13:20Z */

static struct sfs_err err;

static void teardown(void)
{
	struct secret_stats st;
	secret_stats(&st);
	cr_expect_eq(st.blocks, 0, "secret memory is left");
}
TestSuite(gcp_external_text, .fini = teardown);

static char *text_of(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* ---- subject tokens ---- */

static void subject(const char *field, const char *text, const char *want)
{
	const struct gcp_source s = {.field = text_of(field)};
	struct secret *token = NULL;
	int r = gcp_subject_parse(&s, text, strlen(text), &token, &err);
	if (!want) {
		cr_assert_eq(r, -EBADMSG, "%s", text);
		cr_assert_null(token);
		cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
		return;
	}
	cr_assert_eq(r, 0, "%s", err.msg);
	cr_assert_eq(secret_len(token), strlen(want));
	cr_assert_arr_eq(secret_bytes(token), want, strlen(want));
	secret_unref(token);
}

/* case 41 */
Test(gcp_external_text, tokens_of_files_and_urls)
{
	subject(NULL, "eyJ.a.b", "eyJ.a.b");
	subject(NULL, "eyJ.a.b\n", "eyJ.a.b");
	subject(NULL, "eyJ.a.b\r\n", "eyJ.a.b");
	subject(NULL, "eyJ.a.b\n\n", "eyJ.a.b\n");
	subject(NULL, "", NULL);
	subject(NULL, "\n", NULL);
	subject("t", "{\"t\":\"CANARY\",\"u\":1}", "CANARY");
	subject("t", "{\"u\":\"CANARY\"}", NULL);
	subject("t", "{\"t\":\"\"}", NULL);
	subject("t", "{\"t\":[\"CANARY\"]}", NULL);
	subject("t", "[\"CANARY\"]", NULL);
	subject("t", "CANARY", NULL);
}

/* ---- programs ---- */

#define OK_ID(more) "{\"version\":1,\"success\":true,\"token_type\":\"" JWT "\"" more "}"

static int program(const char *text, int64_t *ret_expires)
{
	struct secret *token = NULL;
	int64_t expires = 7;
	err_clear(&err);
	int r = gcp_program_parse(text, strlen(text), WALL, &token, &expires, &err);
	cr_assert(r == 0 || (!token && expires == 7), "untouched");
	cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
	if (ret_expires)
		*ret_expires = expires;
	if (r == 0)
		cr_assert_arr_eq(secret_bytes(token), "CANARY", 6);
	secret_unref(token);
	return r;
}

Test(gcp_external_text, what_programs_print)
{
	int64_t expires;
	cr_assert_eq(program(OK_ID(",\"id_token\":\"CANARY\""), &expires), 0, "%s", err.msg);
	cr_assert_eq(expires, 0);
	cr_assert_eq(
		program(OK_ID(",\"id_token\":\"CANARY\",\"expiration_time\":1700000001"), &expires),
		0, "%s", err.msg);
	cr_assert_eq(expires, WALL + NSEC_PER_SEC);
	cr_assert_eq(
		program(OK_ID(",\"id_token\":\"CANARY\",\"expiration_time\":9999999999"), &expires),
		0, "%s", err.msg);
	cr_assert_eq(expires, INT64_MAX);
	cr_assert_eq(program("{\"version\":0,\"success\":true,\"saml_response\":\"CANARY\","
			     "\"token_type\":\"urn:ietf:params:oauth:token-type:saml2\"}\n",
			     NULL),
		0, "%s", err.msg);
	cr_assert_eq(program("{\"version\":1,\"success\":true,\"id_token\":\"CANARY\","
			     "\"token_type\":\"urn:ietf:params:oauth:token-type:id_token\"}",
			     NULL),
		0, "%s", err.msg);
}

static void no_program(const char *text, int code, const char *words)
{
	cr_assert_eq(program(text, NULL), -code, "%s: %s", text, err.msg);
	cr_assert(strstr(err.msg, words), "%s: %s", text, err.msg);
}

/* case 42 */
Test(gcp_external_text, what_programs_must_not_print)
{
	no_program("{\"version\":2,\"success\":true}", EBADMSG, "version is not 1");
	no_program("{\"version\":\"1\",\"success\":true}", EBADMSG, "version is not 1");
	no_program("{\"success\":true}", EBADMSG, "version is missing");
	no_program("{\"version\":1}", EBADMSG, "success is neither");
	no_program("{\"version\":1,\"success\":\"true\"}", EBADMSG, "success is neither");
	no_program(
		"{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"not logged in\"}",
		ENOKEY, "it says: 401: not logged in");
	no_program("{\"version\":1,\"success\":false,\"code\":401,\"message\":\"a\\u001b[b\"}",
		ENOKEY, "it says: 401: a\\x1b[b");
	no_program("{\"version\":1,\"success\":false,\"code\":\"401\"}", EBADMSG,
		"without code and message");
	no_program("{\"version\":1,\"success\":false,\"message\":\"x\"}", EBADMSG,
		"without code and message");
	no_program(OK_ID(",\"id_token\":\"CANARY\",\"expiration_time\":1700000000"), EKEYEXPIRED,
		"expired at 2023-11-14T22:13:20Z");
	no_program(OK_ID(",\"id_token\":\"CANARY\",\"expiration_time\":\"soon\""), EBADMSG,
		"expiration_time");
	no_program(OK_ID(",\"saml_response\":\"CANARY\""), EBADMSG, "id_token is missing");
	no_program(OK_ID(",\"id_token\":\"\""), EBADMSG, "id_token");
	no_program("{\"version\":1,\"success\":true,\"id_token\":\"CANARY\",\"token_type\":\"x\"}",
		EBADMSG, "token_type");
	no_program(
		"{\"version\":1,\"success\":true,\"id_token\":\"CANARY\"}", EBADMSG, "token_type");
	no_program("CANARY", EBADMSG, "");
	no_program("[]", EBADMSG, "no JSON object");
	no_program("", EBADMSG, "");
}

Test(gcp_external_text, what_a_program_is_told)
{
	struct gcp_external x = {.audience = text_of(AUDIENCE),
		.token_type = text_of(JWT),
		.impersonation_url = text_of(ACCOUNTS SA ":generateAccessToken"),
		.source = {.command = text_of("/opt/t 'a b'")}};
	char *line = gcp_program_line(&x, "/run/out");
	cr_assert_str_eq(line, "/opt/t 'a b'\n"
			       "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=" AUDIENCE "\n"
			       "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=" JWT "\n"
			       "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0\n"
			       "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=" SA "\n"
			       "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=/run/out");
	mem_free(line);
	x.impersonation_url = NULL;
	line = gcp_program_line(&x, NULL);
	cr_assert_null(strstr(line, "OUTPUT_FILE"));
	cr_assert_null(strstr(line, "IMPERSONATED_EMAIL"));
	mem_free(line);
}

/* ---- AWS ---- */

static struct secret *secret_of(const char *text)
{
	struct secret *s = secret_new(text, strlen(text));
	cr_assert_not_null(s);
	return s;
}

static void undo_percent(const char *text, char *out)
{
	for (; *text; text++) {
		char hex[3] = {0};
		if (*text == '%') {
			memcpy(hex, text + 1, 2);
			*out++ = (char)strtol(hex, NULL, 16);
			text += 2;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

#define VERIFY "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"

static int aws(const char *url, const char *region, const char *token, struct buf *out)
{
	const struct gcp_aws_request rq = {
		.keys = {.id = secret_of("AKIDEXAMPLE"),
			.key = secret_of("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
			.token = token ? secret_of(token) : NULL},
		.region = region,
		.url = url,
		.audience = AUDIENCE,
		.now = INT64_C(1440938160) * NSEC_PER_SEC}; /* 2015-08-30T12:36:00Z */
	int r = gcp_aws_subject(&rq, out, &err);
	secret_unref((struct secret *)(uintptr_t)rq.keys.id);
	secret_unref((struct secret *)(uintptr_t)rq.keys.key);
	secret_unref((struct secret *)(uintptr_t)rq.keys.token);
	return r;
}

/* case 44: vector V7 of the signing process */
Test(gcp_external_text, the_signed_request)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	char text[4096];
	cr_assert_eq(aws(VERIFY, "us-east-2", TK, &out), 0, "%s", err.msg);
	cr_assert_eq(strspn(buf_text(&out), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789-_.~%"),
		out.len);
	undo_percent(buf_text(&out), text);
	cr_assert_str_eq(text,
		"{\"headers\":[{\"key\":\"Authorization\",\"value\":\"AWS4-HMAC-SHA256 "
		"Credential=AKIDEXAMPLE/20150830/us-east-2/sts/aws4_request, "
		"SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource, "
		"Signature=52980ce2985c770ecd7d564a0d43aebe39d3656b5d581537b4ca0968c2d57f23\"},"
		"{\"key\":\"host\",\"value\":\"sts.us-east-2.amazonaws.com\"},"
		"{\"key\":\"x-amz-date\",\"value\":\"20150830T123600Z\"},"
		"{\"key\":\"x-goog-cloud-target-resource\",\"value\":\"" AUDIENCE "\"},"
		"{\"key\":\"x-amz-security-token\",\"value\":\"" TK "\"}],\"method\":\"POST\","
		"\"url\":\"https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version="
		"2011-06-15\"}");
}

Test(gcp_external_text, a_query_in_another_order_is_signed_the_same)
{
	_cleanup_(buf_clear) struct buf a = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	_cleanup_(buf_clear) struct buf b = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	cr_assert_eq(aws("https://sts.{region}.amazonaws.com/?Version=2011-06-15&Action="
			 "GetCallerIdentity",
			     "us-east-2", NULL, &a),
		0, "%s", err.msg);
	cr_assert_eq(aws(VERIFY, "us-east-2", NULL, &b), 0, "%s", err.msg);
	const char *mark = "Signature%3D";
	cr_assert_eq(strncmp(strstr(buf_text(&a), mark), strstr(buf_text(&b), mark), 76), 0);
	cr_assert_null(strstr(buf_text(&b), "x-amz-security-token"));
}

Test(gcp_external_text, requests_that_cannot_be_signed)
{
	_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	cr_assert_eq(aws("http://sts.{region}.amazonaws.com", "us-east-2", NULL, &out), -EBADMSG);
	cr_assert_eq(aws("sts.{region}", "us-east-2", NULL, &out), -EBADMSG);
	cr_assert_eq(aws(VERIFY, "us-east-2", "a\nb", &out), -EINVAL);
	cr_assert_eq(out.len, 0);
}

/* ---- the exchange ---- */

static void form_is(const struct gcp_external *x, const char *scope, const char *want)
{
	_cleanup_(buf_clear) struct buf form = BUF_SECRET_INIT(GCP_EXCHANGE_MAX);
	struct secret *token = secret_of("a.b+/= %7B");
	cr_assert_eq(gcp_exchange_form(x, scope, token, &form, &err), 0, "%s", err.msg);
	cr_assert_str_eq(buf_text(&form), want);
	secret_unref(token);
}

#define FORM_HEAD "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience="
#define FORM_TAIL                                                                              \
	"&scope=https%3A%2F%2Fx%2Fy&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-" \
	"type%3Aaccess_token&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A"   \
	"jwt&subject_token=a.b%2B%2F%3D%20%257B"

Test(gcp_external_text, the_form_of_an_exchange)
{
	const struct gcp_external x = {.audience = text_of(AUDIENCE), .token_type = text_of(JWT)};
	form_is(&x, "https://x/y",
		FORM_HEAD "%2F%2Fiam.googleapis.com%2Fprojects%2F123%2Flocations%2Fglobal%2F"
			  "workloadIdentityPools%2Fp%2Fproviders%2Fa" FORM_TAIL);
}

Test(gcp_external_text, who_pays_for_a_workforce_pool)
{
	struct gcp_external x = {.audience = text_of("/workforcePools/p"),
		.token_type = text_of(JWT),
		.user_project = text_of("my\"p")};
	form_is(&x, "https://x/y",
		FORM_HEAD "%2FworkforcePools%2Fp" FORM_TAIL
			  "&options=%7B%22userProject%22%3A%22my%5C%22p%22%7D");
	x.client_id = text_of("me"); /* the client says so */
	form_is(&x, "https://x/y", FORM_HEAD "%2FworkforcePools%2Fp" FORM_TAIL);
}

/* ---- generateAccessToken ---- */

Test(gcp_external_text, the_body_of_an_impersonation)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(1000);
	char *scopes[] = {text_of("https://x/y"), text_of("z"), NULL};
	char *delegates[] = {text_of("b"), text_of("a\""), NULL};
	cr_assert_eq(gcp_generate_body(scopes, NULL, 3600, &b, &err), 0);
	cr_assert_str_eq(buf_text(&b), "{\"delegates\":[],\"scope\":[\"https://x/y\",\"z\"],"
				       "\"lifetime\":\"3600s\"}");
	buf_reset(&b);
	cr_assert_eq(gcp_generate_body(scopes, delegates, 1800, &b, &err), 0);
	cr_assert_str_eq(buf_text(&b), "{\"delegates\":[\"b\",\"a\\\"\"],\"scope\":["
				       "\"https://x/y\",\"z\"],\"lifetime\":\"1800s\"}");
}

static int generated(const char *text, int64_t *ret)
{
	struct secret *token = NULL;
	err_clear(&err);
	int r = gcp_generate_parse(text, strlen(text), &token, ret, &err);
	cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
	cr_assert_eq(r == 0, token != NULL);
	secret_unref(token);
	return r;
}

/* case 45: with and without fraction */
Test(gcp_external_text, the_token_of_a_service_account)
{
	int64_t at = 1;
	cr_assert_eq(generated("{\"accessToken\":\"CANARY\",\"expireTime\":"
			       "\"2023-11-14T22:13:21Z\"}",
			     &at),
		0, "%s", err.msg);
	cr_assert_eq(at, WALL + NSEC_PER_SEC);
	cr_assert_eq(generated("{\"expireTime\":\"2023-11-14T22:13:20.5Z\",\"accessToken\":"
			       "\"CANARY\",\"more\":{}}",
			     &at),
		0, "%s", err.msg);
	cr_assert_eq(at, WALL + NSEC_PER_SEC / 2);
	cr_assert_eq(generated("{\"accessToken\":\"CANARY\"}", &at), -EBADMSG);
	cr_assert_eq(
		generated("{\"accessToken\":\"CANARY\",\"expireTime\":\"soon\"}", &at), -EBADMSG);
	cr_assert_eq(generated("{\"accessToken\":\"CANARY x\",\"expireTime\":"
			       "\"2023-11-14T22:13:20Z\"}",
			     &at),
		-EBADMSG);
	cr_assert_eq(
		generated("{\"accessToken\":\"\",\"expireTime\":\"2023-11-14T22:13:20Z\"}", &at),
		-EBADMSG);
	cr_assert_eq(generated("CANARY", &at), -EBADMSG);
	cr_assert_eq(at, WALL + NSEC_PER_SEC / 2, "untouched");
}

static void refused(int status, const char *body, int code, const char *words)
{
	err_clear(&err);
	cr_assert_eq(gcp_generate_refused(status, body, strlen(body), SA, &err), -code, "%d %s",
		status, err.msg);
	cr_assert(strstr(err.msg, words), "%s", err.msg);
}

Test(gcp_external_text, impersonations_that_are_refused)
{
#define ERROR(status, message, reason)                                              \
	"{\"error\":{\"code\":403,\"message\":\"" message "\",\"status\":\"" status \
	"\",\"details\":[{\"@type\":\"x\"},{\"@type\":\"type.googleapis.com/"       \
	"google.rpc.ErrorInfo\","                                                   \
	"\"reason\":\"" reason "\"}]}}"
	refused(403, ERROR("PERMISSION_DENIED", "Permission denied", "IAM_PERMISSION_DENIED"),
		EACCES, "iam.serviceAccounts.getAccessToken is missing on service account " SA);
	refused(403, "{\"error\":{\"code\":403}}", EACCES, "roles/iam.workloadIdentityUser");
	refused(403, "<html>", EACCES, "roles/iam.serviceAccountTokenCreator");
	refused(403, ERROR("PERMISSION_DENIED", "enable it at https://x", "SERVICE_DISABLED"),
		EACCES, "API is not enabled: enable it at https://x");
	refused(403, ERROR("PERMISSION_DENIED", "by policy", "SECURITY_POLICY_VIOLATED"), EACCES,
		"SECURITY_POLICY_VIOLATED: by policy");
	refused(404, ERROR("NOT_FOUND", "gone", ""), EKEYREJECTED, "does not exist: gone");
	refused(400, ERROR("INVALID_ARGUMENT", "max 3600s", ""), EINVAL, "max 3600s");
	refused(401, "", EKEYREJECTED, "does not accept the token");
	refused(429, "", EBUSY, "asked too often");
	refused(503, "<html>", EREMOTEIO, "status 503");
	refused(418, "", EKEYREJECTED, "status 418");
}

Test(gcp_external_text, no_memory_anywhere)
{
	struct gcp_external x = {.audience = text_of(AUDIENCE),
		.token_type = text_of(JWT),
		.impersonation_url = text_of(ACCOUNTS SA ":generateAccessToken"),
		.source = {.command = text_of("t")}};
	char *scopes[] = {text_of("s"), NULL};
	for (unsigned long n = 1; n < 40; n++) {
		_cleanup_(buf_clear) struct buf out = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
		_cleanup_(buf_clear) struct buf body = BUF_INIT(1000);
		alloc_fail_at(n);
		int r = aws(VERIFY, "us-east-2", "TK", &out);
		unsigned long met = alloc_fail_at(n);
		cr_assert_eq(r, met >= n ? -ENOMEM : 0, "%lu: %d", n, r);
		r = gcp_generate_body(scopes, NULL, 1, &body, NULL);
		met = alloc_fail_at(n);
		cr_assert_eq(r, met >= n ? -ENOMEM : 0, "%lu: %d", n, r);
		char *line = gcp_program_line(&x, "/o");
		met = alloc_fail_at(0);
		cr_assert_eq(line == NULL, met >= n, "%lu", n);
		mem_free(line);
	}
}
