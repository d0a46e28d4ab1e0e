/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of credential chains: renewal, rejection, changed sources. */
#include "cred_fixture.h"

/* ---- renewal ---- */

Test(cred, renewed_in_the_background_before_it_expires)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(41 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 1);
	pass(5 * MIN); /* 14 left */
	hold(true);
	gives(c, "key-1"); /* without waiting */
	until_inside();
	gives(c, "key-1");
	hold(false);
	cred_settle(c);
	gives(c, "key-2");
	cr_assert_eq(ran(0), 2);
	cred_chain_free(c);
}

Test(cred, short_lives_are_renewed_in_their_last_quarter)
{
	struct cred_chain *c = chain(4 * MIN);
	gives(c, "key-1");
	pass(160 * NSEC_PER_SEC);
	gives(c, "key-1");
	cred_settle(c);
	cr_assert_eq(ran(0), 1);
	pass(30 * NSEC_PER_SEC);
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred, near_the_end_callers_wait_for_the_renewal)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(56 * MIN);
	gives(c, "key-2");
	cred_chain_free(c);
}

/* aws.md case 42 */
Test(cred, while_renewal_fails_a_valid_set_is_served_then_it_is_expired)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	answers(0, -EHOSTUNREACH);
	pass(46 * MIN); /* 14 left */
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-1");
	cr_assert_eq(ran(0), 2);
	pass(10 * MIN); /* 4 left */
	gives(c, "key-1");
	cr_assert_eq(ran(0), 3);
	pass(4 * MIN);
	struct sfs_err err = fails(c, EKEYEXPIRED);
	cr_assert(strstr(err.msg, "the credentials (the first) expired at 2023-11-14T23:13:20Z and "
				  "cannot be renewed: row 0 has nothing"),
		"%s", err.msg);
	cr_assert(err_transient(&err), "whoever gives them is away: a cached value is better");
	answers(0, -EACCES);
	pass(30 * NSEC_PER_SEC);
	err = fails(c, EKEYEXPIRED);
	cr_assert_not(err_transient(&err), "refused: access really ends");
	answers(0, 0);
	pass(30 * NSEC_PER_SEC);
	gives(c, "key-6");
	cred_chain_free(c);
}

Test(cred, waiting_for_the_renewal_of_a_good_set_ends_at_half_of_the_time)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	pass(56 * MIN);
	hold(true);
	struct call call = {.deadline = clock_boot() - 1}; /* no time at all */
	struct cred *set = NULL;
	cr_assert_eq(cred_get(c, &call, &set, NULL), 0);
	cred_unref(set);
	until_inside();
	hold(false);
	cred_settle(c);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred, a_source_that_has_nothing_newer_is_not_asked_at_each_read)
{
	struct cred_chain *c = chain(60 * MIN);
	src.serial = 0;
	gives(c, "key-0");
	struct cred *was = cred_current(c);
	pass(50 * MIN);
	src.life = 10 * MIN; /* the same expiry again */
	for (int i = 0; i < 100; i++) {
		gives(c, "key-0");
		cred_settle(c);
	}
	cr_assert_eq(ran(0), 2);
	struct cred *now = cred_current(c);
	cr_assert_eq(was, now); /* one set, one object */
	cred_unref(was);
	cred_unref(now);
	pass(MIN);
	src.life = 60 * MIN;
	src.serial = 7;
	gives(c, "key-0");
	cred_settle(c);
	gives(c, "key-7");
	cred_chain_free(c);
}

Test(cred, what_a_row_gives_must_not_be_expired)
{
	struct cred_chain *c = chain(-MIN);
	struct sfs_err err = fails(c, EKEYEXPIRED);
	cr_assert_str_eq(err.msg, "what the first gives expired at 2023-11-14T22:12:20Z");
	walk_is(c, "[one failed: what the first gives expired at 2023-11-14T22:12:20Z][two not "
		   "reached]");
	cred_chain_free(c);
}

Test(cred, the_clock_of_the_provider_decides)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	cred_skew(c, 57 * MIN);
	cr_assert_eq(cred_clock(c), clock_wall() + 57 * MIN);
	gives(c, "key-2");
	cred_chain_free(c);
}

