/* SPDX-License-Identifier: Apache-2.0 */
#include "core/status.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "core/core_hydrate.h"
#include "core/status_priv.h"
#include "net/json.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define ABOUT_MAX 65536 /* of what one back end tells */

int64_t status_seconds(int64_t ns)
{
	return ns < 0 ? 0 : ns / NSEC_PER_SEC;
}

/* --- pieces of JSON --- */

/* Starts a member; `*first` tells whether a comma goes before. */
static void member(struct buf *out, bool *first, const char *name)
{
	buf_printf(out, "%s\"%s\":", *first ? "" : ",", name);
	*first = false;
}

static void add_text(struct buf *out, bool *first, const char *name, const char *text)
{
	member(out, first, name);
	if (text)
		text_json(out, text, strlen(text));
	else
		buf_str(out, "null");
}

static void add_number(struct buf *out, bool *first, const char *name, int64_t n)
{
	member(out, first, name);
	buf_printf(out, "%" PRId64, n);
}

static void add_bool(struct buf *out, bool *first, const char *name, bool b)
{
	member(out, first, name);
	buf_str(out, b ? "true" : "false");
}

static void add_time(struct buf *out, bool *first, const char *name, int64_t wall)
{
	char text[CLOCK_TEXT];
	add_text(out, first, name, wall ? clock_text(wall, text) : NULL);
}

/* --- one source --- */

static void view_inst(struct core_inst *ci, struct inst_view *v)
{
	const struct backend_conf *conf = instance_conf(ci->in);
	*v = (struct inst_view){.ci = ci,
		.names = ci->listing ? ci->listing->n : ci->nnames,
		.skipped = ci->listing ? ci->listing->skipped : 0,
		.truncated = ci->listing && ci->listing->truncated,
		.answered = ci->answered,
		.running = ci->running,
		.complete = instance_list_complete(ci->in),
		.list_age = ci->listing ? clock_boot() - ci->listed_boot : -1,
		.list_err = ci->list_err};
	text_escaped(v->location, sizeof(v->location), conf->location, strlen(conf->location));
	if (!v->list_err.code && ci->listing)
		v->list_err = ci->listing->problem;
	source_health(instance_source(ci->in), &v->health);
	core_inst_ref(ci);
}

/* What the back end tells itself, without the tree lock. */
static void view_about(struct inst_view *v)
{
	v->about = (struct buf)BUF_INIT(ABOUT_MAX);
	if (!inst_enter(v->ci))
		return;
	v->counted = instance_counts(v->ci->in, &v->counts);
	if (instance_status(v->ci->in, &v->about) < 0)
		buf_clear(&v->about);
	inst_leave(v->ci);
}

void views_take(struct core *core, struct views *ret)
{
	ret->n = 0;
	core_lock(core);
	for (size_t i = 0; i < core->ninsts && !core->shutdown; i++)
		if (!core->insts[i]->closing)
			view_inst(core->insts[i], &ret->v[ret->n++]);
	core_unlock(core);
	for (size_t i = 0; i < ret->n; i++)
		view_about(&ret->v[i]);
}

void views_end(struct views *v)
{
	for (size_t i = 0; i < v->n; i++) {
		buf_clear(&v->v[i].about);
		core_inst_unref(v->v[i].ci);
	}
}

const char *view_state(const struct inst_view *v)
{
	if (v->health.backoff_until > clock_boot())
		return "backoff";
	if (v->list_err.code || v->health.last_error_wall > v->health.last_ok_wall)
		return "failing";
	return v->answered ? "ok" : "starting";
}

static const char *last_error(const struct inst_view *v)
{
	if (v->list_err.code)
		return v->list_err.msg;
	return v->health.last_error.code ? v->health.last_error.msg : NULL;
}

