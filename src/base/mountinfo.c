/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mountinfo.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* 100,000 mounts, the kernel's own default limit, of 640 bytes. */
#define MOUNTINFO_MAX (64UL << 20)

struct field {
	const char *s;
	size_t len;
};

/* The next field of a line; fields are parted by exactly one blank, so that an empty source stays a
 * field. */
static bool next_field(const char **at, const char *end, struct field *f)
{
	if (!*at)
		return false;
	const char *blank = memchr(*at, ' ', (size_t)(end - *at));
	f->s = *at;
	f->len = (size_t)((blank ? blank : end) - *at);
	*at = blank ? blank + 1 : NULL;
	return true;
}

static bool field_is(const struct field *f, const char *s)
{
	return f->len == strlen(s) && memcmp(f->s, s, f->len) == 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* \040 and so on back to bytes; NULL on no memory. */
static char *unescape(const struct field *f)
{
	char *out = mem_strndup(f->s, f->len);
	char *to = out;
	if (!out)
		return NULL;
	for (size_t i = 0; i < f->len; i++) {
		const char *s = f->s + i;
		if (*s == '\\' && f->len - i >= 4 && s[1] <= '3' && is_octal(s[1]) &&
			is_octal(s[2]) && is_octal(s[3])) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			i += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	return out;
}

static bool number(const struct field *f, uint64_t max, uint64_t *ret)
{
	char digits[24];
	if (f->len == 0 || f->len >= sizeof(digits))
		return false;
	memcpy(digits, f->s, f->len);
	digits[f->len] = '\0';
	return parse_u64(digits, max, ret) == 0;
}

static bool device(const struct field *f, dev_t *ret)
{
	const char *colon = memchr(f->s, ':', f->len);
	uint64_t major, minor;
	if (!colon)
		return false;
	struct field a = {f->s, (size_t)(colon - f->s)};
	struct field b = {colon + 1, f->len - a.len - 1};
	if (!number(&a, 0xfff, &major) || !number(&b, 0xfffff, &minor))
		return false;
	*ret = makedev((unsigned)major, (unsigned)minor);
	return true;
}

static void entry_clear(struct mount_entry *e)
{
	mem_free(e->root);
	mem_free(e->point);
	mem_free(e->type);
	mem_free(e->source);
}

/* One line: id parent major:minor root point options [tags...] - type source options. 1 = an entry,
 * 0 = malformed, -ENOMEM. */
static int parse_line(const char *at, const char *end, struct mount_entry *ret)
{
	struct field id, parent, dev, root, point, skip, type, source;
	struct mount_entry e = {0};
	uint64_t id_no, parent_no;
	if (!next_field(&at, end, &id) || !next_field(&at, end, &parent) ||
		!next_field(&at, end, &dev) || !next_field(&at, end, &root) ||
		!next_field(&at, end, &point) || !next_field(&at, end, &skip))
		return 0;
	do
		if (!next_field(&at, end, &skip))
			return 0;
	while (!field_is(&skip, "-"));
	if (!next_field(&at, end, &type) || !next_field(&at, end, &source))
		return 0;
	if (!number(&id, INT32_MAX, &id_no) || !number(&parent, INT32_MAX, &parent_no) ||
		!device(&dev, &e.dev))
		return 0;
	e.id = (int)id_no;
	e.parent = (int)parent_no;
	e.root = unescape(&root);
	e.point = unescape(&point);
	e.type = unescape(&type);
	e.source = unescape(&source);
	if (!e.root || !e.point || !e.type || !e.source) {
		entry_clear(&e);
		return -ENOMEM;
	}
	*ret = e;
	return 1;
}

void mountinfo_free(struct mount_entry *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		entry_clear(&m[i]);
	mem_free(m);
}

static int add_line(struct mount_entry **m, size_t *n, size_t *cap, const char *at, const char *end)
{
	if (*n == *cap) {
		size_t more = *cap ? *cap * 2 : 64;
		struct mount_entry *p = mem_realloc(*m, more, sizeof(*p));
		if (!p)
			return -ENOMEM;
		*m = p;
		*cap = more;
	}
	int r = parse_line(at, end, &(*m)[*n]);
	if (r > 0)
		(*n)++;
	return r < 0 ? r : 0;
}

int mountinfo_parse(const char *text, size_t len, struct mount_entry **ret, size_t *ret_n)
{
	struct mount_entry *m = NULL;
	size_t n = 0, cap = 0;
	const char *end = text + len;
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;
		if (add_line(&m, &n, &cap, text, stop) < 0) {
			mountinfo_free(m, n);
			return -ENOMEM;
		}
		text = nl ? nl + 1 : end;
	}
	*ret = m;
	*ret_n = n;
	return 0;
}

static int read_all(int fd, struct buf *b)
{
	for (;;) {
		char *p = buf_reserve(b, 65536);
		if (!p)
			return -b->failed;
		ssize_t n = read(fd, p, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		buf_advance(b, (size_t)n);
	}
}

int mountinfo_read(struct mount_entry **ret, size_t *ret_n, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(MOUNTINFO_MAX);
	_cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "open /proc/self/mountinfo (is /proc mounted?)");
	int r = read_all(fd, &b);
	if (r == 0)
		r = mountinfo_parse(buf_text(&b), b.len, ret, ret_n);
	if (r < 0)
		return err_errno(err, -r, "read /proc/self/mountinfo");
	return 0;
}

static const struct mount_entry *by_id(const struct mount_entry *m, size_t n, int id)
{
	for (size_t i = 0; i < n; i++)
		if (m[i].id == id)
			return &m[i];
	return NULL;
}

/* The mount at "/" that does not stand on another listed one. */
static const struct mount_entry *root_mount(const struct mount_entry *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(m[i].point, "/") == 0 &&
			(m[i].parent == m[i].id || !by_id(m, n, m[i].parent)))
			return &m[i];
	return NULL;
}

