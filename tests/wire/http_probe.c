/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP engine on its own, driven by the tests of this folder: options of struct http_conf as
 * arguments (cacert=FILE), then one command a line, answered by one line of JSON.
 *
 *   do url=URL method=GET timeout=MS cap=N attempts=N flags=N attempt=MS cancel=MS header=N:V
 *      token=HEX body=HEX times=N   in N threads at once, repeat=N one by one in each
 *   stats | threads | scan HEX | openssl HEX | quit
 *
 * What `scan` looks for comes as hexadecimal, so that the bytes are never in ordinary memory here.
 * The measures that keep them out of it can be switched off one by one
 * (WITHOUT=curl,cleanse,h2,free, arena): the linker puts the functions below in the place of the
 * real ones.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/text.h"
#include "net/http.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- measures ---- */

static bool without(const char *measure)
{
	const char *list = getenv("WITHOUT");
	return list && strstr(list, measure);
}

CURLcode __real_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
	curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c);
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
	curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c);
CURLcode __wrap_curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f,
	curl_realloc_callback r, curl_strdup_callback s, curl_calloc_callback c)
{
	if (without("curl"))
		return curl_global_init(flags);
	return __real_curl_global_init_mem(flags, m, f, r, s, c);
}

uint64_t __real_SSL_CTX_set_options(SSL_CTX *ctx, uint64_t options);
uint64_t __wrap_SSL_CTX_set_options(SSL_CTX *ctx, uint64_t options);
uint64_t __wrap_SSL_CTX_set_options(SSL_CTX *ctx, uint64_t options)
{
	if (without("cleanse"))
		options &= ~SSL_OP_CLEANSE_PLAINTEXT;
	return __real_SSL_CTX_set_options(ctx, options);
}

void __real_http_h2_use(const void *m);
void __wrap_http_h2_use(const void *m);
void __wrap_http_h2_use(const void *m)
{
	__real_http_h2_use(without("h2") ? NULL : m);
}

int __real_CRYPTO_set_mem_functions(CRYPTO_malloc_fn m, CRYPTO_realloc_fn r, CRYPTO_free_fn f);
int __wrap_CRYPTO_set_mem_functions(CRYPTO_malloc_fn m, CRYPTO_realloc_fn r, CRYPTO_free_fn f);
int __wrap_CRYPTO_set_mem_functions(CRYPTO_malloc_fn m, CRYPTO_realloc_fn r, CRYPTO_free_fn f)
{
	return without("free") ? 1 : __real_CRYPTO_set_mem_functions(m, r, f);
}

/* Asked at each allocation, hence only once of the environment. */
static bool arena_is_off(void)
{
	static int off = -1;
	if (off < 0)
		off = without("arena");
	return off;
}

void *__real_secret_alloc(size_t size);
void *__wrap_secret_alloc(size_t size);
void *__wrap_secret_alloc(size_t size)
{
	return arena_is_off() ? calloc(1, size) : __real_secret_alloc(size);
}

void *__real_secret_realloc(void *p, size_t size);
void *__wrap_secret_realloc(void *p, size_t size);
void *__wrap_secret_realloc(void *p, size_t size)
{
	return arena_is_off() ? realloc(p, size) : __real_secret_realloc(p, size);
}

void __real_secret_free(void *p);
void __wrap_secret_free(void *p);
void __wrap_secret_free(void *p)
{
	if (arena_is_off())
		free(p);
	else
		__real_secret_free(p);
}

/* ---- words of a line ---- */

/* The text after "name=" up to the next blank, or NULL; valid until the line goes. */
static char *word(char *line, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);
	for (char *p = line; p; p = strchr(p, ' ')) {
		p += strspn(p, " ");
		if (strncmp(p, name, n) == 0 && p[n] == '=') {
			size_t len = strcspn(p + n + 1, " \n");
			if (len >= size)
				abort();
			memcpy(out, p + n + 1, len);
			out[len] = '\0';
			return out;
		}
	}
	return NULL;
}

static long number(char *line, const char *name, long otherwise)
{
	char text[32];
	return word(line, name, text, sizeof(text)) ? strtol(text, NULL, 0) : otherwise;
}

/* Bytes from hexadecimal, in the arena. */
static unsigned char *bytes(const char *hex, size_t *ret_len)
{
	size_t n = hex ? strlen(hex) / 2 : 0;
	unsigned char *out = __real_secret_alloc(n + 1);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		sscanf(hex + 2 * i, "%2x", &byte);
		out[i] = (unsigned char)byte;
	}
	*ret_len = n;
	return out;
}

/* ---- requests ---- */

#define WORD 4096

