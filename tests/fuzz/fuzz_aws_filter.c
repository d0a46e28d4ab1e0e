/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: what is accepted is JSON that means the same when it is read again. */
#include "backends/aws_filter.h"
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

static void run(const struct aws_filter_kind *kind, const char *text)
{
	struct buf once = BUF_INIT(1 << 20), list = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	struct sfs_err err = {0};
	struct json *doc = NULL;
	size_t n = 0, again = 0;
	int rc = aws_filter_parse(kind, text, &once, &n, &err);
	check(rc ? !n && !once.len && err.code && err.msg[0] : n > 0 && n <= kind->max_filters);
	buf_printf(&list, "[%s]", buf_text(&once));
	check(json_parse(list.data, list.len, JSON_STRICT, &doc, &err) == 0);
	check(json_count(json_root(doc)) == n);
	if (!rc && list.len <= 4096) {
		check(aws_filter_parse(kind, list.data, &twice, &again, &err) == 0);
		check(again == n && !strcmp(twice.data, once.data));
	}
	json_free(doc);
	buf_clear(&once);
	buf_clear(&list);
	buf_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	run(&aws_filter_secrets, text);
	run(&aws_filter_parameters, text);
	free(text);
	return 0;
}
