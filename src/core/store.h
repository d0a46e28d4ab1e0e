/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache: which secret is held, how fresh it is, who waits for it (design section 2; R60-R64).
 *
 * An entry is one secret of one source, or one version of it. It is fetched once at a time (a
 * flight); everybody who asks meanwhile waits at it and gets its result. Nobody blocks: a caller
 * passes a waiter and is called back, at once when the answer is in memory. The store knows neither
 * paths nor FUSE nor how a source fetches.
 *
 * LOCK ORDER of the whole core: tree lock, then store lock, then the lock of a pool, then log.
 * Callbacks (waiter.done, store_events) run with no lock held. No lock is held while a source
 * works.
 *
 * States: fresh (age < ttl); refreshing (in its last tenth, read since it was fetched: a flight
 * runs in the background, readers get the old value); stale (age >= ttl and the last fetch failed
 * with a transient error: served until fetch time + ttl + stale); expired (nothing may be served).
 * Permanent errors drop the value at once. ENOENT is remembered negative_ttl; other failures are
 * remembered for a full-jitter back-off, per entry and per source: random(0, min(cap, base * 2^n)),
 * base 100 ms, cap 5 s. A ttl of 0 keeps nothing: each fetch starts a flight or joins the running
 * one, and its payload goes to its waiters only.
 *
 * Flights are numbered as they start. Purge and change raise the lowest number an entry accepts;
 * what an older flight brings goes to those who waited but is not stored, and later readers do not
 * join it. So an entry may have two flights in the air for a moment, never more: a third waits for
 * the end of one.
 *
 * Outages: while the last fetch of an entry or source has just failed with a transient error, a
 * stale value is served at once and fetched again in the background when the back-off is over. A
 * source that failed five times in a row also fails names without a value while it backs off
 * (freshness.h). Fetches that nobody waits for run four at a time per source and give way to
 * readers.
 *
 * Never backwards (R64): an answer whose version differs from the one held and was created earlier
 * (or has a lower number, where the source counts) is dropped and the held value served, unless the
 * source reported a change, a FETCH_REFRESH asked, or another answer says the same a minute later
 * (where the source counts: not before the TTL has passed). Then it is a roll-back.
 *
 * A value leaves memory when its TTL and its stale time are over, by purge, by a permanent error,
 * or for room.
 *
 * Scanners (R32): a source may limit how many flights a second one user's readers start. A reader
 * who finds his user's bucket empty waits with his flight not started, in the order of his user's
 * queue, until a token comes, somebody else's reader or a background fetch starts that very flight,
 * or his deadline is over (EBUSY, or the stale value). Who is served from memory or joins a running
 * flight needs no token (store_rate.c).
 *
 * Whoever fetches many names at once says so (waiter.bulk): what is not under way then starts in
 * groups, within the limits of hydration (store_bulk.c).
 */
#ifndef SFS_CORE_STORE_H
#define SFS_CORE_STORE_H

#include "backends/payload.h"
#include "base/err.h"
#include "core/heap.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct source; /* where entries come from: one back end instance, with its health and back-off */
struct entry;
struct flight;
struct job; /* pool.h */

enum store_event {
	STORE_FETCHED,	 /* a first value arrived */
	STORE_REFRESHED, /* fetched again, unchanged */
	STORE_ROTATED,	 /* fetched again, and bytes or version differ: the serial changed */
	STORE_PURGED,	 /* purge, also of an entry without value */
	STORE_EXPIRED,	 /* the TTL ended without a new value; again when its stale time is over too
			    and it is dropped */
	STORE_EVICTED,	 /* dropped for room */
	STORE_GONE,	 /* the source says there is no such secret (ENOENT, also without a value
			    before), or another permanent error      made us drop the value */
	STORE_ERROR,	 /* a fetch failed; nothing changed for readers that have a value */
};

struct store_config {
	size_t cache_bytes; /* sum of payload sizes; above, least recently read entries are evicted
			     */
	int64_t negative_ttl; /* seconds */
	int64_t timeout;      /* seconds: deadline of one flight */
	uint64_t node;	      /* differs between nodes: spreads refresh times (R62) */
	/* Called without locks, from any thread, before the waiters of the same fetch; `err` is
	 * NULL unless the event has one. Two events of one entry may arrive in either order: look
	 * at the entry, not at the event. May be NULL. */
	void (*event)(void *arg, struct entry *e, enum store_event ev, const struct sfs_err *err);
	/* The secret arena is full: give back what is held beyond need. Without locks; may be NULL.
	 */
	void (*pressure)(void *arg);
	/* Hydration stopped because the values do not fit: see store_kept(). Without locks; may be
	 * NULL. */
	void (*full)(void *arg);
	void *arg;
};

int store_new(const struct store_config *conf, struct store **ret);
/* All sources detached, all waiters called. Entries still referenced are an error (asserted). A
 * flight whose source never ended it keeps a little memory until it does. */
void store_free(struct store *s);