struct job {
	struct http *h;
	char url[SFS_HTTP_URL_MAX * 2], method[16], header[WORD];
	unsigned char *token, *body;
	size_t token_len, body_len;
	struct http_request rq;
	long timeout, cancel, repeat;
	struct http_reply reply;
	struct sfs_err err;
	int r;
	int64_t took;
};

static int add_headers(void *arg, unsigned attempt, struct http_headers *h, struct sfs_err *err)
{
	struct job *j = arg;
	char *colon = strchr(j->header, ':');
	(void)attempt, (void)err;
	if (j->token_len) {
		http_header_secret(h, "Authorization", "Bearer ", j->token, j->token_len);
		http_header_secret(h, "X-Amz-Security-Token", "", j->token, j->token_len);
	}
	if (colon) {
		char name[WORD];
		snprintf(name, sizeof(name), "%.*s", (int)(colon - j->header), j->header);
		http_header(h, name, colon + 1);
	}
	return 0;
}

struct canceller {
	atomic_bool flag;
	long ms;
};

static void *cancel(void *arg)
{
	struct canceller *c = arg;
	usleep((useconds_t)c->ms * 1000);
	atomic_store(&c->flag, true);
	return NULL;
}

static void *run(void *arg)
{
	struct job *j = arg;
	struct canceller c = {.ms = j->cancel};
	pthread_t thread;
	int64_t start = clock_boot();
	const struct call call = {
		.deadline = start + j->timeout * NSEC_PER_MSEC, .cancelled = &c.flag};
	if (c.ms >= 0)
		pthread_create(&thread, NULL, cancel, &c);
	for (long i = 0; i < j->repeat; i++)
		j->r = http_do(j->h, &call, &j->rq, &j->reply, &j->err);
	j->took = clock_boot() - start;
	if (c.ms >= 0)
		pthread_join(thread, NULL);
	return NULL;
}

static void prepare(struct job *j, struct http *h, char *line)
{
	char hex[WORD * 4];
	*j = (struct job){.h = h, .reply = HTTP_REPLY_INIT};
	if (!word(line, "url", j->url, sizeof(j->url)))
		abort();
	if (!word(line, "method", j->method, sizeof(j->method)))
		strcpy(j->method, "GET");
	word(line, "header", j->header, sizeof(j->header));
	j->token = bytes(word(line, "token", hex, sizeof(hex)), &j->token_len);
	j->body = bytes(word(line, "body", hex, sizeof(hex)), &j->body_len);
	j->timeout = number(line, "timeout", 60000);
	j->cancel = number(line, "cancel", -1);
	j->repeat = number(line, "repeat", 1);
	j->rq = (struct http_request){.method = j->method,
		.url = j->url,
		.body = j->body_len ? j->body : NULL,
		.body_len = j->body_len,
		.cap = (size_t)number(line, "cap", 1 << 20),
		.flags = (unsigned)number(line, "flags", 0),
		.attempts = (unsigned)number(line, "attempts", 1),
		.attempt_timeout = number(line, "attempt", 0) * NSEC_PER_MSEC,
		.connect_timeout = number(line, "connect", 0) * NSEC_PER_MSEC,
		.headers = add_headers,
		.arg = j};
}

#define SHOWN 200 /* bytes of a body */

static void report(struct job *j, const char *end)
{
	size_t shown = j->reply.body.len < SHOWN ? j->reply.body.len : SHOWN;
	struct buf b = BUF_INIT(1 << 16);
	text_json(&b, j->err.msg, j->r < 0 ? strlen(j->err.msg) : 0);
	printf("{\"r\":%d,\"err\":%s,\"status\":%d,\"len\":%zu,\"attempts\":%u,\"ms\":%lld", j->r,
		buf_text(&b), j->reply.status, j->reply.body.len, j->reply.attempts,
		(long long)(j->took / NSEC_PER_MSEC));
	if (j->token_len == 0) {
		buf_reset(&b);
		text_json(&b, j->reply.body.data ? j->reply.body.data : "", shown);
		printf(",\"body\":%s", buf_text(&b));
		buf_reset(&b);
		text_json(&b, j->reply.headers.data ? j->reply.headers.data : "",
			j->reply.headers.len);
		printf(",\"headers\":%s", buf_text(&b));
	}
	printf("}%s", end);
	buf_clear(&b);
	http_reply_clear(&j->reply);
	__real_secret_free(j->token);
	__real_secret_free(j->body);
}

