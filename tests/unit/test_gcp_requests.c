/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the provider's tables that only whole requests show: every kind of read is tried again,
 * what each answer may weigh, connections that fail, and tokens that are signed here. */
#include "backend_kit.h"
#include "fakes/http_script.h"
#include "gcp_fixture.h"

#include "backends/gcp_jwt.h"
#include "gcp_keys.h"

#define VERSIONS	       SECRETS "/db/versions?pageSize=500"
#define ENABLED		       SECRETS "/db/versions?pageSize=1&filter=state%3AENABLED"
#define VERSION(number, state) "{" NAMED(number) ",\"state\":\"" state "\"}"

/* --- versions --- */

static void versions_end(int code, const char *words)
{
	struct version_sink sink = {.n = 0};
	struct call call = kit_call();
	struct sfs_err err = {0};
	call.deadline = clock_boot() + 15 * NSEC_PER_SEC;
	cr_expect_eq(ops->versions(state, &call, "db", &sink, &err), -code, "%s", err.msg);
	cr_expect(strstr(err.msg, words), "%s", err.msg);
	versions_clear(&sink);
}

/* A page may be empty and have a token; who knows no filter sends what is not enabled. */
Test(gcp_requests, the_newest_that_is_enabled_is_on_a_later_page)
{
	static const struct http_exchange ex[] = {
		OK(ENABLED, "{\"nextPageToken\":\"t\"}"),
		OK(ENABLED "&pageToken=t",
			"{\"versions\":[" VERSION("4", "ENABLED") "],\"nextPageToken\":\"u\"}"),
		OK(SECRETS "/db/versions/4:access", VALUE("4")),
		OK(ENABLED,
			"{\"versions\":[" VERSION("5", "DISABLED") "],\"nextPageToken\":\"t\"}"),
		OK(ENABLED "&pageToken=t", "{\"versions\":[" VERSION("4", "ENABLED") "]}"),
		OK(SECRETS "/db/versions/4:access", VALUE("4")),
		OK(ENABLED, "{\"nextPageToken\":\"t\"}"),
		OK(ENABLED "&pageToken=t", "{}"),
	};
	START_WITH("latest=enabled", ex);
	get_works("db", NULL, "4");
	get_works("db", NULL, "4");
	get_fails("db", NULL, EKEYREVOKED, "no version of the secret is enabled");
	finish();
}

/* case 7: a state that is not known, or not told, is not readable */
Test(gcp_requests, a_state_that_is_not_known_is_not_enabled)
{
	static const struct http_exchange ex[] = {
		OK(ENABLED, "{\"versions\":[" VERSION("4", "SOMETHING_NEW") ",{" NAMED("3") "}]}"),
		NO(ENABLED, 404, ERROR(404, "NOT_FOUND", "Secret [x] not found.")),
	};
	START_WITH("latest=enabled", ex);
	get_fails("db", NULL, EKEYREVOKED, "no version of the secret is enabled");
	get_fails("db", NULL, ENOENT, "no such secret");
	finish();
}

#define STALE ERROR(400, "INVALID_ARGUMENT", "The page token is invalid.")

/* A token that is not taken says nothing about the name, which the first page was for. */
Test(gcp_requests, a_page_of_versions_that_is_refused_twice)
{
	static const struct http_exchange ex[] = {
		OK(VERSIONS, "{\"nextPageToken\":\"t\"}"),
		NO(VERSIONS "&pageToken=t", 400, STALE),
		OK(VERSIONS, "{\"nextPageToken\":\"u\"}"),
		NO(VERSIONS "&pageToken=u", 400, STALE),
		NO(VERSIONS, 400,
			ERROR(400, "INVALID_ARGUMENT",
				"Resource ID [x] is not in a valid format.")),
	};
	START(ex);
	versions_end(EINVAL, "does not take an argument");
	versions_end(ENOENT, "as a name");
	finish();
}

/* --- what is tried again --- */

#define LIMIT ERROR_INFO(403, "PERMISSION_DENIED", "Quota exceeded", "RATE_LIMIT_EXCEEDED")

