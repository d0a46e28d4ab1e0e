/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included before everything when clang-tidy runs (./dev lint), and only then: the analyzer sees
 * one file at a time, and so does not know that the functions which make an error never return 0,
 * and that errno is not 0 after a call that failed.
 */
#ifndef SFS_TESTS_ANALYZER_H
#define SFS_TESTS_ANALYZER_H

#include "base/err.h"
#include <errno.h>

int analyzer_any(void);

/* Concrete values, because the analyzer does not know either that -x is below 0 where x is above.
 */
static inline int *analyzer_errno(void)
{
	static int e;
	e = analyzer_any() ? EIO : EINTR;
	return &e;
}

#undef errno
#define errno (*analyzer_errno())

static inline int analyzer_negative(int r)
{
	if (r >= 0)
		__builtin_unreachable();
	return r;
}

#define err_set(...)	analyzer_negative(err_set(__VA_ARGS__))
#define err_errno(...)	analyzer_negative(err_errno(__VA_ARGS__))
#define err_prefix(...) analyzer_negative(err_prefix(__VA_ARGS__))

#endif
