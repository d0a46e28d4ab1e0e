/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of listings: three spellings of one thing, and what is no filter. */
#include "backends/aws_filter.h"

#include "base/alloc.h"
#include "base/limits.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void is(const struct aws_filter_kind *kind, const char *text, const char *json, size_t count)
{
	struct buf b = BUF_INIT(100000);
	struct sfs_err err = {0};
	size_t n = 0;
	cr_expect_eq(aws_filter_parse(kind, text, &b, &n, &err), 0, "%s: %s", text, err.msg);
	cr_expect_str_eq(buf_text(&b), json, "%s", text);
	cr_expect_eq(n, count, "%s", text);
	buf_clear(&b);
}

static void fails(const struct aws_filter_kind *kind, const char *text, int code, const char *word)
{
	struct buf b = BUF_INIT(100000);
	struct sfs_err err = {0};
	size_t n = 0;
	cr_expect_eq(aws_filter_parse(kind, text, &b, &n, &err), -code, "%s", text);
	cr_expect_eq(b.len, 0, "%s: nothing is appended on failure", text);
	cr_expect_eq(n, 0);
	cr_expect(err.code == code && strstr(err.msg, word), "%s: %s", text, err.msg);
	buf_clear(&b);
}

#define ONE "{\"Key\":\"name\",\"Values\":[\"prod/\"]}"
#define TWO                                                                                        \
	"{\"Key\":\"tag-key\",\"Values\":[\"Dev\",\"Ray\"]},{\"Key\":\"name\",\"Values\":[\"prod/" \
	"\"]}"

Test(aws_filter, the_spelling_of_the_command_line)
{
	is(&aws_filter_secrets, "Key=name,Values=prod/", ONE, 1);
	is(&aws_filter_secrets, "Values=prod/,Key=name", ONE, 1);
	is(&aws_filter_secrets, "Key=tag-key,Values=Dev,Ray Key=name,Values=prod/", TWO, 2);
	is(&aws_filter_secrets, "  Key=tag-key,Values=Dev,Ray \t Key=name,Values='prod/'  ", TWO,
		2);
	is(&aws_filter_secrets, "Key=tag-value,Values=a=b,\"c, d\"",
		"{\"Key\":\"tag-value\",\"Values\":[\"a=b\",\"c, d\"]}", 1);
	is(&aws_filter_secrets, "Key=name,Values=!prod",
		"{\"Key\":\"name\",\"Values\":[\"!prod\"]}", 1);
}

Test(aws_filter, the_short_spelling)
{
	is(&aws_filter_secrets, "name=prod/", ONE, 1);
	is(&aws_filter_secrets, "tag-key=Dev,Ray name=prod/", TWO, 2);
	is(&aws_filter_secrets, "description='two words'",
		"{\"Key\":\"description\",\"Values\":[\"two words\"]}", 1);
}

Test(aws_filter, the_spelling_of_boto3)
{
	is(&aws_filter_secrets, "[{\"Key\": \"name\", \"Values\": [\"prod/\"]}]", ONE, 1);
	is(&aws_filter_secrets, "{\"Values\": [\"prod/\"], \"Key\": \"name\"}", ONE, 1);
	is(&aws_filter_secrets, " [{\"Key\":\"tag-key\",\"Values\":[\"Dev\",\"Ray\"]},\n" ONE "]",
		TWO, 2);
	is(&aws_filter_secrets, "[{\"Key\":\"name\",\"Values\":[\"\\u0022\\\\\"]}]",
		"{\"Key\":\"name\",\"Values\":[\"\\\"\\\\\"]}", 1);
}

Test(aws_filter, parameters_have_options_and_tags)
{
	is(&aws_filter_parameters, "Key=Name,Option=BeginsWith,Values=/prod",
		"{\"Key\":\"Name\",\"Option\":\"BeginsWith\",\"Values\":[\"/prod\"]}", 1);
	is(&aws_filter_parameters, "tag:team=web Type=SecureString",
		"{\"Key\":\"tag:team\",\"Values\":[\"web\"]},"
		"{\"Key\":\"Type\",\"Values\":[\"SecureString\"]}",
		2);
	is(&aws_filter_parameters, "[{\"Key\":\"tag:team\"}]", "{\"Key\":\"tag:team\"}", 1);
	is(&aws_filter_parameters,
		"[{\"Key\":\"Name\",\"Option\":\"Contains\",\"Values\":[\"x\"]}]",
		"{\"Key\":\"Name\",\"Option\":\"Contains\",\"Values\":[\"x\"]}", 1);
	fails(&aws_filter_secrets, "Key=name,Option=Equals,Values=a", EINVAL, "nothing else");
	fails(&aws_filter_parameters, "tag:=web", EINVAL, "tag:KEY");
	fails(&aws_filter_parameters, "tag:\x9d=web", EINVAL, "no key");
	fails(&aws_filter_parameters, "Key=Name,Option=\x9d,Values=a", EINVAL, "no text");
}

