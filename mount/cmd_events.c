/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs events: follows .control/events, whether a read of it waits or it is a file that grows.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/text.h"
#include "mount/client.h"
#include "net/json.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE 65536
#define LOOK_MS	  250 /* between looks at a file that grows: nothing tells of its growth */

enum outcome { GO_ON, END };

struct follower {
	int file;  /* .control/events */
	int table; /* /proc/self/mountinfo: tells when mounts change; -1 = cannot */
	dev_t dev; /* of the mount */
	bool once, plain;
	struct buf line; /* the beginning of a line whose end was not read yet */
};

/* --- one line for a person --- */

static void add_escaped(struct buf *out, const struct buf *text)
{
	text_escape(out, buf_text(text), text->len);
}

/* What an event says beside its time and its name: "key=value". */
static void add_fact(struct buf *out, const struct json *doc, const struct json_node *n)
{
	_cleanup_(buf_clear) struct buf key = BUF_INIT(SFS_EVENT_LINE_MAX);
	_cleanup_(buf_clear) struct buf value = BUF_INIT(SFS_EVENT_LINE_MAX);
	if (json_key(doc, n, &key) < 0 || json_value(doc, n, &value) < 0)
		return;
	const char *k = buf_text(&key);
	if (strcmp(k, "seq") == 0)
		return;
	if (out->len)
		buf_char(out, ' ');
	if (strcmp(k, "error") == 0)
		buf_str(out, "- ");
	else if (strcmp(k, "time") != 0 && strcmp(k, "event") != 0 && strcmp(k, "name") != 0)
		buf_printf(out, "%s=", k);
	add_escaped(out, &value);
}

/* A line that is no JSON is shown as it is: it was cut when this reader fell behind. */
static void add_plain(struct buf *out, const char *line, size_t len)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(4 * SFS_EVENT_LINE_MAX);
	struct json *doc;
	if (json_parse(line, len, JSON_STRICT, &doc, NULL) < 0) {
		text_escape(&text, line, len);
	} else {
		const struct json_node *n = json_first(doc, json_root(doc));
		for (; n; n = json_next(doc, n))
			add_fact(&text, doc, n);
		json_free(doc);
	}
	buf_printf(out, "%s\n", buf_text(&text));
}

/* --- output --- */

