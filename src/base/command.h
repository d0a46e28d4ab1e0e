/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that a source starts to get credentials: its command line, the home directory it gets
 * and the variables of env.NAME= options and of the source. As one text it travels in the arguments
 * of the processes of a mount, and is how a worker finds the number of the command among those
 * fixed at mount: what is not that very text is another command. Values that are secret are not in
 * it, only references (base/ref.h) to them.
 */
#ifndef SFS_BASE_COMMAND_H
#define SFS_BASE_COMMAND_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct command_var {
	char *name, *value; /* owned by the command */
	bool ref;	    /* the value is a reference */
};

/* Zero-initialise; command_clear() at the end. */
struct command {
	char *line;
	char *home; /* "" = none */
	struct command_var *vars;
	size_t nvars;
};
void command_clear(struct command *c);

/* -EINVAL: empty, a control character but tab, quotes without end. -E2BIG: SFS_COMMAND_MAX bytes or
 * more, or too many words. */
int command_check_line(const char *line);

/* Appends the text of a command, with NULL or "" for no home; variables follow one by one.
 * -EINVAL: a control character in the line or in home. */
int command_begin(struct buf *out, const char *line, const char *home);
int command_add(struct buf *out, const char *variable, const char *value, bool ref);
/* -EINVAL: malformed; -ENOMEM. */
int command_parse(const char *text, struct command *ret);

#endif
