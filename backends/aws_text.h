/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of text in memory that somebody else owns; not NUL-terminated. */
#ifndef SFS_BACKENDS_AWS_TEXT_H
#define SFS_BACKENDS_AWS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct aws_text {
	const char *p;
	size_t len;
};

static inline bool aws_text_is(struct aws_text t, const char *s)
{
	return t.len == strlen(s) && memcmp(t.p, s, t.len) == 0;
}

#endif
