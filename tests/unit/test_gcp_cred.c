/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials by options, files and keys (gcp.md section 9, cases 34 to 40, 48 to 51). */
#include "fakes/http_script.h"

#include "gcp_cred_files.h"

#include "net/crypto.h"

/* ---- what a token says ---- */

static void part_of(const struct cred *set, int n, char out[1024])
{
	char jwt[4096];
	struct buf b = BUF_INIT(1023);
	const char *p = jwt;
	fx_text(set->field[GCP_CRED_TOKEN], jwt, sizeof(jwt));
	for (; n; n--)
		p = strchr(p, '.') + 1;
	cr_assert_eq(base64_decode(&b, p, strcspn(p, "."), BASE64_URL | BASE64_NO_PAD), 0);
	snprintf(out, 1024, "%s", buf_text(&b));
	buf_clear(&b);
}

static void issued(int64_t iat, const char *scope)
{
	char claims[1024], want[1024];
	struct cred *set = fx_set();
	part_of(set, 1, claims);
	snprintf(want, sizeof(want),
		"{\"iss\":\"" EMAIL "\",\"sub\":\"" EMAIL "\",\"scope\":\"%s\",\"iat\":%lld,"
		"\"exp\":%lld}",
		scope, (long long)iat, (long long)iat + 3600);
	cr_assert_str_eq(claims, want);
	cr_assert(gcp_cred_bearer(set).self_signed);
	cred_unref(set);
}
#define CLOUD "https://www.googleapis.com/auth/cloud-platform"

/* ---- keys of service accounts ---- */

/* case 36: no request at all */
Test(gcp_cred, a_key_signs_its_own_tokens)
{
	char header[1024];
	fx_begin(NULL);
	FX_OPEN_QUIET(key_option(KEY_FILE("")));
	issued(1700000000 - 10, CLOUD);
	struct cred *set = fx_set();
	part_of(set, 0, header);
	cr_assert_str_eq(header, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"kid1\"}");
	cr_assert_str_eq(set->principal, EMAIL);
	cr_assert(strncmp(set->source, "key of " EMAIL " in /", 22) == 0, "%s", set->source);
	cr_assert_null(gcp_cred_quota_project(fx.cred, set));
	cr_assert_eq(set->expires, clock_boot() + 3590 * NSEC_PER_SEC);
	cred_unref(set);
	fx_walk_has("[options: used][GOOGLE_APPLICATION_CREDENTIALS: not reached]");
	fx_end();
}

Test(gcp_cred, it_is_signed_anew_before_it_expires)
{
	fx_begin(NULL);
	FX_OPEN_QUIET(key_option(KEY_FILE("")));
	issued(1700000000 - 10, CLOUD);
	fx_pass(50 * MIN);
	issued(1700000000 - 10, CLOUD);
	cred_settle(gcp_cred_chain(fx.cred));
	issued(1700000000 - 10, CLOUD);
	fx_pass(6 * MIN);
	issued(1700000000 - 10, CLOUD); /* the old one while the new one is made */
	cred_settle(gcp_cred_chain(fx.cred));
	issued(1700000000 + 56 * 60 - 10, CLOUD);
	fx_end();
}

static struct http_reply reply_at(const char *date)
{
	struct http_reply r = HTTP_REPLY_INIT;
	r.status = 401;
	r.sent = r.received = clock_wall();
	buf_str(&r.headers, "date: ");
	buf_str(&r.headers, date);
	buf_char(&r.headers, '\n');
	return r;
}

