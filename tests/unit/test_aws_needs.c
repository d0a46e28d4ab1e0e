/* SPDX-License-Identifier: Apache-2.0 */
/* What a source at AWS needs of the machine, found out before the mount. */
#include "fakes/http_script.h"

#include "aws_cred_fixture.h"

/* The core's side of backends/needs.h: collects lines. */
struct needs {
	const char *const *vars;
	const char *home;
	char text[4096];
	char notes[4096];
	int r; /* of the next line */
};

static int tell(struct needs *n, const char *what, const char *arg)
{
	size_t at = strlen(n->text), len = strlen(fx.home);
	bool home = len && strncmp(arg, fx.home, len) == 0;
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

int needs_env(struct needs *n, const char *pattern)
{
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

int needs_note(struct needs *n, const char *fmt, ...)
{
	size_t at = strlen(n->notes);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(n->notes + at, sizeof(n->notes) - at - 1, fmt, ap);
	va_end(ap);
	strcat(n->notes, "\n");
	return n->r;
}

int needs_command(struct needs *n, const char *line)
{
	int r = tell(n, "command", line);
	return strchr(line, '"') && !strchr(strchr(line, '"') + 1, '"') ? -EINVAL : r;
}

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define FILES "file ~/.aws/config\nfile ~/.aws/credentials\n"
#define SSO   "dir ~/.aws/sso/cache\n"

static int ask_of(struct needs *n, const char *location, const char *options)
{
	fx_options(options);
	err_clear(&fx.err);
	return aws_needs(location, &fx.opts, n, &fx.err);
}

static int ask(struct needs *n, const char *options)
{
	return ask_of(n, "eu-west-1", options);
}

static void needs_are(const char *options, const char *const *vars, const char *want)
{
	struct needs n = {.vars = vars, .home = fx.home};
	cr_assert_eq(ask(&n, options), 0, "%s", fx.err.msg);
	cr_assert_str_eq(n.text, want);
}

Test(aws_needs, the_usual_files_and_variables)
{
	fx_begin(NULL);
	needs_are(NULL, NULL, "env AWS_*\n" FILES SSO);
	fx_end();
}

Test(aws_needs, without_a_home_directory_only_variables)
{
	struct needs n = {0};
	fx_begin(NULL);
	cr_assert_eq(ask(&n, NULL), 0, "%s", fx.err.msg);
	cr_assert_str_eq(n.text, "env AWS_*\n");
	fx_end();
}

Test(aws_needs, what_variables_name)
{
	fx_begin(NULL);
	needs_are(NULL,
		VARS("AWS_CONFIG_FILE=/etc/aws/config", "AWS_WEB_IDENTITY_TOKEN_FILE=/var/token",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/var/pod", "AWS_CA_BUNDLE=~/ca.pem",
			"AWS_SHARED_CREDENTIALS_FILE="),
		"env AWS_*\nfile /etc/aws/config\nfile ~/.aws/credentials\nfile ~/ca.pem\n"
		"file /var/token\nfile /var/pod\n" SSO);
	fx_end();
}

#define CONFIG                                                                             \
	"[profile a]\nrole_arn = x\nsource_profile = b\nca_bundle = /etc/own.pem\n"        \
	"[profile b]\ncredential_process = \"/opt/a b/get\" --for 'b c'\n"                 \
	"[profile c]\nrole_arn = x\nweb_identity_token_file = ~/tok\nsource_profile = c\n" \
	"[profile d]\ncredential_process = /opt/other\n"

Test(aws_needs, programs_and_tokens_of_the_selected_profile_and_its_sources)
{
	fx_begin(NULL);
	fx_file(".aws/config", CONFIG);
	needs_are("profile=a", NULL,
		"env AWS_*\n" FILES
		"file /etc/own.pem\ncommand \"/opt/a b/get\" --for 'b c'\n" SSO);
	needs_are(NULL, VARS("AWS_PROFILE=d"), "env AWS_*\n" FILES "command /opt/other\n" SSO);
	needs_are(NULL, NULL, "env AWS_*\n" FILES SSO); /* not those of other profiles */
	fx_end();
}

Test(aws_needs, profiles_in_a_circle_end)
{
	struct needs n = {.home = fx.home};
	fx_begin(NULL);
	fx_file(".aws/config", CONFIG);
	cr_assert_eq(ask(&n, "profile=c"), 0, "%s", fx.err.msg);
	cr_assert(strstr(n.text, "file ~/tok\n"), "%s", n.text);
	fx_end();
}

Test(aws_needs, what_cannot_be_is_told_before_the_mount)
{
	struct needs n = {.home = fx.home};
	fx_begin(NULL);
	fx_file(".aws/config", "[default]\ncredential_process = \"/opt/get\n");
	cr_assert_eq(ask(&n, NULL), -EINVAL);
	cr_assert(strstr(fx.err.msg, "the quotes of its credential_process are not closed"), "%s",
		fx.err.msg);
	n.vars = VARS("AWS_CONFIG_FILE=config");
	cr_assert_eq(ask(&n, NULL), -EINVAL);
	cr_assert(strstr(fx.err.msg, "AWS_CONFIG_FILE must be an absolute path"), "%s", fx.err.msg);
	n.vars = NULL;
	n.r = -E2BIG;
	cr_assert_eq(ask(&n, NULL), -E2BIG);
	fx_end();
}

/* ---- what is probably forgotten ---- */

static void notes_are(
	const char *location, const char *options, const char *const *vars, const char *const *want)
{
	struct needs n = {.vars = vars, .home = fx.home};
	const char *at = n.notes;
	cr_assert_eq(ask_of(&n, location, options), 0, "%s", fx.err.msg);
	for (; *want; want++) {
		const char *line = strstr(at, *want);
		cr_assert(line && line < at + strcspn(at, "\n"), "%s: %s", *want, n.notes);
		at += strcspn(at, "\n") + 1;
	}
	cr_assert_str_eq(at, "", "and nothing else");
}

#define NOTES VARS

Test(aws_needs, a_region_that_nobody_names_is_noted)
{
	fx_begin(NULL);
	notes_are("", NULL, NULL, NOTES("no region is named"));
	notes_are("", "region=", VARS("AWS_REGION="), NOTES("no region is named"));
	notes_are("eu-west-1", NULL, NULL, NOTES(NULL));
	notes_are("", "region=eu-west-1", NULL, NOTES(NULL));
	notes_are("", NULL, VARS("AWS_REGION=eu-west-1"), NOTES(NULL));
	notes_are("", NULL, VARS("AWS_DEFAULT_REGION=eu-west-1"), NOTES(NULL));
	notes_are("", NULL, VARS("AWS_EC2_METADATA_DISABLED=true"), NOTES(NULL)); /* an error */
	fx_file(".aws/config", "[default]\nregion = eu-west-1\n[profile a]\n");
	notes_are("", NULL, NULL, NOTES(NULL));
	notes_are("", "profile=a", NULL, NOTES("no region is named"));
	fx_end();
}

Test(aws_needs, files_that_do_not_exist_are_noted)
{
	fx_begin(NULL);
	fx_file(".aws/config", "[profile a]\nweb_identity_token_file = ~/tok\n");
	fx_file("ca.pem", "x");
	notes_are("x", "profile=a", NULL, NOTES("web_identity_token_file of profile a is /"));
	notes_are("x", "cacert=/nonexistent/ca.pem", NULL,
		NOTES("cacert is /nonexistent/ca.pem, which does not exist"));
	notes_are("x", NULL, VARS("AWS_WEB_IDENTITY_TOKEN_FILE=~/tok", "AWS_CA_BUNDLE=~/ca.pem/x"),
		NOTES("AWS_CA_BUNDLE is /", "AWS_WEB_IDENTITY_TOKEN_FILE is /"));
	fx_file("tok", "x");
	notes_are("x", "profile=a", VARS("AWS_CA_BUNDLE=~/ca.pem"), NOTES(NULL));
	fx_end();
}

Test(aws_needs, a_profile_of_a_variable_that_does_not_exist_is_noted)
{
	fx_begin(NULL);
	fx_file(".aws/config", "[profile prod]\n");
	notes_are("x", NULL, VARS("AWS_PROFILE=prdo"),
		NOTES("AWS_PROFILE: there is no profile prdo"));
	notes_are("x", NULL, VARS("AWS_PROFILE=prod"), NOTES(NULL));
	notes_are("x", NULL, NULL, NOTES(NULL));
	fx_end();
}
