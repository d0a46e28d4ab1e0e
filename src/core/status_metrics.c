/* SPDX-License-Identifier: Apache-2.0 */
/* .control/metrics */
#include "core/status.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/core_hydrate.h"
#include "core/status_priv.h"
#include <inttypes.h>
#include <string.h>

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
	return v->list_age < 0 ? -1 : status_seconds(v->list_age);
}

static int64_t get_up(const struct inst_view *v)
{
	return !strcmp(view_state(v), "ok");
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

static void inst_label(const char *name, const struct inst_view *v, struct buf *out)
{
	buf_printf(out, "secretfs_%s{backend=\"", name);
	label(out, v->ci->name);
	buf_str(out, "\"} ");
}

static void inst_metric(const struct inst_metric *m, const struct views *v, struct buf *out)
{
	metric_head(out, m->name, m->type, m->help);
	for (size_t i = 0; i < v->n; i++) {
		inst_label(m->name, &v->v[i], out);
		buf_printf(out, "%" PRId64 "\n", m->get(&v->v[i]));
	}
}

/* What a back end counts itself. */
struct count_metric {
	const char *name, *type, *help;
	uint64_t (*get)(const struct backend_counts *c);
};

static uint64_t get_calls(const struct backend_counts *c)
{
	return c->calls;
}

static uint64_t get_errors(const struct backend_counts *c)
{
	return c->errors;
}

static uint64_t get_retries(const struct backend_counts *c)
{
	return c->retries;
}

static uint64_t get_throttled(const struct backend_counts *c)
{
	return c->throttled;
}

static uint64_t get_bytes_in(const struct backend_counts *c)
{
	return c->bytes_in;
}

static uint64_t get_bytes_out(const struct backend_counts *c)
{
	return c->bytes_out;
}

static const struct count_metric count_metrics[] = {
	{"backend_calls_total", "counter", "Calls of the provider's interface.", get_calls},
	{"backend_call_errors_total", "counter", "Of these, calls that failed.", get_errors},
	{"backend_call_retries_total", "counter", "Calls that were sent again.", get_retries},
	{"backend_call_throttled_total", "counter", "Answers that said to slow down.",
		get_throttled},
	{"backend_bytes_in_total", "counter", "Bytes received from the provider.", get_bytes_in},
	{"backend_bytes_out_total", "counter", "Bytes sent to the provider.", get_bytes_out},
};

static void count_metric(const struct count_metric *m, const struct views *v, struct buf *out)
{
	metric_head(out, m->name, m->type, m->help);
	for (size_t i = 0; i < v->n; i++) {
		if (!v->v[i].counted)
			continue;
		inst_label(m->name, &v->v[i], out);
		buf_printf(out, "%" PRIu64 "\n", m->get(&v->v[i].counts));
	}
}

static void cost_metric(const struct views *v, struct buf *out)
{
	static const char name[] = "backend_cost_usd";
	metric_head(out, name, "counter", "Estimate of what the calls cost, by list price.");
	for (size_t i = 0; i < v->n; i++) {
		if (!v->v[i].counted)
			continue;
		inst_label(name, &v->v[i], out);
		buf_printf(out, "%.6f\n", v->v[i].counts.cost_usd);
	}
}

/* Only where somebody counts: a family without a sample says nothing. */
static void all_counts(const struct views *v, struct buf *out)
{
	bool any = false;
	for (size_t i = 0; i < v->n; i++)
		any = any || v->v[i].counted;
	if (!any)
		return;
	for (size_t i = 0; i < sizeof(count_metrics) / sizeof(count_metrics[0]); i++)
		count_metric(&count_metrics[i], v, out);
	cost_metric(v, out);
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
		(uint64_t)status_seconds(clock_boot() - core->started_boot));
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
	views_take(core, &v);
	for (size_t i = 0; i < sizeof(inst_metrics) / sizeof(inst_metrics[0]); i++)
		inst_metric(&inst_metrics[i], &v, out);
	all_counts(&v, out);
	views_end(&v);
}
