/* SPDX-License-Identifier: Apache-2.0 */
/* What gcp: makes of errors, faults, throttling, refused tokens and answers that are none. */
#include "backend_kit.h"
#include "fakes/http_script.h"
#include "gcp_fixture.h"

/* --- what is final --- */

Test(gcp_faults, refusals_name_permission_and_role)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 403,
			ERROR_INFO(403, "PERMISSION_DENIED", "no", "IAM_PERMISSION_DENIED")),
		NO(LATEST, 403, ERROR(403, "PERMISSION_DENIED", "no")),
		NO(LATEST, 403,
			ERROR_INFO(403, "PERMISSION_DENIED", "see URL", "SERVICE_DISABLED")),
		NO(LATEST, 403,
			ERROR_INFO(403, "PERMISSION_DENIED", "id 42", "SECURITY_POLICY_VIOLATED")),
		NO(LIST, 403, ERROR_INFO(403, "PERMISSION_DENIED", "no", "IAM_PERMISSION_DENIED")),
		OK(LATEST, VALUE("4")),
	};
	START(ex);
	get_fails("db", NULL, EACCES,
		"secretmanager.versions.access is missing, or there is no such name: grant "
		"roles/secretmanager.secretAccessor");
	get_fails("db", NULL, EACCES, "refused without a reason");
	get_fails("db", NULL, EACCES, "see URL");
	get_fails("db", NULL, EACCES, "id 42");
	list_fails(EACCES, "secretmanager.secrets.list is missing, or there is no such name: grant "
			   "roles/secretmanager.viewer on the project");
	get_works("db", NULL, "4");
	finish();
}

Test(gcp_faults, not_found_and_not_this_service)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 404,
			ERROR(404, "NOT_FOUND", "Secret [x] not found or has no versions.")),
		NO(LATEST, 404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>"),
		NO(LIST, 404, "<html>"),
		NO(LATEST, 501, ""),
	};
	START(ex);
	get_fails("db", NULL, ENOENT, "no such secret");
	get_fails("db", NULL, EOPNOTSUPP, "endpoint=");
	list_fails(EOPNOTSUPP, "endpoint=");
	get_fails("db", NULL, EOPNOTSUPP, "endpoint=");
	finish();
}

Test(gcp_faults, a_bad_name_and_a_bad_filter)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 400,
			ERROR(400, "INVALID_ARGUMENT",
				"The provided Secret Version ID does not match the expected format "
				"[projects/*/secrets/*/versions/*]")),
		NO(LIST, 400, ERROR(400, "INVALID_ARGUMENT", "Invalid filter")),
	};
	START(ex);
	get_fails("db", NULL, ENOENT, "as a name");
	list_fails(EINVAL, "filter=");
	finish();
}

Test(gcp_faults, keys_of_kms)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 400,
			ERROR(400, "FAILED_PRECONDITION",
				"projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/"
				"1 is "
				"not enabled, current state is: DESTROYED.")),
	};
	START(ex);
	get_fails("db", NULL, EKEYREVOKED, "cryptoKeys/k");
	finish();
}

/* A redirect carries no token anywhere. */
Test(gcp_faults, redirects_are_not_followed)
{
	static const struct http_exchange ex[] = {
		GET(LATEST, .status = 302, .with = "location: https://evil.test/x\n")};
	START(ex);
	get_fails("db", NULL, EPROTO, "evil.test");
	finish();
}

/* --- what passes --- */

#define SLOW_DOWN(delay)                                                        \
	"{\"error\":{\"code\":429,\"message\":\"Quota exceeded\",\"status\":"   \
	"\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"type.googleapis.com/" \
	"google.rpc.RetryInfo\",\"retryDelay\":\"" delay "\"}]}}"

Test(gcp_faults, throttling_waits_as_long_as_it_is_told)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 429, SLOW_DOWN("1.5s")),
		OK(LATEST, VALUE("4")),
		NO(LATEST, 429, SLOW_DOWN("4.5s")),
		OK(LATEST, VALUE("4")),
	};
	START(ex);
	get_works("db", NULL, "4");
	cr_expect_geq(script.paused, 1500 * NSEC_PER_MSEC);
	int64_t before = script.paused;
	get_works("db", NULL, "4");
	cr_expect_geq(script.paused - before, 4500 * NSEC_PER_MSEC);
	finish();
}

Test(gcp_faults, throttling_without_end)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 429, SLOW_DOWN("9s")),
		NO(LATEST, 429, SLOW_DOWN("9s")),
		GET(SECRETS "/api/versions/latest:access", .status = 429,
			.with = "retry-after: 3600\n"),
	};
	struct payload *p;
	struct sfs_err err = {0};
	START(ex);
	get_fails("db", NULL, EBUSY, "rate=");
	cr_expect_eq(script.paused, 9 * NSEC_PER_SEC, "a second pause would be too long");
	clock_fake_advance(9 * NSEC_PER_SEC);
	get_fails("api", NULL, EBUSY, "rate=");
	cr_expect_eq(script.paused, 9 * NSEC_PER_SEC, "an hour is not slept");
	cr_expect_eq(get("db", NULL, &p, &err), -EBUSY, "and nobody else asks");
	finish();
}

Test(gcp_faults, faults_are_tried_again)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 503, "<html>busy</html>"),
		NO(LATEST, 503, "<html>busy</html>"),
		OK(LATEST, VALUE("4")),
		GET(LIST, .fail = EHOSTUNREACH, .why = "connection reset"),
		OK(LIST, "{}"),
	};
	START(ex);
	get_works("db", NULL, "4");
	cr_expect_eq(script.pauses, 2);
	kit_list_is(ops, state, "");
	finish();
}

