/* SPDX-License-Identifier: Apache-2.0 */
#include "core/status.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/core_hydrate.h"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static int64_t seconds(int64_t ns)
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

/* A snapshot of what the tree lock guards, so that text is built without it. */
struct inst_view {
	struct core_inst *ci; /* a reference */
	size_t names, skipped;
	bool truncated, answered, running, complete;
	int64_t list_age;	 /* ns; -1 = never */
	struct sfs_err list_err; /* or what the listing said is wrong */
	struct source_health health;
	char location[256]; /* escaped */
};

struct views {
	struct inst_view v[SFS_BACKENDS_MAX];
	size_t n;
};

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

static void view_all(struct core *core, struct views *ret)
{
	ret->n = 0;
	core_lock(core);
	for (size_t i = 0; i < core->ninsts && !core->shutdown; i++)
		if (!core->insts[i]->closing)
			view_inst(core->insts[i], &ret->v[ret->n++]);
	core_unlock(core);
}

static void views_end(struct views *v)
{
	for (size_t i = 0; i < v->n; i++)
		core_inst_unref(v->v[i].ci);
}

static const char *state_of(const struct inst_view *v)
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

static void inst_json(const struct inst_view *v, struct buf *out)
{
	bool first = true;
	buf_char(out, '{');
	add_text(out, &first, "name", v->ci->name);
	add_text(out, &first, "type", v->ci->ops->name);
	add_text(out, &first, "location", v->location);
	add_text(out, &first, "at", v->ci->at);
	add_text(out, &first, "state", state_of(v));
	add_number(out, &first, "names", (int64_t)v->names);
	add_number(out, &first, "skipped", (int64_t)v->skipped);
	add_bool(out, &first, "truncated", v->truncated);
	add_bool(out, &first, "watched", v->complete);
	member(out, &first, "list_age");
	if (v->list_age < 0)
		buf_str(out, "null");
	else
		buf_printf(out, "%" PRId64, seconds(v->list_age));
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
	buf_char(out, '}');
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
	add_number(out, &first, "uptime", seconds(clock_boot() - core->started_boot));
}

void status_json(struct core *core, struct buf *out)
{
	struct views v;
	view_all(core, &v);
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

/* --- metrics --- */

static void metric_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP secretfs_%s %s\n# TYPE secretfs_%s %s\n", name, help, name, type);
}

static void metric_one(
	struct buf *out, const char *name, const char *type, const char *help, uint64_t n)
{
	metric_head(out, name, type, help);
	buf_printf(out, "secretfs_%s %" PRIu64 "\n", name, n);
}

/* A label value: printable ASCII with \ and " escaped. */
static void label(struct buf *out, const char *text)
{
	char shown[512];
	text_escaped(shown, sizeof(shown), text, strlen(text));
	for (const char *p = shown; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_char(out, '\\');
		buf_char(out, *p);
	}
}

struct inst_metric {
	const char *name, *type, *help;
	int64_t (*get)(const struct inst_view *v);
};

static int64_t get_fetches(const struct inst_view *v)
{
	return (int64_t)v->health.fetches;
}

static int64_t get_failures(const struct inst_view *v)
{
	return (int64_t)v->health.failures;
}

static int64_t get_joined(const struct inst_view *v)
{
	return (int64_t)v->health.joined;
}

static int64_t get_delayed(const struct inst_view *v)
{
	return (int64_t)v->health.delayed;
}

static int64_t get_delayed_out(const struct inst_view *v)
{
	return (int64_t)v->health.delayed_out;
}

static int64_t get_delayed_now(const struct inst_view *v)
{
	return (int64_t)v->health.waiting;
}

static int64_t get_names(const struct inst_view *v)
{
	return (int64_t)v->names;
}

static int64_t get_list_age(const struct inst_view *v)
{
	return v->list_age < 0 ? -1 : seconds(v->list_age);
}

static int64_t get_up(const struct inst_view *v)
{
	return !strcmp(state_of(v), "ok");
}

