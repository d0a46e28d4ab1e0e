/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store against a small model of it (R69): random operations, each answer predicted. The seed
 * is printed; SFS_SEED=N and SFS_OPS=N repeat or lengthen a run.
 *
 * First test: flights end at once, so every answer can be predicted exactly. Second test: flights
 * end at random times; what is checked is the history: nobody gets a value from before a purge or
 * change he came after, nobody sees time run backwards, every waiter is answered once, at most two
 * flights of an entry are in the air.
 */
#include "store_fixture.h"

#include <stdlib.h>

#define NAMES 6
#define OPS   150000u
#define STALE 60

static uint64_t rng;
static unsigned tally[4]; /* reads from memory, reads that fetched, errors at once, flights */

static unsigned below(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)((rng >> 20) % n);
}

static unsigned start_seed(void)
{
	const char *seed = getenv("SFS_SEED"), *ops = getenv("SFS_OPS");

	rng = seed ? strtoull(seed, NULL, 10) : random_below(1u << 30) + 1;
	fprintf(stderr, "test_store_model: SFS_SEED=%llu\n", (unsigned long long)rng);
	return ops ? (unsigned)strtoul(ops, NULL, 10) : OPS;
}

/* What the provider has: a counter that only grows, or an error. */
struct provider {
	unsigned value;
	int error; /* 0, or what a get brings */
};

/* The model of one entry. */
struct model {
	bool held, failed;
	unsigned value; /* held, or last held */
	int64_t fetched, ttl;
	int64_t changed; /* 0 = no */
	int error;
	unsigned fails;
};

static struct fixture fx;
static struct provider provider[NAMES];
static struct model model[NAMES];
static struct entry *entries[NAMES];

static unsigned index_of(const char *name)
{
	return (unsigned)(name[1] - '0');
}

/* What a flight does to the model. */
static void landed(unsigned i)
{
	struct model *m = &model[i];
	const struct provider *p = &provider[i];

	m->changed = 0;
	if (!p->error) {
		*m = (struct model){.held = m->ttl != 0,
			.value = p->value,
			.fetched = clock_boot(),
			.ttl = m->ttl};
		return;
	}
	m->failed = true;
	m->error = p->error;
	if (!err_transient(&(struct sfs_err){.code = p->error}))
		m->held = false;
	if (p->error != ENOMEM) /* our own want says nothing about the name */
		m->fails = p->error == ENOENT ? 0 : m->fails + 1;
}

static void land_one(unsigned n)
{
	struct flight *f = fx.flights[n];
	unsigned i = index_of(flight_name(f));
	char bytes[16];

	snprintf(bytes, sizeof(bytes), "%u", provider[i].value);
	if (provider[i].error)
		fx_fail(&fx, n, provider[i].error);
	else
		fx_succeed(&fx, n, bytes);
}

static void land_all(bool nocache)
{
	for (unsigned n = 0; n < fx.nflights; n++, tally[3]++) {
		unsigned i = index_of(flight_name(fx.flights[n]));
		int64_t changed = model[i].changed;

		land_one(n);
		if (nocache)
			continue;
		landed(i);
		/* After a failure the change is still to be seen. */
		if (provider[i].error &&
			err_transient(&(struct sfs_err){.code = provider[i].error}))
			model[i].changed = changed;
	}
	fx.nflights = 0;
}

static int64_t expires(const struct model *m)
{
	int64_t at = clock_after(m->fetched, m->ttl);

	return m->changed && m->changed < at ? m->changed : at;
}

static void forget_lapsed(void)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (model[i].held && clock_boot() >= clock_after(expires(&model[i]), STALE))
			model[i].held = false;
}

/* Time passes; flights that its timers start end at once. */
static void pass(int64_t ns)
{
	int64_t end = clock_boot() + ns, next;

	while ((next = store_run_timers(fx.store)) <= end || fx.nflights) {
		if (fx.nflights)
			land_all(false);
		else
			clock_fake_advance(next - clock_boot());
		forget_lapsed();
	}
	clock_fake_advance(end - clock_boot());
	store_run_timers(fx.store);
	land_all(false);
	forget_lapsed();
}

