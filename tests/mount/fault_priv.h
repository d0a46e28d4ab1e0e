/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the back end `fault:` share. */
#ifndef SFS_TESTS_FAULT_PRIV_H
#define SFS_TESTS_FAULT_PRIV_H

#include "fault_backend.h"

#define FAULT_SMALL 4096 /* every file but values */

struct fault {
	const struct backend_env *env;
	char *token; /* owned; the reference, or NULL */
	int dir;     /* D */
	int calls; /* D/calls, O_APPEND: one write(2) a line, so lines of several threads stay whole
		    */
};

/* A small file as text without the newline at its end; false if it is not there. */
bool fault_small(int dir, const char *path, char text[FAULT_SMALL]);
long fault_number(int dir, const char *path, long dflt);

/* fault_machine.c: what a source has and needs of the machine, and what it tells of itself */
int fault_from(struct fault *f, const char *from, const struct call *call, struct payload *p,
	struct sfs_err *err);
int fault_needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err);
int fault_status(void *state, struct buf *ret_json);
void fault_counts(void *state, struct backend_counts *ret);
int fault_check(void *state, const struct call *call, struct check_sink *sink, struct sfs_err *err);

#endif
