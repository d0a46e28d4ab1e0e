/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GETATTR and READ where the kernel sends no OPEN (hydrated mode). The value of a file is brought
 * by the GETATTR that open(2) sends for its permission check, so that errors and sizes arrive
 * there; a READ that finds nothing brings it again.
 *
 * A file of the tree is one version, and keeps it. Everything else that shows a value stands for
 * the name: it is born at its LOOKUP, filled at its first use, and its bytes and pages go a few
 * seconds after the last one.
 *
 * GETATTR does not tell fstat(2) of a file held open from open(2) through a bind mount of that
 * file. The first must go on with what it has, the second wants what is current. So the holder is
 * asked whether the caller holds the file open, which happens only for versions that are outdated
 * and bytes that were read already.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hold.h"
#include "mount/notify.h"
#include "mount/ops.h"
#include <errno.h>
#include <stdio.h>

/* Waiting questions; with more of them whoever asks is taken for holding the file open. */
#define ASKS_MAX       256
#define SILENT_SECONDS 30

static bool shows_text(const struct inode *in)
{
	return in->view == VIEW_META || in->view == VIEW_LIST;
}

/* --- answers --- */

static void answer_attr(void *arg)
{
	struct park *p = arg;
	node_reply_attr(p->fs, p->req, p->inode);
	park_put(p);
}

/* The node shows these bytes; if it showed others, the kernel drops those first. */
static void show(struct park *p, const struct payload *payload, struct secret *bytes)
{
	if (inode_put_bytes(
		    p->fs, p->inode, bytes, payload->version, payload->serial, payload->created)) {
		park_ref(p);
		notify_inode(p->fs, p->inode);
		notify_then(p->fs, answer_attr, p);
	} else {
		node_reply_attr(p->fs, p->req, p->inode);
	}
}

/* --- who holds it open --- */

/* Who cannot be asked about is taken for a holder: nobody's bytes change then. */
static bool caller_holds(const struct park *p)
{
	static _Atomic int64_t silent_until; /* a holder that hangs is not waited for by each */
	char text[24];
	struct sfs_err err;
	_cleanup_free_ char *none = NULL;
	if (p->tid <= 0 || clock_boot() < atomic_load(&silent_until))
		return true;
	snprintf(text, sizeof(text), "%ju", (uintmax_t)inode_number(p->fs, p->inode));
	int r = hold_ask_text(p->fs->hold, HOLD_IS_OPEN, text, (uint32_t)p->tid, &none, &err);
	if (r == -ETIMEDOUT)
		atomic_store(&silent_until, clock_after(clock_boot(), SILENT_SECONDS));
	return r != -ENOENT && r != -ESRCH;
}

static void fetch(struct park *p);

/* In the asker's thread. One that is outdated is finished already. Who was sent to look the name
 * up again is served what LOOKUP gave it, and who came back to the same node has no name to look
 * up: the node follows the name from now on. */
static void asked(struct job *j)
{
	struct park *p = (struct park *)((char *)j - offsetof(struct park, job));
	bool keeps = caller_holds(p);
	enum retry retry = keeps || p->outdated ? RETRY_NO : p->retry;
	if (retry == RETRY_SAME_NODE) {
		p->follow = true;
		fetch(p);
		return;
	}
	keeps = keeps || retry == RETRY_LOOKED_UP;
	if (p->outdated || park_finish(p)) {
		if (keeps)
			node_reply_attr(p->fs, p->req, p->inode);
		else
			file_send_back(p);
	}
	park_put(p);
}

static void ask(struct park *p)
{
	p->job.run = asked;
	jobs_push(p->fs->asker, &p->job);
}

/* --- the value --- */

/* The node is a version, and no longer the current one. The park is finished. True: it goes on in
 * another thread, with the callback's reference. */
static bool attr_outdated(struct park *p, struct payload *payload, struct secret *bytes)
{
	enum retry retry = p->follow ? RETRY_SAME_NODE : p->retry;
	if (retry == RETRY_SAME_NODE) {
		inode_follow(p->fs, p->inode);
		show(p, payload, bytes);
		return false;
	}
	if (retry == RETRY_LOOKED_UP || jobs_waiting(p->fs->asker) >= ASKS_MAX) {
		node_reply_attr(p->fs, p->req, p->inode);
		return false;
	}
	p->outdated = true;
	ask(p);
	return true;
}

static bool attr_filled(struct park *p, struct payload *payload, struct secret *bytes)
{
	struct inode_state s;
	struct core_attr a;
	inode_state(p->fs, p->inode, &s);
	core_attr(p->fs->core, p->inode->dent, &a);
	if (s.follows)
		show(p, payload, bytes);
	else if (a.nocache || inode_bind(p->fs, p->inode, payload->serial, bytes, payload->created,
				      false) == BIND_OTHER)
		return attr_outdated(p, payload, bytes);
	else
		node_reply_attr(p->fs, p->req, p->inode);
	return false;
}

/* A reader goes on with the bytes it has begun, or is told that they are gone. */
static void read_filled(struct park *p, struct payload *payload, struct secret *bytes)
{
	struct fs *fs = p->fs;
	struct inode_state s;
	if (!inode_is_same(fs, p->inode, payload->version, payload->serial)) {
		fuse_reply_err(p->req, ESTALE);
		return;
	}
	inode_state(fs, p->inode, &s);
	if (s.follows)
		inode_put_bytes(
			fs, p->inode, bytes, payload->version, payload->serial, payload->created);
	else
		inode_bind(fs, p->inode, payload->serial, bytes, payload->created, false);
	secret_unref(inode_read(fs, p->inode, (uint64_t)p->off + p->size));
	file_reply_bytes(p->req, bytes, p->size, p->off);
}

