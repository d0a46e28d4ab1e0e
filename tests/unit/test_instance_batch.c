/* SPDX-License-Identifier: Apache-2.0 */
/* Hydration of an instance: several secrets in one call of the back end. */
#include "core/store_priv.h"
#include "instance_fixture.h"

#define N 45

static struct entry *entries[N];
static struct {
	atomic_uint calls, names;
	int code;	 /* of the whole call */
	const char *bad; /* this name is treated as `treat` says */
	enum { REFUSED, LEFT_OUT, BOTH, TWO_PARTS, NO_MEMORY } treat;
	bool stall;
} batch;

static void one(const char *name, struct payload **ret, struct sfs_err *e)
{
	if (!batch.bad || strcmp(name, batch.bad) != 0) {
		*ret = make_value(name);
		return;
	}
	fake.half_value = batch.treat == TWO_PARTS;
	if (batch.treat == BOTH || batch.treat == TWO_PARTS)
		*ret = make_value(name);
	fake.half_value = false;
	if (batch.treat == REFUSED || batch.treat == BOTH)
		err_set(e, EACCES, "not this one");
	if (batch.treat == NO_MEMORY)
		err_set(e, ENOMEM, "the arena is full");
}

static int get_batch(void *state, const struct call *call, const char *const *names, size_t n,
	struct payload **ret, struct sfs_err *errs, struct sfs_err *e)
{
	(void)state;
	cr_assert(n > 1 && n <= SFS_BATCH_MAX);
	cr_assert_gt(call->deadline, clock_boot());
	batch.calls++;
	batch.names += (unsigned)n;
	if (batch.stall) {
		sem_post(&fake.entered);
		sem_wait(&fake.go);
		fake.saw_cancel = atomic_load(call->cancelled);
	}
	if (batch.code)
		return err_set(e, batch.code, "the batch fails");
	for (size_t i = 0; i < n; i++)
		one(names[i], &ret[i], &errs[i]);
	return 0;
}

static void open_batch(void)
{
	ops.get_batch = get_batch;
	open_it();
}

static void start(size_t n)
{
	struct entry_policy pol = {.ttl = 300, .stale = 0};
	char name[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%02zu", i);
		entries[i] = store_entry(store, instance_source(in), name, NULL, &pol);
		entry_keep(entries[i], true);
	}
	store_run_timers(store);
}

/* Waits for each through a reader, which joins what is under way or finds what is there. */
static void settle(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct reader r = {.w = {.done = reader_done, .deadline = CLOCK_NEVER}};

		sem_init(&r.done, 0, 0);
		store_fetch(store, entries[i], FETCH_CACHED, &r.w);
		sem_wait(&r.done);
		payload_unref(r.p);
	}
}

static void end(size_t n)
{
	for (size_t i = 0; i < n; i++)
		entry_unref(entries[i]);
	tear_down();
}

static int code_of(struct entry *e)
{
	struct entry_info info;

	entry_info(e, &info);
	return info.has_error ? info.error.code : 0;
}

static const char *sentence_of(struct entry *e)
{
	static struct entry_info info;

	entry_info(e, &info);
	return info.error.msg;
}

Test(batch, several_names_a_call, .init = set_up)
{
	open_batch();
	start(N);
	settle(N);
	cr_assert_eq(batch.names + fake.gets, (unsigned)N, "each once");
	cr_assert_leq(batch.calls, 3u);
	cr_assert_geq(batch.names, 2u * SFS_BATCH_MAX);
	end(N);
}

Test(batch, readers_alone_use_get, .init = set_up)
{
	struct reader r;

	open_batch();
	cr_assert_eq(read_it("db", &r), 0);
	cr_assert_eq(batch.calls, 0u);
	cr_assert_eq(fake.gets, 1u);
	tear_down();
}

Test(batch, one_bad_item_spoils_itself_only, .init = set_up)
{
	static const struct {
		unsigned treat;
		int code;
		const char *text;
	} cases[] = {{REFUSED, EACCES, "aws/prod: get n03: not this one"},
		{LEFT_OUT, EBADMSG, "aws/prod: get n03: the back end left this secret out"},
		{BOTH, EACCES, "not this one"}, {TWO_PARTS, EBADMSG, "has no key"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (i)
			set_up();
		batch.bad = "n03";
		batch.treat = cases[i].treat;
		open_batch();
		start(10);
		settle(10);
		for (size_t k = 0; k < 10; k++)
			cr_assert_eq(
				code_of(entries[k]), k == 3 ? cases[i].code : 0, "case %zu", i);
		cr_assert(strstr(sentence_of(entries[3]), cases[i].text), "%s",
			sentence_of(entries[3]));
		end(10);
	}
}

Test(batch, a_transient_failure_of_the_call_is_that_of_each, .init = set_up)
{
	struct source_health h;

	open_batch();
	batch.code = EHOSTUNREACH;
	start(10);
	settle(10);
	source_health(instance_source(in), &h);
	cr_assert_eq(h.failures, 10u);
	cr_assert_eq(instance_source(in)->fails, 1u);
	cr_assert_eq(fake.gets, 0u);
	cr_assert_eq(code_of(entries[0]), EHOSTUNREACH);
	end(10);
}

Test(batch, one_that_is_not_allowed_gives_way_to_get, .init = set_up)
{
	open_batch();
	batch.code = EACCES;
	fake.stall = true; /* so that the call of the second batch is known to come later */
	start(10);
	for (unsigned i = 0; i < 10; i++)
		sem_post(&fake.go);
	settle(10);
	cr_assert_eq(fake.gets, 10u);
	cr_assert_eq(batch.calls, 1u);
	cr_assert_eq(code_of(entries[0]), 0);
	for (size_t i = 0; i < 10; i++) {
		store_changed(store, entries[i]);
		sem_post(&fake.go);
	}
	settle(10);
	cr_assert_eq(batch.calls, 1u, "and is not tried again");
	cr_assert_eq(fake.gets, 20u);
	end(10);
}

Test(batch, room_is_made_for_readers_only, .init = set_up)
{
	struct reader r = {.w = {.done = reader_done, .deadline = CLOCK_NEVER}};

	batch.bad = "n03";
	batch.treat = NO_MEMORY;
	batch.stall = true;
	open_batch();
	start(10);
	sem_wait(&fake.entered);
	sem_init(&r.done, 0, 0);
	store_fetch(store, entries[3], FETCH_CACHED, &r.w);
	sem_post(&fake.go);
	sem_wait(&r.done);
	cr_assert_eq(r.err.code, 0, "%s", r.err.msg);
	payload_unref(r.p);
	cr_assert_eq(fake.gets, 1u, "asked once more, for him");
	end(10);

	set_up();
	fake.gets = 0;
	batch.stall = false;
	open_batch();
	start(10);
	settle(3);
	cr_assert_eq(fake.gets, 0u);
	end(10);
}

Test(batch, a_close_in_the_middle_is_seen_by_the_call, .init = set_up)
{
	batch.stall = true;
	open_batch();
	start(N);
	sem_wait(&fake.entered);
	sem_wait(&fake.entered);
	source_detach(instance_source(in));
	for (unsigned i = 0; i < 3; i++)
		sem_post(&fake.go);
	end(N);
	cr_assert_leq(batch.calls, 3u);
}

Test(batch, a_local_source_without_it_gets_one_by_one_in_one_thread, .init = set_up)
{
	ops.flags = BACKEND_LOCAL;
	open_it();
	start(10);
	settle(10);
	cr_assert_eq(fake.gets, 10u);
	end(10);
}
