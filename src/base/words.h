/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines split into words as a shell splits them (POSIX.1 shell, 2.2 Quoting), and nothing
 * else of a shell: no variables, no patterns, no pipes, no comments; their characters are bytes
 * like others.
 */
#ifndef SFS_BASE_WORDS_H
#define SFS_BASE_WORDS_H

#include <stddef.h>

#define WORDS_MAX 256

/* Blanks (also newlines) separate. '...' is literal; in "..." a backslash quotes " \ $ ` and
 * newline; outside it quotes any byte. *ret ends with NULL; one mem_free() frees it with all words.
 * -EINVAL: a quote without end, a backslash at the end, no word; -E2BIG: over WORDS_MAX; -ENOMEM.
 */
int words_split(const char *line, char ***ret, size_t *ret_n);

#endif
