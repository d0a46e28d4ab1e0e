/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/audit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/text.h"
#include "mount/audit_line.h"
#include "mount/audit_log.h"
#include "mount/audit_who.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <utlist.h>

#define HOLDER_REST (30 * NSEC_PER_SEC)	  /* from asking a holder that did not answer */
#define SWEEP_EVERY (500 * NSEC_PER_MSEC) /* for lines that are not written in time */
#define AWAY_ROWS   256
#define AWAY_TIME   NSEC_PER_SEC
#define WRITE_GRACE (NSEC_PER_SEC) /* for the line of an open whose fetch took all of its time */

/* An OPEN that was sent away; it comes back at once. */
struct away {
	pid_t tid;
	int64_t begun, until;
};

struct audit {
	struct fs *fs;
	char *target, *mount; /* owned */
	bool required;
	struct audit_log *log;
	struct audit_ids *ids;
	int64_t rest_until; /* of the asking thread alone */
	pthread_t thread;

	pthread_mutex_t
		lock; /* protects what follows, and `asking` and `refused` of notes; a leaf */
	pthread_cond_t wake;
	struct audit_note *asks;
	bool stop, sweeping;
	int64_t sweep_at;
	struct away away[AWAY_ROWS];
	uint64_t unknown; /* opens whose executable could not be found out */
};

struct audit_note {
	struct park *park;
	pid_t tid;
	uid_t uid;
	gid_t gid;
	int64_t begun, deadline;
	struct audit_who *who; /* a reference; NULL = not known yet */
	bool asking;
	int refused;   /* answered with this while asking */
	char *version; /* of what is given; owned, or NULL */
	const char *cache;
	void (*go)(struct park *p);
	void (*reply)(struct park *p);
	struct audit_wait wait;
	struct audit_note *prev, *next;
};

void audit_note_free(struct audit_note *n)
{
	if (!n)
		return;
	audit_who_unref(n->who);
	mem_free(n->version);
	mem_free(n);
}

/* --- the line --- */

static const char *view_name(enum view view)
{
	static const char *const names[VIEW_N] = {[VIEW_TREE] = "tree",
		[VIEW_VERSIONS] = "versions",
		[VIEW_FIELDS] = "fields",
		[VIEW_JSON] = "json",
		[VIEW_NOCACHE] = "nocache"};
	return names[view] ? names[view] : "?";
}

static int make_line(const struct audit_note *n, int errnum, struct buf *out)
{
	const struct audit_who *who = n->who;
	const struct inode *in = n->park->inode;
	const struct audit_line line = {
		.wall = clock_wall(),
		.mount = n->park->fs->audit->mount,
		.pid = who ? who->pid : 0,
		.tid = n->tid,
		.uid = n->uid,
		.gid = n->gid,
		.comm = who && who->seen ? who->comm : NULL,
		.cgroup = who ? who->cgroup : NULL,
		.exe = who ? who->exe : NULL,
		.name = dent_path(in->dent),
		.view = view_name(in->view),
		.field = in->view == VIEW_FIELDS ? in->sub : NULL,
		.version = n->version		       ? n->version
			   : in->view == VIEW_VERSIONS ? in->sub
						       : NULL,
		.cache = errnum || !n->cache ? "none" : n->cache,
		.errnum = errnum,
	};
	return audit_line_add(&line, out);
}

/* Who does not need to wait passes no `w`. */
static enum audit_added write_note(struct audit_note *n, int errnum, struct audit_wait *w)
{
	struct audit *a = n->park->fs->audit;
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_AUDIT_LINE);
	int r = make_line(n, errnum, &text);
	size_t len = text.len;
	char *line = r == 0 ? buf_take(&text) : NULL;
	if (!line) {
		audit_log_fail(a->log, r < 0 ? r : -ENOMEM);
		return AUDIT_FAILED;
	}
	return audit_log_add(a->log, line, len, a->required && errnum == 0, w);
}

/* --- who asks --- */

static int ask_exe(void *arg, pid_t tid, char **ret)
{
	struct audit *a = arg;
	int r = -EBUSY;
	if (clock_boot() >= a->rest_until)
		r = hold_ask_text(a->fs->hold, HOLD_EXE, "", (uint32_t)tid, ret, NULL);
	if (r == -ETIMEDOUT || r == -EPIPE)
		a->rest_until = clock_boot() + HOLDER_REST;
	return r;
}

/* The identity is known, as far as it can be: the OPEN goes on, unless it was answered meanwhile.
 */
static void settle(struct audit *a, struct audit_note *n, struct audit_who *who)
{
	struct park *p = n->park;
	pthread_mutex_lock(&a->lock);
	n->who = who;
	n->asking = false;
	a->unknown += !who || !who->exe;
	int refused = n->refused;
	pthread_mutex_unlock(&a->lock);
	if (refused) {
		write_note(n, refused, NULL);
		park_put(p);
	} else {
		n->go(p);
	}
}

