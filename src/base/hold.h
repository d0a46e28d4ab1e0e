/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What worker and holder say to each other over one SOCK_SEQPACKET socket pair. One request has one
 * reply, matched by id, so that several worker threads can ask at once. The holder is the side with
 * the privileges: it trusts nothing it reads (sizes, types, NULs), and opens read-only regular
 * files, directories and watches below the directories fixed at mount.
 */
#ifndef SFS_BASE_HOLD_H
#define SFS_BASE_HOLD_H

#include "base/err.h"
#include "base/limits.h"
#include <stddef.h>
#include <stdint.h>

enum hold_type {
	HOLD_OPEN_FILE = 1, /* text = absolute path; reply carries the descriptor */
	HOLD_OPEN_DIR,	    /* the same for a directory */
	HOLD_WATCH,  /* text = path, arg = inotify mask; reply carries an inotify descriptor */
	HOLD_ENV,    /* no text; reply carries a sealed, read-only memfd with the variables taken at
			mount,    "NAME=value\0" each */
	HOLD_LIVE,   /* the worker serves: the mount command may return. No reply */
	HOLD_FAILED, /* the worker cannot start: code = errno, text = the sentence. No reply */
	HOLD_STOP,   /* holder to worker: the mount is gone, end. No reply */
	HOLD_RELOAD, /* holder to worker: SIGHUP. No reply */
	HOLD_RENAMER_STUCK, /* the renamer of generation `code` does not answer. No reply */
	HOLD_CHANGED, /* lines for command number `code` of those fixed at mount (base/changes.h).
			 No reply */
	HOLD_EXE,     /* arg = a process id, no text; reply: text = the executable, as the kernel
			 names it; no descriptor */
	HOLD_IS_OPEN, /* arg = a thread id, text = the decimal number of an inode of the mount;
			 reply: code 0 if the thread holds that file open; no descriptor */
	HOLD_AUDIT,   /* no text; reply carries the place for audit lines fixed at mount, opened
			 anew: a file to append to, or a socket connected to syslog */
	HOLD_RUN,     /* arg = the number of a command among those fixed at mount, no text; reply
			 carries a socket on which it is told how it goes (base/runmsg.h) */
	HOLD_REPLY,   /* answer to the request with the same id: code = 0 or errno, text = sentence;
			 of an  opened file or directory the canonical path */
};

/* Fixed layout, native byte order: both ends are one build. */
struct hold_msg {
	uint32_t type;
	uint32_t id;
	int32_t code;
	uint32_t arg;
	uint32_t len; /* bytes of text, without NUL; text[len] is 0 after hold_recv() */
	char text[SFS_HOLD_MSG_MAX];
};

/* Sends with an optional descriptor (-1 = none). 0 or -errno (-EPIPE when the other side is gone).
 */
int hold_send(int sock, const struct hold_msg *m, int fd);
/* Receives one message; *ret_fd is the descriptor it carried or -1, owned by the caller. Returns 1,
 * 0 at end of file, or -errno; -EBADMSG for a malformed message (its descriptors are closed). */
int hold_recv(int sock, struct hold_msg *m, int *ret_fd);

/* The worker's side. One thread reads the socket: hold_client_run() dispatches replies to the
 * threads waiting in hold_ask() and calls `on_order` for HOLD_STOP and HOLD_RELOAD; it returns when
 * the holder is gone. */
struct hold_client;
/* Takes over `sock` on success. */
int hold_client_new(int sock, struct hold_client **ret);
void hold_client_run(
	struct hold_client *c, void (*on_order)(void *arg, enum hold_type t), void *arg);
/* Asks and waits at most 5 s. On success *ret_fd is the descriptor. Errors: those of the holder
 * with its sentence; EPIPE, ETIMEDOUT. */
int hold_ask(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg, int *ret_fd,
	struct sfs_err *err);
/* The same, and the text of the reply (mem_free): the canonical path of what was opened. */
int hold_ask_path(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg,
	char **ret_text, int *ret_fd, struct sfs_err *err);
/* The same for a request whose reply is text alone. */
int hold_ask_text(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg,
	char **ret_text, struct sfs_err *err);
/* Tells the holder something that has no answer (HOLD_LIVE, HOLD_FAILED with `code` and its
 * sentence). */
int hold_tell(struct hold_client *c, enum hold_type t, int code, const char *text);
/* The same without waiting for room: -EAGAIN. */
int hold_tell_now(struct hold_client *c, enum hold_type t, int code, const char *text);
/* Makes hold_client_run() return. */
void hold_client_stop(struct hold_client *c);
/* Closes the socket. After hold_client_run() has returned and no thread asks any more. */
void hold_client_free(struct hold_client *c);

#endif
