/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a source at Google Cloud: which project, where, which files (gcp.md sections 1, 9).
 */
#include "fakes/http_script.h"

#include "gcp_cred_fixture.h"

#include "gcp_keys.h"

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define KEY_FILE                                                                                \
	"{\"type\":\"service_account\",\"project_id\":\"key-proj\",\"client_email\":\"a@b.c\"," \
	"\"private_key\":\"" GCP_KEY "\",\"token_uri\":\"https://oauth2.googleapis.com/token\"}"

static void loads(const char *options, const char *location)
{
	fx_options(options);
	cr_assert_eq(fx_conf(location), 0, "%s", fx.err.msg);
}

static void refuses(const char *options, const char *location, const char *words)
{
	struct gcp_conf *none = NULL;
	fx_options(options);
	gcp_conf_free(take(fx.conf));
	err_clear(&fx.err);
	cr_assert_lt(gcp_conf_load(&fx.env, location, &fx.opts, &none, &fx.err), 0, "%s %s",
		options ? options : "", location);
	cr_assert_null(none);
	cr_assert(strstr(fx.err.msg, words), "%s", fx.err.msg);
	cr_assert_null(strstr(fx.err.msg, "CANARY"), "%s", fx.err.msg);
}

static void project_is(const char *want, const char *from)
{
	cr_assert_str_eq(fx.conf->project, want);
	cr_assert_str_eq(fx.conf->project_from, from);
}

/* ---- project ---- */

Test(gcp_conf, the_source_names_project_and_location)
{
	fx_begin(VARS("GOOGLE_CLOUD_PROJECT=env-proj"));
	loads(NULL, "my-proj");
	project_is("my-proj", "the source");
	cr_assert_null(fx.conf->location);
	loads(NULL, "my-proj/europe-west3");
	project_is("my-proj", "the source");
	cr_assert_str_eq(fx.conf->location, "europe-west3");
	loads(NULL, "/europe-west3");
	project_is("env-proj", "GOOGLE_CLOUD_PROJECT");
	cr_assert_str_eq(fx.conf->location, "europe-west3");
	loads(NULL, "example.com:my-proj/us-east1");
	project_is("example.com:my-proj", "the source");
	loads(NULL, "123456789012");
	project_is("123456789012", "the source");
	fx_end();
}

/* case 5 */
Test(gcp_conf, what_cannot_be_in_a_host_or_path_is_refused)
{
	fx_begin(NULL);
	refuses(NULL, "my-proj/a/../b", "a/../b is no location");
	refuses(NULL, "my-proj/europe.west3", "is no location");
	refuses(NULL, "my-proj/", "is no location");
	refuses(NULL, "my-proj/-x", "is no location");
	refuses(NULL, "my-proj/Europe", "is no location");
	refuses(NULL, "My-Proj", "is no project");
	refuses(NULL, "my proj", "is no project");
	refuses(NULL, "..", "is no project");
	refuses(NULL, "my-proj?x=1", "is no project");
	refuses(NULL, ":my-proj", "is no project");
	refuses(NULL, "example:my-proj", "is no project");
	refuses(NULL, "example.com:", "is no project");
	refuses(NULL, "example.com:123", "is no project");
	refuses(NULL, "0123", "is no project");
	refuses("project=a/b", "", "project: a/b is no project");
	refuses("quota_project=a/b", "my-proj", "quota_project: a/b is no project");
	fx_end();
}

Test(gcp_conf, each_place_of_the_project_in_order)
{
	fx_begin(VARS("GOOGLE_CLOUD_PROJECT=env-proj", "GCLOUD_PROJECT=old-proj"));
	fx_file("key.json", KEY_FILE);
	fx_file(".config/gcloud/configurations/config_default", "[core]\nproject = gc-proj\n");
	const char *key = fx_say_path("credentials=", "key.json");
	loads("project=opt-proj", "");
	project_is("opt-proj", "project");
	loads(key, "");
	project_is("env-proj", "GOOGLE_CLOUD_PROJECT");
	fx_vars(VARS("GOOGLE_CLOUD_PROJECT=", "GCLOUD_PROJECT=old-proj"));
	loads(key, "");
	project_is("old-proj", "GCLOUD_PROJECT");
	fx_vars(VARS("PATH=/bin"));
	loads(key, "");
	project_is("key-proj", "the credentials file");
	fx_vars(VARS(fx_say_path("GOOGLE_APPLICATION_CREDENTIALS=", "key.json")));
	loads(NULL, "");
	project_is("key-proj", "the credentials file");
	fx_vars(VARS("PATH=/bin"));
	loads(NULL, "");
	project_is("gc-proj", "gcloud's configuration");
	refuses("project=opt-proj", "my-proj",
		"the source and project= (-o) name different projects");
	loads("project=my-proj", "my-proj");
	fx_end();
}

