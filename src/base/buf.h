/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing byte buffers with a maximum. A buffer of BUF_SECRET lives in the secret arena and is
 * wiped whenever it moves or ends. `data` is NUL-terminated at data[len] (the NUL is not counted),
 * so text can be used as a string. After a failed append the buffer keeps its old content and
 * `failed` is set: a sequence of appends can be checked once at its end.
 */
#ifndef SFS_BASE_BUF_H
#define SFS_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum buf_kind { BUF_PLAIN, BUF_SECRET };

struct buf {
	char *data; /* NULL while empty; owned by the buffer */
	size_t len, cap, max;
	enum buf_kind kind;
	int failed; /* 0, or the errno of the first failed append: ENOMEM, EFBIG */
};

#define BUF_INIT(maximum)                           \
	{                                           \
		.max = (maximum), .kind = BUF_PLAIN \
	}
#define BUF_SECRET_INIT(maximum)                     \
	{                                            \
		.max = (maximum), .kind = BUF_SECRET \
	}

/* Each returns 0, -ENOMEM, or -EFBIG (over max). After the first failure all further appends return
 * that error. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_str(struct buf *b, const char *s);
int buf_char(struct buf *b, char c);
/* Not for BUF_SECRET (asserted): printf keeps copies. */
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Room for at least `len` more bytes; returns the place to write to, or NULL. Follow with
 * buf_advance(). */
char *buf_reserve(struct buf *b, size_t len);
void buf_advance(struct buf *b, size_t len);
/* The text; "" while empty. Valid until the next call on `b`. */
const char *buf_text(const struct buf *b);
/* Empties, keeps the memory (wiped when secret) and clears `failed`. */
void buf_reset(struct buf *b);
/* Frees (wiped when secret). The buffer can be used again. */
void buf_clear(struct buf *b);
/* Gives the memory away as a NUL-terminated string that the caller frees with mem_free(); NULL if
 * the buffer failed or on no memory. Only BUF_PLAIN. */
char *buf_take(struct buf *b);

#endif