/* case 37: the Date of a refusal corrects the clock, once */
Test(gcp_cred, a_slow_clock_is_corrected_by_the_date_of_a_reply)
{
	fx_begin(NULL);
	FX_OPEN_QUIET(key_option(KEY_FILE("")));
	struct cred *set = fx_set();
	struct http_reply soon = reply_at("Tue, 14 Nov 2023 22:13:50 GMT"); /* 30 s */
	cr_assert_not(gcp_cred_skew(fx.cred, &soon));
	struct http_reply r = reply_at("Tue, 14 Nov 2023 22:23:20 GMT"); /* ten minutes */
	cr_assert(gcp_cred_skew(fx.cred, &r));
	cr_assert_not(gcp_cred_skew(fx.cred, &r));
	cr_assert(cred_reject(gcp_cred_chain(fx.cred), set));
	cred_unref(set);
	issued(1700000000 + 600 - 10, CLOUD);
	struct cred *again = fx_set();
	cr_assert_eq(again->expires, clock_boot() + 3590 * NSEC_PER_SEC);
	cred_unref(again);
	http_reply_clear(&r);
	http_reply_clear(&soon);
	fx_end();
}

Test(gcp_cred, a_key_file_that_lacks_something)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"{\"type\":\"service_account\",\"private_key\":\"CANARY\",\"token_uri\":\"https://"
		 "x/\"}",
			"key.json: client_email is missing"},
		{"{\"type\":\"service_account\",\"client_email\":\"a@b.c\",\"token_uri\":\"https://"
		 "x/\"}",
			"key.json: private_key is missing"},
		{"{\"type\":\"service_account\",\"client_email\":\"a@b.c\",\"private_key\":"
		 "\"CANARY\"}",
			"key.json: token_uri is missing"},
		{"{\"type\":\"service_account\",\"client_email\":\"a@b.c\",\"private_key\":"
		 "\"CANARY\",\"token_uri\":\"http://evil/\"}",
			"key.json: token_uri would send credentials to evil without TLS"},
		{"{\"type\":\"service_account\",\"client_email\":\"a@b.c\",\"private_key\":"
		 "\"CANARY\",\"token_uri\":\"https://x/\"}",
			"key.json: private_key is no private key in PEM"},
		{"{\"type\":\"service_account\",\"client_email\":\"a@b.c\",\"private_key\":1,"
		 "\"token_uri\":\"https://x/\"}",
			"key.json: private_key must be a string"},
		{KEY_FILE(",\"universe_domain\":\"a b\""), "key.json: universe_domain: a b is no"},
		{KEY_FILE(",\"quota_project_id\":\"a\\\\b\""), "key.json: quota_project_id: a"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fx_begin(NULL);
		FX_OPEN_QUIET(key_option(rows[i].text));
		fx_fails(EBADMSG, rows[i].words);
		fx_walk_has("[options: failed: ");
		fx_end();
	}
}

/* section 9.2: the assertion has an audience that is always the same */
Test(gcp_cred, the_token_endpoint_where_it_is_wanted)
{
	static const struct http_exchange ex[] = {{.method = "POST",
		.url = "https://oauth2.googleapis.com/token",
		.headers = {FORM},
		.any_body = true,
		.status = 200,
		.reply =
			"{\"access_token\":\"T1\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"}};
	char options[400];
	fx_begin(NULL);
	snprintf(options, sizeof(options), "%s,subject=jane@example.com", key_option(KEY_FILE("")));
	FX_OPEN(options, ex);
	struct cred *set = fx_set();
	char token[16];
	fx_text(set->field[GCP_CRED_TOKEN], token, sizeof(token));
	cr_assert_str_eq(token, "T1");
	cr_assert_not(gcp_cred_bearer(set).self_signed);
	cr_assert_str_eq(set->principal, "jane@example.com");
	cr_assert(strstr(set->source, "key of " EMAIL " for jane@example.com in "), "%s",
		set->source);
	cred_unref(set);
	fx_end();
}

#define CLOCK_REFUSAL                                                                        \
	"{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token must be a " \
	"short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp.\"}"
