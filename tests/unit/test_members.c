/* SPDX-License-Identifier: Apache-2.0 */
/* Members that may be absent or null, and which of them are told. */
#include "backends/members.h"

#include "json_fixture.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

TestSuite(members, .fini = doc_end);

Test(members, absent_and_null_are_the_same)
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

Test(members, facts_are_those_chosen)
{
	const struct json_node *o = parse("{\"a\":\"n\",\"value\":\"canary\",\"c\":[ {\"k\" : 1} ],"
					  "\"d\":null,\"e\":false,\"b\\u0061d\":2}");
	static const char *const never[] = {"value", "bad", NULL};
	static const char *const only[] = {"a", "value", "e", NULL};
	struct buf b = BUF_INIT(1000);
	cr_expect_eq(member_facts(doc, o, NULL, never, &b), 0);
	cr_expect_str_eq(buf_text(&b), "{\"a\":\"n\",\"c\":[{\"k\":1}],\"e\":false}");
	buf_reset(&b);
	cr_expect_eq(member_facts(doc, o, only, never, &b), 0);
	cr_expect_str_eq(buf_text(&b), "{\"a\":\"n\",\"e\":false}");
	buf_clear(&b);
}
