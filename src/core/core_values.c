/* SPDX-License-Identifier: Apache-2.0 */
/* Values: what a name shows of them, and what the store reports. */
#include "core/core_hydrate.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/fields.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- entries --- */

struct entry *core_entry_of(
	struct core_inst *ci, const char *name, const char *version, const struct policy *pol)
{
	struct core *core = ci->core;
	struct entry_policy p = {pol->ttl, pol->stale, core->conf->policy.ttl == 0};
	if (ci->closing || core->shutdown)
		return NULL;
	struct entry *e = store_entry(core->store, instance_source(ci->in), name, version, &p);
	if (e)
		entry_set_user(e, version ? &ci->versions : &ci->current);
	ci->versions_used = ci->versions_used || version;
	return e;
}

struct entry *core_entry(struct core *core, struct subject *s)
{
	struct policy none = core->conf->policy;
	if (!s->entry)
		s->entry = core_entry_of(s->inst, s->name, NULL, s->pol ? s->pol : &none);
	return s->entry ? entry_ref(s->entry) : NULL;
}

/* --- fetching --- */

static void answer(struct waiter *w, int code, const char *text)
{
	struct sfs_err err;
	err_set(&err, code, "%s", text);
	w->done(w, NULL, &err);
}

/* A reference to the entry to fetch, or an error. Tree lock. */
static int entry_for(struct core *core, struct dent *d, const char *version, struct entry **ret,
	struct sfs_err *err)
{
	struct subject *s = d->subject;
	struct policy pol;
	core_dent_policy(core, d, &pol);
	if (core->shutdown)
		return err_set(err, EIO, "the mount ends");
	if (pol.hidden || (!d->alive && !s->shown))
		return err_set(err, ENOENT, "this name is no longer there");
	struct entry *e =
		version ? core_entry_of(s->inst, s->name, version, &pol) : core_entry(core, s);
	if (!e)
		return err_set(err, ENOMEM, "out of memory");
	*ret = e;
	return 0;
}

/* Sources without versions have the current one only: it is called `latest`, and while it is held
 * it is found by its own text too, which the core made. The payload held if `*version` names it,
 * with a reference; `*version` is NULL if the current one is meant. Tree lock. */
static struct payload *named_version(struct subject *s, const char **version)
{
	struct payload *p = s->entry ? entry_peek(s->entry) : NULL;
	if (p && strcmp(p->version, *version) == 0)
		return p;
	payload_unref(p);
	if (!instance_conf(s->inst->in)->ops->versions && strcmp(*version, "latest") == 0)
		*version = NULL;
	return NULL;
}

void core_fetch(struct core *core, struct dent *d, const char *version, enum fetch_mode mode,
	struct waiter *w)
{
	struct entry *e = NULL;
	struct payload *named = NULL;
	struct sfs_err err;
	core_lock(core);
	bool subject = d->subject, unknown = d->kind == CORE_UNKNOWN;
	if (subject && version)
		named = named_version(d->subject, &version);
	int r = subject ? entry_for(core, d, version, &e, &err) : 0;
	core_unlock(core);
	if (r < 0) {
		w->done(w, NULL, &err);
	} else if (named) {
		w->done(w, named, NULL);
		entry_unref(e);
	} else if (e) {
		store_fetch(core->store, e, mode, w);
		entry_unref(e);
	} else if (unknown) {
		core_prov_fetch(core, d, version, mode, w);
	} else {
		answer(w, EISDIR, "this is a directory");
	}
	payload_unref(named);
}

bool core_fetch_cancel(struct core *core, struct waiter *w)
{
	int r = core_prov_cancel(core, w, store_cancel);
	return r < 0 ? store_cancel(core->store, w) : r == 1;
}

bool core_fetch_recall(struct core *core, struct waiter *w)
{
	int r = core_prov_cancel(core, w, store_recall);
	return r < 0 ? store_recall(core->store, w) : r == 1;
}

/* --- what a file shows --- */

static int select_field(
	struct secret *bytes, const char *field, struct secret **ret, struct sfs_err *err)
{
	struct fields *f;
	int r = fields_parse(bytes, &f, err);
	if (r < 0)
		return r;
	r = fields_get(f, field, ret, err);
	fields_free(f);
	return r;
}

int core_select(struct core *core, const struct dent *d, struct payload *p, struct secret **ret,
	struct sfs_err *err)
{
	(void)core;
	if (d->kind == CORE_DIR)
		return err_set(err, EISDIR, "this is a directory");
	const char *key = dent_key(d); /* never changes */
	struct secret *bytes = payload_part(p, key);
	if (!bytes)
		return err_set(err, ENOENT,
			key ? "the secret has no such key any more"
			    : "the secret has keys now and is a directory");
	if (d->part && d->part->field)
		return select_field(bytes, d->part->field, ret, err);
	*ret = secret_ref(bytes);
	return 0;
}

/* The payload held, or NULL. */
static struct payload *held(struct core *core, struct dent *d)
{
	core_lock(core);
	struct entry *e = d->subject ? d->subject->entry : NULL;
	struct payload *p = e ? entry_peek(e) : NULL;
	core_unlock(core);
	return p;
}

struct secret *core_peek(
	struct core *core, struct dent *d, uint64_t *ret_serial, int64_t *ret_mtime)
{
	struct core_attr a;
	struct secret *bytes = NULL;
	struct sfs_err err;
	struct payload *p = held(core, d);
	if (!p)
		return NULL;
	if (core_select(core, d, p, &bytes, &err) == 0) {
		core_attr(core, d, &a);
		*ret_serial = p->serial;
		*ret_mtime = p->created ? p->created : a.mtime;
	}
	payload_unref(p);
	return bytes;
}

