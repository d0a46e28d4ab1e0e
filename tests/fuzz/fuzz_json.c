/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON gate: what it accepts can be written compactly, read again, and is then the same; every
 * member is found. */
#include "net/json.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void visit(struct json *doc, const struct json_node *n, unsigned flags)
{
	struct buf b = BUF_SECRET_INIT(1 << 20);
	size_t count = 0;
	int64_t v;
	check(json_value(doc, n, &b) == 0);
	json_int64(doc, n, &v);
	for (const struct json_node *m = json_first(doc, n); m; m = json_next(doc, m), count++) {
		visit(doc, m, flags);
		if (json_kind(n) != JSON_OBJECT)
			continue;
		buf_reset(&b);
		check(json_key(doc, m, &b) == 0);
		check(json_member(doc, n, buf_text(&b), b.len) == m);
	}
	check(count == json_count(n));
	buf_clear(&b);
}

static void run(const char *text, size_t len, unsigned flags)
{
	struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	struct json *doc = NULL, *again = NULL;
	struct sfs_err err = {0};
	if (json_parse(text, len, flags, &doc, &err) < 0) {
		check(!doc && err.code && err.msg[0]);
		return;
	}
	visit(doc, json_root(doc), flags);
	check(json_compact(doc, json_root(doc), &once) == 0 && once.len <= len);
	check(json_parse(once.data, once.len, JSON_STRICT, &again, &err) == 0 ||
		flags == JSON_LAST_WINS);
	if (again) {
		check(json_compact(again, json_root(again), &twice) == 0);
		check(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	}
	json_free(again);
	json_free(doc);
	buf_clear(&once);
	buf_clear(&twice);
}

static void quote(const void *data, size_t size)
{
	struct buf b = BUF_INIT(1 << 20), back = BUF_INIT(1 << 20);
	struct json *doc = NULL;
	if (json_quote(&b, data, size) == 0) {
		check(json_parse(b.data, b.len, JSON_STRICT, &doc, NULL) == 0);
		check(json_string(doc, json_root(doc), &back) == 0);
		check(back.len == size && memcmp(buf_text(&back), data, size) == 0);
	}
	json_free(doc);
	buf_clear(&b);
	buf_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 100000)
		return 0;
	run((const char *)data, size, JSON_STRICT);
	run((const char *)data, size, JSON_LAST_WINS);
	if (size)
		quote(data, size);
	return 0;
}
