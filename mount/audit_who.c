/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/audit_who.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS	  256
#define REMEMBER  (100 * NSEC_PER_MSEC)
#define START_AT  19 /* fields from the state to the start time in /proc/TID/stat */
#define STAT_MAX  1024
#define TEXT_MAX  8192 /* status, cgroup: a path and a few lines */
#define PROC_PATH 64

struct row {
	pid_t tid;
	uint64_t start;
	int64_t until;
	struct audit_who *who; /* a reference, or NULL */
};

struct audit_ids {
	const char *proc;
	int (*exe)(void *arg, pid_t tid, char **ret);
	void *arg;
	pthread_mutex_t lock; /* protects the rows; a leaf */
	struct row rows[ROWS];
};

/* What tells one program of a thread from the next. */
struct key {
	pid_t tid;
	uint64_t start;
	char comm[AUDIT_COMM_MAX + 1];
};

void audit_who_unref(struct audit_who *w)
{
	if (!w || atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	mem_free(w->exe);
	mem_free(w->cgroup);
	mem_free(w);
}

int audit_parse_stat(
	const char *text, size_t len, char ret_comm[AUDIT_COMM_MAX + 1], uint64_t *ret_start)
{
	const char *open = memchr(text, '(', len);
	const char *close = memrchr(text, ')', len); /* comm may hold brackets of its own */
	unsigned long long start;
	char *end;
	if (!open || !close || close < open)
		return -EBADMSG;
	size_t n = (size_t)(close - open) - 1;
	const char *p = close + 1;
	for (int i = 0; i < START_AT; i++) {
		p += strspn(p, " ");
		p += strcspn(p, " ");
	}
	p += strspn(p, " ");
	if (!isdigit((unsigned char)*p))
		return -EBADMSG;
	start = strtoull(p, &end, 10);
	if (*end != ' ' && *end != '\n')
		return -EBADMSG;
	n = n < AUDIT_COMM_MAX ? n : AUDIT_COMM_MAX;
	memcpy(ret_comm, open + 1, n);
	ret_comm[n] = '\0';
	*ret_start = start;
	return 0;
}

/* "ID:CONTROLLERS:PATH" lines. */
static const char *cgroup_line(const char *text, const char *middle, size_t *ret_len)
{
	size_t len = strlen(middle);
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *colon = line + strspn(line, "0123456789");
		if (strncmp(colon, middle, len) != 0)
			continue;
		*ret_len = strcspn(colon + len, "\n");
		return colon + len;
	}
	return NULL;
}

const char *audit_parse_cgroup(const char *text, size_t *ret_len)
{
	const char *path = cgroup_line(text, "::", ret_len);
	return path ? path : cgroup_line(text, ":name=systemd:", ret_len);
}

/* The length of the text, or -errno. Cut at size - 1. */
static ssize_t read_proc(
	const struct audit_ids *ids, pid_t tid, const char *name, char *out, size_t size)
{
	char path[PROC_PATH];
	size_t len = 0;
	int n = snprintf(path, sizeof(path), "%s/%d/%s", ids->proc, (int)tid, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size - 1) {
		ssize_t got = read(fd, out + len, size - 1 - len);
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	out[len] = '\0';
	return (ssize_t)len;
}

static int read_key(const struct audit_ids *ids, pid_t tid, struct key *ret)
{
	char text[STAT_MAX];
	if (tid <= 0)
		return -ESRCH;
	ssize_t n = read_proc(ids, tid, "stat", text, sizeof(text));
	ret->tid = tid;
	return n < 0 ? (int)n : audit_parse_stat(text, (size_t)n, ret->comm, &ret->start);
}

static struct row *row_of(struct audit_ids *ids, pid_t tid)
{
	return &ids->rows[(unsigned)tid % ROWS];
}

static struct audit_who *known(struct audit_ids *ids, const struct key *k)
{
	struct audit_who *who = NULL;
	pthread_mutex_lock(&ids->lock);
	const struct row *r = row_of(ids, k->tid);
	if (r->who && r->tid == k->tid && r->start == k->start && clock_boot() < r->until &&
		strcmp(r->who->comm, k->comm) == 0) {
		who = r->who;
		atomic_fetch_add(&who->refs, 1);
	}
	pthread_mutex_unlock(&ids->lock);
	return who;
}

static void remember(struct audit_ids *ids, const struct key *k, struct audit_who *who)
{
	pthread_mutex_lock(&ids->lock);
	struct row *r = row_of(ids, k->tid);
	struct audit_who *old = r->who;
	*r = (struct row){k->tid, k->start, clock_boot() + REMEMBER, who};
	atomic_fetch_add(&who->refs, 1);
	pthread_mutex_unlock(&ids->lock);
	audit_who_unref(old);
}

static pid_t read_pid(const struct audit_ids *ids, pid_t tid)
{
	char text[TEXT_MAX];
	const char *at = read_proc(ids, tid, "status", text, sizeof(text)) > 0
				 ? strstr(text, "\nTgid:\t")
				 : NULL;
	return at ? (pid_t)strtol(at + strlen("\nTgid:\t"), NULL, 10) : 0;
}

static char *read_cgroup(const struct audit_ids *ids, pid_t tid)
{
	char text[TEXT_MAX];
	size_t len;
	const char *path = read_proc(ids, tid, "cgroup", text, sizeof(text)) > 0
				   ? audit_parse_cgroup(text, &len)
				   : NULL;
	return path ? mem_strndup(path, len) : NULL;
}

struct audit_who *audit_ids_known(struct audit_ids *ids, pid_t tid)
{
	struct key k;
	return read_key(ids, tid, &k) == 0 ? known(ids, &k) : NULL;
}

struct audit_who *audit_ids_find(struct audit_ids *ids, pid_t tid)
{
	struct key k = {0};
	bool there = read_key(ids, tid, &k) == 0;
	struct audit_who *who = there ? known(ids, &k) : NULL;
	if (who)
		return who;
	who = mem_calloc(1, sizeof(*who));
	if (!who)
		return NULL;
	atomic_init(&who->refs, 1);
	if (!there)
		return who;
	who->seen = true;
	memcpy(who->comm, k.comm, sizeof(who->comm));
	who->pid = read_pid(ids, tid);
	who->cgroup = read_cgroup(ids, tid);
	ids->exe(ids->arg, tid, &who->exe);
	remember(ids, &k, who);
	return who;
}

int audit_ids_new(const char *proc, int (*exe)(void *arg, pid_t tid, char **ret), void *arg,
	struct audit_ids **ret)
{
	struct audit_ids *ids = mem_calloc(1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	ids->proc = proc;
	ids->exe = exe;
	ids->arg = arg;
	pthread_mutex_init(&ids->lock, NULL);
	*ret = ids;
	return 0;
}

void audit_ids_free(struct audit_ids *ids)
{
	if (!ids)
		return;
	for (size_t i = 0; i < ROWS; i++)
		audit_who_unref(ids->rows[i].who);
	pthread_mutex_destroy(&ids->lock);
	mem_free(ids);
}