Test(gcp_requests, every_read_is_tried_again)
{
	static const struct http_exchange ex[] = {
		NO(LIST, 429, ERROR(429, "RESOURCE_EXHAUSTED", "Quota exceeded")),
		OK(LIST, "{}"),
		NO(VERSIONS, 503, "<html>"),
		OK(VERSIONS, "{}"),
		NO(SECRETS "/db", 500, ERROR(500, "INTERNAL", "x")),
		OK(SECRETS "/db", "{" NAME("db") "}"),
		NO(LATEST, 403, LIMIT),
		OK(LATEST, VALUE("4")),
		NO(LATEST, 499, ERROR(499, "CANCELLED", "x")),
		NO(LATEST, 409, ERROR(409, "ABORTED", "x")),
		NO(LATEST, 504, ERROR(504, "DEADLINE_EXCEEDED", "x")),
		OK(LATEST, VALUE("4")),
	};
	START(ex);
	kit_list_is(ops, state, "");
	versions_end(0, "");
	get_works("db", NULL, "4");
	get_works("db", NULL, "4");
	cr_expect_eq(script.pauses, 7);
	finish();
}

#define BUSY(delay)                                                                     \
	"{\"error\":{\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"type." \
	"googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"" delay "\"}]}}"

/* case 29: seconds or a date, and the longer of header and body */
Test(gcp_requests, a_pause_is_asked_for_in_three_ways)
{
	static const struct http_exchange ex[] = {
		GET(LATEST, .status = 429, .with = "retry-after: 3\n"),
		OK(LATEST, VALUE("4")),
		GET(LATEST, .status = 503, .with = "retry-after: Tue, 14 Nov 2023 22:13:27 GMT\n"),
		OK(LATEST, VALUE("4")),
		GET(LATEST, .status = 429, .with = "retry-after: 1\n", .reply = BUSY("3.5s")),
		OK(LATEST, VALUE("4")),
	};
	START(ex);
	get_works("db", NULL, "4");
	cr_expect_eq(script.paused, 3 * NSEC_PER_SEC);
	get_works("db", NULL, "4"); /* it is 22:13:23 */
	cr_expect_eq(script.paused, 7 * NSEC_PER_SEC);
	get_works("db", NULL, "4");
	cr_expect_eq(script.paused, 10500 * NSEC_PER_MSEC);
	finish();
}

/* --- connections --- */

static void five_times(int failure, const char *why, int code)
{
	struct http_exchange ex[5];
	for (size_t i = 0; i < N(ex); i++)
		ex[i] = (struct http_exchange)GET(LATEST, .fail = failure, .why = why);
	START(ex);
	get_fails("db", NULL, code, why);
	cr_expect_eq(script.pauses, 4);
	finish();
}

Test(gcp_requests, nobody_answers)
{
	five_times(EHOSTUNREACH, "connection refused", EHOSTUNREACH);
	five_times(ENXIO, "no such host", EHOSTUNREACH);
}

Test(gcp_requests, an_answer_does_not_come_in_time)
{
	static const struct http_exchange ex[] = {
		GET(LATEST, .fail = ETIMEDOUT, .why = "no answer", .takes = 10 * NSEC_PER_SEC),
		GET(LATEST, .fail = ETIMEDOUT, .why = "no answer", .takes = 5 * NSEC_PER_SEC),
	};
	START(ex);
	get_fails("db", NULL, ETIMEDOUT, "no answer");
	finish();
}

static struct {
	int64_t attempt, connect;
} limits; /* of the last attempt */

static int note_limits(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	(void)arg;
	(void)call;
	(void)ret;
	limits.attempt = a->deadline - clock_boot();
	limits.connect = a->connect_timeout;
	return err_set(err, EPROTO, "noted");
}

