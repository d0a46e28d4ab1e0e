/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers of any bytes: the first three choose status, protocol and how much is the header;
 * the result is printable, bounded, and has an errno and a sentence. */
#include "backends/aws_error.h"
#include "base/secret.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_text(const char *s, size_t size)
{
	size_t n = strnlen(s, size);
	require(n < size);
	for (size_t i = 0; i < n; i++)
		require(s[i] >= 0x20 && s[i] < 0x7f);
}

static void check(const struct aws_error *e)
{
	struct aws_asked asked = {.service = "S", .action = "a:B", .lookup = e->status & 1};
	struct sfs_err err = {0};
	int64_t off = 0, date = 600000000000;
	check_text(e->code, sizeof(e->code));
	check_text(e->message, sizeof(e->message));
	check_text(e->action, sizeof(e->action));
	require(e->errnum > 0 && e->errnum < 200);
	require(aws_error_sentence(e, &asked, &err) == -err.code && err.code > 0);
	check_text(err.msg, sizeof(err.msg));
	require(aws_skew(e, &date, 0, &off) == (e->class == AWS_SKEW));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {200, 400, 403, 404, 429, 500, 503, 0};
	struct secret_stats stats;
	struct aws_error e;
	char type[256] = "";
	if (size < 3 || size > 100000)
		return 0;
	int status = statuses[data[0] % 8];
	size_t n = data[2] < size - 3 ? data[2] : size - 3;
	memcpy(type, data + 3, n);
	const uint8_t *body = data + 3 + n;
	size_t len = size - 3 - n;
	if (data[1] % 3 == 0)
		aws_error_json(status, n ? type : NULL, body, len, &e);
	else if (data[1] % 3 == 1)
		aws_error_xml(status, body, len, &e);
	else
		aws_error_classify(status, (struct aws_text){(const char *)data + 3, n},
			(struct aws_text){(const char *)body, len}, &e);
	check(&e);
	secret_stats(&stats);
	require(stats.blocks == 0);
	return 0;
}
