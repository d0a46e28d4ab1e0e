/* SPDX-License-Identifier: Apache-2.0 */
/* What gcp: asks, and what it makes of good answers. */
#include "backend_kit.h"
#include "fakes/http_script.h"
#include "gcp_fixture.h"

/* --- requests and listings --- */

Test(gcp_calls, a_request_as_it_is)
{
	static const struct http_exchange ex[] = {GET(LATEST, .status = 200, .reply = VALUE("4"),
		.headers = {SIGNED, "Accept: application/json", "User-Agent: secretfs/*",
			"!X-Goog-User-Project", "!Content-Type"})};
	START(ex);
	get_works("db", NULL, "4");
	finish();
}

Test(gcp_calls, a_quota_project_is_named)
{
	static const struct http_exchange ex[] = {GET(LATEST, .status = 200, .reply = VALUE("4"),
		.headers = {SIGNED, "X-Goog-User-Project: payer"})};
	START_WITH("quota_project=payer", ex);
	get_works("db", NULL, "4");
	finish();
}

/* Replies name the project by its number. */
Test(gcp_calls, three_pages_and_a_name_that_comes_twice)
{
	static const struct http_exchange ex[] = {
		OK(LIST, "{\"nextPageToken\":\"a+/=\"}"),
		OK(LIST "&pageToken=a%2B%2F%3D", "{\"secrets\":[{" NAME("b") "},{" NAME(
							 "a") "}],\"nextPageToken\":\"t 2\"}"),
		OK(LIST "&pageToken=t%202",
			"{\"secrets\":[{" NAME("a") "},{" NAME(
				"DB") "}],\"nextPageToken\":\"\",\"totalSize\":0}"),
		OK(LIST, "{}"),
	};
	START(ex);
	kit_list_is(ops, state, "DB a b ");
	kit_list_is(ops, state, "");
	finish();
}

#define STALE ERROR(400, "INVALID_ARGUMENT", "The page token is invalid.")

Test(gcp_calls, a_token_that_is_refused_starts_the_listing_again_once)
{
	static const struct http_exchange ex[] = {
		OK(LIST, "{\"secrets\":[{" NAME("a") "}],\"nextPageToken\":\"t\"}"),
		NO(LIST "&pageToken=t", 400, STALE),
		OK(LIST, "{\"secrets\":[{" NAME("b") "}],\"nextPageToken\":\"u\"}"),
		OK(LIST "&pageToken=u", "{\"secrets\":[{" NAME("a") "}]}"),
		OK(LIST, "{\"nextPageToken\":\"t\"}"),
		NO(LIST "&pageToken=t", 400, STALE),
		OK(LIST, "{\"nextPageToken\":\"t\"}"),
		NO(LIST "&pageToken=t", 400, STALE),
	};
	START(ex);
	kit_list_is(ops, state, "a b ");
	list_fails(EINVAL, "filter=");
	finish();
}

Test(gcp_calls, a_listing_has_an_end)
{
	static const struct http_exchange ex[] = {
		OK(LIST, "{\"nextPageToken\":\"t\"}"),
		OK(LIST "&pageToken=t", "{\"nextPageToken\":\"t\"}"),
	};
	START(ex);
	list_fails(EBADMSG, "circle");
	finish();
}

#define REGIONAL                                                                     \
	"https://secretmanager.europe-west3.rep.googleapis.com/v1/projects/my-proj/" \
	"locations/europe-west3/secrets"

Test(gcp_calls, a_location_has_an_address_of_its_own)
{
	static const struct http_exchange ex[] = {
		OK(REGIONAL "?pageSize=500", "{\"secrets\":[{\"name\":\"projects/1/locations/"
					     "europe-west3/secrets/db\"}]}"),
		OK(REGIONAL "/db/versions/7:access", VALUE("7")),
		OK(REGIONAL "/db/versions/latest:access", VALUE("7")),
	};
	struct buf b = BUF_INIT(10000);
	begin("my-proj/europe-west3", NULL, ex, N(ex));
	kit_list_is(ops, state, "db ");
	get_works("db", "7", "7");
	get_works("projects/my-proj/locations/europe-west3/secrets/db", NULL, "7");
	get_fails("projects/my-proj/secrets/db", NULL, ENOENT, "location europe-west3");
	get_fails("projects/my-proj/locations/europe-west1/secrets/db", NULL, ENOENT,
		"gcp:PROJECT/europe-west1");
	cr_expect_eq(ops->status(state, &b), 0);
	cr_expect(strstr(buf_text(&b), "secretmanager.europe-west3.rep.googleapis.com"), "%s",
		b.data);
	cr_expect(!strstr(buf_text(&b), "\"location\""), "the core tells it: %s", b.data);
	cr_expect(!strstr(buf_text(&b), "canary"), "%s", b.data);
	buf_clear(&b);
	finish();
}

