/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_resolve.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "net/http_url.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEEP_NS	      (60 * NSEC_PER_SEC)
#define SLICE_NS      (50 * NSEC_PER_MSEC)
#define ADDRESSES_MAX 8
#define STACK_BYTES   (256UL * 1024) /* name service modules want some */

struct address {
	char text[INET6_ADDRSTRLEN + 2];
	bool inner;
};

/* A lookup, under way or done. */
struct lookup {
	struct lookup *next; /* in the resolver's list, while it may be found */
	struct resolver *resolver;
	unsigned refs; /* list, thread, those who wait */
	bool done;
	int64_t when; /* done at, CLOCK_BOOTTIME */
	int gai, why; /* result of getaddrinfo(3), and its errno */
	struct address address[ADDRESSES_MAX];
	size_t n;
	char host[HTTP_HOST_MAX];
};

struct resolver {
	pthread_mutex_t lock; /* a leaf; guards all of this and the lookups */
	pthread_cond_t cond;
	unsigned refs;	  /* the owner and each thread */
	unsigned threads; /* running lookups */
	struct lookup *list;
};

int resolver_new(struct resolver **ret, struct sfs_err *err)
{
	struct resolver *r = mem_calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, ENOMEM, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->cond);
	r->refs = 1;
	*ret = r;
	return 0;
}

/* ---- with r->lock held ---- */

static void lookup_unref(struct lookup *l)
{
	if (--l->refs == 0)
		mem_free(l);
}

static void drop(struct resolver *r, struct lookup *l)
{
	for (struct lookup **at = &r->list; *at; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			lookup_unref(l);
			return;
		}
}

static struct lookup *find(struct resolver *r, const char *host)
{
	int64_t now = clock_boot();
	struct lookup *next;
	for (struct lookup *l = r->list; l; l = next) {
		next = l->next;
		if (l->done && now - l->when >= KEEP_NS)
			drop(r, l);
		else if (strcmp(l->host, host) == 0)
			return l;
	}
	return NULL;
}

/* ---- without it ---- */

static void resolver_unref(struct resolver *r)
{
	pthread_mutex_lock(&r->lock);
	bool last = --r->refs == 0;
	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	while (r->list)
		drop(r, r->list);
	pthread_mutex_unlock(&r->lock);
	resolver_unref(r);
}

static size_t collect(const struct addrinfo *list, struct address *to)
{
	size_t n = 0;
	for (const struct addrinfo *a = list; a && n < ADDRESSES_MAX; a = a->ai_next) {
		char text[INET6_ADDRSTRLEN];
		const void *bytes =
			a->ai_family == AF_INET
				? (const void *)&((struct sockaddr_in *)(void *)a->ai_addr)
					  ->sin_addr
				: (const void *)&((struct sockaddr_in6 *)(void *)a->ai_addr)
					  ->sin6_addr;
		if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) ||
			!inet_ntop(a->ai_family, bytes, text, sizeof(text)))
			continue;
		snprintf(to[n].text, sizeof(to[n].text), a->ai_family == AF_INET ? "%s" : "[%s]",
			text);
		to[n++].inner = http_address_is_inner(a->ai_addr);
	}
	return n;
}

static void *look_up(void *arg)
{
	struct lookup *l = arg;
	struct resolver *r = l->resolver;
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	struct address found[ADDRESSES_MAX];
	errno = 0;
	int gai = getaddrinfo(l->host, NULL, &hints, &list), why = errno;
	size_t n = gai == 0 ? collect(list, found) : 0;
	if (list)
		freeaddrinfo(list);
	pthread_mutex_lock(&r->lock);
	l->gai = gai;
	l->why = why;
	l->n = n;
	memcpy(l->address, found, n * sizeof(found[0]));
	l->when = clock_boot();
	l->done = true;
	r->threads--;
	if (n == 0)
		drop(r, l);
	pthread_cond_broadcast(&r->cond);
	lookup_unref(l);
	pthread_mutex_unlock(&r->lock);
	resolver_unref(r);
	return NULL;
}

