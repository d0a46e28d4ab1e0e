/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_memory.h"

#include "base/harden.h"
#include "base/log.h"
#include "base/secret.h"
#include "net/http.h"
#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SECURE_HEAP (1U << 20) /* a power of two, or OpenSSL aborts */
#define SECURE_MIN  32

/* ---- for libcurl and nghttp2 ---- */

/* Before each block; 16 bytes, so that what follows is aligned. */
struct head {
	size_t size;
	size_t in_arena;
};

static void *block_new(size_t size)
{
	struct head *h;
	size_t in_arena = 1;
	if (size > SIZE_MAX - sizeof(*h))
		return NULL;
	h = secret_alloc(sizeof(*h) + size);
	if (!h) {
		in_arena = 0;
		h = calloc(1, sizeof(*h) + size);
	}
	if (!h)
		return NULL;
	*h = (struct head){.size = size, .in_arena = in_arena};
	return h + 1;
}

static void block_free(void *p)
{
	struct head *h = p;
	if (!h)
		return;
	h--;
	if (h->in_arena) {
		secret_free(h);
		return;
	}
	secret_wipe(h, sizeof(*h) + h->size);
	free(h);
}

static void *block_calloc(size_t n, size_t size)
{
	size_t all;
	return __builtin_mul_overflow(n, size, &all) ? NULL : block_new(all);
}

static void *block_realloc(void *p, size_t size)
{
	const struct head *h = p;
	void *q = block_new(size);
	if (p && q) {
		h--;
		memcpy(q, p, h->size < size ? h->size : size);
		block_free(p);
	}
	return q;
}

static char *block_strdup(const char *s)
{
	size_t len = strlen(s) + 1;
	char *p = block_new(len);
	if (p)
		memcpy(p, s, len);
	return p;
}

static void *h2_malloc(size_t size, void *user)
{
	(void)user;
	return block_new(size);
}

static void h2_free(void *p, void *user)
{
	(void)user;
	block_free(p);
}

static void *h2_calloc(size_t n, size_t size, void *user)
{
	(void)user;
	return block_calloc(n, size);
}

static void *h2_realloc(void *p, size_t size, void *user)
{
	(void)user;
	return block_realloc(p, size);
}

static const struct http_h2_memory h2_memory = {
	.malloc = h2_malloc, .free = h2_free, .calloc = h2_calloc, .realloc = h2_realloc};

/* ---- for OpenSSL: the ordinary heap, wiped ---- */

static void *wiped_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(size);
}

static void wiped_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	if (p)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *wiped_realloc(void *p, size_t size, const char *file, int line)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	if (p && size == 0) {
		wiped_free(p, file, line);
		return NULL;
	}
	void *q = malloc(size);
	if (p && q) {
		memcpy(q, p, old < size ? old : size);
		wiped_free(p, file, line);
	}
	return q;
}

static int init_openssl(struct sfs_err *err)
{
	struct secret_stats st;
	if (CRYPTO_set_mem_functions(wiped_malloc, wiped_realloc, wiped_free) != 1)
		return err_set(err, EALREADY,
			"OpenSSL was used before its memory could be made one that is wiped");
	switch (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_MIN)) {
	case 0:
		log_warn("OpenSSL has no locked memory for its keys: it uses the ordinary heap");
		break;
	case 2:
		secret_stats(&st);
		if (st.locked) /* else the line about the arena said it already */
			log_warn("OpenSSL's memory for keys is unlocked and may reach the swap: "
				 "raise "
				 "RLIMIT_MEMLOCK");
		break;
	default:
		break;
	}
	return 0;
}

static bool ready; /* set before the first thread */

bool http_ready(void)
{
	return ready;
}

int http_init(struct sfs_err *err)
{
	int r;
	if (ready)
		return 0;
	harden_environment();
	if ((r = init_openssl(err)) < 0)
		return r;
	if (curl_global_init_mem(CURL_GLOBAL_SSL | CURL_GLOBAL_ACK_EINTR, block_new, block_free,
		    block_realloc, block_strdup, block_calloc) != CURLE_OK)
		return err_set(err, ENOMEM, "libcurl does not start: out of memory");
	const char *tls = curl_version_info(CURLVERSION_NOW)->ssl_version;
	if (!tls || strncmp(tls, "OpenSSL/", 8) != 0)
		return err_set(err, EOPNOTSUPP,
			"this libcurl uses %s for TLS; secretfs needs one that uses OpenSSL",
			tls ? tls : "nothing");
	http_h2_use(&h2_memory);
	ready = true;
	return 0;
}