Test(gcp_conf, without_a_project_every_place_is_named)
{
	fx_begin(NULL);
	refuses(NULL, "",
		"no project: name it in the source (gcp:PROJECT) or by project=; looked at "
		"GOOGLE_CLOUD_PROJECT, GCLOUD_PROJECT, the project_id of a key file, gcloud's "
		"configuration (");
	cr_assert(strstr(fx.err.msg, "/.config/gcloud/configurations/config_default) and the "
				     "metadata server (nothing says that this is Google Cloud)"),
		"%s", fx.err.msg);
	fx.env.home = NULL;
	refuses(NULL, "", "gcloud's configuration (there is no home directory)");
	fx_end();
}

Test(gcp_conf, where_this_may_be_google_the_metadata_server_tells)
{
	static const char *const hints[] = {"K_SERVICE=x", "GAE_SERVICE=x", "CLOUD_RUN_JOB=x",
		"FUNCTION_TARGET=x", "KUBERNETES_SERVICE_HOST=10.0.0.1",
		"GCE_METADATA_HOST=localhost:8080", "GCE_METADATA_IP=127.0.0.1:8080"};
	fx_begin(NULL);
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		fx_vars(VARS(hints[i]));
		loads(NULL, "");
		cr_assert_null(fx.conf->project);
		cr_assert_null(fx.conf->project_from);
		fx_vars(VARS(hints[i], "NO_GCE_CHECK=true"));
		refuses(NULL, "", "the metadata server (switched off by NO_GCE_CHECK)");
	}
	fx_vars(VARS("K_SERVICE="));
	refuses(NULL, "", "nothing says that this is Google Cloud");
	fx_end();
}

Test(gcp_conf, the_firmware_says_where_we_are)
{
	fx_begin(NULL);
	const char *path = fx_say_path("", "product_name");
	fx_file("product_name", "Google Compute Engine\n");
	gcp_firmware_file = path;
	loads(NULL, "");
	cr_assert(fx.conf->metadata_likely && fx.conf->metadata_starting);
	fx_file("product_name", "Standard PC\n");
	refuses(NULL, "", "no project");
	fx_file("product_name", "Goo");
	refuses(NULL, "", "no project");
	fx_end();
}

/* ---- gcloud ---- */

Test(gcp_conf, the_active_configuration_of_gcloud)
{
	fx_begin(NULL);
	fx_file(".config/gcloud/active_config", "work\n");
	fx_file(".config/gcloud/configurations/config_default", "[core]\nproject = wrong\n");
	fx_file(".config/gcloud/configurations/config_work",
		"# mine\n[compute]\nproject = wrong\n[core]\naccount=x\nproject: work-proj \n");
	loads(NULL, "");
	project_is("work-proj", "gcloud's configuration");
	fx_vars(VARS("CLOUDSDK_ACTIVE_CONFIG_NAME=third"));
	refuses(NULL, "", "configurations/config_third)");
	fx_vars(VARS("CLOUDSDK_CORE_PROJECT=var-proj"));
	loads(NULL, "");
	project_is("var-proj", "gcloud's configuration");
	fx_file("other/configurations/config_work", "[core]\nproject = other-proj\n");
	fx_file("other/active_config", "work");
	fx_vars(VARS(fx_say_path("CLOUDSDK_CONFIG=", "other")));
	loads(NULL, "");
	project_is("other-proj", "gcloud's configuration");
	fx_file("other/active_config", "../../x");
	refuses(NULL, "", "other/active_config names no configuration of gcloud");
	fx_file("other/active_config", "work");
	fx_file("other/configurations/config_work", "[core]\nproject = CANARY x\n");
	gcp_conf_free(take(fx.conf));
	cr_assert_eq(fx_conf(""), -EINVAL);
	cr_assert(strstr(fx.err.msg, "is no project"), "%s", fx.err.msg);
	fx_file("other/configurations/config_work", "[core]\nCANARY\n");
	refuses(NULL, "", "config_work: line 2 is neither [section] nor key = value");
	fx_end();
}

