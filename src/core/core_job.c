/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core_job.h"
#include "core/core_hydrate.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <utlist.h>

/* --- life --- */

static void job_free(struct job *j)
{
	struct core *core = j->core;
	for (size_t i = 0; i < j->ntargets; i++)
		dent_unref(core, j->targets[i].d);
	for (size_t i = 0; i < j->ncommands; i++)
		mem_free(j->outcomes[i].sentence);
	mem_free(j->targets);
	mem_free(j->outcomes);
	commands_free(j->commands, j->ncommands);
	buf_clear(&j->failures);
	pthread_mutex_destroy(&j->lock);
	mem_free(j);
	core_unuse(core);
}

static void job_unref(struct job *j)
{
	core_lock(j->core);
	bool last = --j->refs == 0;
	core_unlock(j->core);
	if (last)
		job_free(j);
}

/* Takes the writer: it is answered once. */
static struct control_waiter *take_writer(struct job *j)
{
	core_lock(j->core);
	struct control_waiter *w = take(j->w);
	if (core_timer_disarm(j->core, &j->timer))
		j->refs--;
	core_unlock(j->core);
	return w;
}

static void note_control_error(struct core *core, const struct sfs_err *err)
{
	pthread_mutex_lock(&core->note_lock);
	core->control_err = *err;
	core->control_err_wall = clock_wall();
	pthread_mutex_unlock(&core->note_lock);
	core_tell_error(core, NULL, err);
	log_warn("%s", err->msg);
}

/* --- the result --- */

static const char *shown_arg(const struct command *c)
{
	switch (c->kind) {
	case COMMAND_ALL:
		return "*";
	case COMMAND_FILTER:
		return "filter";
	default:
		return "glob";
	}
}

/* The error of one command, if it failed as a whole. */
static int command_error(const struct job *j, size_t i, struct sfs_err *err)
{
	const struct command *c = &j->commands[i];
	const struct outcome *o = &j->outcomes[i];
	bool named = c->kind == COMMAND_NAME;
	if (o->failed && (named || !o->ok))
		return err_set(err, o->code, "%s: line %zu: %s", control_rows[j->file].name,
			c->line, o->sentence ? o->sentence : "failed");
	if (!o->failed && !o->ok && c->kind == COMMAND_GLOB && j->file != CONTROL_PURGE)
		return err_set(err, ENOENT, "%s: line %zu: no name matches the %s",
			control_rows[j->file].name, c->line, shown_arg(c));
	return 0;
}

/* Tree lock. */
static int job_error(const struct job *j, struct sfs_err *err)
{
	for (size_t i = 0; i < j->ncommands; i++) {
		int r = command_error(j, i, err);
		if (r < 0)
			return r;
	}
	if (j->core->shutdown)
		return err_set(err, EIO, "%s: the mount ends", control_rows[j->file].name);
	if (j->stopped)
		return err_set(err, EINTR, "%s: interrupted", control_rows[j->file].name);
	return 0;
}

static void progress_text(const struct job *j, struct buf *out)
{
	if (j->file == CONTROL_HYDRATE || j->file == CONTROL_REFRESH)
		buf_printf(
			out, "%zu/%zu\n", j->done, j->ntargets > j->done ? j->ntargets : j->done);
	buf_str(out, buf_text(&j->failures));
	if (j->nfailures > JOB_FAILURES)
		buf_printf(out, "%zu more failures\n", j->nfailures - JOB_FAILURES);
}

/* Keeps what a later read of the file shows. */
static void keep_progress(struct job *j)
{
	struct core *core = j->core;
	struct buf text = BUF_INIT(SFS_TEXT_MAX);
	pthread_mutex_lock(&j->lock);
	progress_text(j, &text);
	pthread_mutex_unlock(&j->lock);
	char *copy = mem_strdup(buf_text(&text));
	buf_clear(&text);
	pthread_mutex_lock(&core->note_lock);
	char *old = core->progress[j->file];
	core->progress[j->file] = copy;
	core->progress_at[j->file] = clock_boot();
	pthread_mutex_unlock(&core->note_lock);
	mem_free(old);
}

static void tell_end(const struct job *j)
{
	bool fetches = j->file == CONTROL_HYDRATE || j->file == CONTROL_REFRESH;
	if (fetches)
		core_tell_hydrated(j->core, j->file == CONTROL_HYDRATE ? "hydrated" : "refreshed",
			j->done, j->ntargets > j->done ? j->ntargets : j->done, j->nfailures);
}

