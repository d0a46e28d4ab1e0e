/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per event, at the edge only. Bytes outside printable ASCII are written \xHH
 * (R54); a backslash stays, because names reach a line through text_escaped() and must not be
 * escaped twice. Lines are cut with "..." at SFS_LOG_LINE_MAX. Each is one write(2), so that lines
 * of several processes do not mix. Thread-safe; errno is kept.
 */
#ifndef SFS_BASE_LOG_H
#define SFS_BASE_LOG_H

#include "base/err.h"
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `ident` names the program in each line. With `use_syslog` lines go to syslog(3) (journald and
 * rsyslog read it), else to standard error as "ident: level: text", with the time (RFC 3339, UTC)
 * and a blank in front where that is a regular file. Call before threads; without it: "secretfs",
 * stderr, LOG_LEVEL_INFO, no time. */
void log_open(const char *ident, bool use_syslog, enum log_level max);
void log_set_level(enum log_level max);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Logs e->msg. */
void log_err(enum log_level level, const struct sfs_err *e);

/* At most one line per `seconds` from this call site: static struct log_rate r = LOG_RATE(60); if
 * (log_due(&r)) ... */
struct log_rate {
	long seconds;
	_Atomic long long next;
};
#define LOG_RATE(s)            \
	{                      \
		.seconds = (s) \
	}
bool log_due(struct log_rate *r);

#endif
