/* SPDX-License-Identifier: Apache-2.0 */
/* What people are told of credentials of Google Cloud (gcp.md section 9). */
#include "fakes/http_script.h"

#include "gcp_cred_files.h"

Test(gcp_cred_check, status_and_check)
{
	struct buf json = BUF_INIT(8192);
	struct check_sink sink = {0};
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	fx_begin(NULL);
	FX_OPEN_QUIET(key_option(KEY_FILE(",\"quota_project_id\":\"q\"")));
	cr_assert_eq(gcp_cred_status(fx.cred, &json), 0);
	cr_assert(strstr(buf_text(&json), "\"credentials\":\"none yet\""), "%s", buf_text(&json));
	cr_assert_eq(gcp_cred_check(fx.cred, &call, &sink, &fx.err), 0, "%s", fx.err.msg);
	cr_assert(strstr(sink.text, "ok credentials: options: used: key of " EMAIL " in /"), "%s",
		sink.text);
	cr_assert(strstr(sink.text, ", expires 2023-11-14T23:13:10Z\n"), "%s", sink.text);
	cr_assert(strstr(sink.text, "ok principal: " EMAIL "\nok universe: googleapis.com\n"
				    "ok quota project: q\nok API: secretmanager.googleapis.com\n"
				    "ok token host: none: the key signs what the API takes"),
		"%s", sink.text);
	buf_reset(&json);
	cr_assert_eq(gcp_cred_status(fx.cred, &json), 0);
	cr_assert(strstr(buf_text(&json),
			  "\"credentials_expire\":\"2023-11-14T23:13:10Z\",\"principal\":\"" EMAIL
			  "\",\"universe\":\"googleapis.com\",\"quota_project\":\"q\","
			  "\"credential_sources\":{\"options\":\"used\""),
		"%s", buf_text(&json));
	buf_clear(&json);
	fx_end();
}

Test(gcp_cred_check, check_tells_why_there_are_none)
{
	struct check_sink sink = {0};
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	fx_begin(VARS("NO_GCE_CHECK=true"));
	FX_OPEN_QUIET(NULL);
	cr_assert_eq(gcp_cred_check(fx.cred, &call, &sink, &fx.err), -ENOKEY);
	cr_assert(strstr(sink.text, "skipped credentials: options: not configured: neither"), "%s",
		sink.text);
	cr_assert(strstr(sink.text, "skipped credentials: metadata server: not configured: "
				    "switched off"),
		"%s", sink.text);
	fx_end();
}

#define IAM_URL                                                                        \
	"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/t@p.iam." \
	"gserviceaccount.com:generateAccessToken"

/* impersonate= on top of a key: the key is exchanged for the scope of the IAM API, and all hosts
 * that are asked are told. */
Test(gcp_cred_check, acting_as_another_account)
{
	static const struct http_exchange ex[] = {
		{EXCHANGE, .status = 200, .reply = "{\"access_token\":\"SRC\",\"expires_in\":100}"},
		{.method = "POST",
			.url = IAM_URL,
			.headers = {"Authorization: Bearer SRC"},
			.any_body = true,
			.status = 200,
			.reply = "{\"accessToken\":\"ya29.target\",\"expireTime\":"
				 "\"2023-11-14T23:13:20Z\"}"}};
	struct check_sink sink = {0};
	struct call call = {.deadline = clock_boot() + 100 * NSEC_PER_SEC};
	char options[400];
	fx_begin(NULL);
	snprintf(options, sizeof(options), "%s,impersonate=t@p.iam.gserviceaccount.com",
		key_option(KEY_FILE("")));
	FX_OPEN(options, ex);
	struct cred *set = fx_set();
	char token[32];
	fx_text(set->field[GCP_CRED_TOKEN], token, sizeof(token));
	cr_assert_str_eq(token, "ya29.target");
	cr_assert_not(gcp_cred_bearer(set).self_signed);
	cr_assert_str_eq(set->principal, "t@p.iam.gserviceaccount.com");
	cr_assert_eq(set->expires, clock_boot() + 3600 * NSEC_PER_SEC);
	cred_unref(set);
	cr_assert_eq(gcp_cred_check(fx.cred, &call, &sink, &fx.err), 0, "%s", fx.err.msg);
	cr_assert(strstr(sink.text, "ok token host: oauth2.googleapis.com\n"), "%s", sink.text);
	cr_assert(strstr(sink.text, "ok token host: iamcredentials.googleapis.com, for a token of "
				    "t@p.iam.gserviceaccount.com\n"),
		"%s", sink.text);
	fx_end();
}