Test(gcp_conf, an_ini_file_as_gcloud_writes_it)
{
	static const struct {
		const char *text;
		int r;
		const char *value;
	} rows[] = {
		{"", 0, ""},
		{"[core]\n", 0, ""},
		{"[core]\nproject=p", 1, "p"},
		{"[core]\r\nproject = p\r\n", 1, "p"},
		{" [ core ] \nproject\t=\tp\n", 1, "p"},
		{"[core]\nproject =\n", 1, ""},
		{"[core]\nproject = a\nproject = b\n", 1, "b"},
		{"[core]\nproject = a\n  more\n[x]\nproject = c\n", 1, "a"},
		{"[core]\n;project = a\n#project = b\n\n", 0, ""},
		{"[core]\nproject = d:x=y\n", 1, "d:x=y"},
		{"[x]\nproject = a\n", 0, ""},
		{"[core\n", -EBADMSG, ""},
		{"[core]\nproject\n", -EBADMSG, ""},
		{"[", -EBADMSG, ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf v = BUF_INIT(100);
		struct sfs_err err = {0};
		cr_expect_eq(gcp_gcloud_ini(rows[i].text, strlen(rows[i].text), "core", "project",
				     &v, &err),
			rows[i].r, "%zu: %s", i, err.msg);
		cr_expect_str_eq(buf_text(&v), rows[i].value, "%zu", i);
		buf_clear(&v);
	}
}

/* ---- files ---- */

/* cases 34, 35 */
Test(gcp_conf, which_files_are_looked_for)
{
	fx_begin(NULL);
	loads(NULL, "p");
	cr_assert_null(fx.conf->file[GCP_FILE_OPTION]);
	cr_assert_null(fx.conf->file[GCP_FILE_VARIABLE]);
	cr_assert_str_eq(fx.conf->file[GCP_FILE_WELL_KNOWN],
		fx_say_path("", ".config/gcloud/application_default_credentials.json"));
	fx_vars(VARS("CLOUDSDK_CONFIG=/nowhere", "GOOGLE_APPLICATION_CREDENTIALS="));
	loads(NULL, "p");
	cr_assert_null(fx.conf->file[GCP_FILE_VARIABLE]);
	cr_assert_str_eq(fx.conf->file[GCP_FILE_WELL_KNOWN],
		"/nowhere/application_default_credentials.json");
	fx_vars(VARS("PATH=/bin"));
	fx.env.home = NULL;
	loads(NULL, "p");
	cr_assert_null(fx.conf->file[GCP_FILE_WELL_KNOWN]);
	fx_end();
}

Test(gcp_conf, a_named_file_is_looked_at_when_the_mount_begins)
{
	fx_begin(VARS("GOOGLE_APPLICATION_CREDENTIALS=/nowhere/CAN/key.json"));
	refuses(NULL, "p", "GOOGLE_APPLICATION_CREDENTIALS: open /nowhere/CAN/key.json");
	refuses("credentials=/nowhere/x.json", "p", "credentials=: open /nowhere/x.json");
	fx_vars(VARS("GOOGLE_APPLICATION_CREDENTIALS=relative.json"));
	refuses(NULL, "p", "GOOGLE_APPLICATION_CREDENTIALS must be an absolute path");
	fx_file("bad.json", "{\"type\":\"service_account\",\"CANARY");
	refuses(fx_say_path("credentials=", "bad.json"), "p", "bad.json: ");
	fx_file("token", "t");
	fx_file("key.json", KEY_FILE);
	char both[700];
	snprintf(both, sizeof(both), "%s,%s", fx_say_path("credentials=", "key.json"),
		fx_say_path("token_file=", "token"));
	refuses(both, "p", "credentials= and token_file= are two sources of credentials");
	fx_vars(VARS("GOOGLE_APPLICATION_CREDENTIALS=/nowhere/key.json"));
	loads(fx_say_path("token_file=", "token"), "p"); /* the variable does not count then */
	fx_end();
}

/* case 51 */
Test(gcp_conf, a_file_that_everybody_may_write_is_refused)
{
	fx_begin(NULL);
	fx_file("key.json", KEY_FILE);
	cr_assert_eq(chmod(fx_say_path("", "key.json"), 0666), 0);
	refuses(fx_say_path("credentials=", "key.json"), "p",
		"everybody on this machine may write");
	fx_end();
}

/* ---- URLs ---- */

Test(gcp_conf, endpoints)
{
	fx_begin(NULL);
	loads("endpoint=https://secretmanager-x.p.googleapis.com/", "p");
	cr_assert_str_eq(fx.conf->endpoint, "https://secretmanager-x.p.googleapis.com");
	loads("endpoint=http://127.0.0.1:8080,iam_endpoint=http://localhost:1//", "p");
	cr_assert_str_eq(fx.conf->endpoint, "http://127.0.0.1:8080");
	cr_assert_str_eq(fx.conf->iam_endpoint, "http://localhost:1");
	refuses("endpoint=http://example.com", "p", "endpoint: plain http to example.com");
	refuses("endpoint=https://a.b/?x=y", "p", "a URL with a query");
	refuses("iam_endpoint=ftp://x", "p", "iam_endpoint");
	loads("endpoint=http://example.com,insecure_http", "p");
	fx_vars(VARS("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER=http://127.0.0.1:1/",
		"SECRET_MANAGER_EMULATOR_HOST=127.0.0.1:1"));
	loads(NULL, "p");
	cr_assert_null(fx.conf->endpoint);
	fx_end();
}

Test(gcp_conf, the_universe)
{
	fx_begin(VARS("GOOGLE_CLOUD_UNIVERSE_DOMAIN=example.cloud"));
	loads(NULL, "p");
	cr_assert_str_eq(fx.conf->universe, "example.cloud");
	loads("universe=other.cloud", "p");
	cr_assert_str_eq(fx.conf->universe, "other.cloud");
	refuses("universe=https://x", "p", "universe: https://x is no domain");
	refuses("universe=cloud", "p", "is no domain");
	refuses("universe=a..b", "p", "is no domain");
	fx_vars(VARS("GOOGLE_CLOUD_UNIVERSE_DOMAIN="));
	loads(NULL, "p");
	cr_assert_null(fx.conf->universe);
	fx_end();
}

Test(gcp_conf, principals)
{
	fx_begin(VARS("GOOGLE_CLOUD_QUOTA_PROJECT=env-quota"));
	loads("impersonate=sa@my-proj.iam.gserviceaccount.com", "p");
	cr_assert_str_eq(fx.conf->quota_project, "env-quota");
	cr_assert_not(fx.conf->token_endpoint);
	loads("quota_project=q,subject=jane@example.com", "p");
	cr_assert_str_eq(fx.conf->quota_project, "q");
	cr_assert(fx.conf->token_endpoint);
	refuses("impersonate=sa", "p", "impersonate: sa is no address");
	refuses("impersonate=a/b@c.d", "p", "is no address");
	refuses("impersonate=a@b.c:x", "p", "is no address");
	refuses("subject=@b.c", "p", "subject: @b.c is no address");
	fx_end();
}

Test(gcp_conf, the_metadata_server)
{
	fx_begin(NULL);
	loads(NULL, "p");
	cr_assert_str_eq(fx.conf->metadata_url, "http://metadata.google.internal");
	cr_assert_str_eq(fx.conf->metadata_ping, "http://169.254.169.254");
	cr_assert_eq(fx.conf->metadata_timeout, 3 * NSEC_PER_SEC);
	cr_assert_eq(fx.conf->metadata_attempts, 3);
	cr_assert_not(fx.conf->metadata_off || fx.conf->metadata_likely);
	fx_vars(VARS("GCE_METADATA_ROOT=localhost:8080", "GCE_METADATA_IP=127.0.0.1:8080",
		"GCE_METADATA_TIMEOUT=5", "GCE_METADATA_DETECT_RETRIES=1", "NO_GCE_CHECK=True"));
	loads(NULL, "p");
	cr_assert_str_eq(fx.conf->metadata_url, "http://localhost:8080");
	cr_assert_str_eq(fx.conf->metadata_ping, "http://127.0.0.1:8080");
	cr_assert_eq(fx.conf->metadata_timeout, 5 * NSEC_PER_SEC);
	cr_assert_eq(fx.conf->metadata_attempts, 1);
	cr_assert(fx.conf->metadata_off);
	fx_vars(VARS("GCE_METADATA_HOST=evil.example.com"));
	refuses(NULL, "p", "GCE_METADATA_HOST: plain http to evil.example.com");
	fx_vars(VARS("GCE_METADATA_HOST=localhost/x"));
	refuses(NULL, "p", "GCE_METADATA_HOST must be HOST or HOST:PORT");
	fx_vars(VARS("GCE_METADATA_IP=user@127.0.0.1"));
	refuses(NULL, "p", "GCE_METADATA_IP must be HOST or HOST:PORT");
	fx_vars(VARS("GCE_METADATA_TIMEOUT=0"));
	refuses(NULL, "p", "GCE_METADATA_TIMEOUT must be a number from 1 to 60");
	fx_end();
}

Test(gcp_conf, executables_are_allowed_by_one_word_only)
{
	fx_begin(VARS("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"));
	loads(NULL, "p");
	cr_assert(fx.conf->executables);
	fx_vars(VARS("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=yes"));
	loads(NULL, "p");
	cr_assert_not(fx.conf->executables);
	fx_end();
}

Test(gcp_conf, no_memory_is_an_error_at_each_step)
{
	fx_begin(VARS("GOOGLE_CLOUD_QUOTA_PROJECT=q", "GCE_METADATA_HOST=localhost"));
	fx_file("key.json", KEY_FILE);
	fx_file(".config/gcloud/configurations/config_default", "[core]\nproject = gc\n");
	char options[600];
	snprintf(options, sizeof(options), "endpoint=https://x.y,%s",
		fx_say_path("credentials=", "key.json"));
	fx_options(options);
	bool hit = true;
	for (unsigned long n = 1; hit; n++) {
		alloc_fail_at(n);
		int r = fx_conf("");
		hit = alloc_fail_at(0) >= n;
		cr_assert(r == 0 || r == -ENOMEM, "%lu: %d %s", n, r, fx.err.msg);
	}
	fx_end();
}
