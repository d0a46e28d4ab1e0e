/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of control files, and listings by a filter. Writes are jobs (core_job.c). */
#include "core/core_job.h"
#include "core/status.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An outage of a source with many names must not fill the log: so many lines a minute, then one
 * that says so. note_lock. */
static unsigned count_line(struct core *core)
{
	int64_t now = clock_boot();
	if (now >= core->logged_since + 60 * NSEC_PER_SEC) {
		core->logged_since = now;
		core->logged = 0;
	}
	return core->logged++;
}

void core_error_keep(struct core *core, const struct sfs_err *err)
{
	pthread_mutex_lock(&core->note_lock);
	struct core_error *e = &core->errors[core->nerrors++ % CORE_ERRORS];
	e->wall = clock_wall();
	memcpy(e->msg, err->msg, sizeof(e->msg));
	pthread_mutex_unlock(&core->note_lock);
}

void core_error_note(struct core *core, const struct sfs_err *err)
{
	core_error_keep(core, err);
	pthread_mutex_lock(&core->note_lock);
	unsigned line = count_line(core);
	pthread_mutex_unlock(&core->note_lock);
	if (line < CORE_LOG_LINES)
		log_err(LOG_LEVEL_WARN, err);
	else if (line == CORE_LOG_LINES)
		log_warn("more errors follow within this minute; .control/status shows the last %d",
			CORE_ERRORS);
}

int core_control_read(struct core *core, enum control_file f, struct buf *out)
{
	switch (f) {
	case CONTROL_HYDRATE:
	case CONTROL_REFRESH:
	case CONTROL_PURGE:
		core_job_progress(core, f, out);
		break;
	case CONTROL_TTL:
		status_ttls(core, out);
		break;
	case CONTROL_CACHED:
		status_cached(core, out);
		break;
	case CONTROL_STATUS:
		status_json(core, out);
		break;
	case CONTROL_METRICS:
		status_metrics(core, out);
		break;
	case CONTROL_CONFIG:
		core_lock(core);
		config_text(core->conf, out);
		core_unlock(core);
		break;
	case CONTROL_LIST_ALL:
		status_names(core, out);
		break;
	default:
		return -ENOENT;
	}
	return -out->failed;
}

/* --- names by a filter --- */

struct filter_part {
	struct instance_call call;
	struct filter *filter;
	struct core_inst *ci; /* a reference */
};

/* One core_control_list(). References: one a part, one of who started it, one of the armed timer.
 */
struct filter {
	struct core *core;
	struct text_waiter *w; /* NULL once answered; tree lock */
	struct core_timer timer;
	unsigned refs, waiting; /* tree lock */
	char **lines;		/* tree lock */
	size_t n;
	struct sfs_err err; /* the first failure */
	bool any;	    /* some source answered */
	bool all;	    /* no filter: the listings that the tree is made of */
	struct filter_part parts[SFS_BACKENDS_MAX];
};

static void filter_unref(struct filter *f)
{
	struct core *core = f->core;
	core_lock(core);
	bool last = --f->refs == 0;
	core_unlock(core);
	if (!last)
		return;
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->lines[i]);
	mem_free(f->lines);
	mem_free(f);
	core_unuse(core);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void filter_answer(struct filter *f)
{
	struct buf out = BUF_INIT(SFS_TEXT_MAX);
	core_lock(f->core);
	struct text_waiter *w = take(f->w);
	if (core_timer_disarm(f->core, &f->timer))
		f->refs--;
	core_unlock(f->core);
	if (!w)
		return;
	if (f->n)
		qsort(f->lines, f->n, sizeof(*f->lines), compare_lines);
	for (size_t i = 0; i < f->n; i++)
		if (!i || strcmp(f->lines[i], f->lines[i - 1]) != 0)
			buf_printf(&out, "%s\n", f->lines[i]);
	if (out.failed)
		err_set(&f->err, out.failed, "the list is too long");
	bool failed = out.failed || (!f->any && f->err.code);
	w->done(w, failed ? NULL : buf_text(&out), failed ? 0 : out.len, failed ? &f->err : NULL);
	buf_clear(&out);
}

/* The path of a name that is not hidden, as an argument of control files; NULL otherwise. Tree
 * lock. */
