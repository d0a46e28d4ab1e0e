/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a source. A file is watched by name in its directory (and in each directory on the way
 * of its links), never by inode, so that a replacement by rename, the swap of Kubernetes' `..data`
 * and an editor's dance are seen. Events are collected until they rest for FILE_SETTLE. Where
 * inotify cannot serve (its limits reached, a file system of another machine) the source is looked
 * at every two seconds.
 */
#include "backends/file_impl.h"
#include "backends/file_watchset.h"

#include "base/cleanup.h"
#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#define POLL_MS 2000 /* between two looks without inotify */
#define RECHECK_MS \
	10000 /* between two looks with it: a directory removed while in use gives no event */
#define BURST_MS     500   /* longest collection of events */
#define RETRY_POLLS  30	   /* looks until inotify is tried again */
#define CHANGES_MAX  64	   /* names reported one by one; above, one NULL */
#define CHANGES_SIZE 16384 /* bytes of these names */

struct watcher {
	struct file_state *st;
	struct watchset set;
	struct watch_sink *sink;
	struct sfs_err *err;
	bool aliases;  /* one file may be shown under two names: names cannot be reported */
	uint64_t seen; /* signature at the last report */
	/* the burst being collected */
	bool any, resync, all;
	struct buf changed; /* NUL-terminated names */
	size_t nchanged;
};

static void watcher_clear(struct watcher *w)
{
	atomic_store(&w->st->watched, false);
	watchset_clear(&w->set);
	buf_clear(&w->changed);
}

/* What the last component of `path` is called; *ret_dir gets the rest (mem_free). NULL for the root
 * or on no memory. */
static const char *split_path(const char *path, char **ret_dir)
{
	const char *slash = strrchr(path, '/');
	if (!slash || !slash[1])
		return NULL;
	*ret_dir = mem_strndup(path, slash > path ? (size_t)(slash - path) : 1);
	return *ret_dir ? slash + 1 : NULL;
}

/* A directory that is missing is waited for in its parent. */
static int add_or_parent(struct watcher *w, const char *dir, const char *name)
{
	_cleanup_free_ char *parent = NULL;
	int rc = watchset_add(&w->set, dir, name, NULL, w->err);
	if (rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	name = split_path(dir, &parent);
	return name ? add_or_parent(w, parent, name) : rc;
}

static int visit_chain(void *arg, const char *dir, const char *name)
{
	struct watcher *w = arg;
	int rc = add_or_parent(w, dir, name);
	/* A directory that is only passed may be closed to us: should it be replaced, the next look
	 * tells. */
	return !name && (rc == -EACCES || rc == -EPERM) ? 0 : rc;
}

static int visit_dir(void *arg, const char *rel, const char *canonical, int fd)
{
	struct watcher *w = arg;
	(void)fd;
	int rc = watchset_add(&w->set, canonical, NULL, rel, w->err);
	return rc == -EACCES || rc == -EPERM || rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

static int visit_link(void *arg, const char *path)
{
	struct watcher *w = arg;
	int rc = chain_walk(w->st->env->paths, path, visit_chain, w, w->err);
	return rc == -EACCES || rc == -EPERM || rc == -ELOOP || rc == -ENAMETOOLONG ? 0 : rc;
}

static bool is_absence(int rc)
{
	return rc == -ENOENT || rc == -ENOTDIR;
}

/* Makes the set fit what is there now. */
static int resync(struct watcher *w)
{
	struct tree_visitor v = {.dir = visit_dir, .link = visit_link, .arg = w};
	struct tree_stats stats = {0};
	watchset_begin(&w->set);
	int rc = chain_walk(w->st->env->paths, w->st->path, visit_chain, w, w->err);
	if (!rc && w->st->tree)
		rc = tree_walk(w->st, NULL, &v, &stats, w->err);
	watchset_end(&w->set);
	w->aliases = stats.aliases;
	return is_absence(rc) ? 0 : rc;
}

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;
	/* FNV-1a; only compared with itself. The analyzer loses sight of words taken as bytes. */
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3); /* NOLINT(clang-analyzer-core.*) */
	return h;
}

static uint64_t mix_stamp(uint64_t h, const struct file_stamp *s)
{
	int64_t v[] = {(int64_t)s->dev, (int64_t)s->ino, s->size, s->mtime, s->ctime};
	return mix(h, v, sizeof(v));
}

static int sign_file(void *arg, const char *rel, const struct stat *sb)
{
	uint64_t *h = arg;
	struct file_stamp s = file_stamp_of(sb);
	*h = mix_stamp(mix(*h, rel, strlen(rel) + 1), &s);
	return 0;
}

/* Changes whenever the source does. A tree is summed up whole, or, with `brief`, by its root
 * directory. */
static uint64_t signature(struct file_state *st, bool brief)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	struct file_stamp s = {0};
	if (!st->tree) {
		s = file_look(st);
	} else if (brief) {
		_cleanup_close_ int fd = -1;
		struct stat sb;
		if (path_open_dir(st->env->paths, st->path, NULL, &fd, NULL) == 0 &&
			fstat(fd, &sb) == 0)
			s = (struct file_stamp){.dev = sb.st_dev, .ino = sb.st_ino};
	} else {
		struct tree_visitor v = {.file = sign_file, .arg = &h};
		struct tree_stats stats;
		if (tree_walk(st, NULL, &v, &stats, NULL) < 0)
			return 0;
	}
	return mix_stamp(h, &s);
}