static void job_over(struct core_after *a)
{
	struct job *j = (struct job *)((char *)a - offsetof(struct job, after));
	struct core *core = j->core;
	struct sfs_err err;
	core_lock(core);
	bool stopped = j->stopped; /* nobody sets it any more once it is off the list */
	int r = job_error(j, &err);
	DL_DELETE(core->jobs, j);
	core_unlock(core);
	struct control_waiter *w = take_writer(j);
	if (r < 0 && !stopped)
		note_control_error(core, &err);
	if (w)
		w->done(w, r < 0 ? &err : NULL);
	job_unref(j);
}

/* What was purged, or got another TTL, is announced before the writer is told. */
static void job_finish(struct job *j)
{
	keep_progress(j);
	tell_end(j);
	j->after.fn = job_over;
	core_after_events(j->core, &j->after);
}

/* --- fetching --- */

static void pump(struct job *j);

static void fetched(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	struct flight_slot *slot =
		(struct flight_slot *)((char *)w - offsetof(struct flight_slot, w));
	struct job *j = slot->job;
	struct target *t = &j->targets[slot->target];
	if (p)
		job_ok(j, t->command);
	else
		job_failed(j, t->command, t->d->path, err);
	pthread_mutex_lock(&j->lock);
	LL_PREPEND(j->free_slots, slot);
	j->in_flight--;
	pthread_mutex_unlock(&j->lock);
	pump(j);
}

static void start_one(struct job *j, struct flight_slot *slot)
{
	struct target *t = &j->targets[slot->target];
	struct core_attr a;
	core_attr(j->core, t->d, &a);
	if (t->d->kind != CORE_UNKNOWN && t->d->kind != CORE_DIR && a.nocache &&
		j->file == CONTROL_HYDRATE) {
		/* There is no cache to fetch it into. */
		struct payload none = {.nparts = 0};
		fetched(&slot->w, &none, NULL);
		return;
	}
	slot->w = (struct waiter){.done = fetched, .deadline = CLOCK_NEVER, .bulk = true};
	core_fetch(j->core, t->d, NULL, j->file == CONTROL_REFRESH ? FETCH_REFRESH : FETCH_CACHED,
		&slot->w);
}

static bool may_start(const struct job *j)
{
	return !j->stopped && j->next_target < j->ntargets && j->free_slots;
}

