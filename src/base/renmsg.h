/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What worker and renamer say to each other over one SOCK_SEQPACKET pair. The renamer is a process
 * of the holder that makes, inside the mount, the renames which inotify watchers see. The holder
 * keeps a copy of the renamer's end, so that the worker's end survives a restart; it announces each
 * new renamer with RENAMER_HELLO and the end of one with RENAMER_GONE. A request names the
 * generation it is meant for: one that was left over in the socket is not carried out by a
 * successor. Neither side trusts lengths, types or paths.
 */
#ifndef SFS_BASE_RENMSG_H
#define SFS_BASE_RENMSG_H

#include "base/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum renamer_op {
	RENAMER_RENAME = 1, /* FROM to TO, which it replaces */
	RENAMER_UNLINK,	    /* FROM */
	RENAMER_MKDIR,	    /* FROM */
	RENAMER_RMDIR,	    /* FROM */
	RENAMER_HELLO,	    /* holder to worker: code = process id as FUSE requests show it */
	RENAMER_GONE,  /* holder to worker: it has ended; code = errno if none will follow, 0 */
	RENAMER_REPLY, /* to the request with the same id: code = 0 or errno */
};

#define RENMSG_TEXT (2 * SFS_PATH_MAX)

/* Fixed layout, native byte order: both ends are one build. */
struct renamer_msg {
	uint32_t type;
	uint32_t id;
	uint32_t generation;
	int32_t code;
	uint32_t from_len, to_len; /* bytes, without NUL */
	char text[RENMSG_TEXT];	   /* FROM, NUL, TO, NUL; nothing if both are empty */
};

/* Fills a request; `to` is NULL unless `op` is RENAMER_RENAME. -EINVAL for a path that is not
 * text_plain_path(). */
int renmsg_request(struct renamer_msg *m, enum renamer_op op, const char *from, const char *to);
static inline const char *renmsg_from(const struct renamer_msg *m)
{
	return m->text;
}
static inline const char *renmsg_to(const struct renamer_msg *m)
{
	return m->text + m->from_len + 1;
}

/* Never waits for room: -EAGAIN; -EPIPE when the other side is gone. */
int renmsg_send(int sock, const struct renamer_msg *m);
/* Receives one message, waiting for it as the socket does: 1, 0 at end of file, -errno; -EAGAIN;
 * -EBADMSG for a malformed one. Descriptors that came with it are closed. */
int renmsg_recv(int sock, struct renamer_msg *m, int flags);
/* Checks `size` received bytes (fuzzed): a known type, lengths that fit, NULs where they belong,
 * paths only in requests, and there legal ones. */
bool renmsg_well_formed(const struct renamer_msg *m, size_t size);

#endif