Test(cred, no_row_after_the_winner_is_asked_while_its_set_is_valid)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	answers(0, -ENODATA); /* its file was removed */
	pass(50 * MIN);
	gives(c, "key-1");
	cred_settle(c);
	gives(c, "key-1");
	cr_assert_eq(ran(1), 0);
	pass(11 * MIN); /* and then it is as it would be after a restart */
	gives(c, "key-4");
	cr_assert_eq(ran(1), 1);
	cred_chain_free(c);
}

/* ---- rejected, changed ---- */

Test(cred, a_rejected_set_is_fetched_anew_once_each_ten_seconds)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	struct cred *bad = cred_current(c);
	cr_assert(cred_reject(c, bad));
	gives(c, "key-2");
	cr_assert(cred_reject(c, bad)); /* another one is current already */
	gives(c, "key-2");
	cr_assert_eq(ran(0), 2);
	struct cred *worse = cred_current(c);
	cr_assert_not(cred_reject(c, worse));
	gives(c, "key-2");
	pass(10 * NSEC_PER_SEC);
	cr_assert(cred_reject(c, worse));
	gives(c, "key-3");
	cred_unref(bad);
	cred_unref(worse);
	cred_chain_free(c);
}

Test(cred, a_rejected_set_is_not_served_when_there_is_no_newer)
{
	struct cred_chain *c = chain(60 * MIN);
	gives(c, "key-1");
	struct cred *bad = cred_current(c);
	answers(0, -EHOSTUNREACH);
	cr_assert(cred_reject(c, bad));
	struct sfs_err err = fails(c, EHOSTUNREACH);
	cr_assert(strstr(err.msg, "did not accept the credentials (the first)"), "%s", err.msg);
	cr_assert(cred_reject(c, bad)); /* is one already */
	fails(c, EHOSTUNREACH);
	cr_assert_eq(ran(0), 2);
	answers(0, 0);
	pass(2 * NSEC_PER_SEC);
	gives(c, "key-3");
	cred_unref(bad);
	cred_chain_free(c);
}

Test(cred, the_same_set_again_ends_a_rejection)
{
	struct cred_chain *c = chain(0);
	src.serial = 0;
	gives(c, "key-0");
	struct cred *bad = cred_current(c), *again = NULL;
	struct call call = call_of(10);
	cr_assert(cred_reject(c, bad));
	cr_assert_eq(cred_get(c, &call, &again, NULL), 0);
	cr_assert_eq(again, bad);
	cr_assert_eq(ran(0), 2);
	cred_unref(bad);
	cred_unref(again);
	cred_chain_free(c);
}

Test(cred, a_changed_source_is_read_at_the_next_get)
{
	struct cred_chain *c = chain(0);
	gives(c, "key-1");
	pass(2 * NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-2");
	src.changed = true;
	gives(c, "key-2"); /* looked at once a second */
	pass(2 * NSEC_PER_SEC);
	gives(c, "key-3");
	cr_assert_eq(ran(0), 3);
	cred_chain_free(c);
}

/* rows 47 to 49 of the matrix: what the file holds now cannot be used */
Test(cred, a_source_that_broke_leaves_the_old_set)
{
	struct cred_chain *c = chain(0);
	gives(c, "key-1");
	answers(0, -EBADMSG);
	pass(2 * NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-1");
	gives(c, "key-1");
	cr_assert_eq(ran(0), 2);
	answers(0, 0);
	pass(2 * NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-3");
	cred_chain_free(c);
}

Test(cred, a_change_forgets_a_remembered_failure)
{
	struct cred_chain *c = chain(0);
	answers(0, -EACCES);
	for (int i = 0; i < 8; i++) {
		fails(c, EACCES);
		pass(31 * NSEC_PER_SEC);
	}
	fails(c, EACCES);
	answers(0, 0);
	pass(2 * NSEC_PER_SEC);
	fails(c, EACCES); /* still remembered */
	pass(NSEC_PER_SEC);
	src.changed = true;
	gives(c, "key-10");
	cred_chain_free(c);
}
