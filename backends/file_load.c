/* SPDX-License-Identifier: Apache-2.0 */
/* One source file, parsed, and read anew whenever its stamp changes. */
#include "backends/file_impl.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define SETTLE_ROUNDS                                                                              \
	10 /* a writer that never pauses is not waited for longer than this many times FILE_SETTLE \
	    */

static int64_t file_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

struct file_stamp file_stamp_of(const struct stat *st)
{
	return (struct file_stamp){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec,
		.ctime = st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec,
	};
}

bool file_stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime == b->mtime &&
	       a->ctime == b->ctime;
}

static void pause_ns(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};
	nanosleep(&ts, NULL);
}

/* True if the file changed so recently that it may be changing still. Its stamp counts in ticks of
 * some milliseconds. */
static bool is_recent(const struct file_stamp *s)
{
	int64_t age = file_now() - s->ctime;
	return age >= 0 && age < FILE_SETTLE;
}

bool file_is_recent(const struct stat *st)
{
	struct file_stamp s = file_stamp_of(st);
	return is_recent(&s);
}

void file_pause(void)
{
	pause_ns(FILE_SETTLE);
}

static int stamp_fd(int fd, const char *path, struct file_stamp *ret, struct sfs_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "look at %s", path);
	*ret = file_stamp_of(&st);
	return 0;
}

/* Without the holder first: whether it is needed decides how cheap a look is. */
static int open_path(struct file_state *st, int *ret_fd, struct sfs_err *err)
{
	struct path_env direct = *st->env->paths;
	direct.hold = NULL;
	int rc = path_open_file(&direct, st->path, NULL, ret_fd, err);
	if ((rc != -EACCES && rc != -EPERM) || !st->env->paths->hold) {
		atomic_store(&st->by_holder, false);
		return rc;
	}
	rc = path_open_file(st->env->paths, st->path, NULL, ret_fd, err);
	atomic_store(&st->by_holder, rc == 0);
	return rc;
}

static bool is_absence(int rc)
{
	return rc == -ENOENT || rc == -ENOTDIR;
}

static bool known_gone(struct file_state *st)
{
	pthread_mutex_lock(&st->lock);
	bool gone = st->gone || !st->doc;
	pthread_mutex_unlock(&st->lock);
	return gone;
}

/* An editor that moves the old file away and the new one in leaves a gap: a file that was there is
 * waited for shortly. */
static int open_patiently(struct file_state *st, int *ret_fd, struct sfs_err *err)
{
	int rc = open_path(st, ret_fd, err);
	for (int i = 0; is_absence(rc) && i < 5 && !known_gone(st); i++) {
		pause_ns(FILE_SETTLE / 5);
		rc = open_path(st, ret_fd, err);
	}
	return rc;
}

/* Whether the content with this stamp is in `doc` or refused already. */
static bool is_known(const struct file_state *st, const struct file_stamp *s)
{
	if (!st->doc || st->gone)
		return false;
	if (st->bad.ino && file_stamp_same(&st->bad, s))
		return true;
	return file_stamp_same(&st->doc->stamp, s) && !st->racy && !st->trouble.code;
}

/* A changed file of the same inode is being written in place: waits until it rests. Sets
 * *ret_writing when it does not. */
static int settle(
	struct file_state *st, int fd, struct file_stamp *s, bool *ret_writing, struct sfs_err *err)
{
	pthread_mutex_lock(&st->lock);
	bool in_place = st->doc && !st->gone && st->doc->stamp.ino == s->ino &&
			st->doc->stamp.dev == s->dev && !file_stamp_same(&st->doc->stamp, s);
	pthread_mutex_unlock(&st->lock);
	int rc = 0;
	for (int i = 0; in_place && rc == 0 && is_recent(s) && i < SETTLE_ROUNDS; i++) {
		pause_ns(FILE_SETTLE);
		rc = stamp_fd(fd, st->path, s, err);
	}
	*ret_writing = in_place && rc == 0 && is_recent(s);
	return rc;
}

/* Says once what is wrong; the same sentence again is no news. */
static void set_trouble(struct file_state *st, const struct sfs_err *why)
{
	if (why->code == st->trouble.code && strcmp(why->msg, st->trouble.msg) == 0)
		return;
	st->trouble = *why;
	if (why->code)
		log_error("file/%s: %s; the last good content is still served", st->env->instance,
			why->msg);
	else
		log_info("file/%s: %s is in order again", st->env->instance, st->path);
}

static void replace_doc(struct file_state *st, struct file_doc *d)
{
	doc_unref(st->doc);
	st->doc = d;
	st->bad = (struct file_stamp){0};
	set_trouble(st, &(struct sfs_err){0});
}

static void doc_unref_p(struct file_doc **d)
{
	doc_unref(*d);
}

