/* SPDX-License-Identifier: Apache-2.0 */
/* The line formats of file: sources: places stay inside the text, values never grow, errors name a
 * line. */
#include "backends/file_dotenv.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	const char *text;
	size_t len, line;
};

static void check(int ok)
{
	if (!ok)
		abort();
}

static int on_item(void *arg, const struct line_item *i)
{
	struct run *r = arg;
	struct buf b = BUF_SECRET_INIT(1 << 20);
	check(i->name <= r->len && i->name_len <= r->len - i->name);
	check(i->value <= r->len && i->value_len <= r->len - i->value);
	check(i->name + i->name_len < i->value + 1);
	check(i->line > r->line);
	r->line = i->line;
	check(line_value(r->text + i->value, i->value_len, i->form, NULL, &b) == 0);
	check(b.len <= i->value_len);
	buf_reset(&b);
	check(line_value(r->text + i->value, i->value_len, LINE_EXPAND, NULL, &b) == 0);
	check(b.len == i->value_len);
	buf_clear(&b);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_text t = {.label = "x.env", .text = (const char *)data, .len = size};
	struct run r = {.text = t.text, .len = size};
	struct sfs_err err = {0};
	if (size > 100000)
		return 0;
	if (dotenv_parse(&t, on_item, &r, &err) < 0)
		check(strncmp(err.msg, "x.env:", 6) == 0 && atoi(err.msg + 6) > 0);
	r.line = 0;
	check(mlrun_parse(&t, on_item, &r) == 0);
	return 0;
}