/* Section 7: 3 s for a connection, 10 s for an attempt, and never beyond the deadline. */
Test(gcp_requests, how_long_an_attempt_may_take)
{
	static const struct http_exchange ex[1];
	struct call call = kit_call();
	const struct get_request rq = {.name = "db"};
	struct payload *p = NULL;
	struct sfs_err err = {0};
	begin("my-proj", NULL, ex, 0);
	ops->close(state);
	http_fake(&(struct http_transport){.perform = note_limits});
	cr_assert_eq(try_open("my-proj", NULL, &err), 0, "%s", err.msg);
	get_fails("db", NULL, EPROTO, "noted");
	cr_expect_eq(limits.attempt, 10 * NSEC_PER_SEC);
	cr_expect_eq(limits.connect, 3 * NSEC_PER_SEC);
	call.deadline = clock_boot() + 4 * NSEC_PER_SEC;
	cr_expect_eq(ops->get(state, &call, &rq, &p, &err), -EPROTO, "%s", err.msg);
	cr_expect_eq(limits.attempt, 4 * NSEC_PER_SEC);
	finish();
}

Test(gcp_requests, a_certificate_is_not_tried_again)
{
	static const struct http_exchange ex[] = {
		GET(LATEST, .fail = EPROTO, .why = "the certificate has expired")};
	START(ex);
	get_fails("db", NULL, EPROTO, "the certificate has expired");
	finish();
}

/* case 32 */
Test(gcp_requests, no_kind_of_redirect_is_followed)
{
	static const int kinds[] = {300, 301, 302, 303, 304, 307, 308};
	for (size_t i = 0; i < N(kinds); i++) {
		const struct http_exchange ex[] = {
			GET(LATEST, .status = kinds[i], .with = "location: https://evil.test/x\n")};
		START(ex);
		get_fails("db", NULL, EPROTO, "");
		finish();
	}
}

/* --- what an answer may weigh --- */

/* `text` and blanks behind it; to be freed. */
static char *padded(const char *text, size_t len)
{
	char *all = malloc(len);
	cr_assert_not_null(all);
	memset(all, ' ', len);
	memcpy(all, text, strlen(text));
	return all;
}

static int describe(struct sfs_err *err)
{
	struct buf b = BUF_INIT(SFS_META_MAX);
	struct call call = kit_call();
	call.deadline = clock_boot() + 15 * NSEC_PER_SEC;
	int rc = ops->describe(state, &call, "db", &b, err);
	buf_clear(&b);
	return rc;
}

#define ACCESS_MAX ((size_t)128 * 1024)
#define GET_MAX	   ((size_t)256 * 1024)
#define LIST_MAX   ((size_t)16 * 1024 * 1024)

/* case 31; section 2 of the provider's description has the numbers */
Test(gcp_requests, each_kind_of_answer_has_its_cap)
{
	char *value = padded(VALUE("4"), ACCESS_MAX + 1);
	char *secret = padded("{" NAME("db") "}", GET_MAX + 1);
	char *names = padded("{}", LIST_MAX + 1);
	const struct http_exchange ex[] = {
		GET(LATEST, .status = 200, .reply = value, .reply_len = ACCESS_MAX),
		GET(LATEST, .status = 200, .reply = value, .reply_len = ACCESS_MAX + 1),
		GET(SECRETS "/db", .status = 200, .reply = secret, .reply_len = GET_MAX),
		GET(SECRETS "/db", .status = 200, .reply = secret, .reply_len = GET_MAX + 1),
		GET(LIST, .status = 200, .reply = names, .reply_len = LIST_MAX + 1),
		GET(VERSIONS, .status = 200, .reply = names, .reply_len = LIST_MAX + 1),
	};
	struct sfs_err err = {0};
	START(ex);
	get_works("db", NULL, "4");
	get_fails("db", NULL, EFBIG, "131072");
	cr_expect_eq(describe(&err), 0, "%s", err.msg);
	cr_expect_eq(describe(&err), -EFBIG, "%s", err.msg);
	list_fails(EFBIG, "16777216");
	versions_end(EFBIG, "16777216");
	finish();
	free(value);
	free(secret);
	free(names);
}

/* --- tokens --- */

