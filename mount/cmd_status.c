/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs status: .control/status, as JSON or laid out for a person. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "mount/client.h"
#include "net/json.h"
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 4096 /* one value of the status */

struct printer {
	struct json *doc;
	FILE *f;
};

static bool is_container(const struct json_node *n)
{
	return json_kind(n) == JSON_OBJECT || json_kind(n) == JSON_ARRAY;
}

/* A string as it is, a number or word as in JSON, "-" for nothing; printable in any case. */
static void print_scalar(const struct printer *p, const struct json_node *n)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(CLIENT_TEXT_MAX);
	char shown[SHOWN_MAX];
	if (json_value(p->doc, n, &b) < 0)
		return;
	text_escaped(shown, sizeof(shown), buf_text(&b), b.len);
	fprintf(p->f, " %s\n", json_kind(n) == JSON_NULL || !*shown ? "-" : shown);
}

static void print_key(const struct printer *p, const struct json_node *n)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(SHOWN_MAX);
	char shown[SHOWN_MAX];
	if (json_key(p->doc, n, &b) < 0)
		return;
	text_escaped(shown, sizeof(shown), buf_text(&b), b.len);
	for (char *c = shown; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	fprintf(p->f, "%s:", shown);
}

/* The members of a container, one a line. `inlined`: the first goes onto the line that was begun ("
 * - name: file"). Depth is bounded by the parser (SFS_JSON_DEPTH). */
static void print_node(const struct printer *p, const struct json_node *n, int depth, bool inlined)
{
	bool object = json_kind(n) == JSON_OBJECT;
	for (const struct json_node *c = json_first(p->doc, n); c; c = json_next(p->doc, c)) {
		fprintf(p->f, "%*s", inlined ? 1 : 2 * depth, "");
		inlined = false;
		if (object)
			print_key(p, c);
		else
			fputc('-', p->f);
		if (!is_container(c)) {
			print_scalar(p, c);
		} else if (json_count(c) == 0) {
			fputs(" none\n", p->f);
		} else {
			if (object)
				fputc('\n', p->f);
			print_node(p, c, depth + 1, !object);
		}
	}
}

static int print_summary(const char *text, size_t len, struct sfs_err *err)
{
	struct printer p = {.f = stdout};
	int r = json_parse(text, len, JSON_STRICT, &p.doc, err);
	if (r < 0)
		return err_prefix(err, "status");
	print_node(&p, json_root(p.doc), 0, false);
	json_free(p.doc);
	return 0;
}

static int run_status(const struct cli_args *a)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	struct sfs_err err = {0};
	int r = client_show(a, "status", &text, &err);
	if (r == 0 && cli_has(a, "json"))
		fwrite(buf_text(&text), 1, text.len, stdout);
	else if (r == 0)
		r = print_summary(buf_text(&text), text.len, &err);
	return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

static const struct cli_flag status_flags[] = {
	CLIENT_FLAG,
	{'j', "json", NULL, "As JSON, as in .control/status."},
	{0},
};

const struct cli_command cmd_status = {
	.name = "status",
	.args = "[-m MOUNTPOINT] [-j]",
	.summary = "Show source, health, counters and last errors of a mount",
	.help = "Values of secrets are not shown.",
	.flags = status_flags,
	.max = 1,
	.run = run_status,
};
