/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canned_aws NAMES BYTES US [CERT KEY]: Secrets Manager with NAMES secrets (bench/s000000..) of
 * BYTES bytes whose answers were made beforehand, so that what is measured is who asks and not who
 * answers; each answer takes US microseconds longer, as if the service were far away. HTTP/1.1 on
 * loopback, a thread a connection; with a certificate over TLS. Prints its port. Signatures are not
 * looked at. Knows ListSecrets, DescribeSecret, GetSecretValue and BatchGetSecretValue; anything
 * else is an error.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define PAGE	    100
#define REQUEST_MAX (64 * 1024)
#define ARN	    "arn:aws:secretsmanager:us-east-1:123456789012:secret:bench/s%06zu-AbC123"
#define NAME	    "bench/s"

struct text {
	char *p;
	size_t len;
};

static size_t names;
static struct text *values;	  /* the answer of GetSecretValue for each */
static struct text *descriptions; /* an entry of ListSecrets for each */
static SSL_CTX *tls;
static useconds_t distance;

static pthread_mutex_t span_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static double span_first, span_last;
static unsigned span_batches;

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

static void prepare(size_t bytes)
{
	char *value = malloc(bytes + 1), *p;
	need(value, "no memory");
	memset(value, 'v', bytes);
	value[bytes] = '\0';
	values = calloc(names, sizeof(*values));
	descriptions = calloc(names, sizeof(*descriptions));
	need(values && descriptions, "no memory");
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

/* ---- a connection ---- */

struct conn {
	int fd;
	SSL *ssl;
	char in[REQUEST_MAX + 1];
	size_t have;
	bool batch; /* the request is one */
	char *out;  /* of the answer's body */
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
	const char *at = p ? strstr(p, NAME) : NULL;
	if (!at)
		return false;
	*ret = strtoul(at + strlen(NAME), &end, 10);
	*ret_after = end;
	return end > at + strlen(NAME) && *ret < names;
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

static void batch_begins(void)
{
	pthread_mutex_lock(&span_lock);
	if (!span_batches++)
		span_first = now();
	pthread_mutex_unlock(&span_lock);
}

static void batch_ends(void)
{
	pthread_mutex_lock(&span_lock);
	span_last = now();
	pthread_mutex_unlock(&span_lock);
}

static bool span(struct conn *c)
{
	char text[100];
	pthread_mutex_lock(&span_lock);
	snprintf(text, sizeof(text), "{\"batches\":%u,\"seconds\":%.6f}", span_batches,
		span_last - span_first);
	span_batches = 0;
	pthread_mutex_unlock(&span_lock);
	add_str(c, text);
	return true;
}

static bool list(struct conn *c, const char *body)
{
	const char *token = strstr(body, "\"NextToken\":\"t");
	size_t from = token ? strtoul(token + strlen("\"NextToken\":\"t"), NULL, 10) : 0;
	size_t to = from + PAGE < names ? from + PAGE : names;
	char more[40] = "";
	add_str(c, "{\"SecretList\":[");
	for (size_t i = from; i < to; i++) {
		add(c, ",", i > from);
		add(c, descriptions[i].p, descriptions[i].len);
	}
	if (to < names)
		snprintf(more, sizeof(more), ",\"NextToken\":\"t%zu\"", to);
	add_str(c, "]");
	add_str(c, more);
	add_str(c, "}");
	return from <= to;
}

static bool body_of(struct conn *c, const char *head, const char *body)
{
	const char *target = strcasestr(head, "\nx-amz-target:");
	char op[64] = "";
	if (target)
		sscanf(target + strlen("\nx-amz-target:"), " secretsmanager.%63[A-Za-z]", op);
	c->out_len = 0;
	c->batch = strcmp(op, "BatchGetSecretValue") == 0;
	if (strncmp(head, "GET /span ", 10) == 0)
		return span(c);
	if (strcmp(op, "GetSecretValue") == 0)
		return one(c, values, body);
	if (strcmp(op, "DescribeSecret") == 0)
		return one(c, descriptions, body);
	if (c->batch) {
		batch_begins();
		return batch(c, body);
	}
	return strcmp(op, "ListSecrets") == 0 && list(c, body);
}

/* Answers the request of `len` bytes at the start of the input. */
static bool answer(struct conn *c, char *body)
{
	static const char unknown[] = "{\"__type\":\"UnknownOperationException\"}";
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
		"HTTP/1.1 %d X\r\nx-amzn-RequestId: 0\r\nContent-Type: "
		"application/x-amz-json-1.1\r\n"
		"Content-Length: %zu\r\n\r\n",
		status, c->out_len);
	/* One write: no delayed acknowledgement between head and body. */
	size_t len = c->out_len;
	add(c, head, (size_t)n);
	char *whole = malloc(len + (size_t)n);
	need(whole, "no memory");
	memcpy(whole, c->out + len, (size_t)n);
	memcpy(whole + n, c->out, len);
	bool ok = send_all(c, whole, len + (size_t)n);
	free(whole);
	if (c->batch)
		batch_ends();
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
	if (argc != 4 && argc != 6) {
		fprintf(stderr, "usage: canned_aws NAMES BYTES US [CERT KEY]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	names = strtoul(argv[1], NULL, 10);
	prepare(strtoul(argv[2], NULL, 10));
	distance = (useconds_t)strtoul(argv[3], NULL, 10);
	if (argc == 6) {
		tls = SSL_CTX_new(TLS_server_method());
		need(tls && SSL_CTX_use_certificate_chain_file(tls, argv[4]) == 1 &&
				SSL_CTX_use_PrivateKey_file(tls, argv[5], SSL_FILETYPE_PEM) == 1,
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
