/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canned aws|gcp NAMES BYTES US [CERT KEY]: a provider with NAMES secrets of BYTES bytes whose
 * answers were made beforehand, so that what is measured is who asks and not who answers; each
 * answer takes US microseconds longer, as if the service were far away. HTTP/1.1 on loopback, a
 * thread a connection; with a certificate over TLS. Prints its port. Signatures and tokens are not
 * looked at. aws: Secrets Manager with bench/s000000.., of which it knows ListSecrets,
 * DescribeSecret, GetSecretValue and BatchGetSecretValue. gcp: Secret Manager with s000000.., of
 * which it knows the list and the access of a version. Anything else is an error.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX (64 * 1024)
#define ARN	    "arn:aws:secretsmanager:us-east-1:123456789012:secret:bench/s%06zu-AbC123"
#define NAME	    "bench/s"
#define PARENT	    "projects/123456789012/secrets/s"

struct text {
	char *p;
	size_t len;
};

static size_t names;
static struct text *values;	  /* the answer with the value for each */
static struct text *descriptions; /* an entry of the listing for each */
static bool gcp;
static SSL_CTX *tls;
static useconds_t distance;

static pthread_mutex_t span_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static double span_first, span_last;
static unsigned span_calls;

static void need(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static struct text made(char *p, int len)
{
	need(p && len > 0, "no memory");
	return (struct text){p, (size_t)len};
}

static char *value_of(size_t bytes)
{
	char *value = malloc(bytes + 1);
	need(value, "no memory");
	memset(value, 'v', bytes);
	value[bytes] = '\0';
	return value;
}

static void prepare_aws(size_t bytes)
{
	char *value = value_of(bytes), *p;
	for (size_t i = 0; i < names; i++) {
		int n = asprintf(&p,
			"{\"ARN\":\"" ARN "\",\"Name\":\"" NAME "%06zu\",\"VersionId\":"
			"\"00000000-0000-4000-8000-%012zu\",\"SecretString\":\"%s\","
			"\"VersionStages\":[\"AWSCURRENT\"],\"CreatedDate\":1.523477145713E9}",
			i, i, i, value);
		values[i] = made(p, n);
		n = asprintf(&p,
			"{\"ARN\":\"" ARN "\",\"Name\":\"" NAME
			"%06zu\",\"CreatedDate\":1.523477145713E9,"
			"\"LastChangedDate\":1.523477145713E9,\"SecretVersionsToStages\":"
			"{\"00000000-0000-4000-8000-%012zu\":[\"AWSCURRENT\"]},\"Tags\":[]}",
			i, i, i);
		descriptions[i] = made(p, n);
	}
	free(value);
}

static uint32_t crc32c(const char *p, size_t len)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
	}
	return ~crc;
}

/* base64 of so many 'v' */
static char *text_of(size_t bytes)
{
	static const char *const tails[] = {"", "dg==", "dnY="};
	char *text = malloc(4 * (bytes / 3 + 1) + 1), *end = text;
	need(text, "no memory");
	for (size_t i = 0; i < bytes / 3; i++)
		end = stpcpy(end, "dnZ2");
	stpcpy(end, tails[bytes % 3]);
	return text;
}

static void prepare_gcp(size_t bytes)
{
	char *value = value_of(bytes), *text = text_of(bytes), *p;
	uint32_t crc = crc32c(value, bytes);
	for (size_t i = 0; i < names; i++) {
		int n = asprintf(&p,
			"{\n  \"name\": \"" PARENT "%06zu/versions/1\",\n  \"payload\": {\n"
			"    \"data\": \"%s\",\n    \"dataCrc32c\": \"%u\"\n  }\n}\n",
			i, text, crc);
		values[i] = made(p, n);
		n = asprintf(&p,
			"    {\n      \"name\": \"" PARENT "%06zu\",\n      \"replication\": {\n"
			"        \"automatic\": {}\n      },\n      \"createTime\": "
			"\"2026-01-02T03:04:05.678901Z\",\n      \"etag\": \"\\\"%014zx\\\"\"\n"
			"    }",
			i, i);
		descriptions[i] = made(p, n);
	}
	free(text);
	free(value);
}

static void prepare(size_t bytes)
{
	values = calloc(names, sizeof(*values));
	descriptions = calloc(names, sizeof(*descriptions));
	need(values && descriptions, "no memory");
	if (gcp)
		prepare_gcp(bytes);
	else
		prepare_aws(bytes);
}

/* ---- a connection ---- */

struct conn {
	int fd;
	SSL *ssl;
	char in[REQUEST_MAX + 1];
	size_t have;
	bool counted; /* the request is one of those whose span is asked for */
	char *out;    /* of the answer's body */
	size_t out_len, out_cap;
};

