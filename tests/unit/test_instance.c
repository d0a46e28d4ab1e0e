/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, fetching through the worker threads, closing. */
#include "instance_fixture.h"

#include <sched.h>

/* --- opening --- */

Test(instance, opens_with_a_copy_of_its_configuration, .init = set_up)
{
	char name[] = "prod";

	cr_assert_eq(try_open(name), 0);
	name[0] = 'X';
	cr_assert_str_eq(instance_conf(in)->name, "prod");
	cr_assert_str_eq(fake.location, "here");
	tear_down();
	cr_assert_eq(fake.closes, 1u);
}

Test(instance, a_failed_open_names_the_instance_and_does_not_close, .init = set_up)
{
	struct instance *before = in;

	fake.open_code = ENOENT;
	cr_assert_eq(try_open("prod"), -ENOENT);
	cr_assert_str_eq(err.msg, "prod: no such file");
	cr_assert_eq(in, before, "untouched");
	cr_assert_eq(fake.closes, 0u);
	store_free(store);
}

Test(instance, a_required_call_that_lacks_is_named, .init = set_up)
{
	ops.get = NULL;
	cr_assert_eq(try_open("prod"), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "get"));
	store_free(store);
}

Test(instance, no_memory_at_every_allocation, .init = set_up)
{
	unsigned long n;

	for (n = 1;; n++) {
		int r;

		alloc_fail_at(n);
		r = try_open("prod");
		if (alloc_fail_at(0) < n)
			break;
		cr_assert_eq(r, -ENOMEM, "allocation %lu", n);
	}
	cr_assert_gt(n, 8u);
	tear_down();
}

/* --- get --- */

Test(get, brings_the_value, .init = set_up)
{
	struct reader r;

	open_it();
	start_read("db", &r);
	sem_wait(&r.done);
	cr_assert_eq(secret_len(r.p->parts[0].bytes), 2u);
	cr_assert_not_null(r.p->version);
	payload_unref(r.p);
	tear_down();
}

Test(get, an_error_has_instance_call_and_escaped_name, .init = set_up)
{
	struct reader r;

	open_it();
	fake.get_code = -EACCES;
	strcpy(fake.said, "needs secretsmanager:GetSecretValue");
	cr_assert_eq(read_it("d\033b", &r), EACCES);
	cr_assert_str_eq(r.err.msg, "aws/prod: get d\\x1bb: needs secretsmanager:GetSecretValue");
	tear_down();
}

Test(get, an_error_without_a_sentence_gets_one, .init = set_up)
{
	struct reader r;

	open_it();
	fake.get_code = -EACCES;
	cr_assert_eq(read_it("db", &r), EACCES);
	cr_assert_not_null(strstr(r.err.msg, "Permission denied"));
	tear_down();
}

Test(get, return_values_that_are_no_errno_are_eio, .init = set_up)
{
	static const int absurd[] = {1, 5000, -5000, -ENOSYS, -ESTALE, INT_MIN};
	struct reader r;

	open_it();
	for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
		fake.get_code = absurd[i];
		cr_assert_eq(read_it("db", &r), EIO, "%d gave %d", absurd[i], r.err.code);
	}
	tear_down();
}

Test(get, success_without_a_value_is_ebadmsg, .init = set_up)
{
	struct reader r;

	open_it();
	fake.no_value = true;
	cr_assert_eq(read_it("db", &r), EBADMSG);
	tear_down();
}

Test(get, keys_that_lack_are_ebadmsg, .init = set_up)
{
	struct reader r;

	open_it();
	fake.half_value = true;
	cr_assert_eq(read_it("db", &r), EBADMSG);
	tear_down();
}

Test(get, a_payload_that_the_back_end_still_holds_is_refused, .init = set_up)
{
	struct payload *p = payload_new();
	struct reader r;

	open_it();
	cr_assert_eq(payload_add(p, NULL, secret_new("x", 1)), 0);
	fake.give = payload_ref(p);
	cr_assert_eq(read_it("db", &r), EBADMSG);
	payload_unref(p);
	tear_down();
}