/* case 37, second half */
Test(gcp_cred, the_token_endpoint_corrects_the_clock_too)
{
	static const struct http_exchange ex[] = {
		{EXCHANGE, .status = 400, .with = "date: Tue, 14 Nov 2023 22:23:20 GMT\n",
			.reply = CLOCK_REFUSAL},
		{EXCHANGE, .status = 200, .reply = "{\"access_token\":\"T\",\"expires_in\":100}"}};
	static const struct http_exchange never[] = {
		{EXCHANGE, .status = 400, .with = "date: Tue, 14 Nov 2023 22:23:20 GMT\n",
			.reply = CLOCK_REFUSAL},
		{EXCHANGE, .status = 400, .with = "date: Tue, 14 Nov 2023 22:23:20 GMT\n",
			.reply = CLOCK_REFUSAL}};
	char options[400];
	fx_begin(NULL);
	snprintf(options, sizeof(options), "%s,token_endpoint", key_option(KEY_FILE("")));
	FX_OPEN(options, ex);
	cred_unref(fx_set());
	fx_close();
	FX_OPEN(options, never);
	fx_fails(EKEYREJECTED, "the clock of this machine is off");
	fx_end();
}

Test(gcp_cred, faults_of_the_token_endpoint_are_tried_again)
{
	static const struct http_exchange ex[] = {{EXCHANGE, .status = 503, .reply = "<html>"},
		{EXCHANGE, .status = 400, .reply = "{\"error\":\"internal_failure\"}"},
		{EXCHANGE, .status = 200, .reply = "{\"access_token\":\"T\",\"expires_in\":100}"}};
	char options[400];
	fx_begin(NULL);
	snprintf(options, sizeof(options), "%s,token_endpoint", key_option(KEY_FILE("")));
	FX_OPEN(options, ex);
	cred_unref(fx_set());
	cr_assert_eq(fx.script.pauses, 2);
	fx_end();
}

Test(gcp_cred, subject_needs_a_key)
{
	char options[400];
	fx_begin(NULL);
	snprintf(
		options, sizeof(options), "%s,subject=jane@example.com", key_option(USER_FILE("")));
	FX_OPEN_QUIET(options);
	fx_fails(EINVAL, "subject=: ");
	cr_assert(strstr(fx.err.msg, "is no key of a service account"), "%s", fx.err.msg);
	fx_end();
}

/* ---- user credentials ---- */

/* case 39 */
Test(gcp_cred, a_user_refreshes)
{
	static const struct http_exchange ex[] = {
		{REFRESH, .status = 200,
			.reply = "{\"access_token\":\"ya29.1\",\"expires_in\":\"3599\",\"scope\":"
				 "\"x\","
				 "\"id_token\":\"i\",\"token_type\":\"Bearer\"}"},
		{REFRESH, .status = 200,
			.reply = "{\"access_token\":\"ya29.2\",\"expires_in\":3599,\"refresh_"
				 "token\":"
				 "\"1//new\"}"},
		{.method = "POST",
			.url = "https://oauth2.googleapis.com/token",
			.body = "grant_type=refresh_token&client_id=id.apps&client_secret="
				"s%2F%2BCANARY&refresh_token=1%2F%2Fnew",
			.status = 200,
			.reply = "{\"access_token\":\"ya29.3\",\"expires_in\":3599}"},
	};
	fx_begin(NULL);
	fx_file(WELL_KNOWN, USER_FILE(""));
	FX_OPEN(NULL, ex);
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, "jane@example.com");
	cr_assert(strstr(set->source, "user jane@example.com in /"), "%s", set->source);
	cr_assert_eq(set->expires, clock_boot() + 3599 * NSEC_PER_SEC);
	cr_assert_str_eq(set->row, "gcloud's file");
	cred_unref(set);
	fx_walk_has("[options: not configured: neither credentials= nor token_file= is "
		    "given][GOOGLE_APPLICATION_CREDENTIALS: not configured: the variable is not "
		    "set][gcloud's file: used][metadata server: not reached]");
	for (int i = 0; i < 2; i++) {
		fx_pass(60 * MIN);
		cred_unref(fx_set());
	}
	fx_end();
}

