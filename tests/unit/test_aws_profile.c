/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of ~/.aws/config and ~/.aws/credentials, what is refused with which line, and that no
 * sentence holds a value. */
#include "backends/aws_profile.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY "wJalrXUtnFEMI-CANARY"

static struct aws_files *fresh(void)
{
	struct aws_files *f = NULL;
	cr_assert_eq(aws_files_new(&f), 0);
	return f;
}

static void add(struct aws_files *f, const char *text, enum aws_file kind)
{
	struct sfs_err err = {0};
	cr_assert_eq(aws_files_add(f, text, strlen(text), kind,
			     kind == AWS_FILE_CONFIG ? "config" : "credentials", &err),
		0, "%s", err.msg);
}

static struct aws_files *config(const char *text)
{
	struct aws_files *f = fresh();
	add(f, text, AWS_FILE_CONFIG);
	return f;
}

static void finish(struct aws_files *f)
{
	struct secret_stats stats;
	aws_files_free(f);
	secret_stats(&stats);
	cr_assert_eq(stats.blocks, 0, "secret memory is left");
}

static void value_is(const struct aws_value *v, const char *expected)
{
	if (!expected) {
		cr_expect_null(v);
		return;
	}
	cr_assert(v, "there is no value; expected %s", expected);
	cr_expect(aws_text_is(v->text, expected), "%.*s instead of %s", (int)v->text.len, v->text.p,
		expected);
}

#define is(f, profile, key, expected) value_is(aws_files_value(f, profile, key), expected)

Test(aws_profile, profiles_and_where_values_stand)
{
	struct aws_files *f = config("[default]\nregion = us-east-1\n\n"
				     "[profile dev]\n  # a comment\nregion=eu-west-1\n"
				     "Role_ARN =  arn:aws:iam::1:role/x  \n; another\n"
				     "output =\n");
	is(f, "default", "region", "us-east-1");
	is(f, "dev", "region", "eu-west-1");
	is(f, "dev", "role_arn", "arn:aws:iam::1:role/x");
	is(f, "dev", "output", NULL);
	is(f, "dev", "missing", NULL);
	is(f, "missing", "region", NULL);
	const struct aws_value *v = aws_files_value(f, "dev", "role_arn");
	cr_expect_eq(v->line, 7);
	cr_expect_str_eq(v->origin, "config");
	cr_expect(aws_files_has_profile(f, "dev"));
	cr_expect_not(aws_files_has_profile(f, "Dev"), "names of profiles have their case");
	cr_expect_not(aws_files_has_profile(f, "profile dev"));
	finish(f);
}

Test(aws_profile, credentials_override_key_by_key)
{
	struct aws_files *f = config("[profile dev]\naws_access_key_id = A\nregion = r\n"
				     "aws_session_token = T\n");
	add(f, "[dev]\naws_access_key_id = B\naws_secret_access_key = S\naws_session_token =\n",
		AWS_FILE_CREDENTIALS);
	is(f, "dev", "aws_access_key_id", "B");
	is(f, "dev", "aws_secret_access_key", "S");
	is(f, "dev", "region", "r");
	is(f, "dev", "aws_session_token", "T");
	cr_expect_str_eq(aws_files_value(f, "dev", "aws_access_key_id")->origin, "credentials");
	finish(f);
}

Test(aws_profile, of_two_equal_keys_the_last_counts)
{
	struct aws_files *f = config("[profile a]\nx = 1\nx = 2\n[profile b]\nx = 3\n"
				     "[profile a]\ny = 4\nX = 5\n[profile b]\nx =\n");
	is(f, "a", "x", "5");
	is(f, "a", "y", "4");
	is(f, "b", "x", NULL);
	finish(f);
}

Test(aws_profile, quoted_names_and_odd_headers)
{
	struct aws_files *f =
		config("[profile \"my dev\"]\na = 1\n[ profile 'x]y' ] # why not\na = 2\n"
		       "[profile\ttab]\na = 3\n[ default ]\na = 4\n[profile \"default\"]\nb = 5\n"
		       "[profile two words]\na = 6\n[\"default\"]\nc = 7\n[profile "
		       "\"\xc3\xa9\"]\na = 8\n");
	is(f, "my dev", "a", "1");
	is(f, "x]y", "a", "2");
	is(f, "tab", "a", "3");
	is(f, "default", "a", "4");
	is(f, "default", "b", "5");
	is(f, "default", "c", "7");
	is(f, "two words", "a", "6");
	is(f, "\xc3\xa9", "a", "8");
	finish(f);
	f = fresh();
	add(f, "[bare]\na = 1\n[\"with blank\"]\na = 2\n[default]\na = 3\n", AWS_FILE_CREDENTIALS);
	is(f, "bare", "a", "1");
	is(f, "with blank", "a", "2");
	is(f, "default", "a", "3");
	finish(f);
}

