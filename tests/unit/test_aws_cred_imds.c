/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials and region by the instance metadata (R47, aws.md cases 40 and 41). */
#include "fakes/http_script.h"

#include "aws_cred_fixture.h"

#define DIRECT (HTTP_DIRECT | HTTP_NO_BREAKER)
#define BASE   "http://169.254.169.254/latest/"
#define ROLES  BASE "meta-data/iam/security-credentials/"

/* All of them direct, whatever proxy is configured (case 41). */
#define PUT_TOKEN                                                                               \
	.method = "PUT", .url = BASE "api/token", .flags = DIRECT,                              \
	.headers = {"X-aws-ec2-metadata-token-ttl-seconds: 21600", "!X-aws-ec2-metadata-token", \
		"!Authorization"}
#define GET(path, token)                               \
	.method = "GET", .url = path, .flags = DIRECT, \
	.headers = {"X-aws-ec2-metadata-token: " token}
#define KEYS(id, expires)                                                                       \
	"{\"Code\":\"Success\",\"LastUpdated\":\"2023-11-14T22:00:00Z\",\"Type\":\"AWS-HMAC\"," \
	"\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"KEY\",\"Token\":\"TOK\","             \
	"\"Expiration\":\"" expires "\"}"

#define GIVES(id) id " KEY TOK [instance metadata] instance metadata, role web-role"

Test(imds, token_role_and_keys)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 200, .reply = "T1"},
		{GET(ROLES, "T1"), .status = 200, .reply = "web-role\nother"},
		{GET(ROLES "web-role", "T1"), .status = 200,
			.reply = KEYS("AKIDIMDS", "2023-11-15T04:00:00Z")},
	};
	fx_begin(NULL);
	FX_OPEN("proxy=http://127.0.0.1:3128", ex);
	fx_gives(GIVES("AKIDIMDS"));
	fx_walk_has("[container: not configured: AWS_CONTAINER_CREDENTIALS_... is not "
		    "set][instance metadata: used]");
	fx_end();
}

static void none(const struct http_exchange *ex, size_t n, const char *options, const char *words)
{
	fx_begin(NULL);
	cr_assert_eq(fx_open(options, ex, n, "eu-west-1"), 0, "%s", fx.err.msg);
	fx_fails(ENOKEY, "no credentials found");
	fx_walk_has(words);
	fx_end();
}
#define NONE(words, ...)                                                \
	do {                                                            \
		static const struct http_exchange ex[] = {__VA_ARGS__}; \
		none(ex, sizeof(ex) / sizeof(ex[0]), NULL,              \
			"[instance metadata: not configured: " words);  \
	} while (0)

/* case 40: in a container the answer is one hop too far away */
Test(imds, no_answer_is_none_with_the_hint_about_hops)
{
	NONE("no answer from the instance metadata service; in a container on an instance its hop "
	     "limit (HttpPutResponseHopLimit) must be 2",
		{PUT_TOKEN, .fail = ETIMEDOUT, .why = "timed out", .takes = NSEC_PER_SEC});
	cr_assert_leq(clock_boot(), 1002 * NSEC_PER_SEC);
	NONE("there is no instance metadata service",
		{PUT_TOKEN, .fail = EHOSTUNREACH, .why = "x"});
}

Test(imds, what_is_no_metadata_service_is_none)
{
	NONE("there is no instance metadata service",
		{PUT_TOKEN, .fail = EPROTO, .why = "redirect"});
	NONE("there is no instance metadata service", {PUT_TOKEN, .fail = EFBIG, .why = "1 MiB"});
	NONE("what answers at the metadata address gave no usable token",
		{PUT_TOKEN, .status = 200, .reply = "<html><body>CANARY</body></html>"});
	NONE("what answers at the metadata address gave no usable token",
		{PUT_TOKEN, .status = 200, .reply = ""});
	NONE("what answers at the metadata address is no metadata service",
		{PUT_TOKEN, .status = 418, .reply = "CANARY"});
	NONE("what answers at the metadata address is no metadata service",
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .fail = EFBIG, .why = "1 MiB"});
	NONE("what answers at the metadata address names no usable role",
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "<html>CANARY</html>"});
	NONE("what answers at the metadata address names no usable role",
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "../../user-data"});
	NONE("the metadata service's answer is malformed", {PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "r"},
		{GET(ROLES "r", "T"), .status = 200, .reply = "<html>CANARY</html>"});
}

Test(imds, version_1_only_is_none_without_the_option)
{
	NONE("the metadata service gives no session token (IMDSv2); imds_v1 allows one without",
		{PUT_TOKEN, .status = 405, .reply = ""});
	NONE("the metadata service gives no session token",
		{PUT_TOKEN, .status = 403, .reply = ""});
	NONE("the metadata service gives no session token",
		{PUT_TOKEN, .status = 404, .reply = ""});
}

Test(imds, version_1_with_the_option)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 404, .reply = ""},
		{.method = "GET",
			.url = ROLES,
			.flags = DIRECT,
			.headers = {"!X-aws-ec2-metadata-token"},
			.status = 200,
			.reply = "web-role"},
		{.method = "GET",
			.url = ROLES "web-role",
			.flags = DIRECT,
			.headers = {"!X-aws-ec2-metadata-token"},
			.status = 200,
			.reply = KEYS("AKIDV1", "2023-11-15T04:00:00Z")},
	};
	fx_begin(NULL);
	FX_OPEN("imds_v1", ex);
	fx_gives(GIVES("AKIDV1"));
	fx_end();
}

