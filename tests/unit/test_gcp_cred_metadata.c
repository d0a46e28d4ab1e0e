/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials and project by the metadata server (gcp.md section 9.6, case 47). */
#include "fakes/http_script.h"

#include "gcp_cred_fixture.h"

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define DIRECT	(HTTP_DIRECT | HTTP_NO_BREAKER)
#define HOST	"http://metadata.google.internal/computeMetadata/v1/"
#define ACCOUNT HOST "instance/service-accounts/default/"
#define FLAVOUR .with = "metadata-flavor: Google\n"

/* All of them direct, whatever proxy is configured. */
#define GET(u)                                      \
	.method = "GET", .url = u, .flags = DIRECT, \
	.headers = {"Metadata-Flavor: Google", "!X-Forwarded-For", "!Authorization"}
#define PING	 GET("http://169.254.169.254/")
#define UNIVERSE GET(HOST "universe/universe-domain")
#define TOKEN	 GET(ACCOUNT "token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform")
#define MAIL	 GET(ACCOUNT "email")
#define PROJECT	 GET(HOST "project/project-id")

#define THERE                                                               \
	{                                                                   \
		PING, FLAVOUR, .status = 200, .reply = "computeMetadata/\n" \
	}
#define DEFAULT                                                     \
	{                                                           \
		UNIVERSE, FLAVOUR, .status = 404, .reply = "<html>" \
	}
#define GIVES(t, seconds)                                                                      \
	{                                                                                      \
		TOKEN, FLAVOUR, .status = 200,                                                 \
				.reply = "{\"access_token\":\"" t "\",\"expires_in\":" seconds \
					 ",\"token_type\":\"Bearer\"}"                         \
	}
#define NAMED                                                                                 \
	{                                                                                     \
		MAIL, FLAVOUR, .status = 200, .reply = "vm@my-proj.iam.gserviceaccount.com\n" \
	}
#define SHOWN "metadata server, vm@my-proj.iam.gserviceaccount.com"

Test(gcp_metadata, a_token)
{
	static const struct http_exchange ex[] = {THERE, DEFAULT, GIVES("ya29.m", "3599"), NAMED};
	fx_begin(NULL);
	FX_OPEN("proxy=http://127.0.0.1:3128", ex);
	fx_gives("ya29.m [metadata server] " SHOWN);
	struct cred *set = fx_set();
	cr_assert_str_eq(set->principal, "vm@my-proj.iam.gserviceaccount.com");
	cr_assert_eq(set->expires, clock_boot() + 3599 * NSEC_PER_SEC);
	cred_unref(set);
	fx_end();
}

static void none(const struct http_exchange *ex, size_t n, const char *words)
{
	char want[512];
	fx_begin(NULL);
	cr_assert_eq(fx_open(NULL, ex, n, "my-proj"), 0, "%s", fx.err.msg);
	fx_fails(ENOKEY, "no credentials found");
	snprintf(want, sizeof(want), "[metadata server: not configured: %s", words);
	fx_walk_has(want);
	fx_pass(29 * NSEC_PER_SEC); /* remembered for half a minute: nothing is asked */
	fx_fails(ENOKEY, "no credentials found");
	fx_walk_has(want);
	fx_end();
}
#define NONE(words, ...)                                                \
	do {                                                            \
		static const struct http_exchange ex[] = {__VA_ARGS__}; \
		none(ex, sizeof(ex) / sizeof(ex[0]), words);            \
	} while (0)
#define NOT_GOOGLE \
	"what answers at its address is no metadata server of Google (no Metadata-Flavor)"

Test(gcp_metadata, what_does_not_say_google_is_none)
{
	NONE(NOT_GOOGLE, {PING, .status = 200, .reply = "<html>sign in</html>"});
	NONE(NOT_GOOGLE, {PING, .status = 200, .with = "metadata-flavor: Other\n"});
	NONE(NOT_GOOGLE, {PING, .fail = EPROTO, .why = "redirect"});
	NONE(NOT_GOOGLE, {PING, .fail = EFBIG, .why = "1 MiB"});
	NONE("the metadata server answered with status 404", {PING, FLAVOUR, .status = 404});
	NONE("there is none: ", {PING, .fail = EHOSTUNREACH, .why = "refused"},
		{PING, .fail = EHOSTUNREACH, .why = "refused"},
		{PING, .fail = EHOSTUNREACH, .why = "refused"});
	NONE("there is none: ",
		{PING, .fail = ETIMEDOUT, .why = "no answer", .takes = 3 * NSEC_PER_SEC},
		{PING, .fail = ETIMEDOUT, .why = "no answer", .takes = 3 * NSEC_PER_SEC},
		{PING, .fail = ETIMEDOUT, .why = "no answer", .takes = 3 * NSEC_PER_SEC});
}

