/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache: which secret is held, how fresh it is, who waits for it (design section 2; R60-R64).
 *
 * An entry is one secret of one source, or one version of it. It is fetched once at a time (a flight); everybody who asks
 * meanwhile waits at it and gets its result. Nobody blocks: a caller passes a waiter and is called back, at once when the answer
 * is in memory. The store knows neither paths nor FUSE nor how a source fetches.
 *
 * LOCK ORDER of the whole core: tree lock, then store lock, then log. Callbacks (waiter.done, store_events) run with no lock held.
 * No lock is held while a source works.
 *
 * States: fresh (age < ttl); refreshing (in its last tenth, read since it was fetched: a flight runs in the background, readers get
 * the old value); stale (age >= ttl and the last fetch failed with a transient error: served until fetch time + ttl + stale); expired
 * (nothing may be served). Permanent errors drop the value at once. ENOENT is remembered negative_ttl; other failures are
 * remembered for a full-jitter back-off, per entry and per source: random(0, min(cap, base * 2^n)), base 100 ms, cap 5 s.
 * A ttl of 0 keeps nothing: each fetch starts a flight or joins the running one, and its payload goes to its waiters only.
 *
 * Every entry has a generation. Purge, change and removal raise it; what a flight of an older generation brings goes to those who
 * waited but is not stored.
 */
#ifndef SFS_CORE_STORE_H
#define SFS_CORE_STORE_H

#include "backends/payload.h"
#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct source; /* where entries come from: one back end instance, with its health and back-off */
struct entry;
struct flight;

enum store_event {
	STORE_FETCHED,   /* a first value arrived */
	STORE_REFRESHED, /* fetched again, unchanged */
	STORE_ROTATED,   /* fetched again, and bytes or version differ: the serial changed */
	STORE_PURGED,    /* purge, also of an entry without value */
	STORE_EXPIRED,   /* the TTL ended without a new value */
	STORE_EVICTED,   /* dropped for room */
	STORE_GONE,      /* the source says there is no such secret (any more), or that we may not read it; the value was dropped */
	STORE_ERROR,     /* a fetch failed; nothing changed for readers that have a value */
};

struct store_config {
	size_t cache_bytes;    /* sum of payload sizes; above, least recently read entries are evicted */
	int64_t negative_ttl;  /* seconds */
	int64_t timeout;       /* seconds: deadline of one flight */
	uint64_t node;         /* differs between nodes: spreads refresh times (R62) */
	/* Called without locks, from any thread; `err` is NULL unless the event has one. May be NULL. */
	void (*event)(void *arg, struct entry *e, enum store_event ev, const struct sfs_err *err);
	void *arg;
};

int store_new(const struct store_config *conf, struct store **ret);
/* All flights must have ended, all waiters been called. Entries still referenced are an error (asserted). */
void store_free(struct store *s);

/* A source starts flights in other threads. `start` returns 0 and later calls flight_done() once (never from inside start), or
 * returns -errno (EBUSY: its queue is full) and does nothing. */
struct source_ops {
	int (*start)(void *arg, struct flight *f, struct sfs_err *err);
};
int source_new(struct store *s, const char *name, const struct source_ops *ops, void *arg, struct source **ret);
/* Entries of the source must be gone or orphaned first (source_detach: all later fetches fail with ENODEV). */
void source_detach(struct source *src);
void source_unref(struct source *src);
struct source_health {
	uint64_t fetches, failures, joined; /* flights, failed flights, waiters that joined a running one */
	int64_t last_ok_wall, last_error_wall;
	struct sfs_err last_error;
	int64_t backoff_until; /* boot time; 0 = none */
};
void source_health(const struct source *src, struct source_health *ret);

/* What a flight is for; valid until flight_done(). */
const char *flight_name(const struct flight *f);
const char *flight_version(const struct flight *f); /* NULL = current */
int64_t flight_deadline(const struct flight *f);    /* boot time */
const atomic_bool *flight_cancelled(const struct flight *f);
/* Ends a flight: `p` (one reference, handed over) or `err` with a code, the other NULL. */
void flight_done(struct flight *f, struct payload *p, const struct sfs_err *err);

