/* SPDX-License-Identifier: Apache-2.0 */
#include "core/control.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define FILTER "filter="

const struct control_row control_rows[CONTROL_N] = {
	[CONTROL_HYDRATE] = {"hydrate", true, "NAME|GLOB|*|filter=FILTER",
		"Fetch into the cache what is not fresh there; a read shows the progress."},
	[CONTROL_PURGE] = {"purge", true, "NAME|GLOB|*",
		"Forget and wipe values; a read shows the names of the last write."},
	[CONTROL_REFRESH] = {"refresh", true, "NAME|GLOB|*|filter=FILTER",
		"Fetch now, and serve the old value until the new one is here."},
	[CONTROL_TTL] = {"ttl", true, "NAME|GLOB|* SECONDS",
		"Set the TTL of secrets: seconds, -1 for ever, 0 never cached; a read shows those "
		"that differ from the mount's."},
	[CONTROL_CACHED] = {"cached", false, NULL,
		"The names in the cache: name, version, age, seconds left, state."},
	[CONTROL_STATUS] = {"status", false, NULL, "State of the mount, as JSON."},
	[CONTROL_METRICS] = {"metrics", false, NULL, "Counters in the format of Prometheus."},
	[CONTROL_EVENTS] = {"events", false, NULL,
		"What happens, one JSON object a line: fetched, rotated, purged, expired, created, "
		"deleted, listed, error and others. It grows with each event, for tail -f; where "
		"files are opened at the daemon a read at the end waits, and poll(2) works."},
	[CONTROL_CONFIG] = {"config", false, NULL,
		"The configuration in force, with the origin of each value."},
	[CONTROL_LIST_ALL] = {"all", false, NULL, "The names, one a line."},
};

struct span {
	const char *s;
	size_t len;
};

struct parse {
	enum control_file file;
	struct command *v;
	size_t n, cap, line;
};

static int bad(const struct parse *p, size_t len, const char *what, struct sfs_err *err)
{
	const struct control_row *row = &control_rows[p->file];
	return err_set(err, EINVAL, "%s: line %zu (%zu bytes): %s; a line is %s", row->name,
		p->line, len, what, row->args);
}

static struct span trim(struct span t)
{
	while (t.len && strchr(" \t\r", t.s[0])) {
		t.s++;
		t.len--;
	}
	while (t.len && strchr(" \t\r", t.s[t.len - 1]))
		t.len--;
	return t;
}

static struct command *add(struct parse *p)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct command *v = mem_realloc(p->v, cap, sizeof(*v));
		if (!v)
			return NULL;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n] = (struct command){.line = p->line};
	return &p->v[p->n++];
}

/* Cuts the last word, a number of seconds, off `t`. */
static int take_ttl(struct parse *p, struct span *t, int64_t *ret, struct sfs_err *err)
{
	char word[32];
	size_t end = t->len;
	while (end && !strchr(" \t", t->s[end - 1]))
		end--;
	size_t len = t->len - end;
	if (!end || len >= sizeof(word))
		return bad(p, t->len, "the seconds are missing", err);
	memcpy(word, t->s + end, len);
	word[len] = '\0';
	if (parse_duration(word, ret) < 0)
		return bad(p, t->len, "the last word is no number of seconds, -1 or 0", err);
	*t = trim((struct span){t->s, end});
	return 0;
}

/* A path as it stands under the mount. */
static bool legal_path(const char *path, size_t len)
{
	if (!len || len > SFS_PATH_MAX || path[0] == '/' || path[len - 1] == '/')
		return false;
	while (*path) {
		size_t n = strcspn(path, "/");
		if (n == 0 || n > SFS_COMPONENT_MAX || (n == 1 && path[0] == '.') ||
			(n == 2 && !memcmp(path, "..", 2)))
			return false;
		path += n + (path[n] == '/');
	}
	return true;
}

static int parse_name(struct parse *p, struct span t, struct command *c, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf arg = BUF_INIT(2 * SFS_PATH_MAX);
	bool glob = false;
	for (size_t i = 0; i < t.len; i++)
		if (t.s[i] == ' ' || t.s[i] == '\t')
			return bad(p, t.len, "a blank in a name is written %20", err);
	int r = text_from_arg(&arg, t.s, t.len, &glob);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory");
	if (r < 0)
		return bad(p, t.len, "no legal name: %XX takes two hex digits and is not %00", err);
	if (!glob && !legal_path(buf_text(&arg), arg.len))
		return bad(p, t.len, "no legal name under the mount", err);
	c->kind = glob ? COMMAND_GLOB : COMMAND_NAME;
	c->arg = mem_strndup(buf_text(&arg), arg.len);
	return c->arg ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int parse_filter(struct parse *p, struct span t, struct command *c, struct sfs_err *err)
{
	bool allowed = p->file == CONTROL_HYDRATE || p->file == CONTROL_REFRESH;
	t.s += sizeof(FILTER) - 1;
	t.len -= sizeof(FILTER) - 1;
	if (!allowed)
		return bad(p, t.len, "filter= is not possible here", err);
	if (!t.len || t.len > SFS_FILTER_MAX)
		return bad(p, t.len, "a filter has 1 to 4096 bytes", err);
	c->kind = COMMAND_FILTER;
	c->arg = mem_strndup(t.s, t.len);
	return c->arg ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int parse_line(struct parse *p, struct span t, struct sfs_err *err)
{
	int64_t ttl = 0;
	if (memchr(t.s, '\0', t.len))
		return bad(p, t.len, "a NUL byte", err);
	t = trim(t);
	if (!t.len || t.s[0] == '#')
		return 0;
	int r = p->file == CONTROL_TTL ? take_ttl(p, &t, &ttl, err) : 0;
	if (r < 0)
		return r;
	struct command *c = add(p);
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	c->ttl = ttl;
	if (t.len == 1 && t.s[0] == '*')
		c->kind = COMMAND_ALL;
	else if (t.len >= sizeof(FILTER) - 1 && !memcmp(t.s, FILTER, sizeof(FILTER) - 1))
		r = parse_filter(p, t, c, err);
	else
		r = parse_name(p, t, c, err);
	return r;
}

int commands_parse(enum control_file f, const char *text, size_t len, struct command **ret,
	size_t *ret_n, struct sfs_err *err)
{
	struct parse p = {.file = f};
	int r = 0;
	if (!control_rows[f].writable)
		return err_set(err, EROFS, "%s is read only", control_rows[f].name);
	if (len > SFS_CONTROL_WRITE_MAX)
		return err_set(err, E2BIG, "%s: a write of %zu bytes; at most %d",
			control_rows[f].name, len, SFS_CONTROL_WRITE_MAX);
	for (size_t pos = 0; pos < len && r == 0;) {
		const char *end = memchr(text + pos, '\n', len - pos);
		size_t n = end ? (size_t)(end - text) - pos : len - pos;
		p.line++;
		r = parse_line(&p, (struct span){text + pos, n}, err);
		pos += n + 1;
	}
	if (r < 0) {
		commands_free(p.v, p.n);
		return r;
	}
	*ret = p.v;
	*ret_n = p.n;
	return 0;
}

void commands_free(struct command *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem_free(c[i].arg);
	mem_free(c);
}
