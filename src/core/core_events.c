/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core tells in .control/events. Only what somebody may want to act on: a value that was
 * fetched again and is the same is no news, nor is a name that was asked for and does not exist.
 */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

/* Names that come or go at once and are told one by one; of more, "listed" tells the number. */
#define SINGLES_MAX 256

/* --- values --- */

/* A failure is news where the name is known, or where it is more than "no such name". A name that
 * goes because of it is told as deleted. */
static const char *word_failed(const struct subject *s, const struct sfs_err *err)
{
	bool listed = s && s->shown && !s->unlisted;
	return err && (err->code != ENOENT || listed) ? "error" : NULL;
}

static const char *word_version(enum store_event ev, const struct sfs_err *err)
{
	if (ev == STORE_FETCHED || ev == STORE_ROTATED)
		return "fetched";
	return ev == STORE_ERROR || ev == STORE_GONE ? word_failed(NULL, err) : NULL;
}

/* The TTL ended, and perhaps the value left with it; or it leaves now. */
static const char *word_expired(const struct subject *s, bool held)
{
	return !s || !s->expired ? "expired" : held ? NULL : "dropped";
}

static const char *word_of(
	const struct subject *s, enum store_event ev, const struct sfs_err *err, bool held)
{
	switch (ev) {
	case STORE_FETCHED:
		return "fetched";
	case STORE_REFRESHED: /* after a purge or an eviction the same value comes again */
		return s && !s->held && held ? "fetched" : NULL;
	case STORE_ROTATED:
		return "rotated";
	case STORE_PURGED:
		return s && s->held ? "purged" : NULL;
	case STORE_EXPIRED:
		return word_expired(s, held);
	case STORE_EVICTED:
		return "evicted";
	case STORE_GONE:
	case STORE_ERROR:
		return word_failed(s, err);
	default:
		return NULL;
	}
}

/* Where the secret is shown; a name that no listing shows yet, where it will be. */
static char *name_of(const struct entry_tag *tag, const struct subject *s, const struct entry *e)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	const struct dent *d = s ? core_face(s) : NULL;
	if (d)
		return mem_strdup(d->path);
	if (inst_path(tag->ci, tag->ci->listing, entry_name(e), &path) < 0)
		return NULL;
	return buf_take(&path);
}

void core_news(struct core *core, struct entry *e, enum store_event ev, const struct sfs_err *err,
	struct news *ret)
{
	const struct entry_tag *tag = entry_user(e);
	if (!tag)
		return;
	struct subject *s = tree_subject(&core->tree, tag->ci, entry_name(e), false);
	if (tag->version) {
		ret->what = word_version(ev, err);
	} else {
		struct payload *p = entry_peek(e);
		bool held = p;
		payload_unref(p);
		ret->what = word_of(s, ev, err, held);
		if (s) {
			s->held = held;
			s->expired = held && (ev == STORE_EXPIRED || (s->expired && err));
		}
	}
	if (ret->what)
		ret->name = name_of(tag, s, e);
}

void core_news_found(struct subject *s, const struct entry *e)
{
	struct payload *p = entry_peek(e);
	s->held = p;
	payload_unref(p);
}

void core_tell(struct core *core, struct entry *e, struct news *n, const struct sfs_err *err)
{
	const struct entry_tag *tag = entry_user(e);
	if (!n->what)
		return;
	struct payload *p = err ? NULL : entry_peek(e);
	const struct event told = {.what = n->what,
		.name = n->name,
		.source = tag->ci->name,
		.version = p ? p->version : NULL,
		.err = err};
	events_add(core->events, &told);
	payload_unref(p);
	mem_free(take(n->name));
}

void core_tell_error(struct core *core, const char *source, const struct sfs_err *err)
{
	const struct event e = {.what = "error", .source = source, .err = err};
	events_add(core->events, &e);
}

void core_tell_hydrated(
	struct core *core, const char *what, size_t done, size_t total, size_t failed)
{
	const struct event e = {
		.what = what, .numbers = {{"done", done}, {"total", total}, {"failed", failed}}};
	events_add(core->events, &e);
}

/* --- names --- */

void core_tell_listed(struct core_inst *ci, size_t names, size_t created, size_t deleted)
{
	struct event e = {.what = "listed", .source = ci->name, .numbers = {{"names", names}}};
	if (created || deleted) {
		e.numbers[1].key = "created";
		e.numbers[1].n = created;
		e.numbers[2].key = "deleted";
		e.numbers[2].n = deleted;
	}
	events_add(ci->core->events, &e);
}

/* A secret came or went: not the directories it makes, nor the keys inside. Tree lock. */
static const char *word_change(const struct tree_event *te)
{
	struct dent *d = te->d;
	bool was = d->ended;
	if (d->kind == CORE_SECRET && !dent_key(d)) {
		if (te->what == CORE_NEW) /* one that was asked for was there before */
			return d->subject && d->subject->unlisted ? NULL : "created";
		return te->what == CORE_GONE ? "deleted" : NULL;
	}
	if (d->kind != CORE_DIR)
		return NULL;
	d->ended = false;
	if (was)
		return "deleted";
	return d->multikey && te->what == CORE_NEW && !d->subject->unlisted ? "created" : NULL;
}

struct single {
	const struct dent *d;
	const char *what, *source; /* the source's name lives as long as the core */
};

void core_tell_changes(struct core *core, const struct tree_event *v, size_t n)
{
	struct single told[SINGLES_MAX];
	size_t names = 0;
	core_lock(core);
	for (size_t i = 0; i < n; i++) {
		const struct dent *d = v[i].d;
		const char *what = word_change(&v[i]);
		if (what && names < SINGLES_MAX)
			told[names] = (struct single){
				d, what, d->subject ? d->subject->inst->name : NULL};
		names += what != NULL;
	}
	core_unlock_quiet(core);
	for (size_t i = 0; i < names && names <= SINGLES_MAX; i++) {
		const struct event e = {
			.what = told[i].what, .name = told[i].d->path, .source = told[i].source};
		events_add(core->events, &e);
	}
}
