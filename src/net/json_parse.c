/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structure of JSON. The text is read twice by the same code: the first time only to check and
 * count, so that a hostile document is refused before anything is allocated and the array of nodes
 * has exactly its size; the second time to fill it.
 */
#include "net/json_impl.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

#define FEW_KEYS 12 /* of an object, that are compared one by one */

struct frame {
	uint32_t node, last; /* the container, its latest child (0 = none) */
	uint32_t count;
	bool object;
};

struct parser {
	const unsigned char *s;
	size_t len, pos;
	unsigned flags;
	struct json *doc; /* doc->nodes is NULL while counting */
	struct frame stack[SFS_JSON_DEPTH];
	size_t depth;
	struct sfs_err *err;
};

/* Says where; the text itself may be secret. */
static int fail_at(struct parser *p, size_t at, const char *what)
{
	size_t line = 1, column = 1;
	for (size_t i = 0; i < at && i < p->len; i++, column++) {
		if (p->s[i] == '\n') {
			line++;
			column = 0;
		}
	}
	return err_set(p->err, EBADMSG, "JSON: line %zu column %zu: %s", line, column, what);
}

static int fail(struct parser *p, const char *what)
{
	return fail_at(p, p->pos, what);
}

static void skip_blanks(struct parser *p)
{
	while (p->pos < p->len && is_blank(p->s[p->pos]))
		p->pos++;
}

static bool skip_char(struct parser *p, char c)
{
	if (p->pos >= p->len || p->s[p->pos] != (unsigned char)c)
		return false;
	p->pos++;
	return true;
}

static int scan_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);
	if (p->len - p->pos < n || memcmp(p->s + p->pos, word, n) != 0)
		return fail(p, "a value must be an object, an array, a string, a number, true, "
			       "false or null");
	p->pos += n;
	return 0;
}

static int take_string(struct parser *p, bool key)
{
	bool nul = false;
	size_t from = p->pos;
	const char *bad = scan_string(p->s, p->len, &p->pos, &nul);
	if (bad)
		return fail(p, bad);
	if (nul && key && !(p->flags & JSON_LAST_WINS))
		return fail_at(p, from, "a key with \\u0000");
	return 0;
}

/* Enters a value that starts at p->pos as the next child of the container on top. */
static int add_node(struct parser *p, size_t key, enum json_kind kind)
{
	size_t idx = p->doc->n;
	if (idx >= SFS_JSON_ELEMENTS)
		return fail(p, "more elements than a document may have");
	p->doc->n++;
	struct json_node *nodes = p->doc->nodes;
	if (nodes)
		nodes[idx] = (struct json_node){
			.start = (uint32_t)p->pos, .key = (uint32_t)key, .kind = kind};
	if (p->depth == 0)
		return 0;
	struct frame *f = &p->stack[p->depth - 1];
	if (nodes && f->last)
		nodes[f->last].next = (uint32_t)idx;
	f->last = (uint32_t)idx;
	f->count++;
	return 0;
}

static int open_container(struct parser *p, bool object)
{
	if (p->depth == SFS_JSON_DEPTH)
		return fail(p, "nested deeper than a document may be");
	p->stack[p->depth++] = (struct frame){.node = (uint32_t)(p->doc->n - 1), .object = object};
	p->pos++;
	return 0;
}

static enum json_kind kind_of(unsigned char c)
{
	switch (c) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

static int take_number(struct parser *p)
{
	if (p->s[p->pos] != '-' && (p->s[p->pos] < '0' || p->s[p->pos] > '9'))
		return scan_word(p, "null"); /* never matches: gives its sentence */
	const char *bad = scan_number(p->s, p->len, &p->pos);
	return bad ? fail(p, bad) : 0;
}

/* A whole scalar, or the opening bracket of a container. `key` is the offset of its key, 0 = none.
 */
static int take_value(struct parser *p, size_t key)
{
	skip_blanks(p);
	if (p->pos >= p->len)
		return fail(p, "the text ends where a value should stand");
	enum json_kind kind = kind_of(p->s[p->pos]);
	int rc = add_node(p, key, kind);
	if (rc)
		return rc;
	switch (kind) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return open_container(p, kind == JSON_OBJECT);
	case JSON_STRING:
		return take_string(p, false);
	case JSON_TRUE:
		return scan_word(p, "true");
	case JSON_FALSE:
		return scan_word(p, "false");
	case JSON_NULL:
		return scan_word(p, "null");
	default:
		return take_number(p);
	}
}

