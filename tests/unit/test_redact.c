/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redact.h"
#include <criterion/criterion.h>
#include <string.h>

static void gives(const char *text, const char *want)
{
	char out[64];
	cr_assert_str_eq(redact(text, out, sizeof(out)), want);
}

Test(redact, only_what_may_be_a_credential_goes)
{
	gives("", "");
	gives("the profile does not exist", "the profile does not exist");
	gives("key AKIAIOSFODNN7EXAMPLE is bad", "key [...] is bad");
	gives("a short1 word and a verylongwordwithoutone",
		"a short1 word and a verylongwordwithoutone");
	gives("(eyJhbGciOiJSUzI1NiJ9.abc)", "([...].abc)");
	gives("x:wJalrXUtnFEMI/K7MDENG+bPxRfiCY==", "x:[...]");
}

Test(redact, cut_at_the_size)
{
	char out[12], long_text[200];
	memset(long_text, ' ', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	cr_assert_lt(strlen(redact(long_text, out, sizeof(out))), sizeof(out));
	cr_assert_lt(strlen(redact("abcdefghijklmnop", out, sizeof(out))), sizeof(out));
	cr_assert_str_eq(redact("AKIAIOSFODNN7EXAMPLE", out, sizeof(out)), "[...]");
	cr_assert_str_eq(redact("text", out, 1), "");
}