Test(imds, no_role_is_none)
{
	NONE("this instance has no role]", {PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 404, .reply = "<html>"});
	NONE("this instance has no role]", {PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = ""});
	NONE("this instance has no credentials for its role",
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "r"},
		{GET(ROLES "r", "T"), .status = 404, .reply = ""});
	NONE("no credentials for role r: it says AssumeRoleUnauthorizedAccess",
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "r"},
		{GET(ROLES "r", "T"), .status = 200,
			.reply = "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}"});
}

Test(imds, a_stale_token_is_fetched_anew_once)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 200, .reply = "T1\n"},
		{GET(ROLES, "T1"), .status = 401, .reply = ""},
		{PUT_TOKEN, .status = 200, .reply = "T2"},
		{GET(ROLES, "T2"), .status = 200, .reply = "web-role\r\n"},
		{GET(ROLES "web-role", "T2"), .status = 200,
			.reply = KEYS("AKID", "2023-11-15T04:00:00Z")},
	};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_gives(GIVES("AKID"));
	fx_end();
}

Test(imds, twice_unauthorized_is_an_error)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 200, .reply = "T1"},
		{GET(ROLES, "T1"), .status = 401, .reply = ""},
		{PUT_TOKEN, .status = 200, .reply = "T2"},
		{GET(ROLES, "T2"), .status = 401, .reply = ""},
	};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_fails(EKEYREJECTED, "answered with status 401");
	fx_end();
}

Test(imds, a_bad_request_is_an_error)
{
	static const struct http_exchange ex[] = {{PUT_TOKEN, .status = 400, .reply = ""}};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_fails(EINVAL, "status 400");
	fx_end();
}

Test(imds, a_fault_after_the_token_is_a_failure_and_not_none)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 503, .reply = ""},
	};
	static const struct http_exchange slow[] = {
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .fail = ETIMEDOUT, .why = "timed out"},
	};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_fails(EREMOTEIO, "status 503");
	fx_close();
	FX_OPEN(NULL, slow);
	fx_fails(ETIMEDOUT, "the instance metadata service");
	fx_end();
}

/* case 40: static stability */
Test(imds, credentials_that_are_over_are_used_and_asked_for_again_later)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "web-role"},
		{GET(ROLES "web-role", "T"), .status = 200,
			.reply = KEYS("AKIDOLD", "2023-11-14T22:00:00Z")},
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(ROLES, "T"), .status = 200, .reply = "web-role"},
		{GET(ROLES "web-role", "T"), .status = 200,
			.reply = KEYS("AKIDNEW", "2023-11-15T04:00:00Z")},
	};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_gives(GIVES("AKIDOLD"));
	struct cred *set = fx_set();
	cr_assert_geq(set->expires, WALL + 10 * MIN);
	cr_assert_lt(set->expires, WALL + 25 * MIN);
	cred_unref(set);
	fx_pass(7 * MIN);
	fx_gives(GIVES("AKIDOLD"));
	cred_settle(aws_cred_chain(fx.cred));
	fx_pass(18 * MIN);
	fx_gives(GIVES("AKIDNEW"));
	fx_end();
}

/* ---- the region ---- */

static int region(char *out, size_t size)
{
	struct buf b = BUF_INIT(100);
	struct call call = {.deadline = CLOCK_NEVER};
	err_clear(&fx.err);
	int r = aws_cred_region(fx.cred, &call, &b, &fx.err);
	snprintf(out, size, "%s", buf_text(&b));
	buf_clear(&b);
	return r;
}

Test(imds, the_region_is_asked_once)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(BASE "meta-data/placement/region", "T"), .status = 200, .reply = "eu-west-3"},
	};
	char text[64];
	fx_begin(NULL);
	cr_assert_eq(fx_open(NULL, ex, 2, NULL), 0, "%s", fx.err.msg);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(region(text, sizeof(text)), 0, "%s", fx.err.msg);
		cr_assert_str_eq(text, "eu-west-3");
	}
	fx_end();
}

Test(imds, a_region_that_cannot_be_found_says_where_to_give_it)
{
	static const struct http_exchange ex[] = {
		{PUT_TOKEN, .fail = EHOSTUNREACH, .why = "x"},
		{PUT_TOKEN, .status = 200, .reply = "T"},
		{GET(BASE "meta-data/placement/region", "T"), .status = 200,
			.reply = "Evil.Region"},
	};
	char text[64];
	fx_begin(NULL);
	cr_assert_eq(fx_open(NULL, ex, 3, NULL), 0, "%s", fx.err.msg);
	for (int i = 0; i < 3; i++) { /* remembered */
		cr_assert_eq(region(text, sizeof(text)), -EINVAL);
		cr_assert(
			strstr(fx.err.msg, "no region: name it in the source (aws:REGION), by "
					   "region=, AWS_REGION or the profile's region (there is "
					   "no instance metadata service)"),
			"%s", fx.err.msg);
	}
	fx_pass(6 * NSEC_PER_SEC);
	cr_assert_eq(region(text, sizeof(text)), -EINVAL);
	cr_assert_eq(*text, '\0');
	fx_end();
}

Test(imds, a_configured_region_needs_no_request)
{
	char text[64];
	fx_begin(NULL);
	FX_OPEN_QUIET(NULL);
	cr_assert_eq(region(text, sizeof(text)), 0);
	cr_assert_str_eq(text, "eu-west-1");
	fx_end();
}
