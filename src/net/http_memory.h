/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the libraries that see values and tokens in the clear (R5). libcurl and nghttp2 get
 * blocks of the secret arena: what lives as long as a connection (its receive buffer, the table of
 * headers of HTTP/2) is thus locked and in no dump. When the arena is full they get ordinary memory
 * that is wiped when freed, so that a full cache does not cut off the network.
 */
#ifndef SFS_NET_HTTP_MEMORY_H
#define SFS_NET_HTTP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether http_init() was called. */
bool http_ready(void);

/* struct nghttp2_mem of nghttp2.h. */
struct http_h2_memory {
	void *mem_user_data;
	void *(*malloc)(size_t size, void *user);
	void (*free)(void *p, void *user);
	void *(*calloc)(size_t n, size_t size, void *user);
	void *(*realloc)(void *p, size_t size, void *user);
};
/* The memory of all sessions of HTTP/2 made from now on. */
void http_h2_use(const struct http_h2_memory *m);

/* Whether a session of libcurl in this thread ran out of memory since the last call: its connection
 * is of no use any more, and libcurl may not know. */
bool http_h2_failed(void);

/* A libcurl before 8 lets nghttp2 use malloc(3). These take the place of nghttp2's functions of
 * that name in the whole process (http_h2.c); nothing of ours calls them. */
int nghttp2_session_client_new2(
	void **session, const void *callbacks, void *user_data, const void *option);
ssize_t nghttp2_session_mem_recv(void *session, const uint8_t *in, size_t len);
int nghttp2_session_send(void *session);
void nghttp2_session_del(void *session);

#endif
