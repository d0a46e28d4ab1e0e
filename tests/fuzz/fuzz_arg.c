/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of control files: the input is an argument, and also a path that must survive the way
 * there and back. */
#include "base/text.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_arg(const char *text, size_t size)
{
	struct buf out = BUF_INIT(ROOM);
	bool glob = false;
	if (text_from_arg(&out, text, size, &glob) == 0) {
		require(strlen(buf_text(&out)) == out.len);
		require(glob || out.len <= size);
		if (glob)
			glob_match(buf_text(&out), "prod/db/password");
	} else {
		require(out.len == 0 && !glob);
	}
	buf_clear(&out);
}

static void check_path(const char *path)
{
	struct buf arg = BUF_INIT(ROOM), back = BUF_INIT(ROOM), escaped = BUF_INIT(ROOM);
	bool glob = true;
	require(text_to_arg(&arg, path) == 0);
	for (size_t i = 0; i < arg.len; i++)
		require(arg.data[i] > 0x20 && arg.data[i] < 0x7f);
	require(text_from_arg(&back, buf_text(&arg), arg.len, &glob) == 0);
	require(!glob && !strcmp(buf_text(&back), path));

	size_t len = strlen(path);
	char cut[40];
	require(text_escape(&escaped, path, len) == 0 && escaped.len <= 4 * len);
	require(strlen(text_escaped(cut, sizeof(cut), path, len)) < sizeof(cut));
	buf_reset(&escaped);
	require(text_json(&escaped, path, len) == 0);
	for (size_t i = 0; i < escaped.len; i++)
		require(escaped.data[i] >= 0x20 && escaped.data[i] < 0x7f);
	buf_clear(&arg);
	buf_clear(&back);
	buf_clear(&escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 1);
	if (!path || size > ROOM / 16) {
		free(path);
		return 0;
	}
	if (size)
		memcpy(path, data, size);
	path[size] = '\0';
	check_arg((const char *)data, size);
	check_path(path);
	free(path);
	return 0;
}
