/* SPDX-License-Identifier: Apache-2.0 */
/* Names seen and pages of a listing. */
#include "backends/members.h"
#include "backends/pages.h"
#include "backends/seen.h"

#include "json_fixture.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

TestSuite(pages, .fini = doc_end);

Test(pages, every_name_is_seen_once)
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

static int next(struct pages *p, const char *text)
{
	struct sfs_err err = {0};
	const struct json_node *o = parse(text);
	int rc = pages_next(p, doc, member(doc, o, "NextToken"), &err);
	cr_expect_eq(rc < 0 ? -rc : 0, err.code);
	return rc;
}

Test(pages, the_last_page_has_no_token)
{
	struct pages p = PAGES_INIT;
	cr_expect_eq(next(&p, "{\"NextToken\":\"t1\"}"), 1);
	cr_expect_str_eq(buf_text(&p.token), "t1");
	cr_expect_eq(next(&p, "{\"NextToken\":null}"), 0);
	cr_expect_eq(next(&p, "{\"NextToken\":\"\"}"), 0);
	cr_expect_eq(next(&p, "{}"), 0);
	cr_expect_eq(p.token.len, 0);
	cr_expect_eq(next(&p, "{\"NextToken\":7}"), -EBADMSG);
	pages_clear(&p);
}

/* A token loop of `length` after `before` other tokens is found, and not long after it closed. */
static void loop_of(int before, int length)
{
	struct pages p = PAGES_INIT;
	char text[64];
	int i = 0, rc = 1;
	for (; rc == 1 && i < 1000; i++) {
		int n = i < before ? i : before + (i - before) % length;
		snprintf(text, sizeof(text), "{\"NextToken\":\"t%d\"}", n);
		rc = next(&p, text);
	}
	cr_expect_eq(rc, -EBADMSG, "%d + %d", before, length);
	cr_expect_leq(i, 4 * (before + length) + 4, "%d + %d: after %d", before, length, i);
	pages_clear(&p);
}

Test(pages, tokens_that_go_round_are_found)
{
	loop_of(0, 1);
	loop_of(5, 1);
	loop_of(0, 2);
	loop_of(3, 7);
	loop_of(50, 20);
}

Test(pages, a_listing_has_an_end)
{
	struct pages p = PAGES_INIT;
	char text[64];
	int i = 0, rc = 1;
	for (; rc == 1 && i < 2 * PAGES_MAX; i++) {
		snprintf(text, sizeof(text), "{\"NextToken\":\"t%d\"}", i);
		rc = next(&p, text);
	}
	cr_expect_eq(rc, -EFBIG);
	cr_expect_eq(i, PAGES_MAX + 1);
	pages_clear(&p);
}

Test(pages, a_listing_starts_again_once)
{
	struct pages p = PAGES_INIT;
	cr_expect(!pages_restart(&p), "the first page has no token that could be stale");
	cr_expect_eq(next(&p, "{\"NextToken\":\"t1\"}"), 1);
	cr_expect(pages_restart(&p));
	cr_expect_eq(p.token.len, 0);
	cr_expect_eq(next(&p, "{\"NextToken\":\"t1\"}"), 1);
	cr_expect(!pages_restart(&p));
	pages_clear(&p);
}