Test(gcp_cred, a_user_who_must_log_in_again)
{
	static const struct http_exchange rapt[] = {{REFRESH, .status = 400,
		.reply =
			"{\"error\":\"invalid_grant\",\"error_description\":\"reauth related error "
			"(invalid_rapt)\",\"error_subtype\":\"invalid_rapt\"}"}};
	static const struct http_exchange gone[] = {{REFRESH, .status = 400,
		.reply = "{\"error\":\"invalid_grant\",\"error_description\":\"Token has been "
			 "expired or revoked.\"}"}};
	static const struct http_exchange client[] = {
		{REFRESH, .status = 401, .reply = "{\"error\":\"invalid_client\"}"}};
	fx_begin(NULL);
	fx_file(WELL_KNOWN, USER_FILE(""));
	FX_OPEN(NULL, rapt);
	fx_fails(EKEYEXPIRED, "run gcloud auth application-default login");
	fx_close();
	FX_OPEN(NULL, gone);
	fx_fails(EKEYEXPIRED, "the refresh token in ");
	fx_close();
	FX_OPEN(NULL, client);
	fx_fails(EKEYREJECTED, "invalid_client");
	fx_end();
}

/* case 40 */
Test(gcp_cred, the_quota_project)
{
	static const struct http_exchange ex[] = {
		{REFRESH, .status = 200, .reply = "{\"access_token\":\"T\",\"expires_in\":3599}"}};
	fx_begin(NULL);
	fx_file(WELL_KNOWN, USER_FILE(",\"quota_project_id\":\"file-quota\""));
	FX_OPEN(NULL, ex);
	struct cred *set = fx_set();
	cr_assert_str_eq(gcp_cred_quota_project(fx.cred, set), "file-quota");
	cred_unref(set);
	fx_close();
	fx_vars(VARS("GOOGLE_CLOUD_QUOTA_PROJECT=env-quota"));
	FX_OPEN(NULL, ex);
	set = fx_set();
	cr_assert_str_eq(gcp_cred_quota_project(fx.cred, set), "env-quota");
	cred_unref(set);
	fx_end();
}

/* ---- the chain ---- */

/* case 34: what is named and broken is an error, and nobody else is asked */
Test(gcp_cred, a_named_file_that_goes_away_is_an_error)
{
	fx_begin(NULL);
	fx_file("key.json", KEY_FILE(""));
	fx_file(WELL_KNOWN, USER_FILE(""));
	fx_vars(VARS(fx_say_path("GOOGLE_APPLICATION_CREDENTIALS=", "key.json")));
	FX_OPEN_QUIET(NULL);
	cr_assert_eq(unlink(fx_say_path("", "key.json")), 0);
	fx_fails(ENOKEY, "GOOGLE_APPLICATION_CREDENTIALS: open /");
	fx_walk_has("[GOOGLE_APPLICATION_CREDENTIALS: failed: ");
	fx_walk_has("[gcloud's file: not reached][metadata server: not reached]");
	fx_file("key.json", "{\"type\":\"CANARY");
	fx_pass(2 * NSEC_PER_SEC);
	fx_fails(EBADMSG, "key.json: ");
	fx_file("key.json", KEY_FILE(""));
	fx_pass(2 * NSEC_PER_SEC);
	issued(1700000000 + 4 - 10, CLOUD);
	fx_end();
}

/* case 35 */
Test(gcp_cred, nothing_anywhere_names_every_place)
{
	fx_begin(VARS("NO_GCE_CHECK=true"));
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY,
		"no credentials found: options: neither credentials= nor token_file= is given; "
		"GOOGLE_APPLICATION_CREDENTIALS: the variable is not set; gcloud's file: there is "
		"no /");
	cr_assert(strstr(fx.err.msg, "metadata server: switched off by NO_GCE_CHECK"), "%s",
		fx.err.msg);
	fx_close();
	fx.env.home = NULL;
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY,
		"HOME is not set and there is no home directory, nor is CLOUDSDK_CONFIG set");
	fx_end();
}