static void counts_json(const struct backend_counts *c, struct buf *out)
{
	bool first = true;
	buf_char(out, '{');
	add_number(out, &first, "calls", (int64_t)c->calls);
	add_number(out, &first, "errors", (int64_t)c->errors);
	add_number(out, &first, "retries", (int64_t)c->retries);
	add_number(out, &first, "throttled", (int64_t)c->throttled);
	add_number(out, &first, "bytes_in", (int64_t)c->bytes_in);
	add_number(out, &first, "bytes_out", (int64_t)c->bytes_out);
	member(out, &first, "cost_usd");
	buf_printf(out, "%.6f", c->cost_usd);
	buf_char(out, '}');
}

static void inst_members(const struct inst_view *v, struct buf *out)
{
	bool first = true;
	add_text(out, &first, "name", v->ci->name);
	add_text(out, &first, "type", v->ci->ops->name);
	add_text(out, &first, "location", v->location);
	add_text(out, &first, "at", v->ci->at);
	add_text(out, &first, "state", view_state(v));
	add_number(out, &first, "names", (int64_t)v->names);
	add_number(out, &first, "skipped", (int64_t)v->skipped);
	add_bool(out, &first, "truncated", v->truncated);
	add_bool(out, &first, "watched", v->complete);
	member(out, &first, "list_age");
	if (v->list_age < 0)
		buf_str(out, "null");
	else
		buf_printf(out, "%" PRId64, status_seconds(v->list_age));
	add_number(out, &first, "fetches", (int64_t)v->health.fetches);
	add_number(out, &first, "failures", (int64_t)v->health.failures);
	add_number(out, &first, "joined", (int64_t)v->health.joined);
	add_number(out, &first, "kept_newer", (int64_t)v->health.kept_newer);
	add_number(out, &first, "delayed", (int64_t)v->health.delayed);
	add_number(out, &first, "delayed_out", (int64_t)v->health.delayed_out);
	add_number(out, &first, "delayed_now", (int64_t)v->health.waiting);
	add_time(out, &first, "last_ok", v->health.last_ok_wall);
	add_text(out, &first, "last_error", last_error(v));
	add_time(out, &first, "last_error_time", v->health.last_error_wall);
	if (v->counted) {
		member(out, &first, "requests");
		counts_json(&v->counts, out);
	}
}

/* What the back end says goes in only if the object stays one that every parser reads: well-formed,
 * and no name twice. */
static void inst_json(const struct inst_view *v, struct buf *out)
{
	static struct log_rate rate = LOG_RATE(3600);
	_cleanup_(buf_clear) struct buf all = BUF_INIT(SFS_TEXT_MAX);
	struct json *doc = NULL;
	buf_char(&all, '{');
	inst_members(v, &all);
	size_t own = all.len;
	if (v->about.len) {
		buf_char(&all, ',');
		buf_add(&all, v->about.data, v->about.len);
	}
	buf_char(&all, '}');
	if (v->about.len && json_parse(buf_text(&all), all.len, JSON_STRICT, &doc, NULL) < 0) {
		if (log_due(&rate))
			log_error("%s: what the back end says of itself is no JSON", v->ci->name);
		all.len = own;
		buf_char(&all, '}');
	}
	json_free(doc);
	buf_add(out, buf_text(&all), all.len);
}

/* --- status --- */

static void memory_json(struct buf *out)
{
	struct secret_stats st;
	bool first = true;
	secret_stats(&st);
	buf_char(out, '{');
	add_text(out, &first, "state", st.locked ? "locked" : "unlocked");
	add_number(out, &first, "cap", (int64_t)st.cap);
	add_number(out, &first, "used", (int64_t)st.used);
	add_number(out, &first, "blocks", (int64_t)st.blocks);
	add_number(out, &first, "failed", (int64_t)st.failed);
	buf_char(out, '}');
}

