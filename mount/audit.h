/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit=: a line for each open of a secret, in any view, by any uid, well or not.
 *
 * An OPEN passes here twice. When it arrives, audit_capture() finds out who asks and lets it go on:
 * at once if the thread is remembered, else from a thread that asks the holder. When its answer is
 * known, audit_answer() makes the line and lets the reply go out: at once, or when the line is
 * written if audit_required says so (audit_log.h). No handler waits and no request holds a thread.
 * Without audit=
 * both go on at once. An OPEN that is sent away with ESTALE leaves no line: the kernel
 * looks the name up and opens again.
 */
#ifndef SFS_MOUNT_AUDIT_H
#define SFS_MOUNT_AUDIT_H

#include "mount/park.h"

struct audit;
struct audit_note; /* what is known of one OPEN; of its park */
struct payload;

/* Sets fs->audit if the configuration of fs->core asks for it. Strings are borrowed. */
int audit_new(struct fs *fs, const char *mountpoint, struct sfs_err *err);
/* Lets all go on whose caller is being looked for, and asks nobody more: while replies may still
 * need the notifier. */
void audit_stop_asking(struct fs *fs);
/* Writes what waits: when nothing answers requests any more. */
void audit_stop_writing(struct fs *fs);
void audit_free(struct fs *fs);

static inline bool audit_enabled(const struct fs *fs)
{
	return fs->audit != NULL;
}

/* Before park_arm(): takes down who asks; `deadline` is that of the request. Without audit=
 * nothing. -ENOMEM. */
int audit_begin(struct park *p, int64_t deadline);
/* After it: calls go(p), perhaps later and from another thread; the callback's reference of the
 * park goes with it. */
void audit_capture(struct park *p, void (*go)(struct park *p));
/* What is going to be given: of the payload, or (NULL) a version whose name is not known. */
void audit_served(struct park *p, const struct payload *payload);
/* Calls reply(p), perhaps later and from another thread, after park_finish(). `errnum` 0 = well;
 * p->errnum is that, or EIO if the line is required and could not be written. */
void audit_answer(struct park *p, int errnum, void (*reply)(struct park *p));
/* The OPEN is sent away with ESTALE: what it comes back with is the same open(2). */
void audit_sent_away(struct park *p);
/* The request is being answered with an error by others than audit_answer(); waits for nothing. */
void audit_refused(struct park *p, int errnum);
void audit_note_free(struct audit_note *n);

/* Opens the place of the lines again. */
void audit_reopen(struct fs *fs);
/* Appends ",\n \"audit\":..." for .control/status. */
void audit_status(struct fs *fs, struct buf *out);
void audit_gauges(struct fs *fs, struct core_gauges *ret);

#endif
