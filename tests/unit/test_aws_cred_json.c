/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON that credentials for AWS come in. */
#include "backends/aws_cred_json.h"

#include "backends/aws_cred.h"
#include "base/alloc.h"
#include "base/clock.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct sfs_err err;

static int parse(const char *text, enum aws_keys_form form, struct aws_found *f)
{
	err_clear(&err);
	return aws_keys_parse(text, strlen(text), form, f, &err);
}

static void refused(const char *text, enum aws_keys_form form, const char *words)
{
	struct aws_found f = {.expires = 42};
	cr_assert_eq(parse(text, form, &f), -EBADMSG, "%s: %s", text, err.msg);
	cr_assert(strstr(err.msg, words), "%s: %s", text, err.msg);
	cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
	cr_assert_eq(f.expires, 42);
	cr_assert_null(f.field[AWS_CRED_ID]);
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

Test(aws_cred_json, unknown_members_and_nulls_are_fine)
{
	struct aws_found f = {0};
	cr_assert_eq(parse("{\"New\":{\"a\":[1]},\"AccessKeyId\":\"id\",\"Token\":null,"
			   "\"SecretAccessKey\":\"a\\u002fb\",\"Expiration\":null}",
			     AWS_KEYS_CONTAINER, &f),
		0, "%s", err.msg);
	cr_assert_null(f.field[AWS_CRED_TOKEN]);
	cr_assert_eq(f.expires, 0);
	cr_assert_eq(secret_len(f.field[AWS_CRED_KEY]), 3);
	cr_assert_eq(memcmp(secret_bytes(f.field[AWS_CRED_KEY]), "a/b", 3), 0);
	aws_found_clear(&f);
	cr_assert_eq(blocks(), 0);
}

Test(aws_cred_json, what_no_header_can_carry_is_refused)
{
	static const char *const bad[] = {"CAN\\nARY", "CAN\\r\\nARY", "CAN ARY", "CAN\\u0000ARY",
		"CAN\\u00e9ARY", "CAN\\u007fARY", "CAN\xc3\xa9_ARY"};
	char text[256];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
			"{\"AccessKeyId\":\"id\",\"SecretAccessKey\":\"k\",\"Token\":\"%s\"}",
			bad[i]);
		refused(text, AWS_KEYS_CONTAINER, "Token holds a blank or a character");
	}
}

Test(aws_cred_json, what_is_no_set_of_keys_is_refused)
{
	refused("", AWS_KEYS_CONTAINER, "line 1");
	refused("<html>CANARY", AWS_KEYS_CONTAINER, "line 1");
	refused("\"CANARY\"", AWS_KEYS_CONTAINER, "no JSON object");
	refused("{}", AWS_KEYS_CONTAINER, "AccessKeyId is missing");
	refused("{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"CANARY\"}", AWS_KEYS_CONTAINER,
		"AccessKeyId is missing");
	refused("{\"AccessKeyId\":17,\"SecretAccessKey\":\"CANARY\"}", AWS_KEYS_CONTAINER,
		"AccessKeyId is no string");
	refused("{\"AccessKeyId\":\"a\",\"AccessKeyId\":\"CANARY\",\"SecretAccessKey\":\"k\"}",
		AWS_KEYS_CONTAINER, "");
	refused("{\"accesskeyid\":\"CANARY\",\"SecretAccessKey\":\"k\"}", AWS_KEYS_CONTAINER,
		"AccessKeyId is missing");
	refused("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"k\",\"Expiration\":1700000000}",
		AWS_KEYS_CONTAINER, "Expiration is no time");
	refused("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"k\"} CANARY", AWS_KEYS_CONTAINER,
		"line 1");
}

Test(aws_cred_json, the_metadata_service_must_give_token_and_expiry)
{
	refused("{\"Code\":\"Success\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"k\"}",
		AWS_KEYS_IMDS, "Token is missing");
	refused("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"k\",\"Token\":\"t\"}", AWS_KEYS_IMDS,
		"Expiration is missing");
	struct aws_found f = {0};
	cr_assert_eq(parse("{\"Code\":\"Failed\\u001b[m\"}", AWS_KEYS_IMDS, &f), -ENODATA);
	cr_assert_str_eq(err.msg, "it says Failed\\x1b[m");
}

