/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs hydrate, refresh, purge, cached: writes to and reads from the control files of the same
 * names. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "mount/client.h"
#include "mount/progress.h"
#include "net/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 8
#define LINES_MAX \
	((size_t)64 * 1024 * 1024) /* what a command line can hold, each byte as %XX, with room */

/* One argument as a line of a control file. A name is quoted whole; in a pattern the wildcards keep
 * their meaning. */
static int add_pattern(struct buf *out, const char *name)
{
	_cleanup_(buf_clear) struct buf piece = BUF_INIT(SFS_PATH_MAX + 1);
	while (*name) {
		size_t plain = strcspn(name, "*?["), wild = strspn(name + plain, "*?[");
		buf_reset(&piece);
		buf_add(&piece, name, plain);
		if (piece.failed || text_to_arg(out, buf_text(&piece)) < 0)
			return -ENAMETOOLONG;
		buf_add(out, name + plain, wild);
		name += plain + wild;
	}
	return -out->failed;
}

/* One argument as a line. --literal: the wildcards too are bytes of the name. */
static int add_name(
	const struct client *c, const char *arg, bool literal, struct buf *out, struct sfs_err *err)
{
	const char *name = "*";
	int r = strcmp(arg, "*") == 0 ? 0 : client_name(c, arg, &name, err);
	if (r < 0)
		return r;
	r = literal ? text_to_arg(out, name) : add_pattern(out, name);
	if (r == 0)
		r = buf_char(out, '\n');
	return r < 0 ? err_errno(err, -r, "%s", name) : 0;
}

static int make_lines(
	const struct client *c, const struct cli_args *a, struct buf *out, struct sfs_err *err)
{
	const char *filter = cli_value(a, "filter");
	int r = 0;
	if (cli_has(a, "all") || (c->whole && !c->nargs && !filter))
		buf_str(out, "*\n");
	else if (!c->nargs && !filter)
		return err_set(err, EINVAL, "%s: give names, a pattern such as 'prod/**', or --all",
			a->cmd->name);
	if (filter && strchr(filter, '\n'))
		return err_set(err, EINVAL, "%s: a filter has one line", a->cmd->name);
	if (filter)
		buf_printf(out, "filter=%s\n", filter);
	for (int i = 0; r == 0 && i < c->nargs; i++)
		r = add_name(c, c->args[i], cli_has(a, "literal"), out, err);
	if (r == 0 && out->failed)
		r = err_errno(err, out->failed, "%s: arguments", a->cmd->name);
	return r;
}

/* What a run left behind: "done/total", then one line per failure. Returns how many there were. */
static size_t show_failures(const struct client *c, const char *control)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	char shown[SFS_ERR_MAX];
	size_t n = 0;
	if (client_read(c, control, &text, NULL) < 0)
		return 0;
	const char *line = strchr(buf_text(&text), '\n');
	while (line && *++line) {
		size_t len = strcspn(line, "\n");
		fprintf(stderr, "secretfs: %s: %s\n", control,
			text_escaped(shown, sizeof(shown), line, len));
		line = line[len] ? line + len : NULL;
		n++;
	}
	return n;
}

/* Why the last write failed, as the mount saw it; false if it does not say. */
static bool control_sentence(const struct client *c, struct buf *ret)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	static const char key[] = "last_control_error", inner[] = "error";
	struct json *doc;
	if (client_read(c, "status", &text, NULL) < 0 ||
		json_parse(buf_text(&text), text.len, JSON_STRICT, &doc, NULL) < 0)
		return false;
	const struct json_node *n = json_member(doc, json_root(doc), key, sizeof(key) - 1);
	n = n ? json_member(doc, n, inner, sizeof(inner) - 1) : NULL;
	bool found = n && json_string(doc, n, ret) == 0 && ret->len;
	json_free(doc);
	return found;
}

static int run_lines(
	const struct client *c, const char *control, const struct buf *lines, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf why = BUF_INIT(SFS_ERR_MAX);
	int r = client_write(c, control, buf_text(lines), lines->len, err);
	if (r < 0 && r != -EINTR && control_sentence(c, &why))
		return err_set(err, -r, "%s", buf_text(&why));
	return r;
}

/* 0, or -errno with `err` set unless the failures were shown one by one. */
static int command(const struct cli_args *a, struct sfs_err *err)
{
	const char *control = a->cmd->name;
	bool fetches = strcmp(control, "purge") != 0;
	_cleanup_(client_close) struct client c = {0};
	_cleanup_(buf_clear) struct buf lines = BUF_INIT(LINES_MAX);
	struct progress bar;
	int r = client_open(a, &c, err);
	if (r == 0)
		r = make_lines(&c, a, &lines, err);
	if (r < 0)
		return r;
	bool drawn = fetches && isatty(STDERR_FILENO) && progress_start(&bar, &c, control) == 0;
	r = run_lines(&c, control, &lines, err);
	if (drawn)
		progress_stop(&bar);
	/* After EINVAL nothing ran, and what the file shows is of an older write. */
	if (fetches && r != -EINVAL && show_failures(&c, control) > 0)
		err_clear(err);
	return r;
}

