/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* --- making, finding, freeing --- */

static const void *hash_key(const struct entry *e)
{
	return (const char *)e + offsetof(struct entry, source);
}

static unsigned hash_len(const struct entry *e)
{
	size_t version = e->has_version ? strlen(e->key + e->name_len + 1) : 0;

	/* The length tells version "" from none. */
	return (unsigned)(offsetof(struct entry, key) - offsetof(struct entry, source) +
			  e->name_len + 1u + e->has_version + version);
}

static int32_t seconds(int64_t s)
{
	if (s < 0)
		return -1;
	return s > INT32_MAX ? INT32_MAX : (int32_t)s;
}

static void set_policy(struct entry *e, const struct entry_policy *pol)
{
	e->ttl = seconds(pol->ttl);
	e->stale = seconds(pol->stale);
	e->never_cache = pol->never_cache;
}

static struct entry *entry_alloc(
	struct source *src, const char *name, const char *version, const struct entry_policy *pol)
{
	size_t nlen = strlen(name), vlen = version ? strlen(version) + 1 : 0;
	struct entry *e;

	if (nlen > SFS_NAME_MAX || vlen > SFS_NAME_MAX)
		return NULL;
	e = mem_calloc(1, sizeof(*e) + nlen + 1 + vlen);
	if (!e)
		return NULL;
	memcpy(e->key, name, nlen);
	if (version)
		memcpy(e->key + nlen + 1, version, vlen);
	e->name_len = (uint16_t)nlen;
	e->has_version = version;
	e->source = src;
	e->timer.kind = TIMER_ENTRY;
	set_policy(e, pol);
	return e;
}

static int entry_insert(struct store *s, struct entry *e)
{
	if (heap_reserve(&s->timers) < 0)
		return -ENOMEM;
	HASH_ADD_KEYPTR(hh, s->entries, hash_key(e), hash_len(e), e);
	if (!e->hh.tbl) {
		heap_unreserve(&s->timers);
		return -ENOMEM;
	}
	e->source->refs++;
	return 0;
}

struct entry *store_entry(struct store *s, struct source *src, const char *name,
	const char *version, const struct entry_policy *pol)
{
	struct entry *e, *fresh = entry_alloc(src, name, version, pol);

	if (!fresh)
		return NULL;
	store_lock(s);
	HASH_FIND(hh, s->entries, hash_key(fresh), hash_len(fresh), e);
	if (!e && entry_insert(s, fresh) == 0) {
		e = fresh;
		fresh = NULL;
	}
	if (e)
		e->refs++;
	store_unlock(s);
	mem_free(fresh);
	return e;
}

static bool worth_keeping(const struct entry *e)
{
	return e->refs > 0 || e->payload || e->flight || e->user_set ||
	       (e->failed && clock_boot() < e->retry_at);
}

static void entry_settle(struct entry *e)
{
	struct source *src = e->source;
	struct store *s = src->store;

	kept_end(e);
	if (worth_keeping(e)) {
		entry_arm(e);
		return;
	}
	heap_remove(&s->timers, &e->timer);
	heap_unreserve(&s->timers);
	HASH_DEL(s->entries, e);
	mem_free(e->error);
	mem_free(e);
	source_release(src);
}

void entry_release(struct entry *e)
{
	assert(e->refs > 0);
	if (--e->refs == 0)
		entry_settle(e);
}

struct entry *entry_ref(struct entry *e)
{
	store_lock(e->source->store);
	e->refs++;
	store_unlock(e->source->store);
	return e;
}

void entry_unref(struct entry *e)
{
	struct store *s;

	if (!e)
		return;
	s = e->source->store;
	store_lock(s);
	entry_release(e);
	store_unlock(s);
}

void entry_set_user(struct entry *e, void *user)
{
	atomic_store(&e->user, user);
}

void *entry_user(const struct entry *e)
{
	return atomic_load(&((struct entry *)e)->user);
}

const char *entry_name(const struct entry *e)
{
	return e->key;
}

const char *entry_version(const struct entry *e)
{
	return e->has_version ? e->key + e->name_len + 1 : NULL;
}

/* --- the value --- */

