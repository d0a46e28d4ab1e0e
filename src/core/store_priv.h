/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the store, shared by store*.c only. Everything below is guarded by store.lock unless it
 * says otherwise.
 *
 * Nothing that belongs to others (events, waiters, source_ops.start, wiping of values) is called
 * under the lock: functions collect it in an outbox, which outbox_run() empties afterwards.
 */
#ifndef SFS_CORE_STORE_PRIV_H
#define SFS_CORE_STORE_PRIV_H

#include "base/alloc.h"
#include "base/clock.h"
#include "core/freshness.h"
#include "core/heap.h"
#include "core/pool.h"
#include "core/store.h"
#include <pthread.h>

#define HASH_NONFATAL_OOM     1
#define uthash_malloc(size)   mem_calloc(1, size)
#define uthash_free(ptr, len) mem_free(ptr)
/* Each key begins with the address of its source: a provider that chooses names cannot aim at one
 * bucket. */
#define HASH_FUNCTION(keyptr, len, hashv) ((hashv) = (unsigned)fresh_spread(0, keyptr, len, 0))
#include <uthash.h>
#include <utlist.h>

#define STORE_BACKGROUND_MAX \
	4		    /* flights of one source that nobody waits for, if it sets no limits */
#define STORE_KEPT_BITS	  5 /* of store.kept */
#define STORE_RUNNING_MAX 2 /* flights of one entry: a superseded one and its successor */
#define STORE_GRACE	  NSEC_PER_SEC /* after its deadline a flight is given up */

#define STORE_RATE_BURST (10 * NSEC_PER_SEC) /* as many flights at once as in that time */

enum timer_kind { TIMER_WAITER = 1, TIMER_ENTRY, TIMER_FLIGHT, TIMER_BUCKET, TIMER_SOURCE };

struct store {
	pthread_mutex_t lock;
	_Atomic unsigned refs; /* the owner's, and one per flight: an abandoned one may end after
				  store_free() */
	struct store_config conf;
	struct entry *entries;	/* hash */
	struct entry *lru;	/* entries with a value, most recently read first */
	struct source *sources; /* all that are not freed */
	size_t bytes, values;
	uint64_t evictions;
	uint64_t flights;   /* start number of the newest flight */
	uint64_t serials;   /* newest serial */
	uint64_t groups;    /* newest group of bulk flights */
	unsigned gathering; /* calls of store_gather() whose end is to come */

	size_t kept[STORE_KEPT_BITS]; /* how many entries have each enum kept_bit */
	int64_t kept_at;
	bool full, full_arena; /* hydration waits for room; it is the arena that is full */
	size_t full_at;	       /* bytes held when it became so */
	uint64_t arena_failed; /* secret_stats().failed when it was last looked at */

	struct heap timers;
	int64_t sleep_until; /* of the timer thread */
	pthread_t thread;
	bool has_thread, stopping;
	int timer_fd, kick_fd; /* -1 without a thread */
};

struct source {
	struct store *store;
	const struct source_ops *ops;
	void *arg;
	char *name;
	unsigned refs;	     /* the owner's, one per entry, one per flight */
	unsigned starting;   /* calls of ops->start under way */
	pthread_cond_t idle; /* starting became 0 */
	bool detached;
	struct flight *running, *queued, *blocked, *delayed, *gathered;
	unsigned background; /* running flights that nobody waited for when they started */
	unsigned bulk;	     /* running flights of hydration and of bulk waiters */
	bool waits;	     /* a group was not started because more was about to come */
	struct source_limits limits;
	struct entry *renews, *wants; /* queues of store_keep.c */
	struct heap_node timer;	      /* when hydration, or what is gathered, goes on */
	int64_t pause_until;	      /* and not before; 0 = no pause */
	uint64_t failed_group;	      /* of which one failure was counted */
	unsigned fails;
	struct source_health health;
	uint32_t rate;		/* flights a second and user; 0 = no limit */
	struct bucket *buckets; /* most lately used first */
	unsigned nbuckets;
	struct source *prev, *next;
};

/* The flights that one user's readers may start, and who waits for one. It is full when time has
 * reached `full_at`; each flight moves that on by a second / rate, as long as it stays within the
 * burst. */
struct bucket {
	struct source *source;
	uint32_t uid;
	int64_t full_at;
	int64_t quiet_until;	/* not logged before */
	struct waiter *queue;	/* by queue_prev, queue_next: first come, first served */
	struct heap_node timer; /* the next token, while somebody waits */
	struct bucket *prev, *next;
};

enum flight_state {
	FLIGHT_NEW,	 /* in no list */
	FLIGHT_DELAYED,	 /* its readers wait for a token */
	FLIGHT_GATHERED, /* a bulk waiter is among its waiters: it starts in a group */
	FLIGHT_BLOCKED,	 /* its entry has STORE_RUNNING_MAX in the air */
	FLIGHT_QUEUED,	 /* in the background, waiting for its turn */
	FLIGHT_RUNNING,
	FLIGHT_ABANDONED, /* given up; only flight_done() still knows it */
};