Test(gcp_calls, locations_that_cannot_be_are_refused)
{
	static const struct http_exchange ex[1];
	static const char *const bad[] = {"my-proj/a/../b", "my-proj/a.b", "my-proj/", "my-proj/-a",
		"my-proj/EU", "../x", "my proj"};
	begin("my-proj", NULL, ex, 0);
	for (size_t i = 0; i < N(bad); i++) {
		void *kept = state;
		struct sfs_err err = {0};
		cr_expect_eq(try_open(bad[i], NULL, &err), -EINVAL, "%s", bad[i]);
		cr_expect_eq(state, kept);
	}
	finish();
}

Test(gcp_calls, filters_go_as_they_are)
{
	static const struct http_exchange ex[] = {
		OK(LIST "&filter=name%3Adb%20OR%20labels.env%3Dprod", "{\"totalSize\":0}"),
		OK(LIST "&filter=%28name%3Adb%20OR%20labels.env%3Dprod%29%20AND%20%28labels.a%3Ab%"
			"29",
			"{\"secrets\":[{" NAME("db") "}]}"),
	};
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	START_WITH("filter=name:db OR labels.env=prod", ex);
	cr_expect_eq(list(NULL, &sink, &err), 0, "%s", err.msg);
	cr_expect_eq(sink.n, 0);
	cr_expect_eq(list("labels.a:b", &sink, &err), 0, "%s", err.msg);
	cr_expect_eq(sink.n, 1);
	sink_clear(&sink);
	finish();
}

Test(gcp_calls, unknown_words_and_other_spellings)
{
	static const struct http_exchange ex[] = {
		OK(LIST, "{\"secrets\":[{" NAME(
				 "db") ",\"create_time\":\"2024-01-02T03:04:05Z\","
				       "\"expireTime\":\"2023-11-14T22:14:20Z\","
				       "\"secretType\":\"NEW\"},{\"name\":\"bad\"},7]}"),
		OK(LIST, "{\"secrets\":7}"),
		OK(LIST, "{\"secrets\":[],\"next_page_token\":\"t\"}"),
		OK(LIST "&pageToken=t", "{\"secrets\":null}"),
	};
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	START(ex);
	cr_assert_eq(list(NULL, &sink, &err), 0, "%s", err.msg);
	cr_expect_eq(sink.n, 1);
	cr_expect_eq(sink.created, INT64_C(1704164645) * NSEC_PER_SEC);
	cr_expect_eq(sink.expires, NOW + 60 * NSEC_PER_SEC);
	cr_expect(sink.meta && strstr(sink.meta, "\"secretType\":\"NEW\""));
	cr_expect(strstr(sink.problem.msg, "2 entries"), "%s", sink.problem.msg);
	list_fails(EBADMSG, "no list");
	kit_list_is(ops, state, "");
	sink_clear(&sink);
	finish();
}

Test(gcp_calls, names_that_cannot_be_are_not_asked_for)
{
	static const struct http_exchange ex[1];
	static const char *const names[] = {"a.b", "a b", ".hidden", "\xc3\xa9", "a:1", "%41", "",
		"projects/x", "projects/p/secrets/x/versions/0"};
	char id[300];
	begin("my-proj", NULL, ex, 0);
	for (size_t i = 0; i < N(names); i++)
		get_fails(names[i], NULL, ENOENT, "no secret can have this name");
	memset(id, 'x', sizeof(id));
	id[256] = '\0';
	get_fails(id, NULL, ENOENT, "255");
	static const char *const versions[] = {"007", "+7", "0", "NEW", "a b", ""};
	for (size_t i = 0; i < N(versions); i++)
		get_fails("db", versions[i], ENOENT, "no version can have this name");
	get_fails("projects/p/secrets/x/versions/7", "8", ENOENT, "another version");
	finish();
}

Test(gcp_calls, names_that_look_special)
{
	static const struct http_exchange ex[] = {
		NO(SECRETS "/latest/versions/latest:access", 404, ERROR(404, "NOT_FOUND", "x")),
		NO(SECRETS "/NEW/versions/latest:access", 404, ERROR(404, "NOT_FOUND", "x")),
		NO(SECRETS "/-rf/versions/latest:access", 404, ERROR(404, "NOT_FOUND", "x")),
		NO(SECRETS "/_/versions/latest:access", 404, ERROR(404, "NOT_FOUND", "x")),
		NO(SECRETS "/DB/versions/latest:access", 404, ERROR(404, "NOT_FOUND", "x")),
		OK(LATEST, VALUE("4")),
		OK(HOST "/v1/projects/example.com:other/secrets/db/versions/latest:access",
			VALUE("4")),
		OK(HOST "/v1/projects/other/secrets/db/versions/4:access", VALUE("4")),
		OK(HOST "/v1/projects/other/secrets/db/versions/4:access", VALUE("4")),
	};
	static const char *const names[] = {"latest", "NEW", "-rf", "_", "DB"};
	START(ex);
	for (size_t i = 0; i < N(names); i++)
		get_fails(names[i], NULL, ENOENT, "no such secret");
	get_works("db", NULL, "4");
	get_works("projects/example.com:other/secrets/db", NULL, "4");
	get_works("projects/other/secrets/db/versions/4", NULL, "4");
	get_works("projects/other/secrets/db/versions/4", "4", "4");
	finish();
}