/* Notes an event; the state is told at once, the core after the burst. */
static void on_event(void *arg, enum event_kind kind, const char *rel, const char *name)
{
	struct watcher *w = arg;
	w->any = true;
	atomic_fetch_add(&w->st->events, 1);
	if (kind != EVENT_CONTENT)
		w->resync = true;
	if (kind != EVENT_CONTENT || !rel || !*name || w->aliases || w->nchanged == CHANGES_MAX) {
		w->all = true;
		return;
	}
	if (*name == '.' && name[1] == '.')
		return; /* not shown */
	if ((*rel && (buf_str(&w->changed, rel) < 0 || buf_char(&w->changed, '/') < 0)) ||
		buf_add(&w->changed, name, strlen(name) + 1) < 0)
		w->all = true;
	w->nchanged++;
}

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts); /* the kernel's: events do not follow a test's clock */
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits for an event and then until they rest, or until it is time for a look of our own. Returns 1
 * to stop. */
static int collect(struct watcher *w, int stop_fd)
{
	w->any = w->resync = w->all = false;
	w->nchanged = 0;
	buf_reset(&w->changed);
	int rc = watchset_wait(&w->set, stop_fd, RECHECK_MS, on_event, w);
	int64_t end = now_ms() + BURST_MS;
	while (!rc && w->any && now_ms() < end) {
		w->any = false;
		rc = watchset_wait(
			&w->set, stop_fd, (int)(FILE_SETTLE / NSEC_PER_MSEC), on_event, w);
	}
	return rc;
}

static void report(struct watcher *w)
{
	w->seen = signature(w->st, true);
	if (w->all || w->changed.failed) {
		watch_changed(w->sink, NULL);
		return;
	}
	const char *name = buf_text(&w->changed), *end = name + w->changed.len;
	for (const char *last = ""; name < end; last = name, name += strlen(name) + 1)
		if (strcmp(last, name) != 0)
			watch_changed(w->sink, name);
}

/* Follows by inotify. Returns 1 to stop, -ENOSPC or -EMFILE when inotify is at its limits, or
 * another error. */
static int follow_events(struct watcher *w, int stop_fd)
{
	int rc = resync(w);
	w->all = true;
	while (!rc) {
		atomic_store(&w->st->watched, true);
		report(w);
		do {
			rc = collect(w, stop_fd);
			w->all |= !rc && signature(w->st, true) != w->seen;
		} while (!rc && !w->all && !w->nchanged);
		if (!rc && (w->resync || w->all))
			rc = resync(w);
	}
	atomic_store(&w->st->watched, false);
	return rc;
}

/* Looks every two seconds, at most `rounds` times. Returns 1 to stop. */
static int follow_by_looking(struct watcher *w, int stop_fd, unsigned rounds)
{
	struct pollfd p = {.fd = stop_fd, .events = POLLIN};
	uint64_t seen = signature(w->st, false);
	watch_changed(w->sink, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		if (poll(&p, 1, POLL_MS) > 0)
			return 1;
		uint64_t now = signature(w->st, false);
		if (now != seen)
			watch_changed(w->sink, NULL);
		seen = now;
	}
	return 0;
}

/* inotify tells nothing of what another machine writes. */
static bool is_remote(struct file_state *st)
{
	static const unsigned long types[] = {0x6969 /* NFS */, 0xff534d42 /* CIFS */,
		0xfe534d42 /* SMB2 */, 0x517b /* SMB */, 0x65735546 /* FUSE */, 0x01021997 /* 9P */,
		0x00c36400 /* Ceph */, 0x5346414f /* AFS */, 0x73757245 /* Coda */};
	_cleanup_close_ int fd = -1;
	struct statfs sf;
	int rc = st->tree ? path_open_dir(st->env->paths, st->path, NULL, &fd, NULL)
			  : path_open_file(st->env->paths, st->path, NULL, &fd, NULL);
	if (rc || fstatfs(fd, &sf) < 0)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (((unsigned long)sf.f_type & 0xffffffffUL) == types[i])
			return true;
	return false;
}

/* What looking at the source from time to time can make up for. */
static bool can_look(int rc)
{
	return rc == -ENOSPC || rc == -EMFILE || rc == -EACCES || rc == -EPERM || rc == -ENOSYS;
}

static int follow_once(struct watcher *w, int stop_fd)
{
	const char *instance = w->st->env->instance;
	if (is_remote(w->st)) {
		log_info("file/%s: %s lies on a network file system: it is looked at every %d s",
			instance, w->st->path, POLL_MS / 1000);
		return follow_by_looking(w, stop_fd, UINT32_MAX);
	}
	int rc = watchset_init(&w->set, w->st->env->paths, w->err);
	if (!rc)
		rc = follow_events(w, stop_fd);
	watchset_clear(&w->set);
	if (!can_look(rc))
		return rc;
	bool limit = rc == -ENOSPC || rc == -EMFILE;
	log_warn("file/%s: cannot follow %s by inotify (%s): it is looked at every %d s%s",
		instance, w->st->path, strerror(-rc), POLL_MS / 1000,
		limit ? "; raise fs.inotify.max_user_watches and max_user_instances" : "");
	return follow_by_looking(w, stop_fd, RETRY_POLLS);
}

int file_watch(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err)
{
	_cleanup_(watcher_clear) struct watcher w = {
		.st = state,
		.set = {.fd = -1},
		.sink = sink,
		.err = err,
		.changed = BUF_INIT(CHANGES_SIZE),
	};
	int rc;
	do
		rc = follow_once(&w, stop_fd);
	while (rc == 0);
	return rc > 0 ? 0 : err_set(err, -rc, "following %s failed: %s", w.st->path, strerror(-rc));
}