static char *line_of(struct core_inst *ci, const char *name)
{
	_cleanup_(buf_clear) struct buf path = BUF_INIT(2 * SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf line = BUF_INIT(3 * SFS_PATH_MAX);
	struct policy pol;
	if (inst_path(ci, ci->listing, name, &path) < 0)
		return NULL;
	config_policy(ci->core->conf, buf_text(&path), &pol);
	if (pol.hidden)
		return NULL;
	const struct dent *d = tree_occupant(&ci->core->tree, buf_text(&path));
	text_to_arg(&line, d ? d->path : buf_text(&path));
	return line.len ? buf_take(&line) : NULL;
}

static void add_lines(
	struct filter *f, struct core_inst *ci, const struct list_entry *items, size_t n)
{
	char **v = mem_realloc(f->lines, f->n + n + 1, sizeof(*v));
	if (!v) {
		err_set(&f->err, ENOMEM, "out of memory");
		return;
	}
	f->lines = v;
	f->any = true;
	for (size_t i = 0; i < n; i++) {
		v[f->n] = line_of(ci, items[i].name);
		f->n += v[f->n] != NULL;
	}
}

static void part_over(struct filter *f)
{
	core_lock(f->core);
	bool last = --f->waiting == 0;
	core_unlock(f->core);
	if (last)
		filter_answer(f);
	filter_unref(f);
}

static void part_failed(struct filter *f, const struct sfs_err *err)
{
	core_lock(f->core);
	if (!f->err.code)
		f->err = *err;
	core_unlock(f->core);
}

static void part_done(struct instance_call *call, const struct sfs_err *err)
{
	struct filter_part *part = (struct filter_part *)call;
	struct filter *f = part->filter;
	if (err)
		part_failed(f, err);
	core_lock(f->core);
	if (!err && call->listing && f->w)
		add_lines(f, part->ci, call->listing->items, call->listing->n);
	if (f->all && f->w && part->ci->nnames)
		add_lines(f, part->ci, part->ci->names, part->ci->nnames);
	core_unlock(f->core);
	listing_unref(call->listing);
	core_inst_unref(part->ci);
	part_over(f);
}

static void start_part(struct filter *f, struct core_inst *ci, size_t i, const char *text)
{
	struct sfs_err err;
	struct filter_part *part = &f->parts[i];
	*part = (struct filter_part){.call.done = part_done, .filter = f, .ci = ci};
	int r = inst_enter(ci) ? 0 : err_set(&err, EIO, "%s: this source was closed", ci->name);
	if (r == 0) {
		r = instance_list(ci->in, f->all ? NULL : text, &part->call, &err);
		inst_leave(ci);
	}
	if (r == 0)
		return;
	part_failed(f, &err);
	core_inst_unref(ci);
	part_over(f);
}

static void filter_due(struct core *core, struct core_timer *t)
{
	struct filter *f = (struct filter *)((char *)t - offsetof(struct filter, timer));
	struct sfs_err err;
	core_lock(core);
	struct text_waiter *w = take(f->w);
	core_unlock(core);
	if (w) {
		err_set(&err, ETIMEDOUT, "the list did not come in time");
		w->done(w, NULL, 0, &err);
	}
	filter_unref(f);
}

static struct filter *new_filter(struct core *core, struct text_waiter *w)
{
	struct filter *f = mem_calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->core = core;
	f->w = w;
	f->timer.due = filter_due;
	f->refs = f->waiting = 1; /* of core_control_list() */
	return f;
}

static void refuse(struct text_waiter *w, int code, const char *text)
{
	struct sfs_err err;
	err_set(&err, code, "%s", text);
	w->done(w, NULL, 0, &err);
}

void core_control_list(struct core *core, const char *filter, struct text_waiter *w)
{
	struct due_insts all;
	if (!*filter || strlen(filter) > SFS_FILTER_MAX) {
		refuse(w, EINVAL, "a filter has 1 to 4096 bytes");
		return;
	}
	if (!core_use(core)) {
		refuse(w, EIO, "the mount ends");
		return;
	}
	struct filter *f = new_filter(core, w);
	if (!f) {
		core_unuse(core);
		refuse(w, ENOMEM, "out of memory");
		return;
	}
	f->all = !strcmp(filter, "*");
	core_insts_ref(core, &all);
	core_lock(core);
	core_timer_arm(core, &f->timer, w->deadline);
	f->refs += f->timer.armed;
	f->refs += (unsigned)all.n;
	f->waiting += (unsigned)all.n;
	core_unlock(core);
	for (size_t i = 0; i < all.n; i++)
		start_part(f, all.v[i], i, filter); /* takes the reference */
	part_over(f);
}
