/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers of any bytes: the first chooses the status; the result is printable, bounded, and
 * has an errno and a sentence. */
#include "backends/gcp_error.h"
#include "base/secret.h"
#include <errno.h>
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {400, 401, 403, 404, 409, 429, 500, 503, 0, 302};
	struct secret_stats stats;
	struct gcp_error e;
	struct sfs_err err = {0};
	int64_t ns = -7;
	if (size < 1 || size > 100000)
		return 0;
	gcp_error_parse(statuses[data[0] % 10], data + 1, size - 1, &e);
	check_text(e.word, sizeof(e.word));
	check_text(e.reason, sizeof(e.reason));
	check_text(e.message, sizeof(e.message));
	require(e.errnum > 0 && e.errnum < 200 && e.delay >= -1);
	const struct gcp_asked asked = {.permission = "p",
		.grant = "roles/r",
		.lookup = data[0] & 16,
		.renewed = data[0] & 32};
	require(gcp_error_sentence(&e, &asked, &err) == -err.code && err.code > 0);
	check_text(err.msg, sizeof(err.msg));
	require(gcp_duration((const char *)data, size, &ns) ? ns == -7 : ns >= 0);
	secret_stats(&stats);
	require(stats.blocks == 0);
	return 0;
}