struct flight {
	struct store *store;
	struct source *source; /* a reference */
	struct entry *entry;   /* a reference; NULL once abandoned */
	struct waiter *waiters;
	struct flight *prev, *next; /* in the source's list of its state */
	struct flight *next_start;  /* in an outbox */
	struct heap_node timer;
	struct job job; /* the source's */
	enum flight_state state;
	uint64_t seq;	 /* start number */
	bool nocache;	 /* FETCH_NOCACHE */
	bool background; /* counted in source.background */
	bool bulk;	 /* of hydration, or started in a group; counted in source.bulk */
	uint64_t group;	 /* those with the same go to the source together; 0 = alone */
	bool asked;	 /* somebody said FETCH_REFRESH */
	const char *version;
	int64_t deadline;
	atomic_bool cancelled; /* read by the source's thread without the lock */
	char name[];	       /* name NUL version NUL */
};

struct entry {
	UT_hash_handle hh;
	struct entry *prev, *next;	     /* in store.lru */
	struct entry *want_prev, *want_next; /* in a queue of store_keep.c */
	struct heap_node timer;
	struct payload *payload; /* the value held, a reference */
	struct flight *flight;	 /* the one that readers join */
	_Atomic(void *) user;
	char *error; /* sentence of the last failure; NULL: none, or no memory for it */
	int64_t fetched_boot,
		fetched_wall; /* last success, also when its value was not kept; 0 = never */
	int64_t turned_wall;  /* a fetch brought another version than the one before; 0 = never */
	int64_t expires;      /* with a value */
	int64_t refresh_at;   /* with a value; without: when a wanted one is tried again */
	int64_t retry_at;     /* end of the back-off */
	int64_t changed_at;   /* the source reported a change; 0 = a fetch has ended since */
	int64_t older_since;  /* first answer with an older version; 0 = none */
	uint64_t serial;
	uint64_t print; /* fingerprint of the value that has this serial, also after it was dropped
			 */
	uint64_t floor; /* flights with a lower start number are not stored */
	int32_t ttl, stale, user_ttl; /* seconds */
	uint32_t refs;
	uint32_t fetches;
	int16_t error_code; /* of the last failure, 0 = none yet */
	uint8_t fails;	    /* in a row, ENOENT not among them */
	uint8_t running;    /* flights in the air, those of FETCH_NOCACHE not among them */
	uint16_t name_len;
	bool has_version : 1, never_cache : 1, user_set : 1;
	bool failed : 1; /* the last fetch failed */
	bool lapsed : 1; /* the last value was dropped because its time was over, or not kept (ttl
			    0) */
	bool read : 1;	 /* since it was fetched */
	bool refreshed : 1;    /* the timer at refresh_at has run */
	bool expired_sent : 1; /* STORE_EXPIRED */
	bool in_lru : 1;
	bool keep : 1;	   /* entry_keep() */
	bool want : 1;	   /* to be fetched though nobody asks: it has no value */
	bool tried : 1;	   /* since it is kept */
	bool queued : 1;   /* in a queue of its source */
	bool renewing : 1; /* that queue is `renews` */
	uint8_t counted;   /* enum kept_bit, as counted in store.kept */
	/* The hash key: bytes of `source`, name, NUL, and the version if there is one. */
	struct source *source; /* a reference */
	char key[];
};

/* What is to be done after unlocking. At most one flight ends per outbox. */
struct outbox {
	struct waiter *waiters;	 /* chained by next */
	struct payload *payload; /* for all of them, a reference */
	struct payload *stale;	 /* with err: for those of FETCH_CACHED, a reference */
	struct sfs_err err;
	struct {
		struct entry *entry; /* a reference */
		enum store_event event;
		bool with_err;
	} events[2];
	unsigned nevents;
	struct payload *drop[2]; /* references */
	unsigned ndrop;
	struct flight *start; /* chained by next_start */
	char slowed[256];     /* for the log: a user begins to be slowed down; "" = nothing */
	bool full;	      /* store_config.full is due */
};

static inline void store_lock(struct store *s)
{
	pthread_mutex_lock(&s->lock);
}

static inline void store_unlock(struct store *s)
{
	pthread_mutex_unlock(&s->lock);
}

/* store.c */
void store_unref(struct store *s); /* without the lock */
void outbox_event(struct outbox *box, struct entry *e, enum store_event ev, bool with_err);
void outbox_run(struct store *s, struct outbox *box); /* without the lock */

void store_trim(struct store *s); /* without the lock: back below cache_bytes */

