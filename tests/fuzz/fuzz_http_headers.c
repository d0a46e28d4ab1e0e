/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of an answer's headers, then what is read from them: dates, pauses, single values. */
#include "base/clock.h"
#include "net/http_headers.h"
#include "net/http_retry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

static void check_times(const char *text, size_t len)
{
	int64_t wall = -1, after = retry_after(text, len, 0), ms = retry_after_ms(text, len);
	require(after == RETRY_AFTER_NONE || after >= 0);
	require(ms == RETRY_AFTER_NONE || ms >= 0);
	int64_t pause = retry_pause(retry_delay(RETRY_BASE, 3), after, ms);
	require(pause >= 0 && pause <= 65 * NSEC_PER_SEC);
	require(!http_date(text, len, &wall) || wall >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"date", "retry-after", "x-amz-retry-after"};
	struct http_reply r = HTTP_REPLY_INIT;
	const char *at = (const char *)data, *end = at + size;
	int64_t skew;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop + 1 : end;
		size_t before = r.headers.len;
		int e = http_reply_line(&r, at, (size_t)(stop - at));
		require(e == 0 ? r.headers.len > before : r.headers.len == before);
		at = stop;
	}
	/* Every line kept is "name: value" with a lower-case name and no control character. */
	for (size_t i = 0; i < r.headers.len; i++) {
		unsigned char c = (unsigned char)r.headers.data[i];
		require(c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f));
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len;
		const char *value = http_reply_find(&r, names[i], &len);
		require((value != NULL) == (http_reply_count(&r, names[i]) > 0));
		if (value)
			check_times(value, len);
	}
	http_reply_skew(&r, &skew);
	check_times((const char *)data, size);
	http_reply_clear(&r);
	return 0;
}
