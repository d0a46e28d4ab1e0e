/* SPDX-License-Identifier: Apache-2.0 */
/* Versions and metadata: asked of the source each time, answered within the caller's deadline
 * whatever the source does. */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Who asks; one of the two is NULL. */
struct asker {
	struct versions_waiter *versions;
	struct text_waiter *text;
	int64_t deadline;
};

/* One question. References: the call and the armed timer; the first of the two answers. */
struct ask {
	struct instance_call call;
	struct core *core;
	struct core_inst *ci; /* a reference */
	struct dent *d;	      /* a reference */
	struct core_timer timer;
	unsigned refs; /* tree lock */
	bool answered; /* tree lock */
	struct asker asker;
};

static void ask_unref(struct ask *a)
{
	struct core *core = a->core;
	core_lock(core);
	bool last = --a->refs == 0;
	core_unlock(core);
	if (!last)
		return;
	buf_clear(&a->call.text);
	for (size_t i = 0; i < a->call.nversions; i++)
		mem_free(a->call.versions[i]);
	mem_free(a->call.versions);
	core_inst_unref(a->ci);
	dent_unref(core, a->d);
	mem_free(a);
	core_unuse(core);
}

/* True for who may answer: once. */
static bool claim(struct ask *a)
{
	core_lock(a->core);
	bool mine = !a->answered;
	a->answered = true;
	if (core_timer_disarm(a->core, &a->timer))
		a->refs--;
	core_unlock(a->core);
	return mine;
}

/* --- versions --- */

static bool has(char *const *v, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i], s))
			return true;
	return false;
}

/* What is held and what the listing says come first where the source did not name them. */
static void answer_versions(struct ask *a, const struct sfs_err *err)
{
	char held[SFS_VERSION_MAX + 1];
	_cleanup_free_ char *listed = NULL;
	size_t n = 0, given = err ? 0 : a->call.nversions;
	_cleanup_free_ const char **all = mem_calloc(given + 2, sizeof(*all));
	struct versions_waiter *w = a->asker.versions;
	struct sfs_err no_memory;
	core_version(a->core, a->d, held, sizeof(held));
	core_lock(a->core);
	const struct subject *s = a->d->subject;
	const struct list_entry *e = s ? inst_item(s->inst, s->inst->listing, s->name) : NULL;
	listed = e ? mem_strdup(e->version) : NULL;
	core_unlock(a->core);
	if (!all) {
		err_set(&no_memory, ENOMEM, "out of memory");
		w->done(w, NULL, 0, &no_memory);
		return;
	}
	if (listed && !has(a->call.versions, given, listed))
		all[n++] = listed;
	if (*held && !has(a->call.versions, given, held) && (!listed || strcmp(listed, held) != 0))
		all[n++] = held;
	for (size_t i = 0; i < given; i++)
		all[n++] = a->call.versions[i];
	w->done(w, n ? all : NULL, n, n || !err ? NULL : err);
}

/* --- metadata --- */

static void add_time(struct buf *out, const char *name, int64_t wall)
{
	char text[CLOCK_TEXT];
	if (wall)
		buf_printf(out, ",\"%s\":\"%s\"", name, clock_text(wall, text));
	else
		buf_printf(out, ",\"%s\":null", name);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, ",\"%s\":", name);
	text_json(out, text, strlen(text));
}

static void add_state(struct core *core, struct dent *d, struct buf *out)
{
	struct entry_info info;
	char version[SFS_VERSION_MAX + 1];
	if (core_info(core, d, &info) < 0)
		return;
	core_version(core, d, version, sizeof(version));
	add_text(out, "version", version);
	add_time(out, "created", info.created);
	add_time(out, "fetched", info.fetched_wall);
	if (info.expires_boot == CLOCK_NEVER)
		add_text(out, "expires", "never");
	else
		add_time(out, "expires", info.expires_wall);
	add_text(out, "state", entry_state_text(info.state));
	buf_printf(out, ",\"ttl\":%" PRId64, info.ttl);
	if (info.has_error)
		add_text(out, "error", info.error.msg);
}

int core_meta_held(struct core *core, struct dent *d, struct buf *out)
{
	int r = 0;
	core_lock(core);
	const struct subject *s = d->subject;
	struct payload *p = s && s->entry ? entry_peek(s->entry) : NULL;
	const struct list_entry *e = s ? inst_item(s->inst, s->inst->listing, s->name) : NULL;
	const char *meta = p && p->meta ? p->meta : e ? e->meta : NULL;
	if (meta)
		r = buf_str(out, meta);
	core_unlock(core);
	payload_unref(p);
	return r;
}

