/* SPDX-License-Identifier: Apache-2.0 */
/* A store with a source whose flights end when the test says so, on a clock that stands still. For
 * test_store*.c. */
#ifndef SFS_TESTS_STORE_FIXTURE_H
#define SFS_TESTS_STORE_FIXTURE_H

#include "core/store_priv.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BOOT0 (1000 * NSEC_PER_SEC)
#define WALL0 (INT64_C(1700000000) * NSEC_PER_SEC)
#define SEC   NSEC_PER_SEC

struct fixture {
	struct store *store;
	struct source *src;
	struct flight *flights[256]; /* started, in order; NULL once ended */
	unsigned nflights;
	int refuse; /* errno that start returns */
	unsigned events[STORE_ERROR + 1];
	char history[4096]; /* names of events */
};

static const char *const event_names[] = {
	"fetched", "refreshed", "rotated", "purged", "expired", "evicted", "gone", "error"};

static int fx_start(void *arg, struct flight *f, struct sfs_err *err)
{
	struct fixture *fx = arg;

	if (fx->refuse)
		return err_set(err, fx->refuse, "refused");
	cr_assert(fx->nflights < 256);
	fx->flights[fx->nflights++] = f;
	return 0;
}

static void fx_event(void *arg, struct entry *e, enum store_event ev, const struct sfs_err *err)
{
	struct fixture *fx = arg;

	(void)e;
	cr_assert(!err == !(ev == STORE_ERROR || ev == STORE_GONE));
	fx->events[ev]++;
	if (strlen(fx->history) + 16 < sizeof(fx->history)) {
		strcat(fx->history, event_names[ev]);
		strcat(fx->history, " ");
	}
}

static const struct source_ops fx_ops = {.start = fx_start};

static inline void fx_open(struct fixture *fx, size_t cache_bytes)
{
	struct store_config conf = {
		.cache_bytes = cache_bytes,
		.negative_ttl = 5,
		.timeout = 10,
		.node = 42,
		.event = fx_event,
		.arg = fx,
	};

	memset(fx, 0, sizeof(*fx));
	clock_fake(BOOT0, WALL0);
	cr_assert_eq(store_new(&conf, &fx->store), 0);
	cr_assert_eq(source_new(fx->store, "test", &fx_ops, fx, &fx->src), 0);
}

static inline struct payload *fx_payload(const char *bytes, const char *version, int64_t created)
{
	struct payload *p = payload_new();

	cr_assert(p);
	cr_assert_eq(payload_add(p, NULL, secret_new(bytes, strlen(bytes))), 0);
	p->version = mem_strdup(version);
	p->created = created;
	return p;
}

static inline struct flight *fx_take(struct fixture *fx, unsigned i)
{
	struct flight *f;

	cr_assert(i < fx->nflights);
	f = fx->flights[i];
	cr_assert(f, "flight %u has ended already", i);
	fx->flights[i] = NULL;
	return f;
}

static inline void fx_succeed(struct fixture *fx, unsigned i, const char *bytes)
{
	flight_done(fx_take(fx, i), fx_payload(bytes, NULL, 0), NULL);
}

static inline void fx_fail(struct fixture *fx, unsigned i, int code)
{
	struct sfs_err err;

	err_set(&err, code, "failed on purpose with %d", code);
	flight_done(fx_take(fx, i), NULL, &err);
}

static inline void fx_close(struct fixture *fx)
{
	source_detach(fx->src);
	for (unsigned i = 0; i < fx->nflights; i++)
		if (fx->flights[i])
			fx_fail(fx, i, EIO);
	source_unref(fx->src);
	store_free(fx->store);
}

/* 300 s, one hour stale. */
static inline struct entry *fx_entry(struct fixture *fx, const char *name)
{
	struct entry_policy pol = {.ttl = 300, .stale = 3600};
	struct entry *e = store_entry(fx->store, fx->src, name, NULL, &pol);

	cr_assert(e);
	return e;
}

struct reader {
	struct waiter w;
	unsigned calls;
	unsigned rank; /* in which order readers were answered, from 1 */
	int code;      /* 0 = well */
	char bytes[64];
	char version[64];
	char msg[SFS_ERR_MAX];
	uint64_t serial;
	int64_t fetched;
};

static void reader_done(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	static unsigned answered;
	struct reader *r = (struct reader *)w;

	cr_assert(!p != !err);
	r->calls++;
	r->rank = ++answered;
	r->code = err ? err->code : 0;
	if (err) {
		cr_assert(err->code > 0 && err->msg[0]);
		snprintf(r->msg, sizeof(r->msg), "%s", err->msg);
		return;
	}
	memcpy(r->bytes, secret_bytes(p->parts[0].bytes), secret_len(p->parts[0].bytes));
	snprintf(r->version, sizeof(r->version), "%s", p->version);
	r->serial = p->serial;
	r->fetched = p->fetched_boot;
}

static inline void fx_read(
	struct fixture *fx, struct entry *e, enum fetch_mode mode, struct reader *r)
{
	struct waiter w = {
		.done = reader_done,
		.deadline = r->w.deadline ? r->w.deadline : CLOCK_NEVER,
		.payer = r->w.payer,
	};

	memset(r, 0, sizeof(*r));
	r->w = w;
	store_fetch(fx->store, e, mode, &r->w);
}

static inline enum entry_state fx_state(struct entry *e)
{
	struct entry_info info;

	entry_info(e, &info);
	return info.state;
}

/* Fetches `bytes` into the entry through a flight of its own. */
static inline void fx_fill(struct fixture *fx, struct entry *e, const char *bytes)
{
	struct reader r = {0};

	fx_read(fx, e, FETCH_REFRESH, &r);
	fx_succeed(fx, fx->nflights - 1, bytes);
	cr_assert_eq(r.calls, 1u);
	cr_assert_str_eq(r.bytes, bytes);
}

/* Time passes, with all its timers in order. */
static inline void fx_advance(struct fixture *fx, int64_t ns)
{
	int64_t end = clock_boot() + ns, next;

	while ((next = store_run_timers(fx->store)) <= end)
		clock_fake_advance(next - clock_boot());
	clock_fake_advance(end - clock_boot());
	store_run_timers(fx->store);
}

#endif
