/* SPDX-License-Identifier: Apache-2.0 */
/* OPEN, READ, RELEASE. OPEN brings the value, so that errors arrive there and fstat(2) afterwards
 * is exact; a handle keeps its bytes to the end. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "core/fields.h"
#include "mount/audit.h"
#include "mount/eventfile.h"
#include "mount/notify.h"
#include "mount/ops.h"
#include "mount/rename.h"
#include <errno.h>
#include <fcntl.h>

void file_reply_open(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi,
	struct secret *bytes, bool direct)
{
	struct handle *h = handle_new(fs, in, bytes, !direct);
	if (!h) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = h->id;
	fi->direct_io = direct;
	fi->keep_cache = !direct;
	fi->noflush = 1; /* nothing to write back: saves a round trip at close(2) */
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_close(fs, fi->fh);
}

static void reply_part(fuse_req_t req, const char *data, size_t len, size_t size, off_t off)
{
	if (off < 0 || (uint64_t)off >= len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(
			req, data + off, size < len - (size_t)off ? size : len - (size_t)off);
}

void file_reply_bytes(fuse_req_t req, struct secret *bytes, size_t size, off_t off)
{
	reply_part(req, (const char *)secret_bytes(bytes), secret_len(bytes), size, off);
}

void file_reply_text(fuse_req_t req, const struct buf *text, size_t size, off_t off)
{
	reply_part(req, buf_text(text), text->len, size, off);
}

int file_fields(
	struct fs *fs, struct dent *d, struct payload *p, struct fields **ret, struct sfs_err *err)
{
	struct secret *bytes;
	int r = core_select(fs->core, d, p, &bytes, err);
	if (r < 0)
		return r;
	r = fields_parse(bytes, ret, err);
	secret_unref(bytes);
	return r;
}

static void reply_open(struct park *p)
{
	if (p->errnum)
		fuse_reply_err(p->req, p->errnum);
	else
		file_reply_open(p->fs, p->req, p->inode, &p->fi, take(p->bytes), p->fi.direct_io);
	park_put(p);
}

/* Answers OPEN of a secret, when its audit line allows: with `bytes`, taken over, or `errnum`. */
static void answer_open(struct park *p, int errnum, struct secret *bytes, bool direct)
{
	p->bytes = bytes;
	p->fi.direct_io = direct;
	park_ref(p);
	audit_answer(p, errnum, reply_open);
}

/* A node that stands for the name: stat shows what was opened last, reads bypass the page cache. */
static void open_name(struct park *p, struct secret *bytes, int64_t mtime)
{
	inode_show(p->fs, p->inode, secret_len(bytes), mtime);
	answer_open(p, 0, bytes, true);
}

/* The node was looked up before there was a value; now one is held, so that another LOOKUP can tell
 * its size. */
static bool size_is_unknown(const struct park *p, const struct payload *payload)
{
	uint64_t serial;
	int64_t mtime;
	struct secret *held = NULL;
	if (p->inode->view == VIEW_TREE)
		held = core_peek(p->fs->core, p->inode->dent, &serial, &mtime);
	secret_unref(held);
	return held && serial == payload->serial;
}

static void send_back(void *arg)
{
	struct park *p = arg;
	inode_send_away(p->fs, p->inode, p->tid);
	audit_sent_away(p);
	fuse_reply_err(p->req, ESTALE);
	park_put(p);
}

/* The change that made the node outdated is with the rename thread now. */
static void announced(void *arg)
{
	struct park *p = arg;
	rename_then(p->fs, send_back, p);
}

void file_send_back(struct park *p)
{
	park_ref(p);
	core_then(p->fs->core, announced, p);
}

static void open_again(struct park *p, struct secret *bytes)
{
	secret_unref(bytes);
	file_send_back(p);
}

static void followed(void *arg)
{
	struct park *p = arg;
	answer_open(p, 0, take(p->bytes), true);
	park_put(p);
}

/* Size and pages the kernel has are of the old version: it must have dropped them before the caller
 * goes on. */
static void open_following(struct park *p, struct payload *payload, struct secret *bytes)
{
	inode_follow(p->fs, p->inode);
	inode_show(p->fs, p->inode, secret_len(bytes), payload->created);
	p->bytes = bytes;
	park_ref(p);
	notify_inode(p->fs, p->inode);
	notify_then(p->fs, followed, p);
}

/*
 * The node is an outdated version, or one of a secret that is no longer cached. Who comes for the
 * first time is sent to look the name up again. If even that came too late, because rotations are
 * faster, the version that LOOKUP handed out is served. Who came back to the same node has no name
 * to look up: the node follows the name from now on.
 */
static void open_outdated(
	struct park *p, enum retry retry, struct payload *payload, struct secret *bytes)
{
	struct secret *held = retry == RETRY_LOOKED_UP ? inode_held(p->fs, p->inode) : NULL;
	if (retry == RETRY_NO) {
		open_again(p, bytes);
	} else if (held) {
		secret_unref(bytes);
		audit_served(p, NULL);
		answer_open(p, 0, held, false);
	} else {
		open_following(p, payload, bytes);
	}
}

static void open_version(
	struct park *p, bool nocache, struct payload *payload, struct secret *bytes)
{
	struct fs *fs = p->fs;
	enum retry retry = inode_retry(fs, p->inode, p->tid);
	struct inode_state s;
	inode_state(fs, p->inode, &s);
	const bool blank = nocache && s.serial == 0; /* the kernel has nothing of a version */
	if (blank)
		inode_follow(fs, p->inode);
	if (s.follows || blank)
		open_name(p, bytes, payload->created);
	else if (nocache)
		open_outdated(p, retry, payload, bytes);
	else if (s.serial == 0 && retry == RETRY_NO && size_is_unknown(p, payload))
		open_again(p, bytes);
	else if (inode_bind(fs, p->inode, payload->serial, bytes, payload->created, false) ==
		 BIND_SAME)
		answer_open(p, 0, bytes, false);
	else
		open_outdated(p, retry, payload, bytes);
}

static int field_bytes(struct fs *fs, struct inode *in, struct payload *payload,
	struct secret **ret, struct sfs_err *err)
{
	struct fields *fields;
	int r = file_fields(fs, in->dent, payload, &fields, err);
	if (r < 0)
		return r;
	r = fields_get(fields, in->sub, ret, err);
	fields_free(fields);
	return r;
}

int file_bytes(struct fs *fs, struct inode *in, struct payload *payload, struct secret **ret,
	struct sfs_err *err)
{
	switch (in->view) {
	case VIEW_FIELDS:
		return field_bytes(fs, in, payload, ret, err);
	case VIEW_JSON:
		return payload_json(payload, ret, err);
	default:
		return core_select(fs->core, in->dent, payload, ret, err);
	}
}

/* A reload closed the source, or what the node stands for was deleted: the name may be somebody
 * else's by now. */
static bool is_elsewhere(const struct park *p, int r)
{
	return r == -ENODEV || (r == -ENOENT && !dent_alive(p->inode->dent));
}

static void opened(struct waiter *w, struct payload *payload, const struct sfs_err *err)
{
	struct park *p = park_of(w, fetch);
	struct secret *bytes = NULL;
	struct core_attr a;
	struct sfs_err e;
	if (park_finish(p)) {
		int r = err ? -err->code : file_bytes(p->fs, p->inode, payload, &bytes, &e);
		core_attr(p->fs->core, p->inode->dent, &a);
		if (r == 0)
			audit_served(p, payload);
		if (is_elsewhere(p, r) && inode_retry(p->fs, p->inode, p->tid) == RETRY_NO)
			open_again(p, NULL);
		else if (r < 0)
			answer_open(p, -r, NULL, false);
		else if (p->inode->view == VIEW_TREE ||
			 (p->inode->view == VIEW_VERSIONS && !a.nocache))
			open_version(p, a.nocache, payload, bytes);
		else
			open_name(p, bytes, payload->created);
	}
	park_put(p);
}

void file_opened_text(
	struct text_waiter *w, const char *text, size_t len, const struct sfs_err *err)
{
	struct park *p = park_of(w, text);
	if (park_finish(p)) {
		struct handle *h = err ? NULL : handle_new(p->fs, p->inode, NULL, false);
		if (h && buf_add(&h->text, text, len) == 0) {
			inode_show(p->fs, p->inode, len, 0);
			p->fi.fh = h->id;
			p->fi.direct_io = 1;
			if (fuse_reply_open(p->req, &p->fi) == -ENOENT)
				handle_close(p->fs, p->fi.fh);
		} else {
			fuse_reply_err(p->req, err ? err->code : ENOMEM);
			if (h)
				handle_close(p->fs, h->id);
		}
	}
	park_put(p);
}

static void open_meta(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct park *p = park_new(fs, req, in, NULL);
	if (!p)
		return;
	p->fi = *fi;
	p->w.text = (struct text_waiter){.done = file_opened_text, .deadline = fs_deadline(fs)};
	core_meta(fs->core, in->dent, &p->w.text);
}

/* The GETATTR of this open(2) has fetched the value. */
static void open_handed(struct park *p, struct secret *bytes, char *version)
{
	const struct payload brought = {.version = version, .fetched_boot = clock_boot()};
	if (park_finish(p)) {
		audit_served(p, &brought);
		answer_open(p, 0, bytes, true);
	} else {
		secret_unref(bytes);
	}
	park_put(p);
}

static void fetch_opened(struct park *p)
{
	struct inode *in = p->inode;
	_cleanup_free_ char *version = NULL;
	struct secret *handed = inode_take(p->fs, in, p->tid, &version);
	if (handed) {
		open_handed(p, handed, version);
		return;
	}
	core_fetch(p->fs->core, in->dent, in->view == VIEW_VERSIONS ? in->sub : NULL,
		in->view == VIEW_NOCACHE ? FETCH_NOCACHE : FETCH_CACHED, &p->w.fetch);
}

/* Nothing can be written, but who tried is worth a line. */
static void refuse_write(struct park *p)
{
	if (park_finish(p))
		answer_open(p, EROFS, NULL, false);
	park_put(p);
}

static void open_secret(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	const bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);
	struct park *p = park_make(fs, req, in, park_cancel_fetch);
	if (!p)
		return;
	p->fi = *fi;
	p->w.fetch =
		(struct waiter){.done = opened, .deadline = fs_deadline(fs), .payer = p->payer};
	if (audit_begin(p, p->w.fetch.deadline) < 0) {
		fuse_reply_err(req, ENOMEM);
		park_put(p);
		return;
	}
	park_arm(p);
	audit_capture(p, writes ? refuse_write : fetch_opened);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	if (!in)
		fuse_reply_err(req, ESTALE);
	else if (in->is_dir)
		fuse_reply_err(req, EISDIR);
	else if (fs->no_open)
		fuse_reply_err(req, ENOSYS); /* the kernel will not ask again */
	else if (in->view == VIEW_CONTROL || in->view == VIEW_LIST)
		control_open(fs, req, in, fi);
	else if (in->view != VIEW_META)
		open_secret(fs, req, in, fi);
	else if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC))
		fuse_reply_err(req, EROFS);
	else
		open_meta(fs, req, in, fi);
	inode_put(fs, in);
}

static void read_handle(struct fs *fs, fuse_req_t req, uint64_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct handle *h = handle_get(fs, fi->fh);
	if (!h || h->inode->ino != ino || h->inode->is_dir)
		fuse_reply_err(req, ESTALE);
	else if (h->events)
		eventfile_read(fs, req, h, size, off, fi->flags);
	else if (h->bytes)
		file_reply_bytes(req, h->bytes, size, off);
	else
		file_reply_text(req, h->text.len ? &h->text : &h->inode->text, size, off);
	handle_put(fs, h);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	if (!fs->no_open) {
		read_handle(fs, req, ino, size, off, fi);
		return;
	}
	struct inode *in = inode_get(fs, ino);
	if (!in || in->is_dir)
		fuse_reply_err(req, ESTALE);
	else if (eventfile_is(in))
		eventfile_read_pages(fs, req, in, size, off);
	else
		fill_read(fs, req, in, size, off);
	inode_put(fs, in);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	if (in && in->view == VIEW_CONTROL)
		control_release(fs, in);
	if (in && eventfile_is(in))
		eventfile_release(fs, fi->fh);
	inode_put(fs, in);
	handle_close(fs, fi->fh);
	fuse_reply_err(req, 0);
}