static const struct inst_metric inst_metrics[] = {
	{"backend_up", "gauge", "1 if the last answers of the back end were well.", get_up},
	{"backend_names", "gauge", "Names in the listing.", get_names},
	{"backend_list_age_seconds", "gauge", "Age of the listing; -1 = there is none yet.",
		get_list_age},
	{"backend_fetches_total", "counter", "Fetches of values.", get_fetches},
	{"backend_failures_total", "counter", "Fetches that failed.", get_failures},
	{"backend_joined_total", "counter", "Readers that joined a running fetch.", get_joined},
	{"backend_delayed_total", "counter", "Opens that had to wait because of open_rate.",
		get_delayed},
	{"backend_delayed_out_total", "counter", "Of these, opens whose time was over first.",
		get_delayed_out},
	{"backend_delayed", "gauge", "Opens that wait because of open_rate now.", get_delayed_now},
};

static void inst_metric(const struct inst_metric *m, const struct views *v, struct buf *out)
{
	metric_head(out, m->name, m->type, m->help);
	for (size_t i = 0; i < v->n; i++) {
		buf_printf(out, "secretfs_%s{backend=\"", m->name);
		label(out, v->v[i].ci->name);
		buf_printf(out, "\"} %" PRId64 "\n", m->get(&v->v[i]));
	}
}

static void hydration_metrics(struct core *core, struct buf *out)
{
	struct hydrate_view v;
	core_hydrate_look(core, &v);
	if (v.mode == HYDRATE_NONE)
		return;
	metric_one(out, "hydration_secrets", "gauge", "Secrets to be held.", v.kept.total);
	metric_one(out, "hydration_done", "gauge", "Of them: tried at least once.", v.kept.tried);
	metric_one(out, "hydration_failed", "gauge", "Of them: without a value, the fetch failed.",
		v.kept.failed);
	metric_one(out, "hydration_missing", "gauge", "Of them: without a value for want of room.",
		v.kept.missing);
}

void status_metrics(struct core *core, struct buf *out)
{
	struct secret_stats st;
	struct views v;
	size_t bytes, values;
	uint64_t evictions;
	secret_stats(&st);
	store_totals(core->store, &bytes, &values, &evictions);
	metric_one(out, "cached_values", "gauge", "Values in the cache.", values);
	metric_one(out, "cached_bytes", "gauge", "Sum of their sizes.", bytes);
	metric_one(out, "evictions_total", "counter", "Values dropped for room.", evictions);
	metric_one(out, "arena_used_bytes", "gauge", "Bytes used in the secret memory.", st.used);
	metric_one(out, "arena_limit_bytes", "gauge", "Bytes it may grow to.", st.cap);
	metric_one(out, "arena_locked", "gauge", "1 if all of it is locked in memory.", st.locked);
	metric_one(out, "arena_failed_total", "counter", "Allocations refused because it was full.",
		st.failed);
	hydration_metrics(core, out);
	metric_one(out, "uptime_seconds", "gauge", "Seconds since the start.",
		(uint64_t)seconds(clock_boot() - core->started_boot));
	if (core->ev.gauges) {
		struct core_gauges g = {0};
		core->ev.gauges(core->ev.arg, &g);
		metric_one(out, "inodes", "gauge", "Inodes the kernel knows or uses.", g.inodes);
		metric_one(out, "handles", "gauge", "Open files and directories.", g.handles);
		if (g.audited) {
			metric_one(out, "audit_lines_total", "counter", "Audit lines written.",
				g.audit_lines);
			metric_one(out, "audit_failures_total", "counter",
				"Audit lines that could not be written.", g.audit_failures);
		}
	}
	view_all(core, &v);
	for (size_t i = 0; i < sizeof(inst_metrics) / sizeof(inst_metrics[0]); i++)
		inst_metric(&inst_metrics[i], &v, out);
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
		buf_printf(out, "%" PRId64, seconds(info->expires_boot - clock_boot()));
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
	buf_printf(c->out, "\t%" PRId64 "\t", seconds(clock_boot() - info.fetched_boot));
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
