/* SPDX-License-Identifier: Apache-2.0 */
/* Access to a parsed document. */
#include "net/json_impl.h"

#include "base/alloc.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define HASH_NONFATAL_OOM	 1
#define uthash_malloc(n)	 mem_calloc(1, n)
#define uthash_free(p, n)	 mem_free(p)
#define uthash_nonfatal_oom(elt) ((elt)->entered = false)
#define HASH_FUNCTION(k, n, h) \
	HASH_FNV(k, n, h) /* the default one does not compile cleanly with clang */
#include <uthash.h>

#define INDEX_FROM 16 /* members; a smaller object is searched one by one */

struct json_index {
	uint32_t node;
	struct key_table table;
	bool entered;
	UT_hash_handle hh;
};

static void index_free(struct json_index *x)
{
	if (x)
		mem_free(x->table.slots);
	mem_free(x);
}

void json_free(struct json *doc)
{
	if (!doc)
		return;
	struct json_index *x = doc->indexes, *next;
	for (; x; x = next) {
		next = x->hh.next;
		HASH_DEL(doc->indexes, x);
		index_free(x);
	}
	mem_free(doc->nodes);
	mem_free(doc);
}

const struct json_node *json_root(const struct json *doc)
{
	return doc->nodes;
}

enum json_kind json_kind(const struct json_node *n)
{
	return n->kind;
}

size_t json_count(const struct json_node *n)
{
	return n->count;
}

/* `n` or its next living sibling. */
static const struct json_node *living(const struct json *doc, const struct json_node *n)
{
	while (n && n->dead)
		n = n->next ? &doc->nodes[n->next] : NULL;
	return n;
}

const struct json_node *json_first(const struct json *doc, const struct json_node *container)
{
	return container->count ? living(doc, container + 1) : NULL;
}

const struct json_node *json_next(const struct json *doc, const struct json_node *child)
{
	return child->next ? living(doc, &doc->nodes[child->next]) : NULL;
}

size_t json_line(const struct json *doc, const struct json_node *n)
{
	size_t line = 1;
	for (size_t i = 0; i < n->start; i++)
		line += doc->text[i] == '\n';
	return line;
}

static struct json_index *index_make(const struct json *doc, const struct json_node *obj)
{
	struct json_index *x = mem_calloc(1, sizeof(*x));
	size_t slots = table_slots(obj->count);
	if (x)
		x->table = (struct key_table){mem_calloc(slots, sizeof(uint32_t)), slots - 1};
	if (!x || !x->table.slots) {
		index_free(x);
		return NULL;
	}
	x->node = (uint32_t)(obj - doc->nodes);
	const struct json_node *m = json_first(doc, obj);
	for (; m; m = json_next(doc, m))
		table_put(doc, &x->table, (uint32_t)(m - doc->nodes));
	return x;
}

/* The table of a large object, or NULL when there is no memory for one. */
static const struct key_table *index_of(struct json *doc, const struct json_node *obj)
{
	uint32_t node = (uint32_t)(obj - doc->nodes);
	struct json_index *x;
	HASH_FIND(hh, doc->indexes, &node, sizeof(node), x);
	if (x)
		return &x->table;
	x = index_make(doc, obj);
	if (!x)
		return NULL;
	x->entered = true;
	HASH_ADD(hh, doc->indexes, node, sizeof(x->node), x);
	if (x->entered)
		return &x->table;
	index_free(x);
	return NULL;
}

const struct json_node *json_member(
	struct json *doc, const struct json_node *obj, const void *key, size_t len)
{
	if (obj->kind != JSON_OBJECT)
		return NULL;
	if (obj->count > INDEX_FROM) {
		const struct key_table *t = index_of(doc, obj);
		uint32_t i = t ? table_find(doc, t, key, len) : 0;
		if (t)
			return i ? &doc->nodes[i] : NULL;
	}
	const struct json_node *m = json_first(doc, obj);
	while (m && !key_is(doc, m, key, len))
		m = json_next(doc, m);
	return m;
}

/* Appends the string whose opening quote is at `quote`, decoded: runs without escapes are copied
 * whole. */
