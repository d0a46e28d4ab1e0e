/* SPDX-License-Identifier: Apache-2.0 */
/* env: and inline: sources. */
#include "backend_kit.h"

#define E backend_find("env")
#define I backend_find("inline")

static void *open_env(const char *location)
{
	void *st = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(kit_open(E, location, NULL, &st, &err), 0, "%s: %s", location, err.msg);
	return st;
}

static void env_refuses(const char *location)
{
	void *st = NULL;
	struct sfs_err err = {0};
	cr_expect_eq(kit_open(E, location, NULL, &st, &err), -EINVAL, "%s", location);
	cr_expect_null(st);
	cr_expect(strstr(err.msg, "env:DB_PASSWORD,APP_*"), "tells the syntax: %s", err.msg);
}

Test(env, names_and_prefixes)
{
	void *st = open_env("KIT_A,OTHER");
	kit_list_is(E, st, "KIT_A OTHER ");
	kit_is(E, st, "KIT_A", "alpha");
	E->close(st);
	st = open_env("KIT_*");
	kit_list_is(E, st, "KIT_A KIT_B ");
	kit_is(E, st, "KIT_B", "");
	E->close(st);
	st = open_env("*");
	kit_list_is(E, st, "HOME KIT_A KIT_B OTHER ");
	E->close(st);
}

Test(env, only_what_was_named_is_shown)
{
	void *st = open_env("KIT_A");
	kit_fails(E, st, "OTHER", ENOENT);
	kit_fails(E, st, "KIT_", ENOENT);
	E->close(st);
}

Test(env, a_name_twice_is_one_secret)
{
	void *st = open_env("KIT_A,KIT_*,KIT_A");
	kit_list_is(E, st, "KIT_A KIT_B ");
	E->close(st);
}

Test(env, an_unset_variable_does_not_exist)
{
	void *st = open_env("NOT_SET,KIT_A");
	kit_list_is(E, st, "KIT_A ");
	kit_fails(E, st, "NOT_SET", ENOENT);
	E->close(st);
}

Test(env, locations_that_make_no_sense_are_refused)
{
	env_refuses("");
	env_refuses(",");
	env_refuses("A,");
	env_refuses("A,,B");
	env_refuses("A B");
	env_refuses("A=canary");
	env_refuses("A*B");
	env_refuses("*A");
	env_refuses("A**");
}

Test(env, without_memory_opening_fails_cleanly)
{
	kit_env();
	for (unsigned long n = 1; n < 12; n++) {
		void *st = NULL;
		struct opt_values none = {0};
		alloc_fail_at(n);
		int rc = E->open(kit_backend(), "KIT_A,OTHER", &none, &st, NULL);
		alloc_fail_at(0);
		cr_expect(rc == 0 || rc == -ENOMEM);
		cr_expect_eq(rc == 0, st != NULL, "allocation %lu", n);
		E->close(st);
	}
}

static int open_inline(
	struct inline_value *v, size_t n, const char *location, void **ret, struct sfs_err *err)
{
	struct backend_env env = *kit_backend();
	struct opt_values none = {0};
	env.inline_values = v;
	env.n_inline = n;
	return I->open(&env, location, &none, ret, err);
}

Test(inline, values_of_the_configuration)
{
	struct inline_value v[] = {
		{"b", secret_new("2", 1)}, {"a/x", secret_new("1", 1)}, {"b", secret_new("3", 1)}};
	void *st = NULL;
	cr_assert_eq(open_inline(v, 3, "", &st, NULL), 0);
	for (size_t i = 0; i < 3; i++)
		secret_unref(v[i].value); /* they were borrowed */
	kit_list_is(I, st, "a/x b ");
	kit_is(I, st, "a/x", "1");
	kit_is(I, st, "b", "3");
	kit_fails(I, st, "c", ENOENT);
	I->close(st);
	kit_env();
}

Test(inline, without_values_or_with_a_location_refused)
{
	struct inline_value v = {"a", secret_new("canary", 6)};
	struct sfs_err err = {0};
	void *st = NULL;
	cr_expect_eq(open_inline(NULL, 0, "", &st, &err), -EINVAL);
	cr_expect(strstr(err.msg, "[values NAME]"), "%s", err.msg);
	cr_expect_eq(open_inline(&v, 1, "canary", &st, &err), -EINVAL);
	cr_expect(!strstr(err.msg, "canary"), "%s", err.msg);
	cr_expect_null(st);
	secret_unref(v.value);
}
