/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Appends formatted text at `len`, printable only, and returns the new length. The arguments may
 * point into the message that is being replaced: nothing is written to it before its end. */
__attribute__((format(printf, 3, 0))) static size_t add(
	char *text, size_t len, const char *fmt, va_list ap)
{
	int n = vsnprintf(text + len, SFS_ERR_MAX - len, fmt, ap);
	if (n < 0)
		text[len] = '\0';
	for (; text[len]; len++)
		if (text[len] < 0x20 || text[len] > 0x7e)
			text[len] = '?';
	return len;
}

static size_t add_text(char *text, size_t len, const char *s)
{
	size_t room = SFS_ERR_MAX - 1 - len;
	size_t n = strnlen(s, room);
	memcpy(text + len, s, n);
	text[len + n] = '\0';
	return len + n;
}

static int finish(struct sfs_err *e, int code, const char *text, size_t len)
{
	e->code = code;
	memcpy(e->msg, text, len + 1);
	return -code;
}

/* A failure must never look like success, not even when a caller mixes up the sign or has no code.
 */
static int valid(int code)
{
	return code > 0 ? code : EIO;
}

int err_set(struct sfs_err *e, int code, const char *fmt, ...)
{
	char text[SFS_ERR_MAX];
	va_list ap;
	code = valid(code);
	if (!e)
		return -code;
	va_start(ap, fmt);
	size_t len = add(text, 0, fmt, ap);
	va_end(ap);
	e->passes = false;
	return finish(e, code, text, len);
}

int err_prefix(struct sfs_err *e, const char *fmt, ...)
{
	char text[SFS_ERR_MAX];
	va_list ap;
	if (!e)
		return -EIO;
	va_start(ap, fmt);
	size_t len = add(text, 0, fmt, ap);
	va_end(ap);
	len = add_text(text, len, ": ");
	len = add_text(text, len, e->code > 0 ? e->msg : "failed without a reason");
	return finish(e, valid(e->code), text, len);
}

int err_errno(struct sfs_err *e, int code, const char *fmt, ...)
{
	char text[SFS_ERR_MAX];
	va_list ap;
	code = valid(code);
	if (!e)
		return -code;
	va_start(ap, fmt);
	size_t len = add(text, 0, fmt, ap);
	va_end(ap);
	const char *reason =
		strerrordesc_np(code); /* untranslated and thread-safe, unlike strerror() */
	e->passes = false;
	len = add_text(text, len, ": ");
	len = add_text(text, len, reason ? reason : "unknown error");
	return finish(e, code, text, len);
}

bool err_transient(const struct sfs_err *e)
{
	switch (e->code) {
	case EBUSY:
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case EREMOTEIO:
	case ENOMEM:
	case EAGAIN:
		return true;
	default:
		return e->passes;
	}
}

void err_clear(struct sfs_err *e)
{
	if (!e)
		return;
	e->code = 0;
	e->passes = false;
	e->msg[0] = '\0';
}