enum answer { FROM_MEMORY, FROM_FLIGHT, ERROR_AT_ONCE };

static bool in_trouble(unsigned i, int64_t now)
{
	const struct model *m = &model[i];
	int64_t half_minute = 30 * SEC;

	if (m->fails && now < entries[i]->retry_at + half_minute)
		return true;
	return fx.src->fails && !m->changed && now < fx.src->health.backoff_until + half_minute;
}

static enum answer predict(unsigned i)
{
	const struct model *m = &model[i];
	int64_t now = clock_boot();

	if (m->held && (now < expires(m) || in_trouble(i, now)))
		return FROM_MEMORY;
	if (m->held)
		return FROM_FLIGHT;
	if (m->failed && now < entries[i]->retry_at)
		return ERROR_AT_ONCE;
	if (fx.src->fails >= 5 && now < fx.src->health.backoff_until)
		return ERROR_AT_ONCE;
	return FROM_FLIGHT;
}

static void check_value(const struct reader *r, unsigned value)
{
	cr_assert_eq(r->calls, 1u);
	cr_assert_eq(r->code, 0, "%s", r->msg);
	cr_assert_eq((unsigned)strtoul(r->bytes, NULL, 10), value);
}

static void check_flight_answer(
	unsigned i, const struct reader *r, enum fetch_mode mode, bool had, unsigned old)
{
	const struct provider *p = &provider[i];

	cr_assert_eq(r->calls, 1u);
	if (!p->error)
		check_value(r, p->value);
	else if (had && mode == FETCH_CACHED && err_transient(&(struct sfs_err){.code = p->error}))
		check_value(r, old);
	else
		cr_assert_eq(r->code, p->error);
}

static void op_read(unsigned i)
{
	struct model before = model[i];
	enum answer a = predict(i);
	struct reader r = {0};

	tally[a]++;
	fx_read(&fx, entries[i], FETCH_CACHED, &r);
	if (a == FROM_FLIGHT) {
		cr_assert_eq(fx.nflights, 1u, "a fetch was due");
		cr_assert_eq(r.calls, 0u);
		land_all(false);
		check_flight_answer(i, &r, FETCH_CACHED, before.held, before.value);
		return;
	}
	cr_assert_eq(r.calls, 1u, "an answer from memory was due");
	if (a == FROM_MEMORY)
		check_value(&r, before.value);
	else
		cr_assert_neq(r.code, 0);
	if (a == ERROR_AT_ONCE ||
		clock_boot() < before.fetched + (expires(&before) - before.fetched) / 10 * 9)
		cr_assert_eq(fx.nflights, 0u, "no fetch was due");
	land_all(false);
}

static void op_fetch(unsigned i, enum fetch_mode mode)
{
	struct model before = model[i];
	struct reader r = {0};

	fx_read(&fx, entries[i], mode, &r);
	cr_assert_eq(fx.nflights, 1u);
	land_all(mode == FETCH_NOCACHE);
	check_flight_answer(i, &r, mode, before.held, before.value);
}

static void op_purge(unsigned i)
{
	store_purge(fx.store, entries[i]);
	model[i] = (struct model){.ttl = model[i].ttl};
	cr_assert_eq(fx.nflights, 0u);
}

static void op_changed(unsigned i)
{
	struct model *m = &model[i];

	if (m->held)
		m->changed = clock_boot();
	m->fails = 0;
	if (!m->held)
		m->failed = false;
	store_changed(fx.store, entries[i]);
	cr_assert_eq(fx.nflights, m->held ? 1u : 0u);
	land_all(false);
	forget_lapsed();
}

static void op_ttl(unsigned i)
{
	static const int64_t ttls[] = {-1, 0, 5, 20, 300};

	model[i].ttl = ttls[below(5)];
	entry_set_ttl(entries[i], model[i].ttl);
	if (model[i].ttl == 0)
		model[i].held = false;
	forget_lapsed();
	pass(0);
}