/* --- values and versions --- */

#define DAMAGED "{" NAMED("4") ",\"payload\":{\"data\":\"Y2FuYXJ6\",\"dataCrc32c\":\"" CRC "\"}}"

Test(gcp_calls, a_damaged_value_is_fetched_once_more)
{
	static const struct http_exchange ex[] = {
		OK(LATEST, DAMAGED),
		OK(LATEST, VALUE("4")),
		OK(LATEST, DAMAGED),
		OK(LATEST, DAMAGED),
	};
	START(ex);
	get_works("db", NULL, "4");
	get_fails("db", NULL, EBADMSG, "damaged");
	finish();
}

Test(gcp_calls, an_answer_for_another_secret_is_not_served)
{
	static const struct http_exchange ex[] = {
		OK(SECRETS "/api/versions/latest:access", VALUE("4")),
		OK(SECRETS "/api/versions/latest:access", VALUE("4")),
		OK(SECRETS "/db/versions/5:access", VALUE("4")),
		OK(SECRETS "/db/versions/5:access", VALUE("4")),
	};
	START(ex);
	get_fails("api", NULL, EBADMSG, "another secret");
	get_fails("db", "5", EBADMSG, "another version");
	finish();
}

static void facts_of(const char *version, uint64_t ordinal, bool immutable)
{
	struct payload *p;
	struct sfs_err err = {0};
	cr_assert_eq(get("db", version, &p, &err), 0, "%s", err.msg);
	cr_expect_str_eq(p->version, "4");
	cr_expect_eq(p->ordinal, ordinal, "%s", version);
	cr_expect_eq(p->immutable, immutable, "%s", version);
	cr_expect_eq(p->created, 0, "an access tells no time");
	payload_unref(p);
}

/* Of `latest` a lower number is an older answer; an alias may be moved back. */
Test(gcp_calls, what_is_known_of_a_version)
{
	static const struct http_exchange ex[] = {
		OK(LATEST, VALUE("4")),
		OK(LATEST, VALUE("4")),
		OK(SECRETS "/db/versions/prod:access", VALUE("4")),
		OK(SECRETS "/db/versions/4:access", VALUE("4")),
		NO(SECRETS "/db/versions/nosuch:access", 404,
			ERROR(404, "NOT_FOUND", "Secret Version [x] not found.")),
	};
	START(ex);
	facts_of(NULL, 4, false);
	facts_of("latest", 4, false);
	facts_of("prod", 0, false);
	facts_of("4", 0, true);
	get_fails("db", "nosuch", ENOENT, "no such version or alias");
	finish();
}

#define DISABLED                          \
	ERROR(400, "FAILED_PRECONDITION", \
		"Secret Version [projects/123456/secrets/db/versions/4] is in DISABLED state.")
#define DESTROYED                         \
	ERROR(400, "FAILED_PRECONDITION", \
		"Secret Version [projects/123456/secrets/db/versions/4] is in DESTROYED state.")

Test(gcp_calls, a_newest_version_that_cannot_be_read)
{
	static const struct http_exchange ex[] = {
		NO(LATEST, 400, DISABLED),
		NO(LATEST, 400, DESTROYED),
		NO(LATEST, 404,
			ERROR(404, "NOT_FOUND",
				"Secret [projects/123456/secrets/db] not found or has no "
				"versions.")),
	};
	START(ex);
	get_fails("db", NULL, EKEYREVOKED, "disabled");
	get_fails("db", NULL, EKEYREVOKED, "destroyed");
	get_fails("db", NULL, ENOENT, "no version yet");
	finish();
}

#define ENABLED SECRETS "/db/versions?pageSize=1&filter=state%3AENABLED"

