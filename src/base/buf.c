/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/secret.h"
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAP 64

static int fail(struct buf *b, int code)
{
	if (!b->failed)
		b->failed = code;
	return -b->failed;
}

/* Memory for `need` bytes and the NUL, doubled so that many small appends cost linear time, never
 * above the maximum. */
static int grow(struct buf *b, size_t need)
{
	size_t most = b->max < SIZE_MAX ? b->max + 1 : SIZE_MAX;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	cap = cap < most / 2 ? cap * 2 : most;
	if (!b->cap && cap > FIRST_CAP)
		cap = FIRST_CAP;
	if (cap <= need)
		cap = need + 1;

	char *data;
	if (b->kind == BUF_PLAIN)
		data = mem_realloc(b->data, cap, 1);
	else
		data = b->data ? secret_realloc(b->data, cap) : secret_alloc(cap);
	if (!data)
		return fail(b, ENOMEM);
	b->data = data;
	b->cap = cap;
	data[b->len] = '\0';
	return 0;
}

char *buf_reserve(struct buf *b, size_t len)
{
	if (b->failed)
		return NULL;
	if (len > b->max || b->len > b->max - len || b->len + len == SIZE_MAX) {
		fail(b, EFBIG);
		return NULL;
	}
	if (b->len + len >= b->cap && grow(b, b->len + len) < 0)
		return NULL;
	return b->data + b->len;
}

void buf_advance(struct buf *b, size_t len)
{
	assert(b->len < b->cap && len < b->cap - b->len);
	b->len += len;
	b->data[b->len] = '\0';
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	if (!len)
		return -b->failed;
	char *to = buf_reserve(b, len);
	if (!to)
		return -b->failed;
	memcpy(to, data, len);
	buf_advance(b, len);
	return 0;
}

int buf_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_char(struct buf *b, char c)
{
	if (b->len + 1 < b->cap && !b->failed) {
		b->data[b->len++] = c;
		b->data[b->len] = '\0';
		return 0;
	}
	return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->failed ? 0 : b->cap - b->len; /* mostly enough: formatted once */
	va_list again;
	assert(b->kind == BUF_PLAIN);
	va_copy(again, ap);
	int len = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
	char *to = NULL;
	if (room && (len < 0 || (size_t)len >= room))
		b->data[b->len] = '\0';
	if (len < 0)
		fail(b, ENOMEM);
	else if ((size_t)len < room)
		b->len += (size_t)len;
	else if ((to = buf_reserve(b, (size_t)len)))
		vsnprintf(to, (size_t)len + 1, fmt, again);
	va_end(again);
	if (to)
		buf_advance(b, (size_t)len);
	return -b->failed;
}

const char *buf_text(const struct buf *b)
{
	return b->data ? b->data : "";
}

void buf_reset(struct buf *b)
{
	if (b->data && b->kind == BUF_SECRET)
		secret_wipe(b->data, b->cap);
	if (b->data)
		b->data[0] = '\0';
	b->len = 0;
	b->failed = 0;
}

void buf_clear(struct buf *b)
{
	if (b->kind == BUF_SECRET)
		secret_free(b->data);
	else
		mem_free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
	b->failed = 0;
}

char *buf_take(struct buf *b)
{
	assert(b->kind == BUF_PLAIN);
	if (b->failed)
		return NULL;
	char *s = b->data ? b->data : mem_strndup("", 0);
	if (!s)
		return NULL;
	b->data = NULL;
	buf_clear(b);
	return s;
}
