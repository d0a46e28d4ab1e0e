/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by json_text.c (strings, numbers, keys), json_parse.c (structure) and json_read.c
 * (access). */
#ifndef SFS_NET_JSON_IMPL_H
#define SFS_NET_JSON_IMPL_H

#include "net/json.h"

/* 16 bytes a value. Offsets fit because a document is at most SFS_SOURCE_MAX bytes. Nodes stand in
 * source order, so the first child of node i is node i + 1. */
struct json_node {
	uint32_t start;	     /* first byte of the value: of a string the opening quote */
	uint32_t key;	     /* opening quote of the member's key; 0 = not a member */
	uint32_t next;	     /* index of the next sibling; 0 = last */
	unsigned kind : 3;   /* enum json_kind */
	unsigned dead : 1;   /* a member overwritten by a later equal key (JSON_LAST_WINS) */
	unsigned count : 28; /* living children */
};

/* Open-addressing table of the members of one object: node indexes, 0 = free. */
struct key_table {
	uint32_t *slots;
	size_t mask; /* slots - 1, a power of two minus one */
};

struct json_index; /* key table of a large object, made at its first lookup (json_read.c) */

struct json {
	const unsigned char *text;
	size_t len;
	struct json_node *nodes;
	size_t n;
	struct json_index *indexes; /* uthash by node */
};

/* Reads a string that was checked before, byte by byte. */
struct json_cursor {
	const unsigned char *s; /* the next source byte */
	unsigned char pending[4];
	unsigned npending, taken;
};
/* `quote` points at the opening quote. */
void cursor_start(struct json_cursor *c, const unsigned char *quote);
/* The next decoded byte, or -1 at the closing quote. */
int cursor_next(struct json_cursor *c);

/* Checks the string whose opening quote is s[*pos]; *pos ends after the closing quote. Returns
 * NULL, or what is wrong with *pos at the place. `*ret_nul` is set when it holds \u0000. */
const char *scan_string(const unsigned char *s, size_t len, size_t *pos, bool *ret_nul);
/* The same for a number. */
const char *scan_number(const unsigned char *s, size_t len, size_t *pos);
bool is_blank(unsigned char c);

/* Slots needed for n members: at most half of them get used. */
size_t table_slots(size_t n);
/* Enters member `idx`; returns the member with an equal key whose place it took, else 0. */
uint32_t table_put(const struct json *doc, const struct key_table *t, uint32_t idx);
/* The member with exactly this decoded key, or 0. */
uint32_t table_find(const struct json *doc, const struct key_table *t, const void *key, size_t len);
/* True if members `a` and `b` have the same decoded key. */
bool keys_equal(const struct json *doc, uint32_t a, uint32_t b);
/* True if the decoded key of member `n` is exactly these bytes. */
bool key_is(const struct json *doc, const struct json_node *n, const void *key, size_t len);

#endif