static int take_member(struct parser *p)
{
	size_t key = p->pos;
	if (p->pos >= p->len || p->s[p->pos] != '"')
		return fail(p, "a member must start with a key in double quotes");
	int rc = take_string(p, true);
	if (rc)
		return rc;
	skip_blanks(p);
	if (!skip_char(p, ':'))
		return fail(p, "a colon must follow the key");
	return take_value(p, key);
}

/* Members `old` and `idx` have the same key: the earlier one dies or the document is refused. */
static int same_key(struct parser *p, struct json_node *obj, uint32_t old, uint32_t idx)
{
	struct json *doc = p->doc;
	if (!(p->flags & JSON_LAST_WINS))
		return fail_at(p, doc->nodes[idx].key, "the same key a second time in one object");
	doc->nodes[old].dead = 1;
	obj->count--;
	return 0;
}

/* Each of a few members against those before it: mostly the first bytes differ already. */
static int compare_members(struct parser *p, struct json_node *obj)
{
	struct json *doc = p->doc;
	uint32_t first = (uint32_t)(obj - doc->nodes) + 1, old;
	int rc = 0;
	for (uint32_t i = doc->nodes[first].next; i && rc == 0; i = doc->nodes[i].next) {
		for (old = first; old != i; old = doc->nodes[old].next)
			if (!doc->nodes[old].dead && keys_equal(doc, old, i))
				break;
		if (old != i)
			rc = same_key(p, obj, old, i);
	}
	return rc;
}

/* Enters all members of the object into a table. */
static int put_members(struct parser *p, struct json_node *obj, const struct key_table *t)
{
	struct json *doc = p->doc;
	uint32_t i = (uint32_t)(obj - doc->nodes) + 1;
	uint32_t left = obj->count;
	int rc = 0;
	for (; left > 0 && rc == 0; left--, i = doc->nodes[i].next) {
		uint32_t old = table_put(doc, t, i);
		if (old)
			rc = same_key(p, obj, old, i);
	}
	return rc;
}

static int check_keys(struct parser *p, struct json_node *obj)
{
	if (obj->count <= FEW_KEYS)
		return obj->count < 2 ? 0 : compare_members(p, obj);
	size_t slots = table_slots(obj->count);
	_cleanup_free_ uint32_t *table = mem_calloc(slots, sizeof(*table));
	const struct key_table t = {.slots = table, .mask = slots - 1};
	if (!table)
		return err_set(p->err, ENOMEM, "JSON: no memory to compare the keys of an object");
	return put_members(p, obj, &t);
}

static int close_container(struct parser *p)
{
	struct frame *f = &p->stack[--p->depth];
	if (!p->doc->nodes)
		return 0;
	struct json_node *n = &p->doc->nodes[f->node];
	n->count = f->count & 0xfffffff;
	return f->object ? check_keys(p, n) : 0;
}

/* One child of the container on top, or its end. */
static int step(struct parser *p)
{
	struct frame *f = &p->stack[p->depth - 1];
	skip_blanks(p);
	if (skip_char(p, f->object ? '}' : ']'))
		return close_container(p);
	if (f->count > 0 && !skip_char(p, ','))
		return fail(p, f->object ? "a comma or '}' must follow a member"
					 : "a comma or ']' must follow an item");
	skip_blanks(p);
	return f->object ? take_member(p) : take_value(p, 0);
}

static int read_document(struct parser *p)
{
	p->pos = p->depth = p->doc->n = 0;
	if (p->len >= 3 && memcmp(p->s, "\xef\xbb\xbf", 3) == 0)
		return fail(p, "a byte order mark; save the text without one");
	int rc = take_value(p, 0);
	while (!rc && p->depth > 0)
		rc = step(p);
	if (rc)
		return rc;
	skip_blanks(p);
	return p->pos < p->len ? fail(p, "more text after the end of the document") : 0;
}

static void json_free_p(struct json **doc)
{
	json_free(*doc);
}

int json_parse(const char *text, size_t len, unsigned flags, struct json **ret, struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = mem_calloc(1, sizeof(*doc));
	if (!doc)
		return err_set(err, ENOMEM, "JSON: no memory for a document");
	if (len > SFS_SOURCE_MAX)
		return err_set(err, EBADMSG, "JSON: %zu bytes, more than %d", len, SFS_SOURCE_MAX);
	doc->text = (const unsigned char *)text;
	doc->len = len;
	struct parser p = {.s = doc->text, .len = len, .flags = flags, .doc = doc, .err = err};
	int rc = read_document(&p);
	if (rc)
		return rc;
	doc->nodes = mem_calloc(doc->n, sizeof(*doc->nodes));
	if (!doc->nodes)
		return err_set(err, ENOMEM, "JSON: no memory for %zu elements", doc->n);
	rc = read_document(&p);
	if (rc)
		return rc;
	*ret = take(doc);
	return 0;
}