/* With r->lock held. A reference is the caller's. */
static int start(struct resolver *r, const char *host, struct lookup **ret, struct sfs_err *err)
{
	pthread_t thread;
	struct lookup *l;
	if (r->threads >= SFS_HTTP_LOOKUPS_MAX)
		return err_set(err, EHOSTUNREACH,
			"cannot resolve %s: %u lookups hang already, the name server does not "
			"answer",
			host, r->threads);
	if (!(l = mem_calloc(1, sizeof(*l))))
		return err_set(err, ENOMEM, "cannot resolve %s: out of memory", host);
	l->resolver = r;
	l->refs = 3;
	snprintf(l->host, sizeof(l->host), "%s", host);
	int e = thread_start(&thread, STACK_BYTES, look_up, l);
	if (e < 0) {
		mem_free(l);
		return err_errno(err, ENOMEM, "cannot resolve %s: start a thread", host);
	}
	pthread_detach(thread);
	r->refs++;
	r->threads++;
	l->next = r->list;
	r->list = l;
	*ret = l;
	return 0;
}

/* With r->lock held. */
static int await(
	struct resolver *r, const struct lookup *l, const struct call *call, struct sfs_err *err)
{
	while (!l->done) {
		int64_t left = call->deadline - clock_boot();
		if (call_cancelled(call))
			return err_set(err, ECANCELED, "nobody waits for the answer any more");
		if (left <= 0)
			return err_set(err, ETIMEDOUT,
				"the deadline passed while %s was being resolved: the name server "
				"does not answer",
				l->host);
		clock_cond_wait(&r->cond, &r->lock, left < SLICE_NS ? left : SLICE_NS);
	}
	if (l->gai == EAI_MEMORY)
		return err_set(err, ENOMEM, "cannot resolve %s: out of memory", l->host);
	bool unknown = l->gai == 0 || l->gai == EAI_NONAME || l->gai == EAI_NODATA;
	if (l->n == 0)
		return err_set(err, unknown ? ENXIO : EHOSTUNREACH, "cannot resolve %s: %s",
			l->host,
			l->gai == 0	       ? "it has no address"
			: l->gai == EAI_SYSTEM ? strerror(l->why)
					       : gai_strerror(l->gai));
	return 0;
}

static int write_out(
	const struct lookup *l, bool inner, char ret[RESOLVE_TEXT], struct sfs_err *err)
{
	char text[RESOLVE_TEXT] = "";
	size_t len = 0;
	for (size_t i = 0; i < l->n; i++) {
		if (l->address[i].inner && !inner)
			continue;
		int n = snprintf(
			text + len, sizeof(text) - len, "%s%s", len ? "," : "", l->address[i].text);
		len += (size_t)n;
	}
	if (len == 0)
		return err_set(err, EHOSTUNREACH,
			"%s resolves to %s, an address of this machine or of its link: refused",
			l->host, l->address[0].text);
	memcpy(ret, text, len + 1);
	return 0;
}

int resolver_get(struct resolver *r, const char *host, bool inner, const struct call *call,
	char ret[RESOLVE_TEXT], struct sfs_err *err)
{
	int e = 0;
	pthread_mutex_lock(&r->lock);
	struct lookup *l = find(r, host);
	if (l)
		l->refs++;
	else
		e = start(r, host, &l, err);
	if (e == 0) {
		e = await(r, l, call, err);
		if (e == 0)
			e = write_out(l, inner, ret, err);
		lookup_unref(l);
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}

void resolver_forget(struct resolver *r, const char *host)
{
	pthread_mutex_lock(&r->lock);
	struct lookup *l = find(r, host);
	if (l && l->done)
		drop(r, l);
	pthread_mutex_unlock(&r->lock);
}
