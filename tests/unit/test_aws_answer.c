/* SPDX-License-Identifier: Apache-2.0 */
/* Members, times, facts, request bodies, names seen, pages. */
#include "backends/aws_answer.h"

#include "base/limits.h"
#include "json_fixture.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

TestSuite(aws_answer, .fini = doc_end);

Test(aws_answer, absent_and_null_are_the_same)
{
	const struct json_node *o = parse("{\"a\":null,\"b\":\"x\",\"c\":[1],\"d\":\"y\\u0000\"}");
	struct buf b = BUF_INIT(100);
	cr_expect_null(member(doc, o, "a"));
	cr_expect_null(member(doc, o, "nosuch"));
	cr_expect_null(member(doc, NULL, "a"));
	cr_expect_null(member_array(doc, o, "b"));
	cr_expect_not_null(member_array(doc, o, "c"));
	cr_expect_eq(member_string(doc, o, "a", &b), -ENODATA);
	cr_expect_eq(member_string(doc, o, "c", &b), -EBADMSG);
	cr_expect_eq(member_string(doc, o, "d", &b), -EBADMSG);
	cr_expect_eq(b.len, 0);
	cr_expect_eq(member_string(doc, o, "b", &b), 0);
	cr_expect_str_eq(buf_text(&b), "x");
	cr_expect(member_is(doc, o, "b", "x"));
	cr_expect(!member_is(doc, o, "b", "y"));
	cr_expect(!member_is(doc, o, "c", "x"));
	buf_clear(&b);
}

Test(aws_answer, times_in_every_spelling)
{
	const struct json_node *o = parse("{\"e\":1.523477145713E9,\"i\":1523477145,\"n\":null,"
					  "\"s\":\"1523477145\",\"z\":0,\"m\":-5,\"big\":1e300}");
	cr_expect_eq(aws_when(doc, o, "e"), INT64_C(1523477145713000000));
	cr_expect_eq(aws_when(doc, o, "i"), INT64_C(1523477145000000000));
	const char *none[] = {"n", "s", "z", "m", "big", "nosuch"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_expect_eq(aws_when(doc, o, none[i]), 0, "%s", none[i]);
}

Test(aws_answer, facts_never_hold_a_value)
{
	const struct json_node *o =
		parse("{\"Name\":\"n\",\"SecretString\":\"canary\",\"Value\":\"canary\",\"Tags\":[ "
		      "{\"Key\" : \"k\"} ],\"SecretBinary\":\"canary\",\"SourceResult\":\"canary\","
		      "\"Description\":null,\"Rotation\":false}");
	static const char *const only[] = {"Name", "SecretString", "Rotation", NULL};
	struct buf b = BUF_INIT(1000);
	cr_expect_eq(aws_facts(doc, o, NULL, &b), 0);
	cr_expect_str_eq(
		buf_text(&b), "{\"Name\":\"n\",\"Tags\":[{\"Key\":\"k\"}],\"Rotation\":false}");
	buf_reset(&b);
	cr_expect_eq(aws_facts(doc, o, only, &b), 0);
	cr_expect_str_eq(buf_text(&b), "{\"Name\":\"n\",\"Rotation\":false}");
	buf_clear(&b);
}

Test(aws_answer, bodies_are_put_together)
{
	struct buf b = BUF_INIT(1000);
	aws_body_begin(&b);
	aws_put(&b, "SecretId", "a\"b\\");
	aws_put_raw(&b, "MaxResults", "100");
	cr_expect_eq(aws_body_end(&b), 0);
	cr_expect_str_eq(buf_text(&b), "{\"SecretId\":\"a\\\"b\\\\\",\"MaxResults\":100}");
	buf_clear(&b);
}

Test(aws_answer, every_name_is_seen_once)
{
	struct seen s = {0};
	char name[32];
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 10000; i++) {
			snprintf(name, sizeof(name), "secret/%d", i);
			cr_assert_eq(seen_add(&s, name), round == 0, "%s", name);
		}
	cr_expect_eq(s.n, 10000);
	seen_clear(&s);
	cr_expect_eq(seen_add(&s, "secret/1"), 1);
	seen_clear(&s);
}

static int next(struct aws_pages *p, const char *text)
{
	struct sfs_err err = {0};
	const struct json_node *o = parse(text);
	int rc = aws_pages_next(p, doc, o, &err);
	cr_expect_eq(rc < 0 ? -rc : 0, err.code);
	return rc;
}

Test(aws_answer, the_last_page_has_no_token)
{
	struct aws_pages p = AWS_PAGES_INIT;
	cr_expect_eq(next(&p, "{\"NextToken\":\"t1\"}"), 1);
	cr_expect_str_eq(buf_text(&p.token), "t1");
	cr_expect_eq(next(&p, "{\"NextToken\":null}"), 0);
	cr_expect_eq(next(&p, "{\"NextToken\":\"\"}"), 0);
	cr_expect_eq(next(&p, "{}"), 0);
	cr_expect_eq(p.token.len, 0);
	cr_expect_eq(next(&p, "{\"NextToken\":7}"), -EBADMSG);
	aws_pages_clear(&p);
}

/* A token loop of `length` after `before` other tokens is found, and not long after it closed. */
static void loop_of(int before, int length)
{
	struct aws_pages p = AWS_PAGES_INIT;
	char text[64];
	int i = 0, rc = 1;
	for (; rc == 1 && i < 1000; i++) {
		int n = i < before ? i : before + (i - before) % length;
		snprintf(text, sizeof(text), "{\"NextToken\":\"t%d\"}", n);
		rc = next(&p, text);
	}
	cr_expect_eq(rc, -EBADMSG, "%d + %d", before, length);
	cr_expect_leq(i, 4 * (before + length) + 4, "%d + %d: after %d", before, length, i);
	aws_pages_clear(&p);
}

Test(aws_answer, tokens_that_go_round_are_found)
{
	loop_of(0, 1);
	loop_of(5, 1);
	loop_of(0, 2);
	loop_of(3, 7);
	loop_of(50, 20);
}

Test(aws_answer, a_listing_has_an_end)
{
	struct aws_pages p = AWS_PAGES_INIT;
	char text[64];
	int i = 0, rc = 1;
	for (; rc == 1 && i < 2 * AWS_PAGES_MAX; i++) {
		snprintf(text, sizeof(text), "{\"NextToken\":\"t%d\"}", i);
		rc = next(&p, text);
	}
	cr_expect_eq(rc, -EFBIG);
	cr_expect_eq(i, AWS_PAGES_MAX + 1);
	aws_pages_clear(&p);
}

Test(aws_answer, a_listing_starts_again_once)
{
	struct aws_pages p = AWS_PAGES_INIT;
	cr_expect(!aws_pages_restart(&p), "the first page has no token that could be stale");
	cr_expect_eq(next(&p, "{\"NextToken\":\"t1\"}"), 1);
	cr_expect(aws_pages_restart(&p));
	cr_expect_eq(p.token.len, 0);
	cr_expect_eq(next(&p, "{\"NextToken\":\"t1\"}"), 1);
	cr_expect(!aws_pages_restart(&p));
	aws_pages_clear(&p);
}
