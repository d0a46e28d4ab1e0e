/* SPDX-License-Identifier: Apache-2.0 */
/* R53: what is decoded is, encoded again, the same text; what is encoded is decoded again. */
#include "net/crypto.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static bool same(const struct buf *b, const void *data, size_t len)
{
	return b->len == len && (!len || memcmp(b->data, data, len) == 0);
}

/* With optional padding two texts stand for the same bytes: the one written has none. */
static void check_text(const char *text, size_t len, unsigned flags)
{
	struct buf bytes = BUF_SECRET_INIT(1 << 20), again = BUF_SECRET_INIT(1 << 20);
	int rc = base64_decode(&bytes, text, len, flags);
	require(rc == 0 || (rc == -EBADMSG && bytes.len == 0));
	if (rc == 0) {
		require(base64_encode(&again, bytes.data, bytes.len, flags) == 0);
		if (!same(&again, text, len)) {
			require(flags & BASE64_NO_PAD);
			buf_reset(&again);
			flags &= ~(unsigned)BASE64_NO_PAD;
			require(base64_encode(&again, bytes.data, bytes.len, flags) == 0);
			require(same(&again, text, len));
		}
	}
	buf_clear(&bytes);
	buf_clear(&again);
}

static void check_bytes(const uint8_t *data, size_t len, unsigned flags)
{
	struct buf text = BUF_SECRET_INIT(1 << 20), back = BUF_SECRET_INIT(1 << 20);
	require(base64_encode(&text, data, len, flags) == 0);
	require(base64_decode(&back, text.data, text.len, flags) == 0);
	require(same(&back, data, len));
	buf_clear(&text);
	buf_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 100000)
		return 0;
	for (unsigned flags = 0; flags < 4; flags++) {
		check_text((const char *)data, size, flags);
		check_bytes(data, size, flags);
	}
	return 0;
}
