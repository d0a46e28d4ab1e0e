/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/times.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

/* What is left of a text that is being read. */
struct rest {
	const char *p, *end;
};

static bool skip(struct rest *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool is_digit(const struct rest *r)
{
	return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A number of exactly `digits` digits from `min` to `max`. */
static bool number(struct rest *r, int digits, int min, int max, int *ret)
{
	int n = 0;
	for (int i = 0; i < digits; i++) {
		if (!is_digit(r))
			return false;
		n = n * 10 + (*r->p++ - '0');
	}
	*ret = n;
	return n >= min && n <= max;
}

/* Days from 1970-01-01 in the Gregorian calendar. */
static int64_t days(int year, int month, int day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int64_t y = year - 1;
	int64_t to_year = y * 365 + y / 4 - y / 100 + y / 400 - 719162;
	return to_year + before[(unsigned)(month - 1) % 12] + (leap && month > 2) + day - 1;
}

static bool day_exists(int year, int month, int day)
{
	return day <= (int)(days(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) -
			      days(year, month, 1));
}

static bool fraction(struct rest *r, int64_t *ret_ns)
{
	*ret_ns = 0;
	if (!skip(r, '.'))
		return true;
	if (!is_digit(r))
		return false;
	for (int64_t unit = SECOND / 10; is_digit(r); unit /= 10)
		*ret_ns += unit * (*r->p++ - '0');
	return true;
}

/* Z, UTC, or the distance from it. */
static bool zone(struct rest *r, int64_t *ret_s)
{
	int h, m, sign;
	*ret_s = 0;
	if (skip(r, 'Z'))
		return true;
	if (r->end - r->p >= 3 && memcmp(r->p, "UTC", 3) == 0) {
		r->p += 3;
		return true;
	}
	sign = skip(r, '-') ? -1 : skip(r, '+') ? 1 : 0;
	if (!sign || !number(r, 2, 0, 23, &h) || (skip(r, ':'), !number(r, 2, 0, 59, &m)))
		return false;
	*ret_s = sign * (h * INT64_C(3600) + m * INT64_C(60));
	return true;
}

static bool date_and_time(struct rest *r, int64_t *ret_s)
{
	int year, month, day, h, m, s;
	if (!number(r, 4, 1, 9999, &year) || !skip(r, '-') || !number(r, 2, 1, 12, &month) ||
		!skip(r, '-') || !number(r, 2, 1, 31, &day) || !day_exists(year, month, day))
		return false;
	if (!skip(r, 'T') && !skip(r, 't') && !skip(r, ' '))
		return false;
	if (!number(r, 2, 0, 23, &h) || !skip(r, ':') || !number(r, 2, 0, 59, &m) ||
		!skip(r, ':') || !number(r, 2, 0, 60, &s))
		return false;
	*ret_s = days(year, month, day) * 86400 + h * INT64_C(3600) + m * INT64_C(60) + s;
	return true;
}

int times_parse(const char *text, size_t len, int64_t *ret_ns)
{
	struct rest r = {text, text + len};
	int64_t s, ns, off;
	while (r.p < r.end && is_blank(*r.p))
		r.p++;
	while (r.p < r.end && is_blank(r.end[-1]))
		r.end--;
	if (!date_and_time(&r, &s) || !fraction(&r, &ns) || !zone(&r, &off) || r.p != r.end)
		return -EINVAL;
	s -= off;
	if (s >= INT64_MAX / SECOND) {
		*ret_ns = INT64_MAX;
		return 0;
	}
	if (s <= INT64_MIN / SECOND)
		return -ERANGE;
	*ret_ns = s * SECOND + ns;
	return 0;
}

/* Digits as an integer, and the power of ten it is to be multiplied by. Digits that no int64 of ns
 * has room for are dropped. */
static bool mantissa(struct rest *r, uint64_t *ret, int *ret_power)
{
	uint64_t n = 0;
	int power = 0;
	bool point = false, any = false;
	for (;; r->p++) {
		if (!point && any && r->p < r->end && *r->p == '.') {
			point = true;
			any = false;
			continue;
		}
		if (!is_digit(r))
			break;
		any = true;
		bool room = n <= (UINT64_MAX - 9) / 10;
		if (room)
			n = n * 10 + (uint64_t)(*r->p - '0');
		power += (room ? 0 : 1) - (point ? 1 : 0);
	}
	*ret = n;
	*ret_power = power;
	return any;
}

static bool exponent(struct rest *r, int *ret)
{
	int n = 0;
	*ret = 0;
	if (!skip(r, 'e') && !skip(r, 'E'))
		return true;
	bool minus = skip(r, '-');
	if (!minus)
		skip(r, '+');
	if (!is_digit(r))
		return false;
	for (; is_digit(r); r->p++)
		n = n < 10000 ? n * 10 + (*r->p - '0') : n;
	*ret = minus ? -n : n;
	return true;
}

int times_epoch(const char *text, size_t len, int64_t *ret_ns)
{
	struct rest r = {text, text + len};
	uint64_t n;
	int power, exp;
	if (len > 1000 || !mantissa(&r, &n, &power) || !exponent(&r, &exp) || r.p != r.end)
		return -EINVAL;
	for (power += exp + 9; power > 0 && n; power--)
		if (__builtin_mul_overflow(n, UINT64_C(10), &n))
			return -ERANGE;
	for (; power < 0 && n; power++)
		n /= 10;
	if (n > INT64_MAX)
		return -ERANGE;
	*ret_ns = (int64_t)n;
	return 0;
}