static int read_doc(struct file_state *st, int fd, const struct file_stamp *s,
	struct file_doc **ret, struct sfs_err *err)
{
	_cleanup_(doc_unref_p) struct file_doc *d = doc_new();
	if (!d)
		return err_set(err, ENOMEM, "no memory for %s", st->path);
	if (s->size >= SFS_SOURCE_MAX)
		return err_set(err, EFBIG, "%s has %lld bytes, more than a source may have (%d)",
			st->path, (long long)s->size, SFS_SOURCE_MAX - 1);
	if (!buf_reserve(&d->text, (size_t)s->size))
		return err_set(err, ENOMEM,
			"no secret memory for the %lld bytes of %s; raise arena=",
			(long long)s->size, st->path);
	int rc = path_read(fd, st->path, &d->text, err);
	if (!rc)
		rc = stamp_fd(fd, st->path, &d->stamp, err);
	if (!rc)
		rc = doc_parse(d, st->path, st->format, st->expand, err);
	if (rc)
		return rc;
	*ret = take(d);
	return 0;
}

static void report_skipped(const struct file_state *st, const struct file_doc *d)
{
	if (d->skipped && (!st->doc || st->doc->skipped != d->skipped))
		log_warn("file/%s: %s: %zu entries left out: a name must have 1 to %d bytes and no "
			 "NUL",
			st->env->instance, st->path, d->skipped, SFS_NAME_MAX);
}

/* Reads the opened file. With a last good content errors become trouble. */
static int load(struct file_state *st, int fd, const struct file_stamp *s, struct sfs_err *err)
{
	struct file_doc *d = NULL;
	int rc = read_doc(st, fd, s, &d, err);
	if (rc == 0) {
		st->gone = false;
		st->racy = is_recent(&d->stamp);
		if (st->racy)
			atomic_fetch_add(&st->events, 1);
		report_skipped(st, d);
		replace_doc(st, d);
		return 0;
	}
	if (!st->doc)
		return rc;
	/* EAGAIN (written meanwhile) and ENOMEM may be better at the next look. */
	if (rc == -EBADMSG || rc == -EFBIG)
		st->bad = *s;
	else
		atomic_fetch_add(&st->events, 1);
	set_trouble(st, err);
	return 0;
}

/* The file is gone: so are its secrets. Any other failure to open leaves the last good content. */
static int unopened(struct file_state *st, int rc, struct sfs_err *err)
{
	if (!st->doc)
		return rc;
	if (!is_absence(rc)) {
		set_trouble(st, err);
		return 0;
	}
	if (st->gone)
		return 0;
	struct file_doc *empty = doc_new();
	if (!empty)
		return err_set(err, ENOMEM, "no memory for an empty list");
	replace_doc(st, empty);
	st->gone = true;
	struct sfs_err gone;
	file_gone(st, &gone);
	log_warn("file/%s: %s", st->env->instance, gone.msg);
	return 0;
}

/* Opened by the holder, the file is looked at only when the watch has seen something. */
static bool trust_watch(struct file_state *st)
{
	return atomic_load(&st->by_holder) && atomic_load(&st->watched) &&
	       atomic_load(&st->looked) == atomic_load(&st->events);
}

static int refresh(struct file_state *st, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	struct file_stamp s = {0};
	int rc = open_patiently(st, &fd, err);
	if (!rc)
		rc = stamp_fd(fd, st->path, &s, err);
	bool writing = false;
	if (!rc)
		rc = settle(st, fd, &s, &writing, err);
	pthread_mutex_lock(&st->lock);
	if (rc)
		rc = unopened(st, rc, err);
	else if (writing) /* half of it is worse than the last whole one; the next look sees more */
		atomic_fetch_add(&st->events, 1);
	else if (!is_known(st, &s))
		rc = load(st, fd, &s, err);
	pthread_mutex_unlock(&st->lock);
	return rc;
}

int file_current(struct file_state *st, struct file_doc **ret, struct sfs_err *err)
{
	struct sfs_err why = {0};
	int rc = 0;
	if (!trust_watch(st)) {
		/* What happens from here on needs another look; who comes meanwhile looks too. */
		unsigned long covered = atomic_load(&st->events);
		rc = refresh(st, &why);
		if (!rc)
			atomic_store(&st->looked, covered);
	}
	if (rc) {
		if (err)
			*err = why;
		return rc;
	}
	pthread_mutex_lock(&st->lock);
	*ret = doc_ref(st->doc);
	pthread_mutex_unlock(&st->lock);
	return 0;
}

bool file_trouble(struct file_state *st, struct sfs_err *ret)
{
	pthread_mutex_lock(&st->lock);
	bool gone = st->gone;
	if (st->trouble.code)
		*ret = st->trouble;
	bool any = st->trouble.code || gone;
	pthread_mutex_unlock(&st->lock);
	if (gone)
		file_gone(st, ret);
	return any;
}

void file_gone(const struct file_state *st, struct sfs_err *ret)
{
	err_set(ret, ENOENT, "%s was removed, its secrets are no longer shown", st->path);
}

struct file_stamp file_look(struct file_state *st)
{
	_cleanup_close_ int fd = -1;
	struct file_stamp s = {0};
	if (open_path(st, &fd, NULL) == 0)
		stamp_fd(fd, st->path, &s, NULL);
	return s;
}