/* How an entry is to be kept; from the policy of its name. */
struct entry_policy {
	int64_t ttl;   /* seconds, -1, 0 */
	int64_t stale; /* seconds */
};

/* The entry of (source, name, version or NULL), made if there is none; one reference for the caller. `pol` counts when it is made
 * (change it with entry_set_policy()). NULL on no memory. */
struct entry *store_entry(struct store *s, struct source *src, const char *name, const char *version,
	const struct entry_policy *pol);
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e);
/* A pointer of the user of the entry (the tree), set once under the user's own lock. */
void entry_set_user(struct entry *e, void *user);
void *entry_user(const struct entry *e);
const char *entry_name(const struct entry *e);

/* A change of rules. Does not touch a TTL that a user set. */
void entry_set_policy(struct entry *e, const struct entry_policy *pol);
/* The user's TTL (xattr, control file); survives purge. */
void entry_set_ttl(struct entry *e, int64_t ttl);
bool entry_ttl_is_set(const struct entry *e);

enum fetch_mode {
	FETCH_CACHED,  /* what open wants: from memory if it may be, else fetched */
	FETCH_REFRESH, /* fetch now although fresh; the old value is served to others meanwhile. Fails with the fetch's error
			  even where a stale value exists */
	FETCH_NOCACHE, /* own flight, joined by nobody, stored nowhere */
};

/* Embedded in the caller's request. The caller sets done and deadline; the rest belongs to the store until done. */
struct waiter {
	/* Called exactly once unless cancelled, without locks, from any thread, perhaps before store_fetch() returns. `p` is borrowed:
	 * take a reference to keep it. Either p or err is NULL. */
	void (*done)(struct waiter *w, struct payload *p, const struct sfs_err *err);
	int64_t deadline; /* boot time: then ETIMEDOUT; the flight goes on for others and for the cache */
	/* private */
	struct waiter *prev, *next;
	struct flight *flight;
	size_t heap_index;
};
void store_fetch(struct store *s, struct entry *e, enum fetch_mode mode, struct waiter *w);
/* True: done was not called and will not be. False: it was, or is about to be. A flight that nobody waits for any more is not stopped
 * unless it is FETCH_NOCACHE. */
bool store_cancel(struct store *s, struct waiter *w);

/* Forgets the value and any remembered failure, wipes it when the last open file closes. */
void store_purge(struct store *s, struct entry *e);
/* The source says this entry may have changed: it counts as expired from now (open waits for the new value), and if it has a value a
 * flight starts at once so that a rotation is seen. */
void store_changed(struct store *s, struct entry *e);

enum entry_state { ENTRY_ABSENT, ENTRY_FRESH, ENTRY_REFRESHING, ENTRY_STALE, ENTRY_EXPIRED, ENTRY_FAILED };
const char *entry_state_text(enum entry_state st); /* "absent", "fresh", ... */

struct entry_info {
	enum entry_state state;
	uint64_t serial;        /* of the value held, or last held; 0 = never had one */
	int64_t ttl;            /* effective: the user's, else policy, capped by the payload's hint */
	int64_t fetched_boot, fetched_wall, created;
	int64_t expires_boot;   /* CLOCK_NEVER; 0 without a value */
	int64_t expires_wall;
	bool has_error;
	struct sfs_err error;   /* last error, also when a later fetch succeeded: has_error is then false */
};
void entry_info(const struct entry *e, struct entry_info *ret);
/* The value held, fresh or not, one reference for the caller; NULL if none. For sizes, versions, listings; not for serving readers. */
struct payload *entry_peek(const struct entry *e);
/* Calls `fn` for every entry that holds a value (a snapshot: entries are referenced while fn runs, without locks). */
int store_each(struct store *s, int (*fn)(void *arg, struct entry *e), void *arg);
/* Bytes and number of values held, evictions so far. */
void store_totals(const struct store *s, size_t *ret_bytes, size_t *ret_values, uint64_t *ret_evictions);

/* Due deadlines, expiries and refreshes; returns the boot time of the next one. The store's own timer thread (store_start_timer())
 * calls it; tests with a fake clock call it themselves. */
int64_t store_run_timers(struct store *s);
int store_start_timer(struct store *s);
void store_stop_timer(struct store *s);

#endif
