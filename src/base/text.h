/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people and for control files (R54), UTF-8 checks, globs, nearest names. Pure functions.
 */
#ifndef SFS_BASE_TEXT_H
#define SFS_BASE_TEXT_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length in bytes (1-4) of the valid UTF-8 sequence at `s` (RFC 3629: no overlong form, no
 * surrogate), 0 if none. *ret_code gets the code point. */
size_t utf8_decode(const unsigned char *s, size_t len, uint32_t *ret_code);
bool utf8_valid(const void *s, size_t len);
/* How many bytes from `s` on stand for themselves in a JSON string and on a terminal: printable
 * ASCII other than '"' and '\\'. */
size_t text_plain(const unsigned char *s, size_t len);
/* Control characters (C0, DEL, C1), U+2028/9, and the direction controls U+061C, U+200E/F,
 * U+202A-E, U+2066-9. */
bool text_is_control(uint32_t code);

/* True for a relative path that leads nowhere else: components that are not empty, "." or "..", at
 * most SFS_COMPONENT_MAX bytes each; no NUL; shorter than SFS_PATH_MAX. */
bool text_plain_path(const char *path, size_t len);

/* Appends `s` as printable ASCII: other bytes as \xHH, backslash as \\. Never more than 4 * len. */
int text_escape(struct buf *out, const void *s, size_t len);
/* The same into a fixed array, cut with "..." at the end; returns `out`. For log lines and
 * err_set(). */
const char *text_escaped(char *out, size_t size, const void *s, size_t len);
/* Appends a JSON string with quotes; invalid UTF-8 becomes U+FFFD, controls \u00XX, everything
 * outside ASCII \uXXXX. */
int text_json(struct buf *out, const void *s, size_t len);

/* A path under the mount as an argument of a control file: bytes outside 0x21-0x7e and each of
 * *?[#% become %XX. */
int text_to_arg(struct buf *out, const char *path);
/* The reverse; -EINVAL for a bad %XX or a NUL, encoded or not. `*ret_glob` is set when an unescaped
 * * ? or [ occurs; then `out` is a pattern for glob_match() in which the decoded literals and raw
 * backslashes are escaped with a backslash. On failure nothing is appended. */
int text_from_arg(struct buf *out, const char *arg, size_t len, bool *ret_glob);

/* Shell-like match of a whole path: '*' and '?' stop at '/', '**' does not ("**" with a following
 * '/' also matches nothing when it starts a component), [a-z] and [!a-z] or [^a-z] without '/',
 * backslash quotes. '?' and brackets take one character, not one byte; a leading dot is nothing
 * special. The pattern "*" alone matches every path. Time is O(pattern * path), nothing is
 * allocated; malformed brackets match literally; no path over SFS_PATH_MAX matches. */
bool glob_match(const char *pattern, const char *path);

/* The entry of `names` (n strings) nearest to `word` by edit distance, or NULL when nothing is near
 * (distance above a third of the longer length). Two swapped neighbours count as one edit, upper
 * and lower case as the same. */
const char *text_nearest(const char *word, const char *const *names, size_t n);

/* "300", "5m", "1h30m"? No: one number with an optional suffix s m h d; "-1" and "never" are -1.
 * Returns 0 or -EINVAL, -ERANGE; seconds fit int32. */
int parse_duration(const char *s, int64_t *ret_seconds);
/* A byte count with optional k, m, g (powers of 1024, case-free). */
int parse_size(const char *s, uint64_t *ret);
/* A decimal number that uses the whole string. */
int parse_u64(const char *s, uint64_t max, uint64_t *ret);

#endif
