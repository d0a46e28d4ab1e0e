/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/audit_line.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UNKNOWN "?"

/* "2026-11-22T17:03:13.042Z" */
static void add_time(struct buf *out, int64_t wall)
{
	time_t t = wall / NSEC_PER_SEC;
	struct tm tm;
	char text[64];
	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(text, sizeof(text), "1970-01-01T00:00:00");
	buf_printf(out, "{\"time\":\"%s.%03dZ\"", text, (int)(wall % NSEC_PER_SEC / NSEC_PER_MSEC));
}

/* What is no UTF-8 is written with \xHH, so that two names never look alike. */
static void add_text(struct buf *out, const char *name, const char *text)
{
	size_t len = strlen(text);
	buf_printf(out, ",\"%s\":", name);
	if (utf8_valid(text, len)) {
		text_json(out, text, len);
		return;
	}
	struct buf escaped = BUF_INIT(SFS_AUDIT_LINE);
	out->failed = out->failed ? out->failed : -text_escape(&escaped, text, len);
	text_json(out, buf_text(&escaped), escaped.len);
	buf_clear(&escaped);
}

static void add_optional(struct buf *out, const char *name, const char *text)
{
	if (text)
		add_text(out, name, text);
	else
		buf_printf(out, ",\"%s\":null", name);
}

static void add_known(struct buf *out, const char *name, const char *text)
{
	add_text(out, name, text ? text : UNKNOWN);
}

static void add_pid(struct buf *out, const char *name, pid_t pid)
{
	if (pid > 0)
		buf_printf(out, ",\"%s\":%d", name, (int)pid);
	else
		buf_printf(out, ",\"%s\":null", name);
}

static void add_verdict(struct buf *out, int errnum)
{
	const char *name = errnum ? strerrorname_np(errnum) : "ok";
	if (name)
		add_text(out, "verdict", name);
	else
		buf_printf(out, ",\"verdict\":\"errno %d\"", errnum);
}

int audit_line_add(const struct audit_line *l, struct buf *out)
{
	add_time(out, l->wall);
	add_text(out, "mount", l->mount);
	add_pid(out, "pid", l->pid);
	add_pid(out, "tid", l->tid);
	buf_printf(
		out, ",\"uid\":%" PRIu32 ",\"gid\":%" PRIu32, (uint32_t)l->uid, (uint32_t)l->gid);
	add_known(out, "comm", l->comm);
	add_known(out, "cgroup", l->cgroup);
	add_known(out, "exe", l->exe);
	add_text(out, "name", l->name);
	add_text(out, "view", l->view);
	if (l->field)
		add_text(out, "field", l->field);
	add_optional(out, "version", l->version);
	add_text(out, "cache", l->cache);
	add_verdict(out, l->errnum);
	return buf_str(out, "}\n");
}