int64_t entry_ttl(const struct entry *e, const struct payload *p)
{
	struct fresh_ttl in = {
		.policy = e->ttl,
		.never_cache = e->never_cache,
		.user_set = e->user_set,
		.user = e->user_ttl,
		.hint = p ? p->ttl_hint : -1,
		.max = p ? p->ttl_max : -1,
		.immutable = p && p->immutable,
	};

	return fresh_ttl(&in);
}

int64_t entry_drop_at(const struct entry *e)
{
	return clock_after(e->expires, e->stale);
}

void entry_view(const struct entry *e, int64_t now, struct fresh_view *ret)
{
	const struct source *src = e->source;

	*ret = (struct fresh_view){
		.now = now,
		.held = e->payload,
		.expires = e->expires,
		.drop = entry_drop_at(e),
		.refresh_at = e->refresh_at,
		.changed = e->changed_at,
		.lapsed = e->lapsed,
		.failed = e->failed,
		.fails = e->fails,
		.retry_at = e->retry_at,
		.source_fails = src->fails,
		.source_until = src->health.backoff_until,
		.flight = flight_of(e),
	};
}

void entry_reckon(struct entry *e)
{
	int64_t ttl = entry_ttl(e, e->payload);
	uint64_t spread;

	if (!e->payload)
		return;
	e->expires = clock_after(e->fetched_boot, ttl);
	if (e->changed_at && e->changed_at < e->expires)
		e->expires = e->changed_at;
	spread = fresh_spread(e->source->store->conf.node, e->key, e->name_len, e->fetches);
	e->refresh_at = fresh_refresh_at(e->fetched_boot, ttl, spread);
	e->refreshed = false;
	e->expired_sent = false;
}

/* When the timer has something to do for the entry. */
static int64_t next_due(const struct entry *e)
{
	bool under_way = flight_of(e) || e->queued || e->source->detached;
	int64_t next;

	if (!e->payload && e->want)
		return under_way || entry_ttl(e, NULL) == 0 ? CLOCK_NEVER : e->refresh_at;
	if (!e->payload) /* the failure is forgotten, and if nothing else keeps the entry it goes */
		return e->refs == 0 && e->failed && !e->user_set ? e->retry_at : CLOCK_NEVER;
	next = entry_drop_at(e);
	/* After a change the end of the flight tells what happened; it is not announced twice. */
	if (!e->expired_sent && !(e->changed_at && under_way))
		next = e->expires;
	if (e->refreshed || (e->keep && under_way) || (!e->keep && e->refresh_at >= e->expires))
		return next;
	return e->refresh_at < next ? e->refresh_at : next;
}

void entry_arm(struct entry *e)
{
	kept_count(e);
	timer_set(e->source->store, &e->timer, next_due(e));
}

void entry_touch(struct entry *e)
{
	struct store *s = e->source->store;

	e->read = true;
	if (s->lru == e)
		return;
	DL_DELETE(s->lru, e);
	DL_PREPEND(s->lru, e);
}

void entry_hold(struct entry *e, struct payload *p, struct outbox *box)
{
	struct store *s = e->source->store;

	entry_drop(e, box);
	e->payload = payload_ref(p);
	s->bytes += payload_size(p);
	s->values++;
	DL_PREPEND(s->lru, e);
	e->lapsed = false;
	entry_reckon(e);
	entry_arm(e);
}

void entry_drop(struct entry *e, struct outbox *box)
{
	struct store *s = e->source->store;

	if (!e->payload)
		return;
	assert(box->ndrop < sizeof(box->drop) / sizeof(box->drop[0]));
	DL_DELETE(s->lru, e);
	s->bytes -= payload_size(e->payload);
	s->values--;
	box->drop[box->ndrop++] = e->payload;
	e->payload = NULL;
	kept_room(s);
	entry_arm(e);
}

void entry_set_error(struct entry *e, const struct sfs_err *err)
{
	mem_free(e->error);
	e->error = mem_strdup(err->msg);
	e->error_code = (int16_t)err->code;
	e->failed = true;
}

/* --- timers --- */

/* Its time is over: nobody may be served from it any more, so it does not stay in memory. */
static void lapse(struct entry *e, struct outbox *box)
{
	outbox_event(box, e, STORE_EXPIRED, false);
	entry_drop(e, box);
	e->lapsed = true;
	kept_lapsed(e);
}

