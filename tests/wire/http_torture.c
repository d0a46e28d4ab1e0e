/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request after the other, and in the n-th of them the n-th allocation of libcurl and nghttp2
 * fails (R67), until a request has needed fewer. Each has an engine of its own, so that all it
 * takes to connect is among them.
 *
 *   http-torture KIND URL CAFILE      KIND: curl, ours (those of base/alloc.h)
 *
 * prints {"runs":N,"worked":N,"no_memory":N,"wrong":"first other outcome or empty","left":N}:
 * `left` are blocks of libcurl that nobody freed.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "net/http.h"
#include "net/http_memory.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define SECONDS 20 /* a request that takes so long hangs */
#define RUNS	5000

/* ---- allocations ---- */

static atomic_long countdown; /* to the one that fails; not above 0 = none */
static atomic_ulong seen;     /* allocations of this request */
static atomic_long left;      /* blocks in use */

static struct {
	curl_malloc_callback malloc;
	curl_free_callback free;
	curl_realloc_callback realloc;
	curl_strdup_callback strdup;
	curl_calloc_callback calloc;
} real;
static const struct http_h2_memory *real_h2;

static bool fails(void)
{
	atomic_fetch_add(&seen, 1);
	return atomic_fetch_sub(&countdown, 1) == 1;
}

static void *counted(void *p)
{
	if (p)
		atomic_fetch_add(&left, 1);
	return p;
}

static void *torn_malloc(size_t size)
{
	return fails() ? NULL : counted(real.malloc(size));
}

static void *torn_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(real.calloc(n, size));
}

static char *torn_strdup(const char *s)
{
	return fails() ? NULL : counted(real.strdup(s));
}

static void *torn_realloc(void *p, size_t size)
{
	if (fails())
		return NULL;
	return p ? real.realloc(p, size) : counted(real.realloc(p, size));
}

static void torn_free(void *p)
{
	if (p)
		atomic_fetch_sub(&left, 1);
	real.free(p);
}

static void *torn_h2_malloc(size_t size, void *user)
{
	return fails() ? NULL : counted(real_h2->malloc(size, user));
}

static void *torn_h2_calloc(size_t n, size_t size, void *user)
{
	return fails() ? NULL : counted(real_h2->calloc(n, size, user));
}

static void *torn_h2_realloc(void *p, size_t size, void *user)
{
	if (fails())
		return NULL;
	return p ? real_h2->realloc(p, size, user) : counted(real_h2->realloc(p, size, user));
}

static void torn_h2_free(void *p, void *user)
{
	if (p)
		atomic_fetch_sub(&left, 1);
	real_h2->free(p, user);
}

static const struct http_h2_memory torn_h2 = {.malloc = torn_h2_malloc,
	.free = torn_h2_free,
	.calloc = torn_h2_calloc,
	.realloc = torn_h2_realloc};

CURLcode __real_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
	curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c);
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
	curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c);
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
	curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c)
{
	real.malloc = m;
	real.free = f;
	real.realloc = r;
	real.strdup = s;
	real.calloc = c;
	return __real_curl_global_init_mem(
		flags, torn_malloc, torn_free, torn_realloc, torn_strdup, torn_calloc);
}

void __real_http_h2_use(const struct http_h2_memory *m);
void __wrap_http_h2_use(const struct http_h2_memory *m);
void __wrap_http_h2_use(const struct http_h2_memory *m)
{
	real_h2 = m;
	__real_http_h2_use(&torn_h2);
}

/* ---- requests ---- */

struct tally {
	unsigned runs, worked, no_memory;
	char wrong[600];
};

static int add_headers(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err)
{
	(void)arg, (void)attempt, (void)err;
	http_header(h, "X-Name", "value");
	return http_header_secret(h, "Authorization", "Bearer ", "canary", 6);
}

static int request(
	const char *url, const char *cacert, struct http_reply *reply, struct sfs_err *err)
{
	static const struct path_env paths = {.covered_fd = -1};
	const struct http_conf conf = {.name = "torture", .paths = &paths, .cacert = cacert};
	const struct call call = {.deadline = clock_after(clock_boot(), SECONDS)};
	const struct http_request rq = {.method = "POST",
		.url = url,
		.body = "{}",
		.body_len = 2,
		.cap = 4096,
		.attempts = 3,
		.headers = add_headers};
	struct http *h;
	int r = http_new(&conf, &h, err);
	if (r < 0)
		return r;
	r = http_do(h, &call, &rq, reply, err);
	http_free(h);
	return r;
}

static void judge(struct tally *t, int r, const struct http_reply *reply, const struct sfs_err *err)
{
	static const char want[] = "{\"SecretString\":\"correct horse battery staple\"}";
	bool whole = r == 0 && reply->status == 200 && reply->body.len == strlen(want) &&
		     memcmp(reply->body.data, want, strlen(want)) == 0;
	t->runs++;
	t->worked += whole;
	t->no_memory += r == -ENOMEM;
	if (!whole && r != -ENOMEM && !t->wrong[0])
		snprintf(t->wrong, sizeof(t->wrong), "allocation %u: %d, status %d, %zu bytes, %s",
			t->runs, r, reply->status, reply->body.len, err->msg);
}

/* True if the n-th allocation was reached. */
static bool one(bool ours, unsigned n, const char *url, const char *cacert, struct tally *t)
{
	struct http_reply reply = HTTP_REPLY_INIT;
	struct sfs_err err = {0};
	atomic_store(&seen, 0);
	atomic_store(&countdown, ours ? 0 : (long)n);
	alloc_fail_at(ours ? n : 0);
	int r = request(url, cacert, &reply, &err);
	unsigned long mine = alloc_fail_at(0);
	atomic_store(&countdown, 0);
	judge(t, r, &reply, &err);
	http_reply_clear(&reply);
	return (ours ? mine : atomic_load(&seen)) >= n;
}

int main(int argc, char **argv)
{
	struct sfs_err err = {0};
	struct tally t = {0};
	if (argc != 4 || http_init(&err) < 0) {
		fprintf(stderr, "http-torture KIND URL CAFILE: %s\n", err.msg);
		return 1;
	}
	bool ours = strcmp(argv[1], "ours") == 0;
	for (unsigned n = 1; n < RUNS && one(ours, n, argv[2], *argv[3] ? argv[3] : NULL, &t); n++)
		;
	for (const char *p = t.wrong; *p; p++)
		if (*p == '"' || *p == '\\')
			t.wrong[p - t.wrong] = '\'';
	printf("{\"runs\":%u,\"worked\":%u,\"no_memory\":%u,\"wrong\":\"%s\",\"left\":%ld}\n",
		t.runs, t.worked, t.no_memory, t.wrong, atomic_load(&left));
	return 0;
}
