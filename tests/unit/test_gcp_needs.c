/* SPDX-License-Identifier: Apache-2.0 */
/* What a source at Google Cloud needs of the machine, found out before the mount. */
#include "fakes/http_script.h"

#include "gcp_cred_fixture.h"

/* The core's side of backends/needs.h: collects lines. */
struct needs {
	const char *const *vars;
	const char *home;
	char text[4096];
	int r; /* of the next line */
};

static int tell(struct needs *n, const char *what, const char *arg)
{
	size_t at = strlen(n->text), len = strlen(fx.home);
	bool home = len && strncmp(arg, fx.home, len) == 0;
	if (strcmp(what, "env") != 0)
		snprintf(n->text + at, sizeof(n->text) - at, "%s %s%s\n", what, home ? "~" : "",
			home ? arg + len : arg);
	return n->r;
}

const char *needs_getenv(const struct needs *n, const char *name)
{
	for (const char *const *v = n->vars; v && *v; v++)
		if (strncmp(*v, name, strlen(name)) == 0 && (*v)[strlen(name)] == '=')
			return *v + strlen(name) + 1;
	return NULL;
}

const char *needs_home(const struct needs *n)
{
	return n->home;
}

const struct path_env *needs_paths(const struct needs *n)
{
	(void)n;
	return &fx.paths;
}

static char patterns[1024];

int needs_env(struct needs *n, const char *pattern)
{
	size_t at = strlen(patterns);
	snprintf(patterns + at, sizeof(patterns) - at, "%s ", pattern);
	return tell(n, "env", pattern);
}

int needs_file(struct needs *n, const char *path)
{
	return tell(n, "file", path);
}

int needs_dir(struct needs *n, const char *path)
{
	return tell(n, "dir", path);
}

int needs_command(struct needs *n, const char *line)
{
	return tell(n, "command", line);
}

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define GCLOUD                                  \
	"file ~/.config/gcloud/active_config\n" \
	"dir ~/.config/gcloud/configurations\n"
#define WELL_KNOWN "file ~/.config/gcloud/application_default_credentials.json\n"

static int ask(struct needs *n, const char *options)
{
	fx_options(options);
	err_clear(&fx.err);
	*patterns = '\0';
	return gcp_needs("my-proj", &fx.opts, n, &fx.err);
}

static void needs_are(const char *options, const char *const *vars, const char *want)
{
	struct needs n = {.vars = vars, .home = fx.home};
	cr_assert_eq(ask(&n, options), 0, "%s", fx.err.msg);
	cr_assert_str_eq(n.text, want);
}

Test(gcp_needs, the_usual_files)
{
	fx_begin(NULL);
	needs_are(NULL, NULL, WELL_KNOWN GCLOUD);
	fx_end();
}

/* Each variable that is read anywhere must be among those taken along, or it is not seen. */
Test(gcp_needs, variables)
{
	static const char *const all[] = {"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
		"CLOUDSDK_ACTIVE_CONFIG_NAME", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT",
		"GCLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT", "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
		"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "GCE_METADATA_HOST",
		"GCE_METADATA_ROOT", "GCE_METADATA_IP", "GCE_METADATA_TIMEOUT",
		"GCE_METADATA_DETECT_RETRIES", "NO_GCE_CHECK", "KUBERNETES_SERVICE_HOST",
		"K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_SERVICE"};
	struct needs n = {0};
	fx_begin(NULL);
	cr_assert_eq(ask(&n, NULL), 0, "%s", fx.err.msg);
	cr_assert_str_eq(n.text, ""); /* no home directory: no files */
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		bool there = false;
		char list[sizeof(patterns)], *rest = list;
		memcpy(list, patterns, sizeof(list));
		for (char *word; (word = strtok_r(rest, " ", &rest)) && !there;)
			there = env_matches(word, all[i]);
		cr_expect(there, "%s", all[i]);
	}
	cr_expect_null(strstr(patterns, "GOOGLE_*"), "a key of another product is no business of "
						     "ours");
	fx_end();
}

Test(gcp_needs, what_options_and_variables_name)
{
	fx_begin(NULL);
	needs_are("credentials=/etc/key.json", VARS("GOOGLE_APPLICATION_CREDENTIALS=/x.json"),
		"file /etc/key.json\n" GCLOUD);
	needs_are("token_file=/run/token", NULL, "file /run/token\n" GCLOUD);
	needs_are(NULL, VARS("GOOGLE_APPLICATION_CREDENTIALS=/x.json"), "file /x.json\n" GCLOUD);
	needs_are(NULL, VARS("GOOGLE_APPLICATION_CREDENTIALS="), WELL_KNOWN GCLOUD);
	needs_are(NULL, VARS("CLOUDSDK_CONFIG=/gc"),
		"file /gc/application_default_credentials.json\nfile /gc/active_config\n"
		"dir /gc/configurations\n");
	fx_end();
}

#define EXTERNAL                                                                  \
	"{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/x\"," \
	"\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\","        \
	"\"token_url\":\"https://sts.googleapis.com/v1/token\","                  \
	"\"credential_source\":{\"file\":\"/var/run/token\"}}"

Test(gcp_needs, what_a_credentials_file_names)
{
	fx_begin(NULL);
	fx_file("ext.json", EXTERNAL);
	const char *option = fx_say_path("credentials=", "ext.json");
	needs_are(option, NULL, "file ~/ext.json\nfile /var/run/token\n" GCLOUD);
	fx_file("ext.json",
		"{\"type\":\"impersonated_service_account\",\"source_credentials\":" EXTERNAL "}");
	needs_are(option, NULL, "file ~/ext.json\nfile /var/run/token\n" GCLOUD);
	fx_file("ext.json",
		"{\"type\":\"impersonated_service_account\",\"source_credentials\":"
		"{\"type\":\"impersonated_service_account\",\"source_credentials\":" EXTERNAL "}}");
	needs_are(option, NULL, "file ~/ext.json\n" GCLOUD); /* open() refuses it */
	fx_file("ext.json", "{\"type\":\"CANARY");
	needs_are(option, NULL, "file ~/ext.json\n" GCLOUD); /* open() tells */
	fx_end();
}

Test(gcp_needs, what_cannot_be_is_told_before_the_mount)
{
	struct needs n = {.home = fx.home, .vars = VARS("GOOGLE_APPLICATION_CREDENTIALS=x.json")};
	fx_begin(NULL);
	cr_assert_eq(ask(&n, NULL), -EINVAL);
	cr_assert(strstr(fx.err.msg, "GOOGLE_APPLICATION_CREDENTIALS must be an absolute path"),
		"%s", fx.err.msg);
	n.vars = VARS("CLOUDSDK_CONFIG=gc");
	cr_assert_eq(ask(&n, NULL), -EINVAL);
	n.vars = NULL;
	n.r = -E2BIG;
	cr_assert_eq(ask(&n, NULL), -E2BIG);
	fx_end();
}
