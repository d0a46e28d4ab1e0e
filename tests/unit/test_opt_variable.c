/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that take many names: env.NAME=VALUE. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/opt.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define CANARY	 "s3cr3t-CANARY-7f3a"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct opt_row rows[] = {
	{"token", OPT_SECRET, "REF", NULL, NULL, "The token."},
	{"env.*", OPT_VARIABLE, "VALUE", NULL, NULL, "Set the variable NAME."},
	{0},
};
static const struct opt_table table = {"test", rows};
static const struct opt_table *const tables[] = {&table};

static struct sfs_err err;

static int set(struct opt_values *v, const char *name, const char *text)
{
	err_clear(&err);
	return opt_set(v, tables, 1, name, text, "-o", &err);
}

static int parse(struct opt_values *v, const char *s)
{
	err_clear(&err);
	return opt_parse(v, tables, 1, s, "-o", &err);
}

Test(opt_variable, a_row_may_take_many_names_each_with_its_value)
{
	_cleanup_(opt_clear) struct opt_values v = {0}, copy = {0};
	cr_assert_eq(parse(&v, "env.AWS_PROFILE=dev,env.Lang=C,env.AWS_PROFILE=prod,env.E="), 0,
		"%s", err.msg);
	cr_assert_eq(v.n, 3, "the last one given for a name wins");
	cr_assert_eq(opt_copy(&copy, &v), 0);
	opt_clear(&v);
	const struct opt_value *p = opt_find(&copy, "env.AWS_PROFILE");
	cr_assert_str_eq(p->text, "prod");
	cr_assert_str_eq(opt_value_name(p), "env.AWS_PROFILE");
	cr_assert_str_eq(opt_variable(p), "AWS_PROFILE");
	cr_assert_null(opt_reference(p));
	cr_assert_str_eq(opt_find(&copy, "env.Lang")->text, "C");
	cr_assert_str_eq(opt_find(&copy, "env.E")->text, "");
	cr_assert_null(opt_find(&copy, "env.*"));
	cr_assert_null(opt_find(&copy, "env.LANG"));
}

Test(opt_variable, what_is_no_variable_is_refused)
{
	static const char *const bad[] = {"env.", "env.1A", "env.A-B", "env.A B", "env.*",
		"env.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	_cleanup_(opt_clear) struct opt_values v = {0};
	for (size_t i = 0; i < COUNT(bad); i++) {
		cr_assert_eq(set(&v, bad[i], CANARY), -EINVAL, "%s", bad[i]);
		cr_assert_not_null(strstr(err.msg, "option env.*"), "%s", err.msg);
		cr_assert_null(strstr(err.msg, CANARY), "%s", err.msg);
	}
	cr_assert_eq(set(&v, "env.A", NULL), -EINVAL);
	cr_assert_eq(set(&v, "env.A", CANARY "\n"), -EINVAL);
	cr_assert_null(strstr(err.msg, CANARY), "%s", err.msg);
	cr_assert_eq(v.n, 0);
}

Test(opt_variable, variables_that_hold_secrets_take_references)
{
	static const char *const secrets[] = {
		"env.API_KEY", "env.apikey", "env.TOKEN", "env.A_SECRET", "env.DB_PASSWORD"};
	static const char *const plain[] = {"env.KEY_ID", "env.TOKEN_FILE", "env.PASSWORDS"};
	_cleanup_(opt_clear) struct opt_values v = {0};
	for (size_t i = 0; i < COUNT(secrets); i++) {
		cr_assert_eq(set(&v, secrets[i], CANARY), -EINVAL, "%s", secrets[i]);
		cr_assert_not_null(strstr(err.msg, secrets[i]), "%s", err.msg);
		cr_assert_not_null(strstr(err.msg, "file:/PATH"), "%s", err.msg);
		cr_assert_null(strstr(err.msg, CANARY), "%s", err.msg);
		cr_assert_eq(set(&v, secrets[i], "fd:3"), 0, "%s", err.msg);
		cr_assert_str_eq(opt_reference(opt_find(&v, secrets[i])), "fd:3");
	}
	for (size_t i = 0; i < COUNT(plain); i++) {
		cr_assert_eq(set(&v, plain[i], "fd:3"), 0, "%s", err.msg);
		cr_assert_null(opt_reference(opt_find(&v, plain[i])), "a text like any other");
	}
	cr_assert_eq(set(&v, "token", "env:X"), 0);
	cr_assert_str_eq(opt_reference(opt_find(&v, "token")), "env:X");
	cr_assert_null(opt_variable(opt_find(&v, "token")));
}

Test(opt_variable, variables_are_not_without_number)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	char name[32];
	for (int i = 0; i < SFS_VARIABLES_MAX; i++) {
		snprintf(name, sizeof(name), "env.V%d", i);
		cr_assert_eq(set(&v, name, "x"), 0, "%s", err.msg);
	}
	cr_assert_eq(set(&v, "env.MORE", "x"), -EINVAL);
	cr_assert_eq(set(&v, "env.V0", "y"), 0, "one that is there can be changed");
	cr_assert_eq(v.n, SFS_VARIABLES_MAX);
}
