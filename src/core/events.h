/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, for whoever wants to follow: JSON lines in a ring that keeps the newest
 * SFS_EVENTS_MAX of them (.control/events). Never a value; printable ASCII whatever names and
 * sentences hold (R54).
 *
 *   {"seq":7,"time":"2026-11-22T17:03:13.204Z","event":"rotated","name":"prod/db","source":"aws",
 *    "version":"b2"}
 *
 * `seq` grows by one an event. Any number of readers, each with a struct event_reader of its own:
 * its offset 0 is the oldest line held when it began, offsets grow with what is added. Who asks for
 * bytes that the ring has given up gets one line "lost" with the number of events missed, and then
 * the oldest line still held.
 *
 * The lock is a leaf: nothing else is called with it held.
 */
#ifndef SFS_CORE_EVENTS_H
#define SFS_CORE_EVENTS_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define EVENT_NUMBERS 4
#define EVENT_LOST    128 /* a line "lost" with two numbers of 64 bits */

struct events;

struct event {
	const char *what; /* a word of ours: "rotated" */
	/* Path under the mount, name of the back end, version: any text, NULL or "" = none. */
	const char *name, *source, *version;
	const struct sfs_err *err; /* NULL = none */
	struct {
		const char *key; /* NULL = none */
		uint64_t n;
	} numbers[EVENT_NUMBERS];
};

int events_new(struct events **ret);
void events_free(struct events *ev);
/* `grown` is called after each new line, in the thread that added it and perhaps under locks of the
 * core: it may only queue work. NULL = nobody; a call that is under way may still end later. */
void events_listen(struct events *ev, void (*grown)(void *arg), void *arg);
/* Needs no memory. Call it without the tree lock. */
void events_add(struct events *ev, const struct event *e);

/* One reader. Its fields are guarded by the ring's lock. Zeroed and started with events_begin(). */
struct event_reader {
	int64_t base;	    /* position in the ring's stream that offset 0 stands for */
	int64_t next;	    /* offset after the last byte handed out */
	uint64_t seq;	    /* the last line handed out whole */
	uint64_t since;	    /* the last event before the reader began */
	int64_t shown;	    /* page access: the size told last */
	uint64_t shown_seq; /* the last event then */
	bool torn;	    /* what was handed out ends inside a line */
	int64_t lost_at;    /* offset of the text below */
	size_t lost_len;
	char lost[EVENT_LOST];
};
void events_begin(struct events *ev, struct event_reader *ret);
/* As `from`, for a second way to the same file. */
void events_copy(struct events *ev, struct event_reader *ret, const struct event_reader *from);

enum event_access {
	/* read(2) asks for exactly these bytes: who asks for bytes that are gone is behind. What is
	 * handed out ends with a whole line if it can. */
	EVENT_EXACT,
	/* The kernel asks for whole pages, and nobody tells where the program is: at what was
	 * handed out last, or at the size it was told last if it went to the end. Offsets below
	 * that keep their meaning; bytes that are gone become newlines. */
	EVENT_PAGES,
};
/* Appends at most `size` bytes at `off`; nothing at or beyond the end. -ENOMEM. */
int events_read(struct events *ev, struct event_reader *r, int64_t off, size_t size,
	enum event_access how, struct buf *out);
/* Bytes there are now, and the wall time of the newest event. In page access a reader that is
 * behind is moved here, so that the size fits what it will read. */
int64_t events_size(
	struct events *ev, struct event_reader *r, enum event_access how, int64_t *ret_mtime);
/* After `reader` was read: `file`, which shows its size, moves with it. */
void events_follow(struct events *ev, struct event_reader *file, const struct event_reader *reader);
/* Whether there is something at `off`; -1 = after the last byte handed out. */
bool events_ready(struct events *ev, const struct event_reader *r, int64_t off);

#endif