static void op_evict(void)
{
	store_make_room(fx.store, SIZE_MAX);
	for (unsigned i = 0; i < NAMES; i++)
		model[i].held = false;
}

static void op_provider(unsigned i)
{
	static const int errors[] = {
		0, 0, 0, ENOENT, EACCES, ETIMEDOUT, EHOSTUNREACH, ENOMEM, EBADMSG};

	provider[i].error = errors[below(9)];
	provider[i].value += below(2);
}

static void check_all(void)
{
	size_t bytes = 0, values = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		struct payload *p = entry_peek(entries[i]);

		cr_assert_eq(p != NULL, model[i].held, "name %u: held %d, predicted %d", i,
			p != NULL, model[i].held);
		if (p) {
			char bytes_text[16] = {0};

			memcpy(bytes_text, secret_bytes(p->parts[0].bytes),
				secret_len(p->parts[0].bytes));
			cr_assert_eq((unsigned)strtoul(bytes_text, NULL, 10), model[i].value);
			cr_assert_eq(entries[i]->expires, expires(&model[i]));
			bytes += payload_size(p);
			values++;
		}
		payload_unref(p);
	}
	cr_assert_eq(fx.store->bytes, bytes);
	cr_assert_eq(fx.store->values, values);
}

static void random_op(void)
{
	unsigned i = below(NAMES), op = below(100);

	if (op < 50)
		op_read(i);
	else if (op < 58)
		op_fetch(i, FETCH_REFRESH);
	else if (op < 62)
		op_fetch(i, FETCH_NOCACHE);
	else if (op < 66)
		op_purge(i);
	else if (op < 71)
		op_changed(i);
	else if (op < 74)
		op_ttl(i);
	else if (op < 75)
		op_evict();
	else if (op < 85)
		op_provider(i);
	else
		pass((int64_t)below(op < 98 ? 3000 : 400000) * NSEC_PER_MSEC);
}

static void open_model(void)
{
	struct entry_policy pol = {.ttl = 300, .stale = STALE};
	char name[4] = "n0";

	fx_open(&fx, 1 << 20);
	for (unsigned i = 0; i < NAMES; i++) {
		name[1] = (char)('0' + i);
		entries[i] = store_entry(fx.store, fx.src, name, NULL, &pol);
		model[i] = (struct model){.ttl = 300};
		provider[i] = (struct provider){.value = 1};
	}
}

static void close_model(void)
{
	for (unsigned i = 0; i < NAMES; i++)
		entry_unref(entries[i]);
	fx_close(&fx);
}

Test(model, r69_every_answer_is_as_predicted)
{
	unsigned ops = start_seed();

	open_model();
	for (unsigned n = 0; n < ops; n++) {
		random_op();
		check_all();
	}
	/* A run that never gets to one of the cases checks nothing. */
	for (int i = 0; i < 4; i++)
		cr_assert_gt(tally[i], ops / 100, "case %d: %u of %u operations", i, tally[i], ops);
	close_model();
}

/* --- history --- */

#define READERS 64

struct history_reader {
	struct reader r;
	bool parked;
	unsigned name;
	unsigned at_least; /* value the provider had when it was last purged or changed before this
			      reader came */
	unsigned seen;	   /* newest value anybody had got when it came */
};

static struct history_reader readers[READERS];
static unsigned sampled[256]; /* value of each flight: what the provider had at its start */
static unsigned at_least[NAMES], seen[NAMES];

static void check_reader(struct history_reader *h, bool superseded)
{
	unsigned value = (unsigned)strtoul(h->r.bytes, NULL, 10);

	if (!h->parked || h->r.calls == 0)
		return;
	h->parked = false;
	cr_assert_eq(h->r.calls, 1u);
	if (h->r.code)
		return;
	cr_assert_geq(value, h->at_least, "a value from before the purge");
	cr_assert_geq(value, h->seen, "time runs backwards");
	/* What a superseded flight brought was not stored: if its successor fails, a later reader
	 * may get the stale value before it. */
	if (!superseded && value > seen[h->name])
		seen[h->name] = value;
}