static ssize_t receive(struct conn *c)
{
	char *to = c->in + c->have;
	size_t room = REQUEST_MAX - c->have;
	if (!room)
		return 0;
	return c->ssl ? SSL_read(c->ssl, to, (int)room) : read(c->fd, to, room);
}

static bool send_all(struct conn *c, const char *p, size_t len)
{
	while (len) {
		ssize_t n = c->ssl ? SSL_write(c->ssl, p, (int)len) : write(c->fd, p, len);
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void add(struct conn *c, const char *p, size_t len)
{
	if (c->out_cap - c->out_len < len) {
		c->out_cap = 2 * (c->out_cap + len);
		c->out = realloc(c->out, c->out_cap);
		need(c->out, "no memory");
	}
	memcpy(c->out + c->out_len, p, len);
	c->out_len += len;
}

static void add_str(struct conn *c, const char *s)
{
	add(c, s, strlen(s));
}

/* The number of a secret by the first mention of its name at or after `p`; *ret_after follows it.
 */
static bool secret_at(const char *p, size_t *ret, const char **ret_after)
{
	char *end;
	const char *prefix = gcp ? "/secrets/s" : NAME, *at = p ? strstr(p, prefix) : NULL;
	if (!at)
		return false;
	*ret = strtoul(at + strlen(prefix), &end, 10);
	*ret_after = end;
	return end > at + strlen(prefix) && *ret < names;
}

static bool one(struct conn *c, const struct text *answers, const char *body)
{
	size_t i;
	const char *after;
	if (!secret_at(body, &i, &after))
		return false;
	add(c, answers[i].p, answers[i].len);
	return true;
}

static bool batch(struct conn *c, const char *body)
{
	size_t i;
	const char *p = strstr(body, "\"SecretIdList\"");
	bool any = false;
	add_str(c, "{\"SecretValues\":[");
	while (secret_at(p, &i, &p)) {
		add(c, ",", any);
		add(c, values[i].p, values[i].len);
		any = true;
	}
	add_str(c, "],\"Errors\":[]}");
	return any;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void span_begins(void)
{
	pthread_mutex_lock(&span_lock);
	if (!span_calls++)
		span_first = now();
	pthread_mutex_unlock(&span_lock);
}

static void span_ends(void)
{
	pthread_mutex_lock(&span_lock);
	span_last = now();
	pthread_mutex_unlock(&span_lock);
}

static bool span(struct conn *c)
{
	char text[100];
	pthread_mutex_lock(&span_lock);
	snprintf(text, sizeof(text), "{\"calls\":%u,\"seconds\":%.6f}", span_calls,
		span_last - span_first);
	span_calls = 0;
	pthread_mutex_unlock(&span_lock);
	add_str(c, text);
	return true;
}

/* The entries of a page from the one that `token` leads to. */
static size_t page(struct conn *c, const char *token, size_t size)
{
	size_t from = token ? strtoul(token, NULL, 10) : 0;
	size_t to = from + size < names ? from + size : names;
	for (size_t i = from; i < to; i++) {
		add(c, ",", i > from);
		add(c, descriptions[i].p, descriptions[i].len);
	}
	return to;
}

/* What follows `key` in `text`, or NULL. */
static const char *behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	return at ? at + strlen(key) : NULL;
}

static void list(
	struct conn *c, const char *begin, const char *next, const char *token, size_t size)
{
	char more[60] = "";
	add_str(c, begin);
	size_t to = page(c, token, size);
	if (to < names)
		snprintf(more, sizeof(more), ",\"%s\":\"t%zu\"", next, to);
	add_str(c, "]");
	add_str(c, more);
	add_str(c, "}");
}

static bool answer_aws(struct conn *c, const char *head, const char *body)
{
	const char *target = strcasestr(head, "\nx-amz-target:");
	char op[64] = "";
	if (target)
		sscanf(target + strlen("\nx-amz-target:"), " secretsmanager.%63[A-Za-z]", op);
	c->counted = strcmp(op, "BatchGetSecretValue") == 0;
	if (strcmp(op, "GetSecretValue") == 0)
		return one(c, values, body);
	if (strcmp(op, "DescribeSecret") == 0)
		return one(c, descriptions, body);
	if (strcmp(op, "ListSecrets") == 0)
		list(c, "{\"SecretList\":[", "NextToken", behind(body, "\"NextToken\":\"t"), 100);
	else if (!c->counted)
		return false;
	if (c->counted)
		span_begins();
	return !c->counted || batch(c, body);
}

/* By the request line alone, which it ends. */
static bool answer_gcp(struct conn *c, char *head)
{
	head[strcspn(head, "\r\n")] = '\0';
	const char *size = behind(head, "pageSize=");
	c->counted = strstr(head, "/versions/latest:access") != NULL;
	if (strncmp(head, "GET /v1/projects/", strlen("GET /v1/projects/")) != 0)
		return false;
	if (c->counted) {
		span_begins();
		return one(c, values, head);
	}
	if (!strstr(head, "/secrets?") && !strstr(head, "/secrets "))
		return false;
	list(c, "{\"secrets\":[", "nextPageToken", behind(head, "pageToken=t"),
		size ? strtoul(size, NULL, 10) : 25000);
	return true;
}

static bool body_of(struct conn *c, char *head, const char *body)
{
	c->out_len = 0;
	c->counted = false;
	if (strncmp(head, "GET /span ", 10) == 0)
		return span(c);
	return gcp ? answer_gcp(c, head) : answer_aws(c, head, body);
}

/* Answers the request of `len` bytes at the start of the input. */
static bool answer(struct conn *c, char *body)
{
	static const char unknown[] =
		"{\"__type\":\"UnknownOperationException\",\"error\":{\"code\":"
		"400,\"status\":\"INVALID_ARGUMENT\"}}";
	char head[200];
	int status = 200;
	body[-1] = '\0'; /* the last LF of the head */
	if (distance)
		usleep(distance);
	if (!body_of(c, c->in, body)) {
		status = 400;
		c->out_len = 0;
		add_str(c, unknown);
	}
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 %d X\r\nx-amzn-RequestId: 0\r\nContent-Type: %s\r\n"
		"Content-Length: %zu\r\n\r\n",
		status, gcp ? "application/json; charset=UTF-8" : "application/x-amz-json-1.1",
		c->out_len);
	/* One write: no delayed acknowledgement between head and body. */
	size_t len = c->out_len;
	add(c, head, (size_t)n);
	char *whole = malloc(len + (size_t)n);
	need(whole, "no memory");
	memcpy(whole, c->out + len, (size_t)n);
	memcpy(whole + n, c->out, len);
	bool ok = send_all(c, whole, len + (size_t)n);
	free(whole);
	if (c->counted)
		span_ends();
	return ok;
}

/* Length of the first request, 0 while it is not whole; *ret_body is its body. */
static size_t whole(struct conn *c, char **ret_body)
{
	c->in[c->have] = '\0';
	char *end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return 0;
	const char *length = strcasestr(c->in, "\ncontent-length:");
	size_t n = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
	*ret_body = end + 4;
	size_t all = (size_t)(end + 4 - c->in) + n;
	return all <= c->have ? all : 0;
}

static void serve(struct conn *c)
{
	for (;;) {
		char *body, kept;
		size_t n;
		while ((n = whole(c, &body))) {
			kept = c->in[n];
			c->in[n] = '\0';
			if (!answer(c, body))
				return;
			c->in[n] = kept;
			c->have -= n;
			memmove(c->in, c->in + n, c->have);
		}
		ssize_t got = receive(c);
		if (got <= 0)
			return;
		c->have += (size_t)got;
	}
}

static void *connection(void *arg)
{
	struct conn *c = calloc(1, sizeof(*c));
	need(c, "no memory");
	c->fd = (int)(intptr_t)arg;
	c->ssl = tls ? SSL_new(tls) : NULL;
	if (!tls || (c->ssl && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_accept(c->ssl) == 1))
		serve(c);
	SSL_free(c->ssl);
	close(c->fd);
	free(c->out);
	free(c);
	return NULL;
}

static int listener(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 128) == 0 &&
			getsockname(fd, (struct sockaddr *)&at, &len) == 0,
		"listen");
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 5 && argc != 7) {
		fprintf(stderr, "usage: canned aws|gcp NAMES BYTES US [CERT KEY]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	gcp = strcmp(argv[1], "gcp") == 0;
	names = strtoul(argv[2], NULL, 10);
	prepare(strtoul(argv[3], NULL, 10));
	distance = (useconds_t)strtoul(argv[4], NULL, 10);
	if (argc == 7) {
		tls = SSL_CTX_new(TLS_server_method());
		need(tls && SSL_CTX_use_certificate_chain_file(tls, argv[5]) == 1 &&
				SSL_CTX_use_PrivateKey_file(tls, argv[6], SSL_FILETYPE_PEM) == 1,
			"certificate");
	}
	int fd = listener();
	for (;;) {
		pthread_t t;
		int on = 1, peer = accept(fd, NULL, NULL);
		if (peer < 0)
			continue;
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&t, NULL, connection, (void *)(intptr_t)peer) != 0)
			close(peer);
		else
			pthread_detach(t);
	}
}