Test(gcp_cred, a_rewritten_file_is_read_again)
{
	fx_begin(NULL);
	FX_OPEN_QUIET(key_option(KEY_FILE("")));
	issued(1700000000 - 10, CLOUD);
	fx_pass(5 * NSEC_PER_SEC);
	fx_file("key.json", KEY_FILE(",\"quota_project_id\":\"q\""));
	issued(1700000000 + 5 - 10, CLOUD);
	struct cred *set = fx_set();
	cr_assert_str_eq(gcp_cred_quota_project(fx.cred, set), "q");
	cred_unref(set);
	fx_end();
}

/* case 50 */
Test(gcp_cred, a_token_file_is_read_at_each_use)
{
	fx_begin(NULL);
	fx_file("token", "ya29.one\n");
	FX_OPEN_QUIET(fx_say_path("token_file=", "token"));
	char want[400];
	snprintf(want, sizeof(want), "ya29.one [options] token file %s", fx_say_path("", "token"));
	fx_gives(want);
	fx_pass(1);
	fx_file("token", "ya29.two");
	snprintf(want, sizeof(want), "ya29.two [options] token file %s", fx_say_path("", "token"));
	fx_gives(want);
	fx_pass(1);
	fx_file("token", "CAN ARY");
	fx_gives(want); /* what was good is used on */
	fx_close();
	FX_OPEN_QUIET(fx_say_path("token_file=", "token"));
	fx_fails(EBADMSG, "token_file=: the token file ");
	fx_close();
	cr_assert_eq(unlink(fx_say_path("", "token")), 0);
	FX_OPEN_QUIET(fx_say_path("token_file=", "token"));
	fx_fails(ENOKEY, "token_file=: open /");
	fx_end();
}

/* ---- universes ---- */

static void base_is(const char *want)
{
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	struct buf base = BUF_INIT(1000);
	cr_assert_eq(gcp_cred_base(fx.cred, &call, &base, &fx.err), 0, "%s", fx.err.msg);
	cr_assert_str_eq(buf_text(&base), want);
	buf_clear(&base);
}

/* case 48: nothing is asked */
Test(gcp_cred, credentials_of_another_universe_are_not_sent)
{
	fx_begin(NULL);
	char options[400];
	snprintf(options, sizeof(options), "%s,universe=googleapis.com",
		key_option(KEY_FILE(",\"universe_domain\":\"example.cloud\"")));
	FX_OPEN_QUIET(options);
	fx_fails(EINVAL, "universe says universe googleapis.com, but the credentials of ");
	cr_assert(strstr(fx.err.msg, "key.json are for example.cloud"), "%s", fx.err.msg);
	fx_close();
	fx_file(WELL_KNOWN, USER_FILE(""));
	fx_vars(VARS("GOOGLE_CLOUD_UNIVERSE_DOMAIN=example.cloud"));
	FX_OPEN_QUIET(NULL);
	fx_fails(EINVAL, "GOOGLE_CLOUD_UNIVERSE_DOMAIN says universe example.cloud, but");
	fx_end();
}

Test(gcp_cred, the_universe_makes_the_host)
{
	fx_begin(NULL);
	const char *key = key_option(KEY_FILE(",\"universe_domain\":\"example.cloud\""));
	FX_OPEN_QUIET(key);
	base_is("https://secretmanager.example.cloud");
	fx_close();
	cr_assert_eq(fx_open(key, NULL, 0, "my-proj/europe-west3"), 0);
	base_is("https://secretmanager.europe-west3.rep.example.cloud");
	fx_close();
	fx_vars(VARS("GOOGLE_CLOUD_UNIVERSE_DOMAIN=example.cloud"));
	FX_OPEN_QUIET(key);
	base_is("https://secretmanager.example.cloud");
	fx_close();
	fx_vars(VARS("PATH=/"));
	FX_OPEN_QUIET(key_option(KEY_FILE("")));
	base_is("https://secretmanager.googleapis.com");
	fx_close();
	FX_OPEN_QUIET("endpoint=http://127.0.0.1:8080/");
	base_is("http://127.0.0.1:8080");
	fx_end();
}

