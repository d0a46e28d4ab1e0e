/* SPDX-License-Identifier: Apache-2.0 */
/* R49 on any bytes: the input is a name, and also a path. */
#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM (2 * SFS_PATH_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* Returns true if a component is in hash form. */
static bool check_path(const struct buf *path, bool reserved_root)
{
	const char *s = buf_text(path);
	require(strlen(s) == path->len && utf8_valid(s, path->len));
	for (size_t i = 0, n; i < path->len; i += n) {
		uint32_t code = 0;
		n = utf8_decode((const unsigned char *)s + i, path->len - i, &code);
		require(!text_is_control(code));
	}
	for (bool first = true;; first = false) {
		char component[SFS_COMPONENT_MAX + 1];
		size_t len = strcspn(s, "/");
		require(len > 0 && len < sizeof(component));
		memcpy(component, s, len);
		component[len] = '\0';
		require(strcmp(component, ".") && strcmp(component, "..") &&
			strcmp(component, NAME_VALUE));
		require(!first || !reserved_root || !name_is_reserved_root(component));
		if (!s[len])
			break;
		s += len + 1;
	}
	return strstr(buf_text(path), "%~") != NULL;
}

static void check_name(const char *name, size_t len, int component)
{
	struct buf path = BUF_INIT(ROOM), back = BUF_INIT(ROOM);
	int r = component < 0 ? name_encode(&path, name, len)
			      : name_encode_component(&path, name, len, component);
	if (r == 0) {
		bool hashed = check_path(&path, component != 0);
		int d = name_decode(&back, path.data, path.len);
		require(hashed ? d != 0 : d == 0);
		require(hashed || (back.len == len && !memcmp(back.data, name, len)));
		require(component < 0 || !strchr(path.data, '/'));
	} else {
		require(path.len == 0 &&
			(len == 0 || len > SFS_NAME_MAX / 4 || memchr(name, '\0', len)));
	}
	buf_clear(&path);
	buf_clear(&back);
}

static void check_as_path(const char *text, size_t len)
{
	struct buf name = BUF_INIT(ROOM), path = BUF_INIT(ROOM), back = BUF_INIT(ROOM);
	if (name_decode(&name, text, len) == 0 && name_encode(&path, name.data, name.len) == 0 &&
		!check_path(&path, true)) {
		require(name_decode(&back, path.data, path.len) == 0);
		require(back.len == name.len && !memcmp(back.data, name.data, name.len));
	}
	buf_clear(&name);
	buf_clear(&path);
	buf_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	check_name(text, size, -1);
	check_name(text, size, 0);
	check_name(text, size, 1);
	check_as_path(text, size);
	return 0;
}