static void filled(struct waiter *w, struct payload *payload, const struct sfs_err *err)
{
	struct park *p = park_of(w, fetch);
	struct secret *bytes = NULL;
	struct sfs_err e;
	bool goes_on = false;
	if (park_finish(p)) {
		int r = err ? -err->code : file_bytes(p->fs, p->inode, payload, &bytes, &e);
		if (r < 0)
			fuse_reply_err(p->req, -r);
		else if (p->reading)
			read_filled(p, payload, bytes);
		else
			goes_on = attr_filled(p, payload, bytes);
		secret_unref(bytes);
	}
	if (!goes_on)
		park_put(p);
}

static void set_waiter(struct park *p)
{
	p->w.fetch = (struct waiter){.done = filled, .deadline = p->deadline, .payer = p->payer};
}

static void fetch(struct park *p)
{
	const struct inode *in = p->inode;
	core_fetch(p->fs->core, in->dent, in->view == VIEW_VERSIONS ? in->sub : NULL,
		in->view == VIEW_NOCACHE ? FETCH_NOCACHE : FETCH_CACHED, &p->w.fetch);
}

/* --- text --- */

static void text_filled(
	struct text_waiter *w, const char *text, size_t len, const struct sfs_err *err)
{
	struct park *p = park_of(w, text);
	struct buf copy = BUF_INIT(SFS_TEXT_MAX);
	if (park_finish(p)) {
		if (err || buf_add(&copy, text, len) < 0) {
			fuse_reply_err(p->req, err ? err->code : ENOMEM);
		} else {
			inode_put_text(p->fs, p->inode, &copy);
			if (p->reading)
				file_reply_text(p->req, &p->inode->text, p->size, p->off);
			else
				node_reply_attr(p->fs, p->req, p->inode);
		}
	}
	buf_clear(&copy);
	park_put(p);
}

static void ask_text(struct park *p)
{
	p->w.text = (struct text_waiter){.done = text_filled, .deadline = p->deadline};
	if (p->inode->view == VIEW_LIST)
		control_list(p);
	else
		core_meta(p->fs->core, p->inode->dent, &p->w.text);
}

/* --- requests --- */

enum verdict { ANSWER, FILL, ASK };

/* Whether the version bound is the one to be served now. */
static bool is_served(
	const struct inode *in, const struct inode_state *s, const struct core_attr *a)
{
	return s->serial && s->serial == a->serial && in->generation == a->generation &&
	       !a->nocache && clock_boot() < a->valid_until;
}

/* `held`: the kernel says that the caller has the file open. */
static enum verdict judge(struct fs *fs, struct inode *in, bool held)
{
	struct inode_state s;
	struct core_attr a;
	inode_state(fs, in, &s);
	if (!s.filled)
		return FILL;
	if (shows_text(in) || held)
		return ANSWER;
	if (s.follows && s.held && !s.used)
		return ANSWER;
	if (in->view != VIEW_TREE)
		return ASK;
	core_attr(fs->core, in->dent, &a);
	if (is_served(in, &s, &a))
		return ANSWER;
	if (s.follows)
		return ASK;
	if (s.superseded)
		return ASK;
	return FILL;
}

static void start(struct park *p, enum verdict v)
{
	const bool text = shows_text(p->inode);
	p->deadline = fs_deadline(p->fs);
	if (!text)
		set_waiter(p);
	park_arm(p);
	if (v == ASK)
		ask(p);
	else if (text)
		ask_text(p);
	else
		fetch(p);
}

void fill_getattr(struct fs *fs, fuse_req_t req, struct inode *in, bool held)
{
	/* Used up whatever the answer is: the next open(2) of this thread is no retry. */
	enum retry retry = held ? RETRY_NO : inode_retry(fs, in, fuse_req_ctx(req)->pid);
	enum verdict v = in->view == VIEW_CONTROL ? ANSWER : judge(fs, in, held);
	struct park *p;
	if (v == ANSWER || (v == ASK && jobs_waiting(fs->asker) >= ASKS_MAX))
		node_reply_attr(fs, req, in);
	else if ((p = park_make(
			  fs, req, in, v == FILL && !shows_text(in) ? park_cancel_fetch : NULL))) {
		p->retry = retry;
		start(p, v);
	}
}

void fill_read(struct fs *fs, fuse_req_t req, struct inode *in, size_t size, off_t off)
{
	struct inode_state s;
	struct secret *bytes;
	struct park *p;
	inode_state(fs, in, &s);
	if (in->view == VIEW_CONTROL || (shows_text(in) && s.filled)) {
		file_reply_text(req, &in->text, size, off);
	} else if ((bytes = inode_read(fs, in, (uint64_t)off + size))) {
		file_reply_bytes(req, bytes, size, off);
		secret_unref(bytes);
	} else if ((p = park_make(fs, req, in, shows_text(in) ? NULL : park_cancel_fetch))) {
		p->reading = true;
		p->size = size;
		p->off = off;
		start(p, FILL);
	}
}