static void refresh_due(struct entry *e, int64_t now, struct outbox *box)
{
	int64_t wait = e->source->health.backoff_until;

	if (e->keep) {
		kept_due(e, box);
		return;
	}
	if (e->retry_at > wait)
		wait = e->retry_at;
	if (e->read && !flight_of(e) && now < wait) {
		e->refresh_at = wait;
		return;
	}
	e->refreshed = true;
	if (e->read)
		flight_background(e, box);
}

void entry_due(struct entry *e, struct outbox *box)
{
	int64_t now = clock_boot();

	e->refs++;
	if (e->payload && now >= entry_drop_at(e)) {
		lapse(e, box);
	} else if (e->payload && now >= e->expires && !e->expired_sent) {
		e->expired_sent = true;
		e->refreshed = !e->keep;
		outbox_event(box, e, STORE_EXPIRED, false);
	} else if (e->payload && now >= e->refresh_at && !e->refreshed) {
		refresh_due(e, now, box);
	} else if (!e->payload && e->want && now >= e->refresh_at) {
		kept_due(e, box);
	}
	entry_arm(e);
	entry_release(e);
}

/* --- what the user sets and sees --- */

/* The TTL changed: a value that may not be kept now goes. */
static void ttl_changed(struct entry *e, struct outbox *box)
{
	if (e->payload && entry_ttl(e, e->payload) == 0)
		lapse(e, box);
	if (e->want && !e->flight && entry_ttl(e, NULL) != 0)
		kept_due(e, box);
	entry_reckon(e);
	entry_arm(e);
}

void entry_set_policy(struct entry *e, const struct entry_policy *pol)
{
	struct store *s = e->source->store;
	struct outbox box = {0};

	store_lock(s);
	set_policy(e, pol);
	ttl_changed(e, &box);
	store_unlock(s);
	outbox_run(s, &box);
}

void entry_set_ttl(struct entry *e, int64_t ttl)
{
	struct store *s = e->source->store;
	struct outbox box = {0};

	store_lock(s);
	e->user_set = true;
	e->user_ttl = seconds(ttl);
	ttl_changed(e, &box);
	store_unlock(s);
	outbox_run(s, &box);
}

bool entry_ttl_is_set(const struct entry *e)
{
	bool set;

	store_lock(e->source->store);
	set = e->user_set;
	store_unlock(e->source->store);
	return set;
}

struct payload *entry_peek(const struct entry *e)
{
	struct payload *p = NULL;

	store_lock(e->source->store);
	if (e->payload)
		p = payload_ref(e->payload);
	store_unlock(e->source->store);
	return p;
}

const char *entry_state_text(enum entry_state st)
{
	static const char *const text[] = {
		"absent", "fresh", "refreshing", "stale", "expired", "failed"};

	return text[st];
}

static void fill_error(const struct entry *e, struct entry_info *ret)
{
	ret->has_error = e->failed;
	if (!e->error_code)
		return;
	if (e->error)
		err_set(&ret->error, e->error_code, "%s", e->error);
	else
		err_errno(&ret->error, e->error_code, "no memory for the sentence");
}

static void fill_expiry(const struct entry *e, struct entry_info *ret)
{
	if (e->payload)
		ret->expires_boot = e->expires;
	else if (e->never_cache && e->user_set && e->fetched_boot)
		ret->expires_boot = clock_after(e->fetched_boot, e->user_ttl);
	else
		return;
	ret->expires_wall = CLOCK_NEVER;
	if (ret->expires_boot != CLOCK_NEVER)
		ret->expires_wall = e->fetched_wall + (ret->expires_boot - e->fetched_boot);
}

void entry_info(const struct entry *e, struct entry_info *ret)
{
	struct fresh_view v;

	*ret = (struct entry_info){0};
	store_lock(e->source->store);
	entry_view(e, clock_boot(), &v);
	ret->state = fresh_state(&v);
	ret->serial = e->serial;
	ret->ttl = e->never_cache && e->user_set ? e->user_ttl : entry_ttl(e, e->payload);
	ret->fetched_boot = e->fetched_boot;
	ret->fetched_wall = e->fetched_wall;
	ret->created = e->payload ? e->payload->created : 0;
	fill_expiry(e, ret);
	fill_error(e, ret);
	store_unlock(e->source->store);
}
