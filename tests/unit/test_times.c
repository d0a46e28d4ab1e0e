/* SPDX-License-Identifier: Apache-2.0 */
/* Times as providers write them: ISO 8601, seconds as JSON numbers, the form that AWS signs. */
#include "backends/aws_time.h"
#include "backends/times.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define S INT64_C(1000000000)

static void amz_is(int64_t ns, const char *expected)
{
	char date[AWS_DATE];
	cr_assert_eq(aws_time_amz(ns, date), 0);
	cr_expect_str_eq(date, expected);
}

Test(times, the_form_that_is_signed)
{
	amz_is(1440938160 * S, "20150830T123600Z");
	amz_is(1440938160 * S + S - 1, "20150830T123600Z");
	amz_is(0, "19700101T000000Z");
	amz_is(-1, "19691231T235959Z");
	amz_is(951782400 * S, "20000229T000000Z");
	amz_is(INT64_MAX, "22620411T234716Z");
	amz_is(INT64_MIN, "16770921T001243Z");
}

static void parses(const char *text, int64_t ns)
{
	int64_t got = -7;
	cr_expect_eq(times_parse(text, strlen(text), &got), 0, "%s", text);
	cr_expect_eq(got, ns, "%s: %ld", text, (long)got);
}

Test(times, iso_8601)
{
	parses("2015-08-30T12:36:00Z", 1440938160 * S);
	parses("2015-08-30T12:36:00.5Z", 1440938160 * S + S / 2);
	parses("2015-08-30T12:36:00.123456789987Z", 1440938160 * S + 123456789);
	parses("2015-08-30T12:36:00UTC", 1440938160 * S);
	parses("2015-08-30T12:36:00+00:00", 1440938160 * S);
	parses("2015-08-30T14:36:00+02:00", 1440938160 * S);
	parses("2015-08-30T09:06:00-0330", 1440938160 * S);
	parses("2015-08-30 12:36:00Z", 1440938160 * S);
	parses(" \n2015-08-30T12:36:00Z\t", 1440938160 * S);
	parses("1970-01-01T00:00:00Z", 0);
	parses("1969-12-31T23:59:59Z", -S);
	parses("2000-02-29T00:00:00Z", 951782400 * S);
	parses("2100-03-01T00:00:00Z", 4107542400 * S);
	parses("2016-12-31T23:59:60Z", 1483228800 * S);
	parses("9999-12-31T23:59:59Z", INT64_MAX);
}

Test(times, what_is_no_time)
{
	static const char *const bad[] = {"", "2015", "2015-08-30", "2015-08-30T12:36:00",
		"2015-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2015-13-01T00:00:00Z",
		"2015-00-01T00:00:00Z", "2015-01-00T00:00:00Z", "2015-04-31T00:00:00Z",
		"2015-08-30T24:00:00Z", "2015-08-30T12:60:00Z", "2015-08-30T12:36:61Z",
		"2015-08-30T12:36:00.Z", "2015-08-30T12:36:00Zx", "2015-8-30T12:36:00Z",
		"2015-08-30T12:36:00+2:00", "2015-08-30T12:36:00+24:00", "1440938160",
		"-015-08-30T12:36:00Z", "0000-01-01T00:00:00Z", "2015-08-30T12:36:00 Z"};
	int64_t got = -7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(times_parse(bad[i], strlen(bad[i]), &got), -EINVAL, "%s", bad[i]);
	cr_expect_eq(times_parse("1500-01-01T00:00:00Z", 20, &got), -ERANGE);
	cr_expect_eq(times_parse("2015-08-30T12:36:00Z", 19, &got), -EINVAL, "the length counts");
	cr_expect_eq(got, -7, "untouched");
}

/* Every day of four centuries, against the calendar of the C library. */
Test(times, back_and_forth)
{
	for (int64_t day = -100000; day < 100000; day++) {
		char date[AWS_DATE], text[30];
		int64_t got;
		cr_assert_eq(aws_time_amz(day * 86400 * S, date), 0);
		snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT00:00:00Z", date, date + 4, date + 6);
		cr_assert_eq(times_parse(text, strlen(text), &got), 0, "%s", text);
		cr_assert_eq(got, day * 86400 * S, "%s", text);
	}
}

static int epoch(const char *text, int64_t *ret)
{
	return times_epoch(text, strlen(text), ret);
}

static void epoch_is(const char *text, int64_t ns)
{
	int64_t got = -7;
	cr_expect_eq(epoch(text, &got), 0, "%s", text);
	cr_expect_eq(got, ns, "%s: %ld", text, (long)got);
}

Test(times, seconds_as_json_numbers)
{
	epoch_is("1523477145", 1523477145 * S);
	epoch_is("1523477145.713", 1523477145713000000);
	epoch_is("1.523477145713E9", 1523477145713000000);
	epoch_is("1.523477145713e+9", 1523477145713000000);
	epoch_is("15234771457130e-4", 1523477145713000000 / S * S + 713000000);
	epoch_is("1523477145.7131234567899999999999999", 1523477145713123456);
	epoch_is("0", 0);
	epoch_is("0.000000001", 1);
	epoch_is("0.0000000019", 1);
	epoch_is("1e-400", 0);
	epoch_is("0e400", 0);
	epoch_is("9223372036.854775807", INT64_MAX);
}

Test(times, what_is_no_second)
{
	static const char *const bad[] = {"", "-1", "+1", ".5", "1.", "1.e3", "1e", "1e+", "x",
		"1x", "1 ", " 1", "null", "1.5.5", "0x10", "NaN"};
	static const char *const large[] = {"9223372036.854775808", "1e10", "1e400",
		"99999999999999999999999999", "1e99999999999999999999"};
	int64_t got = -7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(epoch(bad[i], &got), -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		cr_expect_eq(epoch(large[i], &got), -ERANGE, "%s", large[i]);
	cr_expect_eq(got, -7, "untouched");
}