/* -EPIPE when nobody reads any more. */
static int put(const struct buf *out)
{
	for (size_t done = 0; done < out->len;) {
		ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Whole lines go out; empty ones stand for what a reader of a growing file missed. */
static int put_lines(struct follower *f, const char *text, size_t len)
{
	_cleanup_(buf_clear) struct buf out = BUF_INIT(CLIENT_TEXT_MAX);
	const char *nl;
	while ((nl = memchr(text, '\n', len))) {
		size_t n = (size_t)(nl - text);
		buf_add(&f->line, text, n);
		if (f->line.len && f->plain)
			add_plain(&out, f->line.data, f->line.len);
		else if (f->line.len)
			buf_printf(&out, "%s\n", f->line.data);
		buf_reset(&f->line);
		text += n + 1;
		len -= n + 1;
	}
	buf_add(&f->line, text, len);
	return out.failed ? -out.failed : put(&out);
}

/* --- following --- */

static bool still_mounted(const struct follower *f)
{
	struct mount_entry *m;
	bool found = false;
	size_t n;
	if (mountinfo_read(&m, &n, NULL) < 0)
		return true;
	for (size_t i = 0; i < n; i++)
		found = found || m[i].dev == f->dev;
	mountinfo_free(m, n);
	return found;
}

/* Until there may be more to read. A detached mount would keep us for ever, and we it. */
static enum outcome wait_more(const struct follower *f, bool grows)
{
	enum { FILE_, OUT, TABLE, N };
	struct pollfd p[N] = {
		[FILE_] = {.fd = grows ? -1 : f->file, .events = POLLIN},
		[OUT] = {.fd = STDOUT_FILENO},
		[TABLE] = {.fd = f->table, .events = POLLPRI},
	};
	if (poll(p, N, grows ? LOOK_MS : -1) < 0)
		return GO_ON;
	if (p[OUT].revents & (POLLERR | POLLHUP))
		return END;
	return p[TABLE].revents && !still_mounted(f) ? END : GO_ON;
}

/* The mount has gone, or its worker has. */
static bool is_over(int code)
{
	return code == ENOTCONN || code == ECONNABORTED || code == ENODEV || code == ESTALE;
}

static int step(struct follower *f, enum outcome *ret)
{
	char text[READ_SIZE];
	ssize_t n = read(f->file, text, sizeof(text));
	int code = n < 0 ? errno : 0;
	*ret = GO_ON;
	if (n > 0)
		return put_lines(f, text, (size_t)n);
	if (code == EINTR)
		return 0;
	if (is_over(code) || (f->once && (n == 0 || code == EAGAIN)))
		*ret = END;
	else if (n == 0 || code == EAGAIN)
		*ret = wait_more(f, n == 0);
	else
		return -code;
	return 0;
}

static int follow(struct follower *f, struct sfs_err *err)
{
	enum outcome o = GO_ON;
	int r = 0;
	while (r == 0 && o == GO_ON)
		r = step(f, &o);
	if (r == -EPIPE)
		r = 0; /* as much as was wanted */
	return r < 0 ? err_errno(err, -r, "events") : 0;
}

static int begin(const struct client *c, bool now, struct follower *f, struct sfs_err *err)
{
	struct stat st;
	_cleanup_free_ char *path = client_path(c, ".control/events");
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	f->file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (f->file < 0 || fstat(f->file, &st) < 0)
		return client_control_error(c, path, errno, err);
	f->dev = st.st_dev;
	if (now && lseek(f->file, 0, SEEK_END) < 0)
		return err_errno(err, errno, "%s", path);
	f->table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	return 0;
}

static void follower_end(struct follower *f)
{
	if (f->file >= 0)
		close(f->file);
	if (f->table >= 0)
		close(f->table);
	buf_clear(&f->line);
}

static int parse_since(const char *since, bool *ret_now, struct sfs_err *err)
{
	*ret_now = since && strcmp(since, "now") == 0;
	if (!since || *ret_now || strcmp(since, "oldest") == 0)
		return 0;
	return err_set(err, EINVAL, "--since=%s: it is 'oldest' or 'now'", since);
}

static int run_events(const struct cli_args *a)
{
	_cleanup_(client_close) struct client c = {0};
	_cleanup_(follower_end) struct follower f = {.file = -1,
		.table = -1,
		.once = cli_has(a, "once"),
		.plain = cli_has(a, "plain"),
		.line = BUF_INIT(2 * SFS_EVENT_LINE_MAX)};
	struct sfs_err err = {0};
	bool now;
	signal(SIGPIPE, SIG_IGN); /* the reader of our pipe has seen enough: no failure */
	int r = parse_since(cli_value(a, "since"), &now, &err);
	if (r == 0)
		r = client_open(a, &c, &err);
	if (r == 0)
		r = client_no_names(&c, &err);
	if (r == 0)
		r = begin(&c, now, &f, &err);
	if (r == 0)
		r = follow(&f, &err);
	return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

static const struct cli_flag events_flags[] = {
	CLIENT_FLAG,
	{'f', "follow", NULL, "Show what happens until the mount ends. This is the default."},
	{'1', "once", NULL, "Show what is there and end."},
	{'s', "since", "oldest|now", "Where to begin: the oldest event kept (default), or now."},
	{'j', "json", NULL, "JSON lines, as in .control/events. This is the default."},
	{'p', "plain", NULL, "A line for a person instead of JSON."},
	{0},
};

const struct cli_command cmd_events = {
	.name = "events",
	.args = "[-m MOUNTPOINT] [-1] [-s oldest|now] [-p]",
	.summary = "Show what happens in a mount: fetches, rotations, failures",
	.help = "Follows .control/events and hides that this file is read in one way where files "
		"are opened at the daemon and in another where they are not. The last 4096 events "
		"are kept; who is slower than that sees one event 'lost' with their number. It "
		"ends, with success, when the mount ends and when nobody reads its output any "
		"more. While it runs the mount is busy: umount names it.",
	.flags = events_flags,
	.max = 1,
	.run = run_events,
};
