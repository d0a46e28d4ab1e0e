/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs ls: the names under a mount, without fetching a value. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "mount/client.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLUMN_MAX 256

struct listing_view {
	const struct client *c;
	const char *pattern; /* NULL = all */
	bool is_long;
	size_t shown;
};

/* A pattern without wildcards names a directory too. */
static bool matches(const char *pattern, const char *name)
{
	if (!pattern || glob_match(pattern, name))
		return true;
	size_t len = strlen(pattern);
	while (len && pattern[len - 1] == '/')
		len--;
	return strncmp(pattern, name, len) == 0 && name[len] == '/';
}

static int show(struct listing_view *v, const char *name)
{
	char state[COLUMN_MAX], ttl[COLUMN_MAX], version[COLUMN_MAX];
	if (!matches(v->pattern, name))
		return 0;
	v->shown++;
	if (!v->is_long)
		return puts(name) < 0 ? -errno : 0;
	_cleanup_free_ char *path = client_path(v->c, "%s", name);
	if (!path)
		return -ENOMEM;
	client_attr(path, "state", state, sizeof(state));
	client_attr(path, "ttl", ttl, sizeof(ttl));
	client_attr(path, "version", version, sizeof(version));
	return printf("%-10s %6s %-20s %s\n", *state ? state : "-", *ttl ? ttl : "-",
		       *version ? version : "-", name) < 0
		       ? -errno
		       : 0;
}

/* The control file spells a name as an argument; shown is the name itself, as readdir has it and
 * `get` takes it. */
static int show_line(struct listing_view *v, const char *line, struct buf *name)
{
	bool glob = false;
	buf_reset(name);
	int r = text_from_arg(name, line, strlen(line), &glob);
	return r < 0 ? r : show(v, buf_text(name));
}

static int show_lines(struct listing_view *v, char *text)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	int r = 0;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line && r == 0;
		line = strtok_r(NULL, "\n", &save))
		r = show_line(v, line, &name);
	return r;
}

/* A filter is a file name below .control/list: '/' and '%' are written %2F and %25. */
static char *filter_file(const char *filter)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(SFS_COMPONENT_MAX + 1);
	buf_str(&b, "list/");
	for (const char *p = filter; *p; p++) {
		bool dots = p == filter && *p == '.';
		if (*p == '/' || *p == '%' || dots)
			buf_printf(&b, "%%%02X", (unsigned char)*p);
		else
			buf_char(&b, *p);
	}
	return buf_take(&b);
}

static int read_filtered(
	const struct client *c, const char *filter, struct buf *text, struct sfs_err *err)
{
	_cleanup_free_ char *file = filter_file(filter);
	if (file && strlen(file) - strlen("list/") <= SFS_COMPONENT_MAX)
		return client_read(c, file, text, err);
	/* Too long for a name: written to list/query and read back there. */
	int r = client_write(c, "list/query", filter, strlen(filter), err);
	return r < 0 ? r : client_read(c, "list/query", text, err);
}

/* Without the right to the control files, what readdir shows; it stays inside the mount and opens
 * nothing. */
static int walk(struct listing_view *v, struct sfs_err *err)
{
	char *roots[] = {v->c->point, NULL};
	size_t skip = strlen(v->c->point) + 1;
	int r = 0;
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	if (!fts)
		return err_errno(err, errno, "%s", v->c->point);
	for (FTSENT *e; r == 0 && (e = fts_read(fts));) {
		if (e->fts_info == FTS_F || e->fts_info == FTS_NS)
			r = show(v, e->fts_path + skip);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
			r = e->fts_level == 0 ? client_error(e->fts_path, e->fts_errno, err) : 0;
	}
	fts_close(fts);
	return r;
}

static int list(struct listing_view *v, const char *filter, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	int r = filter ? read_filtered(v->c, filter, &text, err)
		       : client_read(v->c, "list/all", &text, err);
	if (r == -EACCES && !filter)
		return walk(v, err);
	if (r < 0)
		return r;
	return text.len ? show_lines(v, text.data) : 0;
}

static int run_ls(const struct cli_args *a)
{
	_cleanup_(client_close) struct client c = {0};
	struct sfs_err err = {0};
	struct listing_view v = {.c = &c, .is_long = cli_has(a, "long")};
	int r = client_open(a, &c, &err);
	if (r == 0 && c.nargs > 1)
		r = err_set(&err, EINVAL, "ls: one pattern at a time");
	if (r == 0 && c.nargs)
		r = client_name(&c, c.args[0], &v.pattern, &err);
	if (r == 0)
		r = list(&v, cli_value(a, "filter"), &err);
	if (r < 0 && err.code == 0)
		err_errno(&err, -r, "ls");
	if (r < 0)
		return cli_fail(&err, CLI_FAILED);
	if (v.pattern && v.shown == 0) {
		err_set(&err, ENOENT, "no secret matches %s", v.pattern);
		return cli_fail(&err, CLI_FAILED);
	}
	return CLI_OK;
}

static const struct cli_flag ls_flags[] = {
	CLIENT_FLAG,
	{'l', "long", NULL, "Show state, TTL and version of what is in the cache."},
	{'F', "filter", "FILTER", "Ask with the provider's own filter."},
	{0},
};

const struct cli_command cmd_ls = {
	.name = "ls",
	.args = "[-m MOUNTPOINT] [-l] [-F FILTER] [PATTERN]",
	.summary = "List the names of secrets",
	.help = "PATTERN is a glob: '*' and '?' stop at '/', '**' does not. A directory means "
		"everything below it. Names alone fetch no value; where the mount is hydrated, "
		"-l may fetch those that are not held.",
	.flags = ls_flags,
	.max = 2,
	.run = run_ls,
};
