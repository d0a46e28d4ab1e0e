/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug builds count: every request that the kernel gave us gets one reply. A second one aborts
 * where it is made, one that was never made aborts at the end of the session, when nothing waits
 * any more. For session.c.
 */
#ifndef SFS_MOUNT_REPLIES_H
#define SFS_MOUNT_REPLIES_H

#ifdef SFS_DEBUG
#include "base/alloc.h"
#include "base/log.h"
#include <inttypes.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

struct owed {
	uint64_t unique;
	uint32_t opcode;
	UT_hash_handle hh;
};
static struct owed *replies_owed;
static pthread_mutex_t replies_lock = PTHREAD_MUTEX_INITIALIZER;

static void replies_read(const void *request)
{
	const struct fuse_in_header *in = request;
	struct owed *o;
	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
		in->opcode == FUSE_INTERRUPT || in->opcode == FUSE_NOTIFY_REPLY)
		return;
	if (!(o = mem_calloc(1, sizeof(*o))))
		abort();
	o->unique = in->unique;
	o->opcode = in->opcode;
	pthread_mutex_lock(&replies_lock);
	HASH_ADD(hh, replies_owed, unique, sizeof(o->unique), o);
	pthread_mutex_unlock(&replies_lock);
}

/* Notifications have no number; an interruption (an odd one) may be answered or not. */
static void replies_write(const void *reply)
{
	const struct fuse_out_header *out = reply;
	struct owed *o;
	if (!out->unique || out->unique & 1)
		return;
	pthread_mutex_lock(&replies_lock);
	HASH_FIND(hh, replies_owed, &out->unique, sizeof(out->unique), o);
	if (o)
		HASH_DEL(replies_owed, o);
	pthread_mutex_unlock(&replies_lock);
	if (!o) {
		log_error("request %" PRIu64 " got a second reply", (uint64_t)out->unique);
		abort();
	}
	mem_free(o);
}

static void replies_end(void)
{
	struct owed *o, *tmp;
	HASH_ITER (hh, replies_owed, o, tmp)
		log_error("a request got no reply: opcode %u", o->opcode);
	if (replies_owed)
		abort();
}
#else
#define replies_read(request) ((void)(request))
#define replies_write(reply)  ((void)(reply))
#define replies_end()	      ((void)0)
#endif

#endif
