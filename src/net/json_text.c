/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of JSON and tables of keys. */
#include "net/json_impl.h"

#include "base/text.h"
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Four hex digits, or -1. */
static long hex4(const unsigned char *s, size_t len)
{
	long v = 0;
	if (len < 4)
		return -1;
	for (size_t i = 0; i < 4; i++) {
		int d = hex_digit(s[i]);
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* s[*pos] is the 'u' of an escape. */
static const char *scan_unicode(const unsigned char *s, size_t len, size_t *pos, bool *ret_nul)
{
	long hi = hex4(s + *pos + 1, len - *pos - 1);
	if (hi < 0)
		return "a \\u escape needs four hexadecimal digits";
	if (hi >= 0xdc00 && hi <= 0xdfff)
		return "a lone low surrogate";
	if (hi == 0)
		*ret_nul = true;
	*pos += 5;
	if (hi < 0xd800 || hi > 0xdbff)
		return NULL;
	if (len - *pos < 6 || s[*pos] != '\\' || s[*pos + 1] != 'u')
		return "a lone high surrogate";
	long lo = hex4(s + *pos + 2, len - *pos - 2);
	if (lo < 0xdc00 || lo > 0xdfff)
		return "a lone high surrogate";
	*pos += 6;
	return NULL;
}

/* s[*pos] is a backslash. */
static const char *scan_escape(const unsigned char *s, size_t len, size_t *pos, bool *ret_nul)
{
	if (len - *pos < 2)
		return "the text ends inside a string";
	unsigned char c = s[*pos + 1];
	if (c == 'u') {
		++*pos;
		return scan_unicode(s, len, pos, ret_nul);
	}
	if (c == '\0' || !strchr("\"\\/bfnrt", c))
		return "an unknown escape in a string";
	*pos += 2;
	return NULL;
}

const char *scan_string(const unsigned char *s, size_t len, size_t *pos, bool *ret_nul)
{
	++*pos;
	while ((*pos += text_plain(s + *pos, len - *pos)) < len) {
		unsigned char c = s[*pos];
		if (c == '"') {
			++*pos;
			return NULL;
		}
		if (c == '\\') {
			const char *bad = scan_escape(s, len, pos, ret_nul);
			if (bad)
				return bad;
		} else if (c < 0x20) {
			return "a raw control character in a string";
		} else {
			uint32_t code;
			size_t n = utf8_decode(s + *pos, len - *pos, &code);
			if (n == 0)
				return "a byte that is not valid UTF-8";
			*pos += n;
		}
	}
	return "the text ends inside a string";
}

static bool skip_digits(const unsigned char *s, size_t len, size_t *pos)
{
	size_t from = *pos;
	while (*pos < len && s[*pos] >= '0' && s[*pos] <= '9')
		++*pos;
	return *pos > from;
}

static bool skip_one_of(
	const unsigned char *s, size_t len, size_t *pos, unsigned char a, unsigned char b)
{
	if (*pos >= len || (s[*pos] != a && s[*pos] != b))
		return false;
	++*pos;
	return true;
}

const char *scan_number(const unsigned char *s, size_t len, size_t *pos)
{
	skip_one_of(s, len, pos, '-', '-');
	size_t first = *pos;
	if (!skip_digits(s, len, pos))
		return "a number needs a digit here";
	if (s[first] == '0' && *pos > first + 1) {
		*pos = first;
		return "a number must not start with a zero";
	}
	if (skip_one_of(s, len, pos, '.', '.') && !skip_digits(s, len, pos))
		return "a number needs a digit after the point";
	if (skip_one_of(s, len, pos, 'e', 'E')) {
		skip_one_of(s, len, pos, '+', '-');
		if (!skip_digits(s, len, pos))
			return "a number needs a digit in its exponent";
	}
	return NULL;
}

void cursor_start(struct json_cursor *c, const unsigned char *quote)
{
	*c = (struct json_cursor){.s = quote + 1};
}

static unsigned utf8_encode(uint32_t code, unsigned char out[4])
{
	if (code < 0x80) {
		out[0] = (unsigned char)code;
		return 1;
	}
	unsigned n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (unsigned i = n - 1; i > 0; i--) {
		out[i] = (unsigned char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	out[0] = (unsigned char)((0xf00U >> n) | code);
	return n;
}

/* The cursor stands on the 'u'. */
static void cursor_unicode(struct json_cursor *c)
{
	uint32_t code = (uint32_t)hex4(c->s + 1, 4);
	c->s += 5;
	if (code >= 0xd800 && code <= 0xdbff) {
		uint32_t low = (uint32_t)hex4(c->s + 2, 4);
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		c->s += 6;
	}
	c->npending = utf8_encode(code, c->pending);
	c->taken = 0;
}

int cursor_next(struct json_cursor *c)
{
	if (c->taken < c->npending)
		return c->pending[c->taken++];
	if (*c->s == '"')
		return -1;
	if (*c->s != '\\')
		return *c->s++;
	c->s++;
	if (*c->s == 'u') {
		cursor_unicode(c);
		return c->pending[c->taken++];
	}
	switch (*c->s++) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c->s[-1];
	}
}

/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012) under a random key of this process: a provider cannot
 * choose keys that all fall into one slot.
 */
struct sip {
	uint64_t v[4], word;
	size_t len;
};

static uint64_t seed[2];

static void make_seed(void)
{
	/* Without entropy the table still works, only the guard against chosen keys is gone. */
	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed[0] = (uint64_t)(uintptr_t)&seed;
}

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static void sip_word(struct sip *h, uint64_t m)
{
	h->v[3] ^= m;
	sip_round(h->v);
	sip_round(h->v);
	h->v[0] ^= m;
}

static void sip_start(struct sip *h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_seed);
	*h = (struct sip){
		.v = {seed[0] ^ 0x736f6d6570736575ULL, seed[1] ^ 0x646f72616e646f6dULL,
			seed[0] ^ 0x6c7967656e657261ULL, seed[1] ^ 0x7465646279746573ULL}};
}

static void sip_byte(struct sip *h, unsigned char c)
{
	h->word |= (uint64_t)c << (8 * (h->len % 8));
	if (++h->len % 8)
		return;
	sip_word(h, h->word);
	h->word = 0;
}

static uint64_t sip_end(struct sip *h)
{
	sip_word(h, h->word | (uint64_t)(h->len & 0xff) << 56);
	h->v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(h->v);
	return h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
}

static uint64_t hash_key(const struct json *doc, const struct json_node *n)
{
	struct json_cursor c;
	struct sip h;
	int ch;
	sip_start(&h);
	cursor_start(&c, doc->text + n->key);
	while ((ch = cursor_next(&c)) >= 0)
		sip_byte(&h, (unsigned char)ch);
	return sip_end(&h);
}

bool keys_equal(const struct json *doc, uint32_t a, uint32_t b)
{
	struct json_cursor ca, cb;
	int x, y;
	cursor_start(&ca, doc->text + doc->nodes[a].key);
	cursor_start(&cb, doc->text + doc->nodes[b].key);
	do {
		x = cursor_next(&ca);
		y = cursor_next(&cb);
	} while (x == y && x >= 0);
	return x == y;
}

bool key_is(const struct json *doc, const struct json_node *n, const void *key, size_t len)
{
	const unsigned char *k = key;
	struct json_cursor c;
	cursor_start(&c, doc->text + n->key);
	for (size_t i = 0; i < len; i++)
		if (cursor_next(&c) != k[i])
			return false;
	return cursor_next(&c) < 0;
}

size_t table_slots(size_t n)
{
	size_t slots = 4;
	while (slots < 2 * n)
		slots *= 2;
	return slots;
}

uint32_t table_put(const struct json *doc, const struct key_table *t, uint32_t idx)
{
	size_t i = hash_key(doc, &doc->nodes[idx]) & t->mask;
	while (t->slots[i] && !keys_equal(doc, t->slots[i], idx))
		i = (i + 1) & t->mask;
	uint32_t old = t->slots[i];
	t->slots[i] = idx;
	return old;
}

uint32_t table_find(const struct json *doc, const struct key_table *t, const void *key, size_t len)
{
	const unsigned char *k = key;
	struct sip h;
	sip_start(&h);
	for (size_t i = 0; i < len; i++)
		sip_byte(&h, k[i]);
	size_t i = sip_end(&h) & t->mask;
	while (t->slots[i] && !key_is(doc, &doc->nodes[t->slots[i]], key, len))
		i = (i + 1) & t->mask;
	return t->slots[i];
}