static void request(struct http *h, char *line)
{
	size_t n = (size_t)number(line, "times", 1);
	struct job *jobs = mem_calloc(n, sizeof(*jobs));
	pthread_t *threads = mem_calloc(n, sizeof(*threads));
	for (size_t i = 0; i < n; i++) {
		prepare(&jobs[i], h, line);
		pthread_create(&threads[i], NULL, run, &jobs[i]);
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("[");
	for (size_t i = 0; i < n; i++)
		report(&jobs[i], i + 1 < n ? "," : "]\n");
	mem_free(jobs);
	mem_free(threads);
}

/* ---- memory ---- */

#define CHUNK (256UL * 1024)

static size_t count_in(
	int mem, unsigned char *chunk, size_t from, size_t to, const void *needle, size_t len)
{
	size_t hits = 0;
	for (size_t at = from; at < to; at += CHUNK - len) {
		size_t want = to - at < CHUNK ? to - at : CHUNK;
		ssize_t n = pread(mem, chunk, want, (off_t)at);
		for (unsigned char *p = chunk;
			n > 0 && (p = memmem(p, (size_t)(chunk + n - p), needle, len)); p++)
			hits++;
		if (want < CHUNK)
			break;
	}
	return hits;
}

/* Hits of the needle in writable memory outside of the secret arena, whose mappings are the ones
 * that a child sees as zeros (wf). */
static size_t scan(const char *hex)
{
	size_t len, hits = 0, from = 0, to = 0;
	bool writable = false;
	char line[512];
	unsigned char *needle = bytes(hex, &len), *chunk = __real_secret_alloc(CHUNK);
	FILE *maps = fopen("/proc/self/smaps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	while (fgets(line, sizeof(line), maps)) {
		size_t a, b; /* "Anonymous:" begins with a hexadecimal digit, too */
		char mode[8];
		if (sscanf(line, "%zx-%zx %7s", &a, &b, mode) == 3) {
			from = a;
			to = b;
			writable = mode[1] == 'w';
		} else if (writable && strncmp(line, "VmFlags:", 8) == 0 && !strstr(line, " wf")) {
			hits += count_in(mem, chunk, from, to, needle, len);
		}
	}
	fclose(maps);
	close(mem);
	__real_secret_free(chunk);
	__real_secret_free(needle);
	return hits;
}

/* What OpenSSL frees. */
static void openssl_block(const char *hex)
{
	enum { SIZE = 20000 };
	size_t len;
	unsigned char *needle = bytes(hex, &len);
	unsigned char *p = OPENSSL_malloc(SIZE), *guard = OPENSSL_malloc(SIZE);
	for (size_t i = 256; i + len < SIZE; i += len)
		memcpy(p + i, needle, len);
	p = OPENSSL_realloc(p, 2 * SIZE);
	OPENSSL_free(p);
	OPENSSL_free(guard);
	__real_secret_free(needle);
}

static void threads(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "Threads:", 8) == 0)
			printf("%d\n", atoi(line + 8));
	fclose(f);
}

static void stats(struct http *h)
{
	struct http_stats s;
	http_stats(h, &s);
	printf("{\"requests\":%llu,\"attempts\":%llu,\"retries\":%llu,\"errors\":%llu,"
	       "\"throttled\":%llu,\"open\":%d}\n",
		(unsigned long long)s.requests, (unsigned long long)s.attempts,
		(unsigned long long)s.retries, (unsigned long long)s.errors,
		(unsigned long long)s.throttled, s.breaker_open);
}

int main(int argc, char **argv)
{
	static const struct path_env paths = {.covered_fd = -1};
	struct http_conf conf = {.name = "probe", .paths = &paths};
	struct sfs_err err;
	struct http *h;
	static char line[WORD * 8];
	for (int i = 1; i < argc; i++) {
		char *v = strchr(argv[i], '=') + 1;
		size_t n = (size_t)(v - argv[i]);
		if (strncmp(argv[i], "cacert=", n) == 0)
			conf.cacert = v;
		else if (strncmp(argv[i], "cert=", n) == 0)
			conf.cert = v;
		else if (strncmp(argv[i], "key=", n) == 0)
			conf.key = v;
		else if (strncmp(argv[i], "proxy=", n) == 0)
			conf.proxy = v;
		else if (strncmp(argv[i], "insecure=", n) == 0)
			conf.insecure_http = true;
	}
	if (http_init(&err) < 0 || http_new(&conf, &h, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4) != 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "do ", 3) == 0)
			request(h, line);
		else if (strncmp(line, "scan ", 5) == 0)
			printf("%zu\n", scan(line + 5));
		else if (strncmp(line, "openssl ", 8) == 0)
			openssl_block(line + 8), puts("0");
		else if (strcmp(line, "threads") == 0)
			threads();
		else
			stats(h);
	}
	http_free(h);
	return 0;
}