Test(aws_cred_json, sso_counts_in_milliseconds)
{
	struct aws_found f = {0};
#define SSO(more)                                                                \
	"{\"roleCredentials\":{\"accessKeyId\":\"i\",\"secretAccessKey\":\"k\"," \
	"\"sessionToken\":\"t\"" more "}}"
	cr_assert_eq(
		parse(SSO(",\"expiration\":1700003600123"), AWS_KEYS_SSO, &f), 0, "%s", err.msg);
	cr_assert_eq(f.expires, INT64_C(1700003600123) * NSEC_PER_MSEC);
	aws_found_clear(&f);
	refused(SSO(""), AWS_KEYS_SSO, "expiration is missing");
	refused(SSO(",\"expiration\":1e12"), AWS_KEYS_SSO, "expiration is no time");
	refused(SSO(",\"expiration\":-5"), AWS_KEYS_SSO, "expiration is no time");
	refused(SSO(",\"expiration\":9223372036854775807"), AWS_KEYS_SSO, "expiration is no time");
	refused("{}", AWS_KEYS_SSO, "roleCredentials is missing");
	refused("{\"roleCredentials\":[]}", AWS_KEYS_SSO, "accessKeyId is missing");
}

Test(aws_cred_json, a_token_that_lacks_a_part_is_not_to_be_renewed)
{
	static const char text[] = "{\"accessToken\":\"a\",\"expiresAt\":\"2023-11-15T00:00:00Z\","
				   "\"clientId\":\"c\",\"refreshToken\":\"r\"}";
	struct aws_sso_token t = {0};
	cr_assert_eq(aws_sso_token_parse(text, strlen(text), &t, &err), 0, "%s", err.msg);
	cr_assert_not_null(t.access);
	cr_assert_null(t.refresh);
	cr_assert_null(t.client_id);
	aws_sso_token_clear(&t);
	cr_assert_eq(blocks(), 0);
	cr_assert_eq(aws_sso_token_parse("{}", 2, &t, &err), -EBADMSG);
	cr_assert(strstr(err.msg, "accessToken is missing"));
}

Test(aws_cred_json, a_renewal_keeps_what_it_does_not_bring)
{
	static const char first[] = "{\"accessToken\":\"a\",\"expiresAt\":\"2023-11-15T00:00:00Z\","
				    "\"clientId\":\"c\",\"clientSecret\":\"s\",\"refreshToken\":"
				    "\"r\"}";
	static const char *const bad[] = {"{\"accessToken\":\"b\"}", "{\"expiresIn\":5}",
		"{\"accessToken\":\"b\",\"expiresIn\":\"5\"}",
		"{\"accessToken\":\"b\",\"expiresIn\":0}",
		"{\"accessToken\":\"b\",\"expiresIn\":9223372036854775807}"};
	struct aws_sso_token t = {0};
	cr_assert_eq(aws_sso_token_parse(first, strlen(first), &t, &err), 0);
	struct secret *access = t.access, *refresh = t.refresh;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(aws_sso_refresh_parse(bad[i], strlen(bad[i]), 0, &t, &err), -EBADMSG,
			"%s", bad[i]);
		cr_assert_eq(t.access, access);
	}
	static const char good[] = "{\"accessToken\":\"b\",\"expiresIn\":5}";
	cr_assert_eq(aws_sso_refresh_parse(good, strlen(good), NSEC_PER_SEC, &t, &err), 0);
	cr_assert_eq(t.expires, 6 * NSEC_PER_SEC);
	cr_assert_eq(t.refresh, refresh);
	aws_sso_token_clear(&t);
	cr_assert_eq(blocks(), 0);
}

Test(aws_cred_json, refusals_are_shown_escaped_and_cut)
{
	char out[16];
	aws_refusal_text("{\"Message\":\"a\\nb\"}", 18, out, sizeof(out));
	cr_assert_str_eq(out, "a\\x0ab");
	aws_refusal_text("{\"code\":\"0123456789abcdefgh\"}", 29, out, sizeof(out));
	cr_assert_eq(strlen(out), 15);
	aws_refusal_text("<html>", 6, out, sizeof(out));
	cr_assert_eq(*out, '\0');
	aws_refusal_text("{\"message\":5,\"error\":\"x\"}", 25, out, sizeof(out));
	cr_assert_str_eq(out, "x");
}

Test(aws_cred_json, without_memory_nothing_is_left)
{
	static const char text[] = "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"k\"}";
	for (unsigned long n = 1; n < 8; n++) {
		struct aws_found f = {0};
		alloc_fail_at(n);
		int r = parse(text, AWS_KEYS_CONTAINER, &f);
		alloc_fail_at(0);
		cr_assert(r == 0 || r == -ENOMEM, "%lu: %s", n, err.msg);
		aws_found_clear(&f);
	}
	cr_assert_eq(blocks(), 0);
}
