/* SPDX-License-Identifier: Apache-2.0 */
#include "base/name.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define HASH_DIGITS 32
#define HASH_SIZE   (2 + HASH_DIGITS) /* "%~" and the digits */
#define PREFIX_MAX  (SFS_COMPONENT_MAX - HASH_SIZE)

static const char hex[] = "0123456789ABCDEF";

/* An encoded component while it grows. Once it is over SFS_COMPONENT_MAX only `prefix` counts. */
struct component {
	char text[SFS_COMPONENT_MAX + 1];
	size_t len;
	size_t prefix; /* longest whole encoded characters within PREFIX_MAX */
	bool over;
};

static void add_bytes(struct component *c, const char *s, size_t n, bool encode)
{
	size_t width = encode ? 3 * n : n;
	if (c->over || c->len + width > SFS_COMPONENT_MAX) {
		c->over = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned char b = (unsigned char)s[i];
		if (!encode) {
			c->text[c->len++] = s[i];
			continue;
		}
		c->text[c->len++] = '%';
		c->text[c->len++] = hex[b >> 4];
		c->text[c->len++] = hex[b & 15];
	}
	if (c->len <= PREFIX_MAX)
		c->prefix = c->len;
}

bool name_is_reserved_root(const char *component)
{
	static const char *const views[] = {".versions", ".fields", ".json", ".nocache", ".meta",
		".rendered", ".control", ".next"};
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (!strcmp(component, views[i]))
			return true;
	return false;
}

/* Number of leading bytes that must be encoded although they are ordinary characters. */
static size_t special_lead(const char *raw, size_t len, bool at_root)
{
	char text[16]; /* longer than each reserved name */
	if (len == 0 || len >= sizeof(text) || raw[0] != '.')
		return 0;
	if (len == 1 || (len == 2 && raw[1] == '.'))
		return len;
	memcpy(text, raw, len);
	text[len] = '\0';
	return !strcmp(text, NAME_VALUE) || (at_root && name_is_reserved_root(text));
}

/* The component of provider bytes `raw`: its length in `out`, or -EIO. `out` has room for
 * SFS_COMPONENT_MAX + 1. */
static int encode_component(const char *raw, size_t len, bool at_root, char *out)
{
	struct component c = {.len = 0};
	size_t lead = special_lead(raw, len, at_root);
	for (size_t i = 0, n; i < len && !c.over; i += n) {
		uint32_t code = 0;
		n = utf8_decode((const unsigned char *)raw + i, len - i, &code);
		bool encode =
			n == 0 || i < lead || code == '%' || code == '/' || text_is_control(code);
		n = n ? n : 1;
		add_bytes(&c, raw + i, n, encode);
	}
	if (!c.over) {
		memcpy(out, c.text, c.len);
		return (int)c.len;
	}
	memcpy(out, c.text, c.prefix);
	memcpy(out + c.prefix, "%~", 2);
	if (hash_hex(raw, len, out + c.prefix + 2, HASH_DIGITS) < 0)
		return -EIO;
	return (int)(c.prefix + HASH_SIZE);
}

/* Length of the component at the start of `name`: it ends at the first '/' that has something on
 * either side. */
static size_t component_length(const char *name, size_t len)
{
	for (size_t i = 1; i + 1 < len; i++)
		if (name[i] == '/' && name[i + 1] != '/')
			return i;
	return len;
}

static int check_name(const char *name, size_t len)
{
	if (len == 0 || (len <= SFS_NAME_MAX && memchr(name, '\0', len)))
		return -EINVAL;
	return len <= SFS_NAME_MAX ? 0 : -ENAMETOOLONG;
}

static int append(struct buf *out, const char *text, size_t len)
{
	int r = buf_add(out, text, len);
	return r == -EFBIG ? -ENAMETOOLONG : r;
}

int name_encode(struct buf *out, const char *name, size_t len)
{
	/* Filled first and appended in one go, so that `out` is untouched on failure. */
	char path[SFS_PATH_MAX + 1 + SFS_COMPONENT_MAX + 1];
	size_t used = 0;
	int r = check_name(name, len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len;) {
		size_t n = component_length(name + i, len - i);
		if (i)
			path[used++] = '/';
		r = encode_component(name + i, n, i == 0, path + used);
		if (r < 0)
			return r;
		used += (size_t)r;
		if (used > SFS_PATH_MAX)
			return -ENAMETOOLONG;
		i += n + 1; /* with the separator */
	}
	return append(out, path, used);
}

int name_encode_component(struct buf *out, const char *name, size_t len, bool reserved_root)
{
	char text[SFS_COMPONENT_MAX + 1];
	int r = check_name(name, len);
	if (r == 0)
		r = encode_component(name, len, reserved_root, text);
	return r < 0 ? r : append(out, text, (size_t)r);
}

static int hex_digit(char c)
{
	const char *d = c ? strchr(hex, c >= 'a' && c <= 'f' ? c - 0x20 : c) : NULL;
	return d ? (int)(d - hex) : -1;
}

/* True for "%~" and its digits as the end of a component. */
static bool is_hash(const char *s, size_t len)
{
	if (len < HASH_SIZE || s[1] != '~' || (len > HASH_SIZE && s[HASH_SIZE] != '/'))
		return false;
	for (size_t i = 2; i < HASH_SIZE; i++)
		if (hex_digit(s[i]) < 0)
			return false;
	return true;
}

/* One '%' escape: its length and byte. -EINVAL for a bad one; a hash gives the byte 0. */
static int decode_escape(const char *s, size_t len, char *ret_byte)
{
	if (is_hash(s, len)) {
		*ret_byte = '\0';
		return HASH_SIZE;
	}
	int high = len >= 3 ? hex_digit(s[1]) : -1;
	int low = len >= 3 ? hex_digit(s[2]) : -1;
	if (high < 0 || low < 0 || (high | low) == 0)
		return -EINVAL;
	*ret_byte = (char)(high << 4 | low);
	return 3;
}

static bool empty_component(const char *path, size_t len, size_t i)
{
	return path[i] == '/' && (i == 0 || i + 1 == len || path[i + 1] == '/');
}

int name_decode(struct buf *out, const char *path, size_t len)
{
	char name[SFS_PATH_MAX];
	size_t used = 0;
	bool hashed = false;
	if (len == 0 || len > SFS_PATH_MAX)
		return len ? -ENAMETOOLONG : -EINVAL;
	for (size_t i = 0; i < len;) {
		int n = 1;
		if (path[i] == '\0' || empty_component(path, len, i))
			return -EINVAL;
		if (path[i] == '%')
			n = decode_escape(path + i, len - i, &name[used]);
		else
			name[used] = path[i];
		if (n < 0)
			return n;
		hashed = hashed || n == HASH_SIZE;
		used++;
		i += (size_t)n;
	}
	return hashed ? -ENOTUNIQ : append(out, name, used);
}