static void cache_json(struct core *core, struct buf *out)
{
	size_t bytes, values;
	uint64_t evictions;
	bool first = true;
	store_totals(core->store, &bytes, &values, &evictions);
	core_lock(core);
	const struct opt_values *o = &core->conf->mount;
	bool given = opt_find(o, "cache_size");
	uint64_t limit = opt_size(o, &config_mount_options, given ? "cache_size" : "arena");
	core_unlock(core);
	buf_char(out, '{');
	add_number(out, &first, "values", (int64_t)values);
	add_number(out, &first, "bytes", (int64_t)bytes);
	add_number(out, &first, "limit", (int64_t)limit);
	add_number(out, &first, "evictions", (int64_t)evictions);
	buf_char(out, '}');
}

static void hydration_json(struct core *core, struct buf *out)
{
	static const char *const modes[] = {
		[HYDRATE_NONE] = "lazy", [HYDRATE_GLOBS] = "globs", [HYDRATE_ALL] = "all"};
	struct buf problem = BUF_INIT(SFS_ERR_MAX);
	struct hydrate_view v;
	bool first = true;
	core_hydrate_look(core, &v);
	if (v.kept.missing)
		core_hydrate_problem(core, &v.kept, &problem);
	buf_char(out, '{');
	add_text(out, &first, "mode", modes[v.mode]);
	add_bool(out, &first, "running", v.kept.running);
	add_number(out, &first, "done", (int64_t)v.kept.tried);
	add_number(out, &first, "total", (int64_t)v.kept.total);
	add_number(out, &first, "failed", (int64_t)v.kept.failed);
	add_number(out, &first, "missing", (int64_t)v.kept.missing);
	add_text(out, &first, "problem", v.kept.missing ? buf_text(&problem) : NULL);
	buf_char(out, '}');
	buf_clear(&problem);
}