Test(aws_filter, what_follows_is_added)
{
	struct buf b = BUF_INIT(1000);
	size_t n = 0;
	cr_assert_eq(aws_filter_parse(&aws_filter_secrets, "tag-key=Dev,Ray", &b, &n, NULL), 0);
	cr_assert_eq(aws_filter_parse(&aws_filter_secrets, "name=prod/", &b, &n, NULL), 0);
	cr_expect_str_eq(buf_text(&b), TWO);
	cr_expect_eq(n, 2);
	buf_clear(&b);
}

Test(aws_filter, nonsense_is_told)
{
	const struct aws_filter_kind *k = &aws_filter_secrets;
	fails(k, "", EINVAL, "empty");
	fails(k, "   ", EINVAL, "empty");
	fails(k, "[]", EINVAL, "empty");
	fails(k, "prod", EINVAL, "name=prod/");
	fails(k, "=prod", EINVAL, "name=prod/");
	fails(k, "Key=name", EINVAL, "no values");
	fails(k, "Values=a", EINVAL, "lacks its key");
	fails(k, "name=", EINVAL, "1 to 512");
	fails(k, "name=a,,b", EINVAL, "1 to 512");
	fails(k, "name='a", EINVAL, "no end");
	fails(k, "colour=red", EINVAL, "tag-key");
	fails(k, "Key=name,name=a", EINVAL, "nothing else");
	fails(k, "[{\"Key\":\"name\"", EINVAL, "JSON");
	fails(k, "[1]", EINVAL, "look like");
	fails(k, "[{\"Key\":1,\"Values\":[\"a\"]}]", EINVAL, "no text");
	fails(k, "[{\"Key\":\"name\",\"Values\":\"a\"}]", EINVAL, "no list");
	fails(k, "[{\"Key\":\"name\",\"Values\":[1]}]", EINVAL, "no text");
	fails(k, "[{\"Key\":\"name\",\"Values\":[\"a\"],\"Option\":\"x\"}]", EINVAL, "no Option");
	fails(k, "[{\"Key\":\"name\",\"Values\":[\"a\\u0000b\"]}]", EINVAL, "512");
	fails(k, "name=\xff", EINVAL, "512");
}

Test(aws_filter, limits_of_the_service_are_kept)
{
	struct buf text = BUF_INIT(10000);
	for (int i = 0; i < 11; i++)
		buf_printf(&text, "name=a%d ", i);
	fails(&aws_filter_secrets, buf_text(&text), E2BIG, "10 filters");
	buf_reset(&text);
	buf_str(&text, "name=a");
	for (int i = 0; i < 10; i++)
		buf_printf(&text, ",a%d", i);
	fails(&aws_filter_secrets, buf_text(&text), E2BIG, "10 values");
	buf_reset(&text);
	buf_printf(&text, "name=%0513d", 1);
	fails(&aws_filter_secrets, buf_text(&text), EINVAL, "512");
	buf_reset(&text);
	buf_printf(&text, "name=%04097d", 1);
	fails(&aws_filter_secrets, buf_text(&text), E2BIG, "4096");
	buf_clear(&text);
}

Test(aws_filter, without_memory_nothing_is_appended)
{
	for (unsigned long at = 1; at < 20; at++) {
		struct buf b = BUF_INIT(10000);
		struct sfs_err err = {0};
		size_t n = 0;
		alloc_fail_at(at);
		int rc = aws_filter_parse(&aws_filter_secrets,
			"[{\"Key\":\"name\",\"Values\":[\"prod/\"]}]", &b, &n, &err);
		alloc_fail_at(0);
		cr_expect(rc == 0 || rc == -ENOMEM, "%lu: %d", at, rc);
		cr_expect_str_eq(buf_text(&b), rc ? "" : ONE);
		cr_expect_eq(n, rc ? 0 : 1);
		buf_clear(&b);
	}
}
