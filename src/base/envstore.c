/* SPDX-License-Identifier: Apache-2.0 */
#include "base/envstore.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct env_var {
	char *name; /* owned */
	struct secret *value;
	size_t order; /* place in the source: the first of equal names wins, as in getenv(3) */
};

struct envstore {
	struct env_var *vars; /* sorted by name, unique */
	size_t n, cap;
	char **patterns; /* asked for at mount; owned */
	size_t npatterns;
};

#define FD_NAME	 "fd:" /* and the number */
#define FD_CHUNK 4096  /* small, because it lives in the secret arena */

bool env_matches(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);
	if (strncmp(name, FD_NAME, strlen(FD_NAME)) == 0)
		return false;
	if (len && pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static bool wanted(const char *const *patterns, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (env_matches(patterns[i], name))
			return true;
	return false;
}

static void var_clear(struct env_var *v)
{
	mem_free(v->name);
	secret_unref(v->value);
}

void envstore_free(struct envstore *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		var_clear(&s->vars[i]);
	for (size_t i = 0; i < s->npatterns; i++)
		mem_free(s->patterns[i]);
	mem_free(s->patterns);
	mem_free(s->vars);
	mem_free(s);
}

static void envstore_free_p(struct envstore **s)
{
	envstore_free(*s);
}

/* Takes over `name`, also on error. */
static int add(struct envstore *s, char *name, const char *value, size_t len, struct sfs_err *err)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct env_var *vars = name ? mem_realloc(s->vars, cap, sizeof(*vars)) : NULL;
		if (!vars) {
			mem_free(name);
			return err_set(err, ENOMEM, "keep the environment variables: no memory");
		}
		s->vars = vars;
		s->cap = cap;
	}
	struct secret *bytes = name ? secret_new(value, len) : NULL;
	if (!bytes) {
		err_set(err, ENOMEM,
			"keep environment variable %s (%zu bytes): no secret memory left",
			name ? name : "", len);
		mem_free(name);
		return -ENOMEM;
	}
	s->vars[s->n] = (struct env_var){.name = name, .value = bytes, .order = s->n};
	s->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct env_var *x = a, *y = b;
	int c = strcmp(x->name, y->name);
	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static void sort_unique(struct envstore *s)
{
	size_t kept = 0;
	if (s->n)
		qsort(s->vars, s->n, sizeof(*s->vars), by_name);
	for (size_t i = 0; i < s->n; i++)
		if (kept && strcmp(s->vars[kept - 1].name, s->vars[i].name) == 0)
			var_clear(&s->vars[i]);
		else
			s->vars[kept++] = s->vars[i];
	s->n = kept;
}

static int add_pattern(struct envstore *s, const char *pattern, size_t len, struct sfs_err *err)
{
	char *copy = mem_strndup(pattern, len);
	char **v = copy ? mem_realloc(s->patterns, s->npatterns + 1, sizeof(*v)) : NULL;
	if (!v) {
		mem_free(copy);
		return err_set(err, ENOMEM, "keep the environment variables: no memory");
	}
	s->patterns = v;
	v[s->npatterns++] = copy;
	return 0;
}

int envstore_take(char *const *environment, const char *const *patterns, size_t n,
	struct envstore **ret, struct sfs_err *err)
{
	_cleanup_(envstore_free_p) struct envstore *s = mem_calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "keep the environment variables: no memory");
	for (size_t i = 0; i < n; i++) {
		int r = add_pattern(s, patterns[i], strlen(patterns[i]), err);
		if (r < 0)
			return r;
	}
	for (; environment && *environment; environment++) {
		const char *eq = strchr(*environment, '=');
		if (!eq || eq == *environment)
			continue;
		char *name = mem_strndup(*environment, (size_t)(eq - *environment));
		if (name && !wanted(patterns, n, name)) {
			mem_free(name);
			continue;
		}
		int r = add(s, name, eq + 1, strlen(eq + 1), err);
		if (r < 0)
			return r;
	}
	sort_unique(s);
	*ret = take(s);
	return 0;
}

int envstore_parse(const char *text, size_t len, struct envstore **ret, struct sfs_err *err)
{
	_cleanup_(envstore_free_p) struct envstore *s = mem_calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "keep the environment variables: no memory");
	for (size_t at = 0; at < len;) {
		const char *var = text + at;
		const char *end = memchr(var, '\0', len - at);
		const char *eq = end ? memchr(var, '=', (size_t)(end - var)) : NULL;
		if (!eq)
			return err_set(err, EINVAL,
				"malformed list of environment variables at byte %zu of %zu", at,
				len);
		size_t rest = (size_t)(end - eq - 1);
		int r = eq == var ? add_pattern(s, eq + 1, rest, err)
				  : add(s, mem_strndup(var, (size_t)(eq - var)), eq + 1, rest, err);
		if (r < 0)
			return r;
		at += (size_t)(end - var) + 1;
	}
	sort_unique(s);
	*ret = take(s);
	return 0;
}

int envstore_put(
	struct envstore *s, const char *name, const struct secret *value, struct sfs_err *err)
{
	int r = add(s, mem_strdup(name), (const char *)secret_bytes(value), secret_len(value), err);
	if (r == 0)
		sort_unique(s);
	return r;
}

static int read_all(int fd, struct buf *text)
{
	for (;;) {
		char *room = buf_reserve(text, FD_CHUNK);
		ssize_t n = room ? read(fd, room, FD_CHUNK) : -1;
		if (!room)
			return -text->failed;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			buf_advance(text, (size_t)n);
	}
}

int envstore_read(int fd, struct envstore **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(SFS_SOURCE_MAX);
	int r = read_all(fd, &text);
	if (r < 0)
		return err_errno(err, -r, "read the environment taken at mount");
	return envstore_parse(text.data ? text.data : "", text.len, ret, err);
}