/* Under note_lock. */
static void errors_json(const struct core *core, struct buf *out)
{
	size_t n = core->nerrors < CORE_ERRORS ? core->nerrors : CORE_ERRORS;
	buf_char(out, '[');
	for (size_t i = 0; i < n; i++) {
		const struct core_error *e = &core->errors[(core->nerrors - 1 - i) % CORE_ERRORS];
		bool first = true;
		buf_str(out, i ? ",\n  {" : "\n  {");
		add_time(out, &first, "time", e->wall);
		add_text(out, &first, "error", e->msg);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

/* Under note_lock. */
static void notes_json(const struct core *core, struct buf *out)
{
	buf_char(out, '[');
	for (size_t i = 0; i < core->nnotes; i++) {
		buf_str(out, i ? "," : "");
		text_json(out, core->notes[i], strlen(core->notes[i]));
	}
	buf_char(out, ']');
}

static void control_error_json(const struct core *core, struct buf *out)
{
	bool first = true;
	if (!core->control_err.code) {
		buf_str(out, "null");
		return;
	}
	buf_char(out, '{');
	add_time(out, &first, "time", core->control_err_wall);
	add_text(out, &first, "error", core->control_err.msg);
	buf_char(out, '}');
}

static void noted_json(struct core *core, struct buf *out)
{
	pthread_mutex_lock(&core->note_lock);
	buf_str(out, ",\n \"degraded\":");
	notes_json(core, out);
	buf_str(out, ",\n \"last_errors\":");
	errors_json(core, out);
	buf_str(out, ",\n \"last_control_error\":");
	control_error_json(core, out);
	pthread_mutex_unlock(&core->note_lock);
}

static void head_json(struct core *core, struct buf *out)
{
	bool first = true;
	add_text(out, &first, "version", SFS_VERSION);
	core_lock(core);
	add_text(out, &first, "source", core->conf->source);
	add_text(out, &first, "config", core->conf->file);
	core_unlock(core);
	pthread_mutex_lock(&core->note_lock);
	add_text(out, &first, "mountpoint", core->mount_dir);
	pthread_mutex_unlock(&core->note_lock);
	add_number(out, &first, "pid", getpid());
	add_number(out, &first, "uid", geteuid());
	add_time(out, &first, "started", core->started_wall);
	add_number(out, &first, "uptime", status_seconds(clock_boot() - core->started_boot));
}

void status_json(struct core *core, struct buf *out)
{
	struct views v;
	views_take(core, &v);
	buf_str(out, "{");
	head_json(core, out);
	buf_str(out, ",\n \"memory\":");
	memory_json(out);
	buf_str(out, ",\n \"cache\":");
	cache_json(core, out);
	buf_str(out, ",\n \"hydration\":");
	hydration_json(core, out);
	buf_str(out, ",\n \"backends\":[");
	for (size_t i = 0; i < v.n; i++) {
		buf_str(out, i ? ",\n  " : "\n  ");
		inst_json(&v.v[i], out);
	}
	buf_char(out, ']');
	if (core->ev.status)
		core->ev.status(core->ev.arg, out);
	noted_json(core, out);
	buf_str(out, "}\n");
	views_end(&v);
}

/* --- names --- */

struct cached {
	struct core *core;
	struct buf *out;
};

static void add_left(struct buf *out, const struct entry_info *info)
{
	if (info->expires_boot == CLOCK_NEVER)
		buf_str(out, "never");
	else
		buf_printf(out, "%" PRId64, status_seconds(info->expires_boot - clock_boot()));
}

/* Path of the entry's secret; the provider's name when no path shows it. */
static void add_name(struct cached *c, const struct entry_tag *tag, const char *name)
{
	core_lock(c->core);
	const struct subject *s = tag ? tree_subject(&c->core->tree, tag->ci, name, false) : NULL;
	const struct dent *d = s ? core_face(s) : NULL;
	text_to_arg(c->out, d ? d->path : name);
	core_unlock(c->core);
}

static int cached_line(void *arg, struct entry *e)
{
	struct cached *c = arg;
	struct entry_info info;
	struct payload *p = entry_peek(e);
	if (!p)
		return 0;
	entry_info(e, &info);
	add_name(c, entry_user(e), entry_name(e));
	buf_char(c->out, '\t');
	text_to_arg(c->out, p->version ? p->version : "-");
	buf_printf(c->out, "\t%" PRId64 "\t", status_seconds(clock_boot() - info.fetched_boot));
	add_left(c->out, &info);
	buf_printf(c->out, "\t%s\n", entry_state_text(info.state));
	payload_unref(p);
	return c->out->failed ? -1 : 0;
}

void status_cached(struct core *core, struct buf *out)
{
	struct cached c = {core, out};
	buf_str(out, "# name\tversion\tage\tleft\tstate\n");
	store_each(core->store, cached_line, &c);
}

void status_ttls(struct core *core, struct buf *out)
{
	size_t pos = 0;
	struct subject *s;
	core_lock(core);
	while ((s = ptab_next(&core->tree.subjects, &pos))) {
		struct entry_info info;
		if (!s->entry || !s->shown || !entry_ttl_is_set(s->entry))
			continue;
		entry_info(s->entry, &info);
		text_to_arg(out, core_face(s)->path);
		buf_printf(out, " %" PRId64 "\n", info.ttl);
	}
	core_unlock(core);
}

static int add_file(void *arg, const struct core_dirent *de);

static void walk_dir(const struct dent *dir, struct buf *out)
{
	tree_each(dir, 0, add_file, out);
}

static int add_file(void *arg, const struct core_dirent *de)
{
	struct buf *out = arg;
	if (de->dent->kind != CORE_DIR || (de->dent->multikey && de->dent->keys_unknown)) {
		text_to_arg(out, de->dent->path);
		buf_char(out, '\n');
	} else {
		walk_dir(de->dent, out); /* as deep as SFS_PATH_MAX / 2 at most */
	}
	return out->failed;
}

void status_names(struct core *core, struct buf *out)
{
	core_lock(core);
	walk_dir(core->tree.root, out);
	core_unlock(core);
}
