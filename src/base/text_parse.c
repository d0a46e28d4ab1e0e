/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, durations, sizes; the nearest of several names. */
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define WORD_MAX 64 /* longer words are no option or verb of ours, so nothing is near them */

/* Decimal digits up to `max`; returns the rest of the string. *ret_error: 0, -EINVAL (no digit),
 * -ERANGE (too large). */
static const char *digits(const char *s, uint64_t max, uint64_t *ret, int *ret_error)
{
	uint64_t n = 0;
	*ret_error = *s >= '0' && *s <= '9' ? 0 : -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t d = (uint64_t)(*s - '0');
		if (*ret_error == 0 && (d > max || n > (max - d) / 10))
			*ret_error = -ERANGE;
		n = n * 10 + d; /* wraps only after the error is known */
	}
	*ret = n;
	return s;
}

int parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	int r;
	s = digits(s, max, &n, &r);
	if (r == -EINVAL || *s)
		return -EINVAL;
	if (r == 0)
		*ret = n;
	return r;
}

/* A number followed by at most one of the letters of `suffixes`, which multiplies it. */
static int scaled(
	const char *s, const char *suffixes, const uint64_t *factors, uint64_t max, uint64_t *ret)
{
	uint64_t n, factor = 1;
	int r;
	s = digits(s, max, &n, &r);
	if (r == -EINVAL)
		return r;
	const char *suffix = *s ? strchr(suffixes, *s) : NULL;
	if (suffix) {
		factor = factors[suffix - suffixes];
		s++;
	}
	if (*s)
		return -EINVAL;
	if (r < 0 || n > max / factor)
		return -ERANGE;
	*ret = n * factor;
	return 0;
}

int parse_duration(const char *s, int64_t *ret_seconds)
{
	static const uint64_t factors[] = {1, 60, 3600, 86400};
	uint64_t n;
	if (!strcmp(s, "-1") || !strcmp(s, "never")) {
		*ret_seconds = -1;
		return 0;
	}
	int r = scaled(s, "smhd", factors, INT32_MAX, &n);
	if (r == 0)
		*ret_seconds = (int64_t)n;
	return r;
}

int parse_size(const char *s, uint64_t *ret)
{
	static const uint64_t factors[] = {1 << 10, 1 << 20, 1 << 30, 1 << 10, 1 << 20, 1 << 30};
	return scaled(s, "kmgKMG", factors, UINT64_MAX, ret);
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;
	return m < c ? m : c;
}

static bool same(char a, char b)
{
	if (a >= 'A' && a <= 'Z')
		a |= 0x20;
	if (b >= 'A' && b <= 'Z')
		b |= 0x20;
	return a == b;
}

/* Edits that turn `a` into `b`: insert, delete, replace, swap two neighbours (optimal string
 * alignment). */
static size_t edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t *oldest = before;
		before = last;
		last = row;
		row = oldest;
		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t replace = last[j - 1] + !same(a[i - 1], b[j - 1]);
			row[j] = min3(last[j] + 1, row[j - 1] + 1, replace);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
				same(a[i - 2], b[j - 1]) && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
	}
	return row[blen];
}

const char *text_nearest(const char *word, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX, len = strnlen(word, WORD_MAX + 1);
	for (size_t i = 0; i < n; i++) {
		size_t nlen = strnlen(names[i], WORD_MAX + 1);
		if (len > WORD_MAX || nlen > WORD_MAX)
			continue;
		size_t d = edit_distance(word, len, names[i], nlen);
		if (d < best_distance && 3 * d <= (len > nlen ? len : nlen)) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}