Test(get, one_byte_over_the_limit_is_efbig, .init = set_up)
{
	struct reader r;

	open_it();
	fake.value_len = SFS_VALUE_MAX;
	cr_assert_eq(read_it("db", &r), 0);
	fake.value_len++;
	cr_assert_eq(read_it("db", &r), EFBIG);
	cr_assert_not_null(strstr(r.err.msg, "1048577"), "%s", r.err.msg);
	tear_down();
}

Test(get, bad_metadata_is_dropped_and_the_value_served, .init = set_up)
{
	struct reader r;

	open_it();
	fake.meta = "[\"no object\"]";
	start_read("db", &r);
	sem_wait(&r.done);
	cr_assert_null(r.p->meta);
	payload_unref(r.p);
	fake.meta = "{\"tags\":[]}";
	start_read("db", &r);
	sem_wait(&r.done);
	cr_assert_str_eq(r.p->meta, "{\"tags\":[]}");
	payload_unref(r.p);
	tear_down();
}

Test(get, an_endless_version_is_ebadmsg, .init = set_up)
{
	static char version[SFS_VERSION_MAX + 2];
	struct reader r;

	open_it();
	memset(version, 'v', SFS_VERSION_MAX + 1);
	fake.version = version;
	cr_assert_eq(read_it("db", &r), EBADMSG);
	tear_down();
}

/* The thread that brought a value lets go of it a moment after its readers were told. */
static void wait_idle(const char *name)
{
	struct entry_policy pol = {0};
	struct entry *e = store_entry(store, instance_source(in), name, NULL, &pol);
	struct payload *p = entry_peek(e);

	while (atomic_load(&p->refs) > 2)
		sched_yield();
	payload_unref(p);
	entry_unref(e);
}

Test(get, r3_enomem_makes_room_and_tries_once_more, .init = set_up)
{
	struct reader r;

	open_it();
	cr_assert_eq(read_it("old", &r), 0);
	wait_idle("old");
	fake.enomem = 1;
	cr_assert_eq(read_it("db", &r), 0);
	cr_assert_eq(fake.gets, 3u);
	wait_idle("db");
	fake.enomem = 100;
	cr_assert_eq(read_it("dc", &r), ENOMEM, "for that file only");
	cr_assert(fake.gets > 4 && fake.gets < 12, "a few tries, not %u", fake.gets - 3);
	fake.enomem = 0;
	cr_assert_eq(read_it("dd", &r), 0);
	tear_down();
}

static void pass_time(void)
{
	clock_fake_advance(10 * NSEC_PER_SEC);
}

Test(get, enomem_is_not_tried_again_when_the_time_is_over, .init = set_up)
{
	struct reader r;

	open_it();
	fake.enomem = 100;
	fake.in_enomem = pass_time;
	cr_assert_eq(read_it("db", &r), ENOMEM);
	cr_assert_eq(fake.gets, 1u);
	tear_down();
}

static struct reader gone;

static void go_away(void)
{
	cr_assert(store_cancel(store, &gone.w));
	sem_post(&fake.entered);
}

Test(get, enomem_is_not_tried_again_for_nobody, .init = set_up)
{
	struct entry_policy pol = {0};
	struct entry *e;

	open_it();
	e = store_entry(store, instance_source(in), "db", NULL, &pol);
	fake.enomem = 100;
	fake.in_enomem = go_away;
	gone.w = (struct waiter){.done = reader_done, .deadline = CLOCK_NEVER};
	store_fetch(store, e, FETCH_NOCACHE, &gone.w);
	sem_wait(&fake.entered);
	entry_unref(e);
	tear_down();
	cr_assert_eq(fake.gets, 1u);
}

#define SHARE ((unsigned)POOL_SHARE(SFS_POOL_THREADS)) /* what one user's readers may occupy */

/* Reads n0, n1, ... and waits until `come` of them are at the back end. */
static void start_some(struct payer payer, unsigned n, unsigned come, struct reader *v)
{
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		start_read_as(payer, name, &v[i]);
	}
	for (unsigned i = 0; i < come; i++)
		sem_wait(&fake.entered);
}

/* As many as there is room for. */
static void start_reads(struct payer payer, unsigned n, struct reader *v)
{
	start_some(payer, n, SHARE, v);
}