static int add_decoded(const unsigned char *quote, struct buf *out)
{
	struct json_cursor c;
	cursor_start(&c, quote);
	for (;;) {
		const unsigned char *from = c.s;
		while (*c.s != '"' && *c.s != '\\')
			c.s++;
		int rc = buf_add(out, from, (size_t)(c.s - from));
		if (rc || *c.s == '"')
			return rc;
		do {
			char ch = (char)cursor_next(&c);
			rc = buf_char(out, ch);
			if (rc)
				return rc;
		} while (c.taken < c.npending);
	}
}

int json_key(const struct json *doc, const struct json_node *member, struct buf *out)
{
	return member->key ? add_decoded(doc->text + member->key, out) : -EINVAL;
}

int json_string(const struct json *doc, const struct json_node *n, struct buf *out)
{
	return n->kind == JSON_STRING ? add_decoded(doc->text + n->start, out) : -EINVAL;
}

/* Appends the string at `at` as it stands, quotes included. */
static int add_raw_string(const struct json *doc, size_t at, struct buf *out)
{
	bool nul;
	size_t end = at;
	scan_string(doc->text, doc->len, &end, &nul);
	return buf_add(out, doc->text + at, end - at);
}

static int add_raw_number(const struct json *doc, size_t at, struct buf *out)
{
	size_t end = at;
	scan_number(doc->text, doc->len, &end);
	return buf_add(out, doc->text + at, end - at);
}

/* Recursion is bounded by SFS_JSON_DEPTH, which the parser enforced. */
static int add_container(const struct json *doc, const struct json_node *n, struct buf *out)
{
	const struct json_node *m = json_first(doc, n);
	bool object = n->kind == JSON_OBJECT;
	int rc = buf_char(out, object ? '{' : '[');
	for (bool first = true; m && !rc; m = json_next(doc, m), first = false) {
		if (!first)
			rc = buf_char(out, ',');
		if (!rc && object)
			rc = add_raw_string(doc, m->key, out);
		if (!rc && object)
			rc = buf_char(out, ':');
		if (!rc)
			rc = json_compact(doc, m, out);
	}
	return rc ? rc : buf_char(out, object ? '}' : ']');
}

int json_compact(const struct json *doc, const struct json_node *n, struct buf *out)
{
	switch ((enum json_kind)n->kind) {
	case JSON_NULL:
		return buf_str(out, "null");
	case JSON_FALSE:
		return buf_str(out, "false");
	case JSON_TRUE:
		return buf_str(out, "true");
	case JSON_NUMBER:
		return add_raw_number(doc, n->start, out);
	case JSON_STRING:
		return add_raw_string(doc, n->start, out);
	default:
		return add_container(doc, n, out);
	}
}

int json_value(const struct json *doc, const struct json_node *n, struct buf *out)
{
	return n->kind == JSON_STRING ? json_string(doc, n, out) : json_compact(doc, n, out);
}

int json_int64(const struct json *doc, const struct json_node *n, int64_t *ret)
{
	if (n->kind != JSON_NUMBER)
		return -EINVAL;
	const unsigned char *s = doc->text + n->start;
	size_t end = n->start;
	scan_number(doc->text, doc->len, &end);
	size_t len = end - n->start;
	bool minus = s[0] == '-';
	int64_t v = 0;
	for (size_t i = minus; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		int d = s[i] - '0';
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_sub_overflow(v, minus ? d : -d, &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

static int quote_one(struct buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *at = c ? strchr(plain, c) : NULL;
	char esc[6] = {'\\', at ? letter[at - plain] : 'u', '0', '0', hex[c >> 4], hex[c & 15]};
	return buf_add(out, esc, at ? 2 : 6);
}

int json_quote(struct buf *out, const void *s, size_t len)
{
	const unsigned char *p = s, *end = p + len;
	size_t plain = text_plain(s, len);
	if (plain < len && !utf8_valid(p + plain, len - plain))
		return -EILSEQ;
	int rc = buf_char(out, '"');
	while (p < end && !rc) {
		const unsigned char *from = p;
		while (p < end && *p >= 0x20 && *p != '"' && *p != '\\')
			p++;
		rc = buf_add(out, from, (size_t)(p - from));
		if (!rc && p < end)
			rc = quote_one(out, *p++);
	}
	return rc ? rc : buf_char(out, '"');
}