static int run_command(const struct cli_args *a)
{
	struct sfs_err err = {0};
	int r = command(a, &err);
	if (r < 0 && err.code)
		cli_fail(&err, CLI_FAILED);
	return r < 0 ? CLI_FAILED : CLI_OK;
}

/* The columns of a line that are separated by tabs; returns their number. */
static size_t split(char *line, char **columns)
{
	size_t n = 0;
	for (char *next = line; next && n < COLUMNS_MAX;)
		columns[n++] = strsep(&next, "\t");
	return n;
}

/* One line: measured in the first pass, printed in the second. */
static void align_line(const char *line, size_t len, int *widths, bool print)
{
	char *columns[COLUMNS_MAX];
	_cleanup_free_ char *copy = mem_strndup(line, len);
	size_t n = copy ? split(copy, columns) : 0;
	for (size_t i = 0; i < n; i++) {
		int width = (int)strlen(columns[i]);
		if (print)
			printf("%-*s%s", i + 1 < n ? widths[i] : 0, columns[i],
				i + 1 < n ? "  " : "\n");
		else if (width > widths[i])
			widths[i] = width;
	}
}

/* For a person: columns of equal width. */
static void print_aligned(const char *text)
{
	int widths[COLUMNS_MAX] = {0};
	for (int pass = 0; pass < 2; pass++) {
		for (const char *line = text; *line;) {
			size_t len = strcspn(line, "\n");
			align_line(line, len, widths, pass == 1);
			line += len + (line[len] == '\n');
		}
	}
}

static int run_cached(const struct cli_args *a)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	struct sfs_err err = {0};
	if (client_show(a, "cached", &text, &err) < 0)
		return cli_fail(&err, CLI_FAILED);
	if (text.len && isatty(STDOUT_FILENO))
		print_aligned(text.data);
	else
		fwrite(buf_text(&text), 1, text.len, stdout);
	return CLI_OK;
}

#define NAMES_HELP                                                                                 \
	"NAMES are names as they stand under the mount, or paths; a pattern ('*' and '?' stop at " \
	"'/', '**' does not) "                                                                     \
	"means every name it matches. The command returns when the work is done. Every name "      \
	"given is tried; the command "                                                             \
	"fails if one of them failed, a pattern fails only if everything it matched did."

static const struct cli_flag cached_flags[] = {CLIENT_FLAG, {0}};
static const struct cli_flag purge_flags[] = {
	CLIENT_FLAG,
	{'a', "all", NULL, "Every secret of the mount."},
	{'l', "literal", NULL, "The characters * ? [ are part of the names."},
	{0},
};
static const struct cli_flag fetch_flags[] = {
	CLIENT_FLAG,
	{'a', "all", NULL, "Every secret of the mount."},
	{'F', "filter", "FILTER", "Every secret that matches the provider's own filter."},
	{'l', "literal", NULL, "The characters * ? [ are part of the names."},
	{0},
};

const struct cli_command cmd_hydrate = {
	.name = "hydrate",
	.args = "[-m MOUNTPOINT] [-a] [-F FILTER] [NAMES...]",
	.summary = "Fetch secrets into the cache",
	.help = NAMES_HELP " On a terminal a bar shows how far it is.",
	.flags = fetch_flags,
	.max = -1,
	.run = run_command,
};

const struct cli_command cmd_refresh = {
	.name = "refresh",
	.args = "[-m MOUNTPOINT] [-a] [-F FILTER] [NAMES...]",
	.summary = "Fetch secrets anew, serving the old value until the new one is here",
	.help = NAMES_HELP,
	.flags = fetch_flags,
	.max = -1,
	.run = run_command,
};

const struct cli_command cmd_purge = {
	.name = "purge",
	.args = "[-m MOUNTPOINT] [-a] [NAMES...]",
	.summary = "Forget cached values and wipe them",
	.help = NAMES_HELP " The next open fetches again.",
	.flags = purge_flags,
	.max = -1,
	.run = run_command,
};

const struct cli_command cmd_cached = {
	.name = "cached",
	.args = "[-m MOUNTPOINT]",
	.summary = "Show what is in the cache: name, version, age, seconds left, state",
	.help = "Values are not shown.",
	.flags = cached_flags,
	.max = 1,
	.run = run_cached,
};
