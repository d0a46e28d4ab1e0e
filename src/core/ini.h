/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of a configuration file, strictly. Not libinih: its Debian build cuts lines at 200 bytes
 * and section names at 49, takes " ;" inside a value as a comment and an indented line as the
 * continuation of the one before. Passwords hold such bytes and must arrive exact or not at all.
 *
 *   [section argument]   the argument goes to the last ']' of the line, so that globs with brackets
 * need no quotes name = value         blanks around both are dropped name                 a flag #
 * or ; comment       only as the first character of a line
 *
 * A value, and a name that holds '=', may stand in double quotes; in them \" \\ \n \r \t are
 * escapes and nothing else is. A pure function over bytes; values may be secret and are handed out
 * in secret memory only.
 */
#ifndef SFS_CORE_INI_H
#define SFS_CORE_INI_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum ini_kind { INI_END, INI_SECTION, INI_PAIR };

struct ini_reader {
	const char *text;
	size_t len, pos;
	const char *file; /* for messages */
	size_t line;	  /* 1-based, of what ini_next() returned last */
	struct buf name;  /* section word, or name of the pair */
	struct buf value; /* argument of the section, or value; BUF_SECRET */
	bool has_value;	  /* false: a section without argument, a name without '=' */
};

void ini_open(struct ini_reader *r, const char *text, size_t len, const char *file);
/* The next section or pair, or INI_END. -EINVAL with "file:line: ..." (never bytes of a value),
 * -ENOMEM. */
int ini_next(struct ini_reader *r, enum ini_kind *ret, struct sfs_err *err);
void ini_close(struct ini_reader *r);

#endif