/* The topmost mount reached from `at` through those whose point is exactly the first `len` bytes of
 * `path`. */
static const struct mount_entry *climb(const struct mount_entry *m, size_t n,
	const struct mount_entry *at, const char *path, size_t len)
{
	for (size_t steps = 0; steps < n; steps++) { /* a forged list may go round */
		const struct mount_entry *up = NULL;
		for (size_t i = n; i > 0 && !up; i--)
			if (m[i - 1].parent == at->id && &m[i - 1] != at &&
				strlen(m[i - 1].point) == len &&
				memcmp(m[i - 1].point, path, len) == 0)
				up = &m[i - 1];
		if (!up)
			break;
		at = up;
	}
	return at;
}

/* Walks as the kernel does: at each directory of the path into whatever is mounted there. So a
 * mount hidden by another one further up does not count. */
const struct mount_entry *mountinfo_top(const struct mount_entry *m, size_t n, const char *point)
{
	const struct mount_entry *at = root_mount(m, n);
	if (!at) { /* chroot into a plain directory: nothing to walk from */
		for (size_t i = n; i > 0; i--)
			if (strcmp(m[i - 1].point, point) == 0)
				return &m[i - 1];
		return NULL;
	}
	at = climb(m, n, at, "/", 1);
	for (const char *p = point; *p == '/' && p[1];) {
		p += 1 + strcspn(p + 1, "/");
		at = climb(m, n, at, point, (size_t)(p - point));
	}
	return strcmp(at->point, point) == 0 ? at : NULL;
}

/* Absolute, without trailing slashes and "/." parts at the end. */
static int absolute(const char *path, char **ret)
{
	char *abs = NULL;
	if (path[0] == '/') {
		abs = mem_strdup(path);
	} else {
		char cwd[SFS_PATH_MAX];
		if (!getcwd(cwd, sizeof(cwd)))
			return -errno;
		abs = mem_asprintf("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
	}
	if (!abs)
		return -ENOMEM;
	size_t len = strlen(abs);
	for (;;) {
		if (len > 1 && abs[len - 1] == '/')
			len--;
		else if (len > 1 && abs[len - 1] == '.' && abs[len - 2] == '/')
			len--;
		else
			break;
	}
	abs[len] = '\0';
	*ret = abs;
	return 0;
}

/* realpath(3) of the part before the last '/', in our memory. */
static int parent_path(const char *abs, char **ret)
{
	size_t len = (size_t)(strrchr(abs, '/') - abs);
	_cleanup_free_ char *dir = mem_strndup(abs, len ? len : 1);
	if (!dir)
		return -ENOMEM;
	char *real = realpath(dir, NULL);
	if (!real)
		return -errno;
	*ret = mem_strdup(strcmp(real, "/") == 0 ? "" : real);
	free(real);
	return *ret ? 0 : -ENOMEM;
}

/* One round: the parents resolved, and what the last component points to if it is a link.
 * readlink(2) asks a mounted file system nothing: it sees that the root of the mount is no link. 1
 * = a link, *ret is to be resolved again. */
static int resolve_once(const char *abs, char **ret)
{
	_cleanup_free_ char *dir = NULL;
	char link[SFS_PATH_MAX];
	const char *base = strrchr(abs, '/') + 1;
	int r = parent_path(abs, &dir);
	if (r < 0)
		return r;
	_cleanup_free_ char *full = mem_asprintf("%s/%s", dir, base);
	if (!full)
		return -ENOMEM;
	ssize_t n = readlink(full, link, sizeof(link) - 1);
	if (n < 0 && errno != EINVAL)
		return -errno;
	if (n < 0) {
		*ret = take(full);
		return 0;
	}
	link[n] = '\0';
	*ret = link[0] == '/' ? mem_strdup(link) : mem_asprintf("%s/%s", dir, link);
	return *ret ? 1 : -ENOMEM;
}

/* A path that ends in ".." names a directory above, which is no mount of ours to be careful with.
 */
static int resolve_dotdot(const char *abs, char **ret)
{
	char *real = realpath(abs, NULL);
	if (!real)
		return -errno;
	*ret = mem_strdup(real);
	free(real);
	return *ret ? 0 : -ENOMEM;
}

int mountpoint_canonical(const char *path, char **ret, struct sfs_err *err)
{
	_cleanup_free_ char *at = mem_strdup(path);
	int r = !at ? -ENOMEM : *path ? 1 : -ENOENT;
	if (r > 0 && strlen(path) >= SFS_PATH_MAX)
		r = -ENAMETOOLONG;
	for (int links = 0; r > 0; links++) {
		_cleanup_free_ char *abs = NULL;
		char *next = NULL;
		r = links > SFS_PATH_LINKS ? -ELOOP : absolute(at, &abs);
		if (r < 0)
			break;
		size_t len = strlen(abs);
		if (len >= 3 && strcmp(abs + len - 3, "/..") == 0)
			r = resolve_dotdot(abs, &next);
		else if (strcmp(abs, "/") == 0)
			r = (next = mem_strdup("/")) ? 0 : -ENOMEM;
		else
			r = resolve_once(abs, &next);
		if (r >= 0) {
			mem_free(at);
			at = next;
		}
	}
	if (r < 0)
		return err_errno(err, -r, "%s", path);
	*ret = take(at);
	return 0;
}