Test(aws_profile, values_are_taken_as_they_are)
{
	struct aws_files *f = config("[default]\na = b = c # no comment ; here\nb = \"quoted\"\n"
				     "c=\t tabs\t \nd = a+b/c==\ne = \xff\xfe\n");
	is(f, "default", "a", "b = c # no comment ; here");
	is(f, "default", "b", "\"quoted\"");
	is(f, "default", "c", "tabs");
	is(f, "default", "d", "a+b/c==");
	is(f, "default", "e", "\xff\xfe");
	finish(f);
}

Test(aws_profile, services_and_sessions)
{
	struct aws_files *f = config(
		"[profile dev]\nservices = local\nsso_session = corp\ns3 =\n  region = nested\n"
		"[services local]\nsecrets_manager =\n  endpoint_url = http://127.0.0.1:4566\n"
		"\n  # a comment between\n\tOther = x\nSSM =\n    endpoint_url = http://ssm/?a=b\n"
		"[sso-session corp]\nsso_region = us-east-1\n");
	value_is(aws_files_service(f, "local", "secrets_manager", "endpoint_url"),
		"http://127.0.0.1:4566");
	value_is(aws_files_service(f, "local", "secrets_manager", "other"), "x");
	value_is(aws_files_service(f, "local", "ssm", "endpoint_url"), "http://ssm/?a=b");
	value_is(aws_files_service(f, "local", "sts", "endpoint_url"), NULL);
	value_is(aws_files_service(f, "other", "ssm", "endpoint_url"), NULL);
	value_is(aws_files_session(f, "corp", "sso_region"), "us-east-1");
	value_is(aws_files_session(f, "corp", "region"), NULL);
	is(f, "dev", "region", NULL);
	is(f, "dev", "endpoint_url", NULL);
	cr_expect(aws_files_has_services(f, "local"));
	cr_expect_not(aws_files_has_services(f, "corp"));
	cr_expect(aws_files_has_session(f, "corp"));
	cr_expect_not(aws_files_has_session(f, "local"));
	cr_expect_not(aws_files_has_profile(f, "local"));
	finish(f);
}

/* Sections of the credentials file are profiles, whatever they are called. */
Test(aws_profile, services_come_from_the_config_file_only)
{
	struct aws_files *f = fresh();
	add(f, "[services local]\nssm =\n  endpoint_url = http://evil\n", AWS_FILE_CREDENTIALS);
	cr_expect_not(aws_files_has_services(f, "local"));
	value_is(aws_files_service(f, "local", "ssm", "endpoint_url"), NULL);
	finish(f);
}

Test(aws_profile, indented_keys_and_values_over_several_lines)
{
	struct aws_files *f = config("[profile a]\n  region = x\n  output = json\n"
				     "[profile b]\ncredential_process = /bin/tool\n  --flag\n"
				     "\n\t'two words'\nregion = y\n");
	is(f, "a", "region", "x");
	is(f, "a", "output", "json");
	is(f, "b", "credential_process", "/bin/tool\n  --flag\n\n\t'two words'");
	is(f, "b", "region", "y");
	finish(f);
}

Test(aws_profile, crlf_byte_order_mark_and_no_line_end)
{
	struct aws_files *f = config("\xef\xbb\xbf[default]\r\nregion = a\r\n\r\n[profile b]\r\n"
				     "region = c");
	is(f, "default", "region", "a");
	is(f, "b", "region", "c");
	cr_expect_eq(aws_files_value(f, "b", "region")->line, 5);
	finish(f);
	finish(config(""));
	finish(config("\n\n# nothing\n"));
	f = config("[profile empty]");
	cr_expect(aws_files_has_profile(f, "empty"));
	finish(f);
}

static void refuses(const char *text, size_t len, const char *says)
{
	struct aws_files *f = fresh();
	struct sfs_err err = {0};
	add(f, "[default]\na = 1\n", AWS_FILE_CREDENTIALS);
	cr_expect_eq(aws_files_add(f, text, len, AWS_FILE_CONFIG, "/h/.aws/config", &err), -EINVAL,
		"read: %s", text);
	cr_expect(strstr(err.msg, says), "%s: %s", says, err.msg);
	cr_expect_not(strstr(err.msg, "CANARY"), "%s", err.msg);
	is(f, "default", "a", "1");
	is(f, "default", "b", NULL);
	add(f, "[default]\nb = 2\n", AWS_FILE_CONFIG);
	finish(f);
}