/* store_entry.c: under the lock */
const char *entry_version(const struct entry *e);
void entry_release(struct entry *e); /* gives a reference back; may free */
void entry_view(const struct entry *e, int64_t now, struct fresh_view *ret);
int64_t entry_drop_at(const struct entry *e);
int64_t entry_ttl(const struct entry *e, const struct payload *p);
void entry_reckon(struct entry *e); /* expiry and refresh time follow from TTL and fetch time */
void entry_arm(struct entry *e);
void entry_touch(struct entry *e);
void entry_hold(
	struct entry *e, struct payload *p, struct outbox *box); /* takes a reference of its own */
void entry_drop(struct entry *e, struct outbox *box);
void entry_set_error(struct entry *e, const struct sfs_err *err);
void entry_due(struct entry *e, struct outbox *box);

/* store_source.c: under the lock */
void source_release(struct source *src);
void source_answered(struct source *src);
void source_failed(struct source *src, const struct sfs_err *err);
/* Why `e` is not even tried: the source fails. */
void source_error(const struct entry *e, struct sfs_err *ret);

/* store_flight.c: under the lock */
/* Makes the flight that readers of `e` join, or one of its own; NULL on no memory. Start it with
 * flight_launch(). */
struct flight *flight_new(struct entry *e, bool nocache);
void flight_launch(struct flight *f, struct outbox *box);
/* Reader `w` waits for it now: a queued one starts, a started one may move up in its source. */
void flight_wanted(struct flight *f, const struct waiter *w, struct outbox *box);
/* Starts one in the background unless one is there. */
void flight_background(struct entry *e, struct outbox *box);
/* Nobody joins the entry's flight any more, what it brings is not stored. */
void flight_supersede(struct entry *e);
void flight_abandon(struct flight *f, const struct sfs_err *err, struct outbox *box);
/* Ended before it was handed to the source: frees it. */
void flight_refuse(struct flight *f, const struct sfs_err *err, struct outbox *box);
void flight_due(struct flight *f, struct outbox *box);
/* Frees one that was not started and that nobody waits for. */
void flight_forget(struct flight *f);
/* Its readers wait for a token. */
void flight_delay(struct flight *f);
/* It waits for its group. */
void flight_gather(struct flight *f);
/* The entry's flight, unless that is delayed: NULL if nothing is under way. */
struct flight *flight_of(const struct entry *e);

/* store_keep.c: under the lock */
void kept_count(struct entry *e); /* after any change of what store.kept counts */
/* Whether what a flight of hydration brought may be held; hydration stops if not. */
bool kept_fits(struct flight *f, const struct payload *p, struct outbox *box);
void kept_unfit(struct entry *e);			/* it waits for room */
void kept_evicted(struct entry *e, struct outbox *box); /* it lost its value for room */
void kept_room(struct store *s);			/* a value was dropped */
void kept_queue(struct entry *e, bool front);
void kept_unqueue(struct entry *e);
void kept_detach(struct source *src);			/* empties the queues */
void kept_pump(struct source *src, struct outbox *box); /* starts what may start */
void kept_refused(struct entry *e);			/* the source did not take its flight */
void kept_failed(struct flight *f, const struct sfs_err *err, struct outbox *box);
void kept_well(struct entry *e);   /* a fetch ended well */
void kept_lapsed(struct entry *e); /* its value was dropped because its time was over */
void kept_forget(struct entry *e); /* purged */
void kept_due(struct entry *e, struct outbox *box);
void kept_end(struct entry *e);

/* store_bulk.c: under the lock */
void bulk_gather(struct flight *f);
/* Starts what may start. True: the source's timer will go on. */
bool bulk_pump(struct source *src, struct outbox *box);
/* Whether a group of `n` is worth waiting for: more is about to come. */
bool bulk_waits(struct source *src, unsigned n, unsigned there);
/* Its timer: false if there was nothing to give up. */
bool bulk_give_up(struct source *src, struct outbox *box);

/* store_fetch.c: under the lock */
void waiter_left(struct waiter *w);			/* without an answer */
void waiter_take(struct waiter *w, struct outbox *box); /* from its flight into the outbox */
void waiter_due(struct waiter *w, struct outbox *box);

/* store_rate.c: under the lock */
/* Whether the flight of the waiter, who is parked there, may start at once. If not he is in his
 * user's queue. -ENOMEM. */
int rate_admit(struct waiter *w, struct outbox *box, bool *ret);
/* Out of the queue, if he is in one. */
void rate_leave(struct waiter *w);
void rate_due(struct bucket *b, struct outbox *box);
void rate_clear(struct source *src);

/* store_timer.c: under the lock */
void timer_set(struct store *s, struct heap_node *n, int64_t when);

/* fingerprint.c: no lock. Keyed 64-bit hash of the parts; fills in p->version where it is NULL. 0,
 * -ENOMEM, -EIO. */
int payload_fingerprint(struct payload *p, uint64_t *ret);

#endif