static void check_readers(bool superseded)
{
	for (unsigned i = 0; i < READERS; i++)
		check_reader(&readers[i], superseded);
	for (unsigned i = 0; i < NAMES; i++)
		cr_assert_leq(entries[i]->running, 2);
}

static void compact(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fx.nflights; i++) {
		if (!fx.flights[i])
			continue;
		fx.flights[kept] = fx.flights[i];
		sampled[kept++] = sampled[i];
	}
	fx.nflights = kept;
}

static void sample_new(unsigned from)
{
	for (unsigned i = from; i < fx.nflights; i++)
		sampled[i] = provider[index_of(flight_name(fx.flights[i]))].value;
}

static void end_flight(unsigned n)
{
	const struct flight *f = fx.flights[n];
	bool superseded = f->entry && f->seq < f->entry->floor;
	unsigned count = fx.nflights;
	char bytes[16];

	snprintf(bytes, sizeof(bytes), "%u", sampled[n]);
	if (below(10) == 0)
		fx_fail(&fx, n, below(2) ? ETIMEDOUT : ENOENT);
	else
		fx_succeed(&fx, n, bytes);
	sample_new(count);
	check_readers(superseded);
	compact();
}

static void start_reader(void)
{
	struct history_reader *h = &readers[below(READERS)];
	static const enum fetch_mode modes[] = {
		FETCH_CACHED, FETCH_CACHED, FETCH_CACHED, FETCH_REFRESH};
	unsigned count = fx.nflights;

	if (h->parked)
		return;
	memset(h, 0, sizeof(*h));
	h->name = below(NAMES);
	h->at_least = at_least[h->name];
	h->seen = seen[h->name];
	h->parked = true;
	if (below(2))
		h->r.w.deadline = clock_boot() + (int64_t)below(15) * SEC;
	fx_read(&fx, entries[h->name], modes[below(4)], &h->r);
	sample_new(count);
	check_readers(false);
}

static void cancel_reader(void)
{
	struct history_reader *h = &readers[below(READERS)];

	if (h->parked && store_cancel(fx.store, &h->r.w)) {
		cr_assert_eq(h->r.calls, 0u);
		h->parked = false;
	}
}

static void invalidate(bool purge)
{
	unsigned i = below(NAMES), count = fx.nflights;

	if (purge)
		store_purge(fx.store, entries[i]);
	else
		store_changed(fx.store, entries[i]);
	/* A change alone lets a stale value be served if the source then fails. */
	if (purge)
		at_least[i] = provider[i].value;
	sample_new(count);
}

static void history_op(void)
{
	unsigned op = below(100), count = fx.nflights;

	if (op < 45)
		start_reader();
	else if (op < 50)
		cancel_reader();
	else if (op < 75 && fx.nflights)
		end_flight(below(fx.nflights));
	else if (op < 85)
		provider[below(NAMES)].value++;
	else if (op < 92)
		invalidate(op < 88);
	else
		clock_fake_advance((int64_t)below(4000) * NSEC_PER_MSEC);
	count = op >= 92 ? fx.nflights : count;
	if (op >= 92) {
		store_run_timers(fx.store);
		sample_new(count);
		check_readers(false);
	}
	while (fx.nflights > 200)
		end_flight(0);
}

Test(model, r60_r64_history_holds)
{
	unsigned ops = start_seed(), answered = 0;

	open_model();
	for (unsigned n = 0; n < ops; n++)
		history_op();
	source_detach(fx.src);
	check_readers(false);
	for (unsigned i = 0; i < READERS; i++)
		answered += !readers[i].parked;
	cr_assert_eq(answered, (unsigned)READERS);
	close_model();
}