Test(aws_profile, errors_name_the_line_and_no_value)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"[default]\n" CANARY "\n", "/h/.aws/config line 2: it is neither"},
		{"[default]\n= " CANARY "\n", "line 2: there is no key"},
		{"b = " CANARY "\n", "line 1: a key before the first [section]"},
		{"\n\n[default\nb = " CANARY "\n", "line 3: the section is not closed"},
		{"[profile \"a]\nb = " CANARY "\n", "line 1: the section is not closed"},
		{"[default] " CANARY "\n", "line 1: nothing may follow"},
		{"[]\n", "line 1: the section has no name"},
		{"[profile \"\"]\n", "line 1: the section has no name"},
		{"[profile '' ]\n", "line 1: the section has no name"},
		{"[default]\nb = 1\rc = " CANARY "\n", "line 2: there is a control character"},
		{"[default]\nb = \x1b[31m" CANARY "\n", "line 2: there is a control character"},
		{"[default]\nb = \x7f\n", "line 2: there is a control character"},
		{"[default]\nb =\n  " CANARY "\n", "line 3: it is neither"},
		{"[default]\nb = x\n# comment\n  " CANARY "\n", "line 4: a value goes on after"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuses(rows[i].text, strlen(rows[i].text), rows[i].says);
	static const char nul[] = "[default]\nb = 1\nc = \0" CANARY "\n";
	refuses(nul, sizeof(nul) - 1, "line 3: there is a NUL byte");
}

Test(aws_profile, limits)
{
	struct aws_files *f = fresh();
	struct sfs_err err = {0};
	char *big = calloc(1, AWS_FILE_MAX + 1);
	cr_assert(big);
	memset(big, '\n', AWS_FILE_MAX + 1);
	cr_expect_eq(aws_files_add(f, big, AWS_FILE_MAX + 1, AWS_FILE_CONFIG, "c", &err), -EFBIG);
	cr_expect_eq(aws_files_add(f, big, AWS_FILE_MAX, AWS_FILE_CONFIG, "c", &err), 0);
	cr_expect_eq(aws_files_add(f, "", 0, AWS_FILE_CONFIG, "c", &err), -EEXIST);
	cr_expect_eq(aws_files_add(f, "", 0, AWS_FILE_CREDENTIALS, "k", &err), 0);
	free(big);
	finish(f);
}

/* Many profiles: each is found, and memory grows in steps. */
Test(aws_profile, thousands_of_profiles)
{
	struct buf text = BUF_INIT(AWS_FILE_MAX);
	char name[20], region[20];
	for (int i = 0; i < 3000; i++)
		buf_printf(&text, "[profile p%d]\nregion = r%d\n", i, i);
	struct aws_files *f = config(buf_text(&text));
	for (int i = 0; i < 3000; i += 7) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(region, sizeof(region), "r%d", i);
		is(f, name, "region", region);
	}
	buf_clear(&text);
	finish(f);
}

Test(aws_profile, every_allocation_may_fail)
{
	static const char text[] = "[profile a]\nb = c\ns =\n  d = e\n";
	for (unsigned long n = 1;; n++) {
		struct aws_files *f = fresh();
		struct sfs_err err = {0};
		alloc_fail_at(n);
		int rc = aws_files_add(f, text, strlen(text), AWS_FILE_CONFIG, "c", &err);
		alloc_fail_at(0);
		if (rc == 0) {
			cr_assert_gt(n, 3);
			finish(f);
			return;
		}
		cr_assert_eq(rc, -ENOMEM, "%d", rc);
		cr_assert_not(aws_files_has_profile(f, "a"));
		finish(f);
	}
}

static void no_profile_says(struct aws_files *f, const char *profile, const char *says)
{
	struct sfs_err err = {0};
	cr_expect_eq(aws_files_no_profile(f, profile, &err), -ENOKEY);
	cr_expect(strstr(err.msg, says), "%s", err.msg);
}

Test(aws_profile, a_missing_profile_and_what_to_do)
{
	struct aws_files *f = fresh();
	no_profile_says(f, "dev", "no file of profiles could be read");
	add(f, "[profile develop]\n[prod]\n[plugins]\n", AWS_FILE_CONFIG);
	no_profile_says(
		f, "develpo", "there is no profile develpo in config; did you mean develop?");
	no_profile_says(f, "prod", "must be written [profile prod]");
	add(f, "[staging]\n", AWS_FILE_CREDENTIALS);
	no_profile_says(f, "stagin", "in config or credentials; did you mean staging?");
	no_profile_says(f, "zzz", "there is no profile zzz in config or credentials");
	no_profile_says(f, "a\x1b[31m", "a\\x1b[31m");
	finish(f);
}