/* `provider` is the JSON object that the source gave; empty = what is in memory. */
static void meta_text(struct ask *a, struct buf *out)
{
	struct core *core = a->core;
	_cleanup_(buf_clear) struct buf said = BUF_INIT(SFS_META_MAX);
	buf_str(out, "{\"name\":");
	text_json(out, a->d->path, strlen(a->d->path));
	add_text(out, "source", core_source_name(core, a->d));
	add_state(core, a->d, out);
	if (a->call.text.len)
		buf_add(&said, a->call.text.data, a->call.text.len);
	else
		core_meta_held(core, a->d, &said);
	buf_printf(out, ",\"provider\":%s}\n", said.len ? buf_text(&said) : "{}");
}

static void answer_text(struct ask *a, const struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf out = BUF_INIT(4 * SFS_META_MAX);
	struct text_waiter *w = a->asker.text;
	struct sfs_err failed;
	if (!err) {
		meta_text(a, &out);
		if (out.failed)
			err = (err_set(&failed, out.failed, "cannot build the text"), &failed);
	}
	if (err)
		w->done(w, NULL, 0, err);
	else
		w->done(w, buf_text(&out), out.len, NULL);
}

static void answer(struct ask *a, const struct sfs_err *err)
{
	if (a->asker.versions)
		answer_versions(a, err);
	else
		answer_text(a, err);
}

static void refuse(const struct asker *asker, const struct sfs_err *err)
{
	if (asker->versions)
		asker->versions->done(asker->versions, NULL, 0, err);
	else if (asker->text)
		asker->text->done(asker->text, NULL, 0, err);
}

/* --- the call --- */

static void called(struct instance_call *call, const struct sfs_err *err)
{
	struct ask *a = (struct ask *)call;
	if (claim(a))
		answer(a, err);
	ask_unref(a);
}

static void ask_due(struct core *core, struct core_timer *t)
{
	struct ask *a = (struct ask *)((char *)t - offsetof(struct ask, timer));
	struct sfs_err err;
	(void)core;
	if (claim(a)) {
		err_set(&err, ETIMEDOUT, "%s: no answer in time", a->ci->name);
		/* Not answer(): the results may be written right now. */
		refuse(&a->asker, &err);
	}
	ask_unref(a);
}

static struct ask *new_ask(
	struct core *core, struct dent *d, const struct asker *asker, struct sfs_err *err)
{
	if (!core_use(core)) {
		err_set(err, EIO, "the mount ends");
		return NULL;
	}
	struct ask *a = mem_calloc(1, sizeof(*a));
	if (!a) {
		core_unuse(core);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	a->core = core;
	a->d = dent_ref(d);
	a->refs = 1;
	a->asker = *asker;
	a->call.done = called;
	a->call.deadline = asker->deadline;
	a->timer.due = ask_due;
	core_lock(core);
	a->ci = d->subject ? d->subject->inst : NULL;
	if (a->ci)
		core_inst_ref(a->ci);
	core_unlock(core);
	return a;
}

typedef int ask_fn(
	struct instance *in, const char *name, struct instance_call *c, struct sfs_err *err);

/* Asks the source, with a timer. */
static void send(struct ask *a, ask_fn *fn)
{
	struct sfs_err err = {0};
	struct core *core = a->core;
	struct core_inst *ci = a->ci; /* outlives `a`, which the answer may free */
	if (!inst_enter(ci)) {
		err_set(&err, EIO, "%s: this source was closed", ci->name);
		called(&a->call, &err);
		return;
	}
	core_lock(core);
	core_timer_arm(core, &a->timer, a->call.deadline);
	a->refs += a->timer.armed;
	const char *name = a->d->subject->name; /* lives as long as the dent */
	core_unlock(core);
	int r = fn(ci->in, name, &a->call, &err);
	inst_leave(ci);
	if (r < 0)
		called(&a->call, &err);
}

/* The call of the source that answers; NULL: what is in memory is all there is. */
static ask_fn *call_of(const struct ask *a)
{
	if (a->asker.versions)
		return a->ci && a->ci->ops->versions ? instance_versions : NULL;
	return a->ci && a->ci->ops->describe ? instance_describe : NULL;
}

static void ask(struct core *core, struct dent *d, const struct asker *asker)
{
	struct sfs_err err;
	struct ask *a = new_ask(core, d, asker, &err);
	ask_fn *fn = a ? call_of(a) : NULL;
	if (!a)
		refuse(asker, &err);
	else if (fn)
		send(a, fn);
	else
		called(&a->call, NULL);
}

void core_versions(struct core *core, struct dent *d, struct versions_waiter *w)
{
	ask(core, d, &(struct asker){.versions = w, .deadline = w->deadline});
}

void core_meta(struct core *core, struct dent *d, struct text_waiter *w)
{
	ask(core, d, &(struct asker){.text = w, .deadline = w->deadline});
}