/* Job lock, which is given back meanwhile. */
static void start_some(struct job *j)
{
	pthread_mutex_unlock(&j->lock);
	store_gather(j->core->store);
	pthread_mutex_lock(&j->lock);
	while (may_start(j)) {
		struct flight_slot *slot = j->free_slots;
		LL_DELETE(j->free_slots, slot);
		slot->target = j->next_target++;
		j->in_flight++;
		pthread_mutex_unlock(&j->lock);
		start_one(j, slot);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	store_start_bulk(j->core->store);
	pthread_mutex_lock(&j->lock);
}

/* Takes back what has not begun. A slot without a fetch is left alone. Job lock, which is given
 * back meanwhile; nobody else starts anything. */
static void recall(struct job *j)
{
	for (size_t i = 0; i < JOB_FLIGHTS && j->in_flight > 0; i++) {
		pthread_mutex_unlock(&j->lock);
		bool back = core_fetch_recall(j->core, &j->slots[i].w);
		pthread_mutex_lock(&j->lock);
		j->in_flight -= back;
	}
}

/* Keeps JOB_FLIGHTS targets at the store. Completions that come while it runs leave the work to it,
 * so that answers from memory cost no stack. */
static void pump(struct job *j)
{
	pthread_mutex_lock(&j->lock);
	if (j->pumping || !j->running) {
		pthread_mutex_unlock(&j->lock);
		return;
	}
	j->pumping = true;
	while (may_start(j))
		start_some(j);
	if (j->stopped)
		recall(j);
	j->pumping = false;
	bool over =
		!j->finished && j->in_flight == 0 && (j->stopped || j->next_target == j->ntargets);
	j->finished = j->finished || over;
	pthread_mutex_unlock(&j->lock);
	if (over)
		job_finish(j);
}

static void run(struct job *j)
{
	if (j->file == CONTROL_TTL)
		job_set_ttls(j);
	else if (j->file == CONTROL_PURGE)
		job_purge(j);
	if (j->file == CONTROL_TTL || j->file == CONTROL_PURGE)
		j->next_target = j->ntargets;
	pthread_mutex_lock(&j->lock);
	j->running = true;
	pthread_mutex_unlock(&j->lock);
	pump(j);
}

/* --- filters --- */

struct filter_call {
	struct instance_call call;
	struct job *job;
	struct core_inst *ci; /* a reference */
	size_t command;
};

static void list_over(struct job *j)
{
	pthread_mutex_lock(&j->lock);
	bool last = --j->lists == 0;
	pthread_mutex_unlock(&j->lock);
	if (last)
		run(j);
}

static void filtered(struct instance_call *call, const struct sfs_err *err)
{
	struct filter_call *fc = (struct filter_call *)call;
	struct job *j = fc->job;
	struct sfs_err no_memory;
	if (!err && call->listing &&
		job_expand_listing(j, fc->command, fc->ci, call->listing) < 0) {
		err_set(&no_memory, ENOMEM, "out of memory");
		err = &no_memory;
	}
	if (err)
		job_failed(j, fc->command, NULL, err);
	listing_unref(call->listing);
	core_inst_unref(fc->ci);
	mem_free(fc);
	list_over(j);
}

static void ask_filter(struct job *j, size_t command, struct core_inst *ci)
{
	struct sfs_err err;
	struct filter_call *fc = mem_calloc(1, sizeof(*fc));
	int r = -ENOMEM;
	pthread_mutex_lock(&j->lock);
	j->lists++;
	pthread_mutex_unlock(&j->lock);
	err_set(&err, ENOMEM, "out of memory");
	if (fc) {
		*fc = (struct filter_call){
			.call.done = filtered, .job = j, .ci = ci, .command = command};
		core_inst_ref(ci);
		r = -EIO;
		err_set(&err, EIO, "%s: this source was closed", ci->name);
		if (inst_enter(ci)) {
			r = instance_list(ci->in, j->commands[command].arg, &fc->call, &err);
			inst_leave(ci);
		}
	}
	if (r == 0)
		return;
	if (fc)
		core_inst_unref(ci);
	mem_free(fc);
	job_failed(j, command, NULL, &err);
	list_over(j);
}

static void ask_filters(struct job *j, size_t command)
{
	struct core *core = j->core;
	struct due_insts all;
	core_insts_ref(core, &all);
	for (size_t i = 0; i < all.n; i++) {
		ask_filter(j, command, all.v[i]);
		core_inst_unref(all.v[i]);
	}
}

/* --- start --- */

static void expand(struct job *j, size_t command, const struct sfs_err *list_err)
{
	struct sfs_err err;
	size_t before = j->ntargets;
	if (job_expand(j, command) < 0) {
		err_set(&err, ENOMEM, "out of memory");
		job_failed(j, command, NULL, &err);
	}
	bool none = j->commands[command].kind == COMMAND_ALL && j->ntargets == before;
	if (none && list_err && j->file != CONTROL_PURGE)
		job_failed(j, command, NULL, list_err);
}

/* The listings are here, or failed: then what is known counts. */
static void job_listed(struct core_waiter *w, const struct sfs_err *list_err)
{
	struct job *j = w->priv;
	j->lists = 1; /* this function */
	for (size_t i = 0; i < j->ncommands; i++)
		expand(j, i, list_err);
	for (size_t i = 0; i < j->ncommands; i++)
		if (j->commands[i].kind == COMMAND_FILTER)
			ask_filters(j, i);
	list_over(j);
}

static void job_due(struct core *core, struct core_timer *t)
{
	struct job *j = (struct job *)((char *)t - offsetof(struct job, timer));
	struct sfs_err err;
	struct control_waiter *w = take_writer(j);
	if (w) {
		err_set(&err, EAGAIN,
			"%s: not done within half of the kernel's request timeout; it continues in "
			"the background, see "
			".control/%s",
			control_rows[j->file].name, control_rows[j->file].name);
		note_control_error(core, &err);
		w->done(w, &err);
	}
	job_unref(j);
}

static struct job *new_job(struct core *core, enum control_file f, struct command *commands,
	size_t n, struct control_waiter *w)
{
	struct job *j = mem_calloc(1, sizeof(*j));
	struct outcome *outcomes = mem_calloc(n ? n : 1, sizeof(*outcomes));
	if (!j || !outcomes) {
		mem_free(j);
		mem_free(outcomes);
		return NULL;
	}
	j->core = core;
	j->file = f;
	j->commands = commands;
	j->ncommands = n;
	j->outcomes = outcomes;
	j->refs = 1;
	j->w = w;
	j->timer.due = job_due;
	j->listed = (struct core_waiter){.done = job_listed, .deadline = CLOCK_NEVER, .priv = j};
	j->failures = (struct buf)BUF_INIT(SFS_TEXT_MAX);
	pthread_mutex_init(&j->lock, NULL);
	for (size_t i = 0; i < JOB_FLIGHTS; i++) {
		j->slots[i].job = j;
		LL_PREPEND(j->free_slots, &j->slots[i]);
	}
	return j;
}

static void refuse(struct core *core, struct control_waiter *w, const struct sfs_err *err)
{
	note_control_error(core, err);
	w->done(w, err);
}

void core_control_write(struct core *core, enum control_file f, const char *text, size_t len,
	struct control_waiter *w)
{
	struct command *commands = NULL;
	struct sfs_err err;
	size_t n = 0;
	if (commands_parse(f, text, len, &commands, &n, &err) < 0) {
		refuse(core, w, &err);
		return;
	}
	if (!n) {
		w->done(w, NULL);
		return;
	}
	struct job *j = NULL;
	if (!core_use(core)) {
		err_set(&err, EIO, "%s: the mount ends", control_rows[f].name);
	} else if (!(j = new_job(core, f, commands, n, w))) {
		err_set(&err, ENOMEM, "%s: out of memory", control_rows[f].name);
		core_unuse(core);
	}
	if (!j) {
		commands_free(commands, n);
		refuse(core, w, &err);
		return;
	}
	core_lock(core);
	DL_APPEND(core->jobs, j);
	core_timer_arm(core, &j->timer, w->deadline);
	j->refs += j->timer.armed;
	core_unlock(core);
	if (f == CONTROL_PURGE)
		job_listed(&j->listed, NULL); /* what no listing showed yet was not read either */
	else
		core_list_all(core, &j->listed);
}

static struct job *find_job(struct core *core, const struct control_waiter *w)
{
	struct job *j;
	DL_FOREACH (core->jobs, j)
		if (j->w == w)
			return j;
	return NULL;
}

bool core_control_cancel(struct core *core, struct control_waiter *w)
{
	core_lock(core);
	struct job *j = find_job(core, w);
	if (j) {
		j->w = NULL;
		j->refs++;
		pthread_mutex_lock(&j->lock);
		j->stopped = true;
		pthread_mutex_unlock(&j->lock);
	}
	core_unlock(core);
	if (!j)
		return false;
	pump(j);
	job_unref(j);
	return true;
}

void core_jobs_abort(struct core *core)
{
	struct job *j;
	core_lock(core);
	DL_FOREACH (core->jobs, j) {
		pthread_mutex_lock(&j->lock);
		j->stopped = true;
		pthread_mutex_unlock(&j->lock);
	}
	core_unlock(core);
}

/* What hydration did, unless a write has ended after that. False: it is not the news. */
static bool hydration_progress(struct core *core, enum control_file f, struct buf *out)
{
	struct hydrate_view v;
	core_hydrate_look(core, &v);
	pthread_mutex_lock(&core->note_lock);
	bool newer = !core->progress[f] || v.kept.changed_at > core->progress_at[f];
	pthread_mutex_unlock(&core->note_lock);
	if (f != CONTROL_HYDRATE || v.mode == HYDRATE_NONE || !(v.kept.running || newer))
		return false;
	core_hydrate_text(core, &v.kept, out);
	return true;
}

int core_job_progress(struct core *core, enum control_file f, struct buf *out)
{
	struct job *j, *last = NULL;
	core_lock(core);
	DL_FOREACH (core->jobs, j)
		if (j->file == f)
			last = j;
	if (last) {
		pthread_mutex_lock(&last->lock);
		progress_text(last, out);
		pthread_mutex_unlock(&last->lock);
	}
	core_unlock(core);
	if (!last && !hydration_progress(core, f, out)) {
		pthread_mutex_lock(&core->note_lock);
		buf_str(out, core->progress[f] ? core->progress[f] : "");
		pthread_mutex_unlock(&core->note_lock);
	}
	return -out->failed;
}