Test(gcp_calls, the_newest_that_is_enabled)
{
	static const struct http_exchange ex[] = {
		OK(ENABLED, "{\"versions\":[{" NAMED("4") ",\"state\":\"ENABLED\"}]}"),
		OK(SECRETS "/db/versions/4:access", VALUE("4")),
		OK(ENABLED, "{}"),
		NO(ENABLED, 403,
			ERROR_INFO(403, "PERMISSION_DENIED", "no", "IAM_PERMISSION_DENIED")),
		NO(LATEST, 400, DISABLED),
	};
	START_WITH("latest=enabled", ex);
	facts_of(NULL, 4, false);
	get_fails("db", NULL, EKEYREVOKED, "no version of the secret is enabled");
	get_fails("db", NULL, EACCES, "secretmanager.versions.list");
	get_fails("db", "latest", EKEYREVOKED, "disabled");
	finish();
}

static void versions_are(const char *name, const char *expected)
{
	struct version_sink sink = {.n = 0};
	struct call call = kit_call();
	struct sfs_err err = {0};
	struct buf b = BUF_INIT(1000);
	cr_expect_eq(ops->versions(state, &call, name, &sink, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < sink.n; i++)
		buf_printf(&b, "%s ", sink.versions[i]);
	cr_expect_str_eq(buf_text(&b), expected);
	buf_clear(&b);
	versions_clear(&sink);
}

#define VERSIONS SECRETS "/db/versions?pageSize=500"

Test(gcp_calls, versions_of_many_pages_with_aliases)
{
	static const struct http_exchange ex[] = {
		OK(VERSIONS,
			"{\"versions\":[{" NAMED("3") ",\"state\":\"ENABLED\"}],\"nextPageToken\":"
						      "\"t\"}"),
		OK(VERSIONS "&pageToken=t", "{\"versions\":[{" NAMED("2") "},{" NAMED(
						    "1") ",\"state\":\"DESTROYED\"}]}"),
		OK(SECRETS "/db", "{" NAME("db") ",\"versionAliases\":{\"prod\":\"2\"}}"),
		OK(VERSIONS, "{\"versions\":[{" NAMED("9") "}],\"nextPageToken\":\"t\"}"),
		NO(VERSIONS "&pageToken=t", 400, STALE),
		OK(VERSIONS, "{\"versions\":[{" NAMED("3") "}]}"),
		NO(SECRETS "/db", 403, ERROR(403, "PERMISSION_DENIED", "no")),
	};
	START(ex);
	versions_are("db", "latest 3 2 prod ");
	versions_are("db", "latest 3 ");
	finish();
}

Test(gcp_calls, a_secret_is_described)
{
	static const struct http_exchange ex[] = {
		OK(SECRETS "/db", "{" NAME("db") ", \"labels\" : {\"a\":\"b\"},\"etag\":null}"),
		NO(SECRETS "/db", 404, ERROR(404, "NOT_FOUND", "x")),
	};
	struct buf b = BUF_INIT(SFS_META_MAX);
	struct call call = kit_call();
	struct sfs_err err = {0};
	START(ex);
	cr_expect_eq(ops->describe(state, &call, "db", &b, &err), 0, "%s", err.msg);
	cr_expect_str_eq(buf_text(&b), "{" NAME("db") ",\"labels\":{\"a\":\"b\"}}");
	buf_reset(&b);
	cr_expect_eq(ops->describe(state, &call, "db", &b, &err), -ENOENT);
	cr_expect_eq(b.len, 0);
	cr_expect_eq(ops->describe(state, &call, "a.b", &b, &err), -ENOENT);
	buf_clear(&b);
	finish();
}

/* --- what it tells of itself --- */

Test(gcp_calls, values_cost_and_listings_do_not)
{
	static const struct http_exchange ex[] = {
		OK(LIST, "{}"),
		OK(LATEST, DAMAGED),
		OK(LATEST, VALUE("4")),
	};
	struct backend_counts c = {0};
	START(ex);
	kit_list_is(ops, state, "");
	get_works("db", NULL, "4");
	ops->counts(state, &c);
	cr_expect_eq(c.calls, 2);
	cr_expect_eq(c.retries, 1);
	cr_expect(c.cost_usd > 5.9e-6 && c.cost_usd < 6.1e-6, "two accesses");
	finish();
}

Test(gcp_calls, who_we_are_and_where)
{
	static const struct http_exchange ex[1];
	struct check_sink sink = {.text = ""};
	struct call call = kit_call();
	struct sfs_err err = {0};
	begin("my-proj", NULL, ex, 0);
	cr_expect_eq(ops->check(state, &call, &sink, &err), 0, "%s", err.msg);
	cr_expect(strstr(sink.text, "0 project: my-proj (the source)\n"), "%s", sink.text);
	cr_expect(strstr(sink.text, "0 endpoint: " HOST "\n"), "%s", sink.text);
	cr_expect(!strstr(sink.text, "canary"), "%s", sink.text);
	finish();
}
