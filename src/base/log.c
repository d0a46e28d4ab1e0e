/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define IDENT_MAX 64

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", LOG_ERR},
	[LOG_LEVEL_WARN] = {"warning", LOG_WARNING},
	[LOG_LEVEL_INFO] = {"info", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

/* Written by log_open() before there are threads, only read later. syslog(3) keeps the pointer to
 * the name. */
static char ident[IDENT_MAX] = "secretfs";
static bool to_syslog, named; /* named: by log_open(), as what stays running is */
static _Atomic int max_level = LOG_LEVEL_INFO;

void log_open(const char *name, bool use_syslog, enum log_level max)
{
	snprintf(ident, sizeof(ident), "%s", name);
	to_syslog = use_syslog;
	named = true;
	log_set_level(max);
	/* Not LOG_NDELAY: the socket would be open before descriptors are closed, and its number be
	 * reused. */
	if (use_syslog)
		openlog(ident, LOG_PID, LOG_DAEMON);
	else
		closelog();
}

void log_set_level(enum log_level max)
{
	atomic_store(&max_level, (int)max);
}

/* Printable ASCII as it is, any other byte as \xHH; a line that does not fit ends in "...".
 * Backslashes stay: names in it came through text_escaped(), and doubling theirs would make them
 * unreadable. Returns the length. */
static size_t escape(char *out, size_t size, const char *s)
{
	size_t len = 0;
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		size_t width = c >= 0x20 && c <= 0x7e ? 1 : 4;
		if (len + width + sizeof("...") > size)
			return len + (size_t)snprintf(out + len, size - len, "...");
		if (width == 1)
			out[len] = (char)c;
		else
			snprintf(out + len, size - len, "\\x%02x", c);
		len += width;
	}
	out[len] = '\0';
	return len;
}

/* One write for the whole line, so that lines of several processes on one descriptor do not mix.
 * What a full pipe or disk refuses is lost: the log must not stop the program. */
static void write_stderr(const char *line, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, line, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line += n;
		len -= (size_t)n;
	}
}

/* "TIME " where lines go to a file; journald, containers and people at terminals know the time. */
static void stamp(char out[CLOCK_TEXT + 1])
{
	char text[CLOCK_TEXT];
	struct stat st;
	out[0] = '\0';
	if (named && fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		snprintf(out, CLOCK_TEXT + 1, "%s ", clock_text(clock_wall(), text));
}

static void emit(enum log_level level, const char *text)
{
	char line[SFS_LOG_LINE_MAX];
	int saved = errno;
	if (to_syslog) {
		escape(line, sizeof(line), text);
		syslog(levels[level].priority, "%s", line);
	} else {
		char time[CLOCK_TEXT + 1], head[sizeof(time) + IDENT_MAX + 16];
		stamp(time);
		snprintf(head, sizeof(head), "%s%s: %s: ", time, ident, levels[level].name);
		size_t len = escape(line, sizeof(line), head);
		len += escape(line + len, sizeof(line) - len - 1, text);
		line[len++] = '\n';
		write_stderr(line, len);
	}
	errno = saved;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[SFS_LOG_LINE_MAX];
	va_list ap;
	if ((int)level > atomic_load(&max_level))
		return;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0)
		emit(level, text);
}

void log_err(enum log_level level, const struct sfs_err *e)
{
	log_line(level, "%s", e->msg);
}

bool log_due(struct log_rate *r)
{
	long long now = clock_boot();
	long long next = atomic_load(&r->next);
	if (now < next)
		return false;
	/* Of several threads that come here at once, one moves the mark. */
	return atomic_compare_exchange_strong(&r->next, &next, clock_after(now, r->seconds));
}
