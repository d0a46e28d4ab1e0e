/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_headers.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "net/http_retry.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define TOKEN_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"

struct http_field {
	struct curl_slist node; /* data: "Name: value", or "Name;" for an empty value */
	char *name;
	const char *value; /* within data */
	bool absent;	   /* tells libcurl to leave it out; is no header of ours */
	struct http_field *next;
};

static bool value_is_clean(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int refuse(struct http_headers *h, const char *name, const char *why)
{
	return err_set(&h->err, EINVAL, "header %s: %s", name, why);
}

static void field_free(struct http_field *f)
{
	if (!f)
		return;
	secret_free(f->node.data);
	mem_free(f->name);
	mem_free(f);
}

static void link_field(struct http_headers *h, struct http_field *f)
{
	if (h->last) {
		h->last->next = &f->node;
		((struct http_field *)(void *)h->last)->next = f;
	} else {
		h->first = &f->node;
		h->fields = f;
	}
	h->last = &f->node;
	h->n += !f->absent;
}

/* "name" + between + prefix + value; `value` points behind `between`. */
static int add(struct http_headers *h, const char *name, const char *between, const char *prefix,
	const void *value, size_t len)
{
	size_t n = strlen(name), b = strlen(between), p = strlen(prefix);
	struct http_field *f = mem_calloc(1, sizeof(*f));
	char *line = f ? secret_alloc(n + b + p + len + 1) : NULL;
	if (!f || !line || !(f->name = mem_strdup(name))) {
		secret_free(line);
		field_free(f);
		return err_set(&h->err, ENOMEM, "header %s: out of memory", name);
	}
	memcpy(line, name, n);
	memcpy(line + n, between, b);
	memcpy(line + n + b, prefix, p);
	if (len)
		memcpy(line + n + b + p, value, len);
	line[n + b + p + len] = '\0';
	f->node.data = line;
	f->value = line + n + b;
	f->absent = strcmp(between, ":") == 0;
	link_field(h, f);
	return 0;
}

int http_header_secret(
	struct http_headers *h, const char *name, const char *prefix, const void *value, size_t len)
{
	if (h->err.code) /* the first one counts */
		return -h->err.code;
	if (!*name || strspn(name, TOKEN_BYTES) != strlen(name))
		return refuse(h, "of a bad name", "names consist of letters, digits and dashes");
	if (len > SFS_HTTP_HEADERS_MAX || strlen(prefix) > SFS_HTTP_HEADERS_MAX)
		return refuse(h, name, "its value is too long");
	if (!value_is_clean(prefix, strlen(prefix)) || !value_is_clean(value, len))
		return refuse(h, name,
			"its value has a control character, such as a line break within a token");
	if (len == 0 && !*prefix)
		return add(h, name, ";", "", "", 0);
	return add(h, name, ": ", prefix, value, len);
}

int http_header(struct http_headers *h, const char *name, const char *value)
{
	return http_header_secret(h, name, "", value, strlen(value));
}

int http_headers_without(struct http_headers *h, const char *name)
{
	return http_headers_have(h, name) ? 0 : add(h, name, ":", "", "", 0);
}

void http_headers_clear(struct http_headers *h)
{
	struct http_field *next;
	for (struct http_field *f = h->fields; f; f = next) {
		next = f->next;
		field_free(f);
	}
	*h = (struct http_headers){0};
}

bool http_headers_have(const struct http_headers *h, const char *name)
{
	for (const struct http_field *f = h->fields; f; f = f->next)
		if (strcasecmp(f->name, name) == 0)
			return true;
	return false;
}

size_t http_headers_size(const struct http_headers *h)
{
	size_t size = 0;
	for (const struct http_field *f = h->fields; f; f = f->next)
		size += f->absent ? 0 : strlen(f->node.data) + 2;
	return size;
}

bool http_header_at(
	const struct http_headers *h, size_t n, const char **ret_name, const char **ret_value)
{
	const struct http_field *f = h->fields;
	for (; f && (f->absent || n-- > 0); f = f->next)
		;
	if (!f)
		return false;
	*ret_name = f->name;
	*ret_value = f->node.data[strlen(f->name)] == ';' ? "" : f->value;
	return true;
}

/* ---- answers ---- */

int http_reply_line(struct http_reply *r, const char *line, size_t len)
{
	while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	const char *colon = memchr(line, ':', len);
	if (!colon || colon == line || !value_is_clean(line, len))
		return -EBADMSG;
	size_t n = (size_t)(colon - line), v = n + 1;
	while (v < len && (line[v] == ' ' || line[v] == '\t'))
		v++;
	while (len > v && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	char *to = buf_reserve(&r->headers, n + 2 + (len - v) + 1);
	if (!to)
		return r->headers.failed == ENOMEM ? -ENOMEM : -E2BIG;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)line[i]);
	memcpy(to + n, ": ", 2);
	memcpy(to + n + 2, line + v, len - v);
	to[n + 2 + len - v] = '\n';
	buf_advance(&r->headers, n + 2 + (len - v) + 1);
	return 0;
}

/* The next line of that name from `at` on; its value. */
static const char *next_line(
	const struct http_reply *r, const char **at, const char *name, size_t *ret_len)
{
	const char *end = *at ? r->headers.data + r->headers.len : NULL;
	size_t n = strlen(name);
	while (*at && *at < end) {
		const char *line = *at;
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((stop ? stop : end) - line);
		*at = stop ? stop + 1 : end;
		if (len >= n + 2 && memcmp(line, name, n) == 0 && line[n] == ':') {
			*ret_len = len - n - 2;
			return line + n + 2;
		}
	}
	return NULL;
}

const char *http_reply_find(const struct http_reply *r, const char *name, size_t *ret_len)
{
	const char *at = r->headers.data;
	return next_line(r, &at, name, ret_len);
}

size_t http_reply_count(const struct http_reply *r, const char *name)
{
	const char *at = r->headers.data;
	size_t len, n = 0;
	while (next_line(r, &at, name, &len))
		n++;
	return n;
}

bool http_reply_header(const struct http_reply *r, const char *name, char *out, size_t size)
{
	size_t len;
	const char *value = http_reply_find(r, name, &len);
	if (!value || len >= size)
		return false;
	memcpy(out, value, len);
	out[len] = '\0';
	return true;
}

bool http_reply_skew(const struct http_reply *r, int64_t *ret_ns)
{
	size_t len;
	int64_t date;
	const char *value = http_reply_find(r, "date", &len);
	if (!value || !http_date(value, len, &date) || r->received < r->sent)
		return false;
	*ret_ns = date - (r->sent + (r->received - r->sent) / 2);
	return true;
}

void http_reply_clear(struct http_reply *r)
{
	buf_clear(&r->body);
	buf_clear(&r->headers);
	r->status = 0;
	r->sent = r->received = 0;
	r->attempts = 0;
}
