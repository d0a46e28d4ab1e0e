/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of nghttp2 that take the place of its own in the whole process, for libcurl calls them:
 * for the memory of its sessions, and because a session that ran out of memory must not be used
 * again (nghttp2 would crash), which libcurl 7.88 does while it cleans up.
 */
#include "net/http_memory.h"

#include "base/limits.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define NO_MEMORY (-901) /* NGHTTP2_ERR_NOMEM */

/* Set before the first thread; NULL where nghttp2 lacks one. */
static const struct http_h2_memory *memory;
static int (*client_new3)(
	void **, const void *, void *, const void *, const struct http_h2_memory *);
static ssize_t (*mem_recv)(void *session, const uint8_t *in, size_t len);
static int (*session_send)(void *session);
static void (*session_del)(void *session);

/* Sessions that ran out of memory and were not ended yet. */
#define BROKEN_MAX (8 * SFS_HTTP_CONNS_MAX)
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf */
static void *broken[BROKEN_MAX];
static atomic_uint n_broken; /* read without the lock: most of the time there are none */

static _Thread_local bool news;

/* A pointer to data becomes one to a function, which ISO C knows no cast for. */
#define FIND(function, name)                                                      \
	do {                                                                      \
		void *symbol = dlsym(RTLD_NEXT, name);                            \
		memcpy(&(function), &symbol, sizeof(symbol)); /* both pointers */ \
	} while (0)

void http_h2_use(const struct http_h2_memory *m)
{
	memory = m;
	FIND(client_new3, "nghttp2_session_client_new3");
	FIND(mem_recv, "nghttp2_session_mem_recv");
	FIND(session_send, "nghttp2_session_send");
	FIND(session_del, "nghttp2_session_del");
}

bool http_h2_failed(void)
{
	bool failed = news;
	news = false;
	return failed;
}

static bool is_broken(const void *session)
{
	bool found = false;
	if (!atomic_load(&n_broken))
		return false;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < atomic_load(&n_broken); i++)
		found |= broken[i] == session;
	pthread_mutex_unlock(&lock);
	return found;
}

static void judge(void *session, long r)
{
	if (r != NO_MEMORY)
		return;
	news = true;
	pthread_mutex_lock(&lock);
	unsigned n = atomic_load(&n_broken);
	if (n < BROKEN_MAX) {
		broken[n] = session;
		atomic_store(&n_broken, n + 1);
	}
	pthread_mutex_unlock(&lock);
}

static void forget(const void *session)
{
	if (!atomic_load(&n_broken))
		return;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0, n = atomic_load(&n_broken); i < n; i++)
		if (broken[i] == session) {
			broken[i] = broken[n - 1];
			atomic_store(&n_broken, n - 1);
			break;
		}
	pthread_mutex_unlock(&lock);
}

int nghttp2_session_client_new2(
	void **session, const void *callbacks, void *user_data, const void *option)
{
	int r = client_new3 ? client_new3(session, callbacks, user_data, option, memory)
			    : NO_MEMORY;
	news |= r == NO_MEMORY;
	return r;
}

ssize_t nghttp2_session_mem_recv(void *session, const uint8_t *in, size_t len)
{
	if (!mem_recv || is_broken(session))
		return NO_MEMORY;
	ssize_t r = mem_recv(session, in, len);
	judge(session, r);
	return r;
}

int nghttp2_session_send(void *session)
{
	if (!session_send || is_broken(session))
		return NO_MEMORY;
	int r = session_send(session);
	judge(session, r);
	return r;
}

void nghttp2_session_del(void *session)
{
	forget(session);
	if (session_del)
		session_del(session);
}