/* case 50 */
Test(gcp_requests, a_token_file_that_was_replaced)
{
	static const struct http_exchange ex[] = {
		GET(LATEST, .headers = {SIGNED}, .status = 200, .reply = VALUE("4")),
		GET(LATEST, .headers = {"Authorization: Bearer second-canary"}, .status = 200,
			.reply = VALUE("4")),
	};
	START(ex);
	get_works("db", NULL, "4");
	kit_write(kit_path(dir, "other"), "second-canary");
	char *from = strdup(kit_path(dir, "other")), *to = strdup(kit_path(dir, "token"));
	cr_assert_eq(rename(from, to), 0);
	free(from);
	free(to);
	clock_fake_advance(1); /* at the same moment nobody looks again */
	get_works("db", NULL, "4");
	finish();
}

#define EMAIL "sa@my-proj.iam.gserviceaccount.com"
#define KEY_FILE                                                                               \
	"{\"type\":\"service_account\",\"private_key_id\":\"kid1\",\"private_key\":\"" GCP_KEY \
	"\",\"client_email\":\"" EMAIL "\",\"token_uri\":\"https://oauth2.googleapis.com/token\"}"
#define IAT INT64_C(1699999990) /* ten seconds before the test */

/* The header of what the key signs then. */
static const char *signed_at(int64_t iat, char out[4096])
{
	char pem[4096], *p = pem;
	struct buf jwt = BUF_SECRET_INIT(GCP_JWT_MAX);
	struct crypto_rsa *key = NULL;
	const struct gcp_claims claims = {.kid = "kid1",
		.iss = EMAIL,
		.sub = EMAIL,
		.scope = "https://www.googleapis.com/auth/cloud-platform",
		.iat = iat};
	for (const char *t = GCP_KEY; *t; t++) {
		bool newline = t[0] == '\\' && t[1] == 'n';
		*p++ = newline ? '\n' : *t;
		t += newline;
	}
	*p = '\0';
	cr_assert_eq(gcp_key_load(pem, strlen(pem), "k", &key, NULL), 0);
	cr_assert_eq(gcp_jwt_sign(key, &claims, &jwt, NULL), 0);
	snprintf(out, 4096, "Authorization: Bearer %s", buf_text(&jwt));
	buf_clear(&jwt);
	crypto_rsa_free(key);
	return out;
}

static void begin_with_key(const struct http_exchange *ex, size_t n)
{
	char more[600];
	struct sfs_err err = {0};
	begin("my-proj", NULL, ex, 0);
	ops->close(state);
	kit_write(kit_path(dir, "key.json"), KEY_FILE);
	snprintf(more, sizeof(more), "credentials=%s", kit_path(dir, "key.json"));
	http_script_end(&script);
	http_script_start(&script, ex, n);
	cr_assert_eq(try_open("my-proj", more, &err), 0, "%s", err.msg);
}

#define REFUSED ERROR(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
#define LATER	"date: Tue, 14 Nov 2023 22:23:20 GMT\n" /* ten minutes */

/* case 37: no reader sees that the clock is slow, and the offset is kept */
Test(gcp_requests, a_slow_clock_is_corrected_within_one_read)
{
	static char now[4096], right[4096];
	const struct http_exchange ex[] = {
		GET(LATEST, .headers = {signed_at(IAT, now)}, .status = 401, .with = LATER,
			.reply = REFUSED),
		GET(LATEST, .headers = {signed_at(IAT + 600, right)}, .status = 200, .with = LATER,
			.reply = VALUE("4")),
		GET(LATEST, .headers = {right}, .status = 200, .with = LATER, .reply = VALUE("4")),
	};
	begin_with_key(ex, N(ex));
	get_works("db", NULL, "4");
	cr_expect_eq(script.pauses, 0);
	get_works("db", NULL, "4");
	finish();
}

/* case 28: what it signs in the same second is the same, and not for each file either */
Test(gcp_requests, a_key_that_is_not_accepted)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 401, ERROR_INFO(401, "UNAUTHENTICATED", "no", "JWT_TOKEN_INVALID")),
	};
	begin_with_key(ex, N(ex));
	get_fails("db", NULL, EKEYREJECTED, "key of " EMAIL);
	for (int i = 0; i < 20; i++)
		get_fails("api", NULL, EKEYREJECTED, "JWT_TOKEN_INVALID");
	list_fails(EKEYREJECTED, "JWT_TOKEN_INVALID");
	finish();
}