Test(gcp_metadata, it_is_looked_for_again_after_half_a_minute)
{
	static const struct http_exchange ex[] = {{PING, .status = 200, .reply = "x"}, THERE,
		DEFAULT, GIVES("T", "100"), {MAIL, FLAVOUR, .status = 404}};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_fails(ENOKEY, NOT_GOOGLE);
	fx_pass(31 * NSEC_PER_SEC);
	fx_gives("T [metadata server] metadata server");
	fx_end();
}

/* A portal between the ping and the token gives no token. */
Test(gcp_metadata, a_token_without_the_flavour_is_not_used)
{
	static const struct http_exchange ex[] = {THERE, DEFAULT,
		{TOKEN, .status = 200,
			.reply = "{\"access_token\":\"CANARY\",\"expires_in\":100}"}};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_fails(ENOKEY, NOT_GOOGLE);
	fx_end();
}

Test(gcp_metadata, off_is_off)
{
	fx_begin(VARS("NO_GCE_CHECK=true"));
	FX_OPEN_QUIET(NULL);
	fx_fails(ENOKEY, "metadata server: switched off by NO_GCE_CHECK");
	fx_end();
}

/* in a pod it comes up some seconds after us */
Test(gcp_metadata, a_pod_waits_for_it_at_its_start)
{
	static const struct http_exchange ex[] = {
		{PING, .fail = EHOSTUNREACH, .why = "refused", .takes = NSEC_PER_SEC},
		{PING, .fail = EHOSTUNREACH, .why = "refused", .takes = NSEC_PER_SEC},
		{PING, .fail = EHOSTUNREACH, .why = "refused", .takes = NSEC_PER_SEC},
		{PING, .fail = EHOSTUNREACH, .why = "refused", .takes = NSEC_PER_SEC},
		{PING, FLAVOUR, .status = 503}, THERE, DEFAULT, GIVES("T", "3599"), NAMED};
	fx_begin(VARS("KUBERNETES_SERVICE_HOST=10.0.0.1"));
	FX_OPEN(NULL, ex);
	fx_gives("T [metadata server] " SHOWN);
	fx_end();
}

Test(gcp_metadata, but_not_for_ever_and_not_later)
{
	static const struct http_exchange ex[] = {
		{PING, .fail = EHOSTUNREACH, .why = "refused", .takes = 6 * NSEC_PER_SEC},
		{PING, .fail = EHOSTUNREACH, .why = "refused", .takes = 5 * NSEC_PER_SEC},
		{PING, .fail = EPROTO, .why = "redirect"},
		{PING, .fail = EPROTO, .why = "redirect"},
	};
	fx_begin(VARS("KUBERNETES_SERVICE_HOST=10.0.0.1", "GCE_METADATA_DETECT_RETRIES=1"));
	FX_OPEN(NULL, ex);
	fx_fails(ENOKEY, NOT_GOOGLE);
	fx_pass(40 * NSEC_PER_SEC);
	fx_fails(ENOKEY, NOT_GOOGLE);
	fx_end();
}

Test(gcp_metadata, variables_move_it)
{
	static const struct http_exchange ex[] = {
		{GET("http://127.0.0.1:8081/"), FLAVOUR, .status = 200},
		{GET("http://localhost:8080/computeMetadata/v1/universe/universe-domain"), FLAVOUR,
			.status = 200, .reply = ""},
		{GET("http://localhost:8080/computeMetadata/v1/instance/service-accounts/default/"
		     "token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"),
			FLAVOUR, .status = 200, .reply = "{\"access_token\":\"T\"}"},
		{GET("http://localhost:8080/computeMetadata/v1/instance/service-accounts/default/"
		     "email"),
			FLAVOUR, .status = 200, .reply = "my-proj.svc.id.goog"}};
	fx_begin(VARS("GCE_METADATA_HOST=localhost:8080", "GCE_METADATA_IP=127.0.0.1:8081"));
	FX_OPEN(NULL, ex);
	fx_gives("T [metadata server] metadata server, my-proj.svc.id.goog");
	fx_end();
}

static void fails(const struct http_exchange *ex, size_t n, int code, const char *words)
{
	fx_begin(NULL);
	cr_assert_eq(fx_open(NULL, ex, n, "my-proj"), 0, "%s", fx.err.msg);
	fx_fails(code, words);
	fx_end();
}
#define FAILS(code, words, ...)                                         \
	do {                                                            \
		static const struct http_exchange ex[] = {__VA_ARGS__}; \
		fails(ex, sizeof(ex) / sizeof(ex[0]), code, words);     \
	} while (0)

