/* SPDX-License-Identifier: Apache-2.0 */
/* What identity federation needs of the machine, found out before the mount. */
#include "fakes/http_script.h"

#include "gcp_cred_fixture.h"

#include "backends/gcp_external.h"

/* The core's side of backends/needs.h: collects lines, with the home directory as "~". */
struct needs {
	char text[4096];
	int r; /* of each line */
};

static int tell(struct needs *n, const char *what, const char *arg)
{
	size_t len = strlen(fx.home);
	snprintf(n->text + strlen(n->text), sizeof(n->text) - strlen(n->text), "%s ", what);
	for (const char *at; (at = strstr(arg, fx.home)); arg = at + len)
		snprintf(n->text + strlen(n->text), sizeof(n->text) - strlen(n->text), "%.*s~",
			(int)(at - arg), arg);
	snprintf(n->text + strlen(n->text), sizeof(n->text) - strlen(n->text), "%s\n", arg);
	return n->r;
}

const char *needs_getenv(const struct needs *n, const char *name)
{
	(void)n;
	(void)name;
	return NULL;
}

const char *needs_home(const struct needs *n)
{
	(void)n;
	return fx.home;
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

int needs_command(struct needs *n, const char *line)
{
	return tell(n, "command", line);
}

#define ACCOUNT(source)                                                                         \
	"{\"type\":\"external_account\",\"audience\":\"//iam/p\",\"subject_token_type\":\"t\"," \
	"\"token_url\":\"https://s/\",\"credential_source\":{" source "}}"

static int ask(const char *text, bool programs, struct needs *n)
{
	_cleanup_(gcp_doc_clear) struct gcp_doc doc = GCP_DOC_INIT;
	err_clear(&fx.err);
	cr_assert_eq(buf_str(&doc.text, text), 0);
	cr_assert_eq(gcp_doc_parse(&doc, "/c.json", &fx.err), 0, "%s", fx.err.msg);
	return gcp_external_needs(&fx.env, &doc, programs, n, &fx.err);
}

static void needs_are(const char *text, bool programs, const char *want)
{
	struct needs n = {.text = ""};
	fx_begin(NULL);
	cr_assert_eq(ask(text, programs, &n), 0, "%s", fx.err.msg);
	cr_assert_str_eq(n.text, want);
	fx_end();
}

static void refuses(const char *text, int needs_r, int code, const char *words)
{
	struct needs n = {.r = needs_r};
	fx_begin(NULL);
	cr_assert_eq(ask(text, true, &n), -code, "%s", fx.err.msg);
	cr_assert(strstr(fx.err.msg, words), "%s", fx.err.msg);
	fx_end();
}

#define PROGRAM ACCOUNT("\"executable\":{\"command\":\"/opt/t 'a b'\",\"output_file\":\"~/out\"}")

Test(gcp_external_needs, what_each_source_needs)
{
	needs_are(ACCOUNT("\"file\":\"/var/run/tok\""), false, "file /var/run/tok\n");
	needs_are(ACCOUNT("\"file\":\"~/tok\""), true, "file ~/tok\n");
	needs_are(ACCOUNT("\"url\":\"http://127.0.0.1/t\""), true, "");
	needs_are(ACCOUNT("\"environment_id\":\"aws1\",\"regional_cred_verification_url\":\"x\""),
		false,
		"env AWS_REGION\nenv AWS_DEFAULT_REGION\nenv AWS_ACCESS_KEY_ID\n"
		"env AWS_SECRET_ACCESS_KEY\nenv AWS_SESSION_TOKEN\n");
	needs_are(PROGRAM, true,
		"file ~/out\ncommand /opt/t 'a b'\nGOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=//iam/p\n"
		"GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=t\nGOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0\n"
		"GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=~/out\n");
}

/* case 42: nothing that could be run is fixed */
Test(gcp_external_needs, a_program_that_is_not_allowed_is_not_told)
{
	needs_are(PROGRAM, false, "");
}

Test(gcp_external_needs, what_cannot_be_is_said_before_the_mount)
{
	refuses(PROGRAM, -EINVAL, EINVAL, "output_file");
	refuses(ACCOUNT("\"executable\":{\"command\":\"/opt/t 'a\"}"), -EINVAL, EBADMSG,
		"/c.json: command is no command line");
	refuses(ACCOUNT("\"file\":\"relative/tok\""), 0, EINVAL, "/c.json");
	refuses(ACCOUNT("\"file\":\"/tok\""), -E2BIG, E2BIG, "credential_source.file");
	refuses(ACCOUNT("\"certificate\":{}"), 0, EBADMSG, "certificate");
}
