/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/file_watchset.h"

#include "base/cleanup.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#define HASH_NONFATAL_OOM	 1
#define uthash_malloc(n)	 mem_calloc(1, n)
#define uthash_free(p, n)	 mem_free(p)
#define uthash_nonfatal_oom(elt) ((elt)->entered = false)
#define HASH_FUNCTION(k, n, h) \
	HASH_FNV(k, n, h) /* the default one does not compile cleanly with clang */
#include <uthash.h>

#define SELF_MASK  (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define ENTRY_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define ALL_MASK   (SELF_MASK | ENTRY_MASK | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB)
#define OWN_FDS_MAX                                                                               \
	256		/* descriptors the holder may give; more directories than that are polled \
			 */
#define NAMES_MAX 65536 /* names looked for in one directory, NUL-terminated */

struct watched_dir {
	char *path;
	char *rel;	  /* name in the tree: all entries matter; NULL = only `names` */
	struct buf names; /* NUL-terminated, one after the other */
	uint32_t mask;	  /* of the watch; 0 = none yet */
	int wd, fd;	  /* watch on the shared descriptor, or a descriptor of its own; -1 */
	unsigned round;	  /* in which it was added last */
	bool all;	  /* too many names to tell apart */
	bool done;	  /* the watch was made in this round */
	bool entered;
	UT_hash_handle hh, hh_wd;
};

int watchset_init(struct watchset *set, const struct path_env *paths, struct sfs_err *err)
{
	*set = (struct watchset){.paths = paths, .fd = -1};
	/* Without a directory of its own (seccomp) the thread asks path_watch() for each watch. */
	if (unshare(CLONE_FS) < 0)
		return 0;
	set->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return set->fd < 0 ? err_errno(err, errno, "start inotify") : 0;
}

/* Another directory object (a bind mount) may share the watch; then it stays. */
static void unwatch(struct watchset *set, struct watched_dir *d)
{
	if (d->fd >= 0) {
		close(d->fd);
		set->nfds--;
	}
	if (d->wd >= 0) {
		struct watched_dir *same;
		HASH_DELETE(hh_wd, set->by_wd, d);
		HASH_FIND(hh_wd, set->by_wd, &d->wd, sizeof(d->wd), same);
		if (!same)
			inotify_rm_watch(set->fd, d->wd);
	}
	d->wd = d->fd = -1;
	d->mask = 0;
}

static void drop(struct watchset *set, struct watched_dir *d)
{
	unwatch(set, d);
	HASH_DELETE(hh, set->by_path, d);
	mem_free(d->path);
	mem_free(d->rel);
	buf_clear(&d->names);
	mem_free(d);
}

void watchset_clear(struct watchset *set)
{
	while (set->by_path)
		drop(set, set->by_path);
	if (set->fd >= 0)
		close(set->fd);
	set->fd = -1;
}

void watchset_begin(struct watchset *set)
{
	set->round++;
}

void watchset_end(struct watchset *set)
{
	struct watched_dir *d = set->by_path, *next;
	for (; d; d = next) {
		next = d->hh.next;
		if (d->round != set->round)
			drop(set, d);
	}
	/* Not to keep the last watched directory busy; should it fail, that is all that is lost. */
	if (set->fd >= 0)
		(void)!chdir("/");
}

static struct watched_dir *make_dir(struct watchset *set, const char *path)
{
	struct watched_dir *d = mem_calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->wd = d->fd = -1;
	d->names = (struct buf)BUF_INIT(NAMES_MAX);
	d->path = mem_strdup(path);
	d->entered = d->path != NULL;
	if (d->entered)
		HASH_ADD_KEYPTR(hh, set->by_path, d->path, strlen(d->path), d);
	if (d->entered)
		return d;
	mem_free(d->path);
	mem_free(d);
	return NULL;
}

static struct watched_dir *find_dir(struct watchset *set, const char *path)
{
	struct watched_dir *d;
	HASH_FIND(hh, set->by_path, path, strlen(path), d);
	return d;
}

/* The entry for `path`, new or emptied if it was not added yet in this round. */
static struct watched_dir *this_round(struct watchset *set, const char *path)
{
	struct watched_dir *d = find_dir(set, path);
	if (!d)
		d = make_dir(set, path);
	if (d && d->round != set->round) {
		d->round = set->round;
		d->all = d->done = false;
		buf_reset(&d->names);
		mem_free(take(d->rel));
	}
	return d;
}

static bool has_name(const struct watched_dir *d, const char *name)
{
	const char *p = buf_text(&d->names), *end = p + d->names.len;
	for (; p < end; p += strlen(p) + 1)
		if (strcmp(p, name) == 0)
			return true;
	return false;
}

static int want(struct watched_dir *d, const char *name, const char *rel)
{
	if (rel && !d->rel) {
		d->rel = mem_strdup(rel);
		return d->rel ? 0 : -ENOMEM;
	}
	if (!name || d->rel || d->all || has_name(d, name))
		return 0;
	int rc = buf_add(&d->names, name, strlen(name) + 1);
	d->all = rc == -EFBIG;
	return d->all ? 0 : rc;
}