int envstore_add_fd(struct envstore *s, int number, int fd, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(SFS_REF_MAX + FD_CHUNK);
	int r = read_all(fd, &text);
	if (r == -EFBIG)
		return err_set(
			err, EFBIG, "descriptor %d gives more than %d bytes", number, SFS_REF_MAX);
	if (r < 0)
		return err_errno(err, -r, "read descriptor %d", number);
	size_t len = text.len;
	if (len && text.data[len - 1] == '\n')
		len--;
	if (len && text.data[len - 1] == '\r')
		len--;
	if (len > SFS_REF_MAX)
		return err_set(
			err, EFBIG, "descriptor %d gives more than %d bytes", number, SFS_REF_MAX);
	if (!len || memchr(text.data, '\0', len))
		return err_set(err, EINVAL, "descriptor %d gives %s, which is no credential",
			number, len ? "a NUL" : "nothing");
	r = add(s, mem_asprintf(FD_NAME "%d", number), text.data, len, err);
	if (r == 0)
		sort_unique(s);
	return r;
}

static bool covers(const char *taken, const char *pattern)
{
	size_t len = strlen(taken);
	if (strcmp(taken, pattern) == 0)
		return true;
	return len && taken[len - 1] == '*' && strncmp(taken, pattern, len - 1) == 0;
}

bool envstore_covers(const struct envstore *s, const char *pattern)
{
	for (size_t i = 0; i < s->npatterns; i++)
		if (covers(s->patterns[i], pattern))
			return true;
	return false;
}

static int write_pattern(int fd, const char *pattern)
{
	struct iovec iov[] = {
		{.iov_base = (char[]){'='}, .iov_len = 1},
		{.iov_base = (void *)(uintptr_t)pattern, .iov_len = strlen(pattern) + 1},
	};
	ssize_t n = writev(fd, iov, 2);
	if (n < 0)
		return -errno;
	return (size_t)n == iov[0].iov_len + iov[1].iov_len ? 0 : -EIO;
}

static int write_var(int fd, const struct env_var *v)
{
	struct iovec iov[] = {
		{.iov_base = v->name, .iov_len = strlen(v->name)},
		{.iov_base = (char[]){'='}, .iov_len = 1},
		{.iov_base = (void *)(uintptr_t)secret_bytes(v->value),
			.iov_len = secret_len(v->value)},
		{.iov_base = (char[]){'\0'}, .iov_len = 1},
	};
	size_t total = 0;
	for (size_t i = 0; i < 4; i++)
		total += iov[i].iov_len;
	ssize_t n = writev(fd, iov, 4);
	if (n < 0)
		return -errno;
	return (size_t)n == total ? 0 : -EIO; /* memory files do not write short */
}

int envstore_memfd(const struct envstore *s, int *ret_fd, struct sfs_err *err)
{
	char path[40];
	_cleanup_close_ int fd = memfd_create("secretfs-env", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_errno(err, errno, "make a memory file for the environment variables");
	for (size_t i = 0; i < s->npatterns; i++) {
		int r = write_pattern(fd, s->patterns[i]);
		if (r < 0)
			return err_errno(err, -r, "write environment variables to a memory file");
	}
	for (size_t i = 0; i < s->n; i++) {
		int r = write_var(fd, &s->vars[i]);
		if (r < 0)
			return err_errno(err, -r, "write environment variable %s to a memory file",
				s->vars[i].name);
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return err_errno(err, errno, "seal the memory file of the environment variables");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reader = open(path, O_RDONLY | O_CLOEXEC); /* from its start, and not for writing */
	if (reader < 0)
		return err_errno(err, errno, "open the memory file of the environment variables");
	*ret_fd = reader;
	return 0;
}

size_t envstore_count(const struct envstore *s)
{
	return s->n;
}

const char *envstore_name(const struct envstore *s, size_t i)
{
	return s->vars[i].name;
}

static int name_cmp(const void *key, const void *var)
{
	return strcmp(key, ((const struct env_var *)var)->name);
}

struct secret *envstore_get(const struct envstore *s, const char *name)
{
	const struct env_var *v = s->n ? bsearch(name, s->vars, s->n, sizeof(*v), name_cmp) : NULL;
	return v ? secret_ref(v->value) : NULL;
}

/* Where the kernel put the initial environment: fields 50 and 51 of /proc/self/stat (proc(5)),
 * counted from the ')' that ends the name of the program. */
static bool initial_environment(char **lo, char **hi)
{
	char line[2048];
	unsigned long start = 0, end = 0;
	_cleanup_close_ int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	char *p = strrchr(line, ')');
	for (int field = 2; p && field < 50; field++)
		p = strchr(p + 1, ' ');
	if (!p || sscanf(p, " %lu %lu", &start, &end) != 2 || start == 0 || end < start)
		return false;
	*lo = (char *)start;
	*hi = (char *)end;
	return true;
}

static void wipe_strings(void)
{
	char *lo, *hi;
	if (initial_environment(&lo, &hi)) { /* also what was taken out of `environ` before */
		secret_wipe(lo, (size_t)(hi - lo));
		return;
	}
	for (char **e = environ; e && *e; e++)
		secret_wipe(*e, strlen(*e));
}

void env_wipe(const char *const *keep, size_t n)
{
	char **kept = n ? mem_calloc(n, sizeof(*kept)) : NULL;
	for (size_t i = 0; kept && i < n; i++)
		kept[i] = mem_strdup(getenv(keep[i]));
	wipe_strings();
	clearenv();
	for (size_t i = 0; kept && i < n; i++) {
		if (kept[i])
			setenv(keep[i], kept[i], 1);
		mem_free(kept[i]);
	}
	mem_free(kept);
}
