/* SPDX-License-Identifier: Apache-2.0 */
/* Times, facts, request bodies, the token for the next page. */
#include "backends/aws_answer.h"

#include "base/limits.h"
#include "json_fixture.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

TestSuite(aws_answer, .fini = doc_end);

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

Test(aws_answer, the_token_is_next_token)
{
	struct pages p = PAGES_INIT;
	struct sfs_err err = {0};
	const struct json_node *o = parse("{\"NextToken\":\"t1\"}");
	cr_expect_eq(aws_pages_next(&p, doc, o, &err), 1);
	cr_expect_str_eq(buf_text(&p.token), "t1");
	o = parse("{\"NextToken\":null,\"nextPageToken\":\"t2\"}");
	cr_expect_eq(aws_pages_next(&p, doc, o, &err), 0);
	pages_clear(&p);
}