/* A source starts flights in other threads. `start` returns 0 and later calls flight_done() once
 * (never from inside start), or returns -errno (EBUSY: its queue is full) and does nothing. It is
 * called without locks. `start_batch`, where source_limits.batch is above 1, is the same for
 * several flights of hydration at once: all or none. */
struct source_ops {
	int (*start)(void *arg, struct flight *f, struct sfs_err *err);
	int (*start_batch)(
		void *arg, struct flight *const *v, size_t n, struct sfs_err *err); /* or NULL */
	/* A reader of that lane waits too for a flight that was started. With the store's lock:
	 * takes no other lock but leaves. Or NULL. */
	void (*join)(void *arg, struct flight *f, uint32_t lane);
};
int source_new(struct store *s, const char *name, const struct source_ops *ops, void *arg,
	struct source **ret);
/* How much of a source hydration may take at once; the rest is for readers. */
struct source_limits {
	unsigned bulk;	     /* fetches, or batches of fetches; at least 1 */
	unsigned batch;	     /* flights that go to start_batch together, at most SFS_BATCH_MAX */
	unsigned background; /* other fetches that nobody waits for */
};
/* At any time; what runs goes on. */
void source_limit(struct source *src, const struct source_limits *limits);
/* The source ends: running flights are abandoned (their waiters get ENODEV, flight_cancelled() is
 * set, flight_done() is still due), later fetches fail with ENODEV, values held are dropped. When
 * it returns `start` is not being called and never will be. */
void source_detach(struct source *src);
void source_unref(struct source *src); /* before store_free() */
/* Flights a second that the readers of one user may start, and ten times that at once; 0 = no
 * limit. May be changed at any time. */
void source_set_rate(struct source *src, uint32_t rate);
struct source_health {
	uint64_t fetches, failures,
		joined; /* flights, failed flights, waiters that joined a running one */
	int64_t last_ok_wall, last_error_wall;
	struct sfs_err last_error;
	uint64_t kept_newer;   /* answers dropped because an older version arrived late (R64) */
	int64_t backoff_until; /* boot time; 0 = none */
	uint64_t delayed, delayed_out; /* readers that had to wait for a token, and those of them
					  whose time was over first */
	uint64_t waiting;	       /* readers that wait for a token now */
};
void source_health(const struct source *src, struct source_health *ret);

/* What a flight is for; valid until flight_done(). */
const char *flight_name(const struct flight *f);
const char *flight_version(const struct flight *f); /* NULL = current */
int64_t flight_deadline(const struct flight *f);    /* boot time */
const atomic_bool *flight_cancelled(const struct flight *f);
/* A job that belongs to the flight, for the source's use until flight_done(). Its lane is the user
 * whose reader came first, or POOL_LANE_NONE. */
struct job *flight_job(struct flight *f);
struct flight *flight_of_job(struct job *j);
void *flight_arg(const struct flight *f); /* what source_new() got */
/* Whether it is worth to drop values for this one: somebody waits for it, or it is no hydration. */
bool flight_may_evict(const struct flight *f);
/* Ends a flight: `p` (one reference, the only one, handed over) or `err` with a code, the other
 * NULL. Fills in the version where the source has none. From any thread, also long after the store
 * gave the flight up (a second after its deadline). */
void flight_done(struct flight *f, struct payload *p, const struct sfs_err *err);

/* How an entry is to be kept; from the policy of its name. */
struct entry_policy {
	int64_t ttl;	  /* seconds, -1, 0 */
	int64_t stale;	  /* seconds */
	bool never_cache; /* the mount has ttl=0: nothing is kept whatever TTL the user sets */
};

/* The entry of (source, name, version or NULL), made if there is none; one reference for the
 * caller. `pol` counts when it is made (change it with entry_set_policy()). NULL on no memory. */
struct entry *store_entry(struct store *s, struct source *src, const char *name,
	const char *version, const struct entry_policy *pol);
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e);
/* A pointer of the user of the entry (the tree), set once under the user's own lock. */
void entry_set_user(struct entry *e, void *user);
void *entry_user(const struct entry *e);
const char *entry_name(const struct entry *e);

/* A change of rules. Does not touch a TTL that a user set. */
void entry_set_policy(struct entry *e, const struct entry_policy *pol);
/* The user's TTL (xattr, control file): seconds, -1, 0; survives purge. */
void entry_set_ttl(struct entry *e, int64_t ttl);
bool entry_ttl_is_set(const struct entry *e);

enum fetch_mode {
	FETCH_CACHED,  /* what open wants: from memory if it may be, else fetched */
	FETCH_REFRESH, /* fetch now although fresh, or join the fetch that runs; the old value is
			  served to others meanwhile. Ignores remembered failures. Fails with the
			  fetch's error even where a stale value exists */
	FETCH_NOCACHE, /* own flight, joined by nobody, stored nowhere */
};

/* On whose account a flight is started. All zero: nobody's, there is no limit. */
struct payer {
	bool limited;
	uint32_t uid;
};

/* Embedded in the caller's request. The caller sets done, deadline, payer and bulk; the rest
 * belongs to the store until done. */