/* With the lock, which is given up meanwhile. */
static void sweep(struct audit *a)
{
	a->sweeping = false; /* before the call: it may be set again during it */
	a->sweep_at = clock_boot() + SWEEP_EVERY;
	pthread_mutex_unlock(&a->lock);
	bool on = audit_log_sweep(a->log);
	pthread_mutex_lock(&a->lock);
	a->sweeping = a->sweeping || on;
}

static void *ask_run(void *arg)
{
	struct audit *a = arg;
	pthread_mutex_lock(&a->lock);
	while (a->asks || !a->stop) {
		struct audit_note *n = a->asks;
		if (n) {
			DL_DELETE(a->asks, n);
			pthread_mutex_unlock(&a->lock);
			settle(a, n, audit_ids_find(a->ids, n->tid));
			pthread_mutex_lock(&a->lock);
		} else if (a->sweeping) {
			clock_cond_wait(&a->wake, &a->lock, SWEEP_EVERY);
		} else {
			pthread_cond_wait(&a->wake, &a->lock);
		}
		if (a->sweeping && clock_boot() >= a->sweep_at)
			sweep(a);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static void ask_later(struct audit *a, struct audit_note *n)
{
	pthread_mutex_lock(&a->lock);
	DL_APPEND(a->asks, n);
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

void audit_sent_away(struct park *p)
{
	const struct audit_note *n = p->audit;
	struct audit *a = p->fs->audit;
	if (!n)
		return;
	pthread_mutex_lock(&a->lock);
	a->away[(unsigned)n->tid % AWAY_ROWS] =
		(struct away){n->tid, n->begun, clock_boot() + AWAY_TIME};
	pthread_mutex_unlock(&a->lock);
}

/* When the open(2) began that this OPEN is of. */
static int64_t begin_of(struct audit *a, pid_t tid)
{
	int64_t now = clock_boot(), begun = now;
	pthread_mutex_lock(&a->lock);
	struct away *row = &a->away[(unsigned)tid % AWAY_ROWS];
	if (row->tid == tid && now < row->until)
		begun = row->begun;
	if (row->tid == tid)
		row->until = 0;
	pthread_mutex_unlock(&a->lock);
	return begun;
}

int audit_begin(struct park *p, int64_t deadline)
{
	struct audit *a = p->fs->audit;
	if (!a)
		return 0;
	const struct fuse_ctx *ctx = fuse_req_ctx(p->req);
	struct audit_note *n = mem_calloc(1, sizeof(*n));
	if (!n) {
		audit_log_fail(a->log, -ENOMEM);
		return -ENOMEM;
	}
	*n = (struct audit_note){.park = p,
		.tid = ctx->pid,
		.uid = ctx->uid,
		.gid = ctx->gid,
		.begun = begin_of(a, ctx->pid),
		.deadline = deadline,
		.asking = true};
	p->audit = n;
	return 0;
}

void audit_capture(struct park *p, void (*go)(struct park *p))
{
	struct audit *a = p->fs->audit;
	struct audit_note *n = p->audit;
	if (!n) {
		go(p);
		return;
	}
	n->go = go;
	struct audit_who *who = audit_ids_known(a->ids, n->tid);
	if (who)
		settle(a, n, who);
	else
		ask_later(a, n);
}

/* --- the answer --- */

void audit_served(struct park *p, const struct payload *payload)
{
	struct audit_note *n = p->audit;
	struct entry_info info;
	if (!n)
		return;
	mem_free(n->version);
	n->version = payload ? mem_strdup(payload->version) : NULL;
	n->cache = "hit";
	if (payload && payload->fetched_boot >= n->begun)
		n->cache = "fetched";
	else if (p->inode->view != VIEW_VERSIONS &&
		 core_info(p->fs->core, p->inode->dent, &info) == 0 &&
		 (info.state == ENTRY_STALE || info.state == ENTRY_EXPIRED))
		n->cache = "stale";
}

static void written(struct audit_wait *w, int r)
{
	struct audit_note *n =
		(struct audit_note *)(void *)((char *)w - offsetof(struct audit_note, wait));
	struct park *p = n->park;
	if (r < 0 && p->fs->audit->required && p->errnum == 0)
		p->errnum = EIO;
	n->reply(p);
}

void audit_answer(struct park *p, int errnum, void (*reply)(struct park *p))
{
	struct audit_note *n = p->audit;
	int64_t soon = clock_boot() + WRITE_GRACE;
	p->errnum = errnum;
	if (!n) {
		reply(p);
		return;
	}
	n->reply = reply;
	n->wait = (struct audit_wait){
		.done = written, .deadline = n->deadline > soon ? n->deadline : soon};
	switch (write_note(n, errnum, &n->wait)) {
	case AUDIT_GO_ON:
		reply(p);
		break;
	case AUDIT_FAILED:
		written(&n->wait, -EIO);
		break;
	case AUDIT_WAIT:
		break;
	}
}

void audit_refused(struct park *p, int errnum)
{
	struct audit_note *n = p->audit;
	struct audit *a = p->fs->audit;
	if (!n)
		return;
	pthread_mutex_lock(&a->lock);
	bool asking = n->asking;
	n->refused = errnum;
	pthread_mutex_unlock(&a->lock);
	if (!asking)
		write_note(n, errnum, NULL);
}

/* --- life --- */

static int open_place(void *arg, int *ret_fd, struct sfs_err *err)
{
	struct audit *a = arg;
	return hold_ask(a->fs->hold, HOLD_AUDIT, "", 0, ret_fd, err);
}

static void start_sweep(void *arg)
{
	struct audit *a = arg;
	pthread_mutex_lock(&a->lock);
	a->sweeping = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

void audit_reopen(struct fs *fs)
{
	if (fs->audit)
		audit_log_reopen(fs->audit->log);
}

static void audit_clear(struct audit *a)
{
	audit_log_free(a->log);
	audit_ids_free(a->ids);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	mem_free(a->target);
	mem_free(a->mount);
	mem_free(a);
}

/* Fills what can fail without a thread. */
static int audit_fill(struct audit *a, const struct config *c, const char *mountpoint)
{
	a->target = mem_strdup(config_audit(c));
	a->mount = mem_strdup(mountpoint);
	a->required = config_audit_required(c);
	if (!a->target || !a->mount)
		return -ENOMEM;
	return audit_ids_new("/proc", ask_exe, a, &a->ids);
}

static int audit_start(struct audit *a)
{
	const struct audit_place place = {.name = a->target,
		.syslog = a->target[0] != '/',
		.open = open_place,
		.sweep = start_sweep,
		.arg = a};
	int r = audit_log_new(&place, SFS_AUDIT_QUEUE, &a->log);
	if (r < 0)
		return r;
	r = -pthread_create(&a->thread, NULL, ask_run, a);
	if (r < 0)
		audit_log_stop(a->log);
	return r;
}

int audit_new(struct fs *fs, const char *mountpoint, struct sfs_err *err)
{
	const struct config *c = core_config(fs->core);
	if (!config_audit(c))
		return 0;
	struct audit *a = mem_calloc(1, sizeof(*a));
	if (!a)
		return err_set(err, ENOMEM, "start the audit log: no memory");
	a->fs = fs;
	pthread_mutex_init(&a->lock, NULL);
	clock_cond_init(&a->wake);
	int r = audit_fill(a, c, mountpoint);
	if (r == 0)
		r = audit_start(a);
	if (r < 0) {
		audit_clear(a);
		return err_errno(err, -r, "start the audit log");
	}
	fs->audit = a;
	return 0;
}

void audit_stop_asking(struct fs *fs)
{
	struct audit *a = fs->audit;
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
}

void audit_stop_writing(struct fs *fs)
{
	if (fs->audit)
		audit_log_stop(fs->audit->log);
}

void audit_free(struct fs *fs)
{
	if (fs->audit)
		audit_clear(fs->audit);
	fs->audit = NULL;
}

/* --- what it says about itself --- */

void audit_status(struct fs *fs, struct buf *out)
{
	struct audit *a = fs->audit;
	struct audit_counts c;
	char when[CLOCK_TEXT];
	if (!a) {
		buf_str(out, ",\n \"audit\":null");
		return;
	}
	audit_log_counts(a->log, &c);
	pthread_mutex_lock(&a->lock);
	uint64_t unknown = a->unknown;
	pthread_mutex_unlock(&a->lock);
	buf_str(out, ",\n \"audit\":{\"target\":");
	text_json(out, a->target, strlen(a->target));
	buf_printf(out, ",\"required\":%s,\"lines\":%" PRIu64 ",\"failures\":%" PRIu64,
		a->required ? "true" : "false", c.lines, c.failures);
	buf_printf(out, ",\"queued\":%zu,\"slowed\":%" PRIu64 ",\"unknown\":%" PRIu64, c.queued,
		c.slowed, unknown);
	buf_str(out, ",\"last_error\":");
	if (c.last.code)
		text_json(out, c.last.msg, strlen(c.last.msg));
	else
		buf_str(out, "null");
	buf_str(out, ",\"last_error_time\":");
	if (c.last.code)
		buf_printf(out, "\"%s\"}", clock_text(c.failed_wall, when));
	else
		buf_str(out, "null}");
}

void audit_gauges(struct fs *fs, struct core_gauges *ret)
{
	struct audit_counts c;
	if (!fs->audit)
		return;
	audit_log_counts(fs->audit->log, &c);
	ret->audited = true;
	ret->audit_lines = c.lines;
	ret->audit_failures = c.failures;
}