Test(gcp_faults, a_service_that_stays_down)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 503, ERROR(503, "UNAVAILABLE", "down")),
		NO(LATEST, 500, ERROR(500, "INTERNAL", "down")),
		NO(LATEST, 503, ""),
		NO(LATEST, 502, "<html>"),
		NO(LATEST, 503, ERROR(503, "UNAVAILABLE", "down")),
	};
	START(ex);
	get_fails("db", NULL, EREMOTEIO, "fault");
	cr_expect_eq(script.pauses, 4, "five attempts");
	finish();
}

/* --- answers that are none --- */

Test(gcp_faults, malformed_answers_are_asked_for_once_more)
{
	static const struct http_exchange ex[] = {
		OK(LATEST, "{\"name\":"),
		OK(LATEST, VALUE("4")),
		OK(LATEST, VALUE("4") "x"),
		OK(LATEST, "[]"),
		OK(LATEST, "\"canary\""),
		OK(LATEST, ""),
		OK(LIST, "canary"),
		OK(LIST, "{\"secrets\":[],\"secrets\":[]}"),
	};
	START(ex);
	get_works("db", NULL, "4");
	get_fails("db", NULL, EBADMSG, "malformed");
	get_fails("db", NULL, EBADMSG, "malformed");
	list_fails(EBADMSG, "malformed");
	finish();
}

Test(gcp_faults, answers_over_the_cap)
{
	static const struct http_exchange ex[] = {
		GET(LATEST, .fail = EFBIG, .why = "the answer is longer than 131072 bytes")};
	START(ex);
	get_fails("db", NULL, EFBIG, "131072");
	finish();
}

/* --- tokens --- */

#define REFUSED ERROR(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
#define EXPIRED ERROR_INFO(401, "UNAUTHENTICATED", "no", "ACCESS_TOKEN_EXPIRED")

/* The file has the same token as before: nothing else is to be had. */
Test(gcp_faults, a_token_in_a_file_that_is_refused)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 401, REFUSED),
		NO(LATEST, 401, REFUSED),
	};
	START(ex);
	get_fails("db", NULL, EKEYREJECTED, "token file");
	get_fails("api", NULL, EKEYREJECTED, "UNAUTHENTICATED");
	list_fails(EKEYREJECTED, "UNAUTHENTICATED");
	clock_fake_advance(5 * NSEC_PER_SEC);
	get_fails("db", NULL, EKEYREJECTED, "UNAUTHENTICATED");
	finish();
}

Test(gcp_faults, a_token_in_a_file_that_has_expired)
{
	static const struct http_exchange ex[] = {NO(LATEST, 401, EXPIRED)};
	START(ex);
	get_fails("db", NULL, EKEYEXPIRED, "renew it");
	finish();
}

#define TOKEN_URL "https://oauth2.googleapis.com/token"
#define TOKEN(text)                                                                  \
	{                                                                            \
		.method = "POST", .url = TOKEN_URL, .any_body = true, .status = 200, \
		.reply = "{\"access_token\":\"" text                                 \
			 "\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"         \
	}

static void begin_as_user(const struct http_exchange *ex, size_t n)
{
	static char more[600];
	char *d;
	begin("my-proj", NULL, ex, 0);
	ops->close(state);
	d = dir;
	kit_write(kit_path(d, "user.json"),
		"{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":"
		"\"secret-canary\",\"refresh_token\":\"refresh-canary\"}");
	snprintf(more, sizeof(more), "credentials=%s/user.json", d);
	http_script_end(&script);
	http_script_start(&script, ex, n);
	struct sfs_err err = {0};
	cr_assert_eq(try_open("my-proj", more, &err), 0, "%s", err.msg);
}

Test(gcp_faults, a_refused_token_is_renewed_once)
{
	static const struct http_exchange ex[] = {TOKEN("first-canary"),
		GET(LATEST, .headers = {"Authorization: Bearer first-canary"}, .status = 401,
			.reply = EXPIRED),
		TOKEN("second-canary"),
		GET(LATEST, .headers = {"Authorization: Bearer second-canary"}, .status = 200,
			.reply = VALUE("4")),
		GET(LATEST, .headers = {"Authorization: Bearer second-canary"}, .status = 200,
			.reply = VALUE("4"))};
	begin_as_user(ex, N(ex));
	get_works("db", NULL, "4");
	cr_expect_eq(script.pauses, 0, "at once");
	get_works("db", NULL, "4");
	finish();
}

Test(gcp_faults, a_new_token_that_is_refused_too)
{
	static const struct http_exchange ex[] = {TOKEN("first-canary"), NO(LATEST, 401, EXPIRED),
		TOKEN("second-canary"), NO(LATEST, 401, EXPIRED)};
	begin_as_user(ex, N(ex));
	get_fails("db", NULL, EKEYREJECTED, "nor a new one");
	get_fails("api", NULL, EKEYREJECTED, "user credentials");
	finish();
}

Test(gcp_faults, a_renewal_that_fails)
{
	static const struct http_exchange ex[] = {TOKEN("first-canary"), NO(LATEST, 401, EXPIRED),
		{.method = "POST",
			.url = TOKEN_URL,
			.any_body = true,
			.status = 400,
			.reply = "{\"error\":\"invalid_grant\",\"error_description\":\"Token has "
				 "been expired or revoked.\"}"}};
	begin_as_user(ex, N(ex));
	get_fails("db", NULL, EKEYEXPIRED, "");
	finish();
}