/* Adds or widens the watch on the shared descriptor. */
static int watch_shared(struct watchset *set, struct watched_dir *d, uint32_t mask)
{
	struct path_env direct = *set->paths;
	_cleanup_close_ int dir = -1;
	direct.hold = NULL;
	int rc = path_open_dir(&direct, d->path, NULL, &dir, NULL);
	if (rc)
		return rc;
	if (fchdir(dir) < 0)
		return -errno;
	int wd = inotify_add_watch(set->fd, ".", mask | IN_MASK_ADD);
	if (wd < 0)
		return -errno;
	if (d->wd == wd)
		return 0;
	unwatch(set, d);
	d->wd = wd;
	d->entered = true;
	HASH_ADD(hh_wd, set->by_wd, wd, sizeof(d->wd), d);
	if (d->entered)
		return 0;
	inotify_rm_watch(set->fd, wd);
	d->wd = -1;
	return -ENOMEM;
}

static int watch_own(
	struct watchset *set, struct watched_dir *d, uint32_t mask, struct sfs_err *err)
{
	int fd;
	if (set->nfds >= OWN_FDS_MAX)
		return -EMFILE;
	int rc = path_watch(set->paths, d->path, mask, &fd, err);
	if (rc)
		return rc;
	unwatch(set, d);
	d->fd = fd;
	set->nfds++;
	return 0;
}

int watchset_add(struct watchset *set, const char *path, const char *name, const char *rel,
	struct sfs_err *err)
{
	struct watched_dir *d = this_round(set, path);
	int rc = d ? want(d, name, rel) : -ENOMEM;
	if (rc)
		return err_set(err, ENOMEM, "no memory for a watch");
	uint32_t mask = d->mask | (name || rel ? ALL_MASK : SELF_MASK);
	if (mask == d->mask && d->wd < 0)
		return 0;
	/* On the shared descriptor it is added again each time: the path may mean another directory
	 * by now. */
	rc = set->fd >= 0 ? watch_shared(set, d, mask) : -EACCES;
	if (rc == -EACCES || rc == -EPERM)
		rc = watch_own(set, d, mask, err);
	if (rc)
		return err_errno(err, -rc, "watch directory %s", path);
	d->mask = mask;
	d->done = true;
	return 0;
}

/* The directory itself is gone or elsewhere: its watch is worthless. */
static bool ends_dir(uint32_t mask)
{
	return mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT);
}

static void handle(struct watchset *set, struct watched_dir *d, const struct inotify_event *e,
	watch_event *on_event, void *arg)
{
	const char *name = e->len ? e->name : "";
	if (e->mask & IN_Q_OVERFLOW) {
		on_event(arg, EVENT_LOST, NULL, "");
	} else if (!d) {
		return; /* late news of a watch that was dropped */
	} else if (ends_dir(e->mask)) {
		if (!(e->mask & IN_IGNORED))
			on_event(arg, EVENT_LOST, NULL, "");
		unwatch(set, d);
	} else if (d->rel || d->all || has_name(d, name)) {
		bool entry = e->mask & (ENTRY_MASK | IN_ISDIR);
		on_event(arg, entry ? EVENT_ENTRY : EVENT_CONTENT, d->rel, name);
	}
}

static struct watched_dir *find_wd(struct watchset *set, int wd)
{
	struct watched_dir *d;
	HASH_FIND(hh_wd, set->by_wd, &wd, sizeof(wd), d);
	return d;
}

/* Reads what is there. `own` is the directory of a descriptor of its own, NULL for the shared one.
 */
static int drain(
	struct watchset *set, int fd, struct watched_dir *own, watch_event *on_event, void *arg)
{
	_Alignas(struct inotify_event) char b[16384];
	for (;;) {
		ssize_t n = read(fd, b, sizeof(b));
		if (n <= 0)
			return n == 0 || errno == EAGAIN || errno == EINTR ? 0 : -errno;
		for (ssize_t i = 0; i < n;) {
			const struct inotify_event *e = (const void *)(b + i);
			i += (ssize_t)(sizeof(*e) + e->len);
			handle(set, own ? own : find_wd(set, e->wd), e, on_event, arg);
			if (own && own->fd < 0)
				return 0; /* it was closed as worthless */
		}
	}
}

static int drain_all(
	struct watchset *set, const struct pollfd *fds, watch_event *on_event, void *arg)
{
	int rc = fds[1].revents ? drain(set, set->fd, NULL, on_event, arg) : 0;
	struct watched_dir *d = set->by_path;
	for (; d && !rc; d = d->hh.next)
		if (d->fd >= 0)
			rc = drain(set, d->fd, d, on_event, arg);
	return rc;
}

int watchset_wait(struct watchset *set, int stop_fd, int timeout, watch_event *on_event, void *arg)
{
	struct pollfd fds[2 + OWN_FDS_MAX] = {
		{.fd = stop_fd, .events = POLLIN}, {.fd = set->fd, .events = POLLIN}};
	nfds_t n = 2;
	for (struct watched_dir *d = set->by_path; d; d = d->hh.next)
		if (d->fd >= 0)
			fds[n++] = (struct pollfd){.fd = d->fd, .events = POLLIN};
	int rc = poll(fds, n, timeout);
	if (rc < 0 && errno != EINTR)
		return -errno;
	if (rc <= 0)
		return 0;
	if (fds[0].revents)
		return 1;
	return drain_all(set, fds, on_event, arg);
}