Test(gcp_metadata, what_it_refuses)
{
	FAILS(ENOKEY, "this machine has no service account", THERE, DEFAULT,
		{TOKEN, FLAVOUR, .status = 404, .reply = "<html>"});
	FAILS(EACCES, "bind roles/iam.workloadIdentityUser", THERE, DEFAULT,
		{TOKEN, FLAVOUR, .status = 403,
			.reply = "Unable to generate access token; IAM returned 403: Permission "
				 "'iam.serviceAccounts.getAccessToken' denied CANARY"});
	FAILS(EACCES, "with status 403", THERE, DEFAULT, {TOKEN, FLAVOUR, .status = 403});
	FAILS(EBADMSG, "the answer of the metadata server: ", THERE, DEFAULT,
		{TOKEN, FLAVOUR, .status = 200, .reply = "CANARY"});
	FAILS(EREMOTEIO, "universe/universe-domain with status 500", THERE,
		{UNIVERSE, FLAVOUR, .status = 500}, {UNIVERSE, FLAVOUR, .status = 500},
		{UNIVERSE, FLAVOUR, .status = 500}, {UNIVERSE, FLAVOUR, .status = 500},
		{UNIVERSE, FLAVOUR, .status = 500});
}

/* case 48: the token is not even asked for */
Test(gcp_metadata, its_universe_counts)
{
	static const struct http_exchange ex[] = {
		THERE, {UNIVERSE, FLAVOUR, .status = 200, .reply = "example.cloud"}};
	static const struct http_exchange same[] = {THERE,
		{UNIVERSE, FLAVOUR, .status = 200, .reply = "example.cloud\n"}, GIVES("T", "100"),
		NAMED};
	struct call call = {.deadline = INT64_MAX};
	struct buf base = BUF_INIT(1000);
	fx_begin(VARS("GOOGLE_CLOUD_UNIVERSE_DOMAIN=googleapis.com"));
	FX_OPEN(NULL, ex);
	fx_fails(EINVAL, "the credentials of the metadata server are for example.cloud");
	fx_close();
	fx_vars(VARS("PATH=/"));
	FX_OPEN(NULL, same);
	cr_assert_eq(gcp_cred_base(fx.cred, &call, &base, &fx.err), 0, "%s", fx.err.msg);
	cr_assert_str_eq(buf_text(&base), "https://secretmanager.example.cloud");
	buf_clear(&base);
	fx_end();
}

/* the server gives the same token until some minutes before its end */
Test(gcp_metadata, the_same_token_is_not_asked_for_in_a_loop)
{
	static const struct http_exchange ex[] = {THERE, DEFAULT, GIVES("T1", "3600"), NAMED,
		GIVES("T1", "299"), GIVES("T2", "3600")};
	fx_begin(NULL);
	FX_OPEN(NULL, ex);
	fx_gives("T1 [metadata server] " SHOWN);
	fx_pass(55 * MIN + NSEC_PER_SEC);
	fx_gives("T1 [metadata server] " SHOWN);
	cred_settle(gcp_cred_chain(fx.cred));
	for (int i = 0; i < 5; i++) {
		fx_pass(10 * NSEC_PER_SEC);
		fx_gives("T1 [metadata server] " SHOWN);
		cred_settle(gcp_cred_chain(fx.cred));
	}
	cr_assert_eq(fx.script.at, 5);
	fx_pass(10 * NSEC_PER_SEC); /* less than four minutes */
	fx_gives("T1 [metadata server] " SHOWN);
	cred_settle(gcp_cred_chain(fx.cred));
	fx_gives("T2 [metadata server] " SHOWN);
	fx_end();
}

/* ---- the project ---- */

static void project(int r, const char *want)
{
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	struct buf out = BUF_INIT(1000);
	err_clear(&fx.err);
	cr_assert_eq(gcp_cred_project(fx.cred, &call, &out, &fx.err), -r, "%s", fx.err.msg);
	if (r == 0)
		cr_assert_str_eq(buf_text(&out), want);
	else
		cr_assert(strstr(fx.err.msg, want), "%s", fx.err.msg);
	cr_assert(r == 0 || out.len == 0);
	buf_clear(&out);
}

Test(gcp_metadata, the_project_is_asked_once)
{
	static const struct http_exchange ex[] = {
		THERE, {PROJECT, FLAVOUR, .status = 200, .reply = "vm-proj\n"}};
	fx_begin(VARS("K_SERVICE=x"));
	cr_assert_eq(fx_open(NULL, ex, 2, ""), 0, "%s", fx.err.msg);
	project(0, "vm-proj");
	project(0, "vm-proj");
	fx_close();
	FX_OPEN_QUIET(NULL);
	project(0, "my-proj");
	fx_end();
}

Test(gcp_metadata, a_project_that_nobody_tells)
{
	static const struct http_exchange ex[] = {{PING, .status = 200, .reply = "x"}, THERE,
		{PROJECT, FLAVOUR, .status = 200, .reply = "../x"},
		{PROJECT, FLAVOUR, .status = 404}};
	fx_begin(VARS("K_SERVICE=x"));
	cr_assert_eq(fx_open(NULL, ex, 4, ""), 0, "%s", fx.err.msg);
	project(EINVAL, "no project is configured (gcp:PROJECT, project=");
	project(EINVAL, NOT_GOOGLE); /* remembered */
	fx_pass(6 * NSEC_PER_SEC);
	project(EINVAL, "../x is no project");
	fx_pass(6 * NSEC_PER_SEC);
	project(EINVAL, "it names none");
	fx_end();
}
