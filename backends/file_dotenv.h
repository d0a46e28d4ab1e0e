/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line formats of the file back end, as pure functions from bytes to places in these bytes: nothing
 * is copied while parsing.
 *
 * dotenv: [export] NAME = value. NAME is [A-Za-z_][A-Za-z0-9_.-]*. A bare value is trimmed and ends
 * before a blank followed by '#'; '...' is literal; "..." knows \n \r \t \\ \" \$ and leaves other
 * backslashes alone; both may span lines, whose CRLF count as LF. Blank lines, lines that start
 * with '#', CRLF line ends and a UTF-8 byte order mark are fine. Nothing is expanded.
 *
 * mlrun-list: the rules of MLRun's SecretsStore of kind "file" (Python's str.splitlines(), first
 * '=' splits, both sides stripped, no comments, no quotes, lines without '=' skipped).
 */
#ifndef SFS_BACKENDS_FILE_DOTENV_H
#define SFS_BACKENDS_FILE_DOTENV_H

#include "base/buf.h"
#include "base/envstore.h"
#include "base/err.h"
#include <stddef.h>

enum line_form { LINE_BARE, LINE_SINGLE, LINE_DOUBLE, LINE_EXPAND };

/* One assignment: offsets into the text, `value` without its quotes. */
struct line_item {
	size_t name, name_len;
	size_t value, value_len;
	size_t line; /* 1-based */
	enum line_form form;
};

struct line_text {
	const char *label; /* file name for messages */
	const char *text;
	size_t len;
};

/* Calls `emit` for each assignment in order; non-zero stops and is returned. A malformed line is
 * EBADMSG with "LABEL:LINE: what"; the caller then forgets what was emitted. */
int dotenv_parse(const struct line_text *t, int (*emit)(void *arg, const struct line_item *item),
	void *arg, struct sfs_err *err);
/* The same; no line is malformed. */
int mlrun_parse(
	const struct line_text *t, int (*emit)(void *arg, const struct line_item *item), void *arg);

/* Appends the value that the source bytes mean. LINE_EXPAND replaces $NAME and ${NAME} of `env`
 * (NULL = none; unknown ones stay). -ENOMEM, -EFBIG. */
int line_value(const char *value, size_t len, enum line_form form, const struct envstore *env,
	struct buf *out);

#endif