void core_version(struct core *core, struct dent *d, char *out, size_t size)
{
	struct payload *p = held(core, d);
	snprintf(out, size, "%s", p && p->version ? p->version : "");
	payload_unref(p);
}

int core_info(struct core *core, struct dent *d, struct entry_info *ret)
{
	struct policy pol;
	int r = 0;
	core_lock(core);
	if (d->kind == CORE_DIR && !d->multikey) {
		r = -ENODATA;
	} else if (d->subject && d->subject->entry) {
		entry_info(d->subject->entry, ret);
	} else {
		core_dent_policy(core, d, &pol);
		*ret = (struct entry_info){.state = ENTRY_ABSENT, .ttl = pol.ttl};
	}
	core_unlock(core);
	return r;
}

/* --- purge and TTL --- */

struct version_purge {
	struct core_inst *ci;
	const struct ptab *names; /* NULL = all */
	struct entry_list list;
};

static bool same_string(const void *p, const void *key)
{
	return !strcmp(p, key);
}

static int collect_version(void *arg, struct entry *e)
{
	struct version_purge *vp = arg;
	const struct entry_tag *tag = entry_user(e);
	const char *name = entry_name(e);
	if (!tag || !tag->version || tag->ci != vp->ci)
		return 0;
	if (vp->names && !ptab_find(vp->names, ptab_hash(name, strlen(name), 0), same_string, name))
		return 0;
	entry_list_add(&vp->list, entry_ref(e));
	return 0;
}

int core_purge_versions(struct core *core, struct core_inst *ci, const struct ptab *names)
{
	struct version_purge vp = {.ci = ci, .names = names};
	core_lock(core);
	bool used = ci->versions_used;
	core_unlock(core);
	int r = used ? store_each(core->store, collect_version, &vp) : 0;
	entry_list_end(core, &vp.list, store_purge);
	return vp.list.failed ? -ENOMEM : r;
}

void core_purge(struct core *core, struct dent *d)
{
	struct ptab names = {0};
	core_lock(core);
	struct subject *s = d->subject;
	struct core_inst *ci = s ? s->inst : NULL; /* lives as long as the dent */
	struct entry *e = s && s->entry ? entry_ref(s->entry) : NULL;
	char *name = s ? s->name : NULL;
	core_unlock(core);
	if (e)
		store_purge(core->store, e);
	entry_unref(e);
	if (ci && ptab_add(&names, ptab_hash(name, strlen(name), 0), name) == 0)
		core_purge_versions(core, ci, &names);
	ptab_clear(&names);
}

static void event_all(struct tree *t, struct subject *s, enum core_change what)
{
	for (struct dent *d = s->shown; d; d = d->same_next)
		tree_event(t, d, what);
}

/* What is never cached is another kind of node: the mount must hear of it. */
void core_set_ttl(struct core *core, struct dent *d, int64_t ttl)
{
	core_lock(core);
	struct entry *e = d->subject ? core_entry(core, d->subject) : NULL;
	core_unlock(core);
	if (!e)
		return;
	entry_set_ttl(e, ttl);
	entry_unref(e);
	core_lock(core);
	if (d->subject)
		event_all(&core->tree, d->subject, CORE_ATTR);
	core_unlock(core);
}

/* --- what the store reports --- */

/* Serial and keys of the value that came. */
static void value_came(struct core *core, struct subject *s, struct entry *e)
{
	struct entry_info info;
	entry_info(e, &info);
	if (s->serial && info.serial != s->serial)
		event_all(&core->tree, s, CORE_ROTATED);
	s->serial = info.serial;
	struct payload *p = entry_peek(e);
	if (p)
		show_payload(core, s, p);
	payload_unref(p);
}

static void value_dropped(struct core *core, struct subject *s)
{
	s->generation = ++core->tree.next_generation;
	event_all(&core->tree, s, CORE_PURGED);
}

static void value_gone(struct core *core, struct subject *s, const struct sfs_err *err)
{
	value_dropped(core, s);
	if (!s->unlisted || !err || err->code != ENOENT)
		return;
	core_sync_missing(s->inst, s->name);
	show_gone(core, s);
}

void core_store_event(void *arg, struct entry *e, enum store_event ev, const struct sfs_err *err)
{
	struct core *core = arg;
	const struct entry_tag *tag = entry_user(e);
	struct news news = {0};
	core_lock(core);
	core_news(core, e, ev, err, &news);
	if (tag && !tag->version) {
		struct subject *s = tree_subject(&core->tree, tag->ci, entry_name(e), false);
		bool came = ev == STORE_FETCHED || ev == STORE_REFRESHED || ev == STORE_ROTATED;
		if (came && !(s && s->shown)) /* something else has its place now */
			entry_keep(e, false);
		if (s && came)
			value_came(core, s, e);
		else if (s && ev == STORE_PURGED)
			value_dropped(core, s);
		else if (s && ev == STORE_EXPIRED)
			event_all(&core->tree, s, CORE_EXPIRED);
		else if (s && ev == STORE_GONE)
			value_gone(core, s, err);
	}
	core_unlock(core);
	core_tell(core, e, &news, err);
	if (err && err->code != ENOENT)
		core_error_note(core, err);
	core_hydrate_news(core);
}

void core_pressure(void *arg)
{
	struct core *core = arg;
	if (core->ev.pressure)
		core->ev.pressure(core->ev.arg);
}
