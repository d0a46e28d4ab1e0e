/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of credential chains where a lifetime is told: boot time, a part of it ahead, pauses.
 */
#include "cred_fixture.h"

Test(cred_boot, a_wall_clock_that_is_set_does_not_matter)
{
	struct cred_chain *c = boot_chain(60 * MIN);
	gives(c, "key-1");
	clock_fake(1000 * NSEC_PER_SEC + 30 * MIN, WALL + 1000 * MIN);
	gives(c, "key-1");
	clock_fake(1000 * NSEC_PER_SEC + 31 * MIN, WALL - 1000 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 1);
	clock_fake(1000 * NSEC_PER_SEC + 60 * MIN, WALL);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred_boot, a_tenth_of_the_lifetime_ahead)
{
	struct cred_chain *c = boot_chain(600 * MIN);
	gives(c, "key-1");
	pass(527 * MIN); /* a fifth of an hour before the hour: chance has not come yet */
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 1);
	pass(14 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-2");
	cr_assert_eq(ran(0), 2);
	cred_chain_free(c);
}

Test(cred_boot, the_expiry_is_shown_as_wall_time)
{
	char text[CLOCK_TEXT];
	struct cred_chain *c = boot_chain(60 * MIN);
	gives(c, "key-1");
	pass(10 * MIN);
	struct cred *set = cred_current(c);
	cr_assert_str_eq(cred_expiry_text(c, set, text), "2023-11-14T23:13:20Z");
	cred_unref(set);
	cred_chain_free(c);
}

/* A provider may name a day in the year 9999, which no clock of ours can tell. */
Test(cred_boot, an_expiry_that_no_clock_can_tell_is_shown_all_the_same)
{
	char text[CLOCK_TEXT];
	struct cred_chain *c = boot_chain(60 * MIN);
	src.until = CLOCK_NEVER;
	gives(c, "key-1");
	struct cred *set = cred_current(c);
	cr_assert_eq(set->expires, CLOCK_NEVER);
	cr_assert_str_eq(cred_expiry_text(c, set, text), "2262-04-11T23:47:16Z");
	cred_unref(set);
	cred_chain_free(c);
}

/* gcp.md section 9.6: the metadata server has nothing newer until a few minutes before expiry */
Test(cred_boot, the_same_set_again_is_not_asked_for_in_a_loop)
{
	struct cred_chain *c = boot_chain(60 * MIN);
	src.serial = 0;
	src.until = 1000 * NSEC_PER_SEC + 60 * MIN;
	gives(c, "key-0");
	pass(55 * MIN);
	gives(c, "key-0");
	cred_settle(c);
	cr_assert_eq(ran(0), 2);
	pass(50 * NSEC_PER_SEC);
	gives(c, "key-0");
	cred_settle(c);
	cr_assert_eq(ran(0), 2);
	pass(11 * NSEC_PER_SEC); /* four minutes are left */
	gives(c, "key-0");
	cred_settle(c);
	cr_assert_eq(ran(0), 3);
	pass(29 * NSEC_PER_SEC);
	gives(c, "key-0");
	cred_settle(c);
	cr_assert_eq(ran(0), 3);
	pass(2 * NSEC_PER_SEC);
	gives(c, "key-0");
	cred_settle(c);
	cr_assert_eq(ran(0), 4);
	cred_chain_free(c);
}

Test(cred_boot, failed_renewals_are_half_a_minute_apart)
{
	struct cred_chain *c = boot_chain(60 * MIN);
	gives(c, "key-1");
	answers(0, -EHOSTUNREACH);
	pass(55 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 2);
	pass(29 * NSEC_PER_SEC);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 2);
	pass(2 * NSEC_PER_SEC);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 3);
	pass(4 * MIN + 28 * NSEC_PER_SEC); /* a second is left */
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 4);
	pass(31 * NSEC_PER_SEC); /* the last failure is forgotten */
	answers(0, 0);
	gives(c, "key-5");
	cred_chain_free(c);
}

Test(cred_boot, a_source_may_be_looked_at_each_time)
{
	struct cred_chain *c = boot_chain(0);
	gives(c, "key-1");
	pass(1);
	src.changed = true;
	gives(c, "key-2");
	cred_chain_free(c);
}
