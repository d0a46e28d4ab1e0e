/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of Secret Manager: the table of errnos, and sentences that say what to do. */
#include "backends/gcp_error.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SEC INT64_C(1000000000)

#define ERROR(code, status, message) \
	"{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"status\":\"" status "\"}}"
#define REASON(code, status, message, reason)                                               \
	"{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"status\":\"" status   \
	"\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.Help\"},{\"@type\":"   \
	"\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"" reason "\",\"domain\"" \
	":\"googleapis.com\",\"metadata\":{\"service\":\"secretmanager.googleapis.com\"}}]}}"

static struct gcp_error parse(int status, const char *body)
{
	struct gcp_error e;
	struct secret_stats stats;
	gcp_error_parse(status, body, strlen(body), &e);
	secret_stats(&stats);
	cr_assert_eq(stats.blocks, 0);
	cr_assert_eq(e.status, status);
	return e;
}

static const struct gcp_asked access_asked = {.permission = "secretmanager.versions.access",
	.grant = "roles/secretmanager.secretAccessor on the secret or its project",
	.credential = "key of sa@p in /key.json",
	.lookup = true};

static const char *sentence_of(const struct gcp_error *e, const struct gcp_asked *asked)
{
	static struct sfs_err err;
	err_clear(&err);
	int rc = gcp_error_sentence(e, asked, &err);
	cr_assert_eq(rc, -err.code);
	cr_expect_lt(strlen(err.msg), SFS_ERR_MAX - 1, "cut: %s", err.msg);
	return err.msg;
}

static void is(
	int status, const char *body, int errnum, enum gcp_error_class class, const char *words)
{
	struct gcp_error e = parse(status, body);
	const char *said = sentence_of(&e, &access_asked);
	cr_expect_eq(e.class, class, "%s: %d", said, e.class);
	cr_expect(strstr(said, words), "%s", said);
	struct sfs_err err = {0};
	gcp_error_sentence(&e, &access_asked, &err);
	cr_expect_eq(err.code, errnum, "%d: %s", err.code, said);
}

#define RESOURCE "projects/123456/secrets/db/versions/latest"

Test(gcp_error, what_is_not_there)
{
	is(404,
		ERROR(404, "NOT_FOUND",
			"Secret [projects/123456/secrets/db] not found or has no versions."),
		ENOENT, GCP_FINAL, "no such secret");
	is(404, ERROR(404, "NOT_FOUND", "Secret Version [" RESOURCE "] not found."), ENOENT,
		GCP_FINAL, "no such version");
	is(404, "{\"error\":\"secret not found\"}", ENOENT, GCP_FINAL, "secret not found");
}

Test(gcp_error, what_is_no_secret_manager)
{
	is(404, "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>",
		EOPNOTSUPP, GCP_FINAL, "endpoint");
	is(404, "", EOPNOTSUPP, GCP_FINAL, "endpoint");
	is(404, "{\"message\":\"no Route matched with those values\"}", EOPNOTSUPP, GCP_FINAL,
		"endpoint");
	is(405, "", EOPNOTSUPP, GCP_FINAL, "endpoint");
	is(501, ERROR(501, "UNIMPLEMENTED", "no"), EOPNOTSUPP, GCP_FINAL, "endpoint");
	is(418, "tea", EPROTO, GCP_FINAL, "not known");
	is(400, "<html>", EPROTO, GCP_FINAL, "not known");
}

Test(gcp_error, states_of_versions_and_keys)
{
	is(400,
		ERROR(400, "FAILED_PRECONDITION",
			"Secret Version [" RESOURCE "] is in DISABLED state."),
		EKEYREVOKED, GCP_FINAL, "disabled; enable it");
	is(400,
		ERROR(400, "FAILED_PRECONDITION",
			"Secret Version [" RESOURCE "] is in DESTROYED state."),
		EKEYREVOKED, GCP_FINAL, "destroyed and cannot");
	is(400,
		ERROR(400, "FAILED_PRECONDITION",
			"projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1 "
			"is "
			"not enabled, current state is: DISABLED."),
		EKEYREVOKED, GCP_FINAL, "Cloud KMS key");
	is(400,
		ERROR(400, "FAILED_PRECONDITION",
			"Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource "
			"'projects/p/cryptoKeys/k'."),
		EACCES, GCP_FINAL, "service agent");
	is(403,
		ERROR(403, "PERMISSION_DENIED",
			"Permission denied on projects/p/cryptoKeys/k/cryptoKeyVersions/1"),
		EACCES, GCP_FINAL, "service agent");
	is(400, REASON(400, "FAILED_PRECONDITION", "no", "LOCATION_ORG_POLICY_VIOLATED"), EACCES,
		GCP_FINAL, "organisation policy");
	is(400, ERROR(400, "FAILED_PRECONDITION", "something new"), EKEYREVOKED, GCP_FINAL,
		"something new");
}

