/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/notify.h"

#include "base/alloc.h"
#include "base/log.h"
#include "mount/park.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <utlist.h>

enum job_kind { JOB_NAME, JOB_INODE, JOB_ACTION };

struct job {
	enum job_kind kind;
	uint64_t ino; /* JOB_NAME: the directory; JOB_INODE: the inode */
	void (*action)(void *arg);
	void *arg;
	struct job *prev, *next;
	char name[]; /* JOB_NAME */
};

struct notifier {
	pthread_mutex_t lock; /* protects the queue; nothing is called under it */
	pthread_cond_t wake;
	struct job *queue;
	bool stop;
	pthread_t thread;
};

static void push(struct notifier *nt, struct job *j)
{
	pthread_mutex_lock(&nt->lock);
	DL_APPEND(nt->queue, j);
	pthread_cond_signal(&nt->wake);
	pthread_mutex_unlock(&nt->lock);
}

static struct job *job_new(enum job_kind kind, uint64_t ino, const char *name)
{
	size_t len = name ? strlen(name) + 1 : 0;
	struct job *j = mem_calloc(1, sizeof(*j) + len);
	if (!j)
		return NULL;
	j->kind = kind;
	j->ino = ino;
	if (len)
		memcpy(j->name, name, len);
	return j;
}

static void lost(void)
{
	static struct log_rate rate = LOG_RATE(60);
	if (log_due(&rate))
		log_warn("no memory to announce a change to the kernel; it will notice within %d "
			 "seconds",
			(int)FS_TIMEOUT);
}

void notify_name(struct fs *fs, struct dent *d)
{
	struct dent *parent = dent_parent(d);
	struct inode *dir = parent ? inode_of(fs, VIEW_TREE, parent) : NULL;
	struct job *j;
	if (!dir)
		return; /* a directory the kernel does not know has no names in its cache */
	j = job_new(JOB_NAME, dir->ino, dent_basename(d));
	inode_put(fs, dir);
	if (j)
		push(fs->notifier, j);
	else
		lost();
}

void notify_inode(struct fs *fs, struct inode *in)
{
	struct job *j = job_new(JOB_INODE, in->ino, NULL);
	if (j)
		push(fs->notifier, j);
	else
		lost();
}

void notify_then(struct fs *fs, void (*action)(void *arg), void *arg)
{
	struct job *j = job_new(JOB_ACTION, 0, NULL);
	if (!j) {
		action(arg);
		return;
	}
	j->action = action;
	j->arg = arg;
	push(fs->notifier, j);
}

/* ENOENT: the kernel forgot it first. ENODEV, EBADF: unmounted. ENOTDIR, EEXIST cannot be helped
 * either; none is an error for us. */
static void send_job(struct fs *fs, const struct job *j)
{
	switch (j->kind) {
	case JOB_NAME:
		fuse_lowlevel_notify_inval_entry(fs->se, j->ino, j->name, strlen(j->name));
		break;
	case JOB_INODE:
		fuse_lowlevel_notify_inval_inode(fs->se, j->ino, 0, 0);
		break;
	case JOB_ACTION:
		j->action(j->arg);
		break;
	}
}

static void *notifier_run(void *arg)
{
	struct fs *fs = arg;
	struct notifier *nt = fs->notifier;
	pthread_mutex_lock(&nt->lock);
	for (;;) {
		struct job *list, *j, *tmp;
		while (!nt->queue && !nt->stop)
			pthread_cond_wait(&nt->wake, &nt->lock);
		list = nt->queue;
		nt->queue = NULL;
		if (!list)
			break;
		pthread_mutex_unlock(&nt->lock);
		DL_FOREACH_SAFE (list, j, tmp) {
			send_job(fs, j);
			mem_free(j);
		}
		pthread_mutex_lock(&nt->lock);
	}
	pthread_mutex_unlock(&nt->lock);
	return NULL;
}

int notifier_new(struct fs *fs)
{
	struct notifier *nt = mem_calloc(1, sizeof(*nt));
	int r;
	if (!nt)
		return -ENOMEM;
	pthread_mutex_init(&nt->lock, NULL);
	pthread_cond_init(&nt->wake, NULL);
	fs->notifier = nt;
	r = pthread_create(&nt->thread, NULL, notifier_run, fs);
	if (r) {
		pthread_cond_destroy(&nt->wake);
		pthread_mutex_destroy(&nt->lock);
		mem_free(nt);
		fs->notifier = NULL;
		return -r;
	}
	return 0;
}

void notifier_free(struct fs *fs)
{
	struct notifier *nt = fs->notifier;
	if (!nt)
		return;
	pthread_mutex_lock(&nt->lock);
	nt->stop = true;
	pthread_cond_signal(&nt->wake);
	pthread_mutex_unlock(&nt->lock);
	pthread_join(nt->thread, NULL);
	pthread_cond_destroy(&nt->wake);
	pthread_mutex_destroy(&nt->lock);
	mem_free(nt);
	fs->notifier = NULL;
}

/* The name gets a new node: rotation, purge, or it is gone. The old one keeps what open files hold.
 */
static void node_over(struct fs *fs, struct dent *d, bool drop_pages)
{
	struct inode *in = inode_of(fs, VIEW_TREE, d);
	if (in) {
		inode_supersede(fs, in);
		if (drop_pages) {
			inode_drop_recent(fs, in);
			notify_inode(fs, in);
		}
		inode_put(fs, in);
	}
	notify_name(fs, d);
}

void notify_changed(void *arg, struct dent *d, enum core_change what)
{
	struct fs *fs = arg;
	struct inode *in;
	if (!atomic_load(&fs->serving))
		return; /* the kernel knows nothing yet, or no more */
	switch (what) {
	case CORE_NEW:
		notify_name(fs, d); /* a provisional node may stand for it */
		break;
	case CORE_ROTATED:
		node_over(fs, d, false);
		break;
	case CORE_GONE:
	case CORE_PURGED:
		node_over(fs, d, true);
		break;
	case CORE_EXPIRED:
	case CORE_ATTR:
		in = inode_of(fs, VIEW_TREE, d);
		if (!in)
			break;
		if (what == CORE_EXPIRED)
			inode_drop_recent(fs, in);
		notify_inode(fs, in);
		inode_put(fs, in);
		if (what == CORE_ATTR)
			notify_name(fs, d); /* a name that is no longer cached gets another node */
		break;
	}
}