struct waiter {
	/* Called exactly once unless cancelled, without locks, from any thread, perhaps before
	 * store_fetch() returns. `p` is borrowed: take a reference to keep it. Either p or err is
	 * NULL. */
	void (*done)(struct waiter *w, struct payload *p, const struct sfs_err *err);
	int64_t deadline; /* boot time: then ETIMEDOUT; the flight goes on for others and for the
			     cache */
	struct payer payer;
	bool bulk; /* one of many: store_start_bulk() is to follow the last of them */
	/* private */
	enum fetch_mode mode;
	struct heap_node timer;
	struct waiter *prev, *next;
	struct flight *flight;
	struct bucket *bucket; /* in whose queue it is, or NULL */
	struct waiter *queue_prev, *queue_next;
};
void store_fetch(struct store *s, struct entry *e, enum fetch_mode mode, struct waiter *w);
/* True: done was not called and will not be. False: it was, or is about to be in another thread:
 * the waiter's memory must stay until then (so done, not the caller of cancel, frees it). A flight
 * that nobody waits for any more is not stopped unless it is FETCH_NOCACHE. */
bool store_cancel(struct store *s, struct waiter *w);
/* The same, but only if its fetch has not started yet, as a bulk one's may not. */
bool store_recall(struct store *s, struct waiter *w);
/* Many bulk fetches, changed or kept entries are about to come: until store_start_bulk(), which
 * must follow each call, a group that is not full waits for them however slowly they come. */
void store_gather(struct store *s);
/* No more of them come for now: groups that are not full need not wait. Without locks. */
void store_start_bulk(struct store *s);

/* Forgets the value and any remembered failure, wipes it when the last open file closes. */
void store_purge(struct store *s, struct entry *e);
/* The source says this entry may have changed: it counts as expired from now (open waits for the
 * new value), remembered failures are forgotten, and if it has a value a flight starts at once so
 * that a rotation is seen. Without a value that is all (a new listing shows the name: R63). Values
 * addressed by a fixed version do not change. */
void store_changed(struct store *s, struct entry *e);

enum entry_state {
	ENTRY_ABSENT,
	ENTRY_FRESH,
	ENTRY_REFRESHING,
	ENTRY_STALE,
	ENTRY_EXPIRED,
	ENTRY_FAILED
};
const char *entry_state_text(enum entry_state st); /* "absent", "fresh", ... */

struct entry_info {
	enum entry_state state;
	uint64_t serial; /* of the value held, or last held; 0 = never had one */
	int64_t ttl;	 /* effective: the user's, else policy, capped by the payload's hint */
	int64_t fetched_boot, fetched_wall, created;
	int64_t expires_boot; /* CLOCK_NEVER; 0 without a value */
	int64_t expires_wall;
	bool has_error;
	struct sfs_err
		error; /* last error, also when a later fetch succeeded: has_error is then false */
};
void entry_info(const struct entry *e, struct entry_info *ret);
/* The value held, fresh or not, one reference for the caller; NULL if none. For sizes, versions,
 * listings; not for serving readers. */
struct payload *entry_peek(const struct entry *e);
/* Calls `fn` for every entry that holds a value or is about to get one, perhaps twice (a snapshot:
 * entries are referenced while fn runs, without locks). -ENOMEM. */
int store_each(struct store *s, int (*fn)(void *arg, struct entry *e), void *arg);
/* Drops least recently read values that nobody has open until `bytes` of payload are free again.
 * True if any was dropped: an allocation in the secret arena is worth a second try (R3). */
bool store_make_room(struct store *s, size_t bytes);
/* Bytes and number of values held, evictions so far. */
void store_totals(
	const struct store *s, size_t *ret_bytes, size_t *ret_values, uint64_t *ret_evictions);

/*
 * Hydration. A kept entry is fetched in the background if it has no value, by the store's timer,
 * and fetched again ahead of the end of its TTL whether it was read or not; a transient failure is
 * tried again with a back-off that grows to a minute, also when the value was lost meanwhile. Not
 * fetched before somebody asks: what was purged; what failed for good, unless store_changed() says
 * that it changed. The end of the last reference ends it. Nothing is dropped to make room for it:
 * when a value does not fit, those that are missing stay so until a quarter of what is held has
 * gone. Never calls back.
 */
void entry_keep(struct entry *e, bool keep);
struct store_kept {
	size_t total;	      /* kept entries whose TTL is not 0 */
	size_t tried;	      /* of them: fetched or failed at least once, or purged */
	size_t failed;	      /* without a value because the last fetch failed */
	size_t missing;	      /* for which there is no room */
	size_t missing_bytes; /* about */
	bool running;	      /* some were not tried yet, and there is room */
	bool full;
	bool arena;	    /* full: secret memory is, not cache_bytes */
	int64_t changed_at; /* boot time of the last progress; 0 = none yet */
};
void store_kept(const struct store *s, struct store_kept *ret);

/* Due deadlines, expiries and refreshes; returns the boot time of the next one. The store's own
 * timer thread (store_start_timer()) calls it; tests with a fake clock call it themselves. */
int64_t store_run_timers(struct store *s);
int store_start_timer(struct store *s);
void store_stop_timer(struct store *s);

#endif