static void end_reads(unsigned n, struct reader *v)
{
	for (unsigned i = 0; i < n; i++)
		sem_post(&fake.go);
	for (unsigned i = 0; i < n; i++) {
		sem_wait(&v[i].done);
		payload_unref(v[i].p);
	}
}

Test(get, r29_stalled_fetches_hold_up_no_listing, .init = set_up)
{
	static struct reader v[SHARE + 1];
	struct asked a;

	open_it();
	fake.stall = true;
	start_reads((struct payer){0}, SHARE + 1, v);
	cr_assert_neq(sem_trywait(&fake.entered), 0, "the last waits in the queue");
	fake.nlist = 3;
	cr_assert_eq(list_it(&a, NULL), 0);
	cr_assert_eq(a.c.listing->n, 3u);
	listing_unref(a.c.listing);
	end_reads(SHARE + 1, v);
	tear_down();
}

Test(get, a_back_end_may_take_more_at_once, .init = set_up)
{
	enum { SHARE_OF_64 = POOL_SHARE(64) };
	static struct reader v[SHARE_OF_64 + 1];

	ops.threads = 64;
	open_it();
	fake.stall = true;
	start_some((struct payer){0}, SHARE_OF_64 + 1, SHARE_OF_64, v);
	cr_assert_neq(sem_trywait(&fake.entered), 0, "the last waits in the queue");
	end_reads(SHARE_OF_64 + 1, v);
	tear_down();
}

Test(get, one_that_waited_in_the_queue_beyond_its_time_is_not_sent, .init = set_up)
{
	static struct reader v[SHARE + 1];

	open_it();
	fake.stall = true;
	start_reads((struct payer){0}, SHARE + 1, v);
	clock_fake_advance(10 * NSEC_PER_SEC);
	end_reads(SHARE + 1, v);
	cr_assert_eq(v[SHARE].err.code, ETIMEDOUT);
	cr_assert_eq(fake.gets, SHARE);
	tear_down();
}

/* The back end does not answer what the first user reads for as long as the test likes: what
 * another opens is served meanwhile, also if the first one waits for the same. */
Test(get, r32_the_burst_of_one_user_is_before_nobody_else, .init = set_up)
{
	const struct payer scanner = {.limited = true, .uid = 1000}, root = {.limited = true};
	static struct reader v[200], r, same;

	open_it();
	fake.stall = true;
	fake.brisk = "n199";
	start_reads(scanner, 200, v);
	start_read_as(root, "n199", &same);
	sem_wait(&same.done);
	cr_assert_eq(same.err.code, 0, "%s", same.err.msg);
	sem_wait(&v[199].done); /* he has it too */
	payload_unref(same.p);
	payload_unref(v[199].p);
	fake.brisk = "db";
	start_read_as(root, "db", &r);
	sem_wait(&r.done);
	cr_assert_eq(r.err.code, 0, "%s", r.err.msg);
	payload_unref(r.p);
	cr_assert_eq(fake.gets, SHARE + 2);
	end_reads(199, v);
	tear_down();
}

/* --- closing --- */

Test(instance, close_answers_who_waits_for_a_running_fetch, .init = set_up)
{
	struct reader r;

	open_it();
	fake.stall = true;
	start_read("db", &r);
	sem_wait(&fake.entered);
	sem_post(&fake.go);
	tear_down();
	sem_wait(&r.done);
	cr_assert(r.p || r.err.code == ENODEV);
	payload_unref(r.p);
	cr_assert_eq(fake.closes, 1u);
}

Test(instance, close_leaves_a_stuck_back_end_behind, .init = set_up)
{
	struct reader r;
	struct asked a;

	open_it();
	fake.stall = fake.stall_list = true;
	fake.get_code = -EIO;
	start_read("db", &r);
	sem_wait(&fake.entered);
	asked_init(&a);
	cr_assert_eq(instance_list(in, NULL, &a.c, &err), 0);
	sem_wait(&fake.listing);
	instance_close(in);
	sem_wait(&r.done);
	cr_assert_eq(r.err.code, ENODEV);
	cr_assert_eq(asked_wait(&a), ENODEV);
	cr_assert_eq(fake.closes, 0u, "it is still in use");
	sem_post(&fake.go);
	sem_post(&fake.list_go);
}