Test(gcp_error, refusals_have_different_sentences)
{
	is(403,
		REASON(403, "PERMISSION_DENIED",
			"Permission 'secretmanager.versions.access' denied for resource '" RESOURCE
			"' (or it may not exist).",
			"IAM_PERMISSION_DENIED"),
		EACCES, GCP_FINAL,
		"the permission secretmanager.versions.access is missing, or there is no such "
		"name: grant roles/secretmanager.secretAccessor on the secret");
	is(403, ERROR(403, "PERMISSION_DENIED", "no"), EACCES, GCP_FINAL,
		"refused without a reason: probably secretmanager.versions.access");
	is(403, "<html>Forbidden</html>", EACCES, GCP_FINAL, "between here and Google");
	is(403,
		REASON(403, "PERMISSION_DENIED",
			"Secret Manager API has not been used in project 123456 before or it is "
			"disabled. Enable it by visiting "
			"https://console.developers.google.com/apis/api/"
			"secretmanager.googleapis.com/overview?project=123456 then retry.",
			"SERVICE_DISABLED"),
		EACCES, GCP_FINAL,
		"https://console.developers.google.com/apis/api/secretmanager.googleapis.com/"
		"overview?project=123456");
	is(403,
		REASON(403, "PERMISSION_DENIED",
			"Request is prohibited by organization's policy. "
			"vpcServiceControlsUniqueIdentifier: aBcD_42",
			"SECURITY_POLICY_VIOLATED"),
		EACCES, GCP_FINAL, "aBcD_42");
	is(403, REASON(403, "PERMISSION_DENIED", "no", "BILLING_DISABLED"), EACCES, GCP_FINAL,
		"billing");
	is(403, REASON(403, "PERMISSION_DENIED", "no", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), EACCES,
		GCP_FINAL, "cloud-platform");
	static const char *const quota[] = {
		REASON(403, "PERMISSION_DENIED", "no", "USER_PROJECT_DENIED"),
		REASON(403, "PERMISSION_DENIED", "no", "CONSUMER_INVALID"),
		REASON(403, "PERMISSION_DENIED", "no", "CONSUMER_SUSPENDED"),
		REASON(403, "PERMISSION_DENIED", "no", "RESOURCE_PROJECT_INVALID")};
	for (size_t i = 0; i < 4; i++)
		is(403, quota[i], EACCES, GCP_FINAL, "GOOGLE_CLOUD_QUOTA_PROJECT");
	is(403, REASON(403, "PERMISSION_DENIED", "no", "NEW_REASON"), EACCES, GCP_FINAL,
		"NEW_REASON");
}

Test(gcp_error, what_passes)
{
	static const struct {
		int status;
		const char *body;
	} faults[] = {{500, ""}, {502, "<html>"}, {503, "<html>"}, {504, "upstream"},
		{500, ERROR(500, "INTERNAL", "x")}, {500, ERROR(500, "UNKNOWN", "x")},
		{503, ERROR(503, "UNAVAILABLE", "x")}, {504, ERROR(504, "DEADLINE_EXCEEDED", "x")},
		{499, ERROR(499, "CANCELLED", "x")}, {409, ERROR(409, "ABORTED", "x")},
		{500, ERROR(500, "DATA_LOSS", "x")}, {408, ""}, {529, ""}};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		is(faults[i].status, faults[i].body, EREMOTEIO, GCP_TRANSIENT, "fault");
	is(429, ERROR(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), EBUSY, GCP_THROTTLE, "rate=");
	is(429, "", EBUSY, GCP_THROTTLE, "rate=");
	is(403, REASON(403, "PERMISSION_DENIED", "x", "RATE_LIMIT_EXCEEDED"), EBUSY, GCP_THROTTLE,
		"rate=");
}