Test(gcp_cred, another_universe_has_no_token_endpoint_for_keys)
{
	char options[400];
	fx_begin(NULL);
	snprintf(options, sizeof(options), "%s,token_endpoint",
		key_option(KEY_FILE(",\"universe_domain\":\"example.cloud\"")));
	FX_OPEN_QUIET(options);
	fx_fails(EINVAL, "token_endpoint= does not go with universe example.cloud");
	fx_end();
}

/* ---- renewal ---- */

#define TOKEN(t) "{\"access_token\":\"" t "\",\"expires_in\":3600}"

/* case 49 */
Test(gcp_cred, a_token_is_good_until_it_expires_whatever_its_endpoint_does)
{
	static const struct http_exchange ex[] = {
		{REFRESH, .status = 200, .reply = TOKEN("T1")},
		{REFRESH, .fail = EPROTO, .why = "down"},
		{REFRESH, .fail = EPROTO, .why = "down"},
	};
	char want[400];
	fx_begin(NULL);
	fx_file(WELL_KNOWN, USER_FILE(""));
	FX_OPEN(NULL, ex);
	snprintf(want, sizeof(want), "T1 [gcloud's file] user jane@example.com in %s",
		fx_say_path("", WELL_KNOWN));
	fx_gives(want);
	fx_pass(57 * MIN);
	fx_gives(want);
	cred_settle(gcp_cred_chain(fx.cred));
	fx_pass(29 * NSEC_PER_SEC); /* half a minute between tries */
	fx_gives(want);
	fx_pass(3 * MIN);
	fx_fails(EKEYEXPIRED, "expired at 2023-11-14T23:13:20Z and cannot be renewed");
	fx_end();
}

struct reader {
	pthread_t thread;
	int r;
};

static void *read_one(void *arg)
{
	struct reader *me = arg;
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	struct cred *set = NULL;
	me->r = cred_get(gcp_cred_chain(fx.cred), &call, &set, NULL);
	cred_unref(set);
	return NULL;
}

/* case 49: the script has one exchange more, whatever the threads do */
Test(gcp_cred, fifty_at_expiry_are_one_renewal)
{
	static const struct http_exchange ex[] = {{REFRESH, .status = 200, .reply = TOKEN("T1")},
		{REFRESH, .status = 200, .reply = TOKEN("T2")}};
	struct reader r[50];
	fx_begin(NULL);
	fx_file(WELL_KNOWN, USER_FILE(""));
	FX_OPEN(NULL, ex);
	cred_unref(fx_set());
	fx_pass(61 * MIN);
	for (size_t i = 0; i < 50; i++)
		cr_assert_eq(thread_start(&r[i].thread, 0, read_one, &r[i]), 0);
	for (size_t i = 0; i < 50; i++) {
		pthread_join(r[i].thread, NULL);
		cr_expect_eq(r[i].r, 0);
	}
	fx_end();
}

/* Whichever allocation fails: an error of that run, and nothing is left behind. */
Test(gcp_cred, no_memory_is_an_error_at_each_step)
{
	const char *option;
	bool hit = true;
	fx_begin(NULL);
	option = key_option(KEY_FILE(",\"quota_project_id\":\"q\""));
	for (unsigned long n = 1; hit; n++) {
		struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
		struct cred *set = NULL;
		FX_OPEN_QUIET(option);
		alloc_fail_at(n);
		int r = cred_get(gcp_cred_chain(fx.cred), &call, &set, &fx.err);
		hit = alloc_fail_at(0) >= n;
		cr_assert(r == 0 || r == -ENOMEM || r == -EAGAIN, "%lu: %d %s", n, r, fx.err.msg);
		cr_assert((r == 0) == (set != NULL));
		cred_unref(set);
		fx_close();
	}
	fx_end();
}