Test(gcp_error, tokens)
{
	struct gcp_asked again = access_asked;
	struct sfs_err err = {0};
	is(401, ERROR(401, "UNAUTHENTICATED", "no"), EKEYREJECTED, GCP_CREDENTIALS,
		"[credentials: key of sa@p in /key.json]");
	is(401, "", EKEYREJECTED, GCP_CREDENTIALS, "access token");
	is(401, REASON(401, "UNAUTHENTICATED", "x", "ACCESS_TOKEN_EXPIRED"), EKEYEXPIRED,
		GCP_CREDENTIALS, "has expired");
	is(401, REASON(401, "UNAUTHENTICATED", "x", "ACCOUNT_STATE_INVALID"), EKEYREJECTED,
		GCP_CREDENTIALS, "ACCOUNT_STATE_INVALID");
	is(401, REASON(401, "UNAUTHENTICATED", "x", "ACCESS_TOKEN_TYPE_UNSUPPORTED"), EKEYREJECTED,
		GCP_CREDENTIALS, "ACCESS_TOKEN_TYPE_UNSUPPORTED");
	is(401, REASON(401, "UNAUTHENTICATED", "x", "CREDENTIALS_MISSING"), EKEYREJECTED,
		GCP_CREDENTIALS, "CREDENTIALS_MISSING");
	is(401, REASON(401, "UNAUTHENTICATED", "x", "JWT_TOKEN_INVALID"), EKEYREJECTED,
		GCP_CREDENTIALS, "JWT_TOKEN_INVALID");
	again.renewed = true;
	struct gcp_error e =
		parse(401, REASON(401, "UNAUTHENTICATED", "x", "ACCESS_TOKEN_EXPIRED"));
	cr_expect_eq(gcp_error_sentence(&e, &again, &err), -EKEYREJECTED);
	cr_expect(strstr(err.msg, "nor a new one"), "%s", err.msg);
}

Test(gcp_error, arguments_are_names_or_options)
{
	struct gcp_asked option = access_asked;
	struct sfs_err err = {0};
	const char *body = ERROR(400, "INVALID_ARGUMENT",
		"Resource ID [projects/p/secrets/x] is not in a valid format.");
	is(400, body, ENOENT, GCP_FINAL, "not take that as a name");
	option.lookup = false;
	struct gcp_error e = parse(400, body);
	cr_expect_eq(e.kind, GCP_ERR_ARGUMENT);
	cr_expect_eq(gcp_error_sentence(&e, &option, &err), -EINVAL);
	cr_expect(strstr(err.msg, "filter="), "%s", err.msg);
	e = parse(400, ERROR(400, "OUT_OF_RANGE", "x"));
	cr_expect_eq(gcp_error_sentence(&e, &option, &err), -EINVAL);
}

Test(gcp_error, how_long_to_wait)
{
	struct gcp_error e = parse(429,
		"{\"error\":{\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":"
		"\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"1.5s\"}]}}");
	cr_expect_eq(e.delay, SEC + SEC / 2);
	cr_expect_eq(parse(429, "").delay, -1);
	cr_expect_eq(parse(429, "{\"error\":{\"details\":[{\"@type\":\"x.RetryInfo\","
				"\"retryDelay\":\"soon\"}]}}")
			     .delay,
		-1);
	int64_t ns = -7;
	cr_expect_eq(gcp_duration("3600s", 5, &ns), 0);
	cr_expect_eq(ns, 3600 * SEC);
	cr_expect_eq(gcp_duration("0.000000001s", 12, &ns), 0);
	cr_expect_eq(ns, 1);
	cr_expect_eq(gcp_duration("99999999999999999999s", 21, &ns), 0);
	cr_expect_gt(ns, 1000000000 * SEC, "saturated");
	static const char *const wrong[] = {"", "s", "1", "1.s", ".5s", "-1s", "1s ", "1e3s"};
	ns = -7;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(
			gcp_duration(wrong[i], strlen(wrong[i]), &ns), -EINVAL, "%s", wrong[i]);
	cr_expect_eq(ns, -7, "untouched");
}

Test(gcp_error, spellings)
{
	is(403, "[{\"error\":{\"status\":\"PERMISSION_DENIED\",\"message\":\"a stream\"}}]", EACCES,
		GCP_FINAL, "a stream");
	is(403, "{\"error\":{\"status\":\"per\\u001bmission\",\"message\":7,\"details\":{}}}",
		EACCES, GCP_FINAL, "(HTTP 403)");
	is(500, "{\"error\":7}", EREMOTEIO, GCP_TRANSIENT, "fault");
	is(403, "{\"error\":{\"status\":\"NOT_FOUND\"}}", ENOENT, GCP_FINAL, "no such secret");
}

Test(gcp_error, no_token_gets_into_a_sentence)
{
	char body[1024], token[301];
	memset(token, 'T', 300);
	token[300] = '\0';
	snprintf(body, sizeof(body),
		"{\"error\":{\"status\":\"UNAUTHENTICATED\",\"message\":\"bad %s here\\nmore\"}}",
		token);
	struct gcp_error e = parse(401, body);
	cr_expect_str_eq(e.message, "bad [...] here");
	cr_expect_not(strstr(sentence_of(&e, &access_asked), "TTTT"));
}
